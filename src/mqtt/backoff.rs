//! How long to wait before the next attempt to connect.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// The pause after `failures` attempts have failed one after another: 1 s, doubling to 60 s, less up to a fifth.
/// `jitter` is 0..1 and chance, so that many nodes do not all come back to a broker at one moment.
pub(super) fn pause(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(6));
    doubled.min(LONGEST).mul_f64(1.0 - 0.2 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_minute() {
        let seconds: Vec<u64> = [1, 2, 3, 6, 7, 8, u32::MAX].map(|failures| pause(failures, 0.0).as_secs()).to_vec();
        assert_eq!(seconds, [1, 2, 4, 32, 60, 60, 60]);
        assert_eq!(pause(1, 1.0), Duration::from_millis(800));
    }
}
