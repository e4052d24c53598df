//! Budgets, starts, interlocks and restarts against a bystander that keeps nothing but a list of what was really on.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::properties::{level, millis, priority};
use super::*;
use crate::model::Interlock;
use crate::model::OutputId;

/// In the time of the world, which goes on while no process runs.
type World = Duration;

#[derive(Debug, Clone)]
enum Op {
    /// Step after so much time, however much earlier the guard asked for it.
    Wait(Duration),
    /// Step when the guard asked for it, so often.
    Follow(usize),
    Demand {
        owner: usize,
        priority: Priority,
        level: Level,
        lease: Duration,
    },
    Withdraw(usize),
    Block(bool),
    /// From now on the disk answers at once, or not at all.
    Disk(bool),
    /// The disk answers what is waiting.
    Answer,
    /// The process dies so long after its last step, and another begins after a pause, which it knows of or not.
    Crash {
        after: Duration,
        pause: Duration,
        known: bool,
    },
    /// The same in good order.
    Restart {
        pause: Duration,
        known: bool,
    },
}

fn limits() -> impl Strategy<Value = Limits> {
    let times = || prop_oneof![2 => Just(Duration::ZERO), 1 => millis(6_000)];
    let budget = (20..200u64, 5..80u64).prop_map(|(window, percent)| Budget {
        on: Duration::from_millis(window * percent * 10),
        window: secs(window),
    });
    let starts = (1..8u32, 20..200u64).prop_map(|(most, window)| Starts { most, window: secs(window) });
    (
        prop_oneof![3 => Just(Resolution::Switch), 1 => Just(Resolution::Continuous)],
        prop_oneof![3 => Just(Level::OFF), 1 => Just(Level::ON)],
        proptest::option::of((1_000..20_000u64).prop_map(Duration::from_millis)),
        (times(), times()),
        proptest::option::weighted(0.3, (1_000..30_000u64).prop_map(Duration::from_millis)),
        proptest::collection::vec(budget, 0..3),
        proptest::option::of(starts),
    )
        .prop_map(|(resolution, safe, cycle, (min_on, min_off), max_on, budgets, starts)| {
            let min_off = if max_on.is_some() { min_off.max(secs(1)) } else { min_off };
            Limits { resolution, safe, cycle, min_on, min_off, max_on, budgets, starts }
        })
}

fn script() -> impl Strategy<Value = Vec<Op>> {
    let demand = (0..3usize, priority(), level(), millis(90_000))
        .prop_map(|(owner, priority, level, lease)| Op::Demand { owner, priority, level, lease });
    let crash = (millis(5_000), millis(20_000), any::<bool>()).prop_map(|(after, pause, known)| Op::Crash {
        after,
        pause,
        known,
    });
    let op = prop_oneof![
        10 => millis(12_000).prop_map(Op::Wait),
        40 => (1..12usize).prop_map(Op::Follow),
        30 => demand,
        3 => (0..3usize).prop_map(Op::Withdraw),
        4 => any::<bool>().prop_map(Op::Block),
        2 => any::<bool>().prop_map(Op::Disk),
        4 => Just(Op::Answer),
        3 => crash,
        3 => (millis(20_000), any::<bool>()).prop_map(|(pause, known)| Op::Restart { pause, known }),
    ];
    proptest::collection::vec(op, 1..150)
}

struct Bystander {
    limits: Limits,
    guard: Guard,
    /// When this process began,
    began: World,
    /// and its own time.
    now: Monotonic,
    blocked: bool,
    answers: bool,
    waiting: Option<Record>,
    /// What is on disk, and since when.
    disk: Option<(Memory, World)>,
    last: Option<Decision>,
    /// When a demand had it on. What was on because a step came late, or lost with a disk that did not answer, is not in it.
    driven: Vec<(World, World)>,
    starts: Vec<World>,
    /// On-time since a record was asked for that is not answered yet.
    unanswered: Option<World>,
    /// Since when the line is off.
    off_since: Option<World>,
    /// How many records it asked for.
    records: usize,
}

impl Bystander {
    fn new(limits: Limits) -> Self {
        let off = (!limits.initial().is_on()).then_some(World::ZERO);
        Self {
            guard: Guard::new(limits.clone(), at(0)),
            limits,
            began: World::ZERO,
            now: at(0),
            blocked: false,
            answers: true,
            waiting: None,
            disk: None,
            last: None,
            driven: Vec::new(),
            starts: Vec::new(),
            unanswered: None,
            off_since: off,
            records: 0,
        }
    }

    fn world(&self) -> World {
        self.began + self.now.since_start()
    }

    fn run(&mut self, op: &Op) -> TestCaseResult {
        match op {
            Op::Wait(time) => self.pass(*time),
            Op::Follow(steps) => {
                for _ in 0..*steps {
                    self.follow();
                    self.step()?;
                }
            }
            Op::Demand { owner, priority, level, lease } => self.demand(*owner, *priority, Wish::Level(*level), *lease),
            Op::Withdraw(owner) => self.demand(*owner, Controller, Wish::Nothing, secs(1)),
            Op::Block(blocked) => self.blocked = *blocked,
            Op::Disk(answers) => self.answers = *answers,
            Op::Answer => self.answer(),
            Op::Crash { after, pause, known } => {
                let next = self.last.as_ref().and_then(|last| last.look_again);
                self.pass(next.map_or(*after, |next| next.since(self.now).min(*after)));
                self.lose_what_the_disk_missed();
                self.begin(*pause, *known);
            }
            Op::Restart { pause, known } => {
                self.guard.stop();
                self.step()?;
                let line = self.last.as_ref().map_or(Level::OFF, |last| last.write);
                self.guard.observed(line, self.now);
                self.disk = Some((self.guard.memory(self.now), self.world()));
                self.unanswered = None;
                self.begin(*pause, *known);
            }
        }
        self.step()
    }

    fn demand(&mut self, owner: usize, priority: Priority, wish: Wish, lease: Duration) {
        let owner = Owner::new(&format!("owner {owner}"));
        self.guard.demand(Demand { owner, priority, wish, until: self.now + lease, because: None }, self.now).unwrap();
    }

    fn driven_now(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.write.is_on() && last.by.is_some())
    }

    /// Time goes on, without a step.
    fn pass(&mut self, time: Duration) {
        let from = self.world();
        if self.driven_now() {
            let due = self.last.as_ref().and_then(|last| last.look_again).map_or(time, |next| next.since(self.now));
            self.driven.push((from, from + time.min(due)));
        }
        self.now = self.now + time;
    }

    fn follow(&mut self) {
        let next = self.last.as_ref().and_then(|last| last.look_again);
        self.pass(next.map_or(secs(5), |next| next.since(self.now)));
    }

    /// A disk that is too slow costs what was on since it was asked: the guard does not go off for it.
    fn lose_what_the_disk_missed(&mut self) {
        if let Some(asked) = self.unanswered.take() {
            self.driven.retain_mut(|(from, to)| {
                *to = (*to).min(asked);
                from < to
            });
        }
    }

    fn begin(&mut self, pause: Duration, known: bool) {
        let ended = self.world();
        self.began = ended + pause;
        self.now = at(0);
        let aged = self.disk.as_ref().filter(|_| known).map_or(World::ZERO, |(_, written)| self.began - *written);
        let memory = self.disk.take().map(|(memory, _)| memory);
        // As it would come back from a file.
        let memory: Option<Memory> =
            memory.map(|memory| serde_json::from_str(&serde_json::to_string(&memory).unwrap()).unwrap());
        self.guard = Guard::restored(self.limits.clone(), memory.as_ref(), aged, at(0));
        self.disk = memory.map(|memory| (memory.after_a_crash(), self.began - aged));
        self.waiting = None;
        self.unanswered = None;
        self.last = None;
        let off = !self.limits.initial().is_on();
        self.off_since = off.then_some(self.off_since.unwrap_or(ended));
    }

    fn answer(&mut self) {
        if let Some(record) = self.waiting.take() {
            self.disk = Some((record.memory, self.world()));
            self.guard.recorded(record.version);
            self.unanswered = None;
        }
    }

    fn step(&mut self) -> TestCaseResult {
        for _ in 0..3 {
            self.step_once()?;
            if !self.answers || self.waiting.is_none() {
                return Ok(());
            }
            self.answer();
        }
        prop_assert!(self.last.as_ref().is_some_and(|last| last.record.is_none()), "asks again and again");
        Ok(())
    }

    fn step_once(&mut self) -> TestCaseResult {
        let (now, was) = (self.world(), self.last.as_ref().map_or(self.limits.initial(), |last| last.write).is_on());
        let blocked = Blocked { by: OutputId::new("fan").unwrap(), how: Interlock::OnlyWhile };
        let decision = self.guard.step(self.now, self.blocked.then_some(&blocked));
        let (on, driven) = (decision.write.is_on(), decision.write.is_on() && decision.by.is_some());

        prop_assert!(!(self.blocked && driven), "on while it is blocked");
        let blocked_off = !on && matches!(decision.why, Why::Interlocked(_));
        prop_assert!(!blocked_off || decision.look_again.is_some_and(|next| next.since(self.now) <= secs(1)));
        prop_assert!(decision.look_again.is_none_or(|next| next > self.now), "looks back: {:?}", decision);
        if on && !was {
            let lasted = self.off_since.map_or(Duration::MAX, |since| now - since);
            prop_assert!(lasted >= self.limits.min_off, "off for {:?} only", lasted);
            if driven {
                self.starts.push(now);
            }
        }
        if on != was {
            self.off_since = (!on).then_some(now);
        }
        prop_assert!(!(was && decision.why == Why::Recording), "goes off for the disk");
        if let Some(record) = &decision.record {
            prop_assert!(!self.limits.budgets.is_empty() || self.limits.starts.is_some(), "nothing to write down");
            self.records += 1;
            self.waiting = Some(record.clone());
            self.unanswered = self.unanswered.or(Some(now));
        }
        self.last = Some(decision);
        self.judge(now)
    }

    /// Counts by hand.
    fn judge(&mut self, now: World) -> TestCaseResult {
        let ends: Vec<World> = self.driven.iter().rev().take(3).map(|(_, to)| *to).chain([now]).collect();
        for budget in &self.limits.budgets {
            for end in &ends {
                let start = end.saturating_sub(budget.window);
                let within = |(from, to): &(World, World)| (*to).min(*end).saturating_sub((*from).max(start));
                let used: Duration = self.driven.iter().map(within).sum();
                prop_assert!(used <= budget.on, "{used:?} of {budget} at {now:?}");
            }
        }
        if let Some(limit) = self.limits.starts {
            let recent = self.starts.iter().filter(|start| now - **start < limit.window).count();
            prop_assert!(recent <= limit.most as usize, "{recent} of {limit} at {now:?}");
        }
        let longest = self.limits.budgets.iter().map(|budget| budget.window);
        let longest = longest.chain(self.limits.starts.map(|starts| starts.window)).max().unwrap_or_default();
        self.driven.retain(|(_, to)| now.saturating_sub(*to) <= longest);
        self.starts.retain(|start| now - *start <= longest);
        Ok(())
    }

    /// Whatever was before: nobody blocks it, the disk answers, somebody asks, and one day it is on.
    fn gets_on_in_the_end(&mut self) -> TestCaseResult {
        (self.blocked, self.answers) = (false, true);
        self.answer();
        self.demand(9, Safety, Wish::Level(Level::ON), secs(FOREVER));
        let windows = self.limits.budgets.iter().map(|budget| budget.window);
        let longest = windows.chain(self.limits.starts.map(|starts| starts.window)).max().unwrap_or_default();
        let cycle = self.limits.cycle.unwrap_or_default();
        let latest = self.world() + longest + longest / 48 + self.limits.min_off * 2 + cycle + secs(3);
        for _ in 0..1000 {
            self.step()?;
            if self.driven_now() {
                return Ok(());
            }
            self.follow();
            prop_assert!(self.world() <= latest, "off for long: {:?}", self.last);
        }
        prop_assert!(false, "never on: {:?}", self.last);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_script_with_crashes_and_restarts_breaks_a_limit(limits in limits(), script in script()) {
        let mut bystander = Bystander::new(limits);
        bystander.step()?;
        for op in &script {
            bystander.run(op)?;
        }
        bystander.gets_on_in_the_end()?;
    }

    #[test]
    fn a_fresh_budget_is_given_whole_and_costs_few_writes(
        window in 100..100_000u64, percent in 1..60u64, starts in proptest::option::of(1..9u32),
    ) {
        let budget = Budget { on: Duration::from_millis(window * percent * 10), window: secs(window) };
        let starts = starts.map(|most| Starts { most, window: secs(window) });
        let mut bystander = Bystander::new(Limits { budgets: vec![budget], starts, ..switch() });
        bystander.demand(0, Rule, Wish::Level(Level::ON), secs(FOREVER));
        bystander.step()?;
        for _ in 0..100 {
            if bystander.driven_now() {
                bystander.follow();
                bystander.step()?;
            }
        }
        prop_assert!(!bystander.driven_now());
        prop_assert_eq!(bystander.world(), budget.on);
        prop_assert!(bystander.records <= 33, "{} records", bystander.records);
    }
}
