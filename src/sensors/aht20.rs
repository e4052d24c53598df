//! AHT20 and AHT21: temperature and humidity on I²C, the cheapest there are.
//!
//! Source: Aosong AHT20 datasheet, version 1.1, chapters 5.3 to 6. Own code: the `aht20-driver` crate asks a chip that is not
//! calibrated, or whose check sum stays wrong, again for ever.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig, crc};
use crate::config::Section;
use crate::hardware::{Hardware, HardwareError, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: -40 to 85 °C (±0.3 °C), 0 to 100 % (±2 %). The DHT20 has the same chip in it.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x38, and no other: one on each bus.
- Trouble: the older AHT10 sends no check sum, and is not for this driver.
";

pub(super) const ENTRY: Entry = Entry {
    name: "aht20",
    summary: "temperature and humidity, I²C: AHT20, AHT21, DHT20",
    about: ABOUT,
    example: r#"
[sensors.air]
driver = "aht20"
bus = 1
every = "5s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnI2c);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    Some(Box::new(Config(OnI2c::read(section, "AHT20", &[(0x38, "")])?)))
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
        let mut driver = Aht20(self.0.open(hardware)?);
        // Its power may just have been switched on.
        driver.0.wait(STARTING);
        if driver.status()? & CALIBRATED == 0 {
            driver.0.write(&INITIALISE)?;
            driver.0.wait(INITIALISING);
            let status = driver.status()?;
            if status & CALIBRATED == 0 {
                return Err(driver.uncalibrated(status));
            }
        }
        Ok(Box::new(driver))
    }
}

/// The commands (table 9). The status needs none: it is what is read first.
const INITIALISE: [u8; 3] = [0xbe, 0x08, 0x00];
const MEASURE: [u8; 3] = [0xac, 0x33, 0x00];
/// In the status (table 10).
const BUSY: u8 = 0x80;
const CALIBRATED: u8 = 0x08;
/// 5.4
const STARTING: Duration = Duration::from_millis(40);
const INITIALISING: Duration = Duration::from_millis(10);
const MEASURING: Duration = Duration::from_millis(80);
const A_LITTLE_MORE: Duration = Duration::from_millis(5);

struct Aht20(I2cDevice);

impl Driver for Aht20 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        self.0.write(&MEASURE)?;
        self.0.wait(MEASURING);
        for _ in 0..4 {
            if self.status()? & BUSY == 0 {
                return self.result();
            }
            self.0.wait(A_LITTLE_MORE);
        }
        Err(DriverError::no_value(self.0.name(), "it does not finish its measurement; switch its power off and on"))
    }
}

impl Aht20 {
    fn status(&mut self) -> Result<u8, HardwareError> {
        let mut status = [0];
        self.0.read(&mut status)?;
        Ok(status[0])
    }

    fn result(&mut self) -> Result<Vec<f64>, DriverError> {
        let mut bytes = [0; 7];
        self.0.read(&mut bytes)?;
        let ([status, h0, h1, both, t1, t2, sum], expected) = (bytes, crc::sensirion(&bytes[..6]));
        if sum != expected {
            let what =
                format!("the check sum is {sum:#04x} instead of {expected:#04x}; shorten the cable. An AHT10 has none");
            return Err(DriverError::corrupt(self.0.name(), what));
        }
        if status & BUSY != 0 {
            return Err(DriverError::no_value(self.0.name(), "it still measures"));
        }
        if status & CALIBRATED == 0 {
            return Err(self.uncalibrated(status));
        }
        let humidity = u32::from_be_bytes([0, h0, h1, both]) >> 4;
        let temperature = u32::from_be_bytes([0, both & 0x0f, t1, t2]);
        let (celsius, percent) = (celsius(temperature), percent(humidity));
        if !(-40.0..=120.0).contains(&celsius) {
            let what = format!("{celsius:.1} °C is outside what it can measure; switch its power off and on");
            return Err(DriverError::no_value(self.0.name(), what));
        }
        Ok(vec![celsius, percent])
    }

    fn uncalibrated(&self, status: u8) -> DriverError {
        let what = format!("it has not loaded its calibration (status {status:#04x}); switch its power off and on");
        DriverError::no_value(self.0.name(), what)
    }
}

/// 6.2, over 20 bits.
fn celsius(raw: u32) -> f64 {
    200.0f64.mul_add(f64::from(raw) / f64::from(1 << 20), -50.0)
}

/// 6.1, over 20 bits.
fn percent(raw: u32) -> f64 {
    100.0 * f64::from(raw) / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    fn says(bytes: &[u8]) -> Step {
        i2c(0x38, &[], bytes)
    }

    /// A chip that is ready, measures, and answers.
    fn answering(bytes: &[u8; 7]) -> Recorded {
        Recorded::new([says(&[0x18]), i2c(0x38, &[0xac, 0x33, 0x00], &[]), says(&[0x18]), says(bytes)])
    }

    /// The datasheet has no example; these are its formulas (chapter 6) at 25 °C and 50 %, and its check sum.
    #[test]
    fn it_speaks_the_datasheets_bytes() {
        let board = answering(&[0x18, 0x80, 0x00, 0x06, 0x00, 0x00, 0x23]);
        assert_near(&read_once(&ENTRY, "", &board).unwrap(), &[25.0, 50.0], 1e-9);
        assert!(board.waited() >= STARTING + MEASURING);
        assert_near(&[celsius(0xfffff), percent(0xfffff), celsius(0)], &[150.0, 100.0, -50.0], 0.001);
    }

    #[test]
    fn a_chip_without_its_calibration_is_told_to_load_it_once() {
        let steps = [says(&[0x10]), i2c(0x38, &[0xbe, 0x08, 0x00], &[])];
        let board = Recorded::new(steps.clone());
        board.then([says(&[0x18])]);
        assert!(opened(&ENTRY, "", &board).is_ok());

        let board = Recorded::new(steps);
        board.then([says(&[0x10])]);
        let error = opened(&ENTRY, "", &board).err().unwrap().to_string();
        assert!(error.contains("has not loaded its calibration (status 0x10)"), "{error}");

        let error = read_once(&ENTRY, "", &answering(&[0x10, 0x80, 0x00, 0x06, 0x00, 0x00, 0xf9])).unwrap_err();
        assert!(matches!(&error, DriverError::NoValue { .. }), "{error}");
    }

    #[test]
    fn damage_absence_and_a_chip_that_never_finishes_are_errors() {
        let error = read_once(&ENTRY, "", &answering(&[0x18, 0x80, 0x00, 0x06, 0x00, 0x01, 0x23])).unwrap_err();
        assert!(error.to_string().contains("sent damaged data: the check sum is 0x23 instead of"), "{error}");

        // All zeros with a good check sum, as a chip sends that hangs.
        let error = read_once(&ENTRY, "", &answering(&[0x18, 0, 0, 0, 0, 0, 0x35])).unwrap_err().to_string();
        assert!(error.contains("-50.0 °C is outside what it can measure"), "{error}");

        let board = Recorded::new([says(&[0x18]), i2c(0x38, &[0xac, 0x33, 0x00], &[])]);
        board.then([says(&[0x98]), says(&[0x98]), says(&[0x98]), says(&[0xff])]);
        let error = read_once(&ENTRY, "", &board).unwrap_err().to_string();
        assert!(error.contains("does not finish its measurement"), "{error}");
        assert!(board.waited() - STARTING <= Duration::from_millis(100));

        let error = opened(&ENTRY, "", &Recorded::new([nack(0x38, &[])])).err().unwrap();
        assert!(matches!(&error, DriverError::Hardware(HardwareError::NoAcknowledge { .. })), "{error}");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        assert_eq!(mistakes(&ENTRY, "address = 0x39")[0].hint, "it is at 0x38");
    }
}
