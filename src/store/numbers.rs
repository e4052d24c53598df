//! Where the numbers of readings go on when the database cannot say it.
//!
//! A number that was given out must never be given out again, and the last one given out stands in the database. If that one
//! cannot be read, or nothing can be reserved in it, numbers go on from the time instead: a thousand for each millisecond
//! since 1970. That is above all that were counted from 1 (nobody has read a sensor 1.7 × 10¹⁵ times), and two such ranges do
//! not meet: it takes a million readings a second to count faster than it. It fits below 2⁵³ until the year 2223.
//!
//! What remains: a clock that is set back. The file's own times and the year of this program hold against a Pi that boots in
//! 1970; against a clock that was wrong by years *ahead* when numbers were last taken from it, nothing does.

use std::path::Path;
use std::time::UNIX_EPOCH;

use super::{aside, writer::BLOCK};
use crate::model::Timestamp;

const EACH_MILLISECOND: u64 = 1000;
/// The beginning of 2026, in milliseconds: no clock that shows less is right.
const EARLIEST: u64 = 1_767_225_600_000;
/// Leaves room below 2⁵³ for a clock that is centuries ahead.
const MOST: u64 = 8_000_000_000_000_000;

/// A number above all that were ever given out, as far as the clock and the file's times tell.
pub(super) fn from_time(wall: Timestamp, file: &Path) -> u64 {
    let wall = u64::try_from(wall.as_millis()).unwrap_or(0);
    let latest = [changed(file), changed(&aside::log_of(file))].into_iter().fold(wall.max(EARLIEST), u64::max);
    latest.saturating_mul(EACH_MILLISECOND).min(MOST).saturating_add(BLOCK)
}

/// When the file was changed, in milliseconds since 1970; 0 if that is not known.
fn changed(file: &Path) -> u64 {
    let changed = std::fs::metadata(file).and_then(|known| known.modified()).ok();
    let since = changed.and_then(|changed| changed.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_from_the_time_grow_with_it_and_stay_exact_in_json() {
        let nowhere = Path::new("/nowhere/homeostat.db");
        let at = |millis| from_time(Timestamp::from_millis(millis), nowhere);
        assert!(at(1_795_250_000_001) > at(1_795_250_000_000));
        assert_eq!(at(0), at(-1));
        assert!(at(0) > 9_000 * BLOCK, "above everything that was counted from 1");
        assert!(at(i64::MAX) < 1 << 53);
    }

    #[test]
    fn a_clock_that_is_behind_the_file_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("homeostat.db");
        std::fs::write(&file, "").unwrap();
        let boot = Timestamp::from_millis(0);
        assert!(from_time(boot, &file) > from_time(boot, Path::new("/nowhere/homeostat.db")));
    }
}
