//! How much of the machine's memory is in use.

use std::path::Path;

use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::hardware::{Files, Hardware};
use crate::model::Quantity;
use crate::wiring::Wiring;

const ABOUT: &str = "\
- Channels: `used`, in % of all memory, and `available`, in MB: what programs can still have, caches that would be given up included.
- A Pi whose memory is nearly full becomes slow before anything fails: an alarm at 90 % is early enough.
";

pub(super) const ENTRY: Entry = Entry {
    name: "memory",
    summary: "how much of the machine's memory is in use",
    about: ABOUT,
    example: r#"
[sensors.memory]
driver = "memory"
every = "1m"
"#,
    read: |_| Some(Box::new(Config)),
};

#[derive(Debug, Clone)]
struct Config;

const CHANNELS: &[Channel] =
    &[Channel { name: "used", quantity: Quantity::Share }, Channel { name: "available", quantity: Quantity::DataSize }];

const FILE: &str = "/proc/meminfo";

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        Wiring::unclaimed("machine")
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        Ok(Box::new(Memory(hardware.files())))
    }
}

struct Memory(Files);

impl Driver for Memory {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let text = self.0.read(Path::new(FILE))?;
        let values = used_and_available(&text);
        values.map(Vec::from).ok_or_else(|| DriverError::no_value(FILE, "it has no MemTotal or no MemAvailable"))
    }
}

/// Per cent and MB. The file's `kB` are 1024 bytes.
fn used_and_available(text: &str) -> Option<[f64; 2]> {
    let bytes = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(rest.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
    };
    let (total, available) = (bytes("MemTotal")?, bytes("MemAvailable")?);
    (total > 0.0).then(|| [100.0 * (1.0 - available / total), available / 1e6])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, read_once};
    use super::*;
    use crate::hardware::recorded::Recorded;

    #[test]
    fn what_is_available_counts_and_not_what_is_free() {
        let board = Recorded::default();
        let text =
            "MemTotal:         948012 kB\nMemFree:           71000 kB\nMemAvailable:     237003 kB\nBuffers: 1 kB\n";
        board.file(FILE, text);
        assert_near(&read_once(&ENTRY, "", &board).unwrap(), &[75.0, 242.691], 0.001);
        board.file(FILE, "MemTotal:         948012 kB\n");
        assert!(read_once(&ENTRY, "", &board).is_err());
    }
}
