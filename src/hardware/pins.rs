//! What pins can do: be driven, be read, be counted, be timed.

use std::sync::Arc;
use std::time::Duration;

use super::HardwareError;
use crate::model::Level;

/// Which electrical level means "on".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Active {
    /// The pin is high when the output is on.
    #[default]
    High,
    /// The pin is low when the output is on, as with most relay boards.
    Low,
}

impl Active {
    /// Which electrical level a logical one is, and the other way round: `true` is high, or on.
    pub(super) fn electrical(self, level: bool) -> bool {
        level == (self == Self::High)
    }
}

/// What holds an input when nothing drives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pull {
    /// Nothing: the wiring has its own resistor.
    #[default]
    None,
    /// The chip's resistor to 3.3 V.
    Up,
    /// The chip's resistor to ground.
    Down,
}

/// Which change of a pin's level counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Edge {
    /// To active.
    #[default]
    Rising,
    /// Away from active.
    Falling,
    /// Either.
    Both,
}

/// How a pin is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InputSettings {
    /// Which electrical level means "active".
    pub active: Active,
    /// What holds it when nothing drives it.
    pub pull: Pull,
    /// A level counts only once it has stood so long; nothing for none. Contacts bounce for 1 to 20 ms.
    pub debounce: Duration,
}

/// Called, on any thread, when a pin has changed. It must not block.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// A pin that is driven. `true` is on, whichever way the relay board is wired.
pub trait DigitalOutput: Send {
    /// Drives the pin.
    fn set(&mut self, on: bool) -> Result<(), HardwareError>;

    /// What the pin is at; `None` where the hardware cannot tell.
    fn read_back(&mut self) -> Result<Option<bool>, HardwareError>;
}

/// A pin that is read. `true` is active.
pub trait DigitalInput: Send {
    /// What the pin is at.
    fn get(&mut self) -> Result<bool, HardwareError>;
}

/// A pulse-width modulated output.
pub trait Pwm: Send {
    /// Sets the duty cycle.
    fn set(&mut self, level: Level) -> Result<(), HardwareError>;

    /// Whether it still gives the pulses it was set to, as far as it can tell.
    fn check(&mut self) -> Result<(), HardwareError> {
        Ok(())
    }
}

/// A pin whose edges are counted, by interrupts, also while nobody looks.
pub trait PulseCounter: Send {
    /// So many edges since it was opened. It never goes back.
    ///
    /// # Errors
    /// Edges were lost, so the count is no longer true.
    fn count(&mut self) -> Result<u64, HardwareError>;
}

/// Two pins of an ultrasonic ranger: one that is pulsed, and one that answers with a pulse as long as the echo's way.
pub trait Echo: Send {
    /// Pulses the trigger for 10 µs and gives the length of the answer; `None` if none came, or if it did not end, within `timeout`.
    fn measure(&mut self, timeout: Duration) -> Result<Option<Duration>, HardwareError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_low_turns_the_level_round_both_ways() {
        let table = [
            (Active::High, false, false),
            (Active::High, true, true),
            (Active::Low, false, true),
            (Active::Low, true, false),
        ];
        for (active, logical, high) in table {
            assert_eq!(active.electrical(logical), high);
            assert_eq!(active.electrical(high), logical);
        }
    }
}
