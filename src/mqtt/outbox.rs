//! What the broker must still be told. A pure state machine: no time, no I/O.
//!
//! Each topic has only its newest payload; an older one that was not sent yet is replaced in place. A payload counts as
//! known only when the broker has acknowledged that very one. A connection that breaks takes everything with it that
//! was not acknowledged, and the broker may have forgotten the rest: so after each new connection every topic is due.
//!
//! The way of a payload: `set` → due → `next` → handed to the client → `sent` (it now has a packet id) → `acknowledged`.

use std::collections::{HashMap, VecDeque};

/// The newest payload of each topic, and how far each has come.
#[derive(Debug, Default)]
pub struct Outbox {
    topics: Vec<Topic>,
    index: HashMap<String, usize>,
    /// Topics whose newest payload must still be handed over, the longest waiting first.
    due: VecDeque<usize>,
    /// Handed over and without a packet id yet. Ids are given in this order.
    handed: VecDeque<Version>,
    unacknowledged: HashMap<u16, Version>,
    superseded: u64,
}

#[derive(Debug)]
struct Topic {
    name: String,
    payload: Vec<u8>,
    /// Counts the payloads of this topic.
    newest: u64,
    acknowledged: u64,
    is_due: bool,
}

#[derive(Debug, Clone, Copy)]
struct Version {
    topic: usize,
    number: u64,
}

impl Outbox {
    /// The topic's payload from now on.
    pub fn set(&mut self, topic: &str, payload: Vec<u8>) {
        let Some(&at) = self.index.get(topic) else {
            let at = self.topics.len();
            self.index.insert(topic.to_owned(), at);
            self.topics.push(Topic { name: topic.to_owned(), payload, newest: 1, acknowledged: 0, is_due: true });
            self.due.push_back(at);
            return;
        };
        let topic = &mut self.topics[at];
        topic.payload = payload;
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

    /// The next topic and payload to hand to the client, unless `window` of them are on their way already.
    pub fn next(&mut self, window: usize) -> Option<(&str, &[u8])> {
        if self.handed.len() + self.unacknowledged.len() >= window {
            return None;
        }
        let at = self.due.pop_front()?;
        let topic = &mut self.topics[at];
        topic.is_due = false;
        self.handed.push_back(Version { topic: at, number: topic.newest });
        Some((&topic.name, &topic.payload))
    }

    /// The client has sent the one handed over longest ago, under this packet id.
    pub fn sent(&mut self, packet: u16) {
        if let Some(version) = self.handed.pop_front() {
            self.unacknowledged.insert(packet, version);
        }
    }

    /// The broker has what was sent under this packet id.
    pub fn acknowledged(&mut self, packet: u16) {
        if let Some(version) = self.unacknowledged.remove(&packet) {
            let topic = &mut self.topics[version.topic];
            topic.acknowledged = topic.acknowledged.max(version.number);
        }
    }

    /// A new connection, to a broker that may know nothing: everything is due, `first` before all others.
    pub fn connected(&mut self, first: &str) {
        self.handed.clear();
        self.unacknowledged.clear();
        self.due.clear();
        let first = self.index.get(first).copied();
        self.due.extend(first);
        self.due.extend((0..self.topics.len()).filter(|&at| Some(at) != first));
        for topic in &mut self.topics {
            topic.is_due = true;
            topic.acknowledged = 0;
        }
    }

    /// Whether the broker has acknowledged the newest payload of every topic.
    pub fn is_settled(&self) -> bool {
        self.due.is_empty() && self.topics.iter().all(|topic| topic.acknowledged == topic.newest)
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
        requests: VecDeque<(String, Vec<u8>)>,
        wire: VecDeque<(u16, String, Vec<u8>)>,
        acks: VecDeque<u16>,
        retained: HashMap<String, Vec<u8>>,
        last_packet: u16,
    }

    #[derive(Debug, Clone)]
    enum Step {
        Set(u8),
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
                Step::HandOver => {
                    if let Some((topic, payload)) = self.outbox.next(WINDOW) {
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
                        self.retained.insert(topic, payload);
                        self.acks.push_back(packet);
                    }
                }
                Step::Acknowledge(n) => {
                    if let Some(packet) = n.checked_rem(self.acks.len()).and_then(|n| self.acks.remove(n)) {
                        self.outbox.acknowledged(packet);
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
        assert_eq!(outbox.next(9), Some(("a", &b"2"[..])));
        assert_eq!(outbox.next(9), Some(("b", &b"1"[..])));
        assert_eq!(outbox.next(9), None);
        assert_eq!(outbox.superseded(), 1);
    }

    #[test]
    fn what_has_gone_leaves_no_topic_below_it() {
        let mut outbox = Outbox::default();
        for topic in ["n/air/temperature", "n/air/status", "n/airlock/status"] {
            outbox.set(topic, topic.into());
        }
        outbox.empty_below("n/air");
        let mut left: Vec<_> =
            std::iter::from_fn(|| outbox.next(9).map(|(topic, payload)| (topic.to_owned(), payload.len()))).collect();
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
        let topics: Vec<String> = std::iter::from_fn(|| outbox.next(9).map(|(topic, _)| topic.to_owned())).collect();
        assert_eq!(topics, ["status", "air", "heater"]);
    }
}
