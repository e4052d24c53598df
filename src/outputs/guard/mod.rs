//! The guard of an output: it turns what others demand into what the line may be at, and says why.
//!
//! A pure state machine. Time comes in as an argument, no demand counts without a live lease, and limits hold whoever asks.
//! Nothing depends on [`Guard::step`] being called at exact times: a late call decides as if it had just become due.
//!
//! - The live demand of the highest [`Priority`] wins; among equals the owner that joined last (see [`Guard::demand`]).
//! - Without a live demand the output is at its safe level.
//! - `min_off` always holds, for a safe level that is on too.
//! - `min_on` delays the ordinary turning-off by a live demand and nothing else: not the fall to safe after the last
//!   lease, not [`Priority::Safety`], not `max_on`, not [`Guard::stop`].
//! - After `max_on` at once the output goes off and rests for `min_off`, whoever asks. Time at a safe level that is on
//!   while nobody demands anything neither counts nor ends.
//! - A switch with a `cycle` turns a level into pulses: see `pulses.rs`.

mod demands;
mod pulses;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::demands::Demands;
use self::pulses::Pulses;
use super::Resolution;
use crate::model::{Because, Demand, Level, Monotonic, Owner, Priority};

pub use self::demands::TooManyDemands;

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
}

/// Why an output is as it is: a short sentence for people.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// Nobody asks, so it is at its safe level.
    NoDemand,
    /// Somebody's demand is followed.
    Asked(Owner, Level),
    /// It was to go off, but has not been on for `min_on` yet.
    HeldOn,
    /// It was to go on, but has not been off for `min_off` yet.
    HeldOff,
    /// It has been on for `max_on`, and is off for `min_off` now.
    Resting,
    /// The daemon stops, so it is at its safe level whoever asks.
    Stopping,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDemand => f.write_str("no live demand"),
            Self::Asked(owner, level) => write!(f, "{owner} asks for {level}"),
            Self::HeldOn => f.write_str("held on for min_on"),
            Self::HeldOff => f.write_str("held off for min_off"),
            Self::Resting => f.write_str("on for max_on; resting"),
            Self::Stopping => f.write_str("stopping"),
        }
    }
}

/// The guard of one output.
#[derive(Debug, Clone)]
pub struct Guard {
    limits: Limits,
    demands: Demands,
    pulses: Option<Pulses>,
    /// What the last decision wrote.
    line: Level,
    /// Since when the line is on, or off.
    since: Monotonic,
    /// Since when a demand, and not the safe level, has kept the line on.
    driven_since: Option<Monotonic>,
    /// Whether `max_on` was what turned it off.
    resting: bool,
    stopped: bool,
    /// Whether the last write failed, so that the line may be anywhere.
    unsure: bool,
    now: Monotonic,
}

impl Guard {
    /// A guard over a line that is at [`Limits::initial`] since `now`; what was before is unknown, so `min_off` counts from here.
    pub fn new(mut limits: Limits, now: Monotonic) -> Self {
        // A rest of no length would be no rest; the configuration asks for one, and this is for whoever passes it by.
        if limits.max_on.is_some() {
            limits.min_off = limits.min_off.max(Duration::from_secs(1));
        }
        let switch = limits.resolution == Resolution::Switch;
        let pulses = limits.cycle.filter(|cycle| switch && !cycle.is_zero()).map(|cycle| Pulses::new(cycle, &limits));
        Self {
            line: limits.initial(),
            demands: Demands::default(),
            pulses,
            since: now,
            driven_since: None,
            resting: false,
            stopped: false,
            unsure: false,
            now,
            limits,
        }
    }

    /// Takes a demand in place of its owner's earlier one; without a level, or with a lease that is over, it only takes
    /// that one back. A renewal keeps its owner's place among equals, so two automatic owners never take turns; a
    /// person's command always joins as the newest. Decides nothing: call [`Guard::step`] afterwards.
    ///
    /// # Errors
    /// A guard holds 32 demands. When it is full, a more urgent demand drives out the least urgent; any other is refused.
    pub fn demand(&mut self, demand: Demand) -> Result<(), TooManyDemands> {
        if self.stopped { Ok(()) } else { self.demands.put(demand, self.limits.safe, self.now) }
    }

    /// From now on no demand counts: the next step goes to the safe level at once.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.demands = Demands::default();
    }

    /// The line was found at `line`: somebody else moved it, such as the bank when nobody held it. On and off times count
    /// from here.
    pub fn observed(&mut self, line: Level, now: Monotonic) {
        if line.is_on() != self.line.is_on() || std::mem::take(&mut self.unsure) {
            self.since = now.max(self.now);
            self.driven_since = self.driven_since.filter(|_| line.is_on() && self.line.is_on());
        }
        self.line = line;
    }

    /// The line does not obey, so nobody knows where it is. On and off times count from when it is [observed](Self::observed)
    /// again: a compressor whose off was written late rests from then, and what could not be turned off is not turned on.
    pub fn unsure(&mut self, now: Monotonic) {
        self.unsure = true;
        self.since = now.max(self.now);
    }

    /// What the line must be at now. A `now` before that of an earlier step counts as that step's.
    pub fn step(&mut self, now: Monotonic) -> Decision {
        let now = now.max(self.now);
        let gone = now.since(self.now);
        self.now = now;
        self.demands.forget_ended(now);

        let winner = self.demands.winner();
        let asked = winner.map_or(self.limits.safe, |winner| winner.level);
        let on = self.line.is_on();
        let may_turn_on = now >= self.since + self.limits.min_off;
        let (wanted, level, turn) = match &mut self.pulses {
            Some(pulses) => {
                pulses.pass(gone, on);
                let (pulse, turn) = pulses.step(asked, now, on, may_turn_on);
                (Level::from(pulse), asked, turn)
            }
            None if self.limits.resolution == Resolution::Switch => (rounded(asked), rounded(asked), None),
            None => (asked, asked, None),
        };

        let min_on_holds =
            winner.is_some_and(|winner| winner.priority != Priority::Safety) && now < self.since + self.limits.min_on;
        let on_until = match (winner, self.driven_since, self.limits.max_on) {
            (Some(_), Some(since), Some(max_on)) => Some(since + max_on),
            _ => None,
        };
        let (write, level, why, turn) = match (on, wanted.is_on()) {
            (true, wanted_on) if (wanted_on || min_on_holds) && on_until.is_some_and(|until| now >= until) => {
                self.resting = true;
                (Level::OFF, Level::OFF, Why::Resting, Some(now + self.limits.min_off))
            }
            (true, false) if min_on_holds => {
                let level = if level.is_on() { level } else { self.line };
                (self.line, level, Why::HeldOn, earliest([turn, Some(self.since + self.limits.min_on)]))
            }
            (false, true) if !may_turn_on => {
                let why = if self.resting { Why::Resting } else { Why::HeldOff };
                (Level::OFF, Level::OFF, why, Some(self.since + self.limits.min_off))
            }
            _ => {
                let why = match winner {
                    Some(winner) => Why::Asked(winner.owner.clone(), winner.level),
                    None if self.stopped => Why::Stopping,
                    None => Why::NoDemand,
                };
                (wanted, level, why, turn)
            }
        };

        if write.is_on() != on {
            self.since = now;
        }
        self.line = write;
        self.resting &= !write.is_on();
        self.driven_since = (write.is_on() && winner.is_some()).then(|| self.driven_since.unwrap_or(now));
        let must_rest = self.driven_since.zip(self.limits.max_on).map(|(since, max_on)| since + max_on);
        Decision {
            write,
            level,
            by: winner.map(|winner| winner.owner.clone()),
            because: winner.and_then(|winner| winner.because.clone()),
            why,
            look_again: earliest([turn, winner.map(|winner| winner.until), must_rest]),
        }
    }
}

/// What a switch makes of a level when it has no cycle.
fn rounded(level: Level) -> Level {
    Level::from(level.get() >= 0.5)
}

fn earliest<const N: usize>(times: [Option<Monotonic>; N]) -> Option<Monotonic> {
    times.into_iter().flatten().min()
}
