//! The actor of every output: asks the guard what the demands and limits come to, and puts the guard's decision on the pin through the bank. What
//! the guard must have on disk first it hands to the ledger, and never waits for that.
//!
//! Guard and pin outlive the actor, and demands go to the guard itself: an actor that is begun anew goes on where the last one was,
//! nothing moves, and nothing that was asked for meanwhile is lost.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use actix::prelude::*;

use super::guard::{Blocked, Decision, Guard};
use super::ledger::{Account, Ledger};
use crate::alarms::Alarms;
use crate::bus::{Bus, Desk};
use crate::clock::Clock;
use crate::hardware::bank::{Slot, WriteError};
use crate::lifeline::Lifeline;
use crate::message::{Event, OutputState, Ping, Stop};
use crate::model::{Level, Monotonic, OutputId};
use crate::panics::locked;

/// How long the bank holds a level beyond the moment at which this actor means to look again. If that passes, the actor
/// is gone or far too late, and the bank makes the output safe. Longer than the supervisor waits before the second life.
const GRACE: Duration = Duration::from_secs(2);

/// After a write that failed the next one follows so much later, until one is confirmed.
const RETRY: Duration = Duration::from_secs(1);

/// Who takes the demands on an output, whether its actor lives or not. If it does not, the bank lets go of the pin when nobody
/// wants it any more.
pub fn desk(id: &OutputId, clock: Clock, account: &Arc<Account>, slot: &Arc<Slot>) -> Desk {
    let (id, account, slot) = (id.clone(), account.clone(), slot.clone());
    Arc::new(move |demand| {
        let now = clock.now();
        let wanted_until = account.demand(demand, now).map_err(|refused| {
            tracing::warn!("output {id}: {refused}");
            refused.to_string()
        })?;
        // An actor that lives holds it anew at once.
        slot.hold_no_longer_than(wanted_until.map_or(now, |until| until.max(now)) + GRACE);
        Ok(())
    })
}

/// What an output works with; all of it outlives the actor.
#[derive(Clone)]
pub struct Surroundings {
    /// Tells the time.
    pub clock: Clock,
    /// Where states go.
    pub bus: Bus,
    /// Where a person is told.
    pub alarms: Alarms,
    /// The hardware, kept by the bank.
    pub slot: Arc<Slot>,
    /// The guard, whose memory the ledger keeps.
    pub account: Arc<Account>,
    /// Where that is written down.
    pub ledger: Ledger,
}

/// An output.
pub struct Output {
    id: OutputId,
    with: Surroundings,
    lifeline: Lifeline,
    told: Option<OutputState>,
    /// What the guard decided last; it is told once it is on the pin, or could not be brought there.
    decided: Option<Decision>,
    look_again: Option<SpawnHandle>,
    /// A write is under way; what it leaves to do is done when it ends.
    writing: bool,
    failed: bool,
    stopping: bool,
}

impl Output {
    /// An output whose pin is as the bank has it.
    pub fn new(id: OutputId, with: Surroundings, lifeline: Lifeline) -> Self {
        Self {
            id,
            with,
            lifeline,
            told: None,
            decided: None,
            look_again: None,
            writing: false,
            failed: false,
            stopping: false,
        }
    }

    /// Asks the guard what to do now, does it, and arranges to ask again.
    fn step(&mut self, ctx: &mut Context<Self>) {
        let now = self.with.clock.now();
        // What the bank would refuse now.
        let blocked = self.with.slot.blocked().map(|(by, how)| Blocked { by, how });
        let mut decision = {
            let mut guard = self.guard();
            match self.with.slot.level() {
                _ if self.writing => {}
                Some(found) => guard.observed(found, now),
                None => guard.unsure(self.with.slot.wanted(), now),
            }
            guard.step(now, blocked.as_ref())
        };
        if let Some(record) = decision.record.take() {
            self.with.ledger.record(&self.id, record);
        }
        let until = decision.look_again.unwrap_or(now) + GRACE;
        let (level, look_again) = (decision.write, decision.look_again);
        self.decided = Some(decision);
        if self.with.slot.level() == Some(level) {
            self.obeys();
            self.tell();
            self.with.slot.hold(until);
            if self.stopping {
                return ctx.stop();
            }
        } else {
            self.write(level, until, ctx);
        }
        if let Some(at) = look_again {
            self.step_after(at.since(now), ctx);
        }
    }

    fn write(&mut self, level: Level, until: Monotonic, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.writing, true) {
            return;
        }
        let slot = self.with.slot.clone();
        let job = async move { slot.write(level, until).await };
        ctx.spawn(job.into_actor(self).map(|result, output, ctx| output.written(result, ctx)));
    }

    fn written(&mut self, result: Result<(), WriteError>, ctx: &mut Context<Self>) {
        self.writing = false;
        self.tell_pin();
        if result.is_err() {
            self.tell();
        }
        match result {
            Ok(()) => self.step(ctx),
            // Another output came first. The guard hears of it when it is asked again.
            Err(WriteError::Interlocked { .. }) if !self.stopping => self.step_after(RETRY, ctx),
            // No other try will do.
            Err(error @ (WriteError::Removed | WriteError::Sealed)) if !self.stopping => {
                tracing::debug!("output {}: {error}", self.id);
            }
            Err(error) => {
                self.fails(&error);
                if self.stopping {
                    // The bank tries again after all outputs have stopped.
                    return ctx.stop();
                }
                self.step_after(RETRY, ctx);
            }
        }
    }

    fn fails(&mut self, error: &WriteError) {
        if !error.is_early() && !std::mem::replace(&mut self.failed, true) {
            tracing::error!("output {}: {error}; trying again every {} s", self.id, RETRY.as_secs());
        }
    }

    /// The pin is as it is wanted, whoever wrote it.
    fn obeys(&mut self) {
        if std::mem::take(&mut self.failed) {
            tracing::info!("output {} obeys again", self.id);
        }
    }

    fn step_after(&mut self, delay: Duration, ctx: &mut Context<Self>) {
        if let Some(earlier) = self.look_again.take() {
            ctx.cancel_future(earlier);
        }
        self.look_again = Some(ctx.run_later(delay, Self::step));
    }

    /// A demand may come, somebody else may move the pin, and the disk may have what the guard waits for: then it is asked again.
    fn attend(&self, ctx: &mut Context<Self>) {
        let (slot, account) = (self.with.slot.clone(), self.with.account.clone());
        let news = async move {
            tokio::select! { () = slot.moved() => {}, () = account.changed() => {} }
        };
        ctx.spawn(news.into_actor(self).map(|(), output, ctx| {
            output.attend(ctx);
            output.step(ctx);
        }));
    }

    /// The root tells the same once a second; this is for what a person should know at once.
    fn tell_pin(&self) {
        self.with.alarms.set(&format!("outputs.{}.pin", self.id), self.with.slot.trouble().as_deref());
    }

    /// What was decided last, and whether the pin is so now.
    fn tell(&mut self) {
        let Some(decision) = &self.decided else { return };
        let why: Arc<str> = decision.why.to_string().into();
        let mut state = OutputState {
            output: self.id.clone(),
            level: decision.level,
            on: decision.write.is_on(),
            by: decision.by.clone(),
            limit: decision.why.is_limit().then(|| why.clone()),
            why,
            because: decision.because.clone(),
            confirmed: self.with.slot.level() == Some(decision.write),
            since: self.with.clock.wall(),
        };
        if let Some(told) = &self.told {
            if !state.differs_from(told) {
                state.since = told.since;
            }
            if *told == state {
                return;
            }
            if told.by != state.by || told.level.is_on() != state.level.is_on() {
                tracing::info!("{}: {}, {}", self.id, state.level, state.why);
            }
        }
        self.told = Some(state.clone());
        self.with.bus.tell(Event::Output(state));
    }

    fn guard(&self) -> MutexGuard<'_, Guard> {
        locked(&self.with.account.guard)
    }
}

impl Actor for Output {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let slot = self.with.slot.clone();
        let opened = async move { slot.open().await };
        ctx.spawn(opened.into_actor(self).map(|opened, output, ctx| match opened {
            Ok(()) => {
                output.lifeline.ready();
                output.attend(ctx);
                output.step(ctx);
            }
            Err(error) => {
                output.lifeline.give_up(error.to_string());
                ctx.stop();
            }
        }));
    }
}

impl Handler<Stop> for Output {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.guard().stop();
        self.stopping = true;
        self.step(ctx);
    }
}

impl Handler<Ping> for Output {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {
        self.lifeline.beat();
    }
}
