//! Many schedules of mixed faults, each two hours of the whole daemon in virtual time, and what must hold in all of them.
//!
//! ```text
//! cargo test --test schedules                                      200 of them
//! HOMEOSTAT_SCHEDULES=2000 cargo test --test schedules             any number
//! HOMEOSTAT_SCHEDULES=201..2000 cargo test --test schedules        those after the usual ones
//! HOMEOSTAT_SEED=17 cargo test --test schedules -- --nocapture     one again, bit for bit, and all that happens in it
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

mod common;
#[path = "schedules/mod.rs"]
mod schedules;

use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use schedules::invariants::{INVARIANTS, audit};
use schedules::measure::measure;
use schedules::runner::run;
use schedules::schedule::draw;
use schedules::shrink::{Failure, shrink};

const USUAL: u64 = 200;

#[test]
fn whatever_fails_and_whenever_outputs_are_safe_and_readings_are_kept() {
    if let Some(seed) = number("HOMEOSTAT_SEED") {
        println!("schedule {seed}:\n{}", draw(seed));
        return play([seed].into());
    }
    play(asked().collect());
}

#[test]
fn the_same_seed_gives_the_same_two_hours_bit_for_bit() {
    for seed in [3, 4] {
        let schedule = draw(seed);
        let (one, again) = (run(&schedule), run(&schedule));
        assert_eq!(one.levels, again.levels);
        assert_eq!(one.hash(), again.hash(), "seed {seed}");
    }
    assert_ne!(run(&draw(3)).hash(), run(&draw(4)).hash());
}

/// Plays them on every core, and tells of the first that fails.
fn play(seeds: Vec<u64>) {
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let failure: Mutex<Option<Failure>> = Mutex::new(None);
    let measured = Mutex::new(Vec::new());
    let worker = || {
        while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            if failed.load(Ordering::Relaxed) {
                return;
            }
            let schedule = draw(seed);
            let trace = run(&schedule);
            measured.lock().unwrap().extend(measure(&trace));
            let broken = audit(&trace);
            drop(trace);
            if let Some((invariant, violation)) = broken {
                failed.store(true, Ordering::Relaxed);
                failure.lock().unwrap().get_or_insert(Failure { schedule, invariant, violation });
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(worker);
        }
    });
    match failure.into_inner().unwrap() {
        Some(failure) => tell(failure),
        None => common::faults::record_all(measured.into_inner().unwrap()),
    }
}

fn tell(failure: Failure) {
    assert!(INVARIANTS.iter().any(|invariant| invariant.name == failure.invariant));
    let seed = failure.schedule.seed;
    println!("schedule {seed} breaks an invariant: {}", failure.invariant);
    let small =
        if std::env::var_os("HOMEOSTAT_SHRINK").is_some_and(|how| how == "no") { failure } else { shrink(failure) };
    let Failure { schedule, invariant, violation } = small;
    panic!(
        "broken: {invariant}\n  at {:.3} s: {}\nin what is left of schedule {seed}:\n{schedule}\nreplay the whole of it with\n  \
         HOMEOSTAT_SEED={seed} cargo test --test schedules -- --nocapture",
        violation.at.as_secs_f64(),
        violation.what
    );
}

/// The seeds to play: so many from the first on, or from one to another.
fn asked() -> RangeInclusive<u64> {
    let Ok(text) = std::env::var("HOMEOSTAT_SCHEDULES") else { return 1..=USUAL };
    let (first, last) = text.split_once("..").unwrap_or(("1", &text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => first..=last,
        _ => panic!("HOMEOSTAT_SCHEDULES={text} is neither a number nor two, such as 201..2000"),
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}
