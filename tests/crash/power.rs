//! The power is cut at random moments. What was synced is there, and little else is missing.

use std::fs;
use std::time::Duration;

use super::load::alone;
use super::process::{House, RUN, live_for, now};
use super::{assert_made_safe_by_the_start, saw};

/// How often the card loses its power.
const CUTS: u32 = 15;

/// How much of the readings may be missing, in milliseconds: `flush`, and what the disk may take to write.
const MISSING: i64 = FLUSH + 1000;
const FLUSH: i64 = 1000;

/// In the file that limits are kept in: the machine was booted in between, and nobody knows how long that took.
fn booted(house: &House) {
    let text = house.read("outputs.json");
    if !text.is_empty() {
        let mut ledger: serde_json::Value = serde_json::from_str(&text).expect("what limits remember can be read");
        ledger["boot"] = "another".into();
        house.write("outputs.json", &ledger.to_string());
    }
}

/// The highest number that the daemon has told anybody.
fn told(house: &House) -> i64 {
    let (code, status, error) = house.ask(&["status", "--json"]);
    assert_eq!(code, 0, "{error}");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let sensors = status["sensors"].as_object().unwrap().values();
    let channels = sensors.flat_map(|sensor| sensor["channels"].as_object().unwrap().values());
    channels.map(|channel| channel["seq"].as_i64().unwrap()).max().unwrap_or(0)
}

#[test]
#[ignore = "needs loop devices, as root"]
fn when_the_power_is_cut_no_more_than_a_flush_is_missing_no_number_is_given_twice_and_limits_hold() {
    let text = alone().replace("flush = \"500ms\"", &format!("flush = \"{FLUSH}ms\""));
    let text = text.replace("\"20s\" = \"per hour\"", "\"4s\" = \"per hour\"");
    let house = House::on_card(&text);
    let mut rng = fastrand::Rng::with_seed(8);
    let (mut stored, mut numbers) = (0, Vec::new());
    for cut in 0..CUTS {
        // Every third time before it has said that it runs.
        let starts = cut % 3 == 2;
        let began = now();
        let daemon = if starts { house.begin(RUN) } else { house.run(RUN) };
        live_for(Duration::from_millis(if starts { rng.u64(0..60) } else { rng.u64(500..5000) }));
        let told = if starts { 0 } else { told(&house) };
        // A new name each time: ext4 writes at once what replaces a file.
        let unsynced = format!("unsynced.{cut}");
        house.write(&unsynced, "this is lost");
        let (at, killed) = house.cut_power(daemon);
        assert_eq!(house.read(&unsynced), "", "the power was not cut");

        let database = house.database();
        let now = database.whole();
        assert!(now >= stored, "cut {cut}: {stored} readings were stored, and {now} are");
        stored = now;
        let missing = at - database.last_time().unwrap_or(began).max(began);
        let how = format!("readings that are missing, with a `flush` of {} s", FLUSH / 1000);
        saw("power cut", &how, missing, MISSING);
        numbers.push((at, told));
        booted(&house);

        let next = house.run(RUN);
        assert_made_safe_by_the_start(&house, killed);
        assert!(!next.log().contains("damaged"), "cut {cut}: {}", next.log());
        let (code, log) = next.stop();
        assert_eq!(code, Some(0), "{log}");
        stored = stored.max(house.database().whole());
    }
    let database = house.database();
    for (at, told) in numbers {
        let first = database.first_seq_since(at).expect("each start reads");
        assert!(first > told, "number {told} was told before the power was cut, and {first} is given after it");
    }
    assert!(stored > 1000, "{stored} readings: this proves little");
    let spent = house.time_on(27);
    assert!(spent <= 4000, "the pump may run for 4 s an hour, and ran for {spent} ms");
    assert!(spent > 1000, "the pump ran for {spent} ms only: this proves little");
}

#[test]
fn files_as_they_were_at_any_moment_are_whole_and_budgets_are_kept() {
    let text = alone().replace("\"20s\" = \"per hour\"", "\"2s\" = \"per hour\"").replace("500ms", "100ms");
    let mut rng = fastrand::Rng::with_seed(6);
    let mut house = House::new(&text);
    let mut stored = 0;
    for cut in 0..8 {
        let daemon = house.run(RUN);
        live_for(Duration::from_millis(300 + rng.u64(0..500)));
        // As a card would look that has written what it was given so far; whatever the daemon does later is not on it.
        let after = daemon.frozen(|| {
            let after = House::new(&text);
            for entry in fs::read_dir(house.path("")).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_file() {
                    fs::copy(entry.path(), after.path("").join(entry.file_name())).unwrap();
                }
            }
            fs::copy(house.path("../pins.log"), after.path("../pins.log")).unwrap();
            after
        });
        daemon.kill();
        let now = after.database().whole();
        assert!(now >= stored, "cut {cut}: {stored} readings were stored, and {now} are");
        stored = now;
        booted(&after);
        house = after;
    }
    assert!(stored > 50, "{stored} readings");
    let spent = house.time_on(27);
    assert!(spent <= 2000, "the pump may run for 2 s an hour, and ran for {spent} ms");
    assert!(spent > 500, "the pump ran for {spent} ms only: this proves little");
}
