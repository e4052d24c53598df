//! ENS160: organic compounds, equivalent carbon dioxide and an index of air quality on I²C. An ENS161 answers alike.
//!
//! The chip keeps a check sum of what is read from it (DATA_MISR), which goes on from one transfer to the next for ever: neither a new
//! transfer nor a reset begins it anew. So it is read before and after the values, of which it must have made the one of the other. That
//! keeps nothing that could get out of step: whatever became of a transfer, the next read begins with the chip's own.
//!
//! Source: ScioSense ENS160 datasheet, SC-001224-DS-9, chapter 16, and for the check sum 16.2.14 of SC-001224-DS-7: the polynomial 0x1d, one
//! step for each byte, 0 after its power has come. Its code in C compares before it masks, by the rules of that language; how it is meant,
//! with the step by the polynomial only where a 1 falls out, is in ScioSense's own library (ens16x-arduino) and in others' drivers, two of
//! which tell what they saw of chips. These all take every register that is read into the sum but its own, the datasheet 0x20 to 0x37
//! only, which is one here. Own code: the `ens160-aq` crate leaves it to its user to ask for the validity of what it gives.

use std::time::Duration;

use super::compensation::Compensation;
use super::pace::{self, Rhythm};
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::{ChannelId, Quantity};
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: 0 to 65000 ppb of organic compounds, 400 to 65000 ppm of carbon dioxide, as it infers it from them: of people, and of no use
  where CO2 comes from a bottle or from plants. Air quality after the UBA: 1 (excellent) to 5 (unhealthy).
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3, CS to 3.3 V; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x52 with ADDR to ground, 0x53 with ADDR to 3.3 V.
- Humidity: `compensation = { temperature = \"air.temperature\", humidity = \"air.humidity\" }` takes its influence out. An AHT21 on the
  same small board is warmed by this chip.
- Trouble: it has no values for 3 minutes after its power has come, and for the first hour of its life, which begins again until it has
  run for 24 hours without a break.
";

pub(super) const ENTRY: Entry = Entry {
    name: "ens160",
    summary: "organic compounds, equivalent carbon dioxide and air quality, I²C: ENS160, ENS161",
    about: ABOUT,
    example: r#"
[sensors.breath]
driver = "ens160"
bus = 1
address = 0x53
every = "10s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    at: OnI2c,
    compensation: Compensation,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let at = OnI2c::read(section, "ENS160", &[(0x52, "ADDR to ground"), (0x53, "ADDR to 3.3 V")]);
    let compensation = Compensation::read_climate(section);
    if !pace::suits(section, Duration::from_secs(1)..=pace::LONGEST, "an ENS160 measures every second") {
        return None;
    }
    Some(Box::new(Config { at: at?, compensation: compensation? }))
}

const CHANNELS: &[Channel] = &[
    Channel { name: "tvoc", quantity: Quantity::OrganicCompounds },
    Channel { name: "eco2", quantity: Quantity::EquivalentCarbonDioxide },
    Channel { name: "air_quality", quantity: Quantity::AirQualityIndex },
];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.at.wiring()
    }

    fn inputs(&self) -> &[ChannelId] {
        self.compensation.channels()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut chip = self.at.open(hardware)?;
        let id = chip.word_le(PART_ID)?;
        if !PARTS.contains(&id) {
            let found = format!("its part id is {id:#06x} instead of 0x0160 (ENS160) or 0x0161 (ENS161)");
            return Err(DriverError::wrong_chip(chip.name(), found));
        }
        // One that measures already is left alone: it would warm up again.
        if chip.register(MODE)? != MEASURES {
            chip.set(MODE, MEASURES)?;
        }
        let compensation = self.compensation.clone();
        Ok(Box::new(Ens160 { chip, compensation, rhythm: Rhythm::default() }))
    }
}

/// The registers (16.2).
const PART_ID: u8 = 0x00;
const MODE: u8 = 0x10;
const AIR: u8 = 0x13;
const STATUS: u8 = 0x20;
const CHECK_SUM: u8 = 0x38;
const PARTS: [u16; 2] = [0x0160, 0x0161];
/// The operating mode "standard".
const MEASURES: u8 = 0x02;
/// In the status: an operating mode runs, there is an error, there is something new.
const RUNS: u8 = 0x80;
const FAILED: u8 = 0x40;
const NEW: u8 = 0x02;

/// ppb and ppm that it can say.
const MOST: u16 = 65_000;

struct Ens160 {
    chip: I2cDevice,
    compensation: Compensation,
    rhythm: Rhythm,
}

impl Driver for Ens160 {
    fn hear(&mut self, inputs: &[Option<f64>]) {
        self.compensation.hear(inputs);
    }

    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        if let Some((celsius, percent)) = self.compensation.climate() {
            let ([a, b], [c, d]) = (kelvin(celsius).to_le_bytes(), share(percent).to_le_bytes());
            self.chip.write(&[AIR, a, b, c, d])?;
        }
        let [status, quality, b1, b2, p1, p2] = self.checked()?;
        let name = self.chip.name();
        if status & RUNS == 0 {
            // The actor opens it anew.
            return Err(DriverError::no_value(name, "it does not measure; it may have lost its power for a moment"));
        }
        if status & FAILED != 0 {
            return Err(DriverError::no_value(
                name,
                "it says that its measurement failed; if it stays so, it is broken",
            ));
        }
        match status >> 2 & 0b11 {
            0 => {}
            1 => return Err(DriverError::not_yet(name, "it warms up for 3 minutes")),
            2 => return Err(DriverError::not_yet(name, "it runs in, in the first hour of its life")),
            _ => return Err(DriverError::no_value(name, "it says that its values are invalid")),
        }
        if status & NEW == 0 {
            return self.rhythm.not_ready(name, "some seconds");
        }
        let (ppb, ppm) = (u16::from_le_bytes([b1, b2]), u16::from_le_bytes([p1, p2]));
        if !(1..=5).contains(&quality) || ppb > MOST || !(400..=MOST).contains(&ppm) {
            let what = format!("it says {ppb} ppb, {ppm} ppm and an air quality of {quality}; check its wiring");
            return Err(DriverError::no_value(name, what));
        }
        Ok(self.rhythm.ready(vec![f64::from(ppb), f64::from(ppm), f64::from(quality)]))
    }
}

impl Ens160 {
    /// The status and the values, in one transfer, so that the one is that of the others.
    fn checked(&mut self) -> Result<[u8; 6], DriverError> {
        let before = self.chip.register(CHECK_SUM)?;
        let bytes = self.chip.registers(STATUS)?;
        let (sum, expected) = (self.chip.register(CHECK_SUM)?, check_sum(before, &bytes));
        if sum != expected {
            let what = format!("its check sum is {sum:#04x} instead of {expected:#04x}; shorten the cable");
            return Err(DriverError::corrupt(self.chip.name(), what));
        }
        Ok(bytes)
    }
}

/// What reading these makes of the check sum (16.2.14).
fn check_sum(before: u8, bytes: &[u8]) -> u8 {
    /// x^8 + x^4 + x^3 + x^2 + 1
    const POLYNOMIAL: u8 = 0x1d;
    bytes.iter().fold(before, |sum, byte| sum << 1 ^ byte ^ if sum & 0x80 == 0 { 0 } else { POLYNOMIAL })
}

/// In steps of 1/64 K (TEMP_IN).
fn kelvin(celsius: f64) -> u16 {
    ((celsius + 273.15) * 64.0).round().clamp(0.0, 65535.0) as u16
}

/// % in steps of 1/512 (RH_IN).
fn share(percent: f64) -> u16 {
    (percent * 512.0).round().clamp(0.0, 65535.0) as u16
}

#[cfg(test)]
mod tests {
    use super::super::testing::{mistakes, opened};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    fn opening() -> [Step; 3] {
        [i2c(0x52, &[0x00], &[0x60, 0x01]), i2c(0x52, &[0x10], &[0x00]), i2c(0x52, &[0x10, 0x02], &[])]
    }

    /// Of a chip whose check sum goes from one value to the other.
    fn between(before: u8, bytes: [u8; 6], after: u8) -> [Step; 3] {
        [i2c(0x52, &[0x38], &[before]), i2c(0x52, &[0x20], &bytes), i2c(0x52, &[0x38], &[after])]
    }

    fn answer(bytes: [u8; 6]) -> [Step; 3] {
        between(0, bytes, check_sum(0, &bytes))
    }

    /// As a real one has answered: excellent air is 1, this is 2.
    const GOOD: [u8; 6] = [0x83, 2, 174, 0, 148, 2];

    #[test]
    fn it_speaks_the_datasheets_registers() {
        let board = Recorded::new(opening());
        let keys = "compensation = { temperature = \"air.temperature\", humidity = \"air.humidity\" }";
        let mut driver = opened(&ENTRY, keys, &board).unwrap();
        board.then(answer(GOOD));
        assert_eq!(driver.read(), Ok(vec![174.0, 660.0, 2.0]));
        // 25 °C and 50 %.
        driver.hear(&[Some(25.0), Some(50.0)]);
        board.then([i2c(0x52, &[0x13, 0x8a, 0x4a, 0x00, 0x64], &[])]);
        board.then(answer(GOOD));
        driver.read().unwrap();
        board.done();
    }

    #[test]
    fn one_that_measures_is_not_made_to_warm_up_again() {
        let board = Recorded::new([i2c(0x52, &[0x00], &[0x61, 0x01]), i2c(0x52, &[0x10], &[0x02])]);
        opened(&ENTRY, "", &board).unwrap();
        board.done();
    }

    /// The sums are remainders of the polynomial's division, done apart: not from a chip, which no source has written down.
    #[test]
    fn the_check_sum_goes_on_from_read_to_read_and_finds_every_bit_that_is_wrong() {
        let board = Recorded::new(opening());
        let mut driver = opened(&ENTRY, "", &board).unwrap();
        board.then(between(0x00, GOOD, 0xa3));
        board.then(between(0xa3, [0x83, 2, 176, 0, 151, 2], 0xfa));
        board.then(between(0xb7, GOOD, 0x65));
        for values in [[174.0, 660.0, 2.0], [176.0, 663.0, 2.0], [174.0, 660.0, 2.0]] {
            assert_eq!(driver.read(), Ok(values.to_vec()));
        }
        for bit in 0..8 * GOOD.len() {
            let mut wrong = GOOD;
            wrong[bit / 8] ^= 1 << (bit % 8);
            board.then(between(0xb7, wrong, 0x65));
            let error = driver.read().unwrap_err();
            assert!(matches!(error, DriverError::Corrupt { .. }), "bit {bit}: {error}");
        }
        board.then(between(0xff, [0xff; 6], 0xff));
        assert!(matches!(driver.read(), Err(DriverError::Corrupt { .. })), "a wire that is loose");
        // What failed leaves nothing behind.
        board.then(between(0x65, GOOD, 0xdb));
        assert_eq!(driver.read(), Ok(vec![174.0, 660.0, 2.0]));
        board.done();
    }

    #[test]
    fn each_way_to_have_no_value_is_told_apart() {
        for (bytes, early, expected) in [
            ([0x87, 1, 0, 0, 144, 1], true, "3 minutes"),
            ([0x8b, 1, 0, 0, 144, 1], true, "first hour"),
            ([0x8f, 1, 0, 0, 144, 1], false, "invalid"),
            ([0xc3, 1, 0, 0, 144, 1], false, "failed"),
            ([0x03, 1, 0, 0, 144, 1], false, "lost its power"),
            ([0x83, 0, 0, 0, 0, 0], false, "an air quality of 0"),
            ([0x83, 7, 174, 0, 148, 2], false, "an air quality of 7"),
            ([0x83, 2, 174, 0, 148, 0], false, "148 ppm"),
            ([0x81, 2, 174, 0, 148, 2], true, "its first measurement"),
            ([0xff; 6], false, "it says that its"),
        ] {
            let board = Recorded::new(opening());
            board.then(answer(bytes));
            let error = opened(&ENTRY, "", &board).unwrap().read().unwrap_err();
            assert_eq!(matches!(error, DriverError::NotYet { .. }), early, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn absence_another_chip_and_mistakes_are_told() {
        for (step, expected) in [
            (nack(0x52, &[0x00]), "no answer from address 0x52"),
            (i2c(0x52, &[0x00], &[0xff, 0xff]), "part id is 0xffff"),
        ] {
            let error = opened(&ENTRY, "", &Recorded::new([step])).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
        for (keys, expected) in [("address = 0x54", "0x53 (ADDR to 3.3 V)"), ("every = \"100ms\"", "1s")] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{found:?}");
        }
    }
}
