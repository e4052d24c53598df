//! How long the machine has been up, and since which boot: the only way to know how long a daemon that was killed was away.
//! The wall clock cannot tell, for a Pi without a battery clock boots in the past.

use std::fs;
use std::time::Duration;

/// Names this boot, anew each time.
const ID: &str = "/proc/sys/kernel/random/boot_id";

/// Seconds since the boot, those asleep included.
const UPTIME: &str = "/proc/uptime";

/// Two readings of the uptime may be apart by so much less than it says.
const STEP: Duration = Duration::from_millis(10);

/// A boot of the machine, and how long ago it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// Empty where the machine does not tell: then no two boots are the same one.
    pub id: String,
    /// How long the machine had been up when the daemon's clock began.
    pub uptime: Duration,
}

impl Boot {
    /// This machine's, for a clock that says that it has been running for so long.
    pub fn of_this_machine(running: Duration) -> Self {
        let told = fs::read_to_string(ID).ok().zip(fs::read_to_string(UPTIME).ok());
        let boot = told.and_then(|(id, uptime)| Self::read(&id, &uptime));
        boot.map_or(Self { id: String::new(), uptime: Duration::ZERO }, |boot| Self {
            uptime: boot.uptime.saturating_sub(running),
            ..boot
        })
    }

    fn read(id: &str, uptime: &str) -> Option<Self> {
        let seconds = uptime.split_whitespace().next()?.parse().ok()?;
        Some(Self { id: id.trim().to_owned(), uptime: Duration::try_from_secs_f64(seconds).ok()? })
    }

    /// How long before this clock's beginning a moment of a boot was; zero if it is not known to be this boot, so that nothing counts as
    /// past that may not be.
    pub fn since(&self, id: &str, uptime: Duration) -> Duration {
        if id.is_empty() || id != self.id {
            return Duration::ZERO;
        }
        self.uptime.saturating_sub(uptime).saturating_sub(STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_moment_of_the_same_boot_is_known_to_be_past() {
        let boot = Boot::read("0f7c\n", "350735.47 234388.90\n").unwrap();
        assert_eq!(boot, Boot { id: "0f7c".into(), uptime: Duration::from_millis(350_735_470) });
        let past = Duration::from_secs(350_000);
        assert_eq!(boot.since("0f7c", past), Duration::from_millis(735_460));
        assert_eq!(boot.since("another", past), Duration::ZERO);
        assert_eq!(boot.since("0f7c", Duration::MAX), Duration::ZERO);
        assert_eq!(Boot { id: String::new(), ..boot }.since("", past), Duration::ZERO);
        for wrong in ["", "x", "-1", "NaN", "1e300"] {
            assert_eq!(Boot::read("0f7c", wrong), None, "{wrong:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_tells() {
        let boot = Boot::of_this_machine(Duration::ZERO);
        assert!(!boot.id.is_empty() && boot.uptime > Duration::ZERO);
    }
}
