//! What the output drivers' tests share: a world to act in, and a section to be read from.

use std::cell::RefCell;

use toml::de::DeTable;

use super::{Entry, OutputConfig};
use crate::clock::Clock;
use crate::config::{Diagnostic, Section};
use crate::hardware::simulated::{Config, Simulated};

/// A world without plants.
pub fn world() -> Simulated {
    Simulated::new(Config::default(), Clock::system())
}

/// An output with these keys.
pub fn config(entry: &Entry, keys: &str) -> Box<dyn OutputConfig> {
    let (config, found) = read(entry, keys);
    assert_eq!(found, []);
    config.unwrap()
}

/// What a driver finds wrong with its keys.
pub fn mistakes(entry: &Entry, keys: &str) -> Vec<Diagnostic> {
    let (config, found) = read(entry, keys);
    assert!(config.is_some() || !found.is_empty());
    found
}

fn read(entry: &Entry, keys: &str) -> (Option<Box<dyn OutputConfig>>, Vec<Diagnostic>) {
    let table = DeTable::parse(keys).unwrap();
    let found = RefCell::default();
    let section = Section::new("output test", 0..0, table.get_ref(), &found);
    let config = (entry.read)(&section);
    section.finish();
    (config, found.into_inner())
}
