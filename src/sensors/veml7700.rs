//! VEML7700: light in lux on I²C, from a dim room to the sun.
//!
//! The chip does not say when a measurement is ready. So each read sets it up anew, waits for two integrations, since the first may have
//! begun before the setting came, and reads the setting back, which is another if the chip lost its power meanwhile.
//!
//! Source: Vishay 84286 revision 1.7 (its resolution, which was 0.0036 lx before) and application note 84323. Own code: `veml6030` 1.0
//! still has the resolution of before; `veml7700` 0.3 leaves it to its user when a value is one of what was set, and brings three more crates.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: 0 to 120 000 lx (±10 %), in steps of 0.13 lx below 100 lx and of 2 lx above. It sees as the eye does, which is not as leaves do.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x10, always. A VEML6030 with ADDR to ground is the same chip in another package.
- Trouble: behind a window it sees less; `illuminance = { scale = 1.25 }` makes up for glass that takes a fifth.
";

pub(super) const ENTRY: Entry = Entry {
    name: "veml7700",
    summary: "light, I²C: 0 to 120 000 lx",
    about: ABOUT,
    example: r#"
[sensors.bench]
driver = "veml7700"
bus = 1
every = "10s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnI2c);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    Some(Box::new(Config(OnI2c::read(section, "VEML7700", &[(0x10, "")])?)))
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
        let mut chip = Veml7700 { chip: self.0.open(hardware)?, range: Range::Bright };
        chip.set(Range::Bright)?;
        chip.expect(Range::Bright)?;
        Ok(Box::new(chip))
    }
}

/// The registers, of two bytes, the low one first (table 1).
const SETTING: u8 = 0x00;
const POWER_SAVING: u8 = 0x03;
const LIGHT: u8 = 0x04;
/// In the setting (table 2): it is switched off.
const OFF: u16 = 1;
const MS_25: u16 = 0b1100 << 6;
const GAIN_2: u16 = 0b01 << 11;
const GAIN_1_8: u16 = 0b10 << 11;
/// 2.5 ms to wake up, and two integrations, each by the application note up to 30 ms long.
const MEASURING: Duration = Duration::from_micros(62_500);
/// The application note uses the high gain below 100 lx only. Between both there is room, so that it does not go back and forth.
const TOO_MUCH_FOR_DIM: u16 = 1000;
const TOO_LITTLE_FOR_BRIGHT: u16 = 40;
/// The lux before the correction from where on the chip follows the light too little to tell: 120 000 after it.
const MOST: f64 = 23_000.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    Dim,
    Bright,
}

impl Range {
    fn setting(self) -> u16 {
        MS_25 | if self == Self::Dim { GAIN_2 } else { GAIN_1_8 }
    }

    /// Lux of a count ("Resolution and maximum detection range").
    fn resolution(self) -> f64 {
        if self == Self::Dim { 0.1344 } else { 2.1504 }
    }

    /// In which range so much light is measured.
    fn next(self, count: u16) -> Self {
        match self {
            Self::Dim if count > TOO_MUCH_FOR_DIM => Self::Bright,
            Self::Bright if count < TOO_LITTLE_FOR_BRIGHT => Self::Dim,
            same => same,
        }
    }
}

struct Veml7700 {
    chip: I2cDevice,
    range: Range,
}

impl Driver for Veml7700 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let mut count = self.measure()?;
        if self.range.next(count) != self.range {
            self.range = self.range.next(count);
            count = self.measure()?;
        }
        let lux = f64::from(count) * self.range.resolution();
        if lux > MOST || self.range == Range::Dim && count == u16::MAX {
            let what = "it is brighter than its 120 000 lx; shade it, and set `scale` to what the shade takes";
            return Err(DriverError::no_value(self.chip.name(), what));
        }
        Ok(vec![corrected(lux)])
    }
}

impl Veml7700 {
    fn measure(&mut self) -> Result<u16, DriverError> {
        self.set(self.range)?;
        self.chip.wait(MEASURING);
        let count = self.chip.word_le(LIGHT)?;
        self.expect(self.range)?;
        Ok(count)
    }

    /// A setting may be changed only while it is off; a measurement begins when it is switched on.
    fn set(&mut self, range: Range) -> Result<(), DriverError> {
        // It measures seldom in its power saving, which outlives whoever switched it on.
        self.chip.write(&[POWER_SAVING, 0, 0])?;
        for setting in [range.setting() | OFF, range.setting()] {
            let [low, high] = setting.to_le_bytes();
            self.chip.write(&[SETTING, low, high])?;
        }
        Ok(())
    }

    fn expect(&mut self, range: Range) -> Result<(), DriverError> {
        let (found, written) = (self.chip.word_le(SETTING)?, range.setting());
        if found == written {
            return Ok(());
        }
        let found = format!(
            "its setting reads {found:#06x} after {written:#06x} was written; either this is another chip, or it lost its power for \
             a moment"
        );
        Err(DriverError::wrong_chip(self.chip.name(), found))
    }
}

/// The application note's polynomial, for the chip follows bright light less and less. The note has it from 1000 lx on, where it is 7 %
/// already; here it is used throughout, so that the scale has no step.
fn corrected(lux: f64) -> f64 {
    lux * (1.0023 + lux * (8.1488e-5 + lux * (-9.3924e-9 + lux * 6.0135e-13)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    const BRIGHT: u16 = 0x1300;
    const DIM: u16 = 0x0b00;

    fn setting(setting: u16, read_back: u16, count: Option<u16>) -> Vec<Step> {
        let [low, high] = setting.to_le_bytes();
        let mut steps = vec![
            i2c(0x10, &[0x03, 0, 0], &[]),
            i2c(0x10, &[0x00, low | 1, high], &[]),
            i2c(0x10, &[0x00, low, high], &[]),
        ];
        steps.extend(count.map(|count| i2c(0x10, &[0x04], &count.to_le_bytes())));
        steps.push(i2c(0x10, &[0x00], &read_back.to_le_bytes()));
        steps
    }

    /// What several reads in succession give, each of these measurements.
    fn reads(reads: &[&[(u16, u16)]]) -> Vec<Result<Vec<f64>, DriverError>> {
        let board = Recorded::new(setting(BRIGHT, BRIGHT, None));
        let mut chip = opened(&ENTRY, "", &board).unwrap();
        let each = reads.iter().map(|measurements| {
            measurements.iter().for_each(|(range, count)| board.then(setting(*range, *range, Some(*count))));
            let value = chip.read();
            board.done();
            value
        });
        each.collect()
    }

    #[test]
    fn the_application_notes_example_is_corrected_as_there() {
        assert_near(&[corrected(1500.0)], &[1658.0], 0.5);
        assert_near(&[corrected(MOST)], &[120_000.0], 10_000.0);
    }

    #[test]
    fn it_changes_its_range_in_the_same_read_and_stays_there() {
        // Settings by table 2 of the datasheet, lux by its resolution and the correction.
        let values = reads(&[
            &[(BRIGHT, 1000)],
            &[(BRIGHT, 39), (DIM, 600)],
            &[(DIM, 1000)],
            &[(DIM, 0)],
            &[(DIM, 1001), (BRIGHT, 62)],
            &[(BRIGHT, 40)],
        ]);
        let values: Vec<f64> = values.into_iter().map(|value| value.unwrap()[0]).collect();
        let expected = [2150.4, 80.64, 134.4, 0.0, 133.325, 86.016].map(corrected);
        assert_near(&values, &expected, 0.001);
    }

    #[test]
    fn too_much_light_is_an_error() {
        for count in [11_000, 0xffff] {
            let error = reads(&[&[(BRIGHT, count)]]).remove(0).unwrap_err().to_string();
            assert!(error.contains("brighter than its 120 000 lx"), "{error}");
        }
    }

    #[test]
    fn a_chip_that_is_another_or_lost_its_power_is_noticed() {
        let error = opened(&ENTRY, "", &Recorded::new(setting(BRIGHT, 0xffff, None))).err().unwrap().to_string();
        assert!(error.contains("reads 0xffff after 0x1300 was written; either this is another chip"), "{error}");
        let board = Recorded::new(setting(BRIGHT, BRIGHT, None));
        board.then(setting(BRIGHT, 0x0001, Some(500)));
        assert!(opened(&ENTRY, "", &board).unwrap().read().unwrap_err().to_string().contains("lost its power"));
        let absent = Recorded::new([nack(0x10, &[0x03, 0, 0])]);
        assert!(opened(&ENTRY, "", &absent).err().unwrap().to_string().starts_with("no answer from address 0x10"));
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        assert!(mistakes(&ENTRY, "address = 0x48")[0].hint.contains("it is at 0x10"));
    }
}
