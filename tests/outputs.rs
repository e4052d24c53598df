//! Outputs on the pins of a whole daemon: what is told of a pin that does not obey, who stands in whose way, and what limits
//! remember over a kill. In virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

mod common;

use std::fs;
use std::time::Duration;

use common::{Rig, Setting, play, play_in};
use homeostat::hardware::Hardware;
use homeostat::hardware::lane::Gate;
use homeostat::hardware::simulated::Fault;
use homeostat::message::Event;
use homeostat::model::{Claim, Demand, Level, OutputId, Owner, Priority, Wish};

const HOUSE: &str = r#"
    [node]
    name = "house"
    hardware = "simulated"

    [outputs.heater]
    driver = "gpio"
    pin = 17

    [outputs.fan]
    driver = "gpio"
    pin = 27
"#;

const SECOND: Duration = Duration::from_secs(1);
const HEATER: Claim = Claim::Pin(17);

fn demand(rig: &Rig, output: &str, on: bool, lease: Duration) {
    let demand = Demand {
        owner: Owner::new("a test"),
        priority: Priority::Manual,
        wish: if on { Wish::Level(Level::ON) } else { Wish::Nothing },
        until: rig.clock.now() + lease,
        because: None,
    };
    rig.daemon.bus().demand(&OutputId::new(output).unwrap(), demand).unwrap();
}

fn standing(rig: &Rig, name: &str) -> Option<String> {
    let alarms = rig.daemon.alarms().standing_now();
    alarms.into_iter().find(|alarm| &*alarm.name == name).and_then(|alarm| Some(alarm.text?.to_string()))
}

/// What was told last to keep an output from its demand.
fn limit(rig: &Rig, output: &str) -> Option<String> {
    let told = rig.history.iter().rev().find_map(|event| match event {
        Event::Output(state) if state.output.as_str() == output => Some(state.limit.clone()),
        _ => None,
    });
    told.expect("it was told of").map(|limit| limit.to_string())
}

#[test]
fn an_output_that_cannot_be_confirmed_off_is_an_alarm_until_it_is() {
    for fault in [Fault::Error, Fault::Garbage, Fault::PanicOnUse, Fault::Hang(Gate::new())] {
        play(HOUSE, async |mut rig| {
            demand(&rig, "heater", true, 5 * SECOND);
            rig.run(2 * SECOND).await;
            assert_eq!(rig.world.pin(17), Some(true));
            rig.world.inject(&HEATER, fault.clone());
            // Its lease ends.
            rig.run(4 * SECOND).await;
            let told = standing(&rig, "outputs.heater.pin").unwrap_or_else(|| panic!("no alarm during {fault:?}"));
            assert!(told.starts_with("output heater cannot be confirmed off: "), "{told}");
            assert!(told.ends_with(": switch it off by hand at its plug"), "{told}");
            let confirmed = rig.history.iter().rev().find_map(|event| match event {
                Event::Output(state) if state.output.as_str() == "heater" => Some(state.confirmed),
                _ => None,
            });
            assert_eq!(confirmed, Some(false), "{fault:?}");
            let told_off = |event: &Event| matches!(event, Event::Output(state) if state.confirmed && !state.on);
            let on = rig.history.iter().rposition(
                |event| matches!(event, Event::Output(state) if state.output.as_str() == "heater" && state.on && state.confirmed),
            );
            let heater = |event: &&Event| matches!(event, Event::Output(state) if state.output.as_str() == "heater");
            let later: Vec<&Event> = rig.history[on.expect("it was on")..].iter().filter(heater).collect();
            assert!(!later.iter().any(|event| told_off(event)), "off is not told as confirmed before it is: {later:?}");
            assert_eq!(later.len(), 2, "and it is told once: {later:?}");

            rig.world.heal(&HEATER);
            if let Fault::Hang(gate) = &fault {
                gate.release();
            }
            rig.run(3 * SECOND).await;
            assert_eq!((rig.world.pin(17), standing(&rig, "outputs.heater.pin")), (Some(false), None), "{fault:?}");
            let raised = rig.history.iter().filter(
                |event| matches!(event, Event::Alarm(alarm) if &*alarm.name == "outputs.heater.pin" && alarm.text.is_some()),
            );
            assert!(raised.count() <= 2, "it is not told again with every try: {fault:?}");
        });
    }
}

#[test]
fn off_is_written_until_it_is_confirmed_also_while_the_outputs_actor_is_gone() {
    play(HOUSE, async |mut rig| {
        demand(&rig, "heater", true, 30 * SECOND);
        rig.run(2 * SECOND).await;
        rig.world.inject(&HEATER, Fault::Error);
        // Each end doubles the wait until the next life; the last one is far longer than what is looked at.
        for _ in 0..7 {
            rig.daemon.restart("outputs.heater");
            rig.run(40 * SECOND).await;
        }
        rig.daemon.restart("outputs.heater");
        rig.run(5 * SECOND).await;
        assert!(standing(&rig, "outputs.heater.pin").is_some());
        rig.world.heal(&HEATER);
        rig.run(2 * SECOND).await;
        assert_eq!((rig.world.pin(17), standing(&rig, "outputs.heater.pin")), (Some(false), None));
    });
}

#[test]
fn what_is_asked_for_while_the_outputs_actor_is_gone_counts_when_it_is_back() {
    play(HOUSE, async |mut rig| {
        for _ in 0..7 {
            rig.daemon.restart("outputs.heater");
            rig.run(40 * SECOND).await;
        }
        rig.daemon.restart("outputs.heater");
        rig.run(SECOND).await;
        demand(&rig, "heater", true, 200 * SECOND);
        rig.run(SECOND).await;
        assert_eq!(rig.world.pin(17), Some(false), "its actor is gone");
        rig.run(90 * SECOND).await;
        assert_eq!(rig.world.pin(17), Some(true));
        rig.run(110 * SECOND).await;
        assert_eq!(rig.world.pin(17), Some(false), "its lease counts from when it was asked for");
    });
}

#[test]
fn what_is_not_wanted_any_more_goes_off_also_while_the_outputs_actor_is_gone() {
    play(HOUSE, async |mut rig| {
        for _ in 0..7 {
            rig.daemon.restart("outputs.heater");
            rig.run(40 * SECOND).await;
        }
        demand(&rig, "heater", true, 3600 * SECOND);
        rig.run(60 * SECOND).await;
        assert_eq!(rig.world.pin(17), Some(true));
        rig.daemon.restart("outputs.heater");
        rig.run(5 * SECOND).await;
        assert_eq!(rig.world.pin(17), Some(true), "it is held under its lease");
        demand(&rig, "heater", false, SECOND);
        rig.run(4 * SECOND).await;
        assert_eq!(rig.world.pin(17), Some(false));
    });
}

#[test]
fn what_nobody_takes_is_refused_with_the_reason() {
    play(HOUSE, async |rig| {
        let ask = |output: &str, owner: usize| {
            let (owner, until) = (Owner::new(&format!("test.{owner}")), rig.clock.now() + SECOND);
            let wish = Wish::Level(Level::ON);
            let demand = Demand { owner, priority: Priority::Manual, wish, until, because: None };
            rig.daemon.bus().demand(&OutputId::new(output).unwrap(), demand).map_err(|error| error.to_string())
        };
        assert_eq!(ask("pump", 0), Err("pump does not take messages at the moment".to_owned()));
        assert!((0..32).all(|owner| ask("heater", owner).is_ok()));
        let refused = ask("heater", 32).unwrap_err();
        assert!(refused.starts_with("the demand of test.32 was refused, for 32 others are live"), "{refused}");
    });
}

#[test]
fn a_pin_that_somebody_else_moves_is_set_back_and_told() {
    for wanted in [false, true] {
        play(HOUSE, async |mut rig| {
            demand(&rig, "heater", wanted, 3600 * SECOND);
            rig.run(15 * SECOND).await;
            let mut behind = rig.world.output(17, Default::default(), !wanted).unwrap();
            behind.set(!wanted).unwrap();
            assert_eq!(rig.world.pin(17), Some(!wanted));
            rig.run(10 * SECOND).await;
            assert_eq!(rig.world.pin(17), Some(wanted));
            let told = standing(&rig, "outputs.heater.pin").expect("an alarm");
            assert!(told.contains("something else moved its pin"), "{told}");
            rig.run(11 * SECOND).await;
            assert_eq!(standing(&rig, "outputs.heater.pin"), None);
        });
    }
}

/// Needs no sensors: a person asks for everything.
fn interlocked(lines: &str) -> String {
    HOUSE.replace("pin = 17", &format!("pin = 17\n{lines}"))
}

#[test]
fn an_output_is_on_only_while_the_one_it_needs_is() {
    play(&interlocked("only_while = [\"fan\"]"), async |mut rig| {
        demand(&rig, "heater", true, 3600 * SECOND);
        rig.run(5 * SECOND).await;
        assert_eq!(rig.world.pin(17), Some(false), "the fan is off");
        assert_eq!(limit(&rig, "heater").as_deref(), Some("may only be on while fan is on"));
        demand(&rig, "fan", true, 20 * SECOND);
        rig.run(2 * SECOND).await;
        assert_eq!((rig.world.pin(17), rig.world.pin(27)), (Some(true), Some(true)));
        assert_eq!(limit(&rig, "heater"), None);
        rig.run(20 * SECOND).await;
        assert_eq!((rig.world.pin(17), rig.world.pin(27)), (Some(false), Some(false)));
        assert_eq!(standing(&rig, "outputs.heater.pin"), None, "to be held back is no trouble");
        demand(&rig, "fan", true, 3600 * SECOND);
        rig.run(2 * SECOND).await;
        assert_eq!(rig.world.pin(17), Some(true), "its demand is followed again");
    });
}

#[test]
fn of_two_that_are_never_on_together_one_wins() {
    play(&interlocked("never_with = [\"fan\"]"), async |mut rig| {
        demand(&rig, "fan", true, 10 * SECOND);
        demand(&rig, "heater", true, 3600 * SECOND);
        rig.run(5 * SECOND).await;
        assert_eq!((rig.world.pin(17), rig.world.pin(27)), (Some(false), Some(true)));
        rig.run(8 * SECOND).await;
        assert_eq!((rig.world.pin(17), rig.world.pin(27)), (Some(true), Some(false)));
    });
}

const RESTS: &str = "pin = 17\nmin_off = \"10m\"";

fn on_after(disk: Setting, wait: Duration) -> Vec<bool> {
    let mut seen = Vec::new();
    play_in(disk, &HOUSE.replace("pin = 17", RESTS), async |mut rig| {
        assert_eq!(standing(&rig, "limits"), None);
        demand(&rig, "heater", true, 3600 * SECOND);
        rig.run(SECOND).await;
        seen.push(rig.world.pin(17).unwrap());
        rig.run(wait).await;
        seen.push(rig.world.pin(17).unwrap());
    });
    seen
}

#[test]
fn min_off_goes_on_over_an_orderly_restart_and_begins_again_after_a_kill() {
    let disk = Setting::default();
    play_in(disk.after(Duration::ZERO), &HOUSE.replace("pin = 17", RESTS), async |mut rig| {
        rig.run(300 * SECOND).await;
        rig.stop().await;
    });
    let later = disk.after(400 * SECOND);
    // It has been off for five minutes, and away for 100 s more; what was exact holds for one start only.
    assert_eq!(on_after(later, 201 * SECOND), [false, true]);
    assert_eq!(on_after(disk.after(2000 * SECOND), 201 * SECOND), [false, false], "killed while it was on");

    // Of another boot nobody knows how long ago it was.
    play_in(disk.after(3000 * SECOND), &HOUSE.replace("pin = 17", RESTS), async |mut rig| {
        rig.run(300 * SECOND).await;
        rig.stop().await;
    });
    let mut another = disk.after(9000 * SECOND);
    another.boot.id = "another".into();
    assert_eq!(on_after(another, 301 * SECOND), [false, true], "the five minutes count, not the time since");
}

#[test]
fn a_damaged_ledger_is_put_aside_and_told_until_somebody_knows() {
    let disk = Setting::default();
    let file = disk.state.path().join("outputs.json");
    fs::write(&file, b"{\"boot\": \"x").unwrap();
    play_in(disk.after(Duration::ZERO), HOUSE, async |mut rig| {
        let told = standing(&rig, "limits.spent").expect("an alarm");
        assert!(
            told.contains("every budget counts as spent") || told.contains("Every budget counts as spent"),
            "{told}"
        );
        rig.run(SECOND).await;
        assert!(standing(&rig, "limits.spent").is_some());
        assert_eq!(standing(&rig, "limits"), None, "what a person has to know is not cleared by a disk that works");
        rig.daemon.alarms().acknowledge("limits.spent").unwrap();
        rig.stop().await;
    });
    assert_eq!(fs::read(disk.state.path().join("outputs.json.damaged")).unwrap(), b"{\"boot\": \"x");
    play_in(disk.after(SECOND), HOUSE, async |rig| assert_eq!(standing(&rig, "limits.spent"), None));
}

#[test]
fn a_directory_in_the_ledgers_place_is_put_aside_whatever_was_put_aside_before() {
    let disk = Setting::default();
    let file = disk.state.path().join("outputs.json");
    fs::create_dir(&file).unwrap();
    fs::write(file.join("within"), "").unwrap();
    fs::write(disk.state.path().join("outputs.json.damaged"), "older").unwrap();
    play_in(disk.after(Duration::ZERO), HOUSE, async |mut rig| {
        let told = standing(&rig, "limits.spent").expect("an alarm");
        assert!(told.contains("it is kept as ") && told.contains("outputs.json.damaged.2"), "{told}");
        demand(&rig, "fan", true, 60 * SECOND);
        rig.run(2 * SECOND).await;
        assert_eq!((rig.world.pin(27), standing(&rig, "limits")), (Some(true), None));
        rig.stop().await;
    });
    assert_eq!(fs::read_to_string(disk.state.path().join("outputs.json.damaged")).unwrap(), "older");
    assert!(fs::read_to_string(file).unwrap().contains("heater"), "it is written again");
    play_in(disk.after(SECOND), HOUSE, async |rig| drop(rig.stop().await));
}

#[test]
fn a_ledger_that_cannot_be_written_is_told_and_control_goes_on() {
    let disk = Setting::default();
    let file = disk.state.path().join("outputs.json");
    play_in(disk.after(Duration::ZERO), HOUSE, async |rig| drop(rig.stop().await));
    // Nothing can be put in the place of a directory, whoever the tests run as.
    let beside = disk.state.path().join(".outputs.json.new");
    fs::create_dir(&beside).unwrap();
    play_in(disk.after(SECOND), HOUSE, async |mut rig| {
        let told = standing(&rig, "limits").expect("an alarm");
        assert!(told.contains("a restart would forget it"), "{told}");
        demand(&rig, "fan", true, 60 * SECOND);
        rig.run(2 * SECOND).await;
        assert_eq!(rig.world.pin(27), Some(true));
        fs::remove_dir(&beside).unwrap();
        rig.run(11 * SECOND).await;
        assert_eq!(standing(&rig, "limits"), None, "it is tried again, though nothing new is to be remembered");
        rig.stop().await;
    });
    assert!(fs::read_to_string(file).unwrap().contains("heater"));
}

const BUDGET: &str = "pin = 17\nmax_on = { \"10m\" = \"per day\" }";

/// For how long the heater is on in an hour in which it is wanted all the time.
fn seconds_on(disk: Setting, then_killed_after: Duration) -> f64 {
    let mut sum = 0.0;
    play_in(disk, &HOUSE.replace("pin = 17", BUDGET), async |mut rig| {
        demand(&rig, "heater", true, 3600 * SECOND);
        rig.run(then_killed_after).await;
        let mut changes = rig.world.pin_changes(17);
        changes.push((rig.clock.now(), false));
        let pairs = changes.windows(2).filter(|pair| pair[0].1);
        sum = pairs.map(|pair| pair[1].0.since(pair[0].0).as_secs_f64()).sum();
    });
    sum
}

#[test]
fn a_kill_gives_nothing_of_a_budget_back() {
    let disk = Setting::default();
    let mut all = seconds_on(disk.after(Duration::ZERO), 300 * SECOND);
    assert!((295.0..=300.0).contains(&all), "{all} s");
    for kills in 1..6 {
        all += seconds_on(disk.after(kills * 400 * SECOND), 60 * SECOND);
        assert!(all <= 600.0, "{all} s after {kills} kills");
    }
    assert!(all > 400.0, "and little of it is lost: {all} s");
    assert_eq!(seconds_on(disk.after(3000 * SECOND), 3600 * SECOND) + all, 600.0_f64.min(all), "nothing is left");
    // A day after the last of it.
    let tomorrow = seconds_on(disk.after(100_000 * SECOND), 3600 * SECOND);
    assert!(tomorrow > 590.0, "{tomorrow} s");
}

#[test]
fn of_a_lost_memory_every_budget_counts_as_spent_also_after_a_kill() {
    let disk = Setting::default();
    fs::write(disk.state.path().join("outputs.json"), b"\0\0\0").unwrap();
    for later in [0, 5000, 10_000] {
        assert_eq!(seconds_on(disk.after(later * SECOND), 3600 * SECOND), 0.0, "{later} s later");
    }
    assert!(seconds_on(disk.after(100_000 * SECOND), 3600 * SECOND) > 590.0);
}

#[test]
fn a_disk_that_is_gone_holds_up_no_budget() {
    let disk = Setting::default();
    fs::create_dir(disk.state.path().join(".outputs.json.new")).unwrap();
    let on = seconds_on(disk, 3600 * SECOND);
    assert!(on > 590.0, "{on} s");
}
