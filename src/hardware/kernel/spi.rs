//! SPI through `/dev/spidevB.S`, the same on every Linux board: a transaction is one message of the kernel's, under one chip select.
//!
//! rppal carries the message, for it is there for I²C anyway; the crate `spidev` would bring an old `nix` along.

use embedded_hal::spi::{ErrorType, Operation, SpiDevice};
use rppal::spi as rp_spi;
use rppal::spi::{Bus, Segment, SlaveSelect};

use super::{Trouble, part_error};
use crate::hardware::advice::{Board, Part};
use crate::hardware::{HardwareError, Spi, SpiSettings};

const BUSES: [Bus; 7] = [Bus::Spi0, Bus::Spi1, Bus::Spi2, Bus::Spi3, Bus::Spi4, Bus::Spi5, Bus::Spi6];

const SELECTS: [SlaveSelect; 4] = [SlaveSelect::Ss0, SlaveSelect::Ss1, SlaveSelect::Ss2, SlaveSelect::Ss3];

/// A handle on a device.
pub(in crate::hardware) fn open(
    board: Board,
    bus: u8,
    select: u8,
    settings: SpiSettings,
) -> Result<Spi, HardwareError> {
    use rp_spi::Mode::{Mode0, Mode1, Mode2, Mode3};
    let part = Part::Spi { bus, select };
    let fail = |trouble| part_error(board, part, "opening", trouble);
    let (Some(on), Some(chip)) = (BUSES.get(usize::from(bus)), SELECTS.get(usize::from(select))) else {
        return Err(fail(Err("buses go from 0 to 6, and chip selects from 0 to 3".into())));
    };
    let mode = [Mode0, Mode1, Mode2, Mode3][usize::from(settings.mode & 3)];
    let wire = rp_spi::Spi::new(*on, *chip, settings.hertz, mode).map_err(|error| fail(trouble(error)))?;
    Ok(Spi::new(Device { wire, board, bus, select }))
}

struct Device<W> {
    wire: W,
    board: Board,
    bus: u8,
    select: u8,
}

/// One part of a message. Both sides have the same length, as on the wire.
#[derive(Debug, Default, PartialEq, Eq)]
struct Step {
    out: Vec<u8>,
    back: Vec<u8>,
    /// Afterwards, in microseconds.
    wait: u16,
}

/// What the kernel does in one go; a stand-in takes its place in the test.
trait Wire {
    fn carry(&self, steps: &mut [Step]) -> rp_spi::Result<()>;
}

impl Wire for rp_spi::Spi {
    fn carry(&self, steps: &mut [Step]) -> rp_spi::Result<()> {
        let segment = |step| {
            let Step { out, back, wait }: &mut Step = step;
            Segment::with_settings(Some(back), Some(out), 0, *wait, 0, false)
        };
        let segments: Vec<Segment<'_, '_>> = steps.iter_mut().map(segment).collect();
        self.transfer_segments(&segments)
    }
}

impl<W> ErrorType for Device<W> {
    type Error = HardwareError;
}

impl<W: Wire> SpiDevice for Device<W> {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), HardwareError> {
        if operations.is_empty() {
            return Ok(());
        }
        let mut steps: Vec<Step> = operations.iter().map(step).collect();
        let part = Part::Spi { bus: self.bus, select: self.select };
        let carried = self.wire.carry(&mut steps);
        carried.map_err(|error| part_error(self.board, part, "speaking to", trouble(error)))?;
        for (operation, step) in operations.iter_mut().zip(&steps) {
            if let Operation::Read(buffer) | Operation::Transfer(buffer, _) | Operation::TransferInPlace(buffer) =
                operation
            {
                // One that is shorter than what was sent gets the beginning.
                buffer.iter_mut().zip(&step.back).for_each(|(to, from)| *to = *from);
            }
        }
        Ok(())
    }
}

/// Where nothing is sent, zeros are.
fn step(operation: &Operation<'_, u8>) -> Step {
    let (mut out, length) = match operation {
        Operation::Read(buffer) => (Vec::new(), buffer.len()),
        Operation::Write(bytes) => (bytes.to_vec(), bytes.len()),
        Operation::Transfer(buffer, bytes) => (bytes.to_vec(), bytes.len().max(buffer.len())),
        Operation::TransferInPlace(buffer) => (buffer.to_vec(), buffer.len()),
        Operation::DelayNs(ns) => {
            let wait = u16::try_from(ns.div_ceil(1000)).unwrap_or(u16::MAX);
            return Step { wait, ..Step::default() };
        }
    };
    out.resize(length, 0);
    Step { back: vec![0; length], out, wait: 0 }
}

fn trouble(error: rp_spi::Error) -> Trouble {
    match error {
        rp_spi::Error::Io(error) => Ok(error),
        other => Err(format!("{other}; the controller cannot do this clock or mode")),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io;

    use super::*;

    /// What is sent in each step, and how long it waits then.
    type Message = Vec<(Vec<u8>, u16)>;

    /// Answers each byte with its complement, and writes messages down.
    #[derive(Default)]
    struct Recorder {
        log: RefCell<Vec<Message>>,
        broken: Option<i32>,
    }

    impl Wire for Recorder {
        fn carry(&self, steps: &mut [Step]) -> rp_spi::Result<()> {
            self.log.borrow_mut().push(steps.iter().map(|step| (step.out.clone(), step.wait)).collect());
            for Step { out, back, .. } in steps {
                assert_eq!(out.len(), back.len(), "the kernel takes the shorter one");
                back.iter_mut().zip(out).for_each(|(to, from)| *to = !*from);
            }
            self.broken.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno).into()))
        }
    }

    fn device(broken: Option<i32>) -> Device<Recorder> {
        Device { wire: Recorder { broken, ..Recorder::default() }, board: Board::Other, bus: 0, select: 1 }
    }

    #[test]
    fn a_transaction_is_one_message_whatever_is_in_it() {
        use Operation::{DelayNs, Read, Transfer, TransferInPlace, Write};
        let mut device = device(None);
        let (mut read, mut short, mut long, mut place) = ([9; 2], [9; 1], [9; 3], [0x0f, 0xf0]);
        let mut operations = [
            Write(&[1, 2]),
            DelayNs(1_500),
            Read(&mut read),
            Transfer(&mut short, &[3, 4]),
            Transfer(&mut long, &[5]),
            TransferInPlace(&mut place),
        ];
        device.transaction(&mut operations).unwrap();
        let step = |out: &[u8]| (out.to_vec(), 0);
        let message =
            vec![step(&[1, 2]), (vec![], 2), step(&[0, 0]), step(&[3, 4]), step(&[5, 0, 0]), step(&[0x0f, 0xf0])];
        assert_eq!(*device.wire.log.borrow(), [message]);
        assert_eq!((read, short, long, place), ([255; 2], [252], [250, 255, 255], [0xf0, 0x0f]));

        device.transaction(&mut []).unwrap();
        assert_eq!(device.wire.log.borrow().len(), 1, "nothing to do is nothing done");
    }

    #[test]
    fn its_errors_say_what_to_do() {
        let text = |errno| device(Some(errno)).write(&[0]).unwrap_err().to_string();
        const EMSGSIZE: i32 = 90;
        assert!(text(EMSGSIZE).starts_with("speaking to /dev/spidev0.1: "), "{}", text(EMSGSIZE));
        assert!(text(EMSGSIZE).contains("spidev.bufsiz=65536"), "{}", text(EMSGSIZE));
        let settings = SpiSettings { hertz: 1_000_000, mode: 0 };
        let error = open(Board::Other, 7, 0, settings).unwrap_err().to_string();
        assert_eq!(error, "opening /dev/spidev7.0: buses go from 0 to 6, and chip selects from 0 to 3");
        let error = open(Board::RaspberryPi, 6, 3, settings).unwrap_err().to_string();
        assert!(error.contains("/dev/spidev6.3 not found: enable it with dtoverlay=spi6-2cs"), "{error}");
    }
}
