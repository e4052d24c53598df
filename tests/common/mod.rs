//! The Rig: the whole daemon over a simulated world, in virtual time and on one thread.

#![allow(dead_code, reason = "each test uses what it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

pub mod disk;
pub mod link;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use homeostat::boot::Boot;
use homeostat::bus::Tap;
use homeostat::clock::Clock;
use homeostat::config;
use homeostat::daemon::{self, Daemon, Host};
use homeostat::hardware::lane::Execution;
use homeostat::hardware::simulated::Simulated;
use homeostat::message::Event;
use homeostat::model::{ChannelId, Reading, Timestamp};
use homeostat::mqtt::{Link, Network};
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
    /// What lies there is found by the daemon.
    pub state: Arc<tempfile::TempDir>,
    /// Since when the machine has been up.
    pub boot: Boot,
}

impl Setting {
    /// The same machine, `later`.
    pub fn after(&self, later: Duration) -> Self {
        Self { boot: Boot { uptime: self.boot.uptime + later, ..self.boot.clone() }, ..self.clone() }
    }
}

impl Default for Setting {
    fn default() -> Self {
        let boot = Boot { id: "the boot of a test".into(), uptime: Duration::from_secs(1000) };
        Self { disk: Arc::new(RealDisk), broker: None, state: Arc::new(tempfile::tempdir().unwrap()), boot }
    }
}

/// Lets a scenario play with a daemon on `text`, in virtual time.
pub fn play<F: Future<Output = ()>>(text: &str, scenario: impl FnOnce(Rig) -> F) {
    play_in(Setting::default(), text, scenario);
}

/// The same with a disk, a broker or a directory of the test's own.
pub fn play_in<F: Future<Output = ()>>(setting: Setting, text: &str, scenario: impl FnOnce(Rig) -> F) {
    let mut config =
        config::parse(text).unwrap_or_else(|mistakes| panic!("the scenario's configuration: {mistakes:#?}"));
    let Setting { disk, broker, state: directory, boot } = setting;
    config.mqtt = broker.as_ref().map(|_| link::config());
    let link: Arc<dyn Link> = broker.map_or_else(|| Arc::new(Network) as Arc<dyn Link>, |broker| Arc::new(broker));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    System::with_tokio_rt(runtime).block_on(async {
        let clock = Clock::simulated(Timestamp::from_millis(1_795_248_000_000));
        let world = daemon::simulated(&config, clock);
        let host = Host {
            clock,
            boot,
            hardware: Arc::new(world.clone()),
            world: Some(world.clone()),
            execution: Execution::Inline,
            control: Arbiter::current(),
            services: Arbiter::current(),
            state: directory.path().to_owned(),
            disk,
            link,
            seed: 1,
        };
        let daemon = Daemon::start(config, host, || {}).await.unwrap();
        let events = daemon.bus().tap(1_000_000, 1);
        assert_eq!(daemon.running().await, Stage::Running);
        scenario(Rig { daemon, world, clock, events, history: Vec::new(), directory }).await;
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
