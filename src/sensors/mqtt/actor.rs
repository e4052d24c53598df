//! The actor of every sensor that hears others over a broker: publishes what comes, as it comes, and says when nothing comes any more.

use std::sync::Arc;

use actix::prelude::*;

use super::Heard;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::config::written;
use crate::lifeline::Lifeline;
use crate::message::{Ping, SensorState, Stop};
use crate::model::{ChannelId, Monotonic, Quantity, Sample};
use crate::panics::locked;
use crate::post::{Letter, Letterbox, Post};
use crate::sensors::filter::Filter;
use crate::sensors::{Config, Filters};

/// No sensor says more. It is read on the thread of control.
const LARGEST: usize = 64 * 1024;

/// What such a sensor works with.
#[derive(Clone)]
pub struct Surroundings {
    /// Tells the time.
    pub clock: Clock,
    /// Where readings go.
    pub bus: Bus,
    /// Where they come from.
    pub post: Post,
    /// What its values go through, which remembers what earlier lives heard.
    pub filters: Filters,
}

/// A sensor that hears.
pub struct Listener {
    config: Arc<Config>,
    heard: Arc<Heard>,
    with: Surroundings,
    lifeline: Lifeline,
    channel: ChannelId,
    quantity: Quantity,
    letters: Arc<Letterbox>,
    /// When the last one came; or else when it began to listen.
    last: Monotonic,
    online: Option<bool>,
    silence: Option<SpawnHandle>,
}

impl Listener {
    /// A sensor that listens from now on.
    pub fn new(config: Arc<Config>, heard: Arc<Heard>, with: Surroundings, lifeline: Lifeline) -> Self {
        let channel = heard.value.channel();
        let (id, quantity) = (ChannelId::new(&config.id, channel.name), channel.quantity);
        locked(&with.filters).iter_mut().for_each(Filter::fresh_life);
        let letters = with.post.subscribe(&heard.topic);
        // What an earlier life has heard is no younger for that.
        let last = with.bus.latest(&id).map_or_else(|| with.clock.now(), |reading| reading.at);
        Self { config, heard, with, lifeline, channel: id, quantity, letters, last, online: None, silence: None }
    }

    /// Waits for a letter, and after it for the interval: of those that come meanwhile, the last one counts.
    fn listen(&mut self, ctx: &mut Context<Self>) {
        let letters = self.letters.clone();
        let arrival = async move { letters.arrival().await };
        ctx.spawn(arrival.into_actor(self).map(|(), sensor, ctx| {
            if let Some(letter) = sensor.letters.take() {
                sensor.hear(letter, ctx);
            }
            ctx.run_later(sensor.config.every, Self::listen);
        }));
    }

    fn hear(&mut self, Letter { payload, at }: Letter, ctx: &mut Context<Self>) {
        self.lifeline.beat();
        let sample = match self.value(&payload) {
            Ok(value) => {
                locked(&self.with.filters).first_mut().map_or(Sample::measured(value), |filter| filter.pass(value, at))
            }
            Err(why) => Sample::Bad(format!("on {}: {why}", self.heard.topic).into()),
        };
        self.with.bus.publish_as_of(&self.channel, self.quantity, sample, at);
        self.tell(true);
        self.last = at;
        self.await_silence(ctx);
    }

    fn value(&self, payload: &[u8]) -> Result<f64, String> {
        if payload.len() > LARGEST {
            return Err(format!("{} bytes are more than any value", payload.len()));
        }
        let text = std::str::from_utf8(payload).map_err(|_| "what is published is no text".to_owned())?;
        self.heard.value.value(text)
    }

    /// Looks when its last reading is too old.
    fn await_silence(&mut self, ctx: &mut Context<Self>) {
        if let Some(earlier) = self.silence.take() {
            ctx.cancel_future(earlier);
        }
        let end = self.last + self.heard.stale_after;
        self.silence = Some(ctx.run_later(end.since(self.with.clock.now()), Self::silent));
    }

    fn silent(&mut self, _: &mut Context<Self>) {
        self.silence = None;
        let (topic, silence) = (&self.heard.topic, written(self.heard.stale_after));
        let what = match self.with.post.is_connected() {
            true => "is its device alive, and is this its topic?",
            false => "there is no connection to the broker",
        };
        let why: Arc<str> = format!("nothing was published on {topic} for {silence}: {what}").into();
        if self.tell(false) {
            tracing::warn!("sensor {}: {why}", self.config.id);
        }
        self.with.bus.publish(&self.channel, self.quantity, Sample::Bad(why));
    }

    /// Gives whether that is news.
    fn tell(&mut self, online: bool) -> bool {
        if self.online.replace(online) == Some(online) {
            return false;
        }
        let before = self.with.bus.sensor(SensorState { sensor: self.config.id.clone(), online });
        if online && before == Some(false) {
            tracing::info!("sensor {} is back", self.config.id);
        }
        true
    }
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.listen(ctx);
        self.await_silence(ctx);
        self.lifeline.ready();
    }
}

impl Handler<Stop> for Listener {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.tell(false);
        ctx.stop();
    }
}

impl Handler<Ping> for Listener {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {
        self.lifeline.beat();
    }
}
