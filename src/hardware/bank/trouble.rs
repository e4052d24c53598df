//! What a person has to be told of a pin: that it does not obey, or that somebody else moved it.

use std::mem::{Discriminant, discriminant};

use super::{Confirmation, WriteError};
use crate::model::Level;

/// So often an output may fail to go on before a person is told. One that cannot be made safe is told of at once.
const TRIES: u32 = 3;

/// The same of looks that fail while every write between them is taken, for an output that is to be safe. One alone is noise on a wire.
const LOOKS: u32 = 2;

/// What is wrong with one pin.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    failure: Option<Failure>,
    /// Looks have failed. Kept apart, for some lines take every word, and say only when they are read that nobody hears it: such a write
    /// makes up for nothing.
    unheard: Option<Failure>,
    /// It was left at the first, and found at the second.
    moved: Option<(Level, Level)>,
}

#[derive(Debug)]
struct Failure {
    level: Level,
    tries: u32,
    kind: Discriminant<WriteError>,
    /// Of the first of its kind: the later ones differ in seconds only, and a person need not hear each.
    text: String,
}

impl Failure {
    fn after(before: Option<Self>, level: Level, error: &WriteError) -> Self {
        let kind = discriminant(error);
        let tries = before.as_ref().map_or(0, |before| before.tries).saturating_add(1);
        let text = before.filter(|before| before.kind == kind).map_or_else(|| error.to_string(), |before| before.text);
        Self { level, tries, kind, text }
    }
}

impl Trouble {
    /// `level` could not be brought to the pin.
    pub fn failed(&mut self, level: Level, error: &WriteError) {
        if !error.is_early() {
            self.failure = Some(Failure::after(self.failure.take(), level, error));
        }
    }

    /// It was left at `level`, and a look at it failed.
    pub fn unheard(&mut self, level: Level, error: &WriteError) {
        self.unheard = Some(Failure::after(self.unheard.take(), level, error));
    }

    /// It was written at `level` as it is wanted.
    pub fn obeys(&mut self, level: Level, confirmation: Confirmation) {
        self.failure = None;
        // Another level is another matter, and to read it back is to look.
        if confirmation == Confirmation::ReadBack || self.unheard.as_ref().is_some_and(|unheard| unheard.level != level)
        {
            self.unheard = None;
        }
    }

    /// A look at it did not fail.
    pub fn heard(&mut self) {
        self.unheard = None;
    }

    /// It was found elsewhere than it had been left.
    pub fn moved(&mut self, left: Level, found: Level) {
        self.moved = Some((left, found));
    }

    /// It was found where it had been left.
    pub fn in_order(&mut self) {
        self.moved = None;
    }

    /// What to tell of `who`, and what to do about it; `None` if all is well.
    pub fn told(&self, who: &str, safe: Level) -> Option<String> {
        let unheard = self.unheard.as_ref().filter(|unheard| unheard.tries >= LOOKS);
        match (self.failure.as_ref().or(unheard), self.moved) {
            (Some(Failure { level, text, .. }), _) if !level.is_on() => {
                Some(format!("{who} cannot be confirmed off: {text}: switch it off by hand at its plug"))
            }
            (Some(Failure { level, text, .. }), _) if *level == safe => {
                Some(format!("{who} cannot be confirmed at its safe level ({level}): {text}: set it by hand"))
            }
            (Some(Failure { text, tries, .. }), _) if *tries >= TRIES => {
                Some(format!("{who} cannot be turned on: {text}; check its wiring, and what is in its place meanwhile"))
            }
            (_, Some((left, found))) => Some(format!(
                "{who} was left {left} and found {found}: something else moved its pin; it is set back. Look for another program that uses it"
            )),
            _ => None,
        }
    }
}
