//! A number in a file: of another program, of a share in the network, of the kernel.

use std::path::PathBuf;

use super::kernel::absolute;
use super::text::TextValue;
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Files, Hardware};
use crate::wiring::Wiring;

const ABOUT: &str = "\
- The first line of the file is the number, as a state also on, off, true, false, open or closed. `pointer` takes it from JSON instead:
  \"/SENSOR/0/Temperature\".
- The channel has the name of the `quantity`; `number` without the key.
- Who writes the file should write another and rename it, so that no half of it is read.
- A program that has ended leaves its last number behind: `number = { stuck_after = \"10m\", implausible = \"bad\" }`, with the channel's
  name, makes it bad.
- Trouble: \"permission denied\" or \"not found\" for a file that is there: the unit of homeostat hides /home and /tmp from it.
";

pub(super) const ENTRY: Entry = Entry {
    name: "file",
    summary: "a number in a file, plain or in JSON",
    about: ABOUT,
    example: r#"
[sensors.forecast]
driver = "file"
path = "/run/weather/forecast.json"
pointer = "/tomorrow/low"
quantity = "temperature"
every = "1m"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    path: PathBuf,
    value: TextValue,
    channels: [Channel; 1],
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let path = section.required::<String>("path").and_then(|path| absolute(section, &path));
    let value = TextValue::read(section)?;
    Some(Box::new(Config { path: path?, channels: [value.channel()], value }))
}

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn wiring(&self) -> Wiring {
        // A share in the network may hang, and holds up nobody else then.
        Wiring::unclaimed(format!("file {}", self.path.display()))
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        Ok(Box::new(File { config: self.clone(), files: hardware.files() }))
    }
}

struct File {
    config: Config,
    files: Files,
}

impl Driver for File {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let Config { path, value, .. } = &self.config;
        let number = value.value(&self.files.read(path)?);
        Ok(vec![number.map_err(|what| DriverError::no_value(&path.display().to_string(), what))?])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, read_once};
    use super::*;
    use crate::hardware::recorded::Recorded;

    #[test]
    fn a_file_has_one_number() {
        let board = Recorded::default();
        board.file("/run/a", "17.5\n");
        board.file("/run/b.json", r#"{"low": [4, -2.5]}"#);
        assert_near(&read_once(&ENTRY, "path = \"/run/a\"", &board).unwrap(), &[17.5], 0.0);
        let keys = "path = \"/run/b.json\"\npointer = \"/low/1\"\nquantity = \"temperature\"";
        assert_near(&read_once(&ENTRY, keys, &board).unwrap(), &[-2.5], 0.0);
        board.file("/run/a", "");
        let error = read_once(&ENTRY, "path = \"/run/a\"", &board).unwrap_err().to_string();
        assert_eq!(error, "/run/a has no value: there is no number, it is empty");
        assert!(read_once(&ENTRY, "path = \"/run/c\"", &board).is_err());
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("", "add `path"),
            ("path = \"run\"", "from the root on"),
            ("path = \"/run/a\"\npointer = \"low.1\"", "write \"/low/1\""),
            ("path = \"/run/a\"\npointer = 1", "write \"text\""),
            ("path = \"/run/a\"\nquantity = \"heat\"", "known quantities: temperature"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
