//! Pins that are read, through the whole daemon: a change is told at once, whatever the interval. In virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

mod common;

use std::time::Duration;

use common::{Rig, play};

const SECOND: Duration = Duration::from_secs(1);

const HOUSE: &str = r#"
    [node]
    name = "house"
    hardware = "simulated"

    [sensors.float]
    driver = "digital-input"
    pin = 27
    every = "10m"
"#;

/// When the float was told, in milliseconds since the daemon's start, and at what.
fn told(rig: &Rig) -> Vec<(u128, f64)> {
    rig.readings("float.state").map(|one| (one.at.since_start().as_millis(), one.sample.value().unwrap())).collect()
}

#[test]
fn a_pin_that_changes_is_told_at_once_and_not_only_in_its_interval() {
    play(HOUSE, async |mut rig| {
        rig.run(7 * SECOND).await;
        assert_eq!(told(&rig), [(0, 0.0)]);
        rig.world.set_input(27, false);
        rig.run(SECOND).await;
        rig.world.set_input(27, true);
        rig.run(SECOND).await;
        assert_eq!(told(&rig), [(0, 0.0), (7000, 1.0), (8000, 0.0)]);
        // And in its interval all the same.
        rig.run(600 * SECOND).await;
        assert_eq!(told(&rig).last(), Some(&(600_000, 0.0)));
    });
}

#[test]
fn a_pin_that_nothing_holds_does_not_keep_the_daemon_busy() {
    play(HOUSE, async |mut rig| {
        rig.run(SECOND).await;
        for change in 0..1000 {
            rig.world.set_input(27, change % 2 == 1);
            rig.run(Duration::from_millis(1)).await;
        }
        let readings = told(&rig).len();
        assert!((40..=60).contains(&readings), "{readings} readings in a second");
        // What it is at in the end is told.
        rig.world.set_input(27, false);
        rig.run(SECOND).await;
        assert_eq!(told(&rig).last().unwrap().1, 1.0);
    });
}
