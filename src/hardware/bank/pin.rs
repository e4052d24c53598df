//! What is known of a pin: nothing, where it was before a write that is under way, or where it is and how surely.

use super::Confirmation;
use crate::model::Level;

/// What is known of a pin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pin {
    /// Nothing: before the first write, and after one that failed.
    Unknown,
    /// A write is due or under way; before it, the pin was at this.
    Leaving(Level),
    /// It is at this.
    At(Level, Confirmation),
}

impl Pin {
    pub fn is_at(self, level: Level) -> bool {
        self.level() == Some(level)
    }

    pub fn level(self) -> Option<Level> {
        if let Self::At(level, _) = self { Some(level) } else { None }
    }
}
