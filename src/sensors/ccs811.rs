//! CCS811: organic compounds in the air, and the carbon dioxide that it makes of them, on I²C.
//!
//! Source: ams CCS811 datasheet, v1-00, "Application Register Overview". Own code: the `embedded-ccs811` crate changes its type
//! between the modes of the chip, of which a driver that lives through a loss of power would need both.

use std::time::Duration;

use super::compensation::Compensation;
use super::pace::{self, Rhythm};
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::{ChannelId, Quantity};
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: 0 to 1187 ppb of organic compounds (32768 with newer firmware), 400 to 8192 ppm (more with newer firmware) of carbon
  dioxide, as it infers it from them: of people, and of no use where CO2 comes from a bottle or from plants. No accuracy is given.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3, WAKE to ground; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x5a with ADDR to ground, 0x5b with ADDR to 3.3 V.
- Humidity: `compensation = { temperature = \"air.temperature\", humidity = \"air.humidity\" }` takes its influence out.
- Trouble: a new one needs 48 hours, and after each loss of power it needs 20 minutes, until its values mean anything; it does not say
  so itself. It holds the clock, which a Raspberry Pi up to the 4 cannot follow: slow the bus down with
  `dtparam=i2c_arm_baudrate=10000`. It is no longer made; an ENS160 takes its place.
";

pub(super) const ENTRY: Entry = Entry {
    name: "ccs811",
    summary: "organic compounds and equivalent carbon dioxide, I²C",
    about: ABOUT,
    example: r#"
[sensors.breath]
driver = "ccs811"
bus = 1
address = 0x5a
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
    let at = OnI2c::read(section, "CCS811", &[(0x5a, "ADDR to ground"), (0x5b, "ADDR to 3.3 V")]);
    let compensation = Compensation::read_climate(section);
    if !pace::suits(section, Duration::from_secs(1)..=pace::LONGEST, "a CCS811 measures every second") {
        return None;
    }
    Some(Box::new(Config { at: at?, compensation: compensation? }))
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
        let id = chip.register(HARDWARE_ID)?;
        if id != CHIP_ID {
            let found = format!("its hardware id is {id:#04x} instead of {CHIP_ID:#04x}; is WAKE at ground?");
            return Err(DriverError::wrong_chip(chip.name(), found));
        }
        start(&mut chip)?;
        let compensation = self.compensation.clone();
        Ok(Box::new(Ccs811 { chip, compensation, rhythm: Rhythm::default() }))
    }
}

/// The registers (table 10).
const STATUS: u8 = 0x00;
const MODE: u8 = 0x01;
const RESULT: u8 = 0x02;
const ENVIRONMENT: u8 = 0x05;
const HARDWARE_ID: u8 = 0x20;
const ERROR: u8 = 0xe0;
const START: u8 = 0xf4;
const CHIP_ID: u8 = 0x81;
/// A measurement every second.
const EVERY_SECOND: u8 = 0x10;
/// In the status: its application runs, it has one, there is something new, there is an error.
const RUNS: u8 = 0x80;
const HAS_APPLICATION: u8 = 0x10;
const NEW: u8 = 0x08;
const FAILED: u8 = 0x01;
/// The bits of the error register, from the lowest.
const ERRORS: [&str; 6] = [
    "it was written to at a register that it has not",
    "it was read at a register that it has not",
    "it was asked for a mode that it has not",
    "its sensor's resistance is out of range",
    "its heater's current is out of range",
    "its heater has no voltage",
];
const STARTING: Duration = Duration::from_millis(1);
/// ppm and ppb that it can say.
const CARBON_DIOXIDE: std::ops::RangeInclusive<u16> = 400..=32768;
const MOST_COMPOUNDS: u16 = 32768;

/// Starts its application. If that runs, it is left alone: it has learned what clean air is, and would forget it.
fn start(chip: &mut I2cDevice) -> Result<(), DriverError> {
    let status = chip.register(STATUS)?;
    if status & RUNS == 0 {
        if status & HAS_APPLICATION == 0 {
            let what = "it has no application in its memory; it is broken, or its firmware was erased";
            return Err(DriverError::no_value(chip.name(), what));
        }
        chip.write(&[START])?;
        chip.wait(STARTING);
        if chip.register(STATUS)? & RUNS == 0 {
            return Err(DriverError::no_value(chip.name(), "its application does not start"));
        }
    }
    if chip.register(MODE)? != EVERY_SECOND {
        chip.set(MODE, EVERY_SECOND)?;
    }
    Ok(())
}

struct Ccs811 {
    chip: I2cDevice,
    compensation: Compensation,
    rhythm: Rhythm,
}

impl Driver for Ccs811 {
    fn hear(&mut self, inputs: &[Option<f64>]) {
        self.compensation.hear(inputs);
    }

    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        if let Some((celsius, percent)) = self.compensation.climate() {
            let ([a, b], [c, d]) = (half_thousandths(percent), half_thousandths(celsius + 25.0));
            self.chip.write(&[ENVIRONMENT, a, b, c, d])?;
        }
        let [p1, p2, b1, b2, status, error] = self.chip.registers(RESULT)?;
        if status & RUNS == 0 {
            // The actor opens it anew.
            return Err(DriverError::no_value(self.chip.name(), "it has lost its power for a moment"));
        }
        if status & FAILED != 0 {
            return Err(self.failure(error));
        }
        if status & NEW == 0 {
            return self.rhythm.not_ready(self.chip.name(), "some seconds");
        }
        let (ppm, ppb) = (u16::from_be_bytes([p1, p2]), u16::from_be_bytes([b1, b2]));
        if !CARBON_DIOXIDE.contains(&ppm) || ppb > MOST_COMPOUNDS {
            let what = format!("it says {ppm} ppm and {ppb} ppb; it warms up, or is damaged by its wiring");
            return Err(DriverError::no_value(self.chip.name(), what));
        }
        Ok(self.rhythm.ready(vec![f64::from(ppb), f64::from(ppm)]))
    }
}

impl Ccs811 {
    /// Reading the error's register clears it.
    fn failure(&mut self, error: u8) -> DriverError {
        if let Err(error) = self.chip.register(ERROR) {
            return error.into();
        }
        let errors: Vec<&str> =
            ERRORS.iter().enumerate().filter(|(bit, _)| error >> bit & 1 == 1).map(|(_, text)| *text).collect();
        let told = if errors.is_empty() { "it does not say why".to_owned() } else { errors.join(", ") };
        DriverError::no_value(self.chip.name(), format!("{told} (error register {error:#04x})"))
    }
}

/// In steps of 1/512, at most 127.998.
fn half_thousandths(value: f64) -> [u8; 2] {
    ((value * 512.0).round().clamp(0.0, 65535.0) as u16).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{mistakes, opened};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    fn opening() -> [Step; 6] {
        [
            i2c(0x5a, &[0x20], &[0x81]),
            i2c(0x5a, &[0x00], &[0x10]),
            i2c(0x5a, &[0xf4], &[]),
            i2c(0x5a, &[0x00], &[0x90]),
            i2c(0x5a, &[0x01], &[0x00]),
            i2c(0x5a, &[0x01, 0x10], &[]),
        ]
    }

    /// 447 ppm, 7 ppb.
    const RESULT_1: [u8; 6] = [0x01, 0xbf, 0x00, 0x07, 0x98, 0x00];

    fn result(answer: [u8; 6]) -> Step {
        i2c(0x5a, &[0x02], &answer)
    }

    #[test]
    fn it_starts_by_the_registers_of_the_datasheet() {
        let board = Recorded::new(opening());
        let mut driver = opened(&ENTRY, "", &board).unwrap();
        board.then([result([0, 0, 0, 0, 0x90, 0]), result(RESULT_1)]);
        assert!(matches!(driver.read(), Err(DriverError::NotYet { .. })));
        assert_eq!(driver.read(), Ok(vec![7.0, 447.0]));
        board.done();

        let running = [i2c(0x5a, &[0x20], &[0x81]), i2c(0x5a, &[0x00], &[0x90]), i2c(0x5a, &[0x01], &[0x10])];
        let board = Recorded::new(running);
        opened(&ENTRY, "", &board).unwrap();
        board.done();
    }

    #[test]
    fn it_is_told_of_the_air_as_in_the_datasheets_example() {
        let board = Recorded::new(opening());
        let keys = "compensation = { temperature = \"air.temperature\", humidity = \"air.humidity\" }";
        let mut driver = opened(&ENTRY, keys, &board).unwrap();
        driver.hear(&[Some(23.5), Some(48.5)]);
        board.then([i2c(0x5a, &[0x05, 0x61, 0x00, 0x61, 0x00], &[]), result(RESULT_1)]);
        driver.read().unwrap();
        board.done();
    }

    #[test]
    fn each_way_to_have_no_value_is_told_apart() {
        for (answer, expected) in [
            ([0x01, 0xbf, 0x00, 0x07, 0x99, 0x30], "heater's current is out of range, its heater has no voltage"),
            ([0x01, 0xbf, 0x00, 0x07, 0x10, 0x00], "lost its power"),
            ([0x00, 0x00, 0x00, 0x00, 0x98, 0x00], "0 ppm and 0 ppb"),
            ([0xfd, 0xbf, 0x00, 0x07, 0x98, 0x00], "64959 ppm"),
        ] {
            let board = Recorded::new(opening());
            board.then([result(answer)]);
            board.then((answer[4] & 1 == 1).then(|| i2c(0x5a, &[0xe0], &[answer[5]])));
            let error = opened(&ENTRY, "", &board).unwrap().read().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            board.done();
        }
        for (steps, expected) in [
            (vec![nack(0x5a, &[0x20])], "no answer from address 0x5a"),
            (vec![i2c(0x5a, &[0x20], &[0xff])], "hardware id is 0xff instead of 0x81"),
            (vec![i2c(0x5a, &[0x20], &[0x81]), i2c(0x5a, &[0x00], &[0x00])], "no application"),
            (
                vec![
                    i2c(0x5a, &[0x20], &[0x81]),
                    i2c(0x5a, &[0x00], &[0x10]),
                    i2c(0x5a, &[0xf4], &[]),
                    i2c(0x5a, &[0x00], &[0x10]),
                ],
                "does not start",
            ),
        ] {
            let error = opened(&ENTRY, "", &Recorded::new(steps)).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        let half = "compensation = { humidity = \"air.humidity\" }";
        for (keys, expected) in
            [("address = 0x5c", "0x5b (ADDR to 3.3 V)"), ("every = \"500ms\"", "1s"), (half, "temperature = ")]
        {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{found:?}");
        }
    }
}
