//! The arithmetic of a PID controller: pure, in parallel form, with time taken from the readings.
//!
//! `u = P + I + D` is clamped to the output limits, where with error `e = setpoint − input`:
//! - `P = kp·e`
//! - `I` grows by `ki·e·dt`, by the trapezoidal rule over the input. While `u` lies outside the limits by `x`, it is drawn back
//!   by `x·(1 − exp(−dt/Tt))`: back-calculation, with the tracking time of Åström and Hägglund, "Advanced PID Control" (2006),
//!   section 3.5: `Tt = √(Ti·Td) = √(kd/ki)`, or `Ti = kp/ki` without a derivative. The exponential makes any dt stable.
//! - `D = −kd·v`, with `v` the speed of the input behind a first-order filter, solved exactly for an input that moves
//!   evenly between two readings: `v` goes to `Δinput/dt` by `1 − exp(−dt/filter)`. The setpoint does not enter.
//!
//! A changed setpoint does not kick: the integral takes up the jump of `P`, and then works the new error off. Only the very
//! first step acts on the whole error at once. Without `ki` nothing could work it off, so there `P` jumps.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::{Monotonic, Terms};

/// Parallel form: `output = kp·error + ki·∫error dt − kd·d(input)/dt`, with the output in -1..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gains {
    /// Output per unit of error.
    pub kp: f64,
    /// Output per unit of error and second.
    pub ki: f64,
    /// Output per unit per second of the input's speed: seconds.
    pub kd: f64,
    /// Time constant of the derivative's filter.
    pub filter: Duration,
}

impl Gains {
    /// Whether a controller can work with them; the error says which cannot be and what to write instead.
    ///
    /// # Errors
    /// A gain that is negative or not finite, or all three at zero.
    pub fn check(&self) -> Result<(), String> {
        let gains = [("kp", self.kp), ("ki", self.ki), ("kd", self.kd)];
        for (name, gain) in gains {
            if !gain.is_finite() {
                return Err(format!("{name} is {gain}; write a finite number"));
            }
            if gain < 0.0 {
                return Err(format!(
                    "{name} is {gain}; gains are not negative: `raise` and `lower` give the direction"
                ));
            }
        }
        if gains.iter().all(|(_, gain)| *gain == 0.0) {
            return Err("kp, ki and kd are all 0, so the output never moves; set at least kp or ki".into());
        }
        Ok(())
    }

    /// How fast the integral follows the clamped output, in seconds. Without `kp` and `kd` it follows at once.
    fn tracking(&self) -> f64 {
        if self.kd > 0.0 { (self.kd / self.ki).sqrt() } else { self.kp / self.ki }
    }
}

/// What a step gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Output {
    /// Within the limits; above 0 it raises, below 0 it lowers.
    pub output: f64,
    /// Its parts, before the limits.
    pub terms: Terms,
}

/// A PID controller between two readings.
#[derive(Debug, Clone)]
pub struct Pid {
    gains: Gains,
    limits: (f64, f64),
    max_gap: Duration,
    integral: f64,
    /// The filtered speed of the input, per second.
    speed: f64,
    setpoint: Option<f64>,
    seen: Option<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: Monotonic,
    input: f64,
}

impl Pid {
    /// A controller that knows nothing yet. `limits` lie within -1..=1; what is outside is cut off. `gains` have been
    /// [checked](Gains::check). Across a silence longer than `max_gap` it neither integrates nor differentiates.
    pub fn new(gains: Gains, limits: RangeInclusive<f64>, max_gap: Duration) -> Self {
        #[expect(clippy::manual_clamp, reason = "clamp would keep a NaN")]
        let low = limits.start().max(-1.0).min(1.0);
        let high = limits.end().min(1.0).max(low);
        Self { gains, limits: (low, high), max_gap, integral: 0.0, speed: 0.0, setpoint: None, seen: None }
    }

    /// Works out the output for a reading of `input` taken at `at`. A reading that is not newer than the last one is
    /// passed over: time has not gone on, so nothing is integrated, and the newer input stands.
    ///
    /// `None`, and nothing changes, if `setpoint` or `input` is not a finite number.
    pub fn step(&mut self, setpoint: f64, input: f64, at: Monotonic) -> Option<Output> {
        if !setpoint.is_finite() || !input.is_finite() {
            return None;
        }
        let before = self.setpoint.replace(setpoint).unwrap_or(setpoint);
        if self.gains.ki > 0.0 {
            self.integral = bounded(self.integral - self.gains.kp * bounded(setpoint - before));
        }
        let earlier = self.seen.map_or(input, |seen| seen.input);
        let (input, dt) = self.see(input, at);
        if let Some(dt) = dt {
            let error = bounded(setpoint - (earlier / 2.0 + input / 2.0));
            self.integral = bounded(self.integral + bounded(self.gains.ki * error) * dt);
        }
        let (p, d) = self.moving(setpoint, input);
        let free = p + self.integral + d;
        let output = free.clamp(self.limits.0, self.limits.1);
        if let Some(dt) = dt.filter(|_| self.gains.ki > 0.0) {
            self.integral += (output - free) * (1.0 - (-dt / self.gains.tracking()).exp());
        }
        Some(Output { output, terms: Terms { p, i: self.integral, d } })
    }

    /// Follows an `output` that somebody else sets, so that the next [step](Self::step) goes on from there without a bump.
    /// To be called with every reading while in manual. Without `ki` nothing can hold the difference, and the output jumps.
    ///
    /// Arguments that are not finite change nothing.
    pub fn track(&mut self, output: f64, setpoint: f64, input: f64, at: Monotonic) {
        if !output.is_finite() || !setpoint.is_finite() || !input.is_finite() {
            return;
        }
        self.setpoint = Some(setpoint);
        let (input, _) = self.see(input, at);
        if self.gains.ki > 0.0 {
            let (p, d) = self.moving(setpoint, input);
            self.integral = output.clamp(self.limits.0, self.limits.1) - p - d;
        }
    }

    /// For when there is no usable reading: the next step keeps the integral and otherwise begins anew.
    pub fn pause(&mut self) {
        self.seen = None;
        self.speed = 0.0;
    }

    /// Takes note of a reading. Gives the newest input, and the seconds since the one before it, if they are to count.
    fn see(&mut self, input: f64, at: Monotonic) -> (f64, Option<f64>) {
        let before = match self.seen {
            Some(seen) if at <= seen.at => return (seen.input, None),
            seen => seen.filter(|seen| at.since(seen.at) <= self.max_gap),
        };
        self.seen = Some(Seen { at, input });
        let Some(before) = before else {
            self.speed = 0.0;
            return (input, None);
        };
        let dt = at.since(before.at).as_secs_f64();
        let slope = bounded((input - before.input) / dt);
        self.speed = slope + (self.speed - slope) * (-dt / self.gains.filter.as_secs_f64()).exp();
        (input, Some(dt))
    }

    /// The terms without memory of their own.
    fn moving(&self, setpoint: f64, input: f64) -> (f64, f64) {
        (bounded(self.gains.kp * bounded(setpoint - input)), bounded(0.0 - self.gains.kd * self.speed))
    }
}

/// Far beyond any output of -1..=1, and far from where sums of finite numbers become infinite and differences NaN.
fn bounded(value: f64) -> f64 {
    value.clamp(-1e9, 1e9)
}

#[cfg(test)]
mod tests;
