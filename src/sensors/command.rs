//! A number that a program writes: a script of one's own, a tool of another maker.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::text::TextValue;
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::Hardware;
use crate::process;
use crate::wiring;

const ABOUT: &str = "\
- `command`: the program and its arguments, as a list; no shell stands between. With `shell = true` a text that `/bin/sh` runs.
- The first line that it writes is the number, as a state also on, off, true, false, open or closed. `pointer` takes it from JSON instead:
  \"/SENSOR/0/Temperature\". The channel has the name of the `quantity`; `number` without the key. At most 64 KiB are read.
- Another exit code than 0 is an error, with the last line that it wrote to its standard error.
- After the `deadline` (5 s without the key) it is killed with all that it has started, and so is what it leaves running when it ends.
- It runs as the user homeostat in `/`, within what the unit allows, with little more than PATH, HOME, LANG and TZ as its environment.
- Trouble: \"not found\" for a program that is there: write its whole path; the unit hides /home. What needs another user's rights belongs
  into a unit of its own that writes a file; read that with `file`.
";

pub(super) const ENTRY: Entry = Entry {
    name: "command",
    summary: "a number that a program writes, plain or in JSON",
    about: ABOUT,
    example: r#"
[sensors.uplink]
driver = "command"
command = ["/usr/local/bin/signal-strength", "--json"]
pointer = "/dbm"
quantity = "number"
deadline = "5s"
every = "1m"
"#,
    read,
};

const DEADLINE: Duration = Duration::from_secs(5);
/// So much of what it writes is read.
const MOST: usize = 64 * 1024;
const DEADLINES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);

#[derive(Debug, Clone)]
struct Config {
    words: Vec<String>,
    /// What it is called in messages. Never with its arguments, which may hold a password: messages are published.
    called: String,
    /// Its own, as no command shares anything with another, and some take long.
    lane: String,
    value: TextValue,
    channels: [Channel; 1],
    deadline: Duration,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let shell = wiring::shell(section);
    section.has("command");
    let words = shell.and_then(|shell| wiring::command(section, "command", shell));
    let deadline = match section.has("deadline") {
        true => section.duration("deadline", DEADLINES),
        false => Some(DEADLINE),
    };
    let value = TextValue::read(section)?;
    let words = words?;
    let called = match words.first().filter(|_| shell != Some(true)) {
        Some(program) => format!("the command `{program}`"),
        None => "the command of this sensor".to_owned(),
    };
    let lane = format!("command of {}", section.what());
    Some(Box::new(Config { words, called, lane, channels: [value.channel()], value, deadline: deadline? }))
}

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn wiring(&self) -> wiring::Wiring {
        wiring::Wiring::unclaimed(self.lane.clone())
    }

    fn deadline(&self) -> Duration {
        self.deadline + Duration::from_secs(1)
    }

    fn open(&self, _: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        Ok(Box::new(Program(self.clone())))
    }
}

struct Program(Config);

impl Driver for Program {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let Config { words, called, value, deadline, .. } = &self.0;
        let written = process::run(words, *deadline, MOST).map_err(|error| error.to_string());
        let number = written.and_then(|bytes| value.value(&String::from_utf8_lossy(&bytes)));
        Ok(vec![number.map_err(|what| DriverError::no_value(called, what))?])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened};
    use super::*;
    use crate::hardware::recorded::Recorded;

    fn once(keys: &str) -> Result<Vec<f64>, DriverError> {
        opened(&ENTRY, keys, &Recorded::default()).unwrap().read()
    }

    fn shell(text: &str) -> Result<Vec<f64>, DriverError> {
        once(&format!("shell = true\ndeadline = \"10s\"\ncommand = '''{text}'''"))
    }

    #[test]
    fn a_program_writes_a_number() {
        assert_near(&once("command = [\"/bin/echo\", \"17.5\"]").unwrap(), &[17.5], 0.0);
        let json = "command = [\"printf\", '{\"a\": [1, \"2.5\"]}']\npointer = \"/a/1\"\nquantity = \"temperature\"";
        assert_near(&once(json).unwrap(), &[2.5], 0.0);
        assert_near(&shell("echo 3; echo 4; echo 5 >&2").unwrap(), &[3.0], 0.0);
        // No shell without its key: this is one argument.
        assert!(once("command = [\"/bin/echo\", \"1; echo 2\"]").is_err());
    }

    #[test]
    fn a_program_that_fails_is_an_error_with_its_own_words() {
        for (text, expected) in [
            ("echo 3; echo looking >&2; echo no sensor >&2; exit 4", "failed (exit status: 4): no sensor"),
            ("echo 3; exit 1", "failed (exit status: 1)"),
            ("echo 3; kill -9 $$", "failed (signal: 9"),
            ("true", "there is no number, it is empty"),
            ("echo warm", "`warm` is no number"),
            ("yes 1", "wrote more than 65536 bytes"),
        ] {
            let error = shell(text).unwrap_err().to_string();
            assert!(error.starts_with("the command of this sensor has no value"), "{error}");
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = once("command = [\"/nowhere/program\"]").unwrap_err().to_string();
        let expected =
            "the command `/nowhere/program` has no value: `/nowhere/program` cannot be run: No such file or directory";
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn its_arguments_are_not_told() {
        for keys in ["command = [\"/bin/false\", \"secret\"]", "shell = true\ncommand = \"false secret\""] {
            let error = once(keys).unwrap_err().to_string();
            assert!(error.starts_with("the command ") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn one_that_takes_too_long_is_killed() {
        let error = once("command = [\"sleep\", \"30\"]\ndeadline = \"300ms\"").unwrap_err().to_string();
        assert!(error.ends_with("`sleep` did not end within 300 ms and was killed"), "{error}");
    }

    #[test]
    fn our_environment_is_not_its_own() {
        // cargo gives these to its tests.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        assert_near(&shell("env | grep -c CARGO; true").unwrap(), &[0.0], 0.0);
        assert_near(&shell("env | grep -c ^PATH=").unwrap(), &[1.0], 0.0);
        assert_near(&shell("test $PWD = / && echo 1").unwrap(), &[1.0], 0.0);
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("", "add `command = [\"/usr/local/bin/program\""),
            ("command = \"date\"", "or add `shell = true`"),
            ("shell = 1\ncommand = \"date\"\nquantity = \"temperature\"", "write true"),
            ("command = [\"date\"]\ndeadline = \"1h\"", "from 100ms to 5m"),
            ("command = [\"date\"]\nquantity = \"time\"", "known quantities"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
