//! How much of something there was within a rolling window, in bounded memory.
//!
//! What happened within a 96th of the window is one slot. A slot is forgotten when all of it is outside of the window, so a tally
//! never says too little, and at most a 96th of the window's length too long. Slots are kept by the moment at which they are
//! forgotten: unlike what happened before the daemon's start, that always has a [`Monotonic`] time.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Monotonic;

const PARTS: u32 = 96;

#[derive(Debug, Clone)]
pub(super) struct Tally {
    window: Duration,
    /// The oldest first.
    slots: VecDeque<Slot>,
}

#[derive(Debug, Clone)]
struct Slot {
    /// When what came first into it is outside of the window,
    first: Monotonic,
    /// and what came last.
    last: Monotonic,
    amount: u64,
}

/// What is in a slot, by its age.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Past {
    /// How long ago the first of it ended,
    pub first: Duration,
    /// and the last.
    pub last: Duration,
    pub amount: u64,
}

impl Tally {
    pub fn new(window: Duration) -> Self {
        Self { window, slots: VecDeque::new() }
    }

    /// A tally that begins with the past: what is older than the window is left out.
    pub fn restored(window: Duration, mut past: Vec<Past>, now: Monotonic) -> Self {
        past.sort_unstable_by_key(|past| Reverse(past.last));
        let mut tally = Self::new(window);
        for Past { first, last, amount } in past {
            if last < window {
                let forgotten = |age| now + window.saturating_sub(age);
                tally.put(Slot { first: forgotten(first.max(last)), last: forgotten(last), amount });
            }
        }
        tally
    }

    pub fn past(&self, now: Monotonic) -> Vec<Past> {
        let age = |forgotten: Monotonic| self.window.saturating_sub(forgotten.since(now));
        let past = |slot: &Slot| Past { first: age(slot.first), last: age(slot.last), amount: slot.amount };
        self.slots.iter().map(past).collect()
    }

    /// The length of a slot.
    pub fn part(&self) -> Duration {
        (self.window / PARTS).max(Duration::from_millis(1))
    }

    /// Adds something that happened at `at`, which is no earlier than what was added before.
    pub fn add(&mut self, amount: u64, at: Monotonic) {
        let forgotten = at + self.window;
        self.put(Slot { first: forgotten, last: forgotten, amount });
    }

    /// Adds the nanoseconds of a stretch of time, each part of it at its own time.
    pub fn add_stretch(&mut self, from: Monotonic, to: Monotonic) {
        let mut from = from.max(to - self.window);
        while from < to {
            let end = to.min(from + self.part());
            self.add(nanos(end.since(from)), end);
            from = end;
        }
    }

    fn put(&mut self, new: Slot) {
        let part = self.part();
        match self.slots.back_mut() {
            Some(slot) if new.last.since(slot.first) < part => {
                slot.last = slot.last.max(new.last);
                slot.amount = slot.amount.saturating_add(new.amount);
            }
            _ => self.slots.push_back(new),
        }
    }

    pub fn forget(&mut self, now: Monotonic) {
        while self.slots.front().is_some_and(|slot| slot.last <= now) {
            self.slots.pop_front();
        }
    }

    /// All of it within the window. Needs [`Self::forget`] before.
    pub fn sum(&self) -> u64 {
        self.slots.iter().fold(0, |sum, slot| sum.saturating_add(slot.amount))
    }

    /// When there will be no more than `most`, if nothing is added; `None` when that is so already.
    pub fn down_to(&self, most: u64) -> Option<Monotonic> {
        let mut later = self.sum();
        let mut at = None;
        for slot in &self.slots {
            if later <= most {
                break;
            }
            later = later.saturating_sub(slot.amount);
            at = Some(slot.last);
        }
        at
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::new(Duration::from_millis(millis))
    }

    proptest! {
        #[test]
        fn it_never_says_too_little_and_too_much_for_a_part_only(
            window in 96..20_000u64, stretches in proptest::collection::vec((0..3_000u64, 0..900u64), 1..80),
        ) {
            let window = Duration::from_millis(window);
            let (mut tally, mut all, mut now) = (Tally::new(window), Vec::new(), at(0));
            for (pause, length) in stretches {
                let (from, to) = (now + Duration::from_millis(pause), now + Duration::from_millis(pause + length));
                tally.add_stretch(from, to);
                all.push((from, to));
                now = to;
                tally.forget(now);
                let within = |window| -> Duration {
                    all.iter().map(|(from, to)| to.since((*from).max(Monotonic::new(now.since(at(0)).saturating_sub(window))))).sum()
                };
                let (sum, most) = (Duration::from_nanos(tally.sum()), within(window + tally.part() * 2));
                prop_assert!(sum >= within(window), "{sum:?} at {now:?}, not {:?}", within(window));
                prop_assert!(sum <= most, "{sum:?} at {now:?}, not {most:?}");
            }
        }
    }

    #[test]
    fn however_often_it_is_restored_it_forgets_in_time_and_stays_small() {
        let window = Duration::from_secs(3600);
        let mut tally = Tally::new(window);
        for step in 1..20_000_u64 {
            let now = at(step * 1_700);
            if step % 7 == 0 {
                tally = Tally::restored(window, tally.past(now), now);
            }
            tally.forget(now);
            tally.add(1, now);
            assert!(tally.slots.len() <= 99, "{} slots", tally.slots.len());
            assert!(tally.sum() <= 3600_u64 * 1000 / 1700 * 97 / 96 + 2, "{} in an hour", tally.sum());
        }
    }

    #[test]
    fn a_past_that_makes_no_sense_does_no_harm() {
        let past = |age, amount| Past { first: Duration::ZERO, last: age, amount };
        let window = Duration::from_secs(86_400);
        assert_eq!(Tally::restored(window, vec![past(Duration::MAX, u64::MAX); 1000], at(u64::MAX)).sum(), 0);
        let tally = Tally::restored(window, vec![past(Duration::ZERO, u64::MAX); 1000], at(0));
        assert_eq!((tally.sum(), tally.slots.len()), (u64::MAX, 1));
    }
}
