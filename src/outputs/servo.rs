//! A model servo: its level is its angle, its pulses tell it where to go. Flaps, dampers, small valves.
//!
//! Source: the pulses that makers agree on: 50 Hz, 1 to 2 ms; most servos take 0.5 to 2.5 ms.

use std::ops::RangeInclusive;

use super::lines::Pulses;
use super::{Entry, OutputConfig, Resolution};
use crate::config::Section;
use crate::hardware::bank::{Confirmation, Line};
use crate::hardware::simulated::Actuator;
use crate::hardware::{Hardware, HardwareError, Pwm};
use crate::model::{Claim, Level};

const ABOUT: &str = "\
- Off is the angle at `min_pulse` (in milliseconds, 1 if it is not there), on the one at `max_pulse` (2). Widen them step by step: a servo that
  hums at its end stop burns out. `safe` is a position, off if it is not there.
- Wiring: its own 5 V supply with a common ground; the signal to a PWM channel (`channel = 0`, see `pwm` for its pin), or to any pin
  (`pin = 18`). On a pin a thread makes the pulses: the servo trembles with the machine's load, and when homeostat dies it stays
  where it is and is not brought to `safe`. Use `channel` where that matters.
- Nothing tells where a servo is: a write counts as accepted, not as confirmed.
- Trouble: it jerks when others start: its supply is too weak, or the grounds are not connected.
";

pub(super) const ENTRY: Entry = Entry {
    name: "servo",
    summary: "a model servo, whose angle is its level: flaps, dampers, small valves",
    about: ABOUT,
    example: r#"
[outputs.flap]
driver = "servo"
channel = 0
min_pulse = 1.0
max_pulse = 2.0
safe = "50%"
"#,
    read,
};

/// Hz
const FREQUENCY: f64 = 50.0;
/// Milliseconds
const PERIOD: f64 = 1000.0 / FREQUENCY;
/// Milliseconds; no servo takes others.
const PULSES: RangeInclusive<f64> = 0.3..=3.0;

#[derive(Debug, Clone)]
struct Config {
    pulses: Pulses,
    /// Milliseconds
    min: f64,
    max: f64,
}

fn read(section: &Section) -> Option<Box<dyn OutputConfig>> {
    let pulses = Pulses::read(section);
    let pulse = |key, usual| if section.has(key) { section.optional::<f64>(key) } else { Some(usual) };
    let (min, max) = (pulse("min_pulse", 1.0), pulse("max_pulse", 2.0));
    let (pulses, min, max) = (pulses?, min?, max?);
    if !(PULSES.contains(&min) && PULSES.contains(&max) && min < max) {
        let message = format!("the pulses of {} cannot go from {min} to {max} ms", section.what());
        let key = if section.has("max_pulse") { "max_pulse" } else { "min_pulse" };
        section.wrong(key, message, "`min_pulse` is less than `max_pulse`, within 0.3 to 3 ms");
        return None;
    }
    Some(Box::new(Config { pulses, min, max }))
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
        let pwm = self.pulses.open(hardware, FREQUENCY, self.duty(initial))?;
        Ok(Box::new(Servo { pwm, config: self.clone() }))
    }

    // The world would take the pulses for the level.
    fn actuator(&self) -> Option<Actuator> {
        None
    }
}

impl Config {
    fn duty(&self, level: Level) -> Level {
        Level::clamped(level.get().mul_add(self.max - self.min, self.min) / PERIOD)
    }
}

struct Servo {
    pwm: Box<dyn Pwm>,
    config: Config,
}

impl Line for Servo {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        self.pwm.set(self.config.duty(level))?;
        Ok(Confirmation::Accepted)
    }

    fn read_back(&mut self) -> Result<Option<Level>, HardwareError> {
        self.pwm.check()?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, mistakes};
    use super::*;
    use crate::hardware::recorded::Recorded;

    #[test]
    fn an_angle_is_a_length_of_a_pulse_from_the_first_one_on() {
        let board = Recorded::default();
        for (keys, lengths) in
            [("channel = 0", [1.5, 1.0, 2.0]), ("pin = 18\nmin_pulse = 0.5\nmax_pulse = 2.5", [1.5, 0.5, 2.5])]
        {
            let before = board.pwm_levels().len();
            let mut line = config(&ENTRY, keys).open(&board, Level::clamped(0.5)).unwrap();
            for level in [Level::OFF, Level::ON] {
                assert_eq!(line.write(level), Ok(Confirmation::Accepted));
            }
            let found = board.pwm_levels().split_off(before).into_iter().map(|(_, duty)| duty.get() * 20.0);
            let near = found.zip(lengths).all(|(found, expected)| (found - expected).abs() < 1e-9);
            assert!(near, "{keys}: {:?}", board.pwm_levels());
        }
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("", "add `channel"),
            ("channel = 0\npin = 17", "12 or 18"),
            ("channel = 0\nmin_pulse = 2.5", "less than `max_pulse`"),
            ("channel = 0\nmax_pulse = 20", "0.3 to 3 ms"),
            ("channel = 0\nmin_pulse = \"soon\"", "write 1.0"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
