//! The plant watch: notices when power has no effect, and when there is an effect without power. Pure; time comes from the readings.
//!
//! - *Power without effect*: a direction was at full power for all of `within`, its process value short of the setpoint, and
//!   did not move by `gain`, counted from its furthest point in that time. The heater is not plugged in, its fuse has gone,
//!   the sensor has fallen off. Each move by `gain` begins a new window, as in Klipper's `verify_heater`, where the goal is
//!   also set `gain` above the lowest temperature seen, so that a slow start or a door that was open is no fault.
//! - *Effect without power*: a direction was off for at least `within`, and in a time no longer than that the process value
//!   moved on beyond the setpoint by `idle_gain`. A relay is stuck. Sun and weather move a plant too, so this one is only
//!   watched for when it is asked for, and `idle_gain` must be more than they can do in `within`.
//!
//! What the plant cannot do the watch takes for a fault: where a cold night can hold a heater that is too weak at full power, a
//! `within` that suits the day is a false alarm, and the outputs are at their safe levels until a person comes.

use std::time::Duration;

use crate::config::written;
use crate::model::{ChannelId, Level, Monotonic, OutputId};

/// A controller hardly ever is at its very limit; above this it has nothing left to give.
const FULL: f64 = 0.95;

/// The `watch` of a controller, checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How far full power must move the process value, above 0, in its unit …
    pub gain: f64,
    /// … within this time.
    pub within: Duration,
    /// How far it may move beyond the setpoint without power in that time, above 0; `None`: as far as it likes.
    pub idle_gain: Option<f64>,
}

/// Which way an output moves the process value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Up.
    Raise,
    /// Down.
    Lower,
}

/// How much power goes one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// None at all.
    Off,
    /// Some, or nobody knows: nothing follows from it.
    Some,
    /// As good as all there is.
    Full,
}

impl Power {
    /// From what the controller asks for and what the output says it gives, which a limit or a person may hold elsewhere.
    pub fn of(asked: Level, given: Level) -> Self {
        if !asked.is_on() && !given.is_on() {
            Self::Off
        } else if asked.get() >= FULL && given.get() >= FULL {
            Self::Full
        } else {
            Self::Some
        }
    }
}

/// What is wrong with the plant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trip {
    /// Full power this way moved the process value by so little (below 0: the other way).
    PowerWithoutEffect(Direction, f64),
    /// Without power this way the process value moved on by so much.
    EffectWithoutPower(Direction, f64),
}

impl Trip {
    /// Whose output is to be looked at.
    pub fn direction(&self) -> Direction {
        match self {
            Self::PowerWithoutEffect(direction, _) | Self::EffectWithoutPower(direction, _) => *direction,
        }
    }

    /// What a person is told.
    pub fn text(&self, output: &OutputId, input: &ChannelId, unit: &str, within: Duration) -> String {
        let within = written(within);
        match *self {
            Self::PowerWithoutEffect(direction, moved) => {
                let moved = match (direction, moved < 0.0) {
                    (Direction::Raise, false) => format!("only rose by {moved:.2} {unit}"),
                    (Direction::Lower, false) => format!("only fell by {moved:.2} {unit}"),
                    (Direction::Raise, true) => format!("fell by {:.2} {unit}", -moved),
                    (Direction::Lower, true) => format!("rose by {:.2} {unit}", -moved),
                };
                format!(
                    "{output} at full power for {within}, and {input} {moved}: does {output} have power, is the sensor in its place?"
                )
            }
            Self::EffectWithoutPower(direction, moved) => {
                let way = if direction == Direction::Raise { "rose" } else { "fell" };
                format!(
                    "{output} off for {within}, and {input} still {way} by {moved:.2} {unit}: is its switch stuck? If so, cut its power."
                )
            }
        }
    }
}

/// The watch over one controller's plant.
#[derive(Debug, Clone)]
pub struct Watch {
    settings: Settings,
    max_gap: Duration,
    seen: Option<Monotonic>,
    raise: Side,
    lower: Side,
}

/// One direction, with values turned round so that "further" is always up.
#[derive(Debug, Clone, Default)]
struct Side {
    driven: Option<Driven>,
    idle: Option<Idle>,
}

/// At full power.
#[derive(Debug, Clone, Copy)]
struct Driven {
    since: Monotonic,
    began: f64,
    lowest: f64,
}

/// Without power.
#[derive(Debug, Clone, Copy)]
struct Idle {
    since: Monotonic,
    /// The move is counted from here; not longer ago than `within`.
    from: (Monotonic, f64),
}

impl Watch {
    /// A watch that has seen nothing. A silence longer than `max_gap` begins its windows anew.
    pub fn new(settings: Settings, max_gap: Duration) -> Self {
        Self { settings, max_gap, seen: None, raise: Side::default(), lower: Side::default() }
    }

    /// There is no usable reading: what was seen before says nothing of what comes after.
    pub fn pause(&mut self) {
        *self = Self::new(self.settings, self.max_gap);
    }

    /// A reading of `value` taken at `at`, and the power that goes each way. One that is not newer than the last is passed over.
    pub fn see(&mut self, at: Monotonic, value: f64, setpoint: f64, raise: Power, lower: Power) -> Option<Trip> {
        if !value.is_finite() || !setpoint.is_finite() || self.seen.is_some_and(|seen| at <= seen) {
            return None;
        }
        if self.seen.is_some_and(|seen| at.since(seen) > self.max_gap) {
            self.pause();
        }
        self.seen = Some(at);
        let up = self.raise.see(&self.settings, at, value, setpoint, raise);
        let down = self.lower.see(&self.settings, at, -value, -setpoint, lower);
        let trip = |moved: Moved, direction| match moved {
            Moved::TooLittle(moved) => Trip::PowerWithoutEffect(direction, moved),
            Moved::TooFar(moved) => Trip::EffectWithoutPower(direction, moved),
        };
        up.map(|moved| trip(moved, Direction::Raise)).or_else(|| down.map(|moved| trip(moved, Direction::Lower)))
    }
}

enum Moved {
    TooLittle(f64),
    TooFar(f64),
}

impl Side {
    fn see(&mut self, settings: &Settings, at: Monotonic, value: f64, setpoint: f64, power: Power) -> Option<Moved> {
        let &Settings { gain, within, idle_gain } = settings;
        let short = power == Power::Full && value < setpoint;
        self.driven = short.then(|| self.driven.unwrap_or(Driven { since: at, began: value, lowest: value }));
        if let Some(driven) = &mut self.driven {
            driven.lowest = driven.lowest.min(value);
            if value - driven.lowest >= gain {
                *driven = Driven { since: at, began: value, lowest: value };
            } else if at.since(driven.since) >= within {
                return Some(Moved::TooLittle(value - driven.began));
            }
        }
        let idle_gain = idle_gain?;
        let beyond = power == Power::Off && value > setpoint;
        self.idle = beyond.then(|| self.idle.unwrap_or(Idle { since: at, from: (at, value) }));
        if let Some(idle) = &mut self.idle {
            if at.since(idle.since) >= within && value - idle.from.1 >= idle_gain {
                return Some(Moved::TooFar(value - idle.from.1));
            }
            if at.since(idle.from.0) >= within {
                idle.from = (at, value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
