//! A number out of a text: of a file, of a command's output, of an MQTT payload. Plain, or one value of a JSON document.

use serde_json::Value as Json;
use toml::de::DeValue;

use super::Channel;
use crate::config::{Section, Value};
use crate::model::Quantity;

/// Which number a text has, and what it measures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextValue {
    /// Where in a JSON document it stands (RFC 6901): `/SENSOR/0/Temperature`. `None` for a text whose first line is the number.
    pub pointer: Option<String>,
    /// What it measures; its name is also the channel's.
    pub quantity: Quantity,
}

impl TextValue {
    /// Reads `pointer` and `quantity`, which is a plain number where the file does not say. `None` if one of them is wrong.
    pub fn read(section: &Section<'_>) -> Option<Self> {
        let quantity = if section.has("quantity") { section.optional("quantity") } else { Some(Quantity::Number) };
        let pointer: Option<Option<String>> =
            if section.has("pointer") { section.optional("pointer").map(Some) } else { Some(None) };
        let pointer = pointer?;
        if let Some(wrong) = pointer.as_ref().filter(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
            let hint = format!("it is a JSON pointer: write \"/{}\"", wrong.replace('.', "/"));
            section.wrong("pointer", format!("`{wrong}` does not begin with a slash"), hint);
            return None;
        }
        Some(Self { pointer, quantity: quantity? })
    }

    /// The channel of the value, which has the quantity's name.
    pub fn channel(&self) -> Channel {
        Channel { name: self.quantity.name(), quantity: self.quantity }
    }

    /// The number in `text`, in the quantity's unit, which may stand behind it.
    ///
    /// The words on, true and open are 1, and off, false and closed are 0, where the quantity is a state or a plain number: as a
    /// temperature, "off" is a mistake and not 0 °C.
    ///
    /// # Errors
    /// What stands there instead of a finite number, as a sentence without its subject, and what to do.
    pub fn value(&self, text: &str) -> Result<f64, String> {
        let Some(pointer) = &self.pointer else {
            let line = text.trim_start().lines().next().unwrap_or_default();
            return self.number(line);
        };
        let document: Json = serde_json::from_str(text)
            .map_err(|error| format!("`{}` is not JSON ({error}); leave out `pointer` if it is plain", short(text)))?;
        match document.pointer(pointer) {
            Some(Json::Number(number)) => number.as_f64().ok_or_else(|| format!("{number} is too large")),
            Some(Json::String(text)) => self.number(text),
            Some(Json::Bool(on)) => self.number(if *on { "true" } else { "false" }),
            Some(other) => Err(format!("at `{pointer}` there is `{}`, which is no number", short(&other.to_string()))),
            None => Err(format!("there is nothing at `{pointer}` in `{}`", short(text))),
        }
    }

    fn number(&self, text: &str) -> Result<f64, String> {
        let text = text.trim();
        let unit = self.quantity.unit();
        let bare = text.strip_suffix(unit).map_or(text, str::trim_end);
        if let Some(number) = bare.parse().ok().filter(|number: &f64| number.is_finite()) {
            return Ok(number);
        }
        let switchable = matches!(self.quantity, Quantity::State | Quantity::Number);
        match text.to_ascii_lowercase().as_str() {
            "on" | "true" | "open" if switchable => Ok(1.0),
            "off" | "false" | "closed" if switchable => Ok(0.0),
            "" => Err("there is no number, it is empty".to_owned()),
            _ if unit.is_empty() => Err(format!("`{}` is no number", short(text))),
            _ => Err(format!("`{}` is no number; it may be followed by {unit}, and by nothing else", short(text))),
        }
    }
}

impl Value for Quantity {
    const EXPECTED: &'static str = "a quantity";
    const EXAMPLE: &'static str = "\"temperature\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let known = || Self::ALL.iter().map(|quantity| quantity.name()).collect::<Vec<_>>().join(", ");
        value.as_str().and_then(Self::named).ok_or_else(|| format!("known quantities: {}", known()))
    }
}

/// As much of a text as a message can show.
fn short(text: &str) -> String {
    const MOST: usize = 40;
    let line = text.trim().lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(MOST).collect();
    if shown.len() < text.trim().len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(pointer: Option<&str>, quantity: Quantity, text: &str) -> Result<f64, String> {
        TextValue { pointer: pointer.map(str::to_owned), quantity }.value(text)
    }

    #[test]
    fn a_number_is_the_whole_first_line() {
        let numbers = [
            ("21.5", 21.5),
            ("  21.5\r\nand more\n", 21.5),
            ("-3", -3.0),
            ("2.15e1\n", 21.5),
            ("21.5 °C\n", 21.5),
            ("21.5°C", 21.5),
        ];
        for (text, expected) in numbers {
            assert_eq!(value(None, Quantity::Temperature, text), Ok(expected), "{text}");
        }
        for text in ["", " \n", "21,5", "nan", "inf", "1e999", "21.5 °F", "12 of 30", "off", "true", "temp=21"] {
            assert!(value(None, Quantity::Temperature, text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_states() {
        for (text, expected) in
            [("ON", 1.0), ("off", 0.0), ("true", 1.0), ("False", 0.0), ("open", 1.0), ("closed\n", 0.0)]
        {
            assert_eq!(value(None, Quantity::State, text), Ok(expected), "{text}");
        }
        assert_eq!(value(Some("/on"), Quantity::State, r#"{"on": true}"#), Ok(1.0));
        assert!(value(None, Quantity::State, "ajar").is_err());
        assert!(value(Some("/on"), Quantity::Humidity, r#"{"on": true}"#).is_err());
    }

    #[test]
    fn a_pointer_leads_into_json() {
        let text = r#"{"SENSOR": [{"Temperature": 21.5, "text": "3.5", "none": null}]}"#;
        let at = |pointer| value(Some(pointer), Quantity::Temperature, text);
        assert_eq!(at("/SENSOR/0/Temperature"), Ok(21.5));
        assert_eq!(at("/SENSOR/0/text"), Ok(3.5));
        for (pointer, expected) in [
            ("/SENSOR/1/Temperature", "there is nothing at `/SENSOR/1/Temperature` in `{\"SENSOR\""),
            ("/SENSOR/0/none", "at `/SENSOR/0/none` there is `null`, which is no number"),
            ("/SENSOR", "there is `[{"),
        ] {
            let error = at(pointer).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(value(Some(""), Quantity::Number, "4"), Ok(4.0), "the whole document");
        let error = value(Some("/a"), Quantity::Number, "21.5 °C").unwrap_err();
        assert!(error.starts_with("`21.5 °C` is not JSON"), "{error}");
    }
}
