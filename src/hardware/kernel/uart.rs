//! A serial port, by its terminal: the same on every Linux board.
//!
//! Own code on rustix, which is there anyway. It waits for bytes to the millisecond; the terminal's own timeout, which rppal uses,
//! counts in tenths of a second. The port is not taken exclusively, for devices on one line may open it each for itself.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::termios::{
    ControlModes, OptionalActions, QueueSelector, SpecialCodeIndex, tcdrain, tcflush, tcgetattr, tcsetattr,
};

use crate::hardware::advice::{Board, Part, explain};
use crate::hardware::{HardwareError, Uart};

/// So long a port may take nothing while we send. At 1200 baud that is more than 100 bytes.
const STUCK: Duration = Duration::from_secs(1);

struct Port {
    board: Board,
    path: String,
    file: File,
}

/// Opens a port with 8 data bits, no parity, 1 stop bit and no flow control, and forgets what came before.
pub(in crate::hardware) fn open(board: Board, path: &str, baud: u32) -> Result<Box<dyn Uart>, HardwareError> {
    let fail = |tried: &'static str| move |error: io::Error| explain(board, Part::Uart(path), tried, &error);
    // Neither may it become our own terminal, nor may a carrier be waited for.
    let flags = i32::try_from((OFlags::NOCTTY | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).map_err(fail("opening"))?;
    set_up(&file).and_then(|()| set_speed(&file, baud)).map_err(fail("setting up"))?;
    tcflush(&file, QueueSelector::IOFlush).map_err(io::Error::from).map_err(fail("setting up"))?;
    Ok(Box::new(Port { board, path: path.to_owned(), file }))
}

fn set_up(file: &File) -> io::Result<()> {
    let mut terminal = tcgetattr(file)?;
    terminal.make_raw();
    terminal.control_modes.remove(ControlModes::CSTOPB | ControlModes::PARENB | ControlModes::CRTSCTS);
    // There is no modem whose carrier could be lost.
    terminal.control_modes.insert(ControlModes::CLOCAL | ControlModes::CREAD);
    terminal.special_codes[SpecialCodeIndex::VMIN] = 1;
    terminal.special_codes[SpecialCodeIndex::VTIME] = 0;
    Ok(tcsetattr(file, OptionalActions::Now, &terminal)?)
}

fn set_speed(file: &File, baud: u32) -> io::Result<()> {
    let mut terminal = tcgetattr(file)?;
    terminal.set_speed(baud)?;
    Ok(tcsetattr(file, OptionalActions::Now, &terminal)?)
}

impl Port {
    fn error(&self, tried: &str, error: &io::Error) -> HardwareError {
        explain(self.board, Part::Uart(&self.path), tried, error)
    }

    /// Whether `what` became possible within `patience`.
    fn wait(&self, what: PollFlags, patience: Duration) -> io::Result<bool> {
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        loop {
            match poll(&mut [PollFd::new(&self.file, what)], Some(&patience)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if !self.wait(PollFlags::OUT, STUCK)? {
                return Err(io::Error::other(format!("it takes nothing for {} s; check its adapter", STUCK.as_secs())));
            }
            match self.file.write(bytes) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        // So that what is waited for next is waited for from the end of the message.
        Ok(tcdrain(&self.file)?)
    }

    fn receive(&mut self, buffer: &mut [u8], patience: Duration) -> io::Result<usize> {
        let mut got = 0;
        while got < buffer.len() && self.wait(PollFlags::IN, patience)? {
            match self.file.read(buffer.get_mut(got..).unwrap_or_default()) {
                Ok(0) => return Err(io::Error::other("it has hung up; plug its adapter in again")),
                Ok(more) => got += more,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(got)
    }
}

impl Uart for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<(), HardwareError> {
        self.send(bytes).map_err(|error| self.error("writing to", &error))
    }

    fn read(&mut self, buffer: &mut [u8], patience: Duration) -> Result<usize, HardwareError> {
        self.receive(buffer, patience).map_err(|error| self.error("reading", &error))
    }

    fn discard(&mut self) -> Result<(), HardwareError> {
        tcflush(&self.file, QueueSelector::IFlush).map_err(|error| self.error("clearing", &error.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// The device at the other end of the wire, and where its port is.
    fn pair() -> (File, String) {
        let other: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&other).unwrap();
        unlockpt(&other).unwrap();
        let path = ptsname(&other, Vec::new()).unwrap().into_string().unwrap();
        (other.into(), path)
    }

    const SOON: Duration = Duration::from_millis(20);

    #[test]
    fn every_byte_goes_through_as_it_is_both_ways() {
        let (mut device, path) = pair();
        let mut port = open(Board::Other, &path, 9600).unwrap();
        let all: Vec<u8> = (0..=255).collect();
        port.write(&all).unwrap();
        let mut heard = [0; 256];
        device.read_exact(&mut heard).unwrap();
        assert_eq!(heard[..], all[..]);

        device.write_all(&all).unwrap();
        let mut buffer = [0; 256];
        assert_eq!(port.read(&mut buffer, SOON), Ok(256));
        assert_eq!(buffer[..], all[..]);
    }

    #[test]
    fn it_reads_what_is_there_until_silence_and_forgets_what_it_is_told_to() {
        let (mut device, path) = pair();
        device.write_all(b"from before").unwrap();
        let mut port = open(Board::Other, &path, 115_200).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(port.read(&mut buffer, SOON), Ok(0), "what came before it was opened is gone");
        device.write_all(b"abc").unwrap();
        assert_eq!((port.read(&mut buffer, SOON), &buffer[..3]), (Ok(3), &b"abc"[..]));
        device.write_all(b"longer than that").unwrap();
        assert_eq!((port.read(&mut buffer, SOON), &buffer), (Ok(8), b"longer t"));
        port.discard().unwrap();
        assert_eq!(port.read(&mut buffer, SOON), Ok(0));
    }

    #[test]
    fn whoever_hangs_up_or_does_not_listen_is_an_error_and_not_a_hang() {
        let (device, path) = pair();
        let mut port = open(Board::Other, &path, 9600).unwrap();
        let error = port.write(&[0; 100_000]).unwrap_err().to_string();
        assert_eq!(error, format!("writing to {path}: it takes nothing for 1 s; check its adapter"));
        drop(device);
        assert!(port.read(&mut [0; 1], SOON).unwrap_err().to_string().starts_with(&format!("reading {path}: ")));
    }

    #[test]
    fn what_is_no_serial_port_is_told_what_to_do() {
        let text = |board, path: &str, baud| open(board, path, baud).map(|_| ()).unwrap_err().to_string();
        assert!(text(Board::Other, "/dev/null", 9600).ends_with(": it is no serial port"));
        let absent = text(Board::RaspberryPi, "/dev/ttyNONE", 9600);
        assert!(absent.contains("enable_uart=1") && absent.contains("/dev/ttyUSB0"), "{absent}");
        assert!(!text(Board::Other, "/dev/ttyNONE", 9600).contains("config.txt"));
    }
}
