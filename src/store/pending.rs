//! What waits in memory for the disk: bounded, oldest dropped first, and kept until it is surely on disk.

use std::collections::{HashMap, VecDeque};

use super::entry::{Entry, Numbered};
use crate::message::{Event, OutputState};
use crate::model::OutputId;

/// How much waits for a disk that fails: some 15 MB, or 2.8 hours of ten readings a second.
pub(super) const MOST: usize = 100_000;

/// In the order in which it happened. Entries are counted from the start, so that what is done with them can be told by where
/// it ends.
#[derive(Debug, Default)]
pub(super) struct Pending {
    entries: VecDeque<Entry>,
    /// How many have gone from the front, written or dropped.
    gone: u64,
    /// Up to where they are in the fresh tier.
    safe: u64,
    /// Whether only those that are there may be told to others.
    guarded: bool,
    /// In which state each output was last.
    outputs: HashMap<OutputId, OutputState>,
}

impl Pending {
    /// What an earlier process has left in the fresh tier, whose last entry has the number before `end` there.
    pub(super) fn left(entries: Vec<Entry>, end: u64) -> Self {
        Self { gone: end.saturating_sub(entries.len() as u64), safe: end, entries: entries.into(), ..Self::default() }
    }

    /// Adds what is kept of what happened; gives how many of the oldest had to go for it.
    pub(super) fn take(&mut self, events: impl Iterator<Item = Event>) -> u64 {
        for event in events {
            let entry = match event {
                Event::Reading(reading) => Entry::Reading(reading.into()),
                Event::Alarm(alarm) => Entry::Alarm(alarm),
                Event::Output(state) => match self.changed(state) {
                    Some(entry) => entry,
                    None => continue,
                },
                _ => continue,
            };
            self.entries.push_back(entry);
        }
        let excess = self.entries.len().saturating_sub(MOST);
        self.entries.drain(..excess);
        self.gone += excess as u64;
        excess as u64
    }

    /// Neither the pulses of a cycle nor a level that follows the weather are worth a row.
    fn changed(&mut self, state: OutputState) -> Option<Entry> {
        let is_news = self.outputs.get(&state.output).is_none_or(|before| state.differs_from(before));
        let entry = is_news.then(|| Entry::Output((&state).into()));
        if is_news {
            self.outputs.insert(state.output.clone(), state);
        }
        entry
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A copy of everything, and its end for [`written`](Self::written). They stay until they are on disk, so that neither an
    /// error nor a panic loses one.
    pub(super) fn batch(&self) -> (Vec<Entry>, u64) {
        (self.entries.iter().cloned().collect(), self.end())
    }

    /// Everything up to that end is on disk. Some of it may have been dropped in the meantime.
    pub(super) fn written(&mut self, end: u64) {
        let done = self.before(end);
        self.entries.drain(..done);
        self.gone += done as u64;
    }

    /// How many have gone: nothing before that is here any more.
    pub(super) fn begins(&self) -> u64 {
        self.gone
    }

    /// A copy of what is not in the fresh tier yet, and where it begins.
    pub(super) fn unsafe_yet(&self) -> (u64, Vec<Entry>) {
        let from = self.safe.max(self.gone);
        (from, self.entries.range(self.before(from)..).cloned().collect())
    }

    /// Everything up to that end is in the fresh tier. With an earlier end than before: it has lost the rest.
    pub(super) fn safe_to(&mut self, end: u64) {
        self.safe = end;
    }

    /// Whether there is a fresh tier that works. What it does not have yet would be lost with the process, and then somebody who was
    /// told of it would have what the store has not.
    pub(super) fn guard(&mut self, guarded: bool) {
        self.guarded = guarded;
    }

    /// At most `most` readings with a number above `seq`, oldest first.
    pub(super) fn after(&self, seq: u64, most: usize) -> Vec<Numbered> {
        let told = if self.guarded { self.before(self.safe) } else { self.entries.len() };
        let readings = self.entries.iter().take(told).filter_map(Entry::reading);
        readings.filter(|reading| reading.seq > seq).take(most).cloned().collect()
    }

    /// How many there ever were.
    pub(super) fn end(&self) -> u64 {
        self.gone + self.entries.len() as u64
    }

    /// How many of those that are here come before `end`.
    fn before(&self, end: u64) -> usize {
        usize::try_from(end.saturating_sub(self.gone)).unwrap_or(usize::MAX).min(self.entries.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Alarm;
    use crate::model::Timestamp;

    fn alarms(number: usize) -> impl Iterator<Item = Event> {
        let since = Timestamp::from_millis(0);
        let alarm = Alarm { name: "a".into(), text: None, since, latched: false, acknowledged: false };
        (0..number).map(move |_| Event::Alarm(alarm.clone()))
    }

    #[test]
    fn what_was_written_goes_also_if_some_of_it_was_dropped_meanwhile() {
        let mut pending = Pending::default();
        assert_eq!(pending.take(alarms(5)), 0);
        let (batch, end) = pending.batch();
        assert_eq!((batch.len(), pending.len()), (5, 5));
        assert_eq!(pending.take(alarms(MOST - 2)), 3);
        pending.written(end);
        assert_eq!(pending.len(), MOST - 2);
        let (_, end) = pending.batch();
        assert_eq!(pending.take(alarms(MOST + 9)), (MOST - 2 + 9) as u64);
        pending.written(end);
        assert_eq!(pending.len(), MOST, "all of the batch had been dropped by then");
    }

    #[test]
    fn what_is_in_the_fresh_tier_is_not_given_to_it_again() {
        let mut pending = Pending::left(vec![], 7);
        pending.take(alarms(5));
        let (from, entries) = pending.unsafe_yet();
        assert_eq!((from, entries.len()), (7, 5));
        pending.safe_to(from + 5);
        pending.take(alarms(2));
        assert_eq!((pending.unsafe_yet().0, pending.unsafe_yet().1.len()), (12, 2));
        pending.written(14);
        assert_eq!((pending.unsafe_yet().0, pending.unsafe_yet().1.len()), (14, 0));
    }
}
