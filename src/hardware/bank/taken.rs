//! Hardware that was taken: its line, and when that is better dropped, so that the next write takes it anew.

use std::time::Duration;

use super::{Confirmation, Line};
use crate::hardware::HardwareError;
use crate::model::Level;
use crate::panics;

/// So many failures in a row, of writes and of looks, are no accident. What was unplugged comes back as another chip or another file,
/// and a line that was opened before never obeys again. One failure alone is noise on a wire, which the next write repairs.
const FAILURES: u32 = 2;

/// What came of a write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub confirmation: Confirmation,
    /// It moves there by itself, and may need so long.
    pub under_way: Option<Duration>,
    /// How often it is to be told that again.
    pub repeat: Option<Duration>,
}

/// A line, and how often in a row it has failed.
pub(super) struct Taken {
    line: Box<dyn Line>,
    writes: u32,
    /// Counted apart, so that no write that is taken makes up for one: some lines take every word, and say only when they are read that
    /// nobody hears it any more.
    reads: u32,
}

impl Taken {
    pub fn new(line: Box<dyn Line>) -> Self {
        Self { line, writes: 0, reads: 0 }
    }

    /// Writes, and gives itself back unless the line was dropped.
    pub fn write(self, level: Level) -> (Option<Self>, Result<Written, HardwareError>) {
        let Self { line, writes, reads } = self;
        let write = |line: &mut Box<dyn Line>| {
            let confirmation = line.write(level)?;
            Ok(Written { confirmation, under_way: line.under_way()?, repeat: line.repeat() })
        };
        let (line, (written, renewable)) = panics::lend(line, |line| (write(line), line.renewable()));
        let writes = if written.is_ok() { 0 } else { writes + 1 };
        (Self { line, writes, reads }.kept(renewable), written)
    }

    /// Reads, and gives itself back unless the line was dropped.
    pub fn read_back(self) -> (Option<Self>, Result<Option<Level>, HardwareError>) {
        self.look(|line| line.read_back())
    }

    /// How long it still moves by itself. Gives itself back unless the line was dropped.
    pub fn under_way(self) -> (Option<Self>, Result<Option<Duration>, HardwareError>) {
        self.look(|line| line.under_way())
    }

    fn look<T>(
        self,
        at: impl FnOnce(&mut Box<dyn Line>) -> Result<T, HardwareError>,
    ) -> (Option<Self>, Result<T, HardwareError>) {
        let Self { line, writes, reads } = self;
        let (line, (found, renewable)) = panics::lend(line, |line| (at(line), line.renewable()));
        let reads = if found.is_ok() { 0 } else { reads + 1 };
        (Self { line, writes, reads }.kept(renewable), found)
    }

    fn kept(self, renewable: bool) -> Option<Self> {
        (!renewable || self.writes + self.reads < FAILURES).then_some(self)
    }
}
