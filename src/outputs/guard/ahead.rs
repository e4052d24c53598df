//! Writing ahead: what limits a start or on-time is on disk before it happens, so that no crash gives it back.
//!
//! To write each second of on-time would wear out an SD card. So a record reserves some on-time (a 16th of the budget, a second
//! at the least, no more than is left), and the next one is due when half of that is used: about 32 records for all of a budget.
//! After a crash all that was reserved counts as used.

use std::time::Duration;

use super::budget::{Spending, Usage};
use super::memory::{Memory, Record};
use crate::model::Monotonic;

/// A record that nobody answers is asked for again.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(super) struct Ahead {
    /// What is on disk.
    recorded: Reserved,
    asked: Option<Asked>,
    version: u64,
}

#[derive(Debug, Clone)]
struct Asked {
    at: Monotonic,
    reserved: Reserved,
}

/// Up to where a record lets the guard go, in terms of [`Usage::driven`] and [`Usage::started`]. Never goes back.
#[derive(Debug, Clone)]
struct Reserved {
    driven: Vec<Duration>,
    started: u64,
}

impl Ahead {
    pub fn new(usage: &Usage) -> Self {
        let recorded = Reserved { driven: vec![Duration::ZERO; usage.budgets.len()], started: 0 };
        Self { recorded, asked: None, version: 0 }
    }

    /// The same for other limits: no answer to an earlier record is taken for one to a later.
    pub fn after(self, earlier: &Self) -> Self {
        Self { version: earlier.version + 1, ..self }
    }

    /// Whether it may be driven without another record; with `start`, begin to be driven.
    pub fn covers(&self, usage: &Usage, start: bool) -> bool {
        self.recorded.covers(usage, start)
    }

    /// The record that is due now for what [`Self::covers`] does not cover.
    pub fn due(&mut self, usage: &Usage, start: bool, now: Monotonic) -> Option<Record> {
        if self.covers(usage, start) {
            return None;
        }
        match &mut self.asked {
            Some(asked) if asked.reserved.covers(usage, start) => {
                if now < asked.at + PATIENCE {
                    return None;
                }
                asked.at = now;
            }
            asked => {
                self.version += 1;
                *asked = Some(Asked { at: now, reserved: self.recorded.further(usage, start) });
            }
        }
        let reserved = &self.asked.as_ref()?.reserved;
        let mut memory = Memory::default();
        for (spending, until) in usage.budgets.iter().zip(&reserved.driven) {
            memory.add_driven(spending, until.saturating_sub(usage.driven), now);
        }
        if let Some(starting) = &usage.starts {
            memory.add_starts(starting, reserved.started.saturating_sub(usage.started), now);
        }
        Some(Record { version: self.version, memory })
    }

    /// When a record becomes due, or due again, while it is driven or waits to be.
    pub fn look_again(&self, usage: &Usage, start: bool, now: Monotonic) -> Option<Monotonic> {
        if !self.covers(usage, start) {
            return self.asked.as_ref().map(|asked| asked.at + PATIENCE);
        }
        let half_used = usage.budgets.iter().zip(&self.recorded.driven).filter_map(|(spending, until)| {
            let reserved = until.saturating_sub(usage.driven);
            (reserved < spending.left()).then(|| now + reserved.saturating_sub(share(spending) / 2))
        });
        half_used.min()
    }

    pub fn recorded(&mut self, version: u64) {
        if version == self.version
            && let Some(asked) = self.asked.take()
        {
            self.recorded = asked.reserved;
        }
    }
}

impl Reserved {
    fn covers(&self, usage: &Usage, start: bool) -> bool {
        let enough = |(spending, until): (&Spending, &Duration)| {
            let reserved = until.saturating_sub(usage.driven);
            reserved >= spending.left() || reserved > share(spending) / 2
        };
        usage.budgets.iter().zip(&self.driven).all(enough)
            && !(start && usage.starts.is_some() && self.started <= usage.started)
    }

    fn further(&self, usage: &Usage, start: bool) -> Self {
        let driven = usage.budgets.iter().zip(&self.driven);
        Self {
            driven: driven
                .map(|(spending, until)| (usage.driven + share(spending).min(spending.left())).max(*until))
                .collect(),
            started: self.started.max(usage.started + u64::from(start)),
        }
    }
}

/// What one record reserves.
fn share(spending: &Spending) -> Duration {
    (spending.budget.on / 16).max(Duration::from_secs(1))
}
