//! How a sensor that fails is helped: its I²C bus is freed, and its power switched off and on. Pure; outlives the sensor's actor.
//!
//! ```toml
//! [sensors.air]
//! power = { output = "sensor_power", off_for = "5s", after = 3, hold_off = "10m" }
//! ```

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::{Devices, Section};
use crate::hardware::{Hardware, HardwareError, Recovered};
use crate::model::{Claim, Monotonic, OutputId};

/// After the power has come back a chip needs this long before it can be spoken to.
const WAKING: Duration = Duration::from_secs(1);

const OFF_FOR: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
const HOLD_OFF: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// `power = { … }`: the output that feeds the sensor, and when it is switched off and on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Power {
    /// A switch that rests at on.
    pub output: OutputId,
    /// How long it is off.
    pub off_for: Duration,
    /// So many lives without one reading come first.
    after: u32,
    /// So long it is left alone afterwards.
    hold_off: Duration,
}

impl Power {
    /// Reads the key; `Some(None)` if it is not there, `None` if it is wrong.
    pub(super) fn read(section: &Section<'_>, devices: &mut Devices<'_>) -> Option<Option<Self>> {
        if !section.has("power") {
            return Some(None);
        }
        let power = section.table("power")?;
        let or = |key, range, usual| if power.has(key) { power.duration(key, range) } else { Some(usual) };
        let off_for = or("off_for", OFF_FOR, Duration::from_secs(5));
        let hold_off = or("hold_off", HOLD_OFF, Duration::from_secs(600));
        let after = power.or("after", 3);
        if after == 0 {
            power.wrong("after", "the power would be switched off without a reason", "write 1 or more");
        }
        let output = devices.power(&power, "output");
        power.finish();
        Some(Some(Self { output: output?, off_for: off_for?, after, hold_off: hold_off? }))
    }

    /// From switching off until the sensor can be opened again.
    pub fn wait(&self) -> Duration {
        self.off_for + WAKING
    }
}

/// What is done before a device is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Help {
    /// Nothing: all was well.
    None,
    /// Its bus is freed, should it be held.
    Bus,
    /// Its power is switched off and on first.
    Power,
}

/// What is remembered of a sensor's lives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// This many have begun since the last reading; all but the newest of them have failed.
    begun: u32,
    switched: Option<Monotonic>,
}

impl Recovery {
    /// A life begins; the one before has failed, if there was one.
    pub fn begin(&mut self, power: Option<&Power>, now: Monotonic) -> Help {
        let failed = self.begun;
        self.begun = failed.saturating_add(1);
        let may = |power: &Power| self.switched.is_none_or(|last| now.since(last) >= power.hold_off);
        match power {
            _ if failed == 0 => Help::None,
            Some(power) if failed >= power.after && may(power) => Help::Power,
            _ => Help::Bus,
        }
    }

    /// The power was switched off.
    pub fn switched(&mut self, now: Monotonic) {
        self.switched = Some(now);
    }

    /// The sensor has read: its life is a good one, whatever becomes of it.
    pub fn read(&mut self) {
        self.begun = 1;
    }
}

/// Frees the I²C bus of a device that failed, should somebody hold it. Runs in the lane, and blocks for a few milliseconds.
///
/// # Errors
/// The bus is held and stays so. That a board cannot do it at all, or we may not, is none: the device may be well again.
pub(super) fn free_bus(claims: &[Claim], hardware: &dyn Hardware) -> Result<(), HardwareError> {
    let bus = claims.iter().find_map(|claim| match claim {
        Claim::I2c { bus, .. } | Claim::I2cInput { bus, .. } => Some(*bus),
        _ => None,
    });
    let Some(bus) = bus else { return Ok(()) };
    match hardware.recover_i2c(bus) {
        Ok(Recovered::NotNeeded) => Ok(()),
        Ok(Recovered::Freed { clocks }) => {
            tracing::warn!("a device held I²C bus {bus}; it let go after {clocks} clocks");
            Ok(())
        }
        Err(error @ HardwareError::Io { .. }) => Err(error),
        Err(error) => {
            tracing::debug!("{error}");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_power_goes_after_so_many_lives_without_a_reading_and_then_not_for_a_while() {
        let power = Power {
            output: OutputId::new("feed").unwrap(),
            off_for: Duration::from_secs(5),
            after: 3,
            hold_off: Duration::from_secs(60),
        };
        let mut recovery = Recovery::default();
        let mut begin = |at: u64, read: bool| {
            let now = Monotonic::new(Duration::from_secs(at));
            let help = recovery.begin(Some(&power), now);
            if help == Help::Power {
                recovery.switched(now);
            }
            if read {
                recovery.read();
            }
            (at, help)
        };
        let lives = [(0, false), (1, false), (2, false), (3, false), (9, true), (20, false), (70, false), (71, false)];
        let expected = [
            (0, Help::None),
            (1, Help::Bus),
            (2, Help::Bus),
            (3, Help::Power),
            (9, Help::Bus),
            (20, Help::Bus),
            (70, Help::Bus),
            (71, Help::Power),
        ];
        assert_eq!(lives.map(|(at, read)| begin(at, read)), expected);

        let mut without = Recovery::default();
        let help: Vec<Help> = (0..9).map(|_| without.begin(None, Monotonic::default())).collect();
        assert!(help[0] == Help::None && help[1..].iter().all(|help| *help == Help::Bus));
    }
}
