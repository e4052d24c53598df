//! BMP280: air pressure and temperature on I²C.
//!
//! It measures once for each read (forced mode) and sleeps between, which keeps it cool. Each read sets all it needs again, so that
//! a chip that lost power for a moment works on.
//!
//! Source: BST-BMP280-DS001 revision 1.23; the arithmetic stands in `bosch.rs`. Own code: it shares all but these registers with the
//! BME280.

use std::time::Duration;

use super::bosch::{self, SKIPPED, Trimming};
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: 300 to 1100 hPa (±1 hPa), -40 to 85 °C (±1 °C; it warms itself a little).
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`. CSB to 3.3 V.
- Address: 0x76 with SDO to ground, 0x77 with SDO to 3.3 V; `i2cdetect -y 1` shows it.
- Trouble: it sees light; cover it from the sun.
";

pub(super) const ENTRY: Entry = Entry {
    name: "bmp280",
    summary: "air pressure and temperature, I²C",
    about: ABOUT,
    example: r#"
[sensors.weather]
driver = "bmp280"
bus = 1
address = 0x76
every = "1m"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnI2c);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let addresses = [(0x76, "SDO to ground"), (0x77, "SDO to 3.3 V")];
    Some(Box::new(Config(OnI2c::read(section, "BMP280", &addresses)?)))
}

const CHANNELS: &[Channel] = &[
    Channel { name: "pressure", quantity: Quantity::Pressure },
    Channel { name: "temperature", quantity: Quantity::Temperature },
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
        // Samples of the first series have the two other ids.
        bosch::check_id(&mut chip, "BMP280", &[0x56, 0x57, bosch::BMP280])?;
        chip.set(RESET, SOFT_RESET)?;
        bosch::wait_until_clear(&mut chip, STARTING, UPDATING, "it does not come back from its reset")?;
        let trimming = Trimming::parse(&chip.registers(TRIMMING)?);
        if !trimming.is_plausible() {
            let what = "its calibration is empty; check the wiring, or the chip is broken";
            return Err(DriverError::corrupt(chip.name(), what));
        }
        Ok(Box::new(Bmp280 { chip, trimming }))
    }
}

/// The registers (table 18).
const TRIMMING: u8 = 0x88;
const RESET: u8 = 0xe0;
const STATUS: u8 = 0xf3;
const CTRL_MEAS: u8 = 0xf4;
const DATA: u8 = 0xf7;
const SOFT_RESET: u8 = 0xb6;
/// It converts.
const MEASURING: (u8, u8) = (STATUS, 0x08);
/// It copies its trimming after a reset.
const UPDATING: (u8, u8) = (STATUS, 0x01);
/// Each quantity once, as for "weather monitoring" (3.4). The filter is off after the reset.
const FORCED_ONCE: u8 = 0b001 << 5 | 0b001 << 2 | 0b01;
/// At most (table 1 and table 13).
const STARTING: Duration = Duration::from_millis(2);
const CONVERTING: Duration = Duration::from_micros(6400);

struct Bmp280 {
    chip: I2cDevice,
    trimming: Trimming,
}

impl Driver for Bmp280 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        self.chip.set(CTRL_MEAS, FORCED_ONCE)?;
        bosch::wait_until_clear(&mut self.chip, CONVERTING, MEASURING, "it does not finish its measurement")?;
        let [p0, p1, p2, t0, t1, t2] = self.chip.registers(DATA)?;
        let (pressure, temperature) = (bosch::twenty([p0, p1, p2]), bosch::twenty([t0, t1, t2]));
        // That code may also be a value, so a single one of them counts as none only where the setting is lost as well.
        let skipped = [pressure == SKIPPED, temperature == SKIPPED];
        if skipped == [true; 2] || skipped.contains(&true) && !self.was_told_to_measure()? {
            let what = "it has not measured; it may have lost its power for a moment";
            return Err(DriverError::no_value(self.chip.name(), what));
        }
        let (celsius, pascal) = self.trimming.celsius_and_pascal(temperature, pressure);
        if !bosch::is_measurable(celsius, pascal) {
            let what = format!("{celsius:.1} °C or {pascal:.0} Pa is outside what it can measure; check its wiring");
            return Err(DriverError::corrupt(self.chip.name(), what));
        }
        Ok(vec![pascal / 100.0, celsius])
    }
}

impl Bmp280 {
    /// The last two bits are the mode, which goes back to sleep.
    fn was_told_to_measure(&mut self) -> Result<bool, DriverError> {
        Ok(self.chip.register(CTRL_MEAS)? >> 2 == FORCED_ONCE >> 2)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    /// The trimming of the datasheet's worked example (3.12).
    const EXAMPLE: [u8; 24] = [
        0x70, 0x6b, 0x43, 0x67, 0x18, 0xfc, 0x7d, 0x8e, 0x43, 0xd6, 0xd0, 0x0b, 0x27, 0x0b, 0x8c, 0x00, 0xf9, 0xff,
        0x8c, 0x3c, 0xf8, 0xc6, 0x70, 0x17,
    ];

    fn board(id: u8, trimming: &[u8; 24], data: &[u8; 6]) -> Recorded {
        let steps: [Step; 7] = [
            i2c(0x76, &[0xd0], &[id]),
            i2c(0x76, &[0xe0, 0xb6], &[]),
            i2c(0x76, &[0xf3], &[0x00]),
            i2c(0x76, &[0x88], trimming),
            i2c(0x76, &[0xf4, 0x25], &[]),
            i2c(0x76, &[0xf3], &[0x00]),
            i2c(0x76, &[0xf7], data),
        ];
        Recorded::new(steps)
    }

    #[test]
    fn the_datasheets_example_comes_through_the_driver() {
        let board = board(0x58, &EXAMPLE, &[0x65, 0x5a, 0xc0, 0x7e, 0xed, 0x00]);
        let values = read_once(&ENTRY, "", &board).unwrap();
        assert_near(&values, &[1006.5327, 25.08], 0.005);
        assert_near(&values[..1], &[1006.5327], 0.0005);
        assert!(board.waited() >= CONVERTING + STARTING);
    }

    #[test]
    fn what_was_not_measured_or_cannot_be_is_no_value() {
        let none = [0x80, 0x00, 0x00, 0x80, 0x00, 0x00];
        let error = read_once(&ENTRY, "", &board(0x58, &EXAMPLE, &none)).unwrap_err();
        assert!(matches!(&error, DriverError::NoValue { .. }), "{error}");

        let half = [0x80, 0x00, 0x00, 0x7e, 0xed, 0x00];
        for (setting, lost) in [(0x00, true), (0x24, false)] {
            let board = board(0x58, &EXAMPLE, &half);
            board.then([i2c(0x76, &[0xf4], &[setting])]);
            let read = read_once(&ENTRY, "", &board);
            assert_eq!(matches!(&read, Err(DriverError::NoValue { .. })), lost, "{read:?}");
        }

        let ones = [0xff; 6];
        let error = read_once(&ENTRY, "", &board(0x58, &EXAMPLE, &ones)).unwrap_err();
        assert!(matches!(&error, DriverError::Corrupt { .. }), "{error}");
    }

    #[test]
    fn another_chip_empty_trimming_absence_and_no_end_are_errors() {
        let error = opened(&ENTRY, "", &board(0x60, &EXAMPLE, &[0; 6])).err().unwrap().to_string();
        assert!(error.contains("found chip id 0x60, which is a BME280; use driver = \"bme280\""), "{error}");

        let error = opened(&ENTRY, "", &board(0x58, &[0xff; 24], &[0; 6])).err().unwrap();
        assert!(matches!(&error, DriverError::Corrupt { .. }), "{error}");

        let error = opened(&ENTRY, "", &Recorded::new([nack(0x76, &[0xd0])])).err().unwrap().to_string();
        assert_eq!(error, "no answer from address 0x76 on I²C bus 1: check its wiring, its power and its address");

        let board = Recorded::new([i2c(0x76, &[0xd0], &[0x58]), i2c(0x76, &[0xe0, 0xb6], &[])]);
        board.then([0; 10].map(|_| i2c(0x76, &[0xf3], &[0x01])));
        let error = opened(&ENTRY, "", &board).err().unwrap().to_string();
        assert!(error.contains("does not come back from its reset"), "{error}");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        let found = mistakes(&ENTRY, "address = 0x48");
        assert!(found[0].hint.contains("0x77 (SDO to 3.3 V)"), "{found:?}");
    }
}
