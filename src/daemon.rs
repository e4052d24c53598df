//! The daemon put together: from a checked configuration and a machine to one root actor with everything under it.

mod hand;
mod history;
mod orders;
mod plan;
mod reload;
mod site;
pub mod things;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::alarms::{self, Alarms};
use crate::boot::Boot;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::config::Config;
use crate::hardware::Hardware;
use crate::hardware::bank::{Bank, Slot};
use crate::hardware::lane::{Execution, Lanes};
use crate::hardware::simulated::{Actuator, Simulated};
use crate::model::OutputId;
use crate::mqtt::Link;
use crate::mqtt::broker::BrokerError;
use crate::post::Post;
use crate::store::{self, Disk, Store, StoreError};
use crate::supervisor::{LONGEST_STOP, Restart, Root, Stage, StopAll};
use crate::{mqtt, outputs, sensors};

pub use self::hand::Hand;
use self::plan::Plan;
pub use self::plan::{Change, Difference};
pub use self::reload::Refused;
use self::site::Site;

/// How long the database and the ledger may each take for their last word.
const CLOSING: Duration = Duration::from_secs(1);

/// The longest that [`Daemon::stop`] takes with [`LONGEST_STOP`]: when the root does not answer, outputs are made safe without it.
pub const LONGEST_END: Duration = LONGEST_STOP.saturating_add(Bank::SEALING).saturating_add(CLOSING.saturating_mul(2));

/// The machine that the daemon runs on, or what stands in for it in a test.
pub struct Host {
    /// Tells the time.
    pub clock: Clock,
    /// Since which boot it runs.
    pub boot: Boot,
    /// The board.
    pub hardware: Arc<dyn Hardware>,
    /// The same, if it is a world in this process: its chips come and go with the configuration.
    pub world: Option<Simulated>,
    /// How drivers are run.
    pub execution: Execution,
    /// The thread of the sensors, outputs and controllers.
    pub control: ArbiterHandle,
    /// The thread of MQTT and the store.
    pub services: ArbiterHandle,
    /// Where a relative path of the store begins, and where the ledger of limits is.
    pub state: PathBuf,
    /// In memory, and there as long as the machine is up: where what is not on disk yet survives the process. Without it, it does not.
    pub runtime: Option<PathBuf>,
    /// What the database lies on.
    pub disk: Arc<dyn Disk>,
    /// What leads to a broker.
    pub link: Arc<dyn Link>,
    /// Reads the configuration again, for whoever asks over MQTT; without it that is refused.
    pub reload: Option<Reload>,
    /// For what must be random but repeatable.
    pub seed: u64,
}

/// Asks for a reload, and gives what came of it.
pub type Reload = Arc<dyn Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// A daemon that runs. Dropping this does not stop it.
pub struct Daemon {
    root: Addr<Root>,
    stage: watch::Receiver<Stage>,
    site: Site,
    /// What it was asked for last.
    plan: Plan,
    /// Whom it has begun to speak to; an embedded one listens to the end.
    brokers: Vec<mqtt::Broker>,
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
        plug(&world, sensor);
    }
    for output in &config.outputs {
        wire(&world, output);
    }
    world
}

fn plug(world: &Simulated, sensor: &sensors::Config) {
    match sensor.device.chip() {
        Some(chip) => world.plug(chip, sensor.id.as_str()),
        None => {
            let measures = sensor.device.channels().iter().map(|channel| channel.quantity);
            world.stand_in_for(sensor.id.as_str(), measures.collect());
        }
    }
}

fn wire(world: &Simulated, output: &outputs::Config) {
    let actuator = output.device.actuator();
    world.wire(&output.id, actuator.unwrap_or_else(|| Actuator::Device(output.id.clone())));
}

impl Daemon {
    /// Brings every output to its safe level, then opens the database and begins everything. `alive` is called while every
    /// critical actor shows that it lives. To be called within an actix System, on the thread of `host.control`.
    pub async fn start(config: Config, host: Host, alive: impl Fn() + 'static) -> Result<Self, StartError> {
        let (plan, things) = (Plan::of(&config), things::things(&config));
        let post = Post::new(host.clock);
        let (lanes, bank) = (Lanes::new(host.clock, host.execution), Arc::new(Bank::default()));
        let take = |output: outputs::Config| (Site::slot(&output, &lanes, &bank, &host, &post), output);
        let outputs: Vec<(Arc<Slot>, outputs::Config)> = config.outputs.into_iter().map(take).collect();
        // Whatever else fails from here on, nothing stays on from an earlier life. An output that cannot be taken now is
        // tried again by its actor.
        for (who, error) in bank.open().await {
            match error.is_early() {
                true => tracing::info!("{who} is not confirmed at its safe level yet: {error}"),
                false => tracing::error!("{who} cannot be brought to its safe level: {error}"),
            }
        }
        let mut brokers = Vec::new();
        if let Some(mqtt) = &config.mqtt {
            mqtt::broker::start_if_embedded(&mqtt.broker)?;
            brokers.push(mqtt.broker.clone());
        }
        let (file, fresh) =
            (host.state.join(&config.store.path), host.runtime.as_ref().map(|at| at.join(store::FRESH)));
        let (store, last_seq) = Store::open(&file, fresh.as_deref(), host.clock, host.disk.clone())?;
        let bus = Bus::new(host.clock, last_seq);
        let file = host.state.join(alarms::FILE);
        let recalled = alarms::recall(&file);
        let site = Site::new(host, lanes, bus, post, bank, store, things);

        site.store.keeps_for_history(config.mqtt.is_some());
        let mut children = vec![site.store(&config.store), site.alarms(file)];
        children.extend(config.mqtt.map(|mqtt| site.mqtt(mqtt, &config.node.name)));
        children.extend(site.tellers(config.alarms.as_ref(), &config.node.name, &recalled));
        // Before any controller asks whether it may act.
        site.alarms.restore(&recalled);
        children.extend(outputs.into_iter().map(|(slot, output)| site.output(output, slot)));
        // Nothing is driven before the disk has what a crash would leave.
        site.ledger.begin().await;
        children.extend(config.sensors.into_iter().map(|sensor| site.sensor(sensor)));
        children.extend(config.computed.into_iter().map(|sensor| site.computed(sensor)));
        children.extend(config.controllers.into_iter().map(|controller| site.controller(controller)));
        let root = site.root(children, alive);
        let stage = root.stage();
        Ok(Self { root: root.start(), stage, site, plan, brokers })
    }

    /// The event bus.
    pub fn bus(&self) -> &Bus {
        &self.site.bus
    }

    /// A person's way to the outputs.
    pub fn hand(&self) -> Hand {
        Hand::new(self.site.bus.clone(), self.site.commands.clone())
    }

    /// Outputs that are no longer in the configuration and may not be safe yet.
    pub fn leaving(&self) -> Vec<OutputId> {
        self.site.bank.leaving()
    }

    /// What a person should know of.
    pub fn alarms(&self) -> &Alarms {
        &self.site.alarms
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.site.store
    }

    /// Where it stands, now and later.
    pub fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.clone()
    }

    /// Ends a child (`outputs.heater`), which is then begun anew as after any other end.
    pub fn restart(&self, name: &str) {
        // A root that is gone or drowned cannot restart anything; whoever waits for the child will see that.
        let _ = self.root.try_send(Restart(name.into()));
    }

    /// Waits until every child was begun.
    pub async fn running(&self) -> Stage {
        self.until(|stage| *stage != Stage::Starting).await
    }

    /// Waits until the daemon has ended by itself, because it could not go on.
    pub async fn ended(&self) -> Stage {
        let stage = self.until(Stage::is_over).await;
        self.make_safe(&stage).await;
        self.remember().await;
        stage
    }

    /// Stops everything in order: outputs safe first, then everything stored and published. Outputs are made safe also when
    /// the root has gone or takes longer than `patience`.
    pub async fn stop(self, patience: Duration) -> Stage {
        let asked = self.root.try_send(StopAll).is_ok();
        let ended = self.until(Stage::is_over);
        let stage = match timeout(patience, ended).await {
            Ok(stage) if asked => stage,
            _ => Stage::Failed("the root actor does not answer".into()),
        };
        self.make_safe(&stage).await;
        self.remember().await;
        let (store, last_seq) = (self.site.store.clone(), self.site.bus.last_seq());
        // What its task would have taken, had it not been between two lives.
        store.collect(&self.site.store_tap);
        // With this the numbers go on without a gap; without it they jump ahead, and nothing is lost.
        let closed = tokio::task::spawn_blocking(move || store.close(last_seq));
        if let Ok(Ok(Err(error))) = timeout(CLOSING, closed).await {
            tracing::warn!("{error}");
        }
        stage
    }

    /// The root makes all safe before it ends; this is for when it did not come to that.
    async fn make_safe(&self, stage: &Stage) {
        if *stage != Stage::Stopped && !self.site.bank.is_sealed() {
            for (who, error) in self.site.bank.seal().await {
                tracing::error!("{who} could not be made safe: {error}");
            }
        }
    }

    /// A disk that hangs must not hold up the end; then the limits hold as after a crash.
    async fn remember(&self) {
        if timeout(CLOSING, self.site.ledger.close()).await.is_err() {
            tracing::warn!("what limits remember could not be written in time: they hold as after a crash");
        }
    }

    async fn until(&self, reached: impl FnMut(&Stage) -> bool) -> Stage {
        match self.stage.clone().wait_for(reached).await {
            Ok(stage) => stage.clone(),
            Err(_) => Stage::Failed("the root actor has gone".into()),
        }
    }
}
