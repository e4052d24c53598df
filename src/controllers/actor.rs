//! The actor of every controller: steps on each new reading and asks its outputs for what came of it.
//!
//! Each demand is leased until the reading it rests on is stale. So a controller that dies, hangs or hears nothing need
//! not be noticed by anybody: its outputs fall to their safe levels by themselves.

use std::sync::{Arc, Mutex};

use actix::prelude::*;

use super::Config;
use super::pid::Pid;
use crate::alarms::Alarms;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::lifeline::Lifeline;
use crate::message::{Adjust, ControllerState, Event, Mode, NewReading, Ping, Stop};
use crate::model::{Because, Demand, Level, Monotonic, OutputId, Owner, Priority, Reading, Terms, Wish};
use crate::panics::locked;

/// What a controller works with.
#[derive(Clone)]
pub struct Surroundings {
    /// Tells the time.
    pub clock: Clock,
    /// Where readings come from and demands go.
    pub bus: Bus,
    /// Where a person is told.
    pub alarms: Alarms,
    /// What a next life goes on from. It outlives the actor.
    pub memory: Arc<Mutex<Memory>>,
}

/// What outlives a controller: what a person asked of it, and where it was.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// A setpoint asked for in place of the configured one, and which one that was.
    setpoint: Option<(f64, f64)>,
    /// The output that a person asked it to hold, -1..=1.
    manual: Option<f64>,
    /// Its last output, and until when that counts.
    last: Option<(f64, Monotonic)>,
}

/// A controller.
pub struct Controller {
    config: Config,
    with: Surroundings,
    lifeline: Lifeline,
    owner: Owner,
    pid: Pid,
    setpoint: f64,
    /// The output a person asked it to hold, -1..=1.
    manual: Option<f64>,
    /// Where an earlier life was, until this one has acted.
    resume: Option<(f64, Monotonic)>,
    /// Whether it has something to go by.
    acting: bool,
    settled: bool,
    stale: Option<SpawnHandle>,
}

impl Controller {
    /// A controller that has heard nothing yet.
    pub fn new(config: Config, with: Surroundings, lifeline: Lifeline) -> Self {
        let low = if config.lower.is_some() { -1.0 } else { 0.0 };
        let high = if config.raise.is_some() { 1.0 } else { 0.0 };
        let memory = locked(&with.memory).clone();
        // Whoever changes the file has the last word.
        let asked = memory.setpoint.filter(|(_, configured)| *configured == config.setpoint);
        Self {
            owner: Owner::new(&format!("controllers.{}", config.id)),
            pid: Pid::new(config.gains, low..=high, config.stale_after),
            setpoint: asked.map_or(config.setpoint, |(setpoint, _)| setpoint),
            config,
            with,
            lifeline,
            manual: memory.manual,
            resume: memory.last,
            acting: false,
            settled: false,
            stale: None,
        }
    }

    fn act(&mut self, input: f64, reading: &Reading, ctx: &mut Context<Self>) {
        // A life that follows on another goes on where that one was: no bump.
        let before = self.resume.take().filter(|(_, until)| reading.at < *until).map(|(output, _)| output);
        let (output, terms) = match self.manual.or(before) {
            None => match self.pid.step(self.setpoint, input, reading.at) {
                Some(step) => (step.output, step.terms),
                None => return self.wait("it is not a number"),
            },
            Some(held) => {
                self.pid.track(held, self.setpoint, input, reading.at);
                (held, Terms::default())
            }
        };
        let until = reading.at + self.config.stale_after;
        locked(&self.with.memory).last = Some((output, until));
        let (setpoint, seq) = (self.setpoint, reading.seq);
        let because = Arc::new(Because { input: self.config.input.clone(), value: input, seq, setpoint, terms });
        self.demand(&self.config.raise, Wish::Level(Level::clamped(output)), until, Some(&because));
        self.demand(&self.config.lower, Wish::Level(Level::clamped(-output)), until, Some(&because));
        if !std::mem::replace(&mut self.acting, true) {
            tracing::info!("{}: {} is {input:.2}, aiming at {:.2}", self.config.id, self.config.input, self.setpoint);
        }
        self.watch_settling(input);
        let mode = self.manual.map_or(Mode::Automatic, Mode::Manual);
        self.tell(mode, Some(input), terms, output);
        if let Some(earlier) = self.stale.take() {
            ctx.cancel_future(earlier);
        }
        let left = until.since(self.with.clock.now());
        self.stale = Some(ctx.run_later(left, |controller, _| controller.wait("its last reading is too old")));
    }

    /// Demands nothing until a usable reading comes.
    fn wait(&mut self, why: &str) {
        self.demand(&self.config.raise, Wish::Nothing, Monotonic::default(), None);
        self.demand(&self.config.lower, Wish::Nothing, Monotonic::default(), None);
        self.pid.pause();
        if std::mem::take(&mut self.acting) {
            tracing::warn!("{} waits for {}: {why}", self.config.id, self.config.input);
            self.settled = false;
            self.tell(Mode::Waiting, None, Terms::default(), 0.0);
        }
    }

    fn demand(&self, output: &Option<OutputId>, wish: Wish, until: Monotonic, because: Option<&Arc<Because>>) {
        let Some(output) = output else { return };
        let (owner, because) = (self.owner.clone(), because.cloned());
        let demand = Demand { owner, priority: Priority::Controller, wish, until, because };
        if let Err(undeliverable) = self.with.bus.demand(output, demand) {
            // The lease takes care of the output, the supervisor of its actor; the next reading brings the next demand.
            tracing::debug!("{}: {undeliverable}", self.config.id);
        }
    }

    /// Says once that the setpoint was reached, for the person at the terminal. Half a degree and back out at a whole one.
    fn watch_settling(&mut self, input: f64) {
        let away = (self.setpoint - input).abs();
        let settled = if self.settled { away < 1.0 } else { away < 0.5 };
        if settled != self.settled {
            let now = if settled { "has reached" } else { "has left" };
            tracing::info!("{}: {} {now} {:.2}, it is {input:.2}", self.config.id, self.config.input, self.setpoint);
        }
        self.settled = settled;
    }

    fn tell(&self, mode: Mode, input: Option<f64>, terms: Terms, output: f64) {
        let (controller, setpoint) = (self.config.id.clone(), self.setpoint);
        self.with.bus.tell(Event::Controller(ControllerState { controller, mode, setpoint, input, terms, output }));
    }
}

impl Actor for Controller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.with.bus.serve_controller(&self.config.id, ctx.address().recipient());
        self.with.bus.listen(&self.config.input, ctx.address().recipient());
        self.tell(Mode::Waiting, None, Terms::default(), 0.0);
        // What was read before it listened; too old a reading is refused as always.
        if let Some(reading) = self.with.bus.latest(&self.config.input) {
            ctx.notify(NewReading(reading));
        }
        self.lifeline.ready();
    }
}

impl Handler<NewReading> for Controller {
    type Result = ();

    fn handle(&mut self, NewReading(reading): NewReading, ctx: &mut Self::Context) {
        self.lifeline.beat();
        let age = self.with.clock.now().since(reading.at);
        match reading.sample.value() {
            Some(_) if age >= self.config.stale_after => self.wait("its last reading is too old"),
            Some(input) => self.act(input, &reading, ctx),
            None => self.wait(reading.sample.reason().map_or("it has no value", |reason| reason)),
        }
    }
}

impl Handler<Adjust> for Controller {
    type Result = ();

    /// Takes effect with the next reading, so that time stays the readings' own.
    fn handle(&mut self, adjust: Adjust, _: &mut Self::Context) {
        let mut memory = locked(&self.with.memory);
        match adjust {
            Adjust::Setpoint(setpoint) if setpoint.is_finite() => {
                self.setpoint = setpoint;
                memory.setpoint = Some((setpoint, self.config.setpoint));
            }
            Adjust::Manual(held) if held.is_finite() => {
                self.manual = Some(held);
                memory.manual = self.manual;
            }
            Adjust::Automatic => {
                self.manual = None;
                memory.manual = None;
            }
            Adjust::Setpoint(_) | Adjust::Manual(_) => {
                tracing::warn!("{} refuses an adjustment that is not a number", self.config.id);
            }
        }
    }
}

impl Handler<Stop> for Controller {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.acting = false;
        self.wait("the daemon stops");
        ctx.stop();
    }
}

impl Handler<Ping> for Controller {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {
        self.lifeline.beat();
    }
}
