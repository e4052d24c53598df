//! Makes a schedule that fails small: deeds are left out, and their times cut, while the same invariant still fails.

use std::time::Duration;

use super::invariants::{Violation, audit};
use super::runner::run;
use super::schedule::{Deed, Schedule};

/// No more attempts than these; each plays the whole schedule, and most are short by then.
const ATTEMPTS: usize = 300;

/// A schedule that breaks an invariant, and where.
pub struct Failure {
    pub schedule: Schedule,
    pub invariant: &'static str,
    pub violation: Violation,
}

/// Plays a schedule; gives what it breaks.
pub fn play(schedule: &Schedule) -> Option<(&'static str, Violation)> {
    audit(&run(schedule))
}

/// The smallest schedule found that breaks the same invariant.
pub fn shrink(failure: Failure) -> Failure {
    let mut shrinker = Shrinker { best: failure, left: ATTEMPTS };
    shrinker.end_early();
    shrinker.leave_out();
    shrinker.shorten();
    shrinker.leave_out();
    shrinker.end_early();
    shrinker.best
}

struct Shrinker {
    best: Failure,
    left: usize,
}

impl Shrinker {
    fn better(&mut self, schedule: Schedule) -> bool {
        if self.left == 0 || schedule == self.best.schedule {
            return false;
        }
        self.left -= 1;
        match play(&schedule) {
            Some((invariant, violation)) if invariant == self.best.invariant => {
                self.best = Failure { schedule, invariant, violation };
                true
            }
            _ => false,
        }
    }

    /// Nothing after the violation matters.
    fn end_early(&mut self) {
        for margin in [1, 30, 100] {
            let mut shorter = self.best.schedule.clone();
            shorter.length = shorter.length.min(self.best.violation.at.saturating_add(Duration::from_secs(margin)));
            shorter.planned.retain(|planned| planned.at <= shorter.length);
            if self.better(shorter) {
                return;
            }
        }
    }

    /// Delta debugging: ever smaller chunks, from the end.
    fn leave_out(&mut self) {
        let mut chunk = self.best.schedule.planned.len().div_ceil(2);
        while chunk > 0 {
            let mut end = self.best.schedule.planned.len();
            while end > 0 {
                let begin = end.saturating_sub(chunk);
                let mut fewer = self.best.schedule.clone();
                fewer.planned.drain(begin..end);
                self.better(fewer);
                end = begin.min(self.best.schedule.planned.len());
            }
            chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
        }
    }

    /// What lasts is made to last half as long, or to happen once.
    fn shorten(&mut self) {
        for index in 0..self.best.schedule.planned.len() {
            for _ in 0..4 {
                let mut shorter = self.best.schedule.clone();
                match &mut shorter.planned[index].deed {
                    Deed::Break { lasts, .. }
                    | Deed::Kill { lasts, .. }
                    | Deed::Disk { lasts, .. }
                    | Deed::Broker { lasts, .. }
                    | Deed::Demand { lease: lasts, .. } => {
                        *lasts = Duration::from_millis(lasts.as_millis() as u64 / 2);
                    }
                    _ => break,
                }
                if !self.better(shorter) {
                    break;
                }
            }
        }
    }
}
