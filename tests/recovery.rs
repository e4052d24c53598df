//! Sensors that fail are helped: a held bus is clocked free, a sensor that does not come back loses its power for a while.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scenario that cannot play has failed")]

mod common;

use std::time::Duration;

use common::{Rig, play};
use homeostat::config;
use homeostat::hardware::simulated::Fault;
use homeostat::message::Event;
use homeostat::model::{Claim, Monotonic, Sample};

const HOUSE: &str = r#"
[node]
name = "house"
hardware = "simulated"

[sensors.air]
driver = "bme280"
bus = 1
every = "1s"
power = { output = "feed", off_for = "5s", after = 3, hold_off = "10m" }

[sensors.soil]
driver = "ads1115"
bus = 1
address = 0x48
input = 0
moisture = { dry = 2.8, wet = 1.1 }
every = "1s"

[sensors.tank]
driver = "ds18b20"
id = "28-0316a2795cff"
every = "1s"

[outputs.feed]
driver = "gpio"
pin = 22
safe = "on"
"#;

const AIR: Claim = Claim::I2c { bus: 1, address: 0x76 };

const MINUTE: Duration = Duration::from_secs(60);

fn good(rig: &Rig, channel: &str) -> usize {
    rig.readings(channel).filter(|reading| matches!(reading.sample, Sample::Good(_))).count()
}

/// When the sensors' power went, and whether it is there now.
fn cuts(rig: &Rig) -> (Vec<(Monotonic, Monotonic)>, Option<bool>) {
    let changes = rig.world.pin_changes(22);
    let cuts = changes.windows(2).filter(|pair| !pair[0].1).map(|pair| (pair[0].0, pair[1].0)).collect();
    (cuts, rig.world.pin(22))
}

#[test]
fn a_bus_that_is_held_is_clocked_free_in_the_next_life() {
    play(HOUSE, |mut rig| async move {
        rig.run(10 * MINUTE).await;
        assert_eq!(rig.world.freeing(), [], "nobody helps whoever is well");

        rig.world.hold_sda(1, 4);
        rig.run(Duration::from_secs(15)).await;
        let before = (good(&rig, "air.temperature"), good(&rig, "soil.moisture"));
        rig.run(Duration::from_secs(10)).await;
        let after = (good(&rig, "air.temperature"), good(&rig, "soil.moisture"));
        assert!(after.0 >= before.0 + 9 && after.1 >= before.1 + 9, "both are back: {before:?}, {after:?}");
        assert!(rig.world.freeing().iter().all(|(bus, _)| *bus == 1));
        assert_eq!(cuts(&rig), (vec![], Some(true)));
    });
}

#[test]
fn a_bus_that_stays_held_is_told_of_and_comes_back_when_it_is_let_go() {
    play(HOUSE, |mut rig| async move {
        rig.world.hold_sda(1, 1_000_000);
        rig.run(5 * MINUTE).await;
        let told = rig.readings("soil.moisture").last().unwrap().sample.clone();
        let Sample::Bad(why) = told else { panic!("{told:?}") };
        assert!(why.contains("freeing I²C bus 1: SDA stays low: switch the power"), "{why}");
        assert!(good(&rig, "tank.temperature") >= 299, "the other bus does not notice");

        rig.world.hold_sda(1, 0);
        let before = good(&rig, "soil.moisture");
        rig.run(2 * MINUTE).await;
        assert!(good(&rig, "soil.moisture") > before + 50);
    });
}

#[test]
fn a_sensor_that_does_not_come_back_loses_its_power_once_in_a_while() {
    play(HOUSE, |mut rig| async move {
        rig.run(MINUTE).await;
        rig.world.inject(&AIR, Fault::Error);
        let broken = rig.clock.now();
        rig.run(25 * MINUTE).await;
        let (off, now) = cuts(&rig);
        assert_eq!((off.len(), now), (3, Some(true)), "at once and then every ten minutes: {off:?}");
        for (from, to) in &off {
            let millis = to.since(*from).as_millis();
            assert!((4_900..=5_200).contains(&millis), "{millis} ms without power");
        }
        assert!(off[0].0.since(broken) > Duration::from_secs(3) && off[0].0.since(broken) < MINUTE);
        assert!(off.windows(2).all(|pair| pair[1].0.since(pair[0].0) >= 10 * MINUTE));
        let told = rig.history.iter().any(|event| {
            matches!(event, Event::Output(state)
                if state.by.as_ref().is_some_and(|by| by.as_str() == "sensors.air") && !state.level.is_on())
        });
        assert!(told, "who switched it off can be seen");
    });
}

#[test]
fn a_sensor_that_its_power_brings_back_is_opened_after_it() {
    play(HOUSE, |mut rig| async move {
        rig.world.inject(&AIR, Fault::Error);
        for _ in 0..600 {
            rig.run(Duration::from_millis(100)).await;
            if rig.world.pin(22) == Some(false) {
                break;
            }
        }
        let off = rig.clock.now();
        assert_eq!(rig.world.pin(22), Some(false));
        rig.world.heal(&AIR);
        let before = good(&rig, "air.temperature");
        rig.run(Duration::from_secs(15)).await;
        let first = rig
            .readings("air.temperature")
            .filter(|reading| reading.at > off)
            .find(|reading| matches!(reading.sample, Sample::Good(_)));
        let waited = first.unwrap().at.since(off).as_millis();
        assert!(
            (5_800..=6_200).contains(&waited),
            "the power was off for 5 s, and the chip had 1 s to wake: {waited} ms"
        );
        assert!(good(&rig, "air.temperature") > before);

        // One that reads is left alone, though it failed often before.
        rig.run(30 * MINUTE).await;
        assert_eq!(cuts(&rig).0.len(), 1);
    });
}

#[test]
fn what_cannot_be_a_sensors_power_is_a_mistake() {
    for (from, to, expected) in [
        ("output = \"feed\"", "output = \"fed\"", "there is no output `fed`"),
        ("safe = \"on\"", "safe = \"off\"", "nothing is fed by it while it is safe"),
        ("driver = \"gpio\"\npin = 22", "driver = \"pwm\"\nchannel = 0", "nothing is fed by it while it is safe"),
        ("after = 3", "after = 0", "without a reason"),
        ("off_for = \"5s\"", "off_for = \"0s\"", "off_for"),
        ("hold_off = \"10m\"", "hold_of = \"10m\"", "unknown key `hold_of`"),
        ("output = \"feed\", ", "", "needs `output`"),
        ("power = {", "power = 1 #", "is not a table"),
    ] {
        let text = HOUSE.replace(from, to);
        let found = config::parse(&text).unwrap_err();
        assert!(found.len() == 1 && found[0].message.contains(expected), "{to}: {found:?}");
    }
}
