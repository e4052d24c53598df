//! PWM by a thread that switches a pin on and off. When is pure: a phase of time since the start, so that no error adds up.
//!
//! rppal's own is not used: it drops the pin for a moment in each period even at full level, which is a pulse of an output that is
//! active low and off, and it burns the processor for 0.4 ms of every period to be precise.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::{DigitalOutput, HardwareError, Pwm};
use crate::clock::Clock;
use crate::model::Level;
use crate::panics::locked;

/// When a pin that was not to be switched is tried again, unless there is news before.
const RETRY: Duration = Duration::from_millis(100);

/// How long the thread may take to answer. The lane of the pins, which waits meanwhile, gives each of them five times as much.
const PATIENCE: Duration = Duration::from_millis(100);

/// What the thread and its owner share.
struct Shared {
    state: Mutex<State>,
    /// For the owner: something was answered.
    answered: Condvar,
}

struct State {
    level: Level,
    /// How often the thread was asked, and which of these times it has answered last.
    asked: u64,
    answered: u64,
    /// Whether the pin was to go on, and why it did not. It stands until the pin has gone there, or is where it is to stay: one
    /// that only goes on is in trouble at every moment of its pulses.
    failed: Option<(bool, HardwareError)>,
}

/// Tells the thread what to do. When it is dropped the pin goes to the nearest steady level: on from a half up.
struct Handle {
    name: String,
    shared: Arc<Shared>,
    /// That there is something new; one such word is enough. Gone when the thread is to end.
    news: Option<SyncSender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Begins to switch `line`, `frequency` times a second.
pub(super) fn start(
    name: &str,
    line: Box<dyn DigitalOutput>,
    frequency: f64,
    initial: Level,
) -> Result<Box<dyn Pwm>, HardwareError> {
    let state = State { level: initial, asked: 0, answered: 0, failed: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), answered: Condvar::new() });
    let (news, heard) = sync_channel(1);
    let ours = shared.clone();
    let period = period(frequency);
    let work = move || run(line, &ours, &heard, period);
    let spawned = thread::Builder::new().name(format!("pwm {name}")).spawn(work);
    let thread = spawned.map_err(|error| HardwareError::Io {
        what: format!("starting the thread of software PWM on {name}"),
        reason: format!("{error}; raise TasksMax= of the service"),
    })?;
    Ok(Box::new(Handle { name: name.to_owned(), shared, news: Some(news), thread: Some(thread) }))
}

/// Ends when its owner is gone, and not before: an off that failed is tried again.
fn run(mut line: Box<dyn DigitalOutput>, shared: &Shared, heard: &Receiver<()>, period: Duration) {
    let (clock, mut is) = (Clock::system(), None);
    loop {
        let (level, asked) = {
            let state = locked(&shared.state);
            (state.level, state.asked)
        };
        let (on, until) = phase(period, level, clock.now().since_start());
        let written = if is == Some(on) { Ok(()) } else { line.set(on) };
        // After an error it may be either.
        is = written.is_ok().then_some(on);
        let wait = match until {
            _ if written.is_err() => Some(RETRY),
            // A steady level wakes nobody.
            None => None,
            Some(until) => Some(until.saturating_sub(clock.now().since_start())),
        };
        shared.answer(asked, on, until.is_none(), written);
        let gone = match wait {
            None => heard.recv().is_err(),
            Some(wait) => heard.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected),
        };
        if gone {
            let on = locked(&shared.state).level.get() >= 0.5;
            if let Err(error) = line.set(on) {
                let wanted = if on { "on" } else { "off" };
                tracing::error!("software PWM ends and could not leave its pin {wanted}: {error}");
            }
            return;
        }
    }
}

impl Shared {
    fn answer(&self, asked: u64, on: bool, steady: bool, written: Result<(), HardwareError>) {
        let mut state = locked(&self.state);
        match written {
            Err(error) => state.failed = Some((on, error)),
            Ok(()) => state.failed = state.failed.take().filter(|(failed, _)| !steady && *failed != on),
        }
        state.answered = asked;
        drop(state);
        self.answered.notify_all();
    }
}

/// Whether the pin is on at `time` since the start, and until when it stays so; `None` for ever.
fn phase(period: Duration, level: Level, time: Duration) -> (bool, Option<Duration>) {
    let (period, time) = (period.as_nanos().max(1), time.as_nanos());
    let nanos = |time: u128| Some(Duration::from_nanos(u64::try_from(time).unwrap_or(u64::MAX)));
    // Both fit: periods are seconds at most.
    let pulse = (level.get() * period as f64).round() as u128;
    let begun = time - time % period;
    match pulse {
        0 => (false, None),
        _ if pulse >= period => (true, None),
        _ if time < begun + pulse => (true, nanos(begun + pulse)),
        _ => (false, nanos(begun + period)),
    }
}

/// At least once in 10 s, so that a wrong frequency harms nobody, and at most a thousand times a second.
fn period(frequency: f64) -> Duration {
    let frequency = if frequency.is_nan() { 0.1 } else { frequency.clamp(0.1, 1000.0) };
    Duration::from_secs_f64(1.0 / frequency)
}

impl Handle {
    /// Wakes the thread, at another level or at the one it has, and waits until it has brought the pin to where that is now.
    fn ask(&mut self, level: Option<Level>) -> Result<(), HardwareError> {
        let fail = |reason: &str| HardwareError::Io {
            what: format!("software PWM on {}", self.name),
            reason: format!("its thread {reason}; restart homeostat, and report it if it happens again"),
        };
        let mut state = locked(&self.shared.state);
        state.level = level.unwrap_or(state.level);
        state.asked += 1;
        let asked = state.asked;
        drop(state);
        match self.news.as_ref().map(|news| news.try_send(())) {
            Some(Ok(()) | Err(TrySendError::Full(()))) => {}
            Some(Err(TrySendError::Disconnected(()))) | None => return Err(fail("has ended")),
        }
        let waiting = |state: &mut State| state.answered < asked;
        let waited = self.shared.answered.wait_timeout_while(locked(&self.shared.state), PATIENCE, waiting);
        let (state, end) = waited.unwrap_or_else(PoisonError::into_inner);
        if end.timed_out() {
            return Err(fail("does not answer"));
        }
        state.failed.as_ref().map_or(Ok(()), |(_, error)| Err(error.clone()))
    }
}

impl Pwm for Handle {
    fn set(&mut self, level: Level) -> Result<(), HardwareError> {
        self.ask(Some(level))
    }

    fn check(&mut self) -> Result<(), HardwareError> {
        self.ask(None)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.news = None;
        if let Some(thread) = self.thread.take() {
            // A panic of its own was reported when it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_period_is_on_for_its_part_and_then_off() {
        let period = Duration::from_millis(10);
        let ms = Duration::from_millis;
        let at = |level, time| phase(period, Level::new(level).unwrap(), ms(time));
        for (level, time, expected) in [
            (0.3, 0, (true, Some(ms(3)))),
            (0.3, 2, (true, Some(ms(3)))),
            (0.3, 3, (false, Some(ms(10)))),
            (0.3, 10, (true, Some(ms(13)))),
            (0.0, 5, (false, None)),
            (1.0, 5, (true, None)),
        ] {
            assert_eq!(at(level, time), expected, "level {level} at {time} ms");
        }
    }

    proptest! {
        /// However late the thread wakes, it is right again at once, and over whole periods the pin is on for its part.
        #[test]
        fn the_part_that_is_on_is_the_level(level in 0.0..=1.0, periods in 1u32..50, from in 0u64..1_000_000_000) {
            let period = Duration::from_millis(7);
            let level = Level::new(level).unwrap();
            let start = Duration::from_nanos(from);
            let end = start + period * periods;
            let (mut now, mut on_time) = (start, Duration::ZERO);
            while now < end {
                let (on, until) = phase(period, level, now);
                let until = until.unwrap_or(end).min(end);
                prop_assert!(until > now);
                on_time += if on { until - now } else { Duration::ZERO };
                now = until;
            }
            let expected = (period * periods).as_secs_f64() * level.get();
            prop_assert!((on_time.as_secs_f64() - expected).abs() < 1e-9 * f64::from(periods) * 2.0);
        }
    }

    /// Writes down what it is set to, and takes no level that is `stuck`.
    #[derive(Clone, Default)]
    struct Pin(Arc<Mutex<Script>>);

    #[derive(Default)]
    struct Script {
        log: Vec<bool>,
        stuck: Vec<bool>,
    }

    impl Pin {
        fn stick(&self, at: &[bool]) {
            locked(&self.0).stuck = at.into();
        }

        fn log(&self) -> Vec<bool> {
            locked(&self.0).log.clone()
        }

        fn start(&self, level: f64) -> Box<dyn Pwm> {
            start("pin 5", Box::new(self.clone()), 1000.0, Level::new(level).unwrap()).unwrap()
        }
    }

    impl DigitalOutput for Pin {
        fn set(&mut self, on: bool) -> Result<(), HardwareError> {
            let mut script = locked(&self.0);
            if script.stuck.contains(&on) {
                return Err(HardwareError::Io { what: "GPIO pin 5".into(), reason: "broken".into() });
            }
            script.log.push(on);
            Ok(())
        }

        fn read_back(&mut self) -> Result<Option<bool>, HardwareError> {
            Ok(None)
        }
    }

    /// Waits for what the thread does by itself.
    fn comes(mut what: impl FnMut() -> bool) {
        // Both ends are there, so this waits.
        let (_kept, never) = sync_channel::<()>(1);
        let step = Duration::from_millis(2);
        assert!((0..2_000).any(|_| what() || never.recv_timeout(step).is_ok()), "the thread does nothing");
    }

    #[test]
    fn steady_levels_do_not_switch_and_the_end_is_the_nearest_of_them() {
        for (first, last, expected) in [(0.0, 1.0, [false, true, true]), (1.0, 0.0, [true, false, false])] {
            let pin = Pin::default();
            let mut pwm = pin.start(first);
            pwm.check().unwrap();
            pwm.set(Level::new(last).unwrap()).unwrap();
            // It is there when that returns.
            assert_eq!(pin.log(), expected[..2], "from {first} to {last}");
            drop(pwm);
            assert_eq!(pin.log(), expected, "from {first} to {last}");
        }
    }

    #[test]
    fn an_off_that_does_not_reach_the_pin_fails_and_is_tried_until_it_does() {
        for asked_again in [false, true] {
            let pin = Pin::default();
            let mut pwm = pin.start(1.0);
            pwm.check().unwrap();
            pin.stick(&[false]);
            for _ in 0..2 {
                assert_eq!(pwm.set(Level::OFF).unwrap_err().to_string(), "GPIO pin 5: broken");
            }
            assert_eq!(pin.log(), [true]);
            pin.stick(&[]);
            if asked_again {
                assert_eq!(pwm.set(Level::OFF), Ok(()));
            } else {
                comes(|| pin.log().len() > 1);
            }
            assert_eq!((pin.log(), pwm.check()), (vec![true, false], Ok(())));
        }
    }

    #[test]
    fn a_pin_that_breaks_within_its_pulses_is_in_trouble_until_it_obeys() {
        for stuck in [&[true, false][..], &[false], &[true]] {
            let pin = Pin::default();
            let mut pwm = pin.start(0.5);
            pwm.check().unwrap();
            pin.stick(stuck);
            comes(|| pwm.check().is_err());
            // And it stays so, even if it goes the other way.
            assert!((0..50).all(|_| pwm.check().is_err()), "{stuck:?}");
            assert_eq!(pwm.set(Level::new(0.4).unwrap()).unwrap_err().to_string(), "GPIO pin 5: broken");
            pin.stick(&[]);
            comes(|| pwm.check().is_ok());
            assert_eq!(pwm.set(Level::OFF), Ok(()));
            assert_eq!(pin.log().last(), Some(&false));
        }
    }

    #[test]
    fn a_thread_that_hangs_is_told_of() {
        let pin = Pin::default();
        let mut pwm = pin.start(1.0);
        pwm.check().unwrap();
        let held = locked(&pin.0);
        let error = pwm.set(Level::OFF).unwrap_err().to_string();
        assert!(error.starts_with("software PWM on pin 5: its thread does not answer; "), "{error}");
        drop(held);
        comes(|| pwm.check().is_ok());
        assert_eq!(pin.log(), [true, false]);
    }
}
