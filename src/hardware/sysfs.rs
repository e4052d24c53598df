//! What the kernel shows in /sys: the devices on the 1-Wire bus, and which PWM chip drives the header's pins.

use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::advice::{Board, Part, explain, missing, not_among};
use super::{HardwareError, OneWire};

/// Where the kernel shows the devices on the 1-Wire bus.
pub(super) const ONE_WIRE: &str = "/sys/bus/w1/devices";

/// Where the kernel shows the PWM chips.
pub(super) const PWM: &str = "/sys/class/pwm";

/// The PWM controller that drives pins of the header, by the end of its address in the device tree: up to the Pi 4, and the Pi 5.
/// Other chips, as for the Pi 5's fan, must not be touched, and their order changes from kernel to kernel.
const HEADER_PWM: [&str; 2] = ["20c000.pwm", "1f00098000.pwm"];

/// One device on the 1-Wire bus, through the kernel's driver.
#[derive(Debug)]
pub(super) struct OneWireDevice {
    board: Board,
    bus: PathBuf,
    id: String,
}

impl OneWireDevice {
    /// Finds the device; where it is missing, the error names those that are there.
    pub(super) fn find(board: Board, bus: &Path, id: &str) -> Result<Self, HardwareError> {
        let device = Self { board, bus: bus.to_owned(), id: id.to_owned() };
        if device.present()?.iter().any(|present| present == id) {
            Ok(device)
        } else {
            Err(not_among(id, &device.present()?))
        }
    }

    fn present(&self) -> Result<Vec<String>, HardwareError> {
        let mut ids =
            names(&self.bus).map_err(|error| explain(self.board, Part::OneWire(&self.id), "listing", &error))?;
        if ids.is_empty() {
            // Without a master there is no bus, though its folder may be there.
            return Err(missing(self.board, Part::OneWire(&self.id)));
        }
        ids.retain(|name| !name.starts_with("w1_bus_master"));
        Ok(ids)
    }
}

impl OneWire for OneWireDevice {
    fn read(&mut self, file: &str) -> Result<String, HardwareError> {
        match fs::read_to_string(self.bus.join(&self.id).join(file)) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(not_among(&self.id, &self.present()?)),
            Err(error) => Err(explain(self.board, Part::OneWire(&self.id), "reading", &error)),
        }
    }
}

/// So much of a file is read; what the kernel shows is far shorter.
const MOST: u64 = 64 * 1024;

/// The text of a file, whatever bytes are in it.
pub(super) fn read_file(path: &Path) -> Result<String, HardwareError> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes));
    read.map_err(|error| explain(Board::Other, Part::File(path), "reading", &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The number of the PWM chip that drives the header's pins of a Raspberry Pi: `pwmchipN` below `class`.
pub(super) fn header_pwm(class: &Path, channel: u8) -> Result<u8, HardwareError> {
    let (board, part) = (Board::RaspberryPi, Part::Pwm(channel));
    let drives_header = |number: &u8| {
        let device = class.join(format!("pwmchip{number}")).canonicalize().unwrap_or_default();
        device.iter().any(|part| HEADER_PWM.iter().any(|end| part.to_string_lossy().ends_with(end)))
    };
    let chips = pwm_chips(class).map_err(|error| explain(board, part, "finding", &error))?;
    chips.into_iter().find(drives_header).ok_or_else(|| missing(board, part))
}

/// The numbers of all PWM chips, in their order.
pub(super) fn pwm_chips(class: &Path) -> io::Result<Vec<u8>> {
    let mut numbers: Vec<u8> =
        names(class)?.iter().filter_map(|name| name.strip_prefix("pwmchip")?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_one_wire_device_is_read_as_the_kernel_shows_it() {
        let bus = tempfile::tempdir().unwrap();
        fs::create_dir_all(bus.path().join("w1_bus_master1")).unwrap();
        fs::create_dir_all(bus.path().join("28-0316a2795cff")).unwrap();
        fs::write(bus.path().join("28-0316a2795cff/temperature"), "21437\n").unwrap();

        let mut device = OneWireDevice::find(Board::RaspberryPi, bus.path(), "28-0316a2795cff").unwrap();
        assert_eq!(device.read("temperature").unwrap(), "21437\n");

        fs::remove_dir_all(bus.path().join("28-0316a2795cff")).unwrap();
        assert!(device.read("temperature").unwrap_err().to_string().contains("nothing is on it"));
    }

    #[test]
    fn a_missing_one_wire_device_names_those_that_are_there() {
        let bus = tempfile::tempdir().unwrap();
        let error = |id: &str| OneWireDevice::find(Board::RaspberryPi, bus.path(), id).unwrap_err().to_string();
        assert!(error("28-aa").contains("dtoverlay=w1-gpio"), "{}", error("28-aa"));
        for name in ["w1_bus_master1", "28-bb", "28-cc"] {
            fs::create_dir(bus.path().join(name)).unwrap();
        }
        assert_eq!(error("28-aa"), "1-Wire device 28-aa not found: the bus has 28-bb, 28-cc");
        assert_eq!(error("../28-bb"), "1-Wire device ../28-bb not found: the bus has 28-bb, 28-cc");
        assert!(
            OneWireDevice::find(Board::RaspberryPi, &bus.path().join("no"), "28-aa")
                .unwrap_err()
                .to_string()
                .contains("dtoverlay=w1-gpio")
        );
    }

    #[test]
    fn the_headers_pwm_chip_is_found_by_its_device_and_not_by_its_number() {
        let cases = [
            (vec![("pwmchip0", "soc/3f20c000.pwm")], Some(0)),
            (vec![("pwmchip0", "soc/fe20c800.pwm"), ("pwmchip1", "soc/fe20c000.pwm")], Some(1)),
            (vec![("pwmchip0", "soc/107d517a80.pwm"), ("pwmchip2", "axi/1000120000.pcie/1f00098000.pwm")], Some(2)),
            (vec![("pwmchip0", "axi/1000120000.pcie/1f0009c000.pwm")], None),
            (vec![], None),
        ];
        for (chips, expected) in cases {
            let sys = tempfile::tempdir().unwrap();
            let class = sys.path().join("class");
            fs::create_dir(&class).unwrap();
            for (name, device) in &chips {
                let device = sys.path().join(device).join("pwm").join(name);
                fs::create_dir_all(&device).unwrap();
                symlink(&device, class.join(name)).unwrap();
            }
            assert_eq!(header_pwm(&class, 0).ok(), expected, "{chips:?}");
        }
    }
}
