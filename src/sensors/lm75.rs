//! LM75 and TMP105: temperature on I²C, with the many chips that copy their registers.
//!
//! They convert all the time. A chip that was without power for a moment shows 0 °C until its first conversion, and has no flag for
//! that; so a setting other than that after power-on is written, and read back behind every value.
//!
//! Source: NXP LM75B, revision 6.1, chapter 7.4; TI TMP105 (SLLS648), "Registers". Own code, since the `lm75` crate never reads
//! the setting and has no twelve bits.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT_LM75: &str = "\
- Range: -55 to 125 °C (±2 °C) in steps of 0.125 °C. `bits = 9` for an LM75 of TI or National, which has steps of 0.5 °C.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x48 with A2, A1 and A0 to ground, up to 0x4f with all of them to 3.3 V. An ADS1115 may be at the first four too.
- Trouble: it measures its board; keep it away from what warms itself.
";

const ABOUT_TMP105: &str = "\
- Range: -40 to 125 °C (±2 °C) in steps of 0.0625 °C. TMP75, TMP175 and TMP275 (±0.5 °C) are read alike.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x48 with A0 to ground, 0x49 with A0 to 3.3 V; the TMP75 and its like have A1 and A2 too, up to 0x4f.
- Trouble: it measures its board; keep it away from what warms itself.
";

pub(super) const ENTRY: Entry = Entry {
    name: "lm75",
    summary: "temperature, I²C: LM75, LM75A, LM75B and their like",
    about: ABOUT_LM75,
    example: r#"
[sensors.cabinet]
driver = "lm75"
bus = 1
address = 0x48
every = "5s"
"#,
    read: read_lm75,
};

pub(super) const ENTRY_TMP105: Entry = Entry {
    name: "tmp105",
    summary: "temperature, I²C: TMP105, TMP75, TMP175, TMP275",
    about: ABOUT_TMP105,
    example: r#"
[sensors.cabinet]
driver = "tmp105"
bus = 1
address = 0x48
every = "5s"
"#,
    read: read_tmp105,
};

/// As A2, A1 and A0 have it.
const ADDRESSES: [(u8, &str); 8] = [
    (0x48, "A2, A1, A0 to ground"),
    (0x49, "A0 to 3.3 V"),
    (0x4a, "A1"),
    (0x4b, "A1, A0"),
    (0x4c, "A2"),
    (0x4d, "A2, A0"),
    (0x4e, "A2, A1"),
    (0x4f, "A2, A1, A0"),
];

fn read_lm75(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let place = OnI2c::read(section, "LM75", &ADDRESSES);
    let bits = if section.has("bits") { section.optional("bits")? } else { 11 };
    if !matches!(bits, 9 | 11) {
        section.wrong(
            "bits",
            format!("an LM75 does not have {bits} bits"),
            "it has 9 (steps of 0.5 °C) or 11 (0.125 °C)",
        );
        return None;
    }
    Some(Box::new(Config { place: place?, bits, setting: SIX_FAULTS, settable: 0x1f, coldest: -55.0 }))
}

fn read_tmp105(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let place = OnI2c::read(section, "TMP105", &ADDRESSES)?;
    Some(Box::new(Config { place, bits: 12, setting: TWELVE_BITS, settable: 0x7f, coldest: -40.0 }))
}

#[derive(Debug, Clone)]
struct Config {
    place: OnI2c,
    /// How many of the word's bits count, from the highest on. The others may be anything.
    bits: u32,
    setting: u8,
    /// The bits of the setting that read as they were written.
    settable: u8,
    coldest: f64,
}

const CHANNELS: &[Channel] = &[Channel { name: "temperature", quantity: Quantity::Temperature }];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.place.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut driver = Lm75 { chip: self.place.open(hardware)?, config: self.clone() };
        driver.chip.set(SETTING, self.setting)?;
        let now = driver.setting()?;
        if now != self.setting {
            return Err(DriverError::wrong_chip(
                driver.chip.name(),
                format!(
                    "its setting reads {now:#04x} after {:#04x} was written; check the address with `i2cdetect`",
                    self.setting
                ),
            ));
        }
        driver.chip.wait(CONVERTING);
        Ok(Box::new(driver))
    }
}

/// The registers.
const TEMPERATURE: u8 = 0;
const SETTING: u8 = 1;
/// The alarm of the LM75 is told late. It is not connected, but after power-on this is zero.
const SIX_FAULTS: u8 = 0b11 << 3;
/// R1 and R0 of the TMP105; after power-on it has nine bits.
const TWELVE_BITS: u8 = 0b11 << 5;
/// At most: TMP105 with twelve bits; an LM75 is as fast or faster.
const CONVERTING: Duration = Duration::from_millis(300);

struct Lm75 {
    chip: I2cDevice,
    config: Config,
}

impl Driver for Lm75 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let word = self.chip.word(TEMPERATURE)?;
        // Behind the value: what it says holds for the value too.
        if self.setting()? != self.config.setting {
            return Err(DriverError::no_value(
                self.chip.name(),
                "it has lost its setting; did it lose its power for a moment?",
            ));
        }
        let value = celsius(word, self.config.bits);
        if !(self.config.coldest..=125.0).contains(&value) {
            let what = format!("{value} °C is outside what it can measure; check its wiring");
            return Err(DriverError::corrupt(self.chip.name(), what));
        }
        Ok(vec![value])
    }
}

impl Lm75 {
    fn setting(&mut self) -> Result<u8, DriverError> {
        Ok(self.chip.register(SETTING)? & self.config.settable)
    }
}

/// The high byte has whole degrees, in two's complement.
fn celsius(word: u16, bits: u32) -> f64 {
    f64::from((word & !(u16::MAX >> bits)).cast_signed()) / 256.0
}

#[cfg(test)]
mod tests {
    use super::super::testing::{mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    fn board(address: u8, setting: u8, word: u16, setting_then: u8) -> Recorded {
        let steps: [Step; 4] = [
            i2c(address, &[0x01, setting], &[]),
            i2c(address, &[0x01], &[setting]),
            i2c(address, &[0x00], &word.to_be_bytes()),
            i2c(address, &[0x01], &[setting_then]),
        ];
        Recorded::new(steps)
    }

    #[test]
    fn a_tmp105_gives_what_its_datasheets_table_of_temperatures_has() {
        let table =
            [(0x640, 100.0), (0x4b0, 75.0), (0x190, 25.0), (0x004, 0.25), (0x000, 0.0), (0xffc, -0.25), (0xe70, -25.0)];
        for (bits, celsius) in table {
            // The highest bit of the setting is the alarm's state, and says nothing here.
            let board = board(0x49, 0x60, bits << 4, 0xe0);
            assert_eq!(read_once(&ENTRY_TMP105, "address = 0x49", &board).unwrap(), [celsius]);
            assert!(board.waited() >= CONVERTING);
        }
    }

    #[test]
    fn an_lm75_gives_what_its_datasheets_table_of_temperatures_has() {
        let table = [(0x3e8, 125.0), (0x0c8, 25.0), (0x001, 0.125), (0x7ff, -0.125), (0x738, -25.0), (0x648, -55.0)];
        for (bits, celsius) in table {
            // The five low bits are not defined.
            let board = board(0x48, 0x18, bits << 5 | 0x1f, 0x18);
            assert_eq!(read_once(&ENTRY, "", &board).unwrap(), [celsius]);
        }
        assert_eq!(read_once(&ENTRY, "bits = 9", &board(0x48, 0x18, 0xe7ff, 0x18)).unwrap(), [-24.5]);
    }

    #[test]
    fn a_loss_of_power_another_chip_and_absence_are_errors() {
        let error = read_once(&ENTRY_TMP105, "", &board(0x48, 0x60, 0x0000, 0x00)).unwrap_err();
        assert!(matches!(&error, DriverError::NoValue { .. }), "{error}");

        let other = Recorded::new([i2c(0x48, &[0x01, 0x60], &[]), i2c(0x48, &[0x01], &[0xff])]);
        let error = opened(&ENTRY_TMP105, "", &other).err().unwrap().to_string();
        assert!(
            error.starts_with("TMP105 at 0x48 on I²C bus 1 is not there: its setting reads 0x7f after 0x60"),
            "{error}"
        );

        let error = opened(&ENTRY, "", &Recorded::new([nack(0x48, &[0x01, 0x18])])).err().unwrap().to_string();
        assert_eq!(error, "no answer from address 0x48 on I²C bus 1: check its wiring, its power and its address");

        // What the LM75B shows before its first conversion.
        let error = read_once(&ENTRY, "", &board(0x48, 0x18, 0x8000, 0x18)).unwrap_err();
        assert!(matches!(&error, DriverError::Corrupt { .. }), "{error}");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (entry, keys, hint) in [
            (&ENTRY, "bits = 12", "11 (0.125 °C)"),
            (&ENTRY, "address = 0x50", "0x4f (A2, A1, A0)"),
            (&ENTRY_TMP105, "address = 0x47", "0x49 (A0 to 3.3 V)"),
        ] {
            let found = mistakes(entry, keys);
            assert!(found.len() == 1 && found[0].hint.contains(hint), "{keys}: {found:?}");
        }
    }
}
