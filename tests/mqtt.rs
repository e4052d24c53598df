//! The MQTT client against real brokers: the embedded one, and Mosquitto where it is installed.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

#[path = "common/broker.rs"]
mod broker;
#[path = "common/client.rs"]
mod client;
#[path = "common/log.rs"]
mod log;
#[path = "common/puppet.rs"]
mod puppet;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use broker::{Mosquitto, Received, Subscriber, free_port};
use client::{AIR, Node, STATUS, config, within};
use futures_util::future::BoxFuture;
use homeostat::message::{Alarm, Event};
use homeostat::model::{ChannelId, Quantity, Sample, Timestamp};
use homeostat::mqtt::link::{Introduction, Line, Link};
use homeostat::mqtt::{Behind, Config, Login, MqttError};
#[cfg(feature = "embedded-broker")]
use homeostat::mqtt::{Broker, broker as embedded_broker};
use homeostat::secret::Source;
use log::Log;
use puppet::Puppet;

fn of(topic: &str) -> impl Fn(&Received) -> bool {
    move |message| message.topic == topic
}

/// What a newcomer to the broker finds there.
async fn newcomer_finds_everything(port: u16) {
    let mut newcomer = Subscriber::new(port, "homeostat/#").await;
    newcomer.until_latest(STATUS, "online").await;
    newcomer.until_latest("homeostat/greenhouse/air/status", "online").await;
    let alarm = newcomer.until(of("homeostat/greenhouse/alarm/sensors.soil")).await;
    assert_eq!(alarm.json()["text"], "unplugged");
    let heater = newcomer.until(of("homeostat/greenhouse/heater")).await;
    assert_eq!((&heater.json()["level"], &heater.json()["by"]), (&0.4.into(), &"controllers.warmth".into()));
    let air = newcomer.until(of(AIR)).await;
    assert_eq!((&air.json()["value"], &air.json()["unit"]), (&21.5.into(), &"°C".into()));
}

/// What every broker must show, whichever it is.
async fn a_day_at_the_broker(port: u16) {
    let mut watcher = Subscriber::new(port, "homeostat/#").await;
    let mut node = Node::start(port);
    watcher.until_latest(STATUS, "online").await;

    // Readings arrive in order, with their own numbers.
    for value in 0..50 {
        let seq = node.publish(f64::from(value));
        let message = watcher.until(|message| message.topic == AIR && message.json()["seq"] == seq).await;
        assert_eq!(message.json()["value"], f64::from(value));
        assert_eq!(message.json()["quality"], "good");
    }
    let seqs: Vec<u64> =
        watcher.seen.iter().filter(|seen| seen.topic == AIR).map(|seen| seen.json()["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=50).collect::<Vec<u64>>());

    node.tell_everything();
    watcher.until(of("homeostat/greenhouse/heater")).await;
    watcher.until(|message| message.topic == AIR && message.json()["value"] == 21.5).await;
    newcomer_finds_everything(port).await;

    // An alarm that has gone leaves nothing behind.
    let since = Timestamp::from_millis(0);
    node.bus.tell(Event::Alarm(Alarm {
        name: "sensors.soil".into(),
        text: None,
        since,
        latched: false,
        acknowledged: false,
    }));
    watcher.until_latest("homeostat/greenhouse/alarm/sensors.soil", "").await;

    // A crash is seen by the will, and repaired by the next start.
    node.crash().await;
    watcher.until_latest(STATUS, "offline").await;
    node.run();
    watcher.until_latest(STATUS, "online").await;

    // A stop says everything first, then goodbye; also what came in its very last moment.
    for round in 0..10 {
        watcher.until_latest(STATUS, "online").await;
        let last = node.publish(f64::from(round));
        node.stop().await;
        watcher.until_latest(STATUS, "offline").await;
        let position = |fits: &dyn Fn(&Received) -> bool| watcher.seen.iter().rposition(fits);
        let reading = position(&|seen| seen.topic == AIR && seen.json()["seq"] == last);
        assert!(reading.is_some() && reading < position(&|seen| seen.topic == STATUS), "{:#?}", watcher.seen);
        if round < 9 {
            node.run();
        }
    }
    let mut newcomer = Subscriber::new(port, "homeostat/greenhouse/#").await;
    newcomer.until_latest(STATUS, "offline").await;
    newcomer.until(of(AIR)).await;
    assert!(newcomer.seen.iter().all(|seen| !seen.topic.contains("alarm/") && seen.retained), "{:#?}", newcomer.seen);
}

#[cfg(feature = "embedded-broker")]
fn embedded() -> u16 {
    let port = free_port();
    embedded_broker::start_if_embedded(&Broker::Embedded { port }).unwrap();
    port
}

#[cfg(feature = "embedded-broker")]
#[tokio::test]
async fn a_day_at_the_embedded_broker() {
    a_day_at_the_broker(embedded()).await;
}

#[tokio::test]
#[ignore = "needs mosquitto"]
async fn a_day_at_mosquitto() {
    let broker = Mosquitto::start().await;
    a_day_at_the_broker(broker.port).await;
}

#[cfg(feature = "embedded-broker")]
#[tokio::test]
async fn more_topics_than_may_be_on_their_way_at_once_all_arrive() {
    let port = embedded();
    let mut watcher = Subscriber::new(port, "homeostat/#").await;
    let node = Node::start(port);
    let topics = 1_500;
    for n in 0..topics {
        let channel = ChannelId::parse(&format!("s{n}.value")).unwrap();
        node.bus.publish(&channel, Quantity::Voltage, Sample::Good(1.0));
    }
    watcher.until(|message| message.topic == format!("homeostat/greenhouse/s{}/value", topics - 1)).await;
    let seqs: Vec<u64> = watcher
        .seen
        .iter()
        .filter(|seen| seen.topic.ends_with("/value"))
        .map(|seen| seen.json()["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, (1..=topics).collect::<Vec<u64>>());
}

#[cfg(feature = "embedded-broker")]
#[tokio::test]
async fn a_broker_that_comes_later_gets_the_newest_of_everything() {
    let port = free_port();
    let log = Log::begin();
    let node = Node::start(port);
    log.until("cannot reach a broker at 127.0.0.1").await;
    for value in 0..100 {
        node.publish(f64::from(value));
    }
    node.tell_everything();
    embedded_broker::start_if_embedded(&Broker::Embedded { port }).unwrap();
    node.connected(true).await;
    let mut watcher = Subscriber::new(port, AIR).await;
    let message = watcher.next().await;
    assert_eq!((&message.json()["value"], &message.json()["seq"]), (&21.5.into(), &101.into()));
    newcomer_finds_everything(port).await;
    assert!(node.beats.load(Ordering::Relaxed) > 0);
}

/// It says welcome and nothing more, while its system goes on taking what we send.
#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_is_left_after_a_minute_also_while_we_publish() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let log = Log::begin();
    let node = Node::start(listener.local_addr().unwrap().port());
    let (broker, _) = listener.accept().await.unwrap();
    broker.writable().await.unwrap();
    broker.try_write(b"\x20\x02\x00\x00").unwrap();
    node.connected(true).await;
    let mut seconds = 0;
    while node.mqtt.is_connected() {
        assert!(seconds < 70, "still connected");
        node.publish(f64::from(seconds));
        tokio::time::sleep(Duration::from_secs(1)).await;
        seconds += 1;
    }
    assert!(seconds >= 60, "left after {seconds} s");
    log.until("is lost: the broker no longer answers").await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_broker_that_is_not_there() {
    let mut node = Node::start(free_port());
    node.publish(1.0);
    node.stop().await;
}

/// A disk that hangs while certificates are read.
struct Hanging;

impl Link for Hanging {
    fn connect<'a>(&'a self, _: Introduction<'a>) -> BoxFuture<'a, Result<Line, MqttError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_never_made_keeps_neither_the_beat_nor_a_stop_waiting() {
    let mut node = Node::start_over(Arc::new(Hanging), config(1), |_| Behind::default());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let beats = node.beats.load(Ordering::Relaxed);
    assert!(beats >= 12, "{beats} beats in a minute");
    let asked = tokio::time::sleep(Duration::from_secs(1));
    tokio::select! {
        () = asked => panic!("it does not stop within a second"),
        () = node.stop() => {}
    }
}

#[tokio::test]
#[ignore = "needs mosquitto"]
async fn a_broker_that_forgot_everything_is_told_again() {
    let broker = Mosquitto::start().await;
    let port = broker.port;
    let node = Node::start(port);
    node.tell_everything();
    node.connected(true).await;
    newcomer_finds_everything(port).await;

    drop(broker);
    node.connected(false).await;
    let _again = Mosquitto::on(port, "allow_anonymous true").await;
    newcomer_finds_everything(port).await;
}

#[tokio::test]
#[ignore = "needs mosquitto"]
async fn a_wrong_password_is_waited_out_and_can_be_put_right() {
    let broker = Mosquitto::with_user("pi", "right").await;
    let directory = tempfile::tempdir().unwrap();
    let password_file = directory.path().join("password");
    std::fs::write(&password_file, "wrong\n").unwrap();
    let log = Log::begin();
    let mut node = Node::start_with(with_login(broker.port, &password_file));
    log.until("refuses the user \"pi\" with this password: check `username` and `password_file` under [mqtt]").await;
    assert!(!node.mqtt.is_connected());

    std::fs::write(&password_file, "right\n").unwrap();
    node.connected(true).await;
    let mut watcher = Subscriber::with_login(broker.port, "homeostat/#", Some(("pi", "right"))).await;
    watcher.until_latest(STATUS, "online").await;
    node.stop().await;
    assert!(!log.text().contains("wrong") && !log.text().contains("\"right"), "a password was logged");
}

#[tokio::test]
async fn a_password_file_that_is_missing_is_named() {
    let log = Log::begin();
    let mut node = Node::start_with(with_login(free_port(), &PathBuf::from("/nonexistent/password")));
    log.until("cannot read the password for the broker from /nonexistent/password").await;
    node.stop().await;
}

fn with_login(port: u16, password_file: &std::path::Path) -> Config {
    let login = Login { username: "pi".into(), password: Some(Source::File(password_file.to_owned())) };
    Config { login: Some(login), ..config(port) }
}

/// Both traps of rumqttc 0.25 at once: docs/mqtt-client.md.
#[tokio::test]
async fn an_acknowledgement_that_never_comes_and_a_lost_session_lose_nothing() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let node = Node::start(listener.local_addr().unwrap().port());
    // More than may be on their way at once, so that packet ids come round.
    let mut expected = BTreeSet::from([STATUS.to_owned(), "homeostat/greenhouse/alarm".to_owned()]);
    for n in 0..250 {
        let channel = ChannelId::parse(&format!("s{n}.value")).unwrap();
        node.bus.publish(&channel, Quantity::Voltage, Sample::Good(1.0));
        expected.insert(format!("homeostat/greenhouse/s{n}/value"));
    }
    within(async {
        let mut broker = Puppet::welcome(&listener).await;
        let (held, topic) = broker.publish().await;
        let mut topics = BTreeSet::from([topic]);
        while topics != expected {
            let (id, topic) = broker.publish().await;
            assert_ne!(id, held, "a packet id is given again before it is acknowledged");
            topics.insert(topic);
            broker.acknowledge(id).await;
        }
        drop(broker);
        let mut broker = Puppet::welcome(&listener).await;
        let mut topics = BTreeSet::new();
        while topics != expected {
            let (id, topic) = broker.publish().await;
            topics.insert(topic);
            broker.acknowledge(id).await;
        }
    })
    .await;
}
