//! The filter of a channel: what its sensor says, corrected, judged and smoothed. Pure: time comes in as an argument.
//!
//! ```text
//! raw ─▶ calibration ─▶ valid range ─▶ rate of change ─▶ stuck ─▶ smoothing ─▶ sample
//! ```
//!
//! - A value outside its `valid` range is bad: what cannot be must not be acted on.
//! - One that changes faster than `max_rate`, or has been exactly the same for `stuck_after`, is uncertain, or bad with
//!   `implausible = "bad"`.
//! - Only good values enter the smoothing. While it has some, an uncertain sample carries the smoothed value, so that a
//!   spike does not come through as uncertain either. Nothing here makes a value of a bad sample.
//!
//! The filter outlives its sensor's actor: a sensor that fails and comes back with the same value again and again is stuck
//! too.

mod calibration;
mod config;
mod plausible;
mod smoothing;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::time::Duration;

use self::calibration::Calibration;
use self::plausible::{Rate, RateOfChange, Repetition};
use self::smoothing::{Smoother, Smoothing};
use crate::model::{Monotonic, Quantity, Sample};

/// After a gap of so many intervals what was smoothed before says nothing of what comes after.
const GAP: u32 = 10;

/// What a `[sensors.NAME]` table says of one channel.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    calibration: Calibration,
    /// What can be measured where the sensor is.
    valid: Option<RangeInclusive<f64>>,
    max_rate: Option<Rate>,
    stuck_after: Option<Duration>,
    implausible: Implausible,
    smoothing: Option<Smoothing>,
}

/// What becomes of a value that jumps or is stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Implausible {
    /// It is used with care.
    #[default]
    Uncertain,
    /// It is not used.
    Bad,
}

/// The filter of one channel, and all that it remembers.
#[derive(Debug, Clone)]
pub struct Filter {
    options: Options,
    unit: &'static str,
    rate: RateOfChange,
    repetition: Repetition,
    smoother: Option<Smoother>,
}

impl Filter {
    /// A filter for a channel of this quantity that is read this often.
    pub fn new(options: Options, quantity: Quantity, every: Duration) -> Self {
        let smoother = options.smoothing.map(|smoothing| Smoother::new(smoothing, every.saturating_mul(GAP)));
        let (rate, repetition) = (RateOfChange::default(), Repetition::default());
        Self { options, unit: quantity.unit(), rate, repetition, smoother }
    }

    /// What the raw value of a reading at `at` is worth.
    pub fn pass(&mut self, raw: f64, at: Monotonic) -> Sample {
        if !raw.is_finite() {
            return Sample::measured(raw);
        }
        let same_for = self.repetition.note(raw, at);
        let value = self.options.calibration.apply(raw);
        if !value.is_finite() {
            return Sample::Bad(format!("the calibration makes no number of {raw}").into());
        }
        if let Some(valid) = self.options.valid.as_ref().filter(|valid| !valid.contains(&value)) {
            self.rate.interrupt();
            return Sample::Bad(outside(value, valid, self.unit).into());
        }
        let jump = self.options.max_rate.and_then(|rate| self.rate.judge(value, at, rate));
        let stuck = self.options.stuck_after.filter(|after| same_for >= *after);
        let doubt = jump
            .map(|jump| jump.told(self.unit))
            .or_else(|| stuck.map(|_| plausible::stuck(value, same_for, self.unit)));
        let Some(doubt) = doubt else {
            return Sample::Good(self.smoother.as_mut().map_or(value, |smoother| smoother.enter(value, at)));
        };
        match self.options.implausible {
            Implausible::Bad => Sample::Bad(doubt.into()),
            Implausible::Uncertain => {
                let smoothed = self.smoother.as_ref().and_then(|smoother| smoother.latest(at));
                Sample::Uncertain(smoothed.unwrap_or(value), doubt.into())
            }
        }
    }

    /// The device is opened anew, perhaps another one: nothing that was smoothed before goes into what it says.
    pub fn fresh_life(&mut self) {
        if let Some(smoother) = &mut self.smoother {
            smoother.restart();
        }
    }
}

fn outside(value: f64, valid: &RangeInclusive<f64>, unit: &str) -> String {
    let short = shown(value);
    // Rounding must not put it back into the range.
    let value = if valid.contains(&short) { value } else { short };
    format!("{value} {unit} is outside of the valid {} to {} {unit}", valid.start(), valid.end())
}

/// A value as it is told to people.
fn shown(value: f64) -> f64 {
    let rounded = (value * 100.0).round() / 100.0;
    if rounded.is_finite() { rounded } else { value }
}
