//! One connection, from the first word to the last, whatever line it is on.

use std::collections::BTreeSet;
use std::future::{pending, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time;

use super::MqttError;
use super::client::{BEAT, Mqtt, Told};
use super::commands::Answers;
use super::conversation::{Conversation, LastWords, Noted};
use super::discovery::Things;
use super::history::Pages;
use super::link::{Heard, Line};
use crate::bus::Tap;

/// Sensors that tick together are published together, for one wake-up of the processor.
const SETTLE: Duration = Duration::from_millis(2);
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_millis(800);
/// How long we look what an earlier process has told Home Assistant. Brokers hand over what they keep at once.
const LOOK: Duration = Duration::from_secs(2);
/// Everything is said again at most once in this time, however often that is asked for.
const REST: Duration = Duration::from_secs(5);

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
    let mut connection = Conversation {
        mqtt,
        speaker,
        is_up: false,
        beats: 0,
        silent_beats: 0,
        last_words,
        again: false,
        asked: BTreeSet::new(),
    };
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
                    () = post(mqtt), if connection.is_up => {
                        mqtt.collect_post();
                        connection.subscribe_sensors();
                    }
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
                        mqtt.collect_post();
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
/// Waits for the end of a command that takes a while.
async fn finished(mqtt: &Mqtt) -> Answers {
    match mqtt.commands() {
        Some(commands) => commands.finished().await,
        None => pending().await,
    }
}

/// Waits until there is something to hear or to say for a device.
async fn post(mqtt: &Mqtt) {
    match mqtt.post() {
        Some(post) => post.news().await,
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
