//! Reading back what was written, on a connection of its own, so that it never waits for the writer.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::StoreError;
use crate::message::Alarm;
use crate::model::{ChannelId, Timestamp};

/// One reading as it lies on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its number.
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// How much; `None` when it is bad.
    pub value: Option<f64>,
    /// `good`, `uncertain` or `bad`.
    pub quality: String,
    /// Why it is not good; `None` also when the reason is the same as that of the reading before.
    pub reason: Option<String>,
}

/// How many readings there are. Looks at every one of them.
pub(super) fn count(file: &Path) -> Result<u64, StoreError> {
    ask(file, |db| db.query_row("SELECT count(*) FROM readings", (), |row| row.get::<_, i64>(0)))
        .map(|count| u64::try_from(count).unwrap_or(0))
}

/// All readings of a channel, in the order of their numbers.
pub(super) fn readings(file: &Path, channel: &ChannelId) -> Result<Vec<Stored>, StoreError> {
    ask(file, |db| {
        let mut select = db.prepare(
            "SELECT seq, time, value, CASE quality WHEN 0 THEN 'good' WHEN 1 THEN 'uncertain' ELSE 'bad' END, reason
             FROM readings WHERE series IN (SELECT id FROM series WHERE name = ?1) ORDER BY seq",
        )?;
        let rows = select.query_map([channel.as_str()], |row| {
            Ok(Stored {
                seq: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
                time: Timestamp::from_millis(row.get(1)?),
                value: row.get(2)?,
                quality: row.get(3)?,
                reason: row.get(4)?,
            })
        })?;
        rows.collect()
    })
}

/// The newest `most` changes of alarms, oldest first.
pub(super) fn alarms(file: &Path, most: u32) -> Result<Vec<Alarm>, StoreError> {
    ask(file, |db| {
        let mut select = db.prepare(
            "SELECT name, text, since, latched, acknowledged
             FROM (SELECT * FROM alarms ORDER BY id DESC LIMIT ?1) ORDER BY id",
        )?;
        let rows = select.query_map([most], |row| {
            Ok(Alarm {
                name: row.get::<_, String>(0)?.into(),
                text: row.get::<_, Option<String>>(1)?.map(Into::into),
                since: Timestamp::from_millis(row.get(2)?),
                latched: row.get(3)?,
                acknowledged: row.get(4)?,
            })
        })?;
        rows.collect()
    })
}

fn ask<T>(file: &Path, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(file, flags).and_then(|db| question(&db)).map_err(|source| StoreError::Sqlite {
        what: "read",
        file: file.to_owned(),
        source,
    })
}
