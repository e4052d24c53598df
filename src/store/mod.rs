//! Every reading and every alarm on disk, in one SQLite file that any tool can read: `SELECT * FROM history`, `alarm_history`.
//!
//! ```text
//! bus ─tap─▶ run ─▶ pending (memory) ─one transaction a flush─▶ homeostat.db
//! ```
//!
//! An SD card wears out by transactions, not by readings, so readings wait in memory for at most `flush` and then go to
//! disk together. When the disk fails they wait longer, and the daemon goes on; it also starts without a disk. A file that is
//! damaged is put aside and a new one begun. A file that is not ours is never touched.
//!
//! The store also keeps the numbers of readings unique for ever: a number may have been published over MQTT but not
//! yet written when the power goes. So numbers are reserved on disk in large blocks *before* they are given out, and
//! the next start begins above everything that was ever reserved. After a crash the numbers therefore jump; when the
//! database cannot be asked they go on from the time (`numbers.rs`).

mod aside;
pub mod disk;
mod error;
mod handle;
mod health;
mod numbers;
mod pending;
mod query;
mod schema;
mod task;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Section;

pub use disk::{Disk, RealDisk};
pub use error::StoreError;
pub use handle::Store;
pub use query::Stored;
pub use task::run;

/// The `[store]` table, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The database, relative to the state directory.
    pub path: PathBuf,
    /// How often readings are written; 100 ms to an hour.
    pub flush: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { path: PathBuf::from("homeostat.db"), flush: Duration::from_secs(10) }
    }
}

impl Config {
    /// Reads `[store]`. What is wrong is reported to the section.
    pub fn read(section: Section) -> Option<Self> {
        let default = Self::default();
        let path = section.optional::<String>("path").map_or(default.path, PathBuf::from);
        let flush = section.or("flush", default.flush);
        let fits = (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&flush);
        if !fits {
            section.wrong(
                "flush",
                "`flush` of the store is out of range",
                "write \"100ms\" to \"1h\"; \"10s\" suits an SD card",
            );
        }
        let named = path.file_name().is_some();
        if !named {
            section.wrong("path", "`path` of the store names no file", "write \"homeostat.db\"");
        }
        section.finish();
        (fits && named).then_some(Self { path, flush })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use toml::de::DeTable;

    use super::*;

    fn read(text: &str) -> (Option<Config>, Vec<String>) {
        let found = RefCell::default();
        let table = DeTable::parse(text).unwrap();
        let config = Config::read(Section::new("the store", 0..0, table.get_ref(), &found));
        (config, found.into_inner().into_iter().map(|diagnostic| diagnostic.message).collect())
    }

    #[test]
    fn an_empty_table_is_enough() {
        assert_eq!(read(""), (Some(Config::default()), vec![]));
    }

    #[test]
    fn every_mistake_is_found() {
        let (config, found) = read("path = \"\"\nflush = \"10ms\"\nmax = 3");
        assert_eq!(config, None);
        assert_eq!(
            found,
            [
                "`flush` of the store is out of range",
                "`path` of the store names no file",
                "unknown key `max` for the store"
            ]
        );
    }
}
