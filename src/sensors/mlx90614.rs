//! MLX90614: the temperature of a surface from afar, such as a leaf's, and its own, on I²C.
//!
//! It measures all the time. The chip knows the emissivity of what it looks at from its EEPROM, which wears; another one is worked out
//! here from what it gives, by the law of Stefan and Boltzmann.
//!
//! Source: Melexis 3901090614 revision 13, 8.4 (SMBus), 8.7 and figure 10. Own code: `mlx9061x` 0.3 takes a temperature with the error flag
//! in it for a hot one, and sets the emissivity only in the EEPROM; what remains is one transfer.

use super::{Channel, Driver, DriverError, Entry, SensorConfig, crc};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: -70 to 380 °C of what it looks at, -40 to 125 °C of itself (±0.5 °C near room temperature). It sees the mean of all in its view,
  90° wide with most types: come close.
- Wiring: 3.3 V (type B or D; type A needs 5 V), ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in
  `/boot/firmware/config.txt`. It follows no more than the usual 100 kHz.
- Address: 0x5a; another only where it was programmed so. A CCS811 is at 0x5a too.
- `emissivity` is that of the surface: leaves 0.96, water 0.96, plaster 0.9; bare metal cannot be measured. Without it, the chip's, 1.0.
- Trouble: a draught or a hand on its can makes it wrong for a minute, as its own temperature must be even.
";

pub(super) const ENTRY: Entry = Entry {
    name: "mlx90614",
    summary: "temperature of a surface by infrared, I²C: -70 to 380 °C",
    about: ABOUT,
    example: r#"
[sensors.leaf]
driver = "mlx90614"
bus = 1
address = 0x5a
emissivity = 0.96
every = "10s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    place: OnI2c,
    /// Of the surface, where it is not the chip's own.
    emissivity: Option<f64>,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let programmed = [(0x5a, "as delivered"), (0x5b, "programmed"), (0x5c, "programmed"), (0x5d, "programmed")];
    let place = OnI2c::read(section, "MLX90614", &programmed);
    if !section.has("emissivity") {
        return Some(Box::new(Config { place: place?, emissivity: None }));
    }
    let emissivity = section.optional("emissivity")?;
    if !(0.1..=1.0).contains(&emissivity) {
        let hint = "it goes from 0.1 to 1.0; leaves and water have 0.96";
        section.wrong("emissivity", format!("no surface has an emissivity of {emissivity} here"), hint);
        return None;
    }
    Some(Box::new(Config { place: place?, emissivity: Some(emissivity) }))
}

const CHANNELS: &[Channel] = &[
    Channel { name: "temperature", quantity: Quantity::Temperature },
    Channel { name: "ambient", quantity: Quantity::Temperature },
];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.place.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut chip = Mlx90614 { chip: self.place.open(hardware)?, address: self.place.address, correction: 1.0 };
        let own = f64::from(chip.word(EMISSIVITY)?) / 65535.0;
        if !(0.09..=1.0).contains(&own) {
            let found =
                format!("its emissivity reads {own:.3}, which no MLX90614 has; check the address with `i2cdetect`");
            return Err(DriverError::wrong_chip(chip.chip.name(), found));
        }
        chip.correction = self.emissivity.map_or(1.0, |surface| own / surface);
        Ok(Box::new(chip))
    }
}

/// In the RAM (table 8), and in the EEPROM (table 5), whose commands begin at 0x20.
const AMBIENT: u8 = 0x06;
const OBJECT: u8 = 0x07;
const EMISSIVITY: u8 = 0x24;
/// K a step, and what they are counted from in °C.
const STEP: f64 = 0.02;
const ABSOLUTE_ZERO: f64 = -273.15;
/// Set in a temperature that could not be measured.
const ERROR: u16 = 1 << 15;

struct Mlx90614 {
    chip: I2cDevice,
    /// Part of what the sum is made of.
    address: u8,
    /// The chip's emissivity over the surface's.
    correction: f64,
}

impl Driver for Mlx90614 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let ambient = self.kelvin(AMBIENT, -40.0, 125.0)?;
        let object = self.kelvin(OBJECT, -70.1, 382.2)?;
        let object = corrected(object, ambient, self.correction).ok_or_else(|| {
            let what =
                "with this emissivity it would be colder than anything; check `emissivity`, and what it looks at";
            DriverError::no_value(self.chip.name(), what)
        })?;
        Ok(vec![object + ABSOLUTE_ZERO, ambient + ABSOLUTE_ZERO])
    }
}

impl Mlx90614 {
    /// A word, with the sum over all that went over the bus for it.
    fn word(&mut self, command: u8) -> Result<u16, DriverError> {
        let [low, high, sum] = self.chip.registers(command)?;
        let expected = crc::smbus(&[self.address << 1, command, self.address << 1 | 1, low, high]);
        if sum != expected {
            let what = format!("the check sum (PEC) is {sum:#04x} instead of {expected:#04x}; shorten the cable");
            return Err(DriverError::corrupt(self.chip.name(), what));
        }
        Ok(u16::from_le_bytes([low, high]))
    }

    /// A temperature within its range in °C.
    fn kelvin(&mut self, command: u8, least: f64, most: f64) -> Result<f64, DriverError> {
        let word = self.word(command)?;
        let kelvin = f64::from(word) * STEP;
        if word & ERROR != 0 || !(least..=most).contains(&(kelvin + ABSOLUTE_ZERO)) {
            let what =
                format!("it gives {word:#06x}, which is no temperature; it has just begun to measure, or is broken");
            return Err(DriverError::no_value(self.chip.name(), what));
        }
        Ok(kelvin)
    }
}

/// What the surface has, in K, when the chip took its emissivity for so many times what it is: both send out and mirror as much as they do.
fn corrected(object: f64, ambient: f64, correction: f64) -> Option<f64> {
    let own = ambient.powi(4);
    let fourth = (object.powi(4) - own).mul_add(correction, own);
    (fourth > 0.0).then(|| fourth.sqrt().sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    fn answer(command: u8, word: u16) -> Step {
        let [low, high] = word.to_le_bytes();
        i2c(0x5a, &[command], &[low, high, crc::smbus(&[0xb4, command, 0xb5, low, high])])
    }

    fn read(keys: &str, steps: [Step; 3]) -> Result<Vec<f64>, DriverError> {
        opened(&ENTRY, keys, &Recorded::new(steps))?.read()
    }

    #[test]
    fn the_datasheets_exchange_is_28_degrees() {
        // Figure 10: 0x3ad2 with the sum 0x30. Its own temperature, and the emissivity of 1 in its EEPROM, by tables 5 and 8.
        let object = i2c(0x5a, &[0x07], &[0xd2, 0x3a, 0x30]);
        let values = read("", [answer(0x24, 0xffff), answer(0x06, 0x39c6), object]);
        assert_near(&values.unwrap(), &[28.01, 22.65], 0.001);
    }

    #[test]
    fn a_surface_that_mirrors_its_surroundings_is_corrected() {
        // A body at 330 K with an emissivity of 0.9 in 300 K looks like 327.35 K to a chip that takes it for black.
        let seen: f64 = (0.9 * 330f64.powi(4) + 0.1 * 300f64.powi(4)).powf(0.25);
        let steps = || [answer(0x24, 0xffff), answer(0x06, 15_000), answer(0x07, (seen / STEP).round() as u16)];
        assert_near(&read("emissivity = 0.9", steps()).unwrap(), &[330.0 - 273.15, 300.0 - 273.15], 0.02);
        assert_near(&read("", steps()).unwrap(), &[seen - 273.15, 300.0 - 273.15], 0.011);
        // At the temperature of its surroundings there is nothing to correct.
        assert_near(&[corrected(300.0, 300.0, 3.0).unwrap()], &[300.0], 1e-9);
        assert_eq!(corrected(203.0, 398.0, 10.0), None);
    }

    #[test]
    fn damage_power_on_and_other_chips_are_errors() {
        let usual = || [answer(0x24, 0xffff), answer(0x06, 0x39c6), answer(0x07, 0x3ad2)];
        let with = |place: usize, step: Step| {
            let mut steps = usual();
            steps[place] = step;
            read("", steps).unwrap_err().to_string()
        };
        let damaged = with(2, i2c(0x5a, &[0x07], &[0xd2, 0x3a, 0x31]));
        assert!(damaged.ends_with("the check sum (PEC) is 0x31 instead of 0x30; shorten the cable"), "{damaged}");
        assert!(with(1, i2c(0x5a, &[0x06], &[0xff, 0xff, 0xff])).contains("damaged data"));
        assert!(with(2, answer(0x07, 0xbad2)).contains("0xbad2, which is no temperature"));
        assert!(with(1, answer(0x06, 0x0000)).contains("just begun to measure"));
        assert!(with(0, answer(0x24, 0x0000)).contains("no MLX90614 has"));
        assert!(with(0, nack(0x5a, &[0x24])).starts_with("no answer from address 0x5a"));
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [("address = 0x10", "0x5a (as delivered)"), ("emissivity = 96", "0.1 to 1.0")] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
