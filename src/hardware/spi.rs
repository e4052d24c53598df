//! A device on an SPI bus, behind its chip select.

use std::fmt;

use embedded_hal::spi::{ErrorType, Operation, SpiDevice};

use super::HardwareError;

/// How a chip wants to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpiSettings {
    /// Clocks in a second.
    pub hertz: u32,
    /// 0 to 3: CPOL and CPHA.
    pub mode: u8,
}

/// A handle on one device that the chip crates can be built on.
pub struct Spi(Box<dyn SpiDevice<u8, Error = HardwareError> + Send>);

impl Spi {
    /// Wraps a board's own handle.
    pub fn new(device: impl SpiDevice<u8, Error = HardwareError> + Send + 'static) -> Self {
        Self(Box::new(device))
    }
}

impl ErrorType for Spi {
    type Error = HardwareError;
}

impl SpiDevice for Spi {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), HardwareError> {
        self.0.transaction(operations)
    }
}

impl fmt::Debug for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spi")
    }
}
