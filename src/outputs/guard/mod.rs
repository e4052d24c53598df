//! The guard of an output: it turns what others demand into what the line may be at, and says why.
//!
//! A pure state machine. Time comes in as an argument, no demand counts without a live lease, and limits hold whoever asks.
//! Nothing depends on [`Guard::step`] being called at exact times: a late call decides as if it had just become due.
//!
//! - The live demand of the highest [`Priority`] wins; among equals the owner that joined last (see [`Guard::demand`]).
//! - Without a live demand the output is at its safe level.
//! - `min_off` always holds, for a safe level that is on too.
//! - `min_on` delays the ordinary turning-off by a live demand and nothing else: not the fall to safe after the last
//!   lease, not [`Priority::Safety`], not `max_on` and the budgets, not an interlock, not [`Guard::stop`].
//! - After `max_on` at once the output goes off and rests for `min_off`, whoever asks. The same when a [`Budget`] is used up;
//!   and with [`Starts`] it goes on only so often: see `budget.rs`. Any level above off counts as on.
//! - Time at a safe level that is on while nobody demands anything else neither counts nor ends.
//! - While another output blocks it, it is not on for any demand, and goes off at once.
//! - A switch with a `cycle` turns a level into pulses: see `pulses.rs`. Each pulse is a start.
//! - What budgets and starts must remember over a crash is on disk before it happens: see `ahead.rs`. Whoever holds a guard
//!   writes down each [`Decision::record`], then calls [`Guard::recorded`] and [`Guard::step`].

mod ahead;
mod budget;
mod demands;
mod memory;
mod pulses;
mod tally;
#[cfg(test)]
mod tests;
mod why;

use std::sync::Arc;
use std::time::Duration;

use self::ahead::Ahead;
use self::budget::Usage;
use self::demands::Demands;
use self::pulses::Pulses;
use super::Resolution;
use crate::model::{Because, Demand, Level, Monotonic, Owner, Priority};

pub use self::budget::{Budget, Starts};
pub use self::demands::TooManyDemands;
pub use self::memory::{Memory, Record};
pub use self::why::{Blocked, Why};

/// So often an output that is blocked looks whether it still is.
const POLL: Duration = Duration::from_secs(1);

/// What an output is held to, whoever asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// On and off, or everything between.
    pub resolution: Resolution,
    /// The level without a live demand.
    pub safe: Level,
    /// The period in which a switch turns a level into on-time; `None`: a switch is on from half up.
    pub cycle: Option<Duration>,
    /// Once on, at least so long.
    pub min_on: Duration,
    /// Once off, at least so long.
    pub min_off: Duration,
    /// At most so long at once; then off for at least `min_off`.
    pub max_on: Option<Duration>,
    /// At most so much on-time in each of these windows.
    pub budgets: Vec<Budget>,
    /// At most so many starts in a window.
    pub starts: Option<Starts>,
}

impl Limits {
    /// What the line is opened at: the safe level, and for a switch on or off, whichever is nearer.
    pub fn initial(&self) -> Level {
        match self.resolution {
            Resolution::Continuous => self.safe,
            Resolution::Switch => rounded(self.safe),
        }
    }
}

/// What the guard has decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What the line must be at; for a switch only off or on.
    pub write: Level,
    /// What was asked for, within the limits; with `cycle` the write comes and goes while this stays.
    pub level: Level,
    /// Whose demand wins, also while a limit holds it back; `None` without a live demand.
    pub by: Option<Owner>,
    /// Why it is as it is.
    pub why: Why,
    /// What that demand rests on.
    pub because: Option<Arc<Because>>,
    /// The earliest moment at which a step could decide otherwise without new input. Always ahead.
    pub look_again: Option<Monotonic>,
    /// What must be written down now. It is there once, and again a second later if nobody called [`Guard::recorded`].
    pub record: Option<Record>,
}

/// The guard of one output.
#[derive(Debug, Clone)]
pub struct Guard {
    limits: Limits,
    demands: Demands,
    pulses: Option<Pulses>,
    usage: Usage,
    ahead: Ahead,
    /// What the last decision wrote.
    line: Level,
    /// Since when the line is on, or off,
    since: Monotonic,
    /// and for how long it surely was off before that.
    off_before: Duration,
    /// Since when a demand, and not the safe level, has kept the line on.
    driven_since: Option<Monotonic>,
    /// Whether `max_on` was what turned it off.
    resting: bool,
    stopped: bool,
    /// Whether the last write failed, so that the line may be anywhere.
    unsure: bool,
    /// The line was to go on or off at `since`, and nobody has seen yet that it did.
    unseen: bool,
    /// Whether it was a demand that had the line on until it was turned off.
    was_driven: bool,
    now: Monotonic,
}

impl Guard {
    /// A guard over a line that is at [`Limits::initial`] since `now`; what was before is unknown, so `min_off` counts from here.
    pub fn new(limits: Limits, now: Monotonic) -> Self {
        Self::restored(limits, None, Duration::ZERO, now)
    }

    /// The same, with what an earlier guard remembered. `aged` is the time that has surely passed since that was written: after
    /// a reboot nobody knows, so zero. Without a memory nothing was used yet.
    ///
    /// The memory of an orderly stop holds for one start: see [`Memory::after_a_crash`].
    pub fn restored(mut limits: Limits, memory: Option<&Memory>, aged: Duration, now: Monotonic) -> Self {
        // A rest of no length would be no rest; the configuration asks for one, and this is for whoever passes it by.
        if limits.max_on.is_some() {
            limits.min_off = limits.min_off.max(Duration::from_secs(1));
        }
        let switch = limits.resolution == Resolution::Switch;
        let pulses = limits.cycle.filter(|cycle| switch && !cycle.is_zero()).map(|cycle| Pulses::new(cycle, &limits));
        let known = memory.is_some();
        let memory = memory.cloned().unwrap_or_default();
        let usage = Usage::new(&limits, &memory, aged, now);
        let off_before = memory.off_for().map_or(Duration::ZERO, |off_for| off_for.saturating_add(aged));
        // Whoever was killed may have left the line on, and it stays so until it is seen off.
        let unseen = memory.off_for().is_none();
        Self {
            line: limits.initial(),
            demands: Demands::default(),
            pulses,
            ahead: Ahead::new(&usage),
            usage,
            since: now,
            off_before,
            driven_since: None,
            resting: false,
            stopped: false,
            unsure: false,
            unseen,
            was_driven: known && unseen && !limits.initial().is_on(),
            now,
            limits,
        }
    }

    /// What to restore a guard with after an orderly stop, exactly as it is at `now`.
    pub fn memory(&self, now: Monotonic) -> Memory {
        let mut guard = self.clone();
        let now = guard.pass(now);
        guard.usage.forget(now);
        let off_for = now.since(guard.since).saturating_add(guard.off_before);
        let surely_off = !guard.line.is_on() && !guard.unsure && !guard.unseen;
        guard.usage.memory(surely_off.then_some(off_for), now)
    }

    /// The [`Record`] of this version was written. Also to be called when it cannot be: then control goes on, and only a crash
    /// would give back what was used.
    pub fn recorded(&mut self, version: u64) {
        self.ahead.recorded(version);
    }

    /// Takes a demand in place of its owner's earlier one; without a level, or with a lease that is over, it only takes
    /// that one back. A renewal keeps its owner's place among equals, so two automatic owners never take turns; a
    /// person's command always joins as the newest. Decides nothing: call [`Guard::step`] afterwards.
    ///
    /// # Errors
    /// A guard holds 32 demands. When it is full, a more urgent demand drives out the least urgent; any other is refused.
    pub fn demand(&mut self, demand: Demand, now: Monotonic) -> Result<(), TooManyDemands> {
        // It may be long since the last step.
        if self.stopped { Ok(()) } else { self.demands.put(demand, self.limits.safe, now.max(self.now)) }
    }

    /// Until when it may be at another level than the safe one, should this guard never be asked again. `None` if nobody wants that
    /// any more, and no minimum time is owed.
    pub fn wanted_until(&self) -> Option<Monotonic> {
        let (safe, winner) = (self.limits.safe, self.demands.winner());
        if winner.is_some_and(|winner| winner.level != safe) {
            return self.demands.last_end_above(safe);
        }
        if self.line.is_on() {
            // As for a step: neither safety nor the end of all leases waits for it.
            let waits = winner.is_some_and(|winner| winner.priority != Priority::Safety);
            return waits.then(|| self.since + self.limits.min_on);
        }
        safe.is_on().then(|| self.since + self.limits.min_off.saturating_sub(self.off_before))
    }

    /// Other limits from now on. Demands, the running pulse and all times go on.
    pub fn set_limits(&mut self, limits: Limits, now: Monotonic) {
        let now = self.pass(now);
        let memory = self.memory(now);
        let fresh = Self::restored(limits, Some(&memory), Duration::ZERO, now);
        (self.usage, self.ahead) = (fresh.usage, fresh.ahead.after(&self.ahead));
        let same_cycle = self.limits.cycle == fresh.limits.cycle;
        if !same_cycle {
            self.pulses = fresh.pulses;
        } else if let Some(pulses) = &mut self.pulses {
            pulses.set_limits(&fresh.limits);
        }
        self.limits = fresh.limits;
    }

    /// From now on no demand counts: the next step goes to the safe level at once.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.demands = Demands::default();
    }

    /// The line was found at `line`: where the last decision wrote it, or where somebody else moved it, such as the bank when
    /// nobody held it. On and off times count from when that was first seen.
    pub fn observed(&mut self, line: Level, now: Monotonic) {
        let now = self.seen_late(now);
        let late = std::mem::take(&mut self.unsure) | std::mem::take(&mut self.unseen);
        if late || line.is_on() != self.line.is_on() {
            self.turned(now);
            self.driven_since = self.driven_since.filter(|_| line.is_on() && self.line.is_on());
        }
        self.line = line;
    }

    /// The line does not obey, so nobody knows where it is. On and off times count from when it is [observed](Self::observed)
    /// again: a compressor whose off was written late rests from then, and what could not be turned off is not turned on. Until
    /// then it may be on, and counts as on. `wanted` is what it is to be at, which somebody else may have changed: what the bank
    /// turns off is not turned on again as if it had been on all the time.
    pub fn unsure(&mut self, wanted: Level, now: Monotonic) {
        let now = self.seen_late(now);
        (self.unsure, self.unseen) = (true, false);
        if wanted.is_on() != self.line.is_on() {
            self.was_driven = self.driven_since.take().is_some();
            self.line = wanted;
        }
        self.turned(now);
    }

    /// What the line must be at now, while another output blocks this one or not. A `now` before that of an earlier step
    /// counts as that step's.
    pub fn step(&mut self, now: Monotonic, blocked: Option<&Blocked>) -> Decision {
        let now = self.pass(now);
        self.demands.forget_ended(now);
        self.usage.forget(now);

        let winner = self.demands.winner();
        let asked = winner.map_or(self.limits.safe, |winner| winner.level);
        // A wish for a safe level that is on drives nothing: it is what there is without a demand.
        let driving = winner.is_some_and(|winner| !(winner.safe && asked.is_on()));
        let blocked = blocked.filter(|_| driving);
        let on = self.line.is_on();

        let min_off_ends = self.since + self.limits.min_off.saturating_sub(self.off_before);
        let held_off = if on {
            None
        } else if let Some(refused) = (driving && asked.is_on()).then(|| self.usage.refuses(now)).flatten() {
            Some(refused)
        } else if now < min_off_ends {
            Some((if self.resting { Why::Resting } else { Why::HeldOff }, min_off_ends))
        } else if driving && !self.ahead.covers(&self.usage, true) {
            Some((Why::Recording, now + POLL))
        } else {
            None
        };
        let (wanted, level, turn) = match &mut self.pulses {
            Some(pulses) => {
                let may_turn_on = held_off.is_none() && blocked.is_none();
                let (pulse, turn) = pulses.step(asked, now, on, may_turn_on);
                (Level::from(pulse), asked, turn)
            }
            None if self.limits.resolution == Resolution::Switch => (rounded(asked), rounded(asked), None),
            None => (asked, asked, None),
        };

        let min_on_holds =
            winner.is_some_and(|winner| winner.priority != Priority::Safety) && now < self.since + self.limits.min_on;
        let on_until = self.driven_since.zip(self.limits.max_on).map(|(since, max_on)| since + max_on);
        let stays_on = on && (wanted.is_on() || min_on_holds);
        let ends = if stays_on && driving { self.usage.ends(now) } else { None };
        let (write, level, why, turn) = match (blocked, ends, held_off) {
            (Some(blocked), ..) if on || asked.is_on() => {
                (Level::OFF, Level::OFF, Why::Interlocked(blocked.clone()), Some(now + POLL))
            }
            (_, Some((why, until)), _) => (Level::OFF, Level::OFF, why, Some(until)),
            _ if stays_on && driving && on_until.is_some_and(|until| now >= until) => {
                self.resting = true;
                (Level::OFF, Level::OFF, Why::Resting, Some(now + self.limits.min_off))
            }
            _ if stays_on && !wanted.is_on() => {
                let level = if level.is_on() { level } else { self.line };
                (self.line, level, Why::HeldOn, earliest([turn, Some(self.since + self.limits.min_on)]))
            }
            (_, _, Some((why, until))) if wanted.is_on() => (Level::OFF, Level::OFF, why, Some(until)),
            _ => {
                let why = match winner {
                    Some(winner) => Why::Asked(winner.owner.clone(), winner.level),
                    None if self.stopped => Why::Stopping,
                    None => Why::NoDemand,
                };
                (wanted, level, why, turn)
            }
        };

        let driven = write.is_on() && driving;
        if driven && !on {
            self.usage.start(now);
        }
        let (by, because) = winner.map(|winner| (winner.owner.clone(), winner.because.clone())).unzip();
        let lease_ends = winner.map(|winner| winner.until);
        if write.is_on() != on {
            self.turned(now);
            self.unseen = true;
            // Also if it was found on where it had been turned off.
            self.was_driven = !write.is_on() && (self.was_driven || self.driven_since.is_some());
        }
        self.line = write;
        self.resting &= !write.is_on();
        self.driven_since = driven.then(|| self.driven_since.unwrap_or(now));

        let starting = why == Why::Recording;
        let writes = driven || starting;
        let record = if writes { self.ahead.due(&self.usage, starting, now) } else { None };
        let record_due = if writes { self.ahead.look_again(&self.usage, starting, now) } else { None };
        let must_rest = self.driven_since.zip(self.limits.max_on).map(|(since, max_on)| since + max_on);
        let budget_ends = if driven { self.usage.lasts(now) } else { None };
        let look_again = earliest([turn, lease_ends, must_rest, budget_ends, record_due]);
        Decision { write, level, by, why, because: because.flatten(), look_again, record }
    }

    /// Takes account of the time since the last step, and gives the moment that it is.
    fn pass(&mut self, now: Monotonic) -> Monotonic {
        let (before, now) = (self.now, now.max(self.now));
        self.now = now;
        if let Some(pulses) = &mut self.pulses {
            pulses.pass(now.since(before), self.line.is_on());
        }
        if self.driven_since.is_some() || (self.unsure && self.was_driven) {
            self.usage.drive(before, now);
        }
        now
    }

    /// The same; and an off that nobody has seen until now was none until now.
    fn seen_late(&mut self, now: Monotonic) -> Monotonic {
        let turned = self.since;
        let now = self.pass(now);
        if self.unseen && !self.unsure && self.was_driven {
            self.usage.drive(turned, now);
        }
        now
    }

    /// The line goes on or off.
    fn turned(&mut self, now: Monotonic) {
        self.since = now;
        self.off_before = Duration::ZERO;
    }
}

/// What a switch makes of a level when it has no cycle.
fn rounded(level: Level) -> Level {
    Level::from(level.get() >= 0.5)
}

fn earliest<const N: usize>(times: [Option<Monotonic>; N]) -> Option<Monotonic> {
    times.into_iter().flatten().min()
}
