//! The names that people give to sensors, outputs and controllers, and the channels under them.

use std::fmt;
use std::sync::Arc;

/// Topics stand beside one another under the node, so no device may be called what a topic is called.
const RESERVED: [&str; 5] = ["status", "history", "alarm", "result", "command"];

/// Longer names make unreadable topics.
const LONGEST: usize = 64;

/// Why a name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name cannot be empty")]
    Empty,
    /// More than 64 characters.
    #[error("a name has at most {LONGEST} characters")]
    TooLong,
    /// A character outside `[a-z0-9_-]`.
    #[error("a name is made of a-z, 0-9, _ and -, so `{0}` cannot be in it")]
    Character(char),
    /// The name of a topic.
    #[error("`{0}` is the name of a topic")]
    Reserved(String),
}

fn checked(name: &str) -> Result<Arc<str>, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > LONGEST {
        return Err(NameError::TooLong);
    }
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if let Some(odd) = name.chars().find(|&c| !fits(c)) {
        return Err(NameError::Character(odd));
    }
    if RESERVED.contains(&name) {
        return Err(NameError::Reserved(name.to_owned()));
    }
    Ok(name.into())
}

macro_rules! name {
    ($(#[$doc:meta])* $Name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $Name(Arc<str>);

        impl $Name {
            /// Takes a name of `[a-z0-9_-]` that is not the name of a topic.
            pub fn new(name: &str) -> Result<Self, NameError> {
                checked(name).map(Self)
            }

            /// The name as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($Name), self.0)
            }
        }
    };
}

name!(
    /// `[sensors.NAME]`
    SensorId
);
name!(
    /// `[outputs.NAME]`
    OutputId
);
name!(
    /// `[controllers.NAME]`
    ControllerId
);

/// One measured quantity of one sensor, written `air.temperature`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(Arc<str>);

impl ChannelId {
    /// The channel `name` of `sensor`; `name` comes from a driver's table.
    pub fn new(sensor: &SensorId, name: &str) -> Self {
        Self(format!("{sensor}.{name}").into())
    }

    /// Reads `sensor.channel`, as it stands in a configuration.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (sensor, channel) = text.split_once('.').ok_or(NameError::Empty)?;
        checked(sensor)?;
        checked(channel)?;
        Ok(Self(text.into()))
    }

    /// Both parts, with the dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the dot.
    pub fn sensor(&self) -> &str {
        self.0.split_once('.').map_or("", |(sensor, _)| sensor)
    }

    /// The part after the dot.
    pub fn channel(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, channel)| channel)
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_never_topics() {
        let cases = [
            ("air", true),
            ("bed-2_left", true),
            ("", false),
            ("Air", false),
            ("a b", false),
            ("a/b", false),
            ("a.b", false),
            ("status", false),
            ("é", false),
        ];
        for (name, fits) in cases {
            assert_eq!(SensorId::new(name).is_ok(), fits, "{name:?}");
        }
        assert_eq!(SensorId::new(&"a".repeat(65)), Err(NameError::TooLong));
    }

    #[test]
    fn a_channel_comes_apart_at_its_dot() {
        let channel = ChannelId::parse("air.temperature").unwrap();
        assert_eq!((channel.sensor(), channel.channel()), ("air", "temperature"));
        assert!(ChannelId::parse("air").is_err());
        assert!(ChannelId::parse("air.").is_err());
        assert!(ChannelId::parse("air.a.b").is_err());
    }
}
