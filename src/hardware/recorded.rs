//! For the drivers' tests: a board that plays a recorded exchange and fails the test when the driver says anything else.
//!
//! ```ignore
//! let board = Recorded::new([i2c(0x44, &[0xfd], &[]), i2c(0x44, &[], &[0xbe, 0xef, 0x92])]);
//! let values = config.open(&board).unwrap().read().unwrap();
//! board.done();
//! ```

#![allow(missing_docs, reason = "for tests only")]

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use embedded_hal::delay::DelayNs;
use embedded_hal::{i2c as hal_i2c, spi as hal_spi};

use super::*;
use crate::model::Claim;

/// One step of the exchange.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// One transaction: all that is written in it, and what is answered; `None` for no acknowledgement.
    I2c { address: u8, written: Vec<u8>, answer: Option<Vec<u8>> },
    /// One transaction: all that the chip gets, and all that it gives meanwhile or afterwards.
    Spi { written: Vec<u8>, answer: Vec<u8> },
    /// Bytes that are sent on the serial port.
    Sent(Vec<u8>),
    /// Bytes that come on the serial port; fewer than the driver wants are followed by silence.
    Comes(Vec<u8>),
}

/// `answer` follows when `written` was written, in one transaction.
pub fn i2c(address: u8, written: &[u8], answer: &[u8]) -> Step {
    Step::I2c { address, written: written.to_vec(), answer: Some(answer.to_vec()) }
}

/// Nobody acknowledges.
pub fn nack(address: u8, written: &[u8]) -> Step {
    Step::I2c { address, written: written.to_vec(), answer: None }
}

/// An SPI transaction. In a transfer both have the same length; for a write the answer is empty, for a read `written` is.
pub fn spi(written: &[u8], answer: &[u8]) -> Step {
    Step::Spi { written: written.to_vec(), answer: answer.to_vec() }
}

/// Bytes that the driver sends on its serial port, in one write.
pub fn sent(bytes: &[u8]) -> Step {
    Step::Sent(bytes.to_vec())
}

/// Bytes that come on the serial port.
pub fn comes(bytes: &[u8]) -> Step {
    Step::Comes(bytes.to_vec())
}

/// The board. Clones are the same one.
#[derive(Clone, Default)]
pub struct Recorded(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    steps: VecDeque<Step>,
    files: BTreeMap<PathBuf, String>,
    one_wire: BTreeMap<(String, String), String>,
    /// What pins are at, and every change that a driver made: by number, electrically.
    pins: BTreeMap<u8, bool>,
    written: Vec<(u8, bool)>,
    pulses: BTreeMap<u8, u64>,
    echo: Option<Duration>,
    pwm: Vec<(u8, Level)>,
    waited: Duration,
    latches: Latches,
}

impl Recorded {
    /// A board on which these steps are to happen in this order, on whatever bus.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let board = Self::default();
        board.then(steps);
        board
    }

    /// More steps, after those that are left.
    pub fn then(&self, steps: impl IntoIterator<Item = Step>) {
        self.state().steps.extend(steps);
    }

    /// A file, with this text from now on.
    pub fn file(&self, path: impl Into<PathBuf>, text: &str) {
        self.state().files.insert(path.into(), text.to_owned());
    }

    /// A file of a 1-Wire device.
    pub fn one_wire_file(&self, id: &str, file: &str, text: &str) {
        self.state().one_wire.insert((id.to_owned(), file.to_owned()), text.to_owned());
    }

    /// Puts a pin at an electrical level.
    pub fn set_pin(&self, pin: u8, high: bool) {
        self.state().pins.insert(pin, high);
    }

    /// What a pin is at, electrically.
    pub fn pin(&self, pin: u8) -> Option<bool> {
        self.state().pins.get(&pin).copied()
    }

    /// Every level that a driver put on a pin, in order.
    pub fn written(&self) -> Vec<(u8, bool)> {
        self.state().written.clone()
    }

    /// Every level that a driver put on a PWM channel or a pin with software PWM, in order.
    pub fn pwm_levels(&self) -> Vec<(u8, Level)> {
        self.state().pwm.clone()
    }

    /// How many pulses a pin has seen.
    pub fn set_pulses(&self, pin: u8, count: u64) {
        self.state().pulses.insert(pin, count);
    }

    /// How long an ultrasonic ranger's answer is; `None` for no answer.
    pub fn set_echo(&self, length: Option<Duration>) {
        self.state().echo = length;
    }

    /// How long drivers have waited so far.
    pub fn waited(&self) -> Duration {
        self.state().waited
    }

    /// Fails the test if steps are left.
    pub fn done(&self) {
        let left = &self.state().steps;
        assert!(left.is_empty(), "the driver did not get to {left:02x?}");
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        crate::panics::locked(&self.0)
    }

    fn next(&self, done: &str) -> Step {
        let step = self.state().steps.pop_front();
        step.unwrap_or_else(|| panic!("the exchange is over, but the driver goes on: {done}"))
    }
}

impl Hardware for Recorded {
    fn name(&self) -> &'static str {
        "recorded"
    }

    fn i2c(&self, bus: u8) -> Result<I2c, HardwareError> {
        Ok(I2c::new(Wire { board: self.clone(), bus }))
    }

    fn output(&self, pin: u8, active: Active, initial: bool) -> Result<Box<dyn DigitalOutput>, HardwareError> {
        let mut output = Pin { board: self.clone(), pin, active };
        DigitalOutput::set(&mut output, initial)?;
        Ok(Box::new(output))
    }

    fn input(&self, pin: u8, settings: InputSettings, _: Option<Wake>) -> Result<Box<dyn DigitalInput>, HardwareError> {
        self.state().pins.entry(pin).or_insert(settings.pull == Pull::Up);
        Ok(Box::new(Pin { board: self.clone(), pin, active: settings.active }))
    }

    fn counter(&self, pin: u8, _: InputSettings, _: Edge) -> Result<Box<dyn PulseCounter>, HardwareError> {
        Ok(Box::new(Pin { board: self.clone(), pin, active: Active::High }))
    }

    fn echo(&self, _: u8, _: u8) -> Result<Box<dyn Echo>, HardwareError> {
        Ok(Box::new(Pin { board: self.clone(), pin: 0, active: Active::High }))
    }

    fn pwm(&self, channel: u8, _: f64, initial: Level) -> Result<Box<dyn Pwm>, HardwareError> {
        let mut pwm = Pin { board: self.clone(), pin: channel, active: Active::High };
        Pwm::set(&mut pwm, initial)?;
        Ok(Box::new(pwm))
    }

    fn software_pwm(&self, pin: u8, _: Active, _: f64, initial: Level) -> Result<Box<dyn Pwm>, HardwareError> {
        self.pwm(pin, 0.0, initial)
    }

    fn one_wire(&self, id: &str) -> Result<Box<dyn OneWire>, HardwareError> {
        Ok(Box::new(Device { board: self.clone(), id: id.to_owned() }))
    }

    fn spi(&self, _: u8, _: u8, _: SpiSettings) -> Result<Spi, HardwareError> {
        Ok(Spi::new(Wire { board: self.clone(), bus: 0 }))
    }

    fn uart(&self, port: &str, _: u32) -> Result<Box<dyn Uart>, HardwareError> {
        Ok(Box::new(Device { board: self.clone(), id: port.to_owned() }))
    }

    fn files(&self) -> Files {
        let board = self.clone();
        Files::new(move |path| {
            let missing =
                || HardwareError::NotFound { what: path.display().to_string(), hint: "it is not recorded".into() };
            board.state().files.get(path).cloned().ok_or_else(missing)
        })
    }

    fn latch(&self, bus: u8, address: u8) -> Latch {
        self.state().latches.get(bus, address)
    }

    fn delay(&self) -> Delay {
        Delay::new(Waited(self.clone()))
    }
}

struct Waited(Recorded);

impl DelayNs for Waited {
    fn delay_ns(&mut self, ns: u32) {
        self.0.state().waited += Duration::from_nanos(ns.into());
    }
}

struct Wire {
    board: Recorded,
    bus: u8,
}

impl hal_i2c::ErrorType for Wire {
    type Error = HardwareError;
}

impl hal_i2c::I2c for Wire {
    fn transaction(&mut self, to: u8, operations: &mut [hal_i2c::Operation<'_>]) -> Result<(), HardwareError> {
        let (mut message, mut wanted) = (Vec::new(), 0);
        for operation in operations.iter() {
            match operation {
                hal_i2c::Operation::Write(bytes) => message.extend_from_slice(bytes),
                hal_i2c::Operation::Read(buffer) => wanted += buffer.len(),
            }
        }
        let done = format!("to {to:#04x}: writes {message:02x?}, reads {wanted}");
        let step = self.board.next(&done);
        let Step::I2c { address, written, answer } = step else { panic!("{done}, but the exchange has {step:02x?}") };
        assert_eq!((address, &written), (to, &message), "the driver {done}");
        let nobody = HardwareError::NoAcknowledge { what: Claim::I2c { bus: self.bus, address }.to_string() };
        let answer = answer.ok_or(nobody)?;
        assert_eq!(answer.len(), wanted, "the driver {done}, but the answer is {answer:02x?}");
        let mut answer = answer.into_iter();
        for operation in operations {
            if let hal_i2c::Operation::Read(buffer) = operation {
                buffer.iter_mut().zip(&mut answer).for_each(|(byte, value)| *byte = value);
            }
        }
        Ok(())
    }
}

impl hal_spi::ErrorType for Wire {
    type Error = HardwareError;
}

impl hal_spi::SpiDevice for Wire {
    fn transaction(&mut self, operations: &mut [hal_spi::Operation<'_, u8>]) -> Result<(), HardwareError> {
        use hal_spi::Operation;
        let (mut message, mut wanted) = (Vec::new(), 0);
        for operation in operations.iter() {
            match operation {
                Operation::Write(bytes) => message.extend_from_slice(bytes),
                Operation::Transfer(read, write) => {
                    message.extend_from_slice(write);
                    wanted += read.len();
                }
                Operation::TransferInPlace(both) => {
                    message.extend_from_slice(both);
                    wanted += both.len();
                }
                Operation::Read(buffer) => wanted += buffer.len(),
                Operation::DelayNs(_) => {}
            }
        }
        let done = format!("on SPI: writes {message:02x?}, reads {wanted}");
        let step = self.board.next(&done);
        let Step::Spi { written, answer } = step else { panic!("{done}, but the exchange has {step:02x?}") };
        assert_eq!(written, message, "the driver {done}");
        assert_eq!(answer.len(), wanted, "the driver {done}, but the answer is {answer:02x?}");
        let mut answer = answer.into_iter();
        for operation in operations {
            if let Operation::Read(buffer) | Operation::Transfer(buffer, _) | Operation::TransferInPlace(buffer) =
                operation
            {
                buffer.iter_mut().zip(&mut answer).for_each(|(byte, value)| *byte = value);
            }
        }
        Ok(())
    }
}

struct Device {
    board: Recorded,
    id: String,
}

impl OneWire for Device {
    fn read(&mut self, file: &str) -> Result<String, HardwareError> {
        let missing =
            || HardwareError::NotFound { what: format!("{} of {}", file, self.id), hint: "not recorded".into() };
        self.board.state().one_wire.get(&(self.id.clone(), file.to_owned())).cloned().ok_or_else(missing)
    }
}

impl Uart for Device {
    fn write(&mut self, bytes: &[u8]) -> Result<(), HardwareError> {
        let step = self.board.next(&format!("sends {bytes:02x?}"));
        assert_eq!(step, Step::Sent(bytes.to_vec()), "what the driver sends");
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], _: Duration) -> Result<usize, HardwareError> {
        let mut state = self.board.state();
        // Silence where the driver listens and nothing is recorded to come.
        let Some(Step::Comes(bytes)) = state.steps.front_mut() else { return Ok(0) };
        let count = bytes.len().min(buffer.len());
        for (place, byte) in buffer.iter_mut().zip(bytes.drain(..count)) {
            *place = byte;
        }
        if bytes.is_empty() {
            state.steps.pop_front();
        }
        Ok(count)
    }

    fn discard(&mut self) -> Result<(), HardwareError> {
        Ok(())
    }
}

struct Pin {
    board: Recorded,
    pin: u8,
    active: Active,
}

impl Pin {
    fn electrical(&self, on: bool) -> bool {
        on == (self.active == Active::High)
    }
}

impl DigitalOutput for Pin {
    fn set(&mut self, on: bool) -> Result<(), HardwareError> {
        let high = self.electrical(on);
        let mut state = self.board.state();
        state.pins.insert(self.pin, high);
        state.written.push((self.pin, high));
        Ok(())
    }

    fn read_back(&mut self) -> Result<Option<bool>, HardwareError> {
        Ok(self.board.pin(self.pin).map(|high| self.electrical(high)))
    }
}

impl DigitalInput for Pin {
    fn get(&mut self) -> Result<bool, HardwareError> {
        Ok(self.electrical(self.board.pin(self.pin).unwrap_or(false)))
    }
}

impl PulseCounter for Pin {
    fn count(&mut self) -> Result<u64, HardwareError> {
        Ok(self.board.state().pulses.get(&self.pin).copied().unwrap_or(0))
    }
}

impl Echo for Pin {
    fn measure(&mut self, timeout: Duration) -> Result<Option<Duration>, HardwareError> {
        Ok(self.board.state().echo.filter(|length| *length <= timeout))
    }
}

impl Pwm for Pin {
    fn set(&mut self, level: Level) -> Result<(), HardwareError> {
        self.board.state().pwm.push((self.pin, level));
        Ok(())
    }
}
