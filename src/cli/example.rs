//! A driver's example, read as the configuration's reader would.

use std::cell::RefCell;

use toml::de::{DeTable, DeValue};

use crate::config::Section;

/// What came of the one table of an example.
pub struct Example<T> {
    /// What its driver made of it.
    pub config: Option<T>,
    /// The keys that were asked for.
    pub keys: Vec<&'static str>,
    /// Whether nothing was wrong with it.
    pub is_right: bool,
}

/// Reads it; `None` for a text without a table.
pub fn read<T>(text: &str, read: impl FnOnce(&Section<'_>) -> Option<T>) -> Option<Example<T>> {
    let (root, _) = DeTable::parse_recoverable(text);
    let DeValue::Table(group) = root.get_ref().values().next()?.get_ref() else { return None };
    let DeValue::Table(table) = group.values().next()?.get_ref() else { return None };
    let found = RefCell::default();
    let section = Section::new("the example", 0..0, table, &found);
    let config = read(&section);
    let (keys, is_right) = (section.asked(), found.borrow().is_empty());
    Some(Example { config, keys, is_right })
}
