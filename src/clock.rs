//! The only place that asks what time it is. Virtual in tests, where tokio's clock is paused.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::model::{Monotonic, Timestamp};

/// Tells both times. Cheap to clone; every clone tells the same.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    wall: Wall,
}

#[derive(Debug, Clone, Copy)]
enum Wall {
    System,
    /// Civil time that starts here and keeps step with tokio's clock.
    Simulated(Timestamp),
}

impl Clock {
    /// The machine's clocks; the daemon starts now.
    pub fn system() -> Self {
        Self { origin: tokio_now(), wall: Wall::System }
    }

    /// A clock whose civil time starts at `start` and runs with tokio's, paused or not.
    pub fn simulated(start: Timestamp) -> Self {
        Self { origin: tokio_now(), wall: Wall::Simulated(start) }
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
                Timestamp::from_millis(start.as_millis().saturating_add(gone))
            }
        }
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
