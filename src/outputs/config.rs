//! The keys that every `[outputs.NAME]` table has: `driver`, `safe` and the limits. The rest is the driver's.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::guard::{Budget, Limits, Starts};
use super::{Config, DRIVERS, Interlocks, OutputConfig, Resolution};
use crate::config::{Devices, Diagnostic, Output, Place, Section, Value, written};
use crate::model::{Level, OutputId, Shown};

const DAY: Duration = Duration::from_secs(24 * 3600);
const CYCLE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
const TIMES: RangeInclusive<Duration> = Duration::ZERO..=DAY;
const MAX_ON: RangeInclusive<Duration> = Duration::from_millis(100)..=DAY;
const LEAST_BUDGET: Duration = Duration::from_secs(1);
const WINDOWS: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(31 * 24 * 3600);
const STARTS: RangeInclusive<u32> = 1..=10_000;

impl Config {
    /// Reads a table and tells the others what it has. Reports what is wrong, and gives `None` then.
    pub fn read(name: &str, section: Section<'_>, devices: &mut Devices<'_>) -> Option<Self> {
        let id = section.name(name, OutputId::new);
        let names: Vec<&'static str> = DRIVERS.iter().map(|entry| entry.name).collect();
        let driver = section.word("driver", &names).and_then(|name| DRIVERS.iter().find(|entry| entry.name == name));
        let device: Option<Arc<dyn OutputConfig>> = driver.and_then(|entry| (entry.read)(&section)).map(Arc::from);
        let resolution = device.as_ref().map(|device| device.resolution());
        let limits = limits(&section, resolution);
        let [only_while, never_with] = ["only_while", "never_with"].map(|key| others(&section, key));
        let ids = |named: &[(OutputId, Place)]| named.iter().map(|(id, _)| id.clone()).collect();
        let interlocks = Interlocks { only_while: ids(&only_while), never_with: ids(&never_with) };
        let (switch, pulses) = (resolution == Some(Resolution::Switch), section.has("cycle"));
        let safe_on = limits.as_ref().is_some_and(|limits| limits.safe.is_on());
        let only_switches = switch && !pulses;
        // What could not be read was reported, and is not blamed on others.
        let powers = limits.as_ref().is_none_or(|limits| switch && limits.safe == Level::ON);
        let max_on = limits.as_ref().and_then(|limits| limits.max_on);
        devices.add_output(name, Output { only_switches, powers, pulses, max_on, safe_on, only_while, never_with });
        for (key, topic) in device.iter().flat_map(|device| device.topics()) {
            devices.topic(&section, key, topic);
        }
        devices.claim(&section, device.as_ref().map(|device| device.claims()).unwrap_or_default());
        let remote = section.or("remote", true);
        let shown = shown(&section);
        // Which keys an unknown driver has, nobody knows.
        if let Some(driver) = driver {
            section.finish_for(driver.name);
        }
        Some(Self { id: id?, driver: driver?.name, limits: limits?, interlocks, remote, shown, device: device? })
    }
}

/// `shown_as = "light"`
fn shown(section: &Section<'_>) -> Option<Shown> {
    let names = Shown::NAMES.map(|(name, _)| name);
    let name = section.has("shown_as").then(|| section.word("shown_as", &names)).flatten()?;
    Shown::NAMES.iter().find(|(known, _)| *known == name).map(|(_, shown)| *shown)
}

/// The outputs in a list, and where each stands.
fn others(section: &Section<'_>, key: &'static str) -> Vec<(OutputId, Place)> {
    let Some(value) = section.value(key) else { return Vec::new() };
    let Some(list) = value.get_ref().as_array() else {
        section.wrong(key, format!("`{key}` of {} is not a list of outputs", section.what()), "write [\"fan\"]");
        return Vec::new();
    };
    let read = |one: &toml::Spanned<DeValue<'_>>| match OutputId::read(one.get_ref()) {
        Ok(id) => Some((id, Place::at(one.span()))),
        Err(hint) => {
            let message = format!("`{key}` of {} has what is not the name of an output", section.what());
            section.report(Diagnostic::new(message, Place::at(one.span()), hint));
            None
        }
    };
    list.iter().filter_map(read).collect()
}

/// Reads the limits. Without a resolution only what holds for every output is checked, and there are none to return.
fn limits(section: &Section<'_>, resolution: Option<Resolution>) -> Option<Limits> {
    let safe = section.or("safe", Level::OFF);
    let cycle = section.duration("cycle", CYCLE);
    let min_on = section.duration("min_on", TIMES).unwrap_or_default();
    let min_off = section.duration("min_off", TIMES).unwrap_or_default();
    let (max_on, budgets) = max_on(section);
    let starts = max_starts(section);
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
    if max_on.is_some() && !section.has("min_off") {
        section.report(Diagnostic::absent(
            format!("`max_on` of {what} needs `min_off`"),
            section.place("max_on"),
            "add `min_off = \"5m\"`: how long it rests then",
        ));
    }
    if max_on.is_some_and(|most| most < min_on) || budgets.iter().any(|budget| budget.on < min_on) {
        section.wrong("max_on", format!("`max_on` of {what} is shorter than `min_on`"), "make one of them fit");
    }
    if let (Some(cycle), Some(starts)) = (cycle, starts)
        && cycle * starts.most < starts.window
    {
        let shortest = Duration::from_secs((starts.window.as_secs_f64() / f64::from(starts.most)).ceil() as u64);
        section.wrong(
            "max_starts",
            format!("`cycle` of {what} begins more pulses than {starts}"),
            format!("make `cycle` {} at the least, or allow more starts", written(shortest)),
        );
    }
    Some(Limits { resolution: resolution?, safe, cycle, min_on, min_off, max_on, budgets, starts })
}

/// `max_on = "30m"`, or `max_on = { "30m" = "at once", "6h" = "per day" }`.
fn max_on(section: &Section<'_>) -> (Option<Duration>, Vec<Budget>) {
    const HINT: &str = "write { \"30m\" = \"at once\", \"6h\" = \"per day\" }";
    let Some(value) = section.value("max_on") else { return (None, Vec::new()) };
    let DeValue::Table(table) = value.get_ref() else { return (section.duration("max_on", MAX_ON), Vec::new()) };
    let what = section.what();
    let (mut at_once, mut budgets) = (None, Vec::<Budget>::new());
    for (key, value) in table {
        let wrong = |place, message: String, hint: &str| {
            section.report(Diagnostic::new(message, Place::at(place), hint));
        };
        let on = match Duration::read(&DeValue::String(key.get_ref().clone())) {
            Ok(on) => on,
            Err(hint) => {
                wrong(key.span(), format!("`{}` is not a duration", key.get_ref()), &hint);
                continue;
            }
        };
        let kind = value.get_ref().as_str().unwrap_or_default();
        let window = match kind.strip_prefix("per ").map(window) {
            None if kind == "at once" => None,
            Some(Ok(window)) => Some(window),
            Some(Err(hint)) => {
                wrong(value.span(), format!("`max_on` of {what} cannot be \"{kind}\""), &hint);
                continue;
            }
            None => {
                wrong(value.span(), format!("`max_on` of {what} does not say over which time"), HINT);
                continue;
            }
        };
        match window {
            None if !MAX_ON.contains(&on) => {
                wrong(key.span(), format!("`max_on` of {what} is out of range"), "it goes from 100ms to 24h");
            }
            None if at_once.is_some() => {
                wrong(key.span(), format!("`max_on` of {what} has two limits at once"), "keep the shorter one");
            }
            None => at_once = Some(on),
            Some(window) if on < LEAST_BUDGET || on >= window => {
                let hint = format!("it goes from 1s to less than {}", written(window));
                wrong(key.span(), format!("`max_on` of {what} is out of range"), &hint);
            }
            Some(window) if budgets.iter().any(|budget| budget.window == window) => {
                wrong(key.span(), format!("`max_on` of {what} has two limits {kind}"), "keep the shorter one");
            }
            Some(window) => budgets.push(Budget { on, window }),
        }
    }
    if table.is_empty() {
        section.wrong("max_on", format!("`max_on` of {what} is empty"), HINT);
    }
    (at_once, budgets)
}

/// `max_starts = "6 per hour"`, or `max_starts = 6`, which is the same.
fn max_starts(section: &Section<'_>) -> Option<Starts> {
    const HINT: &str = "write \"6 per hour\", \"20 per day\" or \"2 per 30m\"";
    let what = section.what();
    let (count, per) = match section.value("max_starts")?.get_ref() {
        DeValue::Integer(_) => (section.optional::<u32>("max_starts")?, "hour"),
        value => match value.as_str().and_then(|text| text.split_once(" per ")) {
            Some((count, per)) => (count.trim().parse().unwrap_or_default(), per),
            None => (0, ""),
        },
    };
    if !STARTS.contains(&count) {
        let hint = format!("{HINT}, from 1 to {}", STARTS.end());
        section.wrong("max_starts", format!("`max_starts` of {what} is not a number of starts"), hint);
        return None;
    }
    match window(per) {
        Ok(window) => Some(Starts { most: count, window }),
        Err(hint) => {
            section.wrong("max_starts", format!("`max_starts` of {what} cannot be \"per {per}\""), hint);
            None
        }
    }
}

/// The window after "per": `hour`, `day`, or a duration, which may also be in days. The error is a hint.
fn window(per: &str) -> Result<Duration, String> {
    let per = per.trim();
    let days = per.strip_suffix('d').and_then(|days| days.trim().parse::<u32>().ok());
    let window = match (per, days) {
        ("hour", _) => Duration::from_secs(3600),
        ("day", _) => DAY,
        (_, Some(days)) => DAY * days,
        _ => Duration::read(&DeValue::String(per.into()))
            .map_err(|_| "write \"per hour\", \"per day\", \"per 6h\" or \"per 7d\"")?,
    };
    if WINDOWS.contains(&window) { Ok(window) } else { Err("the time after \"per\" goes from 1m to 31d".into()) }
}
