//! Which database `export`, `query` and `backup` read, with the newest readings in it: the one of the daemon that answers, which is asked
//! to write what it has in memory, or the one that a configuration names.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, process};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::client::{Client, SYSTEMD, Trouble};
use super::machine::{first_directory, last_state_directory, usual_configuration};
use super::{At, Exit, tell};
use crate::config::{Wrong, load, nearest};
use crate::payload::Flushed;
use crate::store::query::{self, Range, Row};
use crate::store::{Config, FRESH, StoreError};

/// Longer than the daemon gives itself.
const PATIENCE: Duration = Duration::from_secs(12);

/// Which database is meant.
#[derive(Debug, Args)]
pub struct Which {
    /// The configuration whose database it is [default: the running daemon's, else /etc/homeostat/config.toml or ./config.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The database itself, a copy for one
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    database: Option<PathBuf>,
    #[command(flatten)]
    at: At,
}

/// Which channels are meant.
#[derive(Debug, Args)]
pub struct Channels {
    /// `air.temperature`, or `air` for all channels of that sensor; without one, all of them
    #[arg(value_name = "CHANNEL", value_parser = NonEmptyStringValueParser::new())]
    names: Vec<String>,
    /// The same
    #[arg(long = "channel", value_name = "CHANNEL", value_parser = NonEmptyStringValueParser::new())]
    more: Vec<String>,
}

/// Why a command has nothing to show, and its exit code.
#[derive(Debug)]
pub struct Sorry {
    pub exit: Exit,
    /// What is wrong and the next step, line by line.
    pub text: String,
}

impl Sorry {
    /// What was named is not there.
    pub fn missing(error: impl std::fmt::Display, next: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Configuration, text: format!("error: {error}\n  next   {next}\n") }
    }

    /// The command line asks for what cannot be.
    pub fn usage(error: impl std::fmt::Display, next: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Usage, ..Self::missing(error, next) }
    }

    /// Somebody has what is needed.
    pub fn taken(error: impl std::fmt::Display, next: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Start, ..Self::missing(error, next) }
    }

    /// It is there, and it did not work.
    pub fn failed(error: impl std::fmt::Display, next: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Failed, ..Self::missing(error, next) }
    }
}

impl From<StoreError> for Sorry {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotADatabase { file } | StoreError::NotOurs { file } => {
                let error = format!("{} is no database of homeostat, or an empty one", file.display());
                Self::missing(error, "say which one is (--database FILE)")
            }
            StoreError::Damaged { .. } => Self::failed(error, "look at the disk (`dmesg`); an older copy may be whole"),
            // These bring their next step along.
            _ => Self { exit: Exit::Failed, text: format!("error: {error}\n") },
        }
    }
}

/// A database that can be read.
#[derive(Debug)]
pub struct Database {
    /// Where it is.
    pub file: PathBuf,
    /// What a daemon that was killed has left, and nobody has taken over yet.
    tier: Option<PathBuf>,
}

impl Database {
    /// Finds it and sees to it that the newest readings are in it. What may be missing is said on standard error.
    pub fn find(which: Which) -> Result<Self, Sorry> {
        let Which { config, database, at } = which;
        let named = match (&config, &database) {
            (_, Some(file)) => Some(file.clone()),
            (Some(config), None) => Some(database_of(config)?),
            (None, None) => None,
        };
        let flushed = Client::new(at.socket).post::<Flushed<'static>>("flush", PATIENCE);
        let (file, trouble) = match flushed {
            Ok(Flushed { file }) => (named.unwrap_or_else(|| PathBuf::from(&*file)), None),
            Err(trouble) => (named.map_or_else(usual, Ok)?, Some(trouble)),
        };
        readable(&file)?;
        query::check(&file)?;
        // A file that somebody names may be of another day or of another machine.
        let (mut tier, is_ours) = (None, database.is_none());
        match trouble.filter(|_| is_ours) {
            None => {}
            Some(Trouble::NoDaemon(tried)) if denied(&tried) => note(
                "the daemon cannot be asked to write what it has in memory (permission denied): readings since its last flush are \
                 missing; add yourself to its group (sudo usermod -aG homeostat $USER) and log in again",
            ),
            Some(Trouble::NoDaemon(_)) => tier = Some(runtime_directory().join(FRESH)),
            Some(trouble) => {
                note(&format!("the daemon could not write what it has in memory ({trouble}): readings are missing"))
            }
        }
        Ok(Self { file, tier })
    }

    /// The range's channels, each of which must be there.
    pub fn choose(&self, Channels { mut names, more }: Channels) -> Result<Vec<String>, Sorry> {
        names.extend(more);
        let all = query::channels(&self.file)?;
        let mut known: Vec<&str> = all.iter().map(|channel| channel.name.as_str()).collect();
        let sensors: Vec<&str> = known.iter().filter_map(|name| Some(name.split_once('.')?.0)).collect();
        known.extend(sensors);
        for name in &names {
            if known.contains(&name.as_str()) {
                continue;
            }
            let next = match nearest(name, &known) {
                Some(near) => format!("did you mean `{near}`? `homeostat query` shows all channels"),
                None if Path::new(name).is_file() => format!("a file is named by --config {name} or --database {name}"),
                None => "`homeostat query` shows all channels".to_owned(),
            };
            return Err(Sorry::missing(format!("there is no channel `{name}` in {}", self.file.display()), next));
        }
        Ok(names)
    }

    /// Readings of the range that are in no database yet.
    pub fn left(&self, range: &Range) -> Vec<Row> {
        let Some(tier) = &self.tier else { return Vec::new() };
        let scratch = env::temp_dir().join(format!("homeostat-{}", process::id()));
        query::left(&self.file, tier, &scratch, range).unwrap_or_else(|error| {
            note(&format!(
                "no daemon answers, and {} cannot be read ({error}): readings since its last flush may be missing",
                tier.display()
            ));
            Vec::new()
        })
    }

    /// For a command that takes the file alone: says so if there are readings beside it.
    pub fn mention_what_is_left(&self) {
        if !self.left(&Range::default()).is_empty() {
            note("no daemon answers: readings since its last flush are missing; they come with its next start");
        }
    }
}

/// Something to know beside what is printed.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "note: {text}");
}

fn denied(tried: &[(PathBuf, io::Error)]) -> bool {
    tried.iter().any(|(_, error)| error.kind() == io::ErrorKind::PermissionDenied)
}

/// The daemon's, as far as a shell can know it.
fn runtime_directory() -> PathBuf {
    first_directory("RUNTIME_DIRECTORY").unwrap_or_else(|| SYSTEMD.into())
}

/// `[store] path` of a configuration, in the state directory.
fn database_of(config: &Path) -> Result<PathBuf, Sorry> {
    let failed = |wrong: Wrong| {
        let text = tell(&wrong, &io::stderr());
        Sorry {
            exit: Exit::Configuration,
            text: format!("{text}  next   mend it, or name the database (--database FILE)\n"),
        }
    };
    Ok(last_state_directory().join(load(config).map_err(failed)?.store.path))
}

/// Without a daemon and without a word from the person.
fn usual() -> Result<PathBuf, Sorry> {
    match usual_configuration() {
        Some(config) => database_of(&config),
        None => Ok(last_state_directory().join(Config::default().path)),
    }
}

/// Says what is in the way before SQLite does, whose words are not about people's next step.
fn readable(file: &Path) -> Result<(), Sorry> {
    match File::open(file).and_then(|opened| opened.metadata()) {
        Ok(known) if known.is_file() => Ok(()),
        Ok(_) => Err(Sorry::missing(
            format!("{} is no file", file.display()),
            "give the path of a database (--database FILE)",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Sorry::missing(
            format!("there is no database {}", file.display()),
            "start the daemon, or say where the database is (--database FILE, or --config FILE)",
        )),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Sorry::failed(
            format!("you may not read {}", file.display()),
            "add yourself to the daemon's group (sudo usermod -aG homeostat $USER) and log in again",
        )),
        Err(error) => {
            Err(Sorry::failed(format!("cannot read {}: {error}", file.display()), "look at the disk (`dmesg`)"))
        }
    }
}
