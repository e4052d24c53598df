//! systemd's watchdog on a real NOTIFY_SOCKET: it is fed while every critical actor answers, and starves when one does not.
//!
//! The daemon's part plays in virtual time in a process of its own, because the environment belongs to the whole process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scenario that cannot play has failed")]

use std::cell::Cell;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use homeostat::alarms::Alarms;
use homeostat::bus::Bus;
use homeostat::clock::Clock;
use homeostat::hardware::bank::Bank;
use homeostat::lifeline::Lifeline;
use homeostat::message::{Ping, Stop};
use homeostat::model::{SensorId, Timestamp};
use homeostat::supervisor::{Child, Role, Root, actor};
use homeostat::systemd::Notify;

/// Which actor stops taking messages after a minute, in the process that is the daemon.
const DEAF: &str = "HOMEOSTAT_TEST_DEAF";

/// What that process says at its end.
const FED: &str = "fed ";

/// Takes messages until its time comes, and then lives on without taking any.
struct Listener {
    deaf_after: Option<Duration>,
    lifeline: Lifeline,
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.lifeline.ready();
        if let Some(time) = self.deaf_after {
            ctx.run_later(time, |actor, ctx| ctx.wait(std::future::pending::<()>().into_actor(actor)));
        }
    }
}

impl Handler<Ping> for Listener {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {
        self.lifeline.beat();
    }
}

impl Handler<Stop> for Listener {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// Five minutes of a root over one actor of each kind.
fn five_minutes(deaf: &str) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    System::with_tokio_rt(runtime).block_on(async {
        let clock = Clock::simulated(Timestamp::from_millis(0));
        let bus = Bus::new(clock, 0);
        let child = |name: &'static str, role: Role| {
            let deaf_after = (name == deaf).then_some(Duration::from_secs(60));
            let body = actor(move |lifeline| Listener { deaf_after, lifeline });
            Child { name: name.into(), role, body, arbiter: Arbiter::current() }
        };
        let children = vec![
            child("output", Role::Output),
            child("controller", Role::Controller),
            child("sensor", Role::Sensor(SensorId::new("sensor").unwrap())),
        ];
        let (notify, fed) = (Notify::new(), Rc::new(Cell::new(0)));
        let count = fed.clone();
        let alarms = Alarms::new(clock, bus.clone());
        let root = Root::new(clock, bus, alarms, Arc::new(Bank::default()), children, 1, move || {
            count.set(count.get() + 1);
            notify.feed();
        });
        let _root = root.start();
        tokio::time::sleep(Duration::from_secs(300)).await;
        println!("{FED}{}", fed.get());
    });
}

/// How often `WATCHDOG=1` was told in these five minutes, which pass in a moment: the socket holds ten of them at a time and drops more,
/// so that only some are heard here.
fn fed(deaf: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["the_watchdog_starves_when_a_critical_actor_falls_silent", "--exact", "--nocapture"])
        .env(DEAF, deaf)
        .env("NOTIFY_SOCKET", &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut heard, mut buffer) = (0, [0; 64]);
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => heard += usize::from(&buffer[..length] == b"WATCHDOG=1\n"),
            // Nothing more can come from one that has ended.
            Err(_) if child.try_wait().unwrap().is_some() => break,
            Err(_) => {}
        }
    }
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let told = said.lines().find_map(|line| line.split_once(FED)?.1.parse().ok()).unwrap();
    assert!((1..=told).contains(&heard), "{heard} heard of {told}");
    told
}

#[test]
fn the_watchdog_starves_when_a_critical_actor_falls_silent() {
    if let Ok(deaf) = std::env::var(DEAF) {
        return five_minutes(&deaf);
    }
    // Every five seconds; and a silence counts after fifteen.
    assert!((58..=60).contains(&fed("nobody")), "all is well");
    assert!((58..=60).contains(&fed("sensor")), "a sensor is not critical: its outputs fall to safe without it");
    for critical in ["output", "controller"] {
        let fed = fed(critical);
        assert!((12..=16).contains(&fed), "{critical} fell silent after a minute, and systemd heard {fed} times of it");
    }
}
