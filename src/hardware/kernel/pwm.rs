//! Hardware PWM through /sys/class/pwm, as any Linux board has it.
//!
//! On a Raspberry Pi channels are those of the header, 0 on GPIO18 and 1 on GPIO19. Elsewhere they are counted through all chips in
//! the order of their numbers: with a `pwmchip0` of one channel and a `pwmchip1` of four, channel 1 is the first of `pwmchip1`.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use embedded_hal::delay::DelayNs;

use crate::hardware::advice::{Board, Part, explain, missing};
use crate::hardware::{Delay, HardwareError, Pwm, sysfs};
use crate::model::Level;

/// udev gives the files of a new channel to our group, which takes a moment.
const PATIENCE: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(10);

const NANOS: f64 = 1e9;

/// A channel that runs. Its files stay exported, and it goes on at its level when this is dropped.
struct Channel {
    board: Board,
    number: u8,
    folder: PathBuf,
    /// In nanoseconds.
    period: u64,
}

/// Starts a channel, or goes on with one that runs already. `class` is /sys/class/pwm.
pub(in crate::hardware) fn open(
    board: Board,
    class: &Path,
    number: u8,
    frequency: f64,
    initial: Level,
    mut delay: Delay,
) -> Result<Box<dyn Pwm>, HardwareError> {
    let (chip, index) = place(board, class, number)?;
    let chip = class.join(format!("pwmchip{chip}"));
    let mut channel = Channel { board, number, folder: chip.join(format!("pwm{index}")), period: period(frequency) };
    if !channel.folder.exists() {
        let exported = put(&chip.join("export"), &index.to_string());
        exported.map_err(|error| channel.error("exporting", &error))?;
    }
    let mut waited = Duration::ZERO;
    while let Err(error) = OpenOptions::new().write(true).open(channel.folder.join("period")) {
        let not_yet = matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound);
        if !not_yet || waited >= PATIENCE {
            return Err(channel.error("opening", &error));
        }
        delay.delay_us(u32::try_from(STEP.as_micros()).unwrap_or(u32::MAX));
        waited += STEP;
    }
    channel.start(initial)?;
    Ok(Box::new(channel))
}

/// The number of the chip, and which of its channels it is.
fn place(board: Board, class: &Path, number: u8) -> Result<(u8, u8), HardwareError> {
    if board == Board::RaspberryPi {
        return sysfs::header_pwm(class, number).map(|chip| (chip, number));
    }
    let fail = |error: io::Error| explain(board, Part::Pwm(number), "finding", &error);
    let mut index = number;
    for chip in sysfs::pwm_chips(class).map_err(fail)? {
        let text = fs::read_to_string(class.join(format!("pwmchip{chip}")).join("npwm")).map_err(fail)?;
        let channels: u8 = text.trim().parse().unwrap_or(u8::MAX);
        match index.checked_sub(channels) {
            Some(rest) => index = rest,
            None => return Ok((chip, index)),
        }
    }
    Err(missing(board, Part::Pwm(number)))
}

fn period(frequency: f64) -> u64 {
    // Whoever asks for no frequency at all gets the slowest, which the chip refuses.
    (NANOS / frequency).round().clamp(1.0, u32::MAX.into()) as u64
}

/// What a channel gives, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Pulse {
    period: u64,
    duty: u64,
}

/// That part of a period.
fn part(level: Level, period: u64) -> u64 {
    ((level.get() * period as f64).round() as u64).min(period)
}

/// What to write, and in which order, so that a channel that may run as `old` is never on for more than the larger part of both: the
/// pulse that is long enough for the longer period would be all of the shorter one. Neither does the kernel take a pulse that is longer
/// than the period, at any moment, or any pulse at all before there is a period.
fn takeover(old: Pulse, period: u64, level: Level) -> Vec<(&'static str, &'static str, u64)> {
    let set_duty = |duty| ("setting the duty cycle of", "duty_cycle", duty);
    let mut writes = Vec::new();
    if old.period != period {
        let shortest = old.duty.min(part(level, period.min(old.period)));
        writes.extend((shortest != old.duty).then(|| set_duty(shortest)));
        writes.push(("setting the frequency of", "period", period));
    }
    writes.push(set_duty(part(level, period)));
    writes
}

/// A file of sysfs; one that is not there is not made.
fn put(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).truncate(true).open(file)?.write_all(text.as_bytes())
}

impl Channel {
    fn start(&mut self, level: Level) -> Result<(), HardwareError> {
        let running = self.read("enable")? == "1";
        // Someone before us may have left it inverted, and the kernel takes another polarity only while it is off.
        if self.read("polarity").is_ok_and(|polarity| polarity != "normal") {
            if running {
                self.write("stopping", "enable", 0)?;
            }
            let set = put(&self.folder.join("polarity"), "normal");
            set.map_err(|error| self.error("setting the polarity of", &error))?;
        }
        // Both are 0 until somebody has set them.
        let set = |file| Ok(self.read(file)?.parse().unwrap_or(0));
        let (period, duty) = (set("period")?, set("duty_cycle")?);
        for (tried, file, number) in takeover(Pulse { period, duty }, self.period, level) {
            self.write(tried, file, number)?;
        }
        self.write("starting", "enable", 1)
    }

    fn read(&self, file: &str) -> Result<String, HardwareError> {
        let text = fs::read_to_string(self.folder.join(file)).map_err(|error| self.error("reading", &error))?;
        Ok(text.trim().to_owned())
    }

    fn write(&self, tried: &str, file: &str, number: u64) -> Result<(), HardwareError> {
        put(&self.folder.join(file), &number.to_string()).map_err(|error| self.error(tried, &error))
    }

    fn error(&self, tried: &str, error: &io::Error) -> HardwareError {
        explain(self.board, Part::Pwm(self.number), tried, error)
    }
}

impl Pwm for Channel {
    fn set(&mut self, level: Level) -> Result<(), HardwareError> {
        self.write("setting the duty cycle of", "duty_cycle", part(level, self.period))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chips with so many channels each, of which all are exported, as the kernel leaves them: off, and with nothing set.
    fn class(chips: &[(u8, u8)]) -> tempfile::TempDir {
        let class = tempfile::tempdir().unwrap();
        for (chip, channels) in chips {
            let chip = class.path().join(format!("pwmchip{chip}"));
            fs::create_dir(&chip).unwrap();
            fs::write(chip.join("npwm"), format!("{channels}\n")).unwrap();
            for channel in 0..*channels {
                let folder = chip.join(format!("pwm{channel}"));
                fs::create_dir(&folder).unwrap();
                for (file, text) in [("period", "0"), ("duty_cycle", "0"), ("enable", "0"), ("polarity", "normal")] {
                    fs::write(folder.join(file), format!("{text}\n")).unwrap();
                }
            }
        }
        class
    }

    fn open(class: &tempfile::TempDir, number: u8, frequency: f64, level: f64) -> Result<Box<dyn Pwm>, HardwareError> {
        let level = Level::new(level).unwrap();
        super::open(Board::Other, class.path(), number, frequency, level, Delay::new(NoDelay))
    }

    struct NoDelay;

    impl DelayNs for NoDelay {
        fn delay_ns(&mut self, _: u32) {}
    }

    #[test]
    fn it_sets_period_and_pulse_and_starts() {
        let class = class(&[(0, 2)]);
        let mut pwm = open(&class, 1, 25_000.0, 0.3).unwrap();
        let read = |file: &str| fs::read_to_string(class.path().join("pwmchip0/pwm1").join(file)).unwrap();
        assert_eq!(["period", "duty_cycle", "enable"].map(read), ["40000", "12000", "1"]);
        pwm.set(Level::ON).unwrap();
        assert_eq!(read("duty_cycle"), "40000");

        fs::write(class.path().join("pwmchip0/pwm1/polarity"), "inversed\n").unwrap();
        open(&class, 1, 100.0, 0.0).unwrap();
        let expected = ["10000000", "0", "1", "normal"];
        assert_eq!(["period", "duty_cycle", "enable", "polarity"].map(read), expected);
    }

    #[test]
    fn one_that_runs_is_never_on_for_longer_than_before_or_after() {
        for (period, duty) in [(1_000_000, 40_000), (1_000_000, 900_000), (40_000, 30_000), (10_000, 0), (0, 0)] {
            for (hertz, level) in [(25_000.0, 0.3), (25_000.0, 0.0), (1000.0, 0.5), (100.0, 1.0), (100.0, 0.01)] {
                let class = class(&[(0, 1)]);
                let folder = class.path().join("pwmchip0/pwm0");
                for (file, text) in [("period", period), ("duty_cycle", duty), ("enable", 1)] {
                    fs::write(folder.join(file), format!("{text}\n")).unwrap();
                }
                let what = format!("{duty} of {period} ns, then {level} of {hertz} Hz");
                let mut is = Pulse { period, duty };
                let most = f64::max(level, duty as f64 / period.max(1) as f64) + 1e-3;
                for (_, file, number) in takeover(is, super::period(hertz), Level::new(level).unwrap()) {
                    if file == "period" {
                        is.period = number
                    } else {
                        is.duty = number
                    }
                    assert!(is.period > 0 && is.duty <= is.period, "the kernel refuses {is:?}: {what}");
                    assert!(is.duty as f64 / is.period as f64 <= most, "{is:?}: {what}");
                }
                // And that is what becomes of the files.
                open(&class, 0, hertz, level).unwrap();
                let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap().trim().parse::<u64>().unwrap();
                assert_eq!((read("period"), read("duty_cycle")), (is.period, is.duty), "{what}");
                assert_eq!(
                    (is.period, is.duty),
                    (super::period(hertz), (level * 1e9 / hertz).round() as u64),
                    "{what}"
                );
            }
        }
    }

    #[test]
    fn channels_are_counted_through_the_chips_in_the_order_of_their_numbers() {
        let class = class(&[(2, 1), (10, 4), (0, 1)]);
        let found = |number| place(Board::Other, class.path(), number);
        for (number, expected) in [(0, (0, 0)), (1, (2, 0)), (2, (10, 0)), (5, (10, 3))] {
            assert_eq!(found(number), Ok(expected), "channel {number}");
        }
        let text = found(6).unwrap_err().to_string();
        assert_eq!(
            text,
            "PWM channel 6 not found: enable it with a dtoverlay or in the device tree of your board, and reboot"
        );
        assert!(place(Board::RaspberryPi, class.path(), 0).unwrap_err().to_string().contains("dtoverlay=pwm-2chan"));
    }

    #[test]
    fn a_channel_that_never_appears_is_an_error_that_says_what_to_do() {
        let class = class(&[(0, 1)]);
        fs::remove_dir_all(class.path().join("pwmchip0/pwm0")).unwrap();
        fs::write(class.path().join("pwmchip0/export"), "").unwrap();
        let error = open(&class, 0, 100.0, 0.0).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("PWM channel 0 not found: enable it with "), "{error}");
        assert_eq!(fs::read_to_string(class.path().join("pwmchip0/export")).unwrap(), "0");
    }
}
