//! The MQTT task as a daemon runs it, alone with a bus.

#![allow(dead_code, reason = "each test uses what it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use homeostat::bus::{Bus, Tap};
use homeostat::clock::Clock;
use homeostat::message::{Alarm, Event, OutputState, SensorState};
use homeostat::model::{ChannelId, Level, OutputId, Owner, Quantity, Sample, SensorId, Timestamp};
use homeostat::mqtt::{self, Behind, Broker, Config, Link, Mqtt, Network};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::broker::DEADLINE;

pub const STATUS: &str = "homeostat/greenhouse/status";
pub const AIR: &str = "homeostat/greenhouse/air/temperature";

/// A bus and the MQTT task on it.
pub struct Node {
    pub bus: Bus,
    pub mqtt: Mqtt,
    tap: Arc<Tap>,
    task: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    pub beats: Arc<AtomicU32>,
}

impl Node {
    pub fn start(port: u16) -> Self {
        Self::start_with(config(port))
    }

    pub fn start_with(config: Config) -> Self {
        Self::start_before(config, |_| Behind::default())
    }

    pub fn start_before(config: Config, behind: impl FnOnce(&Bus) -> Behind) -> Self {
        Self::start_over(Arc::new(Network), config, behind)
    }

    pub fn start_over(link: Arc<dyn Link>, config: Config, behind: impl FnOnce(&Bus) -> Behind) -> Self {
        let bus = Bus::new(Clock::system(), 0);
        let tap = Arc::new(bus.tap(10_000, 1));
        let mqtt = Mqtt::over(link, config, "greenhouse", behind(&bus));
        let mut node = Self { bus, mqtt, tap, task: None, beats: Arc::default() };
        node.run();
        node
    }

    pub fn run(&mut self) {
        let (mqtt, tap, beats) = (self.mqtt.clone(), self.tap.clone(), self.beats.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stop = async {
                let _ = stopped.await;
            };
            let beat = || {
                beats.fetch_add(1, Ordering::Relaxed);
            };
            mqtt::run(&mqtt, &tap, stop, beat).await.unwrap();
        });
        self.task = Some((stop, task));
    }

    pub async fn stop(&mut self) {
        let (stop, task) = self.task.take().unwrap();
        stop.send(()).unwrap();
        within(task).await.unwrap();
    }

    /// As if the process had been killed: the connection breaks without a word.
    pub async fn crash(&mut self) {
        let (_stop, task) = self.task.take().unwrap();
        task.abort();
        assert!(within(task).await.unwrap_err().is_cancelled());
    }

    pub async fn connected(&self, connected: bool) {
        within(async {
            while self.mqtt.is_connected() != connected {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub fn publish(&self, value: f64) -> u64 {
        let channel = ChannelId::parse("air.temperature").unwrap();
        self.bus.publish(&channel, Quantity::Temperature, Sample::Good(value))
    }

    pub fn tell_everything(&self) {
        let since = Timestamp::from_millis(1_795_250_000_250);
        self.bus.tell(Event::Sensor(SensorState { sensor: SensorId::new("air").unwrap(), online: true }));
        self.bus.tell(Event::Alarm(Alarm {
            name: "sensors.soil".into(),
            text: Some("unplugged".into()),
            since,
            latched: false,
            acknowledged: false,
        }));
        self.bus.tell(Event::Output(OutputState {
            output: OutputId::new("heater").unwrap(),
            level: Level::clamped(0.4),
            on: true,
            by: Some(Owner::new("controllers.warmth")),
            why: "controllers.warmth asks for 40 %".into(),
            limit: None,
            because: None,
            confirmed: true,
            since,
        }));
        self.publish(21.5);
    }
}

pub fn config(port: u16) -> Config {
    Config::to(Broker::at("127.0.0.1", port))
}

pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("it takes too long")
}
