//! I²C buses on which a device holds SDA low, until it has been clocked often enough.

use std::collections::BTreeMap;

use super::super::clocking::{Line, Lines, free};
use crate::hardware::{HardwareError, Recovered};
use crate::model::Monotonic;

/// What is stuck, and who came to help.
#[derive(Default)]
pub(super) struct Stuck {
    /// By bus: the clocks that its device still waits for.
    held: BTreeMap<u8, u32>,
    /// When somebody tried to free a bus, in order.
    pub attempts: Vec<(u8, Monotonic)>,
}

impl Stuck {
    /// A device holds the bus for so many clocks; 0 lets it go.
    pub fn hold(&mut self, bus: u8, clocks: u32) {
        self.held.insert(bus, clocks);
    }

    /// Whether a transfer is possible.
    pub fn check(&self, bus: u8) -> Result<(), HardwareError> {
        match self.held.get(&bus) {
            None | Some(0) => Ok(()),
            Some(_) => Err(HardwareError::Io {
                what: format!("using I²C bus {bus}"),
                reason: "timed out: a device holds the bus".to_owned(),
            }),
        }
    }

    /// What a board's pins would do.
    pub fn free(&mut self, bus: u8, now: Monotonic) -> Result<Recovered, HardwareError> {
        self.attempts.push((bus, now));
        free(bus, &mut Held { clocks: self.held.entry(bus).or_default(), sda: false })
    }
}

struct Held<'s> {
    clocks: &'s mut u32,
    /// We pull it.
    sda: bool,
}

impl Lines for Held<'_> {
    fn is_high(&mut self, line: Line) -> bool {
        line == Line::Scl || (*self.clocks == 0 && !self.sda)
    }

    fn pull(&mut self, line: Line) {
        self.sda |= line == Line::Sda;
    }

    fn release(&mut self, line: Line) {
        match line {
            Line::Sda => self.sda = false,
            Line::Scl => *self.clocks = self.clocks.saturating_sub(1),
        }
    }
}
