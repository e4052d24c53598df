//! Devices behind a bridge, at a real Mosquitto, for the real program. The test is the bridge: a thermometer and a tank that are heard, and
//! a plug that is told.
//!
//! tests/remote.rs has the particulars, in virtual time and with a broker in memory. Here is what only a real broker can show.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

#[path = "common/broker.rs"]
mod broker;
#[path = "common/process.rs"]
mod process;

use std::time::Duration;

use broker::{Mosquitto, Subscriber};
use process::{Daemon, House, RUN};

/// How a bridge speaks.
#[derive(Clone, Copy)]
struct Bridge {
    protocol: &'static str,
    /// What the plug's table has of it.
    keys: &'static str,
    on: &'static str,
    off: &'static str,
    /// What the plug says of itself, with a `?` for the word.
    state: &'static str,
}

const ZIGBEE: Bridge = Bridge {
    protocol: "3.1.1",
    keys: "pointer = \"/state\"",
    on: "ON",
    off: "OFF",
    state: r#"{"linkquality": 87, "state": "?"}"#,
};

const PLAIN: Bridge =
    Bridge { protocol: "5", keys: "on = \"power 1\"\noff = \"power 0\"", on: "power 1", off: "power 0", state: "?" };

const BED: &str = "bridge/bed";
const TANK: &str = "bridge/tank";
const PLUG: &str = "bridge/plug";
const TOLD: &str = "bridge/plug/set";

const BED_READING: &str = "homeostat/house/bed/temperature";
const TANK_READING: &str = "homeostat/house/tank/number";
const ALARM: &str = "homeostat/house/alarm/outputs.plug.pin";

fn config(port: u16, bridge: Bridge) -> String {
    format!(
        r#"
        [node]
        name = "house"
        hardware = "linux"
        [mqtt]
        broker = "mqtt://127.0.0.1:{port}"
        protocol = "{}"
        [sensors.bed]
        driver = "mqtt"
        topic = "{BED}"
        pointer = "/temperature"
        quantity = "temperature"
        stale_after = "3s"
        every = "100ms"
        [sensors.tank]
        driver = "mqtt"
        topic = "{TANK}"
        [outputs.plug]
        driver = "mqtt"
        topic = "{TOLD}"
        state_topic = "{PLUG}"
        {}
        "#,
        bridge.protocol, bridge.keys
    )
}

/// The devices, and somebody who hears what the daemon makes of them.
struct Home {
    bridge: Bridge,
    port: u16,
    broker: Option<Mosquitto>,
    plug: Subscriber,
    /// What the plug was told last.
    word: &'static str,
    heard: Subscriber,
}

impl Home {
    async fn new(bridge: Bridge) -> Self {
        let broker = Mosquitto::start().await;
        let (plug, heard) = Self::listen(broker.port).await;
        Self { bridge, port: broker.port, broker: Some(broker), plug, word: bridge.off, heard }
    }

    async fn listen(port: u16) -> (Subscriber, Subscriber) {
        (Subscriber::new(port, TOLD).await, Subscriber::new(port, "homeostat/house/#").await)
    }

    /// As bridges may be told to, it leaves all that it says at the broker.
    fn says(&self, topic: &str, payload: &str) {
        self.plug.publish(topic, payload, true);
    }

    fn plug_is(&self, word: &str) {
        self.says(PLUG, &self.bridge.state.replace('?', word));
    }

    /// The plug is told this and nothing else, and does it. What it has done before it may hear once more.
    async fn is_told(&mut self, word: &'static str) {
        loop {
            let message = self.plug.next().await;
            if message.payload == word {
                break;
            }
            assert_eq!(message.payload, self.word, "and not {word:?}");
        }
        self.word = word;
        self.plug_is(word);
    }

    /// A person wants it on.
    async fn turn_on(&mut self, time: &str) {
        let id = format!("{:x}", fastrand::u64(..));
        let command = format!(r#"{{"on": true, "for": "{time}", "id": "{id}"}}"#);
        self.heard.publish("homeostat/house/plug/set", &command, false);
        let done = |topic: &str, payload: &str| topic.ends_with(&id) && payload.contains("done");
        self.heard.until(|seen| done(&seen.topic, &seen.payload)).await;
    }

    /// The next reading there.
    async fn reading(&mut self, topic: &str) -> serde_json::Value {
        loop {
            let message = self.heard.next().await;
            if message.topic == topic {
                return message.json();
            }
        }
    }

    /// The first value there. Nobody can tell from outside when a sensor begins to listen.
    async fn first(&mut self, device: &str, payload: &str, topic: &str) -> serde_json::Value {
        for _ in 0..100 {
            self.says(device, payload);
            match tokio::time::timeout(Duration::from_millis(200), self.reading(topic)).await {
                Ok(reading) if !reading["value"].is_null() => return reading,
                // It may have waited for too long already.
                Ok(_) | Err(_) => {}
            }
        }
        panic!("nothing comes of {payload} on {device}: {:#?}", self.heard.seen);
    }

    fn broker_goes(&mut self) {
        self.broker = None;
    }

    /// It has forgotten everything. The devices are there first: what is told once and not retained is for those who listen.
    async fn broker_returns(&mut self, daemon: &Daemon) {
        daemon.signal("-STOP");
        self.broker = Some(Mosquitto::on(self.port, "allow_anonymous true").await);
        (self.plug, self.heard) = Self::listen(self.port).await;
        daemon.signal("-CONT");
        self.heard.until_latest("homeostat/house/status", "online").await;
    }
}

#[tokio::test]
#[ignore = "needs mosquitto"]
async fn devices_behind_a_bridge_are_heard_and_told() {
    hears_and_tells(ZIGBEE).await;
}

#[tokio::test]
#[ignore = "needs mosquitto"]
async fn devices_that_speak_plainly_are_heard_and_told_over_mqtt_5() {
    hears_and_tells(PLAIN).await;
}

async fn hears_and_tells(bridge: Bridge) {
    let mut home = Home::new(bridge).await;
    // Of yesterday, for all that anybody knows.
    home.says(BED, r#"{"temperature": 99.0}"#);
    home.says(TANK, "99");
    let house = House::new(&config(home.port, bridge));
    let daemon = house.run(RUN);
    daemon.hears_all();

    // Whatever an earlier life has left on.
    home.is_told(bridge.off).await;
    is_heard(&mut home).await;
    // Outputs are there before the connection is, and that is nothing to tell a person.
    let told = home.heard.seen.iter().find(|seen| seen.topic == ALARM && !seen.payload.is_empty());
    assert!(told.is_none(), "{told:?}");
    let log = daemon.log();
    assert!(!log.contains("ERROR") && log.contains("output plug is not confirmed at its safe level yet"), "{log}");

    home.turn_on("10m").await;
    home.is_told(bridge.on).await;
    let is_on = |payload: &str| payload.contains(r#""on":true"#) && payload.contains(r#""confirmed":true"#);
    home.heard.until(|seen| seen.topic == "homeostat/house/plug" && is_on(&seen.payload)).await;
    assert_eq!(home.heard.latest(ALARM).unwrap_or_default(), "", "all is well");

    // Somebody turns it off at its button: it is set back, and a person hears of it.
    home.plug_is(bridge.off);
    home.is_told(bridge.on).await;
    home.heard.until(|seen| seen.topic == ALARM && seen.payload.contains("something else moved")).await;
    home.heard.until_latest(ALARM, "").await;

    // A broker that comes back knows nothing, and perhaps the plug does not either: it is told again. The sensors listen again.
    home.broker_goes();
    home.broker_returns(&daemon).await;
    home.is_told(bridge.on).await;
    home.says(BED, r#"{"temperature": 21.5}"#);
    home.heard.until(|seen| seen.topic == BED_READING && seen.json()["value"] == 21.5).await;

    // What it was to do has ended when the broker comes back. It never hears that it was to be on.
    home.turn_on("5s").await;
    let fails = "there is no connection to the broker; trying again";
    let before = daemon.log().matches(fails).count();
    home.broker_goes();
    daemon.says(fails, before + 1);
    home.word = bridge.off;
    home.broker_returns(&daemon).await;
    home.is_told(bridge.off).await;
    home.heard.until_latest(ALARM, "").await;

    // Its last word.
    home.turn_on("10m").await;
    home.is_told(bridge.on).await;
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    home.is_told(bridge.off).await;

    // Who comes now finds what the plug has left there, and no word to it, which would turn it on after a power cut.
    let mut newcomer = Subscriber::new(home.port, "bridge/#").await;
    newcomer.publish("bridge/end", "now", false);
    newcomer.until(|seen| seen.topic == "bridge/end").await;
    let left: Vec<&str> = newcomer.seen.iter().filter(|seen| seen.retained).map(|seen| seen.topic.as_str()).collect();
    assert_eq!(left, [PLUG]);
}

/// What the devices say, and what becomes of it.
async fn is_heard(home: &mut Home) {
    let good = |reading: &serde_json::Value| (reading["value"].as_f64(), reading["quality"].as_str() == Some("good"));
    let first = home.first(BED, r#"{"battery": 97, "temperature": 26.0}"#, BED_READING).await;
    assert_eq!(good(&first), (Some(26.0), true), "{first}");
    let first = home.first(TANK, "12.5", TANK_READING).await;
    assert_eq!(good(&first), (Some(12.5), true), "{first}");
    // The bridge may have said it more than once.
    for (payload, why) in [
        (r#"{"temperature": null}"#, "on bridge/bed: at `/temperature` there is `null`"),
        (r#"{"battery": 97}"#, "on bridge/bed: there is nothing at `/temperature`"),
        ("interview failed", "on bridge/bed: `interview failed` is not JSON"),
    ] {
        home.says(BED, payload);
        let said = |seen: &broker::Received| seen.topic == BED_READING && seen.payload.contains(why);
        let bad = home.heard.until(said).await.json();
        assert!(bad["value"].is_null() && bad["quality"] == "bad", "{bad}");
    }
    home.says(BED, r#"{"temperature": "24.5 °C"}"#);
    let back = home.reading(BED_READING).await;
    assert_eq!(good(&back), (Some(24.5), true), "{back}");

    // It falls silent. That is seen when it is time, and not before.
    let silent = home.reading(BED_READING).await;
    let why = silent["reason"].as_str().unwrap_or_default();
    assert!(why.starts_with("nothing was published on bridge/bed for 3s: is its device alive"), "{silent}");
    let time = |reading: &serde_json::Value| reading["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let after = time(&silent).as_millisecond() - time(&back).as_millisecond();
    assert!(silent["value"].is_null() && (3000 - 50..).contains(&after), "{silent} came {after} ms after {back}");
    home.heard.until_latest("homeostat/house/bed/status", "offline").await;
    home.says(BED, r#"{"temperature": 25.0}"#);
    assert_eq!(good(&home.reading(BED_READING).await), (Some(25.0), true));
    home.heard.until_latest("homeostat/house/bed/status", "online").await;
}
