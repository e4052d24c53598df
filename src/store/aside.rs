//! Putting a damaged database aside. It is renamed, never deleted or changed: what it holds can often be salvaged.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::model::Timestamp;

/// How many may lie there. Nothing is deleted to make room: the first one is the long one, with what a person wants back.
/// A disk that damages one file after another is no place for a further one.
const MOST: usize = 8;

/// What belongs to a database and keeps its name: the log of what is not in the file yet, and that log's index.
const COMPANY: [&str; 2] = ["-wal", "-shm"];

/// Renames the database and its company, and gives the new name. Blocks.
///
/// # Errors
/// The system's, or that there are too many already; the database then has its old name. Its log may have the new one.
pub(super) fn put(file: &Path, at: Timestamp) -> io::Result<PathBuf> {
    // SQLite keeps the company beside the file itself, not beside a link to it.
    let file = fs::canonicalize(file)?;
    let name = file.file_name().unwrap_or_default();
    let directory = file.parent().unwrap_or(Path::new("/"));
    if count(directory, name)? >= MOST {
        return Err(io::Error::other(format!(
            "{MOST} damaged ones lie there already: the disk or SD card is failing, replace it, or move them away"
        )));
    }
    let moment: String = at.to_string().chars().take(19).filter(|c| !matches!(c, '-' | ':')).collect();
    let aside = (0..=MOST)
        .map(|copy| if copy == 0 { format!(".damaged-{moment}Z") } else { format!(".damaged-{moment}Z-{copy}") })
        .map(|ending| with(&file, &ending))
        .find(|aside| !aside.exists())
        .ok_or(io::ErrorKind::AlreadyExists)?;
    // The company first: the log of one file beside another one is thrown away by SQLite.
    for ending in COMPANY {
        match fs::rename(with(&file, ending), with(&aside, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(&file, &aside)?;
    // Only with this are the names on the disk; without it the next start finds the same damage.
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
    Ok(aside)
}

/// Whether one of this name was put aside ever.
pub(super) fn any(file: &Path) -> bool {
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    file.file_name().is_some_and(|name| count(directory, name).is_ok_and(|found| found > 0))
}

/// The file's name with an ending, as SQLite makes those of its company.
pub(super) fn with(file: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(ending);
    name.into()
}

/// The company's name for what is not in the file yet.
pub(super) fn log_of(file: &Path) -> PathBuf {
    with(file, COMPANY[0])
}

fn count(directory: &Path, name: &OsStr) -> io::Result<usize> {
    let mut beginning = name.to_os_string();
    beginning.push(".damaged-");
    let mut found = 0;
    for entry in fs::read_dir(directory)? {
        let other = entry?.file_name();
        let other = other.as_encoded_bytes();
        let is_company = COMPANY.iter().any(|ending| other.ends_with(ending.as_bytes()));
        found += usize::from(other.starts_with(beginning.as_encoded_bytes()) && !is_company);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_795_250_000_250);

    #[test]
    fn a_database_keeps_its_company_and_nothing_is_overwritten_or_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("homeostat.db");
        for number in 0..MOST {
            fs::write(&file, number.to_string()).unwrap();
            fs::write(with(&file, "-wal"), "log").unwrap();
            let aside = put(&file, AT).unwrap();
            assert_eq!(fs::read_to_string(&aside).unwrap(), number.to_string());
            assert!(with(&aside, "-wal").exists() && !file.exists() && !with(&file, "-wal").exists());
        }
        assert!(directory.path().join("homeostat.db.damaged-20261121T083320Z").exists());
        fs::write(&file, "one more").unwrap();
        let refused = put(&file, AT).unwrap_err().to_string();
        assert!(refused.contains("8 damaged ones lie there already"), "{refused}");
        assert!(file.exists());
        assert_eq!(count(directory.path(), file.file_name().unwrap()).unwrap(), MOST);
    }
}
