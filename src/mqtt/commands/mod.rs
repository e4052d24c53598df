//! Commands: what others may publish to make this node do something, and what they hear of it under `result/<id>`.
//!
//! ```text
//! <output>/set      → a leased demand of the priority `manual`
//! <controller>/set  → a setpoint or a mode
//! command/…         → ack, reload, publish
//! ```
//!
//! Whatever is not understood, not allowed or too late is rejected with its reason, and counted. What lay at the broker when we
//! came is never obeyed: nobody says it now.

mod pending;
mod words;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;

use self::pending::Pending;
use self::words::{Asked, Named};
use super::link::Message;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::message::OutputState;
use crate::model::{ControllerId, Demand, OutputId, Owner, Priority, Wish};
use crate::panics::locked;

pub use self::pending::Outcome;

/// What only the daemon can do.
pub trait Node: Send + Sync {
    /// A person knows of this alarm.
    fn acknowledge(&self, alarm: &str) -> Result<(), String>;

    /// Reads the configuration again. Gives what came of it.
    fn reload(&self) -> BoxFuture<'static, Result<String, String>>;
}

/// What comes of a message.
pub(super) enum Taken {
    /// These are to hear of it.
    Answers(Vec<(String, Outcome)>),
    /// It takes a while; then this one hears of it.
    Later(Option<String>, BoxFuture<'static, Result<String, String>>),
    /// Everything is to be published again.
    PublishAll(Option<String>),
}

/// Outputs with `remote = false`, as the configuration that runs now has them.
pub type Closed = Arc<Mutex<BTreeSet<OutputId>>>;

/// So many rejections are told one by one.
const TOLD_EACH: u64 = 10;

/// Who takes commands.
pub struct Commands {
    bus: Bus,
    clock: Clock,
    node: Arc<dyn Node>,
    closed: Closed,
    owner: Owner,
    pending: Mutex<Pending>,
    rejected: AtomicU64,
}

impl Commands {
    /// Takes commands for all but the outputs that are `closed`.
    pub fn new(bus: Bus, clock: Clock, node: Arc<dyn Node>, closed: Closed) -> Self {
        let (owner, pending, rejected) = (Owner::new("mqtt"), Mutex::default(), AtomicU64::new(0));
        Self { bus, clock, node, closed, owner, pending, rejected }
    }

    /// What was published below the node's own topic, under `path` (`heater/set`).
    pub(super) fn take(&self, path: &str, message: &Message) -> Taken {
        if message.retained {
            let why =
                "it is retained; publish commands without that, or they would be obeyed again with each connection";
            return self.reject(path, why, None);
        }
        match path.split_once('/') {
            Some(("command", "reload")) => match words::nothing(&message.payload) {
                (Ok(()), id) => Taken::Later(id, self.node.reload()),
                (Err(why), id) => self.reject(path, &why, id),
            },
            Some(("command", "publish")) => match words::nothing(&message.payload) {
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
        if let Some(output) = OutputId::new(id).ok().filter(|output| self.bus.serves_output(output)) {
            return self.set_output(path, &output, words::output(payload));
        }
        let Some(controller) = ControllerId::new(id).ok().filter(|controller| self.bus.serves_controller(controller))
        else {
            let (_, name) = words::output(payload);
            return self.reject(path, &format!("there is no output and no controller {id}"), name);
        };
        let (adjusts, name) = words::controller(payload);
        let adjust = |adjusts: Vec<_>| {
            let each = adjusts.into_iter().map(|adjust| self.bus.adjust(&controller, adjust));
            each.collect::<Result<(), _>>().map_err(|error| error.to_string())
        };
        self.done(path, adjusts.and_then(adjust), name)
    }

    fn set_output(&self, path: &str, output: &OutputId, (asked, id): Named<Asked>) -> Taken {
        let now = self.clock.now();
        let demand = |Asked { wish, lease }: Asked| {
            if locked(&self.closed).contains(output) {
                return Err(format!("{output} takes no commands: `remote = false`"));
            }
            let (owner, priority, until) = (self.owner.clone(), Priority::Manual, now + lease);
            let demand = Demand { owner, priority, wish, until, because: None };
            self.bus.demand(output, demand).map_err(|error| error.to_string())?;
            Ok((wish, until))
        };
        match (asked.and_then(demand), id) {
            (Err(why), id) => self.reject(path, &why, id),
            (Ok(_), None) => Taken::Answers(Vec::new()),
            (Ok((wish, until)), Some(id)) => {
                let level = match wish {
                    Wish::Level(level) => Some(level),
                    Wish::Safe | Wish::Nothing => None,
                };
                let mut pending = locked(&self.pending);
                let mut answers = pending.accepted(id.clone(), output, level, until);
                answers.push((id, Outcome::Accepted));
                // It may be so already.
                if let Some(state) = self.bus.output(output) {
                    answers.extend(pending.heard(&state, &self.owner));
                }
                Taken::Answers(answers)
            }
        }
    }

    /// An output has told what it does.
    pub(super) fn heard(&self, state: &OutputState) -> Vec<(String, Outcome)> {
        locked(&self.pending).heard(state, &self.owner)
    }

    /// Whose time is over.
    pub(super) fn expired(&self) -> Vec<(String, Outcome)> {
        locked(&self.pending).expired(self.clock.now())
    }

    /// How long until somebody's is.
    pub(super) fn next_end(&self) -> Option<Duration> {
        locked(&self.pending).next(self.clock.now())
    }

    fn done(&self, path: &str, done: Result<(), String>, id: Option<String>) -> Taken {
        match done {
            Ok(()) => Taken::Answers(id.map(|id| (id, Outcome::Done)).into_iter().collect()),
            Err(why) => self.reject(path, &why, id),
        }
    }

    fn reject(&self, path: &str, why: &str, id: Option<String>) -> Taken {
        let so_far = self.rejected.fetch_add(1, Ordering::Relaxed) + 1;
        // Whoever publishes nonsense all day is not to fill the log with it.
        if so_far <= TOLD_EACH || so_far.is_power_of_two() {
            tracing::warn!("a command over MQTT is rejected: {path}: {why} ({so_far} since the start)");
        }
        Taken::Answers(id.map(|id| (id, Outcome::Rejected(why.to_owned()))).into_iter().collect())
    }
}
