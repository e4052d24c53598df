//! Commands over MQTT on a whole daemon, with a broker in memory, in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

mod common;

use std::time::Duration;

use common::link::{FakeBroker, config};
use common::{Rig, Setting, house, play, play_in};
use homeostat::model::OutputId;
use homeostat::model::dose::Dosed;

const HOUSE: &str = r#"
    [node]
    name = "house"
    hardware = "simulated"

    [outputs.heater]
    driver = "gpio"
    pin = 17
    min_off = "10s"

    [outputs.fan]
    driver = "pwm"
    channel = 0

    [outputs.pump]
    driver = "gpio"
    pin = 27
    cycle = "10s"
    remote = false

    [outputs.mist]
    driver = "gpio"
    pin = 22
    cycle = "10s"

    [outputs.food]
    driver = "pump"
    pin = 5
    ml_per_second = 2.0
    max_on = "20s"
    min_off = "2s"

    [sensors.air]
    driver = "bme280"
    every = "1s"

    [controllers.warmth]
    kind = "pid"
    input = "air.temperature"
    raise = "fan"
    setpoint = 15.0
    kp = 0.1

    [controllers.wet]
    kind = "pid"
    input = "air.humidity"
    raise = "pump"
    setpoint = 0.0
    kp = 0.1

    [simulation.plants.room]
    kind = "room"
    initial = 12.0
    outdoor = 10.0
    heat_capacity = 1e5
    heat_loss = 50.0

    [simulation.probes]
    air = "room"
"#;

const SECOND: Duration = Duration::from_secs(1);

fn scenario(then: impl AsyncFnOnce(Rig, FakeBroker)) {
    let broker = FakeBroker::default();
    let setting = Setting { broker: Some(broker.clone()), ..Setting::default() };
    play_in(setting, HOUSE, async |mut rig| {
        // Past the min_off of the start.
        rig.run(11 * SECOND).await;
        then(rig, broker).await;
    });
}

fn output(name: &str) -> OutputId {
    OutputId::new(name).unwrap()
}

/// All that was answered under this id, in order.
fn answers(broker: &FakeBroker, id: &str) -> Vec<String> {
    let topic = format!("homeostat/house/result/{id}");
    broker.passed().into_iter().filter(|(said, _)| *said == topic).map(|(_, payload)| payload).collect()
}

async fn say(rig: &mut Rig, broker: &FakeBroker, path: &str, payload: &str) {
    broker.publish(&format!("homeostat/house/{path}"), payload);
    rig.run(SECOND / 2).await;
}

#[test]
fn an_output_takes_what_is_said_and_its_sender_hears_of_it() {
    scenario(async |mut rig, broker| {
        say(&mut rig, &broker, "heater/set", "on").await;
        assert_eq!(rig.world.pin(17), Some(true));
        say(&mut rig, &broker, "heater/set", r#"{"level": "off", "id": "a1"}"#).await;
        assert_eq!(rig.world.pin(17), Some(false));
        assert_eq!(answers(&broker, "a1"), [r#"{"result":"accepted"}"#, r#"{"result":"done"}"#]);

        // A limit keeps it from following, until it does not.
        say(&mut rig, &broker, "heater/set", r#"{"on": true, "for": "1m", "id": "a2"}"#).await;
        assert_eq!((rig.world.pin(17), answers(&broker, "a2").len()), (Some(false), 1));
        rig.run(11 * SECOND).await;
        assert_eq!((rig.world.pin(17), answers(&broker, "a2").len()), (Some(true), 2));
        // And its lease ends.
        rig.run(50 * SECOND).await;
        assert_eq!(rig.world.pin(17), Some(false));

        say(&mut rig, &broker, "fan/set", "40").await;
        assert_eq!(rig.world.pwm_level(0).map(|level| level.get()), Some(0.4));
        say(&mut rig, &broker, "fan/set", r#"{"level": "auto", "id": "a3"}"#).await;
        rig.run(SECOND).await;
        assert!(rig.world.pwm_level(0).is_some_and(|level| level.get() != 0.4), "its controller has it again");
        assert_eq!(answers(&broker, "a3"), [r#"{"result":"accepted"}"#, r#"{"result":"done"}"#]);
        say(&mut rig, &broker, "mist/set", r#"{"level": 0.6, "id": "a4"}"#).await;
        assert_eq!(answers(&broker, "a4").len(), 2, "{:?}", answers(&broker, "a4"));
    });
}

/// How long a pin was on so far.
fn on_time(rig: &Rig, pin: u8) -> Duration {
    let changes = rig.world.pin_changes(pin);
    let spans = changes.iter().zip(changes.iter().skip(1));
    spans.filter(|((_, on), _)| *on).map(|((from, _), (to, _))| to.since(*from)).sum()
}

#[test]
fn a_dose_is_given_for_exactly_as_long_as_it_takes_and_its_sender_hears_how_much_it_was() {
    scenario(async |mut rig, broker| {
        say(&mut rig, &broker, "food/set", r#"{"ml": 12.5, "id": "d1"}"#).await;
        assert_eq!((rig.world.pin(5), answers(&broker, "d1").len()), (Some(true), 1));
        say(&mut rig, &broker, "food/set", r#"{"ml": 3, "id": "d2"}"#).await;
        let refused = answers(&broker, "d2");
        assert!(refused.len() == 1 && refused[0].contains("a dose runs there"), "{refused:?}");
        rig.run(6 * SECOND).await;
        let near = |expected: f64| (on_time(&rig, 5).as_secs_f64() - expected).abs() < 0.05;
        assert!(near(6.25), "{:?}", on_time(&rig, 5));
        assert_eq!(answers(&broker, "d1")[1..], [r#"{"result":"done","why":"12.5 ml were given"}"#]);

        // Somebody ends the next one, and min_off keeps the pump off for half of the last.
        rig.run(2 * SECOND).await;
        say(&mut rig, &broker, "food/set", "8 ml").await;
        assert_eq!(rig.world.pin(5), Some(true));
        say(&mut rig, &broker, "food/set", r#"{"ml": 1, "id": "d3"}"#).await;
        say(&mut rig, &broker, "food/set", "off").await;
        assert_eq!(rig.world.pin(5), Some(false));
        rig.run(SECOND / 2).await;
        say(&mut rig, &broker, "food/set", r#"{"ml": 4, "id": "d4"}"#).await;
        rig.run(3 * SECOND).await;
        let told = answers(&broker, "d4");
        assert!(told.len() == 2 && told[1].contains(r#""expired","why":"cut short, "#), "{told:?}");
        assert!(told[1].contains("of 4 ml were given: ") && told[1].contains("min_off"), "{told:?}");
        say(&mut rig, &broker, "food/set", r#"{"ml": 8, "id": "d5"}"#).await;
        rig.run(2 * SECOND).await;
        say(&mut rig, &broker, "food/set", r#"{"on": false, "id": "end"}"#).await;
        let told = answers(&broker, "d5");
        assert!(told[1].starts_with(r#"{"result":"rejected","why":"cut short, "#), "{told:?}");
        assert_eq!((rig.world.pin(5), answers(&broker, "end").len()), (Some(false), 2));
    });
}

#[test]
fn of_a_dose_by_hand_it_is_known_what_was_given_also_without_a_broker() {
    play(HOUSE, async |mut rig| {
        let hand = rig.daemon.hand();
        rig.run(3 * SECOND).await;
        assert_eq!(hand.dosed("food"), None);
        hand.set("food", b"8 ml").await.unwrap();
        rig.run(2 * SECOND).await;
        assert_eq!(hand.dosed("food"), Some(Dosed::Running));
        rig.run(2 * SECOND + SECOND / 10).await;
        assert_eq!(hand.dosed("food"), Some(Dosed::Given("8 ml were given".into())));

        // A limit keeps the pump off for some of the next one.
        hand.set("food", b"4 ml").await.unwrap();
        rig.run(3 * SECOND).await;
        let Some(Dosed::CutShort(told)) = hand.dosed("food") else { panic!("{:?}", hand.dosed("food")) };
        assert!(told.contains("of 4 ml were given: ") && told.contains("min_off"), "{told}");

        // And a person ends the last.
        rig.run(2 * SECOND).await;
        hand.set("food", b"30 ml").await.unwrap();
        rig.run(5 * SECOND).await;
        hand.end("food");
        rig.run(SECOND / 10).await;
        let on = on_time(&rig, 5);
        rig.run(SECOND).await;
        let Some(Dosed::CutShort(told)) = hand.dosed("food") else { panic!("{:?}", hand.dosed("food")) };
        assert!(
            told.starts_with("cut short, 10") && told.ends_with("of 30 ml were given: it was interrupted"),
            "{told}"
        );
        assert_eq!(on_time(&rig, 5), on);
    });
}

#[test]
fn a_dose_by_hand_is_not_the_one_over_mqtt() {
    scenario(async |mut rig, broker| {
        let hand = rig.daemon.hand();
        hand.set("food", b"8 ml").await.unwrap();
        say(&mut rig, &broker, "food/set", r#"{"ml": 3, "id": "d1"}"#).await;
        let refused = answers(&broker, "d1");
        assert!(refused[0].contains("a dose that hand asked for runs there, and "), "{refused:?}");
        say(&mut rig, &broker, "food/set", "off").await;
        rig.run(5 * SECOND).await;
        let Some(Dosed::CutShort(told)) = hand.dosed("food") else { panic!("{:?}", hand.dosed("food")) };
        assert!(told.contains("of 8 ml were given: mqtt asks for off"), "{told}");
        assert!(hand.set("food", b"2 ml").await.is_ok(), "the next one");
    });
}

#[test]
fn what_cannot_be_done_in_its_time_expires_and_what_comes_after_it_wins() {
    scenario(async |mut rig, broker| {
        say(&mut rig, &broker, "heater/set", "on").await;
        say(&mut rig, &broker, "heater/set", "off").await;
        say(&mut rig, &broker, "heater/set", r#"{"on": true, "for": "3s", "id": "late"}"#).await;
        rig.run(4 * SECOND).await;
        let told = answers(&broker, "late");
        assert!(told.len() == 2 && told[1].starts_with(r#"{"result":"expired","why":""#), "{told:?}");
        assert!(told[1].contains("min_off"), "{told:?}");
        say(&mut rig, &broker, "heater/set", r#"{"on": true, "id": "first"}"#).await;
        say(&mut rig, &broker, "heater/set", r#"{"on": false, "id": "second"}"#).await;
        assert!(answers(&broker, "first")[1].contains("another command has come after it"));
        assert_eq!(answers(&broker, "second").len(), 2);
        // Whoever has no name is heard, too.
        say(&mut rig, &broker, "heater/set", r#"{"on": true, "id": "third"}"#).await;
        say(&mut rig, &broker, "heater/set", "off").await;
        assert!(answers(&broker, "third")[1].contains("another command has come after it"));
    });
}

#[test]
fn what_is_not_understood_or_not_allowed_is_rejected_with_the_reason_and_nothing_moves() {
    let cases = [
        ("heater/set", r#"{"level": 2, "id": "x"}"#, "`level` is 0 to 1"),
        ("heater/set", r#"{"level": 1, "on": true, "id": "x"}"#, "either `level` or `on`"),
        ("heater/set", r#"{"on": true, "for": "soon", "id": "x"}"#, "`for`: write a number and a unit"),
        ("heater/set", r#"{"on": true, "for": "169h", "id": "x"}"#, "`for` is more than nothing and at most 168h"),
        ("heater/set", r#"{"brightness": 3, "id": "x"}"#, "unknown field `brightness`"),
        ("heater/set", r#"{"on": "maybe", "id": "x"}"#, "invalid type"),
        ("pump/set", r#"{"on": true, "id": "x"}"#, "`remote = false`"),
        ("pumpe/set", r#"{"on": true, "id": "x"}"#, "no output and no controller pumpe"),
        ("warmth/set", r#"{"mode": "fast", "id": "x"}"#, "write a number for its setpoint"),
        ("warmth/set", r#"{"mode": "manual", "id": "x"}"#, "which `output`"),
        ("warmth/set", r#"{"output": 3, "id": "x"}"#, "`output` is -1 to 1"),
        ("warmth/set", r#"{"id": "x"}"#, "a `setpoint` or a `mode`"),
        ("warmth/set", r#"{"setpoint": 215, "id": "x"}"#, "a setpoint of warmth is from -5 to 35 °C"),
        ("warmth/set", r#"{"mode": "off", "for": "5m", "id": "x"}"#, "`for` is how long it is to hold an `output`"),
        ("wet/set", r#"{"mode": "manual", "output": 1, "id": "x"}"#, "an output of wet takes no commands"),
        ("heater/set", r#"{"level": 0.6, "id": "x"}"#, "heater is on or off"),
        ("heater/set", r#"{"ml": 5, "id": "x"}"#, "heater gives no doses: it has no `ml_per_second`"),
        ("food/set", r#"{"ml": 5, "for": "5s", "id": "x"}"#, "leave out `for`"),
        ("food/set", r#"{"ml": 5, "on": true, "id": "x"}"#, "or `ml`"),
        ("food/set", r#"{"ml": 0, "id": "x"}"#, "a dose is more than nothing"),
        ("food/set", r#"{"ml": 40.5, "id": "x"}"#, "food cannot give that: it gives 40 ml at most at once: `max_on`"),
        ("food/set", r#"{"ml": 0.3, "id": "x"}"#, "it gives 0.4 ml at least at once"),
        ("command/ack", r#"{"name": "nothing", "id": "x"}"#, "nothing"),
        ("command/reload", r#"{"id": "x"}"#, "no file to read again"),
    ];
    scenario(async |mut rig, broker| {
        for (number, (path, payload, why)) in cases.into_iter().enumerate() {
            let id = format!("case{number}");
            say(&mut rig, &broker, path, &payload.replace("\"x\"", &format!("\"{id}\""))).await;
            let told = answers(&broker, &id);
            let last = told.last().unwrap_or_else(|| panic!("{path} {payload}: no answer"));
            assert!(last.starts_with(r#"{"result":"rejected""#) && last.contains(why), "{path} {payload}: {last}");
        }
        let (before, outputs) = (broker.passed().len(), rig.daemon.bus().outputs());
        for garbage in ["", "maybe", "\u{0}", "{", "[1]", "101", "-1", "NaN", &"9".repeat(5000)] {
            say(&mut rig, &broker, "heater/set", garbage).await;
        }
        say(&mut rig, &broker, "command/explode", "now").await;
        assert_eq!(broker.passed().iter().skip(before).filter(|(topic, _)| topic.contains("result")).count(), 0);
        assert_eq!((rig.world.pin(17), rig.world.pin(27)), (Some(false), Some(false)));
        let mut now = rig.daemon.bus().outputs();
        let (was, is) = (&outputs[&output("heater")], now.remove(&output("heater")).unwrap());
        assert_eq!(was.now, is.now, "nothing was demanded");
    });
}

#[test]
fn what_lies_at_the_broker_is_not_obeyed() {
    let broker = FakeBroker::default();
    broker.leave("homeostat/house/heater/set", "on");
    broker.leave("homeostat/house/fan/set", r#"{"level": 1, "id": "left"}"#);
    let setting = Setting { broker: Some(broker.clone()), ..Setting::default() };
    play_in(setting, HOUSE, async |mut rig| {
        rig.run(20 * SECOND).await;
        assert_eq!((rig.world.pin(17), answers(&broker, "left")), (Some(false), vec![]));
        // Whoever clears it publishes nothing at all, and that is no command.
        say(&mut rig, &broker, "command/reload", "").await;
        say(&mut rig, &broker, "heater/set", "").await;
        assert_eq!(rig.world.pin(17), Some(false));
        broker.forget();
        rig.run(20 * SECOND).await;
        assert_eq!(rig.world.pin(17), Some(false));
    });
}

#[test]
fn an_output_that_takes_no_more_commands_is_let_go() {
    scenario(async |mut rig, broker| {
        say(&mut rig, &broker, "heater/set", r#"{"on": true, "for": "168h", "id": "stranger"}"#).await;
        assert_eq!(
            (rig.world.pin(17), answers(&broker, "stranger").len()),
            (Some(true), 2),
            "{:?}",
            answers(&broker, "stranger")
        );
        let mut closed = house(&HOUSE.replace("min_off = \"10s\"", "min_off = \"10s\"\n    remote = false"));
        closed.mqtt = Some(config());
        rig.daemon.reload(closed).await.unwrap();
        rig.run(SECOND).await;
        assert_eq!(rig.world.pin(17), Some(false));
        say(&mut rig, &broker, "heater/set", r#"{"on": true, "id": "again"}"#).await;
        assert!(answers(&broker, "again")[0].contains("`remote = false`"));
    });
}

#[test]
fn a_controller_takes_a_setpoint_and_a_mode() {
    scenario(async |mut rig, broker| {
        let state = |rig: &Rig| rig.daemon.bus().controllers().into_values().next().unwrap();
        say(&mut rig, &broker, "warmth/set", "17.5").await;
        rig.run(SECOND).await;
        assert_eq!(state(&rig).setpoint, 17.5);
        say(&mut rig, &broker, "warmth/set", r#"{"mode": "manual", "output": 0.25, "id": "m"}"#).await;
        rig.run(SECOND).await;
        assert_eq!((state(&rig).output, answers(&broker, "m")), (0.25, vec![r#"{"result":"done"}"#.to_owned()]));
        say(&mut rig, &broker, "warmth/set", "automatic").await;
        rig.run(SECOND).await;
        assert!(state(&rig).output > 0.3);
        // By hand it is held for a time.
        say(&mut rig, &broker, "warmth/set", r#"{"output": 0.25, "for": "10s"}"#).await;
        rig.run(5 * SECOND).await;
        assert_eq!(state(&rig).output, 0.25);
        rig.run(10 * SECOND).await;
        assert!(state(&rig).output != 0.25);
    });
}

#[test]
fn alarms_are_acknowledged_and_everything_is_published_again() {
    scenario(async |mut rig, broker| {
        rig.daemon.alarms().latch("controllers.warmth.watch", "no warmer");
        say(&mut rig, &broker, "command/ack", "controllers.warmth.watch").await;
        assert_eq!(rig.daemon.alarms().standing_now(), []);

        let topics = broker.topics();
        broker.lose_retained();
        say(&mut rig, &broker, "command/publish", r#"{"id": "p"}"#).await;
        rig.run(SECOND).await;
        assert_eq!(answers(&broker, "p"), [r#"{"result":"done"}"#]);
        let again = broker.topics();
        assert!(topics.iter().all(|topic| again.contains(topic)), "{topics:?}\n{again:?}");
        // However often it is asked for, it is done once in a while.
        let told = |broker: &FakeBroker| broker.taken();
        rig.run(10 * SECOND).await;
        let before = told(&broker);
        for _ in 0..20 {
            say(&mut rig, &broker, "command/publish", "now").await;
        }
        let often = (told(&broker) - before) / topics.len();
        assert!((1..=13).contains(&often), "{often} times in ten seconds, beside a reading each second");
    });
}
