//! What is done between two flushes, and when: readings are rolled up, old ones go, and the file keeps to its size. One step at a
//! time, each of them bounded, so a flush never waits for more than one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::{info, warn};

use super::config::{Config, Keep};
use super::thin::{Size, Step, Terms};
use super::{Store, StoreError, reserve};
use crate::model::{Monotonic, Timestamp};
use crate::panics::locked;

/// How often a round begins.
const EVERY: Duration = Duration::from_secs(600);

/// Nothing goes by its age before the clock has gone steadily for so long: one that is a year ahead until the network or a person has
/// put it right would make everything old. Short enough for a machine that is started anew every night.
const STEADY: Duration = Duration::from_secs(6 * 3600);

/// A clock that was slewed is not one that was set: milliseconds from one round to the next.
const SLEWED: i64 = 60_000;

/// What there is to do, and on which terms.
#[derive(Debug)]
pub(super) struct Keeper {
    keep: Keep,
    max_size: u64,
    /// Whether readings wait for the history's reader, if that is known.
    pub(super) for_history: Option<bool>,
    stage: Stage,
    next: Monotonic,
    /// Civil time less time since the start, and since when that is so.
    offset: Option<(i64, Monotonic)>,
    /// The disk has no room.
    full: bool,
    unread: u64,
    /// The history's cursor when it was last looked at.
    pub(super) cursor_written: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Resting,
    RollingUp,
    Thinning,
}

impl Default for Keeper {
    fn default() -> Self {
        let Config { keep, max_size, .. } = Config::default();
        Self {
            keep,
            max_size,
            for_history: None,
            stage: Stage::Resting,
            next: Monotonic::new(EVERY),
            offset: None,
            full: false,
            unread: 0,
            cursor_written: 0,
        }
    }
}

impl Keeper {
    /// Whether the last write found no room.
    pub(super) fn full(&mut self, full: bool) {
        self.full = full;
    }

    /// Whether the clock has gone steadily for long enough.
    fn is_steady(&mut self, wall: Timestamp, now: Monotonic) -> bool {
        let offset = wall.as_millis().saturating_sub(i64::try_from(now.since_start().as_millis()).unwrap_or(i64::MAX));
        let since = match self.offset {
            Some((before, since)) if before.abs_diff(offset) <= SLEWED.unsigned_abs() => since,
            _ => now,
        };
        self.offset = Some((offset, since));
        now.since(since) >= STEADY
    }
}

impl Store {
    /// Has the store keep what the configuration asks for.
    pub(super) fn keeps(&self, config: &Config) {
        let mut keeper = locked(&self.shared.keeper);
        (keeper.keep, keeper.max_size) = (config.keep, config.max_size);
    }

    /// Whether readings stay, whatever their age, until the history's reader has [acknowledged](Store::acknowledged) them. Only
    /// `max_size` wins over that. For as long as there is such a reader: without one nothing would ever go, and one that comes later
    /// begins with what is stored from then on.
    pub fn keeps_for_history(&self, keeps: bool) {
        locked(&self.shared.keeper).for_history = Some(keeps);
    }

    /// The longest that a flush, and a step between two of them, has taken.
    pub fn longest(&self) -> (Duration, Duration) {
        let [flush, step] = &self.shared.longest;
        let time = |micros: &std::sync::atomic::AtomicU64| Duration::from_micros(micros.load(Ordering::Relaxed));
        (time(flush), time(step))
    }

    /// Whether there is a step to be taken now.
    pub(super) fn is_untidy(&self) -> bool {
        let fails = self.health().is_failing();
        let keeper = locked(&self.shared.keeper);
        let due = keeper.stage != Stage::Resting || self.now() >= keeper.next;
        keeper.full || (due && !fails)
    }

    /// Takes one step. Blocks.
    pub(super) fn tidy(&self) {
        let began = self.now();
        let generation = self.generation();
        let result = self.step();
        self.took(1, began);
        if let Err(error) = result {
            warn!("old readings cannot be thinned: {error}; it is tried again");
            if error.is_damage() {
                self.suspect(generation);
            }
            let mut keeper = locked(&self.shared.keeper);
            (keeper.stage, keeper.next, keeper.full) = (Stage::Resting, self.now() + EVERY, false);
        }
    }

    fn step(&self) -> Result<(), StoreError> {
        let mut slot = self.slot();
        let (stage, terms) = self.terms();
        if terms.make_room {
            // Without anything old there is no use in giving up the last room.
            let known = super::read::ask(self.file(), |db| {
                db.query_row("SELECT exists(SELECT 1 FROM batches)", (), |row| row.get::<_, bool>(0))
            });
            if !known.is_ok_and(|old| old) {
                locked(&self.shared.keeper).full = false;
                return Ok(());
            }
            reserve::give(self.file());
        }
        let mut writer = self.writer(&mut slot)?;
        let failed = |source| self.sqlite("thin", source);
        let more = match stage {
            Stage::RollingUp => writer.roll_up().map_err(failed)?,
            _ => {
                let step = writer.thin(&terms).map_err(failed)?;
                self.thinned(step, &terms);
                step.done > 0 && !terms.make_room
            }
        };
        let too_large = Size::of(&writer).map_err(failed)?.all > terms.max_size;
        slot.writer = Some(writer);
        let mut keeper = locked(&self.shared.keeper);
        keeper.stage = match stage {
            Stage::RollingUp if !more => Stage::Thinning,
            Stage::Thinning if !more => Stage::Resting,
            stage => stage,
        };
        let rests = keeper.stage == Stage::Resting;
        let full = rests && std::mem::take(&mut keeper.full);
        if rests {
            // What nothing more can be taken from is not tried all the time.
            let pause = if too_large && !terms.make_room { EVERY / 10 } else { EVERY };
            keeper.next = self.now() + pause;
        }
        drop(keeper);
        if rests && !full {
            reserve::take(self.file());
        }
        Ok(())
    }

    fn terms(&self) -> (Stage, Terms) {
        let mut keeper = locked(&self.shared.keeper);
        if keeper.stage == Stage::Resting {
            keeper.stage = Stage::RollingUp;
        }
        let (wall, now) = (self.shared.clock.wall(), self.now());
        let steady = keeper.is_steady(wall, now);
        let terms = Terms {
            now: steady.then_some(wall),
            keep: keeper.keep,
            max_size: keeper.max_size,
            read_to: (keeper.for_history == Some(true)).then(|| self.cursor()),
            make_room: keeper.full,
        };
        (keeper.stage, terms)
    }

    fn thinned(&self, step: Step, terms: &Terms) {
        if terms.make_room && step.done > 0 {
            info!("the disk is full: the {} oldest rows of {} were deleted", step.done, self.file().display());
        }
        if step.unread > 0 {
            let mut keeper = locked(&self.shared.keeper);
            keeper.unread += step.unread;
            let unread = keeper.unread;
            drop(keeper);
            self.health().unread(unread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_counts_for_nothing_until_it_has_gone_for_hours() {
        let mut keeper = Keeper::default();
        let mut is_steady = |hour: u64, ahead: i64| {
            let now = Monotonic::new(Duration::from_secs(hour * 3600));
            keeper.is_steady(Timestamp::from_millis(hour as i64 * 3_600_000 + ahead), now)
        };
        let year = 31_536_000_000;
        let found = [(0, 0), (5, 0), (6, 50), (7, year), (12, year), (13, year), (14, 0)];
        let found = found.map(|(hour, ahead)| is_steady(hour, ahead));
        assert_eq!(found, [false, false, true, false, false, true, false]);
    }
}
