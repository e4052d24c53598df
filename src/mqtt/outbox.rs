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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A client and a broker: requests wait, are sent, arrive and are acknowledged each at its own time.
    #[derive(Default)]
    struct World {
        outbox: Outbox,
        newest: HashMap<String, Vec<u8>>,
        /// The last reading there is, the last that the reader of the history has, and the last known to have arrived.
        readings: u64,
        read: u64,
        cursor: u64,
        requests: VecDeque<(String, Vec<u8>)>,
        wire: VecDeque<(u16, String, Vec<u8>)>,
        acks: VecDeque<u16>,
        retained: HashMap<String, Vec<u8>>,
        last_packet: u16,
    }

    #[derive(Debug, Clone)]
    enum Step {
        Set(u8),
        Page,
        HandOver,
        Send,
        Arrive,
        /// The n-th of the acknowledgements that are under way: brokers need not keep the order.
        Acknowledge(usize),
        Reconnect {
            broker_forgets: bool,
        },
    }

    const WINDOW: usize = 4;

    impl World {
        fn step(&mut self, step: Step, payload: usize) {
            match step {
                Step::Set(topic) => {
                    let (topic, payload) = (format!("t{topic}"), payload.to_string().into_bytes());
                    self.outbox.set(&topic, payload.clone());
                    self.newest.insert(topic, payload);
                }
                Step::Page => {
                    self.readings += 1;
                    let page = self.readings.to_string().into_bytes();
                    self.outbox.post_page("history".into(), page, self.readings);
                }
                Step::HandOver => {
                    if let Some(Due { topic, payload, retain }) = self.outbox.next(WINDOW) {
                        assert_eq!(retain, topic != "history");
                        self.requests.push_back((topic.to_owned(), payload.to_vec()));
                    }
                }
                Step::Send => {
                    if let Some((topic, payload)) = self.requests.pop_front() {
                        self.last_packet = self.last_packet % 100 + 1;
                        self.outbox.sent(self.last_packet);
                        self.wire.push_back((self.last_packet, topic, payload));
                    }
                }
                Step::Arrive => {
                    if let Some((packet, topic, payload)) = self.wire.pop_front() {
                        if topic == "history" {
                            self.read = self.read.max(String::from_utf8(payload).unwrap().parse().unwrap());
                        } else {
                            self.retained.insert(topic, payload);
                        }
                        self.acks.push_back(packet);
                    }
                }
                Step::Acknowledge(n) => {
                    if let Some(packet) = n.checked_rem(self.acks.len()).and_then(|n| self.acks.remove(n))
                        && let Some(last) = self.outbox.acknowledged(packet)
                    {
                        assert!(last > self.cursor && last <= self.read, "{last} after {}", self.cursor);
                        self.cursor = last;
                    }
                }
                Step::Reconnect { broker_forgets } => {
                    self.requests.clear();
                    self.wire.clear();
                    self.acks.clear();
                    self.last_packet = 0;
                    if broker_forgets {
                        self.retained.clear();
                    }
                    self.outbox.connected("t1");
                }
            }
        }

        fn check(&self) {
            let on_their_way = self.requests.len() + self.wire.len() + self.acks.len();
            assert!(on_their_way <= WINDOW, "{on_their_way} on their way");
            if self.outbox.is_settled() {
                assert_eq!(self.retained, self.newest, "settled, and the broker has something else");
            }
        }
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..5_u8).prop_map(Step::Set),
            2 => Just(Step::Page),
            4 => Just(Step::HandOver),
            4 => Just(Step::Send),
            4 => Just(Step::Arrive),
            4 => any::<usize>().prop_map(Step::Acknowledge),
            1 => any::<bool>().prop_map(|broker_forgets| Step::Reconnect { broker_forgets }),
        ]
    }

    proptest! {
        #[test]
        fn the_broker_ends_up_with_the_newest_of_everything(steps in prop::collection::vec(step(), 0..200)) {
            let mut world = World::default();
            for (payload, step) in steps.into_iter().enumerate() {
                world.step(step, payload);
                world.check();
            }
            // At last the line holds for long enough.
            for _ in 0..30 {
                for step in [Step::HandOver, Step::Send, Step::Arrive, Step::Acknowledge(0)] {
                    world.step(step, 0);
                    world.check();
                }
            }
            prop_assert!(world.outbox.is_settled());
            prop_assert_eq!(world.retained, world.newest);
        }
    }

    #[test]
    fn a_payload_that_was_not_sent_is_replaced_in_its_place() {
        let mut outbox = Outbox::default();
        outbox.set("a", b"1".to_vec());
        outbox.set("b", b"1".to_vec());
        outbox.set("a", b"2".to_vec());
        outbox.post("answer".into(), b"done".to_vec());
        let mut said = Vec::new();
        while let Some(Due { topic, payload, retain }) = outbox.next(9) {
            said.push(format!("{topic} {} {retain}", String::from_utf8_lossy(payload)));
        }
        assert_eq!(said, ["a 2 true", "b 1 true", "answer done false"]);
        assert_eq!(outbox.superseded(), 1);
    }

    #[test]
    fn a_word_to_a_device_is_said_until_the_broker_has_it_and_not_again() {
        let mut outbox = Outbox::default();
        let said = |outbox: &mut Outbox| -> Vec<String> {
            std::iter::from_fn(|| outbox.next(9).map(|due| format!("{} {}", due.topic, due.retain))).collect()
        };
        outbox.set("status", b"online".to_vec());
        outbox.pass("plug/set", b"ON".to_vec());
        for _ in 0..2 {
            outbox.connected("status");
            assert_eq!(said(&mut outbox), ["status true", "plug/set false"]);
        }
        for packet in [1, 2] {
            outbox.sent(packet);
            outbox.acknowledged(packet);
        }
        assert!(outbox.has_arrived("plug/set") && outbox.is_settled());
        outbox.say_again();
        assert_eq!(said(&mut outbox), ["status true"]);
        outbox.connected("status");
        assert_eq!(said(&mut outbox), ["status true"]);
        outbox.pass("plug/set", b"ON".to_vec());
        assert!(!outbox.has_arrived("plug/set"));
        assert_eq!(said(&mut outbox), ["plug/set false"]);
    }

    #[test]
    fn what_has_gone_leaves_no_topic_below_it() {
        let mut outbox = Outbox::default();
        for topic in ["n/air/temperature", "n/air/status", "n/airlock/status"] {
            outbox.set(topic, topic.into());
        }
        outbox.empty_below("n/air");
        let mut left: Vec<_> =
            std::iter::from_fn(|| outbox.next(9).map(|due| (due.topic.to_owned(), due.payload.len()))).collect();
        left.sort();
        assert_eq!(
            left,
            [("n/air/status".into(), 0), ("n/air/temperature".into(), 0), ("n/airlock/status".into(), 16)]
        );
    }

    #[test]
    fn after_a_new_connection_the_status_comes_first_and_all_else_follows() {
        let mut outbox = Outbox::default();
        for topic in ["air", "status", "heater"] {
            outbox.set(topic, topic.into());
            outbox.next(9).unwrap();
        }
        for packet in [1, 2, 3] {
            outbox.sent(packet);
            outbox.acknowledged(packet);
        }
        assert!(outbox.is_settled());
        outbox.connected("status");
        assert!(!outbox.is_settled());
        outbox.post("answer".into(), b"done".to_vec());
        let mut topics =
            || -> Vec<String> { std::iter::from_fn(|| outbox.next(9).map(|due| due.topic.to_owned())).collect() };
        assert_eq!(topics(), ["status", "air", "heater", "answer"]);
        outbox.post_page("history".into(), b"1".to_vec(), 1);
        assert!(outbox.has_page());
        outbox.connected("status");
        assert!(!outbox.has_page(), "it is read from the store again");
        assert_eq!(outbox.page_in_doubt(), None);
        assert_eq!(outbox.letters.len(), 1, "nobody has answered yet");
    }

    #[test]
    fn a_page_is_in_doubt_from_when_it_is_handed_over_until_it_is_acknowledged() {
        let mut outbox = Outbox::default();
        outbox.set("status", b"online".to_vec());
        outbox.post_page("history".into(), b"1".to_vec(), 7);
        let mut seen = vec![outbox.page_in_doubt()];
        for packet in [1, 2] {
            outbox.next(9).unwrap();
            outbox.sent(packet);
            seen.push(outbox.page_in_doubt());
        }
        for packet in [1, 2] {
            outbox.acknowledged(packet);
            seen.push(outbox.page_in_doubt());
        }
        assert_eq!(seen, [None, None, Some(7), Some(7), None]);
    }

    #[test]
    fn of_too_many_answers_the_oldest_are_left_out_and_never_a_page() {
        let mut outbox = Outbox::default();
        outbox.post_page("history".into(), Vec::new(), 1);
        for number in 0..MOST_LETTERS + 5 {
            outbox.post(number.to_string(), Vec::new());
        }
        assert_eq!((outbox.letters.len(), outbox.unanswered(), outbox.has_page()), (MOST_LETTERS, 6, true));
        assert_eq!(outbox.letters.back().unwrap().topic, "104");
    }
}
