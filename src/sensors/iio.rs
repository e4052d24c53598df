//! One value of a sensor that a driver of the kernel reads, in its Industrial I/O subsystem.
//!
//! Source: the kernel's Documentation/ABI/testing/sysfs-bus-iio.

use std::path::Path;

use super::kernel::{Class, KernelValue, number};
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Files, Hardware, HardwareError};
use crate::model::Quantity;
use crate::wiring::Wiring;

const ABOUT: &str = "\
- For chips that homeostat has no driver of, and the kernel has: `dtoverlay=i2c-sensor,…` in `/boot/firmware/config.txt` lists them.
- `device` is the text of the file `name` in `/sys/bus/iio/devices/iio:device0` (or 1, 2 …), and `input` a file beside it:
  `in_temp_input`, `in_humidityrelative_input`, `in_pressure_input`, `in_voltage0_raw`. `path`, the whole path of the file, takes the
  place of both, but the numbers of the folders change from start to start.
- A `…_raw` is taken with the `…_offset` and the `…_scale` that stand beside it. One without a `…_scale` needs the key `scale`, but for
  `quantity = \"number\"`.
- `scale`: what makes the quantity's unit of the kernel's. Without the key it is as the kernel documents it: thousandths of °C, %, V and A,
  kPa, mW, metres, % of gases (`co2`, `eco2` and `tvoc`), and what is here too for the rest.
- Only one driver can have a chip: the kernel's, or one of homeostat.
";

pub(super) const ENTRY: Entry = Entry {
    name: "iio",
    summary: "a value that a driver of the kernel shows in /sys/bus/iio",
    about: ABOUT,
    example: r#"
[sensors.sun]
driver = "iio"
device = "veml6030"
input = "in_illuminance_input"
quantity = "illuminance"
every = "10s"
"#,
    read,
};

/// The IIO devices and their units.
static CLASS: Class = Class {
    kind: "IIO device",
    folders: "/sys/bus/iio/devices/iio:device",
    units: &[
        (Quantity::Temperature, 1e-3),
        (Quantity::Humidity, 1e-3),
        (Quantity::Voltage, 1e-3),
        (Quantity::Current, 1e-3),
        (Quantity::Power, 1e-3),
        (Quantity::Pressure, 10.0),
        (Quantity::Distance, 1e3),
        (Quantity::CarbonDioxide, 1e4),
        (Quantity::EquivalentCarbonDioxide, 1e4),
        (Quantity::OrganicCompounds, 1e7),
    ],
    example: ("bme280", "in_temp_input"),
};

#[derive(Debug, Clone)]
struct Config(KernelValue);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    Some(Box::new(Config(KernelValue::read(section, &CLASS)?)))
}

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        self.0.channels()
    }

    fn wiring(&self) -> Wiring {
        Wiring::unclaimed("iio")
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let (path, files) = (self.0.find(hardware)?, hardware.files());
        let (offset, scale) = match path.file_name().and_then(|name| name.to_str()?.strip_suffix("_raw")) {
            Some(stem) => {
                let offset = beside(&files, &path, stem, "_offset")?.unwrap_or(0.0);
                let scale = beside(&files, &path, stem, "_scale")?;
                (offset, scale.or(self.0.has_known_unit().then_some(1.0)).ok_or_else(|| unit_unknown(&path, stem))?)
            }
            None => (0.0, 1.0),
        };
        Ok(self.0.open(hardware, path, offset, scale))
    }
}

/// What stands beside `in_voltage0_raw` as `in_voltage0_scale` or, for all inputs of its kind, as one of `shared`; nothing if none does.
fn beside(files: &Files, path: &Path, stem: &str, end: &str) -> Result<Option<f64>, DriverError> {
    for stem in shared(stem) {
        let path = path.with_file_name(format!("{stem}{end}"));
        match files.read(&path) {
            Ok(text) => return number(&path, &text).map(Some),
            Err(HardwareError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// The names under which the kernel shares what belongs to an input, its own first: `in_voltage0` is also `in_voltage`,
/// `in_voltage0-voltage1` is `in_voltage-voltage`, and `in_intensity_ir` is `in_intensity`.
fn shared(stem: &str) -> Vec<String> {
    let is_digit = |digit: char| digit.is_ascii_digit();
    let mut names = vec![stem.to_owned(), stem.trim_end_matches(is_digit).to_owned(), stem.replace(is_digit, "")];
    // `in` alone is no kind.
    names.extend(stem.rsplit_once('_').filter(|(kind, _)| kind.contains('_')).map(|(kind, _)| kind.to_owned()));
    names
}

fn unit_unknown(path: &Path, stem: &str) -> DriverError {
    let what = format!("there is no `{stem}_scale` beside it, so that nobody knows its unit; write the key `scale`");
    DriverError::no_value(&path.display().to_string(), what)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::Recorded;

    fn board(number: u32, files: &[(&str, &str)]) -> Recorded {
        let board = Recorded::default();
        board.file("/sys/bus/iio/devices/iio:device0/name", "rpi-adc\n");
        let folder = format!("/sys/bus/iio/devices/iio:device{number}");
        files.iter().for_each(|(file, text)| board.file(Path::new(&folder).join(file), text));
        board
    }

    const AIR: &str = "device = \"bme280\"\ninput = \"in_temp_input\"\nquantity = \"temperature\"";

    #[test]
    fn a_value_is_in_our_unit_wherever_its_device_is() {
        for number in [1, 5] {
            let board = board(number, &[("name", "bme280\n"), ("in_temp_input", "21460\n")]);
            assert_near(&read_once(&ENTRY, AIR, &board).unwrap(), &[21.46], 1e-9);
        }
        let path = "path = \"/sys/bus/iio/devices/iio:device3/in_pressure_input\"\nquantity = \"pressure\"";
        let board = board(3, &[("in_pressure_input", "101.325000000\n")]);
        assert_near(&read_once(&ENTRY, path, &board).unwrap(), &[1013.25], 1e-9);
    }

    #[test]
    fn a_raw_value_is_made_one_by_what_stands_beside_it() {
        let keys = "device = \"ads1015\"\ninput = \"in_voltage2_raw\"\nquantity = \"voltage\"";
        let files = [("name", "ads1015"), ("in_voltage2_raw", "-100\n")];
        for (more, volts) in [
            (&[("in_voltage2_scale", "2.0\n"), ("in_voltage_scale", "3.0\n")][..], -0.2),
            (&[("in_voltage_scale", "3.0\n"), ("in_voltage_offset", "10\n")], -0.27),
        ] {
            let board = board(2, &[&files[..], more].concat());
            assert_near(&read_once(&ENTRY, keys, &board).unwrap(), &[volts], 1e-9);
        }
    }

    #[test]
    fn a_scale_is_found_by_the_name_of_its_kind_and_never_left_out() {
        // The ABI's names; the folder's digits are not the file's.
        for (input, scale) in [
            ("in_voltage0-voltage1_raw", "in_voltage-voltage_scale"),
            ("in_voltage12_raw", "in_voltage_scale"),
            ("in_intensity_ir_raw", "in_intensity_scale"),
            ("in_intensity_ir_raw", "in_intensity_ir_scale"),
        ] {
            let board = board(1, &[("name", "chip"), (input, "5"), (scale, "2.0")]);
            let keys = format!("device = \"chip\"\ninput = \"{input}\"\nquantity = \"number\"");
            assert_near(&read_once(&ENTRY, &keys, &board).unwrap(), &[10.0], 1e-9);
        }
        let board = board(1, &[("name", "chip"), ("in_voltage2_raw", "5")]);
        let read = |keys: &str| {
            read_once(&ENTRY, &format!("device = \"chip\"\ninput = \"in_voltage2_raw\"\nquantity = {keys}"), &board)
        };
        let error = read("\"voltage\"").unwrap_err().to_string();
        assert!(error.contains("in_voltage2_raw has no value: there is no `in_voltage2_scale` beside it"), "{error}");
        assert_near(&read("\"voltage\"\nscale = 0.5").unwrap(), &[2.5], 1e-9);
        assert_near(&read("\"number\"").unwrap(), &[5.0], 1e-9);
    }

    #[test]
    fn gases_are_in_percent() {
        for (quantity, file, text, expected) in [
            ("eco2", "in_concentration_co2_input", "0.0417", 417.0),
            ("tvoc", "in_concentration_voc_input", "0.0000125", 125.0),
        ] {
            let board = board(1, &[("name", "ccs811"), (file, text)]);
            let keys = format!("device = \"ccs811\"\ninput = \"{file}\"\nquantity = \"{quantity}\"");
            assert_near(&read_once(&ENTRY, &keys, &board).unwrap(), &[expected], 1e-6);
        }
    }

    #[test]
    fn what_is_not_there_or_no_number_is_an_error() {
        let error = |board: &Recorded| read_once(&ENTRY, AIR, board).unwrap_err().to_string();
        let absent = error(&Recorded::default());
        assert!(absent.contains("there is no IIO device at all; load its driver by a dtoverlay"), "{absent}");
        assert!(error(&board(0, &[])).contains("IIO device bme280 is not there: there are rpi-adc; load"));
        let broken = board(1, &[("name", "bme280"), ("in_temp_input", "\n")]);
        assert!(error(&broken).contains("in_temp_input has no value: it has ``, which is no number"));
        broken.file("/sys/bus/iio/devices/iio:device7/name", "bme280");
        assert!(error(&broken).contains("several of this name; give `path`: /sys/bus/iio/devices/iio:device1, "));

        // A file that goes while it is open, because its driver is gone.
        let board = board(1, &[("name", "bme280"), ("in_temp_input", "21460")]);
        let mut sensor = opened(&ENTRY, AIR, &board).unwrap();
        sensor.read().unwrap();
        board.file("/sys/bus/iio/devices/iio:device1/in_temp_input", "inf");
        assert!(sensor.read().is_err());
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("quantity = \"temperature\"\ndevice = \"bme280\"", "add `input"),
            ("quantity = \"warmth\"\npath = \"/sys/a\"", "known quantities: temperature, humidity"),
            ("quantity = \"temperature\"\npath = \"a\"", "from the root on"),
            ("quantity = \"temperature\"\npath = \"/sys/../etc/a\"", "from the root on"),
            ("quantity = \"temperature\"\ndevice = \"a/b\"\ninput = \"c\"", "in_temp_input"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
