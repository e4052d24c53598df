//! One connection, from the first word to the last, whatever line it is on.

use std::future::{pending, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time;

use super::client::{BEAT, Mqtt, Told};
use super::commands::{Answers, Outcome, Taken};
use super::discovery::{self, Things};
use super::history::{Page, Pages};
use super::link::{Heard, Line, Message, Speaker};
use super::portion::Verdict;
use super::{MqttError, payload};
use crate::bus::Tap;

/// How many publishes may be on their way at once. The client gives no packet id a second time before it was
/// acknowledged, in whatever order the broker does that.
pub(super) const WINDOW: u16 = 100;
/// Sensors that tick together are published together, for one wake-up of the processor.
const SETTLE: Duration = Duration::from_millis(2);
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_millis(800);
/// How long we look what an earlier process has told Home Assistant. Brokers hand over what they keep at once.
const LOOK: Duration = Duration::from_secs(2);
/// Everything is said again at most once in this time, however often that is asked for.
const REST: Duration = Duration::from_secs(5);
/// Seconds.
pub(super) const KEEP_ALIVE: u16 = 30;
/// How many beats the broker may say nothing at all: two keep-alives. The client asks whether it is still there only
/// when nothing was published for a keep-alive, so it would not notice while publishes go out and no answer comes.
const SILENCE: u64 = 2 * KEEP_ALIVE as u64 / BEAT.as_secs();
pub(super) const NO_ANSWER: &str = "the broker no longer answers";

/// How a connection ended.
pub(super) enum End {
    /// As asked.
    Stopped,
    /// Or not.
    Failed {
        error: MqttError,
        /// Whether it had lasted for a while, so that the trouble is a new one.
        proved: bool,
    },
}

/// Connects, and keeps the broker up to date until `stop` or until the connection breaks.
pub(super) async fn hold(
    mqtt: &Mqtt,
    tap: &Tap,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    beat: &impl Fn(),
    told: &mut Told,
) -> End {
    let Line { speaker, mut listener } = match prepare(mqtt, tap, stop.as_mut(), beat).await {
        Some(Ok(line)) => line,
        Some(Err(error)) => return End::Failed { error, proved: false },
        None => return End::Stopped,
    };
    let last_words = LastWords::NotYet;
    let mut connection =
        Connection { mqtt, speaker, is_up: false, beats: 0, silent_beats: 0, last_words, again: false };
    let mut beats = time::interval(BEAT);
    let mut settle = pin!(time::sleep(SETTLE));
    let mut settling = false;
    let mut farewell = pin!(time::sleep(FAREWELL));
    let mut pages = Pages::new();
    let mut looked = pin!(time::sleep(LOOK));
    let mut looking = false;
    let mut rest = pin!(time::sleep(REST));
    let mut resting = false;
    let mut things = mqtt.things();
    if let Some(things) = &mut things {
        mqtt.announce(&things.borrow_and_update());
    }
    loop {
        let heard = {
            // What is dropped halfway loses packets, so everything else happens beside it.
            let mut next = listener.next();
            loop {
                tokio::select! {
                    heard = &mut next => break heard,
                    () = tap.filled(), if !settling => {
                        settling = true;
                        settle.set(time::sleep(SETTLE));
                    }
                    () = &mut settle, if settling => {
                        settling = false;
                        // What came in the meantime is taken now, and need not wake us again.
                        let _ = tap.filled().now_or_never();
                        mqtt.collect(tap);
                    }
                    things = news(&mut things) => mqtt.announce(&things),
                    () = &mut looked, if looking => {
                        looking = false;
                        mqtt.announcer().looked();
                    }
                    answers = finished(mqtt) => mqtt.answer(answers),
                    () = &mut rest, if resting => resting = false,
                    () = ready(()), if connection.again && !resting => {
                        connection.again = false;
                        mqtt.outbox().say_again();
                        resting = true;
                        rest.set(time::sleep(REST));
                    }
                    () = expiry(mqtt) => mqtt.answer(mqtt.commands().map(|commands| commands.expired()).unwrap_or_default()),
                    page = pages.next(mqtt.readings(), mqtt.portion().next()), if connection.has_room_for_a_page() => connection.turn(page, told),
                    () = &mut stop, if connection.last_words == LastWords::NotYet => {
                        if !connection.is_up {
                            return End::Stopped;
                        }
                        mqtt.collect(tap);
                        connection.last_words = LastWords::Wanted;
                        farewell.set(time::sleep(FAREWELL));
                    }
                    () = &mut farewell, if connection.last_words != LastWords::NotYet => return End::Stopped,
                    _ = beats.tick() => {
                        if let Err(error) = connection.beat() {
                            return connection.end(error);
                        }
                    }
                }
                beat();
                if let Err(error) = connection.feed() {
                    return connection.end(error);
                }
            }
        };
        let fed = match heard {
            Ok(Heard::Left) => return End::Stopped,
            Ok(heard) => {
                match connection.note(heard, told) {
                    Noted::AsUsual => {}
                    Noted::PageTooLarge => pages.hurry(),
                    Noted::PageRefused => pages.wait(),
                    Noted::Looks => {
                        looking = true;
                        looked.set(time::sleep(LOOK));
                    }
                }
                connection.feed()
            }
            Err(error) => Err(error),
        };
        if let Err(error) = fed {
            return connection.end(error);
        }
    }
}

/// A line, or `None` if the stop comes first. Certificates and a password are read for it, and a disk may hold that up: one thread, for
/// the next attempt comes only after this one.
async fn prepare(
    mqtt: &Mqtt,
    tap: &Tap,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    beat: &impl Fn(),
) -> Option<Result<Line, MqttError>> {
    let mut line = mqtt.link().connect(mqtt.introduction());
    let mut beats = time::interval(BEAT);
    loop {
        tokio::select! {
            line = &mut line => return Some(line),
            () = &mut stop => return None,
            () = tap.filled() => mqtt.collect(tap),
            _ = beats.tick() => {}
        }
        beat();
    }
}

/// What has to be done about something that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Noted {
    AsUsual,
    /// A smaller one may not be.
    PageTooLarge,
    PageRefused,
    /// What the broker has for Home Assistant comes now, or more of it.
    Looks,
}

/// What is left to do at the end, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastWords {
    NotYet,
    /// Everything else is to be acknowledged first.
    Wanted,
    /// `offline` is to be acknowledged.
    Said,
    /// The broker is to hear that this is no accident.
    Leaving,
}

struct Connection<'a> {
    mqtt: &'a Mqtt,
    speaker: Box<dyn Speaker>,
    is_up: bool,
    /// How many beats it has been up.
    beats: u64,
    /// How many of them since the broker last said anything.
    silent_beats: u64,
    last_words: LastWords,
    /// Everything is to be said again.
    again: bool,
}

/// Waits for the end of a command that takes a while.
async fn finished(mqtt: &Mqtt) -> Answers {
    match mqtt.commands() {
        Some(commands) => commands.finished().await,
        None => pending().await,
    }
}

/// Waits for another configuration.
async fn news(things: &mut Option<watch::Receiver<Arc<Things>>>) -> Arc<Things> {
    if let Some(things) = things
        && things.changed().await.is_ok()
    {
        return things.borrow_and_update().clone();
    }
    pending().await
}

/// Until the time of a command is over.
async fn expiry(mqtt: &Mqtt) {
    match mqtt.commands().and_then(|commands| commands.next_end()) {
        Some(left) => time::sleep(left).await,
        None => pending().await,
    }
}

impl Connection<'_> {
    fn note(&mut self, heard: Heard, told: &mut Told) -> Noted {
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
                if self.subscribe() {
                    return Noted::Looks;
                }
            }
            Heard::Message(message) => return self.take(&message),
            Heard::Deaf => told.deaf(),
            Heard::Sent(packet) => self.mqtt.outbox().sent(packet),
            Heard::Acknowledged(packet) => {
                let page = self.mqtt.outbox().acknowledged(packet);
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
                filters.extend(discovery::births(&settings));
            }
            let looks = self.mqtt.announcer().connected();
            filters.extend(looks.then(|| discovery::filters(node, &settings)).into_iter().flatten());
            looks
        });
        // There is room: nothing was handed over before.
        if !filters.is_empty() {
            let _ = self.speaker.subscribe(&filters);
        }
        looks.unwrap_or(false)
    }

    fn take(&mut self, message: &Message) -> Noted {
        let Message { topic, payload, retained } = message;
        if self.last_words != LastWords::NotYet {
            return Noted::AsUsual;
        }
        if let Some((node, settings)) = self.mqtt.home_assistant() {
            if discovery::births(&settings).contains(topic) {
                // It has forgotten all states, and may be another one.
                self.again |= payload == discovery::BIRTH && !retained;
                return Noted::AsUsual;
            }
            if discovery::is_ours(node, &settings, topic) {
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

    fn has_room_for_a_page(&self) -> bool {
        self.is_up && self.last_words == LastWords::NotYet && !self.mqtt.outbox().has_page()
    }

    fn turn(&self, page: Result<Page, String>, told: &mut Told) {
        match page {
            Ok(Page { payload, last, readings, .. }) => {
                self.mqtt.portion().posted(readings);
                self.mqtt.outbox().post_page(self.mqtt.topics().history().to_owned(), payload, last);
            }
            Err(error) => told.history(Err(&error)),
        }
    }

    fn beat(&mut self) -> Result<(), MqttError> {
        if self.is_up {
            self.beats += 1;
            self.silent_beats += 1;
        }
        if self.silent_beats > SILENCE { Err(self.lost(NO_ANSWER)) } else { Ok(()) }
    }

    /// Hands over what is due and, at the end, says the last words.
    fn feed(&mut self) -> Result<(), MqttError> {
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

    fn end(&self, error: MqttError) -> End {
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
