//! What a guard must remember over a restart, a kill and a power cut: ages, never moments, so that no clock can jump it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::budget::{Spending, Starting};
use super::tally::{Past, Tally};
use crate::model::Monotonic;

const NANOS: u64 = 1_000_000;

/// What must outlive the process. All numbers are whole, all times are milliseconds.
///
/// It fits limits that have changed meanwhile: windows are matched by their length, those that are gone are left out, and a new
/// one begins with what the nearest one knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// How long it had been off; `None` when it was on, or may have been since.
    off_for: Option<u64>,
    /// The on-time, for each budget.
    driven: Vec<Used>,
    /// The starts.
    started: Vec<Used>,
}

/// A guard's memory that must be on disk before what it tells of happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What [`super::Guard::recorded`] is told.
    pub version: u64,
    /// What to write.
    pub memory: Memory,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Used {
    window: u64,
    /// How long ago the first and the last of it were, and how much it was: milliseconds of on-time, or starts.
    past: Vec<(u64, u64, u64)>,
    /// What may have been used since this was written.
    reserved: u64,
}

impl Memory {
    /// What holds when the process ends without writing again: it may have been on, so how long it was off is not known.
    ///
    /// The memory of an orderly stop holds for one start. Whoever restores it writes this one before anything is driven.
    #[must_use]
    pub fn after_a_crash(mut self) -> Self {
        self.off_for = None;
        self
    }

    /// What holds when the memory was lost: all budgets and all starts of whatever limits were used up at this moment.
    #[must_use]
    pub fn spent() -> Self {
        let all = || vec![Used { window: u64::MAX, past: vec![(0, 0, u64::MAX)], reserved: 0 }];
        Self { off_for: None, driven: all(), started: all() }
    }

    pub(super) fn off_for(&self) -> Option<Duration> {
        self.off_for.map(Duration::from_millis)
    }

    pub(super) fn set_off_for(&mut self, time: Option<Duration>) {
        self.off_for = time.map(floor);
    }

    /// Writes down a budget; `reserved` may be used from now on.
    pub(super) fn add_driven(&mut self, spending: &Spending, reserved: Duration, now: Monotonic) {
        let whole = |nanos: u64| nanos.div_ceil(NANOS);
        let window = spending.budget.window;
        self.driven.push(Used::new(window, &spending.tally, whole, ceil(reserved), now));
    }

    /// Writes down the starts; so many as are `reserved` may happen from now on.
    pub(super) fn add_starts(&mut self, starting: &Starting, reserved: u64, now: Monotonic) {
        self.started.push(Used::new(starting.limit.window, &starting.tally, |starts| starts, reserved, now));
    }

    pub(super) fn driven(&self, window: Duration, aged: Duration, now: Monotonic) -> Tally {
        restored(&self.driven, window, NANOS, aged, now)
    }

    pub(super) fn starts(&self, window: Duration, aged: Duration, now: Monotonic) -> Tally {
        restored(&self.started, window, 1, aged, now)
    }
}

impl Used {
    fn new(window: Duration, tally: &Tally, whole: impl Fn(u64) -> u64, reserved: u64, now: Monotonic) -> Self {
        let past = tally.past(now).into_iter();
        let past = past.map(|Past { first, last, amount }| (floor(first), floor(last), whole(amount))).collect();
        Self { window: floor(window), past, reserved }
    }
}

/// The tally of a window: from its own memory, else from that of the next longer one, which knows all of it, else from the longest.
fn restored(known: &[Used], window: Duration, unit: u64, aged: Duration, now: Monotonic) -> Tally {
    let length = floor(window);
    let longer = known.iter().filter(|used| used.window >= length).min_by_key(|used| used.window);
    let Some(used) = longer.or_else(|| known.iter().max_by_key(|used| used.window)) else { return Tally::new(window) };
    let age = |millis| Duration::from_millis(millis).saturating_add(aged);
    let past = used.past.iter().map(|&(first, last, amount)| Past {
        first: age(first),
        last: age(last),
        amount: amount.saturating_mul(unit),
    });
    // What was reserved was used at some time before this moment, if at all; so it counts from this moment.
    let reserved = Past { first: Duration::ZERO, last: Duration::ZERO, amount: used.reserved.saturating_mul(unit) };
    Tally::restored(window, past.chain((used.reserved > 0).then_some(reserved)).collect(), now)
}

fn floor(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn ceil(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(u128::from(NANOS))).unwrap_or(u64::MAX)
}
