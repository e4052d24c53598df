//! What the daemon writes down of its configuration, when it goes, and what `homeostat safe` makes of it. With real processes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scenario that cannot play has failed")]

#[path = "common/process.rs"]
mod process;

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use process::{House, RUN, until};

/// The heater is off while its pin is low.
const OLD: &str = r#"
[node]
name = "room"
hardware = "simulated"

[outputs.heater]
driver = "gpio"
pin = 17

[simulation]
pins = "pins.log"
"#;

/// The same pin after a screwdriver: what is off while it is high.
fn rewired() -> String {
    OLD.replace("pin = 17", "pin = 17\nactive_low = true").replace("heater", "pump")
}

/// As systemd calls it. Gives the exit code and both streams.
fn safe(house: &House, after: &str) -> (Option<i32>, String, String) {
    let (code, said, complaint) = house.ask(&["safe", "--after", after, "config.toml"]);
    (Some(code), said, complaint)
}

/// A file that whoever reads it waits for: a disk that hangs.
fn hangs(house: &House, name: &str) {
    let path = house.path(name);
    let _ = fs::remove_file(&path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Whether somebody waits for that file. The reader goes on waiting for as long as what this gives is kept.
fn read_by_somebody(path: &Path) -> Option<File> {
    const O_NONBLOCK: i32 = 0o4000;
    File::options().write(true).custom_flags(O_NONBLOCK).open(path).ok()
}

const OFF: &str = "heater: off (GPIO pin 17), confirmed\n";

#[test]
fn after_an_orderly_stop_no_copy_drives_what_has_been_rewired_since() {
    let house = House::new(OLD);
    house.write("config.good.toml", OLD);
    let daemon = house.run(RUN);
    assert_eq!(house.read("config.running.toml"), OLD);
    assert_eq!(daemon.stop().0, Some(0));
    assert!(!house.path("config.running.toml").exists());
    let before = house.read("pins.log");

    // What follows the stop itself, though the file has been edited by then.
    house.write("config.toml", &rewired());
    assert_eq!(safe(&house, "success"), (Some(0), String::new(), String::new()));
    // A mistake in the edited file: the start fails, and what ran well once is about other wires.
    house.write("config.toml", &rewired().replace("pin =", "pim ="));
    assert_eq!(house.refused(RUN).0, Some(1));
    let (code, said, complaint) = safe(&house, "exit-code");
    assert!(code == Some(1) && said.is_empty() && complaint.contains("unknown key `pim`"), "{said}{complaint}");
    assert_eq!(house.read("pins.log"), before, "no pin was written");
}

#[test]
fn once_all_is_safe_after_a_crash_the_copy_has_done_its_work() {
    let house = House::new(OLD);
    house.run(RUN).kill();
    house.write("config.toml", &rewired().replace("pin =", "pim ="));
    assert_eq!(safe(&house, "signal"), (Some(0), OFF.to_owned(), String::new()));
    assert!(!house.path("config.running.toml").exists());
    let before = house.read("pins.log");
    assert_eq!(house.refused(RUN).0, Some(1));
    assert_eq!(safe(&house, "exit-code").0, Some(1));
    assert_eq!(house.read("pins.log"), before);
}

#[test]
fn a_killed_process_that_still_holds_its_lock_is_cleaned_up_after_and_a_living_one_is_not() {
    let house = House::new(OLD);
    house.run(RUN).kill();
    // The kernel has not let go of it yet.
    let lock = File::open(house.path("homeostat.lock")).unwrap();
    lock.lock().unwrap();
    for result in ["success", "exit-code", "protocol", "", "what-comes-with-systemd-999"] {
        let (code, said, complaint) = safe(&house, result);
        assert!(code == Some(3) && said.is_empty() && complaint.contains("is running here already"), "{complaint}");
    }
    for result in ["timeout", "watchdog", "signal", "core-dump", "oom-kill"] {
        let (code, said, complaint) = safe(&house, result);
        assert_eq!((code, said.as_str()), (Some(0), OFF), "{result}: {complaint}");
        assert!(complaint.starts_with("warning: ") && complaint.contains("not quite dead"), "{complaint}");
        assert!(house.path("config.running.toml").exists(), "whose lock it is has a say in its papers");
    }
}

#[test]
fn what_can_be_read_of_a_disk_that_hangs_is_used() {
    for hanging in
        [&["config.toml"][..], &["config.running.toml"], &["config.running.toml", "config.toml"], &["homeostat.lock"]]
    {
        let house = House::new(OLD);
        house.write("config.good.toml", OLD);
        house.run(RUN).kill();
        hanging.iter().for_each(|name| hangs(&house, name));
        let (code, said, complaint) = safe(&house, "watchdog");
        assert_eq!((code, said.as_str()), (Some(0), OFF), "{hanging:?}: {complaint}");
    }
}

#[test]
fn a_reload_that_was_killed_half_way_is_cleaned_up_after_by_both_texts() {
    let house = House::new(OLD);
    house.run(RUN).kill();
    let lamp = OLD.replace("heater", "lamp").replace("17", "27");
    house.write("config.next.toml", &lamp);
    house.write("config.left.json", &format!("[{:?}]", OLD.replace("heater", "fan").replace("17", "22")));
    let all = format!("{OFF}lamp: off (GPIO pin 27), confirmed\nfan: off (GPIO pin 22), confirmed\n");
    assert_eq!(safe(&house, "signal"), (Some(0), all, String::new()));
}

#[test]
fn a_reload_leaves_the_copy_of_what_runs_then() {
    let house = House::new(OLD);
    let daemon = house.run(RUN);
    let lamp = OLD.replace("heater", "lamp").replace("17", "27");
    house.write("config.toml", &lamp);
    daemon.signal("-HUP");
    daemon.says("reloaded: ", 1);
    assert_eq!((house.read("config.running.toml"), house.path("config.next.toml").exists()), (lamp.clone(), false));

    // What is refused leaves nothing behind.
    house.write("config.toml", &lamp.replace("[simulation]", "[store]\npath = \"other.db\"\n[simulation]"));
    let output = house.command(&["reload"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!((house.read("config.running.toml"), house.path("config.next.toml").exists()), (lamp, false));
}

#[test]
fn a_request_to_stop_is_heard_during_a_reload() {
    let house = House::new(OLD);
    let daemon = house.run(RUN);
    hangs(&house, "config.toml");
    daemon.signal("-HUP");
    let mut disk = None;
    until("the reload waits for the file", || {
        disk = read_by_somebody(&house.path("config.toml"));
        disk.is_some()
    });
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("every output is safe") && !log.contains("not reloaded"), "{log}");
    drop(disk);
}

#[test]
fn a_copy_that_can_neither_be_replaced_nor_removed_is_an_alarm() {
    let house = House::new(OLD);
    fs::create_dir_all(house.path("config.running.toml/in the way")).unwrap();
    let daemon = house.run(RUN);
    let alarms = || house.ask(&["alarms"]).1;
    assert!(alarms().contains("config.copies"), "{}", alarms());

    fs::remove_dir_all(house.path("config.running.toml")).unwrap();
    assert!(house.command(&["reload"]).output().unwrap().status.success());
    assert!(!alarms().contains("config.copies"), "{}", alarms());
    assert_eq!(daemon.stop().0, Some(0));
}
