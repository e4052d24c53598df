//! The bank owns the outputs' hardware and outlives the actors that command it, so a restart never moves a relay.
//!
//! It is also the last line of defence, below every guard:
//!
//! - A dead man's switch: every level that is not the safe one is held until a given moment only. Whoever wants it longer
//!   says so in time; when nobody does, because the output's own actor is gone, the bank makes it safe.
//! - Interlocks: an output is not turned on while it needs one that is not confirmed on (`only_while`), or while one that it
//!   is never to be on with is not confirmed off (`never_with`, whichever of the two says so). Before an output goes off, those
//!   that need it fall to their safe levels. A safe level that is on needs nobody, and others make way for it.
//! - What could not be confirmed is written again with every round, and pins are read back. A device that forgets what it is told is
//!   told again.
//! - What moves by itself after a write is waited for where that matters: at the end, and before its line is given back.
//! - A line that fails twice in a row is dropped in its lane and opened anew at the level that is due.

mod arrival;
mod pin;
mod repeat;
mod slot;
mod table;
mod taken;
#[cfg(test)]
mod tests;
mod trouble;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use self::slot::{drive, settle};
use self::table::{Due, Key, Table};
use super::HardwareError;
use super::lane::{Lane, LaneError};
use crate::model::{Interlock, Level, Monotonic, OutputId};
use crate::panics::locked;

pub use self::slot::{DEADLINE, Slot};
pub use self::table::Fall;

/// Between two attempts to make an output safe at the end.
const RETRY: Duration = Duration::from_millis(100);

/// What stands behind one output: something with a level that stays until it is changed.
pub trait Line: Send {
    /// Drives it, and says how sure it is.
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError>;

    /// What it is at now; `None` where the hardware cannot tell.
    fn read_back(&mut self) -> Result<Option<Level>, HardwareError> {
        Ok(None)
    }

    /// After failures: whether it may be dropped and its hardware be taken anew. Not where there is no hardware to take, or where
    /// taking it moves something that is better left to the line itself.
    fn renewable(&self) -> bool {
        true
    }

    /// After how long it is told its level again while that is not the safe one, because it may have left it by itself; `None` if it
    /// stays where it is.
    fn repeat(&self) -> Option<Duration> {
        None
    }

    /// How long what moves by itself after a write may still need; `None` once it is there. It moves only as long as the line is
    /// kept, and the process lives.
    ///
    /// # Errors
    /// It will not be there.
    fn under_way(&mut self) -> Result<Option<Duration>, HardwareError> {
        Ok(None)
    }
}

/// How sure a write is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// The hardware was read back and agrees.
    ReadBack,
    /// The hardware took it and cannot be read back.
    Accepted,
}

/// Why a level may not be on the pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The lane did not carry it.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// The hardware refused it.
    #[error(transparent)]
    Hardware(#[from] HardwareError),
    /// Another output stands in its way.
    #[error("held back by {by} ({how})")]
    Interlocked {
        /// The other.
        by: OutputId,
        /// How.
        how: Interlock,
    },
    /// It moves there by itself, and needs its time.
    #[error("it is still on its way, for up to {} s more, and stops where it is when this process ends", .0.as_secs_f64().ceil())]
    Moving(Duration),
    /// The output was removed from the bank, or is about to be. No later write will do.
    #[error("the output was removed")]
    Removed,
    /// The bank is sealed: nothing but safe levels until the end.
    #[error("the daemon is stopping, so nothing but its safe level is written")]
    Sealed,
}

/// Takes the hardware of one output, at the given level from the first moment on.
pub type OpenLine = Box<dyn Fn(Level) -> Result<Box<dyn Line>, HardwareError> + Send + Sync>;

/// On which way a slot's hardware is reached.
pub struct Way {
    /// Where its writes take their turn.
    pub lane: Lane,
    /// A write that takes longer than this hangs.
    pub deadline: Duration,
}

impl WriteError {
    /// Whether it is too early to tell anybody. The level is not confirmed all the same, and is written again.
    pub fn is_early(&self) -> bool {
        matches!(self, Self::Hardware(HardwareError::NotYet { .. }))
    }
}

impl From<Lane> for Way {
    fn from(lane: Lane) -> Self {
        Self { lane, deadline: DEADLINE }
    }
}

/// An output that the bank made safe by itself.
#[derive(Debug)]
pub struct Released {
    /// `output heater`
    pub who: Arc<str>,
    /// Why.
    pub why: Fall,
    /// What came of it.
    pub result: Result<(), WriteError>,
}

/// What stood in the way of each output's safe level last.
type Errors = Mutex<BTreeMap<Key, WriteError>>;

/// Every output's hardware. Outputs may come and go while it runs.
#[derive(Default)]
pub struct Bank {
    table: Arc<Mutex<Table>>,
}

impl Bank {
    /// How long [`seal`](Self::seal) takes at most. A pin that hangs takes 1.7 s: three attempts of half a second, and the pauses
    /// between.
    pub const SEALING: Duration = Duration::from_secs(2);

    /// Adds an output. Nothing is opened yet.
    pub fn add(&self, output: &OutputId, way: impl Into<Way>, safe: Level, open: OpenLine) -> Arc<Slot> {
        let way = way.into();
        let make = |key| {
            Arc::new(Slot {
                key,
                id: output.clone(),
                who: format!("output {output}").into(),
                way,
                safe,
                line: Mutex::default(),
                open,
                table: Arc::downgrade(&self.table),
                moved: Notify::new(),
            })
        };
        let slot = locked(&self.table).add(make);
        // One of its name may still be on its way to where it was to leave.
        self.drop_gone();
        slot
    }

    /// Removes an output, once it is safe and before it whoever needs it. Its line is dropped in its lane. One that nobody
    /// can have driven is dropped at once: it came after the start, and its hardware was never taken. What moves by itself is
    /// [leaving](Self::leaving) until it is there, and that is no error.
    ///
    /// # Errors
    /// It could not be made safe. Then it is [leaving](Self::leaving): wanted at nothing but its safe level, written again with
    /// every round, and gone with the first one after it is safe.
    pub async fn remove(&self, output: &OutputId) -> Result<(), WriteError> {
        let (keys, first) = locked(&self.table).leave(output);
        for dependent in first {
            // One that does not obey has an alarm of its own.
            let _ = settle(&self.table, &dependent).await;
            dependent.moved.notify_one();
        }
        self.drop_gone();
        let mut result = Ok(());
        for key in keys {
            let safe = locked(&self.table).entries.get(&key).map(|entry| entry.slot.safe);
            let Some(safe) = safe else { continue };
            match drive(&self.table, key, safe).await {
                // A round was here first.
                Ok(()) | Err(WriteError::Removed) => arrival::look(&self.table, key).await,
                Err(error) => result = Err(error),
            }
        }
        self.drop_gone();
        result
    }

    /// Who was removed and is not safe yet.
    pub fn leaving(&self) -> Vec<OutputId> {
        let table = locked(&self.table);
        let leaving: BTreeSet<_> =
            table.entries.values().filter(|entry| entry.leaving).map(|entry| &entry.slot.id).collect();
        leaving.into_iter().cloned().collect()
    }

    /// Gives back the hardware of those that are leaving and safe.
    fn drop_gone(&self) {
        let gone = locked(&self.table).gone();
        for slot in gone {
            slot.way.lane.clone().discard(&slot.who.clone(), Retired(slot));
        }
    }

    /// From now on these are the interlocks of `output`, which need not be there yet. Whoever is on against them falls with the
    /// next [`release`](Self::release).
    pub fn set_interlocks(&self, output: &OutputId, only_while: &[OutputId], never_with: &[OutputId]) {
        locked(&self.table).set_interlocks(output, only_while.to_vec(), never_with.to_vec());
    }

    /// Takes every output that is there at the start, at its safe level. Gives those that could not be taken.
    pub async fn open(&self) -> Vec<(Arc<str>, WriteError)> {
        locked(&self.table).entries.values_mut().for_each(|entry| entry.inherited = true);
        let slots = self.slots();
        let work = slots.iter().map(|slot| async { slot.open().await.err().map(|error| (slot.who.clone(), error)) });
        join_all(work).await.into_iter().flatten().collect()
    }

    /// One round: makes every output safe whose level nobody holds any more or against which an interlock stands, and gives
    /// those; writes again what was not confirmed and what its device may have forgotten; lets those go that were removed and are safe
    /// by now.
    pub async fn release(&self, now: Monotonic) -> Vec<Released> {
        let due = {
            let mut table = locked(&self.table);
            table.repeat(now);
            table.due(now)
        };
        let work = due.into_iter().map(|Due { key, level, falls }| async move {
            let slot = locked(&self.table).entries.get(&key)?.slot.clone();
            let result = drive(&self.table, key, level).await;
            if falls.is_some() || result.is_err() {
                slot.moved.notify_one();
            }
            let why = falls?;
            Some(Released { who: slot.who.clone(), why, result })
        });
        let released = join_all(work).await.into_iter().flatten().collect();
        let leaving: Vec<Key> =
            locked(&self.table).entries.iter().filter(|(_, entry)| entry.leaving).map(|(key, _)| *key).collect();
        join_all(leaving.into_iter().map(|key| arrival::look(&self.table, key))).await;
        self.drop_gone();
        released
    }

    /// Reads every pin that can be read, and sets back what somebody else has moved.
    pub async fn verify(&self) {
        verify::verify(&self.table).await;
        let again = |due: Due| async move {
            // What comes of it stands in the table.
            let _ = drive(&self.table, due.key, due.level).await;
        };
        let due = locked(&self.table).due(Monotonic::default());
        join_all(due.into_iter().filter(|due| due.falls.is_none()).map(again)).await;
    }

    /// What a person has to be told of each output's pin; `None` while all is well. Each output is there once, also while an
    /// earlier one of its name is leaving.
    pub fn troubles(&self) -> Vec<(OutputId, Option<String>)> {
        let table = locked(&self.table);
        let ids: BTreeSet<_> = table.entries.values().map(|entry| &entry.slot.id).collect();
        ids.into_iter().map(|id| (id.clone(), table.trouble(id))).collect()
    }

    /// From now on nothing but safe levels reach the pins. Writes every output safe, whatever is believed of it, waits for what moves
    /// there by itself, and gives those that are not there within two seconds: their writes stay in the lane and are done when it
    /// is free again. One that is slow, such as a plug that does not answer or a vent, holds up no end for longer.
    pub async fn seal(&self) -> Vec<(Arc<str>, WriteError)> {
        self.seal_within(Self::SEALING).await
    }

    /// The same with another patience.
    pub async fn seal_within(&self, patience: Duration) -> Vec<(Arc<str>, WriteError)> {
        let errors = Errors::default();
        // Who is safe by the end is seen from the pins, whether it came to that in time or not.
        let _ = timeout(patience, self.make_safe(&errors)).await;
        let (mut table, mut errors) = (locked(&self.table), locked(&errors));
        table.made_safe = true;
        let left = table.entries.values().filter_map(|entry| {
            let slot = &entry.slot;
            let error = match entry.under_way {
                _ if !entry.pin.is_at(slot.safe) => errors.remove(&slot.key).unwrap_or_else(|| {
                    LaneError::Timeout { lane: slot.way.lane.name().clone(), deadline: patience }.into()
                }),
                Some(left) => WriteError::Moving(left),
                None => return None,
            };
            Some((slot.who.clone(), error))
        });
        left.collect()
    }

    /// Whether it was sealed to the end: whatever is not safe by now was told.
    pub fn is_sealed(&self) -> bool {
        locked(&self.table).made_safe
    }

    async fn make_safe(&self, errors: &Errors) {
        {
            let mut table = locked(&self.table);
            table.sealed = true;
            table.entries.values_mut().for_each(|entry| entry.doubt());
        }
        let (over, ends) = watch::channel(false);
        let slots = self.slots();
        let arrivals = slots.iter().map(|slot| arrival::wait(&self.table, slot, ends.clone(), errors));
        let writes = async {
            self.write_safe(errors).await;
            over.send_replace(true);
        };
        join(writes, join_all(arrivals)).await;
    }

    /// Each by itself: one that is slow keeps nobody else from trying again.
    async fn write_safe(&self, errors: &Errors) {
        let work = self.slots().into_iter().map(|slot| async move {
            for again in [false, true, true] {
                if again {
                    tokio::time::sleep(RETRY).await;
                }
                if slot.level() == Some(slot.safe) {
                    return;
                }
                match drive(&self.table, slot.key, slot.safe).await {
                    Ok(()) => return,
                    Err(error) => drop(locked(errors).insert(slot.key, error)),
                }
            }
        });
        join_all(work).await;
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        locked(&self.table).entries.values().map(|entry| entry.slot.clone()).collect()
    }
}

/// Drops the line of a slot where it may block and panic: in its lane.
struct Retired(Arc<Slot>);

impl Drop for Retired {
    fn drop(&mut self) {
        let line = locked(&self.0.line).take();
        drop(line);
    }
}
