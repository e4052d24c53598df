//! Waiting for a condition. An emulated machine on a busy one is slow, and how slow proves nothing.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// What is not so by then never will be.
pub const DEADLINE: Duration = Duration::from_secs(180);

const STEP: Duration = Duration::from_millis(20);

/// Looks until it is so. Bounded.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let (_silent, tick) = channel::<()>();
    for _ in 0..DEADLINE.as_millis() / STEP.as_millis() {
        if so() {
            return;
        }
        assert_eq!(tick.recv_timeout(STEP), Err(RecvTimeoutError::Timeout));
    }
    panic!("{what}: not within {} s", DEADLINE.as_secs());
}
