//! How full a disk or card is.
//!
//! By the system call `statvfs`, which the `rustix` crate makes safe; the command line has it in the program already.

use std::path::{Path, PathBuf};

use rustix::fs::{StatVfs, statvfs};

use super::kernel::absolute;
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, HardwareError};
use crate::model::Quantity;
use crate::wiring::Wiring;

const ABOUT: &str = "\
- Channels: `used`, in % as `df` shows it, and `free`, in MB: what programs can still write there.
- `path`: any folder of the disk; `/` without the key.
- A card that is full stops what stores on it; readings go on over MQTT. An alarm at 90 % is early enough.
";

pub(super) const ENTRY: Entry = Entry {
    name: "disk",
    summary: "how full a disk or card is",
    about: ABOUT,
    example: r#"
[sensors.card]
driver = "disk"
path = "/var/lib"
every = "10m"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    path: PathBuf,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let path = if section.has("path") { section.optional("path") } else { Some("/".to_owned()) };
    Some(Box::new(Config { path: absolute(section, &path?)? }))
}

const CHANNELS: &[Channel] =
    &[Channel { name: "used", quantity: Quantity::Share }, Channel { name: "free", quantity: Quantity::DataSize }];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        // A share in the network may hang, and holds up nobody else then.
        Wiring::unclaimed(format!("disk {}", self.path.display()))
    }

    fn open(&self, _: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        Ok(Box::new(Disk(self.path.clone())))
    }
}

struct Disk(PathBuf);

impl Driver for Disk {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let found = statvfs(&self.0).map_err(|error| failure(&self.0, error.into()))?;
        Ok(used_and_free(&found).into())
    }
}

fn failure(path: &Path, error: std::io::Error) -> HardwareError {
    HardwareError::Io { what: format!("the disk of {}", path.display()), reason: format!("{error}; check `path`") }
}

/// Per cent and MB, as `df` counts: what is reserved for root is neither used nor free.
fn used_and_free(found: &StatVfs) -> [f64; 2] {
    let used = found.f_blocks.saturating_sub(found.f_bfree) as f64;
    let free = found.f_bavail as f64;
    let share = if used + free > 0.0 { 100.0 * used / (used + free) } else { 0.0 };
    [share, free * found.f_frsize as f64 / 1e6]
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::testing::{mistakes, opened};
    use super::*;
    use crate::hardware::recorded::Recorded;

    #[test]
    fn a_disk_is_as_full_as_df_says() {
        let values = opened(&ENTRY, "", &Recorded::default()).unwrap().read().unwrap();
        let df = Command::new("df").args(["--output=pcent,avail", "-B", "1", "/"]).output().unwrap();
        let text = String::from_utf8(df.stdout).unwrap();
        let numbers: Vec<f64> = text
            .lines()
            .nth(1)
            .unwrap()
            .split_whitespace()
            .map(|word| word.trim_end_matches('%').parse().unwrap())
            .collect();
        // It rounds up, and others write meanwhile.
        assert!(
            (values[0] - numbers[0]).abs() <= 1.5 && (values[1] - numbers[1] / 1e6).abs() < 1000.0,
            "{values:?} {numbers:?}"
        );
    }

    #[test]
    fn what_is_reserved_is_neither_used_nor_free() {
        let mut found = statvfs("/").unwrap();
        (found.f_frsize, found.f_blocks, found.f_bfree, found.f_bavail) = (4096, 1000, 300, 233);
        assert_eq!(used_and_free(&found).map(|value| (value * 1e3).round() / 1e3), [75.027, 0.954]);
    }

    #[test]
    fn a_path_that_is_not_there_is_an_error() {
        let error =
            opened(&ENTRY, "path = \"/nowhere\"", &Recorded::default()).unwrap().read().unwrap_err().to_string();
        assert!(error.starts_with("the disk of /nowhere: No such file") && error.ends_with("check `path`"), "{error}");
        assert!(mistakes(&ENTRY, "path = \"var\"")[0].hint.contains("from the root on"));
    }
}
