//! The pins written down in a file, for tests of the real process: it keeps the levels when the process dies, as real pins do.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::chip::Actuator;
use crate::model::{Level, Timestamp};

/// A file that has a line for every change, in order. Whoever opens it goes on at its end.
pub(super) struct Record {
    file: File,
    failed: bool,
}

impl Record {
    pub fn open(file: &Path) -> io::Result<Self> {
        Ok(Self { file: File::options().create(true).append(true).open(file)?, failed: false })
    }

    /// Appends `1795248000000 pin 17 on` or `1795248000000 pwm 0 30%` in one write, so that a kill leaves no half a line.
    pub fn write(&mut self, at: Timestamp, actuator: &Actuator, level: Level) {
        let millis = at.as_millis();
        let line = match actuator {
            Actuator::Pin(pin) => format!("{millis} pin {pin} {}\n", if level.is_on() { "on" } else { "off" }),
            Actuator::Pwm(channel) => format!("{millis} pwm {channel} {:.0}%\n", level.get() * 100.0),
            Actuator::Device(output) => format!("{millis} output {output} {:.0}%\n", level.get() * 100.0),
        };
        if let Err(error) = self.file.write_all(line.as_bytes())
            && !std::mem::replace(&mut self.failed, true)
        {
            tracing::warn!("the simulated pins cannot be written down: {error}; check the disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_a_line_at_the_end_of_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pins.log");
        let at = Timestamp::from_millis(1_795_248_000_000);
        let level = |part| Level::new(part).unwrap();
        Record::open(&file).unwrap().write(at, &Actuator::Pin(17), Level::ON);
        let mut record = Record::open(&file).unwrap();
        record.write(at, &Actuator::Pwm(0), level(0.3));
        record.write(at, &Actuator::Pin(17), Level::OFF);
        assert_eq!(
            std::fs::read_to_string(file).unwrap(),
            "1795248000000 pin 17 on\n1795248000000 pwm 0 30%\n1795248000000 pin 17 off\n"
        );
    }
}
