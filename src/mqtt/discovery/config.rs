//! How discovery is asked for in the file: `home_assistant = true`, `"components"`, or a table.

use toml::de::{DeTable, DeValue};

use super::PREFIX;
use crate::config::Value;

/// Under which topic and in which form Home Assistant is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The first part of every topic, as it is set in Home Assistant.
    pub prefix: String,
    /// One message or many.
    pub form: Form,
}

/// The form of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// One message for the whole node. Home Assistant knows it since 2024.11.
    #[default]
    Device,
    /// One message for each entity, for older ones.
    Components,
}

/// The value of `home_assistant`: whether and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HomeAssistant(pub Option<Settings>);

impl Default for Settings {
    fn default() -> Self {
        Self { prefix: PREFIX.into(), form: Form::default() }
    }
}

impl Value for HomeAssistant {
    const EXPECTED: &'static str = "a way to tell Home Assistant";
    const EXAMPLE: &'static str = "true";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let settings = match value {
            DeValue::Boolean(false) => return Ok(Self(None)),
            DeValue::Boolean(true) => Settings::default(),
            DeValue::String(text) => Settings { form: form(text)?, ..Settings::default() },
            DeValue::Table(table) => from_table(table)?,
            _ => return Err("write true, false, \"components\" or { prefix = \"homeassistant\" }".into()),
        };
        Ok(Self(Some(settings)))
    }
}

fn from_table(table: &DeTable<'_>) -> Result<Settings, String> {
    let mut settings = Settings::default();
    for (key, value) in table {
        let text = || value.get_ref().as_str().ok_or_else(|| format!("`{}` is a text", key.get_ref()));
        match key.get_ref().as_ref() {
            "prefix" => settings.prefix = prefix(text()?)?,
            "form" => settings.form = form(text()?)?,
            other => {
                return Err(format!(
                    "there is no `{other}` in it; write {{ prefix = \"homeassistant\", form = \"device\" }}"
                ));
            }
        }
    }
    Ok(settings)
}

fn form(text: &str) -> Result<Form, String> {
    match text.trim() {
        "device" => Ok(Form::Device),
        "components" => Ok(Form::Components),
        _ => Err("write \"device\", or \"components\" for a Home Assistant before 2024.11".into()),
    }
}

/// A prefix stands before the other levels of a topic, and may have several of its own.
fn prefix(text: &str) -> Result<String, String> {
    let fits = |level: &str| !level.is_empty() && !level.contains(['+', '#']) && !level.contains(char::is_control);
    if text.split('/').next() == Some("homeostat") {
        return Err(
            "`homeostat` is where this and other nodes publish; take another prefix, as it is set in Home Assistant"
                .into(),
        );
    }
    if text.len() <= LONGEST && !text.starts_with('$') && text.split('/').all(fits) {
        return Ok(text.to_owned());
    }
    Err("a prefix is the beginning of a topic without + and #, and without / at its ends: \"homeassistant\"".into())
}

/// Longer ones make topics that brokers refuse.
const LONGEST: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(written: &str) -> Result<String, String> {
        let HomeAssistant(settings) = HomeAssistant::read(DeValue::parse(written).unwrap().get_ref())?;
        Ok(settings.map_or("off".into(), |settings| format!("{:?} under {}", settings.form, settings.prefix)))
    }

    #[test]
    fn it_is_one_word_or_says_what_is_different() {
        let cases = [
            ("false", "off"),
            ("true", "Device under homeassistant"),
            ("\"device\"", "Device under homeassistant"),
            ("\"components\"", "Components under homeassistant"),
            ("{}", "Device under homeassistant"),
            ("{ prefix = \"ha/discovery\" }", "Device under ha/discovery"),
            ("{ form = \"components\", prefix = \"ha\" }", "Components under ha"),
        ];
        for (written, expected) in cases {
            assert_eq!(read(written).as_deref(), Ok(expected), "{written}");
        }
    }

    #[test]
    fn says_what_would_do() {
        let cases = [
            ("1", "write true, false, \"components\" or {"),
            ("\"yes\"", "write \"device\", or \"components\" for a Home Assistant before 2024.11"),
            ("\"component\"", "or \"components\" for"),
            ("{ perfix = \"ha\" }", "there is no `perfix` in it; write { prefix"),
            ("{ prefix = 1 }", "`prefix` is a text"),
            ("{ prefix = \"\" }", "a prefix is the beginning of a topic"),
            ("{ prefix = \"ha/\" }", "without / at its ends"),
            ("{ prefix = \"ha/#\" }", "without + and #"),
            ("{ prefix = \"$SYS\" }", "a prefix is the beginning of a topic"),
            ("{ prefix = \"homeostat/greenhouse\" }", "take another prefix"),
            ("{ form = \"old\" }", "write \"device\""),
        ];
        for (written, hint) in cases {
            let error = read(written).unwrap_err();
            assert!(error.contains(hint), "{written}: {error}");
        }
    }
}
