//! What the kernel shows: 1-Wire devices, chips that it reads itself, serial ports, SPI devices, GPIO chips.

use std::fs;
use std::path::Path;

use super::Found;

/// A heading, what was found, and what to say if that is nothing.
type Part = (&'static str, Vec<Found>, &'static str);

/// Everything but I²C.
pub fn all(root: &Path) -> [Part; 6] {
    [
        ("1-Wire", one_wire(root), "no device: enable the bus with dtoverlay=w1-gpio in /boot/firmware/config.txt"),
        ("industrial I/O", sensors(root, "sys/bus/iio/devices", "iio:device", "iio"), "the kernel reads no such chip"),
        ("hardware monitoring", sensors(root, "sys/class/hwmon", "hwmon", "hwmon"), "the kernel reads no such chip"),
        ("serial ports", ports(root), "none: enable the header's with enable_uart=1 in /boot/firmware/config.txt"),
        (
            "SPI",
            devices(root, &["spidev"], "a chip select"),
            "none: enable it with dtparam=spi=on in /boot/firmware/config.txt",
        ),
        ("GPIO", devices(root, &["gpiochip"], "a chip with lines"), "no chip"),
    ]
}

fn one_wire(root: &Path) -> Vec<Found> {
    let found = |id: String| {
        let table = id.starts_with("28-").then(|| format!("[sensors.probe]\ndriver = \"ds18b20\"\nid = \"{id}\"\n"));
        let what = if table.is_some() { "a DS18B20" } else { "no driver knows its family" };
        Found { place: id, what: what.to_owned(), table }
    };
    let ids = names(&root.join("sys/bus/w1/devices"));
    ids.into_iter().filter(|name| name.contains('-') && !name.starts_with("w1_bus")).map(found).collect()
}

/// Chips whose channels are files.
fn sensors(root: &Path, folder: &str, prefix: &str, driver: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for name in names(&root.join(folder)).into_iter().filter(|name| name.starts_with(prefix)) {
        let chip = root.join(folder).join(&name);
        let called = fs::read_to_string(chip.join("name")).unwrap_or_default().trim().to_owned();
        for file in names(&chip).into_iter().filter(|file| file.ends_with("_input")) {
            let table = quantity(&file).map(|quantity| {
                let path = Path::new("/").join(folder).join(&name).join(&file);
                format!(
                    "[sensors.{}]\ndriver = \"{driver}\"\npath = \"{}\"\nquantity = \"{quantity}\"\n",
                    plain(&called),
                    path.display()
                )
            });
            found.push(Found { place: format!("{name} {called}"), what: file, table });
        }
    }
    found
}

/// What a file of the kernel's measures, by its name: `temp1_input`, `in_temp_input`.
fn quantity(file: &str) -> Option<&'static str> {
    let kinds =
        [("humidity", "humidity"), ("temp", "temperature"), ("pressure", "pressure"), ("illuminance", "illuminance")];
    kinds.iter().find(|(part, _)| file.contains(part)).map(|(_, quantity)| *quantity)
}

/// As a name in the configuration may be.
fn plain(name: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_lowercase() || letter.is_ascii_digit() { letter } else { '_' };
    let name: String = name.to_ascii_lowercase().chars().map(letter).collect();
    if name.is_empty() { "found".to_owned() } else { name }
}

/// A PC has thirty-two `ttyS` whether anything is behind them or not; the first stands for them.
fn ports(root: &Path) -> Vec<Found> {
    let mut found = devices(root, &["serial", "ttyAMA", "ttyUSB", "ttyACM"], "a serial port");
    let is_device = |one: &Found| !one.place.ends_with("/serial");
    found.retain(is_device);
    found
}

fn devices(root: &Path, prefixes: &[&str], what: &str) -> Vec<Found> {
    let is_one = |name: &String| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let found = |name| Found { place: format!("/dev/{name}"), what: what.to_owned(), table: None };
    names(&root.join("dev")).into_iter().filter(is_one).map(found).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_shows_is_found_with_its_table() {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("sys/bus/w1/devices/28-0316a2795cff/temperature", "21437");
        file("sys/bus/w1/devices/w1_bus_master1/x", "");
        file("sys/class/hwmon/hwmon0/name", "cpu_thermal\n");
        file("sys/class/hwmon/hwmon0/temp1_input", "48312");
        file("dev/ttyUSB0", "");
        file("dev/spidev0.0", "");
        let tables: Vec<String> =
            all(root.path()).into_iter().flat_map(|(_, found, _)| found).filter_map(|one| one.table).collect();
        assert_eq!(
            tables,
            [
                "[sensors.probe]\ndriver = \"ds18b20\"\nid = \"28-0316a2795cff\"\n",
                "[sensors.cpu_thermal]\ndriver = \"hwmon\"\npath = \"/sys/class/hwmon/hwmon0/temp1_input\"\nquantity = \"temperature\"\n",
            ]
        );
        let places: Vec<usize> = all(root.path()).iter().map(|(_, found, _)| found.len()).collect();
        assert_eq!(places, [1, 0, 1, 1, 1, 0]);
    }
}
