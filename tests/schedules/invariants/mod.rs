//! What must hold in every schedule, judged by an auditor that knows the configuration, what it did, and what can be seen from
//! outside: the levels of the pins, what was told on the bus, what is on disk.
//!
//! To add one: a function that looks through a [`Trace`] and gives the first [`Violation`], and a line in [`INVARIANTS`].

mod demands;
mod leases;
mod limits;
mod readings;
mod restarts;
mod sensors;

use std::time::Duration;

pub use self::leases::{allowed, wanted};
pub use self::sensors::{RETURN, windows};
use super::spans::Moment;
use super::trace::{End, Trace};

/// An invariant, by a name that says it.
pub struct Invariant {
    pub name: &'static str,
    pub check: fn(&Trace<'_>) -> Result<(), Violation>,
}

/// Where an invariant did not hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    pub at: Moment,
    pub what: String,
}

pub const INVARIANTS: &[Invariant] = &[
    Invariant { name: "the daemon starts, and stops in good order", check: starts_and_stops },
    Invariant { name: "an output is above safe only under a live lease", check: leases::live },
    Invariant { name: "an orderly stop makes every output safe within 1 s", check: leases::stop },
    Invariant { name: "what is told as confirmed is on the pin", check: leases::confirmed },
    Invariant { name: "a wish for safety wins", check: demands::safety },
    Invariant { name: "the highest live demand wins", check: demands::priorities },
    Invariant { name: "no restart of an output's actor moves its pin", check: restarts::pins_stay },
    Invariant { name: "once on, an output stays on for min_on", check: limits::min_on },
    Invariant { name: "once off, an output stays off for min_off", check: limits::min_off },
    Invariant { name: "no output is on for longer than max_on", check: limits::max_on },
    Invariant { name: "no output is on for more than its budget in any window", check: limits::budgets },
    Invariant { name: "no output starts more often than max_starts in any window", check: limits::starts },
    Invariant { name: "outputs of never_with are never on together", check: limits::never_with },
    Invariant { name: "an output with only_while is never on alone", check: limits::only_while },
    Invariant { name: "a reload moves no pin of what did not change", check: restarts::reload },
    Invariant { name: "an untouched sensor misses no tick and none is late", check: sensors::on_time },
    Invariant { name: "a controller acts on every reading of an untouched sensor", check: sensors::acted_on },
    Invariant { name: "a sensor is back within 62 s of its healing", check: sensors::back },
    Invariant { name: "when all is quiet, every controller acts and its outputs follow", check: sensors::quiet },
    Invariant { name: "numbers of readings only ever grow", check: readings::growing },
    Invariant { name: "a reading is stored once, as it was published", check: readings::stored },
    Invariant { name: "no more than the last flush is lost, and only by a crash", check: readings::kept },
    Invariant { name: "the broker ends up with the newest of everything", check: readings::retained },
    Invariant { name: "no event is lost to a full queue", check: readings::queues },
    Invariant { name: "the watchdog is fed", check: fed },
];

/// What does not hold, first by the moment.
pub fn audit(trace: &Trace<'_>) -> Option<(&'static str, Violation)> {
    let broken = INVARIANTS.iter().filter_map(|one| Some((one.name, (one.check)(trace).err()?)));
    broken.min_by_key(|(_, violation)| violation.at)
}

/// Timers have a granularity of a millisecond.
pub const TICK: Duration = Duration::from_millis(2);

/// After an output's hardware was healed or its actor was gone: the bank's grace and the root's round, or the next attempt.
pub const SLACK: Duration = Duration::from_secs(3);

fn violated<T>(at: Moment, what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { at, what: what.into() })
}

fn starts_and_stops(trace: &Trace<'_>) -> Result<(), Violation> {
    use homeostat::supervisor::Stage;
    for life in &trace.lives {
        let pin_was_broken = || {
            super::house::HOUSE.outputs.iter().any(|output| trace.pin_broken(output).touches(life.asked, life.ended))
        };
        match &life.end {
            End::Crashed | End::Stopped(Stage::Stopped) => {}
            // A pin that does not obey cannot be made safe, and that is said.
            End::Stopped(Stage::Failed(why)) if why.ends_with("could not be made safe") || pin_was_broken() => {}
            end => return violated(life.asked, format!("it ended as {end:?}")),
        }
        if life.ended - life.asked > Duration::from_secs(3) {
            return violated(life.asked, format!("it took {:?} to stop", life.ended - life.asked));
        }
    }
    Ok(())
}

/// Every 5 s while all critical actors answer; systemd waits much longer.
fn fed(trace: &Trace<'_>) -> Result<(), Violation> {
    for life in &trace.lives {
        let within = trace.fed.iter().copied().filter(|at| (life.began..life.asked).contains(at));
        let moments: Vec<Moment> = [life.began].into_iter().chain(within).chain([life.asked]).collect();
        if let Some(pair) = moments.windows(2).find(|pair| pair[1] - pair[0] > Duration::from_secs(11)) {
            return violated(pair[0], format!("it was not fed for {:?}", pair[1] - pair[0]));
        }
    }
    Ok(())
}
