//! A stepper behind a step/dir driver: its level is its position. Vents, dampers, valves.
//!
//! Source: A4988 (Allegro, timing requirements), DRV8825 (TI SLVSA73F, 7.6), TMC2209 (Trinamic, 3.2): pulses of at least 1.9 µs, `dir` and
//! `enable` set 0.65 µs before. Here is its
//! wiring; where the next step goes is pure (`motion.rs`); a thread makes the pulses, each half a period long (`mover.rs`).

mod motion;
mod mover;

use std::ops::RangeInclusive;
use std::time::Duration;

use self::mover::{Pins, Stepper, Times};
use super::{Entry, LONGEST_DEADLINE, OutputConfig, Resolution, lines};
use crate::config::Section;
use crate::hardware::bank::Line;
use crate::hardware::{Active, Hardware, HardwareError, InputSettings, Pull};
use crate::model::{Claim, Level};
use crate::wiring;

const ABOUT: &str = "\
- Off is its home, on is `travel` steps away from it (microsteps count). `speed` is in steps a second, 1 to 2000: one at which the motor
  starts from standstill under load, for there is no ramp. `reverse = true` if it goes the wrong way.
- Nobody knows where it is after a power cut or a crash, so it goes home first each time homeostat takes it: to the end switch at
  `home` (a contact to ground that closes there), at most `travel` and 5 %, or else it is an error, and tried again each minute. Without
  `home` it goes `travel` and 5 % towards home, against the stop: the mechanics must bear that. With the switch every way to off ends there.
- Wiring: `step`, `dir` and `enable` (low is on; `enable_active = \"high\"` otherwise) to the driver board, which has the motor's
  supply and a common ground. Set its current limit; a capacitor of 100 µF at its supply. Never unplug a motor under power.
- `hold = false` with `enable` switches the motor off where it stands: cool and silent, for mechanics that stay where they are.
- A write counts as accepted when the move begins. Interlocks with others do not wait for its end.
- Its motor is moved by the process, and stays where it is, and on, when that ends. When homeostat is stopped it waits for up to 2
  seconds until it is at `safe`; if it is not there then, that is an error and counts as a stop that failed. After that, as after a
  crash, `homeostat safe` takes it home and to `safe` where both fit into 4 seconds; if not, it goes as far as it gets and says that it
  may not be there. Choose a `speed` that fits, or mechanics with a spring, where that matters.
- Trouble: it hums and does not turn: `speed` is too high, or the current too low. It loses steps, as nothing measures them: use `home`.
";

pub(super) const ENTRY: Entry = Entry {
    name: "stepper",
    summary: "a stepper behind a step/dir driver (A4988, DRV8825, TMC2209): vents, dampers, valves",
    about: ABOUT,
    example: r#"
[outputs.vent]
driver = "stepper"
step = 23
dir = 24
enable = 25
home = 16
travel = 1200
speed = 600
"#,
    read,
};

const TRAVELS: RangeInclusive<u32> = 1..=1_000_000;
/// A thread wakes about 0.1 ms late, and wakes twice for each step.
const SPEEDS: RangeInclusive<u32> = 1..=2000;
/// Before what failed is tried again: whatever stands in its way is not to be ground down.
const RETRY: Duration = Duration::from_secs(60);
/// For its way to its safe level after a crash: as long as any output may take, with what `homeostat safe` needs to see that it is there.
const PATIENCE: Duration = LONGEST_DEADLINE.saturating_sub(lines::MARGIN);

#[derive(Debug, Clone)]
struct Config {
    name: String,
    step: u8,
    dir: u8,
    enable: Option<(u8, Active)>,
    home: Option<u8>,
    /// Steps
    travel: u32,
    /// Steps a second
    speed: u32,
    reverse: bool,
    hold: bool,
}

fn read(section: &Section) -> Option<Box<dyn OutputConfig>> {
    let some_pin = |key| if section.has(key) { wiring::pin(section, key).map(Some) } else { Some(None) };
    let some_bool = |key, usual| if section.has(key) { section.optional(key) } else { Some(usual) };
    let (step, dir) = (wiring::pin(section, "step"), wiring::pin(section, "dir"));
    let (enable, home) = (some_pin("enable"), some_pin("home"));
    let active = if section.has("enable_active") { section.optional("enable_active") } else { Some(Active::Low) };
    let (travel, speed) = (number(section, "travel", TRAVELS), number(section, "speed", SPEEDS));
    let (reverse, hold) = (some_bool("reverse", false), some_bool("hold", true));
    for key in ["enable_active", "hold"] {
        if enable == Some(None) && section.has(key) {
            let message = format!("{} has `{key}` and no `enable`", section.what());
            section.wrong(key, message, "add `enable = 25`: the pin that switches the motor on, or remove this line");
            return None;
        }
    }
    let (enable, active) = (enable?, active?);
    let config = Config {
        name: lines::name(section),
        step: step?,
        dir: dir?,
        enable: enable.map(|pin| (pin, active)),
        home: home?,
        travel: travel?,
        speed: speed?,
        reverse: reverse?,
        hold: hold?,
    };
    let pins = config.pins();
    for (at, (key, pin)) in pins.iter().enumerate() {
        if let Some((other, _)) = pins.iter().take(at).find(|(_, other)| other == pin) {
            let message = format!("`{other}` and `{key}` of {} are both GPIO pin {pin}", section.what());
            section.wrong(key, message, "give each a pin of its own");
            return None;
        }
    }
    Some(Box::new(config))
}

fn number(section: &Section<'_>, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
    let value = section.required::<u32>(key)?;
    if !range.contains(&value) {
        let message = format!("`{key}` of {} cannot be {value}", section.what());
        section.wrong(key, message, format!("it goes from {} to {} steps", range.start(), range.end()));
        return None;
    }
    Some(value)
}

impl Config {
    fn pins(&self) -> Vec<(&'static str, u8)> {
        let (enable, home) = (self.enable.map(|(pin, _)| ("enable", pin)), self.home.map(|pin| ("home", pin)));
        [("step", self.step), ("dir", self.dir)].into_iter().chain(enable).chain(home).collect()
    }

    fn times(&self) -> Times {
        Times { half: Duration::from_secs(1) / (2 * self.speed), retry: RETRY }
    }

    fn take(&self, hardware: &dyn Hardware, initial: Level, times: Times) -> Result<Stepper, HardwareError> {
        let away = if self.reverse { Active::Low } else { Active::High };
        let contact = InputSettings { active: Active::Low, pull: Pull::Up, debounce: Duration::ZERO };
        let pins = Pins {
            step: hardware.output(self.step, Active::High, false)?,
            dir: hardware.output(self.dir, away, false)?,
            home: self.home.map(|pin| hardware.input(pin, contact, None)).transpose()?,
            // On at once: it is about to move, and what an earlier process held is not to be let go.
            enable: self.enable.map(|(pin, active)| hardware.output(pin, active, true)).transpose()?,
            hold: self.hold,
        };
        let what = format!("stepper on {}", Claim::Pin(self.step));
        Stepper::start(&self.name, what, pins, self.travel, initial, times)
    }
}

impl OutputConfig for Config {
    fn resolution(&self) -> Resolution {
        Resolution::Continuous
    }

    fn claims(&self) -> Vec<Claim> {
        self.pins().into_iter().map(|(_, pin)| Claim::Pin(pin)).collect()
    }

    /// One of its own, for it is asked for its way while other pins are written.
    fn lane(&self) -> String {
        format!("stepper {}", self.name)
    }

    fn open(&self, hardware: &dyn Hardware, initial: Level) -> Result<Box<dyn Line>, HardwareError> {
        Ok(Box::new(self.take(hardware, initial, self.times())?))
    }

    /// `homeostat safe` waits so long for it.
    fn deadline(&self) -> Duration {
        PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::super::testing::{config, mistakes};
    use super::*;
    use crate::hardware::bank::Confirmation;
    use crate::hardware::recorded::Recorded;

    const VENT: Config = Config {
        name: String::new(),
        step: 23,
        dir: 24,
        enable: Some((25, Active::Low)),
        home: None,
        travel: 20,
        speed: 2000,
        reverse: false,
        hold: true,
    };

    /// Does not wait for anybody.
    const SOON: Times = Times { half: Duration::from_micros(50), retry: RETRY };

    /// Waits until it is where it is to be, or will not come there.
    fn arrive(line: &mut Stepper) -> Result<(), HardwareError> {
        let mut result = Ok(());
        until("its end", || match line.under_way() {
            Ok(left) => left.is_none(),
            Err(error) => {
                result = Err(error);
                true
            }
        });
        result
    }

    /// Waits until something is so.
    fn until(what: &str, mut is_so: impl FnMut() -> bool) {
        let (_owner, nothing) = mpsc::channel::<()>();
        let so = (0..3000).any(|_| is_so() || nothing.recv_timeout(Duration::from_millis(10)).is_ok());
        assert!(so, "{what} does not come");
    }

    /// Steps with `dir` low and high, in turns: first those that go low.
    fn turns(board: &Recorded) -> Vec<u32> {
        let (mut turns, mut away) = (vec![0], false);
        for (pin, high) in board.written() {
            if pin == 24 && high != away {
                away = high;
                turns.push(0);
            } else if pin == 23 && high {
                *turns.last_mut().unwrap() += 1;
            }
        }
        turns
    }

    #[test]
    fn it_goes_home_against_the_stop_and_then_to_every_level() {
        let board = Recorded::default();
        let mut line = VENT.take(&board, Level::clamped(0.5), SOON).unwrap();
        arrive(&mut line).unwrap();
        assert_eq!((turns(&board), line.read_back()), (vec![21, 10], Ok(Some(Level::clamped(0.5)))));
        // A third of 20 steps is 7 of them, and is told as it was wanted.
        for (level, expected) in [(1.0 / 3.0, &[21, 10, 3][..]), (1.0, &[21, 10, 3, 13])] {
            assert_eq!(line.write(Level::clamped(level)), Ok(Confirmation::Accepted));
            arrive(&mut line).unwrap();
            assert_eq!((turns(&board), line.read_back()), (expected.to_vec(), Ok(Some(Level::clamped(level)))));
        }
        assert_eq!(board.pin(23), Some(false));
    }

    #[test]
    fn it_begins_at_the_end_switch_if_there_is_one_and_reverse_turns_dir() {
        let board = Recorded::default();
        board.set_pin(16, false);
        let config = Config { home: Some(16), reverse: true, ..VENT };
        arrive(&mut config.take(&board, Level::ON, SOON).unwrap()).unwrap();
        assert_eq!(turns(&board), [0, 0, 20], "dir is high at rest and low on the way from home");
    }

    #[test]
    fn an_end_switch_that_does_not_close_is_told_until_it_does() {
        let board = Recorded::default();
        let config = Config { home: Some(16), ..VENT };
        let mut line = config.take(&board, Level::OFF, SOON).unwrap();
        let error = arrive(&mut line).unwrap_err();
        assert!(
            error.to_string().starts_with("stepper on GPIO pin 23: the end switch was not reached within 21 steps")
        );
        assert_eq!(turns(&board), [21], "and no further");
        assert_eq!((line.write(Level::ON), line.read_back()), (Err(error.clone()), Err(error)));
        assert!(!line.renewable(), "it tries again by itself");
        drop(line);

        let mut line = config.take(&board, Level::OFF, Times { retry: Duration::from_millis(1), ..SOON }).unwrap();
        until("the error", || line.read_back().is_err());
        board.set_pin(16, false);
        until("its home", || line.read_back() == Ok(Some(Level::OFF)));
        assert_eq!(line.write(Level::OFF), Ok(Confirmation::Accepted));
    }

    #[test]
    fn dropped_it_stops_where_it_is_and_lets_go_only_without_hold() {
        for (hold, enable) in [(true, false), (false, true)] {
            let board = Recorded::default();
            let config = Config { travel: 1_000_000, hold, ..VENT };
            let mut line = config.take(&board, Level::OFF, SOON).unwrap();
            until("the third step", || turns(&board)[0] >= 3);
            assert_eq!((line.read_back(), board.pin(25)), (Ok(None), Some(false)), "it moves");
            let (done, ended) = mpsc::channel();
            thread::spawn(move || {
                drop(line);
                done.send(()).unwrap();
            });
            ended.recv_timeout(Duration::from_secs(10)).expect("it is still on its way");
            assert_eq!((board.pin(23), board.pin(25)), (Some(false), Some(enable)), "hold = {hold}");
        }
    }

    #[test]
    fn without_hold_the_motor_is_off_where_it_stands_and_on_for_the_next_move() {
        let board = Recorded::default();
        let mut line = Config { hold: false, ..VENT }.take(&board, Level::OFF, SOON).unwrap();
        until("the end of its current", || board.pin(25) == Some(true));
        assert_eq!(line.read_back(), Ok(Some(Level::OFF)));
        let before = board.written().len();
        line.write(Level::ON).unwrap();
        arrive(&mut line).unwrap();
        assert_eq!((board.written()[before], turns(&board)), ((25, false), vec![21, 20]));
    }

    #[test]
    fn whoever_ends_before_it_is_there_is_told_how_long_it_may_need() {
        let slow = config(&ENTRY, "step = 23\ndir = 24\ntravel = 10000\nspeed = 100");
        assert_eq!((slow.deadline(), slow.lane()), (Duration::from_secs(4), "stepper test".to_owned()));
        assert_eq!(slow.claims(), [Claim::Pin(23), Claim::Pin(24)]);
        let times = Times { half: Duration::from_millis(5), ..SOON };
        let mut line = Config { travel: 10_000, ..VENT }.take(&Recorded::default(), Level::ON, times).unwrap();
        assert_eq!(line.write(Level::OFF), Ok(Confirmation::Accepted));
        // Against the stop, and no step further.
        let left = line.under_way().unwrap().unwrap();
        assert!(left > Duration::from_secs(104) && left <= Duration::from_secs(105), "{left:?}");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        const WELL: &str = "step = 23\ndir = 24\ntravel = 1200\nspeed = 600\n";
        assert_eq!(
            mistakes(&ENTRY, &format!("{WELL}enable = 25\nenable_active = \"high\"\nhold = false\nhome = 16")),
            []
        );
        for (more, expected) in [
            ("enable = 64", "0 to 27"),
            ("home = 23", "a pin of its own"),
            ("enable = 24", "a pin of its own"),
            ("hold = false", "add `enable = 25`"),
            ("enable_active = \"high\"", "add `enable = 25`"),
            ("enable = 25\nenable_active = 1", "\"low\" for most"),
            ("enable = 25\nhold = \"no\"", "write true"),
            ("revers = true", "`reverse`"),
        ] {
            let found = mistakes(&ENTRY, &format!("{WELL}{more}"));
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{more}: {found:?}");
        }
        for (from, to, expected) in [
            ("step = 23", "", "add `step"),
            ("dir = 24", "dir = 23", "a pin of its own"),
            ("travel = 1200", "travel = 0", "1 to 1000000"),
            ("speed = 600", "speed = 2001", "1 to 2000"),
            ("speed = 600", "speed = 0.5", "write 1"),
        ] {
            let found = mistakes(&ENTRY, &WELL.replace(from, to));
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{to}: {found:?}");
        }
    }
}
