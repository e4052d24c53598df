//! What Home Assistant is told at the broker, brought from what lies there to what should. A pure state machine: no time, no I/O.
//!
//! The way of a process: look what an earlier one has left → hand over the changes, one after the other → after each reload the
//! changes from before to after. The outbox says again after a broken connection what it was given.

use std::collections::{BTreeSet, VecDeque};
use std::mem;

use super::discovery::{Messages, changes};
use super::outbox::Outbox;

/// How far the broker is with it.
#[derive(Debug)]
pub(super) struct Announcer {
    stage: Stage,
    /// What it has once all that waits has arrived.
    should: Messages,
    /// What must be said, in this order.
    waiting: VecDeque<(String, Vec<u8>)>,
    /// What was said last. A topic may come twice, and the second payload must not replace the first on its way.
    said: Option<String>,
}

#[derive(Debug)]
enum Stage {
    /// What an earlier process has left is heard, and nothing is said: the broker would forget what there was. With how many
    /// bytes that is, and with how many connections it was tried.
    Looking { found: Messages, size: usize, tried: u32 },
    /// It is known.
    Telling,
}

impl Default for Announcer {
    fn default() -> Self {
        let stage = Stage::Looking { found: Messages::default(), size: 0, tried: 0 };
        Self { stage, should: Messages::default(), waiting: VecDeque::default(), said: None }
    }
}

impl Announcer {
    /// A new connection. Gives whether it must be looked what there is.
    pub fn connected(&mut self) -> bool {
        match &mut self.stage {
            Stage::Looking { tried, .. } if *tried == PATIENCE => {
                // Some brokers end the connection of whoever asks for what is not theirs.
                self.looked();
                false
            }
            Stage::Looking { found, size, tried } => {
                found.clear();
                *size = 0;
                *tried += 1;
                true
            }
            Stage::Telling => false,
        }
    }

    /// An earlier process has left this.
    pub fn found(&mut self, topic: &str, payload: &[u8]) {
        let Stage::Looking { found, size, .. } = &mut self.stage else { return };
        let before = found.get(topic).map_or(0, |before| topic.len() + before.len());
        let after = *size - before + topic.len() + payload.len();
        if after <= MOST {
            found.insert(topic.to_owned(), payload.to_vec());
            *size = after;
        }
    }

    /// All that there was has been heard.
    pub fn looked(&mut self) {
        if let Stage::Looking { found, .. } = mem::replace(&mut self.stage, Stage::Telling) {
            self.waiting = changes(&found, &self.should).into();
            // What lies there already is said, too: the outbox can say again only what it was given.
            let said: BTreeSet<String> = self.waiting.iter().map(|(topic, _)| topic.clone()).collect();
            let same = self.should.iter().filter(|(topic, _)| !said.contains(*topic));
            self.waiting.extend(same.map(|(topic, payload)| (topic.clone(), payload.clone())));
        }
    }

    /// Home Assistant is to know this from now on.
    pub fn tell(&mut self, messages: Messages) {
        let before = mem::replace(&mut self.should, messages);
        if let Stage::Telling = self.stage {
            self.waiting.extend(changes(&before, &self.should));
        }
    }

    /// Gives the outbox what is next, as soon as the broker has what was before.
    pub fn feed(&mut self, outbox: &mut Outbox) {
        while !self.waiting.is_empty() && self.said.as_ref().is_none_or(|topic| outbox.has_arrived(topic)) {
            let Some((topic, payload)) = self.waiting.pop_front() else { return };
            outbox.set(&topic, payload);
            self.said = Some(topic);
        }
    }
}

/// Bytes of topics and payloads; far more than one node makes. Others may publish what they like under its name.
const MOST: usize = 2 << 20;

/// So many connections may end while it is looked.
const PATIENCE: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::outbox::Due;

    fn messages(all: &[(&str, &str)]) -> Messages {
        all.iter().map(|(topic, payload)| ((*topic).to_owned(), payload.as_bytes().to_vec())).collect()
    }

    /// All that goes to the broker, each acknowledged before the next if there is a next.
    fn said(announcer: &mut Announcer, outbox: &mut Outbox) -> Vec<String> {
        let mut said = Vec::new();
        for packet in 1..20 {
            announcer.feed(outbox);
            let Some(Due { topic, payload, retain }) = outbox.next(9) else { break };
            said.push(format!("{topic} {} {retain}", String::from_utf8_lossy(payload)));
            outbox.sent(packet);
            let early = outbox.next(9).map(|due| due.topic.to_owned());
            assert_eq!(early, None, "before {} was acknowledged", said.last().unwrap());
            outbox.acknowledged(packet);
        }
        said
    }

    const LAMP: &str = r#"{"cmps":{"lamp":{"p":"light","uniq_id":"a"}}}"#;
    const BOTH: &str = r#"{"cmps":{"fan":{"p":"fan","uniq_id":"b"},"lamp":{"p":"light","uniq_id":"a"}}}"#;

    #[test]
    fn what_an_earlier_process_has_left_is_taken_back_before_the_new_is_said() {
        let (mut announcer, mut outbox) = (Announcer::default(), Outbox::default());
        announcer.tell(messages(&[("ha/device/n/config", LAMP)]));
        assert!(announcer.connected());
        announcer.found("ha/device/n/config", b"of a connection that broke");
        assert!(announcer.connected(), "it had not heard all of it");
        announcer.found("ha/device/n/config", BOTH.as_bytes());
        announcer.found("ha/switch/n/x/config", br#"{"uniq_id":"c"}"#);
        assert_eq!(said(&mut announcer, &mut outbox), [""; 0], "it looks");
        announcer.looked();
        let all = said(&mut announcer, &mut outbox);
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all.iter().any(|one| one.contains(r#""fan":{"p":"fan"}"#)), "{all:?}");
        assert!(all.contains(&"ha/switch/n/x/config  true".to_owned()), "{all:?}");
        assert_eq!(all.last(), Some(&format!("ha/device/n/config {LAMP} true")));
        assert!(!announcer.connected());
    }

    #[test]
    fn what_lies_there_already_is_said_so_that_it_can_be_said_again() {
        let (mut announcer, mut outbox) = (Announcer::default(), Outbox::default());
        announcer.tell(messages(&[("t", LAMP)]));
        announcer.connected();
        announcer.found("t", LAMP.as_bytes());
        announcer.looked();
        assert_eq!(said(&mut announcer, &mut outbox), [format!("t {LAMP} true")]);
        outbox.say_again();
        assert!(outbox.next(9).is_some());
    }

    #[test]
    fn what_others_leave_under_our_name_does_not_fill_the_memory() {
        let (mut announcer, mut outbox) = (Announcer::default(), Outbox::default());
        announcer.connected();
        let half = vec![b'x'; MOST / 2];
        let size = |announcer: &Announcer| match &announcer.stage {
            Stage::Looking { found, size, .. } => {
                assert_eq!(*size, found.iter().map(|(topic, payload)| topic.len() + payload.len()).sum::<usize>());
                (found.len(), *size)
            }
            Stage::Telling => panic!("it looks"),
        };
        let left: [(&str, &[u8], usize); 6] = [
            ("a", &half, 1),
            // The same topic again takes no more than once.
            ("a", &half, 1),
            ("b", &half[2..], 2),
            ("c", b"", 2),
            ("a", b"short", 2),
            ("c", b"", 3),
        ];
        for round in 0..2 {
            for (topic, payload, count) in left {
                announcer.found(topic, payload);
                assert_eq!(size(&announcer).0, count, "{topic} in round {round}");
            }
            assert!(announcer.connected());
            assert_eq!(size(&announcer), (0, 0));
        }
        announcer.looked();
        assert_eq!(said(&mut announcer, &mut outbox), [""; 0]);
    }

    #[test]
    fn a_reload_says_what_is_different() {
        let (mut announcer, mut outbox) = (Announcer::default(), Outbox::default());
        announcer.tell(messages(&[("t", BOTH)]));
        announcer.looked();
        assert_eq!(said(&mut announcer, &mut outbox), [format!("t {BOTH} true")]);
        announcer.tell(messages(&[("t", BOTH)]));
        assert_eq!(said(&mut announcer, &mut outbox), [""; 0]);
        announcer.tell(messages(&[("t", LAMP)]));
        assert_eq!(said(&mut announcer, &mut outbox).len(), 2);
        announcer.tell(Messages::default());
        assert_eq!(said(&mut announcer, &mut outbox), ["t  true"]);
    }
}
