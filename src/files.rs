//! Small files that must never be half written: a copy of the configuration, what limits remember.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid, fchown};
use rustix::process::geteuid;

/// So many things that cannot be replaced may stand in the way of one that is put aside.
const MOST_ASIDE: u32 = 9;

/// Puts `bytes` in place of what the file held: after a crash or a power cut it has either the old content or the new. Blocks.
///
/// # Errors
/// The system's, with the file as it was.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = beside(file).ok_or(io::ErrorKind::InvalidInput)?;
    // A configuration may hold a password: not for everyone.
    let mut new = File::options().write(true).create(true).truncate(true).mode(0o640).open(&beside)?;
    keep_owner(&new, file, directory)?;
    new.write_all(bytes)?;
    new.sync_all()?;
    fs::rename(&beside, file)?;
    // Only with this is the new name itself on the disk.
    File::open(directory)?.sync_all()
}

/// Where a file is written before it takes the place of another: `.NAME.new` in the same directory. `None` for what has no name, as `/`.
pub fn beside(file: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(".");
    name.push(file.file_name()?);
    name.push(".new");
    Some(file.with_file_name(name))
}

/// What root writes in the daemon's directory (`sudo homeostat set …`) stays the daemon's.
fn keep_owner(new: &File, file: &Path, directory: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(file).or_else(|_| fs::metadata(directory))?;
    Ok(fchown(new, Some(Uid::from_raw(owner.uid())), Some(Gid::from_raw(owner.gid())))?)
}

/// What came of [`replace`] in a lane of its own: the lane's trouble or the disk's, in words.
///
/// # Errors
/// Whichever of them kept it from being written, or from being known to be.
pub fn replaced<E: Display>(in_lane: Result<io::Result<()>, E>) -> Result<(), String> {
    in_lane.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// Renames what cannot be read to `FILE.damaged`, and gives that name. An older one makes room; where it cannot, because it or this
/// one is a directory, the name is `FILE.damaged.2` and so on. Blocks.
///
/// # Errors
/// The system's for the last name tried, with everything as it was.
pub fn put_aside(file: &Path) -> io::Result<PathBuf> {
    let name = |number: u32| {
        let mut name = OsString::from(file);
        name.push(if number == 1 { ".damaged".to_owned() } else { format!(".damaged.{number}") });
        PathBuf::from(name)
    };
    let put = |number| fs::rename(file, name(number)).map(|()| name(number));
    (2..=MOST_ASIDE).fold(put(1), |tried, number| tried.or_else(|_| put(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_old_content_or_the_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a");
        replace(&file, b"one").unwrap();
        replace(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");

        fs::create_dir(directory.path().join("folder")).unwrap();
        assert!(replace(&directory.path().join("folder"), b"three").is_err());
        assert!(replace(&directory.path().join("nowhere/a"), b"three").is_err());
    }

    #[test]
    fn what_is_put_aside_keeps_its_content_and_finds_a_name_beside_directories() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.json");
        let mut names = Vec::new();
        for kind in ["file", "file", "directory", "directory", "file"] {
            if kind == "file" {
                fs::write(&file, "").unwrap();
            } else {
                fs::create_dir(&file).unwrap();
                fs::write(file.join("within"), "").unwrap();
            }
            let aside = put_aside(&file).unwrap();
            assert!(!file.exists() && aside.is_dir() == (kind == "directory"));
            names.push(aside.file_name().unwrap().to_owned());
        }
        let (first, second) = ("a.json.damaged", "a.json.damaged.2");
        assert_eq!(names, [first, first, second, "a.json.damaged.3", first]);
        assert_eq!(put_aside(&file).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
