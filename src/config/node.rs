//! `[node]` and `[log]`: what this machine is called, what it is, and how much it tells.

use std::path::PathBuf;

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
    /// With [`HardwareKind::Linux`]: the device file of the GPIO chip, if it is not the usual one.
    pub gpiochip: Option<PathBuf>,
}

/// What the daemon runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HardwareKind {
    /// A small physical world in the process.
    Simulated,
    /// A Raspberry Pi's own pins and buses.
    RaspberryPi,
    /// Any Linux board, by what its kernel offers.
    Linux,
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
        let gpiochip = gpiochip(&section, hardware);
        section.finish();
        Some(Node { name: name?, hardware: hardware?, gpiochip })
    }
}

fn hardware(section: &Section<'_>) -> Option<HardwareKind> {
    const KNOWN: [&str; 3] = ["simulated", "raspberry-pi", "linux"];
    let word: String = section.required("hardware")?;
    match word.as_str() {
        "simulated" => return Some(HardwareKind::Simulated),
        "raspberry-pi" => return Some(HardwareKind::RaspberryPi),
        "linux" => return Some(HardwareKind::Linux),
        _ => {
            let hint = match nearest(&word, &KNOWN) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "write \"simulated\", \"raspberry-pi\", or \"linux\" for another board".to_owned(),
            };
            section.wrong("hardware", format!("unknown hardware `{word}`"), hint);
        }
    }
    None
}

/// `gpiochip = "/dev/gpiochip1"`
fn gpiochip(section: &Section<'_>, hardware: Option<HardwareKind>) -> Option<PathBuf> {
    let path: String = section.optional("gpiochip")?;
    if hardware.is_some_and(|hardware| hardware != HardwareKind::Linux) {
        section.wrong("gpiochip", "`gpiochip` is for hardware = \"linux\" only", "leave it out");
    } else if !path.starts_with("/dev/") || path.contains("..") {
        let hint = "write its device file, such as \"/dev/gpiochip1\"; `gpiodetect` lists them";
        section.wrong("gpiochip", format!("`{path}` is no GPIO chip"), hint);
    }
    Some(path.into())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn a_gpio_chip_is_named_by_its_device_file_and_on_linux_only() {
        let read = |hardware: &str, chip: &str| {
            let text = format!("[node]\nname = \"a\"\nhardware = \"{hardware}\"\n{chip}");
            parse(&text)
                .map(|config| (config.node.hardware, config.node.gpiochip))
                .map_err(|found| format!("{found:?}"))
        };
        let chip = "gpiochip = \"/dev/gpiochip1\"";
        assert_eq!(read("linux", ""), Ok((HardwareKind::Linux, None)));
        assert_eq!(read("linux", chip), Ok((HardwareKind::Linux, Some("/dev/gpiochip1".into()))));
        for (hardware, chip, expected) in [
            ("raspberry-pi", chip, "`gpiochip` is for hardware = \\\"linux\\\" only"),
            ("simulated", chip, "`gpiochip` is for hardware = \\\"linux\\\" only"),
            ("linux", "gpiochip = \"1\"", "`1` is no GPIO chip"),
            ("linux", "gpiochip = \"/dev/../etc/passwd\"", "is no GPIO chip"),
        ] {
            let found = read(hardware, chip).unwrap_err();
            assert!(found.contains(expected), "{hardware} {chip}: {found}");
        }
    }
}
