//! Who may know whom: the table of ARCHITECTURE.md, held against every path that src/ names.
//!
//! To let one part know another, change a table here and say why in ARCHITECTURE.md. Code under `#[cfg(test)]` is free.

#![allow(clippy::unwrap_used, reason = "a file that cannot be read fails the test")]

#[path = "architecture/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use source::{Named, Source};

/// A room: the folder or file of this name in src/, and what else of ours it may name. Where a path is given, it is that item only.
struct Room {
    name: &'static str,
    may: &'static [&'static [&'static str]],
}

/// What a room needs to read its own table of the configuration file.
const READING: &[&str] = &[
    "config::Devices",
    "config::Diagnostic",
    "config::Frequency",
    "config::Output",
    "config::Place",
    "config::Section",
    "config::Sensor",
    "config::Value",
    "config::nearest",
    "config::written",
];

const ROOMS: &[Room] = &[
    Room { name: "model", may: &[] },
    Room { name: "clock", may: &[&["model"]] },
    Room { name: "boot", may: &[] },
    Room { name: "panics", may: &[] },
    Room { name: "lifeline", may: &[&["clock", "model", "panics"]] },
    Room { name: "message", may: &[&["model"]] },
    Room { name: "bus", may: &[&["clock", "message", "model", "panics"]] },
    Room { name: "post", may: &[&["clock", "model", "panics"]] },
    Room { name: "alarms", may: &[&["bus", "clock", "files", "message", "model", "panics", "secret"], READING] },
    Room { name: "files", may: &[] },
    Room { name: "secret", may: &[READING] },
    Room { name: "copies", may: &[&["files", "panics"]] },
    Room { name: "lock", may: &[] },
    Room { name: "process", may: &[&["clock"]] },
    Room { name: "hardware", may: &[&["clock", "model", "panics"]] },
    Room { name: "wiring", may: &[&["hardware", "model"], READING] },
    Room { name: "hardware::simulated", may: &[&["clock", "hardware", "model", "panics"], READING] },
    Room {
        name: "sensors",
        may: &[
            &["alarms", "bus", "clock", "hardware", "lifeline", "message", "model", "panics", "post"],
            &["process", "wiring"],
            READING,
        ],
    },
    Room {
        name: "outputs",
        may: &[
            &["alarms", "boot", "bus", "clock", "files", "hardware", "lifeline", "message", "model", "panics"],
            &["post", "process", "secret", "wiring"],
            READING,
        ],
    },
    Room {
        name: "controllers",
        may: &[&["alarms", "bus", "clock", "lifeline", "message", "model", "panics"], READING],
    },
    Room { name: "store", may: &[&["alarms", "bus", "clock", "message", "model", "panics"], READING] },
    Room {
        name: "mqtt",
        may: &[&["bus", "clock", "message", "model", "panics", "payload", "post", "secret"], READING],
    },
    Room { name: "payload", may: &[&["message", "model"]] },
    Room {
        name: "web",
        may: &[
            &["alarms", "bus", "clock", "config::nearest", "message", "model", "payload"],
            &["store::Store", "supervisor::Stage"],
        ],
    },
    Room {
        name: "config",
        may: &[
            &["alarms", "controllers", "hardware::simulated", "model", "mqtt", "outputs", "sensors", "store"],
            &["telemetry::Filter"],
        ],
    },
    Room { name: "signal", may: &[&["clock", "model"]] },
    Room { name: "systemd", may: &[] },
    Room { name: "telemetry", may: &[&["clock", "model", "panics"]] },
    Room {
        name: "supervisor",
        may: &[
            &["alarms", "bus", "clock", "hardware::bank::Bank", "hardware::bank::Released"],
            &["lifeline", "message", "model", "panics"],
        ],
    },
];

/// The map, the door, and where everything is put together: they name everything, and are short.
const FREE: &[&str] = &["lib", "main", "daemon", "cli"];

/// What only these files may name: other crates, and the actors of a room. A folder ends in `/`.
const ONLY: &[(&[&str], &[&str])] = &[
    (&["rppal"], &["hardware/kernel/", "hardware/raspberry.rs"]),
    (&["gpiocdev", "gpiocdev_uapi"], &["hardware/kernel/"]),
    (&["rumqttc", "rumqttc5", "rumqttd", "rustls_native_certs"], &["mqtt/"]),
    (&["rusqlite"], &["store/"]),
    (&["lettre"], &["alarms/"]),
    (&["ureq"], &["alarms/", "outputs/http.rs"]),
    (&["signal_hook"], &["signal.rs"]),
    (&["tracing_journald", "tracing_subscriber"], &["telemetry/"]),
    (&["anyhow", "clap"], &["cli/", "main.rs"]),
    (&["rustix"], &["files.rs", "hardware/kernel/", "process.rs", "sensors/disk.rs"]),
    (&["actix_web"], &["web/"]),
    (&["httparse"], &["cli/client.rs"]),
    (&["csv", "terminal_size"], &["cli/"]),
    (
        &["actix"],
        &[
            "bus.rs",
            "cli/",
            "controllers/actor.rs",
            "daemon.rs",
            "message.rs",
            "outputs/actor.rs",
            "sensors/actor.rs",
            "sensors/computed/actor.rs",
            "sensors/mqtt/actor.rs",
            "supervisor/",
        ],
    ),
    (
        &["crate::sensors::actor", "crate::sensors::computed::actor", "crate::sensors::mqtt::actor"],
        &["sensors/", "daemon.rs"],
    ),
    (&["crate::outputs::actor"], &["outputs/", "daemon.rs"]),
    (&["crate::controllers::actor"], &["controllers/", "daemon.rs"]),
];

/// The rooms with one file for each kind of thing. These files do not name one another, except what all of them share; the room's
/// mod.rs, actor.rs and config.rs may name them all.
const KINDS: &[&str] = &["sensors", "outputs", "controllers"];
const SHARED: &[&str] = &[
    "bosch",
    "compensation",
    "crc",
    "filter",
    "guard",
    "ina",
    "kernel",
    "lines",
    "messages",
    "moisture",
    "pace",
    "sensirion",
    "tally",
    "text",
    "voc_index",
];

/// At this length a file is asked whether it is still one idea. The tests at its foot do not count.
const MAX_LINES: usize = 400;
/// Those that are longer, and have answered. It should stay empty.
const LONGER: &[&str] = &[];

#[test]
fn every_path_in_src_keeps_to_the_tables() {
    let sources = read("src");
    let modules = sources.iter().map(|source| source.module.join("::")).collect();
    let broken: Vec<String> = sources.iter().flat_map(|source| check(source, &modules)).collect();
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn every_file_in_src_begins_with_what_it_is_for() {
    let silent: Vec<_> =
        read("src").into_iter().filter(|file| !file.text.starts_with("//! ")).map(|file| file.path).collect();
    assert!(silent.is_empty(), "these files do not begin with `//! `: {silent:?}");
}

#[test]
fn no_file_is_longer_than_one_idea() {
    let long: Vec<_> = ["src", "tests", "benches"]
        .into_iter()
        .filter(|folder| Path::new(folder).is_dir())
        .flat_map(read)
        .map(|file| (file.text.lines().take_while(|line| *line != "#[cfg(test)]").count(), file.path))
        .filter(|(lines, path)| *lines > MAX_LINES && !LONGER.contains(&path.as_str()))
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "more than {MAX_LINES} lines: {long:?}");
}

#[test]
fn the_checker_finds_every_kind_of_offence_and_where_it_is() {
    let modules =
        ["sensors", "sensors::bme280", "sensors::filter", "outputs::guard::pulses", "outputs::guard::demands"];
    let modules: BTreeSet<String> = modules.map(str::to_owned).into();
    let offences: &[(&str, &str, &[&str])] = &[
        (
            "src/model/id.rs",
            "use std::fmt;\nuse crate::bus::Bus;",
            &["src/model/id.rs:2: model may not name crate::bus::Bus"],
        ),
        (
            "src/sensors/x.rs",
            "use crate::{model::{Level, Claim},\n    store};",
            &["2: sensors may not name crate::store"],
        ),
        ("src/sensors/x.rs", "fn f() { super::super::mqtt::now() }", &["1: sensors may not name crate::mqtt::now"]),
        ("src/sensors/x.rs", "use super::bme280::{self, CHIP};", &["another's file", "another's file"]),
        ("src/sensors/x.rs", "use super::{Entry, filter::Median};\nuse crate::config::Section;", &[]),
        ("src/sensors/x.rs", "use crate::config::{Section, load};", &["sensors may not name crate::config::load"]),
        ("src/sensors/x.rs", "use ::actix::Actor;", &["only bus.rs, cli/, controllers/actor.rs"]),
        ("src/sensors/actor.rs", "use actix::Actor;\nuse super::bme280;", &[]),
        (
            "src/config/mod.rs",
            "use crate::sensors::actor::SensorActor;",
            &["only sensors/, daemon.rs may name crate::sensors::actor"],
        ),
        ("src/hardware/lane.rs", "use crate::bus::Bus;", &["hardware may not name crate::bus::Bus"]),
        ("src/hardware/simulated/world.rs", "use crate::clock::Clock;\nuse super::super::I2c;", &[]),
        (
            "src/hardware/linux.rs",
            "fn f() -> rppal::gpio::Pin {}",
            &["only hardware/kernel/, hardware/raspberry.rs may name rppal"],
        ),
        ("src/outputs/guard/demands.rs", "use super::pulses::Pulse;", &[]),
        ("src/weather.rs", "", &["src/weather.rs:1: weather has no row"]),
        ("src/lib.rs", "pub use crate::store::Store;", &[]),
        (
            "src/model/id.rs",
            "//! crate::bus\nlet a = \"crate::bus // \\\" crate::bus\"; let b = '\"'; /* crate::bus */",
            &[],
        ),
        ("src/model/id.rs", "let a = r#\"\" crate::bus\"#; let b: &'static str; use crate::bus;", &["crate::bus"]),
        (
            "src/model/id.rs",
            "#[cfg(test)]\nmod tests { use crate::bus; fn f() { '}' } }\nuse crate::clock;",
            &["3: model may not"],
        ),
        ("src/model/tests/a.rs", "use crate::bus;", &[]),
    ];
    for (path, text, expected) in offences {
        let found = check(&Source::new(path, text), &modules);
        let as_expected =
            found.len() == expected.len() && found.iter().zip(*expected).all(|(is, part)| is.contains(part));
        assert!(as_expected, "{path} with {text:?} gave {found:#?}");
    }
}

/// What in a file is against the tables. `modules` are all modules of the crate, as in `sensors::bme280`.
fn check(source: &Source, modules: &BTreeSet<String>) -> Vec<String> {
    let Some(first) = source.module.first() else { return Vec::new() };
    if FREE.contains(&first.as_str()) || source.is_test {
        return Vec::new();
    }
    // The longest name that fits, so that a folder in a room can have rules of its own.
    let module = source.module.join("::");
    let Some(room) = ROOMS.iter().filter(|room| within(&module, room.name)).max_by_key(|room| room.name.len()) else {
        return vec![format!("{}:1: {first} has no row in ROOMS (tests/architecture.rs)", source.path)];
    };
    let mut broken = Vec::new();
    for Named { path, line } in source.named() {
        let mut report = |what: String| broken.push(format!("{}:{line}: {what}", source.path));
        if let Some(ours) = path.strip_prefix("crate::") {
            let own = within(ours, room.name);
            if !own && !room.may.iter().copied().flatten().any(|allowed| within(ours, allowed)) {
                report(format!("{} may not name {path}", room.name));
            }
            if own && KINDS.contains(&room.name) && is_anothers(&source.module, ours, modules) {
                report(format!("{path} is another's file; what both need belongs in {}/mod.rs", room.name));
            }
        }
        for (names, files) in ONLY {
            let here = files.iter().any(|file| source.path.strip_prefix("src/").unwrap_or_default().starts_with(file));
            if let Some(name) = names.iter().find(|name| !here && within(&path, name)) {
                report(format!("only {} may name {name}", files.join(", ")));
            }
        }
    }
    broken
}

/// Whether `path` in our own room is in the file of another kind.
fn is_anothers(module: &[String], path: &str, modules: &BTreeSet<String>) -> bool {
    let Some(kind) = module.get(1).filter(|kind| !["actor", "config"].contains(&kind.as_str())) else { return false };
    let Some(other) = path.split("::").nth(1) else { return false };
    let is_file = modules.iter().any(|file| within(file, &format!("{}::{other}", module[0])));
    other != kind && is_file && !SHARED.contains(&other)
}

/// Whether `path` is `root` or something in it.
fn within(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn read(folder: impl AsRef<Path>) -> Vec<Source> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(read(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(Source::new(path.to_str().unwrap(), &fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}
