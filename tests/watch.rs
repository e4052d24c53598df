//! The plant watch in a whole daemon: a heater that does not warm is found, stays off over restarts whoever asks, and acts again
//! when a person has looked. In virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

mod common;

use std::time::Duration;

use common::{Rig, Setting, play, play_in};
use homeostat::hardware::simulated::Fault;
use homeostat::message::{Alarm, Event, Mode};
use homeostat::model::{Claim, Demand, Level, OutputId, Owner, Priority, Wish};
use homeostat::supervisor::Stage;

/// A house that the heater warms by 3 °C in ten minutes; with `dead`, its pin leads nowhere.
fn house(dead: bool) -> String {
    let heater = if dead { "" } else { "heater = { output = \"heater\", power = 2000 }" };
    format!(
        r#"
        [node]
        name = "house"
        hardware = "simulated"

        [sensors.air]
        driver = "bme280"
        every = "5s"

        [outputs.heater]
        driver = "gpio"
        pin = 17
        cycle = "20s"

        [controllers.warmth]
        kind = "pid"
        input = "air.temperature"
        raise = "heater"
        setpoint = 30.0
        kp = 0.2
        ki = 0.001
        watch = {{ gain = 1.0, within = "10m", idle_gain = 3.0 }}

        [simulation.plants.house]
        kind = "room"
        initial = 15.0
        outdoor = 15.0
        heat_capacity = 200_000
        heat_loss = 20
        {heater}

        [simulation.probes]
        air = {{ plant = "house", noise = 0.03 }}
        "#
    )
}

const ALARM: &str = "controllers.warmth.watch";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn alarm(rig: &Rig) -> Option<Alarm> {
    rig.daemon.alarms().standing_now().into_iter().find(|alarm| &*alarm.name == ALARM)
}

/// A person demands the heater, for an hour.
fn insist(rig: &Rig) {
    let until = rig.clock.now() + 60 * MINUTE;
    let wish = Wish::Level(Level::ON);
    let demand = Demand { owner: Owner::new("manual.anna"), priority: Priority::Manual, wish, until, because: None };
    rig.daemon.bus().demand(&OutputId::new("heater").unwrap(), demand).unwrap();
}

fn mode(rig: &Rig) -> Mode {
    let mode = rig.history.iter().rev().find_map(|event| match event {
        Event::Controller(state) => Some(state.mode),
        _ => None,
    });
    mode.expect("the controller has told")
}

#[test]
fn a_heater_that_warms_is_left_alone_and_one_that_does_not_trips_within_its_window() {
    play(&house(false), async |mut rig| {
        rig.run(120 * MINUTE).await;
        assert_eq!(rig.daemon.alarms().standing_now(), []);
        assert_eq!(mode(&rig), Mode::Automatic);
    });
    play(&house(true), async |mut rig| {
        rig.run(10 * MINUTE - 10 * SECOND).await;
        assert_eq!((rig.world.pin(17), alarm(&rig)), (Some(true), None));
        rig.run(30 * SECOND).await;
        assert_eq!((rig.world.pin(17), mode(&rig)), (Some(false), Mode::Tripped));
        let alarm = alarm(&rig).expect("an alarm");
        let text = alarm.text.unwrap();
        assert!(text.contains("heater at full power for 10m") && text.contains("air.temperature"), "{text}");
        assert!(alarm.latched && text.contains("`homeostat ack controllers.warmth.watch`"), "{text}");
    });
}

#[test]
fn nobody_gets_the_heater_of_a_tripped_controller_also_while_its_sensor_is_gone_or_it_is_begun_anew() {
    play(&house(true), async |mut rig| {
        rig.run(11 * MINUTE).await;
        let still = rig.world.pin_changes(17);
        insist(&rig);
        rig.run(5 * MINUTE).await;
        rig.world.inject(&Claim::I2c { bus: 1, address: 0x76 }, Fault::Error);
        rig.run(10 * MINUTE).await;
        for _ in 0..6 {
            rig.daemon.restart("controllers.warmth");
            rig.run(20 * SECOND).await;
        }
        rig.run(2 * MINUTE).await;
        rig.daemon.restart("outputs.heater");
        insist(&rig);
        rig.run(2 * MINUTE).await;
        assert_eq!(rig.world.pin_changes(17), still, "the pin has not moved");
        assert_eq!(mode(&rig), Mode::Tripped);
        let told = rig.history.iter().filter(|event| matches!(event, Event::Alarm(alarm) if &*alarm.name == ALARM));
        assert_eq!(told.count(), 1, "a person is told once");
    });
}

#[test]
fn nobody_gets_the_heater_between_the_rare_readings_of_a_slow_sensor() {
    let slow = house(true).replace("every = \"5s\"", "every = \"5m\"").replace("within = \"10m\"", "within = \"30m\"");
    play(&slow, async |mut rig| {
        rig.run(41 * MINUTE).await;
        assert_eq!((alarm(&rig).is_some(), rig.world.pin(17)), (true, Some(false)));
        let still = rig.world.pin_changes(17);
        insist(&rig);
        rig.run(12 * MINUTE).await;
        assert_eq!(rig.world.pin_changes(17), still);
    });
}

#[test]
fn acknowledged_it_acts_again_and_is_watched_anew() {
    play(&house(true), async |mut rig| {
        rig.run(15 * MINUTE).await;
        rig.daemon.alarms().acknowledge(ALARM).unwrap();
        rig.run(6 * SECOND).await;
        assert_eq!((rig.world.pin(17), mode(&rig)), (Some(true), Mode::Automatic));
        let first = rig.history.iter().rev().find_map(|event| match event {
            Event::Controller(state) if state.mode == Mode::Automatic => Some(state.terms.i),
            _ => None,
        });
        assert!(first.unwrap() < 0.1, "the integral began at 0: {first:?}");
        rig.run(10 * MINUTE - 20 * SECOND).await;
        assert_eq!(alarm(&rig), None, "a whole window of its own");
        rig.run(MINUTE).await;
        assert!(alarm(&rig).is_some(), "and nothing has been mended");
    });
}

#[test]
fn acknowledged_without_a_sensor_it_lets_go_and_waits() {
    play(&house(true), async |mut rig| {
        rig.run(15 * MINUTE).await;
        rig.world.inject(&Claim::I2c { bus: 1, address: 0x76 }, Fault::Error);
        rig.run(5 * MINUTE).await;
        rig.daemon.alarms().acknowledge(ALARM).unwrap();
        rig.run(MINUTE).await;
        assert_eq!((rig.world.pin(17), mode(&rig)), (Some(false), Mode::Waiting));
        insist(&rig);
        rig.run(SECOND).await;
        assert_eq!(rig.world.pin(17), Some(true), "now a person may try it");
    });
}

#[test]
fn a_person_who_holds_the_heater_off_is_no_fault_of_the_plant() {
    play(&house(false), async |mut rig| {
        rig.run(MINUTE).await;
        let until = rig.clock.now() + 60 * MINUTE;
        let wish = Wish::Level(Level::OFF);
        let demand =
            Demand { owner: Owner::new("manual.anna"), priority: Priority::Manual, wish, until, because: None };
        rig.daemon.bus().demand(&OutputId::new("heater").unwrap(), demand).unwrap();
        rig.run(59 * MINUTE).await;
        assert_eq!(rig.world.pin(17), Some(false));
        assert_eq!(rig.daemon.alarms().standing_now(), []);
    });
}

#[test]
fn the_supervisors_alarm_about_the_same_controller_neither_ends_nor_begins_this_one() {
    play(&house(true), async |mut rig| {
        rig.run(11 * MINUTE).await;
        rig.daemon.alarms().raise("controllers.warmth", "fails again and again");
        rig.daemon.alarms().clear("controllers.warmth");
        rig.daemon.alarms().clear(ALARM);
        rig.run(2 * MINUTE).await;
        assert!(alarm(&rig).is_some());
        assert_eq!(mode(&rig), Mode::Tripped);
    });
}

#[test]
fn a_tripped_controller_stays_tripped_over_the_death_and_the_stop_of_the_daemon() {
    let left = Setting::default();
    let mut since = None;
    play_in(left.clone(), &house(true), async |mut rig| {
        rig.run(11 * MINUTE).await;
        since = alarm(&rig).map(|alarm| alarm.since);
        assert!(since.is_some());
        // And here it is killed: nothing is stopped in order.
    });
    for _ in 0..2 {
        play_in(left.clone(), &house(true), async |mut rig| {
            insist(&rig);
            rig.run(20 * MINUTE).await;
            assert!(!rig.world.pin_changes(17).iter().any(|(_, on)| *on), "never on, whoever asks");
            assert_eq!(mode(&rig), Mode::Tripped);
            let again = alarm(&rig).expect("it still stands");
            assert_eq!((Some(again.since), again.latched), (since, true));
            let world = rig.world.clone();
            assert_eq!(rig.stop().await.0, Stage::Stopped);
            assert!(!world.pin_changes(17).iter().any(|(_, on)| *on), "also not in the moment of the stop");
        });
    }
    play_in(left.clone(), &house(true), async |mut rig| {
        rig.run(MINUTE).await;
        rig.daemon.alarms().acknowledge(ALARM).unwrap();
        rig.run(6 * SECOND).await;
        assert_eq!((rig.world.pin(17), mode(&rig)), (Some(true), Mode::Automatic));
    });
    play_in(left.clone(), &house(true), async |mut rig| {
        rig.run(MINUTE).await;
        assert_eq!((rig.world.pin(17), alarm(&rig)), (Some(true), None), "acknowledged for good");
    });
}

#[test]
fn an_alarm_that_stood_at_the_last_stop_is_told_to_have_gone() {
    let left = Setting::default();
    let told = |rig: &Rig| -> Vec<bool> {
        let alarms = rig.history.iter().filter_map(|event| match event {
            Event::Alarm(alarm) if &*alarm.name == "rules.frost" => Some(alarm.text.is_some()),
            _ => None,
        });
        alarms.collect()
    };
    play_in(left.clone(), &house(false), async |mut rig| {
        rig.daemon.alarms().raise("rules.frost", "it freezes");
        rig.run(MINUTE).await;
        assert_eq!(told(&rig), [true]);
        rig.stop().await;
    });
    let kept = std::fs::read_to_string(left.state.path().join("alarms.json")).unwrap();
    assert!(kept.contains("rules.frost"), "{kept}");
    play_in(left.clone(), &house(false), async |mut rig| {
        rig.run(MINUTE).await;
        assert_eq!(rig.daemon.alarms().standing_now(), []);
    });
    let kept = std::fs::read_to_string(left.state.path().join("alarms.json")).unwrap();
    assert!(!kept.contains("rules.frost"), "{kept}");
}

#[test]
fn a_damaged_file_of_alarms_does_not_keep_the_daemon_from_starting() {
    let left = Setting::default();
    std::fs::write(left.state.path().join("alarms.json"), b"{\"version\": 1, \"ala").unwrap();
    play_in(left.clone(), &house(false), async |mut rig| {
        rig.run(MINUTE).await;
        let [alarm] = &rig.daemon.alarms().standing_now()[..] else { panic!("one alarm") };
        assert_eq!((&*alarm.name, alarm.latched), ("alarms", true));
        assert_eq!(rig.world.pin(17), Some(true), "nothing is known to be tripped");
    });
}
