//! The one who writes: a batch of readings, alarms and outputs in one transaction, and the reservation of their numbers.

use std::borrow::Cow;
use std::collections::{HashMap, hash_map};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::batches::Tail;
use super::disk::{Disk, Operation};
use super::entry::{Entry, Numbered, OutputChange, quality};
use super::{StoreError, aside, meta, schema};
use crate::message::Alarm;
use crate::model::ChannelId;

/// How many numbers are reserved at once: three years of ten readings a second, in case that the disk fails for so long. Nine
/// million starts after a crash fit below 2^53, up to which numbers in JSON are exact.
pub(super) const BLOCK: u64 = 1_000_000_000;

/// For so many numbers a reason's text is referred to; then it is written again. So texts that nothing refers to any more are
/// known by their number alone.
pub(super) const REASON_HOLDS: i64 = 100_000;

/// Reasons that are remembered; those with numbers in them differ each time.
const REASONS: usize = 1_000;

/// An open database. After an error it is dropped and opened again, because what it remembers may not be on disk.
pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) disk: Arc<dyn Disk>,
    log: PathBuf,
    memory: Memory,
    reserved: u64,
}

/// What is in the file and need not be looked up.
struct Memory {
    series: HashMap<(ChannelId, Cow<'static, str>), i64>,
    reasons: HashMap<Arc<str>, i64>,
    tail: Tail,
}

/// What a flush writes.
pub(super) struct Flush<'f> {
    pub(super) entries: &'f [Entry],
    /// How many of the first were taken over from a process that died, and may be on disk already.
    pub(super) again: usize,
    /// No number above this one was given out.
    pub(super) given: u64,
    /// What becomes of the history's cursor.
    pub(super) cursor: Cursor,
}

/// The history's cursor in the database: up to which number its reader has everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cursor {
    Stays,
    Moves(u64),
    /// There is no reader.
    Goes,
}

impl Writer {
    pub(super) fn open(file: &Path, disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let db = schema::open(file, &*disk)?;
        let failed = |source| StoreError::Sqlite { what: "read", file: file.to_owned(), source };
        db.set_prepared_statement_cache_capacity(32);
        let reserved = meta::get(&db, meta::RESERVED).map_err(failed)?;
        let tail = Tail::read(&db).map_err(failed)?;
        let memory = Memory { series: HashMap::new(), reasons: HashMap::new(), tail };
        Ok(Self { db, disk, log: aside::log_of(file), memory, reserved })
    }

    /// No number above this one was ever given out.
    pub(super) fn reserved(&self) -> u64 {
        self.reserved
    }

    /// How large the log beside the file is, in bytes.
    pub(super) fn log_size(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |known| known.len())
    }

    /// Up to which number the history's reader has everything, if there was one.
    pub(super) fn acknowledged(&self) -> rusqlite::Result<Option<u64>> {
        meta::find(&self.db, meta::HISTORY)
    }

    /// The number of the newest reading on disk.
    pub(super) fn last_seq(&self) -> rusqlite::Result<u64> {
        let last: Option<i64> = self.db.query_row("SELECT max(seq) FROM readings", (), |row| row.get(0))?;
        Ok(u64::try_from(last.unwrap_or(0)).unwrap_or(0))
    }

    /// Allows numbers up to a block above `seq`.
    pub(super) fn reserve_above(&mut self, seq: u64) -> rusqlite::Result<()> {
        self.set_reserved(seq.saturating_add(BLOCK))
    }

    /// Sets the highest number that may have been given out.
    pub(super) fn set_reserved(&mut self, seq: u64) -> rusqlite::Result<()> {
        self.disk.check(Operation::Reserve)?;
        meta::set(&self.db, meta::RESERVED, seq)?;
        // It survives a power cut, and with this also the loss of the log beside the file. A reader may be in the way; then it is
        // done with one of the next.
        self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))?;
        self.reserved = seq;
        Ok(())
    }

    /// Writes all of it or nothing, and sees that enough numbers are reserved. Readings that are there already stay as they are.
    pub(super) fn write(&mut self, flush: &Flush<'_>) -> rusqlite::Result<()> {
        if flush.given.saturating_add(BLOCK / 2) > self.reserved {
            self.reserve_above(flush.given)?;
        }
        if flush.entries.is_empty() && flush.cursor == Cursor::Stays {
            return Ok(());
        }
        self.disk.check(Operation::Write)?;
        let transaction = self.db.transaction()?;
        for (number, entry) in flush.entries.iter().enumerate() {
            match entry {
                Entry::Reading(reading) => self.memory.add_reading(&transaction, reading)?,
                Entry::Alarm(alarm) if number < flush.again && has_alarm(&transaction, alarm)? => {}
                Entry::Alarm(alarm) => add_alarm(&transaction, alarm)?,
                Entry::Output(change) if number < flush.again && has_output(&transaction, change)? => {}
                Entry::Output(change) => add_output(&transaction, change)?,
            }
        }
        match flush.cursor {
            Cursor::Stays => {}
            Cursor::Moves(seq) => meta::set(&transaction, meta::HISTORY, seq)?,
            Cursor::Goes => meta::remove(&transaction, meta::HISTORY)?,
        }
        self.disk.check(Operation::Commit)?;
        transaction.commit()
    }
}

impl Memory {
    fn add_reading(&mut self, db: &Connection, reading: &Numbered) -> rusqlite::Result<()> {
        let series = match self.series.entry((reading.channel.clone(), reading.unit.clone())) {
            hash_map::Entry::Occupied(known) => *known.get(),
            hash_map::Entry::Vacant(new) => {
                let id = series_id(db, new.key().0.as_str(), &new.key().1)?;
                *new.insert(id)
            }
        };
        let seq = whole(reading.seq);
        let reason = reading.sample.reason().map(|reason| self.reason(db, reason, seq)).transpose()?;
        let time = reading.time.as_millis();
        let added = db
            .prepare_cached(
                "INSERT INTO readings (seq, series, time, value, quality, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO NOTHING",
            )?
            .execute((seq, series, time, reading.sample.value(), quality(&reading.sample), reason))?;
        if added > 0 { self.tail.add(db, reading) } else { Ok(()) }
    }

    fn reason(&mut self, db: &Connection, text: &Arc<str>, seq: i64) -> rusqlite::Result<i64> {
        if let Some(&known) = self.reasons.get(text)
            && (known..known.saturating_add(REASON_HOLDS)).contains(&seq)
        {
            return Ok(known);
        }
        if self.reasons.len() >= REASONS {
            self.reasons.clear();
        }
        db.prepare_cached("INSERT OR IGNORE INTO reasons VALUES (?1, ?2)")?.execute((seq, &**text))?;
        self.reasons.insert(text.clone(), seq);
        Ok(seq)
    }
}

/// Only what is news to the database: at each start all that could stand at the broker are said to have gone.
fn add_alarm(db: &Connection, alarm: &Alarm) -> rusqlite::Result<()> {
    let text = alarm.text.as_deref();
    let told = (alarm.since.as_millis(), text, alarm.latched, alarm.acknowledged);
    let last: Option<(i64, Option<String>, bool, bool)> = db
        .prepare_cached(
            "SELECT since, text, latched, acknowledged FROM alarms WHERE name = ?1 ORDER BY id DESC LIMIT 1",
        )?
        .query_row([&*alarm.name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let last = last.as_ref().map(|(since, text, latched, known)| (*since, text.as_deref(), *latched, *known));
    let is_news = match text {
        Some(_) => last != Some(told),
        None => last.is_some_and(|(_, text, ..)| text.is_some()),
    };
    if is_news {
        db.prepare_cached("INSERT INTO alarms (name, since, text, latched, acknowledged) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((&*alarm.name, told.0, told.1, told.2, told.3))?;
    }
    Ok(())
}

fn has_alarm(db: &Connection, alarm: &Alarm) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT 1 FROM alarms WHERE name = ?1 AND since = ?2 AND text IS ?3 AND latched = ?4 AND acknowledged = ?5",
    )?
    .exists((&*alarm.name, alarm.since.as_millis(), alarm.text.as_deref(), alarm.latched, alarm.acknowledged))
}

fn add_output(db: &Connection, change: &OutputChange) -> rusqlite::Result<()> {
    let OutputChange { time, output, level, on, by, why } = change;
    db.prepare_cached(
        "INSERT INTO output_changes (time, output, level, is_on, owner, why) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((time.as_millis(), &**output, level, on, by.as_deref(), &**why))?;
    Ok(())
}

/// Among the last ones, for there is no index: what a process leaves when it dies is not older.
fn has_output(db: &Connection, change: &OutputChange) -> rusqlite::Result<bool> {
    let OutputChange { time, output, level, on, by, why } = change;
    db.prepare_cached(
        "SELECT 1 FROM (SELECT * FROM output_changes ORDER BY id DESC LIMIT 1000)
         WHERE time = ?1 AND output = ?2 AND level = ?3 AND is_on = ?4 AND owner IS ?5 AND why = ?6",
    )?
    .exists((time.as_millis(), &**output, level, on, by.as_deref(), &**why))
}

/// SQLite's integers have a sign; at a million readings a second the numbers last for 292,000 years.
pub(super) fn whole(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn series_id(db: &Connection, name: &str, unit: &str) -> rusqlite::Result<i64> {
    db.execute("INSERT INTO series (name, unit) VALUES (?1, ?2) ON CONFLICT DO NOTHING", (name, unit))?;
    db.query_row("SELECT id FROM series WHERE name = ?1 AND unit = ?2", (name, unit), |row| row.get(0))
}
