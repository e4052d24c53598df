//! Reading back what was written, for the daemon itself: on a connection of its own, so that it never waits for the writer.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use super::entry::{Numbered, sample};
use super::writer::whole;
use super::{StoreError, aside};
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
    /// Why it is not good.
    pub reason: Option<String>,
}

/// How many readings there are. Looks at every one of them.
pub(super) fn count(file: &Path) -> Result<u64, StoreError> {
    ask(file, |db| db.query_row("SELECT count(*) FROM readings", (), |row| row.get::<_, i64>(0)))
        .map(|count| u64::try_from(count).unwrap_or(0))
}

/// All readings of a channel, in the order of their numbers. Looks at those of all others too.
pub(super) fn readings(file: &Path, channel: &ChannelId) -> Result<Vec<Stored>, StoreError> {
    ask(file, |db| {
        let mut select = db.prepare(
            "SELECT seq, time, value, CASE quality WHEN 0 THEN 'good' WHEN 1 THEN 'uncertain' ELSE 'bad' END, text
             FROM readings LEFT JOIN reasons ON reasons.id = readings.reason
             WHERE series IN (SELECT id FROM series WHERE name = ?1) ORDER BY seq",
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

/// Readings with a number above another, oldest first.
pub(super) struct After {
    /// Those of a series whose name is none of ours are left out.
    pub found: Vec<Numbered>,
    /// The last number that was looked at, if there was any.
    pub last: Option<u64>,
    /// Whether there may be more.
    pub is_full: bool,
}

/// Looks at `most` readings with a number above `seq`, or fewer if there are no more.
pub(super) fn after(file: &Path, seq: u64, most: usize) -> Result<After, StoreError> {
    ask(file, |db| {
        // Both questions are asked of one moment, or a reading might be there before its series.
        let db = db.unchecked_transaction()?;
        let mut known: HashMap<i64, (ChannelId, String)> = HashMap::new();
        let mut select = db.prepare("SELECT id, name, unit FROM series")?;
        let mut rows = select.query(())?;
        while let Some(row) = rows.next()? {
            if let Ok(channel) = ChannelId::parse(&row.get::<_, String>(1)?) {
                known.insert(row.get(0)?, (channel, row.get(2)?));
            }
        }
        let mut select = db.prepare(
            "SELECT seq, series, time, value, quality, text FROM readings LEFT JOIN reasons ON reasons.id = readings.reason
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )?;
        let mut rows = select.query((whole(seq), i64::try_from(most).unwrap_or(i64::MAX)))?;
        let (mut found, mut last, mut looked_at) = (Vec::new(), None, 0);
        while let Some(row) = rows.next()? {
            let seq = u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0);
            (last, looked_at) = (Some(seq), looked_at + 1);
            let Some((channel, unit)) = known.get(&row.get(1)?) else { continue };
            let reason: Option<String> = row.get(5)?;
            found.push(Numbered {
                seq,
                channel: channel.clone(),
                unit: unit.clone().into(),
                time: Timestamp::from_millis(row.get(2)?),
                sample: sample(row.get(3)?, row.get(4)?, reason.map(Arc::from)),
            });
        }
        Ok(After { found, last, is_full: looked_at >= most })
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

/// Opens the file for reading alone and asks one question.
pub(super) fn ask<T>(file: &Path, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
    let failed = |source| failed(file, source);
    question(&open(file).map_err(failed)?).map_err(failed)
}

pub(super) fn failed(file: &Path, source: rusqlite::Error) -> StoreError {
    StoreError::Sqlite { what: "read", file: file.to_owned(), source }
}

/// Who may read the file need not be allowed to write beside it: without a log nobody writes, and then it is read as it is.
pub(super) fn open(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    let works = db.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()));
    match works {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen) => {}
        _ => return Ok(db),
    }
    if aside::log_of(file).exists() {
        return Ok(db);
    }
    let escaped = file.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags | OpenFlags::SQLITE_OPEN_URI)
}
