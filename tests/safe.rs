//! `homeostat safe`: whatever became of the daemon, its outputs are safe afterwards. With real processes that are really killed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scenario that cannot play has failed")]

#[path = "common/process.rs"]
mod process;

use process::{House, RUN, said, until};

/// A cold room: the heater is on and the fan, which rests at 30 %, is off.
const ROOM: &str = r#"
[node]
name = "room"
hardware = "simulated"

[sensors.air]
driver = "ds18b20"
id = "28-0316a2795cff"
every = "100ms"

[outputs.heater]
driver = "gpio"
pin = 17
cycle = "20s"

[outputs.fan]
driver = "pwm"
channel = 0
safe = "30%"

[controllers.warmth]
kind = "pid"
input = "air.temperature"
raise = "heater"
lower = "fan"
setpoint = 90.0
kp = 1.0

[simulation]
pins = "../pins.log"
"#;

const DRIVEN: [(&str, &str); 2] = [("pin 17", "on"), ("pwm 0", "0%")];
const SAFE: [(&str, &str); 2] = [("pin 17", "off"), ("pwm 0", "30%")];

fn assert_pins(house: &House, expected: &[(&str, &str)]) {
    let expected = expected.iter().map(|(pin, level)| (pin.to_string(), level.to_string())).collect();
    assert_eq!(house.pins(), expected);
}

/// A house whose daemon was killed while it drove its outputs.
fn killed() -> House {
    let house = House::new(ROOM);
    let daemon = house.run(RUN);
    driving(&house);
    daemon.kill();
    assert_pins(&house, &DRIVEN);
    house
}

fn driving(house: &House) {
    until("the daemon drives its outputs", || {
        DRIVEN.iter().all(|(pin, level)| house.pins().get(*pin).is_some_and(|now| now == level))
    });
}

/// Runs `safe` and gives what it said on both streams.
fn safe(house: &House, code: i32) -> (String, String) {
    let (ended, out, err) = house.ask(&["safe", "config.toml"]);
    assert_eq!(ended, code, "{out}{err}");
    (out, err)
}

const SAID: &str = "heater: off (GPIO pin 17), confirmed\nfan: 30 % (PWM channel 0), accepted\n";

#[test]
fn a_killed_daemon_leaves_its_pins_as_they_were_and_safe_makes_them_safe_however_often() {
    let house = killed();
    for _ in 0..2 {
        assert_eq!(safe(&house, 0), (SAID.to_owned(), String::new()));
        assert_pins(&house, &SAFE);
    }
}

#[test]
fn the_pins_that_were_driven_are_made_safe_though_the_file_names_others_by_now() {
    let house = killed();
    house.write("config.toml", &ROOM.replace("pin = 17", "pin = 27"));
    assert_eq!(safe(&house, 0).0, SAID, "and those are left alone, for nobody has driven them");
    assert_pins(&house, &SAFE);
}

#[test]
fn a_broken_file_or_a_broken_copy_is_made_up_for_by_the_other() {
    let half = &ROOM[..ROOM.len() / 2];
    for (name, content) in [
        ("config.toml", half),
        ("config.toml", "\0\u{1}"),
        ("config.running.toml", half),
        ("config.running.toml", ""),
        (".config.running.toml.new", half),
    ] {
        let house = killed();
        house.write(name, content);
        let (said, complaint) = safe(&house, 0);
        assert_eq!(said, SAID, "{name}");
        assert_pins(&house, &SAFE);
        assert_eq!(complaint, "", "{name}");
    }
    let house = killed();
    house.write("config.good.toml", ROOM);
    std::fs::remove_file(house.path("config.toml")).unwrap();
    house.write("config.running.toml", half);
    assert_eq!(safe(&house, 0).0, SAID);

    // Everything is safe now, so nothing is known to be on, and what ran well once proves nothing.
    let (said, complaint) = safe(&house, 1);
    assert!(said.is_empty() && complaint.starts_with("error: cannot read config.toml"), "{said}{complaint}");
}

#[test]
fn it_works_where_nothing_ran_before_and_writes_nothing_there() {
    let house = House::new(ROOM);
    assert_eq!(safe(&house, 0).0, SAID);
    assert_pins(&house, &SAFE);
    let mut left: Vec<_> = std::fs::read_dir(house.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["config.toml"]);

    let pins = house.path("../pins.log");
    house.write("config.toml", &ROOM.replace("../pins.log", pins.to_str().unwrap()));
    let said = said(house.command(&["safe", "config.toml"]).env("STATE_DIRECTORY", "/nowhere/at/all"));
    assert_eq!(said, (0, SAID.to_owned(), String::new()));
}

#[test]
fn it_works_after_a_kill_at_any_moment_of_the_start() {
    for reached in ["", "homeostat.lock", "config.running.toml", "../pins.log", "homeostat.db"] {
        let house = House::new(ROOM);
        let daemon = house.begin(RUN);
        until(reached, || house.path(reached).exists());
        daemon.kill();
        assert_eq!(safe(&house, 0).0, SAID, "killed at {reached}");
        assert_pins(&house, &SAFE);
    }
}

#[test]
fn a_daemon_that_lives_keeps_its_pins_and_its_state_directory() {
    let house = House::new(ROOM);
    let daemon = house.run(RUN);
    driving(&house);
    let (said, complaint) = safe(&house, 3);
    assert!(said.is_empty() && complaint.ends_with("or by `systemctl stop homeostat`\n"), "{said}{complaint}");

    assert_eq!(house.refused(RUN), (Some(3), complaint));
    assert_pins(&house, &DRIVEN);

    assert_eq!(daemon.stop().0, Some(0));
    assert_pins(&house, &SAFE);
    assert_eq!(safe(&house, 0).0, SAID, "after an orderly stop it does no harm");
}

#[test]
fn an_output_that_cannot_be_made_safe_is_named_and_the_others_are_done() {
    let house = killed();
    // On any other machine than a Raspberry Pi this one cannot be driven.
    if std::fs::read_to_string("/proc/device-tree/model").is_ok_and(|model| model.contains("Raspberry")) {
        return;
    }
    house.write("config.next.toml", &ROOM.replace("\"simulated\"", "\"raspberry-pi\"").replace("heater", "lamp"));
    let (said, complaint) = safe(&house, 4);
    assert_eq!(said, SAID);
    assert!(complaint.starts_with("error: lamp, fan cannot be made safe: no Raspberry Pi found"), "{complaint}");
    assert_pins(&house, &SAFE);
}
