//! The real binary: its exit codes, its signals, and what it tells systemd.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

#[path = "common/houses.rs"]
mod houses;
#[path = "common/process.rs"]
mod process;

use houses::CLOSET;
use process::{House, RUN};

#[test]
fn a_signal_stops_it_in_order_and_stores_what_was_read() {
    for signal in ["-TERM", "-INT"] {
        let house = House::new(CLOSET);
        let daemon = house.run(RUN);
        daemon.hears("STATUS=closet: 1 sensor, 1 output, 1 controller");
        daemon.signal(signal);
        daemon.hears("STOPPING=1");
        let (code, log) = daemon.ends();
        assert_eq!(code, Some(0), "{log}");
        // With a flush of an hour they can only have been written by the stop.
        assert!(house.database().stored() > 0);
        assert!(log.contains("every output is safe"), "{log}");
    }
}

#[test]
fn a_hangup_takes_over_a_changed_file_and_changes_nothing_for_a_wrong_one() {
    let house = House::new(CLOSET);
    let mut daemon = house.run(RUN);
    let cases = [
        (CLOSET.replace("kp = 0.1", "kp = 0.2"), "reloaded: controllers.cooling adjusted; 4 went on as they were"),
        (CLOSET.replace("kp = 0.1", "kq = 0.2"), "not reloaded, all goes on as before: error: unknown key `kq`"),
        (
            CLOSET.replace("flush = \"1h\"", "path = \"other.db\""),
            "not reloaded, all goes on as before: [store] path cannot be changed while",
        ),
        (CLOSET.to_owned(), "reloaded: controllers.cooling adjusted"),
    ];
    for (number, (text, expected)) in cases.iter().enumerate() {
        house.write("config.toml", text);
        daemon.signal("-HUP");
        // systemd hears the end of each.
        daemon.hears("RELOADING=1");
        daemon.hears("READY=1");
        daemon.says("reloaded", number + 1);
        let log = daemon.log();
        let line = log.lines().rfind(|line| line.contains("reloaded")).unwrap();
        assert!(line.contains(expected), "{line}");
    }
    assert!(daemon.lives());
}

#[test]
fn its_first_connection_to_its_own_broker_is_no_return_after_a_wait() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let house = House::new(&format!("{CLOSET}\n[mqtt]\nbroker = \"embedded:{port}\""));
    let daemon = house.run(RUN);
    daemon.says("connected to the broker", 1);
    let log = daemon.log();
    assert!(!log.contains("had become old") && !log.contains("tried again"), "{log}");
}

#[test]
fn the_watchdog_is_fed_while_it_runs() {
    House::new(CLOSET).run(RUN).hears("WATCHDOG=1");
}

#[test]
fn a_start_that_fails_says_why_and_exits_with_three() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let cases = [
        (CLOSET.replace("simulated", "raspberry-pi"), "no Raspberry Pi found"),
        (format!("{CLOSET}\n[mqtt]\nbroker = \"embedded:{port}\""), "is already taken"),
        (CLOSET.replace("flush = \"1h\"", "path = \"/nowhere/homeostat.db\""), "/nowhere"),
    ];
    for (config, reason) in cases {
        let (code, message) = House::new(&config).refused(RUN);
        assert_eq!(code, Some(3), "{message}");
        assert!(message.starts_with("error: ") && message.contains(reason), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn a_wrong_configuration_exits_with_one_and_a_wrong_command_line_with_two() {
    let house = House::new(CLOSET);
    house.write("wrong.toml", &CLOSET.replace("pin = 17", "pim = 17"));
    assert_eq!(house.ask(&["check", "config.toml"]), (0, String::new(), String::new()));
    for (arguments, code) in [
        (&["check", "wrong.toml"][..], 1),
        (&["run", "wrong.toml"], 1),
        (&["run", "missing.toml"], 1),
        (&["frobnicate"], 2),
    ] {
        assert_eq!(house.ask(arguments).0, code, "{arguments:?}");
    }
    assert_eq!(house.ask(&["--version"]).1, format!("homeostat {}\n", env!("CARGO_PKG_VERSION")));
}
