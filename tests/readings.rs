//! Readings that cannot be relied on, through the whole daemon: none of them moves an output, and what is good comes back by
//! itself. In virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Rig, play};
use homeostat::hardware::HardwareError;
use homeostat::hardware::simulated::{Chip, Fault, OneWireChip, Probe};
use homeostat::message::Event;
use homeostat::model::{Claim, Level, Sample};

const SECOND: Duration = Duration::from_secs(1);

const FIRST: &str = "28-000000000001";
const OTHER: &str = "28-000000000002";

/// The parts of every house: a fan that cools what comes in by `input`.
fn house(sensors: &str, input: &str) -> String {
    format!(
        r#"
        [node]
        name = "house"
        hardware = "simulated"

        {sensors}

        [outputs.fan]
        driver = "pwm"
        channel = 0

        [controllers.cooling]
        kind = "pid"
        input = "{input}"
        lower = "fan"
        setpoint = 20.0
        kp = 0.1
        stale_after = "10s"
        "#
    )
}

fn one(options: &str) -> String {
    let tank = format!("[sensors.tank]\ndriver = \"ds18b20\"\nid = \"{FIRST}\"\nevery = \"1s\"\n{options}");
    house(&tank, "tank.temperature")
}

fn two(policy: &str) -> String {
    let sensors = format!(
        "[sensors.tank]\ndriver = \"redundant\"\ninputs = [\"one.temperature\", \"two.temperature\"]\n\
         stale_after = \"5s\"\n{policy}\n\
         [sensors.one]\ndriver = \"ds18b20\"\nid = \"{FIRST}\"\nevery = \"1s\"\n\
         [sensors.two]\ndriver = \"ds18b20\"\nid = \"{OTHER}\"\nevery = \"1s\"\n"
    );
    house(&sensors, "tank.temperature")
}

/// A DS18B20 that says what it is set to.
#[derive(Clone)]
struct Dial(Arc<Mutex<f64>>);

impl Dial {
    fn set(&self, celsius: f64) {
        *self.0.lock().unwrap() = celsius;
    }
}

impl OneWireChip for Dial {
    fn read(&mut self, _: &str, _: &mut dyn Probe) -> Result<String, HardwareError> {
        let milli = (*self.0.lock().unwrap() * 1000.0).round();
        Ok(format!("6e 01 4b 46 7f ff 02 10 71 : crc=71 YES\n6e 01 4b 46 7f ff 02 10 71 t={milli}\n"))
    }
}

/// Puts a dial in the place of a chip.
fn dial(rig: &Rig, id: &str, celsius: f64) -> Dial {
    let dial = Dial(Arc::new(Mutex::new(celsius)));
    rig.world.plug(Chip::OneWire { id: id.to_owned(), model: Box::new(dial.clone()) }, id);
    dial
}

fn last(rig: &Rig) -> Sample {
    rig.readings("tank.temperature").last().unwrap().sample.clone()
}

fn fan(rig: &Rig) -> f64 {
    rig.world.pwm_level(0).unwrap().get()
}

/// What the alarm `sensors.tank` says, if it stands.
fn alarm(rig: &Rig) -> Option<String> {
    let standing = rig.daemon.alarms().standing_now();
    standing
        .iter()
        .find(|alarm| &*alarm.name == "sensors.tank.inputs")
        .map(|alarm| alarm.text.as_ref().unwrap().to_string())
}

#[track_caller]
fn assert_fan(rig: &Rig, level: f64) {
    assert!((fan(rig) - level).abs() < 1e-6, "the fan is at {}, not at {level}", fan(rig));
}

#[test]
fn a_value_outside_its_range_stops_the_controller_until_it_is_back() {
    play(&one("temperature = { valid = [0, 40] }"), async |mut rig| {
        let tank = dial(&rig, FIRST, 25.0);
        rig.run(3 * SECOND).await;
        assert_fan(&rig, 0.5);
        tank.set(41.5);
        rig.run(2 * SECOND).await;
        assert_eq!(last(&rig), Sample::Bad("41.5 °C is outside of the valid 0 to 40 °C".into()));
        assert_eq!(rig.world.pwm_level(0), Some(Level::OFF));
        tank.set(24.0);
        rig.run(2 * SECOND).await;
        assert_fan(&rig, 0.4);
    });
}

#[test]
fn what_a_ds18b20_says_without_having_measured_is_bad_and_moves_nothing() {
    for (code, reason) in [(85.0, "as after power-on"), (-127.0, "not connected")] {
        play(&one(""), async |mut rig| {
            let tank = dial(&rig, FIRST, 25.0);
            rig.run(3 * SECOND).await;
            assert_fan(&rig, 0.5);
            rig.history.clear();
            tank.set(code);
            // Long enough for the sensor to give up, and for some more lives.
            rig.run(30 * SECOND).await;
            for reading in rig.readings("tank.temperature").filter(|reading| reading.sample != Sample::Good(25.0)) {
                assert!(matches!(&reading.sample, Sample::Bad(why) if why.contains(reason)), "{reading:?}");
            }
            let levels = rig.history.iter().filter_map(|event| match event {
                Event::Output(state) => Some(state.level.get()),
                _ => None,
            });
            assert!(levels.into_iter().all(|level| level <= 0.5), "it acted on {code} °C");
            assert_eq!(rig.world.pwm_level(0), Some(Level::OFF));
            tank.set(24.0);
            rig.run(61 * SECOND).await;
            assert_fan(&rig, 0.4);
        });
    }
}

#[test]
fn a_spike_is_not_acted_on_and_a_step_is() {
    let options = "temperature = { max_rate = \"1 per 1s\", implausible = \"bad\" }";
    play(&one(options), async |mut rig| {
        let tank = dial(&rig, FIRST, 22.0);
        rig.run(3 * SECOND).await;
        tank.set(30.0);
        rig.run(2 * SECOND).await;
        assert_eq!(rig.world.pwm_level(0), Some(Level::OFF), "{:?}", last(&rig));
        assert!(last(&rig).reason().unwrap().starts_with("jumps impossibly: from 22 to 30 °C"), "{:?}", last(&rig));
        rig.run(SECOND).await;
        assert_eq!(last(&rig), Sample::Good(30.0));
        assert_fan(&rig, 1.0);
    });
}

#[test]
fn a_stuck_sensor_is_uncertain_also_if_it_fails_in_between() {
    play(&one("temperature = { stuck_after = \"1m\" }"), async |mut rig| {
        let tank = dial(&rig, FIRST, 25.0);
        rig.run(40 * SECOND).await;
        assert_eq!(last(&rig), Sample::Good(25.0));
        rig.daemon.restart("sensors.tank");
        rig.run(25 * SECOND).await;
        let Sample::Uncertain(value, why) = last(&rig) else { panic!("{:?}", last(&rig)) };
        assert_eq!(value, 25.0);
        assert!(why.starts_with("has been exactly 25 °C for 1m"), "{why}");
        assert_fan(&rig, 0.5);
        tank.set(25.5);
        rig.run(2 * SECOND).await;
        assert_eq!(last(&rig), Sample::Good(25.5));
    });
}

#[test]
fn failover_goes_to_the_second_sensor_and_back_and_says_so() {
    play(&two("policy = \"failover\""), async |mut rig| {
        dial(&rig, FIRST, 25.0);
        dial(&rig, OTHER, 27.0);
        rig.run(5 * SECOND).await;
        assert_eq!((last(&rig), alarm(&rig)), (Sample::Good(25.0), None));
        assert_fan(&rig, 0.5);

        rig.world.inject(&Claim::OneWire(FIRST.into()), Fault::Error);
        rig.run(10 * SECOND).await;
        assert_eq!(last(&rig), Sample::Good(27.0));
        assert_fan(&rig, 0.7);
        let text = alarm(&rig).expect("an alarm");
        assert!(text.starts_with("one.temperature: ") && text.ends_with("; two.temperature is used"), "{text}");
        let told = rig.history.iter().filter(
            |event| matches!(event, Event::Alarm(alarm) if &*alarm.name == "sensors.tank.inputs" && alarm.text.is_some()),
        );
        assert_eq!(told.count(), 1, "told once");

        rig.world.heal(&Claim::OneWire(FIRST.into()));
        rig.run(61 * SECOND).await;
        assert_eq!((last(&rig), alarm(&rig)), (Sample::Good(25.0), None));
        assert_fan(&rig, 0.5);
        // As often as one sensor reads, not as both together; but a change of the source is told at once.
        let times: Vec<_> = rig.readings("tank.temperature").map(|reading| reading.at).collect();
        let often = times.windows(2).filter(|pair| pair[1].since(pair[0]) < SECOND / 2).count();
        assert!(often <= 2 && (65..=80).contains(&times.len()), "{often} of {} too early", times.len());
    });
}

#[test]
fn sensors_that_disagree_stop_the_controller_and_one_alone_is_uncertain() {
    play(&two("policy = \"agree\"\nwithin = 1.0"), async |mut rig| {
        let (one, two) = (dial(&rig, FIRST, 25.0), dial(&rig, OTHER, 26.0));
        rig.run(5 * SECOND).await;
        assert_eq!((last(&rig), alarm(&rig)), (Sample::Good(25.5), None));
        assert_fan(&rig, 0.55);

        // Both move at once: that is no disagreement, whichever is read first.
        one.set(23.0);
        two.set(22.5);
        rig.history.clear();
        rig.run(5 * SECOND).await;
        assert!(rig.readings("tank.temperature").all(|reading| matches!(reading.sample, Sample::Good(_))));
        assert_eq!(last(&rig), Sample::Good(22.75));

        two.set(28.0);
        rig.run(3 * SECOND).await;
        let text = "one.temperature (23 °C) and two.temperature (28 °C) differ by more than 1 °C";
        assert_eq!((last(&rig), alarm(&rig)), (Sample::Bad(text.into()), Some(text.into())));
        assert_eq!(rig.world.pwm_level(0), Some(Level::OFF));

        rig.world.inject(&Claim::OneWire(OTHER.into()), Fault::Error);
        rig.run(3 * SECOND).await;
        assert_eq!(last(&rig), Sample::Uncertain(23.0, "only one.temperature answers".into()));
        assert_fan(&rig, 0.3);

        two.set(23.0);
        rig.world.heal(&Claim::OneWire(OTHER.into()));
        rig.run(61 * SECOND).await;
        assert_eq!((last(&rig), alarm(&rig)), (Sample::Good(23.0), None));
    });
}

#[test]
fn without_a_fresh_input_a_redundant_sensor_turns_bad_by_itself() {
    for policy in ["policy = \"failover\"", "policy = \"agree\"\nwithin = 1.0"] {
        play(&two(policy), async |mut rig| {
            dial(&rig, FIRST, 25.0);
            dial(&rig, OTHER, 25.0);
            rig.run(5 * SECOND).await;
            assert_fan(&rig, 0.5);
            // Each end doubles the wait until the next life, until it is longer than a reading is fresh.
            for _ in 0..5 {
                rig.daemon.restart("sensors.one");
                rig.daemon.restart("sensors.two");
                rig.run(40 * SECOND).await;
            }
            rig.daemon.restart("sensors.one");
            rig.daemon.restart("sensors.two");
            rig.history.clear();
            rig.run(6 * SECOND).await;
            let Sample::Bad(why) = last(&rig) else { panic!("{:?}", last(&rig)) };
            assert_eq!(&*why, "one.temperature does not answer, two.temperature does not answer");
            assert_eq!(rig.world.pwm_level(0), Some(Level::OFF));
            let offline = rig
                .history
                .iter()
                .any(|event| matches!(event, Event::Sensor(state) if state.sensor.as_str() == "tank" && !state.online));
            assert!(offline, "{policy}");
        });
    }
}

#[test]
fn a_redundant_sensor_that_is_begun_anew_goes_on() {
    play(&two("policy = \"agree\"\nwithin = 1.0"), async |mut rig| {
        dial(&rig, FIRST, 25.0);
        dial(&rig, OTHER, 25.0);
        rig.run(5 * SECOND).await;
        rig.daemon.restart("sensors.tank");
        rig.run(4 * SECOND).await;
        assert_eq!((last(&rig), alarm(&rig)), (Sample::Good(25.0), None));
        assert_fan(&rig, 0.5);
    });
}

/// The tank is calculated: 20 °C and what the difference of the two makes of 10.
fn calculated() -> String {
    let two = two("");
    let formula = "driver = \"formula\"\nvalue = \"20 + 10 / (two.temperature - one.temperature)\"\nunit = \"°C\"\n";
    let (before, after) = two.split_once("driver = \"redundant\"").unwrap();
    let (_, after) = after.split_once("stale_after").unwrap();
    format!("{before}{formula}stale_after{after}")
}

#[test]
fn a_formula_is_acted_on_while_all_that_it_needs_is_there() {
    play(&calculated(), async |mut rig| {
        let (_, two) = (dial(&rig, FIRST, 25.0), dial(&rig, OTHER, 27.0));
        rig.run(5 * SECOND).await;
        assert_eq!((last(&rig), alarm(&rig)), (Sample::Good(25.0), None));
        assert_fan(&rig, 0.5);

        two.set(25.0);
        rig.run(3 * SECOND).await;
        let why = "the formula divides by zero";
        assert_eq!((last(&rig), alarm(&rig)), (Sample::Bad(why.into()), Some(why.into())));
        assert_eq!(rig.world.pwm_level(0), Some(Level::OFF));

        two.set(30.0);
        rig.run(3 * SECOND).await;
        assert_eq!((last(&rig), alarm(&rig)), (Sample::Good(22.0), None));
        assert_fan(&rig, 0.2);

        rig.world.inject(&Claim::OneWire(FIRST.into()), Fault::Error);
        rig.run(3 * SECOND).await;
        let Sample::Bad(why) = last(&rig) else { panic!("{:?}", last(&rig)) };
        assert!(why.starts_with("one.temperature: "), "{why}");
        assert_eq!((rig.world.pwm_level(0), alarm(&rig)), (Some(Level::OFF), None));

        rig.world.heal(&Claim::OneWire(FIRST.into()));
        rig.run(61 * SECOND).await;
        assert_eq!(last(&rig), Sample::Good(22.0));
        // As often as its inputs read together, and not as both.
        let readings = rig.readings("tank.temperature").count();
        assert!((65..=80).contains(&readings), "{readings} in 75 s");
    });
}
