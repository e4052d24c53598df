//! One device errs, hangs or panics: nobody else misses a tick, it comes back by itself, and no pin moves. In virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

mod common;

use std::time::Duration;

use common::houses::room;
use common::{Rig, play};
use homeostat::hardware::lane::Gate;
use homeostat::hardware::simulated::Fault;
use homeostat::message::Event;
use homeostat::model::{Claim, Level, Monotonic, Sample};

/// The patient shares its bus with `near`; `far` has a bus of its own, and so has `wire`. The heater follows `far`.
const HOUSE: &str = concat!(
    r#"
    [node]
    name = "house"
    hardware = "simulated"

    [sensors.patient]
    driver = "bme280"
    address = 0x76
    every = "1s"

    [sensors.near]
    driver = "bme280"
    address = 0x77
    every = "1s"

    [sensors.far]
    driver = "bme280"
    bus = 3
    every = "1s"

    [sensors.wire]
    driver = "ds18b20"
    id = "28-0316a2795cff"
    every = "1s"

    [outputs.heater]
    driver = "gpio"
    pin = 17

    [outputs.fan]
    driver = "pwm"
    channel = 0

    [controllers.warmth]
    kind = "pid"
    input = "far.temperature"
    raise = "fan"
    setpoint = 30.0
    kp = 0.05
    stale_after = "5s"
"#,
    room!()
);

const PATIENT: Claim = Claim::I2c { bus: 1, address: 0x76 };
const SECOND: Duration = Duration::from_secs(1);

fn times(rig: &Rig, channel: &str) -> Vec<Monotonic> {
    rig.readings(channel).filter(|reading| reading.sample.value().is_some()).map(|reading| reading.at).collect()
}

/// Every tick of a second, none missed, none late.
fn assert_steady(rig: &Rig, channel: &str, fault: &Fault) {
    let times = times(rig, channel);
    assert!(times.len() > 1, "{channel} reads during {fault:?}");
    for pair in times.windows(2) {
        assert_eq!(pair[1].since(pair[0]), SECOND, "{channel} during {fault:?}, after {:?}", pair[0]);
    }
}

fn faults() -> [Fault; 6] {
    [Fault::Error, Fault::Hang(Gate::new()), Fault::PanicOnUse, Fault::PanicOnOpen, Fault::PanicOnDrop, Fault::Garbage]
}

#[test]
fn neighbours_miss_no_tick_and_the_patient_comes_back() {
    for fault in faults() {
        play(HOUSE, async |mut rig| {
            rig.run(10 * SECOND).await;
            let fan = rig.world.pwm_level(0);
            assert!((fan.unwrap().get() - 0.5).abs() < 0.01, "{fan:?}");
            rig.world.inject(&PATIENT, fault.clone());
            if matches!(fault, Fault::PanicOnOpen | Fault::PanicOnDrop) {
                // These strike at the end of a life and at the beginning of the next.
                rig.daemon.restart("sensors.patient");
            }
            rig.run(300 * SECOND).await;
            let read = times(&rig, "patient.temperature").len();
            assert!(read < 310, "the patient did not notice {fault:?}: {read} readings");

            assert_steady(&rig, "far.temperature", &fault);
            assert_steady(&rig, "wire.temperature", &fault);
            if !matches!(fault, Fault::Hang(_)) {
                assert_steady(&rig, "near.temperature", &fault);
            }
            assert_eq!(rig.world.pwm_level(0), fan, "the fan does not move during {fault:?}");

            rig.world.heal(&PATIENT);
            if let Fault::Hang(gate) = &fault {
                gate.release();
            }
            rig.history.clear();
            rig.run(62 * SECOND).await;
            for channel in ["patient.temperature", "near.temperature"] {
                let last = rig.readings(channel).last().expect("it reads again");
                assert!(last.sample.value().is_some(), "{channel} after {fault:?}: {last:?}");
            }
        });
    }
}

#[test]
fn a_failing_sensor_says_why_and_is_marked_offline_until_it_is_back() {
    play(HOUSE, async |mut rig| {
        rig.run(10 * SECOND).await;
        rig.history.clear();
        rig.world.inject(&PATIENT, Fault::Hang(Gate::new()));
        rig.run(60 * SECOND).await;

        let bad = rig.readings("patient.temperature").last().unwrap().clone();
        assert!(matches!(bad.sample, Sample::Bad(_)), "{bad:?}");
        let near = rig.readings("near.temperature").last().unwrap().sample.reason().unwrap().to_string();
        assert!(near.starts_with("i2c-1 has been busy for ") && near.ends_with(" s with sensor patient"), "{near}");
        let offline = rig
            .history
            .iter()
            .any(|event| matches!(event, Event::Sensor(state) if state.sensor.as_str() == "patient" && !state.online));
        assert!(offline);
    });
}

#[test]
fn outputs_fall_to_safe_when_their_sensor_is_lost() {
    for fault in [Fault::Error, Fault::Hang(Gate::new()), Fault::PanicOnUse] {
        play(HOUSE, async |mut rig| {
            rig.run(10 * SECOND).await;
            assert!(rig.world.pwm_level(0).unwrap().is_on());
            rig.world.inject(&Claim::I2c { bus: 3, address: 0x76 }, fault.clone());
            // The lease is as long as a reading is fresh, and the bank looks once a second.
            rig.run(7 * SECOND).await;
            assert_eq!(rig.world.pwm_level(0), Some(Level::OFF), "{fault:?}");
        });
    }
}

#[test]
fn an_output_that_is_begun_anew_does_not_move_its_pin() {
    play(
        &HOUSE.replace("raise = \"fan\"", "raise = \"heater\"").replace("pin = 17", "pin = 17\ncycle = \"10m\""),
        async |mut rig| {
            rig.run(20 * SECOND).await;
            let before = rig.world.pin_changes(17);
            assert_eq!(rig.world.pin(17), Some(true));
            // Twice: after that it is away for longer than a lease.
            for _ in 0..2 {
                rig.daemon.restart("outputs.heater");
                rig.run(15 * SECOND).await;
            }
            assert_eq!(rig.world.pin_changes(17), before);
            // And it still obeys: half of its cycle is soon over.
            rig.run(300 * SECOND).await;
            assert_eq!(rig.world.pin(17), Some(false));
        },
    );
}

#[test]
fn an_output_whose_own_actor_is_gone_is_made_safe_by_the_bank() {
    play(HOUSE, async |mut rig| {
        rig.run(10 * SECOND).await;
        assert!(rig.world.pwm_level(0).unwrap().is_on());
        // Each end doubles the wait until the next life, until it is longer than the lease.
        for _ in 0..5 {
            rig.daemon.restart("outputs.fan");
            rig.run(40 * SECOND).await;
            assert!(rig.world.pwm_level(0).unwrap().is_on(), "it comes back");
        }
        rig.daemon.restart("outputs.fan");
        // Its lease, the bank's grace and the root's round.
        rig.run((5 + 2 + 1) * SECOND).await;
        assert_eq!(rig.world.pwm_level(0), Some(Level::OFF));
    });
}

#[test]
fn a_pin_that_fails_is_written_until_it_obeys() {
    for fault in [Fault::Error, Fault::Hang(Gate::new()), Fault::PanicOnUse, Fault::Garbage] {
        let house =
            HOUSE.replace("raise = \"fan\"", "raise = \"heater\"").replace("pin = 17", "pin = 17\ncycle = \"20s\"");
        play(&house, async |mut rig| {
            rig.run(15 * SECOND).await;
            assert_eq!(rig.world.pin(17), Some(false), "the pulse is over");
            rig.world.inject(&Claim::Pin(17), fault.clone());
            rig.run(10 * SECOND).await;
            let unconfirmed = rig.history.iter().any(
                |event| matches!(event, Event::Output(state) if state.output.as_str() == "heater" && !state.confirmed),
            );
            assert!(unconfirmed, "{fault:?}");
            assert_steady(&rig, "far.temperature", &fault);
            rig.world.heal(&Claim::Pin(17));
            if let Fault::Hang(gate) = &fault {
                gate.release();
            }
            rig.run(200 * SECOND).await;
            let pulses =
                rig.world.pin_changes(17).iter().filter(|(at, on)| *on && at.since_start() > 30 * SECOND).count();
            assert!((8..=11).contains(&pulses), "{pulses} pulses after {fault:?}");
        });
    }
}
