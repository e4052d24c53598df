//! What comes from a broker for this node's devices, and what goes there for them: a shared table, as the bus is.
//!
//! Sensors and outputs that are reached over MQTT know this table, and so does the client; neither knows the other. It outlives
//! them all. Nothing here is a queue: of each topic only the newest payload counts, in either direction, and what was not taken
//! before is replaced by it and counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::model::Monotonic;
use crate::panics::locked;

/// For so long nobody is told that there is no connection, if there never was one. A broker on the same network answers within a second,
/// one that starts with the machine a few seconds later.
const FIRST: Duration = Duration::from_secs(10);

/// A handle on the table; all clones are the same one.
#[derive(Clone)]
pub struct Post {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    table: Mutex<Table>,
    /// For the client: somebody wants to hear something else, or has something to say.
    news: Notify,
    superseded: AtomicU64,
}

#[derive(Default)]
struct Table {
    connected: bool,
    /// There was a connection once.
    has_been_connected: bool,
    boxes: Vec<Weak<Letterbox>>,
    outlets: BTreeMap<String, Saying>,
    last_outlet: u64,
}

/// What one outlet says.
#[derive(Default)]
struct Saying {
    /// Which outlet's it is; a later one of the same topic has another number.
    outlet: u64,
    newest: Option<Vec<u8>>,
    is_due: bool,
    arrived: bool,
    /// Its outlet was dropped: what is due is said once more, and then no more.
    is_last: bool,
}

/// What was published on one topic, as far as nobody has taken it yet. Dropping the last handle ends it.
#[derive(Debug)]
pub struct Letterbox {
    topic: String,
    newest: Mutex<Option<Letter>>,
    arrival: Notify,
}

/// A payload, and when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// What.
    pub payload: Vec<u8>,
    /// When.
    pub at: Monotonic,
}

/// There is no connection to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotConnected;

impl Post {
    /// Nobody wants anything yet, and there is no broker.
    pub fn new(clock: Clock) -> Self {
        let (news, superseded) = (Notify::new(), AtomicU64::new(0));
        Self { shared: Arc::new(Shared { clock, table: Mutex::default(), news, superseded }) }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        locked(&self.shared.table)
    }

    /// What is published on `topic` from now on.
    pub fn subscribe(&self, topic: &str) -> Arc<Letterbox> {
        let (newest, arrival) = (Mutex::default(), Notify::new());
        let letters = Arc::new(Letterbox { topic: topic.to_owned(), newest, arrival });
        self.table().boxes.push(Arc::downgrade(&letters));
        self.shared.news.notify_one();
        letters
    }

    /// A way to publish on `topic`, in place of any earlier one.
    pub fn outlet(&self, topic: &str) -> Outlet {
        let mut table = self.table();
        table.last_outlet += 1;
        let outlet = table.last_outlet;
        table.outlets.insert(topic.to_owned(), Saying { outlet, ..Saying::default() });
        drop(table);
        Outlet { post: self.clone(), topic: topic.to_owned(), outlet, since: self.shared.clock.now() }
    }

    /// Whether there is a connection to a broker.
    pub fn is_connected(&self) -> bool {
        self.table().connected
    }

    /// How many letters and payloads were replaced by newer ones before anybody took them, since the start.
    pub fn superseded(&self) -> u64 {
        self.shared.superseded.load(Ordering::Relaxed)
    }

    /// Client: a connection has begun or ended. What outlets have said last is due again on a new one, for much may have happened
    /// meanwhile.
    pub fn set_connected(&self, connected: bool) {
        let mut table = self.table();
        table.connected = connected;
        table.has_been_connected |= connected;
        for saying in table.outlets.values_mut() {
            if connected && saying.newest.is_some() {
                (saying.is_due, saying.arrived) = (true, false);
            }
        }
    }

    /// Client: every topic that somebody wants to hear, once.
    pub fn topics(&self) -> Vec<String> {
        let mut table = self.table();
        table.boxes.retain(|letters| letters.strong_count() > 0);
        let mut topics: Vec<String> =
            table.boxes.iter().filter_map(|letters| Some(letters.upgrade()?.topic.clone())).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// Client: this was published. What lay at the broker is of unknown age, and nobody is to act on it: it is left out.
    pub fn deliver(&self, topic: &str, payload: &[u8], retained: bool) {
        if retained {
            return;
        }
        let boxes: Vec<Arc<Letterbox>> = self.table().boxes.iter().filter_map(Weak::upgrade).collect();
        for letters in boxes.iter().filter(|letters| letters.topic == topic) {
            let letter = Letter { payload: payload.to_vec(), at: self.shared.clock.now() };
            if locked(&letters.newest).replace(letter).is_some() {
                self.count();
            }
            letters.arrival.notify_one();
        }
    }

    /// Client: takes what is to be published.
    pub fn due(&self) -> Vec<(String, Vec<u8>)> {
        let mut table = self.table();
        let take = |(topic, saying): (&String, &mut Saying)| {
            let newest = saying.newest.clone().filter(|_| std::mem::take(&mut saying.is_due));
            newest.map(|payload| (topic.clone(), payload))
        };
        let due = table.outlets.iter_mut().filter_map(take).collect();
        table.outlets.retain(|_, saying| !saying.is_last);
        due
    }

    /// Client: the broker has more than before. `has` tells whether it has the newest payload of a topic that was taken.
    pub fn arrived(&self, has: impl Fn(&str) -> bool) {
        for (topic, saying) in self.table().outlets.iter_mut().filter(|(_, saying)| !saying.is_due) {
            saying.arrived = saying.arrived || has(topic);
        }
    }

    /// Client: waits until there is something to subscribe to or to publish. Cancelling it loses nothing.
    pub async fn news(&self) {
        self.shared.news.notified().await;
    }

    fn count(&self) {
        self.shared.superseded.fetch_add(1, Ordering::Relaxed);
    }
}

impl Letterbox {
    /// Waits until something was published. Cancelling it loses nothing.
    pub async fn arrival(&self) {
        self.arrival.notified().await;
    }

    /// Takes the newest, if it was not taken yet.
    pub fn take(&self) -> Option<Letter> {
        locked(&self.newest).take()
    }
}

/// A way to publish on one topic. What it said last is said again on each new connection, until it is dropped.
pub struct Outlet {
    post: Post,
    topic: String,
    outlet: u64,
    since: Monotonic,
}

impl Outlet {
    /// Whether there was no connection so far, and need not have been: outlets are opened before the client connects.
    pub fn is_early(&self) -> bool {
        let waits = self.post.shared.clock.now().since(self.since) < FIRST;
        waits && !self.post.table().has_been_connected
    }

    /// Publishes a payload: at once, or when there is a connection again unless a newer one comes first.
    ///
    /// # Errors
    /// There is no connection now.
    pub fn say(&self, payload: Vec<u8>) -> Result<(), NotConnected> {
        let mut table = self.post.table();
        let connected = table.connected;
        if let Some(saying) = table.outlets.get_mut(&self.topic).filter(|saying| saying.outlet == self.outlet) {
            if saying.is_due {
                self.post.count();
            }
            (saying.newest, saying.is_due, saying.arrived) = (Some(payload), true, false);
        }
        drop(table);
        self.post.shared.news.notify_one();
        if connected { Ok(()) } else { Err(NotConnected) }
    }

    /// Whether the broker has what was said last.
    pub fn has_arrived(&self) -> bool {
        self.post.table().outlets.get(&self.topic).is_some_and(|saying| saying.arrived)
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut table = self.post.table();
        if let Some(saying) = table.outlets.get_mut(&self.topic).filter(|saying| saying.outlet == self.outlet) {
            saying.is_last = true;
            if !saying.is_due {
                table.outlets.remove(&self.topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn post() -> Post {
        Post::new(Clock::simulated(Timestamp::from_millis(0)))
    }

    fn due(post: &Post) -> Vec<String> {
        let text = |(topic, payload)| format!("{topic} {}", String::from_utf8(payload).unwrap());
        post.due().into_iter().map(text).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn of_what_is_published_the_newest_waits_and_what_lay_there_does_not_count() {
        let post = post();
        let (one, other) = (post.subscribe("plug"), post.subscribe("plug"));
        post.deliver("plug", b"old", true);
        assert_eq!(one.take(), None);
        for payload in ["ON", "OFF"] {
            post.deliver("plug", payload.as_bytes(), false);
        }
        post.deliver("lamp", b"ON", false);
        one.arrival().await;
        assert_eq!([&one, &other].map(|letters| letters.take().unwrap().payload), [b"OFF", b"OFF"]);
        assert_eq!((one.take(), post.superseded()), (None, 2));
        assert_eq!(post.topics(), ["plug"]);
        drop((one, other));
        assert_eq!(post.topics(), [""; 0]);
    }

    #[tokio::test]
    async fn what_was_said_last_is_said_again_on_each_connection_until_its_outlet_is_gone() {
        let post = post();
        let (plug, lamp) = (post.outlet("plug"), post.outlet("lamp"));
        assert_eq!(plug.say(b"ON".into()), Err(NotConnected));
        assert_eq!(plug.say(b"OFF".into()), Err(NotConnected));
        post.set_connected(true);
        assert_eq!(due(&post), ["plug OFF"]);
        assert_eq!((due(&post), plug.has_arrived()), (vec![], false));
        post.arrived(|_| true);
        assert!(plug.has_arrived());
        assert_eq!(lamp.say(b"ON".into()), Ok(()));
        post.arrived(|_| true);
        assert!(!lamp.has_arrived(), "it is not even on its way");

        post.set_connected(false);
        assert!(plug.has_arrived(), "it was told, and nothing else since");
        // The last word of one that leaves is said, and then no more.
        drop(lamp);
        for expected in [&["lamp ON", "plug OFF"][..], &["plug OFF"]] {
            post.set_connected(true);
            assert_eq!(due(&post), expected);
            post.set_connected(false);
        }
        // An earlier outlet of the same topic says nothing any more.
        let again = post.outlet("plug");
        let _ = again.say(b"ON".into());
        let _ = plug.say(b"OFF".into());
        drop(plug);
        post.set_connected(true);
        assert_eq!(due(&post), ["plug ON"]);
    }
}
