//! How much a counter went on within the last while: the litres of a minute, the rain of an hour. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Monotonic;

/// A window is remembered in so many steps, however often somebody looks.
const STEPS: u32 = 256;

/// What a counter was at, over a moving window.
#[derive(Debug, Clone)]
pub struct Tally {
    window: Duration,
    /// From the oldest on; only the first may lie before the window.
    marks: VecDeque<(Monotonic, u64)>,
}

impl Tally {
    /// Remembers as much as `window` needs.
    pub fn new(window: Duration) -> Self {
        Self { window, marks: VecDeque::new() }
    }

    /// How much the count went on within the window before `now`, and since when that is: one window ago, or a step more; less as
    /// long as it has not looked for so long.
    pub fn pass(&mut self, now: Monotonic, count: u64) -> (u64, Duration) {
        while self.marks.get(1).is_some_and(|(at, _)| now.since(*at) >= self.window) {
            self.marks.pop_front();
        }
        let (since, before) = self.marks.front().copied().unwrap_or((now, count));
        if self.marks.back().is_none_or(|(at, _)| now.since(*at) >= self.window / STEPS) {
            self.marks.push_back((now, count));
        }
        (count.saturating_sub(before), now.since(since))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(100);

    fn at(millis: u64) -> Monotonic {
        Monotonic::new(Duration::from_millis(millis))
    }

    #[test]
    fn what_is_older_than_the_window_counts_no_more() {
        let mut tally = Tally::new(WINDOW);
        let looks = [(0, 5), (50, 6), (100, 8), (150, 8), (200, 8), (250, 8)];
        let passed: Vec<_> = looks.map(|(second, count)| tally.pass(at(second * 1000), count)).into();
        let expected = [(0, 0), (1, 50), (3, 100), (2, 100), (0, 100), (0, 100)];
        assert_eq!(passed, expected.map(|(count, seconds)| (count, Duration::from_secs(seconds))));
        // After a long silence all that came meanwhile is spread over it.
        assert_eq!(tally.pass(at(1_250_000), 18), (10, Duration::from_secs(1000)));
    }

    proptest! {
        #[test]
        fn however_often_it_is_looked_at_it_stays_small_and_near_the_truth(
            looks in prop::collection::vec((1..3000u64, 0..4u64), 1..2000),
        ) {
            let mut tally = Tally::new(WINDOW);
            let (mut history, mut now, mut count) = (Vec::new(), 0, 0);
            for (later, more) in looks {
                (now, count) = (now + later, count + more);
                history.push((now, count));
                let (passed, since) = tally.pass(at(now), count);
                let begun = now - u64::try_from(since.as_millis()).unwrap();
                let before = history.iter().find(|(at, _)| *at == begun).unwrap().1;
                prop_assert_eq!(passed, count - before);
                // The window, a step, and the time between two looks.
                prop_assert!(since <= WINDOW + WINDOW / STEPS + Duration::from_secs(3) + Duration::from_millis(later));
                prop_assert!(tally.marks.len() <= STEPS as usize + 2);
            }
        }
    }
}
