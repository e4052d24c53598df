//! What is wanted of every pin and what is known of it, in one table under one lock: an interlock is checked and acted upon
//! in one moment, whatever lanes the outputs are on. Nothing here waits or touches hardware.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::WriteError;
use super::pin::Pin;
use super::repeat::Repeat;
use super::slot::Slot;
use super::taken::Written;
use super::trouble::Trouble;
use crate::model::{Interlock, Level, Monotonic, OutputId};

/// A slot, also after another has taken its name.
pub(super) type Key = u64;

/// Every output.
#[derive(Default)]
pub(super) struct Table {
    /// In the order in which they were added.
    pub entries: BTreeMap<Key, Entry>,
    /// Nothing but safe levels are wanted any more.
    pub sealed: bool,
    /// And every output was made safe then, or was told of.
    pub made_safe: bool,
    interlocks: BTreeMap<OutputId, Interlocks>,
    last: Key,
}

#[derive(Default)]
struct Interlocks {
    only_while: Vec<OutputId>,
    never_with: Vec<OutputId>,
}

/// One output.
pub(super) struct Entry {
    pub slot: Arc<Slot>,
    /// What the pin is to be at. A job in the lane takes it from here when its turn comes, so that however the jobs and those
    /// who wait for them are scheduled, the last word said is the last one written.
    pub wanted: Level,
    pub pin: Pin,
    /// It moves by itself after a write, and may need so long, as it was asked last. Nobody asks before its arrival matters.
    pub under_way: Option<Duration>,
    /// Until when it may stay there, unless it is the safe level.
    pub until: Monotonic,
    /// Whether the hardware was ever taken.
    pub taken: bool,
    /// It was there at the start, so an earlier process may have left it on.
    pub inherited: bool,
    /// It is being removed: nothing but its safe level is wanted any more.
    pub leaving: bool,
    /// A job that will surely be done waits in the lane, so another one has nothing to add.
    pub waiting: bool,
    pub repeat: Repeat,
    pub trouble: Trouble,
}

impl Entry {
    fn may_be_on(&self) -> bool {
        self.wanted.is_on() || !self.pin.is_at(Level::OFF)
    }

    /// On, and meant to stay so. Whoever goes from one level that is on to another one is on all the time.
    fn is_surely_on(&self) -> bool {
        let on = matches!(self.pin, Pin::At(level, _) | Pin::Leaving(level) if level.is_on());
        on && self.wanted.is_on()
    }

    /// It was written, and goes there by itself.
    pub fn moves(&self) -> bool {
        self.pin.level().is_some() && self.under_way.is_some()
    }

    fn rests_on(&self) -> bool {
        self.wanted == self.slot.safe && self.wanted.is_on()
    }

    /// What is on the pin has to be written again, even if it is what is wanted.
    pub fn doubt(&mut self) {
        if let Pin::At(level, _) = self.pin {
            self.pin = Pin::Leaving(level);
        }
    }
}

/// What a job in the lane has to do.
pub(super) struct Turn {
    pub level: Level,
    /// Something else was wanted, and this stood in its way.
    pub refused: Option<WriteError>,
}

/// What the round finds to do.
pub(super) struct Due {
    pub key: Key,
    pub level: Level,
    /// Why it falls; `None` if it is only written again.
    pub falls: Option<Fall>,
}

/// Why the bank made an output safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fall {
    /// Nobody held its level any more.
    Unheld,
    /// An interlock stood against it.
    Interlocked(OutputId, Interlock),
}

impl fmt::Display for Fall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unheld => f.write_str("was not held by anybody any more"),
            Self::Interlocked(by, how) => write!(f, "may not be on because of {by} ({how})"),
        }
    }
}

impl Table {
    pub fn add(&mut self, make: impl FnOnce(Key) -> Arc<Slot>) -> Arc<Slot> {
        self.last += 1;
        let slot = make(self.last);
        let entry = Entry {
            wanted: slot.safe,
            pin: Pin::Unknown,
            under_way: None,
            until: Monotonic::default(),
            taken: false,
            inherited: false,
            leaving: false,
            waiting: false,
            repeat: Repeat::default(),
            trouble: Trouble::default(),
            slot: slot.clone(),
        };
        self.entries.insert(self.last, entry);
        slot
    }

    pub fn set_interlocks(&mut self, output: &OutputId, only_while: Vec<OutputId>, never_with: Vec<OutputId>) {
        self.interlocks.insert(output.clone(), Interlocks { only_while, never_with });
    }

    /// Takes out what is leaving and known to be safe, or was driven by nobody. What still moves there stays, for it would stop where
    /// it is; unless another of its name follows, which goes its own way.
    pub fn gone(&mut self) -> Vec<Arc<Slot>> {
        let mut gone = Vec::new();
        let followed: BTreeSet<OutputId> =
            self.entries.values().filter(|entry| !entry.leaving).map(|entry| entry.slot.id.clone()).collect();
        self.entries.retain(|_, entry| {
            let driven = entry.taken || entry.inherited;
            let stands = entry.under_way.is_none() || followed.contains(&entry.slot.id);
            let goes = entry.leaving && (!driven || (entry.pin.is_at(entry.slot.safe) && stands));
            if goes {
                gone.push(entry.slot.clone());
            }
            !goes
        });
        for slot in &gone {
            if self.named(&slot.id).next().is_none() {
                self.interlocks.remove(&slot.id);
            }
        }
        gone
    }

    /// What a person has to be told of any pin of this name; `None` while all is well.
    pub fn trouble(&self, output: &OutputId) -> Option<String> {
        self.named(output).find_map(|entry| entry.trouble.told(&entry.slot.who, entry.slot.safe))
    }

    /// What stands in the way of a level that is on. A safe level needs no other output to be on.
    pub fn blocked(&self, key: Key, safe: bool) -> Option<(OutputId, Interlock)> {
        let id = &self.entries.get(&key)?.slot.id;
        let needed = self.interlocks.get(id).filter(|_| !safe).map(|own| own.only_while.as_slice()).unwrap_or_default();
        let missing = needed.iter().find(|other| !self.named(other).any(Entry::is_surely_on));
        if let Some(missing) = missing {
            return Some((missing.clone(), Interlock::OnlyWhile));
        }
        let against = self.excluded(key).find(|(_, other)| other.may_be_on());
        against.map(|(_, other)| (other.slot.id.clone(), Interlock::NeverWith))
    }

    /// From now on `key` is wanted at `level`, and before it others at theirs. Gives whom to write, in that order.
    pub fn want(&mut self, key: Key, level: Level) -> Result<Vec<Arc<Slot>>, WriteError> {
        let entry = self.entries.get(&key).ok_or(WriteError::Removed)?;
        let level = if self.sealed || entry.leaving { entry.slot.safe } else { level };
        if let Some((by, how)) = self.refusal(entry, level) {
            let refused = WriteError::Interlocked { by, how };
            if level == entry.slot.safe {
                self.refused_safe(key, &refused);
            }
            return Err(refused);
        }
        let mut order = Vec::new();
        self.plan(key, level, &mut order, &mut BTreeSet::new());
        Ok(self.mark(&order))
    }

    /// From now on all that have this name are only wanted at their safe levels, and whoever needs them before them. Gives their
    /// keys, and whom to write first.
    pub fn leave(&mut self, output: &OutputId) -> (Vec<Key>, Vec<Arc<Slot>>) {
        let mut keys = Vec::new();
        for (key, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.slot.id == *output) {
            entry.leaving = true;
            keys.push(*key);
        }
        let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
        for key in &keys {
            self.plan(*key, Level::OFF, &mut order, &mut seen);
        }
        order.retain(|(key, _)| !keys.contains(key));
        (keys, self.mark(&order))
    }

    /// In the lane, at the moment of writing: what is to be written now.
    pub fn turn(&mut self, key: Key) -> Result<Option<Turn>, WriteError> {
        let entry = self.entries.get_mut(&key).ok_or(WriteError::Removed)?;
        entry.waiting = false;
        let (wanted, safe, pin) = (entry.wanted, entry.slot.safe, entry.pin);
        if pin.is_at(wanted) && !entry.repeat.is_due {
            return Ok(None);
        }
        let Some((by, how)) = self.blocked(key, wanted == safe).filter(|_| wanted.is_on()) else {
            return Ok(Some(self.begun(key, wanted, None)));
        };
        let refused = WriteError::Interlocked { by, how };
        let level = self.rest(key);
        if wanted == safe {
            self.refused_safe(key, &refused);
        }
        self.mark(&[(key, level)]);
        if pin.is_at(level) { Err(refused) } else { Ok(Some(self.begun(key, level, Some(refused)))) }
    }

    /// From the moment at which an off is on its way, nobody may be on because of this pin.
    fn begun(&mut self, key: Key, level: Level, refused: Option<WriteError>) -> Turn {
        let leaves = |pin: Pin| pin != Pin::Unknown && !pin.is_at(level);
        if let Some(entry) = self.entries.get_mut(&key).filter(|entry| !level.is_on() && leaves(entry.pin)) {
            entry.pin = Pin::Leaving(level);
        }
        Turn { level, refused }
    }

    pub fn written(&mut self, key: Key, level: Level, written: Written, refused: bool) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.under_way = written.under_way;
        if entry.wanted != level {
            // Somebody has wanted something else meanwhile; then the next job is theirs, and this is what it leaves.
            entry.pin = Pin::Leaving(level);
            return;
        }
        entry.pin = Pin::At(level, written.confirmation);
        if !refused {
            entry.trouble.obeys(level, written.confirmation);
        }
    }

    /// A write of `level` failed: nothing is believed of the pin, unless another write has succeeded since.
    pub fn failed(&mut self, key: Key, level: Level, error: &WriteError) {
        self.unsure(key);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.trouble.failed(level, error);
        }
    }

    /// Nothing is believed of a pin that was to be written, unless that has been done meanwhile.
    pub fn unsure(&mut self, key: Key) {
        if let Some(entry) = self.entries.get_mut(&key)
            && (std::mem::take(&mut entry.repeat.is_due) || !entry.pin.is_at(entry.wanted))
        {
            entry.pin = Pin::Unknown;
        }
    }

    /// The pin was read and is at `found`; it had been left at `left`.
    pub fn found(&mut self, key: Key, left: Level, found: Level) {
        let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.pin.is_at(left)) else { return };
        if found == left {
            entry.trouble.in_order();
        } else {
            entry.pin = Pin::Unknown;
            entry.trouble.moved(left, found);
        }
    }

    /// What has to be done that nobody else does.
    pub fn due(&self, now: Monotonic) -> Vec<Due> {
        let due = |(&key, entry): (&Key, &Entry)| {
            let (wanted, safe) = (entry.wanted, entry.slot.safe);
            if wanted != safe && entry.until < now {
                return Some(Due { key, level: safe, falls: Some(Fall::Unheld) });
            }
            if wanted.is_on()
                && wanted != safe
                && let Some((by, how)) = self.blocked(key, false)
            {
                return Some(Due { key, level: self.rest(key), falls: Some(Fall::Interlocked(by, how)) });
            }
            (!entry.pin.is_at(wanted) || entry.repeat.is_due).then_some(Due { key, level: wanted, falls: None })
        };
        self.entries.iter().filter_map(due).collect()
    }

    /// Whom, in this order, to bring to which level, so that `key` may come to `level`.
    fn plan(&self, key: Key, level: Level, order: &mut Vec<(Key, Level)>, seen: &mut BTreeSet<Key>) {
        let Some(entry) = self.entries.get(&key) else { return };
        // Interlocks may go in a circle; whoever is on the way there already comes later.
        if !seen.insert(key) {
            return;
        }
        if level.is_on() {
            // Only a safe level gets here with anybody in its way.
            for (other, _) in self.excluded(key).filter(|(_, other)| level == entry.slot.safe && other.may_be_on()) {
                self.plan(other, Level::OFF, order, seen);
            }
        } else {
            let needs =
                |id: &OutputId| self.interlocks.get(id).is_some_and(|own| own.only_while.contains(&entry.slot.id));
            for (&other, dependent) in self.entries.iter().filter(|(_, other)| needs(&other.slot.id)) {
                if dependent.may_be_on() && !dependent.rests_on() {
                    self.plan(other, self.rest(other), order, seen);
                }
            }
        }
        order.push((key, level));
    }

    fn mark(&mut self, order: &[(Key, Level)]) -> Vec<Arc<Slot>> {
        let mut slots = Vec::new();
        for (key, level) in order {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.wanted = *level;
                if !entry.pin.is_at(*level) {
                    entry.doubt();
                }
                slots.push(entry.slot.clone());
            }
        }
        slots
    }

    /// Why a level is not even to be tried.
    fn refusal(&self, entry: &Entry, level: Level) -> Option<(OutputId, Interlock)> {
        let key = entry.slot.key;
        if !level.is_on() {
            None
        } else if level != entry.slot.safe {
            self.blocked(key, false)
        } else {
            // Others make way for a safe level, but for one that is at its own.
            let resting = self.excluded(key).find(|(_, other)| other.rests_on());
            resting.map(|(_, other)| (other.slot.id.clone(), Interlock::NeverWith))
        }
    }

    fn refused_safe(&mut self, key: Key, refused: &WriteError) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.trouble.failed(entry.slot.safe, refused);
        }
    }

    /// Where an output falls: to its safe level, or off if that is on and another output stands against it.
    fn rest(&self, key: Key) -> Level {
        let safe = self.entries.get(&key).map_or(Level::OFF, |entry| entry.slot.safe);
        if safe.is_on() && self.excluded(key).any(|(_, other)| other.may_be_on()) { Level::OFF } else { safe }
    }

    /// Those that are never to be on together with `key`, whichever of the two says so.
    fn excluded(&self, key: Key) -> impl Iterator<Item = (Key, &Entry)> {
        let id = self.entries.get(&key).map(|entry| &entry.slot.id);
        let says = move |one: &OutputId, other: &OutputId| {
            self.interlocks.get(one).is_some_and(|own| own.never_with.contains(other))
        };
        let others = self.entries.iter().filter(move |(other, entry)| {
            **other != key && id.is_some_and(|id| says(id, &entry.slot.id) || says(&entry.slot.id, id))
        });
        others.map(|(key, entry)| (*key, entry))
    }

    fn named<'t>(&'t self, id: &'t OutputId) -> impl Iterator<Item = &'t Entry> {
        self.entries.values().filter(move |entry| entry.slot.id == *id)
    }
}
