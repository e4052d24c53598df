//! A program as an output: it is run with each new level, and what it does is its own.
//!
//! It has a deadline, and is killed with all that it has begun (`process.rs`). Only one that ends with 0 has done what it was told.

use std::time::Duration;

use super::lines::{self, PERCENT};
use super::{Entry, OutputConfig, Resolution};
use crate::config::Section;
use crate::hardware::bank::{Confirmation, Line};
use crate::hardware::{Hardware, HardwareError};
use crate::model::{Claim, Level};
use crate::process;
use crate::wiring;

const ABOUT: &str = "\
- `on` and `off` are programs with their arguments: [\"/usr/local/bin/plug\", \"7\", \"on\"]. Or `set` alone, for every level:
  [\"/usr/local/bin/dim\", \"{percent}\"] gets 0 to 100. With `shell = true` each is a line for the shell instead.
- It runs as the user of homeostat, within the limits of its unit and with little more than PATH in its environment. It has to end within
  `within` (2 s if it is not there, 4 s at most), and with it ends whatever it has left in the background.
- Accepted only if it ends with 0. Otherwise it is run again each second until it does, so let it be harmless to repeat.
- What it drives may leave its level by itself, such as a radio plug that misses a word or has a switch-off timer. With `repeat = \"30s\"`
  it is run again every 30 s while it is not at its safe level, which is no switching to limits and budgets; a timer is three times that.
- It is run at each start, and by `homeostat safe` after a crash: let it need nothing that may be gone then.
- Nobody knows whether anything has happened: for a heater, use a pin.
";

pub(super) const ENTRY: Entry = Entry {
    name: "command",
    summary: "a program that is run with each level: radio plugs, devices with a tool of their own",
    about: ABOUT,
    example: r#"
[outputs.lamp]
driver = "command"
on = ["/usr/local/bin/plug", "7", "on"]
off = ["/usr/local/bin/plug", "7", "off"]
"#,
    read,
};

/// Nobody looks at what it writes; a program that writes more than this is out of its mind.
const MOST: usize = 1 << 20;

#[derive(Debug, Clone)]
struct Config {
    name: String,
    programs: Programs,
    within: Duration,
    repeat: Option<Duration>,
}

/// Command lines.
#[derive(Debug, Clone)]
enum Programs {
    Switch { on: Vec<String>, off: Vec<String> },
    Set(Vec<String>),
}

fn read(section: &Section) -> Option<Box<dyn OutputConfig>> {
    let (within, repeat) = (lines::within(section), lines::repeat(section));
    let (shell, forms) = (wiring::shell(section), lines::forms(section)?);
    let shell = shell?;
    let line = |key| wiring::command(section, key, shell);
    let programs = match forms {
        lines::Forms::Switch => {
            let (on, off) = (line("on"), line("off"));
            Programs::Switch { on: on?, off: off? }
        }
        lines::Forms::Set => {
            let set = line("set")?;
            if !set.iter().any(|word| word.contains(PERCENT)) {
                let message = format!("`set` of {} is the same for every level", section.what());
                section.wrong("set", message, "put \"{percent}\" where the level goes");
                return None;
            }
            Programs::Set(set)
        }
    };
    Some(Box::new(Config { name: lines::name(section), programs, within: within?, repeat }))
}

impl OutputConfig for Config {
    fn resolution(&self) -> Resolution {
        match self.programs {
            Programs::Switch { .. } => Resolution::Switch,
            Programs::Set(_) => Resolution::Continuous,
        }
    }

    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }

    /// One of its own: it may take its time, and runs once at a time.
    fn lane(&self) -> String {
        format!("command {}", self.name)
    }

    /// There is nothing to take; the first write follows at once.
    fn open(&self, _: &dyn Hardware, _: Level) -> Result<Box<dyn Line>, HardwareError> {
        Ok(Box::new(Command(self.clone())))
    }

    fn deadline(&self) -> Duration {
        self.within + lines::MARGIN
    }
}

struct Command(Config);

impl Line for Command {
    /// There is nothing to take.
    fn renewable(&self) -> bool {
        false
    }

    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        let argv = match &self.0.programs {
            Programs::Switch { on, off } => if level.is_on() { on } else { off }.clone(),
            Programs::Set(set) => set.iter().map(|word| lines::with_percent(word, level)).collect(),
        };
        let what = || format!("the command of output {}", self.0.name);
        let run = process::run(&argv, self.0.within, MOST);
        run.map_err(|error| HardwareError::Io { what: what(), reason: error.to_string() })?;
        Ok(Confirmation::Accepted)
    }

    fn repeat(&self) -> Option<Duration> {
        self.0.repeat
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, mistakes, world};
    use super::*;

    fn write(keys: &str, level: Level) -> Result<Confirmation, String> {
        let mut line = config(&ENTRY, keys).open(&world(), Level::OFF).unwrap();
        line.write(level).map_err(|error| error.to_string())
    }

    #[test]
    fn it_runs_the_program_of_the_level_and_believes_only_a_0() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("said");
        let said = || std::fs::read_to_string(&file).unwrap();
        let echo = |word: &str| format!("[\"sh\", \"-c\", \"echo $0 > {}\", \"{word}\"]", file.display());
        let switch = format!("on = {}\noff = {}", echo("high $HOME"), echo("low; false"));
        for (level, expected) in [(Level::ON, "high $HOME\n"), (Level::OFF, "low; false\n")] {
            assert_eq!(write(&switch, level), Ok(Confirmation::Accepted));
            assert_eq!(said(), expected, "without a shell words stay as they are");
        }
        let set = format!("set = {}", echo("{percent} %"));
        for (part, expected) in [(0.0, "0 %\n"), (0.405, "40.5 %\n"), (1.0, "100 %\n"), (0.00001, "0.1 %\n")] {
            assert_eq!(write(&set, Level::new(part).unwrap()), Ok(Confirmation::Accepted));
            assert_eq!(said(), expected, "{part}");
        }
        let shell =
            format!("shell = true\non = \"echo shell > {}\"\noff = \"echo no plug >&2; exit 4\"", file.display());
        assert_eq!((write(&shell, Level::ON), said().as_str()), (Ok(Confirmation::Accepted), "shell\n"));
        let error = write(&shell, Level::OFF).unwrap_err();
        assert_eq!(error, "the command of output test: `/bin/sh` failed (exit status: 4): no plug");
    }

    #[test]
    fn it_has_its_time_and_a_lane_of_its_own() {
        let slow = "on = [\"true\"]\noff = [\"sleep\", \"30\"]\nwithin = \"200ms\"";
        let error = write(slow, Level::OFF).unwrap_err();
        assert!(error.ends_with("`sleep` did not end within 200 ms and was killed"), "{error}");
        let config = config(&ENTRY, slow);
        assert_eq!((config.lane().as_str(), config.deadline()), ("command test", Duration::from_millis(700)));
    }

    #[test]
    fn it_is_run_again_as_often_as_its_file_says() {
        for (keys, expected) in [("", None), ("repeat = \"30s\"", Some(Duration::from_secs(30)))] {
            let keys = format!("on = [\"true\"]\noff = [\"true\"]\n{keys}");
            assert_eq!(config(&ENTRY, &keys).open(&world(), Level::OFF).unwrap().repeat(), expected);
        }
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("", "`on` and `off`"),
            ("on = [\"a\"]", "`off`"),
            ("on = [\"a\"]\noff = [\"b\"]\nset = [\"c\"]", "or `set`"),
            ("set = [\"c\"]", "{percent}"),
            ("set = \"dim {percent}\"", "shell = true"),
            ("on = [\"a\"]\noff = [\"bin/b\"]", "the whole path"),
            ("shell = 1\non = [\"a\"]\noff = [\"b\"]", "write true"),
            ("set = [\"c\", \"{percent}\"]\nwithin = \"5s\"", "100ms to 4s"),
            ("set = [\"c\", \"{percent}\"]\nrepeat = \"1s\"", "5s to 1h"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
