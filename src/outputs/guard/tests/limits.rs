//! Examples of budgets, starts, interlocks, records and restarts, and the mistakes that others made with outputs.

use super::*;
use crate::model::Interlock;
use crate::model::OutputId;

fn budget(on: u64, window: u64) -> Limits {
    Limits { budgets: vec![Budget { on: secs(on), window: secs(window) }], ..switch() }
}

fn starts(most: u32, window: u64) -> Limits {
    Limits { starts: Some(Starts { most, window: secs(window) }), ..switch() }
}

fn always() -> Act {
    Ask("a", Controller, 1.0, FOREVER)
}

fn blocked(how: Interlock) -> Blocked {
    Blocked { by: OutputId::new("fan").unwrap(), how }
}

/// A guard whose disk answers at once, while others let it be on or not.
fn stepped(guard: &mut Guard, second: u64, blocked: Option<&Blocked>) -> Decision {
    let decision = guard.step(at(second), blocked);
    let Some(record) = decision.record else { return decision };
    guard.recorded(record.version);
    guard.step(at(second), blocked)
}

#[test]
fn a_budget_is_used_once_within_its_window_and_comes_back_slot_by_slot() {
    // A 96th of the window is one second.
    let limits = budget(4, 96);
    check(&limits, &[(1, always())], &format!(".####{}####...", ".".repeat(93)));
    let held = Limits { min_on: secs(4), ..limits.clone() };
    check(&held, &[(1, always())], &format!(".####{}####...", ".".repeat(96)));
    // Time at a safe level that is on is nobody's, also when somebody asks for just that.
    let on = Limits { safe: Level::ON, ..limits };
    check(&on, &[(9, Ask("a", Controller, 1.0, 20))], "#############.......######");
    let mut guard = Guard::new(on, at(0));
    guard.demand(Demand { wish: Wish::Safe, ..asks("watch", Safety, 0.0, FOREVER) }, guard.now).unwrap();
    assert!((0..50).all(|second| guard.step(at(second), None).write.is_on()));
}

#[test]
fn a_budget_that_is_used_up_rests_for_a_slot_though_some_of_it_is_back_earlier() {
    let asks = [(0, Ask("a", Controller, 1.0, 8)), (930, Ask("a", Controller, 1.0, FOREVER))];
    // The first eight seconds are forgotten at 968; a slot is ten seconds.
    let expected = ["#".repeat(8), ".".repeat(922), "#".repeat(32), ".".repeat(10), "#".repeat(8), ".".repeat(10)];
    check(&budget(40, 960), &asks, &expected.concat());
}

#[test]
fn pulses_and_levels_use_up_a_budget_too() {
    let pulsed = Limits { cycle: Some(secs(4)), ..budget(3, 96) };
    check(&pulsed, &[(0, Ask("a", Controller, 0.25, FOREVER))], &format!("#...#...#...{}", ".".repeat(80)));
    let continuous = Limits { resolution: Resolution::Continuous, ..budget(3, 96) };
    check(&continuous, &[(2, Ask("a", Manual, 0.1, FOREVER))], "..###.......");
}

#[test]
fn what_was_on_until_the_bank_turned_it_off_counts() {
    let mut guard = Guard::new(budget(10, 3600), at(0));
    act(&mut guard, &always());
    assert!(stepped(&mut guard, 0, None).write.is_on());
    guard.observed(Level::OFF, at(6));
    assert_eq!((6..99).take_while(|second| stepped(&mut guard, *second, None).write.is_on()).count(), 4);
}

#[test]
fn what_is_not_seen_off_counts_as_on_from_the_decision_and_what_was_seen_off_does_not() {
    let limits = Limits { min_off: secs(5), ..budget(30, 3600) };
    let used = |seen: &[(u64, Option<Level>)]| {
        let mut guard = Guard::new(limits.clone(), at(0));
        guard.observed(Level::OFF, at(0));
        act(&mut guard, &Ask("a", Controller, 1.0, 15));
        assert!(stepped(&mut guard, 5, None).write.is_on());
        guard.observed(Level::ON, at(5));
        assert!(!stepped(&mut guard, 15, None).write.is_on());
        for (second, found) in seen {
            match found {
                Some(found) => guard.observed(*found, at(*second)),
                None => guard.unsure(Level::OFF, at(*second)),
            }
            assert!(!stepped(&mut guard, *second, None).write.is_on());
        }
        let (last, _) = seen[seen.len() - 1];
        act(&mut guard, &always());
        let begins = (last..99).find(|second| stepped(&mut guard, *second, None).write.is_on()).unwrap();
        let lasts = (begins..99).take_while(|second| stepped(&mut guard, *second, None).write.is_on()).count();
        (begins - last, 20 - lasts)
    };
    let off = Some(Level::OFF);
    assert_eq!(used(&[(15, off)]), (5, 0));
    assert_eq!(used(&[(18, off)]), (5, 3), "the write took 3 s");
    assert_eq!(used(&[(17, None), (18, None), (19, off)]), (5, 4), "it failed, and was seen to at 17");
    assert_eq!(used(&[(17, Some(Level::ON)), (18, None), (19, off)]), (5, 4), "it was found on");
    assert_eq!(used(&[(15, off), (35, None), (36, off)]), (5, 1), "it was off for 20 s, then nobody knew");
}

#[test]
fn what_somebody_else_turns_off_is_not_turned_on_again_at_once() {
    let mut guard = Guard::new(Limits { min_on: secs(20), min_off: secs(5), ..budget(30, 3600) }, at(0));
    guard.observed(Level::OFF, at(0));
    act(&mut guard, &always());
    assert!(stepped(&mut guard, 5, None).write.is_on());
    // The bank turns it off, and the pin does not say whether that worked.
    guard.unsure(Level::OFF, at(10));
    assert!(!stepped(&mut guard, 10, None).write.is_on(), "neither for min_on nor for the demand");
    guard.observed(Level::OFF, at(12));
    let begins = (12..99).find(|second| stepped(&mut guard, *second, None).write.is_on());
    assert_eq!(begins, Some(17));
}

#[test]
fn what_a_crash_may_have_left_on_is_on_until_it_is_seen_off() {
    let limits = Limits { min_off: secs(5), ..budget(30, 3600) };
    let crashed = Guard::new(limits.clone(), at(0)).memory(at(1)).after_a_crash();
    let restored = || Guard::restored(limits.clone(), Some(&crashed), Duration::ZERO, at(0));
    for unsure in [false, true] {
        let mut guard = restored();
        act(&mut guard, &always());
        if unsure {
            guard.unsure(Level::OFF, at(2));
            assert!(!stepped(&mut guard, 6, None).write.is_on());
        }
        guard.observed(Level::OFF, at(8));
        let begins = (8..99).find(|second| stepped(&mut guard, *second, None).write.is_on());
        let lasts = (13..99).take_while(|second| stepped(&mut guard, *second, None).write.is_on()).count();
        assert_eq!((begins, lasts), (Some(13), 22), "unsure: {unsure}");
    }
    // One that stops before anybody has seen it off knows nothing for the next life.
    let next = restored().memory(at(60));
    let mut guard = Guard::restored(limits, Some(&next), Duration::ZERO, at(0));
    act(&mut guard, &always());
    guard.observed(Level::OFF, at(0));
    assert_eq!((0..99).find(|second| stepped(&mut guard, *second, None).write.is_on()), Some(5));
}

#[test]
fn only_so_many_starts_fit_into_a_window_and_pulses_are_starts() {
    let on_and_off = |seconds: std::ops::Range<u64>| -> Vec<(u64, Act)> {
        seconds.map(|second| (second, Ask("a", Controller, (second % 2) as f64, FOREVER))).collect()
    };
    check(&starts(2, 10), &on_and_off(0..24), ".#.#.......#.#.......#.#");
    let pulsed = Limits { cycle: Some(secs(4)), ..starts(2, 20) };
    check(&pulsed, &[(0, Ask("a", Controller, 0.5, FOREVER))], "##..##..............##..##..");
}

#[test]
fn what_is_blocked_goes_off_at_once_and_comes_back_when_it_is_free() {
    let limits = Limits { min_on: secs(60), ..switch() };
    for how in [Interlock::OnlyWhile, Interlock::NeverWith] {
        let mut guard = Guard::new(limits.clone(), at(0));
        act(&mut guard, &Ask("a", Safety, 1.0, FOREVER));
        assert!(guard.step(at(1), None).write.is_on());
        let decision = guard.step(at(2), Some(&blocked(how)));
        assert_eq!((decision.write, decision.look_again), (Level::OFF, Some(at(3))));
        assert_eq!(decision.why, Why::Interlocked(blocked(how)));
        assert!(guard.step(at(3), None).write.is_on());
    }
    // Not for a demand, but as its safe level.
    let mut guard = Guard::new(Limits { safe: Level::ON, ..switch() }, at(0));
    let by = blocked(Interlock::OnlyWhile);
    assert!(guard.step(at(1), Some(&by)).write.is_on());
    act(&mut guard, &Ask("a", Rule, 1.0, 5));
    assert!(!guard.step(at(2), Some(&by)).write.is_on());
    assert!(guard.step(at(5), Some(&by)).write.is_on());
}

#[test]
fn a_limit_is_told_with_when_it_ends() {
    let limits = Limits { min_off: secs(2), ..budget(3600, 24 * 3600) };
    let limits = Limits { starts: Some(Starts { most: 1, window: secs(7 * 24 * 3600) }), ..limits };
    let mut guard = Guard::new(limits, at(0));
    act(&mut guard, &always());
    let mut why = |second, blocked: Option<&Blocked>| stepped(&mut guard, second, blocked).why.to_string();
    assert_eq!(why(5, Some(&blocked(Interlock::OnlyWhile))), "may only be on while fan is on");
    assert_eq!(why(6, Some(&blocked(Interlock::NeverWith))), "may not be on while fan is on");
    assert_eq!(why(10, None), "a asks for on");
    assert_eq!(why(3610, None), "its 1h per day are used up; may be on again after 23h 15m");
    let starts = "has had its 1 start per 7d; may start again after 167h";
    assert_eq!(why(3611, None), starts);
    assert_eq!(why(5000, None), starts, "the same for as long as it holds");
}

#[test]
fn nothing_that_is_limited_happens_before_the_disk_knows_of_it() {
    let mut guard =
        Guard::new(Limits { starts: Some(Starts { most: 9, window: secs(99) }), ..budget(160, 3600) }, at(0));
    act(&mut guard, &always());
    let first = guard.step(at(1), None);
    assert_eq!((first.write, first.why.to_string().as_str()), (Level::OFF, "waits until the disk knows of it"));
    let record = first.record.unwrap();
    let half_a_second = Monotonic::new(Duration::from_millis(1500));
    assert_eq!(guard.step(half_a_second, None).record, None, "once");
    let again = guard.step(at(2), None);
    assert_eq!((again.look_again, again.record.map(|again| again.version)), (Some(at(3)), Some(record.version)));
    guard.recorded(record.version + 1);
    assert!(!guard.step(at(2), None).write.is_on(), "that was another one");
    guard.recorded(record.version);
    let on = guard.step(at(2), None);
    // Ten seconds are reserved, and half of them are used after five.
    assert_eq!((on.write, on.record, on.look_again), (Level::ON, None, Some(at(7))));
    let ahead = guard.step(at(7), None).record.unwrap();
    let unanswered = guard.step(at(100), None);
    assert_eq!(unanswered.write, Level::ON, "it does not go off for a disk that is slow");
    assert!(unanswered.record.unwrap().version > ahead.version);
    guard.recorded(ahead.version);
    assert!(guard.step(at(101), None).record.is_some(), "what an old record reserved is used up");
    assert_eq!(Guard::new(switch(), at(0)).step(at(1), None).record, None);
}

#[test]
fn what_a_crash_leaves_counts_at_least_what_was_used() {
    let limits = Limits { min_off: secs(5), ..budget(160, 3600) };
    let mut guard = Guard::new(limits.clone(), at(0));
    act(&mut guard, &always());
    guard.step(at(1), None);
    let record = guard.step(at(6), None).record.unwrap();
    let mut after = Guard::restored(limits, Some(&record.memory), secs(1000), at(0));
    act(&mut after, &always());
    assert_eq!(stepped(&mut after, 4, None).why, Why::HeldOff, "how long it was off is not known");
    assert!(stepped(&mut after, 5, None).write.is_on());
    let on = (6..400).take_while(|second| stepped(&mut after, *second, None).write.is_on()).count();
    assert_eq!(on + 1, 150, "ten of 160 s were reserved");
}

#[test]
fn an_orderly_restart_goes_on_where_it_was() {
    let limits = Limits { min_off: secs(20), starts: Some(Starts { most: 2, window: secs(500) }), ..budget(100, 3600) };
    let mut guard = Guard::new(limits.clone(), at(0));
    act(&mut guard, &always());
    assert!((20..50).all(|second| stepped(&mut guard, second, None).write.is_on()));
    guard.stop();
    guard.step(at(50), None);
    guard.observed(Level::OFF, at(50));
    let memory = guard.memory(at(55));
    let written = serde_json::to_string(&memory).unwrap();
    assert_eq!(serde_json::from_str::<Memory>(&written).unwrap(), memory);

    let next = |memory: &Memory, aged| {
        let mut guard = Guard::restored(limits.clone(), Some(memory), secs(aged), at(0));
        act(&mut guard, &always());
        let begins = (0..99).find(|second| stepped(&mut guard, *second, None).write.is_on()).unwrap();
        let ends = (begins..999).find(|second| !stepped(&mut guard, *second, None).write.is_on()).unwrap();
        (begins, ends - begins, stepped(&mut guard, ends + 20, None).why)
    };
    let (begins, on, why) = next(&memory, 0);
    assert_eq!((begins, on), (15, 70));
    assert!(matches!(why, Why::Spent(..) | Why::Started(..)), "{why:?}");
    assert_eq!(next(&memory, 7).0, 8, "7 s have surely passed");
    assert_eq!(next(&memory.clone().after_a_crash(), 7).0, 20);
    assert_eq!(next(&memory, 4000).1, 100, "all is long ago");
}

#[test]
fn a_memory_fits_limits_that_have_changed() {
    let mut guard = Guard::new(budget(100, 3600), at(0));
    act(&mut guard, &always());
    (0..60).for_each(|second| drop(stepped(&mut guard, second, None)));
    let memory = guard.memory(at(60));
    let left = |on, window, memory: &Memory| {
        let mut guard = Guard::restored(budget(on, window), Some(memory), Duration::ZERO, at(0));
        act(&mut guard, &always());
        (0..).take_while(|second| stepped(&mut guard, *second, None).write.is_on()).count()
    };
    assert_eq!(left(70, 3600, &memory), 10);
    assert_eq!(left(70, 7200, &memory), 10, "a longer window knows what the shorter one knew");
    assert_eq!(left(50, 3600, &memory), 0);
    assert_eq!(left(70, 3600, &Memory::spent()), 0);
    let other: Memory = serde_json::from_str("{\"of the future\": 1}").unwrap();
    assert_eq!(left(70, 3600, &other), 70);
}

/// What other controllers got wrong about outputs.
mod mistakes_of_others {
    use super::*;

    #[test]
    fn a_level_that_is_not_asked_for_any_more_is_not_applied_again() {
        check(&switch(), &[(1, Ask("a", Controller, 1.0, 4))], ".###..........");
        let continuous = Limits { resolution: Resolution::Continuous, ..switch() };
        check(&continuous, &[(1, Ask("a", Controller, 0.4, 4))], ".###..........");
    }

    #[test]
    fn a_pulse_is_never_longer_than_its_period() {
        let limits = Limits { cycle: Some(secs(10)), ..switch() };
        let ask = |second, level| (second, Ask("a", Controller, level, FOREVER));
        check(&limits, &[ask(0, 0.9), ask(8, 0.9)], "#########.#########.#########.");
    }

    #[test]
    fn zero_cancels_a_running_pulse() {
        let limits = Limits { cycle: Some(secs(10)), ..switch() };
        let ask = |second, level| (second, Ask("a", Controller, level, FOREVER));
        check(&limits, &[ask(0, 0.9), ask(3, 0.0)], "###.................");
        check(&limits, &[ask(0, 0.9), (3, Withdraw("a"))], "###.................");
    }

    /// No clock on the wall is asked: there is no type in a guard that knows one. So an autumn change, which is one more hour on the
    /// wall, is nothing at all; the end of a lease and of each limit is a [`Monotonic`].
    #[test]
    fn deadlines_do_not_follow_the_clock_on_the_wall() {
        let hour = 3600;
        let limits = Limits { max_on: Some(secs(2 * hour)), min_off: secs(1), ..switch() };
        let mut guard = Guard::new(limits, at(0));
        act(&mut guard, &Ask("a", Controller, 1.0, hour));
        assert_eq!(guard.step(at(1), None).look_again, Some(at(hour)));
        assert!(!guard.step(at(hour), None).write.is_on());
    }

    #[test]
    fn a_line_that_was_found_on_is_told_off_again() {
        let mut guard = Guard::new(switch(), at(0));
        act(&mut guard, &Ask("a", Controller, 1.0, 5));
        assert!(guard.step(at(1), None).write.is_on());
        assert!(!guard.step(at(5), None).write.is_on());
        // The write failed.
        guard.observed(Level::ON, at(6));
        assert!(!guard.step(at(6), None).write.is_on());
    }
}
