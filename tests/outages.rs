//! No reading is lost, whatever stands between the daemon and its broker: the real program, a real Mosquitto, and a network that is cut,
//! silent, slow or one-sided between the two.
//!
//! ```text
//! cargo test --test outages -- --include-ignored                   100 schedules, and all else
//! HOMEOSTAT_SCHEDULES=1000 cargo test --test outages schedules -- --ignored --nocapture
//! HOMEOSTAT_SEED=17 cargo test --test outages schedules -- --ignored --nocapture
//! HOMEOSTAT_BACKLOG=4320000 cargo test --test outages backlog -- --ignored --nocapture     a whole day of fifty a second
//! ```
//!
//! What a broker loses by being killed, a subscriber cannot have. So what counts is what the broker has acknowledged, as the wire
//! shows it; where the broker has lost nothing, a subscriber must have everything too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

#[path = "outages/backlog.rs"]
mod backlog;
#[path = "outages/broker.rs"]
mod broker;
#[path = "outages/consumer.rs"]
mod consumer;
#[path = "outages/house.rs"]
mod house;
#[path = "outages/limits.rs"]
mod limits;
#[path = "outages/listener.rs"]
mod listener;
#[path = "outages/network.rs"]
mod network;
#[path = "common/process.rs"]
mod process;
#[path = "outages/proxy.rs"]
mod proxy;
#[path = "outages/retained.rs"]
mod retained;
#[path = "outages/schedule.rs"]
mod schedule;
#[path = "outages/wire.rs"]
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};

use schedule::{Seen, draw, play};

const SCHEDULES: u64 = 100;
/// They wait more than they work.
const AT_ONCE: usize = 12;

/// Held for writing by what measures, and for reading by all else.
static ALONE: RwLock<()> = RwLock::new(());

#[test]
#[ignore = "needs mosquitto"]
fn over_a_hundred_schedules_of_outages_every_reading_arrives() {
    let _shared = ALONE.read().unwrap();
    let seeds: Vec<u64> = match number("HOMEOSTAT_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("HOMEOSTAT_SCHEDULES").unwrap_or(SCHEDULES)).collect(),
    };
    let (next, all, failed) = (AtomicU64::new(0), Mutex::new(Vec::<Seen>::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let worker = || {
            while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                let schedule = draw(seed);
                // A scenario that cannot play is a failure of this seed.
                let seen = std::panic::catch_unwind(|| play(&schedule));
                let seen = seen.unwrap_or_else(|panic| Err(homeostat::panics::text(&*panic).to_string()));
                println!("seed {}: {schedule}: {seen:?}", schedule.seed);
                match seen {
                    Ok(seen) => all.lock().unwrap().push(seen),
                    Err(error) => failed.lock().unwrap().push(format!("seed {seed} ({schedule}): {error}")),
                }
            }
        };
        (0..AT_ONCE).for_each(|_| drop(scope.spawn(worker)));
    });
    let (all, failed) = (all.into_inner().unwrap(), failed.into_inner().unwrap());
    assert!(
        failed.is_empty(),
        "{} of {} schedules lose something; HOMEOSTAT_SEED=… plays one again:\n{}",
        failed.len(),
        seeds.len(),
        failed.join("\n")
    );
    let sum = |of: fn(&Seen) -> usize| all.iter().map(of).sum::<usize>();
    let (stored, repeats, subscribers) =
        (sum(|seen| seen.stored), sum(|seen| seen.repeats), sum(|seen| usize::from(seen.subscriber)));
    println!(
        "{} schedules: {stored} readings on {} pages, {repeats} came again; a subscriber had all in {subscribers} of them",
        all.len(),
        sum(|seen| seen.pages)
    );
    if seeds.len() as u64 >= SCHEDULES {
        assert!(repeats > 0 && subscribers > 10 && stored > seeds.len() * 200, "this proves little");
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}
