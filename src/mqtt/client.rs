//! The MQTT task: connects, keeps the broker up to date, and waits out everything that goes wrong.

use std::mem::{Discriminant, discriminant};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time;
use tracing::{error, info, warn};

use super::announcer::Announcer;
use super::commands::{Commands, Outcome};
use super::connection::{self, End};
use super::discovery::{self, Standing, Things};
use super::history::Readings;
use super::link::{Introduction, Link};
use super::network::Network;
use super::outbox::Outbox;
use super::portion::Portion;
use super::topics::Topics;
use super::{Config, MqttError, backoff, payload};
use crate::bus::Tap;
use crate::message::Event;
use crate::panics::locked;
use crate::post::Post;

/// How often the supervisor hears of it when nothing happens.
pub(super) const BEAT: Duration = Duration::from_secs(5);

/// What the broker is to know, and how to reach it. All clones are the same; it survives a restart of its task.
#[derive(Clone)]
pub struct Mqtt {
    shared: Arc<Shared>,
}

struct Shared {
    link: Arc<dyn Link>,
    config: Config,
    /// How Home Assistant is told, or would be.
    discovery: discovery::Settings,
    /// The name of this client at the broker.
    id: String,
    node: String,
    topics: Topics,
    outbox: Mutex<Outbox>,
    announcer: Mutex<Announcer>,
    /// All alarms, for whoever looks at one topic for them.
    standing: Mutex<Standing>,
    behind: Behind,
    /// How large the pages of the history are that this broker takes.
    portion: Mutex<Portion>,
    connected: AtomicBool,
    /// Whether we listen to anything: not any more once something came that is too large.
    listens: AtomicBool,
}

/// What stands behind the client; what is left out is not offered.
#[derive(Clone, Default)]
pub struct Behind {
    /// For the topic `history`.
    pub readings: Option<Arc<dyn Readings>>,
    /// Who takes commands.
    pub commands: Option<Arc<Commands>>,
    /// What Home Assistant may be told of, now and after each reload.
    pub things: Option<watch::Receiver<Arc<Things>>>,
    /// What comes from the broker for this node's own devices, and goes there.
    pub post: Option<Post>,
}

impl Mqtt {
    /// The client of the node called `node`, over the network, with nothing behind it. Nothing happens before [`run`].
    pub fn new(config: Config, node: &str) -> Self {
        Self::over(Arc::new(Network), config, node, Behind::default())
    }

    /// The same over another link, and with what stands behind it.
    pub fn over(link: Arc<dyn Link>, config: Config, node: &str, behind: Behind) -> Self {
        let (topics, mut outbox) = (Topics::new(node), Outbox::default());
        outbox.set(topics.standing(), Standing::default().payload());
        let shared = Shared {
            link,
            discovery: config.home_assistant.clone().unwrap_or_default(),
            config,
            id: format!("homeostat-{node}"),
            node: node.to_owned(),
            topics,
            outbox: Mutex::new(outbox),
            announcer: Mutex::default(),
            standing: Mutex::default(),
            behind,
            portion: Mutex::default(),
            connected: AtomicBool::new(false),
            listens: AtomicBool::new(true),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether there is a connection right now.
    pub fn is_connected(&self) -> bool {
        self.shared.connected.load(Ordering::Relaxed)
    }

    /// How many payloads were replaced by newer ones before they were sent, since the start.
    pub fn superseded(&self) -> u64 {
        self.outbox().superseded()
    }

    pub(super) fn config(&self) -> &Config {
        &self.shared.config
    }

    pub(super) fn link(&self) -> &dyn Link {
        &*self.shared.link
    }

    pub(super) fn introduction(&self) -> Introduction<'_> {
        Introduction { config: self.config(), id: &self.shared.id, status_topic: self.status_topic() }
    }

    pub(super) fn topics(&self) -> &Topics {
        &self.shared.topics
    }

    pub(super) fn readings(&self) -> Option<&dyn Readings> {
        self.shared.behind.readings.as_deref()
    }

    pub(super) fn commands(&self) -> Option<&Arc<Commands>> {
        self.shared.behind.commands.as_ref()
    }

    pub(super) fn post(&self) -> Option<&Post> {
        self.shared.behind.post.as_ref()
    }

    pub(super) fn listens(&self) -> bool {
        self.shared.listens.load(Ordering::Relaxed)
    }

    pub(super) fn things(&self) -> Option<watch::Receiver<Arc<Things>>> {
        self.shared.behind.things.clone()
    }

    /// Under which name and how Home Assistant is told; of what it was told earlier, if it no longer is.
    pub(super) fn home_assistant(&self) -> Option<(&str, &discovery::Settings)> {
        let Shared { behind, node, discovery, .. } = &*self.shared;
        behind.things.is_some().then_some((node, discovery))
    }

    pub(super) fn announcer(&self) -> MutexGuard<'_, Announcer> {
        locked(&self.shared.announcer)
    }

    /// Home Assistant is to know of these, if it is to know of anything.
    pub(super) fn announce(&self, things: &Things) {
        let settings = self.config().home_assistant.as_ref();
        let messages = settings.map(|settings| discovery::messages(things, settings)).unwrap_or_default();
        self.announcer().tell(messages);
    }

    /// Tells those who asked what became of it.
    pub(super) fn answer(&self, answers: Vec<(String, Outcome)>) {
        let mut outbox = self.outbox();
        for (id, outcome) in answers {
            outbox.post(self.shared.topics.result(&id), payload::result(&outcome));
        }
    }

    /// Never locked across a wait.
    pub(super) fn portion(&self) -> MutexGuard<'_, Portion> {
        locked(&self.shared.portion)
    }

    pub(super) fn status_topic(&self) -> &str {
        self.shared.topics.status()
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.shared.connected.store(connected, Ordering::Relaxed);
        if let Some(post) = self.post() {
            post.set_connected(connected);
        }
    }

    /// Moves what is to be said to devices to the outbox.
    pub(super) fn collect_post(&self) {
        let due = self.post().map(Post::due).unwrap_or_default();
        let mut outbox = self.outbox();
        for (topic, payload) in due {
            outbox.pass(&topic, payload);
        }
    }

    /// Moves what waits in the tap to the outbox, where only the newest of each topic stays.
    pub(super) fn collect(&self, tap: &Tap) {
        let mut events = Vec::new();
        tap.drain(&mut events);
        let mut topic = String::new();
        let mut outbox = self.outbox();
        for event in &events {
            self.shared.topics.of(event, &mut topic);
            if let Event::Gone(_) = event {
                outbox.empty_below(&topic);
            }
            outbox.set(&topic, payload::of(event));
            if let Event::Alarm(alarm) = event {
                let mut standing = locked(&self.shared.standing);
                standing.take(alarm);
                outbox.set(self.topics().standing(), standing.payload());
            }
        }
        drop(outbox);
        if let Some(commands) = self.commands() {
            let outputs = events.iter().filter_map(|event| match event {
                Event::Output(state) => Some(commands.heard(state)),
                _ => None,
            });
            self.answer(outputs.flatten().collect());
        }
    }

    /// Never locked across a wait.
    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        locked(&self.shared.outbox)
    }
}

/// Publishes what comes through the tap, and connects again for ever, until `stop`. Then the broker gets what it does
/// not have yet and `offline`, within 800 ms. The tap should wake at its first event.
///
/// Trouble with the broker is logged and waited out, so this gives no error today.
pub async fn run(mqtt: &Mqtt, tap: &Tap, stop: impl Future<Output = ()>, beat: impl Fn()) -> Result<(), MqttError> {
    let mut stop = pin!(stop);
    let mut told = Told::new(mqtt);
    let mut failures = 0_u32;
    loop {
        mqtt.collect(tap);
        let over = Over(mqtt);
        let end = connection::hold(mqtt, tap, stop.as_mut(), &beat, &mut told).await;
        drop(over);
        let error = match end {
            End::Stopped => return Ok(()),
            End::Failed { error, proved } => {
                told.failed(&error);
                if let MqttError::TooLarge { .. } = error {
                    mqtt.shared.listens.store(false, Ordering::Relaxed);
                }
                failures = if proved { 1 } else { failures.saturating_add(1) };
                error
            }
        };
        let mut pause = pin!(time::sleep(backoff::pause(failures, &error, fastrand::f64())));
        let mut beats = time::interval(BEAT);
        loop {
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = &mut pause => break,
                () = tap.filled() => mqtt.collect(tap),
                _ = beats.tick() => {}
            }
            beat();
        }
    }
}

/// The end of a connection, also by a panic or because nobody waits for it any more: what is said to devices from then on must not count
/// as accepted.
struct Over<'m>(&'m Mqtt);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.set_connected(false);
    }
}

/// What people were told last, so that they hear of each change once.
pub(super) struct Told {
    broker: String,
    trouble: Option<Discriminant<MqttError>>,
    /// Whether the history could not be read.
    lost_history: bool,
    /// Whether the broker keeps commands from us.
    deaf: bool,
    mqtt: Mqtt,
    superseded: u64,
}

impl Told {
    fn new(mqtt: &Mqtt) -> Self {
        let broker = mqtt.config().broker.to_string();
        Self {
            broker,
            trouble: None,
            lost_history: false,
            deaf: false,
            mqtt: mqtt.clone(),
            superseded: mqtt.superseded(),
        }
    }

    pub(super) fn connected(&mut self) {
        // At the start much is told twice before there can be a connection. Nobody misses that.
        let kept_waiting = self.trouble.take().is_some();
        match self.mqtt.superseded() - self.superseded {
            older if older > 0 && kept_waiting => {
                info!("connected to the broker at {}; {older} values had become old before they were sent", self.broker)
            }
            _ => info!("connected to the broker at {}", self.broker),
        }
    }

    /// The broker does not let us hear commands.
    pub(super) fn deaf(&mut self) {
        if !std::mem::replace(&mut self.deaf, true) {
            warn!(
                "the broker at {} does not let us subscribe, so commands, Home Assistant or sensors may not be heard: check its access rules",
                self.broker
            );
        }
    }

    /// A page of the history could be read, or not.
    pub(super) fn history(&mut self, page: Result<(), &str>) {
        let before = std::mem::replace(&mut self.lost_history, page.is_err());
        match page {
            Err(error) if !before => warn!("the history waits: {error}; live values go on, and it is tried again"),
            Ok(()) if before => info!("the history goes on"),
            _ => {}
        }
    }

    fn failed(&mut self, error: &MqttError) {
        let is_new = match (self.trouble, error) {
            (Some(_), MqttError::Unreachable { .. }) => false,
            (told, error) => told != Some(discriminant(error)),
        };
        if !is_new {
            return;
        }
        if self.trouble.is_none() {
            self.superseded = self.mqtt.superseded();
        }
        self.trouble = Some(discriminant(error));
        match error {
            MqttError::Lost { .. } | MqttError::Unreachable { .. } => {
                warn!("{error}; control goes on, and it is tried again for as long as it takes");
            }
            _ => error!("{error}; control goes on, and it is tried again for as long as it takes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::super::Broker;
    use super::super::link::Line;
    use super::*;
    use crate::bus::Bus;
    use crate::clock::Clock;
    use crate::model::Timestamp;

    /// It connects, and then something in it panics, or hangs.
    struct Broken {
        post: Post,
        panics: bool,
    }

    impl Link for Broken {
        fn connect<'a>(&'a self, _: Introduction<'a>) -> BoxFuture<'a, Result<Line, MqttError>> {
            Box::pin(async {
                self.post.set_connected(true);
                assert!(!self.panics, "in the link");
                std::future::pending().await
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_task_ends_in_whatever_way_nothing_counts_as_accepted_any_more() {
        for panics in [true, false] {
            let clock = Clock::simulated(Timestamp::from_millis(0));
            let post = Post::new(clock);
            let behind = Behind { post: Some(post.clone()), ..Behind::default() };
            let link = Arc::new(Broken { post: post.clone(), panics });
            let mqtt = Mqtt::over(link, Config::to(Broker::at("memory", 1883)), "node", behind);
            let tap = Bus::new(clock, 0).tap(10, 1);
            let (plug, seen) = (post.outlet("plug"), AtomicBool::new(false));
            let beat = || {
                seen.fetch_or(post.is_connected(), Ordering::Relaxed);
            };
            let task = AssertUnwindSafe(run(&mqtt, &tap, std::future::pending(), beat)).catch_unwind();
            let ended = time::timeout(2 * BEAT, task).await;
            assert_eq!(ended.is_ok_and(|ended| ended.is_err()), panics);
            assert!(panics || seen.load(Ordering::Relaxed), "it was not connected");
            assert!(plug.say(b"OFF".into()).is_err(), "it was accepted by nobody");
        }
    }
}
