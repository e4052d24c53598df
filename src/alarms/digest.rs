//! When a person is told, and of what at once. Pure: what stands and the time come in, letters go out.
//!
//! - What happens within two seconds is one letter.
//! - A letter above the rate is held; what happens meanwhile goes into the same one, the newest of each alarm.
//! - A letter that could not be delivered is tried again after 1 s, doubling to 5 min, with what has become newer meanwhile.
//! - What stands and nobody has acknowledged is told again after `again_after`, if that is wanted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::config::Rate;
use super::letter::{Item, Letter, State};
use crate::message::Alarm;
use crate::model::{Monotonic, Timestamp};

/// What happens within this time of the first is one letter.
const TOGETHER: Duration = Duration::from_secs(2);

/// The waits after letters that failed double from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// No letter has more alarms; the others are counted. Far more than anybody reads.
const MOST: usize = 100;

/// What was told, and what is to be.
#[derive(Debug)]
pub struct Digest {
    node: Arc<str>,
    rate: Rate,
    again_after: Option<Duration>,
    standing: BTreeMap<Arc<str>, Item>,
    waiting: BTreeMap<Arc<str>, Item>,
    /// Changes that found no room in `waiting`.
    more: usize,
    /// When the next letter is complete.
    complete: Monotonic,
    /// The last letters that were delivered, at most as many as the rate allows.
    delivered: VecDeque<Monotonic>,
    not_before: Monotonic,
    failures: u32,
    again_at: Option<Monotonic>,
}

impl Digest {
    /// Nothing was told yet. `known` are alarms that a person has been told of before: of them only the end is news.
    pub fn new(node: &str, rate: Rate, again_after: Option<Duration>, known: &[Alarm]) -> Self {
        Self {
            node: node.into(),
            rate,
            again_after,
            standing: known.iter().filter_map(Item::of).map(|item| (item.name.clone(), item)).collect(),
            waiting: BTreeMap::new(),
            more: 0,
            complete: Monotonic::default(),
            delivered: VecDeque::new(),
            not_before: Monotonic::default(),
            failures: 0,
            again_at: None,
        }
    }

    /// Takes note of all alarms that stand now, at `now` on the daemon's clock and `wall` on people's.
    pub fn look(&mut self, alarms: &[Alarm], now: Monotonic, wall: Timestamp) {
        let before = std::mem::take(&mut self.standing);
        self.standing = alarms.iter().filter_map(Item::of).map(|item| (item.name.clone(), item)).collect();
        let news: Vec<Item> = self
            .standing
            .values()
            .filter(|item| before.get(&item.name).is_none_or(|before| is_news(item, before)))
            .cloned()
            .collect();
        let has_gone = |item: &&Item| !self.standing.contains_key(&item.name);
        let gone: Vec<Item> = before
            .values()
            .filter(has_gone)
            .map(|item| Item { state: State::Gone, since: wall, ..item.clone() })
            .collect();
        for item in news.into_iter().chain(gone) {
            if self.waiting.is_empty() {
                self.complete = now + TOGETHER;
            }
            self.wait(item);
        }
        // What waits to be told is told in its newest words.
        for (name, waiting) in &mut self.waiting {
            if let Some(item) = self.standing.get(name) {
                *waiting = item.clone();
            }
        }
        if self.unacknowledged().next().is_none() {
            self.again_at = None;
        }
    }

    /// When the next letter can go, if one is to. It may lie in the past.
    pub fn due(&self) -> Option<Monotonic> {
        let complete = if self.waiting.is_empty() { self.again_at? } else { self.complete };
        let most = usize::try_from(self.rate.messages).unwrap_or(usize::MAX);
        let allowed = match self.delivered.len().checked_sub(most).and_then(|index| self.delivered.get(index)) {
            Some(oldest) => *oldest + self.rate.per,
            None => Monotonic::default(),
        };
        Some(complete.max(allowed).max(self.not_before))
    }

    /// The letter that can go now. Say afterwards what came of it: [`Self::delivered`] or [`Self::failed`].
    pub fn take(&mut self, now: Monotonic) -> Option<Letter> {
        self.due().filter(|due| *due <= now)?;
        let items: Vec<Item> = if self.waiting.is_empty() {
            self.unacknowledged().take(MOST).cloned().collect()
        } else {
            std::mem::take(&mut self.waiting).into_values().collect()
        };
        self.again_at = self.again_after.map(|after| now + after);
        Some(Letter { node: self.node.clone(), items, more: std::mem::take(&mut self.more) })
    }

    /// The last letter before the end does not wait to be complete; but the rate holds, and what has failed waits.
    pub fn take_last(&mut self, now: Monotonic) -> Option<Letter> {
        self.complete = now;
        self.again_at = None;
        self.take(now)
    }

    /// The letter has arrived.
    pub fn delivered(&mut self, now: Monotonic) {
        self.failures = 0;
        self.not_before = Monotonic::default();
        self.delivered.push_back(now);
        while self.delivered.len() > usize::try_from(self.rate.messages).unwrap_or(usize::MAX) {
            self.delivered.pop_front();
        }
    }

    /// The letter has not arrived: it goes again later, with what is newer.
    pub fn failed(&mut self, letter: Letter, now: Monotonic) {
        for item in letter.items {
            if !self.waiting.contains_key(&item.name) {
                self.wait(item);
            }
        }
        self.more += letter.more;
        self.complete = now;
        self.not_before = now + LONGEST_PAUSE.min(FIRST_PAUSE * 2u32.saturating_pow(self.failures.min(20)));
        self.failures = self.failures.saturating_add(1);
    }

    fn wait(&mut self, item: Item) {
        if self.waiting.len() < MOST || self.waiting.contains_key(&item.name) {
            self.waiting.insert(item.name.clone(), item);
        } else {
            self.more += 1;
        }
    }

    fn unacknowledged(&self) -> impl Iterator<Item = &Item> {
        self.standing.values().filter(|item| item.state == State::Raised)
    }
}

/// Whether a person is to be told. That the words have changed is no news: some name a number that changes all the time.
fn is_news(item: &Item, before: &Item) -> bool {
    (item.state, item.since, item.latched) != (before.state, before.since, before.latched)
}

#[cfg(test)]
mod tests;
