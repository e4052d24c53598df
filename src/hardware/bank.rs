//! The bank owns the outputs' hardware and outlives the actors that command it, so a restart never moves a relay.
//!
//! It is also the last dead man's switch: every level that is not the safe one is held until a given moment only. Whoever
//! wants it longer says so in time; when nobody does, because the output's own actor is gone, the bank makes it safe.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;

use super::HardwareError;
use super::lane::{Lane, LaneError};
use crate::model::{Level, Monotonic, OutputId};
use crate::panics::{self, locked};

/// A write to a pin that takes longer than this hangs.
const DEADLINE: Duration = Duration::from_millis(500);

/// Between two attempts to make an output safe at the end.
const RETRY: Duration = Duration::from_millis(100);

/// What stands behind one output: something with a level that stays until it is changed.
pub trait Line: Send {
    /// Drives it, and says how sure it is.
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError>;
}

/// How sure a write is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// The hardware was read back and agrees.
    ReadBack,
    /// The hardware took it and cannot be read back.
    Accepted,
}

/// Why a level may not be on the pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The lane did not carry it.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// The hardware refused it.
    #[error(transparent)]
    Hardware(#[from] HardwareError),
}

/// Takes the hardware of one output, at the given level from the first moment on.
pub type OpenLine = Box<dyn Fn(Level) -> Result<Box<dyn Line>, HardwareError> + Send + Sync>;

/// One output's hardware.
pub struct Slot {
    who: Arc<str>,
    lane: Lane,
    safe: Level,
    line: Arc<Mutex<Option<Box<dyn Line>>>>,
    open: Arc<OpenLine>,
    state: Arc<Mutex<State>>,
}

/// What is wanted of the pin, and what is known of it.
#[derive(Debug, Clone, Copy)]
struct State {
    /// What the pin is to be at. A job in the lane takes it from here when its turn comes, so that however the jobs and those
    /// who wait for them are scheduled, the last word said is the last one written.
    wanted: Level,
    /// What is on the pin; `None` before the first write, while one is under way, and after a failed one.
    confirmed: Option<Level>,
    /// Until when it may stay there, unless it is the safe level.
    until: Monotonic,
    /// Whether the hardware was ever taken.
    taken: bool,
    /// Nothing but the safe level is wanted any more.
    sealed: bool,
}

impl Slot {
    /// What is on the pin, as far as that is confirmed.
    pub fn level(&self) -> Option<Level> {
        locked(&self.state).confirmed
    }

    /// Takes the hardware at its safe level, unless it was taken before: then nothing moves.
    pub async fn open(&self) -> Result<(), WriteError> {
        if locked(&self.state).taken {
            return Ok(());
        }
        self.drive(self.safe).await
    }

    /// Puts `level` on the pin, to stay there no longer than `until` unless it is the safe one. A level that is there
    /// already is not written again.
    pub async fn write(&self, level: Level, until: Monotonic) -> Result<(), WriteError> {
        let held = {
            let mut state = locked(&self.state);
            state.until = until;
            let level = if state.sealed { self.safe } else { level };
            state.confirmed == Some(level) && state.wanted == level
        };
        if held { Ok(()) } else { self.drive(level).await }
    }

    /// Lets the level that is on the pin stay there until `until`.
    pub fn hold(&self, until: Monotonic) {
        locked(&self.state).until = until;
    }

    async fn drive(&self, level: Level) -> Result<(), WriteError> {
        {
            let mut state = locked(&self.state);
            state.wanted = if state.sealed { self.safe } else { level };
            state.confirmed = None;
        }
        let (line, open, state) = (self.line.clone(), self.open.clone(), self.state.clone());
        // Also run when nobody waits for it any more: behind a hang, the last word must still reach the pin.
        self.lane.run_surely(&self.who, DEADLINE, move || write_wanted(&line, &open, &state)).await??;
        Ok(())
    }
}

/// Runs in the lane, where the jobs of a slot come one after another.
fn write_wanted(
    line: &Mutex<Option<Box<dyn Line>>>,
    open: &OpenLine,
    state: &Mutex<State>,
) -> Result<(), HardwareError> {
    let mut place = locked(line);
    let wanted = {
        let state = locked(state);
        if state.confirmed == Some(state.wanted) {
            return Ok(());
        }
        state.wanted
    };
    // While it is driven the line is not in its place: after a panic it is gone, and the next write takes the hardware anew.
    let taken = match place.take() {
        Some(line) => line,
        None => open(wanted)?,
    };
    locked(state).taken = true;
    let (taken, written) = panics::lend(taken, |line| line.write(wanted));
    *place = Some(taken);
    written?;
    let mut state = locked(state);
    // Somebody may have wanted something else meanwhile; then the next job is theirs.
    if state.wanted == wanted {
        state.confirmed = Some(wanted);
    }
    Ok(())
}

/// Every output's hardware.
#[derive(Default)]
pub struct Bank {
    slots: Vec<Arc<Slot>>,
}

impl Bank {
    /// Adds an output. Nothing is opened yet.
    pub fn add(&mut self, output: &OutputId, lane: Lane, safe: Level, open: OpenLine) -> Arc<Slot> {
        let state = State { wanted: safe, confirmed: None, until: Monotonic::default(), taken: false, sealed: false };
        let slot = Arc::new(Slot {
            who: format!("output {output}").into(),
            lane,
            safe,
            line: Arc::default(),
            open: Arc::new(open),
            state: Arc::new(Mutex::new(state)),
        });
        self.slots.push(slot.clone());
        slot
    }

    /// Takes every output at its safe level. Gives those that could not be taken.
    pub async fn open(&self) -> Vec<(Arc<str>, WriteError)> {
        let work =
            self.slots.iter().map(|slot| async { slot.open().await.err().map(|error| (slot.who.clone(), error)) });
        join_all(work).await.into_iter().flatten().collect()
    }

    /// Makes every output safe whose level nobody holds any more. Gives the names of those and what came of it.
    pub async fn release(&self, now: Monotonic) -> Vec<(Arc<str>, Result<(), WriteError>)> {
        let overdue = |slot: &&Arc<Slot>| {
            let state = *locked(&slot.state);
            // Also what could never be taken: it may be on from an earlier life, and its actor's next life may be a minute away.
            state.confirmed != Some(slot.safe) && state.until < now
        };
        let work =
            self.slots.iter().filter(overdue).map(|slot| async { (slot.who.clone(), slot.drive(slot.safe).await) });
        join_all(work).await
    }

    /// From now on nothing but safe levels reach the pins. Writes every output safe, whatever is believed of it, and gives
    /// those that could not be: their writes stay in the lane and are done when it is free again.
    pub async fn seal(&self) -> Vec<(Arc<str>, WriteError)> {
        for slot in &self.slots {
            locked(&slot.state).sealed = true;
        }
        let mut left = Vec::new();
        for pause in [Duration::ZERO, RETRY, RETRY] {
            tokio::time::sleep(pause).await;
            let work = self.slots.iter().map(|slot| async {
                let safe = locked(&slot.state).confirmed == Some(slot.safe) && !pause.is_zero();
                if safe { None } else { slot.drive(slot.safe).await.err().map(|error| (slot.who.clone(), error)) }
            });
            left = join_all(work).await.into_iter().flatten().collect();
            if left.is_empty() {
                break;
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::hardware::lane::{Execution, Lanes};
    use crate::model::Timestamp;

    /// A line that writes down what it is told, and the next failure it is to have.
    #[derive(Clone, Default)]
    struct Recorder(Arc<Mutex<(Vec<String>, Option<&'static str>)>>);

    impl Recorder {
        fn opener(&self) -> OpenLine {
            let recorder = self.clone();
            Box::new(move |level| {
                recorder.0.lock().unwrap().0.push(format!("open {level}"));
                Ok(Box::new(recorder.clone()))
            })
        }

        fn fail_next(&self, how: &'static str) {
            self.0.lock().unwrap().1 = Some(how);
        }

        fn log(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap().0)
        }
    }

    impl Line for Recorder {
        fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
            let failure = self.0.lock().unwrap().1.take();
            match failure {
                Some("panic") => panic!("in write"),
                Some(_) => Err(HardwareError::Io { what: "pin".into(), reason: "stuck".into() }),
                None => {
                    self.0.lock().unwrap().0.push(format!("write {level}"));
                    Ok(Confirmation::Accepted)
                }
            }
        }
    }

    fn bank() -> (Bank, Arc<Slot>, Recorder, Clock) {
        let clock = Clock::simulated(Timestamp::from_millis(0));
        let lane = Lanes::new(clock, Execution::Inline).get("gpio");
        let (mut bank, recorder) = (Bank::default(), Recorder::default());
        let slot = bank.add(&OutputId::new("heater").unwrap(), lane, Level::OFF, recorder.opener());
        (bank, slot, recorder, clock)
    }

    fn secs(secs: u64) -> Monotonic {
        Monotonic::new(Duration::from_secs(secs))
    }

    #[tokio::test(start_paused = true)]
    async fn opening_again_moves_nothing() {
        let (_bank, slot, recorder, _) = bank();
        slot.open().await.unwrap();
        slot.write(Level::ON, secs(9)).await.unwrap();
        slot.open().await.unwrap();
        slot.write(Level::ON, secs(10)).await.unwrap();
        assert_eq!(recorder.log(), ["open off", "write off", "write on"]);
        assert_eq!(slot.level(), Some(Level::ON));
    }

    #[tokio::test(start_paused = true)]
    async fn a_level_that_nobody_holds_falls_to_safe() {
        let (bank, slot, recorder, _) = bank();
        slot.write(Level::ON, secs(9)).await.unwrap();
        assert!(bank.release(secs(9)).await.is_empty());
        slot.hold(secs(20));
        assert!(bank.release(secs(15)).await.is_empty());
        assert_eq!(bank.release(secs(21)).await.len(), 1);
        assert!(bank.release(secs(22)).await.is_empty());
        assert_eq!(recorder.log(), ["open on", "write on", "write off"]);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failed_write_nothing_is_believed_and_safe_is_written_until_it_holds() {
        for failure in ["error", "panic"] {
            let (bank, slot, recorder, _) = bank();
            slot.write(Level::ON, secs(9)).await.unwrap();
            recorder.fail_next(failure);
            slot.write(Level::OFF, secs(9)).await.unwrap_err();
            assert_eq!(slot.level(), None);
            assert!(matches!(&bank.release(secs(10)).await[..], [(_, Ok(()))]));
            assert_eq!(slot.level(), Some(Level::OFF));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_life_that_ended_in_the_midst_of_a_write_leaves_the_pin_to_the_next() {
        let (_bank, slot, recorder, _) = bank();
        slot.open().await.unwrap();
        recorder.fail_next("error");
        slot.write(Level::ON, secs(9)).await.unwrap_err();
        slot.open().await.unwrap();
        assert_eq!(recorder.log(), ["open off", "write off"], "the next life's guard decides, not the opening");
    }

    #[tokio::test]
    async fn the_last_word_is_the_last_one_on_the_pin() {
        let clock = Clock::simulated(Timestamp::from_millis(0));
        let lane = Lanes::new(clock, Execution::Thread).get("gpio");
        let (mut bank, recorder) = (Bank::default(), Recorder::default());
        let slot = bank.add(&OutputId::new("heater").unwrap(), lane.clone(), Level::OFF, recorder.opener());
        // The lane is held up while several want several things and then stop waiting.
        let gate = crate::hardware::lane::Gate::new();
        let (hung, who) = (gate.clone(), Arc::from("somebody"));
        let hang = lane.run(&who, Duration::from_millis(1), move || crate::hardware::lane::hang(&hung));
        assert!(hang.await.is_err());
        for level in [Level::ON, Level::OFF, Level::ON] {
            assert!(slot.write(level, secs(9)).await.is_err());
        }
        assert_eq!(bank.seal().await.len(), 1);
        gate.release();
        while slot.level() != Some(Level::OFF) {
            tokio::task::yield_now().await;
        }
        assert!(!recorder.log().contains(&"write on".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sealed_bank_turns_nothing_on() {
        let (bank, slot, recorder, _) = bank();
        slot.write(Level::ON, secs(9)).await.unwrap();
        assert!(bank.seal().await.is_empty());
        slot.write(Level::ON, secs(99)).await.unwrap();
        assert_eq!(recorder.log(), ["open on", "write on", "write off"]);
    }
}
