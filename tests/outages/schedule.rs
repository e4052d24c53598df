//! One outage after another, drawn by lot, and what must be so at the end.

use std::fmt;
use std::time::Duration;

use super::broker::{Broker, Keeps};
use super::consumer::{Reader, compare, consume, repeats, stored};
use super::house::{Home, fifty, silent};
use super::process::{Daemon, live_for, until};
use super::proxy::{FAIR, Flow, Proxy, Weather};

/// What goes wrong. Each lasts for so many milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    /// Nothing at all.
    Calm,
    /// Every connection breaks, and the next one is let in.
    Cut,
    /// Nobody listens.
    Refused,
    /// Connections are accepted and nothing comes back, and then goes on as if nothing had been.
    Silence,
    /// The same, and then they break.
    SilenceAndCut,
    /// What is said arrives; its acknowledgement does not, and then the connection breaks.
    Deaf,
    /// It takes its time.
    Slow,
    /// The broker is killed and comes back.
    BrokerKilled,
    /// It stops in order, and comes back.
    BrokerStopped,
    /// The same, and it has forgotten all sessions.
    SessionsLost,
    /// `kill -9`, in the midst of whatever it does.
    DaemonKilled,
    /// The same after a while without a broker and a moment with one: in mid-drain.
    KilledInMidDrain,
}

const OUTAGES: [Outage; 12] = [
    Outage::Calm,
    Outage::Cut,
    Outage::Refused,
    Outage::Silence,
    Outage::SilenceAndCut,
    Outage::Deaf,
    Outage::Slow,
    Outage::BrokerKilled,
    Outage::BrokerStopped,
    Outage::SessionsLost,
    Outage::DaemonKilled,
    Outage::KilledInMidDrain,
];

/// What a seed stands for.
pub struct Schedule {
    pub seed: u64,
    keeps: Keeps,
    outages: Vec<Act>,
}

struct Act {
    outage: Outage,
    millis: u64,
    /// Whether it waits until the history flows again.
    in_the_flow: bool,
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the broker keeps {:?}", self.keeps)?;
        self.outages.iter().try_for_each(|Act { outage, millis, in_the_flow }| {
            let when = if *in_the_flow { "in mid-flow " } else { "" };
            write!(f, ", {when}{outage:?} for {millis} ms")
        })
    }
}

pub fn draw(seed: u64) -> Schedule {
    let mut rng = fastrand::Rng::with_seed(seed);
    let keeps = if rng.bool() { Keeps::Everything } else { Keeps::Nothing };
    // A third of them leave the broker alone, or have it keep everything: then a subscriber must have everything as well.
    let spares_broker = rng.u8(0..3) == 0;
    let harms = |outage: &Outage| match outage {
        Outage::BrokerKilled | Outage::SessionsLost => true,
        Outage::BrokerStopped => keeps == Keeps::Nothing,
        _ => false,
    };
    let choice: Vec<Outage> = OUTAGES.into_iter().filter(|outage| !(spares_broker && harms(outage))).collect();
    let mut act =
        || Act { outage: choice[rng.usize(..choice.len())], millis: rng.u64(50..900), in_the_flow: rng.bool() };
    let outages = std::iter::repeat_with(&mut act).take(4).collect();
    Schedule { seed, keeps, outages }
}

/// What was seen of a schedule.
#[derive(Debug, Default)]
pub struct Seen {
    pub stored: usize,
    pub pages: usize,
    pub repeats: usize,
    /// Whether a subscriber with a session was asked too.
    pub subscriber: bool,
}

struct Stage {
    home: Home,
    proxy: Proxy,
    broker: Broker,
    daemon: Option<Daemon>,
}

/// Plays it. An error says what is missing.
pub fn play(schedule: &Schedule) -> Result<Seen, String> {
    let broker = Broker::start(schedule.keeps, "");
    let reader = Reader::subscribe(broker.port);
    let proxy = Proxy::before(broker.port);
    let home = Home::new(&fifty(proxy.port, "50ms"));
    let daemon = Some(home.run());
    let mut stage = Stage { home, proxy, broker, daemon };
    for &Act { outage, millis, in_the_flow } in &schedule.outages {
        if in_the_flow {
            stage.until_it_flows();
        }
        stage.play(outage, Duration::from_millis(millis));
    }
    stage.end(reader)
}

impl Stage {
    fn play(&mut self, outage: Outage, time: Duration) {
        match outage {
            Outage::Calm => live_for(time),
            Outage::Cut => {
                self.proxy.cut();
                live_for(time);
            }
            Outage::Refused => {
                self.during(Weather { listens: false, ..FAIR }, true, time);
            }
            Outage::Silence => self.during(Weather { up: Flow::Shut, down: Flow::Shut, ..FAIR }, false, time),
            Outage::SilenceAndCut => {
                self.during(Weather { up: Flow::Shut, down: Flow::Shut, ..FAIR }, false, time);
                self.proxy.cut();
            }
            Outage::Deaf => {
                self.proxy.set(Weather { down: Flow::Shut, ..FAIR });
                live_for(time);
                self.proxy.cut();
                self.proxy.set(FAIR);
            }
            Outage::Slow => self.during(Weather { up: Flow::Slow(100), down: Flow::Slow(20), ..FAIR }, false, time),
            Outage::BrokerKilled => {
                self.broker.kill();
                self.broker_returns(time);
            }
            Outage::BrokerStopped => {
                self.broker.stop();
                self.broker_returns(time);
            }
            Outage::SessionsLost => {
                self.broker.stop();
                self.broker.forget();
                self.broker_returns(time);
            }
            Outage::DaemonKilled => self.daemon_dies(time),
            Outage::KilledInMidDrain => {
                self.during(Weather { listens: false, ..FAIR }, true, Duration::from_millis(1500));
                self.until_it_flows();
                self.daemon_dies(Duration::ZERO);
            }
        }
    }

    fn until_it_flows(&self) {
        let before = self.proxy.taken().len();
        until("the history flows", || self.proxy.taken().len() > before);
    }

    fn during(&self, weather: Weather, cut: bool, time: Duration) {
        self.proxy.set(weather);
        if cut {
            self.proxy.cut();
        }
        live_for(time);
        self.proxy.set(FAIR);
    }

    fn broker_returns(&mut self, later: Duration) {
        live_for(later);
        self.broker.begin();
    }

    fn daemon_dies(&mut self, later: Duration) {
        self.daemon.take().unwrap().kill();
        live_for(later);
        self.daemon = Some(self.home.run());
    }

    /// All is well again, and nothing is measured any more. What is left is drained.
    fn end(mut self, reader: Reader) -> Result<Seen, String> {
        let house = &self.home.house;
        let (code, log) = self.daemon.take().unwrap().stop();
        if code != Some(0) || log.contains("panic") {
            return Err(format!("it ends with {code:?}: {log}"));
        }
        let expected = stored(house);
        house.write("config.toml", &silent(self.proxy.port));
        let daemon = self.home.run();
        let last = expected.last().map_or(0, |reading| reading.seq);
        let drained = (0..1000).any(|_| {
            live_for(Duration::from_millis(10));
            consume(&self.proxy.taken()).last().is_some_and(|reading| reading.seq >= last)
        });
        let (_, log) = daemon.stop();
        let pages = self.proxy.taken();
        compare(&consume(&pages), &expected).map_err(|wrong| match drained {
            true => format!("the broker has not taken what is stored: {wrong}"),
            false => format!("the rest did not come within 10 s: {wrong}\n{log}"),
        })?;
        if self.broker.is_honest {
            let read = consume(&reader.fetch());
            compare(&read, &expected).map_err(|wrong| format!("a subscriber has not read what is stored: {wrong}"))?;
        }
        let subscriber = self.broker.is_honest;
        Ok(Seen { stored: expected.len(), pages: pages.len(), repeats: repeats(&pages), subscriber })
    }
}
