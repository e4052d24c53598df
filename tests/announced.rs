//! Home Assistant told by a whole daemon, with a broker in memory, in virtual time. What the messages say is in discovery.rs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

mod common;
#[allow(dead_code, reason = "one of those who use it")]
#[path = "discovery/home_assistant.rs"]
mod home_assistant;

use std::collections::BTreeSet;
use std::time::Duration;

use common::link::{FakeBroker, config};
use common::{Rig, Setting, house, play_in};
use home_assistant::HomeAssistant;
use homeostat::config::Config;
use homeostat::mqtt::discovery::{Form, Settings};

const HOUSE: &str = r#"
    [node]
    name = "house"
    hardware = "simulated"

    [outputs.heater]
    driver = "gpio"
    pin = 17

    [outputs.lamp]
    driver = "gpio"
    pin = 27
    shown_as = "light"

    [sensors.air]
    driver = "bme280"
    every = "1s"
"#;

const SECOND: Duration = Duration::from_secs(1);
const TOPIC: &str = "homeassistant/device/homeostat-house/config";

/// What a process of another day has left: a fan that there is no more.
const LEFT: &str = r#"{"dev":{"ids":["homeostat-house"]},"cmps":{
    "fan":{"p":"fan","uniq_id":"homeostat-house-fan"},
    "heater":{"p":"switch","uniq_id":"homeostat-house-heater"}}}"#;

fn told(text: &str) -> Config {
    let mut told = house(text);
    told.mqtt = Some(homeostat::mqtt::Config { home_assistant: Some(Settings::default()), ..config() });
    told
}

fn scenario(broker: &FakeBroker, form: Option<Form>, then: impl AsyncFnOnce(Rig, &FakeBroker)) {
    let home_assistant = form.map(|form| Settings { form, ..Settings::default() });
    let setting = Setting { broker: Some(broker.clone()), home_assistant, ..Setting::default() };
    play_in(setting, HOUSE, async |mut rig| {
        rig.run(4 * SECOND).await;
        then(rig, broker).await;
    });
}

/// The entities of a Home Assistant that has heard all of it, by kind and name.
fn entities(broker: &FakeBroker) -> BTreeSet<String> {
    let mut world = HomeAssistant::default();
    for (topic, payload) in broker.passed().into_iter().filter(|(topic, _)| topic.starts_with("homeassistant/")) {
        world.publish(&topic, payload.into());
    }
    let name = |(kind, id): (String, String)| format!("{kind} {}", id.trim_start_matches("homeostat-house-"));
    world.entities().into_iter().map(name).filter(|entity| !entity.contains("alarm")).collect()
}

fn as_now(more: &[&str]) -> BTreeSet<String> {
    let always = ["sensor air-temperature", "sensor air-humidity", "sensor air-pressure", "switch heater"];
    always.iter().chain(more).map(|entity| (*entity).to_owned()).collect()
}

#[test]
fn what_there_is_appears_and_what_an_earlier_process_had_goes() {
    for form in [Form::Device, Form::Components] {
        let broker = FakeBroker::default();
        broker.leave(TOPIC, LEFT);
        broker.leave("homeassistant/status", "online");
        broker.leave("homeassistant/device/homeostat-housekeeping/config", LEFT);
        scenario(&broker, Some(form), async |_, broker| {
            let others = broker.retained("homeassistant/device/homeostat-housekeeping/config");
            assert_eq!(others.as_deref(), Some(LEFT), "what another node has told is its own");
            broker.leave("homeassistant/device/homeostat-housekeeping/config", "");
            assert_eq!(entities(broker), as_now(&["light lamp"]), "{form:?}");
        });
    }
}

#[test]
fn without_home_assistant_in_the_file_what_it_was_told_is_taken_back() {
    let broker = FakeBroker::default();
    broker.leave(TOPIC, LEFT);
    scenario(&broker, None, async |_, broker| {
        assert_eq!(entities(broker), BTreeSet::new());
        assert_eq!(broker.retained(TOPIC), None);
    });
}

#[test]
fn a_reload_takes_away_and_adds() {
    scenario(&FakeBroker::default(), Some(Form::Device), async |mut rig, broker| {
        assert_eq!(entities(broker), as_now(&["light lamp"]));
        let pump = HOUSE.replace("[outputs.lamp]", "[outputs.pump]").replace("shown_as = \"light\"", "");
        rig.daemon.reload(told(&pump)).await.unwrap();
        rig.run(SECOND).await;
        assert_eq!(entities(broker), as_now(&["switch pump"]));
        // The other way round: the connection stays, and so does what was seen at its beginning.
        rig.daemon.reload(told(HOUSE)).await.unwrap();
        rig.run(SECOND).await;
        assert_eq!(entities(broker), as_now(&["light lamp"]));
        let mut untold = told(HOUSE);
        untold.mqtt = Some(config());
        rig.daemon.reload(untold).await.unwrap();
        rig.run(4 * SECOND).await;
        assert_eq!(entities(broker), BTreeSet::new());
    });
}

#[test]
fn a_broker_that_forgets_and_a_home_assistant_that_starts_hear_everything_again() {
    scenario(&FakeBroker::default(), Some(Form::Device), async |mut rig, broker| {
        let everything = broker.topics();
        assert!(everything.contains(&TOPIC.to_owned()) && everything.contains(&"homeostat/house/alarm".to_owned()));
        broker.forget();
        rig.run(4 * SECOND).await;
        assert_eq!(broker.topics(), everything);

        broker.lose_retained();
        broker.publish("homeassistant/status", "offline");
        rig.run(SECOND / 2).await;
        assert_eq!(broker.retained(TOPIC), None, "it has not started");
        broker.publish("homeassistant/status", "online");
        rig.run(SECOND).await;
        assert_eq!(broker.topics(), everything);
    });
}

#[test]
fn all_alarms_stand_on_one_topic() {
    scenario(&FakeBroker::default(), Some(Form::Device), async |mut rig, broker| {
        let standing = |broker: &FakeBroker| broker.retained("homeostat/house/alarm").unwrap();
        assert_eq!(standing(broker), r#"{"standing":0,"alarms":{}}"#);
        rig.daemon.alarms().latch("controllers.warmth.watch", "no warmer");
        rig.run(SECOND).await;
        let now = standing(broker);
        assert!(now.starts_with(r#"{"standing":1,"alarms":{"controllers.warmth.watch":{"text":"no warmer""#), "{now}");
        rig.daemon.alarms().acknowledge("controllers.warmth.watch").unwrap();
        rig.run(SECOND).await;
        assert_eq!(standing(broker), r#"{"standing":0,"alarms":{}}"#);
    });
}
