//! How one output depends on another.

use std::fmt;

/// What two outputs have to do with each other, as the file names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interlock {
    /// `only_while`: on only while the other is on, and that is confirmed.
    OnlyWhile,
    /// `never_with`: on only while the other is off, and that is confirmed.
    NeverWith,
}

impl fmt::Display for Interlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnlyWhile => "only_while",
            Self::NeverWith => "never_with",
        })
    }
}
