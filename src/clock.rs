//! The only place that asks what time it is. Virtual in tests, where tokio's clock is paused.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::model::{Monotonic, Timestamp};

/// Two looks that are no further apart are as one.
const TOGETHER: Duration = Duration::from_millis(1);

/// So many more are taken when they are.
const LOOKS: u32 = 4;

/// Tells both times. Cheap to clone; every clone tells the same.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    wall: Wall,
}

#[derive(Debug, Clone, Copy)]
enum Wall {
    System,
    /// Civil time that was this (milliseconds since 1970) when the daemon started and keeps step with tokio's clock. Leaked,
    /// so that a clock can be copied; a test makes few.
    Simulated(&'static AtomicI64),
}

impl Clock {
    /// The machine's clocks; the daemon starts now.
    pub fn system() -> Self {
        Self { origin: tokio_now(), wall: Wall::System }
    }

    /// A clock whose civil time starts at `start` and runs with tokio's, paused or not.
    pub fn simulated(start: Timestamp) -> Self {
        let start = Box::leak(Box::new(AtomicI64::new(start.as_millis())));
        Self { origin: tokio_now(), wall: Wall::Simulated(start) }
    }

    /// For tests: simulated civil time jumps by so many milliseconds, as when NTP or a person sets it. The machine's own clock
    /// is not ours to move.
    pub fn jump(&self, millis: i64) {
        if let Wall::Simulated(start) = self.wall {
            let moved = start.load(Ordering::Relaxed).saturating_add(millis);
            start.store(moved, Ordering::Relaxed);
        }
    }

    /// Time since the daemon started.
    pub fn now(&self) -> Monotonic {
        Monotonic::new(tokio_now().saturating_duration_since(self.origin))
    }

    /// Civil time.
    pub fn wall(&self) -> Timestamp {
        match self.wall {
            Wall::System => {
                let since_1970 = system_now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                Timestamp::from_millis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
            }
            Wall::Simulated(start) => {
                let gone = i64::try_from(self.now().since_start().as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(start.load(Ordering::Relaxed).saturating_add(gone))
            }
        }
    }

    /// Civil time at an earlier moment, as civil time is now. A thread may be held up between its looks at the two clocks, and then
    /// later moments would seem earlier; so the closest of a few pairs of looks counts.
    pub fn wall_at(&self, at: Monotonic) -> Timestamp {
        let look = || {
            let (before, wall, after) = (self.now(), self.wall(), self.now());
            (after.since(before), wall - before.since(at))
        };
        let mut closest = look();
        for _ in 0..LOOKS {
            if closest.0 <= TOGETHER {
                break;
            }
            let again = look();
            if again.0 < closest.0 {
                closest = again;
            }
        }
        closest.1
    }

    /// What tokio's timers call this moment.
    pub fn instant(&self, at: Monotonic) -> Instant {
        self.origin + at.since_start()
    }

    /// The next multiple of `interval` since the start, strictly ahead: what has the same interval falls together.
    pub fn next_multiple(&self, interval: Duration) -> Monotonic {
        let interval = interval.max(Duration::from_millis(1)).as_nanos();
        let next = (self.now().since_start().as_nanos() / interval + 1).saturating_mul(interval);
        Monotonic::new(Duration::from_nanos(u64::try_from(next).unwrap_or(u64::MAX)))
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that may")]
fn tokio_now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the one place that may")]
fn system_now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_earlier_moment_has_the_civil_time_of_now_less_its_age() {
        let clock = Clock::simulated(Timestamp::from_millis(1_000));
        let at = clock.now();
        tokio::time::advance(Duration::from_millis(70)).await;
        assert_eq!(clock.wall_at(at).as_millis(), 1_000);
        clock.jump(-500);
        assert_eq!(clock.wall_at(at).as_millis(), 500);
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_moves_civil_time_and_nothing_else() {
        const YEAR: i64 = 365 * 24 * 3600 * 1000;
        let clock = Clock::simulated(Timestamp::from_millis(1_000));
        let copy = clock;
        tokio::time::advance(Duration::from_millis(7)).await;
        for (by, expected) in [(YEAR, YEAR + 1_007), (-3 * YEAR, -2 * YEAR + 1_007), (i64::MIN, i64::MIN + 7)] {
            clock.jump(by);
            assert_eq!(copy.wall().as_millis(), expected);
            assert_eq!(clock.now(), Monotonic::new(Duration::from_millis(7)));
        }
    }
}
