//! MH-Z19, MH-Z19B and MH-Z19C: carbon dioxide on a serial port.
//!
//! Source: Winsen MH-Z19B user's manual, version 1.6, "UART communication protocol". Own code: a command, an answer and a sum.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig, messages};
use crate::config::Section;
use crate::hardware::{Hardware, Uart};
use crate::model::Quantity;
use crate::wiring::{OnSerial, Wiring};

const ABOUT: &str = "\
- Range: 400 to 2000 or 5000 ppm by its type (±50 ppm and 5 %).
- Wiring: 5 V (it takes 150 mA), ground, its Tx to GPIO 15, its Rx to GPIO 14; its signals are of 3.3 V. `enable_uart=1` in
  `/boot/firmware/config.txt`, and no login console there: `sudo raspi-config`, Interface Options, Serial Port.
- Calibration: it takes the lowest value of each day for fresh air (400 ppm). Where no fresh air comes in every day, and wherever CO2 is
  added, write `automatic_calibration = false`, and calibrate it after twenty minutes outdoors with the step `zero`.
- Trouble: for up to three minutes after its power has come it gives a fixed value near 400 or 500 ppm, which nothing tells from a
  measured one. Nothing should act on it meanwhile.
";

pub(super) const ENTRY: Entry = Entry {
    name: "mh-z19",
    summary: "carbon dioxide, serial port: MH-Z19, MH-Z19B, MH-Z19C",
    about: ABOUT,
    example: r#"
[sensors.room]
driver = "mh-z19"
port = "/dev/serial0"
automatic_calibration = false
every = "10s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    at: OnSerial,
    automatic: bool,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let automatic = section.or("automatic_calibration", true);
    Some(Box::new(Config { at: OnSerial::read(section, "MH-Z19", 9600)?, automatic }))
}

const CHANNELS: &[Channel] = &[Channel { name: "co2", quantity: Quantity::CarbonDioxide }];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.at.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let uart = self.at.open(hardware)?;
        let mut driver = MhZ19 { device: self.at.name(), uart, automatic: self.automatic, told: false };
        driver.read()?;
        Ok(Box::new(driver))
    }
}

/// The commands ("command list").
const MEASUREMENT: u8 = 0x86;
const SELF_CALIBRATION: u8 = 0x79;
const CALIBRATE_ZERO: u8 = 0x87;
/// With `SELF_CALIBRATION`; nothing for off.
const ON: u8 = 0xa0;
/// An answer takes some ten milliseconds.
const PATIENCE: Duration = Duration::from_millis(500);
/// For an answer that not all types give.
const MAYBE: Duration = Duration::from_millis(100);
/// ppm; the widest of its types measures up to here.
const MOST: u16 = 10_000;

struct MhZ19 {
    device: String,
    uart: Box<dyn Uart>,
    automatic: bool,
    /// Whether it knows if it may calibrate itself. It may forget that with its power.
    told: bool,
}

impl Driver for MhZ19 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        if !self.told {
            self.send(SELF_CALIBRATION, if self.automatic { ON } else { 0 })?;
            // Some types answer, which must not get between what follows; others do not.
            self.uart.read(&mut [0; 9], MAYBE)?;
        }
        self.told = false;
        self.uart.discard()?;
        self.send(MEASUREMENT, 0)?;
        let start = [0xff, MEASUREMENT];
        let is_right = |message: &[u8; 9]| sum(message) == message[8];
        let answer = messages::next(&mut *self.uart, &self.device, &start, is_right, PATIENCE)?;
        let answer = answer.ok_or_else(|| messages::silence(&self.device))?;
        self.told = true;
        match u16::from_be_bytes([answer[2], answer[3]]) {
            ppm @ 1..=MOST => Ok(vec![f64::from(ppm)]),
            ppm => Err(DriverError::no_value(&self.device, format!("it says {ppm} ppm; it warms up, or is broken"))),
        }
    }

    fn calibrate(&mut self, step: &[&str]) -> Result<String, DriverError> {
        if step != ["zero"] {
            let what = "its calibration has one step, `zero`, after twenty minutes in fresh air";
            return Err(DriverError::no_value(&self.device, what));
        }
        self.send(CALIBRATE_ZERO, 0)?;
        Ok("it takes this air for 400 ppm from now on; it does not say whether that went well".into())
    }
}

impl MhZ19 {
    fn send(&mut self, command: u8, value: u8) -> Result<(), DriverError> {
        let mut message = [0xff, 0x01, command, value, 0, 0, 0, 0, 0];
        message[8] = sum(&message);
        Ok(self.uart.write(&message)?)
    }
}

/// Of all bytes between the first and the last: what brings them to zero.
fn sum(message: &[u8; 9]) -> u8 {
    message[1..8].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{mistakes, opened};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, comes, sent};

    const ASK: [u8; 9] = [0xff, 0x01, 0x86, 0, 0, 0, 0, 0, 0x79];
    /// The manual's example.
    const PPM_608: [u8; 9] = [0xff, 0x86, 0x02, 0x60, 0x47, 0, 0, 0, 0xd1];

    fn opening(first: &[u8]) -> [Step; 3] {
        [sent(&[0xff, 0x01, 0x79, 0xa0, 0, 0, 0, 0, 0xe6]), sent(&ASK), comes(first)]
    }

    #[test]
    fn it_speaks_the_manuals_bytes() {
        let board = Recorded::new(opening(&PPM_608));
        let mut driver = opened(&ENTRY, "", &board).unwrap();
        board.then([sent(&ASK), comes(&PPM_608)]);
        assert_eq!(driver.read(), Ok(vec![608.0]));
        board.then([sent(&[0xff, 0x01, 0x87, 0, 0, 0, 0, 0, 0x78])]);
        driver.calibrate(&["zero"]).unwrap();
        assert!(driver.calibrate(&["span"]).unwrap_err().to_string().contains("`zero`"));
        board.done();

        // A type that answers to the first command.
        let [told, ask, answer] = opening(&PPM_608);
        let board = Recorded::new([told, comes(&[0xff, 0x79, 1, 0, 0, 0, 0, 0, 0x86]), ask, answer]);
        opened(&ENTRY, "", &board).unwrap();
        board.done();

        let off = [0xff, 0x01, 0x79, 0, 0, 0, 0, 0, 0x86];
        let board = Recorded::new([sent(&off), sent(&ASK), comes(&PPM_608)]);
        opened(&ENTRY, "automatic_calibration = false", &board).unwrap();
        board.done();
    }

    #[test]
    fn after_a_failure_it_is_told_again_whether_to_calibrate_itself() {
        let board = Recorded::new(opening(&PPM_608));
        let mut driver = opened(&ENTRY, "", &board).unwrap();
        board.then([sent(&ASK)]);
        assert!(driver.read().unwrap_err().to_string().contains("silent"));
        board.then(opening(&PPM_608));
        assert_eq!(driver.read(), Ok(vec![608.0]));
        board.done();
    }

    #[test]
    fn damage_and_what_cannot_be_are_errors() {
        for (answer, expected) in [
            (&[0xff, 0x86, 0x02, 0x60, 0x47, 0, 0, 0, 0xd0][..], "check sum"),
            (&[0xff, 0x86, 0, 0, 0, 0, 0, 0, 0x7a], "0 ppm"),
            (&[0xff, 0x86, 0xff, 0xff, 0, 0, 0, 0, 0x7c], "65535 ppm"),
            (&[0xff; 100], "none of its messages"),
        ] {
            let error = opened(&ENTRY, "", &Recorded::new(opening(answer))).err().unwrap().to_string();
            assert!(error.starts_with("MH-Z19 at /dev/serial0") && error.contains(expected), "{error}");
        }
        assert!(mistakes(&ENTRY, "port = \"COM1\"")[0].hint.contains("/dev/ttyUSB0"));
    }
}
