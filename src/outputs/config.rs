//! The keys that every `[outputs.NAME]` table has: `driver`, `safe` and the limits. The rest is the driver's.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::guard::Limits;
use super::{Config, DRIVERS, OutputConfig, Resolution};
use crate::config::{Devices, Diagnostic, Output, Place, Section, Value, written};
use crate::model::{Level, OutputId};

const DAY: Duration = Duration::from_secs(24 * 3600);
const CYCLE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
const TIMES: RangeInclusive<Duration> = Duration::ZERO..=DAY;
const MAX_ON: RangeInclusive<Duration> = Duration::from_millis(100)..=DAY;

impl Config {
    /// Reads a table and tells the others what it has. Reports what is wrong, and gives `None` then.
    pub fn read(name: &str, section: Section<'_>, devices: &mut Devices<'_>) -> Option<Self> {
        let id = section.name(name, OutputId::new);
        let names: Vec<&'static str> = DRIVERS.iter().map(|entry| entry.name).collect();
        let driver = section.word("driver", &names).and_then(|name| DRIVERS.iter().find(|entry| entry.name == name));
        let device: Option<Arc<dyn OutputConfig>> = driver.and_then(|entry| (entry.read)(&section)).map(Arc::from);
        let resolution = device.as_ref().map(|device| device.resolution());
        let limits = limits(&section, resolution);
        let switch = resolution == Some(Resolution::Switch);
        devices.add_output(name, Output { only_switches: switch && !section.has("cycle") });
        devices.claim(&section, device.as_ref().map(|device| device.claims()).unwrap_or_default());
        // Which keys an unknown driver has, nobody knows.
        if let Some(driver) = driver {
            section.finish_for(driver.name);
        }
        Some(Self { id: id?, driver: driver?.name, limits: limits?, device: device? })
    }
}

/// Reads the limits. Without a resolution only what holds for every output is checked, and there are none to return.
fn limits(section: &Section<'_>, resolution: Option<Resolution>) -> Option<Limits> {
    let safe = section.or("safe", Level::OFF);
    let cycle = section.duration("cycle", CYCLE);
    let min_on = section.duration("min_on", TIMES).unwrap_or_default();
    let min_off = section.duration("min_off", TIMES).unwrap_or_default();
    let max_on = max_on(section);
    let what = section.what();

    if resolution == Some(Resolution::Switch) && safe != Level::OFF && safe != Level::ON {
        section.wrong("safe", format!("{what} can only be on or off, also when it is safe"), "write \"on\" or \"off\"");
    }
    if resolution == Some(Resolution::Continuous) && section.has("cycle") {
        section.wrong(
            "cycle",
            format!("{what} needs no `cycle`: it takes every level between off and on"),
            "remove this line",
        );
    }
    if cycle.is_some_and(|cycle| cycle < min_on + min_off) {
        section.wrong(
            "cycle",
            format!("`cycle` of {what} is shorter than `min_on` and `min_off` together"),
            format!("make it {} at the least, and better ten times that", written(min_on + min_off)),
        );
    }
    if section.has("max_on") && !section.has("min_off") {
        section.report(Diagnostic::absent(
            format!("`max_on` of {what} needs `min_off`"),
            section.place("max_on"),
            "add `min_off = \"5m\"`: how long it rests then",
        ));
    }
    if max_on.is_some_and(|most| most < min_on) {
        section.wrong("max_on", format!("`max_on` of {what} is shorter than `min_on`"), "make one of them fit");
    }
    Some(Limits { resolution: resolution?, safe, cycle, min_on, min_off, max_on, budgets: Vec::new(), starts: None })
}

/// `max_on = "30m"`, or the same as `max_on = { "30m" = "at once" }`.
fn max_on(section: &Section<'_>) -> Option<Duration> {
    const HINT: &str = "write { \"30m\" = \"at once\" }";
    let DeValue::Table(table) = section.value("max_on")?.get_ref() else {
        return section.duration("max_on", MAX_ON);
    };
    let what = section.what();
    let mut most = None;
    for (key, value) in table {
        let wrong = |place, message: String, hint: String| {
            section.report(Diagnostic::new(message, Place::at(place), hint));
        };
        let kind = value.get_ref().as_str().unwrap_or_default();
        match Duration::read(&DeValue::String(key.get_ref().clone())) {
            Err(hint) => wrong(key.span(), format!("`{}` is not a duration", key.get_ref()), hint),
            Ok(_) if kind.starts_with("per ") => {
                wrong(value.span(), format!("`max_on` \"{kind}\" is not there yet"), HINT.to_owned());
            }
            Ok(_) if kind != "at once" => {
                wrong(value.span(), format!("`max_on` of {what} does not say over which time"), HINT.to_owned());
            }
            Ok(time) if !MAX_ON.contains(&time) => {
                wrong(
                    key.span(),
                    format!("`max_on` of {what} is out of range"),
                    "it goes from 100ms to 24h".to_owned(),
                );
            }
            Ok(_) if most.is_some() => {
                wrong(
                    key.span(),
                    format!("`max_on` of {what} has two limits at once"),
                    "keep the shorter one".to_owned(),
                );
            }
            Ok(time) => most = Some(time),
        }
    }
    if table.is_empty() {
        section.wrong("max_on", format!("`max_on` of {what} is empty"), HINT);
    }
    most
}
