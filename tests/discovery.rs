//! What Home Assistant is told, against files that were looked at and against its documentation.
//!
//! `HOMEOSTAT_BLESS=1 cargo test --test discovery` writes the files under `tests/golden/discovery/` anew; look at what changed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a payload that cannot be read is a failure"
)]

#[path = "discovery/documented.rs"]
mod documented;
#[path = "discovery/home_assistant.rs"]
mod home_assistant;
#[path = "discovery/node.rs"]
mod node;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use homeostat::config;
use homeostat::daemon::things::things;
use homeostat::message::{ControllerState, Mode, OutputState};
use homeostat::model::{ControllerId, Level, OutputId, Quantity, Terms, Timestamp};
use homeostat::mqtt::discovery::{
    Form, Messages, Moves, Settings, Standing, Takes, Things, changes, filters, is_ours, messages,
};
use homeostat::payload;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use home_assistant::HomeAssistant;
use node::{controller, everything, form, kinds, node, nothing, output, sensor, settings};

const EXAMPLE: &str = include_str!("../config.example.toml");

const FORMS: [Form; 2] = [Form::Device, Form::Components];

fn read(payload: &[u8]) -> Map<String, Value> {
    match serde_json::from_slice(payload) {
        Ok(Value::Object(message)) => message,
        other => panic!("not an object: {other:?}"),
    }
}

/// Every entity of the messages, in either form, with its kind.
fn entities(messages: &Messages) -> Vec<(String, Map<String, Value>)> {
    let mut entities = Vec::new();
    for (topic, payload) in messages {
        let mut message = read(payload);
        match message.remove("cmps") {
            Some(components) => {
                for (_, mut fields) in components.as_object().unwrap().clone() {
                    let fields = fields.as_object_mut().unwrap();
                    let kind = fields.remove("p").unwrap().as_str().unwrap().to_owned();
                    entities.push((kind, fields.clone()));
                }
            }
            None => {
                message.retain(|key, _| key != "dev" && key != "o");
                entities.push((topic.split('/').nth(1).unwrap().to_owned(), message));
            }
        }
    }
    entities
}

#[track_caller]
fn golden(name: &str, messages: &Messages) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/discovery/{name}.json"));
    let all: Map<String, Value> =
        messages.iter().map(|(topic, payload)| (topic.clone(), Value::Object(read(payload)))).collect();
    let text = format!("{:#}\n", Value::Object(all));
    if std::env::var_os("HOMEOSTAT_BLESS").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(text == expected, "not as in {}; it is now:\n{text}", file.display());
}

#[test]
fn each_kind_is_told_of_as_in_its_file() {
    for (name, things) in kinds() {
        let mut messages = messages(&things, &settings(Form::Components));
        if name != "alarm" {
            // What every node has.
            messages.retain(|topic, _| !topic.ends_with("/alarm/config"));
        }
        golden(name, &messages);
    }
}

#[test]
fn a_whole_node_is_told_of_as_in_its_file() {
    let mut things = things(&config::parse(EXAMPLE).unwrap());
    things.version = "1.2.3".into();
    golden("example", &messages(&things, &settings(Form::Device)));
}

#[test]
fn every_field_is_documented_and_none_is_missing_that_must_be_there() {
    for form in FORMS {
        let messages = messages(&everything(), &settings(form));
        for (topic, payload) in &messages {
            documented::check_message(topic, &read(payload));
        }
        let entities = entities(&messages);
        let kinds: BTreeSet<&str> = entities.iter().map(|(kind, _)| kind.as_str()).collect();
        let all = ["binary_sensor", "climate", "fan", "light", "number", "sensor", "switch"];
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
        for (kind, fields) in &entities {
            documented::check_entity(kind, fields);
        }
    }
}

#[test]
fn a_field_that_nobody_documents_is_found() {
    let sensor = |change: &str, value: Value| {
        let messages = messages(&everything(), &settings(Form::Device));
        let (kind, mut fields) = entities(&messages)
            .into_iter()
            .find(|(_, fields)| fields.get("dev_cla") == Some(&json!("temperature")))
            .unwrap();
        match value {
            Value::Null => fields.remove(change),
            value => fields.insert(change.into(), value),
        };
        std::panic::catch_unwind(move || documented::check_entity(&kind, &fields)).is_err()
    };
    assert!(!sensor("name", json!("as good as any")));
    for (change, value) in [
        ("stat_topic", json!("a")),
        ("bri_scl", json!(100)),
        ("dev_cla", json!("warmth")),
        ("unit_of_meas", json!("furlong")),
        ("stat_t", json!("a/+")),
        ("stat_t", Value::Null),
        ("uniq_id", Value::Null),
        ("ent_cat", json!("config")),
        ("exp_aft", json!("60")),
        ("val_tpl", json!("{{ value_json.value")),
    ] {
        assert!(sensor(change, value.clone()), "{change}: {value} was not found");
    }
}

/// The keys of a payload that is published.
fn keys(payload: Vec<u8>) -> BTreeSet<String> {
    read(&payload).keys().cloned().collect()
}

#[test]
fn templates_name_only_what_is_published() {
    let since = Timestamp::from_millis(0);
    let output = OutputState {
        output: OutputId::new("heater").unwrap(),
        level: Level::OFF,
        on: false,
        by: None,
        why: "nobody asks".into(),
        limit: None,
        because: None,
        confirmed: true,
        since,
    };
    let controller = ControllerState {
        controller: ControllerId::new("warmth").unwrap(),
        mode: Mode::Tripped,
        setpoint: 1.0,
        input: None,
        terms: Terms::default(),
        output: 0.0,
    };
    let mut reading = keys(br#"{"value":1,"unit":"","time":"","quality":"","reason":"","seq":1}"#.to_vec());
    reading.insert("reason".into());
    let published = [
        ("air-2/", reading),
        ("output", keys(payload::json(&payload::Output::from(&output)))),
        ("controller", keys(payload::json(&payload::Controller::from(&controller)))),
        ("alarm", keys(Standing::default().payload())),
    ];
    let of = |topic: &str| {
        let thing = topic.strip_prefix("homeostat/greenhouse/").unwrap();
        let everything = everything();
        let is_output = everything.outputs.iter().any(|output| output.id.as_str() == thing);
        let is_controller = everything.controllers.iter().any(|controller| controller.id.as_str() == thing);
        let room = match thing {
            "alarm" => 3,
            _ if is_output => 1,
            _ if is_controller => 2,
            _ => 0,
        };
        &published[room].1
    };
    let mut held = 0;
    for (_, fields) in entities(&messages(&everything(), &settings(Form::Device))) {
        // A template stands beside the topic that it reads: `val_tpl` beside `stat_t`.
        for (key, template) in fields.iter().filter(|(key, _)| key.ends_with("tpl") && !key.ends_with("cmd_tpl")) {
            let topic = match key.as_str() {
                "val_tpl" | "stat_val_tpl" => "stat_t".to_owned(),
                "bri_val_tpl" | "pct_val_tpl" => key.replace("val_tpl", "stat_t"),
                _ => key.replace("_tpl", "_t"),
            };
            let (template, topic) = (template.as_str().unwrap(), fields[&topic].as_str().unwrap());
            for part in template.split("value_json.").skip(1) {
                let name: String = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                assert!(of(topic).contains(&name), "{key} names {name}, which {topic} does not have: {template}");
                held += 1;
            }
        }
    }
    assert!(held > 40, "only {held} names were found");
    assert!(of("homeostat/greenhouse/both").contains("setpoint"));
}

#[test]
fn the_modes_that_a_controller_tells_of_are_among_those_that_are_announced() {
    let (_, fields) = entities(&messages(&everything(), &settings(Form::Device)))
        .into_iter()
        .find(|(_, fields)| fields["uniq_id"] == "homeostat-greenhouse-both-mode")
        .unwrap();
    let announced = fields["ops"].as_array().unwrap();
    for mode in [Mode::Automatic, Mode::Manual(0.5), Mode::Waiting, Mode::Tripped] {
        let state = ControllerState {
            controller: ControllerId::new("both").unwrap(),
            mode,
            setpoint: 1.0,
            input: None,
            terms: Terms::default(),
            output: 0.0,
        };
        let told = read(&payload::json(&payload::Controller::from(&state)))["mode"].clone();
        assert!(announced.contains(&told), "{told} is not among {announced:?}");
    }
}

#[test]
fn no_message_of_a_large_node_is_too_large() {
    let channels: Vec<_> =
        ["temperature", "humidity", "pressure"].into_iter().zip(Quantity::ALL.iter().copied()).collect();
    let many = |count: usize, name: &str| (0..count).map(|n| format!("{n:x<50}-{name}")).collect::<Vec<_>>();
    let mut things = Things { node: "n".repeat(64), ..nothing() };
    things.sensors = many(50, "sensor").iter().map(|id| sensor(id, &channels)).collect();
    things.outputs = many(30, "output").iter().map(|id| output(id, Takes::Levels, true, None)).collect();
    things.controllers = many(120, "controller")
        .iter()
        .map(|id| controller(id, &format!("{id}.temperature"), Quantity::Temperature, Moves::Both))
        .collect();
    let names = things.sensors.iter().map(|sensor| format!("sensors.{}", sensor.id));
    let outputs = things
        .outputs
        .iter()
        .flat_map(|output| [format!("outputs.{}", output.id), format!("outputs.{}.pin", output.id)]);
    things.alarms = names.chain(outputs).collect();
    let messages = messages(&things, &settings(Form::Device));
    assert!(messages.len() > 1, "its topics are {:?}", messages.keys());
    for (topic, payload) in &messages {
        // What the client and the embedded broker take at most.
        assert!(payload.len() < 250 * 1024, "{} bytes on {topic}", payload.len());
        documented::check_message(topic, &read(payload));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn ids_are_unique_and_topics_are_topics_whatever_things_are_called(things in node(), name in "[a-c_-]{1,5}") {
        let things = Things { node: name, ..things };
        let mut told = Vec::new();
        for form in FORMS {
            let settings = settings(form);
            let messages = messages(&things, &settings);
            let [device, components] = filters(&things.node, &settings);
            for (topic, payload) in &messages {
                documented::check_message(topic, &read(payload));
                prop_assert!(is_ours(&things.node, &settings, topic), "{topic} is not ours");
                prop_assert!(*topic == device || home_assistant::matches(&components, topic), "{topic} is not heard");
            }
            let entities = entities(&messages);
            let mut ids = BTreeSet::new();
            for (kind, fields) in &entities {
                documented::check_entity(kind, fields);
                prop_assert!(ids.insert(fields["uniq_id"].as_str()), "{} twice", fields["uniq_id"]);
            }
            let count = things.sensors.iter().map(|sensor| sensor.channels.len()).sum::<usize>()
                + things.outputs.len()
                + things.controllers.iter().map(|one| if one.quantity == Quantity::Temperature { 3 } else { 4 }).sum::<usize>()
                + things.alarms.len()
                + 1;
            prop_assert_eq!(entities.len(), count);
            told.push(entities.into_iter().map(|(kind, fields)| (kind, fields["uniq_id"].to_string(), Value::Object(fields))).collect::<Vec<_>>());
        }
        for told in &mut told {
            told.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        }
        prop_assert_eq!(&told[0], &told[1], "the two forms tell the same");
    }

    /// What Home Assistant has in the end is what it should have, from whatever to whatever, also after a restart of either.
    #[test]
    fn what_was_removed_disappears_and_nothing_else_does(
        steps in prop::collection::vec((node(), form(), prop::option::of(0..9_usize), any::<bool>()), 1..5),
    ) {
        let mut world = HomeAssistant::default();
        let mut before = Messages::new();
        for (things, settings, daemon_dies_after, home_assistant_restarts) in steps {
            if home_assistant_restarts {
                world.restart();
            }
            let after = settings.map(|settings| messages(&things, &settings)).unwrap_or_default();
            let expected = home_assistant::ids(&after);
            let stays: Vec<_> = world.entities().intersection(&expected).cloned().collect();
            if let Some(count) = daemon_dies_after {
                for (topic, payload) in changes(&before, &after).into_iter().take(count) {
                    world.publish(&topic, payload);
                }
                // What it came to is read back from the broker by the next one.
                before = world.retained.clone();
            }
            for (topic, payload) in changes(&before, &after) {
                world.publish(&topic, payload);
                for entity in &stays {
                    prop_assert!(world.has(entity), "{entity:?} was away for a moment");
                }
            }
            prop_assert_eq!(world.entities(), expected);
            prop_assert_eq!(&world.retained, &after);
            prop_assert!(changes(&after, &after).is_empty());
            before = after;
        }
    }
}

#[test]
fn garbage_that_was_retained_is_swept_away() {
    let settings = settings(Form::Device);
    let after = messages(&everything(), &settings);
    let [device, _] = filters("greenhouse", &settings);
    for garbage in ["", "not json", "[]", "{\"cmps\":7}", "{\"cmps\":{\"a\":null,\"b\":{\"p\":1}}}"] {
        let stray = "homeassistant/sensor/homeostat-greenhouse/stray/config";
        let before: Messages = [device.as_str(), stray].map(|topic| (topic.to_owned(), garbage.into())).into();
        let mut world = HomeAssistant::at(&before);
        for (topic, payload) in changes(&before, &after) {
            world.publish(&topic, payload);
        }
        world.retained.retain(|_, payload| !payload.is_empty());
        assert_eq!(world.retained, after, "{garbage:?}");
    }
}

#[test]
fn only_our_own_topics_are_ours() {
    let settings = Settings { prefix: "ha/here".into(), ..Settings::default() };
    let cases = [
        ("ha/here/device/homeostat-greenhouse/config", true),
        ("ha/here/sensor/homeostat-greenhouse/air-temperature/config", true),
        ("ha/here/device/homeostat-greenhouse2/config", false),
        ("ha/here/sensor/homeostat-greenhouse/config", false),
        ("ha/here/sensor/other/air/config", false),
        ("homeassistant/device/homeostat-greenhouse/config", false),
        ("ha/heredevice/homeostat-greenhouse/config", false),
        ("ha/here/device/homeostat-greenhouse/state", false),
    ];
    for (topic, ours) in cases {
        assert_eq!(is_ours("greenhouse", &settings, topic), ours, "{topic}");
    }
}
