//! SGP40: how foul the air is against that of the last day, on I²C.
//!
//! Source: Sensirion SGP40 datasheet, version 1.2, the chapter on I²C. Own code: the `sgp40` crate brings fixed-point arithmetic for an older
//! version of the index. The index stands in `voc_index.rs`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::compensation::Compensation;
use super::voc_index::VocIndex;
use super::{Channel, Driver, DriverError, Entry, SensorConfig, pace, sensirion};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::{ChannelId, Quantity};
use crate::panics::locked;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: an index of organic compounds from 1 to 500; 100 is the usual air of the last day, more is fouler. It has no absolute scale.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x59.
- Rhythm: it has to be read once a second, `every = \"1s\"`, says nothing for 45 seconds and learns for some hours.
- Humidity: `compensation = { temperature = \"air.temperature\", humidity = \"air.humidity\" }` takes its influence out; without it the
  chip takes the air for 25 °C and 50 %.
";

pub(super) const ENTRY: Entry = Entry {
    name: "sgp40",
    summary: "index of organic compounds, I²C",
    about: ABOUT,
    example: r#"
[sensors.smell]
driver = "sgp40"
bus = 1
every = "1s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    at: OnI2c,
    compensation: Compensation,
    /// Outlives the driver: what was learned in hours is not forgotten for a loose wire.
    index: Arc<Mutex<VocIndex>>,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let at = OnI2c::read(section, "SGP40", &[(0x59, "")]);
    let compensation = Compensation::read_climate(section);
    let second = Duration::from_secs(1);
    if !pace::suits(section, second..=second, "the index of an SGP40 learns from one read a second") {
        return None;
    }
    Some(Box::new(Config { at: at?, compensation: compensation?, index: Arc::default() }))
}

const CHANNELS: &[Channel] = &[Channel { name: "voc_index", quantity: Quantity::GasIndex }];

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
        // Nothing is made of the number, but its check sums tell this chip from others.
        sensirion::ask::<3>(&mut chip, SERIAL, Duration::from_millis(1))?;
        Ok(Box::new(Sgp40 { chip, config: self.clone() }))
    }
}

/// The commands.
const MEASURE: u16 = 0x260f;
const SERIAL: u16 = 0x3682;
/// At most.
const MEASURING: Duration = Duration::from_millis(30);
/// What the chip takes for the air if it is not told: °C and %.
const USUAL: (f64, f64) = (25.0, 50.0);

struct Sgp40 {
    chip: I2cDevice,
    config: Config,
}

impl Driver for Sgp40 {
    fn hear(&mut self, inputs: &[Option<f64>]) {
        self.config.compensation.hear(inputs);
    }

    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let (celsius, percent) = self.config.compensation.climate().unwrap_or(USUAL);
        let words = [humidity(percent), temperature(celsius)];
        sensirion::tell(&mut self.chip, &sensirion::message(MEASURE, &words), MEASURING)?;
        let [ticks] = sensirion::words(&mut self.chip)?;
        if matches!(ticks, 0 | u16::MAX) {
            let what = format!("its raw signal is {ticks:#06x}; if it stays so, the chip is broken");
            return Err(DriverError::no_value(self.chip.name(), what));
        }
        let index = locked(&self.config.index).process(ticks);
        index.map(|index| vec![f64::from(index)]).ok_or_else(|| {
            DriverError::not_yet(self.chip.name(), "its index begins 45 s after its start, and learns for some hours")
        })
    }
}

/// % as the chip is told it (`sgp40_measure_raw_signal`).
fn humidity(percent: f64) -> u16 {
    (percent * 65535.0 / 100.0).round().clamp(0.0, 65535.0) as u16
}

/// °C as the chip is told it (`sgp40_measure_raw_signal`).
fn temperature(celsius: f64) -> u16 {
    ((celsius + 45.0) * 65535.0 / 175.0).round().clamp(0.0, 65535.0) as u16
}

#[cfg(test)]
mod tests {
    use super::super::testing::{mistakes, opened};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    const EVERY: &str = "every = \"1s\"";

    fn opening() -> [Step; 2] {
        [i2c(0x59, &[0x36, 0x82], &[]), i2c(0x59, &[], &[0xbe, 0xef, 0x92, 0xbe, 0xef, 0x92, 0xbe, 0xef, 0x92])]
    }

    /// 50 % and 25 °C are the datasheet's example; so is the sum of 0xbeef.
    fn measured(answer: [u8; 3]) -> [Step; 2] {
        [i2c(0x59, &[0x26, 0x0f, 0x80, 0x00, 0xa2, 0x66, 0x66, 0x93], &[]), i2c(0x59, &[], &answer)]
    }

    #[test]
    fn it_speaks_the_datasheets_bytes_and_gives_an_index_once_it_is_warm() {
        let board = Recorded::new(opening());
        let mut driver = opened(&ENTRY, EVERY, &board).unwrap();
        for _ in 0..46 {
            board.then(measured([0xbe, 0xef, 0x92]));
            assert!(matches!(driver.read(), Err(DriverError::NotYet { .. })));
        }
        board.then(measured([0xbe, 0xef, 0x92]));
        assert_eq!(driver.read(), Ok(vec![1.0]));
        assert!(board.waited() >= 47 * MEASURING);
        board.done();
    }

    #[test]
    fn it_is_told_of_the_air() {
        let board = Recorded::new(opening());
        let keys =
            format!("{EVERY}\ncompensation = {{ temperature = \"air.temperature\", humidity = \"air.humidity\" }}");
        let mut driver = opened(&ENTRY, &keys, &board).unwrap();
        driver.hear(&[Some(130.0), Some(100.0)]);
        let told = [0x26, 0x0f, 0xff, 0xff, 0xac, 0xff, 0xff, 0xac];
        board.then([i2c(0x59, &told, &[]), i2c(0x59, &[], &[0xbe, 0xef, 0x92])]);
        let _ = driver.read();
        driver.hear(&[Some(130.0), None]);
        board.then(measured([0xbe, 0xef, 0x92]));
        let _ = driver.read();
        board.done();
    }

    #[test]
    fn absence_damage_and_mistakes_are_told() {
        let error = opened(&ENTRY, EVERY, &Recorded::new([nack(0x59, &[0x36, 0x82])])).err().unwrap().to_string();
        assert!(error.starts_with("no answer from address 0x59"), "{error}");
        for (answer, expected) in [([0xbe, 0xef, 0x93], "check sum of word 0"), ([0xff, 0xff, 0xac], "0xffff")] {
            let board = Recorded::new(opening());
            board.then(measured(answer));
            let error = opened(&ENTRY, EVERY, &board).unwrap().read().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(mistakes(&ENTRY, "")[0].hint.contains("`every = \"1s\"`"));
    }
}
