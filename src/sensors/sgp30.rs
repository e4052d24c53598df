//! SGP30: organic compounds in the air, and the carbon dioxide that it makes of them, on I²C.
//!
//! Source: Sensirion SGP30 datasheet, version 1.0, chapter 6. Own code: the `sgp30` crate gives the fixed values of the first 15 s like
//! any others, and leaves the baseline to its user.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::compensation::Compensation;
use super::{Channel, Driver, DriverError, Entry, SensorConfig, pace, sensirion};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::{ChannelId, Quantity};
use crate::panics::locked;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: 0 to 60000 ppb of organic compounds (±15 %), 400 to 60000 ppm of carbon dioxide, as it infers it from hydrogen: of people, and
  of no use where CO2 comes from a bottle or from plants.
- Wiring: a board with a regulator, since the chip itself takes 1.8 V; SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in
  `/boot/firmware/config.txt`.
- Address: 0x58.
- Rhythm: it has to be read once a second, `every = \"1s\"`, and says nothing in its first 15 seconds.
- Humidity: `compensation = { temperature = \"air.temperature\", humidity = \"air.humidity\" }` takes its influence out.
- Trouble: it measures against what it has learned to be clean air, for which it needs twelve hours, and forgets that without power.
";

pub(super) const ENTRY: Entry = Entry {
    name: "sgp30",
    summary: "organic compounds and equivalent carbon dioxide, I²C",
    about: ABOUT,
    example: r#"
[sensors.breath]
driver = "sgp30"
bus = 1
every = "1s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    at: OnI2c,
    compensation: Compensation,
    learned: Learned,
}

/// What it has learned to be clean air, once that is worth anything. It outlives the driver, which is opened anew after a failure.
type Learned = Arc<Mutex<Option<[u16; 2]>>>;

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let at = OnI2c::read(section, "SGP30", &[(0x58, "")]);
    let compensation = Compensation::read_climate(section);
    if !pace::suits(section, SECOND..=SECOND, "an SGP30 learns from one read a second") {
        return None;
    }
    Some(Box::new(Config { at: at?, compensation: compensation?, learned: Learned::default() }))
}

const CHANNELS: &[Channel] = &[
    Channel { name: "tvoc", quantity: Quantity::OrganicCompounds },
    Channel { name: "eco2", quantity: Quantity::EquivalentCarbonDioxide },
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
        let [features] = sensirion::ask(&mut chip, FEATURES, SETTING)?;
        if features & PRODUCT != 0 {
            let found = format!("its feature set is {features:#06x}: this is another gas sensor of Sensirion");
            return Err(DriverError::wrong_chip(chip.name(), found));
        }
        let (compensation, learned) = (self.compensation.clone(), self.learned.clone());
        Ok(Box::new(Sgp30 { chip, compensation, learned, seconds: None, vapour: 0, told_vapour: 0 }))
    }
}

/// The commands (table 10).
const START: u16 = 0x2003;
const MEASURE: u16 = 0x2008;
const BASELINE: u16 = 0x2015;
const SET_BASELINE: u16 = 0x201e;
const SET_HUMIDITY: u16 = 0x2061;
const FEATURES: u16 = 0x202f;
/// They take so long (table 10).
const SETTING: Duration = Duration::from_millis(10);
const MEASURING: Duration = Duration::from_millis(12);
/// In the feature set: 0 for an SGP30.
const PRODUCT: u16 = 0xf000;

const SECOND: Duration = Duration::from_secs(1);
/// So long after its start it gives 400 ppm and 0 ppb, whatever the air is like.
const FIXED: u32 = 15;
/// What it has learned is worth something after twelve hours, and is noted every hour from then on.
const LEARNING: u32 = 12 * 3600;
const NOTING: u32 = 3600;
/// ppm and ppb that it can say.
const MOST: u16 = 60_000;

struct Sgp30 {
    chip: I2cDevice,
    compensation: Compensation,
    learned: Learned,
    /// Since its algorithm was started, which every loss of power ends; there is one read a second.
    seconds: Option<u32>,
    /// g/m³ as a number with 8 bits after the point; 0 for unknown.
    vapour: u16,
    told_vapour: u16,
}

impl Driver for Sgp30 {
    fn hear(&mut self, inputs: &[Option<f64>]) {
        self.compensation.hear(inputs);
    }

    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let read = self.measure();
        if let Err(DriverError::Hardware(_)) = read {
            // It may have lost its power, which nothing else would tell: its algorithm would stand still.
            self.seconds = None;
        }
        read
    }
}

impl Sgp30 {
    fn measure(&mut self) -> Result<Vec<f64>, DriverError> {
        let seconds = match self.seconds {
            Some(seconds) => seconds.saturating_add(1),
            None => self.start()?,
        };
        self.seconds = Some(seconds);
        if let Some((celsius, percent)) = self.compensation.climate() {
            self.vapour = vapour(celsius, percent);
        }
        if self.vapour != self.told_vapour {
            sensirion::tell(&mut self.chip, &sensirion::message(SET_HUMIDITY, &[self.vapour]), SETTING)?;
            self.told_vapour = self.vapour;
        }
        let [ppm, ppb] = sensirion::ask(&mut self.chip, MEASURE, MEASURING)?;
        if seconds >= LEARNING && seconds.is_multiple_of(NOTING) {
            *locked(&self.learned) = Some(sensirion::ask(&mut self.chip, BASELINE, SETTING)?);
        }
        if seconds < FIXED {
            return Err(DriverError::not_yet(self.chip.name(), "it begins to measure 15 s after its start"));
        }
        if !(400..=MOST).contains(&ppm) || ppb > MOST {
            let what = format!("it says {ppm} ppm and {ppb} ppb; if it stays so, the chip is broken");
            return Err(DriverError::no_value(self.chip.name(), what));
        }
        Ok(vec![f64::from(ppb), f64::from(ppm)])
    }

    fn start(&mut self) -> Result<u32, DriverError> {
        sensirion::tell(&mut self.chip, &START.to_be_bytes(), SETTING)?;
        self.told_vapour = 0;
        if let Some([ppm, ppb]) = *locked(&self.learned) {
            // It wants them in the opposite order of how it gives them.
            sensirion::tell(&mut self.chip, &sensirion::message(SET_BASELINE, &[ppb, ppm]), SETTING)?;
        }
        Ok(0)
    }
}

/// Water vapour in g/m³ with 8 bits after the point, by the datasheet's formula; never 0, which would mean that it is unknown.
fn vapour(celsius: f64, percent: f64) -> u16 {
    let saturated = 6.112 * (17.62 * celsius / (243.12 + celsius)).exp();
    let grams = 216.7 * percent / 100.0 * saturated / (273.15 + celsius);
    (grams * 256.0).round().clamp(1.0, 65535.0) as u16
}

#[cfg(test)]
mod tests {
    use super::super::testing::{mistakes, opened};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    const EVERY: &str = "every = \"1s\"";

    /// The feature set is the datasheet's.
    fn opening() -> [Step; 2] {
        [i2c(0x58, &[0x20, 0x2f], &[]), i2c(0x58, &[], &[0x00, 0x22, 0x65])]
    }

    fn start() -> Step {
        i2c(0x58, &[0x20, 0x03], &[])
    }

    fn measured(answer: &[u8; 6]) -> [Step; 2] {
        [i2c(0x58, &[0x20, 0x08], &[]), i2c(0x58, &[], answer)]
    }

    /// 400 ppm, 0 ppb.
    const FIXED_VALUES: [u8; 6] = [0x01, 0x90, 0x4c, 0x00, 0x00, 0x81];
    /// 4660 ppm, 22136 ppb: words whose sums are known.
    const VALUES: [u8; 6] = [0x12, 0x34, 0x37, 0x56, 0x78, 0x7d];

    #[test]
    fn the_fixed_values_of_its_first_seconds_are_none() {
        let board = Recorded::new(opening());
        let mut driver = opened(&ENTRY, EVERY, &board).unwrap();
        board.then([start()]);
        for _ in 0..15 {
            board.then(measured(&FIXED_VALUES));
            assert!(matches!(driver.read(), Err(DriverError::NotYet { .. })));
        }
        board.then(measured(&VALUES));
        assert_eq!(driver.read(), Ok(vec![22136.0, 4660.0]));
        board.then([nack(0x58, &[0x20, 0x08]), start()]);
        board.then(measured(&FIXED_VALUES));
        assert!(matches!(driver.read(), Err(DriverError::Hardware(_))));
        assert!(matches!(driver.read(), Err(DriverError::NotYet { .. })), "it has begun anew");
        board.done();
    }

    #[test]
    fn what_it_has_learned_in_twelve_hours_is_given_back_to_it() {
        let board = Recorded::new(opening());
        let mut driver = opened(&ENTRY, EVERY, &board).unwrap();
        board.then([start()]);
        for second in 0..=LEARNING {
            board.then(measured(&VALUES));
            if second == LEARNING {
                board.then([i2c(0x58, &[0x20, 0x15], &[]), i2c(0x58, &[], &VALUES)]);
            }
            let _ = driver.read();
        }
        board.then([nack(0x58, &[0x20, 0x08]), start()]);
        let _ = driver.read();
        board.then([i2c(0x58, &[0x20, 0x1e, 0x56, 0x78, 0x7d, 0x12, 0x34, 0x37], &[])]);
        board.then(measured(&VALUES));
        let _ = driver.read();
        board.done();
    }

    #[test]
    fn it_is_told_the_vapour_in_the_air() {
        let board = Recorded::new(opening());
        let keys =
            format!("{EVERY}\ncompensation = {{ temperature = \"air.temperature\", humidity = \"air.humidity\" }}");
        let mut driver = opened(&ENTRY, &keys, &board).unwrap();
        driver.hear(&[Some(25.0), Some(50.0)]);
        // 11.48 g/m³ are 0x0b.7c.
        board.then([start(), i2c(0x58, &[0x20, 0x61, 0x0b, 0x7c, 0x1e], &[])]);
        board.then(measured(&FIXED_VALUES));
        let _ = driver.read();
        board.done();
        assert_eq!(vapour(-40.0, 0.0), 1, "0 would mean that nobody knows");
    }

    #[test]
    fn another_chip_damage_and_mistakes_are_told() {
        let board = Recorded::new([i2c(0x58, &[0x20, 0x2f], &[]), i2c(0x58, &[], &[0x10, 0x06, 0x49])]);
        let error = opened(&ENTRY, EVERY, &board).err().unwrap().to_string();
        assert!(error.contains("another gas sensor"), "{error}");

        let board = Recorded::new(opening());
        board.then([start()]);
        board.then(measured(&[0x01, 0x90, 0x4d, 0x00, 0x00, 0x81]));
        let error = opened(&ENTRY, EVERY, &board).unwrap().read().unwrap_err().to_string();
        assert!(error.contains("the check sum of word 0"), "{error}");

        let one = format!("{EVERY}\ncompensation = {{ humidity = \"air.humidity\" }}");
        for (keys, expected) in [("", "`every = \"1s\"`"), ("every = \"100ms\"", "\"1s\""), (&one, "temperature = ")] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{found:?}");
        }
    }
}
