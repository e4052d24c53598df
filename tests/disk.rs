//! The whole daemon while its disk fails: control goes on as if nothing were, and every reading is stored in the end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::disk::FakeDisk;
use common::link::FakeBroker;
use common::{Rig, Setting, play_in};
use homeostat::message::Event;
use homeostat::store::disk::Fault;
use homeostat::supervisor::Stage;

const EXAMPLE: &str = include_str!("../config.example.toml");
const MINUTE: Duration = Duration::from_secs(60);

fn on(disk: &FakeDisk) -> Setting {
    Setting { disk: Arc::new(disk.clone()), ..Setting::default() }
}

/// What was told of the alarm so far; `None` when it went.
fn told(rig: &Rig, name: &str) -> Vec<Option<String>> {
    let changes = rig.history.iter().filter_map(|event| match event {
        Event::Alarm(alarm) if &*alarm.name == name => Some(alarm.text.as_deref().map(String::from)),
        _ => None,
    });
    // At the start everything that could stand at the broker is said to have gone.
    changes.skip_while(Option::is_none).collect()
}

/// Everything that happened apart from alarms, with its times.
fn doings(rig: &Rig) -> Vec<String> {
    rig.history.iter().filter(|event| !matches!(event, Event::Alarm(_))).map(|event| format!("{event:?}")).collect()
}

/// Stops in order, and compares what is on disk with what was published.
async fn everything_is_stored(mut rig: Rig) {
    rig.run(Duration::ZERO).await;
    let store = rig.daemon.store().clone();
    let (stage, history, _directory) = rig.stop().await;
    assert_eq!(stage, Stage::Stopped);
    let published = history.iter().filter(|event| matches!(event, Event::Reading(_))).count();
    assert_eq!((store.count().unwrap(), store.lost()), (published as u64, 0));
}

/// Two hours, of which the middle one is bad.
fn two_hours(bad: impl Fn(&FakeDisk), good: impl Fn(&FakeDisk)) -> (Vec<String>, Vec<Option<String>>) {
    let disk = FakeDisk::default();
    let mut result = None;
    play_in(on(&disk), EXAMPLE, async |mut rig| {
        rig.run(30 * MINUTE).await;
        bad(&disk);
        rig.run(60 * MINUTE).await;
        good(&disk);
        rig.run(30 * MINUTE).await;
        result = Some((doings(&rig), told(&rig, "store")));
        let stored = rig.daemon.store().alarms(100).unwrap();
        let stored = stored.iter().filter(|alarm| &*alarm.name == "store").count();
        assert_eq!(stored, told(&rig, "store").len(), "each change of the alarm is stored as well");
        everything_is_stored(rig).await;
    });
    result.unwrap()
}

#[test]
fn an_hour_with_a_failing_disk_loses_nothing_and_control_does_not_notice() {
    let (undisturbed, none) = two_hours(|_| {}, |_| {});
    assert_eq!(none, []);
    for (fault, advice) in [
        (Fault::Full, "make room on the disk"),
        (Fault::ReadOnly, "not mounted read-only"),
        (Fault::NoAccess, "check that homeostat's user"),
        (Fault::Io, "look at `dmesg`"),
    ] {
        let (doings, told) = two_hours(|disk| disk.fails(fault), |disk| disk.fails(None));
        assert!(doings == undisturbed, "{fault:?} is felt by control");
        assert!(told.first().is_some_and(|text| text.as_ref().is_some_and(|text| text.contains(advice))), "{told:?}");
        assert_eq!(told.iter().position(Option::is_none), Some(told.len() - 1), "it goes once, at the end: {told:?}");
    }
    let (doings, told) = two_hours(|disk| disk.hangs(true), |disk| disk.hangs(false));
    assert!(doings == undisturbed, "a disk that hangs is felt by control");
    assert!(told[0].as_ref().unwrap().contains("has not answered for 3"), "{told:?}");
    assert_eq!((told.len(), &told[1]), (2, &None));
}

#[test]
fn without_a_disk_it_starts_and_controls_and_stores_everything_once_there_is_one() {
    let disk = FakeDisk::default();
    disk.fails(Fault::ReadOnly);
    play_in(on(&disk), EXAMPLE, async |mut rig| {
        rig.run(10 * MINUTE).await;
        let standing = rig.daemon.alarms().standing_now();
        assert!(standing.iter().any(|alarm| &*alarm.name == "store"), "{standing:?}");
        assert!(rig.readings("air.temperature").count() >= 120);
        assert!(rig.world.pin_changes(17).iter().any(|(_, on)| *on), "the heater works");
        disk.fails(None);
        rig.run(2 * MINUTE).await;
        assert_eq!(rig.daemon.alarms().standing_now(), []);
        // The first readings were published before the scenario could listen, so the store is compared with the numbers.
        let (store, last) = (rig.daemon.store().clone(), rig.daemon.bus().last_seq());
        let first = rig.readings("air.temperature").map(|reading| reading.seq).min().unwrap();
        let _directory = rig.stop().await.2;
        assert!(first > 1_000_000_000_000_000 && store.count().unwrap() > last - first);
    });
}

#[test]
fn a_damaged_file_at_the_start_is_put_aside_and_the_day_goes_on() {
    let setting = Setting::default();
    let file = setting.state.path().join("homeostat.db");
    std::fs::write(&file, [0xa5; 20_000]).unwrap();
    play_in(setting, EXAMPLE, async |mut rig| {
        rig.run(2 * MINUTE).await;
        let told = rig.daemon.alarms().standing_now();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(&*told[0].name == "store.damaged" && told[0].latched, "{told:?}");
        let text = told[0].text.as_deref().unwrap();
        let aside = PathBuf::from(text.split('\'').nth(1).unwrap());
        assert_eq!(std::fs::read(&aside).unwrap(), [0xa5; 20_000], "{text}");
        rig.daemon.alarms().acknowledge("store.damaged").unwrap();
        rig.run(MINUTE).await;
        assert_eq!(rig.daemon.alarms().standing_now(), []);
        assert_eq!(rig.daemon.store().alarms(9).unwrap().len(), 2);
        assert!(rig.daemon.store().count().unwrap() > 30);
    });
}

#[test]
fn a_file_damaged_while_it_runs_is_put_aside_and_the_stop_is_in_order_without_a_disk() {
    let disk = FakeDisk::default();
    play_in(on(&disk), EXAMPLE, async |mut rig| {
        rig.run(5 * MINUTE).await;
        let before = rig.daemon.store().count().unwrap();
        disk.fails(Fault::Damaged);
        rig.run(MINUTE).await;
        assert!(rig.daemon.alarms().is_latched("store.damaged"));
        let after = rig.daemon.store().count().unwrap();
        assert!(after > 10 && after < before, "{after} in the new one, {before} in the old one");
        disk.fails(Fault::Io);
        rig.run(MINUTE).await;
        let world = rig.world.clone();
        assert_eq!(rig.stop().await.0, Stage::Stopped);
        assert_eq!(world.pin(17), Some(false), "the heater is off");
    });
}

#[test]
fn a_broker_that_is_away_slow_and_forgetful_ends_up_with_the_newest_of_everything() {
    fastrand::seed(1);
    let broker = FakeBroker::default();
    let setting = Setting { broker: Some(broker.clone()), ..Setting::default() };
    play_in(setting, EXAMPLE, async |mut rig| {
        const AIR: &str = "homeostat/greenhouse/air/temperature";
        rig.run(MINUTE).await;
        let topics = broker.topics();
        assert!(topics.len() > 6 && topics.contains(&AIR.to_owned()), "{topics:?}");
        broker.down();
        rig.run(10 * MINUTE).await;
        broker.slow(Duration::from_millis(200));
        broker.up();
        rig.run(3 * MINUTE).await;
        broker.forget();
        broker.slow(Duration::from_millis(1));
        rig.run(2 * MINUTE + Duration::from_secs(2)).await;
        let mut again = broker.topics();
        again.retain(|topic| topics.contains(topic));
        assert_eq!(again, topics);
        let newest = rig.readings("air.temperature").last().unwrap().seq;
        let retained = broker.retained(AIR).unwrap();
        assert!(retained.contains(&format!("\"seq\":{newest}}}")), "{retained}, and the newest is {newest}");
        assert!(rig.readings("air.temperature").count() >= 16 * 12 - 1, "control went on");
        rig.stop().await;
        assert_eq!(broker.retained("homeostat/greenhouse/status").as_deref(), Some("offline"));
    });
}
