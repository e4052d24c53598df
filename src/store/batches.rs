//! In which times the readings lie. They are kept in the order in which they came, so a range of time is found by looking at
//! one row for every few thousand of them; a clock that jumps only makes ranges overlap.

use rusqlite::Connection;

use super::entry::Numbered;

/// A batch is closed at this many readings: the most that are looked at in vain, and the most that are deleted at once.
const MOST: i64 = 5_000;

/// Or before it would span more than this, in milliseconds, so that a node with few sensors forgets by the hour too.
const LONGEST: i64 = 3_600_000;

/// The readings above the last batch, which are in none yet.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tail(Option<Span>);

#[derive(Debug, Clone, PartialEq)]
struct Span {
    first: i64,
    last: i64,
    from: i64,
    to: i64,
    count: i64,
}

impl Tail {
    /// From what lies in the file.
    pub(super) fn read(db: &Connection) -> rusqlite::Result<Self> {
        let above = "SELECT min(seq), max(seq), min(time), max(time), count(*) FROM readings
                     WHERE seq > coalesce((SELECT last_seq FROM batches ORDER BY first_seq DESC LIMIT 1), -1)";
        db.query_row(above, (), |row| {
            let count = row.get(4)?;
            if count == 0 {
                return Ok(Self(None));
            }
            let (first, last, from, to) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(Self(Some(Span { first, last, from, to, count })))
        })
    }

    /// A reading was added. Within its transaction.
    ///
    /// One that is too far away from the others in time, because the clock was set, begins a batch of its own.
    pub(super) fn add(&mut self, db: &Connection, reading: &Numbered) -> rusqlite::Result<()> {
        let (seq, time) = (super::writer::whole(reading.seq), reading.time.as_millis());
        if self.0.as_ref().is_some_and(|span| span.to.max(time).saturating_sub(span.from.min(time)) > LONGEST) {
            self.close(db)?;
        }
        let span = self.0.get_or_insert(Span { first: seq, last: seq, from: time, to: time, count: 0 });
        (span.first, span.last) = (span.first.min(seq), span.last.max(seq));
        (span.from, span.to, span.count) = (span.from.min(time), span.to.max(time), span.count + 1);
        if span.count >= MOST { self.close(db) } else { Ok(()) }
    }

    fn close(&mut self, db: &Connection) -> rusqlite::Result<()> {
        if let Some(Span { first, last, from, to, count }) = self.0.take() {
            db.prepare_cached("INSERT OR REPLACE INTO batches VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute((first, last, from, to, count))?;
        }
        Ok(())
    }
}
