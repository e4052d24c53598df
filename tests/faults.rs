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
otherwise.

| fault | how it is made, and what is timed | times | worst seen | promised | by which command |
|---|---|---|---|---|---|
";

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
    fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
    fs::write(FILE, text).unwrap();
    let broken: Vec<_> = all.iter().filter(|one| one.seconds > one.promised).collect();
    assert!(broken.is_empty(), "promises that were not kept: {broken:#?}");
}

fn seconds(seconds: f64) -> String {
    if seconds < 1e-9 { "0 s".to_owned() } else { format!("{seconds:.3} s") }
}
