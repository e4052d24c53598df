//! A Raspberry Pi through rppal: GPIO, I²C and hardware PWM. The only file that names rppal.
//!
//! Pins have Broadcom numbers, as in `GPIO17`. Hardware PWM needs `dtoverlay=pwm-2chan` (channel 0 is on GPIO18, channel 1 on
//! GPIO19), I²C `dtparam=i2c_arm=on` (bus 1 on GPIO2 and 3), 1-Wire `dtoverlay=w1-gpio` (GPIO4); all in
//! /boot/firmware/config.txt, all after a reboot. Files are opened when a device is, so that a sensor on I²C needs no
//! rights on GPIO, and an error names the one device that it concerns.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::{self, Operation};
use rppal::gpio::{self, Gpio, InputPin, IoPin, Mode, OutputPin};
use rppal::system::DeviceInfo;
use rppal::{i2c as rp_i2c, pwm as rp_pwm};

use super::advice::{Part, explain};
use super::clocking::{self, Line, Lines};
use super::sysfs::{self, OneWireDevice};
use super::{
    Active, Delay, DigitalInput, DigitalOutput, Hardware, HardwareError, I2c, InputSettings, Latch, Latches, OneWire,
    Pull, Pwm, Recovered, Wake,
};
use crate::model::Level;

/// How long the kernel tries one transfer. Shorter than any driver's deadline, so that the lane hears of it in time.
const I2C_TIMEOUT: Duration = Duration::from_millis(500);

/// 100 kHz, which every device can follow.
const HALF_CLOCK_US: u32 = 5;

/// SDA and SCL of bus 1, the only one whose place on the header no overlay moves.
const BUS_1: (u8, u8) = (2, 3);

/// The board we run on.
#[derive(Debug)]
pub struct Raspberry {
    one_wire: PathBuf,
    pwm: PathBuf,
    latches: Latches,
}

impl Raspberry {
    /// Makes sure that this is a Raspberry Pi. Touches no pin and no bus.
    pub fn open() -> Result<Arc<Self>, HardwareError> {
        match DeviceInfo::new() {
            Ok(_) => Ok(Arc::new(Self {
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
        let part = Part::I2cBus(bus);
        let wire = rp_i2c::I2c::with_bus(bus).map_err(|error| part_error(part, "opening", i2c_error(error)))?;
        let millis = u32::try_from(I2C_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
        wire.set_timeout(millis).map_err(|error| part_error(part, "setting the timeout of", i2c_error(error)))?;
        Ok(I2c::new(Bus { wire, number: bus }))
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
        let mut line = if electrical(active, initial) { line.into_output_high() } else { line.into_output_low() };
        // Going back to an input when dropped would let go of the relay, and click it on the actor's restart.
        line.set_reset_on_drop(false);
        Ok(Box::new(Output { line, active }))
    }

    fn input(
        &self,
        pin: u8,
        settings: InputSettings,
        _wake: Option<Wake>,
    ) -> Result<Box<dyn DigitalInput>, HardwareError> {
        let InputSettings { active, pull, debounce: _ } = settings;
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

    fn one_wire(&self, id: &str) -> Result<Box<dyn OneWire>, HardwareError> {
        Ok(Box::new(OneWireDevice::find(&self.one_wire, id)?))
    }

    fn latch(&self, bus: u8, address: u8) -> Latch {
        self.latches.get(bus, address)
    }

    fn delay(&self) -> Delay {
        Delay::new(rppal::hal::Delay::new())
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
        self.line.write(electrical(self.active, on).into());
        Ok(())
    }

    fn read_back(&mut self) -> Result<Option<bool>, HardwareError> {
        Ok(Some(electrical(self.active, self.line.is_set_high())))
    }
}

struct Input {
    line: InputPin,
    active: Active,
}

impl DigitalInput for Input {
    fn get(&mut self) -> Result<bool, HardwareError> {
        Ok(electrical(self.active, self.line.is_high()))
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

struct Bus {
    wire: rp_i2c::I2c,
    number: u8,
}

impl i2c::ErrorType for Bus {
    type Error = HardwareError;
}

impl i2c::I2c for Bus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), HardwareError> {
        let part = Part::I2cDevice { bus: self.number, address };
        let chosen = self.wire.set_slave_address(address.into());
        chosen.map_err(|error| part_error(part, "choosing", i2c_error(error)))?;
        transact(&mut self.wire, part, operations)
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
fn transact(wire: &mut impl Wire, part: Part<'_>, operations: &mut [Operation<'_>]) -> Result<(), HardwareError> {
    if operations.is_empty() {
        return Ok(());
    }
    let (mut message, mut wanted) = (Vec::new(), 0);
    for operation in operations.iter() {
        match operation {
            Operation::Read(buffer) => wanted += buffer.len(),
            Operation::Write(bytes) if wanted == 0 => message.extend_from_slice(bytes),
            Operation::Write(_) => {
                return Err(HardwareError::Unsupported {
                    what: format!("writing to {part} again after reading, in one transaction,"),
                    hardware: "raspberry-pi",
                    hint: "use two transactions".into(),
                });
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
    let moved = result.map_err(|error| part_error(part, tried, i2c_error(error)))?;
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

/// Which electrical level a logical one is, and the other way round: `true` is high, or on.
fn electrical(active: Active, level: bool) -> bool {
    level == (active == Active::High)
}

fn take(pin: u8) -> Result<gpio::Pin, HardwareError> {
    // rppal keeps the mapped registers for as long as any pin is taken.
    Gpio::new().and_then(|gpio| gpio.get(pin)).map_err(|error| part_error(Part::Pin(pin), "opening", gpio_error(error)))
}

/// Either an error of the kernel, or one of rppal's own in words.
type Trouble = Result<io::Error, String>;

fn part_error(part: Part<'_>, tried: &str, trouble: Trouble) -> HardwareError {
    match trouble {
        Ok(error) => explain(part, tried, &error),
        Err(reason) => HardwareError::Io { what: format!("{tried} {part}"), reason },
    }
}

fn i2c_error(error: rp_i2c::Error) -> Trouble {
    match error {
        rp_i2c::Error::Io(error) => Ok(error),
        rp_i2c::Error::InvalidSlaveAddress(_) => Err("addresses go from 0x00 to 0x77".into()),
        other => Err(other.to_string()),
    }
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
        transact(&mut wire, PART, &mut operations).unwrap();
        transact(&mut wire, PART, &mut [Read(&mut [0; 3])]).unwrap();
        transact(&mut wire, PART, &mut [Write(&[]), Read(&mut [0; 4])]).unwrap();
        transact(&mut wire, PART, &mut [Write(&[1, 2])]).unwrap();
        transact(&mut wire, PART, &mut [Write(&[])]).unwrap();
        transact(&mut wire, PART, &mut []).unwrap();

        assert_eq!(wire.log, ["write [247, 1], read 3 without a stop", "read 3", "read 4", "write [1, 2]", "write []"]);
        assert_eq!((first, second), ([1, 2], [3]));
    }

    #[test]
    fn what_cannot_be_done_in_one_transaction_is_refused_and_not_split() {
        use Operation::{Read, Write};
        let mut wire = Recorder::default();
        let error = transact(&mut wire, PART, &mut [Read(&mut [0]), Write(&[1])]).unwrap_err();
        assert!(error.to_string().contains("use two transactions"), "{error}");
        assert!(wire.log.is_empty());
    }

    #[test]
    fn a_short_transfer_is_an_error() {
        let mut wire = Recorder { short: 1, ..Recorder::default() };
        let error = transact(&mut wire, PART, &mut [Operation::Read(&mut [0; 8])]).unwrap_err();
        let expected = "reading address 0x76 on I²C bus 1: only 7 of 8 bytes were transferred";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn active_low_turns_the_level_round_both_ways() {
        let table = [
            (Active::High, false, false),
            (Active::High, true, true),
            (Active::Low, false, true),
            (Active::Low, true, false),
        ];
        for (active, logical, high) in table {
            assert_eq!(electrical(active, logical), high);
            assert_eq!(electrical(active, high), logical);
        }
    }

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
