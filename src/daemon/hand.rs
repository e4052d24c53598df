//! What a person moves by hand, at the machine itself: the same words as over MQTT, and an answer that tells what came of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::bus::{Bus, Tap};
use crate::message::{Event, OutputState};
use crate::model::dose::Dosed;
use crate::model::{OutputId, Owner, Wish};
use crate::mqtt::commands::{ByHand, Commands};

/// An output's actor acts at once; longer than this, something is in its way that the answer tells.
const LOOK: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(20);

/// More than happens in that time to a house with a hundred sensors.
const EVENTS: usize = 1024;

/// A person's way to the outputs.
#[derive(Clone)]
pub struct Hand {
    bus: Bus,
    commands: Arc<Commands>,
    owner: Owner,
}

impl Hand {
    pub(super) fn new(bus: Bus, commands: Arc<Commands>) -> Self {
        Self { bus, commands, owner: Owner::new("hand") }
    }

    /// Carries out a command as it would be published to `<output>/set`, and gives how the output is then. A dose goes on;
    /// [`dosed`](Self::dosed) tells what becomes of it.
    ///
    /// # Errors
    /// There is no such output, or it cannot do that; in a sentence.
    pub async fn set(&self, output: &str, command: &[u8]) -> Result<OutputState, String> {
        let (tap, follower) = (self.bus.tap(EVENTS, 1), self.bus.tap(EVENTS, 1));
        let ByHand { output: id, wish, is_dose } = self.commands.by_hand(&self.owner, output, command)?;
        if is_dose {
            // Also if whoever asked for it has gone.
            tokio::spawn(self.clone().follow(id.clone(), follower));
        }
        let is_done = |state: &OutputState| {
            let ours = state.by.as_ref() == Some(&self.owner);
            match wish {
                Wish::Level(level) => ours && (state.level == level || state.limit.is_some()),
                Wish::Safe => ours,
                Wish::Nothing => !ours,
            }
        };
        let settled = async {
            // It may be so already, and then nothing is told.
            if let Some(state) = self.bus.output(&id).filter(|state| is_done(state)) {
                return state;
            }
            let mut events = Vec::new();
            loop {
                tap.drain(&mut events);
                for event in events.drain(..) {
                    match event {
                        Event::Output(state) if state.output == id && is_done(&state) => return state,
                        _ => {}
                    }
                }
                tap.filled().await;
            }
        };
        let settled = timeout(LOOK, settled).await.ok();
        settled.or_else(|| self.bus.output(&id)).ok_or_else(|| format!("{output} has not said anything yet"))
    }

    /// Counts what the pump gives until the dose is over. Over MQTT commands may be switched off, or the broker away.
    async fn follow(self, output: OutputId, tap: Tap) {
        let (mut events, mut states) = (Vec::new(), Vec::new());
        while let Some(left) = self.commands.dose_left(&self.owner, &output) {
            let _ = timeout(left, tap.filled()).await;
            tap.drain(&mut events);
            states.extend(events.drain(..).filter_map(|event| match event {
                Event::Output(state) if state.output == output => Some(state),
                _ => None,
            }));
            self.commands.follow(&states);
            states.clear();
        }
        self.commands.follow(&[]);
    }

    /// What became of the last dose by hand; `None` if there was none.
    pub fn dosed(&self, output: &str) -> Option<Dosed> {
        self.commands.dosed(&OutputId::new(output).ok()?)
    }

    /// Waits until the last dose by hand is over, and gives what came of it.
    pub async fn dose_over(&self, output: &str) -> Option<Dosed> {
        loop {
            match self.dosed(output) {
                Some(Dosed::Running) => sleep(STEP).await,
                over => return over,
            }
        }
    }

    /// Gives back what was set here, because the one who did so goes.
    pub fn end(&self, output: &str) {
        if let Ok(output) = OutputId::new(output) {
            self.commands.end_by_hand(&self.owner, &output, "it was interrupted");
        }
    }

    /// Waits until nothing that was set here holds the output any more.
    pub async fn given_back(&self, output: &OutputId) {
        while self.bus.output(output).is_some_and(|state| state.by.as_ref() == Some(&self.owner)) {
            sleep(STEP).await;
        }
    }
}
