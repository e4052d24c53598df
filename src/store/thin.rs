//! Rolling readings up, and letting old ones go: one bounded step at a time, so that a flush never waits for more than one.

use std::time::Duration;

use rusqlite::Connection;

use super::config::Keep;
use super::disk::Operation;
use super::meta;
use super::writer::{REASON_HOLDS, Writer, whole};
use crate::model::Timestamp;

/// So many readings are rolled up in a step.
pub(super) const ROLLED_UP: i64 = 5_000;

/// So many rows of a roll-up go in a step; readings go by the batch, which has about twice as many.
pub(super) const THINNED: i64 = 2_000;

/// So many pages are given back in a step.
const PAGES: i64 = 128;

/// Free pages in the file that take several flushes.
const ENOUGH_HOLES: u64 = 2 * PAGES as u64;

/// So many changes of outputs and of alarms are kept, each: some 10 MB, or years of a busy greenhouse.
const CHANGES: i64 = 100_000;

/// Whoever must thin to keep to the size thins a little more, so that it is not every minute.
const ENOUGH: f64 = 0.95;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 3_600_000;

/// What may stay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// The moment that ages count from; `None` if the clock cannot be believed, and then nothing goes by its age.
    pub(super) now: Option<Timestamp>,
    pub(super) keep: Keep,
    /// Of the file with its log, in bytes.
    pub(super) max_size: u64,
    /// Up to where the history's reader has it, if it has one. What it has not goes for want of room only.
    pub(super) read_to: Option<u64>,
    /// The disk is full: the oldest must go, whatever its age.
    pub(super) make_room: bool,
}

/// What a step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Rows deleted or pages given back; 0 when there is nothing to do.
    pub(super) done: u64,
    /// Of the rows: readings that the history's reader has not had.
    pub(super) unread: u64,
}

impl Writer {
    /// Brings at most [`ROLLED_UP`] readings into the roll-ups, and says whether there may be more.
    pub(super) fn roll_up(&mut self) -> rusqlite::Result<bool> {
        self.disk.check(Operation::Thin)?;
        let transaction = self.db.transaction()?;
        let cursor = whole(meta::get(&transaction, meta::ROLLED_UP)?);
        let next = "SELECT count(*), max(seq) FROM (SELECT seq FROM readings WHERE seq > ?1 ORDER BY seq LIMIT ?2)";
        let (count, end): (i64, Option<i64>) =
            transaction.prepare_cached(next)?.query_row((cursor, ROLLED_UP), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some(end) = end else { return Ok(false) };
        for (table, step) in [("rollup_minutes", MINUTE), ("rollup_hours", HOUR)] {
            // A late reading finds the row of its minute and is merged into it, in whatever order they come.
            transaction
                .prepare_cached(&format!(
                    "INSERT INTO {table} (time, series, min, max, sum, count)
                     SELECT time - ((time % {step}) + {step}) % {step}, series, min(value), max(value), sum(value), count(*)
                     FROM readings WHERE seq > ?1 AND seq <= ?2 AND value IS NOT NULL GROUP BY 1, 2
                     ON CONFLICT (time, series) DO UPDATE SET min = min(min, excluded.min), max = max(max, excluded.max),
                        sum = sum + excluded.sum, count = count + excluded.count"
                ))?
                .execute((cursor, end))?;
        }
        meta::set(&transaction, meta::ROLLED_UP, u64::try_from(end).unwrap_or(0))?;
        transaction.commit()?;
        Ok(count == ROLLED_UP)
    }

    /// Lets some of what need not stay go. Raw readings go only after they were rolled up.
    pub(super) fn thin(&mut self, terms: &Terms) -> rusqlite::Result<Step> {
        self.disk.check(Operation::Thin)?;
        let before = |age: Option<Duration>| Some((terms.now? - age?).as_millis());
        let rolled_up = meta::get(&self.db, meta::ROLLED_UP)?;
        if let Some(cutoff) = before(terms.keep.raw) {
            let to = terms.read_to.map_or(rolled_up, |read_to| read_to.min(rolled_up));
            let step = self.oldest_readings(cutoff, to, terms.read_to)?;
            if step.done > 0 {
                return Ok(step);
            }
        }
        for (table, step, age) in
            [("rollup_minutes", MINUTE, terms.keep.minutes), ("rollup_hours", HOUR, terms.keep.hours)]
        {
            let Some(cutoff) = before(age) else { continue };
            let done = oldest_of(&self.db, table, cutoff.saturating_sub(step))?;
            if done > 0 {
                return Ok(Step { done, unread: 0 });
            }
        }
        let done = self.bounded_tables()?;
        if done > 0 {
            return Ok(Step { done, unread: 0 });
        }
        let size = Size::of(self)?;
        if terms.make_room || size.used as f64 > terms.max_size as f64 * ENOUGH && size.all > terms.max_size {
            // With holes in the file it is the log that has no room: then nothing more need go.
            let has_holes = terms.make_room && size.free > ENOUGH_HOLES;
            let step = if has_holes { Step::default() } else { self.oldest(rolled_up, terms.read_to)? };
            if terms.make_room {
                // What the log holds of the disk is room too.
                self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
            }
            if step.done > 0 || terms.make_room {
                return Ok(step);
            }
        }
        if size.all > terms.max_size && size.free > 0 {
            return Ok(Step { done: self.give_back()?, unread: 0 });
        }
        Ok(Step::default())
    }

    /// Readings first, then minutes, then hours.
    fn oldest(&mut self, rolled_up: u64, read_to: Option<u64>) -> rusqlite::Result<Step> {
        let step = self.oldest_readings(i64::MAX, rolled_up, read_to)?;
        if step.done > 0 {
            return Ok(step);
        }
        let minutes = oldest_of(&self.db, "rollup_minutes", i64::MAX)?;
        let done = if minutes > 0 { minutes } else { oldest_of(&self.db, "rollup_hours", i64::MAX)? };
        Ok(Step { done, unread: 0 })
    }

    /// The first batch of readings that are all older than `cutoff`, none of them with a number above `to`.
    fn oldest_readings(&mut self, cutoff: i64, to: u64, read_to: Option<u64>) -> rusqlite::Result<Step> {
        let transaction = self.db.transaction()?;
        let first: Option<(i64, i64)> = transaction
            .prepare_cached(
                "SELECT first_seq, last_seq FROM batches WHERE to_time < ?1 AND last_seq <= ?2 ORDER BY first_seq LIMIT 1",
            )?
            .query_map((cutoff, whole(to)), |row| Ok((row.get(0)?, row.get(1)?)))?
            .next()
            .transpose()?;
        let Some((first, last)) = first else { return Ok(Step::default()) };
        let unread = match read_to {
            Some(read_to) => transaction
                .prepare_cached("SELECT count(*) FROM readings WHERE seq BETWEEN max(?1, ?2 + 1) AND ?3")?
                .query_row((first, whole(read_to), last), |row| row.get::<_, i64>(0))?,
            None => 0,
        };
        let gone =
            transaction.prepare_cached("DELETE FROM readings WHERE seq BETWEEN ?1 AND ?2")?.execute((first, last))?;
        transaction.prepare_cached("DELETE FROM batches WHERE first_seq = ?1")?.execute([first])?;
        transaction.commit()?;
        // An empty batch is something done too.
        Ok(Step { done: gone.max(1) as u64, unread: u64::try_from(unread).unwrap_or(0) })
    }

    /// What grows by change and not by time.
    fn bounded_tables(&mut self) -> rusqlite::Result<u64> {
        for table in ["output_changes", "alarms"] {
            let delete = format!(
                "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE id <= (SELECT max(id) FROM {table}) - {CHANGES}
                 ORDER BY id LIMIT {THINNED})"
            );
            let done = self.db.prepare_cached(&delete)?.execute(())?;
            if done > 0 {
                return Ok(done as u64);
            }
        }
        let delete = format!(
            "DELETE FROM reasons WHERE id IN (SELECT id FROM reasons
                WHERE id < (SELECT min(seq) FROM readings) - {REASON_HOLDS} ORDER BY id LIMIT {THINNED})"
        );
        Ok(self.db.prepare_cached(&delete)?.execute(())? as u64)
    }

    /// Moves pages from the end of the file into holes, and cuts it.
    fn give_back(&mut self) -> rusqlite::Result<u64> {
        let before = Size::of(self)?.pages;
        let mut vacuum = self.db.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
        let mut rows = vacuum.query(())?;
        while rows.next()?.is_some() {}
        drop(rows);
        drop(vacuum);
        Ok(before.saturating_sub(Size::of(self)?.pages))
    }
}

/// Of a roll-up: the oldest rows whose step begins before `cutoff`.
fn oldest_of(db: &Connection, table: &str, cutoff: i64) -> rusqlite::Result<u64> {
    let delete = format!(
        "DELETE FROM {table} WHERE (time, series) IN
            (SELECT time, series FROM {table} WHERE time < ?1 ORDER BY time, series LIMIT {THINNED})"
    );
    Ok(db.prepare_cached(&delete)?.execute([cutoff])? as u64)
}

/// In bytes, but for `pages`.
pub(super) struct Size {
    /// The file and its log.
    pub(super) all: u64,
    /// The same without holes.
    used: u64,
    free: u64,
    pages: u64,
}

impl Size {
    pub(super) fn of(writer: &Writer) -> rusqlite::Result<Self> {
        let number = |name| -> rusqlite::Result<u64> {
            let number: i64 = writer.db.pragma_query_value(None, name, |row| row.get(0))?;
            Ok(u64::try_from(number).unwrap_or(0))
        };
        let (pages, page, free) = (number("page_count")?, number("page_size")?, number("freelist_count")?);
        let log = writer.log_size();
        let all = pages.saturating_mul(page).saturating_add(log);
        Ok(Self { all, used: all.saturating_sub(free.saturating_mul(page)), free, pages })
    }
}
