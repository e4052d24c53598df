//! Time-proportioning: the level of a switch becomes the length of one pulse in each window of one cycle.
//!
//! A window begins with its pulse, as soon as there is a level above zero, so a demand from rest acts at once. The pulse
//! follows the level while it runs: a rising level makes it longer, a falling one shorter, zero ends it. Once it has
//! ended, there is no second pulse in this window. Level 1 is no pulse: it is on at once, and stays on across windows.
//!
//! A pulse shorter than `min_on` is not given. One that would leave an off part shorter than `min_off` becomes the
//! whole window or leaves `min_off`, whichever is nearer. What a window gave too little or too much of what was asked
//! goes into the next one, so small levels are not lost and the average stays true. What is owed never exceeds the
//! longer of `min_on` and `min_off`, for it comes from them only; what was given too much counts up to one cycle.
//! No window follows one that ends at level zero, and what was owed is forgotten then.

use std::time::Duration;

use super::Limits;
use crate::model::{Level, Monotonic};

#[derive(Debug, Clone)]
pub(super) struct Pulses {
    plan: Plan,
    /// What was asked for at the last step, and so until this one.
    level: Level,
    window: Option<Window>,
}

#[derive(Debug, Clone)]
struct Window {
    start: Monotonic,
    end: Monotonic,
    /// Seconds of on-time that earlier windows owe (or, below zero, gave too much).
    owed: f64,
    /// Seconds of on-time that the levels of this window add up to.
    asked: f64,
    /// Seconds that it was on.
    given: f64,
    /// Whether it has had a pulse, or still has it: the line is on then.
    begun: bool,
}

impl Pulses {
    pub fn new(cycle: Duration, limits: &Limits) -> Self {
        let plan = Plan { cycle, min_on: limits.min_on, min_off: limits.min_off };
        Self { plan, level: Level::OFF, window: None }
    }

    /// Other `min_on` and `min_off` from the next decision on.
    pub fn set_limits(&mut self, limits: &Limits) {
        (self.plan.min_on, self.plan.min_off) = (limits.min_on, limits.min_off);
    }

    /// Takes account of the time since the last step, in which the line was `on` or not.
    pub fn pass(&mut self, time: Duration, on: bool) {
        if let Some(window) = &mut self.window {
            window.asked += self.level.get() * time.as_secs_f64();
            window.given += if on { time.as_secs_f64() } else { 0.0 };
        }
    }

    /// Whether the line is to be on now, and when that changes. `on` is what it is, `may_turn_on` whether `min_off` is over.
    pub fn step(&mut self, level: Level, now: Monotonic, on: bool, may_turn_on: bool) -> (bool, Option<Monotonic>) {
        let before = std::mem::replace(&mut self.level, level);
        self.window.take_if(|window| now >= window.end && !before.is_on());
        if !level.is_on() {
            return (false, None);
        }
        if let Some(window) = &mut self.window {
            let pulse = self.plan.pulse(level, window.owed);
            if on {
                let end = window.start + pulse;
                if now < end {
                    return (true, Some(end));
                }
                if pulse < self.plan.cycle {
                    if now >= window.end {
                        // The call came late; the off part is given all the same, or the next pulse would join this one.
                        window.end = now + (self.plan.cycle - pulse);
                    }
                    return (false, Some(window.end));
                }
            } else if now < window.end && level < Level::ON && (window.begun || pulse.is_zero()) {
                return (false, Some(window.end));
            }
        }
        if !on && !may_turn_on {
            return (true, None);
        }
        self.open(level, now, on)
    }

    fn open(&mut self, level: Level, now: Monotonic, on: bool) -> (bool, Option<Monotonic>) {
        let owed =
            self.window.as_ref().map_or(0.0, |window| self.plan.bounded(window.owed + window.asked - window.given));
        let pulse = self.plan.pulse(level, owed);
        let end = now + self.plan.cycle;
        let begun = on || !pulse.is_zero();
        self.window = Some(Window { start: now, end, owed, asked: 0.0, given: 0.0, begun });
        if pulse.is_zero() { (false, Some(end)) } else { (true, Some(now + pulse)) }
    }
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    cycle: Duration,
    min_on: Duration,
    min_off: Duration,
}

impl Plan {
    /// How long the pulse of a window is: zero, at least `min_on` with at least `min_off` after it, or the whole cycle.
    fn pulse(self, level: Level, owed: f64) -> Duration {
        if level == Level::ON {
            return self.cycle;
        }
        let cycle = self.cycle.as_secs_f64();
        let ideal = (level.get() * cycle + owed).clamp(0.0, cycle);
        let ideal = Duration::try_from_secs_f64(ideal).unwrap_or_default().min(self.cycle);
        if ideal < self.min_on || self.cycle < self.min_on {
            return Duration::ZERO;
        }
        let longest = self.cycle.saturating_sub(self.min_off);
        if ideal <= longest || ideal == self.cycle {
            return ideal;
        }
        let short = if longest >= self.min_on { longest } else { Duration::ZERO };
        if self.cycle - ideal < ideal - short { self.cycle } else { short }
    }

    fn bounded(self, owed: f64) -> f64 {
        owed.clamp(-self.cycle.as_secs_f64(), self.min_on.max(self.min_off).min(self.cycle).as_secs_f64())
    }
}
