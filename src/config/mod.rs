//! From a file to checked types: every mistake found at once, each with its place and a hint.
//!
//! Each folder reads its own table through a [`Section`] and knows its keys; this one knows which tables there are.
//! What has to fit together across tables is checked through [`Devices`].

mod check;
mod diagnostic;
mod file;
mod interlocks;
mod lines;
mod node;
mod redact;
mod render;
mod section;
mod syntax;
mod value;

use std::cell::RefCell;

use toml::de::{DeTable, DeValue};

pub use self::check::{Devices, Known, Output, Sensor};
pub use self::diagnostic::{Diagnostic, Place};
pub use self::file::{Mistakes, Wrong, bytes, load, read};
pub use self::node::{HardwareKind, Node};
pub use self::section::{Section, nearest};
pub use self::value::{Frequency, Value, written};
use crate::hardware::simulated;
use crate::model::{OutputId, SensorId};
use crate::sensors::computed;
use crate::telemetry::Filter;
use crate::{alarms, controllers, mqtt, outputs, sensors, store};

/// A whole file, checked.
#[derive(Debug)]
pub struct Config {
    /// `[node]`
    pub node: Node,
    /// `[log]`: what is told, unless `RUST_LOG` says otherwise.
    pub log: Filter,
    /// `[store]`
    pub store: store::Config,
    /// `[mqtt]`; without it nothing is published.
    pub mqtt: Option<mqtt::Config>,
    /// `[alarms]`; without it nobody is told but who looks.
    pub alarms: Option<alarms::Config>,
    /// `[sensors.NAME]`, in the order of the file.
    pub sensors: Vec<sensors::Config>,
    /// The `[sensors.NAME]` that are computed from the channels of others, each after those that it needs.
    pub computed: Vec<computed::Config>,
    /// `[outputs.NAME]`, in the order of the file.
    pub outputs: Vec<outputs::Config>,
    /// `[controllers.NAME]`, in the order of the file.
    pub controllers: Vec<controllers::Config>,
    /// `[simulation]`; of use with `hardware = "simulated"` only, and checked always.
    pub simulation: Option<simulated::Config>,
}

/// Nobody reads more.
const MOST: usize = 1000;

/// Reads a configuration. The error has every mistake (the first thousand), in the order of the file, and at least one.
pub fn parse(text: &str) -> Result<Config, Vec<Diagnostic>> {
    let legible = syntax::legible(text);
    let (root, mut errors) = DeTable::parse_recoverable(&legible.text);
    errors.extend(legible.errors);
    let syntax = syntax::Syntax::new(text, root.get_ref(), &errors);
    let (nothing, found) = (DeTable::new(), RefCell::default());
    let config = read_root(text, Section::new("the file", 0..0, root.get_ref(), &found), &nothing);

    let mut mistakes = found.take();
    mistakes.retain(|mistake| syntax.leaves(mistake));
    mistakes.extend(syntax.mistakes);
    for mistake in &mut mistakes {
        mistake.place = mistake.place.within(text);
    }
    mistakes.sort_by_key(|mistake| (mistake.place.0.start, mistake.place.0.end));
    mistakes.truncate(MOST);
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => Err(mistakes),
    }
}

fn read_root<'a>(text: &str, root: Section<'a>, nothing: &'a DeTable<'a>) -> Option<Config> {
    let section = |key| root.part(key, format!("[{key}]"), &format!("[{key}]"));
    let node = match section("node") {
        Some(section) => Node::read(section),
        None => {
            // A `node` that is no table was reported.
            if !root.has("node") {
                let hint = "add `[node]` with a `name` and `hardware = \"simulated\"` or \"raspberry-pi\"";
                root.report(Diagnostic::absent("the file needs a section `[node]`", root.header_place(), hint));
            }
            None
        }
    };
    let log = section("log").map_or_else(|| Some(Filter::default()), node::read_log);
    let store = section("store").unwrap_or_else(|| root.inner("[store]", 0..0, nothing));
    let store = reported(store, store::Config::read);
    let mqtt = section("mqtt").and_then(|section| reported(section, mqtt::Config::read));
    let alarms = section("alarms").and_then(|section| reported(section, alarms::Config::read));

    // Of what other boards' lines are for, nobody knows.
    let header = node.as_ref().is_none_or(|node| node.hardware != HardwareKind::Linux);
    let mut devices = Devices::new(text, header);
    let each = |key, one, devices: &mut Devices<'_>| -> Vec<(&'a str, Section<'a>)> {
        let sections = root.named(key, one);
        sections.iter().for_each(|(name, section)| devices.name(name, section));
        sections
    };
    let tables = each("sensors", "sensor", &mut devices);
    let (computed, measured): (Vec<_>, Vec<_>) = tables.into_iter().partition(|(_, table)| computed::has(table));
    let sensors: Vec<_> = measured
        .into_iter()
        .filter_map(|(name, section)| reported(section, |section| sensors::Config::read(name, section, &mut devices)))
        .collect();
    let computed = computed::read(computed, &mut devices);
    let outputs: Vec<_> = each("outputs", "output", &mut devices)
        .into_iter()
        .filter_map(|(name, section)| reported(section, |section| outputs::Config::read(name, section, &mut devices)))
        .collect();
    devices.check_power(&root);
    devices.check_inputs(&root);
    devices.interlocks().into_iter().for_each(|mistake| root.report(mistake));
    let controllers: Vec<_> = each("controllers", "controller", &mut devices)
        .into_iter()
        .filter_map(|(name, section)| {
            reported(section, |section| controllers::Config::read(name, section, &mut devices))
        })
        .collect();

    let mut simulation = section("simulation").and_then(|section| reported(section, simulated::Config::read));
    if let Some(simulation) = &mut simulation {
        let sensors: Vec<_> = devices.sensors().filter_map(|name| SensorId::new(name).ok()).collect();
        let outputs: Vec<_> = devices.outputs().filter_map(|name| OutputId::new(name).ok()).collect();
        for mistake in simulation.check(&sensors, &outputs) {
            root.report(Diagnostic { absence: true, ..mistake });
        }
    }
    root.finish_as(|key, value| match value {
        DeValue::Table(_) | DeValue::Array(_) => format!("unknown section `[{key}]`"),
        _ => format!("`{key}` stands outside of any section"),
    });
    Some(Config {
        node: node?,
        log: log?,
        store: store?,
        mqtt,
        alarms,
        sensors,
        computed,
        outputs,
        controllers,
        simulation,
    })
}

/// Reads a section and makes sure that one that cannot be used is never left out in silence.
fn reported<'a, T>(section: Section<'a>, read: impl FnOnce(Section<'a>) -> Option<T>) -> Option<T> {
    let (what, place, found) = (section.what().to_owned(), section.header_place(), section.reporter());
    let before = found.borrow().len();
    let value = read(section);
    if value.is_none() && found.borrow().len() == before {
        found.borrow_mut().push(Diagnostic::new(
            format!("{what} cannot be used"),
            place,
            "and its reader did not say why",
        ));
    }
    value
}
