//! Pulses of a given duty cycle: fans, pumps, lamps and everything else that takes a level between off and on.
//!
//! From a PWM channel of the board, or from a thread that switches any pin.

use super::lines::{Duty, Pulses};
use super::{Entry, OutputConfig, Resolution};
use crate::config::{Frequency, Section, Value};
use crate::hardware::bank::Line;
use crate::hardware::simulated::Actuator;
use crate::hardware::{Hardware, HardwareError};
use crate::model::{Claim, Level};

const ABOUT: &str = "\
- Wiring: channel 0 is GPIO 18 and channel 1 is GPIO 19 with `dtoverlay=pwm-2chan,pin=18,func=2,pin2=19,func2=2` in
  `/boot/firmware/config.txt`; on a Pi 5 these are channels 2 and 3. A four-wire fan wants 25 kHz.
- `pin = 18` beside `channel` says where the overlay has it, so that nothing else gets that pin. Without it `homeostat check` warns of
  what is on a pin that may be its own: GPIO 12 or 18 for channel 0, 13 or 19 for channel 1.
- Any other pin: `pin = 18` instead of `channel`, with `active = \"low\"` where low is on. A thread switches it, at up to some
  hundred hertz (100 Hz if `frequency` is not there); it jitters with the machine's load. Good for heaters, lamps and motors, not
  for a four-wire fan. When homeostat dies the pulses end with it, so `safe` is \"on\" or \"off\" there.
- A pin gives 16 mA at 3.3 V: a MOSFET or a driver board stands between it and everything else.
- Trouble: analog audio uses the same hardware: `dtparam=audio=off`. \"permission denied\": the user must be in the
  group `gpio`.
";

pub(super) const ENTRY: Entry = Entry {
    name: "pwm",
    summary: "a PWM channel, or software PWM on any pin: fans, pumps, lamps",
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

/// Hz; a thread makes no more without taking a core for itself.
const FASTEST_BY_THREAD: f64 = 1000.0;

#[derive(Debug, Clone)]
struct Config {
    pulses: Pulses,
    /// Hz
    frequency: f64,
}

fn read(section: &Section) -> Option<Box<dyn OutputConfig>> {
    let pulses = Pulses::read(section);
    let by_thread = matches!(pulses, Some(Pulses::Pin(..)));
    let usual = Frequency(if by_thread { 100.0 } else { 1000.0 });
    let frequency = if section.has("frequency") { section.optional("frequency") } else { Some(usual) };
    let (pulses, Frequency(frequency)) = (pulses?, frequency?);
    if by_thread && frequency > FASTEST_BY_THREAD {
        let message = format!("`frequency` of {} is too high for a pin that a thread switches", section.what());
        section.wrong("frequency", message, "it goes to \"1kHz\"; use `channel` for more");
        return None;
    }
    // What is wrong with it is reported where all limits are read.
    let safe = section.value("safe").and_then(|value| Level::read(value.get_ref()).ok()).unwrap_or(Level::OFF);
    if by_thread && safe != Level::OFF && safe != Level::ON {
        let message = format!("{} cannot be safe at {safe}: its pulses end when homeostat does", section.what());
        section.wrong("safe", message, "write \"on\" or \"off\", or use `channel`, which goes on by itself");
        return None;
    }
    Some(Box::new(Config { pulses, frequency }))
}

impl OutputConfig for Config {
    fn resolution(&self) -> Resolution {
        Resolution::Continuous
    }

    fn claims(&self) -> Vec<Claim> {
        self.pulses.claims()
    }

    fn lane(&self) -> String {
        self.pulses.lane()
    }

    fn open(&self, hardware: &dyn Hardware, initial: Level) -> Result<Box<dyn Line>, HardwareError> {
        Ok(Box::new(Duty(self.pulses.open(hardware, self.frequency, initial)?)))
    }

    fn actuator(&self) -> Option<Actuator> {
        self.pulses.actuator()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::hardware::Active;
    use crate::hardware::bank::Confirmation;
    use crate::hardware::recorded::Recorded;

    #[test]
    fn it_starts_at_its_first_level_and_takes_every_other() {
        let world = testing::world();
        let level = |part| Level::new(part).unwrap();
        let config = Config { pulses: Pulses::Channel { channel: 0, pin: None }, frequency: 25_000.0 };
        let mut line = config.open(&world, level(0.3)).unwrap();
        assert_eq!(world.pwm_level(0), Some(level(0.3)));
        assert_eq!(line.write(level(0.62)), Ok(Confirmation::Accepted));
        assert_eq!(world.pwm_level(0), Some(level(0.62)));
        drop(line);
        assert_eq!(world.pwm_level(0), Some(level(0.62)));
    }

    #[test]
    fn any_pin_can_be_switched_by_a_thread() {
        let board = Recorded::default();
        let config = Config { pulses: Pulses::Pin(23, Active::Low), frequency: 100.0 };
        let mut line = config.open(&board, Level::OFF).unwrap();
        assert_eq!(line.write(Level::clamped(0.4)), Ok(Confirmation::Accepted));
        assert_eq!(board.pwm_levels(), [(23, Level::OFF), (23, Level::clamped(0.4))]);
        assert_eq!((config.claims(), config.lane()), (vec![Claim::Pin(23)], "gpio".to_owned()));
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        let known = testing::config(&ENTRY, "channel = 0\npin = 18");
        assert_eq!((known.claims(), known.lane().as_str()), (vec![Claim::Pwm(0), Claim::Pin(18)], "pwm"));
        for keys in [
            "channel = 1",
            "channel = 1\npin = 13",
            "pin = 18\nactive = \"low\"\nsafe = \"on\"",
            "pin = 18\nfrequency = \"200Hz\"",
        ] {
            assert_eq!(testing::mistakes(&ENTRY, &format!("{keys}\n")), [], "{keys}");
        }
        for (keys, expected) in [
            ("", "add `channel"),
            ("channel = 4", "0 to 3"),
            ("channel = 0\nfrequency = \"25 rpm\"", "25kHz"),
            ("channel = 0\npin = 17", "12 or 18"),
            ("pin = 64", "0 to 27"),
            ("pin = 18\nactive = \"LOW\"", "\"low\" for most"),
            ("pin = 18\nfrequency = \"25kHz\"", "1kHz"),
            ("pin = 18\nsafe = \"30%\"", "use `channel`"),
        ] {
            let found = testing::mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
