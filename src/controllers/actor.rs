//! The actor of every controller: steps on each new reading and asks its outputs for what came of it.
//!
//! Each demand is leased until the reading it rests on is stale. So a controller that dies, hangs or hears nothing need
//! not be noticed by anybody: its outputs fall to their safe levels by themselves.
//!
//! When its [`Watch`](super::watch) trips, a latched alarm stands, and that alarm is all that is remembered: as long as it does, this
//! life of the controller and every later one, also of another process, holds the outputs at their safe levels, above
//! whatever a person has demanded of them. Acknowledging the alarm lets it begin anew with the next reading.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;

use super::Config;
use super::pid::Pid;
use super::watch::{Direction, Power, Trip, Watch};
use crate::alarms::Alarms;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::lifeline::Lifeline;
use crate::message::{Adjust, ControllerState, Event, Mode, NewReading, Ping, Stop};
use crate::model::{Because, Demand, Level, Monotonic, OutputId, Owner, Priority, Reading, Terms, Wish};
use crate::panics::locked;

/// For how long a tripped controller's demand holds by itself: longer than the supervisor's longest wait before a new life.
const TRIPPED_LEASE: Duration = Duration::from_secs(90);

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
    /// The output that a person asked it to hold, -1..=1, and until when.
    manual: Option<(f64, Option<Monotonic>)>,
    /// Its last output, and until when that counts.
    last: Option<(f64, Monotonic)>,
}

impl Memory {
    /// Nothing is known any more of what it did to its outputs.
    pub fn forget_output(&mut self) {
        (self.manual, self.last) = (None, None);
    }
}

/// A controller.
pub struct Controller {
    config: Config,
    with: Surroundings,
    lifeline: Lifeline,
    owner: Owner,
    pid: Pid,
    watch: Option<Watch>,
    /// Not the name that the supervisor uses for this child: neither alarm may end the other.
    alarm: String,
    tripped: bool,
    setpoint: f64,
    /// The output a person asked it to hold, -1..=1, and until when.
    manual: Option<(f64, Option<Monotonic>)>,
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
        let memory = locked(&with.memory).clone();
        // Whoever changes the file has the last word.
        let asked = memory.setpoint.filter(|(_, configured)| *configured == config.setpoint);
        Self {
            owner: Owner::new(&format!("controllers.{}", config.id)),
            pid: fresh_pid(&config),
            watch: config.watch.map(|settings| Watch::new(settings, config.stale_after)),
            alarm: format!("controllers.{}.watch", config.id),
            tripped: false,
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
        if self.manual.is_some_and(|(_, until)| until.is_some_and(|until| until <= reading.at)) {
            tracing::info!("{}: nobody holds it by hand any more", self.config.id);
            self.manual = None;
            locked(&self.with.memory).manual = None;
        }
        let (output, terms) = match self.held().or(before) {
            None => match self.pid.step(self.setpoint, input, reading.at) {
                Some(step) => (step.output, step.terms),
                None => return self.wait("it is not a number"),
            },
            Some(held) => {
                self.pid.track(held, self.setpoint, input, reading.at);
                (held, Terms::default())
            }
        };
        if let Some(trip) = self.look_at_the_plant(input, output, reading.at) {
            return self.trip(trip, reading, ctx);
        }
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
        self.tell(self.mode(), Some(input), terms, output);
        self.forget_staleness(ctx);
        let left = until.since(self.with.clock.now());
        self.stale = Some(ctx.run_later(left, |controller, _| controller.wait("its last reading is too old")));
    }

    /// Demands nothing until a usable reading comes.
    fn wait(&mut self, why: &str) {
        self.withdraw();
        self.pid.pause();
        if let Some(watch) = &mut self.watch {
            watch.pause();
        }
        if std::mem::take(&mut self.acting) {
            tracing::warn!("{} waits for {}: {why}", self.config.id, self.config.input);
            self.settled = false;
            self.tell(Mode::Waiting, None, Terms::default(), 0.0);
        }
    }

    fn withdraw(&self) {
        self.demand(&self.config.raise, Wish::Nothing, Monotonic::default(), None);
        self.demand(&self.config.lower, Wish::Nothing, Monotonic::default(), None);
    }

    /// Whether the plant does what the outputs should make it do.
    fn look_at_the_plant(&mut self, input: f64, output: f64, at: Monotonic) -> Option<Trip> {
        let power = |way: &Option<OutputId>, asked: Level| {
            // Where there is no output nothing is driven, and nothing can be stuck.
            let Some(way) = way else { return Power::Some };
            match self.with.bus.output(way) {
                // A pin that does not obey has an alarm of its own.
                Some(state) if !state.confirmed => Power::Some,
                state => Power::of(asked, state.map_or(asked, |state| state.level)),
            }
        };
        let raise = power(&self.config.raise, Level::clamped(output));
        let lower = power(&self.config.lower, Level::clamped(-output));
        self.watch.as_mut()?.see(at, input, self.setpoint, raise, lower)
    }

    fn trip(&mut self, trip: Trip, reading: &Reading, ctx: &mut Context<Self>) {
        let way = match trip.direction() {
            Direction::Raise => &self.config.raise,
            Direction::Lower => &self.config.lower,
        };
        let (Some(way), Some(settings)) = (way, self.config.watch) else { return };
        let what = trip.text(way, &self.config.input, reading.quantity.unit(), settings.within);
        let alarm = &self.alarm;
        let text = format!("{what} Outputs stay safe until `homeostat ack {alarm}`");
        tracing::error!("{}: {text}", self.config.id);
        self.with.alarms.latch(alarm, &text);
        self.stay_safe(reading.sample.value(), ctx);
    }

    /// Whether its plant is not to be driven. Acknowledged, it begins anew: what it had learnt is of a plant that was broken.
    fn is_tripped(&mut self) -> bool {
        let latched = self.with.alarms.is_latched(&self.alarm);
        if self.tripped && !latched {
            self.tripped = false;
            self.pid = fresh_pid(&self.config);
            self.watch = self.config.watch.map(|settings| Watch::new(settings, self.config.stale_after));
            tracing::info!("{} acts again with the next reading: its alarm was acknowledged", self.config.id);
            self.withdraw();
            self.tell(Mode::Waiting, None, Terms::default(), 0.0);
        }
        latched
    }

    /// Holds its outputs at their safe levels, whoever asks for anything else.
    fn stay_safe(&mut self, input: Option<f64>, ctx: &mut Context<Self>) {
        self.tripped = true;
        self.acting = false;
        self.settled = false;
        self.forget_staleness(ctx);
        let until = self.with.clock.now() + TRIPPED_LEASE;
        for output in [&self.config.raise, &self.config.lower] {
            self.demand_as(Priority::Safety, output, Wish::Safe, until, None);
        }
        self.tell(Mode::Tripped, input, Terms::default(), 0.0);
    }

    /// Also when no readings come: a lost sensor must not let the outputs go.
    fn stay_safe_while_tripped(&mut self, ctx: &mut Context<Self>) {
        if self.is_tripped() {
            self.stay_safe(None, ctx);
        }
    }

    fn forget_staleness(&mut self, ctx: &mut Context<Self>) {
        if let Some(earlier) = self.stale.take() {
            ctx.cancel_future(earlier);
        }
    }

    fn demand(&self, output: &Option<OutputId>, wish: Wish, until: Monotonic, because: Option<&Arc<Because>>) {
        self.demand_as(Priority::Controller, output, wish, until, because);
    }

    fn demand_as(
        &self,
        priority: Priority,
        output: &Option<OutputId>,
        wish: Wish,
        until: Monotonic,
        because: Option<&Arc<Because>>,
    ) {
        let Some(output) = output else { return };
        let (owner, because) = (self.owner.clone(), because.cloned());
        if let Err(undeliverable) = self.with.bus.demand(output, Demand { owner, priority, wish, until, because }) {
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

    fn held(&self) -> Option<f64> {
        self.manual.map(|(held, _)| held)
    }

    /// How it acts, while it does.
    fn mode(&self) -> Mode {
        self.held().map_or(Mode::Automatic, Mode::Manual)
    }

    /// It may be long until the next reading, and whoever has adjusted it wants to see that.
    fn tell_anew(&self) {
        let Some(mut state) = self.with.bus.controller(&self.config.id) else { return };
        state.setpoint = self.setpoint;
        if self.acting {
            state.mode = self.mode();
        }
        self.with.bus.tell(Event::Controller(state));
    }

    fn tell(&self, mode: Mode, input: Option<f64>, terms: Terms, output: f64) {
        let (controller, setpoint) = (self.config.id.clone(), self.setpoint);
        self.with.bus.tell(Event::Controller(ControllerState { controller, mode, setpoint, input, terms, output }));
    }
}

fn fresh_pid(config: &Config) -> Pid {
    let low = if config.lower.is_some() { -1.0 } else { 0.0 };
    let high = if config.raise.is_some() { 1.0 } else { 0.0 };
    Pid::new(config.gains, low..=high, config.stale_after)
}

impl Actor for Controller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.with.bus.serve_controller(&self.config.id, ctx.address().recipient());
        self.with.bus.listen(&self.config.input, ctx.address().recipient());
        self.tell(Mode::Waiting, None, Terms::default(), 0.0);
        // Also without a watch: the alarm may be of a life that had one.
        self.stay_safe_while_tripped(ctx);
        if self.watch.is_some() || self.tripped {
            if self.tripped {
                tracing::warn!("{} keeps its outputs safe until `homeostat ack {}`", self.config.id, self.alarm);
            }
            ctx.run_interval(TRIPPED_LEASE / 3, Self::stay_safe_while_tripped);
        }
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
        if self.is_tripped() {
            return self.stay_safe(reading.sample.value(), ctx);
        }
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
            Adjust::Manual(held, until) if held.is_finite() => {
                self.manual = Some((held, until));
                memory.manual = self.manual;
            }
            Adjust::Automatic => {
                self.manual = None;
                memory.manual = None;
            }
            Adjust::Setpoint(_) | Adjust::Manual(..) => {
                tracing::warn!("{} refuses an adjustment that is not a number", self.config.id);
            }
        }
        drop(memory);
        self.tell_anew();
    }
}

impl Handler<Stop> for Controller {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.acting = false;
        // A tripped one's demand outlives it: in the moment before the outputs stop too, nobody else gets them.
        if !self.tripped {
            self.wait("the daemon stops");
        }
        ctx.stop();
    }
}

impl Handler<Ping> for Controller {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {
        self.lifeline.beat();
    }
}
