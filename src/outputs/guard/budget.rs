//! How much an output has been driven, held against its budgets and its starts.
//!
//! A budget limits the on-time within any window of its length, a number of starts how often it goes on. Any level above off is
//! on. A budget that was used up rests until a 32nd of it is back, and for a 96th of its window at the least, so that an output
//! does not live on in tiny slices. Otherwise a start needs `min_on` of it, or a second.

use std::time::Duration;

use super::memory::Memory;
use super::tally::{Tally, nanos};
use super::{Limits, Why};
use crate::model::Monotonic;

/// At most so much on-time within any window of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The on-time.
    pub on: Duration,
    /// The window's length.
    pub window: Duration,
}

/// At most so many starts within any window of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Starts {
    /// How many.
    pub most: u32,
    /// The window's length.
    pub window: Duration,
}

/// What was used of all budgets and starts.
#[derive(Debug, Clone)]
pub(super) struct Usage {
    pub budgets: Vec<Spending>,
    pub starts: Option<Starting>,
    /// How long it was driven since this guard began.
    pub driven: Duration,
    /// How often it started since then.
    pub started: u64,
}

/// What was used of one budget.
#[derive(Debug, Clone)]
pub(super) struct Spending {
    pub budget: Budget,
    pub tally: Tally,
    /// A start needs so much of it.
    least: Duration,
    rest: Option<Rest>,
}

/// How many starts there were.
#[derive(Debug, Clone)]
pub(super) struct Starting {
    pub limit: Starts,
    pub tally: Tally,
    rest: Option<Rest>,
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Monotonic,
    length: Duration,
}

impl Usage {
    pub fn new(limits: &Limits, memory: &Memory, aged: Duration, now: Monotonic) -> Self {
        let least = limits.min_on.max(Duration::from_secs(1));
        let spending = |&budget: &Budget| Spending {
            budget,
            tally: memory.driven(budget.window, aged, now),
            least: least.min(budget.on),
            rest: None,
        };
        let starting = |limit: Starts| Starting { limit, tally: memory.starts(limit.window, aged, now), rest: None };
        Self {
            budgets: limits.budgets.iter().map(spending).collect(),
            starts: limits.starts.map(starting),
            driven: Duration::ZERO,
            started: 0,
        }
    }

    /// All of it, when the line has been off for `off_for`, and nothing more will be used.
    pub fn memory(&self, off_for: Option<Duration>, now: Monotonic) -> Memory {
        let mut memory = Memory::default();
        memory.set_off_for(off_for);
        self.budgets.iter().for_each(|spending| memory.add_driven(spending, Duration::ZERO, now));
        self.starts.iter().for_each(|starting| memory.add_starts(starting, 0, now));
        memory
    }

    pub fn drive(&mut self, from: Monotonic, to: Monotonic) {
        self.driven = self.driven.saturating_add(to.since(from));
        self.budgets.iter_mut().for_each(|spending| spending.tally.add_stretch(from, to));
    }

    pub fn start(&mut self, now: Monotonic) {
        self.started += 1;
        if let Some(starting) = &mut self.starts {
            starting.tally.add(1, now);
        }
    }

    pub fn forget(&mut self, now: Monotonic) {
        self.budgets.iter_mut().for_each(|spending| spending.tally.forget(now));
        if let Some(starting) = &mut self.starts {
            starting.tally.forget(now);
        }
    }

    /// Why what is on must go off now, and when it may be on again.
    pub fn ends(&mut self, now: Monotonic) -> Option<(Why, Monotonic)> {
        let spending = self.budgets.iter_mut().find(|spending| spending.left().is_zero())?;
        Some(spending.rest(now))
    }

    /// Until when it may be driven, if nothing of what was used is forgotten until then.
    pub fn lasts(&self, now: Monotonic) -> Option<Monotonic> {
        self.budgets.iter().map(|spending| now + spending.left()).min()
    }

    /// Why it may not start now, and when to ask again.
    pub fn refuses(&mut self, now: Monotonic) -> Option<(Why, Monotonic)> {
        let spent = self.budgets.iter_mut().filter_map(|spending| spending.refuses(now));
        let started = self.starts.iter_mut().filter_map(|starting| starting.refuses(now));
        spent.chain(started).max_by_key(|(_, until)| *until)
    }
}

impl Spending {
    pub fn left(&self) -> Duration {
        self.budget.on.saturating_sub(Duration::from_nanos(self.tally.sum()))
    }

    fn refuses(&mut self, now: Monotonic) -> Option<(Why, Monotonic)> {
        match self.rest.filter(|rest| rest.until > now) {
            Some(rest) => Some((Why::Spent(self.budget, rest.length), rest.until)),
            None if self.left() < self.least => Some(self.rest(now)),
            None => None,
        }
    }

    fn rest(&mut self, now: Monotonic) -> (Why, Monotonic) {
        let slice = self.least.max(self.budget.on / 32);
        let back = self.tally.down_to(nanos(self.budget.on.saturating_sub(slice)));
        let until = back.unwrap_or(now).max(now + self.tally.part());
        let rest = Rest { until, length: until.since(now) };
        self.rest = Some(rest);
        (Why::Spent(self.budget, rest.length), until)
    }
}

impl Starting {
    pub fn left(&self) -> u64 {
        u64::from(self.limit.most).saturating_sub(self.tally.sum())
    }

    fn refuses(&mut self, now: Monotonic) -> Option<(Why, Monotonic)> {
        if self.left() > 0 {
            return None;
        }
        // Without a single start, nothing that is forgotten lets it start.
        let until = self.tally.down_to(u64::from(self.limit.most).saturating_sub(1)).unwrap_or(now + self.limit.window);
        let length = self.rest.filter(|rest| rest.until == until).map_or_else(|| until.since(now), |rest| rest.length);
        self.rest = Some(Rest { until, length });
        Some((Why::Started(self.limit, length), until))
    }
}
