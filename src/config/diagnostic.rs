//! One mistake in the file: what is wrong, where, and what to do about it.

use std::ops::Range;

/// A stretch of the file, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(pub Range<usize>);

impl Place {
    /// The place of a span.
    pub fn at(span: Range<usize>) -> Self {
        Self(span)
    }

    /// The same place, moved onto character boundaries of `text` where it was not.
    pub(super) fn within(&self, text: &str) -> Self {
        let boundary = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = boundary(self.0.start);
        Self(start..boundary(self.0.end).max(start))
    }
}

/// One mistake in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong: "unknown key `adress` for driver `bme280`".
    pub message: String,
    /// Where.
    pub place: Place,
    /// The next step, shown at the place: "did you mean `address`?".
    pub hint: String,
    /// Another place that has to do with it, and what stands there.
    pub also: Option<(Place, String)>,
    /// Something is not there. It may be there after all while the file's syntax is broken, so that it is not said then.
    pub absence: bool,
}

impl Diagnostic {
    /// Something that stands in the file is wrong.
    pub fn new(message: impl Into<String>, place: Place, hint: impl Into<String>) -> Self {
        Self { message: message.into(), place, hint: hint.into(), also: None, absence: false }
    }

    /// Something that should stand in the file does not.
    pub fn absent(message: impl Into<String>, place: Place, hint: impl Into<String>) -> Self {
        Self { absence: true, ..Self::new(message, place, hint) }
    }

    /// Shows another place beside it.
    pub fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.also = Some((place, label.into()));
        self
    }
}
