//! How far an output is turned up.

use std::fmt;
use std::str::FromStr;

/// How far an output is turned up: 0 is off, 1 is all it has. Never NaN, never outside.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub struct Level(f64);

/// What was given is not a level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a level is \"on\", \"off\", a part like 0.4 or a percentage like \"40%\"")]
pub struct LevelError;

impl Level {
    /// Nothing.
    pub const OFF: Self = Self(0.0);
    /// Everything.
    pub const ON: Self = Self(1.0);

    /// A level from a part of one; `None` outside 0..=1 and for NaN.
    pub fn new(part: f64) -> Option<Self> {
        (0.0..=1.0).contains(&part).then_some(Self(part))
    }

    /// The nearest level; NaN, which no arithmetic should give, is off.
    pub fn clamped(part: f64) -> Self {
        if part.is_nan() { Self::OFF } else { Self(part.clamp(0.0, 1.0)) }
    }

    /// The part of one.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Whether anything flows at all.
    pub fn is_on(self) -> bool {
        self.0 > 0.0
    }
}

impl From<bool> for Level {
    fn from(on: bool) -> Self {
        if on { Self::ON } else { Self::OFF }
    }
}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        match text.trim() {
            "on" => Ok(Self::ON),
            "off" => Ok(Self::OFF),
            text => {
                let (number, scale) = match text.strip_suffix('%') {
                    Some(percent) => (percent.trim_end(), 100.0),
                    None => (text, 1.0),
                };
                let number: f64 = number.parse().map_err(|_| LevelError)?;
                Self::new(number / scale).ok_or(LevelError)
            }
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0.0 => f.write_str("off"),
            1.0 => f.write_str("on"),
            part => write!(f, "{:.0} %", part * 100.0),
        }
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Level({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let cases = [
            ("on", Some(1.0)),
            ("off", Some(0.0)),
            ("40%", Some(0.4)),
            ("40 %", Some(0.4)),
            ("0.25", Some(0.25)),
            ("1.1", None),
            ("-1%", None),
            ("NaN", None),
            ("", None),
            ("ON", None),
        ];
        for (text, part) in cases {
            assert_eq!(text.parse().ok().map(Level::get), part, "{text:?}");
        }
    }

    #[test]
    fn is_never_nan() {
        assert_eq!(Level::new(f64::NAN), None);
        assert_eq!(Level::clamped(f64::NAN), Level::OFF);
        assert_eq!(Level::clamped(f64::INFINITY), Level::ON);
    }
}
