//! What drivers hold in the simulated world: a bus, a device, a pin.

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::{ErrorType, I2c, Operation};

use super::fault::Deed;
use super::{Actuator, Simulated};
use crate::hardware::bank::{Confirmation, Line};
use crate::hardware::{Active, DigitalInput, DigitalOutput, HardwareError, OneWire, Pwm};
use crate::model::{Claim, Level};

/// Time that is simulated is not waited for.
pub(super) struct NoDelay;

impl DelayNs for NoDelay {
    fn delay_ns(&mut self, _: u32) {}
}

/// An I²C bus. It remembers with whom it has spoken, so that faults can tell opening from using.
pub(super) struct Bus {
    pub world: Simulated,
    pub bus: u8,
    pub met: Vec<u8>,
}

impl ErrorType for Bus {
    type Error = HardwareError;
}

impl I2c for Bus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), HardwareError> {
        let target = Claim::I2c { bus: self.bus, address };
        if !self.met.contains(&address) {
            self.met.push(address);
            self.world.strike(Deed::Open, &target)?;
        }
        let garbled = self.world.strike(Deed::Use, &target)?;
        self.world.i2c_transaction(self.bus, address, operations)?;
        if garbled {
            for operation in operations {
                if let Operation::Read(buffer) = operation {
                    self.world.garble(buffer);
                }
            }
        }
        Ok(())
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        for &address in &self.met {
            self.world.strike_drop(&Claim::I2c { bus: self.bus, address });
        }
    }
}

/// A device on the 1-Wire bus.
pub(super) struct WireDevice {
    pub world: Simulated,
    pub id: String,
}

impl OneWire for WireDevice {
    fn read(&mut self, file: &str) -> Result<String, HardwareError> {
        let garbled = self.world.strike(Deed::Use, &Claim::OneWire(self.id.clone()))?;
        let text = self.world.one_wire_read(&self.id, file)?;
        if !garbled {
            return Ok(text);
        }
        let mut bytes = text.into_bytes();
        self.world.garble(&mut bytes);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for WireDevice {
    fn drop(&mut self) {
        self.world.strike_drop(&Claim::OneWire(self.id.clone()));
    }
}

/// A driven pin.
pub(super) struct OutputPin {
    pub world: Simulated,
    pub pin: u8,
}

impl DigitalOutput for OutputPin {
    fn set(&mut self, on: bool) -> Result<(), HardwareError> {
        self.world.strike(Deed::Use, &Claim::Pin(self.pin))?;
        self.world.drive(Actuator::Pin(self.pin), Level::from(on));
        Ok(())
    }

    fn read_back(&mut self) -> Result<Option<bool>, HardwareError> {
        let garbled = self.world.strike(Deed::Use, &Claim::Pin(self.pin))?;
        Ok(self.world.pin(self.pin).map(|on| on != garbled))
    }
}

impl Drop for OutputPin {
    fn drop(&mut self) {
        self.world.strike_drop(&Claim::Pin(self.pin));
    }
}

/// A pin that is read.
pub(super) struct InputPin {
    pub world: Simulated,
    pub pin: u8,
    pub active: Active,
}

impl DigitalInput for InputPin {
    fn get(&mut self) -> Result<bool, HardwareError> {
        let garbled = self.world.strike(Deed::Use, &Claim::Pin(self.pin))?;
        let high = self.world.voltage(self.pin);
        Ok((high == (self.active == Active::High)) != garbled)
    }
}

impl Drop for InputPin {
    fn drop(&mut self) {
        self.world.strike_drop(&Claim::Pin(self.pin));
    }
}

/// A PWM channel.
pub(super) struct PwmChannel {
    pub world: Simulated,
    pub channel: u8,
}

impl Pwm for PwmChannel {
    fn set(&mut self, level: Level) -> Result<(), HardwareError> {
        self.world.strike(Deed::Use, &Claim::Pwm(self.channel))?;
        self.world.drive(Actuator::Pwm(self.channel), level);
        Ok(())
    }
}

impl Drop for PwmChannel {
    fn drop(&mut self) {
        self.world.strike_drop(&Claim::Pwm(self.channel));
    }
}

/// An output that the world has no model of.
pub(super) struct AnyOutput {
    pub world: Simulated,
    pub actuator: Actuator,
}

impl Line for AnyOutput {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        self.world.drive(self.actuator.clone(), level);
        Ok(Confirmation::ReadBack)
    }

    fn read_back(&mut self) -> Result<Option<Level>, HardwareError> {
        Ok(self.world.level_of(&self.actuator))
    }
}
