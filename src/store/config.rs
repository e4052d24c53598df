//! The keys of `[store]`.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::{Section, Value};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Less would be thinned away before it could be looked at.
const SHORTEST: Duration = Duration::from_secs(3600);

/// Below this the log beside the database is a large part of it.
const SMALLEST: u64 = 16_000_000;

/// The `[store]` table, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The database, relative to the state directory.
    pub path: PathBuf,
    /// How often readings are written; 100 ms to an hour.
    pub flush: Duration,
    /// What is kept for how long.
    pub keep: Keep,
    /// How large the database with its log may become, in bytes.
    pub max_size: u64,
}

/// What is kept for how long; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Every reading.
    pub raw: Option<Duration>,
    /// Roll-ups by the minute.
    pub minutes: Option<Duration>,
    /// Roll-ups by the hour.
    pub hours: Option<Duration>,
}

impl Default for Keep {
    fn default() -> Self {
        Self { raw: Some(30 * DAY), minutes: Some(365 * DAY), hours: None }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: PathBuf::from("homeostat.db"),
            flush: Duration::from_secs(10),
            keep: Keep::default(),
            max_size: 2_000_000_000,
        }
    }
}

impl Config {
    /// Reads `[store]`. What is wrong is reported to the section.
    pub fn read(section: Section) -> Option<Self> {
        let default = Self::default();
        let path = section.optional::<String>("path").map_or(default.path, PathBuf::from);
        let flush = section.or("flush", default.flush);
        let fits = (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&flush);
        if !fits {
            section.wrong(
                "flush",
                "`flush` of the store is out of range",
                "write \"100ms\" to \"1h\"; \"10s\" suits an SD card",
            );
        }
        let named = path.file_name().is_some();
        if !named {
            section.wrong("path", "`path` of the store names no file", "write \"homeostat.db\"");
        }
        let keep = match section.table("keep") {
            Some(section) => Keep::read(section),
            None => (!section.has("keep")).then(Keep::default),
        };
        let Size(max_size) = section.or("max_size", Size(default.max_size));
        let large = max_size >= SMALLEST;
        if !large {
            section.wrong("max_size", "`max_size` of the store is too small", "write \"16MB\" or more");
        }
        section.finish();
        (fits && named && large).then_some(Self { path, flush, keep: keep?, max_size })
    }
}

impl Keep {
    fn read(section: Section) -> Option<Self> {
        let default = Self::default();
        let age = |key, default| {
            let Age(age) = section.or(key, Age(default));
            let fits = age.is_none_or(|age| age >= SHORTEST);
            if !fits {
                let what = format!("`{key}` of the store's `keep` is too short");
                section.wrong(key, what, "write \"1h\" or longer, or \"forever\"");
            }
            (age, fits)
        };
        let (raw, minutes, hours) =
            (age("raw", default.raw), age("minutes", default.minutes), age("hours", default.hours));
        section.finish();
        (raw.1 && minutes.1 && hours.1).then_some(Self { raw: raw.0, minutes: minutes.0, hours: hours.0 })
    }
}

/// How old something may become: `"30d"`, `"1y"` (365 days), `"12h"` or `"forever"`.
struct Age(Option<Duration>);

impl Value for Age {
    const EXPECTED: &'static str = "a time to keep something for";
    const EXAMPLE: &'static str = "\"30d\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        const HINT: &str = "write a number and a unit, \"12h\", \"30d\", \"8w\" or \"1y\", or \"forever\"";
        let text = value.as_str().ok_or(HINT)?.trim();
        if text == "forever" {
            return Ok(Self(None));
        }
        age(text).map(|age| Self(Some(age))).ok_or(HINT.to_owned())
    }
}

/// `30d`, `8w`, `1y` (365 days), or a duration as everywhere else: `12h`, `1h 30m`.
pub fn age(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let days: u32 = match unit.trim() {
        "d" | "day" | "days" => 1,
        "w" | "week" | "weeks" => 7,
        "y" | "year" | "years" => 365,
        _ => return Duration::read(&DeValue::String(text.into())).ok(),
    };
    DAY.checked_mul(number.parse().ok()?).and_then(|age| age.checked_mul(days))
}

/// Bytes: `"2GB"`, `"500MB"`; a thousand kilobytes are a megabyte.
#[derive(Clone, Copy)]
struct Size(u64);

impl Value for Size {
    const EXPECTED: &'static str = "a size";
    const EXAMPLE: &'static str = "\"2GB\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        const HINT: &str = "write a number and a unit: \"500MB\" or \"2GB\"";
        let text = value.as_str().ok_or(HINT)?.trim();
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
        let unit = match unit.trim() {
            "kB" | "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "TB" => 1e12,
            _ => return Err(HINT.into()),
        };
        let bytes = number.parse::<f64>().map_err(|_| HINT)? * unit;
        // Of what no disk can hold, the type keeps the largest.
        Ok(Self(bytes as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use toml::de::DeTable;

    use super::*;

    fn read(text: &str) -> (Option<Config>, Vec<String>) {
        let found = RefCell::default();
        let table = DeTable::parse(text).unwrap();
        let config = Config::read(Section::new("the store", 0..0, table.get_ref(), &found));
        (config, found.into_inner().into_iter().map(|diagnostic| diagnostic.message).collect())
    }

    #[test]
    fn an_empty_table_is_enough() {
        assert_eq!(read(""), (Some(Config::default()), vec![]));
        let same = "keep = { raw = \"30d\", minutes = \"1y\", hours = \"forever\" }\nmax_size = \"2GB\"";
        assert_eq!(read(same), read(""));
    }

    #[test]
    fn every_way_to_write_an_age_and_a_size() {
        let whole = |(config, found): (Option<Config>, Vec<String>)| config.filter(|_| found.is_empty());
        let age = |text: &str| whole(read(&format!("keep = {{ raw = \"{text}\" }}"))).map(|config| config.keep.raw);
        let days = |days| Some(Some(days * DAY));
        assert_eq!([age("8w"), age("2 y"), age("48h"), age("forever")], [days(56), days(730), days(2), Some(None)]);
        assert_eq!([age("99999999999y"), age("30"), age("d"), age("soon"), age("59m")], [None; 5]);
        let size = |text: &str| whole(read(&format!("max_size = \"{text}\""))).map(|config| config.max_size);
        assert_eq!([size("16MB"), size("1.5 GB"), size("15MB")], [Some(16_000_000), Some(1_500_000_000), None]);
        assert_eq!([size("2"), size("2Gb"), size("-2GB"), size("..GB")], [None; 4]);
    }

    #[test]
    fn every_mistake_is_found() {
        let (config, found) =
            read("path = \"\"\nflush = \"10ms\"\nmax = 3\nkeep = { raw = \"1m\", days = \"1y\" }\nmax_size = \"1MB\"");
        assert_eq!(config, None);
        assert_eq!(
            found,
            [
                "`flush` of the store is out of range",
                "`path` of the store names no file",
                "`raw` of the store's `keep` is too short",
                "unknown key `days` for `keep` of the store",
                "`max_size` of the store is too small",
                "unknown key `max` for the store"
            ]
        );
    }
}
