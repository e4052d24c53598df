//! What the root does for the pins, because an output's own actor may be gone: levels that nobody holds, writes that were never
//! confirmed, pins that somebody else moved.

use std::time::Duration;

use actix::prelude::*;

use super::Root;
use crate::hardware::bank::Released;
use crate::model::{Monotonic, OutputId};

/// How often the bank reads back what it left on the pins.
const VERIFY: Duration = Duration::from_secs(10);

impl Root {
    /// One round of the bank, and what a person has to be told afterwards.
    pub(super) fn look_after_pins(&mut self, now: Monotonic, ctx: &mut Context<Self>) {
        let verify = now.since(self.verified) >= VERIFY;
        if verify {
            self.verified = now;
        }
        let bank = self.bank.clone();
        let round = async move {
            let released = bank.release(now).await;
            if verify {
                bank.verify().await;
            }
            released
        };
        ctx.spawn(round.into_actor(self).map(|released, root, _| {
            for Released { who, why, result } in released {
                match result {
                    Ok(()) => tracing::error!("{who} {why}; it is at its safe level now"),
                    Err(error) => tracing::debug!("{who} {why}, and cannot be made safe: {error}"),
                }
            }
            root.tell_pins();
        }));
    }

    fn tell_pins(&mut self) {
        let troubles = self.bank.troubles();
        let there = troubles.iter().map(|(output, _)| output.clone()).collect();
        // What was removed is told of until it is safe; then it is nobody's trouble any more.
        for output in std::mem::replace(&mut self.pins, there) {
            if !self.pins.contains(&output) {
                self.alarms.clear(&alarm(&output));
            }
        }
        for (output, trouble) in troubles {
            self.alarms.set(&alarm(&output), trouble.as_deref());
        }
    }

    /// What stands at the broker is of an earlier process.
    pub(super) fn forget_pins(&self) {
        for (output, _) in self.bank.troubles() {
            self.alarms.forget(&alarm(&output));
        }
    }
}

/// Not the alarm of the output's actor, which may fail while the pin obeys.
fn alarm(output: &OutputId) -> String {
    format!("outputs.{output}.pin")
}
