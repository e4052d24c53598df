//! The real program dies at random moments, loses its disk or finds what it wrote damaged. Outputs are safe, limits hold,
//! nothing that was stored is lost. Real processes, a real broker, real files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

#[path = "common/broker.rs"]
mod broker;
#[path = "common/faults.rs"]
mod faults;
#[path = "common/houses.rs"]
mod houses;
#[path = "crash/load.rs"]
mod load;
#[path = "crash/power.rs"]
mod power;
#[path = "common/process.rs"]
mod process;

use std::fs;
use std::time::Duration;

use broker::Mosquitto;
use load::{alone, at_broker};
use process::{House, RUN, live_for, now, until};

/// How many times the daemon is killed.
const DEATHS: u64 = 50;

/// What it promises after a crash, with the command that systemd runs: milliseconds.
const SAFE_WITHIN: i64 = 2000;

/// Puts what was seen in the table of faults: milliseconds.
fn saw(fault: &str, how: &str, took: i64, promised: i64) {
    let command = "cargo test --test crash -- --include-ignored";
    let seconds = |millis: i64| millis.max(0) as f64 / 1000.0;
    assert!(faults::record(fault, how, seconds(took), seconds(promised), command), "{fault}: {took} ms");
}

/// The longest time from one of the heater's pulses to the next since the last `skip` of them; there is one a second.
fn longest_pause(house: &House, skip: usize) -> i64 {
    let pulses = house.pulses(17);
    pulses[skip..].windows(2).map(|pair| pair[1].0 - pair[0].0).max().expect("the heater's pulses go on")
}

fn mosquitto() -> Mosquitto {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Mosquitto::start())
}

fn make_safe(house: &House) {
    let (code, out, err) = house.ask(&["safe", "config.toml"]);
    assert_eq!(code, 0, "{out}{err}");
}

/// After a daemon was killed: what `safe` would have done, the next start does first.
fn assert_made_safe_by_the_start(house: &House, killed: i64) {
    let changes = house.changes();
    let (before, after): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.at <= killed);
    for pin in ["pin 17", "pin 22", "pin 27"] {
        let was_on = before.iter().rev().find(|change| change.pin == pin).is_some_and(|last| last.level != "off");
        let first = after.iter().find(|change| change.pin == pin);
        if was_on {
            let first = first.unwrap_or_else(|| panic!("{pin} was on and is not made safe"));
            assert_eq!(first.level, "off", "{pin}");
            let how = "under load, and the next start follows without `safe`: until every pin is off";
            saw("kill -9", how, first.at - killed, SAFE_WITHIN);
        }
    }
}

#[test]
#[ignore = "needs mosquitto"]
fn killed_at_fifty_random_moments_its_outputs_are_safe_its_limits_hold_and_its_readings_stay() {
    let broker = mosquitto();
    let house = House::new(&at_broker(broker.port));
    let mut rng = fastrand::Rng::with_seed(9);
    let (mut stored, mut was_on) = (0, 0);
    let mut daemon = house.run(RUN);
    for death in 0..DEATHS {
        live_for(Duration::from_millis(rng.u64(0..2500)));
        was_on += u64::from(house.off_since().is_none());
        let killed = daemon.kill();
        let database = if death % 3 == 2 {
            daemon = house.run(RUN);
            assert_made_safe_by_the_start(&house, killed);
            daemon.frozen(|| house.database())
        } else {
            make_safe(&house);
            let off = house.off_since().expect("all are off") - killed;
            saw(
                "kill -9",
                "at a random moment under load, then `homeostat safe`: until every pin is off",
                off,
                SAFE_WITHIN,
            );
            let database = house.database();
            daemon = house.run(RUN);
            database
        };
        // What was stored before this life is there still, whole and in order.
        let now = database.whole();
        assert!(now >= stored, "death {death}: {stored} readings were stored, and {now} are");
        stored = now;
    }
    daemon.kill();
    assert!(was_on > DEATHS / 4, "only {was_on} deaths came while an output was on: this proves little");
    assert!(stored > 1000, "{stored} readings");
    let spent = house.time_on(27);
    assert!(spent <= 20_000, "the pump may run for 20 s an hour, and ran for {spent} ms over {DEATHS} deaths");
    assert!(spent > 5_000, "the pump ran for {spent} ms only: its budget was not the limit");
    for pair in house.pulses(22).windows(2) {
        let rest = pair[1].0 - pair[0].1;
        assert!(rest >= 1500, "the compressor rests for 1.5 s, and did for {rest} ms");
    }
}

#[test]
#[ignore = "needs mosquitto"]
fn asked_to_stop_under_load_it_is_safe_and_has_stored_everything_within_two_seconds() {
    let broker = mosquitto();
    let house = House::new(&at_broker(broker.port));
    let mut rng = fastrand::Rng::with_seed(4);
    for _ in 0..5 {
        let daemon = house.run(RUN);
        live_for(Duration::from_millis(500 + rng.u64(0..2000)));
        let before = daemon.frozen(|| house.database().stored());
        let asked = now();
        let (code, log) = daemon.stop();
        let ended = now();
        assert_eq!(code, Some(0), "{log}");
        saw("SIGTERM", "under load: until every pin is off", house.off_since().expect("all are off") - asked, 1000);
        saw("SIGTERM", "under load: until everything is stored and the process gone", ended - asked, SAFE_WITHIN);
        assert!(house.database().whole() > before);
    }
}

#[test]
fn killed_between_two_flushes_it_loses_the_last_moment_only() {
    let house = House::new(&alone().replace("\"500ms\"", "\"1h\""));
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let run = || {
        let mut command = house.command(RUN);
        command.env("RUNTIME_DIRECTORY", memory.path());
        house.run_as(command)
    };
    let mut before = 0;
    for wait in [700, 1500, 300] {
        let daemon = run();
        live_for(Duration::from_millis(wait));
        let killed = daemon.kill();
        make_safe(&house);
        let daemon = run();
        let database = daemon.frozen(|| house.database());
        let (stored, newest) = (database.whole(), database.newest_before(killed));
        assert!(killed - newest < 250, "{} ms before the kill are missing", killed - newest);
        // Seven channels at 20 Hz.
        assert!(stored - before > 7 * 20 * i64::try_from(wait).unwrap() / 2000, "{before}, then {stored}");
        before = stored;
        daemon.kill();
    }
}

#[test]
fn killed_while_it_stops_it_is_made_safe_and_has_lost_nothing_that_was_stored() {
    let house = House::new(&alone());
    let mut rng = fastrand::Rng::with_seed(5);
    let mut stored = 0;
    for wait in [10, 20, 40, 80, 160, 300] {
        let daemon = house.run(RUN);
        live_for(Duration::from_millis(300 + rng.u64(0..300)));
        daemon.signal("-TERM");
        live_for(Duration::from_millis(wait));
        let killed = daemon.kill();
        make_safe(&house);
        let off = house.off_since().expect("all are off") - killed;
        saw("kill -9", "while it stops, then `homeostat safe`: until every pin is off", off, SAFE_WITHIN);
        let now = house.database().whole();
        assert!(now >= stored, "killed {wait} ms after it was asked: {stored} readings were stored, and {now} are");
        stored = now;
    }
    assert!(stored > 0 && !house.pulses(17).is_empty(), "it did nothing: this proves little");
}

/// Puts something else in a file's place.
type Damage = fn(&std::path::Path);

const DAMAGES: [(&str, Damage); 4] = [
    ("empty", |file| fs::write(file, "").unwrap()),
    ("half", |file| {
        let bytes = fs::read(file).unwrap();
        fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("random", |file| {
        let mut rng = fastrand::Rng::with_seed(7);
        fs::write(file, std::iter::repeat_with(|| rng.u8(..)).take(500).collect::<Vec<u8>>()).unwrap();
    }),
    ("a directory", |file| {
        let _ = fs::remove_file(file);
        fs::create_dir(file).unwrap();
        fs::write(file.join("within"), "").unwrap();
    }),
];

#[test]
fn no_damaged_file_of_its_own_keeps_it_from_starting_or_gives_back_a_budget() {
    // They wait more than they work, so all may at once.
    std::thread::scope(|scope| {
        for name in ["outputs.json", "alarms.json", "config.running.toml"] {
            for (kind, damage) in DAMAGES {
                scope.spawn(move || starts_after(damage, name, &format!("{name}, {kind}")));
            }
        }
    });
}

fn starts_after(damage: Damage, name: &str, what: &str) {
    let text =
        alone().replace("\"20s\" = \"per hour\"", "\"1s\" = \"per hour\"").replace("cycle = \"2s\"", "cycle = \"1s\"");
    let house = House::new(&text);
    let daemon = house.run(RUN);
    // Half of the budget is used.
    until(what, || house.time_on(27) > 0 && house.pins()["pin 27"] == "off");
    daemon.kill();
    make_safe(&house);
    let (pulses, spent) = (house.pulses(17).len(), house.time_on(27));
    // There are no alarms as long as all is well, and the copy goes when every output is safe.
    if !house.path(name).exists() {
        house.write(name, if name == "alarms.json" { "{}" } else { &text });
    }
    damage(&house.path(name));

    let daemon = house.run(RUN);
    until(what, || house.pulses(17).len() > pulses + 3);
    let (code, log) = daemon.stop();
    assert!(code == Some(0) && !log.contains("panic"), "{what}: {log}");
    // Nobody knows any more what was used: then all of it was.
    let most = if name == "outputs.json" { spent } else { 1000 };
    let ran = house.time_on(27);
    assert!(ran <= most, "{what}: the pump may run for {most} ms, and ran for {ran} ms: {log}");
    make_safe(&house);
}

#[test]
#[ignore = "needs mount namespaces"]
fn a_full_disk_stops_neither_control_nor_loses_what_fits_later() {
    let house = House::on_tmpfs(&alone());
    let daemon = house.run(RUN);
    live_for(Duration::from_millis(1500));
    house.fill_disk();
    let on_before = house.pulses(17).len();
    live_for(Duration::from_secs(6));
    saw(
        "disk full",
        "from one pulse of an output to the next, which is due after 1 s",
        longest_pause(&house, on_before),
        2000,
    );
    assert!(daemon.log().contains("readings wait in memory"), "{}", daemon.log());
    let stored = || daemon.frozen(|| house.database().whole());
    let full = stored();
    house.make_room();
    daemon.says("no reading was lost", 1);
    let later = stored();
    assert!(later > full + 50, "what had waited is stored: {full}, then {later}: {}", daemon.log());
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
#[ignore = "needs mount namespaces"]
fn what_starts_on_a_read_only_disk_controls_and_stores_when_it_can() {
    let house = House::on_tmpfs(&alone());
    let daemon = house.run(RUN);
    live_for(Duration::from_millis(1500));
    daemon.kill();
    let before = house.database().stored();
    house.set_read_only(true);
    let daemon = house.run(RUN);
    let stored = || daemon.frozen(|| house.database().whole());
    let pulses = house.pulses(17).len();
    live_for(Duration::from_secs(4));
    let how = "at the start: from one pulse of an output to the next, which is due after 1 s";
    saw("disk read-only", how, longest_pause(&house, pulses), 2000);
    assert_eq!(stored(), before);
    house.set_read_only(false);
    live_for(Duration::from_secs(4));
    assert!(stored() > before + 100, "what had waited is stored: {}", daemon.log());
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn a_damaged_database_is_put_aside_and_a_new_one_begun() {
    let house = House::new(&alone());
    let daemon = house.run(RUN);
    live_for(Duration::from_millis(1500));
    daemon.kill();
    let last = house.database().last_seq();
    // Bytes of another kind at its head, and in the log that would make up for them.
    for (name, from) in [("homeostat.db", 16), ("homeostat.db-wal", 0)] {
        let mut bytes = fs::read(house.path(name)).unwrap();
        bytes.iter_mut().skip(from).take(4096).for_each(|byte| *byte = 0xa5);
        fs::write(house.path(name), bytes).unwrap();
    }
    let began = now();
    let daemon = house.run(RUN);
    saw("database damaged", "its head and its log overwritten: until the next start is ready", now() - began, 5000);
    live_for(Duration::from_millis(2500));
    assert!(daemon.log().contains("damaged"), "{}", daemon.log());
    let aside = fs::read_dir(house.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let aside: Vec<String> = aside.filter(|name| name.starts_with("homeostat.db.damaged")).collect();
    assert_eq!(aside.iter().filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm")).count(), 1, "{aside:?}");
    let database = daemon.frozen(|| house.database());
    assert!(database.whole() > 0);
    assert!(database.first_seq() > last, "no number is given twice: {} after {last}", database.first_seq());
}
