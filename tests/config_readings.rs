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

/// The text that each mistake is about.
fn places(text: &str) -> Vec<String> {
    let Err(mistakes) = read(text) else { return Vec::new() };
    mistakes.diagnostics.iter().map(|mistake| mistakes.text[mistake.place.0.clone()].to_owned()).collect()
}

#[test]
fn mistakes_of_formulas_are_told_where_they_stand() {
    let cases = [
        ("vpd(air1.temperature, air1.humidity)", "", "", "", ""),
        ("vpd(air1.temperature - 2, air1.humidity)", "unit = \"kPa\"", "", "", ""),
        ("air1.temperature - air2.temperature", "quantity = \"temperature\"", "", "", ""),
        ("difference(air1.temperature, air2.temperature)", "quantity = \"temperature\"", "", "", ""),
        ("average(air1.humidity, air2.humidity)", "unit = \"%\"", "", "", ""),
        ("vdp(air1.temperature, 50)", "", "vdp", "the formula of sensor new has an unknown function", "`vpd`?"),
        ("2 * (air1.temperature", "", "(", "never closes this parenthesis", "`)`"),
        ("air1.temperature + air3.humidity", "", "air3.humidity", "there is no sensor `air3`", "`air"),
        ("max(air1.temprature, 3)", "", "air1.temprature", "no channel `temprature`", "`air1.temperature`?"),
        ("vpd(air1.humidity, 50)", "", "air1.humidity", "has a humidity where `vpd` wants a temperature", "write vpd("),
        ("max(air1.humidity, air2.temperature)", "", "air2.temperature", "wants a humidity", "measure the same"),
        ("new.number + 1", "", "new.number", "sensor new is computed from itself: new needs new", "circle"),
        ("max(air1.humidity, 1)", "quantity = \"temperature\"", "\"temperature\"", "gives humidity in %", "leave"),
        ("vpd(air1.temperature, 50)", "unit = \"°C\"", "\"°C\"", "gives vpd in kPa", "leave it out"),
        ("air1.temperature * 2", "unit = \"%\"", "\"%\"", "several quantities are in %", "humidity, moisture"),
        ("air1.temperature * 2", "unit = \"C\"", "\"C\"", "unknown unit `C`", "°C"),
        ("air1.temperature", "unit = \"°C\"\nquantity = \"temperature\"", "\"°C\"", "has both", "leave this out"),
        ("air1.temperature", "quantity = \"warmth\"", "\"warmth\"", "is not a quantity", "humidity"),
        ("air1.temperature", "every = \"5s\"", "every", "unknown key `every` for driver `formula`", "known"),
        ("air1.temperature", "stale_after = \"8s\"", "\"8s\"", "shorter than two intervals", "every 5s"),
    ];
    for (formula, keys, place, message, hint) in cases {
        let text = format!("[sensors.new]\ndriver = \"formula\"\nvalue = \"{formula}\"\n{keys}\n{PAIR}");
        let expected = [(message, hint)];
        check(&text, if message.is_empty() { &[] } else { &expected });
        let place = Some(place.to_owned()).filter(|_| !message.is_empty());
        assert_eq!(places(&format!("{NODE}{text}")), Vec::from_iter(place), "{formula}");
    }
}

#[test]
fn a_formula_that_is_written_with_escapes_is_shown_as_a_whole() {
    for value in [r#""vdp(air1.temperature,\t50)""#, "\"\"\"\nvdp(air1.temperature, 50)\"\"\"", "5"] {
        let text = format!("{NODE}[sensors.new]\ndriver = \"formula\"\nvalue = {value}\n{PAIR}");
        assert_eq!(places(&text), [value], "{value}");
    }
    check("[sensors.new]\ndriver = \"formula\"\n", &[("sensor new needs `value`", "add `value = ")]);
}

#[test]
fn a_formula_measures_what_it_says_or_what_follows() {
    let cases = [
        ("vpd(air1.temperature, air1.humidity)", "", "vpd"),
        ("dew_point(air1.temperature, 50)", "", "temperature"),
        ("max(air1.temperature, 3)", "", "temperature"),
        ("air1.pressure", "", "pressure"),
        ("air1.temperature + 1", "", "number"),
        ("difference(air1.temperature, air2.temperature)", "", "number"),
        ("difference(air1.pressure, air2.pressure)", "", "pressure"),
        ("air1.temperature + 1", "unit = \"°C\"", "temperature"),
    ];
    for (formula, keys, expected) in cases {
        let text = format!("{NODE}[sensors.new]\ndriver = \"formula\"\nvalue = \"{formula}\"\n{keys}\n{PAIR}");
        let config = read(&text).unwrap();
        let [new] = &config.computed[..] else { panic!("{:?}", config.computed) };
        let channel = new.formula.channel();
        assert_eq!((channel.name, channel.quantity.name()), (expected, expected), "{formula}");
    }
}

#[test]
fn a_topic_needs_a_broker_and_is_not_this_nodes_own() {
    const BROKER: &str = "[mqtt]\nbroker = \"mqtt://127.0.0.1\"\n";
    let bed = |topic: &str| format!("[sensors.bed]\ndriver = \"mqtt\"\ntopic = \"{topic}\"\n");
    check(&(bed("a/b") + BROKER), &[]);
    check(&bed("a/b"), &[("sensor bed has a topic, and there is no broker", "add `[mqtt]`")]);
    for topic in ["homeostat/greenhouse/air/temperature", "homeostat/greenhouse/status"] {
        check(&(bed(topic) + BROKER), &[("all below homeostat/greenhouse/ is its own", "the channel")]);
    }
    check(&(bed("homeostat/greenhouse2/air/temperature") + BROKER), &[]);
}

#[test]
fn who_acts_on_what_is_heard_waits_as_long_as_it_is_good() {
    let text = format!(
        "{NODE}[mqtt]\nbroker = \"mqtt://127.0.0.1\"\n[sensors.bed]\ndriver = \"mqtt\"\ntopic = \"a\"\n\
             quantity = \"temperature\"\nstale_after = \"30m\"\n[outputs.fan]\ndriver = \"pwm\"\nchannel = 0\n\
             [controllers.cooling]\nkind = \"pid\"\ninput = \"bed.temperature\"\nlower = \"fan\"\nsetpoint = 20.0\nkp = 0.1\n"
    );
    assert_eq!(read(&text).unwrap().controllers[0].stale_after, Duration::from_secs(30 * 60));
}
