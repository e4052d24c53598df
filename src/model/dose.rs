//! Doses: how long a pump runs for so many millilitres, and which doses it can give at all.

use std::time::Duration;

/// Below this, what a relay and a motor do is left to chance.
const SHORTEST: Duration = Duration::from_millis(200);

/// A pump that has no `max_on` runs no longer at once.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// What a division leaves over is nobody's mistake.
const ROUNDING: Duration = Duration::from_millis(1);

/// What became of a dose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dosed {
    /// It is being given.
    Running,
    /// All of it was; in a sentence.
    Given(String),
    /// Less was given, and why; in a sentence.
    CutShort(String),
}

/// What a pump gives, and for how long it may run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dosing {
    /// Millilitres in a second, fully on.
    pub rate: f64,
    /// Once it is on, its limits keep it on for so long.
    pub min_on: Duration,
    /// And no longer than that.
    pub max_on: Option<Duration>,
}

impl Dosing {
    /// For how long it has to run.
    ///
    /// # Errors
    /// It cannot give that at once; with why.
    pub fn time(&self, millilitres: f64) -> Result<Duration, String> {
        let shortest = self.min_on.max(SHORTEST);
        let (longest, limit) = match self.max_on {
            Some(longest) => (longest, "`max_on`"),
            None => (LONGEST, "an hour, and it has no `max_on`"),
        };
        let (least, most) = (self.given(shortest), self.given(longest));
        if !millilitres.is_finite() || millilitres <= 0.0 {
            return Err("a dose is more than nothing".to_owned());
        }
        let time = Duration::try_from_secs_f64(millilitres / self.rate).unwrap_or(Duration::MAX);
        match () {
            () if time.saturating_add(ROUNDING) < shortest => {
                Err(format!("it gives {} ml at least at once", shown(least)))
            }
            () if time.saturating_sub(ROUNDING) > longest => {
                Err(format!("it gives {} ml at most at once: {limit}", shown(most)))
            }
            () => Ok(time.max(shortest).min(longest)),
        }
    }

    /// What it gives in so long.
    pub fn given(&self, time: Duration) -> f64 {
        time.as_secs_f64() * self.rate
    }
}

/// Millilitres as people write them: `12.5 ml`, `12.5ml`.
pub fn millilitres(text: &str) -> Option<f64> {
    let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(2)?)?;
    unit.eq_ignore_ascii_case("ml").then_some(())?;
    number.trim_end().parse().ok().filter(|number: &f64| number.is_finite())
}

/// A number of millilitres as it is said: two decimals, and none that say nothing.
pub fn shown(millilitres: f64) -> String {
    let text = format!("{millilitres:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dose_is_a_time_within_what_the_limits_allow() {
        let seconds = Duration::from_secs;
        let free = Dosing { rate: 2.0, min_on: Duration::ZERO, max_on: None };
        let limited = Dosing { min_on: seconds(2), max_on: Some(seconds(60)), ..free };
        for (dosing, ml, expected) in [
            (free, 12.5, Ok(Duration::from_millis(6250))),
            (free, 0.3, Err("0.4 ml at least")),
            (free, 7201.0, Err("7200 ml at most at once: an hour")),
            (limited, 4.0, Ok(seconds(2))),
            (limited, 3.9, Err("4 ml at least")),
            (limited, 120.0, Ok(seconds(60))),
            (limited, 120.1, Err("120 ml at most at once: `max_on`")),
            (Dosing { rate: 1.35, ..limited }, 81.0, Ok(seconds(60))),
            (limited, 1e300, Err("120 ml at most")),
            (free, 0.0, Err("more than nothing")),
            (free, -3.0, Err("more than nothing")),
            (free, f64::NAN, Err("more than nothing")),
        ] {
            match (dosing.time(ml), expected) {
                (Ok(time), Ok(expected)) => assert_eq!(time, expected, "{ml}"),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{ml}: {why}"),
                (found, _) => panic!("{ml}: {found:?}"),
            }
        }
    }

    #[test]
    fn millilitres_are_read_as_people_write_them() {
        for (text, expected) in [
            ("12.5 ml", Some(12.5)),
            ("12.5ml", Some(12.5)),
            (" 3 mL ", Some(3.0)),
            ("ml", None),
            ("12.5", None),
            ("12.5 l", None),
            ("inf ml", None),
            ("5é", None),
            ("", None),
        ] {
            assert_eq!(millilitres(text), expected, "{text:?}");
        }
        assert_eq!([12.5, 0.126, 100.0].map(shown), ["12.5", "0.13", "100"]);
    }
}
