//! A hardware PWM channel: fans, pumps, lamps and everything else that takes a level between off and on.
//!
//! The duty cycle cannot be read back, so a write counts as accepted, not as confirmed by the pin.

use super::{Entry, OutputConfig, Resolution};
use crate::config::{Frequency, Section};
use crate::hardware::bank::{Confirmation, Line};
use crate::hardware::simulated::Actuator;
use crate::hardware::{Hardware, HardwareError, Pwm};
use crate::model::{Claim, Level};

const ABOUT: &str = "\
- Wiring: channel 0 is GPIO 18 and channel 1 is GPIO 19 with `dtoverlay=pwm-2chan,pin=18,func=2,pin2=19,func2=2` in
  `/boot/firmware/config.txt`; on a Pi 5 these are channels 2 and 3. A four-wire fan wants 25 kHz.
- Trouble: analog audio uses the same hardware: `dtparam=audio=off`. \"permission denied\": the user must be in the
  group `gpio`.
";

pub(super) const ENTRY: Entry = Entry {
    name: "pwm",
    summary: "a hardware PWM channel: fans, pumps, lamps",
    about: ABOUT,
    example: r#"
[outputs.fan]
driver = "pwm"
channel = 0
frequency = "25kHz"
safe = "30%"
"#,
    read,
};

/// A Pi 5 has four channels, the others two.
const LAST_CHANNEL: u8 = 3;

#[derive(Debug, Clone)]
struct Config {
    channel: u8,
    /// Hz
    frequency: f64,
}

fn read(section: &Section) -> Option<Box<dyn OutputConfig>> {
    let channel = section.required::<u8>("channel");
    let frequency = if section.has("frequency") { section.optional("frequency") } else { Some(Frequency(1000.0)) };
    let (channel, Frequency(frequency)) = (channel?, frequency?);
    if channel > LAST_CHANNEL {
        section.wrong("channel", format!("there is no PWM channel {channel}"), "it is 0 or 1; a Pi 5 has 0 to 3");
        return None;
    }
    Some(Box::new(Config { channel, frequency }))
}

impl OutputConfig for Config {
    fn resolution(&self) -> Resolution {
        Resolution::Continuous
    }

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::Pwm(self.channel)]
    }

    fn lane(&self) -> String {
        "pwm".to_owned()
    }

    fn open(&self, hardware: &dyn Hardware, initial: Level) -> Result<Box<dyn Line>, HardwareError> {
        Ok(Box::new(Channel(hardware.pwm(self.channel, self.frequency, initial)?)))
    }

    fn actuator(&self) -> Option<Actuator> {
        Some(Actuator::Pwm(self.channel))
    }
}

struct Channel(Box<dyn Pwm>);

impl Line for Channel {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        self.0.set(level)?;
        Ok(Confirmation::Accepted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn it_starts_at_its_first_level_and_takes_every_other() {
        let world = testing::world();
        let level = |part| Level::new(part).unwrap();
        let mut line = Config { channel: 0, frequency: 25_000.0 }.open(&world, level(0.3)).unwrap();
        assert_eq!(world.pwm_level(0), Some(level(0.3)));
        assert_eq!(line.write(level(0.62)), Ok(Confirmation::Accepted));
        assert_eq!(world.pwm_level(0), Some(level(0.62)));
        drop(line);
        assert_eq!(world.pwm_level(0), Some(level(0.62)));
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        assert_eq!(testing::mistakes(&ENTRY, "channel = 1"), []);
        for (keys, expected) in
            [("", "add `channel"), ("channel = 4", "0 to 3"), ("channel = 0\nfrequency = \"25 rpm\"", "25kHz")]
        {
            let found = testing::mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
