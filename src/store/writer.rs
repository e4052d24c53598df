//! The one who writes: a batch of readings in one transaction, and the reservation of their numbers.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, schema};
use crate::model::{ChannelId, Reading, Sample};

/// How many numbers are reserved at once: three years of ten readings a second, in case that the disk fails for so long. Nine
/// million starts after a crash fit below 2^53, up to which numbers in JSON are exact.
const BLOCK: u64 = 1_000_000_000;

/// An open database. After an error it is dropped and opened again, because what it remembers may not be on disk.
pub(super) struct Writer {
    db: Connection,
    series: HashMap<(ChannelId, &'static str), Series>,
    reserved: u64,
}

struct Series {
    id: i64,
    /// The reason written last, so that a sensor that stays away does not fill the disk with it.
    reason: Option<Arc<str>>,
}

impl Writer {
    pub(super) fn open(file: &Path) -> Result<Self, StoreError> {
        let db = schema::open(file)?;
        let reserved =
            reserved(&db).map_err(|source| StoreError::Sqlite { what: "read", file: file.to_owned(), source })?;
        Ok(Self { db, series: HashMap::new(), reserved })
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
        // This one must survive a power cut at once, or numbers would be given out twice.
        self.db.pragma_update(None, "synchronous", "FULL")?;
        self.db.execute(
            "INSERT INTO meta VALUES ('reserved', ?1) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [whole(seq)],
        )?;
        self.db.pragma_update(None, "synchronous", "NORMAL")?;
        self.reserved = seq;
        Ok(())
    }

    /// Writes all of them or none. Readings that are there already stay as they are.
    pub(super) fn write(&mut self, readings: &[Reading]) -> rusqlite::Result<()> {
        let newest = readings.last().map_or(0, |reading| reading.seq);
        if newest.saturating_add(BLOCK / 2) > self.reserved {
            self.reserve_above(newest)?;
        }
        let transaction = self.db.transaction()?;
        {
            let mut insert = transaction.prepare(
                "INSERT INTO readings (series, time, seq, value, quality, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO NOTHING",
            )?;
            for reading in readings {
                let key = (reading.channel.clone(), reading.quantity.unit());
                let series = match self.series.entry(key) {
                    std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                    std::collections::hash_map::Entry::Vacant(new) => {
                        let id = series_id(&transaction, new.key().0.as_str(), new.key().1)?;
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
            }
        }
        transaction.commit()
    }
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
