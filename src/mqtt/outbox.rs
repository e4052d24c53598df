//! What the broker must still be told. A pure state machine: no time, no I/O.
//!
//! Each topic has only its newest payload; an older one that was not sent yet is replaced in place. A payload counts as
//! known only when the broker has acknowledged that very one. A connection that breaks takes everything with it that
//! was not acknowledged, and the broker may have forgotten the rest: so after each new connection every topic is due.
//!
//! The way of a payload: `set` → due → `next` → handed to the client → `sent` (it now has a packet id) → `acknowledged`.
//!
//! Beside the topics there are letters, each said once and in its turn: answers to commands, and pages of history, which are
//! written anew from the store when a connection breaks. Live values go before both.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

/// The newest payload of each topic, and how far each has come.
#[derive(Debug, Default)]
pub struct Outbox {
    topics: Vec<Topic>,
    index: HashMap<String, usize>,
    /// Topics whose newest payload must still be handed over, the longest waiting first.
    due: VecDeque<usize>,
    /// The oldest first.
    letters: VecDeque<Letter>,
    last_letter: u64,
    /// How many topics were handed over since the last letter.
    in_a_row: usize,
    /// Handed over and without a packet id yet. Ids are given in this order.
    handed: VecDeque<Handed>,
    unacknowledged: HashMap<u16, Handed>,
    superseded: u64,
    unanswered: u64,
}

/// Answers that wait for a broker: whoever sent so many commands at once has gone with it.
const MOST_LETTERS: usize = 100;

/// Live values that may go before a letter that waits.
const MOST_IN_A_ROW: usize = 1000;

/// What is to be handed to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due<'o> {
    /// Where to.
    pub topic: &'o str,
    /// What.
    pub payload: &'o [u8],
    /// Whether the broker keeps it for those who come later.
    pub retain: bool,
}

#[derive(Debug)]
struct Letter {
    number: u64,
    topic: String,
    payload: Vec<u8>,
    /// If it is a page of history: the number of its last reading.
    page: Option<u64>,
    is_due: bool,
}

#[derive(Debug)]
struct Topic {
    name: String,
    payload: Vec<u8>,
    /// Counts the payloads of this topic.
    newest: u64,
    acknowledged: u64,
    is_due: bool,
    /// Whether the broker keeps it. What it does not keep is a word to a device: whoever said it says it again on the next connection.
    retain: bool,
}

#[derive(Debug, Clone, Copy)]
enum Handed {
    /// This payload of a topic.
    Newest { topic: usize, number: u64 },
    /// The letter of this number.
    Letter(u64),
}

impl Outbox {
    /// The topic's payload from now on, which the broker keeps.
    pub fn set(&mut self, topic: &str, payload: Vec<u8>) {
        self.put(topic, payload, true);
    }

    /// A payload for those who listen now: said until the broker has it or a newer one takes its place, and not again.
    pub fn pass(&mut self, topic: &str, payload: Vec<u8>) {
        self.put(topic, payload, false);
    }

    fn put(&mut self, topic: &str, payload: Vec<u8>, retain: bool) {
        let Some(&at) = self.index.get(topic) else {
            let at = self.topics.len();
            self.index.insert(topic.to_owned(), at);
            let name = topic.to_owned();
            self.topics.push(Topic { name, payload, newest: 1, acknowledged: 0, is_due: true, retain });
            self.due.push_back(at);
            return;
        };
        let topic = &mut self.topics[at];
        topic.payload = payload;
        topic.retain = retain;
        topic.newest += 1;
        if topic.is_due {
            self.superseded += 1;
        } else {
            topic.is_due = true;
            self.due.push_back(at);
        }
    }

    /// Empties every topic below this one: `air/temperature` and `air/status` below `air`.
    pub fn empty_below(&mut self, topic: &str) {
        let is_below = |name: &str| name.strip_prefix(topic).is_some_and(|rest| rest.starts_with('/'));
        let below: Vec<String> = self.index.keys().filter(|name| is_below(name)).cloned().collect();
        for name in below {
            self.set(&name, Vec::new());
        }
    }

    /// Something to be said once. Of too many the oldest answer is left out.
    pub fn post(&mut self, topic: String, payload: Vec<u8>) {
        if self.letters.len() >= MOST_LETTERS
            && let Some(oldest) = self.letters.iter().position(|letter| letter.page.is_none())
        {
            self.letters.remove(oldest);
            self.unanswered += 1;
        }
        self.add_letter(topic, payload, None);
    }

    /// The page of history whose last reading has the number `last`, if there is none yet ([`has_page`](Self::has_page)).
    pub fn post_page(&mut self, topic: String, payload: Vec<u8>, last: u64) {
        if !self.has_page() {
            self.add_letter(topic, payload, Some(last));
        }
    }

    /// Whether a page of history waits for its acknowledgement: there is one at a time, so that they arrive in order.
    pub fn has_page(&self) -> bool {
        self.letters.iter().any(|letter| letter.page.is_some())
    }

    /// The page of history that was handed over and is not acknowledged: the number of its last reading.
    pub fn page_in_doubt(&self) -> Option<u64> {
        self.letters.iter().filter(|letter| !letter.is_due).find_map(|letter| letter.page)
    }

    fn add_letter(&mut self, topic: String, payload: Vec<u8>, page: Option<u64>) {
        self.last_letter += 1;
        self.letters.push_back(Letter { number: self.last_letter, topic, payload, page, is_due: true });
    }

    /// What to hand to the client next, unless `window` of them are on their way already.
    pub fn next(&mut self, window: usize) -> Option<Due<'_>> {
        if self.handed.len() + self.unacknowledged.len() >= window {
            return None;
        }
        // Live values go first, but a slow line that never has all of them is no reason to say nothing else.
        let letters_turn = self.in_a_row >= MOST_IN_A_ROW && self.letters.iter().any(|letter| letter.is_due);
        if let Some(at) = (!letters_turn).then(|| self.due.pop_front()).flatten() {
            self.in_a_row += 1;
            let topic = &mut self.topics[at];
            topic.is_due = false;
            self.handed.push_back(Handed::Newest { topic: at, number: topic.newest });
            return Some(Due { topic: &topic.name, payload: &topic.payload, retain: topic.retain });
        }
        let letter = self.letters.iter_mut().find(|letter| letter.is_due)?;
        letter.is_due = false;
        self.in_a_row = 0;
        self.handed.push_back(Handed::Letter(letter.number));
        Some(Due { topic: &letter.topic, payload: &letter.payload, retain: false })
    }

    /// The client has sent the one handed over longest ago, under this packet id.
    pub fn sent(&mut self, packet: u16) {
        if let Some(handed) = self.handed.pop_front() {
            self.unacknowledged.insert(packet, handed);
        }
    }

    /// The broker has what was sent under this packet id. If that was a page of history, gives the number of its last reading.
    pub fn acknowledged(&mut self, packet: u16) -> Option<u64> {
        match self.unacknowledged.remove(&packet)? {
            Handed::Newest { topic, number } => {
                let topic = &mut self.topics[topic];
                topic.acknowledged = topic.acknowledged.max(number);
                None
            }
            Handed::Letter(number) => {
                let at = self.letters.iter().position(|letter| letter.number == number)?;
                self.letters.remove(at)?.page
            }
        }
    }

    /// The broker does not want what was sent under this packet id. Gives whether that was a page of history, which is not lost: it is
    /// read again. A live value would be refused again, and a newer one comes.
    pub fn refused(&mut self, packet: u16) -> bool {
        self.acknowledged(packet).is_some()
    }

    /// A new connection, to a broker that may know nothing: everything that it keeps is due, `first` before all others.
    pub fn connected(&mut self, first: &str) {
        self.handed.clear();
        self.unacknowledged.clear();
        self.due.clear();
        for topic in &mut self.topics {
            topic.is_due = topic.retain || topic.acknowledged != topic.newest;
            topic.acknowledged = if topic.is_due { 0 } else { topic.newest };
        }
        let first = self.index.get(first).copied();
        self.due.extend(first);
        self.due.extend((0..self.topics.len()).filter(|&at| Some(at) != first && self.topics[at].is_due));
        self.letters.retain(|letter| letter.page.is_none());
        for letter in &mut self.letters {
            letter.is_due = true;
        }
    }

    /// Everything that the broker keeps is to be said again, on the same connection.
    pub fn say_again(&mut self) {
        for (at, topic) in self.topics.iter_mut().enumerate().filter(|(_, topic)| topic.retain && !topic.is_due) {
            topic.newest += 1;
            topic.is_due = true;
            self.due.push_back(at);
        }
    }

    /// Whether the broker has acknowledged the newest payload of this topic.
    pub fn has_arrived(&self, topic: &str) -> bool {
        self.index.get(topic).is_none_or(|&at| self.topics[at].acknowledged == self.topics[at].newest)
    }

    /// Whether the broker has acknowledged the newest payload of every topic, and every letter.
    pub fn is_settled(&self) -> bool {
        let known = self.topics.iter().all(|topic| topic.acknowledged == topic.newest);
        self.due.is_empty() && self.letters.is_empty() && known
    }

    /// How many answers were left out because too many waited, since the start.
    pub fn unanswered(&self) -> u64 {
        self.unanswered
    }

    /// How many payloads were replaced by newer ones before they were sent, since the start.
    pub fn superseded(&self) -> u64 {
        self.superseded
    }
}
