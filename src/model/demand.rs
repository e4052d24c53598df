//! Who wants an output at which level, how urgently, and until when.

use std::fmt;
use std::sync::Arc;

use super::{ChannelId, Level, Monotonic};

/// BACnet's idea of a priority array: the highest live demand wins. In ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// A closed loop.
    Controller,
    /// A time table.
    Schedule,
    /// A condition.
    Rule,
    /// A person.
    Manual,
    /// What protects people and plants.
    Safety,
}

/// Who demands: `controllers.warmth`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(Arc<str>);

impl Owner {
    /// An owner by its path in the configuration.
    pub fn new(path: &str) -> Self {
        Self(path.into())
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Owner({})", self.0)
    }
}

/// A wish for an output under a lease. It replaces the earlier wish of its owner, and is void once the lease is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// Who.
    pub owner: Owner,
    /// How urgently.
    pub priority: Priority,
    /// What.
    pub wish: Wish,
    /// The end of the lease.
    pub until: Monotonic,
    /// What it rests on, for whoever asks why.
    pub because: Option<Arc<Because>>,
}

/// What is wanted of an output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wish {
    /// This level.
    Level(Level),
    /// Its safe level, whichever that is: nobody of a lower priority gets anything else.
    Safe,
    /// Nothing any more: the owner's earlier wish is taken back.
    Nothing,
}

/// What a controller's demand rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Because {
    /// The process value's channel,
    pub input: ChannelId,
    /// the value,
    pub value: f64,
    /// and the number of that reading.
    pub seq: u64,
    /// What was aimed at.
    pub setpoint: f64,
    /// What the controller made of it.
    pub terms: Terms,
}

/// The parts of a PID's output.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Terms {
    /// Proportional to the error.
    pub p: f64,
    /// To the error's sum over time.
    pub i: f64,
    /// To the speed of the process value.
    pub d: f64,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, value, seq, setpoint, terms: Terms { p, i, d } } = self;
        write!(f, "{input} is {value:.2} (reading {seq}), aiming at {setpoint:.2}: p {p:+.3}, i {i:+.3}, d {d:+.3}")
    }
}
