//! The command line: one file for each subcommand, and what their exit codes mean.

mod attempt;
mod banner;
mod check;
mod machine;
mod run;
mod safe;
mod take_over;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Wrong;

/// How the process ends. Scripts and systemd units rely on these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well; `run` was stopped in order.
    Fine = 0,
    /// The configuration is wrong or cannot be read. Starting again will not help.
    Configuration = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is right, but the daemon could not start: hardware, database, the broker's port. Or it runs already.
    Start = 3,
    /// The daemon ran and had to end: starting again may help. Of `safe`: an output may not be safe.
    Failed = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

const EXIT_CODES: &str = "Exit codes:
  0  all went well
  1  the configuration is wrong or cannot be read
  2  the command line is wrong
  3  the daemon could not start: hardware, database, the broker's port; or it runs already
  4  the daemon failed while it ran; of `safe`: an output may not be safe";

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
    },
    /// Say everything that is wrong with a configuration, and nothing if nothing is; opens no hardware
    Check {
        /// The configuration
        file: PathBuf,
        /// For people, or one JSON object a line for editors
        #[arg(long, value_enum, default_value_t)]
        format: check::Format,
    },
}

/// Does what the arguments say; the first of them is the program's name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    match Arguments::try_parse_from(arguments) {
        Ok(Arguments { command: Command::Run { file, fallback } }) => run::run(&file, fallback),
        Ok(Arguments { command: Command::Safe { file } }) => safe::safe(&file),
        Ok(Arguments { command: Command::Check { file, format } }) => check::check(&file, format),
        Err(error) => {
            // A closed pipe is no reason to fail.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Fine }
        }
    }
}

/// What is wrong with a file, for people. In colour on a terminal, unless `NO_COLOR` is set.
fn tell(wrong: &Wrong, stream: &impl IsTerminal) -> String {
    let colours = stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    match wrong {
        Wrong::Mistakes(mistakes) => mistakes.render(colours),
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
