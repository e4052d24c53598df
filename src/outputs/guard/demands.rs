//! The demands on one output: a priority array with one entry for each owner, all of them leased.

use std::sync::Arc;

use crate::model::{Because, Demand, Level, Monotonic, Owner, Priority, Wish};

/// Nobody has so many owners; whoever makes up new ones with every message must not fill the memory.
const MOST: usize = 32;

/// There is no room for another owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the demand of {0} was refused, for {MOST} others are live: withdraw some, or let their leases end")]
pub struct TooManyDemands(pub Owner);

/// The demands that are not withdrawn, the owner that joined last at the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Demands(Vec<Entry>);

/// One owner's demand.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub owner: Owner,
    pub priority: Priority,
    pub level: Level,
    /// Whether that is wanted as the safe level, whichever it is.
    pub safe: bool,
    pub until: Monotonic,
    pub because: Option<Arc<Because>>,
}

impl Demands {
    /// The live demand of the highest priority, among equals the last that joined. Needs [`Self::forget_ended`] before.
    pub fn winner(&self) -> Option<&Entry> {
        self.0.iter().max_by_key(|entry| entry.priority)
    }

    /// When the last of the leases for another level than the safe one ends.
    pub fn last_end_above(&self, safe: Level) -> Option<Monotonic> {
        self.0.iter().filter(|entry| entry.level != safe).map(|entry| entry.until).max()
    }

    /// A lease is over at its end, not after it.
    pub fn forget_ended(&mut self, now: Monotonic) {
        self.0.retain(|entry| entry.until > now);
    }

    pub fn put(&mut self, demand: Demand, safe: Level, now: Monotonic) -> Result<(), TooManyDemands> {
        self.forget_ended(now);
        let Demand { owner, priority, wish, until, because } = demand;
        let level = match wish {
            Wish::Level(level) => Some(level),
            Wish::Safe => Some(safe),
            Wish::Nothing => None,
        };
        let place = self.0.iter().position(|entry| entry.owner == owner);
        let Some(level) = level.filter(|_| until > now) else {
            if let Some(place) = place {
                self.0.remove(place);
            }
            return Ok(());
        };
        let entry = Entry { owner, priority, level, safe: wish == Wish::Safe, until, because };
        match place {
            Some(place) if self.0[place].priority == priority && priority != Priority::Manual => self.0[place] = entry,
            Some(place) => {
                self.0.remove(place);
                self.0.push(entry);
            }
            None => {
                self.make_room(&entry)?;
                self.0.push(entry);
            }
        }
        Ok(())
    }

    fn make_room(&mut self, newcomer: &Entry) -> Result<(), TooManyDemands> {
        if self.0.len() < MOST {
            return Ok(());
        }
        let least = self.0.iter().enumerate().min_by_key(|(_, entry)| entry.priority);
        match least.filter(|(_, entry)| entry.priority < newcomer.priority) {
            Some((place, _)) => {
                self.0.remove(place);
                Ok(())
            }
            None => Err(TooManyDemands(newcomer.owner.clone())),
        }
    }
}
