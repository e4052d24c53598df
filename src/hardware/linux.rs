//! Any Linux board by what its kernel gives programs: GPIO character device, i2c-dev, spidev, terminals, PWM and 1-Wire in /sys.
//!
//! Also a Raspberry Pi, where its own board ([`super::raspberry`]) is the better choice: there an output keeps its level after the
//! process has ended, whatever kernel it is; docs/boards.md has the differences. Files are opened when a device is, so that a sensor
//! on I²C needs no rights on GPIO.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::advice::Board;
use super::kernel::gpio::Gpio;
use super::kernel::{delay, i2c, pwm, spi, uart};
use super::software_pwm;
use super::sysfs::{self, OneWireDevice};
use super::{
    Active, Delay, DigitalInput, DigitalOutput, Echo, Edge, Hardware, HardwareError, I2c, InputSettings, Latch,
    Latches, OneWire, PulseCounter, Pwm, Spi, SpiSettings, Uart, Wake,
};
use crate::model::Level;

/// Where a board with a device tree says what it is.
const COMPATIBLE: &str = "/proc/device-tree/compatible";

/// The board we run on.
#[derive(Debug)]
pub struct Linux {
    board: Board,
    gpio: Gpio,
    one_wire: PathBuf,
    pwm: PathBuf,
    latches: Latches,
}

impl Linux {
    /// `gpiochip` is the device file of the chip that pins are on; by default a Raspberry Pi's header, else the first. Touches
    /// no pin and no bus.
    pub fn open(gpiochip: Option<PathBuf>) -> Arc<Self> {
        let board = Board::of(&sysfs::read_file(Path::new(COMPATIBLE)).unwrap_or_default());
        Arc::new(Self {
            board,
            gpio: Gpio::new(board, gpiochip),
            one_wire: sysfs::ONE_WIRE.into(),
            pwm: sysfs::PWM.into(),
            latches: Latches::default(),
        })
    }
}

impl Hardware for Linux {
    fn name(&self) -> &'static str {
        "linux"
    }

    fn i2c(&self, bus: u8) -> Result<I2c, HardwareError> {
        i2c::open(self.board, bus)
    }

    fn output(&self, pin: u8, active: Active, initial: bool) -> Result<Box<dyn DigitalOutput>, HardwareError> {
        self.gpio.output(pin, active, initial)
    }

    fn input(
        &self,
        pin: u8,
        settings: InputSettings,
        wake: Option<Wake>,
    ) -> Result<Box<dyn DigitalInput>, HardwareError> {
        self.gpio.input(pin, settings, wake)
    }

    fn counter(&self, pin: u8, settings: InputSettings, edge: Edge) -> Result<Box<dyn PulseCounter>, HardwareError> {
        self.gpio.counter(pin, settings, edge)
    }

    fn echo(&self, trigger: u8, echo: u8) -> Result<Box<dyn Echo>, HardwareError> {
        self.gpio.echo(trigger, echo)
    }

    fn pwm(&self, channel: u8, frequency: f64, initial: Level) -> Result<Box<dyn Pwm>, HardwareError> {
        pwm::open(self.board, &self.pwm, channel, frequency, initial, self.delay())
    }

    fn software_pwm(
        &self,
        pin: u8,
        active: Active,
        frequency: f64,
        initial: Level,
    ) -> Result<Box<dyn Pwm>, HardwareError> {
        let line = self.output(pin, active, initial == Level::ON)?;
        software_pwm::start(&format!("pin {pin}"), line, frequency, initial)
    }

    fn spi(&self, bus: u8, select: u8, settings: SpiSettings) -> Result<Spi, HardwareError> {
        spi::open(self.board, bus, select, settings)
    }

    fn uart(&self, path: &str, baud: u32) -> Result<Box<dyn Uart>, HardwareError> {
        uart::open(self.board, path, baud)
    }

    fn one_wire(&self, id: &str) -> Result<Box<dyn OneWire>, HardwareError> {
        Ok(Box::new(OneWireDevice::find(self.board, &self.one_wire, id)?))
    }

    fn latch(&self, bus: u8, address: u8) -> Latch {
        self.latches.get(bus, address)
    }

    fn delay(&self) -> Delay {
        delay()
    }
}
