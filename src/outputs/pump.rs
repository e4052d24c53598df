//! A peristaltic pump that gives doses: on and off behind a relay or a MOSFET, or with its speed by PWM.
//!
//! A dose is a demand that lasts as long as the millilitres take (`model/dose.rs`); this file only knows how many a second gives.

use std::ops::RangeInclusive;

use super::lines::{Duty, Pulses, Switch};
use super::{Entry, OutputConfig, Resolution};
use crate::config::{Frequency, Section};
use crate::hardware::bank::Line;
use crate::hardware::simulated::Actuator;
use crate::hardware::{Active, Hardware, HardwareError};
use crate::model::{Claim, Level};

const ABOUT: &str = "\
- `ml_per_second` is what it gives fully on. Turn it on for a minute into a measuring glass, and divide by 60; again when the tube
  is new, and a month later. With it the pump takes doses: `12.5 ml`.
- Wiring: `pin` to a relay or a MOSFET (`active = \"low\"` for most relay boards), or `channel` for its speed by PWM, as with `gpio`
  and `pwm`. A motor needs a diode against its sparks and a supply of its own.
- `max_on = \"30s\"` with `min_off` is the longest dose, whoever asks; without it that is an hour. `max_on = { \"30s\" = \"at once\", \"2m\" =
  \"per day\" }` keeps a mistake from emptying the bottle.
- Trouble: too little in short doses: the hose ran empty. Doses shorter than `min_on` or 0.2 s are refused.
";

pub(super) const ENTRY: Entry = Entry {
    name: "pump",
    summary: "a peristaltic pump that takes doses in millilitres",
    about: ABOUT,
    example: r#"
[outputs.fertiliser]
driver = "pump"
pin = 17
active = "low"
ml_per_second = 1.35
max_on = { "30s" = "at once", "2m" = "per day" }
min_off = "10s"
"#,
    read,
};

/// From a microlitre to a garden pump.
const RATES: RangeInclusive<f64> = 0.001..=1000.0;

#[derive(Debug, Clone)]
struct Config {
    drive: Drive,
    ml_per_second: f64,
}

#[derive(Debug, Clone)]
enum Drive {
    /// On or off.
    Switch { pin: u8, active: Active },
    /// By pulses, of a frequency in hertz.
    Speed(Pulses, f64),
}

fn read(section: &Section) -> Option<Box<dyn OutputConfig>> {
    let pulses = Pulses::read(section);
    let rate = section.required::<f64>("ml_per_second").filter(|rate| {
        if !RATES.contains(rate) {
            let message = format!("`ml_per_second` of {} cannot be {rate}", section.what());
            section.wrong("ml_per_second", message, "measure it: it goes from 0.001 to 1000");
        }
        RATES.contains(rate)
    });
    let drive = match pulses {
        Some(pulses @ Pulses::Channel { .. }) => {
            let frequency =
                if section.has("frequency") { section.optional("frequency") } else { Some(Frequency(1000.0)) };
            frequency.map(|Frequency(hertz)| Drive::Speed(pulses, hertz))
        }
        Some(Pulses::Pin(pin, active)) => Some(Drive::Switch { pin, active }),
        None => {
            section.has("frequency");
            None
        }
    };
    Some(Box::new(Config { drive: drive?, ml_per_second: rate? }))
}

impl OutputConfig for Config {
    fn resolution(&self) -> Resolution {
        match self.drive {
            Drive::Switch { .. } => Resolution::Switch,
            Drive::Speed(..) => Resolution::Continuous,
        }
    }

    fn claims(&self) -> Vec<Claim> {
        match self.drive {
            Drive::Switch { pin, .. } => vec![Claim::Pin(pin)],
            Drive::Speed(pulses, _) => pulses.claims(),
        }
    }

    fn lane(&self) -> String {
        match self.drive {
            Drive::Switch { .. } => "gpio".to_owned(),
            Drive::Speed(pulses, _) => pulses.lane(),
        }
    }

    fn open(&self, hardware: &dyn Hardware, initial: Level) -> Result<Box<dyn Line>, HardwareError> {
        Ok(match self.drive {
            Drive::Switch { pin, active } => Box::new(Switch::open(hardware, pin, active, initial)?),
            Drive::Speed(pulses, frequency) => Box::new(Duty(pulses.open(hardware, frequency, initial)?)),
        })
    }

    fn ml_per_second(&self) -> Option<f64> {
        Some(self.ml_per_second)
    }

    fn actuator(&self) -> Option<Actuator> {
        match self.drive {
            Drive::Switch { pin, .. } => Some(Actuator::Pin(pin)),
            Drive::Speed(pulses, _) => pulses.actuator(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, mistakes};
    use super::*;
    use crate::hardware::bank::Confirmation;
    use crate::hardware::recorded::Recorded;

    #[test]
    fn it_is_on_or_off_behind_a_pin_and_has_a_speed_on_a_channel() {
        let board = Recorded::default();
        let on_a_pin = config(&ENTRY, "pin = 17\nactive = \"low\"\nml_per_second = 1.35");
        let mut line = on_a_pin.open(&board, Level::OFF).unwrap();
        assert_eq!(line.write(Level::ON), Ok(Confirmation::ReadBack));
        assert_eq!(board.written(), [(17, true), (17, false)]);
        assert_eq!((on_a_pin.resolution(), on_a_pin.ml_per_second()), (Resolution::Switch, Some(1.35)));

        let by_speed = config(&ENTRY, "channel = 1\nml_per_second = 2");
        let mut line = by_speed.open(&board, Level::OFF).unwrap();
        assert_eq!(line.write(Level::clamped(0.5)), Ok(Confirmation::Accepted));
        assert_eq!(board.pwm_levels(), [(1, Level::OFF), (1, Level::clamped(0.5))]);
        assert_eq!((by_speed.resolution(), by_speed.claims()), (Resolution::Continuous, vec![Claim::Pwm(1)]));
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("pin = 17", "add `ml_per_second"),
            ("ml_per_second = 1", "add `channel"),
            ("pin = 17\nml_per_second = 0", "0.001 to 1000"),
            ("pin = 17\nml_per_second = -1", "0.001 to 1000"),
            ("pin = 17\nchannel = 0\nml_per_second = 1", "12 or 18"),
            ("pin = 17\nfrequency = \"1kHz\"\nml_per_second = 1", "known:"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
