//! Whether a value can follow on the last: not faster than things change, and not for ever the same.

use std::time::Duration;

use super::shown;
use crate::config::written;
use crate::model::Monotonic;

/// At so many values in a row that agree with one another, a jump was a real step.
const CONFIRMATIONS: u32 = 3;

/// `"2 per 10s"`
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    /// In the channel's unit, above 0.
    pub(super) change: f64,
    /// Above 0.
    pub(super) per: Duration,
}

impl Rate {
    fn allows(self, from: (f64, Monotonic), to: (f64, Monotonic)) -> bool {
        let periods = to.1.since(from.1).as_secs_f64() / self.per.as_secs_f64();
        (to.0 - from.0).abs() <= self.change * periods
    }
}

/// Holds each value against the last accepted one, so that a single spike neither passes nor makes the next value suspect.
#[derive(Debug, Clone, Default)]
pub(super) struct RateOfChange {
    accepted: Option<(f64, Monotonic)>,
    /// The latest of the values in a row that were too far from the accepted one, but not from one another; and how many.
    apart: Option<((f64, Monotonic), u32)>,
}

/// A value that came too fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Jump {
    from: f64,
    to: f64,
    within: Duration,
    rate: Rate,
}

impl RateOfChange {
    /// The jump that this value would be, unless it is accepted. The longer ago the last accepted value, the further away
    /// the next may be.
    pub(super) fn judge(&mut self, value: f64, at: Monotonic, rate: Rate) -> Option<Jump> {
        let now = (value, at);
        let Some(last) = self.accepted.filter(|last| !rate.allows(*last, now)) else {
            self.accept(now);
            return None;
        };
        let in_a_row = match self.apart {
            Some((before, count)) if rate.allows(before, now) => count + 1,
            _ => 1,
        };
        if in_a_row >= CONFIRMATIONS {
            self.accept(now);
            return None;
        }
        self.apart = Some((now, in_a_row));
        Some(Jump { from: last.0, to: value, within: at.since(last.1), rate })
    }

    /// A value came between that cannot be: what follows is in no row with what was before.
    pub(super) fn interrupt(&mut self) {
        self.apart = None;
    }

    fn accept(&mut self, now: (f64, Monotonic)) {
        self.accepted = Some(now);
        self.apart = None;
    }
}

impl Jump {
    pub(super) fn told(&self, unit: &str) -> String {
        let (from, to, within) = (shown(self.from), shown(self.to), told(self.within));
        let Rate { change, per } = self.rate;
        format!(
            "jumps impossibly: from {from} to {to} {unit} within {within}, and it can change by {change} {unit} per {}",
            written(per)
        )
    }
}

/// For how long the raw value has been exactly the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Repetition {
    same: Option<(f64, Monotonic)>,
}

impl Repetition {
    /// Takes note of a value, and says since how long it is the same.
    pub(super) fn note(&mut self, raw: f64, at: Monotonic) -> Duration {
        let since = match self.same {
            Some((same, since)) if same == raw => since,
            _ => at,
        };
        self.same = Some((raw, since));
        at.since(since)
    }
}

pub(super) fn stuck(value: f64, same_for: Duration, unit: &str) -> String {
    format!("has been exactly {} {unit} for {}; the sensor may be stuck", shown(value), told(same_for))
}

/// A duration that was measured, without what nobody wants to read.
fn told(duration: Duration) -> String {
    let precise = duration < Duration::from_secs(10);
    let millis = duration.as_millis();
    let millis = if precise { millis } else { (millis + 500) / 1000 * 1000 };
    written(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
}
