//! What is said and heard on one connection, and how it ends. What happens when is in `connection.rs`.

use std::collections::BTreeSet;

use super::client::{BEAT, Mqtt, Told};
use super::commands::{Outcome, Taken};
use super::connection::End;
use super::discovery;
use super::history::Page;
use super::link::{Heard, Message, Speaker};
use super::portion::Verdict;
use super::{MqttError, payload};

/// How many publishes may be on their way at once. The client gives no packet id a second time before it was
/// acknowledged, in whatever order the broker does that.
pub(super) const WINDOW: u16 = 100;
/// Seconds.
pub(super) const KEEP_ALIVE: u16 = 30;
/// How many beats the broker may say nothing at all: two keep-alives. The client asks whether it is still there only
/// when nothing was published for a keep-alive, so it would not notice while publishes go out and no answer comes.
const SILENCE: u64 = 2 * KEEP_ALIVE as u64 / BEAT.as_secs();
pub(super) const NO_ANSWER: &str = "the broker no longer answers";

/// What has to be done about something that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    AsUsual,
    /// A smaller one may not be.
    PageTooLarge,
    PageRefused,
    /// What the broker has for Home Assistant comes now, or more of it.
    Looks,
}

/// What is left to do at the end, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastWords {
    NotYet,
    /// Everything else is to be acknowledged first.
    Wanted,
    /// `offline` is to be acknowledged.
    Said,
    /// The broker is to hear that this is no accident.
    Leaving,
}

/// One connection, as far as it has come.
pub(super) struct Conversation<'a> {
    pub(super) mqtt: &'a Mqtt,
    pub(super) speaker: Box<dyn Speaker>,
    pub(super) is_up: bool,
    /// How many beats it has been up.
    pub(super) beats: u64,
    /// How many of them since the broker last said anything.
    pub(super) silent_beats: u64,
    pub(super) last_words: LastWords,
    /// Everything is to be said again.
    pub(super) again: bool,
    /// The topics of sensors that were asked for.
    pub(super) asked: BTreeSet<String>,
}

impl Conversation<'_> {
    pub(super) fn note(&mut self, heard: Heard, told: &mut Told) -> Noted {
        if !matches!(heard, Heard::Sent(_) | Heard::Other) {
            self.silent_beats = 0;
        }
        match heard {
            Heard::Connected => {
                self.is_up = true;
                self.mqtt.set_connected(true);
                let mut outbox = self.mqtt.outbox();
                outbox.set(self.mqtt.status_topic(), payload::ONLINE.to_vec());
                outbox.connected(self.mqtt.status_topic());
                drop(outbox);
                told.connected();
                self.mqtt.collect_post();
                let looks = self.subscribe();
                self.subscribe_sensors();
                if looks {
                    return Noted::Looks;
                }
            }
            Heard::Message(message) => return self.take(&message),
            Heard::Deaf => told.deaf(),
            Heard::Sent(packet) => self.mqtt.outbox().sent(packet),
            Heard::Acknowledged(packet) => {
                let page = self.mqtt.outbox().acknowledged(packet);
                if let Some(post) = self.mqtt.post() {
                    let outbox = self.mqtt.outbox();
                    post.arrived(|topic| outbox.has_arrived(topic));
                }
                if let (Some(last), Some(readings)) = (page, self.mqtt.readings()) {
                    readings.acknowledged(last);
                    self.mqtt.portion().arrived();
                    told.history(Ok(()));
                }
            }
            Heard::Refused(packet) => {
                if self.mqtt.outbox().refused(packet) {
                    if self.mqtt.portion().refused() {
                        return Noted::PageTooLarge;
                    }
                    told.history(Err("the broker refuses it; check its access rules and its limits"));
                    return Noted::PageRefused;
                }
            }
            Heard::Alive | Heard::Left | Heard::Other => {}
        }
        Noted::AsUsual
    }

    /// Asks for all that concerns us. Gives whether what lies at the broker for Home Assistant will come.
    fn subscribe(&self) -> bool {
        if !self.mqtt.listens() {
            self.mqtt.announcer().looked();
            return false;
        }
        let mut filters = self.mqtt.commands().map(|_| self.mqtt.topics().commands()).unwrap_or_default();
        let looks = self.mqtt.home_assistant().map(|(node, settings)| {
            if self.mqtt.config().home_assistant.is_some() {
                filters.extend(discovery::births(settings));
            }
            let looks = self.mqtt.announcer().connected();
            filters.extend(looks.then(|| discovery::filters(node, settings)).into_iter().flatten());
            looks
        });
        // There is room: nothing was handed over before.
        if !filters.is_empty() {
            let _ = self.speaker.subscribe(&filters);
        }
        looks.unwrap_or(false)
    }

    /// Asks for what sensors want to hear by now, and did not when we asked last.
    pub(super) fn subscribe_sensors(&mut self) {
        let (Some(post), true) = (self.mqtt.post(), self.is_up && self.mqtt.listens()) else { return };
        let new: Vec<String> = post.topics().into_iter().filter(|topic| !self.asked.contains(topic)).collect();
        // Without room it is tried again with the next beat.
        if !new.is_empty() && self.speaker.subscribe(&new).is_ok() {
            self.asked.extend(new);
        }
    }

    fn take(&mut self, message: &Message) -> Noted {
        let Message { topic, payload, retained } = message;
        if self.last_words != LastWords::NotYet {
            return Noted::AsUsual;
        }
        if let Some(post) = self.mqtt.post() {
            post.deliver(topic, payload, *retained);
        }
        if let Some((node, settings)) = self.mqtt.home_assistant() {
            if discovery::births(settings).contains(topic) {
                // It has forgotten all states, and may be another one.
                self.again |= payload == discovery::BIRTH && !retained;
                return Noted::AsUsual;
            }
            if discovery::is_ours(node, settings, topic) {
                if *retained {
                    self.mqtt.announcer().found(topic, payload);
                    return Noted::Looks;
                }
                return Noted::AsUsual;
            }
        }
        if let (Some(commands), Some(path)) = (self.mqtt.commands(), self.mqtt.topics().path(topic)) {
            let answers = match commands.take(path, message) {
                Taken::Answers(answers) => answers,
                Taken::PublishAll(id) => {
                    self.again = true;
                    id.map(|id| (id, Outcome::Done)).into_iter().collect()
                }
            };
            self.mqtt.answer(answers);
        }
        Noted::AsUsual
    }

    pub(super) fn has_room_for_a_page(&self) -> bool {
        self.is_up && self.last_words == LastWords::NotYet && !self.mqtt.outbox().has_page()
    }

    pub(super) fn turn(&self, page: Result<Page, String>, told: &mut Told) {
        match page {
            Ok(Page { payload, last, readings, .. }) => {
                self.mqtt.portion().posted(readings);
                self.mqtt.outbox().post_page(self.mqtt.topics().history().to_owned(), payload, last);
            }
            Err(error) => told.history(Err(&error)),
        }
    }

    pub(super) fn beat(&mut self) -> Result<(), MqttError> {
        if self.is_up {
            self.beats += 1;
            self.silent_beats += 1;
            self.subscribe_sensors();
        }
        if self.silent_beats > SILENCE { Err(self.lost(NO_ANSWER)) } else { Ok(()) }
    }

    /// Hands over what is due and, at the end, says the last words.
    pub(super) fn feed(&mut self) -> Result<(), MqttError> {
        if !self.is_up {
            return Ok(());
        }
        self.hand_over()?;
        if self.last_words == LastWords::NotYet || !self.mqtt.outbox().is_settled() {
            return Ok(());
        }
        match self.last_words {
            LastWords::NotYet | LastWords::Leaving => Ok(()),
            LastWords::Wanted => {
                self.last_words = LastWords::Said;
                self.mqtt.outbox().set(self.mqtt.status_topic(), payload::OFFLINE.to_vec());
                self.hand_over()
            }
            LastWords::Said => {
                self.last_words = LastWords::Leaving;
                self.speaker.leave().map_err(|_| self.stuck())
            }
        }
    }

    fn hand_over(&self) -> Result<(), MqttError> {
        let mut outbox = self.mqtt.outbox();
        if self.last_words == LastWords::NotYet {
            self.mqtt.announcer().feed(&mut outbox);
        }
        while let Some(due) = outbox.next(WINDOW.into()) {
            self.speaker.publish(due).map_err(|_| self.stuck())?;
        }
        Ok(())
    }

    pub(super) fn end(&self, error: MqttError) -> End {
        self.doubt();
        match self.last_words {
            LastWords::NotYet => End::Failed { error, proved: self.beats > 1 },
            _ => End::Stopped,
        }
    }

    /// The page that was under way may be why.
    fn doubt(&self) {
        let Some(last) = self.mqtt.outbox().page_in_doubt() else { return };
        let mut portion = self.mqtt.portion();
        if let (Verdict::HoldBack, Some(readings)) = (portion.lost(), self.mqtt.readings()) {
            readings.held_back(last);
            portion.held_back();
        }
    }

    fn stuck(&self) -> MqttError {
        self.lost("the client takes no more")
    }

    fn lost(&self, reason: &str) -> MqttError {
        MqttError::Lost { broker: self.mqtt.config().broker.to_string(), reason: reason.into() }
    }
}
