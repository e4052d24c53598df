//! For people and their commands: what lies in a database, with or without a daemon that writes it. Opens it for reading alone.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params_from_iter};

use super::entry::{Entry, Numbered};
use super::writer::whole;
use super::{StoreError, fresh, meta, read, schema};
use crate::model::Timestamp;

/// So many readings are looked at for the newest of each channel: a day of one a second.
const LOOKED_BACK: i64 = 100_000;

/// Which readings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    /// `air.temperature`, or `air` for all channels of that sensor; none at all means every channel.
    pub channels: Vec<String>,
    /// From this moment on,
    pub from: Option<Timestamp>,
    /// and before this one.
    pub to: Option<Timestamp>,
}

/// How finely, the finest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    /// Every reading.
    Raw,
    /// Good and uncertain readings by the minute. The last ten minutes may not be there yet.
    Minutes,
    /// The same by the hour.
    Hours,
}

/// One reading, or one minute or hour of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// When, or when the minute or hour began.
    pub time: Timestamp,
    /// `air.temperature`
    pub channel: Arc<str>,
    /// `°C`
    pub unit: Arc<str>,
    /// How much, or the mean; `None` when it is bad.
    pub value: Option<f64>,
    /// The least of them.
    pub min: Option<f64>,
    /// The most.
    pub max: Option<f64>,
    /// Of how many readings: 1 of a reading itself.
    pub count: u64,
    /// `good`, `uncertain` or `bad`; what was rolled up counts as `good`.
    pub quality: &'static str,
    /// Why not good.
    pub reason: Option<Arc<str>>,
    /// The number, of a reading.
    pub seq: Option<u64>,
}

/// A channel that was ever read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// `air.temperature`
    pub name: String,
    /// `°C`
    pub unit: String,
}

/// Whether the file is a database of ours, of a schema that is known here.
///
/// # Errors
/// It is not, or it cannot be read.
pub fn check(file: &Path) -> Result<(), StoreError> {
    schema::check(&read::open(file).map_err(|source| read::failed(file, source))?, file)
}

/// Every channel, by name. One that has changed its unit is there twice.
///
/// # Errors
/// The file cannot be read.
pub fn channels(file: &Path) -> Result<Vec<Channel>, StoreError> {
    read::ask(file, |db| {
        let mut select = db.prepare("SELECT name, unit FROM series ORDER BY name, id")?;
        select.query_map((), |row| Ok(Channel { name: row.get(0)?, unit: row.get(1)? }))?.collect()
    })
}

/// Calls `each` with every row of the range until it breaks off: readings in the order in which they came, which is that of time
/// unless the clock was set; minutes and hours by time and channel.
///
/// # Errors
/// The file cannot be read.
pub fn rows(
    file: &Path,
    range: &Range,
    resolution: Resolution,
    mut each: impl FnMut(Row) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    in_one_moment(file, range, |db, chosen| match resolution {
        Resolution::Raw => raw(db, range, chosen, i64::MIN, &mut each),
        Resolution::Minutes => rolled_up(db, "rollup_minutes", range, chosen, &mut each),
        Resolution::Hours => rolled_up(db, "rollup_hours", range, chosen, &mut each),
    })
}

/// The same for a look at all of it: what is in no roll-up yet comes behind it, reading by reading, so nothing is missing and
/// nothing is there twice.
///
/// # Errors
/// The file cannot be read.
pub fn overview(
    file: &Path,
    range: &Range,
    resolution: Resolution,
    mut each: impl FnMut(Row),
) -> Result<(), StoreError> {
    let mut each = |row| {
        each(row);
        ControlFlow::Continue(())
    };
    in_one_moment(file, range, |db, chosen| {
        let table = match resolution {
            Resolution::Raw => return raw(db, range, chosen, i64::MIN, &mut each),
            Resolution::Minutes => "rollup_minutes",
            Resolution::Hours => "rollup_hours",
        };
        rolled_up(db, table, range, chosen, &mut each)?;
        let rolled_up = whole(meta::get(db, meta::ROLLED_UP)?);
        raw(db, range, chosen, rolled_up.saturating_add(1), &mut each)
    })
}

/// The newest reading of each of these channels (`Range::channels`), if it is not older than many others.
///
/// # Errors
/// The file cannot be read.
pub fn newest(file: &Path, channels: &[String]) -> Result<Vec<Row>, StoreError> {
    let range = Range { channels: channels.to_vec(), ..Range::default() };
    let mut found = Vec::new();
    in_one_moment(file, &range, |db, chosen| {
        let mut missing = chosen.series.clone();
        let mut select = db.prepare(&format!("SELECT {COLUMNS} ORDER BY seq DESC LIMIT {LOOKED_BACK}"))?;
        let mut rows = select.query(())?;
        while let Some(row) = rows.next()?.filter(|_| !missing.is_empty()) {
            if let Some((channel, unit)) = missing.remove(&row.get(1)?) {
                found.push(reading(row, &channel, &unit)?);
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// Readings of the range that a daemon which was killed has left in `tier`, the file of the fresh tier, and that are not in the
/// database `file` yet. Changes neither; works in `scratch`, a directory that it makes and takes away.
///
/// # Errors
/// What is left cannot be read, in words.
pub fn left(file: &Path, tier: &Path, scratch: &Path, range: &Range) -> Result<Vec<Row>, String> {
    let entries = match fresh::look(tier, scratch) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        looked => looked.map_err(|error| error.to_string())?,
    };
    let last = "SELECT coalesce(max(seq), 0) FROM readings";
    let last: i64 =
        read::ask(file, |db| db.query_row(last, (), |row| row.get(0))).map_err(|error| error.to_string())?;
    let (from, to) = limits(range);
    let readings = entries.into_iter().filter_map(|entry| match entry {
        Entry::Reading(reading) => Some(reading),
        Entry::Alarm(_) | Entry::Output(_) => None,
    });
    let is_wanted = |reading: &Numbered| {
        let in_time = (from..=to).contains(&reading.time.as_millis());
        in_time && whole(reading.seq) > last && range.names(reading.channel.as_str())
    };
    Ok(readings.filter(is_wanted).map(Row::from).collect())
}

/// One moment of the file, however long it takes to read, unless nothing of it is wanted.
fn in_one_moment(
    file: &Path,
    range: &Range,
    read: impl FnOnce(&Connection, &Chosen) -> rusqlite::Result<()>,
) -> Result<(), StoreError> {
    read::ask(file, |db| {
        let db = db.unchecked_transaction()?;
        let chosen = Chosen::read(&db, range)?;
        if chosen.series.is_empty() { Ok(()) } else { read(&db, &chosen) }
    })
}

impl Range {
    /// Whether a channel of that name is among them.
    pub fn names(&self, channel: &str) -> bool {
        let sensor = channel.split_once('.').map_or(channel, |(sensor, _)| sensor);
        self.channels.is_empty() || self.channels.iter().any(|wanted| wanted == channel || wanted == sensor)
    }
}

impl From<Numbered> for Row {
    fn from(reading: Numbered) -> Self {
        let value = reading.sample.value();
        Self {
            time: reading.time,
            channel: reading.channel.as_str().into(),
            unit: (&*reading.unit).into(),
            value,
            min: value,
            max: value,
            count: 1,
            quality: reading.sample.quality(),
            reason: reading.sample.reason().cloned(),
            seq: Some(reading.seq),
        }
    }
}

/// About how many rows that would be, without looking at them.
///
/// # Errors
/// The file cannot be read.
pub fn estimate(file: &Path, range: &Range, resolution: Resolution) -> Result<u64, StoreError> {
    let (from, to) = limits(range);
    read::ask(file, |db| {
        let all: i64 = db.query_row("SELECT count(*) FROM series", (), |row| row.get(0))?;
        let chosen = Chosen::read(db, range)?;
        let found: f64 = match resolution {
            Resolution::Raw => {
                let batches =
                    "SELECT total(count * (min(to_time, ?2) - max(from_time, ?1) + 1.0) / (to_time - from_time + 1.0))
                               FROM batches WHERE to_time >= ?1 AND from_time <= ?2";
                let batched: f64 = db.query_row(batches, (from, to), |row| row.get(0))?;
                // What is in no batch yet is at most one batch.
                let tail = format!("SELECT count(*) FROM readings WHERE seq > {LAST_BATCH} AND time BETWEEN ?1 AND ?2");
                let tail: i64 = db.query_row(&tail, (from, to), |row| row.get(0))?;
                (batched + tail as f64) * chosen.series.len() as f64 / all.max(1) as f64
            }
            Resolution::Minutes => steps(db, "rollup_minutes", 60_000.0, (from, to))? * chosen.series.len() as f64,
            Resolution::Hours => steps(db, "rollup_hours", 3_600_000.0, (from, to))? * chosen.series.len() as f64,
        };
        Ok(found.round().max(0.0) as u64)
    })
}

/// Above the last batch, readings are in none yet.
const LAST_BATCH: &str = "coalesce((SELECT last_seq FROM batches ORDER BY first_seq DESC LIMIT 1), -1)";

/// How many steps of a roll-up lie in a range.
fn steps(db: &Connection, table: &str, step: f64, (from, to): (i64, i64)) -> rusqlite::Result<f64> {
    let ends = format!("SELECT (SELECT min(time) FROM {table}), (SELECT max(time) FROM {table})");
    let (first, last): (Option<i64>, Option<i64>) = db.query_row(&ends, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(first), Some(last)) = (first, last) else { return Ok(0.0) };
    let length = last.min(to).saturating_sub(first.max(from)) as f64;
    Ok(if length < 0.0 { 0.0 } else { length / step + 1.0 })
}

/// The first and the last millisecond.
fn limits(range: &Range) -> (i64, i64) {
    let millis = |time: Timestamp| time.as_millis();
    (range.from.map_or(i64::MIN, millis), range.to.map_or(i64::MAX, |to| millis(to).saturating_sub(1)))
}

/// The series that are wanted.
struct Chosen {
    series: HashMap<i64, (Arc<str>, Arc<str>)>,
}

impl Chosen {
    fn read(db: &Connection, range: &Range) -> rusqlite::Result<Self> {
        let mut select = db.prepare("SELECT id, name, unit FROM series")?;
        let mut rows = select.query(())?;
        let mut series = HashMap::new();
        while let Some(row) = rows.next()? {
            let name: String = row.get(1)?;
            if range.names(&name) {
                series.insert(row.get(0)?, (name.into(), row.get::<_, String>(2)?.into()));
            }
        }
        Ok(Self { series })
    }

    /// For `series IN (…)`: their numbers, which are ours.
    fn list(&self) -> String {
        self.series.keys().map(i64::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// Of those with a number from `above` on.
fn raw(
    db: &Connection,
    range: &Range,
    chosen: &Chosen,
    above: i64,
    each: &mut impl FnMut(Row) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let (from, to) = limits(range);
    let mut batches = db.prepare(
        "SELECT first_seq, last_seq FROM batches WHERE to_time >= ?1 AND from_time <= ?2 ORDER BY first_seq",
    )?;
    let spans = batches.query_map((from, to), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let mut spans = spans.collect::<rusqlite::Result<Vec<_>>>()?;
    let last: i64 = db.query_row(&format!("SELECT {LAST_BATCH}"), (), |row| row.get(0))?;
    spans.push((last.saturating_add(1), i64::MAX));
    let mut select = db.prepare(&format!(
        "SELECT {COLUMNS} WHERE seq BETWEEN ?1 AND ?2 AND time BETWEEN ?3 AND ?4 AND series IN ({}) ORDER BY seq",
        chosen.list()
    ))?;
    for (first, last) in spans {
        let mut rows = select.query((first.max(above), last, from, to))?;
        while let Some(row) = rows.next()? {
            let Some((channel, unit)) = chosen.series.get(&row.get(1)?) else { continue };
            if each(reading(row, channel, unit)?).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What [`reading`] is made of.
const COLUMNS: &str =
    "seq, series, time, value, quality, text FROM readings LEFT JOIN reasons ON reasons.id = readings.reason";

fn reading(row: &rusqlite::Row<'_>, channel: &Arc<str>, unit: &Arc<str>) -> rusqlite::Result<Row> {
    let value: Option<f64> = row.get(3)?;
    Ok(Row {
        time: Timestamp::from_millis(row.get(2)?),
        channel: channel.clone(),
        unit: unit.clone(),
        value,
        min: value,
        max: value,
        count: 1,
        quality: match row.get(4)? {
            0 => "good",
            1 => "uncertain",
            _ => "bad",
        },
        reason: row.get::<_, Option<String>>(5)?.map(Arc::from),
        seq: u64::try_from(row.get::<_, i64>(0)?).ok(),
    })
}

fn rolled_up(
    db: &Connection,
    table: &str,
    range: &Range,
    chosen: &Chosen,
    each: &mut impl FnMut(Row) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let (from, to) = limits(range);
    let mut select = db.prepare(&format!(
        "SELECT time, series, min, max, sum / count, count FROM {table}
         WHERE time BETWEEN ?1 AND ?2 AND series IN ({}) ORDER BY time, series",
        chosen.list()
    ))?;
    let mut rows = select.query(params_from_iter([from, to]))?;
    while let Some(row) = rows.next()? {
        let Some((channel, unit)) = chosen.series.get(&row.get(1)?) else { continue };
        let row = Row {
            time: Timestamp::from_millis(row.get(0)?),
            channel: channel.clone(),
            unit: unit.clone(),
            value: row.get(4)?,
            min: row.get(2)?,
            max: row.get(3)?,
            count: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
            quality: "good",
            reason: None,
            seq: None,
        };
        if each(row).is_break() {
            return Ok(());
        }
    }
    Ok(())
}
