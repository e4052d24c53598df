//! What may be on a node: one of each kind, or whatever.

use std::time::Duration;

use homeostat::model::{ChannelId, ControllerId, OutputId, Quantity, SensorId, Shown};
use homeostat::mqtt::discovery::{Controller, Form, Moves, Output, Sensor, Settings, Takes, Things};
use proptest::prelude::*;

pub fn settings(form: Form) -> Settings {
    Settings { form, ..Settings::default() }
}

pub fn nothing() -> Things {
    Things {
        node: "greenhouse".into(),
        version: "1.2.3".into(),
        sensors: Vec::new(),
        outputs: Vec::new(),
        controllers: Vec::new(),
        alarms: Vec::new(),
    }
}

pub fn sensor(id: &str, channels: &[(&str, Quantity)]) -> Sensor {
    let channels = channels.iter().map(|(name, quantity)| ((*name).to_owned(), *quantity)).collect();
    Sensor { id: SensorId::new(id).unwrap(), channels, every: Duration::from_secs(30) }
}

pub fn output(id: &str, takes: Takes, remote: bool, shown: Option<Shown>) -> Output {
    Output { id: OutputId::new(id).unwrap(), takes, remote, shown, dosing: None }
}

pub fn controller(id: &str, input: &str, quantity: Quantity, moves: Moves) -> Controller {
    let (id, input) = (ControllerId::new(id).unwrap(), ChannelId::parse(input).unwrap());
    Controller { id, input, quantity, moves, remote: true, by_hand: true, setpoints: 4.0..=44.0 }
}

/// One thing of each kind that there is, by the name of its file.
pub fn kinds() -> Vec<(&'static str, Things)> {
    let quantities: Vec<(&str, Quantity)> = Quantity::ALL.iter().map(|quantity| (quantity.name(), *quantity)).collect();
    let outputs = |outputs: Vec<Output>| Things { outputs, ..nothing() };
    let controllers = |controllers: Vec<Controller>| Things { controllers, ..nothing() };
    let warmth = |id, moves| controller(id, "air.temperature", Quantity::Temperature, moves);
    vec![
        ("sensor", Things { sensors: vec![sensor("air-2", &quantities)], ..nothing() }),
        (
            "switch",
            outputs(vec![
                output("pump", Takes::OnOff, true, None),
                output("valve", Takes::Levels, true, Some(Shown::Switch)),
            ]),
        ),
        ("number", outputs(vec![output("heater", Takes::Levels, true, None)])),
        (
            "light",
            outputs(vec![
                output("lamp", Takes::OnOff, true, Some(Shown::Light)),
                output("dimmed", Takes::Levels, true, Some(Shown::Light)),
            ]),
        ),
        (
            "fan",
            outputs(vec![
                output("fan", Takes::Levels, true, Some(Shown::Fan)),
                output("vent", Takes::OnOff, true, Some(Shown::Fan)),
            ]),
        ),
        (
            "output_without_commands",
            outputs(vec![
                output("siren", Takes::OnOff, false, None),
                output("mist", Takes::Levels, false, Some(Shown::Fan)),
            ]),
        ),
        (
            "climate",
            controllers(vec![
                warmth("both", Moves::Both),
                warmth("heat", Moves::Raises),
                warmth("cool", Moves::Lowers),
            ]),
        ),
        (
            "controller_of_something_else",
            controllers(vec![controller("damp", "soil.moisture", Quantity::Moisture, Moves::Raises)]),
        ),
        (
            "controller_without_commands",
            controllers(vec![Controller { remote: false, ..warmth("warmth", Moves::Raises) }]),
        ),
        ("alarm", Things { alarms: vec!["outputs.heater.pin".into(), "store".into()], ..nothing() }),
    ]
}

/// All kinds at once.
pub fn everything() -> Things {
    kinds().into_iter().fold(nothing(), |mut all, (_, things)| {
        all.sensors.extend(things.sensors);
        all.outputs.extend(things.outputs);
        all.controllers.extend(things.controllers);
        all.alarms.extend(things.alarms);
        all
    })
}

/// Names of things: unique over all kinds, of all letters that a name may have.
fn names() -> impl Strategy<Value = Vec<String>> {
    let letters = "[a-b0-1_-]{1,4}";
    prop::collection::btree_set(letters, 0..10).prop_map(|names| names.into_iter().collect())
}

/// A node of these names: each becomes a thing of a kind that `kind` says.
pub fn node() -> impl Strategy<Value = Things> {
    let channels = prop::collection::btree_set("[a-b0-1_-]{1,3}", 1..3);
    let more = prop::sample::select(vec![0, 0, 95, 190_usize]);
    let alarms = prop::collection::vec(0..5_usize, 0..4);
    (names(), prop::collection::vec((0..9_usize, channels), 10), alarms, more).prop_map(
        |(names, kinds, alarms, more)| {
            let mut things = nothing();
            for (name, (kind, channels)) in names.iter().zip(kinds) {
                let channels: Vec<(&str, Quantity)> =
                    channels.iter().map(|channel| (channel.as_str(), Quantity::Temperature)).collect();
                let shown = [None, Some(Shown::Switch), Some(Shown::Number), Some(Shown::Light), Some(Shown::Fan)];
                match kind {
                    0 | 1 => things.sensors.push(sensor(name, &channels)),
                    2 | 3 => things.outputs.push(output(name, Takes::Levels, kind == 2, None)),
                    4..=6 => things.outputs.push(output(name, Takes::OnOff, true, shown[kind - 2])),
                    7 => things.controllers.push(controller(name, "a.b", Quantity::Temperature, Moves::Both)),
                    _ => things.controllers.push(controller(name, "a.b", Quantity::Voltage, Moves::Both)),
                }
                if alarms.contains(&kind) {
                    things.alarms.extend([format!("sensors.{name}"), format!("sensors.{name}.pin")]);
                }
            }
            // So many that they need a message more.
            things.alarms.extend((0..more).map(|number| format!("more.{number}")));
            things
        },
    )
}

pub fn form() -> impl Strategy<Value = Option<Settings>> {
    prop_oneof![
        Just(None),
        Just(Some(settings(Form::Device))),
        Just(Some(settings(Form::Components))),
        Just(Some(Settings { prefix: "ha/here".into(), form: Form::Device })),
    ]
}
