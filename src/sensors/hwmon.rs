//! One value of the machine's own sensors that the kernel shows in /sys/class/hwmon: supplies, fans, drives.
//!
//! Source: the kernel's Documentation/ABI/testing/sysfs-class-hwmon.

use super::kernel::{Class, KernelValue};
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::Hardware;
use crate::model::Quantity;
use crate::wiring::Wiring;

const ABOUT: &str = "\
- `device` is the text of the file `name` in `/sys/class/hwmon/hwmon0` (or 1, 2 …), and `input` a file beside it: `temp1_input`,
  `in1_input`, `fan1_input`. `head /sys/class/hwmon/*/name` shows them. `path`, the whole path of the file, takes the place of both, but the
  numbers of the folders change from start to start.
- On a Pi: `rpi_volt` has `in0_lcrit_alarm`, 1 after the supply was too weak (`quantity = \"state\"`), `cpu_thermal` has `temp1_input`, and
  on a Pi 5 `pwmfan` has `fan1_input` in revolutions a minute (`quantity = \"number\"`).
- `scale`: what makes the quantity's unit of the kernel's. Without the key it is as the kernel documents it: thousandths of °C, %, V and A,
  millionths of W, and what is here too for the rest.
";

pub(super) const ENTRY: Entry = Entry {
    name: "hwmon",
    summary: "a value that the kernel shows in /sys/class/hwmon: supply, fan, drive",
    about: ABOUT,
    example: r#"
[sensors.undervoltage]
driver = "hwmon"
device = "rpi_volt"
input = "in0_lcrit_alarm"
quantity = "state"
every = "10s"
"#,
    read,
};

static CLASS: Class = Class {
    kind: "hwmon device",
    folders: "/sys/class/hwmon/hwmon",
    units: &[
        (Quantity::Temperature, 1e-3),
        (Quantity::Humidity, 1e-3),
        (Quantity::Voltage, 1e-3),
        (Quantity::Current, 1e-3),
        (Quantity::Power, 1e-6),
    ],
    example: ("cpu_thermal", "temp1_input"),
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
        Wiring::unclaimed("hwmon")
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        Ok(self.0.open(hardware, self.0.find(hardware)?, 0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, read_once};
    use super::*;
    use crate::hardware::recorded::Recorded;

    #[test]
    fn a_value_is_in_our_unit_and_of_the_device_that_is_named() {
        let board = Recorded::default();
        for (number, name, file, text) in [
            (0, "cpu_thermal", "temp1_input", "48212"),
            (1, "rpi_volt", "in0_lcrit_alarm", "1"),
            (2, "ina226", "power1_input", "2500000"),
            (2, "ina226", "in1_input", "5012"),
        ] {
            board.file(format!("/sys/class/hwmon/hwmon{number}/name"), &format!("{name}\n"));
            board.file(format!("/sys/class/hwmon/hwmon{number}/{file}"), &format!("{text}\n"));
        }
        for (device, input, quantity, value) in [
            ("cpu_thermal", "temp1_input", "temperature", 48.212),
            ("rpi_volt", "in0_lcrit_alarm", "state", 1.0),
            ("ina226", "power1_input", "power", 2.5),
            ("ina226", "in1_input", "voltage", 5.012),
            ("ina226", "in1_input", "voltage\"\nscale = 1\n#\"", 5012.0),
        ] {
            let keys = format!("device = \"{device}\"\ninput = \"{input}\"\nquantity = \"{quantity}\"");
            assert_near(&read_once(&ENTRY, &keys, &board).unwrap(), &[value], 1e-9);
        }
        let keys = "device = \"ina226\"\ninput = \"in2_input\"\nquantity = \"voltage\"";
        let error = read_once(&ENTRY, keys, &board).unwrap_err().to_string();
        assert!(error.contains("/sys/class/hwmon/hwmon2/in2_input not found"), "{error}");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        let found = mistakes(&ENTRY, "device = \"rpi_volt\"\ninput = \"in0_lcrit_alarm\"");
        assert!(found[0].hint.contains("add `quantity = \"temperature\"`"), "{found:?}");
    }
}
