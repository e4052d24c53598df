//! STUB of the guard's side of interlocks and records, so that the bank and the ledger stand on their own. To be dropped.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Guard, Limits};
use crate::model::{Monotonic, OutputId};

/// Another output stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Which.
    pub by: OutputId,
    /// How.
    pub how: Interlock,
}

/// How an output stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interlock {
    /// It is not on.
    OnlyWhile,
    /// It is not off.
    NeverWith,
}

/// What outlives the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    off_for: Option<u64>,
}

/// What must be on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What [`Guard::recorded`] is told.
    pub version: u64,
    /// What to write.
    pub memory: Memory,
}

impl Memory {
    /// Everything is used.
    pub fn spent() -> Self {
        Self { off_for: None }
    }

    /// How long it was off is not known.
    #[must_use]
    pub fn after_a_crash(self) -> Self {
        Self { off_for: None }
    }
}

impl Guard {
    /// A guard that goes on where another ended.
    pub fn restored(limits: Limits, memory: Option<&Memory>, aged: Duration, now: Monotonic) -> Self {
        let mut guard = Self::new(limits, now);
        if let Some(off) = memory.and_then(|memory| memory.off_for) {
            guard.off_before = Duration::from_millis(off) + aged;
        }
        guard
    }

    /// What to remember.
    pub fn memory(&self, now: Monotonic) -> Memory {
        let off = (!self.line.is_on()).then(|| now.since(self.since) + self.off_before);
        Memory { off_for: off.and_then(|off| u64::try_from(off.as_millis()).ok()) }
    }

    /// It is on disk.
    pub fn recorded(&mut self, _version: u64) {}
}
