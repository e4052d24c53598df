//! What Home Assistant is told of a configuration.

use std::ops::RangeInclusive;

use crate::alarms::Way;
use crate::config::Config;
use crate::controllers;
use crate::model::{ChannelId, Dosing, OutputId, Quantity};
use crate::mqtt::discovery::{Controller, Moves, Output, Sensor, Takes, Things};
use crate::outputs::{self, Resolution};

/// Alarms that do not come and go with a part of the configuration.
const OURS: [&str; 13] = [
    "alarms",
    "alarms.file",
    "alarms.unwritten",
    "config",
    "config.copies",
    "limits",
    "limits.spent",
    "mqtt",
    "mqtt.history",
    "store",
    "store.damaged",
    "store.fresh",
    "store.history",
];

/// What `config` has, for Home Assistant.
pub fn things(config: &Config) -> Things {
    let sensors = sensors(config);
    let remote = config.mqtt.as_ref().is_some_and(|mqtt| mqtt.commands);
    let closed = |id: &OutputId| config.outputs.iter().any(|output| output.id == *id && !output.remote);
    let controllers = config.controllers.iter().filter_map(|controller| {
        let quantity = quantity(&sensors, &controller.input)?;
        let by_hand = remote && !controller.raise.iter().chain(&controller.lower).any(closed);
        Some(self::controller(controller, quantity, remote, by_hand))
    });
    let controllers = controllers.collect();
    let outputs = config.outputs.iter().map(|output| self::output(output, remote)).collect();
    let (node, version) = (config.node.name.clone(), env!("CARGO_PKG_VERSION").to_owned());
    Things { node, version, sensors, outputs, controllers, alarms: alarms(config) }
}

fn sensors(config: &Config) -> Vec<Sensor> {
    let measured = config.sensors.iter().map(|sensor| {
        let channels = sensor.device.channels().iter().map(|channel| (channel.name.to_owned(), channel.quantity));
        Sensor { id: sensor.id.clone(), channels: channels.collect(), every: sensor.every }
    });
    let computed = config.computed.iter().map(|sensor| {
        let channel = sensor.formula.channel();
        Sensor {
            id: sensor.id.clone(),
            channels: vec![(channel.name.to_owned(), channel.quantity)],
            every: sensor.slowest,
        }
    });
    measured.chain(computed).collect()
}

fn quantity(sensors: &[Sensor], channel: &ChannelId) -> Option<Quantity> {
    let sensor = sensors.iter().find(|sensor| sensor.id.as_str() == channel.sensor())?;
    sensor.channels.iter().find(|(name, _)| name == channel.channel()).map(|(_, quantity)| *quantity)
}

fn output(output: &outputs::Config, remote: bool) -> Output {
    let pulses = output.limits.cycle.is_some();
    let takes = match output.device.resolution() {
        Resolution::Switch if !pulses => Takes::OnOff,
        Resolution::Switch | Resolution::Continuous => Takes::Levels,
    };
    Output {
        id: output.id.clone(),
        takes,
        remote: remote && output.remote,
        shown: output.shown,
        dosing: dosing(output),
    }
}

/// A pump that rests at on would not stop after a dose.
fn dosing(output: &outputs::Config) -> Option<Dosing> {
    let (rate, limits) = (output.device.ml_per_second()?, &output.limits);
    (!limits.safe.is_on()).then_some(Dosing { rate, min_on: limits.min_on, max_on: limits.max_on })
}

fn controller(controller: &controllers::Config, quantity: Quantity, remote: bool, by_hand: bool) -> Controller {
    let moves = match (&controller.raise, &controller.lower) {
        (Some(_), Some(_)) => Moves::Both,
        (None, Some(_)) => Moves::Lowers,
        (Some(_) | None, None) => Moves::Raises,
    };
    let (id, input) = (controller.id.clone(), controller.input.clone());
    Controller { id, input, quantity, moves, remote, by_hand, setpoints: setpoints(quantity, controller.setpoint) }
}

/// From where to where a setpoint can be moved: what people want of one thing over the year, around what they want of it now.
fn setpoints(quantity: Quantity, now: f64) -> RangeInclusive<f64> {
    /// °C
    const AROUND: f64 = 20.0;
    let (low, high) = match (quantity, quantity.unit()) {
        (Quantity::Temperature, _) => (now - AROUND, now + AROUND),
        (_, "%") => (now.min(0.0), now.max(100.0)),
        _ => ((2.0 * now).min(0.0), (2.0 * now).max(1.0)),
    };
    low.floor()..=high.ceil()
}

/// The names of all alarms that there may be. Each child of the root has one, and some have more.
fn alarms(config: &Config) -> Vec<String> {
    let sensors = config.sensors.iter().map(|sensor| format!("sensors.{}", sensor.id));
    let computed = config.computed.iter().map(|sensor| format!("sensors.{}", sensor.id));
    let inputs = config.computed.iter().map(|sensor| format!("sensors.{}.inputs", sensor.id));
    let outputs = config.outputs.iter().flat_map(|output| {
        let name = format!("outputs.{}", output.id);
        [format!("{name}.pin"), name]
    });
    let controllers = config.controllers.iter().map(|controller| format!("controllers.{}", controller.id));
    let watched = config.controllers.iter().filter(|controller| controller.watch.is_some());
    let watches = watched.map(|controller| format!("controllers.{}.watch", controller.id));
    let tellers = config.alarms.iter().flat_map(|alarms| &alarms.ways).map(teller);
    let ours = OURS.map(str::to_owned).into_iter();
    ours.chain(sensors)
        .chain(computed)
        .chain(inputs)
        .chain(outputs)
        .chain(controllers)
        .chain(watches)
        .chain(tellers)
        .collect()
}

/// As the child is called that tells a person in this way.
fn teller(way: &Way) -> String {
    match way {
        Way::Webhook(_) => "alarms.webhook".into(),
        #[cfg(feature = "email")]
        Way::Email(_) => "alarms.email".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config;

    /// Something of every kind: sensors that are measured and computed, a relay with and without a cycle, a watch.
    const HOUSE: &str = r#"
        [node]
        name = "house"
        hardware = "simulated"
        [alarms]
        webhook = "https://example.org/hook"
        [sensors.one]
        driver = "bme280"
        every = "5s"
        [sensors.two]
        driver = "ds18b20"
        id = "28-0316a2795cff"
        every = "20s"
        [sensors.air]
        driver = "redundant"
        inputs = ["one.temperature", "two.temperature"]
        policy = "failover"
        [outputs.heater]
        driver = "gpio"
        pin = 17
        cycle = "20s"
        [outputs.siren]
        driver = "gpio"
        pin = 18
        [outputs.fan]
        driver = "pwm"
        channel = 0
        [controllers.warmth]
        kind = "pid"
        input = "air.temperature"
        raise = "heater"
        setpoint = 21.5
        kp = 0.1
        watch = { gain = 1.0, within = "10m" }
        [controllers.dry]
        kind = "pid"
        input = "one.humidity"
        lower = "fan"
        setpoint = 60
        kp = 0.1
    "#;

    #[test]
    fn everything_in_a_file_is_there_as_what_it_is() {
        let things = things(&config::parse(HOUSE).unwrap());
        assert_eq!(things.node, "house");
        let sensors = things.sensors.iter().map(|one| (one.id.as_str(), one.channels.len(), one.every.as_secs()));
        assert_eq!(sensors.collect::<Vec<_>>(), [("one", 3, 5), ("two", 1, 20), ("air", 1, 20)]);
        assert_eq!(things.sensors[2].channels, [("temperature".to_owned(), Quantity::Temperature)]);
        assert_eq!(things.sensors[2].every, Duration::from_secs(20), "the slowest of its inputs");

        let outputs = things.outputs.iter().map(|one| (one.id.as_str(), one.takes));
        let expected = [("heater", Takes::Levels), ("siren", Takes::OnOff), ("fan", Takes::Levels)];
        assert_eq!(outputs.collect::<Vec<_>>(), expected);

        let controllers =
            things.controllers.iter().map(|one| (one.id.as_str(), one.quantity, one.moves, one.setpoints.clone()));
        let warmth = ("warmth", Quantity::Temperature, Moves::Raises, 1.0..=42.0);
        let dry = ("dry", Quantity::Humidity, Moves::Lowers, 0.0..=100.0);
        assert_eq!(controllers.collect::<Vec<_>>(), [warmth, dry]);

        let names = ["sensors.one", "sensors.air", "sensors.air.inputs", "outputs.fan", "outputs.siren.pin"];
        let more = ["controllers.dry", "controllers.warmth.watch", "alarms.webhook", "store"];
        for name in names.into_iter().chain(more) {
            assert!(things.alarms.iter().any(|alarm| alarm == name), "{name} is not among {:?}", things.alarms);
        }
        assert!(!things.alarms.iter().any(|alarm| alarm == "controllers.dry.watch"), "it has no watch");
    }

    #[test]
    fn a_setpoint_lies_within_what_it_can_be_moved_in() {
        for quantity in Quantity::ALL {
            for now in [-40.0, -0.5, 0.0, 0.4, 6.5, 21.5, 99.5, 1013.0] {
                let range = setpoints(*quantity, now);
                assert!(range.start() < range.end() && range.contains(&now), "{quantity:?} at {now}: {range:?}");
            }
        }
    }
}
