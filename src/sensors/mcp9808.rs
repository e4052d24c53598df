//! MCP9808: temperature on I²C, exact without calibration.
//!
//! It converts all the time. A chip that was without power for a moment shows 0 °C until its first conversion, and has no flag for
//! that; so a setting other than that after power-on is written, and read back behind every value.
//!
//! Source: Microchip DS25095, chapter 5. Own code: `embedded-devices` takes the 0 °C for a value, and brings a crate of units along.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: -40 to 125 °C (±0.5 °C from -20 to 100 °C) in steps of 0.0625 °C.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x18 with A2, A1 and A0 to ground, as most boards have it, up to 0x1f with all of them to 3.3 V.
- Trouble: it measures its board; keep it away from what warms itself.
";

pub(super) const ENTRY: Entry = Entry {
    name: "mcp9808",
    summary: "temperature, I²C, exact to 0.5 °C",
    about: ABOUT,
    example: r#"
[sensors.cabinet]
driver = "mcp9808"
bus = 1
address = 0x18
every = "5s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnI2c);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let addresses = [
        (0x18, "A2, A1, A0 to ground"),
        (0x19, "A0 to 3.3 V"),
        (0x1a, "A1"),
        (0x1b, "A1, A0"),
        (0x1c, "A2"),
        (0x1d, "A2, A0"),
        (0x1e, "A2, A1"),
        (0x1f, "A2, A1, A0"),
    ];
    Some(Box::new(Config(OnI2c::read(section, "MCP9808", &addresses)?)))
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
        let (maker, device) = (chip.word(MAKER)?, chip.word(DEVICE)?);
        // The low byte of the device is its revision.
        if maker != MICROCHIP || device >> 8 != MCP9808 {
            let found = format!(
                "found maker {maker:#06x} and device {device:#06x}, and an MCP9808 has {MICROCHIP:#06x} and 0x04…; \
                 check the address with `i2cdetect`"
            );
            return Err(DriverError::wrong_chip(chip.name(), found));
        }
        chip.set(RESOLUTION, FINEST)?;
        chip.set_word(SETTING, WIDE_HYSTERESIS)?;
        chip.wait(CONVERTING);
        Ok(Box::new(Mcp9808(chip)))
    }
}

/// The registers (5.1).
const SETTING: u8 = 0x01;
const TEMPERATURE: u8 = 0x05;
const MAKER: u8 = 0x06;
const DEVICE: u8 = 0x07;
const RESOLUTION: u8 = 0x08;
const MICROCHIP: u16 = 0x0054;
const MCP9808: u16 = 0x04;
/// 0.0625 °C
const FINEST: u8 = 0b11;
/// T_HYST: the alarm, which is off, lets go 6 °C below its limit. After power-on this is zero.
const WIDE_HYSTERESIS: u16 = 0b11 << 9;
/// Usually 250 ms at this resolution; no maximum is given.
const CONVERTING: Duration = Duration::from_millis(300);

struct Mcp9808(I2cDevice);

impl Driver for Mcp9808 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let word = self.0.word(TEMPERATURE)?;
        // Behind the value: what it says holds for the value too.
        let setting = self.0.word(SETTING)?;
        if setting != WIDE_HYSTERESIS {
            return Err(DriverError::no_value(
                self.0.name(),
                format!("its setting has become {setting:#06x}; did it lose its power for a moment?"),
            ));
        }
        let value = celsius(word);
        if !(-40.0..=125.0).contains(&value) {
            let what = format!("{value} °C is outside what it can measure; check its wiring");
            return Err(DriverError::corrupt(self.0.name(), what));
        }
        Ok(vec![value])
    }
}

/// Thirteen bits in two's complement, in steps of 1/16 °C (5.1.3). The three above them are alarms.
fn celsius(word: u16) -> f64 {
    f64::from((word << 3).cast_signed()) / 128.0
}

#[cfg(test)]
mod tests {
    use super::super::testing::{mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, i2c, nack};

    fn board(device: &[u8; 2], word: u16, setting: &[u8; 2]) -> Recorded {
        Recorded::new([
            i2c(0x18, &[0x06], &[0x00, 0x54]),
            i2c(0x18, &[0x07], device),
            i2c(0x18, &[0x08, 0x03], &[]),
            i2c(0x18, &[0x01, 0x06, 0x00], &[]),
            i2c(0x18, &[0x05], &word.to_be_bytes()),
            i2c(0x18, &[0x01], setting),
        ])
    }

    /// The datasheet has no table; these are its formula (5.1.3.1).
    #[test]
    fn it_gives_what_the_datasheets_formula_has_whatever_the_alarms() {
        for (word, celsius) in [(0x0194, 25.25), (0xc194, 25.25), (0x1ffc, -0.25), (0x3d80, -40.0), (0xc7d0, 125.0)] {
            let board = board(&[0x04, 0x00], word, &[0x06, 0x00]);
            assert_eq!(read_once(&ENTRY, "", &board).unwrap(), [celsius], "{word:#06x}");
            assert!(board.waited() >= CONVERTING);
        }
    }

    #[test]
    fn a_loss_of_power_another_chip_and_absence_are_errors() {
        let error = read_once(&ENTRY, "", &board(&[0x04, 0x00], 0x0000, &[0x00, 0x00])).unwrap_err().to_string();
        assert!(error.contains("its setting has become 0x0000; did it lose its power"), "{error}");

        let error = read_once(&ENTRY, "", &board(&[0x04, 0x00], 0x0fff, &[0x06, 0x00])).unwrap_err();
        assert!(matches!(&error, DriverError::Corrupt { .. }), "{error}");

        let error = opened(&ENTRY, "", &board(&[0x02, 0x01], 0, &[0, 0])).err().unwrap().to_string();
        assert!(error.contains("found maker 0x0054 and device 0x0201"), "{error}");

        let error = opened(&ENTRY, "", &Recorded::new([nack(0x18, &[0x06])])).err().unwrap().to_string();
        assert_eq!(error, "no answer from address 0x18 on I²C bus 1: check its wiring, its power and its address");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        let found = mistakes(&ENTRY, "address = 0x48");
        assert!(found[0].hint.contains("0x1f (A2, A1, A0)"), "{found:?}");
    }
}
