//! Who wants an output at which level, how urgently, and until when.

use std::fmt;
use std::sync::Arc;

use super::{Level, Monotonic};

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

/// A wish for an output's level under a lease. It replaces the earlier wish of its owner, and is void once the lease is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// Who.
    pub owner: Owner,
    /// How urgently.
    pub priority: Priority,
    /// How much; `None` takes the owner's earlier wish back.
    pub level: Option<Level>,
    /// The end of the lease.
    pub until: Monotonic,
}
