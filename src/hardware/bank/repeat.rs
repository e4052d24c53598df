//! A device that may leave its level by itself, such as a plug with a switch-off timer, is told it again while that is not the safe one.
//!
//! Until the next telling its pin counts as being where it was left, so to everybody else nothing happens.

use std::time::Duration;

use super::table::{Key, Table};
use crate::model::Monotonic;

/// How one output is told again.
#[derive(Default)]
pub(super) struct Repeat {
    /// How often; `None` if it stays where it is.
    every: Option<Duration>,
    /// When a round first saw it there, or told it last.
    told: Option<Monotonic>,
    pub is_due: bool,
}

impl Table {
    /// How often what was just written is to be written again.
    pub fn repeats(&mut self, key: Key, every: Option<Duration>) {
        if let Some(entry) = self.entries.get_mut(&key) {
            let told = entry.repeat.told.filter(|_| entry.repeat.is_due);
            entry.repeat = Repeat { every, told, is_due: false };
        }
    }

    /// Finds who is to be told again.
    pub fn repeat(&mut self, now: Monotonic) {
        for entry in self.entries.values_mut() {
            let Some(every) = entry.repeat.every.filter(|_| entry.wanted != entry.slot.safe) else { continue };
            let told = *entry.repeat.told.get_or_insert(now);
            if entry.pin.is_at(entry.wanted) && now.since(told) >= every {
                (entry.repeat.told, entry.repeat.is_due) = (Some(now), true);
            }
        }
    }
}
