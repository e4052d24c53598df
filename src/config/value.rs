//! How single values are written in the file: `"10s"`, `"40%"`, `0x76`.

use std::time::Duration;

use toml::de::DeValue;

use crate::model::{ChannelId, ControllerId, Level, OutputId, SensorId};

/// A type that a value of the file can be read as.
pub trait Value: Sized {
    /// What was expected, after "is not": `a duration`.
    const EXPECTED: &'static str;
    /// A value that would do, as it is written in the file: `"10s"`.
    const EXAMPLE: &'static str;

    /// Reads it; the error is a hint that names what was found or what would do.
    fn read(value: &DeValue<'_>) -> Result<Self, String>;
}

/// What a value is, for people.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn unlike<T: Value>(value: &DeValue<'_>) -> String {
    format!("this is {}; write {}", kind(value), T::EXAMPLE)
}

fn text<'v, T: Value>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| unlike::<T>(value))
}

impl Value for String {
    const EXPECTED: &'static str = "a text";
    const EXAMPLE: &'static str = "\"text\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        text::<Self>(value).map(str::to_owned)
    }
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";
    const EXAMPLE: &'static str = "true";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| unlike::<Self>(value))
    }
}

impl Value for f64 {
    const EXPECTED: &'static str = "a number";
    const EXAMPLE: &'static str = "1.0";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let number = match value {
            DeValue::Integer(whole) => i64::read(value).map_err(|_| format!("{whole} is too large"))? as f64,
            DeValue::Float(number) => number.as_str().replace('_', "").parse().map_err(|_| unlike::<Self>(value))?,
            other => return Err(unlike::<Self>(other)),
        };
        if number.is_finite() { Ok(number) } else { Err("it must be finite".into()) }
    }
}

impl Value for i64 {
    const EXPECTED: &'static str = "a whole number";
    const EXAMPLE: &'static str = "1";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let whole = value.as_integer().ok_or_else(|| unlike::<Self>(value))?;
        i64::from_str_radix(whole.as_str(), whole.radix()).map_err(|_| "it is too large".into())
    }
}

macro_rules! small_integer {
    ($($T:ty: $expected:literal),*) => {$(
        impl Value for $T {
            const EXPECTED: &'static str = $expected;
            const EXAMPLE: &'static str = "1";

            fn read(value: &DeValue<'_>) -> Result<Self, String> {
                let whole = i64::read(value)?;
                <$T>::try_from(whole).map_err(|_| format!("{whole} is outside {}..={}", <$T>::MIN, <$T>::MAX))
            }
        }
    )*};
}

small_integer!(u8: "a whole number up to 255", u16: "a whole number up to 65535", u32: "a whole number", u64: "a whole number");

impl Value for Duration {
    const EXPECTED: &'static str = "a duration";
    const EXAMPLE: &'static str = "\"10s\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        const HINT: &str = "write a number and a unit: \"500ms\", \"10s\", \"5m\", \"2h\" or \"1h 30m\"";
        let text = value.as_str().ok_or(HINT)?;
        let signed: jiff::SignedDuration = text.parse().map_err(|_| HINT)?;
        Duration::try_from(signed).map_err(|_| "a duration cannot be negative".into())
    }
}

/// A duration as it is written in the file: `1h 30m`.
pub fn written(duration: Duration) -> String {
    jiff::SignedDuration::try_from(duration).map_or_else(|_| format!("{duration:?}"), |signed| format!("{signed:#}"))
}

impl Value for Level {
    const EXPECTED: &'static str = "a level";
    const EXAMPLE: &'static str = "\"off\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        const HINT: &str = "write \"on\", \"off\", a part like 0.4 or a percentage like \"40%\"";
        match value {
            DeValue::String(text) => text.parse().map_err(|_| HINT.into()),
            DeValue::Boolean(_) => Err("write \"on\" or \"off\"".into()),
            number => Level::new(f64::read(number).map_err(|_| HINT)?).ok_or_else(|| HINT.into()),
        }
    }
}

/// A frequency in hertz, written `"25kHz"`, `"100 Hz"` or as a plain number of hertz.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frequency(pub f64);

impl Value for Frequency {
    const EXPECTED: &'static str = "a frequency";
    const EXAMPLE: &'static str = "\"25kHz\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        const HINT: &str = "write \"25kHz\", \"100Hz\" or a number of hertz above 0";
        let hertz = match value {
            DeValue::String(text) => {
                let text = text.trim();
                let (number, scale) = if let Some(number) = text.strip_suffix("kHz") {
                    (number, 1e3)
                } else if let Some(number) = text.strip_suffix("MHz") {
                    (number, 1e6)
                } else {
                    (text.strip_suffix("Hz").ok_or(HINT)?, 1.0)
                };
                number.trim().parse::<f64>().map_err(|_| HINT)? * scale
            }
            number => f64::read(number).map_err(|_| HINT)?,
        };
        if hertz.is_finite() && hertz > 0.0 { Ok(Self(hertz)) } else { Err(HINT.into()) }
    }
}

macro_rules! named {
    ($($T:ty: $read:path, $expected:literal, $example:literal);*) => {$(
        impl Value for $T {
            const EXPECTED: &'static str = $expected;
            const EXAMPLE: &'static str = $example;

            fn read(value: &DeValue<'_>) -> Result<Self, String> {
                $read(text::<Self>(value)?).map_err(|error| error.to_string())
            }
        }
    )*};
}

named!(
    SensorId: SensorId::new, "the name of a sensor", "\"air\"";
    OutputId: OutputId::new, "the name of an output", "\"heater\"";
    ControllerId: ControllerId::new, "the name of a controller", "\"warmth\"";
    ChannelId: channel, "a channel", "\"air.temperature\""
);

fn channel(text: &str) -> Result<ChannelId, String> {
    ChannelId::parse(text).map_err(|_| "write a sensor and its channel with a dot: \"air.temperature\"".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Value>(written: &str) -> Option<T> {
        T::read(DeValue::parse(written).unwrap().get_ref()).ok()
    }

    #[test]
    fn values_are_read_as_people_write_them() {
        let durations = [
            ("\"500ms\"", Some(500)),
            ("\"1h 30m\"", Some(5_400_000)),
            ("\"0s\"", Some(0)),
            ("\"-1s\"", None),
            ("\"10\"", None),
            ("10", None),
            ("\"\"", None),
        ];
        for (written, millis) in durations {
            assert_eq!(read(written), millis.map(Duration::from_millis), "{written}");
        }
        let numbers = [
            ("1", Some(1.0)),
            ("-1.5e3", Some(-1500.0)),
            ("1_000.5", Some(1000.5)),
            ("nan", None),
            ("1e999", None),
            ("\"1\"", None),
        ];
        for (written, number) in numbers {
            assert_eq!(read::<f64>(written), number, "{written}");
        }
        let bytes = [
            ("0x76", Some(0x76)),
            ("255", Some(255)),
            ("256", None),
            ("-1", None),
            ("1.0", None),
            ("99999999999999999999", None),
        ];
        for (written, byte) in bytes {
            assert_eq!(read::<u8>(written), byte, "{written}");
        }
        let hertz = [
            ("\"25kHz\"", Some(25e3)),
            ("\"100 Hz\"", Some(100.0)),
            ("50", Some(50.0)),
            ("0", None),
            ("\"25\"", None),
            ("\"NaNHz\"", None),
        ];
        for (written, frequency) in hertz {
            assert_eq!(read(written), frequency.map(Frequency), "{written}");
        }
        let levels = [
            ("\"on\"", Some(Level::ON)),
            ("0.0", Some(Level::OFF)),
            ("\"40%\"", Level::new(0.4)),
            ("40", None),
            ("true", None),
        ];
        for (written, level) in levels {
            assert_eq!(read::<Level>(written), level, "{written}");
        }
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for (text, millis) in [("10ms", 10), ("1h 30m", 5_400_000), ("0s", 0), ("24h", 86_400_000)] {
            assert_eq!(written(Duration::from_millis(millis)), text);
        }
    }
}
