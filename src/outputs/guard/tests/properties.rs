//! What must hold for every output, whatever is asked of it and however late it is stepped.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::*;
use crate::model::Wish;

#[derive(Debug, Clone)]
enum Op {
    /// Let so much time pass.
    Wait(Duration),
    /// Wait until the guard asked to be looked at again, or so long.
    Follow(Duration),
    Demand {
        owner: usize,
        priority: Priority,
        level: Level,
        lease: Duration,
    },
    Withdraw(usize),
    Stop,
}

pub(super) fn millis(longest: u64) -> impl Strategy<Value = Duration> {
    (0..=longest).prop_map(Duration::from_millis)
}

/// Zero as often as not, for most outputs have few limits.
fn limit() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::ZERO), millis(15_000)]
}

pub(super) fn level() -> impl Strategy<Value = Level> {
    prop_oneof![Just(Level::OFF), Just(Level::ON), (0.0..=1.0).prop_map(Level::clamped)]
}

fn limits() -> impl Strategy<Value = Limits> {
    let resolution = prop_oneof![Just(Resolution::Switch), Just(Resolution::Continuous)];
    let safe = prop_oneof![3 => Just(Level::OFF), 2 => level()];
    let cycle = proptest::option::of((1..20_000u64).prop_map(Duration::from_millis));
    let max_on = proptest::option::of((1..30_000u64).prop_map(Duration::from_millis));
    (resolution, safe, cycle, limit(), limit(), max_on).prop_map(
        |(resolution, safe, cycle, min_on, min_off, max_on)| {
            // As the configuration asks: a rest has a length.
            let min_off = if max_on.is_some() { min_off.max(secs(1)) } else { min_off };
            Limits { resolution, safe, cycle, min_on, min_off, max_on, budgets: Vec::new(), starts: None }
        },
    )
}

pub(super) fn priority() -> impl Strategy<Value = Priority> {
    proptest::sample::select(vec![Controller, Priority::Schedule, Rule, Manual, Safety])
}

fn script() -> impl Strategy<Value = Vec<Op>> {
    let demand = (0..4usize, priority(), level(), millis(60_000))
        .prop_map(|(owner, priority, level, lease)| Op::Demand { owner, priority, level, lease });
    let op = prop_oneof![
        20 => millis(12_000).prop_map(Op::Wait),
        30 => millis(30_000).prop_map(Op::Follow),
        30 => demand,
        5 => (0..4usize).prop_map(Op::Withdraw),
        1 => Just(Op::Stop),
    ];
    proptest::collection::vec(op, 1..120)
}

/// A guard, and beside it what a bystander notes down to judge it by.
struct Bystander {
    limits: Limits,
    guard: Guard,
    now: Monotonic,
    /// In the order in which the owners joined.
    demands: Vec<Demand>,
    stopped: bool,
    line: Level,
    since: Monotonic,
    /// Since when it is on for somebody who demands.
    driven_since: Option<Monotonic>,
    last: Option<Decision>,
}

impl Bystander {
    fn new(limits: Limits) -> Self {
        let line = limits.initial();
        let guard = Guard::new(limits.clone(), at(0));
        let demands = Vec::new();
        Self { limits, guard, now: at(0), demands, stopped: false, line, since: at(0), driven_since: None, last: None }
    }

    fn winner(&self) -> Option<&Demand> {
        let live = self.demands.iter().filter(|demand| !self.stopped && demand.until > self.now);
        live.max_by_key(|demand| demand.priority)
    }

    fn demand(&mut self, demand: Demand) {
        self.guard.demand(demand.clone(), self.now).unwrap();
        self.demands.retain(|other| other.until > self.now);
        let place = self.demands.iter().position(|other| other.owner == demand.owner);
        let renewed = place.filter(|&place| {
            demand.wish != Wish::Nothing
                && demand.until > self.now
                && demand.priority != Manual
                && self.demands[place].priority == demand.priority
        });
        match (renewed, place) {
            (Some(place), _) => self.demands[place] = demand,
            (None, place) => {
                place.map(|place| self.demands.remove(place));
                self.demands.extend((demand.wish != Wish::Nothing).then_some(demand));
            }
        }
    }

    fn run(&mut self, op: &Op) -> TestCaseResult {
        match op {
            Op::Wait(time) => self.wait(*time)?,
            Op::Follow(time) => {
                let next = self.last.as_ref().and_then(|last| last.look_again);
                self.wait(next.map_or(*time, |next| next.since(self.now)))?;
            }
            Op::Demand { owner, priority, level, lease } => self.demand(Demand {
                owner: Owner::new(&format!("owner {owner}")),
                priority: *priority,
                wish: Wish::Level(*level),
                until: self.now + *lease,
                because: None,
            }),
            Op::Withdraw(owner) => self.demand(Demand {
                owner: Owner::new(&format!("owner {owner}")),
                priority: Controller,
                wish: Wish::Nothing,
                until: self.now + secs(1),
                because: None,
            }),
            Op::Stop => {
                self.guard.stop();
                self.stopped = true;
            }
        }
        self.step()
    }

    /// Lets time pass, and sees on copies that nothing would have changed before the guard said so.
    fn wait(&mut self, time: Duration) -> TestCaseResult {
        let Some(last) = self.last.clone() else {
            self.now = self.now + time;
            return Ok(());
        };
        let end = self.now + time;
        let quiet = last.look_again.map_or(end, |next| next.min(end));
        let length = quiet.since(self.now);
        for part in [length / 3, length / 2, length.saturating_sub(Duration::from_micros(1))] {
            let moment = self.now + part;
            if last.look_again.is_none_or(|next| moment < next) {
                let early = self.guard.clone().step(moment, None);
                prop_assert_eq!(early.write, last.write, "changed at {:?}, before it said", moment);
            }
        }
        self.now = end;
        Ok(())
    }

    fn step(&mut self) -> TestCaseResult {
        let now = self.now;
        let decision = self.guard.step(now, None);
        let Limits { resolution, safe, cycle, min_on, min_off, max_on, .. } = self.limits.clone();
        let pulsed = resolution == Resolution::Switch && cycle.is_some();
        let winner = self.winner().cloned();
        let asked = match winner.as_ref().map(|winner| winner.wish) {
            Some(Wish::Level(level)) => level,
            _ => safe,
        };
        let (was, on) = (self.line.is_on(), decision.write.is_on());
        let lasted = now.since(self.since);

        prop_assert_eq!(&decision.by, &winner.as_ref().map(|winner| winner.owner.clone()), "the highest priority wins");
        prop_assert!(decision.look_again.is_none_or(|next| next > now), "looks back: {:?}", decision);
        if resolution == Resolution::Switch {
            prop_assert!([Level::OFF, Level::ON].contains(&decision.write), "a switch at {:?}", decision.write);
        }
        if on {
            prop_assert!(winner.is_some() || safe.is_on(), "on without a live lease");
        }
        let overlong = max_on.is_some_and(|max_on| {
            winner.is_some() && self.driven_since.is_some_and(|since| now.since(since) >= max_on)
        });
        prop_assert!(!(was && on && overlong), "on for longer than max_on");
        if !was && on {
            prop_assert!(lasted >= min_off, "off for {:?} only", lasted);
        }
        let ordinary = winner.as_ref().is_some_and(|winner| winner.priority != Safety);
        if was && !on && ordinary && !overlong {
            prop_assert!(lasted >= min_on, "on for {:?} only", lasted);
        }

        // Where no limit acts, it is as it was asked to be.
        let nearest = if asked.get() >= 0.5 { Level::ON } else { Level::OFF };
        let plain = match (resolution, pulsed) {
            (Resolution::Continuous, _) => Some(asked),
            (Resolution::Switch, false) => Some(nearest),
            // Of pulses, only none at all and no end are the same at every moment.
            (Resolution::Switch, true) => [Level::OFF, Level::ON].into_iter().find(|level| *level == asked),
        };
        if let Some(plain) = plain {
            let held_on = was && !plain.is_on() && ordinary && lasted < min_on;
            let held_off = !was && plain.is_on() && lasted < min_off;
            let rests = was && overlong;
            if !(held_on || held_off || rests) {
                prop_assert_eq!(decision.write, plain, "no limit acts, and {:?} was asked for", asked);
            }
        }

        if was != on {
            self.since = now;
        }
        self.line = decision.write;
        self.driven_since = (on && winner.is_some()).then(|| self.driven_since.unwrap_or(now));
        self.last = Some(decision);
        Ok(())
    }
}

/// A switch with a cycle that is stepped exactly when it asks to be, and whenever the level changes.
struct Pulsed {
    guard: Guard,
    now: Monotonic,
    line: bool,
    /// How long each stretch of being on was; the last may go on still.
    pulses: Vec<Duration>,
}

impl Pulsed {
    fn new(cycle: Duration, min_on: Duration, min_off: Duration) -> Self {
        let guard = Guard::new(Limits { cycle: Some(cycle), min_on, min_off, ..switch() }, at(0));
        // Past the min_off that holds after every start.
        Self { guard, now: at(0) + min_off, line: false, pulses: Vec::new() }
    }

    fn run(&mut self, level: f64, time: Duration) {
        let end = self.now + time;
        self.guard.demand(asks("a", Controller, level, FOREVER), self.now).unwrap();
        while self.now < end {
            let Decision { write, look_again, .. } = self.guard.step(self.now, None);
            if write.is_on() && !self.line {
                self.pulses.push(Duration::ZERO);
            }
            self.line = write.is_on();
            let next = look_again.unwrap_or(end).min(end);
            if let (true, Some(pulse)) = (self.line, self.pulses.last_mut()) {
                *pulse += next.since(self.now);
            }
            self.now = next;
        }
    }

    fn given(&self) -> f64 {
        self.pulses.iter().sum::<Duration>().as_secs_f64()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_script_breaks_a_promise(limits in limits(), script in script()) {
        let mut bystander = Bystander::new(limits);
        bystander.step()?;
        for op in &script {
            bystander.run(op)?;
        }
    }

    #[test]
    fn a_constant_level_is_its_on_time_in_the_long_run(
        cycle in 1.0..60.0f64, level in 0.0..=1.0f64, min_on in 0.0..=1.0f64, min_off in 0.0..=1.0f64,
    ) {
        // Limits up to the whole cycle: more than any sensible configuration has.
        let part = |part: f64| Duration::from_secs_f64(cycle * part);
        let mut pulsed = Pulsed::new(part(1.0), part(min_on), part(min_off));
        pulsed.run(level, part(200.0));
        let off_by = (pulsed.given() / cycle - level * 200.0).abs();
        prop_assert!(off_by <= 4.0, "off by {off_by} of 200 cycles");
    }

    #[test]
    fn without_limits_each_pulse_is_its_level_of_the_cycle(cycle in 1_000..60_000u64, level in 0.0..0.999f64) {
        let cycle = Duration::from_millis(cycle);
        let mut pulsed = Pulsed::new(cycle, Duration::ZERO, Duration::ZERO);
        pulsed.run(level, cycle * 10);
        for pulse in &pulsed.pulses {
            let off_by = pulse.as_secs_f64() - level * cycle.as_secs_f64();
            prop_assert!(off_by.abs() < 1e-6, "a pulse of {pulse:?}");
        }
        prop_assert!(level < 1e-9 || pulsed.pulses.len() == 10);
    }

    #[test]
    fn a_pulse_never_outlives_its_window(levels in proptest::collection::vec((0.0..0.999f64, millis(15_000)), 1..60)) {
        let cycle = secs(10);
        let mut pulsed = Pulsed::new(cycle, Duration::ZERO, Duration::ZERO);
        let highest = levels.iter().map(|(level, _)| *level).fold(0.0, f64::max);
        for (level, time) in levels {
            pulsed.run(level, time);
        }
        for pulse in &pulsed.pulses {
            prop_assert!(pulse.as_secs_f64() <= highest * 10.0 + 1e-6, "a pulse of {pulse:?}");
        }
    }

    #[test]
    fn a_late_call_ends_an_overdue_pulse(
        level in 0.01..0.999f64, waits in proptest::collection::vec(millis(25_000), 1..60),
    ) {
        let mut guard = Guard::new(Limits { cycle: Some(secs(10)), ..switch() }, at(0));
        guard.demand(asks("a", Controller, level, FOREVER), at(0)).unwrap();
        let (mut now, mut on_since) = (at(0), None);
        for wait in waits {
            let on = guard.step(now, None).write.is_on();
            if let (true, Some(since)) = (on, on_since) {
                let lasted = now.since(since).as_secs_f64();
                prop_assert!(lasted < level * 10.0 + 1e-6, "still on after {lasted} s");
            }
            on_since = on.then(|| on_since.unwrap_or(now));
            now = now + wait;
        }
    }

    #[test]
    fn changing_levels_get_no_more_than_they_add_up_to(
        levels in proptest::collection::vec((0.001..=1.0f64, millis(15_000)), 1..60),
        min_on in millis(10_000), min_off in millis(10_000),
    ) {
        let mut pulsed = Pulsed::new(secs(10), min_on, min_off);
        let mut asked = 0.0;
        for (level, time) in levels {
            pulsed.run(level, time);
            asked += level * time.as_secs_f64();
            prop_assert!(pulsed.given() <= asked + 20.0, "{} s on, {asked} s asked for", pulsed.given());
        }
    }
}
