//! An hour in the example's greenhouse, in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

mod common;

use std::time::Duration;

use common::play;
use homeostat::message::{Adjust, Event, Mode};
use homeostat::model::{ControllerId, Quantity};
use homeostat::supervisor::Stage;

const EXAMPLE: &str = include_str!("../config.example.toml");
const MINUTE: Duration = Duration::from_secs(60);

fn temperatures(rig: &common::Rig) -> Vec<f64> {
    rig.readings("air.temperature").map(|reading| reading.sample.value().expect("a good reading")).collect()
}

#[test]
fn the_air_comes_from_twelve_degrees_to_its_setpoint_and_stays_there() {
    play(EXAMPLE, async |mut rig| {
        rig.run(60 * MINUTE).await;
        let air = temperatures(&rig);
        assert!(air.len() >= 720, "every five seconds: {}", air.len());
        assert!((air[0] - 12.0).abs() < 0.5, "it begins at {}", air[0]);
        let highest = air.iter().copied().fold(f64::MIN, f64::max);
        assert!(highest < 25.0, "overshoots to {highest}");
        let last = &air[air.len() - 120..];
        let worst = last.iter().map(|air| (air - 24.0).abs()).fold(0.0, f64::max);
        assert!(worst < 0.3, "in its last ten minutes it is up to {worst} off");
        let truth = rig.world.truth("house", Quantity::Temperature);
        assert!((truth - 24.0).abs() < 0.3, "it really is {truth}");
    });
}

#[test]
fn the_same_seed_gives_the_same_hour_and_another_seed_another() {
    let hour = |text: &str| {
        let mut air = Vec::new();
        play(text, async |mut rig| {
            rig.run(60 * MINUTE).await;
            air = temperatures(&rig);
        });
        air
    };
    let other = EXAMPLE.replace("seed = 1", "seed = 2");
    assert_ne!(EXAMPLE, other, "the example names its seed");
    assert_eq!(hour(EXAMPLE), hour(EXAMPLE));
    assert_ne!(hour(EXAMPLE), hour(&other));
}

#[test]
fn an_orderly_stop_makes_outputs_safe_at_once_and_stores_everything() {
    play(EXAMPLE, async |mut rig| {
        rig.run(Duration::from_secs(64)).await;
        assert_eq!(rig.world.pin(17), Some(true), "the heater is on");
        let (world, clock, store) = (rig.world.clone(), rig.clock, rig.daemon.store().clone());
        let asked = clock.now();
        let (stage, history, _directory) = rig.stop().await;
        assert_eq!(stage, Stage::Stopped);
        let off = *world.pin_changes(17).last().unwrap();
        assert!(!off.1 && off.0.since(asked) < Duration::from_secs(1), "{off:?}, asked at {asked:?}");
        let published = history.iter().filter(|event| matches!(event, Event::Reading(_))).count();
        assert_eq!(store.count().unwrap(), published as u64);
    });
}

#[test]
fn a_new_setpoint_is_followed_without_a_kick() {
    play(EXAMPLE, async |mut rig| {
        rig.run(60 * MINUTE).await;
        let before = last_output(&rig.history);
        let warmth = ControllerId::new("warmth").unwrap();
        rig.daemon.bus().adjust(&warmth, Adjust::Setpoint(26.0)).unwrap();
        rig.history.clear();
        rig.run(Duration::from_secs(6)).await;
        let after = last_output(&rig.history);
        assert!((after - before).abs() < 0.1, "from {before} to {after}");
        rig.run(60 * MINUTE).await;
        let air = *temperatures(&rig).last().unwrap();
        assert!((air - 26.0).abs() < 0.5, "it is {air}");
    });
}

#[test]
fn a_person_can_hold_the_output_and_hand_it_back() {
    play(EXAMPLE, async |mut rig| {
        let warmth = ControllerId::new("warmth").unwrap();
        rig.run(MINUTE).await;
        rig.daemon.bus().adjust(&warmth, Adjust::Manual(0.5, None)).unwrap();
        rig.run(10 * MINUTE).await;
        assert_eq!(last_output(&rig.history), 0.5);
        assert!(
            rig.history
                .iter()
                .rev()
                .any(|event| { matches!(event, Event::Controller(state) if state.mode == Mode::Manual(0.5)) })
        );
        rig.daemon.bus().adjust(&warmth, Adjust::Automatic).unwrap();
        rig.run(Duration::from_secs(6)).await;
        // A controller that did not follow the held output would jump by its proportional part, about 1 here.
        let bump = (last_output(&rig.history) - 0.5).abs();
        assert!(bump < 0.25, "it jumped by {bump}");
    });
}

fn last_output(history: &[Event]) -> f64 {
    let outputs = history.iter().rev().find_map(|event| match event {
        Event::Controller(state) => Some(state.output),
        _ => None,
    });
    outputs.expect("the controller has acted")
}
