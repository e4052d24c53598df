//! What users of other programs report and must not happen here: one scenario each, in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

mod common;

use std::time::Duration;

use common::houses::room;
use common::{Rig, play};
use homeostat::hardware::lane::Gate;
use homeostat::hardware::simulated::Fault;
use homeostat::message::{Adjust, Event};
use homeostat::model::{Claim, ControllerId, Demand, Level, OutputId, Owner, Priority, Sample, Wish};

const HOUSE: &str = concat!(
    r#"
    [node]
    name = "house"
    hardware = "simulated"

    [sensors.air]
    driver = "bme280"
    bus = 1
    address = 0x76
    every = "5s"

    [sensors.other]
    driver = "bme280"
    bus = 1
    address = 0x77
    every = "5s"

    [sensors.tank]
    driver = "ds18b20"
    id = "28-0316a2795cff"
    every = "5s"

    [outputs.heater]
    driver = "gpio"
    pin = 17
    active = "low"
    cycle = "10m"

    [outputs.pump]
    driver = "gpio"
    pin = 27
    min_off = "5m"
    max_on = "30m"

    [outputs.fan]
    driver = "pwm"
    channel = 0

    [controllers.warmth]
    kind = "pid"
    input = "air.temperature"
    raise = "heater"
    setpoint = 30.0
    kp = 0.05
    stale_after = "20s"

    [controllers.draught]
    kind = "pid"
    input = "tank.temperature"
    lower = "fan"
    setpoint = 10.0
    kp = 0.05
    stale_after = "20s"
"#,
    room!()
);

const AIR: Claim = Claim::I2c { bus: 1, address: 0x76 };
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn person(rig: &Rig, output: &str, wish: Wish, lease: Duration) -> bool {
    let until = rig.clock.now() + lease;
    let demand = Demand { owner: Owner::new("person"), priority: Priority::Manual, wish, until, because: None };
    rig.daemon.bus().demand(&OutputId::new(output).unwrap(), demand).is_ok()
}

/// Home Assistant core#63419 and #18912, Klipper#5430.
#[test]
fn a_lost_sensor_does_not_leave_its_heater_on() {
    for fault in [Fault::Error, Fault::Hang(Gate::new()), Fault::PanicOnUse, Fault::Garbage] {
        play(HOUSE, async |mut rig| {
            rig.run(12 * SECOND).await;
            assert_eq!(rig.world.pin(17), Some(true));
            rig.world.inject(&AIR, fault.clone());
            rig.run(25 * SECOND).await;
            assert_eq!(rig.world.pin(17), Some(false), "{fault:?}");
        });
    }
}

/// Klipper#1101.
#[test]
fn a_controller_that_is_gone_does_not_leave_its_heater_on() {
    play(HOUSE, async |mut rig| {
        rig.run(12 * SECOND).await;
        for _ in 0..200 {
            rig.daemon.restart("controllers.warmth");
            rig.run(SECOND / 2).await;
        }
        let last_act = rig.world.pin_changes(17).last().unwrap().0;
        assert_eq!(rig.world.pin(17), Some(false));
        assert!(last_act.since_start() < 100 * SECOND, "{last_act:?}");
    });
}

/// mqtt-io#283, #73, #23.
#[test]
fn relays_do_not_click_when_anything_begins_anew() {
    play(HOUSE, async |mut rig| {
        rig.run(12 * SECOND).await;
        let before = rig.world.pin_changes(17);
        assert_eq!(before.last().map(|(_, on)| *on), Some(true));
        for child in ["outputs.heater", "controllers.warmth", "sensors.air", "store", "outputs.pump"] {
            rig.daemon.restart(child);
            rig.run(5 * SECOND).await;
        }
        assert_eq!(rig.world.pin_changes(17), before);
        assert_eq!(rig.world.pin_changes(27).len(), 1, "opened once, at off");
    });
}

/// Mycodo#1307: whoever withdrew what they asked for gets no more of it, not even later.
#[test]
fn what_was_disabled_does_not_go_on_dosing() {
    play(HOUSE, async |mut rig| {
        // Its min_off counts from the start.
        rig.run(6 * MINUTE).await;
        assert!(person(&rig, "pump", Wish::Level(Level::ON), 20 * MINUTE));
        rig.run(SECOND).await;
        assert_eq!(rig.world.pin(27), Some(true));
        assert!(person(&rig, "pump", Wish::Nothing, Duration::ZERO));
        rig.run(60 * MINUTE).await;
        let changes: Vec<bool> = rig.world.pin_changes(27).iter().map(|(_, on)| *on).collect();
        assert_eq!(changes, [false, true, false]);
    });
}

/// Mycodo#636: the float switch said "low" for ten hours, and its pump ran for ten hours.
#[test]
fn a_stuck_float_switch_does_not_run_a_pump_for_longer_than_it_may() {
    play(HOUSE, async |mut rig| {
        // Somebody asks again every ten seconds, for ten hours.
        for _ in 0..3_600 {
            person(&rig, "pump", Wish::Level(Level::ON), 30 * SECOND);
            rig.run(10 * SECOND).await;
        }
        let changes = rig.world.pin_changes(27);
        assert!(changes.len() > 20, "it rests and goes on: {}", changes.len());
        for pair in changes.windows(2).filter(|pair| pair[0].1) {
            assert!(pair[1].0.since(pair[0].0) <= 30 * MINUTE, "{pair:?}");
        }
        for pair in changes.windows(2).skip(1).filter(|pair| !pair[0].1) {
            assert!(pair[1].0.since(pair[0].0) >= 5 * MINUTE, "{pair:?}");
        }
    });
}

/// Mycodo#1008, #795.
#[test]
fn a_controller_does_not_act_on_old_values() {
    play(HOUSE, async |mut rig| {
        rig.run(12 * SECOND).await;
        for _ in 0..400 {
            let newest = rig.readings("air.temperature").last().map(|reading| reading.at).unwrap();
            if rig.clock.now().since(newest) > 22 * SECOND {
                break;
            }
            rig.daemon.restart("sensors.air");
            rig.run(SECOND / 2).await;
        }
        // It is away for longer than a reading counts, and its controller begins anew meanwhile, with that reading at hand.
        rig.daemon.restart("controllers.warmth");
        rig.history.clear();
        rig.run(3 * SECOND / 2).await;
        let newest = rig.readings("air.temperature").last().map(|reading| reading.at);
        let acted = rig.history.iter().any(|event| matches!(event, Event::Controller(state) if state.controller.as_str() == "warmth" && state.input.is_some()));
        assert_eq!((newest.is_some(), acted), (false, false));
        assert_eq!(rig.world.pin(17), Some(false));
    });
}

/// Mycodo#261, #1350, #1053.
#[test]
fn sensors_come_back_without_a_person() {
    for fault in [Fault::Error, Fault::PanicOnUse, Fault::PanicOnOpen, Fault::Garbage] {
        play(HOUSE, async |mut rig| {
            rig.world.inject(&AIR, fault.clone());
            rig.daemon.restart("sensors.air");
            rig.run(60 * MINUTE).await;
            rig.world.heal(&AIR);
            rig.history.clear();
            rig.run(62 * SECOND).await;
            let back = rig.readings("air.temperature").any(|reading| matches!(reading.sample, Sample::Good(_)));
            assert!(back, "{fault:?}");
        });
    }
}

/// Adafruit TCA9548A#8, and Mycodo#1074: one slow device held up everything for an hour.
#[test]
fn a_hung_bus_takes_nothing_else_along_and_holds_up_no_start() {
    play(HOUSE, async |mut rig| {
        rig.run(2 * SECOND).await;
        rig.world.inject(&AIR, Fault::Hang(Gate::new()));
        rig.world.inject(&Claim::Pin(17), Fault::Hang(Gate::new()));
        rig.history.clear();
        rig.run(60 * MINUTE).await;
        let ticks: Vec<_> = rig.readings("tank.temperature").map(|reading| reading.at).collect();
        assert!(ticks.len() >= 719, "{}", ticks.len());
        assert!(ticks.windows(2).all(|pair| pair[1].since(pair[0]) == 5 * SECOND));
        assert!(rig.world.pwm_level(0).unwrap().is_on(), "its fan is driven all the while");
        let asked = rig.clock.now();
        let (clock, world) = (rig.clock, rig.world.clone());
        rig.stop().await;
        assert_eq!(world.pwm_level(0), Some(Level::OFF));
        assert!(clock.now().since(asked) < 3 * SECOND);
    });
}

/// The peers' deadlines are on civil time: a change of the clock keeps an output on, or a lease for ever.
#[test]
fn a_clock_that_jumps_moves_no_lease_and_no_limit() {
    const YEAR: i64 = 365 * 24 * 3600 * 1000;
    let pins = |jumps: &[i64]| {
        let mut seen = Vec::new();
        play(HOUSE, async |mut rig| {
            person(&rig, "pump", Wish::Level(Level::ON), 90 * MINUTE);
            for jump in jumps {
                rig.run(20 * MINUTE).await;
                rig.clock.jump(*jump);
            }
            rig.run(20 * MINUTE).await;
            seen = vec![rig.world.pin_changes(27), rig.world.pin_changes(17)];
        });
        seen
    };
    assert_eq!(pins(&[-10 * YEAR, 3_600_000, 20 * YEAR, -1, -3_600_000]), pins(&[0; 5]));
}

/// A hold that does not hold: one of the arithmetic mistakes of the peers.
#[test]
fn what_a_person_holds_is_held_until_they_hand_it_back() {
    play(HOUSE, async |mut rig| {
        let draught = ControllerId::new("draught").unwrap();
        rig.daemon.bus().adjust(&draught, Adjust::Manual(-0.25, None)).unwrap();
        rig.run(MINUTE).await;
        for _ in 0..60 {
            rig.run(MINUTE).await;
            assert_eq!(rig.world.pwm_level(0), Level::new(0.25));
        }
    });
}
