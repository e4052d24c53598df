//! A serial port.

use std::time::Duration;

use super::HardwareError;

/// A serial port that is open.
pub trait Uart: Send {
    /// Sends all of `bytes`.
    fn write(&mut self, bytes: &[u8]) -> Result<(), HardwareError>;

    /// Reads what comes, until `buffer` is full or nothing has come for `patience`. Gives how many bytes there are, which may be none.
    fn read(&mut self, buffer: &mut [u8], patience: Duration) -> Result<usize, HardwareError>;

    /// Forgets what has come and was not read yet.
    fn discard(&mut self) -> Result<(), HardwareError>;
}
