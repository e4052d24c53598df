//! One chip on an I²C bus: its address, its name in messages, and the transfers that most chips know.

use std::time::Duration;

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::{ErrorType, I2c as _, Operation};

use super::{Delay, Hardware, HardwareError, I2c};

/// A chip that is spoken to. `write`, `read` and `write_read` are one transaction each.
#[derive(Debug)]
pub struct I2cDevice {
    name: String,
    address: u8,
    i2c: I2c,
    delay: Delay,
}

impl I2cDevice {
    /// Opens the bus. `chip` is what it is called: `BME280`. Nothing is sent yet.
    pub fn open(hardware: &dyn Hardware, chip: &str, bus: u8, address: u8) -> Result<Self, HardwareError> {
        let name = format!("{chip} at {address:#04x} on I²C bus {bus}");
        Ok(Self { name, address, i2c: hardware.i2c(bus)?, delay: hardware.delay() })
    }

    /// `BME280 at 0x76 on I²C bus 1`
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes one message.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), HardwareError> {
        self.i2c.write(self.address, bytes)
    }

    /// Reads one message.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<(), HardwareError> {
        self.i2c.read(self.address, buffer)
    }

    /// Writes, and reads after a repeated start.
    pub fn write_read(&mut self, bytes: &[u8], buffer: &mut [u8]) -> Result<(), HardwareError> {
        self.i2c.write_read(self.address, bytes, buffer)
    }

    /// The bytes from a register on.
    pub fn registers<const N: usize>(&mut self, first: u8) -> Result<[u8; N], HardwareError> {
        let mut bytes = [0; N];
        self.write_read(&[first], &mut bytes)?;
        Ok(bytes)
    }

    /// A register of one byte.
    pub fn register(&mut self, register: u8) -> Result<u8, HardwareError> {
        self.registers::<1>(register).map(|[byte]| byte)
    }

    /// A register of two bytes, the high one first.
    pub fn word(&mut self, register: u8) -> Result<u16, HardwareError> {
        self.registers(register).map(u16::from_be_bytes)
    }

    /// A register of two bytes, the low one first.
    pub fn word_le(&mut self, register: u8) -> Result<u16, HardwareError> {
        self.registers(register).map(u16::from_le_bytes)
    }

    /// Writes a register of one byte.
    pub fn set(&mut self, register: u8, value: u8) -> Result<(), HardwareError> {
        self.write(&[register, value])
    }

    /// Writes a register of two bytes, the high one first.
    pub fn set_word(&mut self, register: u8, value: u16) -> Result<(), HardwareError> {
        let [high, low] = value.to_be_bytes();
        self.write(&[register, high, low])
    }

    /// Waits, and holds the lane meanwhile.
    pub fn wait(&mut self, time: Duration) {
        self.delay.delay_us(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    /// The address, the bus and something to wait with, for a chip crate that wants them.
    pub fn into_parts(self) -> (u8, I2c, Delay) {
        (self.address, self.i2c, self.delay)
    }
}

impl ErrorType for I2cDevice {
    type Error = HardwareError;
}

/// For chip crates that bring their own idea of the transfers; the address is theirs too.
impl embedded_hal::i2c::I2c for I2cDevice {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), HardwareError> {
        self.i2c.transaction(address, operations)
    }
}
