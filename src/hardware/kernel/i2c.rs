//! I²C through `/dev/i2c-N`, the same on every Linux board.
//!
//! rppal's I²C has nothing of a Raspberry Pi in it. The crate `i2cdev`, and `linux-embedded-hal` which stands on it, cannot set the
//! driver's timeout, and with the kernel's own, a second or more, the lane gives up first.

use std::time::Duration;

use embedded_hal::i2c::{self, Operation};
use rppal::i2c as rp_i2c;

use super::{Trouble, part_error};
use crate::hardware::advice::{Board, Part};
use crate::hardware::{HardwareError, I2c};

/// How long the kernel tries one transfer. Shorter than any driver's deadline, so that the lane hears of it in time.
const TIMEOUT: Duration = Duration::from_millis(500);

/// A handle on a bus.
pub(in crate::hardware) fn open(board: Board, bus: u8) -> Result<I2c, HardwareError> {
    let part = Part::I2cBus(bus);
    let wire = rp_i2c::I2c::with_bus(bus).map_err(|error| part_error(board, part, "opening", trouble(error)))?;
    let millis = u32::try_from(TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    wire.set_timeout(millis).map_err(|error| part_error(board, part, "setting the timeout of", trouble(error)))?;
    Ok(I2c::new(Bus { wire, number: bus, board }))
}

struct Bus {
    wire: rp_i2c::I2c,
    number: u8,
    board: Board,
}

impl i2c::ErrorType for Bus {
    type Error = HardwareError;
}

impl i2c::I2c for Bus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), HardwareError> {
        let part = Part::I2cDevice { bus: self.number, address };
        let chosen = self.wire.set_slave_address(address.into());
        chosen.map_err(|error| part_error(self.board, part, "choosing", trouble(error)))?;
        transact(self.board, &mut self.wire, part, operations)
    }
}

/// What the kernel does in one go with the chosen address; a stand-in takes its place in the test.
trait Wire {
    fn write(&mut self, bytes: &[u8]) -> rp_i2c::Result<usize>;
    fn read(&mut self, buffer: &mut [u8]) -> rp_i2c::Result<usize>;
    fn write_read(&mut self, bytes: &[u8], buffer: &mut [u8]) -> rp_i2c::Result<()>;
}

impl Wire for rp_i2c::I2c {
    fn write(&mut self, bytes: &[u8]) -> rp_i2c::Result<usize> {
        Self::write(self, bytes)
    }

    fn read(&mut self, buffer: &mut [u8]) -> rp_i2c::Result<usize> {
        Self::read(self, buffer)
    }

    fn write_read(&mut self, bytes: &[u8], buffer: &mut [u8]) -> rp_i2c::Result<()> {
        Self::write_read(self, bytes, buffer)
    }
}

/// Carries out a transaction as embedded-hal defines it: what is written is one message, what is read is one message, and no STOP
/// comes between them. rppal's own implementation sends a STOP after each operation, which some chips take for the end.
fn transact(
    board: Board,
    wire: &mut impl Wire,
    part: Part<'_>,
    operations: &mut [Operation<'_>],
) -> Result<(), HardwareError> {
    if operations.is_empty() {
        return Ok(());
    }
    let (mut message, mut wanted) = (Vec::new(), 0);
    for operation in operations.iter() {
        match operation {
            Operation::Read(buffer) => wanted += buffer.len(),
            Operation::Write(bytes) if wanted == 0 => message.extend_from_slice(bytes),
            Operation::Write(_) => {
                let what = format!("writing to {part} again after reading");
                return Err(HardwareError::Io { what, reason: "not in one transaction; use two transactions".into() });
            }
        }
    }
    let mut answer = vec![0; wanted];
    let (tried, expected, result) = match (message.len(), wanted) {
        // Also the empty message, by which one asks whether anybody answers there.
        (length, 0) => ("writing to", length, wire.write(&message)),
        (0, _) => ("reading", wanted, wire.read(&mut answer)),
        (_, _) => ("reading", wanted, wire.write_read(&message, &mut answer).map(|()| wanted)),
    };
    let moved = result.map_err(|error| part_error(board, part, tried, trouble(error)))?;
    if moved != expected {
        let reason = format!("only {moved} of {expected} bytes were transferred");
        return Err(HardwareError::Io { what: format!("{tried} {part}"), reason });
    }
    let mut rest = answer.as_slice();
    for operation in operations {
        if let Operation::Read(buffer) = operation {
            let (part, tail) = rest.split_at(buffer.len());
            buffer.copy_from_slice(part);
            rest = tail;
        }
    }
    Ok(())
}

fn trouble(error: rp_i2c::Error) -> Trouble {
    match error {
        rp_i2c::Error::Io(error) => Ok(error),
        rp_i2c::Error::InvalidSlaveAddress(_) => Err("addresses go from 0x00 to 0x77".into()),
        other => Err(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: Part<'_> = Part::I2cDevice { bus: 1, address: 0x76 };

    /// Writes down what happens on the wire and answers 1, 2, 3 …; `short` bytes are lost at the end.
    #[derive(Default)]
    struct Recorder {
        log: Vec<String>,
        short: usize,
    }

    impl Wire for Recorder {
        fn write(&mut self, bytes: &[u8]) -> rp_i2c::Result<usize> {
            self.log.push(format!("write {bytes:?}"));
            Ok(bytes.len() - self.short)
        }

        fn read(&mut self, buffer: &mut [u8]) -> rp_i2c::Result<usize> {
            self.log.push(format!("read {}", buffer.len()));
            buffer.iter_mut().zip(1..).for_each(|(byte, value)| *byte = value);
            Ok(buffer.len() - self.short)
        }

        fn write_read(&mut self, bytes: &[u8], buffer: &mut [u8]) -> rp_i2c::Result<()> {
            self.log.push(format!("write {bytes:?}, read {} without a stop", buffer.len()));
            buffer.iter_mut().zip(1..).for_each(|(byte, value)| *byte = value);
            Ok(())
        }
    }

    #[test]
    fn a_transaction_is_one_message_each_way_without_a_stop_between() {
        use Operation::{Read, Write};
        let (mut first, mut second) = ([0; 2], [0; 1]);
        let mut wire = Recorder::default();

        let mut operations = [Write(&[0xF7]), Write(&[0x01]), Read(&mut first), Read(&mut second)];
        transact(Board::RaspberryPi, &mut wire, PART, &mut operations).unwrap();
        transact(Board::RaspberryPi, &mut wire, PART, &mut [Read(&mut [0; 3])]).unwrap();
        transact(Board::RaspberryPi, &mut wire, PART, &mut [Write(&[]), Read(&mut [0; 4])]).unwrap();
        transact(Board::RaspberryPi, &mut wire, PART, &mut [Write(&[1, 2])]).unwrap();
        transact(Board::RaspberryPi, &mut wire, PART, &mut [Write(&[])]).unwrap();
        transact(Board::RaspberryPi, &mut wire, PART, &mut []).unwrap();

        assert_eq!(wire.log, ["write [247, 1], read 3 without a stop", "read 3", "read 4", "write [1, 2]", "write []"]);
        assert_eq!((first, second), ([1, 2], [3]));
    }

    #[test]
    fn what_cannot_be_done_in_one_transaction_is_refused_and_not_split() {
        use Operation::{Read, Write};
        let mut wire = Recorder::default();
        let error = transact(Board::RaspberryPi, &mut wire, PART, &mut [Read(&mut [0]), Write(&[1])]).unwrap_err();
        assert!(error.to_string().contains("use two transactions"), "{error}");
        assert!(wire.log.is_empty());
    }

    #[test]
    fn a_short_transfer_is_an_error() {
        let mut wire = Recorder { short: 1, ..Recorder::default() };
        let error = transact(Board::RaspberryPi, &mut wire, PART, &mut [Operation::Read(&mut [0; 8])]).unwrap_err();
        let expected = "reading address 0x76 on I²C bus 1: only 7 of 8 bytes were transferred";
        assert_eq!(error.to_string(), expected);
    }
}
