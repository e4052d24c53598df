//! The Rig: the whole daemon over a simulated world, in virtual time and on one thread.

#![allow(dead_code, reason = "each test uses what it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

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

/// Lets a scenario play with a daemon on `text`, in virtual time.
pub fn play<F: Future<Output = ()>>(text: &str, scenario: impl FnOnce(Rig) -> F) {
    play_on(Disk::new(), text, scenario);
}

/// What a daemon leaves behind for the next one: its directory, and for how long the machine has been up.
pub struct Disk {
    pub directory: Arc<tempfile::TempDir>,
    pub boot: Boot,
}

impl Disk {
    pub fn new() -> Self {
        let boot = Boot { id: "the boot of a test".into(), uptime: Duration::from_secs(1000) };
        Self { directory: Arc::new(tempfile::tempdir().unwrap()), boot }
    }

    /// The same one, `later`.
    pub fn after(&self, later: Duration) -> Self {
        Self { directory: self.directory.clone(), boot: Boot { uptime: self.boot.uptime + later, ..self.boot.clone() } }
    }
}

/// The same, on what an earlier daemon left. One whose scenario ends without [`Rig::stop`] was killed.
pub fn play_on<F: Future<Output = ()>>(disk: Disk, text: &str, scenario: impl FnOnce(Rig) -> F) {
    let mut config =
        config::parse(text).unwrap_or_else(|mistakes| panic!("the scenario's configuration: {mistakes:#?}"));
    // A real socket would make virtual time jump.
    config.mqtt = None;
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    System::with_tokio_rt(runtime).block_on(async {
        let clock = Clock::simulated(Timestamp::from_millis(1_795_248_000_000));
        let world = daemon::simulated(&config, clock);
        let directory = disk.directory;
        let host = Host {
            clock,
            boot: disk.boot,
            hardware: Arc::new(world.clone()),
            execution: Execution::Inline,
            control: Arbiter::current(),
            services: Arbiter::current(),
            state: directory.path().to_owned(),
            seed: 1,
        };
        let mut daemon = Daemon::start(config, host, || {}).await.unwrap();
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
