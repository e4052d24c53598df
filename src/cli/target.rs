//! The file that `export` or `backup` writes: what stands in its way is said before anything is read.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::database::Sorry;

/// Whether a file may hold what comes of the database. `usual` is a name for it, for whoever gives a directory.
pub fn may_become(file: &Path, database: &Path, usual: &str) -> Result<(), Sorry> {
    let named = file.display();
    if is_same(file, database) {
        return Err(Sorry::missing(format!("{named} is the database itself"), "name another file"));
    }
    if file.is_dir() {
        let next = format!("name a file, {}", file.join(usual).display());
        return Err(Sorry::missing(format!("{named} is a directory"), next));
    }
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
    match directory.map(|directory| (directory.display(), fs::metadata(directory))) {
        Some((directory, Err(error))) if error.kind() == io::ErrorKind::NotFound => {
            let next = format!("make it (mkdir -p {directory}), or name a file elsewhere");
            Err(Sorry::failed(format!("there is no directory {directory}"), next))
        }
        _ => Ok(()),
    }
}

/// Whether both are the same file, by whatever names.
fn is_same(one: &Path, other: &Path) -> bool {
    let known = |file: &Path| fs::metadata(file).map(|known| (known.dev(), known.ino()));
    matches!((known(one), known(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_told_with_what_would_do() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("a.db"), "").unwrap();
        std::os::unix::fs::symlink(at("a.db"), at("link.db")).unwrap();
        for (name, expected) in [
            ("new.csv", ""),
            ("a.db", "name another file"),
            ("link.db", "name another file"),
            ("", "/usual.csv"),
            ("nowhere/new.csv", "/nowhere), or name a file elsewhere"),
            // What is not of this kind is told by who writes.
            ("a.db/new.csv", ""),
        ] {
            let told =
                may_become(&at(name), &at("a.db"), "usual.csv").map_or_else(|sorry| sorry.text, |()| String::new());
            assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{name}: {told}");
        }
        assert!(may_become(Path::new("new.csv"), &at("a.db"), "usual.csv").is_ok());
    }
}
