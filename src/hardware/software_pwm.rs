//! PWM by a thread that switches a pin on and off. When is pure: a phase of time since the start, so that no error adds up.
//!
//! rppal's own is not used: it drops the pin for a moment in each period even at full level, which is a pulse of an output that is
//! active low and off, and it burns the processor for 0.4 ms of every period to be precise.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::{DigitalOutput, HardwareError, Pwm};
use crate::clock::Clock;
use crate::model::Level;
use crate::panics::locked;

/// What the thread and its owner share.
struct Shared {
    level: Level,
    /// Why the thread has ended.
    failed: Option<HardwareError>,
}

/// Tells the thread what to do. When it is dropped the pin goes to the nearest steady level: on from a half up.
struct Handle {
    shared: Arc<Mutex<Shared>>,
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
    let shared = Arc::new(Mutex::new(Shared { level: initial, failed: None }));
    let (news, heard) = sync_channel(1);
    let ours = shared.clone();
    let period = period(frequency);
    let work = move || {
        if let Err(error) = run(line, &ours, &heard, period) {
            locked(&ours).failed = Some(error);
        }
    };
    let spawned = thread::Builder::new().name(format!("pwm {name}")).spawn(work);
    let thread = spawned.map_err(|error| HardwareError::Io {
        what: format!("starting the thread of software PWM on {name}"),
        reason: format!("{error}; raise TasksMax= of the service"),
    })?;
    Ok(Box::new(Handle { shared, news: Some(news), thread: Some(thread) }))
}

/// Ends when its owner is gone.
fn run(
    mut line: Box<dyn DigitalOutput>,
    shared: &Mutex<Shared>,
    heard: &Receiver<()>,
    period: Duration,
) -> Result<(), HardwareError> {
    let (clock, mut is) = (Clock::system(), None);
    loop {
        let level = locked(shared).level;
        let (on, until) = phase(period, level, clock.now().since_start());
        if is != Some(on) {
            line.set(on)?;
            is = Some(on);
        }
        let gone = match until {
            // A steady level wakes nobody.
            None => heard.recv().is_err(),
            Some(until) => {
                let wait = until.saturating_sub(clock.now().since_start());
                heard.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected)
            }
        };
        if gone {
            return line.set(locked(shared).level.get() >= 0.5);
        }
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

impl Pwm for Handle {
    fn set(&mut self, level: Level) -> Result<(), HardwareError> {
        let mut shared = locked(&self.shared);
        if let Some(error) = &shared.failed {
            return Err(error.clone());
        }
        shared.level = level;
        drop(shared);
        match self.news.as_ref().map(|news| news.try_send(())) {
            Some(Ok(()) | Err(TrySendError::Full(()))) => Ok(()),
            // It ends with a reason, or by a panic.
            Some(Err(TrySendError::Disconnected(()))) | None => {
                Err(locked(&self.shared).failed.clone().unwrap_or_else(|| HardwareError::Io {
                    what: "software PWM".into(),
                    reason: "its thread has ended; this is a mistake in homeostat, please report it".into(),
                }))
            }
        }
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

    /// Writes down what it is set to, and breaks after so many.
    #[derive(Clone)]
    struct Pin(Arc<Mutex<Vec<bool>>>, usize);

    impl DigitalOutput for Pin {
        fn set(&mut self, on: bool) -> Result<(), HardwareError> {
            let mut log = locked(&self.0);
            log.push(on);
            let what = "GPIO pin 5".to_owned();
            if log.len() < self.1 { Ok(()) } else { Err(HardwareError::Io { what, reason: "broken".into() }) }
        }

        fn read_back(&mut self) -> Result<Option<bool>, HardwareError> {
            Ok(None)
        }
    }

    #[test]
    fn steady_levels_do_not_switch_and_the_end_is_the_nearest_of_them() {
        for (first, last, expected) in [(0.0, 1.0, &[false, true, true][..]), (1.0, 0.0, &[true, false, false])] {
            let log = Arc::new(Mutex::new(Vec::new()));
            let mut pwm = start("pin 5", Box::new(Pin(log.clone(), 99)), 100.0, Level::new(first).unwrap()).unwrap();
            let changed = |log: &Mutex<Vec<bool>>, n| {
                assert!((0..100_000_000).any(|_| locked(log).len() >= n), "the thread does nothing");
            };
            changed(&log, 1);
            pwm.set(Level::new(last).unwrap()).unwrap();
            changed(&log, 2);
            drop(pwm);
            assert_eq!(*locked(&log), expected, "from {first} to {last}");
        }
    }

    #[test]
    fn a_pin_that_breaks_is_told_of_with_the_next_level() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut pwm = start("pin 5", Box::new(Pin(log, 3)), 1000.0, Level::new(0.5).unwrap()).unwrap();
        let error = (0..1_000_000).find_map(|_| pwm.set(Level::new(0.4).unwrap()).err()).unwrap();
        assert_eq!(error.to_string(), "GPIO pin 5: broken");
    }
}
