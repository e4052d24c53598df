//! SHTC3: temperature and humidity on I²C, small and cheap.
//!
//! It is woken for each measurement and sleeps between, which keeps it cool.
//!
//! Source: Sensirion SHTC3 datasheet, version 3, chapter 5. Own code: with what Sensirion's chips have in common at hand only the
//! commands are left, and the reset of the `shtcx` crate waits for 240 ms in place of the datasheet's 240 µs.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig, sensirion};
use crate::config::Section;
use crate::hardware::{Hardware, HardwareError, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: -40 to 125 °C (±0.2 °C), 0 to 100 % (±2 %).
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x70, and no other. I²C multiplexers are often there too.
- Trouble: `i2cdetect` may not see it while it sleeps. An SHTC1 does not sleep, and is not for this driver.
";

pub(super) const ENTRY: Entry = Entry {
    name: "shtc3",
    summary: "temperature and humidity, I²C",
    about: ABOUT,
    example: r#"
[sensors.air]
driver = "shtc3"
bus = 1
every = "5s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnI2c);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    Some(Box::new(Config(OnI2c::read(section, "SHTC3", &[(0x70, "")])?)))
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
        let mut driver = Shtc3(self.0.open(hardware)?);
        driver.wake()?;
        driver.0.write(&ID)?;
        let [id] = sensirion::words(&mut driver.0)?;
        if id & PRODUCT != PRODUCT_SHTC3 {
            let found = format!("found product code {id:#06x}, which is no SHTC3; check what is at this address");
            return Err(DriverError::wrong_chip(driver.0.name(), found));
        }
        Ok(Box::new(driver))
    }
}

/// The commands (5.1 to 5.5, and 5.9).
const WAKE: [u8; 2] = [0x35, 0x17];
const SLEEP: [u8; 2] = [0xb0, 0x98];
/// Temperature first, without clock stretching, which the Pi does badly.
const MEASURE: [u8; 2] = [0x78, 0x66];
const ID: [u8; 2] = [0xef, 0xc8];
/// What of the product code is fixed (table 15).
const PRODUCT: u16 = 0x083f;
const PRODUCT_SHTC3: u16 = 0x0807;
/// At most (table 5).
const WAKING: Duration = Duration::from_micros(240);
const MEASURING: Duration = Duration::from_micros(12_100);

struct Shtc3(I2cDevice);

impl Driver for Shtc3 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        self.wake()?;
        self.0.write(&MEASURE)?;
        self.0.wait(MEASURING);
        let [temperature, humidity] = sensirion::words(&mut self.0)?;
        self.0.write(&SLEEP)?;
        Ok(vec![sensirion::celsius(temperature), sensirion::percent(humidity)])
    }
}

impl Shtc3 {
    fn wake(&mut self) -> Result<(), HardwareError> {
        self.0.write(&WAKE)?;
        self.0.wait(WAKING);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    fn opening(id: &[u8; 3]) -> [Step; 3] {
        [i2c(0x70, &[0x35, 0x17], &[]), i2c(0x70, &[0xef, 0xc8], &[]), i2c(0x70, &[], id)]
    }

    fn measuring(answer: &[u8; 6]) -> [Step; 3] {
        [i2c(0x70, &[0x35, 0x17], &[]), i2c(0x70, &[0x78, 0x66], &[]), i2c(0x70, &[], answer)]
    }

    const SHTC3: &[u8; 3] = &[0x08, 0x87, 0x5b];

    /// The datasheet has no example; these are its formulas (5.11) at 25 °C and 50 %, and its check sum.
    #[test]
    fn it_speaks_the_datasheets_bytes() {
        let board = Recorded::new(opening(SHTC3));
        board.then(measuring(&[0x66, 0x66, 0x93, 0x80, 0x00, 0xa2]));
        board.then([i2c(0x70, &[0xb0, 0x98], &[])]);
        assert_near(&read_once(&ENTRY, "", &board).unwrap(), &[25.0, 50.0], 0.005);
        assert!(board.waited() >= MEASURING + 2 * WAKING);
    }

    #[test]
    fn damage_another_chip_and_absence_are_errors() {
        let board = Recorded::new(opening(SHTC3));
        board.then(measuring(&[0x66, 0x67, 0x93, 0x80, 0x00, 0xa2]));
        let error = read_once(&ENTRY, "", &board).unwrap_err().to_string();
        assert!(error.starts_with("SHTC3 at 0x70 on I²C bus 1 sent damaged data: the check sum of word 0"), "{error}");

        // An SHTC1 by its product code.
        let error = opened(&ENTRY, "", &Recorded::new(opening(&[0x00, 0x07, 0x16]))).err().unwrap().to_string();
        assert!(error.contains("found product code 0x0007"), "{error}");

        let error = opened(&ENTRY, "", &Recorded::new([nack(0x70, &[0x35, 0x17])])).err().unwrap();
        assert!(matches!(&error, DriverError::Hardware(HardwareError::NoAcknowledge { .. })), "{error}");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        assert_eq!(mistakes(&ENTRY, "address = 0x71")[0].hint, "it is at 0x70");
    }
}
