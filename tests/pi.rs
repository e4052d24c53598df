//! The real program on a Raspberry Pi 3, in QEMU: aarch64 code, Debian's kernel, a TMP105 on its I²C bus, and the pins of its header.
//!
//! The test is what is around the machine: the tank that the heater warms, and the house with the broker. It looks at the pins from
//! outside, as a relay would. docs/raspberry-pi.md says what is emulated and what is not.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

#[path = "common/broker.rs"]
mod broker;
#[path = "pi/guest.rs"]
mod guest;
#[path = "pi/machine.rs"]
mod machine;
#[path = "pi/pins.rs"]
mod pins;
#[path = "pi/qmp.rs"]
mod qmp;
#[path = "pi/tank.rs"]
mod tank;
#[path = "pi/until.rs"]
mod until;
#[path = "pi/wire.rs"]
mod wire;

use std::collections::BTreeSet;

use broker::{Mosquitto, Received, Subscriber};
use machine::Machine;
use tank::Tank;
use until::until;

/// The heater's relay, which is on when the pin is low.
const HEATER: u8 = 17;
/// A lamp for those who look at the tank.
const LAMP: u8 = 27;

fn config(hardware: &str, port: u16) -> String {
    format!(
        r#"
        [node]
        name = "tank"
        hardware = "{hardware}"
        [mqtt]
        broker = "mqtt://10.0.2.2:{port}"
        [store]
        flush = "1s"
        [sensors.water]
        driver = "tmp105"
        bus = 1
        address = 0x48
        every = "200ms"
        [sensors.room]
        driver = "ds18b20"
        id = "{}"
        every = "1s"
        [sensors.memory]
        driver = "memory"
        every = "1s"
        [outputs.heater]
        driver = "gpio"
        pin = {HEATER}
        active = "low"
        safe = "off"
        cycle = "1s"
        [outputs.lamp]
        driver = "gpio"
        pin = {LAMP}
        safe = "on"
        [controllers.warmth]
        kind = "pid"
        input = "water.temperature"
        raise = "heater"
        setpoint = 25.0
        kp = 0.5
        ki = 0.0
        kd = 0.0
        stale_after = "30s"
        "#,
        wire::ID
    )
}

#[tokio::test]
#[ignore = "needs QEMU and an aarch64 build: `just pi`"]
async fn an_emulated_pi_holds_a_temperature_and_stays_safe() {
    // /dev/mem, which is what this kernel has for rppal, is root's.
    holds_a_temperature_and_stays_safe("raspberry-pi", "root", Left::AsItWas).await;
}

#[tokio::test]
#[ignore = "needs QEMU and an aarch64 build: `just pi`"]
async fn an_emulated_pi_does_so_too_through_what_the_kernel_gives_programs() {
    // As the package's user, who needs no more than the groups of the devices.
    holds_a_temperature_and_stays_safe("linux", "homeostat", Left::Open).await;
}

/// What becomes of an output when the process that drove it has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// It keeps its level: a heater that is on stays on, until somebody comes.
    AsItWas,
    /// The kernel makes it an input, and the relay board's resistor has it. What QEMU says of its level then proves nothing.
    Open,
}

/// Nobody has left a pin on.
fn safe(pi: &mut Machine, left: Left) {
    for (name, pin) in [("heater", HEATER), ("lamp", LAMP)] {
        match left {
            Left::AsItWas => assert!(pi.pins.is_driven(pin) && pi.pins.is_high(pin), "{name}: {}", pi.pins.shown(pin)),
            Left::Open => assert!(!pi.pins.is_driven(pin), "{name}: {}", pi.pins.shown(pin)),
        }
    }
}

async fn holds_a_temperature_and_stays_safe(hardware: &str, user: &str, left: Left) {
    let house = Mosquitto::start().await;
    let mut heard = Subscriber::new(house.port, "homeostat/#").await;
    let mut pi = Machine::boot();
    pi.guest.write("/etc/homeostat/config.toml", &config(hardware, house.port));
    pi.guest.run("homeostat check /etc/homeostat/config.toml");
    assert!(!pi.pins.is_driven(HEATER) && !pi.pins.is_driven(LAMP), "somebody drives the pins already");

    // A cold tank: it is seen, and heated.
    wire::plug_in(&mut pi.guest);
    let mut tank = Tank::at(18.0);
    tank.tell(&mut pi);
    pi.guest.run(&format!("unit {user} >/dev/null 2>&1 &"));
    let first = soon(heard.until(|message| message.topic == tank::WATER)).await;
    assert_eq!((&first.json()["value"], &first.json()["quality"]), (&18.0.into(), &"good".into()), "{first:?}");
    until("the heater is on", || pi.pins.is_driven(HEATER) && !pi.pins.is_high(HEATER));
    assert!(pi.pins.is_driven(LAMP) && pi.pins.is_high(LAMP), "the lamp is safe when it is on");
    // Both were safe before they were outputs. The other way round there would have been an edge to the safe level.
    assert_eq!(pi.pins.edges(HEATER), Vec::<bool>::new(), "the relay was on for a moment before its time");
    assert_eq!(pi.pins.edges(LAMP), Vec::<bool>::new(), "the lamp flickered");

    others_are_read_and_one_is_missed(&mut pi, &mut heard).await;

    // It becomes warm and stays so, whatever the clock does: a Pi has no battery, and is in 1970 until the network tells it better.
    tank.settles(&mut pi, &mut heard).await;
    pi.guest.run("date -s @1795000000");
    tank.settles(&mut pi, &mut heard).await;
    let last = soon(heard.until(|message| message.topic == tank::WATER)).await;
    assert!(last.payload.contains("\"time\":\"2026-11-18T"), "{last:?}");

    // Somebody pours boiling water in.
    tank.celsius = 60.0;
    tank.tell(&mut pi);
    soon(heard.until(|message| message.topic == tank::WATER && message.json()["value"] == 60.0)).await;
    until("the heater is off", || pi.pins.is_high(HEATER));

    // Ice. The heater is on when the daemon is killed: the pin keeps its level, until ExecStopPost comes.
    tank.celsius = 2.0;
    tank.tell(&mut pi);
    until("the heater is on again", || !pi.pins.is_high(HEATER));
    soon(heard.until(|message| !history(message).is_empty())).await;
    let (_, why) = pi.guest.tries("homeostat why heater");
    assert!(why.contains("controllers.warmth"), "{why}");
    pi.guest.run("touch /run/unit/hold.stop-post /run/unit/hold.restart && kill -9 $(cat /run/unit/main)");
    pi.guest.until("grep -q 'ended: signal, status 137' /run/unit/log");
    println!("{hardware}: after kill -9 the heater's pin is {}", pi.pins.shown(HEATER));
    assert_eq!(pi.pins.is_driven(HEATER), left == Left::AsItWas);
    assert!(left == Left::Open || !pi.pins.is_high(HEATER), "who has switched it off?");
    pi.guest.run("rm /run/unit/hold.stop-post");
    pi.guest.until("grep -q 'stop-post: status 0' /run/unit/log");
    println!("{hardware}: after ExecStopPost it is {}", pi.pins.shown(HEATER));
    pi.guest.run("grep -q 'heater: off (GPIO pin 17), confirmed' /run/unit/log");
    pi.guest.run("grep -q 'lamp: on (GPIO pin 27), confirmed' /run/unit/log");
    safe(&mut pi, left);
    soon(heard.until_latest(STATUS, "offline")).await;

    // The next daemon goes on, and so do the numbers.
    let before = heard.latest(tank::WATER).map(number).unwrap();
    pi.guest.run("rm /run/unit/hold.restart");
    soon(heard.until_latest(STATUS, "online")).await;
    until("the heater is on after the restart", || !pi.pins.is_high(HEATER));
    soon(heard.until(|message| history(message).iter().any(|number| *number > before))).await;

    // An orderly end: outputs first, and systemd has nothing to restart.
    pi.guest.run("kill -TERM $(cat /run/unit/main)");
    pi.guest.until("grep -q '^stopped' /run/unit/log");
    safe(&mut pi, left);
    soon(heard.until_latest(STATUS, "offline")).await;
    pi.guest.run("grep -q 'ended: success, status 0' /run/unit/log && ! pidof homeostat");

    // What it told of its history is in its database, whatever was between. (Readings of 1970 are older than what is kept.)
    let exported = pi.guest.run("homeostat export --format jsonl --config /etc/homeostat/config.toml 2>/dev/null");
    let stored: BTreeSet<u64> = exported.lines().map(number).collect();
    let told: BTreeSet<u64> = heard.seen.iter().flat_map(history).collect();
    assert!(told.is_subset(&stored), "{:?}", told.difference(&stored));
    println!("{hardware}: {} readings stored, {} edges of the heater", stored.len(), pi.pins.edges(HEATER).len());
}

const ROOM: &str = "homeostat/tank/room/temperature";

/// The kernel's file of a 1-Wire chip, and its own of the machine. A chip that is pulled off is never read again, and is back when it is.
async fn others_are_read_and_one_is_missed(pi: &mut Machine, heard: &mut Subscriber) {
    let room =
        |quality: &'static str| move |message: &Received| message.topic == ROOM && message.json()["quality"] == quality;
    let read = soon(heard.until(room("good"))).await;
    assert_eq!(read.json()["value"], wire::SHOWS, "{read:?}");
    let used = soon(heard.until(|message| message.topic == "homeostat/tank/memory/used")).await;
    assert!(used.json()["value"].as_f64().is_some_and(|used| 1.0 < used && used < 99.0), "{used:?}");

    let pulled = wire::unplug(&mut pi.guest);
    let bad = soon(heard.until(room("bad"))).await;
    assert!(bad.json()["value"].is_null() && bad.payload.contains(wire::ID), "{bad:?}");
    wire::plug_in(&mut pi.guest);
    let before = heard.seen.len();
    let back =
        soon(heard.until(|message| room("good")(message) && number(&message.payload) > number(&bad.payload))).await;
    assert_eq!(back.json()["value"], wire::SHOWS, "{back:?}");
    // By the guest's own clock, for messages take their time. One may have been read just before.
    for good in heard.seen[..before].iter().filter(|message| room("good")(message)) {
        let time: jiff::Timestamp = good.json()["time"].as_str().unwrap().parse().unwrap();
        assert!(time.as_second() <= pulled + 1, "it was gone at {pulled}: {good:?}");
    }
}

/// The numbers of the readings of our time in a page of the history.
fn history(message: &Received) -> Vec<u64> {
    if message.topic != "homeostat/tank/history" {
        return Vec::new();
    }
    let page = message.json();
    let readings = page["readings"].as_array().unwrap();
    let of_our_time = readings.iter().filter(|reading| reading["time"].as_str().unwrap().starts_with("20"));
    of_our_time.map(|reading| reading["seq"].as_u64().unwrap()).collect()
}

const STATUS: &str = "homeostat/tank/status";

/// A reading's sequence number.
fn number(payload: &str) -> u64 {
    serde_json::from_str::<serde_json::Value>(payload).unwrap()["seq"].as_u64().unwrap()
}

/// Messages may go on for ever without the one that is waited for.
async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(until::DEADLINE, event).await.expect("it was not heard of")
}
