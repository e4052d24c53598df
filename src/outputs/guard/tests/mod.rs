//! Examples, one second a character: `#` on, `.` off. The properties are next door.

mod limits;
mod properties;
mod usage;

use super::*;
use crate::model::Wish;

const FOREVER: u64 = 1_000_000;

enum Act {
    Ask(&'static str, Priority, f64, u64),
    Withdraw(&'static str),
    Stop,
}
use Act::{Ask, Stop, Withdraw};
use Priority::{Controller, Manual, Rule, Safety};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Monotonic {
    Monotonic::new(secs(seconds))
}

fn switch() -> Limits {
    Limits {
        resolution: Resolution::Switch,
        safe: Level::OFF,
        cycle: None,
        min_on: Duration::ZERO,
        min_off: Duration::ZERO,
        max_on: None,
        budgets: Vec::new(),
        starts: None,
    }
}

fn asks(owner: &str, priority: Priority, level: f64, until: u64) -> Demand {
    let wish = Wish::Level(Level::new(level).unwrap());
    Demand { owner: Owner::new(owner), priority, wish, until: at(until), because: None }
}

fn act(guard: &mut Guard, act: &Act) {
    match act {
        Ask(owner, priority, level, until) => guard.demand(asks(owner, *priority, *level, *until), guard.now).unwrap(),
        Withdraw(owner) => {
            let nothing = Demand { wish: Wish::Nothing, ..asks(owner, Controller, 0.0, FOREVER) };
            guard.demand(nothing, guard.now).unwrap();
        }
        Stop => guard.stop(),
    }
}

/// Steps once a second and draws what was written.
fn drawn(limits: &Limits, acts: &[(u64, Act)], seconds: u64) -> String {
    let mut guard = Guard::new(limits.clone(), at(0));
    (0..seconds)
        .map(|second| {
            acts.iter().filter(|(when, _)| *when == second).for_each(|(_, what)| act(&mut guard, what));
            let mut decision = guard.step(at(second), None);
            if let Some(record) = decision.record {
                guard.recorded(record.version);
                decision = guard.step(at(second), None);
            }
            if decision.write.is_on() { '#' } else { '.' }
        })
        .collect()
}

#[track_caller]
fn check(limits: &Limits, acts: &[(u64, Act)], expected: &str) {
    assert_eq!(drawn(limits, acts, expected.len() as u64), expected);
}

#[test]
fn a_lease_that_ends_ends_in_the_safe_level_even_within_min_on() {
    let limits = Limits { min_on: secs(9), ..switch() };
    check(&limits, &[(1, Ask("a", Controller, 1.0, 4))], ".###....");
    check(&limits, &[(1, Ask("a", Controller, 1.0, FOREVER)), (3, Withdraw("a"))], ".##.....");
    let on = Limits { safe: Level::ON, ..limits };
    check(&on, &[(2, Ask("a", Safety, 0.0, 4))], "##..####");
}

#[test]
fn min_on_holds_back_an_ordinary_off_but_neither_safety_nor_a_stop() {
    let limits = Limits { min_on: secs(5), ..switch() };
    let on = || (1, Ask("a", Controller, 1.0, FOREVER));
    check(&limits, &[on(), (3, Ask("a", Controller, 0.0, FOREVER))], ".#####....");
    check(&limits, &[on(), (3, Ask("b", Safety, 0.0, FOREVER))], ".##.......");
    check(&limits, &[on(), (3, Stop)], ".##.......");
}

#[test]
fn min_off_holds_from_the_start_and_after_each_off() {
    let limits = Limits { min_off: secs(4), ..switch() };
    let off_and_on = [
        (0, Ask("a", Controller, 1.0, FOREVER)),
        (6, Ask("a", Controller, 0.0, FOREVER)),
        (7, Ask("b", Safety, 1.0, FOREVER)),
    ];
    check(&limits, &off_and_on, "....##....##");
    // A safe level that is on waits too, unless the line was opened there.
    let safe = Limits { safe: Level::ON, ..limits };
    check(&safe, &[(1, Ask("a", Controller, 0.0, 2))], "#....###");
}

#[test]
fn max_on_makes_it_rest_whoever_asks_but_not_at_a_safe_level() {
    let limits = Limits { max_on: Some(secs(3)), min_off: secs(2), min_on: secs(5), ..switch() };
    check(&limits, &[(0, Ask("a", Safety, 1.0, FOREVER))], "..###..###..###..");
    let safe = Limits { safe: Level::ON, ..limits };
    check(&safe, &[], "##########");
    check(&safe, &[(4, Ask("a", Manual, 1.0, FOREVER))], "#######..###..");
}

#[test]
fn the_highest_priority_wins_and_among_equals_the_last_that_joined() {
    let by = |acts: &[Act]| {
        let mut guard = Guard::new(switch(), at(0));
        acts.iter().for_each(|what| act(&mut guard, what));
        guard.step(at(1), None).by.map(|owner| owner.to_string())
    };
    let a = |priority| Ask("a", priority, 1.0, FOREVER);
    let b = |priority| Ask("b", priority, 0.0, FOREVER);
    let cases: [(&[Act], Option<&str>); 8] = [
        (&[], None),
        (&[a(Manual), b(Controller)], Some("a")),
        (&[a(Manual), b(Safety)], Some("b")),
        (&[a(Rule), b(Rule)], Some("b")),
        // A renewal does not take the output from the other rule …
        (&[a(Rule), b(Rule), a(Rule)], Some("b")),
        // … but a person's last word counts, also when they say it again.
        (&[a(Manual), b(Manual), a(Manual)], Some("a")),
        (&[a(Rule), b(Rule), Withdraw("b")], Some("a")),
        (&[a(Rule), Ask("a", Rule, 1.0, 0)], None),
    ];
    for (number, (acts, expected)) in cases.into_iter().enumerate() {
        assert_eq!(by(acts).as_deref(), expected, "case {number}");
    }
}

#[test]
fn only_so_many_owners_fit_and_safety_always_does() {
    let mut guard = Guard::new(switch(), at(0));
    for number in 0..32 {
        guard.demand(asks(&format!("owner {number}"), Rule, 0.0, 10), guard.now).unwrap();
    }
    guard.demand(asks("owner 7", Rule, 0.0, 10), guard.now).unwrap();
    let refused = guard.demand(asks("one more", Rule, 0.0, 10), guard.now).unwrap_err();
    assert_eq!(refused, TooManyDemands(Owner::new("one more")));
    guard.demand(asks("smoke", Safety, 1.0, 10), guard.now).unwrap();
    assert_eq!(guard.step(at(1), None).by, Some(Owner::new("smoke")));
    guard.step(at(10), None);
    guard.demand(asks("one more", Rule, 0.0, 20), guard.now).unwrap();
}

#[test]
fn says_why() {
    let limits = Limits { max_on: Some(secs(10)), min_off: secs(5), min_on: secs(2), ..switch() };
    let mut guard = Guard::new(limits, at(0));
    let mut why = |second, what: Option<Act>| {
        what.iter().for_each(|what| act(&mut guard, what));
        guard.step(at(second), None).why.to_string()
    };
    assert_eq!(why(0, None), "no live demand");
    assert_eq!(why(1, Some(Ask("rules.dry", Rule, 1.0, FOREVER))), "held off for min_off");
    assert_eq!(why(5, None), "rules.dry asks for on");
    assert_eq!(why(6, Some(Ask("rules.dry", Rule, 0.4, FOREVER))), "held on for min_on");
    assert_eq!(why(7, None), "rules.dry asks for 40 %");
    assert_eq!(why(12, Some(Ask("rules.dry", Rule, 1.0, FOREVER))), "rules.dry asks for on");
    assert_eq!(why(22, None), "on for max_on; resting");
    assert_eq!(why(26, None), "on for max_on; resting");
    assert_eq!(why(27, Some(Stop)), "stopping");
}

#[test]
fn a_continuous_output_takes_every_level() {
    let limits =
        Limits { resolution: Resolution::Continuous, safe: Level::new(0.3).unwrap(), min_on: secs(5), ..switch() };
    let mut guard = Guard::new(limits, at(0));
    let mut level = |second, what: Option<Act>| {
        what.iter().for_each(|what| act(&mut guard, what));
        guard.step(at(second), None).write.get()
    };
    assert_eq!(level(0, None), 0.3);
    assert_eq!(level(1, Some(Ask("a", Controller, 0.7, 9))), 0.7);
    assert_eq!(level(2, Some(Ask("a", Controller, 0.2, 9))), 0.2);
    assert_eq!(level(3, Some(Ask("a", Controller, 0.0, 9))), 0.2, "held where it is");
    assert_eq!(level(5, None), 0.0);
    assert_eq!(level(9, None), 0.3);
}

#[test]
fn a_level_becomes_pulses_at_once() {
    let limits = Limits { cycle: Some(secs(10)), ..switch() };
    check(&limits, &[(2, Ask("a", Controller, 0.4, FOREVER))], "..####......####......####");
    check(&limits, &[(2, Ask("a", Controller, 1.0, FOREVER))], "..########################");
}

#[test]
fn a_running_pulse_follows_its_level_and_there_is_one_in_a_window() {
    let limits = Limits { cycle: Some(secs(10)), ..switch() };
    let ask = |second, level| (second, Ask("a", Controller, level, FOREVER));
    check(&limits, &[ask(0, 0.8), ask(3, 0.0), ask(5, 0.8)], "###.......########..");
    check(&limits, &[ask(0, 0.8), ask(3, 0.2), ask(9, 0.0)], "###.................");
    check(&limits, &[ask(0, 0.3), ask(2, 0.6), ask(8, 0.0)], "######..............");
    check(&limits, &[ask(0, 0.3), ask(6, 1.0), ask(12, 0.0)], "###...######........");
}

#[test]
fn levels_too_small_for_min_on_are_saved_up() {
    let limits = Limits { cycle: Some(secs(10)), min_on: secs(3), ..switch() };
    let ask = [(0, Ask("a", Controller, 0.1, FOREVER))];
    check(&limits, &ask, &"....................###.......".repeat(3));
    // Only while somebody asks: after a rest it begins anew.
    let ask = |second, level| (second, Ask("a", Controller, level, FOREVER));
    check(&limits, &[ask(0, 0.1), ask(18, 0.0), ask(21, 0.1)], ".........................................###");
}

#[test]
fn levels_too_large_for_min_off_are_rounded_and_made_up_for() {
    let limits = Limits { cycle: Some(secs(8)), min_off: secs(4), ..switch() };
    let ask = [(4, Ask("a", Controller, 0.875, FOREVER))];
    let four_windows = "########".to_owned() + "####...." + "########" + "########";
    check(&limits, &ask, &format!("....{}", four_windows.repeat(3)));
}

#[test]
fn a_late_call_ends_an_overdue_pulse_and_the_off_part_is_given_all_the_same() {
    let mut guard = Guard::new(Limits { cycle: Some(secs(10)), ..switch() }, at(0));
    guard.demand(asks("a", Controller, 0.9, FOREVER), guard.now).unwrap();
    assert!(guard.step(at(0), None).write.is_on());
    let late = guard.step(at(13), None);
    assert_eq!((late.write, late.look_again), (Level::OFF, Some(at(14))));
    assert!(guard.step(at(14), None).write.is_on());
}

#[test]
fn off_times_count_from_when_the_line_obeyed() {
    let mut guard = Guard::new(Limits { min_off: secs(10), ..switch() }, at(0));
    guard.demand(asks("a", Manual, 1.0, 20), guard.now).unwrap();
    assert!(guard.step(at(15), None).write.is_on());
    assert!(!guard.step(at(20), None).write.is_on());
    guard.demand(asks("a", Manual, 1.0, FOREVER), guard.now).unwrap();
    // The write that was to turn it off fails until 40, so nobody may turn it on before 50.
    for second in 21..40 {
        guard.unsure(Level::OFF, at(second));
        assert!(!guard.step(at(second), None).write.is_on(), "at {second}");
    }
    for second in 40..60 {
        guard.observed(Level::from(second >= 50), at(second));
        assert_eq!(guard.step(at(second), None).write.is_on(), second >= 50, "at {second}");
    }
}
