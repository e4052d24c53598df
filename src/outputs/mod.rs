//! Outputs: one actor for all of them, a guard that holds their limits, one file for each kind.

pub mod actor;
mod command;
mod config;
mod gpio;
pub mod guard;
mod http;
pub mod ledger;
mod lines;
mod mcp23017;
mod mcp4725;
mod mqtt;
mod pca9685;
mod pcf8574;
mod pump;
mod pwm;
mod servo;
mod stepper;
#[cfg(test)]
mod testing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::guard::Limits;
use crate::config::Section;
use crate::hardware::bank::{self, Line, OpenLine};
use crate::hardware::simulated::Actuator;
use crate::hardware::{Hardware, HardwareError};
use crate::model::{Claim, Level, OutputId, Shown};
use crate::post::Post;

/// Every output driver there is.
#[rustfmt::skip]
pub static DRIVERS: &[Entry] = &[
    command::ENTRY,
    gpio::ENTRY,
    http::ENTRY,
    mcp23017::ENTRY,
    mcp4725::ENTRY,
    mqtt::ENTRY,
    pca9685::ENTRY,
    pcf8574::ENTRY,
    pump::ENTRY,
    pwm::ENTRY,
    servo::ENTRY,
    stepper::ENTRY,
];

/// No output's [deadline](OutputConfig::deadline) is longer: systemd gives `homeostat safe` the `TimeoutStopSec=` of the unit, for the
/// disk as well.
pub const LONGEST_DEADLINE: Duration = Duration::from_millis(4500);

/// A driver's row in the table.
pub struct Entry {
    /// `driver = "…"`
    pub name: &'static str,
    /// One line for `homeostat drivers` and the documentation.
    pub summary: &'static str,
    /// Range, wiring, address and trouble, as a Markdown list of short items.
    pub about: &'static str,
    /// An `[outputs.NAME]` table that works; each is parsed in a test.
    pub example: &'static str,
    /// Reads the driver's own keys. Reports what is wrong to the section and gives `None` then.
    pub read: fn(&Section) -> Option<Box<dyn OutputConfig>>,
}

/// An `[outputs.NAME]` table, checked.
#[derive(Debug)]
pub struct Config {
    /// Its name.
    pub id: OutputId,
    /// `driver = "…"`
    pub driver: &'static str,
    /// What the guard holds it to.
    pub limits: Limits,
    /// What other outputs have to do with it.
    pub interlocks: Interlocks,
    /// Whether commands from outside may move it.
    pub remote: bool,
    /// As what a person wants it shown.
    pub shown: Option<Shown>,
    /// The driver's own part.
    pub device: Arc<dyn OutputConfig>,
}

impl Config {
    /// How its hardware is taken, again and again if need be: the device's own way, or a simulated world's where it has no model of it.
    /// Without a `post` what is reached over a broker cannot be taken.
    pub fn opener(&self, hardware: &Arc<dyn Hardware>, post: Option<&Post>) -> OpenLine {
        let (id, device, hardware, post) = (self.id.clone(), self.device.clone(), hardware.clone(), post.cloned());
        Box::new(move |initial| {
            let stand_in = hardware.stand_in_for_output(&id, initial);
            let line = stand_in.or_else(|| device.open_over(post.as_ref()?));
            line.map_or_else(|| device.open(&*hardware, initial), Ok)
        })
    }
}

/// When an output may be on, as far as that depends on others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interlocks {
    /// Only while all of these are on.
    pub only_while: Vec<OutputId>,
    /// Only while none of these is on.
    pub never_with: Vec<OutputId>,
}

/// What levels an output can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// On and off only: a level becomes on-time within a cycle.
    Switch,
    /// Everything between.
    Continuous,
}

/// An output's wiring, checked.
pub trait OutputConfig: fmt::Debug + Send + Sync {
    /// On and off, or everything between.
    fn resolution(&self) -> Resolution;

    /// What it occupies.
    fn claims(&self) -> Vec<Claim>;

    /// The lane it is written through: `gpio`, `pwm`.
    fn lane(&self) -> String;

    /// Takes the hardware, at `initial` from the first moment on. Runs in the lane, and may block.
    fn open(&self, hardware: &dyn Hardware, initial: Level) -> Result<Box<dyn Line>, HardwareError>;

    /// Its line, if it is reached over a broker and not through the board: then [`open`](Self::open) gives an error.
    fn open_over(&self, post: &Post) -> Option<Box<dyn Line>> {
        let _ = post;
        None
    }

    /// The topics that it has, each by the key that names it.
    fn topics(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    /// How long one write or open may take before the device counts as hung; [`LONGEST_DEADLINE`] at most.
    fn deadline(&self) -> Duration {
        bank::DEADLINE
    }

    /// What a pump gives in a second, fully on; `None` for whatever has no such number, and gives no doses then.
    fn ml_per_second(&self) -> Option<f64> {
        None
    }

    /// Where the simulated world feels it; `None` where it has no model of the device, and stands in for it.
    fn actuator(&self) -> Option<Actuator> {
        None
    }
}
