//! Devices that are reached over a broker, through the whole daemon, with a broker in memory, in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

mod common;

use std::time::Duration;

use common::link::{FakeBroker, config};
use common::{Rig, Setting, house, play_in};
use homeostat::message::Event;
use homeostat::model::{Level, Reading, Sample};

const SECOND: Duration = Duration::from_secs(1);

const TOPIC: &str = "zigbee2mqtt/bed";

/// A fan that cools what a Zigbee device measures.
const BED: &str = r#"
    [node]
    name = "house"
    hardware = "simulated"

    [mqtt]
    broker = "mqtt://127.0.0.1"

    [sensors.bed]
    driver = "mqtt"
    topic = "zigbee2mqtt/bed"
    pointer = "/temperature"
    quantity = "temperature"
    stale_after = "1m"
    every = "1s"
    temperature = { offset = -1.0 }

    [outputs.fan]
    driver = "pwm"
    channel = 0

    [controllers.cooling]
    kind = "pid"
    input = "bed.temperature"
    lower = "fan"
    setpoint = 20.0
    kp = 0.1
"#;

fn scenario(text: &str, then: impl AsyncFnOnce(Rig, FakeBroker)) {
    let broker = FakeBroker::default();
    let setting = Setting { broker: Some(broker.clone()), wired: true, ..Setting::default() };
    play_in(setting, text, async |mut rig| {
        rig.run(SECOND).await;
        then(rig, broker).await;
    });
}

fn measured(celsius: f64) -> String {
    format!(r#"{{"battery": 97, "temperature": {celsius}}}"#)
}

fn last(rig: &Rig) -> Reading {
    rig.readings("bed.temperature").last().expect("a reading").clone()
}

fn is_online(rig: &Rig) -> Option<bool> {
    let mut states = rig.history.iter().filter_map(|event| match event {
        Event::Sensor(state) if state.sensor.as_str() == "bed" => Some(state.online),
        _ => None,
    });
    states.next_back()
}

fn fan(rig: &Rig) -> f64 {
    (rig.world.pwm_level(0).unwrap().get() * 1e6).round() / 1e6
}

#[test]
fn what_others_publish_is_acted_on_until_they_fall_silent() {
    scenario(BED, async |mut rig, broker| {
        assert_eq!((rig.readings("bed.temperature").count(), is_online(&rig)), (0, None));
        let before = rig.clock.now();
        broker.publish(TOPIC, &measured(26.0));
        rig.run(SECOND / 2).await;
        let heard = last(&rig);
        assert_eq!((heard.sample.clone(), is_online(&rig), fan(&rig)), (Sample::Good(25.0), Some(true), 0.5));
        assert!(heard.at.since(before) < SECOND / 100, "it is of when it came");

        rig.run(5 * SECOND).await;
        broker.publish("zigbee2mqtt/bed/availability", "{}");
        broker.publish("zigbee2mqtt/other", &measured(40.0));
        rig.run(5 * SECOND).await;
        assert_eq!(rig.readings("bed.temperature").count(), 1, "nothing is said twice, and nothing is heard elsewhere");

        broker.publish(TOPIC, r#"{"temperature": null}"#);
        rig.run(SECOND / 2).await;
        let Sample::Bad(why) = last(&rig).sample else { panic!("{:?}", last(&rig)) };
        assert!(why.starts_with("on zigbee2mqtt/bed: at `/temperature` there is `null`"), "{why}");
        assert_eq!((fan(&rig), is_online(&rig)), (0.0, Some(true)));

        rig.run(SECOND).await;
        broker.publish(TOPIC, &measured(24.0));
        rig.run(59 * SECOND).await;
        assert_eq!((last(&rig).sample, fan(&rig)), (Sample::Good(23.0), 0.3));
        rig.run(2 * SECOND).await;
        let Sample::Bad(why) = last(&rig).sample else { panic!("{:?}", last(&rig)) };
        assert!(why.starts_with("nothing was published on zigbee2mqtt/bed for 1m: is its device alive"), "{why}");
        assert_eq!((fan(&rig), is_online(&rig)), (0.0, Some(false)));
        broker.publish(TOPIC, &measured(24.0));
        rig.run(SECOND).await;
        assert_eq!((fan(&rig), is_online(&rig)), (0.3, Some(true)));
    });
}

#[test]
fn of_many_messages_the_last_one_in_each_interval_counts() {
    scenario(BED, async |mut rig, broker| {
        for tenth in 0..100 {
            broker.publish(TOPIC, &measured(f64::from(tenth) / 10.0));
            rig.run(SECOND / 10).await;
        }
        rig.run(2 * SECOND).await;
        let values: Vec<f64> = rig.readings("bed.temperature").filter_map(|reading| reading.sample.value()).collect();
        assert!((10..=12).contains(&values.len()), "{values:?}");
        assert_eq!((values[0], values.last()), (-1.0, Some(&(9.9 - 1.0))));
        assert!(values.is_sorted());
    });
}

#[test]
fn what_lies_at_the_broker_is_of_unknown_age_and_is_not_taken() {
    scenario(BED, async |mut rig, broker| {
        broker.leave(TOPIC, &measured(30.0));
        broker.down();
        rig.run(SECOND).await;
        broker.up();
        rig.run(30 * SECOND).await;
        assert_eq!((rig.readings("bed.temperature").count(), fan(&rig)), (0, 0.0));
        // It does listen again.
        broker.publish(TOPIC, &measured(26.0));
        rig.run(SECOND).await;
        assert_eq!(last(&rig).sample, Sample::Good(25.0));
    });
}

#[test]
fn without_a_broker_it_turns_bad_and_says_why() {
    scenario(BED, async |mut rig, broker| {
        broker.publish(TOPIC, &measured(26.0));
        rig.run(SECOND).await;
        broker.down();
        rig.run(60 * SECOND).await;
        let Sample::Bad(why) = last(&rig).sample else { panic!("{:?}", last(&rig)) };
        assert!(why.ends_with("for 1m: there is no connection to the broker"), "{why}");
        assert_eq!(rig.world.pwm_level(0), Some(Level::OFF));
    });
}

#[test]
fn after_a_reload_and_after_a_new_life_it_hears_on() {
    scenario(BED, async |mut rig, broker| {
        let other = BED.replace("zigbee2mqtt/bed", "zigbee2mqtt/other");
        let config = homeostat::config::Config { mqtt: Some(config()), ..house(&other) };
        rig.daemon.reload(config).await.unwrap();
        rig.run(SECOND).await;
        broker.publish(TOPIC, &measured(40.0));
        broker.publish("zigbee2mqtt/other", &measured(26.0));
        rig.run(SECOND).await;
        assert_eq!(last(&rig).sample, Sample::Good(25.0));
        assert_eq!(rig.readings("bed.temperature").count(), 1);

        rig.daemon.restart("sensors.bed");
        rig.run(5 * SECOND).await;
        broker.publish("zigbee2mqtt/other", &measured(24.0));
        rig.run(SECOND).await;
        assert_eq!((last(&rig).sample, rig.readings("bed.temperature").count()), (Sample::Good(23.0), 2));
    });
}

/// A plug that takes commands.
const PLUG: &str = r#"
    [node]
    name = "house"
    hardware = "simulated"

    [mqtt]
    broker = "mqtt://127.0.0.1"

    [outputs.plug]
    driver = "mqtt"
    topic = "zigbee2mqtt/plug/set"
    state_topic = "zigbee2mqtt/plug"
    pointer = "/state"
"#;

/// What the plug was told, in order.
fn told(broker: &FakeBroker) -> Vec<String> {
    broker.passed().into_iter().filter(|(topic, _)| topic == "zigbee2mqtt/plug/set").map(|(_, word)| word).collect()
}

fn alarm(rig: &Rig) -> Option<String> {
    let standing = rig.daemon.alarms().standing_now();
    let alarm = standing.iter().find(|alarm| &*alarm.name == "outputs.plug.pin")?;
    alarm.text.as_ref().map(|text| text.to_string())
}

async fn say(rig: &mut Rig, broker: &FakeBroker, word: &str) {
    broker.publish("homeostat/house/plug/set", word);
    rig.run(SECOND).await;
}

#[test]
fn a_plug_is_told_what_its_output_is_to_do_and_its_last_word_is_safe() {
    let broker = FakeBroker::default();
    let setting = Setting { broker: Some(broker.clone()), wired: true, ..Setting::default() };
    play_in(setting, PLUG, async |mut rig| {
        rig.run(3 * SECOND).await;
        assert_eq!(told(&broker).last().map(String::as_str), Some("OFF"), "whatever an earlier life has left on");
        assert_eq!(alarm(&rig), None);
        say(&mut rig, &broker, r#"{"on": true, "for": "30s"}"#).await;
        assert_eq!(told(&broker).last().map(String::as_str), Some("ON"));
        let so_far = told(&broker).len();
        rig.run(20 * SECOND).await;
        assert_eq!(told(&broker).len(), so_far, "it is told once");
        rig.run(10 * SECOND).await;
        assert_eq!(told(&broker)[so_far..], ["OFF"], "its lease is over");
        assert_eq!(broker.retained("zigbee2mqtt/plug/set"), None);

        say(&mut rig, &broker, "on").await;
        rig.stop().await;
        let words = told(&broker).split_off(so_far);
        let (before, last) = words.split_at(2);
        assert_eq!(before, ["OFF", "ON"]);
        assert!(!last.is_empty() && last.iter().all(|word| word == "OFF"), "said for sure at the end: {last:?}");
        assert_eq!(broker.retained("homeostat/house/status").as_deref(), Some("offline"));
    });
}

#[test]
fn without_a_broker_a_person_is_told_and_the_last_word_is_said_when_it_is_back() {
    scenario(PLUG, async |mut rig, broker| {
        say(&mut rig, &broker, r#"{"on": true, "for": "1m"}"#).await;
        broker.forget();
        rig.run(10 * SECOND).await;
        assert_eq!(
            told(&broker).iter().rev().take_while(|word| *word == "ON").count(),
            2,
            "told again when it is back"
        );
        assert_eq!(alarm(&rig), None);

        broker.down();
        rig.run(60 * SECOND).await;
        let text = alarm(&rig).expect("an alarm");
        assert!(
            text.contains("cannot be confirmed off: MQTT topic zigbee2mqtt/plug/set: there is no connection"),
            "{text}"
        );
        broker.up();
        rig.run(60 * SECOND).await;
        assert_eq!((told(&broker).last().map(String::as_str), alarm(&rig)), (Some("OFF"), None));
    });
}

#[test]
fn a_plug_that_somebody_else_moved_is_set_back_and_told_of() {
    scenario(PLUG, async |mut rig, broker| {
        say(&mut rig, &broker, "on").await;
        broker.publish("zigbee2mqtt/plug", r#"{"state": "ON"}"#);
        rig.run(15 * SECOND).await;
        assert_eq!(alarm(&rig), None);
        let so_far = told(&broker).len();
        broker.publish("zigbee2mqtt/plug", r#"{"state": "OFF"}"#);
        rig.run(12 * SECOND).await;
        assert_eq!(told(&broker)[so_far..], ["ON"]);
        let moved = rig.history.iter().any(|event| {
            matches!(event, Event::Alarm(alarm) if alarm.text.as_ref().is_some_and(|text| text.contains("something else moved")))
        });
        assert!(moved, "{:?}", alarm(&rig));
    });
}

#[test]
fn a_plug_that_leaves_the_configuration_is_turned_off_and_not_told_again() {
    scenario(PLUG, async |mut rig, broker| {
        say(&mut rig, &broker, "on").await;
        let without = PLUG.split("[outputs.plug]").next().unwrap();
        rig.daemon.reload(homeostat::config::Config { mqtt: Some(config()), ..house(without) }).await.unwrap();
        rig.run(SECOND).await;
        assert_eq!(told(&broker).last().map(String::as_str), Some("OFF"));
        let so_far = told(&broker).len();
        broker.forget();
        rig.run(30 * SECOND).await;
        assert_eq!(told(&broker).len(), so_far);
    });
}
