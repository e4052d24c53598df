//! Every reading, every alarm and every change of an output on disk, in one SQLite file that any tool can read: `SELECT * FROM
//! history`, `minutes`, `hours`, `alarm_history`, `output_history`.
//!
//! ```text
//! bus ─tap─▶ run ─▶ pending (memory) ─one transaction a flush─▶ homeostat.db ─step by step─▶ minutes, hours, nothing
//!                      └─at once─▶ fresh.db (a tmpfs) ─after a crash─▶ pending
//! ```
//!
//! An SD card wears out by transactions, not by readings, so readings wait in memory for at most `flush` and then go to
//! disk together. Meanwhile they also stand in the *fresh tier*, a small database in memory that outlives the process: a start
//! after `kill -9` takes over what is left there. When the disk fails they wait longer, and the daemon goes on; it also starts
//! without a disk. A file that is damaged is put aside and a new one begun. A file that is not ours is never touched.
//!
//! On disk they lie in the order in which they came, so a flush touches a few pages at the end of the file and none elsewhere.
//! Every ten minutes new readings are rolled up by the minute and by the hour; what is older than `keep` goes, and what does not
//! fit in `max_size`, oldest first, readings before minutes before hours. All of that happens in steps of a few thousand rows,
//! between which a flush takes its turn.
//!
//! The store also keeps the numbers of readings unique for ever: a number may have been published over MQTT but not
//! yet written when the power goes. So numbers are reserved on disk in large blocks *before* they are given out, and
//! the next start begins above everything that was ever reserved. After a crash the numbers therefore jump; when the
//! database cannot be asked they go on from the time (`numbers.rs`).

mod aside;
mod asked;
mod backup;
mod batches;
mod config;
pub mod disk;
mod entry;
mod error;
mod fresh;
mod handle;
mod health;
mod keeper;
mod meta;
mod migrations;
mod numbers;
mod pending;
pub mod query;
mod read;
mod reserve;
mod schema;
mod task;
mod thin;
mod tiers;
mod writer;

#[cfg(test)]
mod tests;

pub use backup::backup;
pub use config::{Config, Keep, age};
pub use disk::{Disk, RealDisk};
pub use entry::{Numbered, OutputChange};
pub use error::StoreError;
pub use handle::Store;
pub use read::Stored;
pub use task::run;

/// The fresh tier's file, in the runtime directory.
pub const FRESH: &str = "fresh.db";
