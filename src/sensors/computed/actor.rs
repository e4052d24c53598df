//! The actor of every sensor that computes: hears its inputs, computes, and publishes in time with them.
//!
//! - It publishes when all inputs that its value comes from have read anew. Those that read together are judged together:
//!   a first reading waits a moment for the others. So it publishes as often as they read, and not more often than the
//!   fastest; but when its value comes from others than before, it says so at once.
//! - When readings go stale it computes again without being told, so that nobody acts on what is no longer there.
//! - A change of what can be relied on is logged once, and is the alarm `sensors.NAME.inputs` while it lasts.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::{Config, Outcome, Trouble};
use crate::alarms::Alarms;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::lifeline::Lifeline;
use crate::message::{NewReading, Ping, SensorState, Stop};
use crate::model::{ChannelId, Monotonic, Reading, Sample};

/// So long at most a reading waits for others of the same tick: one-wire sensors read one after another.
const TOGETHER: Duration = Duration::from_secs(1);

/// What such a sensor works with.
#[derive(Clone)]
pub struct Surroundings {
    /// Tells the time.
    pub clock: Clock,
    /// Where readings come from and go.
    pub bus: Bus,
    /// Where a person is told.
    pub alarms: Alarms,
}

/// A sensor that computes.
pub struct Computed {
    config: Arc<Config>,
    with: Surroundings,
    lifeline: Lifeline,
    channel: ChannelId,
    /// The latest reading of each input, and whether it is newer than what was published last.
    inputs: Vec<(Option<Reading>, bool)>,
    began: Monotonic,
    published: Option<(Outcome, Monotonic)>,
    told: Told,
    waiting: Option<SpawnHandle>,
    stale: Option<SpawnHandle>,
}

/// What a person was told last.
#[derive(Debug, PartialEq)]
enum Told {
    /// Nothing in this life, so that the alarm of an earlier one may stand.
    Nothing,
    Well,
    /// Of these inputs.
    Trouble(Vec<usize>),
}

impl Computed {
    /// A sensor that has not heard its inputs yet.
    pub fn new(config: Arc<Config>, with: Surroundings, lifeline: Lifeline) -> Self {
        let channel = ChannelId::new(&config.id, config.formula.channel().name);
        let inputs = vec![(None, false); config.inputs.len()];
        let began = with.clock.now();
        Self {
            config,
            with,
            lifeline,
            channel,
            inputs,
            began,
            published: None,
            told: Told::Nothing,
            waiting: None,
            stale: None,
        }
    }

    /// What the fresh ones of its inputs come to.
    fn compute(&self, now: Monotonic) -> Outcome {
        let fresh = |reading: &Reading| now.since(reading.at) < self.config.stale_after;
        let samples: Vec<(&ChannelId, Option<&Sample>)> = self
            .config
            .inputs
            .iter()
            .zip(&self.inputs)
            .map(|(input, (reading, _))| {
                let fresh = reading.as_ref().filter(|reading| fresh(reading));
                (&input.id, fresh.map(|reading| &reading.sample))
            })
            .collect();
        self.config.formula.compute(&samples)
    }

    /// A reading came: publishes if it was the last one waited for, or else in a moment.
    fn consider(&mut self, ctx: &mut Context<Self>) {
        let now = self.with.clock.now();
        let outcome = self.compute(now);
        let complete = !outcome.uses.is_empty() && outcome.uses.iter().all(|&index| self.is_new(index));
        if complete && self.is_due(now) {
            self.publish(outcome, now);
        } else if self.waiting.is_none() {
            let moment = TOGETHER.min(self.config.fastest / 4);
            self.waiting = Some(ctx.run_later(moment, Self::after_a_moment));
        }
        self.watch_staleness(now, ctx);
    }

    fn after_a_moment(&mut self, _: &mut Context<Self>) {
        self.waiting = None;
        let now = self.with.clock.now();
        let outcome = self.compute(now);
        let news = outcome.uses.iter().any(|&index| self.is_new(index));
        let only_bad = outcome.uses.is_empty() && self.inputs.iter().any(|(_, new)| *new);
        let is_wanted = self.is_change(&outcome) || (news || only_bad) && self.is_due(now);
        if is_wanted && !self.is_early(&outcome, now) {
            self.publish(outcome, now);
        }
    }

    /// A reading has grown too old: what came from it counts no more.
    fn look_again(&mut self, ctx: &mut Context<Self>) {
        self.stale = None;
        let now = self.with.clock.now();
        let outcome = self.compute(now);
        if self.is_change(&outcome) && !self.is_early(&outcome, now) {
            self.publish(outcome, now);
        }
        self.watch_staleness(now, ctx);
    }

    /// Computes again when the next reading grows too old, or the time is over in which inputs may still be opening.
    fn watch_staleness(&mut self, now: Monotonic, ctx: &mut Context<Self>) {
        if let Some(earlier) = self.stale.take() {
            ctx.cancel_future(earlier);
        }
        let ends = self.inputs.iter().filter_map(|(reading, _)| Some(reading.as_ref()?.at + self.config.stale_after));
        let next = ends.chain([self.began + self.config.stale_after]).filter(|end| *end > now).min();
        self.stale = next.map(|next| ctx.run_later(next.since(now), Self::look_again));
    }

    fn publish(&mut self, outcome: Outcome, now: Monotonic) {
        // It is as old as the oldest that it rests on, or a controller would act on values of twice their age.
        let used = outcome.uses.iter().filter_map(|&index| Some(self.inputs.get(index)?.0.as_ref()?.at));
        let (quantity, sample) = (self.config.formula.channel().quantity, outcome.sample.clone());
        self.with.bus.publish_as_of(&self.channel, quantity, sample, used.min().unwrap_or(now));
        self.inputs.iter_mut().for_each(|(_, new)| *new = false);
        self.with.bus.sensor(SensorState { sensor: self.config.id.clone(), online: !outcome.uses.is_empty() });
        self.tell(outcome.trouble.as_ref(), now);
        self.published = Some((outcome, now));
    }

    fn tell(&mut self, trouble: Option<&Trouble>, now: Monotonic) {
        // An input that has not read yet may still be opening.
        let trouble = trouble.filter(|trouble| !self.is_opening(now, &trouble.about));
        let telling = trouble.map_or(Told::Well, |trouble| Told::Trouble(trouble.about.clone()));
        let before = std::mem::replace(&mut self.told, telling);
        if before == self.told {
            return;
        }
        let name = format!("sensors.{}.inputs", self.config.id);
        match trouble {
            Some(trouble) => {
                tracing::warn!("sensor {}: {}", self.config.id, trouble.text);
                self.with.alarms.raise(&name, &trouble.text);
            }
            None => {
                if before != Told::Nothing {
                    tracing::info!("sensor {}: its inputs can be relied on again", self.config.id);
                }
                self.with.alarms.clear(&name);
            }
        }
    }

    /// Readings of one tick do not come at exactly the same moment, so half an interval will do.
    fn is_due(&self, now: Monotonic) -> bool {
        self.published.as_ref().is_none_or(|(_, last)| now.since(*last) >= self.config.fastest / 2)
    }

    fn is_new(&self, index: usize) -> bool {
        self.inputs.get(index).is_some_and(|(_, new)| *new)
    }

    /// Whether others get to know of it even without a new reading.
    fn is_change(&self, outcome: &Outcome) -> bool {
        let Some((before, _)) = &self.published else { return true };
        let about = |outcome: &Outcome| outcome.trouble.as_ref().map(|trouble| trouble.about.clone());
        before.sample.quality() != outcome.sample.quality()
            || before.uses != outcome.uses
            || about(before) != about(outcome)
    }

    /// Nothing can be said before the inputs had the time to read once.
    fn is_early(&self, outcome: &Outcome, now: Monotonic) -> bool {
        let is_first = self.inputs.iter().all(|(reading, _)| reading.is_none());
        outcome.uses.is_empty() && is_first && now.since(self.began) < self.config.stale_after
    }

    /// Whether one of these has not read yet, and may still do so.
    fn is_opening(&self, now: Monotonic, about: &[usize]) -> bool {
        let silent = |index: &usize| self.inputs.get(*index).is_some_and(|(reading, _)| reading.is_none());
        now.since(self.began) < self.config.stale_after && about.iter().any(silent)
    }
}

impl Actor for Computed {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for input in &self.config.inputs {
            self.with.bus.listen(&input.id, ctx.address().recipient());
            // What was read before it listened.
            if let Some(reading) = self.with.bus.latest(&input.id) {
                ctx.notify(NewReading(reading));
            }
        }
        self.watch_staleness(self.began, ctx);
        self.lifeline.ready();
    }
}

impl Handler<NewReading> for Computed {
    type Result = ();

    fn handle(&mut self, NewReading(reading): NewReading, ctx: &mut Self::Context) {
        self.lifeline.beat();
        let index = self.config.inputs.iter().position(|input| input.id == reading.channel);
        let Some(input) = index.and_then(|index| self.inputs.get_mut(index)) else { return };
        // One from before it listened may come after a newer one.
        if input.0.as_ref().is_some_and(|known| known.seq >= reading.seq) {
            return;
        }
        *input = (Some(reading), true);
        self.consider(ctx);
    }
}

impl Handler<Stop> for Computed {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.with.bus.sensor(SensorState { sensor: self.config.id.clone(), online: false });
        ctx.stop();
    }
}

impl Handler<Ping> for Computed {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {
        self.lifeline.beat();
    }
}
