//! SHT30, SHT31, SHT35 and SHT85: temperature and humidity on I²C.
//!
//! Each read is a measurement of its own (single shot), so a chip that was without power for a moment works on.
//!
//! Source: Sensirion SHT3x-DIS datasheet, version 7, chapter 4. Own code: the `sht31` crate asks with clock stretching, which the Pi
//! does badly, and then answers every error, be it a missing chip, with up to eight waits of 100 ms.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig, sensirion};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: -40 to 125 °C (±0.2 °C; SHT35 and SHT85 ±0.1 °C), 0 to 100 % (±2 %; SHT35 and SHT85 ±1.5 %).
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x44 with ADDR to ground, 0x45 with ADDR to 3.3 V. An SHT4x lives there too, but does not answer alike.
- Trouble: after days near 100 % it reads a few % too much, and recovers in dry air.
";

pub(super) const ENTRY: Entry = Entry {
    name: "sht3x",
    summary: "temperature and humidity, I²C: SHT30, SHT31, SHT35, SHT85",
    about: ABOUT,
    example: r#"
[sensors.air]
driver = "sht3x"
bus = 1
address = 0x44
every = "5s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnI2c);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let addresses = [(0x44, "ADDR to ground"), (0x45, "ADDR to 3.3 V")];
    Some(Box::new(Config(OnI2c::read(section, "SHT3x", &addresses)?)))
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
        // It may still measure periodically for the program before us, and takes a reset only when it does not.
        chip.write(&STOP)?;
        chip.wait(STOPPING);
        // The heater is off then, too.
        chip.write(&RESET)?;
        chip.wait(RESETTING);
        chip.write(&STATUS)?;
        let [status] = sensirion::words(&mut chip)?;
        if status & HAS_RESET == 0 {
            let found = format!("its status is {status:#06x} right after a reset; check the address with `i2cdetect`");
            return Err(DriverError::wrong_chip(chip.name(), found));
        }
        Ok(Box::new(Sht3x(chip)))
    }
}

/// The commands (tables 9, 13, 14 and 17).
const MEASURE_PRECISELY: [u8; 2] = [0x24, 0x00];
const STOP: [u8; 2] = [0x30, 0x93];
const RESET: [u8; 2] = [0x30, 0xa2];
const STATUS: [u8; 2] = [0xf3, 0x2d];
/// In the status (table 18).
const HAS_RESET: u16 = 1 << 4;
/// At most (table 4 and chapter 4.8).
const MEASURING: Duration = Duration::from_micros(15_500);
const STOPPING: Duration = Duration::from_millis(1);
const RESETTING: Duration = Duration::from_micros(1500);

struct Sht3x(I2cDevice);

impl Driver for Sht3x {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        self.0.write(&MEASURE_PRECISELY)?;
        self.0.wait(MEASURING);
        let [temperature, humidity] = sensirion::words(&mut self.0)?;
        Ok(vec![sensirion::celsius(temperature), sensirion::percent(humidity)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    fn opening(status: &[u8; 3]) -> [Step; 4] {
        [
            i2c(0x44, &[0x30, 0x93], &[]),
            i2c(0x44, &[0x30, 0xa2], &[]),
            i2c(0x44, &[0xf3, 0x2d], &[]),
            i2c(0x44, &[], status),
        ]
    }

    /// The datasheet has no example; these are its formulas (4.13) at 25 °C and 50 %, and its check sum.
    #[test]
    fn it_speaks_the_datasheets_bytes() {
        let board = Recorded::new(opening(&[0x80, 0x10, 0xe1]));
        board.then([i2c(0x44, &[0x24, 0x00], &[]), i2c(0x44, &[], &[0x66, 0x66, 0x93, 0x80, 0x00, 0xa2])]);
        let values = read_once(&ENTRY, "", &board).unwrap();
        assert_near(&values, &[25.0, 50.0], 0.001);
        assert!(board.waited() >= MEASURING + RESETTING + STOPPING);
    }

    #[test]
    fn damage_another_chip_and_absence_are_errors() {
        let board = Recorded::new(opening(&[0x80, 0x10, 0xe1]));
        board.then([i2c(0x44, &[0x24, 0x00], &[]), i2c(0x44, &[], &[0x66, 0x66, 0x93, 0x80, 0x01, 0xa2])]);
        let error = read_once(&ENTRY, "", &board).unwrap_err().to_string();
        assert!(error.starts_with("SHT3x at 0x44 on I²C bus 1 sent damaged data: the check sum of word 1"), "{error}");

        let error = opened(&ENTRY, "", &Recorded::new(opening(&[0x00, 0x00, 0x81]))).err().unwrap();
        assert!(matches!(&error, DriverError::WrongChip { .. }), "{error}");

        let error = opened(&ENTRY, "", &Recorded::new([nack(0x44, &[0x30, 0x93])])).err().unwrap().to_string();
        assert_eq!(error, "no answer from address 0x44 on I²C bus 1: check its wiring, its power and its address");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        let found = mistakes(&ENTRY, "address = 0x46");
        assert!(found[0].message.contains("an SHT3x cannot be at address 0x46"), "{found:?}");
        assert!(found[0].hint.contains("0x45 (ADDR to 3.3 V)"), "{found:?}");
    }
}
