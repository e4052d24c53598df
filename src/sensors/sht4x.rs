//! SHT40, SHT41, SHT43 and SHT45: temperature and humidity on I²C, small and exact.
//!
//! Source: Sensirion SHT4x datasheet, version 6.5, chapter 4. Own code: the `sht4x` crate brings 16-bit fixed point of its own for
//! what is one line here, and its errors do not name the chip.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig, sensirion};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: -40 to 125 °C (±0.2 °C; SHT45 ±0.1 °C), 0 to 100 % (±1.8 %; SHT45 ±1 %).
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: by its type, 0x44 (…-A), 0x45 (…-B) or 0x46 (…-C). An SHT3x lives at the first two as well, but does not answer alike.
- Trouble: after days near 100 % it reads a few % too much, and recovers in dry air.
";

pub(super) const ENTRY: Entry = Entry {
    name: "sht4x",
    summary: "temperature and humidity, I²C: SHT40, SHT41, SHT43, SHT45",
    about: ABOUT,
    example: r#"
[sensors.air]
driver = "sht4x"
bus = 1
address = 0x44
every = "5s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnI2c);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let addresses = [(0x44, "SHT4x-A"), (0x45, "SHT4x-B"), (0x46, "SHT4x-C")];
    Some(Box::new(Config(OnI2c::read(section, "SHT4x", &addresses)?)))
}

const CHANNELS: &[Channel] = &[
    Channel { name: "temperature", quantity: Quantity::Temperature },
    Channel { name: "humidity", quantity: Quantity::Humidity },
];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.0.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut chip = self.0.open(hardware)?;
        chip.write(&[SERIAL])?;
        chip.wait(Duration::from_millis(1));
        // Nothing is made of the number, but its check sums tell this chip from others at its address.
        sensirion::words::<2>(&mut chip)?;
        Ok(Box::new(Sht4x(chip)))
    }
}

/// The commands (table 7).
const SERIAL: u8 = 0x89;
const MEASURE_PRECISELY: u8 = 0xfd;
/// At most (table 4).
const MEASURING: Duration = Duration::from_micros(8300);

struct Sht4x(I2cDevice);

impl Driver for Sht4x {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        self.0.write(&[MEASURE_PRECISELY])?;
        self.0.wait(MEASURING);
        let [temperature, humidity] = sensirion::words(&mut self.0)?;
        Ok(vec![sensirion::celsius(temperature), percent(humidity)])
    }
}

/// 4.6: what lies outside 0 to 100 % is within the chip's tolerance.
fn percent(word: u16) -> f64 {
    125.0f64.mul_add(f64::from(word) / 65535.0, -6.0).clamp(0.0, 100.0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, i2c, nack};

    /// The chip is asked for its serial number when it is opened.
    fn opening() -> [crate::hardware::recorded::Step; 2] {
        [i2c(0x44, &[0x89], &[]), i2c(0x44, &[], &[0xbe, 0xef, 0x92, 0xbe, 0xef, 0x92])]
    }

    #[test]
    fn it_speaks_the_datasheets_bytes() {
        let board = Recorded::new(opening());
        board.then([i2c(0x44, &[0xfd], &[]), i2c(0x44, &[], &[0x66, 0x66, 0x93, 0x72, 0xb0, 0xdc])]);
        let values = read_once(&ENTRY, "", &board).unwrap();
        assert_near(&values, &[25.0, 50.0], 0.01);
        assert!(board.waited() >= MEASURING);
    }

    #[test]
    fn damage_and_absence_are_errors() {
        let board = Recorded::new(opening());
        board.then([i2c(0x44, &[0xfd], &[]), i2c(0x44, &[], &[0x66, 0x66, 0x93, 0x72, 0xb0, 0x00])]);
        let error = read_once(&ENTRY, "", &board).unwrap_err().to_string();
        assert!(
            error.starts_with("SHT4x at 0x44 on I²C bus 1 sent damaged data: the check sum of word 1 is 0x00"),
            "{error}"
        );

        let error = opened(&ENTRY, "", &Recorded::new([nack(0x44, &[0x89])])).err().unwrap().to_string();
        assert_eq!(error, "no answer from address 0x44 on I²C bus 1: check its wiring, its power and its address");
    }

    #[test]
    fn the_ends_of_the_scale_stay_on_it() {
        assert_near(&[percent(0), percent(65535), percent(3146)], &[0.0, 100.0, 0.0], 0.01);
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        let found = mistakes(&ENTRY, "address = 0x40");
        assert!(found[0].message.contains("an SHT4x cannot be at address 0x40"), "{found:?}");
        assert!(found[0].hint.contains("0x46 (SHT4x-C)"), "{found:?}");
    }
}
