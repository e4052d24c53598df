//! Who answers on an I²C bus, and which drivers know a chip at such an address.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use embedded_hal::i2c::I2c as _;

use super::Found;
use crate::cli::example;
use crate::config::{Config, Section};
use crate::hardware::{Hardware, HardwareError};
use crate::model::Claim;
use crate::{outputs, sensors};

/// The addresses that chips may have; the others mean something to the bus itself.
const ADDRESSES: std::ops::RangeInclusive<u8> = 0x08..=0x77;

/// The numbers of the buses below /dev.
pub fn buses(root: &Path) -> Vec<u8> {
    let names = fs::read_dir(root.join("dev")).into_iter().flatten().flatten();
    let number = |name: String| name.strip_prefix("i2c-")?.parse().ok();
    let mut numbers: Vec<u8> =
        names.filter_map(|entry| number(entry.file_name().to_string_lossy().into_owned())).collect();
    numbers.sort_unstable();
    numbers
}

/// What answered.
pub struct Bus {
    number: u8,
    answers: Vec<(u8, Answer)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Acknowledged,
    /// It cannot be asked: a kernel driver has it.
    Taken(String),
}

impl Bus {
    /// Asks every address. Writes nothing, but where chips are known to take that amiss reads a byte instead, as `i2cdetect` does.
    ///
    /// # Errors
    /// The bus cannot be opened, or is held.
    pub fn scan(number: u8, board: &dyn Hardware) -> Result<Self, HardwareError> {
        let mut bus = board.i2c(number)?;
        let mut answers = Vec::new();
        for address in ADDRESSES {
            let asked = match address {
                // EEPROMs would take an empty write for the beginning of a page.
                0x30..=0x37 | 0x50..=0x5f => bus.read(address, &mut [0]),
                _ => bus.write(address, &[]),
            };
            match asked {
                Ok(()) => answers.push((address, Answer::Acknowledged)),
                Err(HardwareError::NoAcknowledge { .. }) => {}
                Err(error) if error.to_string().contains("a kernel driver") => {
                    answers.push((address, Answer::Taken("a kernel driver has it".to_owned())));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self { number, answers })
    }

    /// What that means: whose it is in the configuration, or which drivers could be for it. With a board, the sensors' drivers are tried.
    pub fn found(self, known: Option<&Config>, identify: Option<&Arc<dyn Hardware>>) -> Vec<Found> {
        let Self { number, answers } = self;
        let found = |(address, answer): (u8, Answer)| {
            let place = format!("{address:#04x}");
            let (what, table) = match (answer, known.and_then(|config| owner(config, number, address))) {
                (Answer::Taken(what), _) => (what, None),
                (Answer::Acknowledged, Some(owner)) => (owner, None),
                (Answer::Acknowledged, None) => guess(number, address, identify),
            };
            Found { place, what, table }
        };
        answers.into_iter().map(found).collect()
    }
}

/// Who has the address in a configuration.
fn owner(config: &Config, bus: u8, address: u8) -> Option<String> {
    let sensors = config.sensors.iter().map(|one| (format!("sensor {} ({})", one.id, one.driver), one.device.claims()));
    let outputs = config.outputs.iter().map(|one| (format!("output {} ({})", one.id, one.driver), one.device.claims()));
    let mut owners: Vec<String> = Vec::new();
    for (name, claims) in sensors.chain(outputs) {
        if claims.iter().any(|claim| is_at(claim, bus, address)) {
            owners.push(name);
        }
    }
    (!owners.is_empty()).then(|| format!("{} in the configuration", owners.join(", ")))
}

fn is_at(claim: &Claim, bus: u8, address: u8) -> bool {
    match claim {
        Claim::I2c { bus: b, address: a } | Claim::I2cInput { bus: b, address: a, .. } => (*b, *a) == (bus, address),
        _ => false,
    }
}

/// The drivers whose chips can be at this address, and the table of the first.
fn guess(bus: u8, address: u8, identify: Option<&Arc<dyn Hardware>>) -> (String, Option<String>) {
    let place = |example: &str| placed(example, bus, address);
    let mut names = Vec::new();
    let mut tables = Vec::new();
    for entry in sensors::DRIVERS {
        let text = place(entry.example);
        let Some(config) = read(&text, |section| (entry.read)(section)) else { continue };
        if !config.claims().iter().any(|claim| is_at(claim, bus, address)) {
            continue;
        }
        if let Some(board) = identify
            && config.open(&**board).is_ok()
        {
            return (format!("a {} it says", entry.name), Some(text));
        }
        names.push(entry.name);
        tables.push(text);
    }
    for entry in outputs::DRIVERS {
        let text = place(entry.example);
        let config = read(&text, |section| (entry.read)(section));
        if config.is_some_and(|config| config.claims().iter().any(|claim| is_at(claim, bus, address))) {
            names.push(entry.name);
            tables.push(text);
        }
    }
    match names.as_slice() {
        [] => ("somebody answers, but no driver knows a chip at this address".to_owned(), None),
        [one] => (format!("perhaps {one}"), tables.pop()),
        [first, rest @ ..] => {
            let table = tables.into_iter().next().map(|table| {
                table.replacen(
                    &format!("driver = \"{first}\""),
                    &format!("driver = \"{first}\"  # or {}", rest.join(", ")),
                    1,
                )
            });
            (format!("perhaps {}", names.join(", ")), table)
        }
    }
}

/// An example's table at another place.
fn placed(example: &str, bus: u8, address: u8) -> String {
    let is_place = |line: &&str| {
        let key = line.split('=').next().unwrap_or_default().trim();
        key != "bus" && key != "address"
    };
    let mut text = String::new();
    for line in example.trim().lines().filter(is_place) {
        text.push_str(line);
        text.push('\n');
        if line.starts_with("driver") {
            text.push_str(&format!("bus = {bus}\naddress = {address:#04x}\n"));
        }
    }
    text
}

/// Reads the one table of a text, without a word about what is wrong with it.
fn read<T>(text: &str, read: impl FnOnce(&Section<'_>) -> Option<T>) -> Option<T> {
    example::read(text, read).filter(|example| example.is_right)?.config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config;
    use crate::daemon::simulated;

    #[test]
    fn who_answers_is_found_with_its_owner_or_with_drivers_that_know_its_address() {
        let house = |names: [&str; 2]| {
            let text = format!(
                "[node]\nname = \"x\"\nhardware = \"simulated\"\n[sensors.{}]\ndriver = \"bme280\"\n\
                 [sensors.{}]\ndriver = \"ads1115\"\naddress = 0x49\ninput = 0\n",
                names[0], names[1]
            );
            config::parse(&text).unwrap()
        };
        let config = house(["air", "soil"]);
        let board: Arc<dyn Hardware> = Arc::new(simulated(&config, Clock::system()));
        let found = Bus::scan(1, &*board).unwrap().found(Some(&config), None);
        let places: Vec<&str> = found.iter().map(|one| one.place.as_str()).collect();
        assert_eq!(places, ["0x49", "0x76"]);
        assert_eq!(found[1].what, "sensor air (bme280) in the configuration");

        let found = Bus::scan(1, &*board).unwrap().found(None, None);
        assert!(found[1].what.starts_with("perhaps ") && found[1].what.contains("bme280"), "{found:?}");
        let table = found[1].table.as_ref().unwrap();
        assert!(table.contains("bus = 1\naddress = 0x76\n"), "{table}");

        let found = Bus::scan(1, &*board).unwrap().found(None, Some(&board));
        assert_eq!(found[1].what, "a bme280 it says");
    }
}
