//! The way to pins and buses: one trait, and behind it a Raspberry Pi, any other Linux board, and a simulated world.
//!
//! Everything here may block, and so runs in a [`lane`] only.

mod advice;
pub mod bank;
mod clocking;
mod error;
mod i2c_device;
mod kernel;
pub mod lane;
mod latch;
pub mod linux;
mod pins;
pub mod raspberry;
#[cfg(test)]
pub mod recorded;
pub mod simulated;
mod software_pwm;
mod spi;
mod sysfs;
mod uart;

use std::fmt;
use std::path::Path;

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c;

pub use self::error::HardwareError;
pub use self::i2c_device::I2cDevice;
pub use self::latch::{Latch, Latches};
pub use self::pins::{Active, DigitalInput, DigitalOutput, Echo, Edge, InputSettings, Pull, PulseCounter, Pwm, Wake};
pub use self::spi::{Spi, SpiSettings};
pub use self::uart::Uart;
use crate::model::{Level, OutputId};

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

    /// A pin as an input. `wake` is called whenever its level has changed.
    fn input(
        &self,
        pin: u8,
        settings: InputSettings,
        wake: Option<Wake>,
    ) -> Result<Box<dyn DigitalInput>, HardwareError>;

    /// A pin whose edges are counted.
    fn counter(&self, pin: u8, settings: InputSettings, edge: Edge) -> Result<Box<dyn PulseCounter>, HardwareError> {
        let _ = (settings, edge);
        Err(self.unsupported(format!("counting the pulses of GPIO pin {pin}")))
    }

    /// Two pins of an ultrasonic ranger.
    fn echo(&self, trigger: u8, echo: u8) -> Result<Box<dyn Echo>, HardwareError> {
        Err(self.unsupported(format!("timing GPIO pins {trigger} and {echo}")))
    }

    /// A hardware PWM channel, with its frequency in hertz. It keeps its level when dropped.
    fn pwm(&self, channel: u8, frequency: f64, initial: Level) -> Result<Box<dyn Pwm>, HardwareError>;

    /// A pin that a thread switches on and off, at tens to hundreds of hertz. It jitters with the machine's load, and whatever
    /// moment the process dies at, the pin stays as it is then.
    fn software_pwm(
        &self,
        pin: u8,
        active: Active,
        frequency: f64,
        initial: Level,
    ) -> Result<Box<dyn Pwm>, HardwareError> {
        let _ = (active, frequency, initial);
        Err(self.unsupported(format!("software PWM on GPIO pin {pin}")))
    }

    /// A device on an SPI bus by its chip select: 0 and 1 of bus 0 are CE0 and CE1.
    fn spi(&self, bus: u8, select: u8, settings: SpiSettings) -> Result<Spi, HardwareError> {
        let _ = settings;
        Err(self.unsupported(format!("chip select {select} of SPI bus {bus}")))
    }

    /// A serial port by its path, such as `/dev/serial0`, with 8 data bits, no parity and 1 stop bit.
    fn uart(&self, path: &str, baud: u32) -> Result<Box<dyn Uart>, HardwareError> {
        let _ = baud;
        Err(self.unsupported(format!("the serial port {path}")))
    }

    /// The text of a file that the kernel shows, such as in /sys or /proc; at most 64 KiB of it.
    fn read_file(&self, path: &Path) -> Result<String, HardwareError> {
        self.files().read(path)
    }

    /// The same for a driver to keep, which reads files again and again.
    fn files(&self) -> Files {
        Files::new(sysfs::read_file)
    }

    /// What is remembered of a port expander's latch by all who share it.
    fn latch(&self, bus: u8, address: u8) -> Latch;

    /// A device on the 1-Wire bus by its id, as the kernel's driver shows it.
    fn one_wire(&self, id: &str) -> Result<Box<dyn OneWire>, HardwareError>;

    /// What a driver waits with while its chip converts.
    fn delay(&self) -> Delay;

    /// In a simulated world, what stands in for the driver of a sensor whose chip has no model: it gives the sensor's values.
    fn stand_in(&self, sensor: &str) -> Option<StandIn> {
        let _ = sensor;
        None
    }

    /// In a simulated world, what stands in for the device of an output that it has no model of.
    fn stand_in_for_output(&self, output: &OutputId, initial: Level) -> Option<Box<dyn bank::Line>> {
        let _ = (output, initial);
        None
    }

    /// That this board cannot do something.
    fn unsupported(&self, what: String) -> HardwareError {
        let hint = "use another board, or another driver".to_owned();
        HardwareError::Unsupported { what, hardware: self.name(), hint }
    }
}

/// Gives a value for each channel of a sensor, in their order.
pub type StandIn = Box<dyn FnMut() -> Vec<f64> + Send>;

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

/// Reads files, as [`Hardware::read_file`] does.
pub struct Files(Box<ReadFile>);

type ReadFile = dyn Fn(&Path) -> Result<String, HardwareError> + Send;

impl Files {
    /// Wraps a board's own way to read a file.
    pub fn new(read: impl Fn(&Path) -> Result<String, HardwareError> + Send + 'static) -> Self {
        Self(Box::new(read))
    }

    /// The text of a file.
    pub fn read(&self, path: &Path) -> Result<String, HardwareError> {
        (self.0)(path)
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
