//! Small files that must never be half written: a copy of the configuration, what limits remember.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Puts `bytes` in place of what the file held: after a crash or a power cut it has either the old content or the new. Blocks.
///
/// # Errors
/// The system's, with the file as it was.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".new");
    let beside = directory.join(beside);
    // A configuration may hold a password: not for everyone.
    let mut new = File::options().write(true).create(true).truncate(true).mode(0o640).open(&beside)?;
    new.write_all(bytes)?;
    new.sync_all()?;
    fs::rename(&beside, file)?;
    // Only with this is the new name itself on the disk.
    File::open(directory)?.sync_all()
}

/// What came of [`replace`] in a lane of its own: the lane's trouble or the disk's, in words.
///
/// # Errors
/// Whichever of them kept it from being written, or from being known to be.
pub fn replaced<E: Display>(in_lane: Result<io::Result<()>, E>) -> Result<(), String> {
    in_lane.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
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
}
