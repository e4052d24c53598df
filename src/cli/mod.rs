//! The command line: one file for each subcommand, and what their exit codes mean.

mod alarms;
mod attempt;
mod backup;
mod banner;
mod bar;
mod bench;
mod calibrate;
mod check;
mod client;
mod database;
mod detect;
mod drivers;
mod example;
mod export;
mod machine;
mod page;
mod papers;
mod pins;
mod query;
mod read;
mod reload;
mod run;
mod safe;
mod serve;
mod set;
mod spark;
mod status;
mod take_over;
mod target;
mod when;
mod why;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};

use self::client::{Client, Trouble};
use self::database::Sorry;
use crate::config::Wrong;

/// How the process ends. Scripts and systemd units rely on these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well; `run` was stopped in order.
    Fine = 0,
    /// The configuration is wrong or cannot be read, or what a command named is not there. Trying again will not help.
    Configuration = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is right, but the daemon could not start: hardware, database, the broker's port. Or it runs already. To
    /// a command that speaks to one: no daemon answers.
    Start = 3,
    /// The daemon ran and had to end, or answered what no daemon should. Starting again may help. Of `safe`: an output may not be
    /// safe. Of what reads the database: it cannot be read, or what comes of it cannot be written.
    Failed = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

const EXIT_CODES: &str = "Exit codes:
  0  all went well
  1  the configuration is wrong or cannot be read, or there is no such output, alarm, channel or file
  2  the command line is wrong
  3  the daemon could not start: hardware, database, the broker's port; it runs already; or none answers
  4  the daemon failed while it ran; of `safe`: an output may not be safe; of `query`, `export` and `backup`:
     the database cannot be read, or the copy not be written; of `read`, `calibrate` and `set`: the device failed,
     or less was given than was asked for";

/// Keeps a greenhouse, a fermenter or a reef tank as its owner wants it.
#[derive(Debug, Parser)]
#[command(name = "homeostat", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon that a configuration describes, until it is stopped
    Run {
        /// The configuration
        file: PathBuf,
        /// After three failed starts of this file, run on the configuration that last ran well
        #[arg(long)]
        fallback: bool,
    },
    /// Drive every output to its safe level, after the daemon has died
    Safe {
        /// The configuration
        file: PathBuf,
        /// How the daemon ended, as systemd says it in $SERVICE_RESULT; for the unit's ExecStopPost
        #[arg(long, value_name = "RESULT")]
        after: Option<String>,
    },
    /// Say everything that is wrong with a configuration, and nothing if nothing is; opens no hardware
    Check {
        /// The configuration
        file: PathBuf,
        /// For people, or one JSON object a line for editors
        #[arg(long, value_enum, default_value_t)]
        format: check::Format,
    },
    /// Show everything that a running daemon reads, drives and controls
    Status {
        #[command(flatten)]
        at: At,
        /// As the daemon's API gives it
        #[arg(long)]
        json: bool,
    },
    /// Tell why an output is as it is: reading, controller, demand, limit, pin, and what was before
    Why {
        /// Its name; without one, all of them
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        output: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// List the alarms that stand
    Alarms {
        #[command(flatten)]
        at: At,
    },
    /// Acknowledge alarms: you know, and what was stopped over a latched one may begin again
    #[command(override_usage = "homeostat ack [OPTIONS] <NAMES>...\n       homeostat ack [OPTIONS] --all")]
    Ack {
        /// Their names, as `homeostat alarms` lists them
        #[arg(required_unless_present = "all", value_parser = NonEmptyStringValueParser::new())]
        names: Vec<String>,
        /// All that stand
        #[arg(long, conflicts_with = "names")]
        all: bool,
        #[command(flatten)]
        at: At,
    },
    /// Have a running daemon read its configuration again; nothing changes if there is a mistake in it
    Reload {
        #[command(flatten)]
        at: At,
    },
    /// Show how channels went: the last day, or any other range
    Query(query::Query),
    /// Write readings as CSV or JSON lines
    Export(export::Export),
    /// Copy the database while the daemon runs on
    Backup(backup::Backup),
    /// List the drivers, or tell all about one: what it measures, how it is wired, what goes wrong, its table
    Drivers {
        /// Its name
        #[arg(value_parser = NonEmptyStringValueParser::new(), conflicts_with = "markdown")]
        name: Option<String>,
        /// All of them, as docs/drivers.md
        #[arg(long, hide = true)]
        markdown: bool,
    },
    /// Look for what is connected, and print the configuration for it
    Detect(detect::Detect),
    /// Read a sensor once, with or without a daemon that runs
    Read(read::Read),
    /// Print every reading of a sensor, until Ctrl-C
    Watch(read::Watch),
    /// Move an output by hand, within its own limits, with or without a daemon that runs
    Set(set::Set),
    /// Carry out a step of the calibration that a sensor's own chip keeps
    Calibrate(calibrate::Calibration),
    /// Draw the header and who has which pin
    Pins(bench::Whose),
}

/// Which daemon is meant.
#[derive(Debug, Args)]
struct At {
    /// The daemon's socket [default: $HOMEOSTAT_SOCKET, ./homeostat.sock or /run/homeostat/homeostat.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Does what the arguments say; the first of them is the program's name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let command = match Arguments::try_parse_from(arguments) {
        Ok(Arguments { command }) => command,
        Err(error) => {
            // A closed pipe is no reason to fail.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Fine };
        }
    };
    match command {
        Command::Run { file, fallback } => run::run(&file, fallback),
        Command::Safe { file, after } => safe::safe(&file, after.as_deref()),
        Command::Check { file, format } => check::check(&file, format),
        Command::Status { at, json } => ask(at, |daemon| status::status(daemon, json)),
        Command::Why { output, at } => ask(at, |daemon| why::why(daemon, output.as_deref())),
        Command::Alarms { at } => ask(at, alarms::alarms),
        // Without names, `all` is given: clap has seen to that.
        Command::Ack { names, all: _, at } => ask(at, |daemon| alarms::acknowledge(daemon, &names)),
        Command::Reload { at } => ask(at, reload::reload),
        Command::Query(what) => told(query::query(what)),
        Command::Export(what) => told(export::export(what)),
        Command::Backup(what) => told(backup::backup(what)),
        Command::Drivers { name, markdown } => told(drivers::drivers(name.as_deref(), markdown)),
        Command::Detect(what) => told(detect::detect(what)),
        Command::Read(what) => told(read::read(what)),
        Command::Watch(what) => told(read::watch(what)),
        Command::Set(what) => told(set::set(what)),
        Command::Calibrate(what) => told(calibrate::calibrate(what)),
        Command::Pins(whose) => told(pins::pins(whose)),
    }
}

/// Tells a person why there is nothing to show.
fn told(done: Result<(), Sorry>) -> Exit {
    match done {
        Ok(()) => Exit::Fine,
        Err(Sorry { exit, text }) => {
            let _ = io::stderr().write_all(text.as_bytes());
            exit
        }
    }
}

/// Speaks to a running daemon.
fn ask(at: At, command: impl FnOnce(&Client) -> Result<(), Trouble>) -> Exit {
    match command(&Client::new(at.socket)) {
        Ok(()) => Exit::Fine,
        Err(trouble) => {
            let _ = io::stderr().write_all(trouble.tell().as_bytes());
            trouble.exit()
        }
    }
}

/// Whether colours are wanted there: on a terminal, unless `NO_COLOR` is set.
fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Tells a person on standard error what is wrong with a file.
fn complain(wrong: &Wrong) {
    let mut err = io::stderr();
    let _ = err.write_all(tell(wrong, &err).as_bytes());
}

/// What is wrong with a file, for people.
fn tell(wrong: &Wrong, stream: &impl IsTerminal) -> String {
    match wrong {
        Wrong::Mistakes(mistakes) => mistakes.render(colours(stream)),
        Wrong::Unreadable { .. } => format!("error: {wrong}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_exit_code() {
        for (exit, code) in
            [(Exit::Fine, 0), (Exit::Configuration, 1), (Exit::Usage, 2), (Exit::Start, 3), (Exit::Failed, 4)]
        {
            assert_eq!(exit as u8, code);
            assert!(EXIT_CODES.contains(&format!("\n  {code}  ")));
        }
    }
}
