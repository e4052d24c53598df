//! What the kernel gives programs on every Linux board: device files of buses and GPIO chips, and PWM in /sys. Both boards use it.

mod chip;
mod edges;
pub(super) mod gpio;
pub(super) mod i2c;
pub(super) mod pwm;
pub(super) mod spi;
pub(super) mod uart;

use std::io;
use std::thread;
use std::time::Duration;

use embedded_hal::delay::DelayNs;

use super::advice::{Board, Part, explain};
use super::{Delay, HardwareError};

/// Either an error of the kernel, or a library's own in words.
pub(super) type Trouble = Result<io::Error, String>;

/// Says what went wrong with a part, and what to do.
pub(super) fn part_error(board: Board, part: Part<'_>, tried: &str, trouble: Trouble) -> HardwareError {
    match trouble {
        Ok(error) => explain(board, part, tried, &error),
        Err(reason) => HardwareError::Io { what: format!("{tried} {part}"), reason },
    }
}

/// Lets the thread sleep.
pub(super) fn delay() -> Delay {
    Delay::new(Sleep)
}

struct Sleep;

impl DelayNs for Sleep {
    #[expect(clippy::disallowed_methods, reason = "a driver waits for milliseconds, in its lane")]
    fn delay_ns(&mut self, ns: u32) {
        thread::sleep(Duration::from_nanos(ns.into()));
    }
}
