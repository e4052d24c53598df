//! DHT22 (AM2302) and DHT11: temperature and humidity on one wire of their own, through the kernel.
//!
//! Source: the kernel's drivers/iio/humidity/dht11.c, which reads both and checks the check sum. Their pulses of 26 to 70 µs cannot be told
//! apart reliably by a program that is not the kernel.

use std::path::PathBuf;

use super::kernel::{self, Class, absolute, number};
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Files, Hardware};
use crate::model::Quantity;
use crate::wiring::Wiring;

const ABOUT: &str = "\
- Range: DHT22 -40 to 80 °C (±0.5 °C), 0 to 100 % (±2 to 5 %); DHT11 0 to 50 °C (±2 °C), 20 to 90 % (±5 %).
- Wiring: 3.3 V, ground, data to a GPIO, with 4.7 to 10 kΩ from data to 3.3 V (most modules have it). `dtoverlay=dht11,gpiopin=4` in
  `/boot/firmware/config.txt`, for both kinds, and a reboot. homeostat needs not know the pin, but nothing else may use it.
- Several of them: the folders' numbers under `/sys/bus/iio/devices` change; give each its `path`, such as
  `/sys/devices/platform/dht11@4/iio:device0`.
- It can be read once in 2 s; the kernel tells the last values until then.
- Trouble: one read in twenty fails, which is usual, and is tried again once. More: a shorter cable, a stronger resistor, 3.3 V and not
  5 V. For what matters take a better one, such as an SHT4x.
";

pub(super) const ENTRY: Entry = Entry {
    name: "dht22",
    summary: "temperature and humidity through the kernel: DHT22, AM2302, DHT11",
    about: ABOUT,
    example: r#"
[sensors.air]
driver = "dht22"
every = "10s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    /// Its folder; else the only one there is.
    path: Option<PathBuf>,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let path = match section.has("path") {
        true => Some(section.optional::<String>("path").and_then(|path| absolute(section, &path))?),
        false => None,
    };
    Some(Box::new(Config { path }))
}

const CHANNELS: &[Channel] = &[
    Channel { name: "temperature", quantity: Quantity::Temperature },
    Channel { name: "humidity", quantity: Quantity::Humidity },
];

/// The kernel's driver has one name for both kinds.
const NAME: &str = "dht11";
static CLASS: Class =
    Class { kind: "IIO device", folders: "/sys/bus/iio/devices/iio:device", units: &[], example: (NAME, FILES[0]) };
/// In thousandths of °C and of %.
const FILES: [&str; 2] = ["in_temp_input", "in_humidityrelative_input"];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        Wiring::unclaimed("dht")
    }

    fn deadline(&self) -> std::time::Duration {
        // The kernel waits a second for an answer, twice for each try.
        std::time::Duration::from_secs(5)
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let folder = match &self.path {
            Some(path) => path.clone(),
            None => kernel::find(hardware, &CLASS, NAME)?,
        };
        Ok(Box::new(Dht { files: hardware.files(), folder }))
    }
}

struct Dht {
    files: Files,
    folder: PathBuf,
}

impl Dht {
    fn both(&self) -> Result<[f64; 2], DriverError> {
        let [celsius, percent] = FILES.map(|file| {
            let path = self.folder.join(file);
            Ok::<_, DriverError>(number(&path, &self.files.read(&path)?)? / 1000.0)
        });
        Ok([celsius?, percent?])
    }
}

impl Driver for Dht {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let [celsius, percent] = self.both().or_else(|_| self.both())?;
        // The sum of these bytes is right too.
        let nothing = celsius == 0.0 && percent == 0.0;
        if nothing || !(-40.0..=80.0).contains(&celsius) || !(0.0..=100.0).contains(&percent) {
            let what =
                format!("it says {celsius} °C and {percent} %, which cannot be; check its wiring and its resistor");
            return Err(DriverError::no_value(&format!("DHT22 at {}", self.folder.display()), what));
        }
        Ok(vec![celsius, percent])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, read_once};
    use super::*;
    use crate::hardware::recorded::Recorded;

    fn board(folder: &str, celsius: &str, percent: &str) -> Recorded {
        let board = Recorded::default();
        for (file, text) in [("name", "dht11@4\n"), (FILES[0], celsius), (FILES[1], percent)] {
            board.file(format!("{folder}/{file}"), text);
        }
        board
    }

    const FIRST: &str = "/sys/bus/iio/devices/iio:device0";

    #[test]
    fn the_kernels_thousandths_are_degrees_and_percents() {
        // As the kernel tells the datasheet's example, 02 8c 01 5f ee: 65.2 % and 35.1 °C.
        let board = board(FIRST, "35100\n", "65200\n");
        assert_near(&read_once(&ENTRY, "", &board).unwrap(), &[35.1, 65.2], 1e-9);
        let there = "/sys/devices/platform/dht11@11/iio:device1";
        let board = self::board(there, "-10100\n", "65200\n");
        let keys = format!("path = \"{there}\"");
        assert_near(&read_once(&ENTRY, &keys, &board).unwrap(), &[-10.1, 65.2], 1e-9);
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        for (celsius, percent) in [("0", "0"), ("35100", "100100"), ("-40100", "50000"), ("85000", "50000"), ("", "1")]
        {
            assert!(read_once(&ENTRY, "", &board(FIRST, celsius, percent)).is_err(), "{celsius} {percent}");
        }
        let error = read_once(&ENTRY, "", &Recorded::default()).unwrap_err().to_string();
        assert!(
            error.contains("IIO device dht11 is not there: there is no IIO device at all; load its driver"),
            "{error}"
        );
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        let found = mistakes(&ENTRY, "path = \"iio:device0\"");
        assert!(found[0].hint.contains("from the root on"), "{found:?}");
    }
}
