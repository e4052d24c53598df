//! The store as others hold it: the writer, and what to do when the disk fails or the file is damaged.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tracing::{error, info, warn};

use super::asked::Asked;
use super::disk::{Disk, Operation};
use super::entry::Entry;
use super::fresh::{Fresh, Left};
use super::health::Health;
use super::keeper::Keeper;
use super::pending::{MOST, Pending};
use super::writer::{BLOCK, Cursor, Flush, Writer};
use super::{StoreError, aside, numbers, schema};
use crate::alarms::Alarms;
use crate::clock::Clock;
use crate::model::Monotonic;
use crate::panics::locked;

/// The database and what waits for it. All clones are the same store; what waits survives a restart of its task.
#[derive(Clone)]
pub struct Store {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    file: PathBuf,
    pub(super) clock: Clock,
    disk: Arc<dyn Disk>,
    /// Never locked for longer than it takes to move readings in or out.
    pending: Mutex<Pending>,
    /// Locked while the fresh tier is written, after the slot if both are.
    fresh: Mutex<Option<Fresh>>,
    pub(super) has_fresh: bool,
    /// Locked while the disk works, so only ever where it may block.
    slot: Mutex<Slot>,
    /// Never locked while the disk works.
    health: Mutex<Health>,
    /// Never locked while the disk works.
    pub(super) keeper: Mutex<Keeper>,
    pub(super) lost: AtomicU64,
    /// Who waits for a flush.
    pub(super) asked: Asked,
    /// What the tap had no room for.
    pub(super) unheard: AtomicU64,
    /// Up to where the history's reader has everything.
    pub(super) acknowledged: AtomicU64,
    /// The number of the newest reading on disk; [`UNKNOWN`] until there is one.
    pub(super) on_disk: AtomicU64,
    /// The longest flush and the longest step in between, in microseconds.
    pub(super) longest: [AtomicU64; 2],
    /// Counts the files that were begun, so that a reader who finds one damaged does not blame the next.
    generation: AtomicU64,
    /// The generation that a reader found damaged, plus one.
    suspect: AtomicU64,
}

/// No disk was seen yet.
pub(super) const UNKNOWN: u64 = u64::MAX;

/// After a panic in the midst of a write, the next one opens the file afresh.
pub(super) struct Slot {
    /// `None` after a failure.
    pub(super) writer: Option<Writer>,
    /// The highest number that is known to have been given out.
    given: u64,
    /// Whether our numbers do not come from the database, because it was not there at the start.
    strange: bool,
    /// What had been reserved in it when it came. Not to be undone by us.
    others: u64,
    /// Entries before this one were taken over from another process, and may be on disk already.
    again: u64,
    /// What was last done with the history's cursor in this file, if anything, and when.
    pub(super) cursor: (Cursor, Option<Monotonic>),
}

impl Store {
    /// Opens the database or begins one, and stores what an earlier process has left in `fresh`, the file of the fresh tier. Also
    /// gives the highest number that a reading may already have. A damaged file is put aside; without a disk readings wait for
    /// one. Blocks; meant for the start, before any actor runs.
    ///
    /// # Errors
    /// Only if the place is not ours to write to ([`StoreError::is_refusal`]).
    pub fn open(
        file: &Path,
        fresh: Option<&Path>,
        clock: Clock,
        disk: Arc<dyn Disk>,
    ) -> Result<(Self, u64), StoreError> {
        let (fresh, left, trouble) = match fresh.map(Fresh::open) {
            Some((fresh, left, trouble)) => (Some(fresh), left, trouble),
            None => (None, Left::default(), None),
        };
        let newest = left.entries.iter().filter_map(Entry::seq).max().unwrap_or(0);
        let again = left.end;
        let slot =
            Slot { writer: None, given: newest, strange: false, others: 0, again, cursor: (Cursor::Stays, None) };
        let shared = Shared {
            file: file.to_owned(),
            clock,
            disk,
            has_fresh: fresh.is_some(),
            fresh: Mutex::new(fresh),
            acknowledged: AtomicU64::new(left.cursor),
            pending: Mutex::new(Pending::left(left.entries, left.end)),
            slot: Mutex::new(slot),
            health: Mutex::default(),
            keeper: Mutex::default(),
            lost: AtomicU64::new(0),
            asked: Asked::default(),
            unheard: AtomicU64::new(0),
            on_disk: AtomicU64::new(UNKNOWN),
            longest: Default::default(),
            generation: AtomicU64::new(0),
            suspect: AtomicU64::new(0),
        };
        let store = Self { shared: Arc::new(shared) };
        store.pending().guard(store.has_fresh_tier() && trouble.is_none());
        store.health().fresh(trouble);
        let from_time = numbers::from_time(clock.wall(), file);
        // It may be damaged, or about to be replaced: two blocks cover a reservation that is lost with the log.
        let salvage = || schema::salvage_reserved(file).map_or(from_time, |reserved| reserved + 2 * BLOCK);
        let mut slot = store.slot();
        let begun = match store.begin(&mut slot, None) {
            Err(error) if error.is_damage() => {
                let above = salvage();
                store.put_aside(&mut slot, &error).and_then(|()| store.begin(&mut slot, Some(above)))
            }
            other => other,
        };
        match begun {
            Ok(()) => {
                if store.waiting() > 0 {
                    info!("{} entries of an earlier process are taken over into {}", store.waiting(), file.display());
                    if let Err(error) = store.write_pending(&mut slot) {
                        store.failed(&error);
                    }
                }
            }
            Err(error) if error.is_refusal() => return Err(error),
            Err(error) => {
                // Nothing can be reserved, so numbers come from where they need not be.
                slot.given = schema::salvage_reserved(file).map_or(from_time, |reserved| reserved.max(from_time));
                slot.given = slot.given.max(newest);
                slot.strange = true;
                store.failed(&error);
            }
        }
        let given = slot.given;
        drop(slot);
        // The cursor may be of a file that somebody has taken away: nothing is acknowledged before it is given out.
        store.shared.acknowledged.fetch_min(given, Ordering::AcqRel);
        Ok((store, given))
    }

    /// Opens the file for the first time. Numbers go on above `above`, or above what is reserved in it.
    fn begin(&self, slot: &mut Slot, above: Option<u64>) -> Result<(), StoreError> {
        // It may be new only because a power cut has emptied it, or came when the one before it had just been put aside.
        let was_there = self.file().exists() || aside::any(self.file());
        let mut writer = self.open_writer()?;
        let above = match (above, writer.reserved()) {
            (Some(above), _) => above,
            (None, 0) if was_there => numbers::from_time(self.shared.clock.wall(), self.file()),
            (None, reserved) => reserved,
        };
        // What was taken over has its numbers.
        let above = above.max(slot.given);
        writer.reserve_above(above).map_err(|source| self.sqlite("write to", source))?;
        slot.given = above;
        slot.writer = Some(writer);
        super::reserve::take(self.file());
        Ok(())
    }

    /// Ends in good order: writes what still waits, and lets the next start go on right after `last_seq`, the bus's last
    /// number. Nothing may be published any more. Blocks. Without it nothing is lost, but the numbers jump.
    pub fn close(&self, last_seq: u64) -> Result<(), StoreError> {
        let mut slot = self.slot();
        slot.cursor.1 = None;
        self.write_pending(&mut slot)?;
        let last = last_seq.max(slot.others);
        if let Some(mut writer) = slot.writer.take() {
            writer.set_reserved(last).map_err(|source| self.sqlite("write to", source))?;
        }
        if let Some(fresh) = self.fresh_tier().as_mut().filter(|_| self.waiting() == 0) {
            fresh.remove();
        }
        Ok(())
    }

    /// The database's file.
    pub fn file(&self) -> &Path {
        &self.shared.file
    }

    /// How many readings and alarms could not be kept, because the disk failed for too long or nobody took them off the bus.
    /// The latter also counts what would not have been kept, so it is at most so many.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed) + self.shared.unheard.load(Ordering::Relaxed)
    }

    /// How many readings and alarms wait for the disk.
    pub fn waiting(&self) -> usize {
        self.pending().len()
    }

    /// Whether there is something to do on the disk, and it is worth a try.
    pub(super) fn is_due(&self) -> bool {
        let waits = self.waiting() > 0 || self.has_news_of_the_cursor();
        let health = self.health();
        let wanted = health.is_failing() || self.is_suspect() || waits;
        wanted && health.may_try(self.shared.clock.now())
    }

    pub(super) fn now(&self) -> Monotonic {
        self.shared.clock.now()
    }

    pub(super) fn after_now(&self, later: Duration) -> tokio::time::Instant {
        self.shared.clock.instant(self.now() + later)
    }

    /// Ends when the disk takes a transaction.
    pub(super) fn ready(&self) -> BoxFuture<'static, ()> {
        self.shared.disk.ready()
    }

    /// Has the alarms say how it stands. `hangs`: for how long a write has been under way, if that is too long.
    pub(super) fn tell(&self, alarms: &Alarms, hangs: Option<Duration>) {
        self.health().tell(alarms, hangs);
    }

    /// Writes everything that waits, in one transaction. A failure is logged once, and the readings wait on. Blocks.
    pub(super) fn commit(&self) {
        let began = self.now();
        let written = self.write_pending(&mut self.slot());
        self.took(0, began);
        match written {
            Err(error) => {
                locked(&self.shared.keeper).full(error.is_full());
                self.failed(&error);
            }
            Ok(()) => match self.health().well(self.lost()) {
                Some(0) => info!("{} can be written to again; no reading was lost", self.file().display()),
                Some(lost) => warn!("{} can be written to again; {lost} readings were lost", self.file().display()),
                None => {}
            },
        }
    }

    fn failed(&self, error: &StoreError) {
        let text = format!("{error}; readings wait in memory, at most {MOST} of them, and it is tried again");
        if self.health().failed(text.as_str().into(), self.shared.clock.now(), self.lost()) {
            error!("{text}");
        }
    }

    /// Remembers how long the longest took. Only then is the disk known to keep nobody waiting.
    pub(super) fn took(&self, which: usize, began: Monotonic) {
        let micros = u64::try_from(self.now().since(began).as_micros()).unwrap_or(u64::MAX);
        self.shared.longest[which].fetch_max(micros, Ordering::Relaxed);
    }

    fn write_pending(&self, slot: &mut Slot) -> Result<(), StoreError> {
        let found = if self.is_suspect() {
            Err(StoreError::Damaged { file: self.file().to_owned(), what: "it cannot be read".into() })
        } else {
            self.try_write(slot)
        };
        match found {
            Err(error) if error.is_damage() => {
                self.put_aside(slot, &error)?;
                self.try_write(slot)
            }
            other => other,
        }
    }

    fn try_write(&self, slot: &mut Slot) -> Result<(), StoreError> {
        let (batch, end) = self.pending().batch();
        let newest = batch.iter().filter_map(Entry::seq).max();
        slot.given = slot.given.max(newest.unwrap_or(0));
        let mut writer = self.writer(slot)?;
        let again = usize::try_from(slot.again.saturating_sub(end - batch.len() as u64)).unwrap_or(usize::MAX);
        let cursor = self.cursor_to_write(slot);
        let flush = Flush { entries: &batch, again, given: slot.given, cursor };
        writer.write(&flush).map_err(|source| self.sqlite("write to", source))?;
        slot.writer = Some(writer);
        if cursor != Cursor::Stays {
            slot.cursor = (cursor, Some(self.now()));
        }
        if let Some(newest) = newest {
            self.shared.on_disk.fetch_max(newest, Ordering::AcqRel);
        }
        self.pending().written(end);
        if let Some(fresh) = self.fresh_tier().as_mut().filter(|_| !batch.is_empty()) {
            fresh.forget(end);
        }
        Ok(())
    }

    /// Takes the writer out of its slot, where it comes back to after all went well.
    pub(super) fn writer(&self, slot: &mut Slot) -> Result<Writer, StoreError> {
        if let Some(writer) = slot.writer.take() {
            return Ok(writer);
        }
        let writer = self.open_writer()?;
        if std::mem::take(&mut slot.strange) {
            slot.others = writer.reserved();
        }
        Ok(writer)
    }

    /// Renames the damaged file, so that a new one is begun.
    fn put_aside(&self, slot: &mut Slot, error: &StoreError) -> Result<(), StoreError> {
        // Closed before it is renamed.
        slot.writer = None;
        let renamed = match self.shared.disk.check(Operation::PutAside) {
            Ok(()) => aside::put(self.file(), self.shared.clock.wall()),
            Err(fault) => Err(fault.into()),
        };
        let aside = renamed.map_err(|source| StoreError::PutAside { file: self.file().to_owned(), source })?;
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
        self.shared.on_disk.store(UNKNOWN, Ordering::Release);
        slot.cursor = (Cursor::Stays, None);
        let aside = aside.display();
        let text = format!(
            "{error}. It has been put aside as {aside}, and a new one begun; control was not affected. \
             To salvage what it holds: sqlite3 '{aside}' .recover | sqlite3 salvaged.db"
        );
        error!("{text}");
        self.health().put_aside(text);
        Ok(())
    }

    fn is_suspect(&self) -> bool {
        self.shared.suspect.load(Ordering::Acquire) == self.shared.generation.load(Ordering::Acquire) + 1
    }

    fn open_writer(&self) -> Result<Writer, StoreError> {
        let writer = Writer::open(self.file(), self.shared.disk.clone())?;
        let read = |source| self.sqlite("read", source);
        let (last, acknowledged) = (writer.last_seq().map_err(read)?, writer.acknowledged().map_err(read)?);
        // Before that nothing is known of the disk, so this is not only more.
        let first = self.shared.on_disk.compare_exchange(UNKNOWN, last, Ordering::AcqRel, Ordering::Acquire).is_ok();
        // What was stored while nobody read the history is not for whoever comes later.
        let read_to = acknowledged.unwrap_or(if first { last } else { 0 });
        self.shared.acknowledged.fetch_max(read_to, Ordering::AcqRel);
        Ok(writer)
    }

    /// The file has turned out to be damaged; it is put aside at the next flush.
    pub(super) fn suspect(&self, generation: u64) {
        self.shared.suspect.store(generation + 1, Ordering::Release);
    }

    pub(super) fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    pub(super) fn sqlite(&self, what: &'static str, source: rusqlite::Error) -> StoreError {
        StoreError::Sqlite { what, file: self.shared.file.clone(), source }
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        locked(&self.shared.pending)
    }

    pub(super) fn fresh_tier(&self) -> MutexGuard<'_, Option<Fresh>> {
        locked(&self.shared.fresh)
    }

    pub(super) fn health(&self) -> MutexGuard<'_, Health> {
        locked(&self.shared.health)
    }

    pub(super) fn slot(&self) -> MutexGuard<'_, Slot> {
        locked(&self.shared.slot)
    }
}
