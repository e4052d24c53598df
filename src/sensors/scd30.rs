//! SCD30: carbon dioxide, temperature and humidity on I²C.
//!
//! Source: Sensirion "Interface Description SCD30", version 1.0, chapter 1.4. Own code: the `scd30-interface` crate does not leave the
//! chip its 3 ms between a command and the answer.

use std::time::Duration;

use super::compensation::Compensation;
use super::pace::{self, Rhythm};
use super::{Channel, Driver, DriverError, Entry, SensorConfig, sensirion};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::{ChannelId, Quantity};
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: 400 to 10000 ppm (±30 ppm and 3 %), -40 to 70 °C (±0.5 °C; it warms itself), 0 to 100 % (±3 %).
- Wiring: 3.3 to 5.5 V, ground, SDA to GPIO 2, SCL to GPIO 3, SEL open; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`. On 5 V
  its signals are of 3.3 V as well.
- Address: 0x61.
- Trouble: it holds the clock for up to 30 ms, and 150 ms once a day, which a Raspberry Pi up to the 4 cannot follow: damaged data now
  and then. Slow the bus down with `dtparam=i2c_arm_baudrate=10000`, or let the kernel do it by itself on pins of its own with
  `dtoverlay=i2c-gpio,bus=3,i2c_gpio_sda=23,i2c_gpio_scl=24` and `bus = 3`.
- Pressure: 1 % less air pressure is 1 % less CO2. `compensation = { pressure = \"air.pressure\" }` corrects that from a barometer,
  `altitude = 350` (metres) corrects what the place makes of it.
- Calibration: it takes the lowest value of a week for fresh air (400 ppm). Where no fresh air comes in for an hour a day, and wherever
  CO2 is added, write `automatic_calibration = false`, and calibrate it after two minutes outdoors with the step `420`.
";

pub(super) const ENTRY: Entry = Entry {
    name: "scd30",
    summary: "carbon dioxide, temperature and humidity, I²C",
    about: ABOUT,
    example: r#"
[sensors.room]
driver = "scd30"
bus = 1
altitude = 350
every = "10s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    at: OnI2c,
    automatic: bool,
    altitude: u16,
    compensation: Compensation,
}

/// Metres; nobody keeps anything above.
const HIGHEST: u16 = 6000;

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let at = OnI2c::read(section, "SCD30", &[(0x61, "")]);
    let automatic = section.or("automatic_calibration", true);
    let altitude = section.or("altitude", 0);
    let compensation = Compensation::read(section, &[Quantity::Pressure]);
    if altitude > HIGHEST {
        section.wrong("altitude", format!("an SCD30 at {altitude} m?"), format!("it goes to {HIGHEST} m"));
        return None;
    }
    if !pace::suits(section, Duration::from_secs(u64::from(INTERVAL))..=pace::LONGEST, "an SCD30 measures every 2 s") {
        return None;
    }
    Some(Box::new(Config { at: at?, automatic, altitude, compensation: compensation? }))
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
        let compensation = self.compensation.clone();
        let mut driver = Scd30 { chip, compensation, rhythm: Rhythm::default(), told_pressure: 0 };
        driver.keep(MEASURING_INTERVAL, INTERVAL)?;
        driver.keep(SELF_CALIBRATION, u16::from(self.automatic))?;
        driver.keep(ALTITUDE, self.altitude)?;
        driver.set(START, 0)?;
        Ok(Box::new(driver))
    }
}

/// The commands (1.4).
const START: u16 = 0x0010;
const READY: u16 = 0x0202;
const MEASUREMENT: u16 = 0x0300;
const MEASURING_INTERVAL: u16 = 0x4600;
const ALTITUDE: u16 = 0x5102;
const CALIBRATE: u16 = 0x5204;
const SELF_CALIBRATION: u16 = 0x5306;
/// Seconds, the shortest.
const INTERVAL: u16 = 2;
/// Between a command and its answer (1.1).
const PAUSE: Duration = Duration::from_millis(4);
/// hPa that it can be told with `START`; 0 for none.
const PRESSURES: std::ops::RangeInclusive<f64> = 700.0..=1400.0;
/// It writes what it is told to its memory: a change of less hPa is not worth that, being 0.5 % of the value.
const WORTH_TELLING: u16 = 5;

struct Scd30 {
    chip: I2cDevice,
    compensation: Compensation,
    rhythm: Rhythm,
    /// hPa, of the barometer.
    told_pressure: u16,
}

impl Driver for Scd30 {
    fn hear(&mut self, inputs: &[Option<f64>]) {
        self.compensation.hear(inputs);
    }

    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let pressure = self.compensation.value(Quantity::Pressure).filter(|hpa| PRESSURES.contains(hpa));
        let pressure = pressure.map(|hpa| hpa.round() as u16);
        if let Some(pressure) = pressure.filter(|pressure| pressure.abs_diff(self.told_pressure) >= WORTH_TELLING) {
            self.set(START, pressure)?;
            self.told_pressure = pressure;
        }
        let [ready] = sensirion::ask(&mut self.chip, READY, PAUSE)?;
        if ready != 1 {
            return self.rhythm.not_ready(self.chip.name(), "some seconds");
        }
        let words: [u16; 6] = sensirion::ask(&mut self.chip, MEASUREMENT, PAUSE)?;
        let values = [number(words[0], words[1]), number(words[2], words[3]), number(words[4], words[5])];
        // Right after its start it says 0 ppm.
        let [ppm, celsius, percent] = values;
        let possible = ppm > 0.0 && ppm <= 40_000.0 && (-45.0..=130.0).contains(&celsius);
        if !possible || !(0.0..=100.0).contains(&percent) {
            let what = format!("it says {ppm} ppm, {celsius} °C, {percent} %; if it stays so, the chip is broken");
            return Err(DriverError::no_value(self.chip.name(), what));
        }
        Ok(self.rhythm.ready(values.to_vec()))
    }

    fn calibrate(&mut self, step: &[&str]) -> Result<String, DriverError> {
        let ppm = sensirion::reference(self.chip.name(), step)?;
        self.set(CALIBRATE, ppm)?;
        Ok(format!("it takes this air for {ppm} ppm from now on"))
    }
}

impl Scd30 {
    /// Sets what the chip keeps in its memory, which wears out: only if it is something else.
    fn keep(&mut self, command: u16, word: u16) -> Result<(), DriverError> {
        match sensirion::ask(&mut self.chip, command, PAUSE)? {
            [now] if now == word => Ok(()),
            _ => self.set(command, word),
        }
    }

    fn set(&mut self, command: u16, word: u16) -> Result<(), DriverError> {
        sensirion::tell(&mut self.chip, &sensirion::message(command, &[word]), PAUSE)
    }
}

/// An IEEE 754 number in two words.
fn number(high: u16, low: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    /// Its interval is as it should be, the rest is set: the examples of the interface description.
    fn opening() -> Vec<Step> {
        vec![
            i2c(0x61, &[0x46, 0x00], &[]),
            i2c(0x61, &[], &[0x00, 0x02, 0xe3]),
            i2c(0x61, &[0x53, 0x06], &[]),
            i2c(0x61, &[], &[0x00, 0x00, 0x81]),
            i2c(0x61, &[0x53, 0x06, 0x00, 0x01, 0xb0], &[]),
            i2c(0x61, &[0x51, 0x02], &[]),
            i2c(0x61, &[], &[0x00, 0x00, 0x81]),
            i2c(0x61, &[0x51, 0x02, 0x03, 0xe8, 0xd4], &[]),
            i2c(0x61, &[0x00, 0x10, 0x00, 0x00, 0x81], &[]),
        ]
    }

    const ALTITUDE: &str = "altitude = 1000";
    /// 439 ppm, 27.2 °C, 48.8 %.
    const VALUES: [u8; 18] =
        [0x43, 0xdb, 0xcb, 0x8c, 0x2e, 0x8f, 0x41, 0xd9, 0x70, 0xe7, 0xff, 0xf5, 0x42, 0x43, 0xbf, 0x3a, 0x1b, 0x74];

    fn measured(values: &[u8]) -> [Step; 4] {
        [
            i2c(0x61, &[0x02, 0x02], &[]),
            i2c(0x61, &[], &[0x00, 0x01, 0xb0]),
            i2c(0x61, &[0x03, 0x00], &[]),
            i2c(0x61, &[], values),
        ]
    }

    #[test]
    fn it_speaks_the_interface_descriptions_bytes() {
        let board = Recorded::new(opening());
        let mut driver = opened(&ENTRY, ALTITUDE, &board).unwrap();
        board.then([i2c(0x61, &[0x02, 0x02], &[]), i2c(0x61, &[], &[0x00, 0x00, 0x81])]);
        assert!(matches!(driver.read(), Err(DriverError::NotYet { .. })));
        board.then(measured(&VALUES));
        assert_near(&driver.read().unwrap(), &[439.1, 27.2, 48.8], 0.06);
        board.then([i2c(0x61, &[0x52, 0x04, 0x01, 0xc2, 0x50], &[])]);
        assert!(driver.calibrate(&["450"]).unwrap().contains("450 ppm"));
        board.done();
    }

    #[test]
    fn it_is_told_the_pressure_when_that_is_worth_it() {
        let board = Recorded::new(opening());
        let keys = format!("{ALTITUDE}\ncompensation = {{ pressure = \"air.pressure\" }}");
        let mut driver = opened(&ENTRY, &keys, &board).unwrap();
        for (hectopascal, told) in [(1000.0, Some([0x03, 0xe8, 0xd4])), (1004.4, None), (0.0, None)] {
            driver.hear(&[Some(hectopascal)]);
            board.then(told.map(|[high, low, sum]| i2c(0x61, &[0x00, 0x10, high, low, sum], &[])));
            board.then(measured(&VALUES));
            driver.read().unwrap();
            board.done();
        }
    }

    #[test]
    fn absence_damage_and_nonsense_are_errors() {
        let error = opened(&ENTRY, "", &Recorded::new([nack(0x61, &[0x46, 0x00])])).err().unwrap().to_string();
        assert!(error.starts_with("no answer from address 0x61"), "{error}");
        let damaged = [&VALUES[..17], &[0x75]].concat();
        let nothing = [&[0, 0, 0x81, 0, 0, 0x81], &VALUES[6..]].concat();
        let no_number = [&[0x7f, 0xc0, 0x64, 0, 0, 0x81], &VALUES[6..]].concat();
        for (values, expected) in
            [(&damaged, "damaged data: the check sum of word 5"), (&nothing, "0 ppm"), (&no_number, "NaN ppm")]
        {
            let board = Recorded::new(opening());
            board.then(measured(values));
            let error = opened(&ENTRY, ALTITUDE, &board).unwrap().read().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in
            [("address = 0x62", "0x61"), ("altitude = 8848", "6000 m"), ("every = \"1s\"", "2s\"` or more")]
        {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{found:?}");
        }
    }
}
