//! The fresh tier: what waits for the disk, also written at once to a small database in memory that outlives the process.
//!
//! It lies where systemd keeps what a service needs while the machine is up, a tmpfs, so writing to it wears out nothing. Nothing
//! is ever synchronised: a process that is killed leaves what it has written, in that order, and its log makes it whole. A power
//! cut takes all of it, as it takes memory. It is never a reason not to start: what cannot be read is put aside.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row};

use super::aside::with;
use super::entry::{Entry, Numbered, OutputChange, quality, sample};
use super::meta;
use super::pending::MOST;
use super::writer::whole;
use crate::message::Alarm;
use crate::model::{ChannelId, Monotonic, Timestamp};

/// "homf"
const APPLICATION: i64 = 0x686f_6d66;
const VERSION: i64 = 1;

/// Everything of an entry in one table: nobody but us reads it, and not often.
const SCHEMA: &str = "
    CREATE TABLE entries (
        id    INTEGER PRIMARY KEY,
        kind  INTEGER NOT NULL,
        time  INTEGER NOT NULL,
        name  TEXT NOT NULL,
        seq   INTEGER,
        value REAL,
        flags INTEGER NOT NULL,
        extra TEXT,
        text  TEXT
    );
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
";

const READING: u8 = 0;
const ALARM: u8 = 1;
const OUTPUT: u8 = 2;

/// How long until it is tried again after a failure.
const PAUSE: Duration = Duration::from_secs(60);

/// The file, and what of it is known.
pub(super) struct Fresh {
    file: PathBuf,
    /// `None` after a failure.
    db: Option<Connection>,
    /// The history's cursor as it stands there.
    cursor: u64,
    /// Nothing before this is there any more.
    forgotten: u64,
    /// Not to be tried again before.
    until: Monotonic,
}

/// What an earlier process has left.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) entries: Vec<Entry>,
    /// The last one's number here, plus one.
    pub(super) end: u64,
    pub(super) cursor: u64,
}

impl Fresh {
    /// Takes over what is left there, or begins it. Also says what is wrong. Blocks.
    pub(super) fn open(file: &Path) -> (Self, Left, Option<String>) {
        let mut fresh = Self { file: file.to_owned(), db: None, cursor: 0, forgotten: 0, until: Monotonic::default() };
        let found = connect(file).and_then(|db| Ok((left(&db)?, db)));
        match found {
            Ok((left, db)) => {
                (fresh.db, fresh.cursor) = (Some(db), left.cursor);
                (fresh, left, None)
            }
            Err(error) => {
                tracing::warn!("{} cannot be read ({error}) and is put aside; a new one is begun", file.display());
                let trouble = fresh.put_aside().and_then(|()| fresh.begin_anew()).err();
                (fresh, Left::default(), trouble)
            }
        }
    }

    /// Whether everything that was written to it is there.
    pub(super) fn works(&self) -> bool {
        self.db.is_some()
    }

    /// Whether it is worth a try.
    pub(super) fn may_try(&self, now: Monotonic) -> bool {
        self.works() || now >= self.until
    }

    /// Writes these, the first of which has the number `from`, in one transaction. An error is a text for people; everything that
    /// was there must be written again after one.
    pub(super) fn write(&mut self, from: u64, entries: &[Entry], cursor: u64, now: Monotonic) -> Result<(), String> {
        if self.db.is_none() {
            self.until = now + PAUSE;
            // All of it waits in memory as well, and what fails for want of room needs this room.
            self.remove();
            self.begin_anew()?;
        }
        let known = self.cursor;
        let written = self.db.as_mut().map(|db| write(db, from, entries, (cursor != known).then_some(cursor)));
        match written {
            Some(Err(error)) => {
                (self.db, self.until) = (None, now + PAUSE);
                Err(format!("cannot write to {}: {error}", self.file.display()))
            }
            _ => {
                self.cursor = cursor;
                Ok(())
            }
        }
    }

    /// Everything before `end` is on disk. If that cannot be noted, it is found there twice and stored once.
    pub(super) fn forget(&mut self, end: u64) {
        if end <= self.forgotten {
            return;
        }
        self.forgotten = end;
        let done = self.db.as_ref().map(|db| {
            db.prepare_cached("DELETE FROM entries WHERE id < ?1").and_then(|mut delete| delete.execute([whole(end)]))
        });
        if let Some(Err(_)) = done {
            self.db = None;
        }
    }

    /// After everything was stored: nothing is left to take over.
    pub(super) fn remove(&mut self) {
        self.db = None;
        for file in company(&self.file) {
            let _ = fs::remove_file(file);
        }
    }

    fn put_aside(&self) -> Result<(), String> {
        for file in company(&self.file) {
            match fs::rename(&file, with(&file, ".damaged")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.failed(&error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn begin_anew(&mut self) -> Result<(), String> {
        self.db = Some(connect(&self.file).map_err(|error| self.failed(&error))?);
        (self.cursor, self.forgotten) = (0, 0);
        Ok(())
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> String {
        format!("cannot begin {}: {error}; check that homeostat's user may write there", self.file.display())
    }
}

/// What is left there, without a change to it. It is only to be had whole together with its log, and by whoever may write both, so a
/// copy of the two is opened, in the directory `scratch`, which must not be there yet. Blocks.
pub(super) fn look(file: &Path, scratch: &Path) -> io::Result<Vec<Entry>> {
    let copy = scratch.join(super::FRESH);
    // What is in the house is for nobody else to read.
    fs::DirBuilder::new().mode(0o700).create(scratch)?;
    let copied = company(file).iter().zip(company(&copy)).try_for_each(|(from, to)| match fs::copy(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    });
    let found = copied.and_then(|()| connect(&copy).and_then(|db| left(&db)).map_err(io::Error::other));
    let _ = fs::remove_dir_all(scratch);
    found.map(|left| left.entries)
}

fn company(file: &Path) -> [PathBuf; 2] {
    [with(file, "-wal"), file.to_owned()]
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    // Nobody else has business here, and so no memory need be shared.
    db.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    let is_new = tables == 0;
    if !is_new && (number("application_id")?, number("user_version")?) != (APPLICATION, VERSION) {
        return Err(rusqlite::Error::InvalidQuery);
    }
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "OFF")?;
    db.pragma_update_and_check(None, "wal_autocheckpoint", 256, |_| Ok(()))?;
    db.pragma_update(None, "cache_size", -256)?;
    if is_new {
        let begin = db.unchecked_transaction()?;
        begin.execute_batch(SCHEMA)?;
        begin.pragma_update(None, "application_id", APPLICATION)?;
        begin.pragma_update(None, "user_version", VERSION)?;
        begin.commit()?;
    }
    Ok(db)
}

fn write(db: &mut Connection, from: u64, entries: &[Entry], cursor: Option<u64>) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    {
        let mut insert =
            transaction.prepare_cached("INSERT OR REPLACE INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
        for (id, entry) in (whole(from)..).zip(entries) {
            match entry {
                Entry::Reading(reading) => insert.execute((
                    id,
                    READING,
                    reading.time.as_millis(),
                    reading.channel.as_str(),
                    whole(reading.seq),
                    reading.sample.value(),
                    quality(&reading.sample),
                    &*reading.unit,
                    reading.sample.reason().map(|reason| &**reason),
                )),
                Entry::Alarm(alarm) => insert.execute((
                    id,
                    ALARM,
                    alarm.since.as_millis(),
                    &*alarm.name,
                    None::<i64>,
                    None::<f64>,
                    u8::from(alarm.latched) | u8::from(alarm.acknowledged) << 1,
                    None::<&str>,
                    alarm.text.as_deref(),
                )),
                Entry::Output(change) => insert.execute((
                    id,
                    OUTPUT,
                    change.time.as_millis(),
                    &*change.output,
                    None::<i64>,
                    Some(change.level),
                    u8::from(change.on),
                    change.by.as_deref(),
                    Some(&*change.why),
                )),
            }?;
        }
    }
    if let Some(cursor) = cursor {
        meta::set(&transaction, meta::HISTORY, cursor)?;
    }
    transaction.commit()
}

fn left(db: &Connection) -> rusqlite::Result<Left> {
    let mut select = db.prepare("SELECT * FROM entries ORDER BY id DESC LIMIT ?1")?;
    let mut rows = select.query([whole(MOST as u64)])?;
    let mut left = Left { cursor: meta::get(db, meta::HISTORY)?, ..Left::default() };
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        left.end = left.end.max(u64::try_from(id).unwrap_or(0).saturating_add(1));
        left.entries.extend(entry(row)?);
    }
    left.entries.reverse();
    Ok(left)
}

/// `None` for what no version of ours has written.
fn entry(row: &Row<'_>) -> rusqlite::Result<Option<Entry>> {
    let (kind, time, name): (u8, i64, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let (time, flags) = (Timestamp::from_millis(time), row.get::<_, i64>(6)?);
    let extra: Option<String> = row.get(7)?;
    let text: Option<Arc<str>> = row.get::<_, Option<String>>(8)?.map(Arc::from);
    match kind {
        READING => ChannelId::parse(&name).ok().map(|channel| {
            let seq = u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0);
            let (unit, sample) = (extra.unwrap_or_default().into(), sample(row.get(5)?, flags, text));
            Ok::<_, rusqlite::Error>(Entry::Reading(Numbered { seq, channel, unit, time, sample }))
        }),
        ALARM => Some(Ok(Entry::Alarm(Alarm {
            name: name.into(),
            text,
            since: time,
            latched: flags & 1 != 0,
            acknowledged: flags & 2 != 0,
        }))),
        OUTPUT => Some(Ok(Entry::Output(OutputChange {
            time,
            output: name.into(),
            level: row.get(5)?,
            on: flags & 1 != 0,
            by: extra.map(Arc::from),
            why: text.unwrap_or_else(|| "unknown".into()),
        }))),
        _ => None,
    }
    .transpose()
}
