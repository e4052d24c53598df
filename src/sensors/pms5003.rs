//! PMS5003: particles in the air on a serial port, counted with a laser. PMS7003 and PMSA003 speak alike.
//!
//! Source: Plantower PMS5003 series data manual, version 2.3, appendix I. Own code: a message of 32 bytes and its sum.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig, messages};
use crate::config::Section;
use crate::hardware::{Hardware, Uart};
use crate::model::Quantity;
use crate::wiring::{OnSerial, Wiring};

const ABOUT: &str = "\
- Range: 0 to 500 µg/m³ (±10 %, below 100 µg/m³ ±10 µg/m³), at 0 to 95 % humidity; fog and steam count as dust.
- Wiring: 5 V for its fan (100 mA), ground, its TX to GPIO 15; its signals are of 3.3 V. `enable_uart=1` in
  `/boot/firmware/config.txt`, and no login console there: `sudo raspi-config`, Interface Options, Serial Port.
- Mode: it sends by itself, about once a second. With its RX at GPIO 14 `mode = \"passive\"` makes it speak only when it is asked.
- Trouble: for 30 s after its power has come it counts too little. Its fan pulls dust in; the laser lasts some 8000 hours.
";

pub(super) const ENTRY: Entry = Entry {
    name: "pms5003",
    summary: "particles PM1, PM2.5 and PM10, serial port: PMS5003, PMS7003, PMSA003",
    about: ABOUT,
    example: r#"
[sensors.dust]
driver = "pms5003"
port = "/dev/serial0"
every = "10s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    at: OnSerial,
    passive: bool,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let mode = if section.has("mode") { section.word("mode", &["active", "passive"]) } else { Some("active") };
    let at = OnSerial::read(section, "PMS5003", 9600);
    Some(Box::new(Config { at: at?, passive: mode? == "passive" }))
}

const CHANNELS: &[Channel] = &[
    Channel { name: "pm1", quantity: Quantity::ParticlesPm1 },
    Channel { name: "pm2_5", quantity: Quantity::ParticlesPm25 },
    Channel { name: "pm10", quantity: Quantity::ParticlesPm10 },
];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.at.wiring()
    }

    /// It sends in its own time.
    fn deadline(&self) -> Duration {
        3 * PATIENCE
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut driver = Pms5003 { device: self.at.name(), uart: self.at.open(hardware)?, passive: self.passive };
        // Somebody may have sent it to sleep.
        driver.send(WAKE, 1)?;
        // It keeps its mode while it has power. It need not hear this to send by itself, which it does to begin with.
        driver.send(MODE, u8::from(!self.passive))?;
        driver.read()?;
        Ok(Box::new(driver))
    }
}

/// The commands (appendix I, "host communication protocol"); the mode is 0 for passive and 1 for active.
const WAKE: u8 = 0xe4;
const MODE: u8 = 0xe1;
const REQUEST: u8 = 0xe2;
/// A message begins with these and the number of bytes that follow.
const START: [u8; 4] = [0x42, 0x4d, 0, 28];
/// While nothing changes it sends every 2.3 s only.
const PATIENCE: Duration = Duration::from_secs(3);
/// Where the three concentrations "under atmospheric environment" begin (data 4 to 6).
const ATMOSPHERIC: usize = 10;

struct Pms5003 {
    device: String,
    uart: Box<dyn Uart>,
    passive: bool,
}

impl Driver for Pms5003 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        // What has come since the last read is old.
        self.uart.discard()?;
        if self.passive {
            self.send(REQUEST, 0)?;
        }
        let message = messages::next(&mut *self.uart, &self.device, &START, is_right, PATIENCE)?;
        let message = message.ok_or_else(|| messages::silence(&self.device))?;
        let number = |channel: usize| word(&message, ATMOSPHERIC + 2 * channel);
        Ok((0..CHANNELS.len()).map(|channel| f64::from(number(channel))).collect())
    }
}

impl Pms5003 {
    fn send(&mut self, command: u8, value: u8) -> Result<(), DriverError> {
        let mut message = [START[0], START[1], command, 0, value, 0, 0];
        let [high, low] = sum(&message[..5]).to_be_bytes();
        message[5..].copy_from_slice(&[high, low]);
        Ok(self.uart.write(&message)?)
    }
}

fn is_right(message: &[u8; 32]) -> bool {
    sum(&message[..30]) == word(message, 30)
}

fn sum(bytes: &[u8]) -> u16 {
    bytes.iter().map(|byte| u16::from(*byte)).sum()
}

fn word(message: &[u8; 32], at: usize) -> u16 {
    u16::from_be_bytes([message[at], message[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{mistakes, opened};
    use super::*;
    use crate::hardware::recorded::{Recorded, comes, sent};

    /// By the manual's table: 3, 5 and 6 µg/m³ of calibration particles, 2, 4 and 7 in the atmosphere, and six counts.
    const MESSAGE: [u8; 32] = [
        0x42, 0x4d, 0x00, 0x1c, 0, 3, 0, 5, 0, 6, 0, 2, 0, 4, 1, 7, 2, 0x9a, 0, 0xd2, 0, 0x1e, 0, 4, 0, 2, 0, 1, 0x97,
        0x00, 0x02, 0xf1,
    ];
    const AWAKE: [u8; 7] = [0x42, 0x4d, 0xe4, 0x00, 0x01, 0x01, 0x74];
    const ACTIVE: [u8; 7] = [0x42, 0x4d, 0xe1, 0x00, 0x01, 0x01, 0x71];

    #[test]
    fn it_hears_the_manuals_message_also_when_it_comes_in_between() {
        let board = Recorded::new([sent(&AWAKE), sent(&ACTIVE), comes(&MESSAGE)]);
        let mut driver = opened(&ENTRY, "", &board).unwrap();
        // It fell into the middle of one message.
        let stream: Vec<u8> = MESSAGE[20..].iter().chain(&MESSAGE).copied().collect();
        board.then([comes(&stream)]);
        assert_eq!(driver.read(), Ok(vec![2.0, 4.0, 263.0]));
        board.done();
    }

    #[test]
    fn in_passive_mode_it_asks() {
        let request = [0x42, 0x4d, 0xe2, 0x00, 0x00, 0x01, 0x71];
        let passive = [0x42, 0x4d, 0xe1, 0x00, 0x00, 0x01, 0x70];
        // It confirms a change of its mode with a short message.
        let confirmed = [0x42, 0x4d, 0x00, 0x04, 0xe1, 0x00, 0x01, 0x74];
        let answer: Vec<u8> = confirmed.iter().chain(&MESSAGE).copied().collect();
        let board = Recorded::new([sent(&AWAKE), sent(&passive), sent(&request), comes(&answer)]);
        let mut driver = opened(&ENTRY, "mode = \"passive\"", &board).unwrap();
        board.then([sent(&request), comes(&MESSAGE)]);
        assert_eq!(driver.read(), Ok(vec![2.0, 4.0, 263.0]));
        board.done();
    }

    #[test]
    fn silence_and_damage_are_errors() {
        let mut damaged = MESSAGE;
        damaged[13] = 5;
        for (bytes, expected) in
            [(&[][..], "is silent"), (&damaged, "check sum"), (&MESSAGE[..20], "broke off after 20 of 32")]
        {
            let board = Recorded::new([sent(&AWAKE), sent(&ACTIVE)]);
            board.then((!bytes.is_empty()).then(|| comes(bytes)));
            let error = opened(&ENTRY, "", &board).err().unwrap().to_string();
            assert!(error.starts_with("PMS5003 at /dev/serial0") && error.contains(expected), "{error}");
        }
        assert!(mistakes(&ENTRY, "mode = \"asleep\"")[0].hint.contains("active, passive"));
    }
}
