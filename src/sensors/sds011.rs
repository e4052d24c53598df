//! SDS011: particles in the air on a serial port, counted with a laser. An SDS018 and an SDS021 speak alike.
//!
//! Source: Nova Fitness "Laser Dust Sensor Control Protocol" V1.3. Own code: a message of ten bytes and its sum.

use std::time::Duration;

use super::pace::{self, Rhythm};
use super::{Channel, Driver, DriverError, Entry, SensorConfig, messages};
use crate::config::{Section, written};
use crate::hardware::{Hardware, Uart};
use crate::model::Quantity;
use crate::wiring::{OnSerial, Wiring};

const ABOUT: &str = "\
- Range: 0 to 999.9 µg/m³ (±15 %, at least ±10 µg/m³), at 0 to 70 % humidity; above, droplets count as dust.
- Wiring: 5 V (70 mA), ground, TXD to GPIO 15, RXD to GPIO 14; its signals are of 3.3 V. `enable_uart=1` in
  `/boot/firmware/config.txt`, and no login console there: `sudo raspi-config`, Interface Options, Serial Port. With its USB adapter it
  is `port = \"/dev/ttyUSB0\"`.
- Rhythm: it measures every second, and its laser lasts 8000 hours, which is a year. `period = \"5m\"` (1 to 30 minutes) lets it sleep
  between, wake up for 30 s and measure then; read it with an `every` of that or more.
- Trouble: for 30 s after its power has come it counts too little.
";

pub(super) const ENTRY: Entry = Entry {
    name: "sds011",
    summary: "particles PM2.5 and PM10, serial port: SDS011, SDS018, SDS021",
    about: ABOUT,
    example: r#"
[sensors.dust]
driver = "sds011"
port = "/dev/ttyUSB0"
period = "5m"
every = "5m"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    at: OnSerial,
    /// Minutes; 0 for all the time.
    period: u8,
}

const MINUTE: Duration = Duration::from_secs(60);
const LONGEST: u8 = 30;
/// So many messages wait for us, and not more: then the oldest would be read as the newest.
const KEPT: u32 = 100;

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let at = OnSerial::read(section, "SDS011", 9600);
    if !section.has("period") {
        return Some(Box::new(Config { at: at?, period: 0 }));
    }
    let period = section.duration("period", MINUTE..=u32::from(LONGEST) * MINUTE)?;
    if period.as_secs() % 60 != 0 || period.subsec_nanos() != 0 {
        section.wrong("period", "an SDS011 counts whole minutes", "write 1 to 30 minutes, such as `period = \"5m\"`");
        return None;
    }
    let why = format!("with this `period` it measures every {}", written(period));
    if !pace::suits(section, period..=pace::LONGEST.min(KEPT * period), &why) {
        return None;
    }
    Some(Box::new(Config { at: at?, period: u8::try_from(period.as_secs() / 60).unwrap_or(LONGEST) }))
}

const CHANNELS: &[Channel] = &[
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

    /// It sends in its own time, and is spoken to up to five times when it is opened.
    fn deadline(&self) -> Duration {
        6 * PATIENCE
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let uart = self.at.open(hardware)?;
        let mut driver = Sds011 { device: self.at.name(), uart, period: self.period, rhythm: Rhythm::default() };
        driver.uart.discard()?;
        // Asleep it understands nothing else.
        driver.tell(WORK, SET, AWAKE)?;
        driver.keep(REPORTING, BY_ITSELF)?;
        driver.keep(PERIOD, self.period)?;
        Ok(Box::new(driver))
    }
}

/// The commands: each is asked for or set, and answered with what holds now.
const REPORTING: u8 = 2;
const WORK: u8 = 6;
const PERIOD: u8 = 8;
const ASK: u8 = 0;
const SET: u8 = 1;
const BY_ITSELF: u8 = 0;
const AWAKE: u8 = 1;
/// How messages begin and end.
const HEAD: u8 = 0xaa;
const TAIL: u8 = 0xab;
const TO_IT: u8 = 0xb4;
const ANSWER: u8 = 0xc5;
const MEASURED: u8 = 0xc0;
/// It sends every second.
const PATIENCE: Duration = Duration::from_secs(2);
/// For what has come already.
const AT_ONCE: Duration = Duration::from_millis(20);

struct Sds011 {
    device: String,
    uart: Box<dyn Uart>,
    period: u8,
    rhythm: Rhythm,
}

impl Driver for Sds011 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        if self.period == 0 {
            // What has come since the last read is old.
            self.uart.discard()?;
            return self.next(PATIENCE)?.ok_or_else(|| messages::silence(&self.device));
        }
        let mut newest = None;
        for _ in 0..2 * KEPT {
            match self.next(AT_ONCE)? {
                Some(values) => newest = Some(values),
                None => break,
            }
        }
        match newest {
            Some(values) => Ok(self.rhythm.ready(values)),
            None => self.rhythm.not_ready(&self.device, "up to a whole `period`"),
        }
    }
}

impl Sds011 {
    /// The next measurement that it sends by itself, in µg/m³.
    fn next(&mut self, patience: Duration) -> Result<Option<Vec<f64>>, DriverError> {
        let message = messages::next(&mut *self.uart, &self.device, &[HEAD, MEASURED], is_right, patience)?;
        let tenths =
            |message: &[u8; 10], at: usize| f64::from(u16::from_le_bytes([message[at], message[at + 1]])) / 10.0;
        Ok(message.map(|message| vec![tenths(&message, 2), tenths(&message, 4)]))
    }

    /// Sets what it keeps in its memory, which wears out: only if it is something else.
    fn keep(&mut self, command: u8, value: u8) -> Result<(), DriverError> {
        if self.tell(command, ASK, 0)? != value && self.tell(command, SET, value)? != value {
            return Err(DriverError::no_value(&self.device, format!("it does not take its setting {command}")));
        }
        Ok(())
    }

    /// Sends a command, and gives what it answers that holds now.
    fn tell(&mut self, command: u8, set: u8, value: u8) -> Result<u8, DriverError> {
        let mut message = [0; 19];
        message[..5].copy_from_slice(&[HEAD, TO_IT, command, set, value]);
        // To whichever sensor is there.
        message[15..17].copy_from_slice(&[0xff, 0xff]);
        message[17] = sum(&message[2..17]);
        message[18] = TAIL;
        self.uart.write(&message)?;
        let answer = messages::next(&mut *self.uart, &self.device, &[HEAD, ANSWER, command], is_right, PATIENCE)?;
        Ok(answer.ok_or_else(|| messages::silence(&self.device))?[4])
    }
}

fn is_right(message: &[u8; 10]) -> bool {
    message[9] == TAIL && sum(&message[2..8]) == message[8]
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{mistakes, opened};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, comes, sent};

    fn command(command: u8, set: u8, value: u8, sum: u8) -> Step {
        let mut message = vec![0xaa, 0xb4, command, set, value];
        message.extend([0; 10]);
        message.extend([0xff, 0xff, sum, 0xab]);
        sent(&message)
    }

    fn answer(command: u8, set: u8, value: u8, sum: u8) -> [u8; 10] {
        [0xaa, 0xc5, command, set, value, 0, 0xa1, 0x60, sum, 0xab]
    }

    /// The protocol's example: 123.6 and 261.8 µg/m³.
    const MEASUREMENT: [u8; 10] = [0xaa, 0xc0, 0xd4, 0x04, 0x3a, 0x0a, 0xa1, 0x60, 0x1d, 0xab];
    /// 0.3 and 1.1 µg/m³.
    const CLEAN: [u8; 10] = [0xaa, 0xc0, 0x03, 0x00, 0x0b, 0x00, 0xa1, 0x60, 0x0f, 0xab];

    /// The protocol's examples, while it measures all the time.
    fn opening() -> Vec<Step> {
        // It goes on sending what it measures.
        let awake: Vec<u8> = [MEASUREMENT, answer(6, 1, 1, 0x09)].concat();
        vec![
            command(6, 1, 1, 0x06),
            comes(&awake),
            command(2, 0, 0, 0x00),
            comes(&answer(2, 0, 0, 0x03)),
            command(8, 0, 0, 0x06),
            comes(&answer(8, 0, 0, 0x09)),
        ]
    }

    #[test]
    fn it_speaks_the_protocols_bytes() {
        let board = Recorded::new(opening());
        let mut driver = opened(&ENTRY, "", &board).unwrap();
        let in_between: Vec<u8> = CLEAN[4..].iter().chain(&MEASUREMENT).copied().collect();
        board.then([comes(&in_between)]);
        assert_eq!(driver.read(), Ok(vec![123.6, 261.8]));
        board.done();
    }

    #[test]
    fn with_a_period_it_gives_the_newest_of_what_has_come() {
        let board = Recorded::new(opening());
        board.then([command(8, 1, 1, 0x08), comes(&answer(8, 1, 1, 0x0b))]);
        let mut driver = opened(&ENTRY, "period = \"1m\"\nevery = \"1m\"", &board).unwrap();
        assert!(matches!(driver.read(), Err(DriverError::NotYet { .. })));
        board.then([comes(&[MEASUREMENT, CLEAN].concat())]);
        assert_eq!(driver.read(), Ok(vec![0.3, 1.1]));
        assert_eq!(driver.read(), Ok(vec![0.3, 1.1]), "its clock may be slow");
        assert!(matches!(driver.read(), Err(DriverError::NoValue { .. })));
        board.done();
    }

    #[test]
    fn silence_damage_and_disobedience_are_errors() {
        let error = opened(&ENTRY, "", &Recorded::new([command(6, 1, 1, 0x06)])).err().unwrap().to_string();
        assert!(error.starts_with("SDS011 at /dev/serial0") && error.contains("silent"), "{error}");

        let board = Recorded::new(opening());
        let mut driver = opened(&ENTRY, "", &board).unwrap();
        let mut damaged = MEASUREMENT;
        damaged[3] = 0x05;
        board.then([comes(&damaged)]);
        assert!(driver.read().unwrap_err().to_string().contains("check sum"));

        let board = Recorded::new(opening());
        board.then([command(8, 1, 1, 0x08), comes(&answer(8, 0, 0, 0x09))]);
        let error = opened(&ENTRY, "period = \"1m\"\nevery = \"1m\"", &board).err().unwrap().to_string();
        assert!(error.contains("does not take its setting 8"), "{error}");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("period = \"40m\"", "1m to 30m"),
            ("period = \"90s\"", "1 to 30 minutes"),
            ("period = \"5m\"", "`every = \"5m\"` or more"),
            ("period = \"1m\"\nevery = \"2h\"", "or less"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{found:?}");
        }
    }
}
