//! What the broker is given, in which order, and what of it is said again.

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
    assert_eq!(left, [("n/air/status".into(), 0), ("n/air/temperature".into(), 0), ("n/airlock/status".into(), 16)]);
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
