//! The thread that makes a stepper's pulses, and what tells it where to go.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::motion::{Motion, NotReached, Place, Way};
use crate::clock::Clock;
use crate::hardware::bank::{Confirmation, Line};
use crate::hardware::{DigitalInput, DigitalOutput, HardwareError};
use crate::model::Level;
use crate::panics::locked;

/// A motor swings a little where it stops, and would lose a step if its current ended at once.
const SETTLE: Duration = Duration::from_millis(200);

/// The next half of a period ends. Measured from the last one, so that no error adds up; but whoever woke late does not catch up by
/// steps that come too fast for the motor.
fn following(due: Duration, now: Duration, half: Duration) -> Duration {
    (due + half).max(now + half - half / 4)
}

/// How long what takes.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Half a step.
    pub half: Duration,
    /// Before what failed is tried again.
    pub retry: Duration,
}

/// What the motor is moved by.
pub struct Pins {
    /// A step with each change to on.
    pub step: Box<dyn DigitalOutput>,
    /// On is away from home.
    pub dir: Box<dyn DigitalOutput>,
    /// The motor's current.
    pub enable: Option<Box<dyn DigitalOutput>>,
    /// The end switch.
    pub home: Option<Box<dyn DigitalInput>>,
    /// The current stays where it stands.
    pub hold: bool,
}

impl Pins {
    fn power(&mut self, on: bool) -> Result<(), HardwareError> {
        self.enable.as_mut().map_or(Ok(()), |enable| enable.set(on))
    }

    fn let_go(&mut self) -> Result<(), HardwareError> {
        if self.hold { Ok(()) } else { self.power(false) }
    }
}

/// What the thread and its owner share.
struct State {
    motion: Motion,
    /// As it was written: what the target is rounded from.
    wanted: Level,
    /// It is at its target.
    stands: bool,
    failed: Option<HardwareError>,
    /// A pin has failed, and it was waited since then: the thread has ended, and its pins may be taken anew.
    over: bool,
    /// The thread is to end.
    ends: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    /// Waits as long as `still` holds, and no longer than `most`.
    fn wait(&self, most: Duration, still: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_timeout_while(locked(&self.state), most, |state| still(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut locked(&self.state));
        self.changed.notify_all();
    }
}

/// Why it does not go on.
enum Failure {
    /// The pins are well; it may try again.
    NotReached(HardwareError),
    /// What came back may be another chip, of which these pins are none.
    Pin(HardwareError),
}

impl From<HardwareError> for Failure {
    fn from(error: HardwareError) -> Self {
        Self::Pin(error)
    }
}

/// What the thread has.
struct Worker {
    what: String,
    pins: Pins,
    shared: Arc<Shared>,
    times: Times,
    clock: Clock,
    /// When the last half of a period was to end.
    due: Duration,
}

impl Worker {
    fn run(mut self) {
        while !locked(&self.shared.state).ends {
            let Err(failure) = self.turn() else { continue };
            let (error, by_a_pin) = match failure {
                Failure::NotReached(error) => (error, false),
                Failure::Pin(error) => (error, true),
            };
            self.shared.change(|state| {
                state.failed = Some(error);
                state.motion.place = Place::Homing(0);
            });
            // An error of this one adds nothing.
            let _ = self.pins.let_go();
            drop(self.shared.wait(self.times.retry, |state| !state.ends));
            if by_a_pin {
                // Before the pins are dropped. Whoever takes them anew drops this one first, and waits for that.
                return self.shared.change(|state| state.over = true);
            }
        }
        let _ = self.pins.let_go();
    }

    /// Makes a step, or waits for something to do.
    fn turn(&mut self) -> Result<(), Failure> {
        let closed = self.pins.home.as_mut().map(|home| home.get()).transpose()?;
        let next = {
            let mut state = locked(&self.shared.state);
            let next = state
                .motion
                .next(closed)
                .map_err(|NotReached| Failure::NotReached(self.not_reached(state.motion.most())))?;
            if matches!(state.motion.place, Place::At(_)) {
                state.failed = None;
            }
            state.stands = next.is_none();
            next
        };
        self.shared.changed.notify_all();
        match next {
            Some(way) => self.step(way)?,
            None => self.stand()?,
        }
        Ok(())
    }

    fn step(&mut self, way: Way) -> Result<(), HardwareError> {
        self.pins.power(true)?;
        self.pins.dir.set(way == Way::Away)?;
        if !self.half() {
            return Ok(());
        }
        self.pins.step.set(true)?;
        self.half();
        self.pins.step.set(false)?;
        locked(&self.shared.state).motion.stepped(way);
        Ok(())
    }

    fn stand(&mut self) -> Result<(), HardwareError> {
        let idle = |state: &State| state.stands && !state.ends;
        if !self.pins.hold && idle(&self.shared.wait(SETTLE, idle)) {
            self.pins.power(false)?;
        }
        drop(self.shared.wait(Duration::MAX, idle));
        Ok(())
    }

    /// Waits for half a period; whether the owner is still there then.
    fn half(&mut self) -> bool {
        let now = self.clock.now().since_start();
        self.due = following(self.due, now, self.times.half);
        !self.shared.wait(self.due.saturating_sub(now), |state| !state.ends).ends
    }

    fn not_reached(&self, most: u32) -> HardwareError {
        let reason = format!(
            "the end switch was not reached within {most} steps; check that the motor turns, towards home (or set `reverse`), that \
             `travel` is right, and that the switch closes to ground there; it is tried again each minute"
        );
        HardwareError::Io { what: self.what.clone(), reason }
    }
}

/// Tells the thread where to go. When it is dropped the motion stops where it is.
pub struct Stepper {
    what: String,
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
    times: Times,
}

impl Stepper {
    /// Begins to move: home first, and to `initial` then.
    pub fn start(
        name: &str,
        what: String,
        pins: Pins,
        travel: u32,
        initial: Level,
        times: Times,
    ) -> Result<Self, HardwareError> {
        let clock = Clock::system();
        let motion = Motion::new(travel, initial);
        let state = State { motion, wanted: initial, stands: false, failed: None, over: false, ends: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let due = clock.now().since_start();
        let worker = Worker { what: what.clone(), pins, shared: shared.clone(), times, clock, due };
        let spawned = thread::Builder::new().name(format!("stepper {name}")).spawn(|| worker.run());
        let thread = spawned.map_err(|error| HardwareError::Io {
            what: format!("starting the thread of the {what}"),
            reason: format!("{error}; raise TasksMax= of the service"),
        })?;
        Ok(Self { what, shared, thread: Some(thread), times })
    }

    /// Whether the thread goes on, and has nothing to complain of.
    fn well(&self, state: &State) -> Result<(), HardwareError> {
        let ended = || HardwareError::Io {
            what: self.what.clone(),
            reason: "its thread has ended; this is a mistake in homeostat, please report it".into(),
        };
        match &state.failed {
            Some(error) => Err(error.clone()),
            None if self.thread.as_ref().is_none_or(thread::JoinHandle::is_finished) => Err(ended()),
            None => Ok(()),
        }
    }
}

impl Line for Stepper {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        self.shared.change(|state| {
            state.wanted = level;
            state.motion.aim(level);
            state.stands = false;
        });
        self.well(&locked(&self.shared.state)).map(|()| Confirmation::Accepted)
    }

    /// The level as it was written, and not as it was rounded to steps: it is there as well as it can be.
    fn read_back(&mut self) -> Result<Option<Level>, HardwareError> {
        let state = locked(&self.shared.state);
        self.well(&state)?;
        Ok(state.stands.then_some(state.wanted))
    }

    fn under_way(&mut self) -> Result<Option<Duration>, HardwareError> {
        let state = locked(&self.shared.state);
        self.well(&state)?;
        Ok((!state.stands).then(|| self.times.half * 2 * state.motion.left()))
    }

    /// Taken anew it goes home. So not for each word that fails, but at the pace at which it would try again by itself.
    fn renewable(&self) -> bool {
        locked(&self.shared.state).over
    }
}

impl Drop for Stepper {
    fn drop(&mut self) {
        self.shared.change(|state| state.ends = true);
        if let Some(thread) = self.thread.take() {
            // A panic of its own was reported when it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{Active, Hardware as _, recorded::Recorded};

    #[test]
    fn whoever_is_late_goes_on_at_its_pace_and_does_not_catch_up() {
        let ms = Duration::from_millis;
        // When it was to wake, when it did, and when it wakes next with halves of 4 ms.
        for (due, now, expected) in [(100, 100, 104), (100, 101, 104), (100, 102, 105), (100, 900, 903)] {
            assert_eq!(following(ms(due), ms(now), ms(4)), ms(expected), "{due} {now}");
        }
    }

    /// Breaks after so many changes, once.
    struct Broken(Box<dyn DigitalOutput>, u32);

    impl DigitalOutput for Broken {
        fn set(&mut self, on: bool) -> Result<(), HardwareError> {
            self.1 = self.1.wrapping_sub(1);
            if self.1 == 0 {
                return Err(HardwareError::Io { what: "GPIO pin 23".into(), reason: "broken".into() });
            }
            self.0.set(on)
        }

        fn read_back(&mut self) -> Result<Option<bool>, HardwareError> {
            Ok(None)
        }
    }

    #[test]
    fn a_pin_that_breaks_is_told_of_and_then_nobody_knows_where_it_is() {
        for (retry, over) in [(Duration::from_secs(60), false), (Duration::ZERO, true)] {
            let board = Recorded::default();
            let pin = |pin| board.output(pin, Active::High, false).unwrap();
            // The fourth step on the way from home.
            let step = Box::new(Broken(pin(23), 2 * (21 + 3) + 1));
            let pins = Pins { step, dir: pin(24), enable: None, home: None, hold: true };
            let times = Times { half: Duration::from_micros(50), retry };
            let mut line = Stepper::start("vent", "stepper".into(), pins, 20, Level::clamped(0.5), times).unwrap();
            drop(line.shared.wait(Duration::from_secs(30), |state| state.failed.is_none()));
            let broken = Err(HardwareError::Io { what: "GPIO pin 23".into(), reason: "broken".into() });
            for _ in 0..2 {
                assert_eq!(line.under_way().map(|_| ()), broken);
                assert_eq!(line.write(Level::OFF).map(|_| ()), broken);
                assert_eq!(line.read_back().map(|_| ()), broken);
            }
            // Its pins may be taken anew, but not before it has waited.
            if over {
                drop(line.shared.wait(Duration::from_secs(30), |state| !state.over));
            }
            assert_eq!(line.renewable(), over);
            drop(line);
            let made = board.written().iter().filter(|written| **written == (23, true)).count();
            assert_eq!(made, 21 + 3, "and no step more");
        }
    }
}
