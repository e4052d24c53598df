//! A Raspberry Pi through rppal: GPIO, I²C and hardware PWM. The only file that names rppal's GPIO and PWM.
//!
//! Pins have Broadcom numbers, as in `GPIO17`. Hardware PWM needs `dtoverlay=pwm-2chan` (channel 0 is on GPIO18, channel 1 on
//! GPIO19), I²C `dtparam=i2c_arm=on` (bus 1 on GPIO2 and 3), 1-Wire `dtoverlay=w1-gpio` (GPIO4); all in
//! /boot/firmware/config.txt, all after a reboot. Files are opened when a device is, so that a sensor on I²C needs no
//! rights on GPIO, and an error names the one device that it concerns.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use embedded_hal::delay::DelayNs;
use rppal::gpio::{self, Gpio, InputPin, IoPin, Mode, OutputPin};
use rppal::pwm as rp_pwm;
use rppal::system::DeviceInfo;

use super::advice::{Board, Part};
use super::clocking::{self, Line, Lines};
use super::kernel::{self, Trouble};
use super::software_pwm;
use super::sysfs::{self, OneWireDevice};
use super::{
    Active, Delay, DigitalInput, DigitalOutput, Echo, Edge, Hardware, HardwareError, I2c, InputSettings, Latch,
    Latches, OneWire, Pull, PulseCounter, Pwm, Recovered, Spi, SpiSettings, Uart, Wake,
};
use crate::model::Level;

const BOARD: Board = Board::RaspberryPi;

/// 100 kHz, which every device can follow.
const HALF_CLOCK_US: u32 = 5;

/// SDA and SCL of bus 1, the only one whose place on the header no overlay moves.
const BUS_1: (u8, u8) = (2, 3);

/// The board we run on.
#[derive(Debug)]
pub struct Raspberry {
    /// For edges: rppal's own interrupts are the same kernel's, but tell nobody when they cannot be had, and give no numbers.
    lines: kernel::gpio::Gpio,
    one_wire: PathBuf,
    pwm: PathBuf,
    latches: Latches,
}

impl Raspberry {
    /// Makes sure that this is a Raspberry Pi. Touches no pin and no bus.
    pub fn open() -> Result<Arc<Self>, HardwareError> {
        match DeviceInfo::new() {
            Ok(_) => Ok(Arc::new(Self {
                lines: kernel::gpio::Gpio::new(BOARD, None),
                one_wire: sysfs::ONE_WIRE.into(),
                pwm: sysfs::PWM.into(),
                latches: Latches::default(),
            })),
            Err(_) => Err(HardwareError::NoBoard {
                board: "Raspberry Pi",
                reason: "neither /proc/cpuinfo nor the device tree names a model".into(),
            }),
        }
    }
}

impl Hardware for Raspberry {
    fn name(&self) -> &'static str {
        "raspberry-pi"
    }

    fn i2c(&self, bus: u8) -> Result<I2c, HardwareError> {
        kernel::i2c::open(BOARD, bus)
    }

    fn recover_i2c(&self, bus: u8) -> Result<Recovered, HardwareError> {
        let unsupported = |hint: &str| HardwareError::Unsupported {
            what: format!("freeing I²C bus {bus}"),
            hardware: self.name(),
            hint: hint.to_owned(),
        };
        if bus != 1 {
            return Err(unsupported("only bus 1 can be freed; switch the power of its devices off and on"));
        }
        let (sda, scl) = (take(BUS_1.0)?, take(BUS_1.1)?);
        // A pin's level can be read whatever its function is, so a bus that nobody holds is not disturbed.
        if sda.read() == gpio::Level::High {
            return Ok(Recovered::NotNeeded);
        }
        if [sda.mode(), scl.mode()].iter().any(|mode| matches!(mode, Mode::Input | Mode::Output | Mode::Null)) {
            return Err(unsupported("GPIO 2 and 3 are not its pins; enable it with dtparam=i2c_arm=on"));
        }
        // Dropping them gives both pins the function back that they have now: ALT0, on a Pi 5 ALT3.
        let (mut sda, mut scl) = (sda.into_io(Mode::Input), scl.into_io(Mode::Input));
        // What they drive as soon as they are outputs.
        sda.set_low();
        scl.set_low();
        clocking::free(bus, &mut OpenDrain { sda, scl, delay: rppal::hal::Delay::new() })
    }

    fn output(&self, pin: u8, active: Active, initial: bool) -> Result<Box<dyn DigitalOutput>, HardwareError> {
        let line = take(pin)?;
        // Both write the level before they change the mode, so a relay board sees no glitch.
        let mut line = if active.electrical(initial) { line.into_output_high() } else { line.into_output_low() };
        // Going back to an input when dropped would let go of the relay, and click it on the actor's restart.
        line.set_reset_on_drop(false);
        Ok(Box::new(Output { line, active }))
    }

    fn input(
        &self,
        pin: u8,
        settings: InputSettings,
        wake: Option<Wake>,
    ) -> Result<Box<dyn DigitalInput>, HardwareError> {
        let InputSettings { active, pull, debounce } = settings;
        if wake.is_some() || !debounce.is_zero() {
            return self.lines.input(pin, settings, wake);
        }
        let line = take(pin)?;
        let mut line = match pull {
            Pull::None => line.into_input(),
            Pull::Up => line.into_input_pullup(),
            Pull::Down => line.into_input_pulldown(),
        };
        // A float switch must not float while its actor restarts.
        line.set_reset_on_drop(false);
        Ok(Box::new(Input { line, active }))
    }

    fn counter(&self, pin: u8, settings: InputSettings, edge: Edge) -> Result<Box<dyn PulseCounter>, HardwareError> {
        self.lines.counter(pin, settings, edge)
    }

    fn echo(&self, trigger: u8, echo: u8) -> Result<Box<dyn Echo>, HardwareError> {
        self.lines.echo(trigger, echo)
    }

    fn pwm(&self, channel: u8, frequency: f64, initial: Level) -> Result<Box<dyn Pwm>, HardwareError> {
        let fail = |tried| move |error| part_error(Part::Pwm(channel), tried, pwm_error(error));
        let chip = sysfs::header_pwm(&self.pwm, channel)?;
        let mut pwm = rp_pwm::Pwm::with_pwmchip(chip, channel).map_err(fail("opening"))?;
        pwm.set_reset_on_drop(false);
        pwm.set_frequency(frequency, initial.get()).map_err(fail("setting the frequency of"))?;
        // Someone before us may have left it inverted, and the kernel only takes a polarity after a period and before it is on.
        pwm.set_polarity(rp_pwm::Polarity::Normal).map_err(fail("setting the polarity of"))?;
        pwm.enable().map_err(fail("starting"))?;
        Ok(Box::new(PwmChannel { pwm, channel }))
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
        kernel::spi::open(BOARD, bus, select, settings)
    }

    fn uart(&self, path: &str, baud: u32) -> Result<Box<dyn Uart>, HardwareError> {
        kernel::uart::open(BOARD, path, baud)
    }

    fn one_wire(&self, id: &str) -> Result<Box<dyn OneWire>, HardwareError> {
        Ok(Box::new(OneWireDevice::find(BOARD, &self.one_wire, id)?))
    }

    fn latch(&self, bus: u8, address: u8) -> Latch {
        self.latches.get(bus, address)
    }

    fn delay(&self) -> Delay {
        kernel::delay()
    }
}

/// The two pins of a bus: an output that is low pulls, an input lets the board's 1.8 kΩ resistor pull up.
struct OpenDrain {
    sda: IoPin,
    scl: IoPin,
    delay: rppal::hal::Delay,
}

impl OpenDrain {
    fn set(&mut self, line: Line, mode: Mode) {
        match line {
            Line::Sda => self.sda.set_mode(mode),
            Line::Scl => self.scl.set_mode(mode),
        }
        self.delay.delay_us(HALF_CLOCK_US);
    }
}

impl Lines for OpenDrain {
    fn is_high(&mut self, line: Line) -> bool {
        match line {
            Line::Sda => self.sda.is_high(),
            Line::Scl => self.scl.is_high(),
        }
    }

    fn pull(&mut self, line: Line) {
        self.set(line, Mode::Output);
    }

    fn release(&mut self, line: Line) {
        self.set(line, Mode::Input);
    }
}

struct Output {
    line: OutputPin,
    active: Active,
}

impl DigitalOutput for Output {
    fn set(&mut self, on: bool) -> Result<(), HardwareError> {
        self.line.write(self.active.electrical(on).into());
        Ok(())
    }

    fn read_back(&mut self) -> Result<Option<bool>, HardwareError> {
        Ok(Some(self.active.electrical(self.line.is_set_high())))
    }
}

struct Input {
    line: InputPin,
    active: Active,
}

impl DigitalInput for Input {
    fn get(&mut self) -> Result<bool, HardwareError> {
        Ok(self.active.electrical(self.line.is_high()))
    }
}

struct PwmChannel {
    pwm: rp_pwm::Pwm,
    channel: u8,
}

impl Pwm for PwmChannel {
    fn set(&mut self, level: Level) -> Result<(), HardwareError> {
        let set = self.pwm.set_duty_cycle(level.get());
        set.map_err(|error| part_error(Part::Pwm(self.channel), "setting the duty cycle of", pwm_error(error)))
    }
}

fn take(pin: u8) -> Result<gpio::Pin, HardwareError> {
    // rppal keeps the mapped registers for as long as any pin is taken.
    Gpio::new().and_then(|gpio| gpio.get(pin)).map_err(|error| part_error(Part::Pin(pin), "opening", gpio_error(error)))
}

fn part_error(part: Part<'_>, tried: &str, trouble: Trouble) -> HardwareError {
    kernel::part_error(BOARD, part, tried, trouble)
}

fn pwm_error(error: rp_pwm::Error) -> Trouble {
    match error {
        rp_pwm::Error::Io(error) => Ok(error),
        other => Err(other.to_string()),
    }
}

fn gpio_error(error: gpio::Error) -> Trouble {
    match error {
        gpio::Error::Io(error) => Ok(error),
        gpio::Error::PermissionDenied(_) => Ok(io::ErrorKind::PermissionDenied.into()),
        gpio::Error::PinUsed(_) => Err("it is in use already; each pin can serve one device".into()),
        gpio::Error::PinNotAvailable(_) => Err("the board has no such pin; the header has 0 to 27".into()),
        other => Err(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rppals_own_errors_say_what_to_do() {
        let text = |error| part_error(Part::Pin(17), "opening", gpio_error(error)).to_string();
        let denied = gpio::Error::PermissionDenied("/dev/gpiomem".into());
        assert!(text(denied).contains("usermod -aG gpio"));
        assert_eq!(
            text(gpio::Error::PinNotAvailable(99)),
            "opening GPIO pin 17: the board has no such pin; the header has 0 to 27"
        );
    }

    #[test]
    fn a_machine_that_is_no_pi_says_so() {
        // On a Pi this test has nothing to say.
        if let Err(error) = Raspberry::open() {
            let text = error.to_string();
            assert!(text.starts_with("no Raspberry Pi found: "), "{text}");
            assert!(text.ends_with("set hardware = \"simulated\" to try homeostat here"), "{text}");
        }
    }
}
