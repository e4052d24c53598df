//! What several output drivers have in common: which way round they are wired, what gives pulses, and when a pin obeys.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::LONGEST_DEADLINE;
use crate::config::Section;
use crate::hardware::bank::{Confirmation, Line};
use crate::hardware::simulated::Actuator;
use crate::hardware::{Active, DigitalOutput, Hardware, HardwareError, Pwm};
use crate::model::{Claim, Level, pwm_lines};
use crate::wiring;

/// A Pi 5 has four channels, the others two.
const LAST_CHANNEL: u8 = 3;
const CHANNELS: &str = "it is 0 or 1; a Pi 5 has 0 to 3";

/// `active = "low"`; high if it is not there.
pub fn active(section: &Section<'_>) -> Option<Active> {
    if section.has("active") { section.optional("active") } else { Some(Active::default()) }
}

/// The electrical level, high or not, of an output that is on or off; and the same the other way.
pub fn electrical(active: Active, on: bool) -> bool {
    on == (active == Active::High)
}

/// A channel of a chip: `channel = 0`, up to `last`.
pub fn channel(section: &Section<'_>, what: &str, last: u8, hint: &str) -> Option<u8> {
    let channel = section.required::<u8>("channel")?;
    if channel > last {
        section.wrong("channel", format!("there is no {what} {channel}"), hint);
        return None;
    }
    Some(channel)
}

/// Holds what a pin reads against what it was set to.
pub fn obeys(what: impl ToString, wanted: bool, found: bool) -> Result<Confirmation, HardwareError> {
    if wanted == found {
        return Ok(Confirmation::ReadBack);
    }
    let [wanted, found] = [wanted, found].map(|on| if on { "on" } else { "off" });
    let reason =
        format!("set to {wanted}, and it reads {found}; check for a short circuit, and that nothing else uses the pin");
    Err(HardwareError::Io { what: what.to_string(), reason })
}

/// What gives pulses: a PWM channel of the board (`channel = 0`, and `pin = 18` if it is to be known where that comes out), or a thread
/// that switches a pin (`pin = 18`, with `active`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulses {
    /// It goes on by itself, whatever becomes of the process.
    Channel {
        /// Its number.
        channel: u8,
        /// Where the overlay has it.
        pin: Option<u8>,
    },
    /// It ends with the process.
    Pin(u8, Active),
}

impl Pulses {
    /// Reads `channel`, or else `pin` and `active`.
    pub fn read(section: &Section<'_>) -> Option<Self> {
        if !section.has("pin") {
            if !section.has("channel") {
                // Of a pin that was forgotten; a channel has no such key.
                section.has("active");
            }
            let channel = self::channel(section, "PWM channel", LAST_CHANNEL, CHANNELS)?;
            return Some(Self::Channel { channel, pin: None });
        }
        if section.has("channel") {
            let (channel, pin) =
                (self::channel(section, "PWM channel", LAST_CHANNEL, CHANNELS), wiring::pin(section, "pin"));
            let (channel, pin) = (channel?, pin?);
            let lines = pwm_lines(channel);
            if !lines.contains(&pin) {
                let lines: Vec<String> = lines.iter().map(u8::to_string).collect();
                let message = format!("PWM channel {channel} of {} does not come out on GPIO {pin}", section.what());
                let hint = "as the overlay says; leave out `channel` to have a thread switch any other pin";
                section.wrong("pin", message, format!("it is GPIO {}, {hint}", lines.join(" or ")));
                return None;
            }
            return Some(Self::Channel { channel, pin: Some(pin) });
        }
        let (pin, active) = (wiring::pin(section, "pin"), active(section));
        Some(Self::Pin(pin?, active?))
    }

    /// The channel or the pin.
    pub fn claims(&self) -> Vec<Claim> {
        match *self {
            Self::Channel { channel, pin } => [Claim::Pwm(channel)].into_iter().chain(pin.map(Claim::Pin)).collect(),
            Self::Pin(pin, _) => vec![Claim::Pin(pin)],
        }
    }

    /// `pwm` or `gpio`
    pub fn lane(&self) -> String {
        match self {
            Self::Channel { .. } => "pwm".to_owned(),
            Self::Pin(..) => "gpio".to_owned(),
        }
    }

    /// Begins pulses of this frequency in hertz at this duty cycle.
    pub fn open(&self, hardware: &dyn Hardware, frequency: f64, initial: Level) -> Result<Box<dyn Pwm>, HardwareError> {
        match *self {
            Self::Channel { channel, .. } => hardware.pwm(channel, frequency, initial),
            Self::Pin(pin, active) => hardware.software_pwm(pin, active, frequency, initial),
        }
    }

    /// The simulated world has a model of a channel only.
    pub fn actuator(&self) -> Option<Actuator> {
        match *self {
            Self::Channel { channel, .. } => Some(Actuator::Pwm(channel)),
            Self::Pin(..) => None,
        }
    }
}

/// Pulses as a line. Their duty cycle cannot be read back, so a write counts as accepted, not as confirmed by the pin.
pub struct Duty(pub Box<dyn Pwm>);

impl Line for Duty {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        self.0.set(level)?;
        Ok(Confirmation::Accepted)
    }

    fn read_back(&mut self) -> Result<Option<Level>, HardwareError> {
        self.0.check()?;
        Ok(None)
    }
}

/// A pin that is on or off, and is read back after each write.
pub struct Switch {
    what: Claim,
    pin: Box<dyn DigitalOutput>,
}

impl Switch {
    /// Takes the pin, at `initial` from the first moment on.
    pub fn open(hardware: &dyn Hardware, pin: u8, active: Active, initial: Level) -> Result<Self, HardwareError> {
        Ok(Self { what: Claim::Pin(pin), pin: hardware.output(pin, active, initial.is_on())? })
    }
}

impl Line for Switch {
    /// On for any level above nothing: the guard has made on-time of what lies between.
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        let on = level.is_on();
        self.pin.set(on)?;
        self.pin.read_back()?.map_or(Ok(Confirmation::Accepted), |now| obeys(&self.what, on, now))
    }

    fn read_back(&mut self) -> Result<Option<Level>, HardwareError> {
        Ok(self.pin.read_back()?.map(Level::from))
    }
}

/// What stands for the level in a command or a request.
pub const PERCENT: &str = "{percent}";

/// Between the end of what a driver waits for and the moment at which its lane calls it hung.
pub const MARGIN: Duration = Duration::from_millis(500);

const WITHIN: RangeInclusive<Duration> = Duration::from_millis(100)..=LONGEST_DEADLINE.saturating_sub(MARGIN);

/// `within = "2s"`: how long something outside of us may take.
pub fn within(section: &Section<'_>) -> Option<Duration> {
    if section.has("within") { section.duration("within", WITHIN) } else { Some(Duration::from_secs(2)) }
}

/// More often is a burden on a small device, and less often protects nobody.
const REPEAT: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(3600);

/// `repeat = "30s"`: how often it is told again while it is not at its safe level.
pub fn repeat(section: &Section<'_>) -> Option<Duration> {
    section.duration("repeat", REPEAT)
}

/// What it is called in the file.
pub fn name(section: &Section<'_>) -> String {
    section.what().trim_start_matches("output ").to_owned()
}

/// How something outside of us is told its level.
pub enum Forms {
    /// By `on` and `off`.
    Switch,
    /// By `set`, for every level.
    Set,
}

/// Which of the forms a table has.
pub fn forms(section: &Section<'_>) -> Option<Forms> {
    let (message, key) = match ["on", "off", "set"].map(|key| section.has(key)) {
        [true, true, false] => return Some(Forms::Switch),
        [false, false, true] => return Some(Forms::Set),
        [false, false, false] => ("does not say what is to be done", "driver"),
        [true, false, false] => ("has `on` without `off`", "on"),
        [false, true, false] => ("has `off` without `on`", "off"),
        [_, _, true] => ("has `set` beside others", "set"),
    };
    section.wrong(
        key,
        format!("{} {message}", section.what()),
        "write both `on` and `off`, or `set` alone for every level",
    );
    None
}

/// The text with its level, as a percentage with a decimal where it has one. What is on never becomes 0.
pub fn with_percent(text: &str, level: Level) -> String {
    let tenths = (level.get() * 1000.0).round().max(if level.is_on() { 1.0 } else { 0.0 });
    text.replace(PERCENT, &(tenths / 10.0).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulses_that_break_off_are_seen_when_the_line_is_read() {
        struct Broken;
        impl Pwm for Broken {
            fn set(&mut self, _: Level) -> Result<(), HardwareError> {
                Ok(())
            }

            fn check(&mut self) -> Result<(), HardwareError> {
                Err(HardwareError::Io { what: "GPIO pin 5".into(), reason: "broken".into() })
            }
        }
        let mut line = Duty(Box::new(Broken));
        assert_eq!(line.write(Level::ON), Ok(Confirmation::Accepted));
        assert_eq!(line.read_back().unwrap_err().to_string(), "GPIO pin 5: broken");
    }
}
