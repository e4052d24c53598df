//! The daemon put together: from a checked configuration and a machine to one root actor with everything under it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::alarms::Alarms;
use crate::boot::Boot;
use crate::bus::{Bus, Tap};
use crate::clock::Clock;
use crate::config::Config;
use crate::controllers::actor::Controller;
use crate::hardware::Hardware;
use crate::hardware::bank::{Bank, Slot};
use crate::hardware::lane::{Execution, Lanes};
use crate::hardware::simulated::Simulated;
use crate::mqtt::Mqtt;
use crate::mqtt::broker::BrokerError;
use crate::outputs::actor::Output;
use crate::outputs::ledger::Ledger;
use crate::sensors::actor::Sensor;
use crate::store::{Store, StoreError};
use crate::supervisor::{Child, Restart, Role, Root, Stage, StopAll, actor, task};
use crate::{controllers, mqtt, outputs, sensors, store};

/// Events that may wait for MQTT: far more than there are topics, so what is dropped has a newer one behind it.
const MQTT_QUEUE: usize = 20_000;

/// Events that may wait for the store between two flushes; it is woken at half of them.
const STORE_QUEUE: usize = 50_000;

/// How long the database and the ledger may each take for their last word.
const CLOSING: Duration = Duration::from_secs(1);

/// What limits remember, in the state directory.
const LEDGER: &str = "outputs.json";

/// The machine that the daemon runs on, or what stands in for it in a test.
pub struct Host {
    /// Tells the time.
    pub clock: Clock,
    /// Since which boot it runs.
    pub boot: Boot,
    /// The board.
    pub hardware: Arc<dyn Hardware>,
    /// How drivers are run.
    pub execution: Execution,
    /// The thread of the sensors, outputs and controllers.
    pub control: ArbiterHandle,
    /// The thread of MQTT and the store.
    pub services: ArbiterHandle,
    /// Where a relative path of the store begins, and where the ledger of limits is.
    pub state: PathBuf,
    /// For what must be random but repeatable.
    pub seed: u64,
}

/// A daemon that runs. Dropping this does not stop it.
pub struct Daemon {
    root: Addr<Root>,
    stage: watch::Receiver<Stage>,
    bus: Bus,
    alarms: Alarms,
    bank: Arc<Bank>,
    ledger: Ledger,
    store: Store,
}

/// Why the daemon did not start. By then every output is at its safe level.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The embedded broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// The simulated hardware of a configuration, with every chip and actuator that it names.
pub fn simulated(config: &Config, clock: Clock) -> Simulated {
    let world = Simulated::new(config.simulation.clone().unwrap_or_default(), clock);
    for sensor in &config.sensors {
        match sensor.device.chip() {
            Some(chip) => world.plug(chip, sensor.id.as_str()),
            None => tracing::warn!("sensor {}: there is no simulated {} yet", sensor.id, sensor.driver),
        }
    }
    for output in &config.outputs {
        world.wire(&output.id, output.device.actuator());
    }
    world
}

impl Daemon {
    /// Brings every output to its safe level, then opens the database and begins everything. `alive` is called while every
    /// critical actor shows that it lives. To be called within an actix System, on the thread of `host.control`.
    pub async fn start(config: Config, host: Host, alive: impl Fn() + 'static) -> Result<Self, StartError> {
        let lanes = Lanes::new(host.clock, host.execution);
        let bank = Arc::new(Bank::default());
        let take = |output: outputs::Config| (bank_slot(&output, &lanes, &bank, &host), output);
        let outputs: Vec<(Arc<Slot>, outputs::Config)> = config.outputs.into_iter().map(take).collect();
        // Whatever else fails from here on, nothing stays on from an earlier life. An output that cannot be taken now is
        // tried again by its actor.
        for (who, error) in bank.open().await {
            tracing::error!("{who} cannot be brought to its safe level: {error}");
        }
        if let Some(mqtt) = &config.mqtt {
            mqtt::broker::start_if_embedded(&mqtt.broker)?;
        }
        let (store, last_seq) = Store::open(&host.state.join(&config.store.path))?;
        let bus = Bus::new(host.clock, last_seq);
        let alarms = Alarms::new(host.clock, bus.clone());

        let mut children = vec![store_child(&config.store, &store, bus.tap(STORE_QUEUE, STORE_QUEUE / 2), &host)];
        if let Some(mqtt) = config.mqtt {
            children.push(mqtt_child(mqtt, &config.node.name, bus.tap(MQTT_QUEUE, 1), &host));
        }
        let file = host.state.join(LEDGER);
        let ledger = Ledger::open(&file, host.boot.clone(), host.clock, &alarms, lanes.get("disk"));
        for (slot, output) in outputs {
            children.push(output_child(output, slot, &ledger, &bus, &alarms, &host));
        }
        ledger.begin().await;
        for sensor in config.sensors {
            children.push(sensor_child(sensor, &bus, &alarms, &lanes, &host));
        }
        for controller in config.controllers {
            children.push(controller_child(controller, &bus, &alarms, &host));
        }
        let root = Root::new(host.clock, bus.clone(), alarms.clone(), bank.clone(), children, host.seed, alive);
        let stage = root.stage();
        Ok(Self { root: root.start(), stage, bus, alarms, bank, ledger, store })
    }

    /// The event bus.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// What a person should know of.
    pub fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Ends a child (`outputs.heater`), which is then begun anew as after any other end.
    pub fn restart(&self, name: &str) {
        // A root that is gone or drowned cannot restart anything; whoever waits for the child will see that.
        let _ = self.root.try_send(Restart(name.into()));
    }

    /// Waits until every child was begun.
    pub async fn running(&mut self) -> Stage {
        self.until(|stage| *stage != Stage::Starting).await
    }

    /// Waits until the daemon has ended by itself, because it could not go on.
    pub async fn ended(&mut self) -> Stage {
        let stage = self.until(Stage::is_over).await;
        self.make_safe(&stage).await;
        self.remember().await;
        stage
    }

    /// Stops everything in order: outputs safe first, then everything stored and published. Outputs are made safe also when
    /// the root has gone or takes longer than `patience`.
    pub async fn stop(mut self, patience: Duration) -> Stage {
        let asked = self.root.try_send(StopAll).is_ok();
        let ended = self.until(Stage::is_over);
        let stage = match timeout(patience, ended).await {
            Ok(stage) if asked => stage,
            _ => Stage::Failed("the root actor does not answer".into()),
        };
        self.make_safe(&stage).await;
        self.remember().await;
        let (store, last_seq) = (self.store.clone(), self.bus.last_seq());
        // With this the numbers go on without a gap; without it they jump ahead, and nothing is lost.
        let closed = tokio::task::spawn_blocking(move || store.close(last_seq));
        if let Ok(Ok(Err(error))) = timeout(CLOSING, closed).await {
            tracing::warn!("{error}");
        }
        stage
    }

    /// The root makes all safe before it ends in order; this is for when it did not.
    async fn make_safe(&self, stage: &Stage) {
        if *stage != Stage::Stopped {
            for (who, error) in self.bank.seal().await {
                tracing::error!("{who} could not be made safe: {error}");
            }
        }
    }

    /// A disk that hangs must not hold up the end; then the limits hold as after a crash.
    async fn remember(&self) {
        if timeout(CLOSING, self.ledger.close()).await.is_err() {
            tracing::warn!("what limits remember could not be written in time: they hold as after a crash");
        }
    }

    async fn until(&mut self, reached: impl FnMut(&Stage) -> bool) -> Stage {
        match self.stage.wait_for(reached).await {
            Ok(stage) => stage.clone(),
            Err(_) => Stage::Failed("the root actor has gone".into()),
        }
    }
}

fn store_child(config: &store::Config, store: &Store, tap: Tap, host: &Host) -> Child {
    let (store, tap, flush) = (store.clone(), Arc::new(tap), config.flush);
    let body = task(move |lifeline, mut orders| {
        let (store, tap) = (store.clone(), tap.clone());
        async move {
            lifeline.ready();
            store::run(&store, &tap, flush, orders.stop(), || lifeline.beat()).await
        }
    });
    Child { name: "store".into(), role: Role::Store, body, arbiter: host.services.clone() }
}

fn mqtt_child(config: mqtt::Config, node: &str, tap: Tap, host: &Host) -> Child {
    let (mqtt, tap) = (Mqtt::new(config, node), Arc::new(tap));
    let body = task(move |lifeline, mut orders| {
        let (mqtt, tap) = (mqtt.clone(), tap.clone());
        async move {
            lifeline.ready();
            mqtt::run(&mqtt, &tap, orders.stop(), || lifeline.beat()).await
        }
    });
    Child { name: "mqtt".into(), role: Role::Mqtt, body, arbiter: host.services.clone() }
}

fn bank_slot(config: &outputs::Config, lanes: &Lanes, bank: &Bank, host: &Host) -> Arc<Slot> {
    let (device, hardware) = (config.device.clone(), host.hardware.clone());
    let lane = lanes.get(&device.lane());
    let open = Box::new(move |initial| device.open(&*hardware, initial));
    bank.set_interlocks(&config.id, &config.interlocks.only_while, &config.interlocks.never_with);
    bank.add(&config.id, lane, config.limits.initial(), open)
}

fn output_child(
    config: outputs::Config,
    slot: Arc<Slot>,
    ledger: &Ledger,
    bus: &Bus,
    alarms: &Alarms,
    host: &Host,
) -> Child {
    let outputs::Config { id, limits, .. } = config;
    let with = outputs::actor::Surroundings {
        clock: host.clock,
        bus: bus.clone(),
        alarms: alarms.clone(),
        slot,
        account: ledger.account(&id, limits),
        ledger: ledger.clone(),
    };
    let name = format!("outputs.{id}").into();
    let body = actor(move |lifeline| Output::new(id.clone(), with.clone(), lifeline));
    Child { name, role: Role::Output, body, arbiter: host.control.clone() }
}

fn sensor_child(config: sensors::Config, bus: &Bus, alarms: &Alarms, lanes: &Lanes, host: &Host) -> Child {
    let config = Arc::new(config);
    let with = sensors::actor::Surroundings {
        clock: host.clock,
        bus: bus.clone(),
        alarms: alarms.clone(),
        hardware: host.hardware.clone(),
        lane: lanes.get(&config.device.lane()),
    };
    let (name, role) = (format!("sensors.{}", config.id).into(), Role::Sensor(config.id.clone()));
    let body = actor(move |lifeline| Sensor::new(config.clone(), with.clone(), lifeline));
    Child { name, role, body, arbiter: host.control.clone() }
}

fn controller_child(config: controllers::Config, bus: &Bus, alarms: &Alarms, host: &Host) -> Child {
    let with = controllers::actor::Surroundings { clock: host.clock, bus: bus.clone(), alarms: alarms.clone() };
    let name = format!("controllers.{}", config.id).into();
    let body = actor(move |lifeline| Controller::new(config.clone(), with.clone(), lifeline));
    Child { name, role: Role::Controller, body, arbiter: host.control.clone() }
}
