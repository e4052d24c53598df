//! Writes docs/faults.md from what the other tests have measured, and holds it to its promises.
//!
//! ```text
//! cargo test && cargo test --test faults -- --ignored
//! ```

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that cannot be read fails the test")]

mod common;

use std::fmt::Write;
use std::fs;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");

const HEAD: &str = "# What goes wrong, and by when all is well again

Written by `cargo test --test faults -- --ignored` from what the tests before it have measured; not by hand. The schedules draw
their faults from a seed and let them overlap, so each time is the worst of many mixtures. Virtual time, unless the command says
otherwise. Which test holds which row of what can go wrong stands below the table.

| fault | how it is made, and what is timed | times | worst seen | promised | by which command |
|---|---|---|---|---|---|
";

/// What can go wrong, and which tests hold it, whether or not they leave a time. One that times something says so with
/// `common::faults::record(fault, how, seconds, promised, command)`.
const HELD: &[(&str, &[&str])] = &[
    ("a sensor's read fails or times out, or its bus hangs", &["schedules", "isolation"]),
    ("a sensor repeats one value, or jumps impossibly", &["readings"]),
    ("a sensor is unplugged and plugged in again", &["schedules", "recovery"]),
    ("a driver, controller or output actor panics", &["schedules", "restarts"]),
    ("an actor hangs in its driver", &["schedules", "isolation"]),
    ("power without effect, or an effect without power", &["watch", "schedules"]),
    ("the broker is gone, slow, or forgets", &["disk", "mqtt", "schedules"]),
    ("the disk is full, read-only or hangs", &["disk", "crash", "schedules"]),
    ("the database is damaged", &["crash"]),
    ("kill -9, a panic, out of memory", &["crash", "schedules"]),
    ("the daemon is wedged but alive", &["watchdog"]),
    ("power is cut", &["crash"]),
    ("civil time jumps", &["schedules"]),
    ("a changed configuration is wrong", &["reload", "schedules"]),
    ("SIGTERM", &["process", "schedules"]),
];

#[test]
fn every_test_that_is_said_to_hold_a_fault_is_there() {
    for test in HELD.iter().flat_map(|(_, tests)| *tests) {
        let file = format!("{}/tests/{test}.rs", env!("CARGO_MANIFEST_DIR"));
        assert!(fs::exists(&file).unwrap(), "{file} is named in the table of faults");
    }
}

#[test]
#[ignore = "writes docs/faults.md from what the other tests have left in target/"]
fn the_table_of_faults_is_written_and_every_promise_is_kept() {
    let all = common::faults::all();
    assert!(!all.is_empty(), "nothing was measured yet: run `cargo test --test schedules` first");
    let mut text = HEAD.to_owned();
    for one in &all {
        let (seen, promised) = (seconds(one.seconds), seconds(one.promised));
        writeln!(text, "| {} | {} | {} | {seen} | {promised} | `{}` |", one.fault, one.how, one.count, one.command)
            .unwrap();
    }
    text.push_str("\n## Held by which tests\n\n| fault | tests |\n|---|---|\n");
    for (fault, tests) in HELD {
        let tests: Vec<String> = tests.iter().map(|test| format!("`tests/{test}.rs`")).collect();
        let tests = if tests.is_empty() { "none yet".to_owned() } else { tests.join(", ") };
        writeln!(text, "| {fault} | {tests} |").unwrap();
    }
    fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
    fs::write(FILE, text).unwrap();
    let broken: Vec<_> = all.iter().filter(|one| one.seconds > one.promised).collect();
    assert!(broken.is_empty(), "promises that were not kept: {broken:#?}");
}

fn seconds(seconds: f64) -> String {
    if seconds < 1e-9 { "0 s".to_owned() } else { format!("{seconds:.3} s") }
}
