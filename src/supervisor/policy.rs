//! When a child that ended is begun anew. Pure: times come in, delays go out.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Monotonic;

/// How a kind of child is begun anew: for ever, because a sensor must come back without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The wait after the first exit.
    pub first: Duration,
    /// The wait doubles up to this. A child that lived so long is well again.
    pub longest: Duration,
    /// More exits than these …
    pub exits: usize,
    /// … within this time make it degraded.
    pub within: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(60),
            exits: 4,
            within: Duration::from_secs(60),
        }
    }
}

/// What one child's exits have been like.
#[derive(Debug)]
pub struct History {
    policy: Policy,
    exits: VecDeque<Monotonic>,
    next: Duration,
    degraded: bool,
}

/// What follows from an exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Begin anew after this.
    pub after: Duration,
    /// It has just become degraded: time to tell a person.
    pub degraded_now: bool,
}

impl History {
    /// No exits yet.
    pub fn new(policy: Policy) -> Self {
        Self { policy, exits: VecDeque::new(), next: policy.first, degraded: false }
    }

    /// The child that began at `began` has ended. `jitter` in 0..1 spreads the waits by a quarter either way, so that
    /// children that failed together do not come back together.
    pub fn exited(&mut self, began: Monotonic, now: Monotonic, jitter: f64) -> Verdict {
        if now.since(began) >= self.policy.longest {
            self.next = self.policy.first;
        }
        let wait = self.next;
        self.next = (wait * 2).min(self.policy.longest);

        self.exits.push_back(now);
        while self.exits.front().is_some_and(|exit| now.since(*exit) > self.policy.within) {
            self.exits.pop_front();
        }
        let often = self.exits.len() > self.policy.exits;
        let degraded_now = often && !self.degraded;
        self.degraded |= often;

        let after = wait.mul_f64(0.75 + jitter.clamp(0.0, 1.0) / 2.0).min(self.policy.longest);
        Verdict { after, degraded_now }
    }

    /// Whether a child that has lived since `began` is well again after having been degraded. True once.
    pub fn recovered(&mut self, began: Monotonic, now: Monotonic) -> bool {
        let well = self.degraded && now.since(began) >= self.policy.longest;
        if well {
            self.degraded = false;
            self.exits.clear();
        }
        well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: f64) -> Monotonic {
        Monotonic::new(Duration::from_secs_f64(secs))
    }

    /// Exits at once after each beginning; gives the waits in seconds, without jitter.
    fn crash_loop(history: &mut History, times: usize) -> (Vec<f64>, Vec<bool>) {
        let mut now = 100.0;
        let mut verdicts = Vec::new();
        for _ in 0..times {
            let verdict = history.exited(at(now), at(now), 0.5);
            now += verdict.after.as_secs_f64();
            verdicts.push(verdict);
        }
        verdicts.iter().map(|verdict| (verdict.after.as_secs_f64(), verdict.degraded_now)).unzip()
    }

    #[test]
    fn waits_double_to_a_minute_and_a_person_is_told_once() {
        let mut history = History::new(Policy::default());
        let (waits, told) = crash_loop(&mut history, 9);
        assert_eq!(waits, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
        assert_eq!(told.iter().position(|told| *told), Some(4));
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
    }

    #[test]
    fn a_minute_of_life_is_recovery() {
        let mut history = History::new(Policy::default());
        crash_loop(&mut history, 9);
        assert!(!history.recovered(at(1000.0), at(1059.0)));
        assert!(history.recovered(at(1000.0), at(1060.0)));
        assert!(!history.recovered(at(1000.0), at(1061.0)));
        assert_eq!(history.exited(at(1000.0), at(1061.0), 0.5).after, Duration::from_secs(1));
    }

    #[test]
    fn jitter_stays_within_a_quarter_and_the_longest_wait() {
        for (jitter, wait) in [(0.0, 0.75), (1.0, 1.25), (f64::INFINITY, 1.25)] {
            let verdict = History::new(Policy::default()).exited(at(0.0), at(0.0), jitter);
            assert_eq!(verdict.after.as_secs_f64(), wait);
        }
        let mut history = History::new(Policy::default());
        crash_loop(&mut history, 8);
        assert!(history.exited(at(0.0), at(0.0), 1.0).after <= Policy::default().longest);
    }
}
