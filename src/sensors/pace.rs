//! Chips that measure in a rhythm of their own: how often they can be read, and what is said when they have nothing new.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::DriverError;
use crate::config::{Section, Value, written};

/// `every`, where the table does not say it.
pub const USUAL: Duration = Duration::from_secs(10);

/// The longest that a sensor can be left alone.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Whether the sensor is read as often as its chip wants it, `why` being the reason. Reports it if it is not.
pub fn suits(section: &Section<'_>, range: RangeInclusive<Duration>, why: &str) -> bool {
    let every = match section.value("every") {
        // One that is no duration is reported by who reads it for all sensors.
        Some(value) => Duration::read(value.get_ref()).ok(),
        None => Some(USUAL),
    };
    let Some(every) = every.filter(|every| !range.contains(every)) else { return true };
    let (least, most) = (written(*range.start()), written(*range.end()));
    let hint = match every < *range.start() {
        _ if least == most => format!("write `every = \"{least}\"`"),
        true => format!("write `every = \"{least}\"` or more"),
        false => format!("write `every = \"{most}\"` or less"),
    };
    section.wrong("every", format!("{why}; it cannot be read every {}", written(every)), hint);
    false
}

/// So many reads may come before the first measurement is done: at once, at the next multiple of `every`, and one on its edge.
const EARLY: u8 = 3;

/// What a chip that is read no more often than it measures has had to say so far.
#[derive(Debug, Default)]
pub struct Rhythm {
    early: u8,
    last: Option<Vec<f64>>,
}

impl Rhythm {
    /// It has measured since it was last read.
    pub fn ready(&mut self, values: Vec<f64>) -> Vec<f64> {
        self.early = EARLY;
        self.last = Some(values.clone());
        values
    }

    /// It has not. Its clock may be a little slower than ours: then the last values hold once more. Before the first
    /// measurement that takes as long as `first` says; otherwise it does not measure any more.
    pub fn not_ready(&mut self, device: &str, first: &str) -> Result<Vec<f64>, DriverError> {
        if let Some(values) = self.last.take() {
            return Ok(values);
        }
        if self.early < EARLY {
            self.early += 1;
            return Err(DriverError::not_yet(device, format!("its first measurement takes {first}")));
        }
        Err(DriverError::no_value(device, "it does not measure; it may have lost its power for a moment"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_values_hold_for_one_read_and_the_first_may_be_late() {
        let mut rhythm = Rhythm::default();
        let mut late = |ready: Option<f64>| match ready {
            Some(value) => Ok(rhythm.ready(vec![value])),
            None => rhythm.not_ready("CHIP", "5 s"),
        };
        let early = Err(DriverError::not_yet("CHIP", "its first measurement takes 5 s"));
        assert_eq!([late(None), late(None), late(None)], [early.clone(), early.clone(), early]);
        assert!(matches!(late(None), Err(DriverError::NoValue { .. })), "for ever is too long");

        assert_eq!(
            [late(Some(1.0)), late(None), late(Some(2.0)), late(None)].map(Result::unwrap),
            [[1.0], [1.0], [2.0], [2.0]]
        );
        assert!(matches!(late(None), Err(DriverError::NoValue { .. })), "once, and not for ever");
    }
}
