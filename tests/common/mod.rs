//! The Rig: the whole daemon over a simulated world, in virtual time and on one thread.

#![allow(dead_code, reason = "each test uses what it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

pub mod disk;
pub mod faults;
pub mod houses;
pub mod link;
pub mod wired;

use std::future::Future;
use std::sync::{Arc, Once};
use std::time::Duration;

use actix::prelude::*;
use homeostat::boot::Boot;
use homeostat::bus::Tap;
use homeostat::clock::Clock;
use homeostat::config::{self, Config};
use homeostat::daemon::{self, Daemon, Host};
use homeostat::hardware::Hardware;
use homeostat::hardware::bank::Bank;
use homeostat::hardware::lane::{Execution, Lanes};
use homeostat::hardware::simulated::Simulated;
use homeostat::message::Event;
use homeostat::model::{ChannelId, Reading, Timestamp};
use homeostat::mqtt::discovery::Settings;
use homeostat::mqtt::{self, Link, Network};
use homeostat::store::{Disk, RealDisk};
use homeostat::supervisor::Stage;

/// A daemon and the world it lives in.
pub struct Rig {
    pub daemon: Daemon,
    pub world: Simulated,
    pub clock: Clock,
    events: Tap,
    /// Everything that has happened, as far as [`Rig::run`] has come.
    pub history: Vec<Event>,
    directory: Arc<tempfile::TempDir>,
}

/// What the daemon finds, apart from the world: all is well, unless a test has it otherwise. One whose scenario ended without
/// [`Rig::stop`] was killed, and the next one finds what it left.
#[derive(Clone)]
pub struct Setting {
    pub disk: Arc<dyn Disk>,
    /// Without one, `[mqtt]` is left out: a real socket would make virtual time jump.
    pub broker: Option<link::FakeBroker>,
    /// Whether Home Assistant is told over it.
    pub home_assistant: Option<Settings>,
    /// What lies there is found by the daemon.
    pub state: Arc<tempfile::TempDir>,
    /// Since when the machine has been up.
    pub boot: Boot,
    /// Whether devices that are reached over the broker are reached over it, and not simulated.
    pub wired: bool,
}

impl Setting {
    /// The machine. To be called within [`virtually`].
    pub fn host(&self, clock: Clock, world: &Simulated) -> Host {
        let link: Option<Arc<dyn Link>> = self.broker.clone().map(|broker| Arc::new(broker) as _);
        let hardware: Arc<dyn Hardware> =
            if self.wired { Arc::new(wired::Wired(world.clone())) } else { Arc::new(world.clone()) };
        Host {
            clock,
            boot: self.boot.clone(),
            hardware,
            world: Some(world.clone()),
            execution: Execution::Inline,
            control: Arbiter::current(),
            services: Arbiter::current(),
            state: self.state.path().to_owned(),
            runtime: Some(self.state.path().to_owned()),
            disk: self.disk.clone(),
            link: link.unwrap_or_else(|| Arc::new(Network)),
            reload: None,
            seed: 1,
        }
    }

    /// The same machine, `later`.
    pub fn after(&self, later: Duration) -> Self {
        Self { boot: Boot { uptime: self.boot.uptime + later, ..self.boot.clone() }, ..self.clone() }
    }
}

impl Default for Setting {
    fn default() -> Self {
        let boot = Boot { id: "the boot of a test".into(), uptime: Duration::from_secs(1000) };
        let state = Arc::new(tempfile::tempdir().unwrap());
        Self { disk: Arc::new(RealDisk), broker: None, home_assistant: None, state, boot, wired: false }
    }
}

/// Lets a scenario play with a daemon on `text`, in virtual time.
pub fn play<F: Future<Output = ()>>(text: &str, scenario: impl FnOnce(Rig) -> F) {
    play_in(Setting::default(), text, scenario);
}

/// The same with a disk, a broker or a directory of the test's own.
pub fn play_in<F: Future<Output = ()>>(setting: Setting, text: &str, scenario: impl FnOnce(Rig) -> F) {
    let mut config = house(text);
    let home_assistant = setting.home_assistant.clone();
    config.mqtt = setting.broker.as_ref().map(|_| mqtt::Config { home_assistant, ..link::config() });
    virtually(async {
        let clock = Clock::simulated(BEGINNING);
        let world = daemon::simulated(&config, clock);
        let daemon = Daemon::start(config, setting.host(clock, &world), || {}).await.unwrap();
        let events = daemon.bus().tap(1_000_000, 1);
        assert_eq!(daemon.running().await, Stage::Running);
        scenario(Rig { daemon, world, clock, events, history: Vec::new(), directory: setting.state.clone() }).await;
    });
}

/// When every scenario begins.
pub const BEGINNING: Timestamp = Timestamp::from_millis(1_795_248_000_000);

/// A scenario's configuration, without what would open a socket: a real one would make virtual time jump.
pub fn house(text: &str) -> Config {
    let mut config =
        config::parse(text).unwrap_or_else(|mistakes| panic!("the scenario's configuration: {mistakes:#?}"));
    config.mqtt = None;
    config
}

/// Runs a scenario on this thread, in virtual time. Whatever it leaves behind is dropped with its runtime, as a process that
/// dies drops everything.
pub fn virtually<T>(scenario: impl Future<Output = T>) -> T {
    hush();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    System::with_tokio_rt(runtime).block_on(scenario)
}

/// What `ExecStopPost` does after a process that died: every output is driven to its safe level through a bank of its own.
pub async fn make_safe(config: &Config, clock: Clock, world: &Simulated) {
    let lanes = Lanes::new(clock, Execution::Inline);
    let bank = Bank::default();
    for output in &config.outputs {
        let (device, hardware) = (output.device.clone(), world.clone());
        let open = Box::new(move |initial| device.open(&hardware, initial));
        bank.add(&output.id, lanes.get(&output.device.lane()), output.limits.initial(), open);
    }
    // What cannot be made safe now is tried again by the next daemon.
    drop(bank.seal().await);
}

/// A panic that is injected need not be told.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !homeostat::panics::text(panic.payload()).starts_with("injected") {
                loud(panic);
            }
        }));
    });
}

impl Rig {
    /// Lets virtual time pass.
    pub async fn run(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
        self.events.drain(&mut self.history);
    }

    /// All readings of a channel so far.
    pub fn readings<'r>(&'r self, channel: &str) -> impl Iterator<Item = &'r Reading> {
        let channel = ChannelId::parse(channel).unwrap();
        self.history.iter().filter_map(move |event| match event {
            Event::Reading(reading) if reading.channel == channel => Some(reading),
            _ => None,
        })
    }

    /// Stops the daemon in good order. The database goes with the directory.
    pub async fn stop(mut self) -> (Stage, Vec<Event>, Arc<tempfile::TempDir>) {
        let stage = self.daemon.stop(Duration::from_secs(3)).await;
        self.events.drain(&mut self.history);
        (stage, self.history, self.directory)
    }
}
