//! The one who writes: a batch of readings and alarms in one transaction, and the reservation of their numbers.

use std::collections::{HashMap, hash_map};
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Statement};

use super::disk::{Disk, Operation};
use super::pending::Entry;
use super::{StoreError, schema};
use crate::message::Alarm;
use crate::model::{ChannelId, Reading, Sample};

/// How many numbers are reserved at once: three years of ten readings a second, in case that the disk fails for so long. Nine
/// million starts after a crash fit below 2^53, up to which numbers in JSON are exact.
pub(super) const BLOCK: u64 = 1_000_000_000;

/// An open database. After an error it is dropped and opened again, because what it remembers may not be on disk.
pub(super) struct Writer {
    db: Connection,
    disk: Arc<dyn Disk>,
    series: HashMap<(ChannelId, &'static str), Series>,
    reserved: u64,
}

struct Series {
    id: i64,
    /// The reason written last, so that a sensor that stays away does not fill the disk with it.
    reason: Option<Arc<str>>,
}

impl Writer {
    pub(super) fn open(file: &Path, disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let db = schema::open(file, &*disk)?;
        let reserved =
            reserved(&db).map_err(|source| StoreError::Sqlite { what: "read", file: file.to_owned(), source })?;
        Ok(Self { db, disk, series: HashMap::new(), reserved })
    }

    /// No number above this one was ever given out.
    pub(super) fn reserved(&self) -> u64 {
        self.reserved
    }

    /// Allows numbers up to a block above `seq`.
    pub(super) fn reserve_above(&mut self, seq: u64) -> rusqlite::Result<()> {
        self.set_reserved(seq.saturating_add(BLOCK))
    }

    /// Sets the highest number that may have been given out.
    pub(super) fn set_reserved(&mut self, seq: u64) -> rusqlite::Result<()> {
        self.disk.check(Operation::Reserve)?;
        self.db.execute(
            "INSERT INTO meta VALUES ('reserved', ?1) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [whole(seq)],
        )?;
        // It survives a power cut, and with this also the loss of the log beside the file. A reader may be in the way; then it is done with one of the next.
        self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))?;
        self.reserved = seq;
        Ok(())
    }

    /// Writes all of them or none, and sees that enough numbers above `given` are reserved. Readings that are there already
    /// stay as they are.
    pub(super) fn write(&mut self, entries: &[Entry], given: u64) -> rusqlite::Result<()> {
        if given.saturating_add(BLOCK / 2) > self.reserved {
            self.reserve_above(given)?;
        }
        if entries.is_empty() {
            return Ok(());
        }
        self.disk.check(Operation::Write)?;
        let transaction = self.db.transaction()?;
        {
            let mut readings = transaction.prepare(
                "INSERT INTO readings (series, time, seq, value, quality, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO NOTHING",
            )?;
            for entry in entries {
                match entry {
                    Entry::Reading(reading) => add_reading(&transaction, &mut readings, &mut self.series, reading)?,
                    Entry::Alarm(alarm) => add_alarm(&transaction, alarm)?,
                }
            }
        }
        self.disk.check(Operation::Commit)?;
        transaction.commit()
    }
}

fn add_reading(
    db: &Connection,
    insert: &mut Statement<'_>,
    known: &mut HashMap<(ChannelId, &'static str), Series>,
    reading: &Reading,
) -> rusqlite::Result<()> {
    let series = match known.entry((reading.channel.clone(), reading.quantity.unit())) {
        hash_map::Entry::Occupied(known) => known.into_mut(),
        hash_map::Entry::Vacant(new) => {
            let id = series_id(db, new.key().0.as_str(), new.key().1)?;
            new.insert(Series { id, reason: None })
        }
    };
    let reason = reading.sample.reason();
    let changed = reason.filter(|reason| series.reason.as_ref() != Some(reason));
    insert.execute((
        series.id,
        reading.time.as_millis(),
        whole(reading.seq),
        reading.sample.value(),
        quality(&reading.sample),
        changed.map(|reason| &**reason),
    ))?;
    if changed.is_some() || reason.is_none() {
        series.reason = reason.cloned();
    }
    Ok(())
}

/// Only what is news to the database: at each start all that could stand at the broker are said to have gone.
fn add_alarm(db: &Connection, alarm: &Alarm) -> rusqlite::Result<()> {
    let text = alarm.text.as_deref();
    let told = (alarm.since.as_millis(), text, alarm.latched, alarm.acknowledged);
    let last: Option<(i64, Option<String>, bool, bool)> = db
        .prepare("SELECT since, text, latched, acknowledged FROM alarms WHERE name = ?1 ORDER BY id DESC LIMIT 1")?
        .query_row([&*alarm.name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let last = last.as_ref().map(|(since, text, latched, known)| (*since, text.as_deref(), *latched, *known));
    let is_news = match text {
        Some(_) => last != Some(told),
        None => last.is_some_and(|(_, text, ..)| text.is_some()),
    };
    if is_news {
        db.prepare("INSERT INTO alarms (name, since, text, latched, acknowledged) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((&*alarm.name, told.0, told.1, told.2, told.3))?;
    }
    Ok(())
}

fn quality(sample: &Sample) -> u8 {
    match sample {
        Sample::Good(_) => 0,
        Sample::Uncertain(..) => 1,
        Sample::Bad(_) => 2,
    }
}

/// SQLite's integers have a sign; at a million readings a second the numbers last for 292,000 years.
fn whole(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn reserved(db: &Connection) -> rusqlite::Result<u64> {
    let value: Option<i64> =
        db.query_row("SELECT value FROM meta WHERE key = 'reserved'", (), |row| row.get(0)).optional()?;
    Ok(u64::try_from(value.unwrap_or(0)).unwrap_or(0))
}

fn series_id(db: &Connection, name: &str, unit: &str) -> rusqlite::Result<i64> {
    db.execute("INSERT INTO series (name, unit) VALUES (?1, ?2) ON CONFLICT DO NOTHING", (name, unit))?;
    db.query_row("SELECT id FROM series WHERE name = ?1 AND unit = ?2", (name, unit), |row| row.get(0))
}
