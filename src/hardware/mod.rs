//! The way to pins and buses: one trait, a Raspberry Pi and a simulated world behind it.
//!
//! Everything here may block, and so runs in a [`lane`] only.

mod advice;
pub mod bank;
mod clocking;
pub mod lane;
pub mod raspberry;
pub mod simulated;
mod sysfs;

use std::fmt;

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::{self, NoAcknowledgeSource};

use crate::model::Level;

/// Which electrical level means "on".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Active {
    /// The pin is high when the output is on.
    #[default]
    High,
    /// The pin is low when the output is on, as with most relay boards.
    Low,
}

/// What holds an input when nothing drives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pull {
    /// Nothing: the wiring has its own resistor.
    #[default]
    None,
    /// The chip's resistor to 3.3 V.
    Up,
    /// The chip's resistor to ground.
    Down,
}

/// One kind of board, opened once and shared by all who use it.
pub trait Hardware: Send + Sync {
    /// As it stands in the configuration: `simulated`.
    fn name(&self) -> &'static str;

    /// A handle of its own on an I²C bus. The lane of the bus keeps users apart.
    fn i2c(&self, bus: u8) -> Result<I2c, HardwareError>;

    /// Frees an I²C bus whose data line a device holds low. Touches nothing if none does.
    fn recover_i2c(&self, bus: u8) -> Result<Recovered, HardwareError> {
        Err(HardwareError::Unsupported {
            what: format!("freeing I²C bus {bus}"),
            hardware: self.name(),
            hint: "switch the power of its devices off and on".to_owned(),
        })
    }

    /// A pin as an output. It takes the level first and the mode then, so nothing glitches, and keeps its level when dropped.
    fn output(&self, pin: u8, active: Active, initial: bool) -> Result<Box<dyn DigitalOutput>, HardwareError>;

    /// A pin as an input.
    fn input(&self, pin: u8, active: Active, pull: Pull) -> Result<Box<dyn DigitalInput>, HardwareError>;

    /// A hardware PWM channel, with its frequency in hertz. It keeps its level when dropped.
    fn pwm(&self, channel: u8, frequency: f64, initial: Level) -> Result<Box<dyn Pwm>, HardwareError>;

    /// A device on the 1-Wire bus by its id, as the kernel's driver shows it.
    fn one_wire(&self, id: &str) -> Result<Box<dyn OneWire>, HardwareError>;

    /// What a driver waits with while its chip converts.
    fn delay(&self) -> Delay;
}

/// What became of an I²C bus that may have been held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// Nobody held it.
    NotNeeded,
    /// Its device let go.
    Freed {
        /// After so many clocks.
        clocks: u8,
    },
}

/// A pin that is driven. `true` is on, whichever way the relay board is wired.
pub trait DigitalOutput: Send {
    /// Drives the pin.
    fn set(&mut self, on: bool) -> Result<(), HardwareError>;

    /// What the pin is at; `None` where the hardware cannot tell.
    fn read_back(&mut self) -> Result<Option<bool>, HardwareError>;
}

/// A pin that is read. `true` is active.
pub trait DigitalInput: Send {
    /// What the pin is at.
    fn get(&mut self) -> Result<bool, HardwareError>;
}

/// A pulse-width modulated output.
pub trait Pwm: Send {
    /// Sets the duty cycle.
    fn set(&mut self, level: Level) -> Result<(), HardwareError>;
}

/// One device on the 1-Wire bus.
pub trait OneWire: Send {
    /// The text of one of the device's files in sysfs, such as `w1_slave`.
    fn read(&mut self, file: &str) -> Result<String, HardwareError>;
}

/// A handle on an I²C bus that the chip crates can be built on.
pub struct I2c(Box<dyn i2c::I2c<Error = HardwareError> + Send>);

impl I2c {
    /// Wraps a board's own handle.
    pub fn new(bus: impl i2c::I2c<Error = HardwareError> + Send + 'static) -> Self {
        Self(Box::new(bus))
    }
}

impl i2c::ErrorType for I2c {
    type Error = HardwareError;
}

impl i2c::I2c for I2c {
    fn transaction(&mut self, address: u8, operations: &mut [i2c::Operation<'_>]) -> Result<(), HardwareError> {
        self.0.transaction(address, operations)
    }
}

impl fmt::Debug for I2c {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("I2c")
    }
}

/// Waits for a chip, for milliseconds at most: it holds the lane. Simulated hardware does not wait at all.
pub struct Delay(Box<dyn DelayNs + Send>);

impl Delay {
    /// Wraps a board's own way to wait.
    pub fn new(delay: impl DelayNs + Send + 'static) -> Self {
        Self(Box::new(delay))
    }
}

impl DelayNs for Delay {
    fn delay_ns(&mut self, ns: u32) {
        self.0.delay_ns(ns);
    }
}

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Delay")
    }
}

/// What went wrong between us and the hardware. Every message says what to do next, where anything can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HardwareError {
    /// The board that the configuration names is not the one we run on.
    #[error("no {board} found: {reason}; set hardware = \"simulated\" to try homeostat here")]
    NoBoard {
        /// The board: `Raspberry Pi`.
        board: &'static str,
        /// How we know.
        reason: String,
    },
    /// The board, bus or device is not there at all.
    #[error("{what} not found: {hint}")]
    NotFound {
        /// The bus or device.
        what: String,
        /// What to check.
        hint: String,
    },
    /// It is there but may not be used.
    #[error("permission denied on {what}: {hint}")]
    Permission {
        /// The bus or device.
        what: String,
        /// Which group or overlay is missing.
        hint: String,
    },
    /// Nobody answered at an address.
    #[error("no answer from {what}: check its wiring, its power and its address")]
    NoAcknowledge {
        /// Bus and address.
        what: String,
    },
    /// Anything else the kernel or the chip reported.
    #[error("{what}: {reason}")]
    Io {
        /// The bus or device and what was tried.
        what: String,
        /// The system's own words.
        reason: String,
    },
    /// This board cannot do that.
    #[error("{what} is not possible with hardware = \"{hardware}\": {hint}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// The board.
        hardware: &'static str,
        /// What to use instead.
        hint: String,
    },
}

impl i2c::Error for HardwareError {
    fn kind(&self) -> i2c::ErrorKind {
        match self {
            Self::NoAcknowledge { .. } => i2c::ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            _ => i2c::ErrorKind::Other,
        }
    }
}
