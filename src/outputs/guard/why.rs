//! Why an output is as it is: short sentences for people.
//!
//! A sentence stays the same for as long as its reason does, so that nobody is told the same thing anew at every step. So a rest
//! is told by its length, which counts from when it began.

use std::fmt;
use std::time::Duration;

use super::{Budget, Starts};
use crate::config::written;
use crate::model::{Interlock, Level, OutputId, Owner};

/// Why an output is as it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// Nobody asks, so it is at its safe level.
    NoDemand,
    /// Somebody's demand is followed.
    Asked(Owner, Level),
    /// It was to go off, but has not been on for `min_on` yet.
    HeldOn,
    /// It was to go on, but has not been off for `min_off` yet.
    HeldOff,
    /// It has been on for `max_on`, and is off for `min_off` now.
    Resting,
    /// It has been on for all of this budget, and rests for so long, from when that was found.
    Spent(Budget, Duration),
    /// It has had all these starts, and stays off for so long, from when that was found.
    Started(Starts, Duration),
    /// Another output does not let it be on.
    Interlocked(Blocked),
    /// It goes on as soon as the disk knows of it.
    Recording,
    /// The daemon stops, so it is at its safe level whoever asks.
    Stopping,
}

/// What another output does to this one: it may not be on now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The other output.
    pub by: OutputId,
    /// What the two have to do with each other.
    pub how: Interlock,
}

impl Why {
    /// Whether it keeps the output from what it is asked for, or from its safe level if nobody asks.
    pub fn is_limit(&self) -> bool {
        match self {
            Self::NoDemand | Self::Asked(..) | Self::Stopping => false,
            Self::HeldOn
            | Self::HeldOff
            | Self::Resting
            | Self::Spent(..)
            | Self::Started(..)
            | Self::Interlocked(_)
            | Self::Recording => true,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDemand => f.write_str("no live demand"),
            Self::Asked(owner, level) => write!(f, "{owner} asks for {level}"),
            Self::HeldOn => f.write_str("held on for min_on"),
            Self::HeldOff => f.write_str("held off for min_off"),
            Self::Resting => f.write_str("on for max_on; resting"),
            Self::Spent(budget, rest) => write!(f, "its {budget} are used up; may be on again after {}", rough(*rest)),
            Self::Started(starts, rest) => {
                write!(f, "has had its {starts}; may start again after {}", rough(*rest))
            }
            Self::Interlocked(blocked) => blocked.fmt(f),
            Self::Recording => f.write_str("waits until the disk knows of it"),
            Self::Stopping => f.write_str("stopping"),
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.how {
            Interlock::OnlyWhile => write!(f, "may only be on while {} is on", self.by),
            Interlock::NeverWith => write!(f, "may not be on while {} is on", self.by),
        }
    }
}

/// `6h per day`
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", written(self.on), window(self.window))
    }
}

/// `6 starts per hour`
impl fmt::Display for Starts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let starts = if self.most == 1 { "start" } else { "starts" };
        write!(f, "{} {starts} per {}", self.most, window(self.window))
    }
}

/// A window after "per": `hour`, `day`, `7d`, `6h`.
fn window(window: Duration) -> String {
    const DAY: u64 = 24 * 3600;
    match (window.as_secs(), window.subsec_nanos()) {
        (3600, 0) => "hour".to_owned(),
        (DAY, 0) => "day".to_owned(),
        (secs, 0) if secs > 0 && secs.is_multiple_of(DAY) => format!("{}d", secs / DAY),
        _ => written(window),
    }
}

/// Up to the next second, or the next minute where seconds say nothing.
fn rough(rest: Duration) -> String {
    let unit = if rest < Duration::from_secs(600) { 1 } else { 60 };
    let secs = rest.as_secs() + u64::from(rest.subsec_nanos() > 0);
    written(Duration::from_secs(secs.div_ceil(unit).saturating_mul(unit)))
}
