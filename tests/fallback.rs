//! `homeostat run --fallback`: a file that does not start gives way to the configuration that last ran well. With real processes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a scenario that cannot play has failed")]

#[path = "common/process.rs"]
mod process;

use process::{House, RUN};

const CLOSET: &str = r#"
[node]
name = "closet"
hardware = "simulated"

[outputs.fan]
driver = "gpio"
pin = 17
"#;

const FALLBACK: &[&str] = &["run", "--fallback", "config.toml"];

/// A house that ran well on [`CLOSET`], which takes a minute, and was stopped in order.
fn proven() -> House {
    let house = House::new(CLOSET);
    house.write("config.good.toml", CLOSET);
    assert_eq!(house.run(FALLBACK).stop().0, Some(0));
    house
}

fn fails(house: &House, arguments: &[&str], code: i32) {
    let (ended, log) = house.refused(arguments);
    assert_eq!(ended, Some(code), "{log}");
}

#[test]
fn after_three_failed_starts_the_last_good_configuration_runs_until_the_file_is_mended() {
    let house = proven();
    let wrong = CLOSET.replace("pin = 17", "pim = 17");
    house.write("config.toml", &wrong);
    for _ in 0..3 {
        fails(&house, FALLBACK, 1);
    }
    let daemon = house.run(FALLBACK);
    assert_eq!(house.read("config.running.toml"), CLOSET);
    // A crash of the copy is not the file's: it stays left aside.
    daemon.kill();
    let (code, log) = house.run(FALLBACK).stop();
    assert_eq!(code, Some(0));
    for part in ["config.toml did not start 3 times", "line 8: unknown key `pim`", "homeostat check config.toml"] {
        assert!(log.contains(part), "{part} is not in {log}");
    }

    // Whoever stopped it in order wants the file to be tried again.
    fails(&house, FALLBACK, 1);
    let mended = CLOSET.replace("17", "27");
    house.write("config.toml", &mended);
    let (code, log) = house.run(FALLBACK).stop();
    assert!(code == Some(0) && !log.contains("did not start"), "{log}");
    // It did not live long enough to be good.
    assert_eq!((house.read("config.running.toml"), house.read("config.good.toml")), (String::new(), CLOSET.to_owned()));
    house.write("config.toml", &wrong);
    fails(&house, FALLBACK, 1);
}

#[test]
fn a_start_that_crashes_or_cannot_begin_counts_as_one_that_is_wrong() {
    let house = proven();
    let other = CLOSET.replace("17", "27");
    house.write("config.toml", &other);
    for running in [&other, &other, &other, CLOSET] {
        let daemon = house.run(FALLBACK);
        assert_eq!(house.read("config.running.toml"), running);
        if running == CLOSET {
            daemon.says("did not start 3 times (it ended within a minute", 1);
        }
        daemon.kill();
    }

    // Other bytes are another file.
    house.write("config.toml", &format!("{CLOSET}[store]\npath = \"/nowhere/homeostat.db\"\n"));
    for _ in 0..3 {
        fails(&house, FALLBACK, 3);
    }
    let (_, log) = house.run(FALLBACK).stop();
    assert!(log.contains("did not start 3 times (") && log.contains("/nowhere"), "{log}");
}

#[test]
fn without_a_good_copy_or_without_the_flag_a_wrong_file_just_fails() {
    for (house, arguments) in [(House::new(CLOSET), FALLBACK), (proven(), RUN)] {
        house.write("config.toml", "[node]\n");
        for _ in 0..5 {
            fails(&house, arguments, 1);
        }
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_no_reason_not_to_run() {
    let house = House::new(CLOSET);
    for name in [".config.running.toml.new", ".config.starts.json.new"] {
        std::fs::create_dir(house.path(name)).unwrap();
    }
    std::os::unix::fs::symlink("/nowhere/at/all", house.path("homeostat.lock")).unwrap();
    let (code, log) = house.run(FALLBACK).stop();
    assert_eq!(code, Some(0), "{log}");
    for warned in ["config.running.toml cannot be written", "cannot count the starts", "cannot lock"] {
        assert!(log.contains(warned), "{warned} is not in {log}");
    }
}
