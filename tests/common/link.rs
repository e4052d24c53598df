//! A broker in memory, for virtual time: it keeps what is retained, acknowledges, says the will, and can be down, slow, or
//! forget everything.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use homeostat::mqtt::link::{Heard, Introduction, Line, Link, Listener, Message, Speaker, Stuck};
use homeostat::mqtt::outbox::Due;
use homeostat::mqtt::{Broker, Config, MqttError};
use tokio::sync::{broadcast, mpsc, watch};

/// More than may be unacknowledged on one line.
const ROOM: usize = 200;

/// The `[mqtt]` table of a daemon that is to use it.
pub fn config() -> Config {
    Config::to(Broker::at("memory", 1883))
}

/// All clones are the same broker.
#[derive(Clone)]
pub struct FakeBroker {
    retained: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    passed: Arc<Mutex<Vec<(String, String)>>>,
    taken: Arc<AtomicUsize>,
    news: broadcast::Sender<Message>,
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    up: bool,
    /// How long it takes for each message.
    takes: Duration,
    /// Grows whenever all lines break.
    life: u64,
}

impl Default for FakeBroker {
    fn default() -> Self {
        let state = State { up: true, takes: Duration::from_millis(1), life: 0 };
        let (news, _) = broadcast::channel(ROOM);
        Self {
            retained: Arc::default(),
            passed: Arc::default(),
            taken: Arc::default(),
            news,
            state: Arc::new(watch::Sender::new(state)),
        }
    }
}

impl FakeBroker {
    /// Breaks all lines, and lets nobody in until [`up`](Self::up).
    pub fn down(&self) {
        self.change(|state| {
            state.up = false;
            state.life += 1;
        });
    }

    /// Lets everybody in.
    pub fn up(&self) {
        self.change(|state| state.up = true);
    }

    /// Takes so long for each message from now on.
    pub fn slow(&self, takes: Duration) {
        self.change(|state| state.takes = takes);
    }

    /// Begins anew without a memory, as a broker without persistence does.
    pub fn forget(&self) {
        self.retained.lock().unwrap().clear();
        self.change(|state| state.life += 1);
    }

    /// Loses what is retained, and nobody notices.
    pub fn lose_retained(&self) {
        self.retained.lock().unwrap().clear();
    }

    /// Somebody else has left this, or takes it away if it is empty.
    pub fn leave(&self, topic: &str, payload: &str) {
        self.keep(topic.to_owned(), payload.into());
    }

    /// What a new subscriber would get on that topic.
    pub fn retained(&self, topic: &str) -> Option<String> {
        let retained = self.retained.lock().unwrap();
        retained.get(topic).map(|payload| String::from_utf8_lossy(payload).into_owned())
    }

    /// All topics that have something retained.
    pub fn topics(&self) -> Vec<String> {
        self.retained.lock().unwrap().keys().cloned().collect()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    /// Somebody else publishes.
    pub fn publish(&self, topic: &str, payload: &str) {
        let _ = self.news.send(Message { topic: topic.to_owned(), payload: payload.into(), retained: false });
    }

    /// All that was published and not retained, or told to Home Assistant, in order.
    pub fn passed(&self) -> Vec<(String, String)> {
        self.passed.lock().unwrap().clone()
    }

    /// How many publishes it has taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn take(&self, topic: String, payload: Vec<u8>, retain: bool) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        if retain {
            return self.keep(topic, payload);
        }
        self.passed.lock().unwrap().push((topic, String::from_utf8(payload).unwrap()));
    }

    /// What a new subscriber would get.
    fn kept(&self, filters: &[String]) -> Vec<Message> {
        let retained = self.retained.lock().unwrap();
        let wanted = retained.iter().filter(|(topic, _)| filters.iter().any(|filter| fits(filter, topic)));
        wanted
            .map(|(topic, payload)| Message { topic: topic.clone(), payload: payload.clone(), retained: true })
            .collect()
    }

    fn keep(&self, topic: String, payload: Vec<u8>) {
        if topic.starts_with("homeassistant/") {
            self.passed.lock().unwrap().push((topic.clone(), String::from_utf8_lossy(&payload).into_owned()));
            // We hear ourselves there.
            let _ = self.news.send(Message { topic: topic.clone(), payload: payload.clone(), retained: false });
        }
        let mut retained = self.retained.lock().unwrap();
        if payload.is_empty() {
            retained.remove(&topic);
        } else {
            retained.insert(topic, payload);
        }
    }
}

impl Link for FakeBroker {
    fn connect<'a>(&'a self, who: Introduction<'a>) -> BoxFuture<'a, Result<Line, MqttError>> {
        let (sender, messages) = mpsc::channel(ROOM);
        let listener = Ear {
            broker: self.clone(),
            state: self.state.subscribe(),
            messages,
            news: self.news.subscribe(),
            filters: Vec::new(),
            kept: VecDeque::new(),
            will: who.status_topic.to_owned(),
            life: None,
            last_packet: 0,
            arriving: VecDeque::new(),
        };
        Box::pin(async { Ok(Line { speaker: Box::new(Mouth(sender)), listener: Box::new(listener) }) })
    }
}

enum Said {
    Publish(String, Vec<u8>, bool),
    Subscribe(Vec<String>),
    Leave,
}

struct Mouth(mpsc::Sender<Said>);

impl Speaker for Mouth {
    fn publish(&self, Due { topic, payload, retain }: Due<'_>) -> Result<(), Stuck> {
        self.0.try_send(Said::Publish(topic.to_owned(), payload.to_vec(), retain)).map_err(|_| Stuck)
    }

    fn subscribe(&self, filters: &[String]) -> Result<(), Stuck> {
        self.0.try_send(Said::Subscribe(filters.to_vec())).map_err(|_| Stuck)
    }

    fn leave(&self) -> Result<(), Stuck> {
        self.0.try_send(Said::Leave).map_err(|_| Stuck)
    }
}

struct Ear {
    broker: FakeBroker,
    state: watch::Receiver<State>,
    messages: mpsc::Receiver<Said>,
    /// What others publish.
    news: broadcast::Receiver<Message>,
    filters: Vec<String>,
    /// What was retained where we asked, on its way to us.
    kept: VecDeque<Message>,
    will: String,
    /// The broker's life in which it let us in.
    life: Option<u64>,
    last_packet: u16,
    /// What is sent and not acknowledged.
    arriving: VecDeque<(u16, String, Vec<u8>, bool)>,
}

impl Listener for Ear {
    fn next(&mut self) -> BoxFuture<'_, Result<Heard, MqttError>> {
        Box::pin(async {
            let Some(life) = self.life else { return self.enter().await };
            let broken = async |state: &mut watch::Receiver<State>| {
                let _ = state.wait_for(|state| !state.up || state.life != life).await;
            };
            let mut state = self.state.clone();
            tokio::select! {
                biased;
                () = broken(&mut state) => {
                    self.life = None;
                    let reason = "the broker closed it".to_owned();
                    Err(MqttError::Lost { broker: "memory:1883".into(), reason })
                }
                heard = self.carry() => Ok(heard),
            }
        })
    }
}

impl Ear {
    async fn enter(&mut self) -> Result<Heard, MqttError> {
        let State { up, takes, life } = *self.state.borrow_and_update();
        tokio::time::sleep(takes).await;
        if up && self.state.borrow().life == life {
            self.life = Some(life);
            return Ok(Heard::Connected);
        }
        Err(MqttError::Unreachable { broker: "memory:1883".into(), reason: "connection refused".into() })
    }

    async fn carry(&mut self) -> Heard {
        let takes = self.state.borrow().takes;
        if let Some(message) = self.kept.pop_front() {
            return Heard::Message(message);
        }
        tokio::select! {
            biased;
            message = self.messages.recv() => match message {
                Some(Said::Publish(topic, payload, retain)) => {
                    self.last_packet = self.last_packet % 1000 + 1;
                    self.arriving.push_back((self.last_packet, topic, payload, retain));
                    Heard::Sent(self.last_packet)
                }
                Some(Said::Subscribe(mut filters)) => {
                    self.kept.extend(self.broker.kept(&filters));
                    self.filters.append(&mut filters);
                    Heard::Alive
                }
                Some(Said::Leave) => {
                    self.life = None;
                    Heard::Left
                }
                None => std::future::pending().await,
            },
            () = tokio::time::sleep(takes), if !self.arriving.is_empty() => {
                let (packet, topic, payload, retain) = self.arriving.pop_front().expect("it is not empty");
                self.broker.take(topic, payload, retain);
                Heard::Acknowledged(packet)
            }
            Ok(message) = self.news.recv() => match self.filters.iter().any(|filter| fits(filter, &message.topic)) {
                true => Heard::Message(message),
                false => Heard::Other,
            },
        }
    }
}

impl Drop for Ear {
    /// Broken off without a word: the broker says the will.
    fn drop(&mut self) {
        if self.life.is_some() && self.state.borrow().up {
            self.broker.keep(std::mem::take(&mut self.will), Introduction::OFFLINE.to_vec());
        }
    }
}

/// Whether a topic is one that was asked for. `+` is any one level.
fn fits(filter: &str, topic: &str) -> bool {
    let (mut asked, mut said) = (filter.split('/'), topic.split('/'));
    loop {
        match (asked.next(), said.next()) {
            (None, None) => return true,
            (Some(part), Some(level)) if part == "+" || part == level => {}
            _ => return false,
        }
    }
}
