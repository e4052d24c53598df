//! What every driver has that computes: channels that it names in its own way, and `stale_after`. The rest is the driver's.
//!
//! An input may stand later in the file and may itself be computed, so these tables are read after all others, each after
//! those that it needs; what needs itself is a mistake.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Config, DRIVERS, Entry, Input, Named};
use crate::config::{Devices, Diagnostic, Place, Section, Sensor, Value, written};
use crate::model::{ChannelId, SensorId};

/// Without an interval to go by.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(10);
const STALE_AFTER: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(7 * 24 * 3600);

/// Nobody has more sensors for one thing.
const INPUTS: RangeInclusive<usize> = 2..=16;

/// A table whose inputs are known by name.
struct Draft<'a> {
    name: &'a str,
    section: Section<'a>,
    entry: &'static Entry,
    inputs: Named,
}

/// Whether a `[sensors.NAME]` table is one of these.
pub fn has(section: &Section<'_>) -> bool {
    entry(section).is_some()
}

fn entry(section: &Section<'_>) -> Option<&'static Entry> {
    let driver = section.value("driver")?.get_ref().as_str()?;
    DRIVERS.iter().find(|entry| entry.name == driver)
}

/// Reads all tables that compute, when those of the devices were read, and tells the others what they have. They come in an
/// order in which each stands after its inputs.
pub fn read<'a>(tables: Vec<(&'a str, Section<'a>)>, devices: &mut Devices<'_>) -> Vec<Config> {
    let mut drafts: Vec<Draft<'a>> = Vec::new();
    for (name, section) in tables {
        devices.add_sensor(name, Sensor { channels: None, every: None });
        if let Some(entry) = entry(&section) {
            drafts.push(Draft::read(name, section, entry));
        }
    }
    let mut configs = Vec::new();
    while !drafts.is_empty() {
        match drafts.iter().position(|draft| draft.next_in(&drafts).is_none()) {
            Some(ready) => configs.extend(drafts.remove(ready).finish(devices)),
            None => report_circle(&mut drafts),
        }
    }
    configs
}

impl<'a> Draft<'a> {
    fn read(name: &'a str, section: Section<'a>, entry: &'static Entry) -> Self {
        let inputs = (entry.inputs)(&section);
        Self { name, section, entry, inputs }
    }

    /// An input that is among `others`: which of them, and where it is named.
    fn next_in(&self, others: &[Draft<'_>]) -> Option<(usize, &Place)> {
        let position = |id: &ChannelId| others.iter().position(|other| other.name == id.sensor());
        self.inputs.channels.iter().find_map(|(id, place)| Some((position(id)?, place)))
    }

    fn finish(self, devices: &mut Devices<'_>) -> Option<Config> {
        let Self { name, section, entry, inputs: Named { channels: named, whole } } = self;
        let id = section.name(name, SensorId::new);
        let (mut inputs, mut intervals) = (Vec::new(), Vec::new());
        for (id, place) in &named {
            let Some(known) = devices.known(&section, id, place.clone()) else { continue };
            intervals.extend(known.every);
            inputs.extend(known.measures.map(|(name, quantity)| Input { id: id.clone(), name, quantity }));
        }
        let slowest = intervals.iter().max().copied();
        let stale_after = stale_after(&section, slowest);
        // Which keys it has, its driver knows, even if it cannot know all its inputs.
        let formula = (entry.read)(&section, &inputs);
        section.finish_for(entry.name);
        if !whole || inputs.len() < named.len() {
            return None;
        }
        let formula = formula?;
        let channel = formula.channel();
        devices.add_sensor(name, Sensor { channels: Some(vec![(channel.name, channel.quantity)]), every: slowest });
        let (fastest, slowest) = (intervals.into_iter().min()?, slowest?);
        Some(Config { id: id?, driver: entry.name, inputs, stale_after, fastest, slowest, formula })
    }
}

/// `inputs = ["air1.temperature", "air2.temperature"]`
pub(super) fn listed(section: &Section<'_>) -> Named {
    const KEY: &str = "inputs";
    const HINT: &str = "list at least two channels: inputs = [\"air1.temperature\", \"air2.temperature\"]";
    let what = section.what();
    let Some(value) = section.value(KEY) else {
        section.report(Diagnostic::absent(format!("{what} needs `{KEY}`"), section.header_place(), HINT));
        return Named::default();
    };
    let Some(list) = value.get_ref().as_array().filter(|list| INPUTS.contains(&list.len())) else {
        let message = format!("`{KEY}` of {what} is not a list of {} to {} channels", INPUTS.start(), INPUTS.end());
        section.wrong(KEY, message, HINT);
        return Named::default();
    };
    let mut channels: Vec<(ChannelId, Place)> = Vec::new();
    for value in list.iter() {
        let place = Place::at(value.span());
        match ChannelId::read(value.get_ref()) {
            Ok(id) if channels.iter().any(|(other, _)| *other == id) => section.report(Diagnostic::new(
                format!("`{id}` is an input of {what} twice"),
                place,
                "one sensor cannot stand in for itself; name another",
            )),
            Ok(id) => channels.push((id, place)),
            Err(hint) => {
                section.report(Diagnostic::new(format!("an input of {what} is not a channel"), place, hint));
            }
        }
    }
    let whole = channels.len() == list.len();
    Named { channels, whole }
}

/// For how long a reading counts, by default three times the slowest input's interval. Shorter than two, one late reading
/// would count as a failure.
fn stale_after(section: &Section<'_>, slowest: Option<Duration>) -> Duration {
    let usual = slowest.map_or(SHORTEST_PATIENCE, |every| (every * 3).max(SHORTEST_PATIENCE));
    let Some(given) = section.duration("stale_after", STALE_AFTER) else { return usual };
    if let Some(every) = slowest.filter(|every| given < *every * 2) {
        section.wrong(
            "stale_after",
            format!("`stale_after` of {} is shorter than two intervals of its slowest input", section.what()),
            format!("there is a reading every {}: give it at least {}", written(every), written(every * 2)),
        );
    }
    given
}

/// Each of `drafts`, which are not none, needs another of them. Reports one circle and takes it out.
fn report_circle(drafts: &mut Vec<Draft<'_>>) {
    let mut way = vec![0];
    while let Some((next, _)) = way.last().and_then(|&here| drafts.get(here)?.next_in(drafts)) {
        if let Some(start) = way.iter().position(|&passed| passed == next) {
            way.drain(..start);
            break;
        }
        way.push(next);
    }
    // Told from the one that stands first in the file.
    let first = way.iter().enumerate().min_by_key(|(_, index)| **index).map_or(0, |(at, _)| at);
    way.rotate_left(first);
    if let Some(draft) = way.first().and_then(|&index| drafts.get(index)) {
        let names: Vec<&str> = way.iter().chain(&way[..1]).map(|&index| drafts[index].name).collect();
        let message = format!("{} is computed from itself: {}", draft.section.what(), names.join(" needs "));
        let place = draft.next_in(drafts).map_or_else(|| draft.section.header_place(), |(_, place)| place.clone());
        draft.section.report(Diagnostic::new(message, place, "take one of them out of the circle"));
    }
    let mut index = 0;
    drafts.retain(|_| {
        index += 1;
        !way.contains(&(index - 1))
    });
}
