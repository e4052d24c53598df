//! What every child is built from, and how: one function for each kind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::orders::Orders;
use super::{Host, history};
use crate::alarms::{self, Alarms, Recalled, Teller};
use crate::bus::{Bus, Tap};
use crate::controllers::actor::Controller;
use crate::files;
use crate::hardware::bank::{Bank, Slot, Way};
use crate::hardware::lane::Lanes;
use crate::model::{ControllerId, OutputId};
use crate::mqtt::commands::Commands;
use crate::mqtt::discovery::Things;
use crate::mqtt::{Behind, Mqtt};
use crate::outputs::actor::Output;
use crate::outputs::ledger::Ledger;
use crate::panics::locked;
use crate::post::Post;
use crate::sensors::actor::Sensor;
use crate::sensors::computed::{self, actor::Computed};
use crate::sensors::mqtt::actor::Listener;
use crate::store::Store;
use crate::supervisor::{Child, Role, Root, actor, task};
use crate::{controllers, mqtt, outputs, sensors, store};

/// Events that may wait for MQTT: far more than there are topics, so what is dropped has a newer one behind it.
const MQTT_QUEUE: usize = 20_000;

/// Events that may wait for the store between two flushes; it is woken at half of them, or at the first if it has a fresh tier.
const STORE_QUEUE: usize = 50_000;

/// What limits remember, in the state directory.
const LEDGER: &str = "outputs.json";

/// How long writing a small file may take before whoever waits for it gives up.
const WRITING: Duration = Duration::from_secs(10);

/// What the children share, and what outlives each of them.
pub(super) struct Site {
    pub host: Host,
    pub lanes: Lanes,
    pub bus: Bus,
    /// What devices hear from a broker, and say there.
    pub post: Post,
    pub alarms: Alarms,
    pub bank: Arc<Bank>,
    pub store: Store,
    /// Readings on their way to the store. It outlives the store's task, so that none is missed between two lives of it.
    pub store_tap: Arc<Tap>,
    /// What the outputs' limits remember.
    pub ledger: Ledger,
    /// Who takes commands over MQTT.
    pub commands: Arc<Commands>,
    /// What Home Assistant may be told of.
    pub things: watch::Sender<Arc<Things>>,
    /// Where the controllers were.
    pub memories: Mutex<BTreeMap<ControllerId, Arc<Mutex<controllers::actor::Memory>>>>,
}

impl Site {
    pub fn new(host: Host, lanes: Lanes, bus: Bus, post: Post, bank: Arc<Bank>, store: Store, things: Things) -> Self {
        let alarms = Alarms::new(host.clock, bus.clone());
        let wake_at = if store.has_fresh_tier() { 1 } else { STORE_QUEUE / 2 };
        let store_tap = Arc::new(bus.tap(STORE_QUEUE, wake_at));
        let (file, boot) = (host.state.join(LEDGER), host.boot.clone());
        let ledger = Ledger::open(&file, boot, host.clock, &alarms, lanes.get("ledger"));
        let (things, watched) = watch::channel(Arc::new(things));
        let node = Orders::shared(&alarms, host.reload.as_ref());
        let commands = Arc::new(Commands::new(bus.clone(), host.clock, node, watched));
        let memories = Mutex::default();
        Self { host, lanes, bus, post, alarms, bank, store, store_tap, ledger, commands, things, memories }
    }

    /// From now on this is what there is, and what commands may move. What they hold and may not hold any more is let go.
    pub fn have(&self, things: Things) {
        let before = self.things.send_replace(Arc::new(things));
        let now = self.things.borrow().clone();
        let is_open = |id: &OutputId| now.outputs.iter().any(|output| output.id == *id && output.remote);
        for closed in before.outputs.iter().filter(|output| output.remote && !is_open(&output.id)) {
            self.commands.release(&closed.id);
        }
    }

    /// The root actor over these children.
    pub fn root(&self, children: Vec<Child>, alive: impl Fn() + 'static) -> Root {
        let (bus, alarms, bank) = (self.bus.clone(), self.alarms.clone(), self.bank.clone());
        Root::new(self.host.clock, bus, alarms, bank, children, self.host.seed, alive)
    }

    /// Finds a place in the bank for an output. Its hardware is taken when the bank is opened.
    pub fn slot(config: &outputs::Config, lanes: &Lanes, bank: &Bank, host: &Host, post: &Post) -> Arc<Slot> {
        let way = Way { lane: lanes.get(&config.device.lane()), deadline: config.device.deadline() };
        bank.set_interlocks(&config.id, &config.interlocks.only_while, &config.interlocks.never_with);
        bank.add(&config.id, way, config.limits.initial(), config.opener(&host.hardware, Some(post)))
    }

    pub fn store(&self, config: &store::Config) -> Child {
        let (store, alarms, tap) = (self.store.clone(), self.alarms.clone(), self.store_tap.clone());
        let config = Arc::new(config.clone());
        let body = task(move |lifeline, mut orders| {
            let (store, alarms, tap, config) = (store.clone(), alarms.clone(), tap.clone(), config.clone());
            async move {
                lifeline.ready();
                store::run(&store, &alarms, &tap, &config, orders.stop(), || lifeline.beat()).await
            }
        });
        Child { name: "store".into(), role: Role::Store, body, arbiter: self.host.services.clone() }
    }

    pub fn mqtt(&self, config: mqtt::Config, node: &str) -> Child {
        let readings = history::Stored::new(self.store.clone(), node, self.alarms.clone());
        let commands = config.commands.then(|| self.commands.clone());
        let things = Some(self.things.subscribe());
        let post = Some(self.post.clone());
        let behind = Behind { readings: Some(Arc::new(readings)), commands, things, post };
        let (mqtt, tap) = (Mqtt::over(self.host.link.clone(), config, node, behind), self.bus.tap_all(MQTT_QUEUE, 1));
        self.alarms.tell_all(&tap);
        let tap = Arc::new(tap);
        let body = task(move |lifeline, mut orders| {
            let (mqtt, tap) = (mqtt.clone(), tap.clone());
            async move {
                lifeline.ready();
                mqtt::run(&mqtt, &tap, orders.stop(), || lifeline.beat()).await
            }
        });
        Child { name: "mqtt".into(), role: Role::Mqtt, body, arbiter: self.host.services.clone() }
    }

    /// Keeps the alarms that stand in a file, where a crash does not reach them.
    pub fn alarms(&self, file: PathBuf) -> Child {
        let (alarms, file, lane) = (self.alarms.clone(), Arc::new(file), self.lanes.get("disk"));
        let body = task(move |lifeline, mut orders| {
            let (alarms, file, lane) = (alarms.clone(), file.clone(), lane.clone());
            async move {
                lifeline.ready();
                let write = async |bytes: Vec<u8>| {
                    let file = file.clone();
                    let job = lane.run_surely(&"alarms".into(), WRITING, move || files::replace(&file, &bytes)).await;
                    files::replaced(job)
                };
                alarms::keep(&alarms, write, orders.stop()).await;
                Ok::<(), String>(())
            }
        });
        Child { name: "alarms.file".into(), role: Role::Alarms, body, arbiter: self.host.services.clone() }
    }

    /// Those who tell a person, each in its way.
    pub fn tellers(&self, config: Option<&alarms::Config>, node: &str, recalled: &Recalled) -> Vec<Child> {
        let tellers = config.map(|config| Teller::all(config, node, &self.alarms, recalled)).unwrap_or_default();
        let child = |teller: Teller| {
            let name = teller.name().clone();
            let body = task(move |lifeline, mut orders| {
                let teller = teller.clone();
                async move {
                    lifeline.ready();
                    teller.run(orders.stop()).await
                }
            });
            Child { name, role: Role::Alarms, body, arbiter: self.host.services.clone() }
        };
        tellers.into_iter().map(child).collect()
    }

    pub fn output(&self, config: outputs::Config, slot: Arc<Slot>) -> Child {
        let outputs::Config { id, limits, .. } = config;
        let (clock, bus, alarms) = (self.host.clock, self.bus.clone(), self.alarms.clone());
        let (account, ledger) = (self.ledger.account(&id, limits), self.ledger.clone());
        bus.serve_output(&id, outputs::actor::desk(&id, clock, &account, &slot));
        let with = outputs::actor::Surroundings { clock, bus, alarms, slot, account, ledger };
        let name = format!("outputs.{id}").into();
        let body = actor(move |lifeline| Output::new(id.clone(), with.clone(), lifeline));
        Child { name, role: Role::Output, body, arbiter: self.host.control.clone() }
    }

    pub fn sensor(&self, config: sensors::Config) -> Child {
        let config = Arc::new(config);
        let (name, role) = (format!("sensors.{}", config.id).into(), Role::Sensor(config.id.clone()));
        // A simulated world has its own in the place of a device that is reached over a broker, as of any other.
        if let Some(heard) = config.device.heard().filter(|_| self.host.hardware.stand_in(config.id.as_str()).is_none())
        {
            self.bus.serve_no_calibration(&config.id);
            let (bus, post, filters) = (self.bus.clone(), self.post.clone(), config.filters());
            let with = sensors::mqtt::actor::Surroundings { clock: self.host.clock, bus, post, filters };
            let (heard, config) = (Arc::new(heard.clone()), config.clone());
            let body = actor(move |lifeline| Listener::new(config.clone(), heard.clone(), with.clone(), lifeline));
            return Child { name, role, body, arbiter: self.host.control.clone() };
        }
        let with = sensors::actor::Surroundings {
            clock: self.host.clock,
            bus: self.bus.clone(),
            hardware: self.host.hardware.clone(),
            lane: self.lanes.get(&config.device.lane()),
            recovery: Arc::default(),
            filters: config.filters(),
            running: Arc::default(),
        };
        self.bus.serve_calibration(&config.id, sensors::calibration::desk(&config, &with.lane, &with.running));
        let body = actor(move |lifeline| Sensor::new(config.clone(), with.clone(), lifeline));
        Child { name, role, body, arbiter: self.host.control.clone() }
    }

    pub fn computed(&self, config: computed::Config) -> Child {
        self.bus.serve_no_calibration(&config.id);
        let config = Arc::new(config);
        let (clock, bus, alarms) = (self.host.clock, self.bus.clone(), self.alarms.clone());
        let with = computed::actor::Surroundings { clock, bus, alarms };
        let (name, role) = (format!("sensors.{}", config.id).into(), Role::Sensor(config.id.clone()));
        let body = actor(move |lifeline| Computed::new(config.clone(), with.clone(), lifeline));
        Child { name, role, body, arbiter: self.host.control.clone() }
    }

    pub fn controller(&self, config: controllers::Config) -> Child {
        let (clock, bus, alarms) = (self.host.clock, self.bus.clone(), self.alarms.clone());
        let memory = locked(&self.memories).entry(config.id.clone()).or_default().clone();
        let with = controllers::actor::Surroundings { clock, bus, alarms, memory };
        let name = format!("controllers.{}", config.id).into();
        let body = actor(move |lifeline| Controller::new(config.clone(), with.clone(), lifeline));
        Child { name, role: Role::Controller, body, arbiter: self.host.control.clone() }
    }
}
