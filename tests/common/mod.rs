//! The Rig: the whole daemon over a simulated world, in virtual time and on one thread.

#![allow(dead_code, reason = "each test uses what it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

pub mod faults;

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

use actix::prelude::*;
use homeostat::bus::Tap;
use homeostat::clock::Clock;
use homeostat::config::{self, Config};
use homeostat::daemon::{self, Daemon, Host};
use homeostat::hardware::bank::Bank;
use homeostat::hardware::lane::{Execution, Lanes};
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
    directory: tempfile::TempDir,
}

/// Lets a scenario play with a daemon on `text`, in virtual time.
pub fn play<F: Future<Output = ()>>(text: &str, scenario: impl FnOnce(Rig) -> F) {
    let config = house(text);
    virtually(async {
        let clock = Clock::simulated(BEGINNING);
        let world = daemon::simulated(&config, clock);
        let directory = tempfile::tempdir().unwrap();
        let mut daemon = Daemon::start(config, host(clock, &world, directory.path()), || {}).await.unwrap();
        let events = daemon.bus().tap(1_000_000, 1);
        assert_eq!(daemon.running().await, Stage::Running);
        scenario(Rig { daemon, world, clock, events, history: Vec::new(), directory }).await;
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

/// The machine of a scenario. To be called within [`virtually`].
pub fn host(clock: Clock, world: &Simulated, state: &Path) -> Host {
    Host {
        clock,
        hardware: Arc::new(world.clone()),
        execution: Execution::Inline,
        control: Arbiter::current(),
        services: Arbiter::current(),
        state: state.to_owned(),
        seed: 1,
    }
}

/// What `ExecStopPost` does after a process that died: every output is driven to its safe level through a bank of its own.
pub async fn make_safe(config: &Config, clock: Clock, world: &Simulated) {
    let lanes = Lanes::new(clock, Execution::Inline);
    let mut bank = Bank::default();
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
    pub async fn stop(mut self) -> (Stage, Vec<Event>, tempfile::TempDir) {
        let stage = self.daemon.stop(Duration::from_secs(3)).await;
        self.events.drain(&mut self.history);
        (stage, self.history, self.directory)
    }
}
