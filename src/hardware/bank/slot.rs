//! One output's hardware, as its actor commands it, and the job that writes to it in its lane.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::pin::Pin;
use super::table::{Key, Table, Turn};
use super::taken::{Taken, Written};
use super::{Confirmation, OpenLine, Way, WriteError};
use crate::hardware::HardwareError;
use crate::hardware::lane::LaneError;
use crate::model::{Interlock, Level, Monotonic, OutputId};
use crate::panics::locked;

/// A write to a pin that takes longer than this hangs.
pub const DEADLINE: Duration = Duration::from_millis(500);

/// One output's hardware.
pub struct Slot {
    pub(super) key: Key,
    pub(super) id: OutputId,
    pub(super) who: Arc<str>,
    pub(super) way: Way,
    pub(super) safe: Level,
    pub(super) line: Mutex<Option<Taken>>,
    pub(super) open: OpenLine,
    /// Not an owner: the table owns the slots.
    pub(super) table: Weak<Mutex<Table>>,
    pub(super) moved: Notify,
}

impl Slot {
    /// What is on the pin, as far as that is confirmed.
    pub fn level(&self) -> Option<Level> {
        self.look(|table| table.entries.get(&self.key)?.pin.level())
    }

    /// What it is to be at, whoever wanted that last.
    pub fn wanted(&self) -> Level {
        self.look(|table| Some(table.entries.get(&self.key)?.wanted)).unwrap_or(self.safe)
    }

    /// How sure that is; `None` while it is not confirmed at all.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.look(|table| match table.entries.get(&self.key)?.pin {
            Pin::At(_, confirmation) => Some(confirmation),
            Pin::Unknown | Pin::Leaving(_) => None,
        })
    }

    /// Which other output stands in the way of this one being on now, but for a safe level that is on.
    pub fn blocked(&self) -> Option<(OutputId, Interlock)> {
        self.look(|table| table.blocked(self.key, false))
    }

    /// What a person has to be told of this output's pin, or of one that an earlier output of its name has left behind.
    pub fn trouble(&self) -> Option<String> {
        self.look(|table| table.trouble(&self.id))
    }

    /// Waits until somebody else than the one who writes here has moved it: another output's interlock, or nobody's hold.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Takes the hardware at its safe level, unless it was taken before: then nothing moves.
    pub async fn open(&self) -> Result<(), WriteError> {
        let taken = self.look(|table| Some(table.entries.get(&self.key)?.taken));
        match (taken, self.table.upgrade()) {
            (Some(true), _) => Ok(()),
            (Some(false), Some(table)) => drive(&table, self.key, self.safe).await,
            _ => Err(WriteError::Removed),
        }
    }

    /// Puts `level` on the pin, to stay there no longer than `until` unless it is the safe one. A level that is there
    /// already is not written again.
    ///
    /// # Errors
    /// [`WriteError::Interlocked`] for a level that is on while another output stands in its way: then nothing has moved,
    /// or it has fallen to its safe level. [`WriteError::Sealed`] and [`WriteError::Removed`] for a level that will never be there:
    /// the safe one was written in its place.
    pub async fn write(&self, level: Level, until: Monotonic) -> Result<(), WriteError> {
        let table = self.table.upgrade().ok_or(WriteError::Removed)?;
        let (held, level, refused) = {
            let mut table = locked(&table);
            let sealed = table.sealed;
            let entry = table.entries.get_mut(&self.key).ok_or(WriteError::Removed)?;
            entry.until = until;
            let refused = match level == self.safe {
                false if entry.leaving => Some(WriteError::Removed),
                false if sealed => Some(WriteError::Sealed),
                _ => None,
            };
            let level = if refused.is_some() { self.safe } else { level };
            (entry.pin.is_at(level) && entry.wanted == level, level, refused)
        };
        if !held {
            drive(&table, self.key, level).await?;
        }
        refused.map_or(Ok(()), Err)
    }

    /// Lets the level that is on the pin stay there until `until`.
    pub fn hold(&self, until: Monotonic) {
        self.hold_as(|_| until);
    }

    /// The same, unless it was to end before that.
    pub fn hold_no_longer_than(&self, until: Monotonic) {
        self.hold_as(|held| held.min(until));
    }

    fn hold_as(&self, until: impl FnOnce(Monotonic) -> Monotonic) {
        if let Some(table) = self.table.upgrade()
            && let Some(entry) = locked(&table).entries.get_mut(&self.key)
        {
            entry.until = until(entry.until);
        }
    }

    fn look<T>(&self, at: impl FnOnce(&Table) -> Option<T>) -> Option<T> {
        let table = self.table.upgrade()?;
        let table = locked(&table);
        at(&table)
    }
}

/// Brings `key` to `level`, and before it those others whom its interlocks name. An output that does not obey does not keep
/// another one on: it had its deadline, and has an alarm of its own.
pub(super) async fn drive(table: &Arc<Mutex<Table>>, key: Key, level: Level) -> Result<(), WriteError> {
    let order = locked(table).want(key, level)?;
    let mut result = Ok(());
    for slot in order {
        result = settle(table, &slot).await;
        if slot.key != key {
            slot.moved.notify_one();
        }
    }
    result
}

/// Lets the lane write what is wanted of the slot.
pub(super) async fn settle(table: &Arc<Mutex<Table>>, slot: &Arc<Slot>) -> Result<(), WriteError> {
    let (wanted, first) = match locked(table).entries.get_mut(&slot.key) {
        Some(entry) => (entry.wanted, !std::mem::replace(&mut entry.waiting, true)),
        None => return Err(WriteError::Removed),
    };
    let (shared, it) = (table.clone(), slot.clone());
    let job = move || write_wanted(&shared, &it);
    // The first is also run when nobody waits for it any more: behind a hang, the last word must still reach the pin. Others
    // would only fill the lane.
    let carried = match first {
        true => slot.way.lane.run_surely(&slot.who, slot.way.deadline, job).await,
        false => slot.way.lane.run(&slot.who, slot.way.deadline, job).await,
    };
    let error = match carried {
        Ok(result) => return result,
        Err(error) => error,
    };
    let mut table = locked(table);
    if let Some(entry) = table.entries.get_mut(&slot.key)
        && first
        && matches!(error, LaneError::Full(_))
    {
        entry.waiting = false;
    }
    let error = WriteError::from(error);
    table.failed(slot.key, wanted, &error);
    Err(error)
}

/// Runs in the lane, where the jobs of a slot come one after another.
fn write_wanted(table: &Mutex<Table>, slot: &Slot) -> Result<(), WriteError> {
    let mut place = locked(&slot.line);
    let had_a_line = place.is_some();
    let mut tried = attempt(table, slot, &mut place)?;
    if had_a_line && place.is_none() {
        // It has failed again and was dropped. It is taken anew at once, at what is due by now.
        tried = attempt(table, slot, &mut place)?;
    }
    let Some(Tried { turn: Turn { level, refused }, written }) = tried else { return Ok(()) };
    let mut table = locked(table);
    match written {
        Ok(written) => {
            table.written(slot.key, level, written, refused.is_some());
            table.repeats(slot.key, written.repeat);
            refused.map_or(Ok(()), Err)
        }
        Err(error) => {
            let error = WriteError::from(error);
            table.failed(slot.key, level, &error);
            Err(error)
        }
    }
}

/// What was due, and what came of it.
struct Tried {
    turn: Turn,
    written: Result<Written, HardwareError>,
}

/// Writes what is due now, if anything is. Where there is no line, the hardware is taken at that level first.
fn attempt(table: &Mutex<Table>, slot: &Slot, place: &mut Option<Taken>) -> Result<Option<Tried>, WriteError> {
    let Some(turn) = locked(table).turn(slot.key)? else { return Ok(None) };
    let doubt = Doubt { table, key: slot.key };
    // While it is driven the line is not in its place: after a panic it is gone, and the next write takes the hardware anew.
    let taken = place.take().map_or_else(|| (slot.open)(turn.level).map(Taken::new), Ok);
    let written = taken.and_then(|taken| {
        if let Some(entry) = locked(table).entries.get_mut(&slot.key) {
            entry.taken = true;
        }
        let (kept, written) = taken.write(turn.level);
        *place = kept;
        written
    });
    std::mem::forget(doubt);
    if written.is_err() {
        locked(table).unsure(slot.key);
    }
    Ok(Some(Tried { turn, written }))
}

/// Whatever panics in the lane leaves a pin of which nothing is known.
pub(super) struct Doubt<'t> {
    pub table: &'t Mutex<Table>,
    pub key: Key,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(entry) = locked(self.table).entries.get_mut(&self.key) {
            entry.pin = Pin::Unknown;
        }
    }
}
