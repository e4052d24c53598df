//! A changed configuration while the daemon runs: what did not change misses no tick, and no pin moves that need not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

mod common;

use std::ops::RangeInclusive;
use std::time::Duration;

use common::houses::room;
use common::link::{self, FakeBroker};
use common::{Rig, Setting, house, play, play_in};
use homeostat::config;
use homeostat::daemon::Refused;
use homeostat::hardware::lane::Gate;
use homeostat::hardware::simulated::Fault;
use homeostat::message::{Adjust, Event};
use homeostat::model::{Claim, ControllerId, Level, Monotonic};
use homeostat::payload::History;

const HOUSE: &str = concat!(
    r#"
    [node]
    name = "house"
    hardware = "simulated"

    [sensors.air]
    driver = "bme280"
    every = "1s"

    [sensors.tank]
    driver = "ds18b20"
    id = "28-0316a2795cff"
    every = "1s"

    [outputs.heater]
    driver = "gpio"
    pin = 17

    [outputs.pump]
    driver = "gpio"
    pin = 27
    cycle = "10s"

    [outputs.fan]
    driver = "pwm"
    channel = 0

    [controllers.warmth]
    kind = "pid"
    input = "air.temperature"
    raise = "fan"
    setpoint = 30.0
    kp = 0.05
    ki = 0.0001

    [controllers.depth]
    kind = "pid"
    input = "tank.temperature"
    raise = "pump"
    setpoint = 30.0
    kp = 0.05
    stale_after = "5s"
"#,
    room!()
);

const SECOND: Duration = Duration::from_secs(1);

async fn reload(rig: &mut Rig, text: &str) -> Result<String, Refused> {
    let config = config::parse(text).expect("a right configuration");
    rig.daemon.reload(config).await.map(|difference| difference.to_string())
}

/// A reading every second from `since` on, none missed, none late.
fn assert_steady(rig: &Rig, channel: &str, since: Monotonic) {
    let times: Vec<_> = rig.readings(channel).map(|reading| reading.at).filter(|at| *at >= since).collect();
    assert!(times.len() > 20, "{channel}: {} readings", times.len());
    for pair in times.windows(2) {
        assert_eq!(pair[1].since(pair[0]), SECOND, "{channel} after {:?}", pair[0]);
    }
}

/// Every act of a controller, in order.
fn acts(rig: &Rig, controller: &str) -> Vec<f64> {
    let of = |event: &Event| match event {
        Event::Controller(state) if state.controller.as_str() == controller => Some(state.output),
        _ => None,
    };
    rig.history.iter().filter_map(of).collect()
}

#[test]
fn the_same_file_changes_nothing_at_all() {
    play(HOUSE, async |mut rig| {
        rig.run(20 * SECOND).await;
        assert_eq!(reload(&mut rig, &format!("# a comment\n{HOUSE}")).await.unwrap(), "nothing has changed");
        rig.run(20 * SECOND).await;
        assert_steady(&rig, "air.temperature", Monotonic::default());
        assert_steady(&rig, "tank.temperature", Monotonic::default());
    });
}

#[test]
fn a_changed_sensor_is_begun_anew_and_all_others_keep_their_ticks() {
    play(HOUSE, async |mut rig| {
        rig.run(20 * SECOND).await;
        let changed =
            HOUSE.replace("driver = \"bme280\"\n    every = \"1s\"", "driver = \"bme280\"\n    every = \"2s\"");
        assert_eq!(reload(&mut rig, &changed).await.unwrap(), "sensors.air begun anew; 8 went on as they were");
        rig.history.clear();
        let asked = rig.clock.now();
        rig.run(40 * SECOND).await;
        assert_steady(&rig, "tank.temperature", asked);
        let air = rig.readings("air.temperature").filter(|reading| reading.at >= asked + 3 * SECOND).count();
        assert!((17..=19).contains(&air), "{air} readings");
        assert_eq!(acts(&rig, "depth").len(), 40, "the other loop acted every second");
    });
}

#[test]
fn a_changed_controller_goes_on_from_the_output_of_the_one_before() {
    play(HOUSE, async |mut rig| {
        rig.run(20 * SECOND).await;
        let warmth = ControllerId::new("warmth").unwrap();
        rig.daemon.bus().adjust(&warmth, Adjust::Setpoint(31.0)).unwrap();
        rig.run(60 * SECOND).await;
        let (before, other) = (*acts(&rig, "warmth").last().unwrap(), acts(&rig, "depth").len());
        assert!(before > 0.5, "{before}");
        let pin = rig.world.pwm_level(0);
        let changed = HOUSE.replace("kp = 0.05\n    ki", "kp = 0.08\n    ki");
        assert_eq!(reload(&mut rig, &changed).await.unwrap(), "controllers.warmth adjusted; 8 went on as they were");
        assert_eq!(rig.world.pwm_level(0), pin, "nothing moves at the reload itself");
        rig.run(30 * SECOND).await;
        let after = *acts(&rig, "warmth").last().unwrap();
        assert!((after - before).abs() < 0.05, "from {before} to {after}");
        assert_eq!(acts(&rig, "depth").len() - other, 30, "its neighbour acted every second");
        assert_steady(&rig, "air.temperature", Monotonic::default());
    });
}

#[test]
fn what_is_removed_goes_to_its_safe_level_and_what_is_added_begins() {
    play(HOUSE, async |mut rig| {
        rig.run(20 * SECOND).await;
        assert!(rig.world.pwm_level(0).unwrap().is_on());
        let without = |from: &str, to: &str, text: &str| {
            let (start, end) = (text.find(from).unwrap(), text.find(to).unwrap());
            format!("{}{}", &text[..start], &text[end..])
        };
        let smaller = without("[controllers.warmth]", "[controllers.depth]", HOUSE);
        let smaller = without("[outputs.fan]", "[controllers.depth]", &smaller);
        let smaller = without("[sensors.air]", "[sensors.tank]", &smaller);
        let told = reload(&mut rig, &smaller).await.unwrap();
        assert_eq!(
            told,
            "controllers.warmth removed, outputs.fan removed, sensors.air removed; 6 went on as they were"
        );
        assert_eq!(rig.world.pwm_level(0), Some(Level::OFF), "at once, not when a lease ends");
        rig.run(SECOND).await;
        rig.history.clear();
        rig.run(30 * SECOND).await;
        assert_eq!(rig.readings("air.temperature").count(), 0);
        assert_steady(&rig, "tank.temperature", Monotonic::default());

        reload(&mut rig, HOUSE).await.unwrap();
        rig.run(30 * SECOND).await;
        assert!(rig.readings("air.temperature").count() >= 29);
        assert!(rig.world.pwm_level(0).unwrap().is_on());
        assert_steady(&rig, "tank.temperature", Monotonic::default());
    });
}

/// Without any output, and with two that have lanes of their own.
const HALL: &str = r#"
    [node]
    name = "hall"
    hardware = "simulated"

    [sensors.air]
    driver = "bme280"
    every = "1s"
"#;
const LAMP_AND_FAN: &str = r#"
    [outputs.lamp]
    driver = "gpio"
    pin = 5

    [outputs.fan]
    driver = "pwm"
    channel = 0
"#;

#[test]
fn outputs_that_hang_hold_up_a_reload_no_longer_than_one_of_them() {
    play(HALL, async |mut rig| {
        let (both, gate) = (format!("{HALL}{LAMP_AND_FAN}"), Gate::new());
        for text in [&*both, HALL] {
            for claim in [Claim::Pin(5), Claim::Pwm(0)] {
                rig.world.inject(&claim, Fault::Hang(gate.clone()));
            }
            let before = rig.clock.now();
            reload(&mut rig, text).await.unwrap();
            let took = rig.clock.now().since(before);
            assert!(took < Duration::from_millis(900), "{took:?}");
        }
        gate.release();
    });
}

#[test]
fn a_rewired_output_leaves_its_old_pin_safe() {
    play(HOUSE, async |mut rig| {
        rig.run(12 * SECOND).await;
        assert_eq!(rig.world.pin(27), Some(true), "the pump is in its pulse");
        reload(&mut rig, &HOUSE.replace("pin = 27", "pin = 22")).await.unwrap();
        assert_eq!(rig.world.pin(27), Some(false));
        rig.run(30 * SECOND).await;
        assert_eq!(rig.world.pin(27), Some(false));
        assert!(rig.world.pin_changes(22).iter().any(|(_, on)| *on), "and drives the new one");
    });
}

#[test]
fn new_limits_hold_at_once_and_move_nothing_else() {
    play(HOUSE, async |mut rig| {
        rig.run(12 * SECOND).await;
        let before = rig.world.pin_changes(27);
        assert_eq!(rig.world.pin(27), Some(true), "the pump is in its pulse");
        let told = reload(&mut rig, &HOUSE.replace("pin = 27", "pin = 27\n    min_off = \"4s\"")).await.unwrap();
        assert_eq!(told, "outputs.pump adjusted; 8 went on as they were");
        assert_eq!(rig.world.pin_changes(27), before, "the pulse goes on");
        rig.run(60 * SECOND).await;
        let changes = rig.world.pin_changes(27);
        for pair in changes.windows(2).skip(before.len()).filter(|pair| !pair[0].1) {
            assert!(pair[1].0.since(pair[0].0) >= 4 * SECOND, "{pair:?}");
        }
        assert!(changes.len() > before.len() + 4);
    });
}

#[test]
fn what_only_a_restart_can_change_is_refused_as_a_whole() {
    play(HOUSE, async |mut rig| {
        rig.run(20 * SECOND).await;
        let wanted = format!("{}\n[store]\npath = \"other.db\"", HOUSE.replace("every = \"1s\"", "every = \"2s\""));
        let refused = reload(&mut rig, &wanted).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "[store] path cannot be changed while homeostat runs: restart it to apply that"
        );
        rig.run(20 * SECOND).await;
        assert_steady(&rig, "air.temperature", Monotonic::default());
    });
}

#[test]
fn an_alarm_that_holds_outputs_is_not_dodged_by_a_reload() {
    // A heater that is wired to nothing: full power has no effect.
    let house = HOUSE.replace(
        "setpoint = 30.0\n    kp = 0.05\n    ki = 0.0001",
        "setpoint = 90.0\n    kp = 1.0\n    watch = { gain = 1.0, within = \"1m\" }",
    );
    play(&house, async |mut rig| {
        rig.run(90 * SECOND).await;
        assert!(rig.daemon.alarms().is_latched("controllers.warmth.watch"));
        assert_eq!(rig.world.pwm_level(0), Some(Level::OFF));

        let elsewhere = house
            .replace("raise = \"fan\"", "raise = \"heater\"\n    lower = \"fan\"")
            .replace("pin = 17", "pin = 17\n    cycle = \"10s\"");
        let renamed = house.replace("controllers.warmth", "controllers.heat");
        for wanted in [elsewhere, renamed] {
            let refused = reload(&mut rig, &wanted).await.unwrap_err().to_string();
            assert!(refused.contains("homeostat ack controllers.warmth.watch"), "{refused}");
        }
        // Without its watch it is the same controller, and held as before.
        let unwatched = house.replace("    watch = { gain = 1.0, within = \"1m\" }", "");
        reload(&mut rig, &unwatched).await.unwrap();
        rig.run(300 * SECOND).await;
        assert_eq!(rig.world.pwm_level(0), Some(Level::OFF));
        rig.daemon.alarms().acknowledge("controllers.warmth.watch").unwrap();
        rig.run(40 * SECOND).await;
        assert_eq!(rig.world.pwm_level(0), Some(Level::ON));
    });
}

#[test]
fn what_a_controller_did_to_one_output_says_nothing_of_another() {
    play(HOUSE, async |mut rig| {
        let warmth = ControllerId::new("warmth").unwrap();
        rig.daemon.bus().adjust(&warmth, Adjust::Manual(1.0, None)).unwrap();
        rig.run(20 * SECOND).await;
        assert_eq!(rig.world.pwm_level(0), Some(Level::ON));
        let moved =
            HOUSE.replace("raise = \"fan\"", "raise = \"heater\"").replace("pin = 17", "pin = 17\n    cycle = \"10s\"");
        reload(&mut rig, &moved).await.unwrap();
        assert_eq!(rig.world.pwm_level(0), Some(Level::OFF), "who left its output has taken its demand back");
        rig.run(5 * SECOND).await;
        let first = acts(&rig, "warmth").last().copied().unwrap();
        assert!(first < 0.6, "it begins with its own arithmetic, not at {first}");
    });
}

#[test]
fn the_alarms_of_what_is_removed_go_with_it() {
    let both = HOUSE.replace("[outputs.heater]", "[sensors.both]\n    driver = \"redundant\"\n    inputs = [\"air.temperature\", \"tank.temperature\"]\n    policy = \"failover\"\n\n    [outputs.heater]");
    play(&both, async |mut rig| {
        rig.run(20 * SECOND).await;
        rig.world.inject(&Claim::I2c { bus: 1, address: 0x76 }, Fault::Error);
        rig.run(60 * SECOND).await;
        let standing =
            |rig: &Rig| rig.daemon.alarms().standing_now().iter().any(|alarm| &*alarm.name == "sensors.both.inputs");
        assert!(standing(&rig));
        reload(&mut rig, HOUSE).await.unwrap();
        assert!(!standing(&rig));
    });
}

#[test]
fn the_history_is_of_what_is_measured_while_there_is_mqtt() {
    let broker = FakeBroker::default();
    let setting = Setting { broker: Some(broker.clone()), ..Setting::default() };
    play_in(setting, HOUSE, |mut rig| async move {
        rig.run(Duration::from_secs(20)).await;
        rig.daemon.reload(house(HOUSE)).await.unwrap();
        let left = rig.daemon.bus().last_seq();
        rig.run(Duration::from_secs(60)).await;
        let mut config = house(HOUSE);
        config.mqtt = Some(link::config());
        rig.daemon.reload(config).await.unwrap();
        let came = rig.daemon.bus().last_seq();
        rig.run(Duration::from_secs(20)).await;
        let pages = broker.passed().into_iter().filter(|(topic, _)| topic.ends_with("/history"));
        let numbers: Vec<u64> = pages
            .flat_map(|(_, page)| serde_json::from_str::<History<'static>>(&page).unwrap().readings)
            .map(|reading| reading.seq)
            .collect();
        let count = |range: RangeInclusive<u64>| numbers.iter().filter(|number| range.contains(number)).count();
        assert!(left > 20 && came > left + 100 && count(0..=left) > 20, "{numbers:?}");
        assert_eq!(count(left + 1..=came), 0, "{left}, {came}: {numbers:?}");
        assert!(count(came + 1..=u64::MAX) > 20, "{numbers:?}");
    });
}
