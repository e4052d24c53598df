//! The tools at the bench, with and without a daemon: the real program, on simulated hardware.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

#[path = "common/process.rs"]
mod process;

use process::{House, RUN};

/// A probe, a fan that takes every level, and a relay that may be on for ten minutes a day and not without the fan.
const HOUSE: &str = r#"
[node]
name = "bench"
hardware = "simulated"

[sensors.air]
driver = "bme280"
every = "100ms"
temperature = { offset = 2.0 }

[outputs.fan]
driver = "pwm"
channel = 0

[outputs.relay]
driver = "gpio"
pin = 17
only_while = ["fan"]
remote = false

[outputs.food]
driver = "pump"
pin = 5
ml_per_second = 2.0

[outputs.acid]
driver = "pump"
pin = 6
ml_per_second = 2.0
only_while = ["fan"]

[simulation]
pins = "../pins.log"
"#;

fn heard(house: &House, arguments: &[&str]) -> String {
    let (code, out, error) = house.ask(arguments);
    assert_eq!((code, error.as_str()), (0, ""), "{arguments:?}: {out}");
    out
}

fn refused(house: &House, arguments: &[&str]) -> (i32, String) {
    let (code, _, error) = house.ask(arguments);
    (code, error)
}

/// What was said, and what of it is of the dose. On a busy machine the pump begins late, and then it was less.
fn dosed(house: &House) -> (String, String) {
    let (code, out, error) = house.ask(&["set", "food", "0.6ml"]);
    let all = format!("{out}{error}");
    let told = all.lines().find(|line| line.contains("food: ") && line.contains("given")).unwrap_or_default();
    assert_eq!(code, if told.contains("cut short, 0.") { 4 } else { 0 }, "{all}");
    (out, told.to_owned())
}

/// With a daemon and without one: the same words, the same code.
fn mistakes_are_told(house: &House) {
    let cases: [(&[&str], i32, &str, &str); 9] = [
        (&["set", "rellay", "on"], 1, "there is no output `rellay`", "did you mean `relay`?"),
        (&["set", "rellay", "5ml", "--for", "1s"], 1, "there is no output `rellay`", "did you mean `relay`?"),
        (&["set", "relay", "on"], 2, "for how long", "add --for 5s"),
        (&["set", "food", "1ml", "--for", "1s"], 2, "--for is for a level", "leave it out"),
        (&["set", "fan", "130%", "--for", "1s"], 2, "a level is from 0% to 100%, or from 0 to 1", ""),
        (&["set", "relay", "40%", "--for", "1s"], 1, "error: relay is on or off", "its table tell what it can"),
        (&["set", "fan", "5ml"], 1, "error: fan gives no doses", "its table tell what it can"),
        (&["calibrate", "aif", "mid"], 1, "there is no sensor `aif`", "did you mean `air`?"),
        (
            &["calibrate", "air", "mid", "7"],
            1,
            "error: sensor air: its chip keeps no calibration of its own\n",
            "  next   use `offset`, `scale` or `points` of its channel\n",
        ),
    ];
    for (arguments, expected, what, next) in cases {
        let (code, error) = refused(house, arguments);
        assert!(code == expected && error.contains(what) && error.contains(next), "{arguments:?}: {code} {error}");
    }
}

/// The first word of each line.
fn names(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn without_a_daemon_the_tools_reach_for_the_hardware_and_leave_it_safe() {
    let house = House::new(HOUSE);
    let text = heard(&house, &["read", "air"]);
    assert!(text.contains(" °C  (the device says "), "{text}");
    assert_eq!(names(&text), ["humidity", "pressure", "temperature"]);
    assert_eq!(heard(&house, &["watch", "air", "-n", "2", "--every", "10ms"]).lines().count(), 6);

    let text = heard(&house, &["set", "fan", "40%", "--for", "300ms"]);
    assert!(
        text.contains("fan: 40 % (hand asks for 40 %)") && text.ends_with("fan and every other output are safe\n"),
        "{text}"
    );
    let pins = house.read("../pins.log");
    let fan: Vec<&str> = pins.lines().filter_map(|line| line.split_once(" pwm 0 ")).map(|(_, level)| level).collect();
    assert_eq!(fan, ["0%", "40%", "0%"]);

    let text = heard(&house, &["set", "relay", "on", "--for", "300ms"]);
    assert!(text.contains("relay: off (may only be on while fan is on"), "{text}");
    assert!(!house.read("../pins.log").contains("pin 17 on"));

    let (text, told) = dosed(&house);
    assert!(
        told.contains(" ml were given") && text.ends_with("food and every other output are safe\n"),
        "{text}{told}"
    );
    let (code, error) = refused(&house, &["set", "acid", "1 ml"]);
    assert!(code == 4 && error.contains("acid: cut short, 0 of 1 ml were given: may only be on while fan"), "{error}");

    mistakes_are_told(&house);
    assert!(heard(&house, &["pins"]).contains("relay         GPIO 17 11 •"));
}

#[test]
fn with_a_daemon_they_go_through_it() {
    let house = House::new(HOUSE);
    let daemon = house.run(RUN);
    process::until("air was read", || house.ask(&["read", "air"]).0 == 0);
    assert_eq!(names(&heard(&house, &["read", "air"])), ["humidity", "pressure", "temperature"]);
    let text = heard(&house, &["watch", "air", "-n", "1"]);
    assert!(text.lines().count() == 3 && text.contains(" hPa"), "{text}");

    let text = heard(&house, &["set", "fan", "40%", "--for", "1m"]);
    assert!(text.starts_with("fan is at 40 % since") && text.contains("demand      hand asks for 40 %"), "{text}");
    // Closed to commands from elsewhere, but not to who stands beside it.
    let text = heard(&house, &["set", "relay", "on", "--for", "1m"]);
    assert!(text.starts_with("relay is on since"), "{text}");
    assert!(heard(&house, &["pins"]).contains("relay (on)         GPIO 17 11 •"));
    let text = heard(&house, &["set", "fan", "auto"]);
    assert!(text.starts_with("fan is off since"), "{text}");
    assert!(heard(&house, &["why", "relay"]).starts_with("relay is off since"), "its interlock holds");

    let (text, told) = dosed(&house);
    assert!(text.starts_with("food is on since") && told.contains(" ml were given"), "{text}{told}");
    let (code, error) = refused(&house, &["set", "acid", "1 ml"]);
    assert!(code == 4 && error.contains("acid: cut short, 0 of 1 ml were given: may only be on while fan"), "{error}");

    mistakes_are_told(&house);
    let (code, error) = refused(&house, &["read", "air", "--config", "config.toml"]);
    assert!(code == 3 && error.contains("leave out --config"), "{code} {error}");
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn a_device_that_cannot_be_calibrated_now_has_failed() {
    let house =
        House::new("[node]\nname = \"bench\"\nhardware = \"linux\"\n[sensors.room]\ndriver = \"bme280\"\nbus = 250\n");
    let (code, error) = refused(&house, &["calibrate", "room", "zero"]);
    let next = "\n  next   `homeostat drivers DRIVER` tells the steps of its driver\n";
    assert!(code == 4 && error.starts_with("error: sensor room: ") && error.ends_with(next), "{code} {error}");
}
