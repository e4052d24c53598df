//! Commands: what others may publish to make this node do something, and what they hear of it under `result/<id>`.
//!
//! ```text
//! <output>/set      → a leased demand of the priority `manual`; a dose is one, too
//! <controller>/set  → a setpoint or a mode
//! command/…         → ack, reload, publish
//! ```
//!
//! Whatever is not understood, not allowed or too late is rejected with its reason, and counted. What lay at the broker when we
//! came is never obeyed: nobody says it now.

mod doses;
mod pending;
mod words;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};

use self::doses::{Doses, Hears};
use self::pending::Pending;
use self::words::{Adjusted, Asked, Mode, Named};
use super::discovery::{Controller, Output, Takes, Things};
use super::link::Message;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::message::{Adjust, OutputState};
use crate::model::dose::Dosed;
use crate::model::{Demand, Dosing, Level, Monotonic, OutputId, Owner, Priority, Wish, dose};
use crate::panics::locked;

pub use self::pending::Outcome;

/// What only the daemon can do.
pub trait Node: Send + Sync {
    /// A person knows of this alarm.
    fn acknowledge(&self, alarm: &str) -> Result<(), String>;

    /// Reads the configuration again. Gives what came of it.
    fn reload(&self) -> BoxFuture<'static, Result<String, String>>;
}

/// Who is to hear what.
pub type Answers = Vec<(String, Outcome)>;

/// What comes of a message.
pub(super) enum Taken {
    /// These are to hear of it.
    Answers(Answers),
    /// Everything is to be published again.
    PublishAll(Option<String>),
}

/// What a person has set by hand.
#[derive(Debug, Clone, PartialEq)]
pub struct ByHand {
    /// On this output.
    pub output: OutputId,
    /// That.
    pub wish: Wish,
    /// It is a dose, and ends by itself.
    pub is_dose: bool,
}

/// So many rejections are told one by one.
const TOLD_EACH: u64 = 10;

/// Who takes commands. It outlives each connection, and each client of a configuration.
pub struct Commands {
    bus: Bus,
    clock: Clock,
    node: Arc<dyn Node>,
    /// What there is, and what of it may be moved, as the configuration that runs now has it.
    things: watch::Receiver<Arc<Things>>,
    owner: Owner,
    pending: Mutex<Pending>,
    doses: Mutex<Doses>,
    rejected: AtomicU64,
    reloads: AtomicBool,
    /// What came of what took a while.
    done: Mutex<Answers>,
    is_done: Notify,
}

impl Commands {
    /// Takes commands for those of the `things` that may be moved.
    pub fn new(bus: Bus, clock: Clock, node: Arc<dyn Node>, things: watch::Receiver<Arc<Things>>) -> Self {
        Self {
            bus,
            clock,
            node,
            things,
            owner: Owner::new("mqtt"),
            pending: Mutex::default(),
            doses: Mutex::default(),
            rejected: AtomicU64::new(0),
            reloads: AtomicBool::new(false),
            done: Mutex::default(),
            is_done: Notify::new(),
        }
    }

    /// What was published below the node's own topic, under `path` (`heater/set`).
    pub(super) fn take(self: &Arc<Self>, path: &str, message: &Message) -> Taken {
        // Whoever takes away what was retained publishes nothing at all.
        if message.payload.is_empty() {
            return Taken::Answers(Answers::new());
        }
        if message.retained {
            let why =
                "it is retained; publish commands without that, or they would be obeyed again with each connection";
            return self.reject(path, why, None);
        }
        match path.split_once('/') {
            Some(("command", "reload")) => match words::now(&message.payload) {
                (Ok(()), id) => self.reload(path, id),
                (Err(why), id) => self.reject(path, &why, id),
            },
            Some(("command", "publish")) => match words::now(&message.payload) {
                (Ok(()), id) => Taken::PublishAll(id),
                (Err(why), id) => self.reject(path, &why, id),
            },
            Some(("command", "ack")) => {
                let (name, id) = words::name(&message.payload);
                self.done(path, name.and_then(|name| self.node.acknowledge(&name)), id)
            }
            Some((id, "set")) => self.set(path, id, &message.payload),
            _ => self.reject(path, "there is no such command: command/ack, command/reload or command/publish", None),
        }
    }

    fn set(&self, path: &str, id: &str, payload: &[u8]) -> Taken {
        let things = self.things.borrow().clone();
        if let Some(output) = things.outputs.iter().find(|output| output.id.as_str() == id) {
            return self.set_output(path, output, words::output(payload));
        }
        if let Some(controller) = things.controllers.iter().find(|controller| controller.id.as_str() == id) {
            let (adjusted, name) = words::controller(payload);
            return self.done(path, adjusted.and_then(|adjusted| self.adjust(controller, adjusted)), name);
        }
        let (_, name) = words::output(payload);
        self.reject(path, &format!("there is no output and no controller {id}"), name)
    }

    fn adjust(&self, controller: &Controller, Adjusted { setpoint, mode }: Adjusted) -> Result<(), String> {
        let range = &controller.setpoints;
        if setpoint.is_some_and(|setpoint| !range.contains(&setpoint)) {
            let (from, to, unit) = (range.start(), range.end(), controller.quantity.unit());
            return Err(format!("a setpoint of {} is from {from} to {to} {unit}", controller.id));
        }
        let mode = match mode {
            Some(Mode::Manual(..)) if !controller.by_hand => {
                return Err(format!("an output of {} takes no commands: `remote = false`", controller.id));
            }
            Some(Mode::Manual(output, lease)) => Some(Adjust::Manual(output, Some(self.clock.now() + lease))),
            Some(Mode::Off) => Some(Adjust::Manual(0.0, None)),
            Some(Mode::Automatic) => Some(Adjust::Automatic),
            None => None,
        };
        for adjust in setpoint.map(Adjust::Setpoint).into_iter().chain(mode) {
            self.bus.adjust(&controller.id, adjust).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn set_output(&self, path: &str, output: &Output, (asked, id): Named<Asked>) -> Taken {
        let taken = match asked {
            Err(why) => Err(why),
            Ok(_) if !output.remote => Err(format!("{} takes no commands: `remote = false`", output.id)),
            Ok(Asked::Hold(wish, lease)) => self.hold(output, wish, lease, id.clone()),
            Ok(Asked::Dose(millilitres)) => self.dose(output, millilitres, id.clone()),
        };
        taken.map_or_else(|why| self.reject(path, &why, id), Taken::Answers)
    }

    fn hold(&self, output: &Output, wish: Wish, lease: Duration, id: Option<String>) -> Result<Answers, String> {
        fits(output, wish)?;
        let until = self.clock.now() + lease;
        self.demand(&output.id, wish, until)?;
        let mut answers = self.superseded(&output.id, "another command has come after it");
        let Some(id) = id else { return Ok(answers) };
        let level = match wish {
            Wish::Level(level) => Some(level),
            Wish::Safe | Wish::Nothing => None,
        };
        answers.extend(locked(&self.pending).accepted(id.clone(), &output.id, level, until));
        answers.push((id, Outcome::Accepted));
        // It may be so already.
        answers.extend(self.bus.output(&output.id).map(|state| self.heard(&state)).unwrap_or_default());
        Ok(answers)
    }

    /// On, for exactly as long as so many millilitres take.
    fn dose(&self, output: &Output, millilitres: f64, id: Option<String>) -> Result<Answers, String> {
        let (name, now) = (&output.id, self.clock.now());
        let (dosing, time) = self.dosing(&self.owner, output, millilitres)?;
        self.demand(name, Wish::Level(Level::ON), now + time)?;
        let mut answers = self.superseded(name, "another command has come after it");
        locked(&self.doses).begin((&self.owner, Hears::Sender(id.clone())), name, dosing, time, now);
        answers.extend(id.map(|id| (id, Outcome::Accepted)));
        // It may be on already.
        answers.extend(self.bus.output(name).map(|state| self.heard(&state)).unwrap_or_default());
        Ok(answers)
    }

    /// How a dose is given, and how long that takes.
    fn dosing(&self, owner: &Owner, output: &Output, millilitres: f64) -> Result<(Dosing, Duration), String> {
        let name = &output.id;
        let dosing = output.dosing.ok_or_else(|| format!("{name} gives no doses: it has no `ml_per_second`"))?;
        let time = dosing.time(millilitres).map_err(|why| format!("{name} cannot give that: {why}"))?;
        if let Some((left, whose)) = locked(&self.doses).left(name, self.clock.now()) {
            let left = dose::shown(dosing.given(left));
            return Err(match whose == owner {
                true => format!("a dose runs there, and {left} ml of it are left; say off first to end it"),
                false => format!("a dose that {whose} asked for runs there, and {left} ml of it are left"),
            });
        }
        Ok((dosing, time))
    }

    fn superseded(&self, output: &OutputId, why: &str) -> Answers {
        let mut over = locked(&self.pending).superseded(output, why);
        over.extend(locked(&self.doses).superseded(output, &self.owner, why, self.clock.now()));
        over
    }

    fn demand(&self, output: &OutputId, wish: Wish, until: Monotonic) -> Result<(), String> {
        self.demand_as(&self.owner, output, wish, until)
    }

    fn demand_as(&self, owner: &Owner, output: &OutputId, wish: Wish, until: Monotonic) -> Result<(), String> {
        let demand = Demand { owner: owner.clone(), priority: Priority::Manual, wish, until, because: None };
        self.bus.demand(output, demand).map_err(|error| error.to_string())
    }

    /// The same words from a person at the machine itself, for whom also those outputs are that take no commands from elsewhere. Gives
    /// the output and what is wished of it.
    ///
    /// # Errors
    /// There is no such output, or it cannot do that; in a sentence.
    pub fn by_hand(&self, owner: &Owner, id: &str, payload: &[u8]) -> Result<ByHand, String> {
        let things = self.things.borrow().clone();
        let output = things.outputs.iter().find(|output| output.id.as_str() == id);
        let output = output.ok_or_else(|| format!("there is no output {id}"))?;
        let (asked, _) = words::output(payload);
        let (wish, lease, dosing) = match asked? {
            Asked::Hold(wish, lease) => (wish, lease, None),
            Asked::Dose(_) if self.bus.output(&output.id).is_some_and(|state| state.by.as_ref() == Some(owner)) => {
                return Err(format!("it runs by hand already; `homeostat set {id} auto` ends that"));
            }
            Asked::Dose(millilitres) => {
                let (dosing, time) = self.dosing(owner, output, millilitres)?;
                (Wish::Level(Level::ON), time, Some(dosing))
            }
        };
        fits(output, wish)?;
        let (name, now) = (&output.id, self.clock.now());
        self.demand_as(owner, name, wish, now + lease)?;
        let mut doses = locked(&self.doses);
        // By hand nobody waits.
        doses.superseded(name, owner, "another command has come after it", now);
        if let Some(dosing) = dosing {
            doses.begin((owner, Hears::Asking), name, dosing, lease, now);
            // It may be on already.
            self.bus.output(name).iter().for_each(|state| doses.heard(state, now));
        }
        Ok(ByHand { output: name.clone(), wish, is_dose: dosing.is_some() })
    }

    /// How long a dose runs there yet that this one has asked for.
    pub fn dose_left(&self, owner: &Owner, output: &OutputId) -> Option<Duration> {
        let doses = locked(&self.doses);
        doses.left(output, self.clock.now()).filter(|(_, whose)| *whose == owner).map(|(left, _)| left)
    }

    /// What became of the last dose by hand; `None` if there was none.
    pub fn dosed(&self, output: &OutputId) -> Option<Dosed> {
        locked(&self.doses).kept(output)
    }

    /// For a dose that has to be followed without a connection to a broker: these outputs have told what they do.
    pub fn follow(&self, states: &[OutputState]) {
        let now = self.clock.now();
        let over = {
            let mut doses = locked(&self.doses);
            states.iter().for_each(|state| doses.heard(state, now));
            doses.expired(now)
        };
        self.later(over);
    }

    /// What was asked for by hand there is over.
    pub fn end_by_hand(&self, owner: &Owner, output: &OutputId, why: &str) {
        // One that is gone holds nothing.
        let _ = self.demand_as(owner, output, Wish::Nothing, self.clock.now());
        locked(&self.doses).superseded(output, owner, why, self.clock.now());
    }

    /// Commands to this output are refused from now on, and what one has asked for does not outlive that.
    pub fn release(&self, output: &OutputId) {
        // One that is gone holds nothing.
        let _ = self.demand(output, Wish::Nothing, self.clock.now());
        let over = self.superseded(output, "commands to it are refused now");
        self.later(over);
    }

    fn reload(self: &Arc<Self>, path: &str, id: Option<String>) -> Taken {
        if self.reloads.swap(true, Ordering::AcqRel) {
            return self.reject(path, "another one is under way", id);
        }
        let (commands, name, path) = (self.clone(), id.clone(), path.to_owned());
        let reloaded = self.node.reload();
        // Not with the connection: it may end with this very reload.
        tokio::spawn(async move {
            let done = reloaded.await.map(drop);
            commands.reloads.store(false, Ordering::Release);
            if let Taken::Answers(answers) = commands.done(&path, done, name) {
                commands.later(answers);
            }
        });
        Taken::Answers(id.map(|id| (id, Outcome::Accepted)).into_iter().collect())
    }

    fn later(&self, mut answers: Answers) {
        if !answers.is_empty() {
            locked(&self.done).append(&mut answers);
            self.is_done.notify_one();
        }
    }

    /// Waits for what has come of what took a while.
    pub(super) async fn finished(&self) -> Answers {
        loop {
            let done = std::mem::take(&mut *locked(&self.done));
            if !done.is_empty() {
                return done;
            }
            self.is_done.notified().await;
        }
    }

    /// An output has told what it does.
    pub(super) fn heard(&self, state: &OutputState) -> Answers {
        locked(&self.doses).heard(state, self.clock.now());
        locked(&self.pending).heard(state, &self.owner)
    }

    /// Whose time is over.
    pub(super) fn expired(&self) -> Answers {
        let now = self.clock.now();
        let mut over = locked(&self.pending).expired(now);
        over.extend(locked(&self.doses).expired(now));
        over
    }

    /// How long until somebody's is.
    pub(super) fn next_end(&self) -> Option<Duration> {
        let now = self.clock.now();
        let ends = [locked(&self.pending).next(now), locked(&self.doses).next(now)];
        ends.into_iter().flatten().min()
    }

    fn done(&self, path: &str, done: Result<(), String>, id: Option<String>) -> Taken {
        match done {
            Ok(()) => Taken::Answers(id.map(|id| (id, Outcome::Done)).into_iter().collect()),
            Err(why) => self.reject(path, &why, id),
        }
    }

    fn reject(&self, path: &str, why: &str, id: Option<String>) -> Taken {
        let (path, why) = (words::in_a_line(path), words::in_a_line(why));
        let so_far = self.rejected.fetch_add(1, Ordering::Relaxed) + 1;
        // Whoever publishes nonsense all day is not to fill the log with it.
        if so_far <= TOLD_EACH || so_far.is_power_of_two() {
            tracing::warn!("a command over MQTT is rejected: {path}: {why} ({so_far} since the start)");
        }
        Taken::Answers(id.map(|id| (id, Outcome::Rejected(why))).into_iter().collect())
    }
}

/// Whether the output can do that.
fn fits(output: &Output, wish: Wish) -> Result<(), String> {
    let between = matches!(wish, Wish::Level(level) if level != Level::ON && level != Level::OFF);
    if between && output.takes == Takes::OnOff {
        return Err(format!("{} is on or off: it has no `cycle` that makes on-time of a level", output.id));
    }
    Ok(())
}
