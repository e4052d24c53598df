//! A changed configuration while the daemon runs: only what changed is begun anew, and no pin moves that need not.
//!
//! The file has been read and checked as a whole before; here nothing can be wrong with it any more except that it wants
//! what only a restart can change, and then nothing is changed at all. The order is that of a stop and a start: controllers
//! leave, outputs that leave go to their safe levels, sensors leave; then outputs are taken at their safe levels, sensors
//! and controllers begin.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::plan::{Change, Difference, Plan};
use super::site::Site;
use super::things::things;
use super::{Daemon, plug};
use crate::alarms::Recalled;
use crate::config::Config;
use crate::message::{Event, Gone};
use crate::model::OutputId;
use crate::mqtt::{self, Broker};
use crate::panics::locked;
use crate::supervisor::{Adopt, Child, Farewell, Retire, Stage};

/// Far more than all the farewells may take; a root that does not answer in this time will not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The children of `[alarms]`.
const WAYS: [&str; 2] = ["alarms.webhook", "alarms.email"];

/// Why a configuration was not taken over. Nothing has changed then, unless it came half way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It has what cannot be changed while outputs are held.
    #[error("{} cannot be changed while homeostat runs: restart it to apply that", .0.join(" and "))]
    NeedsRestart(Vec<&'static str>),
    /// The embedded broker.
    #[error("{0}")]
    Broker(String),
    /// A controller stands still until a person has looked, and would be gone with that.
    #[error(
        "the alarm {0} holds outputs at their safe levels: acknowledge it before you take its controller away (`homeostat ack {0}`)"
    )]
    Held(String),
    /// The root stopped answering in the midst of it.
    #[error(
        "the daemon stopped answering half way, and a part of the change may be in effect: reload again, or restart homeostat"
    )]
    HalfWay,
    /// The daemon is on its way down.
    #[error("the daemon is not running, it stops; try again")]
    NotRunning,
}

impl Daemon {
    /// Takes `config` over. Everything that is as it was keeps running, tick for tick.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn reload(&mut self, config: Config) -> Result<Difference, Refused> {
        if self.running().await != Stage::Running {
            return Err(Refused::NotRunning);
        }
        let plan = Plan::of(&config);
        let difference = self.plan.to(&plan);
        if !difference.fixed.is_empty() {
            return Err(Refused::NeedsRestart(difference.fixed));
        }
        let gone = |change| matches!(change, Change::Removed | Change::Replaced);
        let leaving = difference.changed.iter().filter(|(_, change)| gone(**change));
        let held = leaving.map(|(name, _)| format!("{name}.watch")).find(|alarm| self.site.alarms.is_latched(alarm));
        if let Some(alarm) = held {
            return Err(Refused::Held(alarm));
        }
        if let Some(mqtt) = &config.mqtt {
            self.start_broker(mqtt.broker.clone()).await?;
        }
        // Nobody is to begin with what goes; and it is to leave Home Assistant before its topics are empty, if that can be.
        self.site.have(things(&config));
        // Should this end half way, what has left is new to the next one.
        self.plan = std::mem::take(&mut self.plan).without(&difference);
        self.leave(&difference).await?;
        self.come(config, &difference).await?;
        self.plan = plan;
        Ok(difference)
    }

    /// Starts an embedded broker where none of ours listens yet. It may take a while, and stays to the end of the process.
    async fn start_broker(&mut self, broker: Broker) -> Result<(), Refused> {
        if self.brokers.contains(&broker) {
            return Ok(());
        }
        let starting = broker.clone();
        let started = tokio::task::spawn_blocking(move || mqtt::broker::start_if_embedded(&starting)).await;
        match started {
            Ok(Ok(_)) => self.brokers.push(broker),
            Ok(Err(error)) => return Err(Refused::Broker(error.to_string())),
            Err(panic) => return Err(Refused::Broker(panic.to_string())),
        }
        Ok(())
    }

    /// Ends what is removed or begun anew.
    async fn leave(&self, difference: &Difference) -> Result<(), Refused> {
        for room in ["controllers.", "outputs.", "sensors.", "mqtt", "alarms", "store"] {
            let of_room = difference.changed.iter().filter(|(name, _)| name.starts_with(room));
            let leaving: Vec<(Arc<str>, Farewell)> = of_room
                .filter_map(|(name, change)| match (change, room) {
                    // Its demands hold its outputs until its next life has the next reading.
                    (Change::Adjusted, "controllers.") => Some((name.as_str().into(), Farewell::AtOnce)),
                    (Change::Added | Change::Adjusted, _) => None,
                    _ => Some((name.as_str().into(), Farewell::InOrder)),
                })
                .collect();
            // They have a child for each way to a person.
            let leaving = match room {
                "alarms" if !leaving.is_empty() => WAYS.map(|way| (way.into(), Farewell::InOrder)).into(),
                _ => leaving,
            };
            let names: Vec<Arc<str>> = leaving.iter().map(|(name, _)| name.clone()).collect();
            if !leaving.is_empty() {
                let answer = timeout(PATIENCE, self.root.send(Retire(leaving))).await;
                answer.ok().and_then(Result::ok).ok_or(Refused::HalfWay)?;
            }
            // All at once: each output that does not answer takes its whole deadline. The bank keeps to the order of interlocks.
            join_all(names.iter().filter_map(|name| match difference.changed.get(&**name) {
                Some(Change::Adjusted) => None,
                change => Some(self.clear_away(name, change == Some(&Change::Removed))),
            }))
            .await;
        }
        Ok(())
    }

    /// What is left of a child that has ended.
    async fn clear_away(&self, name: &str, for_good: bool) {
        let site = &self.site;
        if let Some(output) = name.strip_prefix("outputs.") {
            let Ok(id) = OutputId::new(output) else { return };
            if let Err(error) = site.bank.remove(&id).await {
                tracing::error!("output {id} leaves and could not be made safe: {error}; switch it off by hand");
            }
        }
        if let Some(controller) = name.strip_prefix("controllers.") {
            let mut memories = locked(&site.memories);
            if for_good {
                memories.retain(|id, _| id.as_str() != controller);
            } else if let Some((_, memory)) = memories.iter().find(|(id, _)| id.as_str() == controller) {
                // What it did to other outputs says nothing of what to do to these.
                locked(memory).forget_output();
            }
        }
        if let (Some(sensor), Some(world)) = (name.strip_prefix("sensors."), &site.host.world) {
            world.unplug(sensor);
        }
        if for_good {
            site.alarms.clear_all_of(name);
            if let Some((_, id)) = name.split_once('.') {
                site.bus.tell(Event::Gone(Gone { id: id.into() }));
            }
        }
    }

    /// Begins what is new or begun anew, and adjusts the rest.
    async fn come(&self, config: Config, difference: &Difference) -> Result<(), Refused> {
        let site = &self.site;
        let change = |room: &str, id: &str| difference.changed.get(&format!("{room}{id}")).copied();
        let begins = |room: &str, id: &str| matches!(change(room, id), Some(Change::Added | Change::Replaced));
        if let (Some(world), Some(_)) = (&site.host.world, change("simulation", "")) {
            world.rebuild(config.simulation.unwrap_or_default());
        }
        let mut children: Vec<Child> = Vec::new();
        let mut slots = Vec::new();
        for output in config.outputs {
            let id = output.id.clone();
            if begins("outputs.", id.as_str()) {
                if let Some(world) = &site.host.world {
                    super::wire(world, &output);
                }
                let slot = Site::slot(&output, &site.lanes, &site.bank, &site.host, &site.post);
                slots.push(slot.clone());
                children.push(site.output(output, slot));
            } else if change("outputs.", id.as_str()) == Some(Change::Adjusted) {
                site.bank.set_interlocks(&id, &output.interlocks.only_while, &output.interlocks.never_with);
                site.ledger.set_limits(&id, output.limits);
            }
        }
        site.ledger.begin().await;
        // One that cannot be taken now is tried again by its actor.
        join_all(slots.iter().map(|slot| slot.open())).await;
        if begins("store", "") {
            children.push(site.store(&config.store));
        }
        if change("mqtt", "") == Some(Change::Added) {
            // The history is of what comes from now on.
            site.store.acknowledged(site.bus.last_seq());
        }
        site.store.keeps_for_history(config.mqtt.is_some());
        if let Some(mqtt) = config.mqtt.filter(|_| begins("mqtt", "")) {
            children.push(site.mqtt(mqtt, &config.node.name));
        }
        if begins("alarms", "") {
            // What stands has been told by those who left.
            let told = Recalled { alarms: site.alarms.standing_now(), damage: None };
            children.extend(site.tellers(config.alarms.as_ref(), &config.node.name, &told));
        }
        for sensor in config.sensors {
            if begins("sensors.", sensor.id.as_str()) {
                if let Some(world) = &site.host.world {
                    plug(world, &sensor);
                }
                children.push(site.sensor(sensor));
            }
        }
        for sensor in config.computed {
            if begins("sensors.", sensor.id.as_str()) {
                children.push(site.computed(sensor));
            }
        }
        for controller in config.controllers {
            if change("controllers.", controller.id.as_str()).is_some() {
                children.push(site.controller(controller));
            }
        }
        let answer = timeout(PATIENCE, self.root.send(Adopt(children))).await;
        answer.ok().and_then(Result::ok).ok_or(Refused::HalfWay)
    }
}
