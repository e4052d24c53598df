//! What the drivers' tests share: a world to run in, and a section to be read from.

use std::cell::RefCell;

use toml::de::DeTable;

use super::{Driver, DriverError, Entry, SensorConfig};
use crate::clock::Clock;
use crate::config::{Diagnostic, Section};
use crate::hardware::recorded::Recorded;
use crate::hardware::simulated::{self, Simulated};

/// A world without plants and without chips.
pub fn world() -> Simulated {
    with("")
}

/// A world with a `[simulation]` table of these keys.
pub fn with(simulation: &str) -> Simulated {
    let (config, found) = section(simulation, simulated::Config::read);
    assert_eq!(found, []);
    Simulated::new(config.unwrap(), Clock::system())
}

/// One read of a sensor with these keys, in a room like this.
pub fn in_room(
    entry: &Entry,
    keys: &str,
    celsius: f64,
    percent: f64,
    hectopascal: f64,
) -> Result<Vec<f64>, DriverError> {
    let hardware = with(&format!(
        "[plants.room]\nkind = \"room\"\nheat_capacity = 1e6\nheat_loss = 0\n\
         initial = {celsius:?}\nhumidity = {percent:?}\npressure = {hectopascal:?}"
    ));
    let (config, found) = read(entry, keys);
    assert_eq!(found, []);
    let config = config.unwrap();
    hardware.plug(config.chip().unwrap(), "sensor");
    config.open(&hardware)?.read()
}

/// A sensor with these keys, opened on a board that plays a recorded exchange.
pub fn opened(entry: &Entry, keys: &str, board: &Recorded) -> Result<Box<dyn Driver>, DriverError> {
    let (config, found) = read(entry, keys);
    assert_eq!(found, []);
    config.unwrap().open(board)
}

/// One read of it, after which nothing of the exchange is left.
pub fn read_once(entry: &Entry, keys: &str, board: &Recorded) -> Result<Vec<f64>, DriverError> {
    let values = opened(entry, keys, board)?.read()?;
    board.done();
    Ok(values)
}

/// Values of a datasheet's example, to its last digit.
pub fn assert_near(values: &[f64], expected: &[f64], within: f64) {
    let near = values.len() == expected.len() && values.iter().zip(expected).all(|(a, b)| (a - b).abs() <= within);
    assert!(near, "{values:?} is not {expected:?}");
}

/// What a driver finds wrong with its keys.
pub fn mistakes(entry: &Entry, keys: &str) -> Vec<Diagnostic> {
    let (config, found) = read(entry, keys);
    assert_eq!(config.is_none(), !found.is_empty(), "{config:?} {found:?}");
    found
}

fn read(entry: &Entry, keys: &str) -> (Option<Box<dyn SensorConfig>>, Vec<Diagnostic>) {
    section(keys, |section| {
        let config = (entry.read)(&section);
        section.finish();
        config
    })
}

fn section<T>(toml: &str, read: impl FnOnce(Section<'_>) -> T) -> (T, Vec<Diagnostic>) {
    let table = DeTable::parse(toml).unwrap();
    let found = RefCell::default();
    let read = read(Section::new("sensor test", 0..0, table.get_ref(), &found));
    (read, found.into_inner())
}
