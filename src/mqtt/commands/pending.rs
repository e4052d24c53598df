//! What was accepted and is not done yet, so that whoever asked hears of its end. A pure state machine.

use std::time::Duration;

use crate::message::OutputState;
use crate::model::{Level, Monotonic, OutputId, Owner};

/// Nobody waits for more answers at once; of too many the oldest is forgotten.
const MOST: usize = 100;

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is known, and being done.
    Accepted,
    /// It is so.
    Done,
    /// A dose is done, and so much was given.
    Given(String),
    /// It is not done, for this reason.
    Rejected(String),
    /// Its time was over before it was done, for this reason.
    Expired(String),
}

#[derive(Debug)]
struct Waiting {
    id: String,
    output: OutputId,
    level: Option<Level>,
    until: Monotonic,
    /// What the output last said.
    why: String,
}

/// The commands to outputs whose senders wait for an answer.
#[derive(Debug, Default)]
pub struct Pending(Vec<Waiting>);

impl Pending {
    /// Another command has come: those before it are over.
    pub fn superseded(&mut self, output: &OutputId, why: &str) -> Vec<(String, Outcome)> {
        let over = self.take(|waiting| waiting.output == *output);
        over.into_iter().map(|old| (old.id, Outcome::Rejected(why.to_owned()))).collect()
    }

    /// A command was accepted: `level` is `None` when it gives the output back.
    pub fn accepted(
        &mut self,
        id: String,
        output: &OutputId,
        level: Option<Level>,
        until: Monotonic,
    ) -> Vec<(String, Outcome)> {
        let mut told = Vec::new();
        if self.0.len() >= MOST {
            let oldest = self.0.remove(0);
            told.push((oldest.id, Outcome::Rejected("too many others wait".into())));
        }
        let why = "the output has not said anything since".to_owned();
        self.0.push(Waiting { id, output: output.clone(), level, until, why });
        told
    }

    /// An output has said what it does.
    pub fn heard(&mut self, state: &OutputState, by: &Owner) -> Vec<(String, Outcome)> {
        let ours = state.by.as_ref() == Some(by);
        let done = self.take(|waiting| {
            waiting.output == state.output
                && match waiting.level {
                    Some(level) => ours && state.confirmed && state.limit.is_none() && state.level == level,
                    None => !ours,
                }
        });
        for waiting in self.0.iter_mut().filter(|waiting| waiting.output == state.output) {
            waiting.why = state.why.to_string();
        }
        done.into_iter().map(|done| (done.id, Outcome::Done)).collect()
    }

    /// Those whose lease has ended.
    pub fn expired(&mut self, now: Monotonic) -> Vec<(String, Outcome)> {
        self.take(|waiting| waiting.until <= now)
            .into_iter()
            .map(|late| (late.id, Outcome::Expired(late.why)))
            .collect()
    }

    /// How long until the next one expires.
    pub fn next(&self, now: Monotonic) -> Option<Duration> {
        self.0.iter().map(|waiting| waiting.until.since(now)).min()
    }

    fn take(&mut self, which: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let (taken, left) = std::mem::take(&mut self.0).into_iter().partition(which);
        self.0 = left;
        taken
    }
}
