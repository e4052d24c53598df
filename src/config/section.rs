//! A table of the file that is being read key by key. What nobody read is an error, so no option is ever ignored.

use std::cell::{Cell, RefCell};
use std::ops::{Range, RangeInclusive};
use std::rc::Rc;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Place};
use super::value::{Value, kind, written};
use crate::model::NameError;

/// One table of the file. Each call reads one key; [`Section::finish`] reports the keys that nobody asked for.
pub struct Section<'a> {
    /// As a person would say it: `sensor air`.
    what: String,
    header: Range<usize>,
    table: &'a DeTable<'a>,
    asked: RefCell<Vec<&'static str>>,
    shared: RefCell<Vec<Shared<'a>>>,
    spared: Cell<bool>,
    found: &'a RefCell<Vec<Diagnostic>>,
}

/// So many words can be read at a glance.
const A_FEW: usize = 8;

/// A table that several readers take their keys from; `None` if it is not there or not a table.
struct Shared<'a> {
    key: &'static str,
    table: Option<Rc<Section<'a>>>,
}

impl<'a> Section<'a> {
    /// Begins reading `table`, whose header stands at `header`.
    pub fn new(
        what: impl Into<String>,
        header: Range<usize>,
        table: &'a DeTable<'a>,
        found: &'a RefCell<Vec<Diagnostic>>,
    ) -> Self {
        Self {
            what: what.into(),
            header,
            table,
            asked: RefCell::default(),
            shared: RefCell::default(),
            spared: Cell::new(false),
            found,
        }
    }

    /// What the section is about: `sensor air`.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// A key that must be there.
    pub fn required<T: Value>(&self, key: &'static str) -> Option<T> {
        if self.has(key) {
            return self.optional(key);
        }
        self.lacks(key, format!("add `{key} = {}`", T::EXAMPLE));
        None
    }

    /// A key that may be there; `None` also if its value is wrong, which is reported.
    pub fn optional<T: Value>(&self, key: &'static str) -> Option<T> {
        let value = self.value(key)?;
        match T::read(value.get_ref()) {
            Ok(value) => Some(value),
            Err(hint) => {
                let message = format!("`{key}` of {} is not {}", self.what, T::EXPECTED);
                self.report(Diagnostic::new(message, Place::at(value.span()), hint));
                None
            }
        }
    }

    /// A key with a default.
    pub fn or<T: Value>(&self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// A duration that may be there; `None` also if it is wrong or outside `range`, which is reported.
    pub fn duration(&self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let value: Duration = self.optional(key)?;
        if range.contains(&value) {
            return Some(value);
        }
        let (least, most) = (written(*range.start()), written(*range.end()));
        self.wrong(
            key,
            format!("`{key}` of {} cannot be {}", self.what, written(value)),
            format!("it goes from {least} to {most}"),
        );
        None
    }

    /// A key that must be there with one of a few words as its value: `driver = "bme280"`. A word that is nearly one of
    /// them is reported and then taken for it, so that the rest of the section can be checked too.
    pub fn word(&self, key: &'static str, known: &[&'static str]) -> Option<&'static str> {
        let all = match known.len() {
            ..=A_FEW => format!("known {key}s: {}", known.join(", ")),
            _ => format!("`homeostat {key}s` lists them all"),
        };
        if !self.has(key) {
            self.lacks(key, format!("add `{key} = \"…\"`; {all}"));
            return None;
        }
        let word: String = self.optional(key)?;
        if let Some(found) = known.iter().find(|known| **known == word) {
            return Some(found);
        }
        let near = nearest(&word, known);
        let hint = near.map_or_else(|| all.clone(), |near| format!("did you mean `{near}`? {all}"));
        self.wrong(key, format!("unknown {key} `{word}`"), hint);
        near
    }

    /// The name of the section itself, as an identifier of the model.
    pub fn name<T>(&self, name: &str, read: impl FnOnce(&str) -> Result<T, NameError>) -> Option<T> {
        read(name)
            .map_err(|error| {
                let message = format!("{} needs another name", self.what);
                self.report(Diagnostic::new(message, self.header_place(), error.to_string()));
            })
            .ok()
    }

    /// Whether the key stands in the file, right or wrong.
    pub fn has(&self, key: &'static str) -> bool {
        self.asked.borrow_mut().push(key);
        self.table.get(key).is_some()
    }

    /// The keys that were asked for so far, each once.
    pub fn asked(&self) -> Vec<&'static str> {
        let mut keys: Vec<&'static str> = Vec::new();
        for key in self.asked.borrow().iter() {
            if !keys.contains(key) {
                keys.push(key);
            }
        }
        keys
    }

    /// Where the value of `key` stands, or else the section's header.
    pub fn place(&self, key: &str) -> Place {
        self.table.get(key).map_or_else(|| self.header_place(), |value| Place::at(value.span()))
    }

    /// Where the section begins.
    pub fn header_place(&self) -> Place {
        Place::at(self.header.clone())
    }

    /// The value of a key as it stands in the file.
    pub fn value(&self, key: &'static str) -> Option<&'a toml::Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    /// A table under this one: `temperature = { … }`.
    pub fn table(&self, key: &'static str) -> Option<Section<'a>> {
        self.part(key, format!("`{key}` of {}", self.what), "{ … }")
    }

    /// A table under this one that several readers share: each takes its keys from it, and what none of them asked for is
    /// reported when this section is finished.
    pub fn shared(&self, key: &'static str) -> Option<Rc<Section<'a>>> {
        if let Some(known) = self.shared.borrow().iter().find(|known| known.key == key) {
            return known.table.clone();
        }
        let table = self.table(key).map(Rc::new);
        self.shared.borrow_mut().push(Shared { key, table: table.clone() });
        table
    }

    /// Says nothing about tables that nobody asked for: who would have was itself not understood.
    pub fn spare_tables(&self) {
        self.spared.set(true);
    }

    /// A table under this one that has a name of its own: `[store]`.
    pub(super) fn part(&self, key: &'static str, what: String, instead: &str) -> Option<Section<'a>> {
        let value = self.value(key)?;
        if let DeValue::Table(table) = value.get_ref() {
            return Some(self.inner(what, self.key_span(key), table));
        }
        let hint = format!("this is {}; write `{instead}`", kind(value.get_ref()));
        self.report(Diagnostic::new(format!("{what} is not a table"), Place::at(value.span()), hint));
        None
    }

    /// Begins reading a table that was found among the [`entries`](Self::entries).
    pub fn inner(&self, what: impl Into<String>, header: Range<usize>, table: &'a DeTable<'a>) -> Section<'a> {
        Section::new(what, header, table, self.found)
    }

    /// All tables under a table of named things: `[sensors.air]`, `[sensors.soil]` for the key `sensors`.
    /// `one` is what a single one is called: `sensor`.
    pub fn named(&self, key: &'static str, one: &str) -> Vec<(&'a str, Section<'a>)> {
        let Some(group) = self.part(key, format!("`{key}`"), &format!("[{key}.NAME]")) else { return Vec::new() };
        let mut sections = Vec::new();
        for (name, value) in group.table {
            match value.get_ref() {
                DeValue::Table(table) => {
                    let section = self.inner(format!("{one} {}", name.get_ref()), name.span(), table);
                    sections.push((name.get_ref().as_ref(), section));
                }
                other => self.report(Diagnostic::new(
                    format!("{one} {} is not a table", name.get_ref()),
                    Place::at(value.span()),
                    format!("this is {}; write `[{key}.{}]`", kind(other), name.get_ref()),
                )),
            }
        }
        sections
    }

    /// Every key and value as they stand, for tables whose keys are not known beforehand.
    pub fn entries(
        &self,
    ) -> impl Iterator<Item = (&'a toml::Spanned<toml::de::DeString<'a>>, &'a toml::Spanned<DeValue<'a>>)> {
        self.table.iter()
    }

    /// Reports a mistake in the value of `key` (or in the section, if it has no such key).
    pub fn wrong(&self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.report(Diagnostic::new(message, self.place(key), hint));
    }

    /// Reports a mistake.
    pub fn report(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push(diagnostic);
    }

    /// Reports every key that nobody asked for, with the nearest one that somebody did.
    pub fn finish(self) {
        let what = format!(" for {}", self.what);
        self.finish_as(|key, _| format!("unknown key `{key}`{what}"));
    }

    /// The same, for keys that depend on a driver.
    pub fn finish_for(self, driver: &str) {
        self.finish_as(|key, _| format!("unknown key `{key}` for driver `{driver}`"));
    }

    /// The same, in other words.
    pub(super) fn finish_as(self, message: impl Fn(&str, &DeValue<'_>) -> String) {
        self.report_unasked(message);
        for table in self.shared.take().into_iter().filter_map(|shared| shared.table) {
            table.report_unasked(|key, _| format!("unknown key `{key}` for {}", table.what));
        }
    }

    fn report_unasked(&self, message: impl Fn(&str, &DeValue<'_>) -> String) {
        let asked = self.asked.borrow();
        let mut misspelt = Vec::new();
        for (key, value) in self.table {
            let name: &str = key.get_ref();
            if asked.contains(&name) || self.spared.get() && value.get_ref().is_table() {
                continue;
            }
            let hint = match nearest(name, &asked) {
                Some(near) => {
                    misspelt.push(near);
                    format!("did you mean `{near}`?")
                }
                None => format!("known: {}", listed(&asked)),
            };
            self.report(Diagnostic::new(message(name, value.get_ref()), Place::at(key.span()), hint));
        }
        // A key that is there under a wrong name is one mistake, not two.
        misspelt.sort_unstable();
        misspelt.dedup();
        let missing: Vec<String> = misspelt.into_iter().map(|key| self.needs(key)).collect();
        let here = self.header_place();
        self.found.borrow_mut().retain(|one| !(one.absence && one.place == here && missing.contains(&one.message)));
    }

    /// Reports that `key` is not there.
    fn lacks(&self, key: &str, hint: String) {
        self.report(Diagnostic::absent(self.needs(key), self.header_place(), hint));
    }

    fn needs(&self, key: &str) -> String {
        format!("{} needs `{key}`", self.what)
    }

    /// Where mistakes are collected.
    pub(super) fn reporter(&self) -> &'a RefCell<Vec<Diagnostic>> {
        self.found
    }

    fn key_span(&self, key: &str) -> Range<usize> {
        self.table.get_key_value(key).map_or(self.header.clone(), |(key, _)| key.span())
    }
}

/// The candidate that `name` was most likely meant to be.
pub fn nearest<'c>(name: &str, candidates: &[&'c str]) -> Option<&'c str> {
    /// Nobody mistypes a longer word for another, and the comparison takes the product of both lengths.
    const LONGEST: usize = 64;
    candidates
        .iter()
        .filter(|candidate| name.len().max(candidate.len()) <= LONGEST)
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4 && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Names in one line, in alphabetical order.
pub(super) fn listed(names: &[&str]) -> String {
    let mut names: Vec<&str> = names.to_vec();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}
