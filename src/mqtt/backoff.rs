//! How long to wait before the next attempt to connect.

use std::time::Duration;

use super::MqttError;

const FIRST: Duration = Duration::from_secs(1);

/// A broker that is back is to know everything within five seconds, however long it was away, and an attempt at one that is not
/// there costs next to nothing.
const LONGEST: Duration = Duration::from_secs(3);

/// Where the broker or its machine says no, nothing changes before a person does something, and it need not be asked so often.
const LONGEST_AFTER_A_NO: Duration = Duration::from_secs(60);

/// The pause after `failures` attempts have failed one after another, the last one with `error`: 1 s, doubling up to the longest,
/// less up to a fifth. `jitter` is 0..1 and chance, so that many nodes do not all come back to a broker at one moment.
pub(super) fn pause(failures: u32, error: &MqttError, jitter: f64) -> Duration {
    let longest = match error {
        MqttError::Unreachable { .. } | MqttError::Lost { .. } => LONGEST,
        _ => LONGEST_AFTER_A_NO,
    };
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(6));
    doubled.min(longest).mul_f64(1.0 - 0.2 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_three_seconds_and_after_a_no_up_to_a_minute() {
        let lost = MqttError::Lost { broker: "pi".into(), reason: "gone".into() };
        let no = MqttError::Refused { broker: "pi".into(), reason: "no".into() };
        let seconds = |error| [1, 2, 3, 6, 7, 8, u32::MAX].map(|failures| pause(failures, error, 0.0).as_secs());
        assert_eq!(seconds(&lost), [1, 2, 3, 3, 3, 3, 3]);
        assert_eq!(seconds(&no), [1, 2, 4, 32, 60, 60, 60]);
        assert_eq!(pause(1, &lost, 1.0), Duration::from_millis(800));
    }
}
