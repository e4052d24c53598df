//! TSL2591: light in lux on I²C, from starlight to the sun, with a second diode that tells infrared apart.
//!
//! It measures all the time, 100 ms each; a read takes the last result, and measures again only where the gain does not suit. Each read
//! compares the setting, which is another if the chip lost its power, and sets it again then.
//!
//! Source: ams TSL2591 datasheet v1-06, "Register Description". It has no formula for lux; the one here, with its factor of 408, is that of
//! the kernel's driver. Own code: no crate for it is known to us.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, HardwareError, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: 0.01 to about 88 000 lx. Good for a night, in which other chips see nothing; the sun itself can be too much for it.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x29, always. A VL53L0X is at this address too.
- Trouble: light that is infrared only, as of a heat lamp, is 0 lx to the eye and to this sensor.
";

pub(super) const ENTRY: Entry = Entry {
    name: "tsl2591",
    summary: "light, I²C: 0.01 to 88 000 lx",
    about: ABOUT,
    example: r#"
[sensors.moonlight]
driver = "tsl2591"
bus = 1
every = "10s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnI2c);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    Some(Box::new(Config(OnI2c::read(section, "TSL2591", &[(0x29, "")])?)))
}

const CHANNELS: &[Channel] = &[Channel { name: "illuminance", quantity: Quantity::Illuminance }];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.0.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut chip = self.0.open(hardware)?;
        let id = chip.register(COMMAND | ID)?;
        if id != CHIP_ID {
            let found =
                format!("found chip id {id:#04x} and not {CHIP_ID:#04x}; check its wiring, and what else is at 0x29");
            return Err(DriverError::wrong_chip(chip.name(), found));
        }
        let mut driver = Tsl2591 { chip, gain: 1 };
        driver.start()?;
        Ok(Box::new(driver))
    }
}

/// Goes before each register: a command, of the usual kind.
const COMMAND: u8 = 0b1010_0000;
/// The registers.
const ENABLE: u8 = 0x00;
const CONTROL: u8 = 0x01;
const ID: u8 = 0x12;
const STATUS: u8 = 0x13;
const COUNTS: u8 = 0x14;
const CHIP_ID: u8 = 0x50;
/// In ENABLE: the oscillator, and the measurement.
const POWERED: u8 = 0b01;
const MEASURING: u8 = 0b11;
/// In CONTROL: the gain, and the time of a measurement.
const CONTROL_USED: u8 = 0b0011_0111;
/// In STATUS: a measurement has ended since it was enabled.
const VALID: u8 = 0b01;
/// How often the light is amplified: as CONTROL has it, together with 100 ms, and what it amounts to. The fourth, 9876, is for less than
/// starlight.
const GAINS: [(u8, f64); 3] = [(0x00, 1.0), (0x10, 25.0), (0x20, 428.0)];
const MILLISECONDS: f64 = 100.0;
/// 108 ms at most.
const INTEGRATION: Duration = Duration::from_millis(108);
/// In 100 ms it counts to 36 863.
const SATURATED: u16 = 36_863;
const TOO_MUCH: u16 = 33_000;
/// With the next gain, that is 17 or 25 times as much at most.
const TOO_LITTLE: u16 = 500;
/// "DF" in the kernel's driver.
const FACTOR: f64 = 408.0;

struct Tsl2591 {
    chip: I2cDevice,
    /// In [`GAINS`].
    gain: usize,
}

impl Driver for Tsl2591 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let mut counts = self.measure()?;
        let gain = self.better_gain(counts);
        if gain != self.gain {
            self.gain = gain;
            self.start()?;
            self.chip.wait(INTEGRATION);
            counts = self.measure()?;
        }
        if counts.iter().any(|count| *count >= SATURATED) {
            let what = "there is more light than it can measure; shade it, and set `scale` to what the shade takes";
            return Err(DriverError::no_value(self.chip.name(), what));
        }
        Ok(vec![lux(counts, GAINS[self.gain].1)])
    }
}

impl Tsl2591 {
    fn setting(&self) -> [u8; 2] {
        [MEASURING, GAINS[self.gain].0]
    }

    /// With too much light everything is possible, so the least gain; with too little the next.
    fn better_gain(&self, [all, infrared]: [u16; 2]) -> usize {
        match all.max(infrared) {
            TOO_MUCH.. => 0,
            ..TOO_LITTLE => (self.gain + 1).min(GAINS.len() - 1),
            _ => self.gain,
        }
    }

    /// Switched off and on, so that what is valid was measured with this gain.
    fn start(&mut self) -> Result<(), HardwareError> {
        self.chip.set(COMMAND | ENABLE, POWERED)?;
        self.chip.set(COMMAND | CONTROL, self.setting()[1])?;
        self.chip.set(COMMAND | ENABLE, MEASURING)
    }

    /// What it is set to, without the bits that stand for nothing here.
    fn found(&mut self) -> Result<[u8; 2], HardwareError> {
        let [enable, control] = self.chip.registers(COMMAND | ENABLE)?;
        Ok([enable & MEASURING, control & CONTROL_USED])
    }

    /// The counts of all light, and of infrared.
    fn measure(&mut self) -> Result<[u16; 2], DriverError> {
        if self.found()? != self.setting() {
            self.start()?;
            let found = self.found()?;
            if found != self.setting() {
                let what = format!(
                    "its setting reads {found:02x?} after {:02x?} was written; check its wiring",
                    self.setting()
                );
                return Err(DriverError::wrong_chip(self.chip.name(), what));
            }
        }
        for _ in 0..=11 {
            if self.chip.register(COMMAND | STATUS)? & VALID != 0 {
                let [a, b, c, d] = self.chip.registers(COMMAND | COUNTS)?;
                return Ok([u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])]);
            }
            self.chip.wait(INTEGRATION / 10);
        }
        Err(DriverError::no_value(self.chip.name(), "it does not finish its measurement"))
    }
}

/// What the eye sees of the counts of all light and of infrared.
fn lux([all, infrared]: [u16; 2], gain: f64) -> f64 {
    // Also without any light. Where all is infrared, the eye sees nothing.
    if infrared >= all {
        return 0.0;
    }
    let (all, infrared) = (f64::from(all), f64::from(infrared));
    (all - infrared) * (1.0 - infrared / all) * FACTOR / (MILLISECONDS * gain)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c};

    fn started(control: u8) -> [Step; 3] {
        [i2c(0x29, &[0xa0, 0x01], &[]), i2c(0x29, &[0xa1, control], &[]), i2c(0x29, &[0xa0, 0x03], &[])]
    }

    fn opening() -> Recorded {
        let board = Recorded::new([i2c(0x29, &[0xb2], &[0x50])]);
        board.then(started(0x10));
        board
    }

    fn result(control: u8, [all, infrared]: [u16; 2]) -> [Step; 3] {
        let ([a, b], [c, d]) = (all.to_le_bytes(), infrared.to_le_bytes());
        [i2c(0x29, &[0xa0], &[0x03, control]), i2c(0x29, &[0xb3], &[0x11]), i2c(0x29, &[0xb4], &[a, b, c, d])]
    }

    #[test]
    fn it_takes_the_last_result_without_waiting() {
        // Registers are the datasheet's; the values the kernel's formula's, for it has no example.
        let board = opening();
        board.then(result(0x10, [10_000, 2_000]));
        assert_near(&read_once(&ENTRY, "", &board).unwrap(), &[1044.48], 0.001);
        assert_eq!(board.waited(), Duration::ZERO);
    }

    #[test]
    fn the_gain_follows_the_light_in_the_same_read() {
        for (first, control, second, expected) in [
            ([499, 100], 0x20, [8_500, 1_700], 51.8579),
            ([0, 0], 0x20, [3, 4], 0.0),
            ([36_863, 9_000], 0x00, [12_000, 6_000], 12_240.0),
            ([30_000, 33_000], 0x00, [1_200, 1_320], 0.0),
        ] {
            let board = opening();
            board.then(result(0x10, first));
            board.then(started(control));
            board.then(result(control, second));
            assert_near(&read_once(&ENTRY, "", &board).unwrap(), &[expected], 0.001);
            assert!(board.waited() >= INTEGRATION);
        }
    }

    #[test]
    fn a_chip_that_lost_its_power_is_set_again() {
        let board = opening();
        board.then([i2c(0x29, &[0xa0], &[0x00, 0x00])]);
        board.then(started(0x10));
        board.then(result(0x10, [10_000, 2_000]));
        assert_near(&read_once(&ENTRY, "", &board).unwrap(), &[1044.48], 0.001);
    }

    #[test]
    fn too_much_light_no_light_measured_and_another_chip_are_errors() {
        let board = opening();
        board.then(result(0x10, [36_863, 36_863]));
        board.then(started(0x00));
        board.then(result(0x00, [36_863, 20_000]));
        let error = read_once(&ENTRY, "", &board).unwrap_err().to_string();
        assert!(error.contains("more light than it can measure; shade it"), "{error}");

        let board = opening();
        board.then([i2c(0x29, &[0xa0], &[0x03, 0x10])]);
        board.then(vec![i2c(0x29, &[0xb3], &[0x10]); 12]);
        let error = read_once(&ENTRY, "", &board).unwrap_err().to_string();
        assert!(error.contains("does not finish"), "{error}");

        let board = opening();
        board.then([i2c(0x29, &[0xa0], &[0xff, 0xff])]);
        board.then(started(0x10));
        board.then([i2c(0x29, &[0xa0], &[0xff, 0xff])]);
        let error = read_once(&ENTRY, "", &board).unwrap_err().to_string();
        assert!(error.contains("reads [03, 37] after [03, 10] was written"), "{error}");

        let error = opened(&ENTRY, "", &Recorded::new([i2c(0x29, &[0xb2], &[0xee])])).err().unwrap().to_string();
        assert!(error.contains("found chip id 0xee and not 0x50"), "{error}");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        assert!(mistakes(&ENTRY, "address = 0x39")[0].hint.contains("it is at 0x29"));
    }
}
