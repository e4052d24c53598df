//! What a driver brings along so that it can be simulated: its chip, down to the registers.

use embedded_hal::i2c::Operation;

use crate::hardware::HardwareError;
use crate::model::{OutputId, Quantity};

/// Which hardware an output acts through, so that the world can feel it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actuator {
    /// A GPIO line, by its Broadcom number.
    Pin(u8),
    /// A hardware PWM channel.
    Pwm(u8),
    /// Anything else, which the world has no model of: the output itself takes its place.
    Device(OutputId),
}

/// A chip in the simulated world, and where it is connected.
pub enum Chip {
    /// On an I²C bus.
    I2c {
        /// `/dev/i2c-N`
        bus: u8,
        /// Seven bits.
        address: u8,
        /// How it answers.
        model: Box<dyn I2cChip>,
    },
    /// On the 1-Wire bus.
    OneWire {
        /// As the kernel writes it: `28-0316a2795cff`.
        id: String,
        /// How it answers.
        model: Box<dyn OneWireChip>,
    },
    /// A contact at a pin, which [`Simulated::set_input`](super::Simulated::set_input) moves.
    Contact {
        /// Its Broadcom number.
        pin: u8,
    },
}

/// What the chip's sensing element feels: the truth of the world with the element's lag and noise.
pub trait Probe {
    /// The value of a quantity, in its unit.
    fn feel(&mut self, quantity: Quantity) -> f64;
}

/// A chip on an I²C bus, as its registers behave.
pub trait I2cChip: Send {
    /// Answers one transaction with its address.
    fn transaction(&mut self, operations: &mut [Operation<'_>], probe: &mut dyn Probe) -> Result<(), HardwareError>;

    /// Whether this model is the one to answer, where several sensors share a converter at one address. Each brings a
    /// model of it; all of them see every transaction, and the answer of the selected one is what the driver gets.
    fn selected(&self) -> bool {
        true
    }
}

/// A chip on the 1-Wire bus, as the kernel's driver shows it.
pub trait OneWireChip: Send {
    /// The text of one of its files in sysfs.
    fn read(&mut self, file: &str, probe: &mut dyn Probe) -> Result<String, HardwareError>;
}
