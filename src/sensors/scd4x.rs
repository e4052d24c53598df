//! SCD40 and SCD41: carbon dioxide, temperature and humidity on I²C.
//!
//! Source: Sensirion SCD4x datasheet, chapter 3, where the commands stand under their names. Own code: the `scd4x` crate remembers
//! whether the chip measures, which is no longer true after the chip has lost its power, and its errors do not name the chip.

use std::time::Duration;

use super::compensation::Compensation;
use super::pace::{self, Rhythm};
use super::{Channel, Driver, DriverError, Entry, SensorConfig, sensirion};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::{ChannelId, Quantity};
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: 400 to 2000 ppm (SCD40, ±50 ppm and 5 %) or 5000 ppm (SCD41, ±40 ppm and 5 %); -10 to 60 °C (±0.8 °C), 0 to 100 % (±6 %).
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`. Its flashes take 200 mA
  for a moment: a long thin cable makes it restart.
- Address: 0x62.
- Rhythm: a measurement every 5 s, or every 30 s with `low_power = true`, which takes a fifth of the current and warms it less.
- Pressure: 1 % less air pressure is 1 % less CO2. `compensation = { pressure = \"air.pressure\" }` corrects that from a barometer,
  `altitude = 350` (metres) corrects what the place makes of it.
- Calibration: it takes the lowest value of a week for fresh air (400 ppm). Where no fresh air comes in for a week, and wherever CO2 is
  added, write `automatic_calibration = false`, and calibrate it after three minutes outdoors with the step `420`.
";

pub(super) const ENTRY: Entry = Entry {
    name: "scd4x",
    summary: "carbon dioxide, temperature and humidity, I²C: SCD40, SCD41",
    about: ABOUT,
    example: r#"
[sensors.room]
driver = "scd4x"
bus = 1
altitude = 350
every = "10s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    at: OnI2c,
    low_power: bool,
    automatic: bool,
    altitude: u16,
    compensation: Compensation,
}

/// Metres that the chip can be told (`set_sensor_altitude`).
const HIGHEST: u16 = 3000;

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let at = OnI2c::read(section, "SCD4x", &[(0x62, "")]);
    let low_power = section.or("low_power", false);
    let automatic = section.or("automatic_calibration", true);
    let altitude = section.or("altitude", 0);
    let compensation = Compensation::read(section, &[Quantity::Pressure]);
    if altitude > HIGHEST {
        let hint = format!("it goes to {HIGHEST} m; use `compensation` with a barometer above");
        section.wrong("altitude", format!("an SCD4x cannot be told of {altitude} m"), hint);
        return None;
    }
    let (seconds, why) = match low_power {
        false => (5, "an SCD4x measures every 5 s"),
        true => (30, "an SCD4x measures every 30 s with `low_power = true`"),
    };
    if !pace::suits(section, Duration::from_secs(seconds)..=pace::LONGEST, why) {
        return None;
    }
    Some(Box::new(Config { at: at?, low_power, automatic, altitude, compensation: compensation? }))
}

const CHANNELS: &[Channel] = &[
    Channel { name: "co2", quantity: Quantity::CarbonDioxide },
    Channel { name: "temperature", quantity: Quantity::Temperature },
    Channel { name: "humidity", quantity: Quantity::Humidity },
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
        let chip = self.at.open(hardware)?;
        let mut driver = Scd4x { chip, config: self.clone(), rhythm: Rhythm::default(), told_pressure: None };
        // While it measures it takes no settings, and nobody can ask whether it does.
        driver.stop()?;
        // Nothing is made of the number, but its check sums tell this chip from others.
        sensirion::ask::<3>(&mut driver.chip, SERIAL, BRIEFLY)?;
        driver.set(ALTITUDE, self.altitude)?;
        driver.set(SELF_CALIBRATION, u16::from(self.automatic))?;
        driver.start()?;
        Ok(Box::new(driver))
    }
}

/// The commands.
const START: u16 = 0x21b1;
const START_LOW_POWER: u16 = 0x21ac;
const STOP: u16 = 0x3f86;
const READY: u16 = 0xe4b8;
const MEASUREMENT: u16 = 0xec05;
const PRESSURE: u16 = 0xe000;
const ALTITUDE: u16 = 0x2427;
const SELF_CALIBRATION: u16 = 0x2416;
const CALIBRATE: u16 = 0x362f;
const SERIAL: u16 = 0x3682;
/// How long they take.
const BRIEFLY: Duration = Duration::from_millis(1);
const STOPPING: Duration = Duration::from_millis(500);
const CALIBRATING: Duration = Duration::from_millis(400);
/// None of these bits is set while there is nothing new (`get_data_ready_status`).
const NEW: u16 = 0x07ff;
/// hPa that the chip can be told (`set_ambient_pressure`).
const PRESSURES: std::ops::RangeInclusive<f64> = 700.0..=1200.0;
/// What it answers to a calibration that failed, and to one that changed nothing (`perform_forced_recalibration`).
const CALIBRATION_FAILED: u16 = 0xffff;
const NO_CORRECTION: i32 = 0x8000;

struct Scd4x {
    chip: I2cDevice,
    config: Config,
    rhythm: Rhythm,
    /// hPa, of the barometer.
    told_pressure: Option<u16>,
}

impl Driver for Scd4x {
    fn hear(&mut self, inputs: &[Option<f64>]) {
        self.config.compensation.hear(inputs);
    }

    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let pressure = self.config.compensation.value(Quantity::Pressure).filter(|hpa| PRESSURES.contains(hpa));
        let pressure = pressure.map(|hpa| hpa.round() as u16);
        if pressure.is_some() && pressure != self.told_pressure {
            self.set(PRESSURE, pressure.unwrap_or_default())?;
            self.told_pressure = pressure;
        }
        let [ready] = sensirion::ask(&mut self.chip, READY, BRIEFLY)?;
        if ready & NEW == 0 {
            return self.rhythm.not_ready(self.chip.name(), if self.config.low_power { "30 s" } else { "5 s" });
        }
        let [ppm, temperature, humidity] = sensirion::ask(&mut self.chip, MEASUREMENT, BRIEFLY)?;
        if ppm == 0 {
            return Err(DriverError::no_value(self.chip.name(), "it says 0 ppm; if it stays so, the chip is broken"));
        }
        let values = vec![f64::from(ppm), sensirion::celsius(temperature), sensirion::percent(humidity)];
        Ok(self.rhythm.ready(values))
    }

    fn calibrate(&mut self, step: &[&str]) -> Result<String, DriverError> {
        let ppm = sensirion::reference(self.chip.name(), step)?;
        let answer = self.force(ppm);
        // Whatever came of it, it is to measure again.
        self.start()?;
        let answer = answer?;
        if answer == CALIBRATION_FAILED {
            let what = "it did not calibrate; let it measure for three minutes in that air first";
            return Err(DriverError::no_value(self.chip.name(), what));
        }
        Ok(format!("it takes this air for {ppm} ppm from now on, and corrects itself by {} ppm", correction(answer)))
    }
}

impl Scd4x {
    fn stop(&mut self) -> Result<(), DriverError> {
        sensirion::tell(&mut self.chip, &STOP.to_be_bytes(), STOPPING)
    }

    fn start(&mut self) -> Result<(), DriverError> {
        let command = if self.config.low_power { START_LOW_POWER } else { START };
        self.rhythm = Rhythm::default();
        sensirion::tell(&mut self.chip, &command.to_be_bytes(), Duration::ZERO)
    }

    fn set(&mut self, command: u16, word: u16) -> Result<(), DriverError> {
        sensirion::tell(&mut self.chip, &sensirion::message(command, &[word]), BRIEFLY)
    }

    fn force(&mut self, ppm: u16) -> Result<u16, DriverError> {
        self.stop()?;
        sensirion::tell(&mut self.chip, &sensirion::message(CALIBRATE, &[ppm]), CALIBRATING)?;
        let [answer] = sensirion::words(&mut self.chip)?;
        Ok(answer)
    }
}

/// ppm
fn correction(answer: u16) -> i32 {
    i32::from(answer) - NO_CORRECTION
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    /// Each command with the datasheet's example of its bytes.
    fn opening() -> Vec<Step> {
        vec![
            i2c(0x62, &[0x3f, 0x86], &[]),
            i2c(0x62, &[0x36, 0x82], &[]),
            i2c(0x62, &[], &[0xf8, 0x96, 0x31, 0x9f, 0x07, 0xc2, 0x3b, 0xbe, 0x89]),
            i2c(0x62, &[0x24, 0x27, 0x07, 0x9e, 0x09], &[]),
            i2c(0x62, &[0x24, 0x16, 0x00, 0x01, 0xb0], &[]),
            i2c(0x62, &[0x21, 0xb1], &[]),
        ]
    }

    const ALTITUDE: &str = "altitude = 1950";
    /// 500 ppm, 25 °C, 37 %.
    const VALUES: [u8; 9] = [0x01, 0xf4, 0x33, 0x66, 0x67, 0xa2, 0x5e, 0xb9, 0x3c];

    fn ready(yes: bool) -> [Step; 2] {
        let word = if yes { [0x80, 0x06, 0x04] } else { [0x80, 0x00, 0xa2] };
        [i2c(0x62, &[0xe4, 0xb8], &[]), i2c(0x62, &[], &word)]
    }

    fn measured(values: &[u8]) -> [Step; 2] {
        [i2c(0x62, &[0xec, 0x05], &[]), i2c(0x62, &[], values)]
    }

    #[test]
    fn it_speaks_the_datasheets_bytes() {
        let board = Recorded::new(opening());
        let mut driver = opened(&ENTRY, ALTITUDE, &board).unwrap();
        assert!(board.waited() >= STOPPING);
        board.then(ready(false));
        assert!(matches!(driver.read(), Err(DriverError::NotYet { .. })));
        board.then(ready(true));
        board.then(measured(&VALUES));
        assert_near(&driver.read().unwrap(), &[500.0, 25.0, 37.0], 0.01);
        board.done();
    }

    #[test]
    fn it_is_told_the_pressure_when_that_changes() {
        let board = Recorded::new(opening());
        let keys = format!("{ALTITUDE}\ncompensation = {{ pressure = \"air.pressure\" }}");
        let mut driver = opened(&ENTRY, &keys, &board).unwrap();
        for (hectopascal, told) in [(987.0, true), (987.3, false), (0.0, false)] {
            driver.hear(&[Some(hectopascal)]);
            if told {
                board.then([i2c(0x62, &[0xe0, 0x00, 0x03, 0xdb, 0x42], &[])]);
            }
            board.then(ready(true));
            board.then(measured(&VALUES));
            driver.read().unwrap();
            board.done();
        }
    }

    #[test]
    fn it_calibrates_and_measures_on() {
        let board = Recorded::new(opening());
        let mut driver = opened(&ENTRY, ALTITUDE, &board).unwrap();
        let exchange = |answer: [u8; 3]| {
            [
                i2c(0x62, &[0x3f, 0x86], &[]),
                i2c(0x62, &[0x36, 0x2f, 0x01, 0xe0, 0xb4], &[]),
                i2c(0x62, &[], &answer),
                i2c(0x62, &[0x21, 0xb1], &[]),
            ]
        };
        board.then(exchange([0x7f, 0xce, 0x7b]));
        assert!(driver.calibrate(&["480"]).unwrap().ends_with("corrects itself by -50 ppm"));
        board.then(exchange([0xff, 0xff, 0xac]));
        assert!(driver.calibrate(&["480"]).unwrap_err().to_string().contains("three minutes"));
        board.done();
        for step in [&["48"][..], &["fresh"], &[]] {
            assert!(driver.calibrate(step).unwrap_err().to_string().contains("400 to 2000"), "{step:?}");
        }
    }

    #[test]
    fn absence_damage_and_a_broken_cell_are_errors() {
        let error = opened(&ENTRY, "", &Recorded::new([nack(0x62, &[0x3f, 0x86])])).err().unwrap().to_string();
        assert!(error.starts_with("no answer from address 0x62"), "{error}");
        for (values, expected) in [
            ([0x01, 0xf4, 0x32, 0x66, 0x67, 0xa2, 0x5e, 0xb9, 0x3c], "damaged data: the check sum of word 0"),
            ([0x00, 0x00, 0x81, 0x66, 0x67, 0xa2, 0x5e, 0xb9, 0x3c], "0 ppm"),
        ] {
            let board = Recorded::new(opening());
            board.then(ready(true));
            board.then(measured(&values));
            let error = opened(&ENTRY, ALTITUDE, &board).unwrap().read().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("address = 0x61", "0x62"),
            ("altitude = 8848", "3000 m"),
            ("every = \"2s\"", "5s\"` or more"),
            ("low_power = true", "30s\"` or more"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{found:?}");
        }
    }
}
