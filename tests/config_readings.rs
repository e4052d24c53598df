//! What a person gets who made a mistake in what is done with readings: the options of channels, and redundant sensors.

use std::path::Path;
use std::time::Duration;

use homeostat::config::{self, Config, Mistakes};
use homeostat::sensors;

const NODE: &str = "[node]\nname = \"greenhouse\"\nhardware = \"simulated\"\n";

/// Two sensors, and something in between.
const PAIR: &str = r#"
[sensors.air1]
driver = "bme280"
every = "5s"
[sensors.air2]
driver = "bme280"
address = 0x77
every = "20s"
"#;

fn read(text: &str) -> Result<Config, Mistakes> {
    config::read(Path::new("config.toml"), text.as_bytes().to_vec())
}

/// The message and the hint of each mistake.
fn mistakes(text: &str) -> Vec<(String, String)> {
    let mistakes = read(&format!("{NODE}{text}")).err().map(|mistakes| mistakes.diagnostics).unwrap_or_default();
    mistakes.into_iter().map(|mistake| (mistake.message, mistake.hint)).collect()
}

#[track_caller]
fn check(text: &str, expected: &[(&str, &str)]) {
    let found = mistakes(text);
    let as_expected = found.len() == expected.len()
        && found.iter().zip(expected).all(|(is, part)| is.0.contains(part.0) && is.1.contains(part.1));
    assert!(as_expected, "{text}\n{found:#?}");
}

#[test]
fn the_options_of_a_channel_stand_under_its_name() {
    let air = |keys: &str| format!("[sensors.air]\ndriver = \"bme280\"\n{keys}\n");
    check(&air("temperature = { offset = -0.4, valid = [-10, 60], smooth = \"median 5\" }\nhumidity = {}"), &[]);
    check(
        &air("temprature = { offset = -0.4 }"),
        &[("unknown key `temprature` for driver `bme280`", "did you mean `temperature`?")],
    );
    check(
        &air("moisture = { offset = -0.4 }"),
        &[("unknown key `moisture`", "known: address, bus, driver, every, humidity, power, pressure, temperature")],
    );
    check(
        &air("temperature = { ofset = -0.4 }"),
        &[("unknown key `ofset` for `temperature` of sensor air", "did you mean `offset`?")],
    );
    check(&air("temperature = 5"), &[("`temperature` of sensor air is not a table", "write `{ … }`")]);
    check(
        &air("temperature = { smooth = \"median 4\" }\nhumidity = { valid = [100, 0] }"),
        &[("`smooth` of `temperature` of sensor air", "odd"), ("`valid` of `humidity` of sensor air", "[0, 100]")],
    );
}

#[test]
fn a_driver_and_the_filter_share_a_channels_table() {
    let soil = |moisture: &str| format!("[sensors.soil]\ndriver = \"ads1115\"\ninput = 0\nmoisture = {moisture}\n");
    check(&soil("{ dry = 2.8, wet = 1.1, smooth = \"median 5\", valid = [0, 100] }"), &[]);
    check(
        &soil("{ dry = 2.8, wet = 1.1, smoth = \"median 5\" }"),
        &[("unknown key `smoth` for `moisture` of sensor soil", "did you mean `smooth`?")],
    );
    check(&soil("{ dyr = 2.8, wet = 1.1 }"), &[("unknown key `dyr` for `moisture`", "did you mean `dry`?")]);
    check(&soil("2.8"), &[("`moisture` of sensor soil is not a table", "write `{ … }`")]);
}

#[test]
fn a_sensor_that_is_not_understood_is_not_blamed_for_its_channels() {
    check("[sensors.air]\ndriver = \"bme280\"\naddress = 5\ntemperature = { offset = 1 }", &[("address", "0x76")]);
}

#[test]
fn a_redundant_sensor_may_stand_before_its_inputs_and_be_an_input_itself() {
    let text = format!(
        "{NODE}[sensors.air]\ndriver = \"redundant\"\ninputs = [\"pair.temperature\", \"tank.temperature\"]\n\
         policy = \"failover\"\n\
         [sensors.pair]\ndriver = \"redundant\"\ninputs = [\"air1.temperature\", \"air2.temperature\"]\n\
         policy = \"agree\"\nwithin = 1\n\
         [sensors.tank]\ndriver = \"ds18b20\"\nid = \"28-0316a2795cff\"\nevery = \"30s\"\n{PAIR}"
    );
    let config = read(&text).unwrap();
    let order: Vec<&str> = config.computed.iter().map(|sensor| sensor.id.as_str()).collect();
    assert_eq!(order, ["pair", "air"], "each after its inputs");
    let secs = Duration::from_secs;
    let [pair, air] = &config.computed[..] else { panic!("{order:?}") };
    assert_eq!((pair.fastest, pair.slowest, pair.stale_after), (secs(5), secs(20), secs(60)));
    assert_eq!((air.fastest, air.slowest, air.stale_after), (secs(20), secs(30), secs(90)));
}

#[test]
fn every_example_of_a_driver_that_computes_is_right() {
    for entry in sensors::computed::DRIVERS {
        check(&format!("{}{PAIR}", entry.example).replace("20s", "5s"), &[]);
    }
}

#[test]
fn mistakes_of_redundant_sensors_are_told_with_what_would_do() {
    let both = "inputs = [\"air1.temperature\", \"air2.temperature\"]";
    let failover = "policy = \"failover\"";
    let inputs = |inputs: &str| format!("inputs = {inputs}\n{failover}");
    let cases = [
        (format!("{both}\n{failover}"), "", ""),
        (both.into(), "sensor air needs `policy`", "failover"),
        (format!("{both}\npolicy = \"agre\""), "is not a policy", "\"agree\" (what they agree upon)"),
        (format!("{both}\npolicy = \"agree\""), "sensor air needs `within`", "add `within"),
        (format!("{both}\npolicy = \"agree\"\nwithin = 0"), "must be above 0", "never exactly equal"),
        (format!("{both}\n{failover}\nwithin = 1"), "`within` of sensor air is for sensors that must agree", "leave"),
        (format!("{both}\n{failover}\nstale_after = \"30s\""), "shorter than two intervals", "every 20s"),
        (format!("{both}\n{failover}\npolcy = 1"), "unknown key `polcy` for driver `redundant`", "`policy`"),
        (failover.into(), "sensor air needs `inputs`", "at least two channels"),
        (inputs("[\"air1.temperature\"]"), "is not a list of 2 to 16 channels", "at least two"),
        (inputs("\"air1.temperature\""), "is not a list of 2 to 16 channels", "at least two"),
        (inputs("[\"air1.temperature\", 5]"), "an input of sensor air is not a channel", "write \"air.temperature\""),
        (inputs("[\"air1.temperature\", \"air1.temperature\"]"), "an input of sensor air twice", "name another"),
        (inputs("[\"air1.temperature\", \"air3.temperature\"]"), "there is no sensor `air3`", "`air"),
        (inputs("[\"air1.temperature\", \"air2.temprature\"]"), "no channel `temprature`", "`air2.temperature`?"),
        (inputs("[\"air1.temperature\", \"air2.humidity\"]"), "in °C against `air2.humidity` in %", "the same"),
        (
            inputs("[\"air.temperature\", \"air1.temperature\"]"),
            "sensor air is computed from itself: air needs air",
            "out of the circle",
        ),
    ];
    for (keys, message, hint) in cases {
        let text = format!("[sensors.air]\ndriver = \"redundant\"\n{keys}\n{PAIR}");
        let expected = [(message, hint)];
        check(&text, if message.is_empty() { &[] } else { &expected });
    }
}

#[test]
fn each_circle_is_told_once_and_those_that_hang_on_it_are_left_in_peace() {
    let redundant = |name: &str, input: &str| {
        format!(
            "[sensors.{name}]\ndriver = \"redundant\"\ninputs = [\"{input}.temperature\", \"air1.temperature\"]\n\
             policy = \"failover\"\n"
        )
    };
    let text = redundant("hanging", "b") + &redundant("a", "b") + &redundant("b", "c") + &redundant("c", "a") + PAIR;
    check(&text, &[("sensor a is computed from itself: a needs b needs c needs a", "out of the circle")]);
}

#[test]
fn a_controller_may_use_a_redundant_sensor_and_is_held_to_its_channel() {
    let rest = |input: &str, stale_after: &str| {
        format!(
            "[sensors.air]\ndriver = \"redundant\"\ninputs = [\"air1.temperature\", \"air2.temperature\"]\n\
             policy = \"failover\"\n{PAIR}\n[outputs.fan]\ndriver = \"pwm\"\nchannel = 0\n\
             [controllers.warmth]\nkind = \"pid\"\ninput = \"{input}\"\nlower = \"fan\"\nsetpoint = 20\nkp = 0.1\n\
             stale_after = \"{stale_after}\"\n"
        )
    };
    check(&rest("air.temperature", "1m"), &[]);
    check(&rest("air.humidity", "1m"), &[("sensor air has no channel `humidity`", "air has: temperature")]);
    check(&rest("air.temperature", "30s"), &[("shorter than two intervals of its sensor", "every 20s")]);
}
