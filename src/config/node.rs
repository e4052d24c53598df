//! `[node]` and `[log]`: what this machine is called, what it is, and how much it tells.

use super::Section;
use super::section::nearest;
use crate::model::SensorId;
use crate::telemetry::Filter;

/// The `[node]` table, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The second part of every topic.
    pub name: String,
    /// What it runs on.
    pub hardware: HardwareKind,
}

/// What the daemon runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HardwareKind {
    /// A small physical world in the process.
    Simulated,
    /// A Raspberry Pi's own pins and buses.
    RaspberryPi,
}

impl Node {
    pub(super) fn read(section: Section<'_>) -> Option<Self> {
        let name = section.required::<String>("name").and_then(|name| match SensorId::new(&name) {
            Ok(_) => Some(name),
            Err(error) => {
                section.wrong("name", "the node needs another name", error.to_string());
                None
            }
        });
        let hardware = hardware(&section);
        section.finish();
        Some(Node { name: name?, hardware: hardware? })
    }
}

fn hardware(section: &Section<'_>) -> Option<HardwareKind> {
    const KNOWN: [&str; 2] = ["simulated", "raspberry-pi"];
    let word: String = section.required("hardware")?;
    match word.as_str() {
        "simulated" => return Some(HardwareKind::Simulated),
        "raspberry-pi" => return Some(HardwareKind::RaspberryPi),
        "linux" => section.wrong(
            "hardware",
            "hardware = \"linux\" is not there yet",
            "use \"raspberry-pi\" on a Raspberry Pi, \"simulated\" elsewhere",
        ),
        _ => {
            let hint = match nearest(&word, &KNOWN) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "write \"simulated\" or \"raspberry-pi\"".to_owned(),
            };
            section.wrong("hardware", format!("unknown hardware `{word}`"), hint);
        }
    }
    None
}

/// Reads `[log]`: `level = "info"`, or with parts of the program, `level = "info,homeostat::mqtt=debug"`.
pub(super) fn read_log(section: Section<'_>) -> Option<Filter> {
    let filter = match section.optional::<String>("level").map(|text| text.parse::<Filter>()) {
        None => Some(Filter::default()),
        Some(Ok(filter)) => Some(filter),
        Some(Err(error)) => {
            let hint = "write error, warn, info, debug, trace or off, or for a part \"info,homeostat::mqtt=debug\"";
            section.wrong("level", error.to_string(), hint);
            None
        }
    };
    section.finish();
    filter
}
