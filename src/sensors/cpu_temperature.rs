//! The temperature of the machine's processor.

use std::path::PathBuf;

use super::kernel::number;
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Files, Hardware};
use crate::model::Quantity;
use crate::wiring::Wiring;

const ABOUT: &str = "\
- Without wiring. A Raspberry Pi slows itself down from 80 °C on, and again from 85 °C on.
- `zone`: another one of `/sys/class/thermal/thermal_zone0`, 1, 2 …; the file `type` in it tells which it is. 0 without the key.
";

pub(super) const ENTRY: Entry = Entry {
    name: "cpu-temperature",
    summary: "the temperature of the machine's processor",
    about: ABOUT,
    example: r#"
[sensors.cpu]
driver = "cpu-temperature"
every = "30s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    zone: u8,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let zone = if section.has("zone") { section.optional("zone") } else { Some(0) };
    Some(Box::new(Config { zone: zone? }))
}

const CHANNELS: &[Channel] = &[Channel { name: "temperature", quantity: Quantity::Temperature }];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        Wiring::unclaimed("machine")
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let path = format!("/sys/class/thermal/thermal_zone{}/temp", self.zone).into();
        Ok(Box::new(Cpu { files: hardware.files(), path }))
    }
}

struct Cpu {
    files: Files,
    path: PathBuf,
}

impl Driver for Cpu {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let celsius = number(&self.path, &self.files.read(&self.path)?)? / 1000.0;
        // The kernel has such values while a zone is not ready.
        if !(-55.0..=150.0).contains(&celsius) {
            let what = format!("{celsius} °C cannot be; choose another `zone`");
            return Err(DriverError::no_value(&self.path.display().to_string(), what));
        }
        Ok(vec![celsius])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, read_once};
    use super::*;
    use crate::hardware::recorded::Recorded;

    #[test]
    fn the_kernels_thousandths_are_degrees() {
        let board = Recorded::default();
        board.file("/sys/class/thermal/thermal_zone0/temp", "48212\n");
        board.file("/sys/class/thermal/thermal_zone1/temp", "-274000\n");
        assert_near(&read_once(&ENTRY, "", &board).unwrap(), &[48.212], 1e-9);
        assert!(read_once(&ENTRY, "zone = 1", &board).unwrap_err().to_string().contains("choose another `zone`"));
        assert!(
            read_once(&ENTRY, "zone = 2", &board).unwrap_err().to_string().contains("thermal_zone2/temp not found")
        );
        assert!(mistakes(&ENTRY, "zone = -1")[0].hint.contains("0..=255"));
    }
}
