//! Room that is kept for the day when the disk is full: without any, not even old data could be deleted, because SQLite writes
//! down first what it is about to change.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::aside::with;

const SIZE: usize = 512 * 1024;

fn beside(file: &Path) -> PathBuf {
    with(file, ".reserve")
}

/// Takes the room, if it is not taken and is there. Blocks.
pub(super) fn take(file: &Path) {
    let reserve = beside(file);
    if fs::metadata(&reserve).is_ok_and(|known| known.len() == SIZE as u64) {
        return;
    }
    // Not by a hole in a file, which takes nothing.
    let taken = File::create(&reserve).and_then(|mut reserve| reserve.write_all(&vec![0; SIZE]));
    if taken.is_err() {
        give(file);
    }
}

/// Gives the room back to the disk. Blocks.
pub(super) fn give(file: &Path) {
    let _ = fs::remove_file(beside(file));
}
