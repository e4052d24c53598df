//! What waits in memory for the disk: bounded, oldest dropped first, and kept until it is surely on disk.

use std::collections::VecDeque;

use crate::message::{Alarm, Event};
use crate::model::Reading;

/// How much waits for a disk that fails: some 15 MB, or 2.8 hours of ten readings a second.
pub(super) const MOST: usize = 100_000;

/// What is to be on disk.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Reading(Reading),
    Alarm(Alarm),
}

impl Entry {
    /// What of an event is kept.
    pub(super) fn of(event: Event) -> Option<Self> {
        match event {
            Event::Reading(reading) => Some(Self::Reading(reading)),
            Event::Alarm(alarm) => Some(Self::Alarm(alarm)),
            _ => None,
        }
    }

    /// The number, if it is a reading.
    pub(super) fn seq(&self) -> Option<u64> {
        match self {
            Self::Reading(reading) => Some(reading.seq),
            Self::Alarm(_) => None,
        }
    }
}

/// In the order in which it happened.
#[derive(Debug, Default)]
pub(super) struct Pending {
    entries: VecDeque<Entry>,
    /// How many have gone from the front, written or dropped.
    gone: u64,
}

impl Pending {
    /// Adds what happened; gives how many of the oldest had to go for it.
    pub(super) fn add(&mut self, entries: impl Iterator<Item = Entry>) -> u64 {
        self.entries.extend(entries);
        let excess = self.entries.len().saturating_sub(MOST);
        self.entries.drain(..excess);
        self.gone += excess as u64;
        excess as u64
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A copy of everything, and its end for [`written`](Self::written). They stay until they are on disk, so that neither an
    /// error nor a panic loses one.
    pub(super) fn batch(&self) -> (Vec<Entry>, u64) {
        (self.entries.iter().cloned().collect(), self.gone + self.entries.len() as u64)
    }

    /// Everything up to that end is on disk. Some of it may have been dropped in the meantime.
    pub(super) fn written(&mut self, end: u64) {
        let done = usize::try_from(end.saturating_sub(self.gone)).unwrap_or(usize::MAX).min(self.entries.len());
        self.entries.drain(..done);
        self.gone += done as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn alarms(number: usize) -> impl Iterator<Item = Entry> {
        let since = Timestamp::from_millis(0);
        let alarm = Alarm { name: "a".into(), text: None, since, latched: false, acknowledged: false };
        (0..number).map(move |_| Entry::Alarm(alarm.clone()))
    }

    #[test]
    fn what_was_written_goes_also_if_some_of_it_was_dropped_meanwhile() {
        let mut pending = Pending::default();
        assert_eq!(pending.add(alarms(5)), 0);
        let (batch, end) = pending.batch();
        assert_eq!((batch.len(), pending.len()), (5, 5));
        assert_eq!(pending.add(alarms(MOST - 2)), 3);
        pending.written(end);
        assert_eq!(pending.len(), MOST - 2);
        let (_, end) = pending.batch();
        assert_eq!(pending.add(alarms(MOST + 9)), (MOST - 2 + 9) as u64);
        pending.written(end);
        assert_eq!(pending.len(), MOST, "all of the batch had been dropped by then");
    }
}
