//! What the MQTT client hears at a real Mosquitto: commands, Home Assistant, and what is of no use.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

#[path = "common/broker.rs"]
mod broker;
#[path = "common/client.rs"]
mod client;
#[path = "common/log.rs"]
mod log;

use std::sync::Arc;
use std::time::Duration;

use broker::{Mosquitto, Subscriber};
use client::{AIR, Node, config};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use homeostat::bus::Bus;
use homeostat::clock::Clock;
use homeostat::mqtt::commands::{self, Commands};
use homeostat::mqtt::discovery::{Settings, Things};
use homeostat::mqtt::{Behind, Config, Protocol};
use log::Log;
use tokio::sync::watch;

/// A node with one alarm.
struct OneAlarm;

impl commands::Node for OneAlarm {
    fn acknowledge(&self, alarm: &str) -> Result<(), String> {
        if alarm == "sensors.air" { Ok(()) } else { Err(format!("there is no alarm {alarm}")) }
    }

    fn reload(&self) -> BoxFuture<'static, Result<String, String>> {
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Err("line 7 is wrong".to_owned())
        }
        .boxed()
    }
}

/// A node, told of by its alarm alone, that takes commands.
fn node(config: Config) -> (Node, watch::Sender<Arc<Things>>) {
    let (node, version) = ("greenhouse".into(), "1".into());
    let (sensors, outputs, controllers) = (Vec::new(), Vec::new(), Vec::new());
    let things = Things { node, version, sensors, outputs, controllers, alarms: vec!["sensors.air".into()] };
    let (sender, things) = watch::channel(Arc::new(things));
    let behind = |bus: &Bus| {
        let commands = Commands::new(bus.clone(), Clock::system(), Arc::new(OneAlarm), things.clone());
        Behind { commands: Some(Arc::new(commands)), things: Some(things), ..Behind::default() }
    };
    (Node::start_before(config, behind), sender)
}

#[tokio::test]
#[ignore = "needs mosquitto"]
async fn commands_are_heard_and_answered_and_home_assistant_is_told_in_both_versions() {
    let broker = Mosquitto::start().await;
    let mut other = Subscriber::new(broker.port, "#").await;
    other.publish("homeostat/greenhouse/command/ack", r#"{"name":"sensors.air","id":"of-yesterday"}"#, true);
    let left = "homeassistant/switch/homeostat-greenhouse/old/config";
    other.publish(left, r#"{"uniq_id":"homeostat-greenhouse-old"}"#, true);
    other.until(|seen| seen.topic == left).await;
    for protocol in [Protocol::V3, Protocol::V5] {
        let home_assistant = Some(Settings::default());
        let log = Log::begin();
        let (mut node, _things) = node(Config { protocol, home_assistant, ..config(broker.port) });
        log.until("it is retained").await;
        other.seen.clear();
        for (command, payload, result, why) in [
            ("command/ack", r#"{"name":"sensors.air","id":"ID"}"#, "done", ""),
            ("command/ack", r#"{"name":"sensors.soil","id":"ID"}"#, "rejected", "no alarm sensors.soil"),
            ("command/reload", "now", "", ""),
            ("command/reload", r#"{"id":"ID"}"#, "rejected", "another one is under way"),
            ("heater/set", r#"{"on":true,"id":"ID"}"#, "rejected", "no output and no controller heater"),
        ] {
            let id = format!("{:x}", fastrand::u64(..));
            other.publish(&format!("homeostat/greenhouse/{command}"), &payload.replace("ID", &id), false);
            if result.is_empty() {
                continue;
            }
            let topic = format!("homeostat/greenhouse/result/{id}");
            let answer = other.until(|seen| seen.topic == topic && !seen.payload.contains("accepted")).await;
            assert!(!answer.retained && answer.json()["result"] == result, "{protocol:?}: {answer:?}");
            assert!(answer.payload.contains(why), "{protocol:?}: {answer:?}");
        }
        let config = "homeassistant/device/homeostat-greenhouse/config";
        other.until(|seen| seen.topic == config && seen.payload.contains("Alarm sensors.air")).await;
        other.seen.clear();
        other.publish("homeassistant/status", "online", false);
        other.until(|seen| seen.topic == config && seen.payload.contains("Alarm sensors.air")).await;
        node.stop().await;
    }
    let mut newcomer = Subscriber::new(broker.port, left).await;
    other.publish(left, "now", false);
    assert_eq!(newcomer.next().await.payload, "now", "a thing that there is no more is still told of");
}

/// The library ends the connection over it, and it would come again with each subscription.
#[tokio::test]
#[ignore = "needs mosquitto"]
async fn what_is_far_too_large_where_we_listen_does_not_keep_us_from_the_broker() {
    let broker = Mosquitto::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("large");
    std::fs::write(&file, vec![b'x'; 400_000]).unwrap();
    let mut publish = std::process::Command::new("mosquitto_pub");
    publish.args(["-p", &broker.port.to_string(), "-r", "-t", "homeostat/greenhouse/x/set", "-f"]).arg(&file);
    assert!(publish.status().unwrap().success());
    let log = Log::begin();
    let (mut node, _things) = node(config(broker.port));
    log.until("somebody publishes 400").await;
    let mut watcher = Subscriber::new(broker.port, AIR).await;
    for value in 0..20 {
        node.publish(f64::from(value));
        watcher.until(|seen| seen.json()["value"] == f64::from(value)).await;
    }
    node.connected(true).await;
    node.stop().await;
}
