//! What a person gets who made a mistake in the configuration, and that nobody can write a file that breaks us.

#[path = "config/damage.rs"]
mod damage;
#[path = "config/limits.rs"]
mod limits;

use std::path::Path;

use homeostat::config::{self, Config, Mistakes};
use homeostat::{outputs, sensors};

const EXAMPLE: &str = include_str!("../config.example.toml");

const NODE: &str = r#"[node]
name = "greenhouse"
hardware = "simulated"
"#;

fn read(text: &str) -> Result<Config, Mistakes> {
    config::read(Path::new("config.toml"), text.as_bytes().to_vec())
}

/// What is said about a file, word by word.
fn said(text: &str) -> String {
    read(text).err().map(|mistakes| mistakes.render(false)).unwrap_or_default()
}

/// The messages alone.
fn messages(text: &str) -> Vec<String> {
    let mistakes = read(text).err().map(|mistakes| mistakes.diagnostics).unwrap_or_default();
    mistakes.into_iter().map(|mistake| mistake.message).collect()
}

#[test]
fn mistakes_are_shown_where_they_are_with_what_to_do() {
    let cases = [
        (
            r#"[sensors.air]
driver = "bme280"
adress = 0x76
"#,
            r#"
error: unknown key `adress` for driver `bme280`
 --> config.toml:6:1
  |
6 | adress = 0x76
  | ^^^^^^ did you mean `address`?
"#,
        ),
        (
            r#"[sensors.air]
driver = "bme20"
every = "5ms"
"#,
            r#"
error: unknown driver `bme20`
 --> config.toml:5:10
  |
5 | driver = "bme20"
  |          ^^^^^^^ did you mean `bme280`? `homeostat drivers` lists them all

error: `every` of sensor air cannot be 5ms
 --> config.toml:6:9
  |
6 | every = "5ms"
  |         ^^^^^ it goes from 10ms to 24h
"#,
        ),
        (
            r#"[outputs.heater]
driver = "gpio"
pin = 17

[outputs.pump]
driver = "gpio"
pin = 17
"#,
            r#"
error: output pump wants GPIO pin 17, which output heater (line 6) has
  --> config.toml:10:7
   |
 6 | pin = 17
   |       -- output heater has it here
...
10 | pin = 17
   |       ^^ choose another `pin` for one of them
"#,
        ),
        (
            r#"[sensors.air]
driver = "bme280"

[outputs.air]
driver = "pwm"
channel = 0
"#,
            r#"
error: the name `air` is taken by sensor air (line 4)
 --> config.toml:7:10
  |
4 | [sensors.air]
  |          --- sensor air is here
...
7 | [outputs.air]
  |          ^^^ choose another name
"#,
        ),
        (
            r#"[sensors.air]
driver = "bme280"
[outputs.heater]
driver = "gpio"
pin = 17
[controllers.warmth]
kind = "pid"
input = "air.temprature"
raise = "heater"
lower = "fna"
setpoint = 24
kp = 0.1
"#,
            r#"
error: sensor air has no channel `temprature`
  --> config.toml:11:9
   |
11 | input = "air.temprature"
   |         ^^^^^^^^^^^^^^^^ did you mean `air.temperature`? air has: humidity, pressure, temperature

error: controller warmth turns output heater up and down, which can only be on or off
  --> config.toml:12:9
   |
12 | raise = "heater"
   |         ^^^^^^^^ add `cycle = "20s"` to [outputs.heater]: a level becomes on-time within it

error: there is no output `fna`
  --> config.toml:13:9
   |
13 | lower = "fna"
   |         ^^^^^ known outputs: heater
"#,
        ),
        (
            r#"[outputs.heater]
driver = "gpio"
pin = 17
safe = "30%"
cycle = "5s"
min_on = "3s"
min_off = "3s"
max_on = { "30m" = "at once", "6h" = "per fortnight" }
"#,
            r#"
error: output heater can only be on or off, also when it is safe
 --> config.toml:7:8
  |
7 | safe = "30%"
  |        ^^^^^ write "on" or "off"

error: `cycle` of output heater is shorter than `min_on` and `min_off` together
 --> config.toml:8:9
  |
8 | cycle = "5s"
  |         ^^^^ make it 6s at the least, and better ten times that

error: `max_on` of output heater cannot be "per fortnight"
  --> config.toml:11:38
   |
11 | max_on = { "30m" = "at once", "6h" = "per fortnight" }
   |                                      ^^^^^^^^^^^^^^^ write "per hour", "per day", "per 6h" or "per 7d"
"#,
        ),
        (
            r#"[sensors.air]
driver = bme280
every "5s"

[outputs.heater
driver = "gpio"

[log]
levle = "info

[sensor.soil]
"#,
            r#"
error: string values must be quoted
 --> config.toml:5:10
  |
5 | driver = bme280
  |          ^^^^^^ write "bme280"

error: key with no value
 --> config.toml:6:7
  |
6 | every "5s"
  |       ^ expected `=`

error: the name of this section is never closed
 --> config.toml:8:16
  |
8 | [outputs.heater
  |                ^ expected `]`

error: this text is never closed
  --> config.toml:12:9
   |
12 | levle = "info
   |         ^^^^^ expected `"`

error: unknown section `[sensor]`
  --> config.toml:14:2
   |
14 | [sensor.soil]
   |  ^^^^^^ did you mean `sensors`?
"#,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(said(&format!("{NODE}{text}")), expected.trim_start(), "{text}");
    }
    let empty = r#"
error: the file needs a section `[node]`
 --> config.toml:1:1
  |
1 |
  | ^ add `[node]` with a `name` and `hardware = "simulated"` or "raspberry-pi"
"#;
    assert_eq!(said(""), empty.trim_start());
}

/// The first line of the mistake that a file has; the file is right without the last line or two.
#[test]
fn every_kind_of_mistake_is_found() {
    let air = "[sensors.air]\ndriver = \"bme280\"\n";
    let heater = "[outputs.heater]\ndriver = \"gpio\"\npin = 17\ncycle = \"20s\"\n";
    let fan = "[outputs.fan]\ndriver = \"pwm\"\nchannel = 0\n";
    let pid = "kind = \"pid\"\ninput = \"air.temperature\"\nsetpoint = 24\nkp = 0.1\n";
    let warmth = format!("{air}{heater}{fan}[controllers.warmth]\n{pid}");
    let cases = [
        (format!("{air}every = 5"), "`every` of sensor air is not a duration"),
        (format!("{air}every = \"25h\""), "`every` of sensor air cannot be 25h"),
        ("[sensors.air]".into(), "sensor air needs `driver`"),
        (
            "[sensors.tank]\ndriver = \"ds18b20\"\nidd = \"28-0316a2795cff\"".into(),
            "unknown key `idd` for driver `ds18b20`",
        ),
        ("[sensors]\nair = 3".into(), "sensor air is not a table"),
        ("[[sensors]]\ndriver = \"bme280\"".into(), "`sensors` is not a table"),
        (
            format!("{air}[sensors.Air]\ndriver = \"ds18b20\"\nid = \"28-0316a2795cff\""),
            "sensor Air needs another name",
        ),
        (
            format!("{air}[sensors.status]\ndriver = \"ds18b20\"\nid = \"28-0316a2795cff\""),
            "sensor status needs another name",
        ),
        (
            format!("{air}[sensors.b]\ndriver = \"bme280\""),
            "sensor b wants address 0x76 on I²C bus 1, which sensor air (line 4) has",
        ),
        (format!("{heater}max_on = \"30m\""), "`max_on` of output heater needs `min_off`"),
        (format!("{heater}min_off = \"1s\"\nmax_on = {{}}"), "`max_on` of output heater is empty"),
        (
            format!("{heater}min_off = \"1s\"\nmax_on = {{ \"1h\" = \"daily\" }}"),
            "`max_on` of output heater does not say over which time",
        ),
        (
            format!("{heater}min_on = \"10s\"\nmin_off = \"1s\"\nmax_on = \"5s\""),
            "`max_on` of output heater is shorter than `min_on`",
        ),
        (format!("{heater}safe = 30"), "`safe` of output heater is not a level"),
        (format!("{fan}cycle = \"20s\""), "output fan needs no `cycle`: it takes every level between off and on"),
        (warmth.clone(), "controller warmth moves nothing"),
        (
            format!("{warmth}raise = \"fan\"\nlower = \"fan\""),
            "controller warmth raises and lowers with the same output",
        ),
        (
            format!("{warmth}raise = \"fan\"\nstale_after = \"15s\""),
            "`stale_after` of controller warmth is shorter than two intervals of its sensor",
        ),
        (format!("{warmth}raise = \"fan\"\nki = nan"), "`ki` of controller warmth is not a number"),
        (format!("{warmth}raise = \"fan\"\nkd = -1"), "the gains of controller warmth do not work"),
        (format!("{warmth}raise = \"fan\"\nsetpont = 24"), "unknown key `setpont` for controller warmth"),
        (
            format!("{warmth}raise = \"fan\"\n[controllers.b]\n{pid}lower = \"fan\""),
            "output fan is driven by controller warmth (line 18) already",
        ),
        (format!("{heater}[controllers.a]\n{pid}raise = \"heater\""), "there is no sensor `air`"),
        (format!("{air}[controllers.a]\nkind = \"fuzzy\""), "unknown kind `fuzzy`"),
        (
            "[log]\nlevel = \"loud\"".into(),
            "`loud` is not a log level: write error, warn, info, debug, trace or off, or module=level",
        ),
        ("[[web]]".into(), "unknown section `[web]`"),
        ("[node]".into(), "this key or section is there twice"),
    ];
    for (text, expected) in cases {
        assert_eq!(messages(&format!("{NODE}{text}\n")), [expected], "{text}");
    }
    let nodes = [
        ("[node]\nname = \"a\"\nhardware = \"esp32\"", "unknown hardware `esp32`"),
        ("[node]\nname = \"a b\"\nhardware = \"simulated\"", "the node needs another name"),
        ("[node]\nhardware = \"simulated\"", "[node] needs `name`"),
        ("node = 3", "[node] is not a table"),
        ("a = 1\n[node]\nname = \"a\"\nhardware = \"simulated\"", "`a` stands outside of any section"),
    ];
    for (text, expected) in nodes {
        assert_eq!(messages(text), [expected], "{text}");
    }
}

#[test]
fn a_sensor_is_three_lines_and_the_rest_has_defaults() {
    let config = read(&format!(
        "{NODE}[sensors.air]\ndriver = \"bme280\"\n[outputs.fan]\ndriver = \"pwm\"\nchannel = 0\n\
         [controllers.warmth]\nkind = \"pid\"\ninput = \"air.temperature\"\nlower = \"fan\"\nsetpoint = 24\nkp = 0.1\n"
    ))
    .unwrap();
    assert_eq!(config.sensors[0].every.as_secs(), 10);
    assert!(!config.outputs[0].limits.safe.is_on());
    assert_eq!(config.controllers[0].stale_after.as_secs(), 30);
    assert!(config.mqtt.is_none());
}

#[test]
fn the_example_is_right_and_has_the_whole_greenhouse() {
    assert_eq!(said(EXAMPLE), "");
    let config = read(EXAMPLE).unwrap();
    assert_eq!((config.sensors.len(), config.outputs.len(), config.controllers.len()), (2, 2, 1));
    assert!(config.mqtt.is_some() && config.simulation.is_some());
}

/// The examples of all drivers: its name, and a file with nothing but the example.
fn examples() -> Vec<(&'static str, String)> {
    let broker = |name| if name == "mqtt" { "[mqtt]\nbroker = \"embedded\"\n" } else { "" };
    let sensors = sensors::DRIVERS.iter().map(|entry| (entry.name, entry.example));
    let outputs = outputs::DRIVERS.iter().map(|entry| (entry.name, entry.example));
    sensors.chain(outputs).map(|(name, example)| (name, format!("{NODE}{example}\n{}", broker(name)))).collect()
}

#[test]
fn the_example_of_every_driver_works() {
    for (name, text) in examples() {
        assert_eq!(said(&text), "", "{name}");
        let config = read(&text).unwrap();
        let drivers: Vec<&str> =
            config.sensors.iter().map(|one| one.driver).chain(config.outputs.iter().map(|one| one.driver)).collect();
        assert_eq!(drivers, [name]);
    }
}

/// A driver that gives up at its first bad key would make the keys after it look unknown.
#[test]
fn a_driver_reads_all_its_keys_however_wrong_one_of_them_is() {
    for (name, text) in examples() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate().skip(NODE.lines().count()) {
            let Some((key, _)) = line.split_once('=').filter(|(key, _)| key.trim() != "driver") else { continue };
            for wrong in ["[]", "-1", "255", "1e300", "\"nonsense\"", "{ zzz = 1 }", "2020-01-01"] {
                let replaced = format!("{key}= {wrong}");
                let mut changed = lines.clone();
                changed[at] = &replaced;
                let unknown: Vec<String> = messages(&changed.join("\n"))
                    .into_iter()
                    .filter(|message| message.starts_with("unknown key") && !message.contains("zzz"))
                    .collect();
                assert_eq!(unknown, [""; 0], "{name} with {replaced}");
            }
            let mut without = lines.clone();
            without.remove(at);
            let unknown = messages(&without.join("\n")).into_iter().find(|message| message.starts_with("unknown key"));
            assert_eq!(unknown, None, "{name} without {line}");
        }
    }
}

#[test]
fn editors_get_one_object_a_line() {
    let mistakes = read(&format!("{NODE}[store]\nflush = 5 # é\n\"é\" = 1\n")).unwrap_err();
    let lines: Vec<serde_json::Value> =
        mistakes.json().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        lines[0],
        serde_json::json!({
            "severity": "error",
            "message": "`flush` of [store] is not a duration",
            "hint": mistakes.diagnostics[0].hint,
            "file": "config.toml",
            "line": 5,
            "column": 9,
            "end": { "line": 5, "column": 10 },
        })
    );
    assert_eq!((&lines[1]["line"], &lines[1]["end"]["column"]), (&6.into(), &4.into()));
}
