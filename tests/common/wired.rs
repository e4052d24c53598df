//! A simulated world that stands in for no device, so that those that are reached over a broker are reached over it.

use homeostat::hardware::simulated::Simulated;
use homeostat::hardware::{
    Active, Delay, DigitalInput, DigitalOutput, Hardware, HardwareError, I2c, InputSettings, Latch, OneWire, Pwm, Wake,
};
use homeostat::model::Level;

/// The world behind it has pins and chips, as a board has.
pub struct Wired(pub Simulated);

impl Hardware for Wired {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn i2c(&self, bus: u8) -> Result<I2c, HardwareError> {
        self.0.i2c(bus)
    }

    fn output(&self, pin: u8, active: Active, initial: bool) -> Result<Box<dyn DigitalOutput>, HardwareError> {
        self.0.output(pin, active, initial)
    }

    fn input(
        &self,
        pin: u8,
        settings: InputSettings,
        wake: Option<Wake>,
    ) -> Result<Box<dyn DigitalInput>, HardwareError> {
        self.0.input(pin, settings, wake)
    }

    fn pwm(&self, channel: u8, frequency: f64, initial: Level) -> Result<Box<dyn Pwm>, HardwareError> {
        self.0.pwm(channel, frequency, initial)
    }

    fn latch(&self, bus: u8, address: u8) -> Latch {
        self.0.latch(bus, address)
    }

    fn one_wire(&self, id: &str) -> Result<Box<dyn OneWire>, HardwareError> {
        self.0.one_wire(id)
    }

    fn delay(&self) -> Delay {
        self.0.delay()
    }
}
