//! TMP102 and TMP112: temperature on I²C.
//!
//! One conversion for each read (one-shot), between which it sleeps and stays cool. The chip says when it has converted, and falls
//! back to converting all the time when it loses its power, so neither an old value nor one after power-on is taken for a new one.
//!
//! Source: TI TMP102 (SBOS397), "Register Maps". Own code: `embedded-devices` waits for half the time of a conversion, never asks
//! whether it has finished, and brings a crate of units along.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: -40 to 125 °C (±2 °C; TMP112 ±0.5 °C) in steps of 0.0625 °C.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x48 with ADD0 to ground, 0x49 to 3.3 V, 0x4a to SDA, 0x4b to SCL. An ADS1115 may be there too.
- Trouble: it measures its board; keep it away from what warms itself.
";

pub(super) const ENTRY: Entry = Entry {
    name: "tmp102",
    summary: "temperature, I²C: TMP102, TMP112",
    about: ABOUT,
    example: r#"
[sensors.cabinet]
driver = "tmp102"
bus = 1
address = 0x48
every = "5s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnI2c);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let addresses = [(0x48, "ADD0 to ground"), (0x49, "3.3 V"), (0x4a, "SDA"), (0x4b, "SCL")];
    Some(Box::new(Config(OnI2c::read(section, "TMP102", &addresses)?)))
}

const CHANNELS: &[Channel] = &[Channel { name: "temperature", quantity: Quantity::Temperature }];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.0.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut chip = self.0.open(hardware)?;
        chip.set_word(SETTING, SLEEPING)?;
        let now = chip.word(SETTING)? & SETTABLE;
        if now != SLEEPING {
            let found = format!(
                "its setting reads {now:#06x} after {SLEEPING:#06x} was written; check the address with `i2cdetect`"
            );
            return Err(DriverError::wrong_chip(chip.name(), found));
        }
        Ok(Box::new(Tmp102(chip)))
    }
}

/// The registers.
const TEMPERATURE: u8 = 0;
const SETTING: u8 = 1;
/// OS. Written: convert once. Read: none is running.
const ONCE: u16 = 1 << 15;
/// R1 and R0, which cannot be changed; four conversions a second, were it not asleep; and SD.
const SLEEPING: u16 = 0b11 << 13 | 1 << 8 | 0b10 << 6;
/// All but OS and AL, which tell how things are.
const SETTABLE: u16 = !(ONCE | 1 << 5);
/// At most ("Electrical Characteristics").
const CONVERTING: Duration = Duration::from_millis(35);
const A_LITTLE_MORE: Duration = Duration::from_millis(2);

struct Tmp102(I2cDevice);

impl Driver for Tmp102 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        self.0.set_word(SETTING, SLEEPING | ONCE)?;
        self.0.wait(CONVERTING);
        for _ in 0..10 {
            let now = self.0.word(SETTING)?;
            if now & SETTABLE != SLEEPING {
                return Err(DriverError::no_value(
                    self.0.name(),
                    format!("its setting has become {now:#06x}; did it lose its power for a moment?"),
                ));
            }
            if now & ONCE != 0 {
                return Ok(vec![celsius(self.0.word(TEMPERATURE)?)]);
            }
            self.0.wait(A_LITTLE_MORE);
        }
        Err(DriverError::no_value(self.0.name(), "it does not finish its conversion; switch its power off and on"))
    }
}

/// Twelve bits in two's complement, in steps of 1/16 °C; the four low ones are zero.
fn celsius(word: u16) -> f64 {
    f64::from(word.cast_signed()) / 256.0
}

#[cfg(test)]
mod tests {
    use super::super::testing::{mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    fn opening(setting: &[u8; 2]) -> [Step; 2] {
        [i2c(0x48, &[0x01, 0x61, 0x80], &[]), i2c(0x48, &[0x01], setting)]
    }

    fn measuring(settings: &[[u8; 2]]) -> Recorded {
        let board = Recorded::new(opening(&[0x61, 0xa0]));
        board.then([i2c(0x48, &[0x01, 0xe1, 0x80], &[])]);
        board.then(settings.iter().map(|setting| i2c(0x48, &[0x01], setting)));
        board
    }

    #[test]
    fn it_gives_what_the_datasheets_table_of_temperatures_has() {
        for (bits, celsius) in [(0x640, 100.0), (0x320, 50.0), (0x004, 0.25), (0, 0.0), (0xffc, -0.25), (0xe70, -25.0)]
        {
            let board = measuring(&[[0x61, 0xa0], [0xe1, 0xa0]]);
            board.then([i2c(0x48, &[0x00], &u16::to_be_bytes(bits << 4))]);
            assert_eq!(read_once(&ENTRY, "", &board).unwrap(), [celsius]);
            assert!(board.waited() >= CONVERTING);
        }
    }

    #[test]
    fn a_loss_of_power_another_chip_absence_and_no_end_are_errors() {
        // As after power-on.
        let error = read_once(&ENTRY, "", &measuring(&[[0x60, 0xa0]])).unwrap_err().to_string();
        assert!(error.contains("its setting has become 0x60a0; did it lose its power"), "{error}");

        let board = measuring(&[[0x61, 0xa0]; 10]);
        let error = read_once(&ENTRY, "", &board).unwrap_err().to_string();
        assert!(error.contains("does not finish its conversion"), "{error}");
        assert!(board.waited() < Duration::from_millis(100));

        let error = opened(&ENTRY, "", &Recorded::new(opening(&[0xff, 0xff]))).err().unwrap();
        assert!(matches!(&error, DriverError::WrongChip { .. }), "{error}");

        let error = opened(&ENTRY, "", &Recorded::new([nack(0x48, &[0x01, 0x61, 0x80])])).err().unwrap().to_string();
        assert_eq!(error, "no answer from address 0x48 on I²C bus 1: check its wiring, its power and its address");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        let found = mistakes(&ENTRY, "address = 0x4c");
        assert!(found[0].hint.contains("0x4a (SDA) or 0x4b (SCL)"), "{found:?}");
    }
}
