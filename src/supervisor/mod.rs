//! The root actor: begins every child in order, begins it anew when it ends unasked, and stops all in order.
//!
//! Order of the start: outputs reach their safe levels before anything else moves; then store and MQTT, sensors,
//! controllers. Order of the stop: controllers, outputs to safe, sensors; then MQTT and the store, which drain what is left.

mod change;
mod child;
mod phases;
mod pins;
mod policy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;

pub use self::change::{Adopt, Farewell, Retire};
pub use self::child::{Body, Exit, Orders, actor, task};
pub use self::phases::LONGEST_STOP;
pub use self::policy::Policy;

use self::child::Life;
use self::phases::{Phase, START, STOP};
use self::policy::{History, Verdict};
use crate::alarms::Alarms;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::hardware::bank::Bank;
use crate::lifeline::Lifeline;
use crate::message::SensorState;
use crate::model::{Monotonic, OutputId, SensorId};

/// What a child is for. It decides when it is begun and stopped, and what its failing means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Commands a pin.
    Output,
    /// Keeps the readings. Failing too often ends the process.
    Store,
    /// Tells the world.
    Mqtt,
    /// Keeps the alarms on the disk, or tells a person of them.
    Alarms,
    /// Reads a device.
    Sensor(SensorId),
    /// Closes a loop.
    Controller,
}

impl Role {
    fn phase(&self) -> Phase {
        match self {
            Self::Output => Phase::Outputs,
            Self::Store | Self::Mqtt | Self::Alarms => Phase::Services,
            Self::Sensor(_) => Phase::Sensors,
            Self::Controller => Phase::Controllers,
        }
    }

    /// Whether the watchdog is fed only while this one answers.
    fn is_critical(&self) -> bool {
        matches!(self, Self::Output | Self::Controller | Self::Store)
    }
}

/// How often the root looks after what nobody else does.
const ROUND: Duration = Duration::from_secs(1);

/// How often it asks the critical children whether they are there …
const PING: Duration = Duration::from_secs(5);

/// … and how old their last sign of life may be.
const SILENCE: Duration = Duration::from_secs(15);

/// Where the daemon stands, for whoever started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Children are being begun.
    Starting,
    /// All are begun.
    Running,
    /// Stopped as it was asked to.
    Stopped,
    /// Stopped because it could not go on: why.
    Failed(String),
}

impl Stage {
    /// Whether nothing runs any more.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Stopped | Self::Failed(_))
    }
}

/// A child to be looked after.
pub struct Child {
    /// `sensors.air`
    pub name: Arc<str>,
    /// What it is for.
    pub role: Role,
    /// What it does.
    pub body: Body,
    /// On which thread.
    pub arbiter: ArbiterHandle,
}

/// Which child: one that leaves may be survived by what was arranged for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

struct Ward {
    child: Child,
    history: History,
    life: Option<Life>,
    began: Monotonic,
    /// What was last said about its exits, so that it is not said again every minute.
    said: Option<Exit>,
}

/// The root actor.
pub struct Root {
    clock: Clock,
    bus: Bus,
    alarms: Alarms,
    bank: Arc<Bank>,
    /// In the order in which they came; a key is never used twice.
    wards: BTreeMap<Key, Ward>,
    next_key: u64,
    stage: watch::Sender<Stage>,
    jitter: fastrand::Rng,
    stopping: bool,
    failed: Option<String>,
    /// When the critical children were last asked; never yet at the start, so that the first round does.
    pinged: Option<Monotonic>,
    verified: Monotonic,
    /// The outputs that the bank had in the last round.
    pins: Vec<OutputId>,
    dropped: u64,
    alive: Box<dyn Fn()>,
}

/// To the root: stop everything in order.
pub struct StopAll;

impl Message for StopAll {
    type Result = ();
}

/// To the root: end this child (`outputs.heater`). It is then begun anew as after any other end.
pub struct Restart(pub Arc<str>);

impl Message for Restart {
    type Result = ();
}

impl Ward {
    fn new(child: Child, now: Monotonic) -> Self {
        Self { child, history: History::new(Policy::default()), life: None, began: now, said: None }
    }
}

impl Root {
    /// A root that begins its children when it is started. `seed` is for the jitter of restarts; `alive` is called while
    /// every critical child shows that it lives.
    pub fn new(
        clock: Clock,
        bus: Bus,
        alarms: Alarms,
        bank: Arc<Bank>,
        children: Vec<Child>,
        seed: u64,
        alive: impl Fn() + 'static,
    ) -> Self {
        let wards = children.into_iter().map(|child| Ward::new(child, clock.now()));
        let wards: BTreeMap<Key, Ward> = (0..).map(Key).zip(wards).collect();
        Self {
            clock,
            bus,
            alarms,
            bank,
            next_key: wards.len() as u64,
            wards,
            stage: watch::Sender::new(Stage::Starting),
            jitter: fastrand::Rng::with_seed(seed),
            stopping: false,
            failed: None,
            pinged: None,
            verified: clock.now(),
            pins: Vec::new(),
            dropped: 0,
            alive: Box::new(alive),
        }
    }

    /// Tells where the daemon stands, now and later.
    pub fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    fn start(&mut self, phases: &'static [(Phase, Duration)], ctx: &mut Context<Self>) {
        if self.stopping {
            return;
        }
        let Some((&(phase, patience), rest)) = phases.split_first() else {
            self.stage.send_replace(Stage::Running);
            return;
        };
        let begun: Vec<Lifeline> = self.of(phase).into_iter().filter_map(|key| self.begin(key, ctx)).collect();
        let ready = async move { timeout(patience, join_all(begun.iter().map(Lifeline::until_ready))).await.is_ok() };
        ctx.spawn(ready.into_actor(self).map(move |_, root, ctx| root.start(rest, ctx)));
    }

    fn of(&self, phase: Phase) -> Vec<Key> {
        self.wards.iter().filter(|(_, ward)| ward.child.role.phase() == phase).map(|(key, _)| *key).collect()
    }

    fn begin(&mut self, key: Key, ctx: &mut Context<Self>) -> Option<Lifeline> {
        let lifeline = Lifeline::new(self.clock);
        let ward = self.wards.get_mut(&key)?;
        let life = Life::begin(&ward.child.body, &ward.child.arbiter, lifeline.clone());
        let ended = life.ended();
        ward.life = Some(life);
        ward.began = self.clock.now();
        ctx.spawn(ended.into_actor(self).map(move |exit, root, ctx| root.exited(key, exit, ctx)));
        Some(lifeline)
    }

    fn exited(&mut self, key: Key, exit: Exit, ctx: &mut Context<Self>) {
        let (now, jitter) = (self.clock.now(), self.jitter.f64());
        // One that has left is not begun anew.
        let Some(ward) = self.wards.get_mut(&key) else { return };
        ward.life = None;
        if let Role::Sensor(sensor) = &ward.child.role {
            self.bus.sensor(SensorState { sensor: sensor.clone(), online: false });
        }
        if self.stopping {
            return;
        }
        let Verdict { after, degraded_now } = ward.history.exited(ward.began, now, jitter);
        if ward.said.as_ref() != Some(&exit) {
            let (name, after) = (&ward.child.name, after.as_secs_f64());
            tracing::warn!("{name}: {exit}; begun anew in {after:.1} s, and again until it holds");
        }
        ward.said = Some(exit.clone());
        if degraded_now {
            let text = format!("{} fails again and again: {exit}", ward.child.name);
            tracing::error!("{text}");
            self.alarms.raise(&ward.child.name, &text);
            // Most are kept trying; without the store there is no going on.
            if ward.child.role == Role::Store {
                self.failed = Some(text);
                ctx.notify(StopAll);
            }
        }
        ctx.run_later(after, move |root, ctx| {
            if !root.stopping {
                root.begin(key, ctx);
            }
        });
    }

    /// What nobody else does: levels that nobody holds any more, children that are well again, pings.
    fn round(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        for ward in self.wards.values_mut() {
            if ward.life.is_some() && ward.history.recovered(ward.began, now) {
                tracing::info!("{} is well again", ward.child.name);
                ward.said = None;
                self.alarms.clear(&ward.child.name);
            }
        }
        let dropped = self.bus.dropped();
        if dropped > std::mem::replace(&mut self.dropped, dropped) {
            tracing::warn!("{dropped} messages were dropped since the start, because somebody's queue was full");
        }
        if self.pinged.is_none_or(|at| now.since(at) >= PING) {
            self.pinged = Some(now);
            self.ask_for_life(now);
        }
        self.look_after_pins(now, ctx);
    }

    /// Feeds the watchdog if every critical child has lately shown that it lives, and asks all again.
    fn ask_for_life(&self, now: Monotonic) {
        let critical = self.wards.values().filter(|ward| ward.child.role.is_critical());
        let lives: Vec<(&Ward, &Life)> = critical.filter_map(|ward| Some((ward, ward.life.as_ref()?))).collect();
        match lives.iter().find(|(_, life)| now.since(life.lifeline.last_beat()) > SILENCE) {
            Some((silent, _)) => tracing::error!("{} does not answer: the watchdog is not fed", silent.child.name),
            None => (self.alive)(),
        }
        for (_, life) in lives {
            life.ping();
        }
    }

    fn stop(&mut self, phases: &'static [(Phase, Duration)], ctx: &mut Context<Self>) {
        let Some((&(phase, patience), rest)) = phases.split_first() else {
            let end = self.failed.take().map_or(Stage::Stopped, Stage::Failed);
            self.stage.send_replace(end);
            return ctx.stop();
        };
        let of_phase = self.wards.values_mut().filter(|ward| ward.child.role.phase() == phase);
        let lives: Vec<(Arc<str>, Life)> =
            of_phase.filter_map(|ward| Some((ward.child.name.clone(), ward.life.take()?))).collect();
        let bank = (phase == Phase::Outputs).then(|| self.bank.clone());
        let work = async move {
            join_all(lives.iter().map(|(name, life)| end(name, life, patience))).await;
            match bank {
                Some(bank) => bank.seal().await,
                None => Vec::new(),
            }
        };
        ctx.spawn(work.into_actor(self).map(move |unsafe_outputs, root, ctx| {
            for (who, error) in unsafe_outputs {
                root.failed = Some(format!("{who} could not be made safe: {error}"));
                tracing::error!("{who} could not be made safe: {error}");
            }
            root.stop(rest, ctx);
        }));
    }
}

/// Stops one child in good order, or ends it.
async fn end(name: &str, life: &Life, patience: Duration) {
    life.stop();
    if timeout(patience, life.ended()).await.is_err() {
        tracing::warn!("{name} did not stop within {} ms and is ended", patience.as_millis());
        life.kill();
    }
}

impl Actor for Root {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // What stands at the broker is of an earlier process.
        for ward in self.wards.values() {
            self.alarms.forget(&ward.child.name);
        }
        self.forget_pins();
        ctx.run_interval(ROUND, Self::round);
        self.start(START, ctx);
    }
}

impl Handler<StopAll> for Root {
    type Result = ();

    fn handle(&mut self, _: StopAll, ctx: &mut Self::Context) {
        if !std::mem::replace(&mut self.stopping, true) {
            self.stop(STOP, ctx);
        }
    }
}

impl Handler<Restart> for Root {
    type Result = ();

    fn handle(&mut self, Restart(name): Restart, _: &mut Self::Context) {
        let life = self.wards.values().find(|ward| ward.child.name == name).and_then(|ward| ward.life.as_ref());
        if let Some(life) = life {
            life.kill();
        }
    }
}
