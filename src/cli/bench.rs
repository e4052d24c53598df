//! The tools at the bench: whether they go through the daemon that runs, or reach for the hardware of a configuration themselves.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use clap::Args;

use super::client::{Client, Trouble};
use super::database::Sorry;
use super::machine::{board, last_state_directory, usual_configuration};
use super::{At, Exit, tell};
use crate::clock::Clock;
use crate::config::{Config, load, nearest};
use crate::hardware::Hardware;
use crate::hardware::lane::{Execution, Lane, LaneError, Lanes};
use crate::hardware::simulated::Simulated;
use crate::lock::{Lock, LockError};
use crate::model::Sample;
use crate::panics::locked;
use crate::payload::Status;
use crate::sensors::filter::Filter;
use crate::sensors::{self, Channel, Driver, DriverError, Filters};

/// Whose devices are meant.
#[derive(Debug, Args)]
pub struct Whose {
    /// The configuration, for when no daemon runs [default: the running daemon's, else /etc/homeostat/config.toml or ./config.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub at: At,
}

/// Who has the hardware.
pub enum Place {
    /// A daemon that runs.
    Daemon(Client),
    /// Nobody but us.
    Bench(Box<Bench>),
}

/// A configuration and its board, which no daemon has meanwhile.
pub struct Bench {
    pub config: Config,
    pub hardware: Arc<dyn Hardware>,
    /// The same, if it is a world in this process.
    pub world: Option<Simulated>,
    pub file: PathBuf,
    pub state: PathBuf,
    /// Held until the end.
    lock: Option<Lock>,
}

impl Place {
    /// Asks for a daemon first, unless a file is named.
    pub fn find(whose: Whose) -> Result<Self, Sorry> {
        let Whose { config, at } = whose;
        if config.is_none() {
            let client = Client::new(at.socket);
            match client.get::<Status<'static>>("status") {
                Ok(_) => return Ok(Self::Daemon(client)),
                Err(Trouble::NoDaemon(tried)) if tried.iter().all(|(_, error)| is_absence(error)) => {}
                Err(trouble) => return Err(trouble.into()),
            }
        }
        Ok(Self::Bench(Box::new(Bench::open(config)?)))
    }
}

/// Nobody listens there; anything else is a daemon that we do not reach.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory)
}

impl Bench {
    fn open(named: Option<PathBuf>) -> Result<Self, Sorry> {
        let (config, file) = configuration(named)?;
        let state = last_state_directory();
        let lock = alone(&state)?;
        let opened = board(&config, Clock::system(), &state);
        let (hardware, world) =
            opened.map_err(|error| Sorry { exit: Exit::Start, text: format!("error: {error:#}\n") })?;
        Ok(Self { config, hardware, world, file, state, lock })
    }

    /// Makes sure that there is an output of that name.
    pub fn knows_output(&self, name: &str) -> Result<(), Sorry> {
        let names: Vec<&str> = self.config.outputs.iter().map(|output| output.id.as_str()).collect();
        if names.contains(&name) { Ok(()) } else { Err(no_such("output", name, &names, &self.file)) }
    }

    /// Lets the lock go, for whoever takes it again.
    pub fn unlock(&mut self) {
        self.lock = None;
    }

    /// The sensor of that name.
    pub fn sensor(&self, name: &str) -> Result<&sensors::Config, Sorry> {
        if let Some(found) = self.config.sensors.iter().find(|sensor| sensor.id.as_str() == name) {
            return Ok(found);
        }
        if self.config.computed.iter().any(|sensor| sensor.id.as_str() == name) {
            let error = format!("{name} is computed from other sensors, which only a running daemon reads");
            return Err(Sorry::missing(error, "start the daemon, or read one of its inputs"));
        }
        let names: Vec<&str> = self.config.sensors.iter().map(|sensor| sensor.id.as_str()).collect();
        Err(no_such("sensor", name, &names, &self.file))
    }
}

/// The lock of the state directory, if there is one: two programs on one chip confuse it.
pub fn alone(state: &Path) -> Result<Option<Lock>, Sorry> {
    Lock::take_if_there(state).map_err(|error| match error {
        LockError::Held(file) => Sorry::taken(
            format!("a homeostat runs here and has the hardware (it holds {})", file.display()),
            "leave out --config to ask it, say where it listens (--socket PATH), or stop it first",
        ),
        LockError::Io { .. } => Sorry::taken(
            error,
            "a homeostat that runs would go unseen: use sudo, or join its group (sudo usermod -aG homeostat $USER)",
        ),
    })
}

/// The configuration that a person names, or the usual one.
pub fn configuration(named: Option<PathBuf>) -> Result<(Config, PathBuf), Sorry> {
    let Some(file) = named.or_else(usual_configuration) else {
        let error = "no homeostat answers, and there is no /etc/homeostat/config.toml and no ./config.toml";
        return Err(Sorry::missing(error, "say which configuration is meant (--config FILE)"));
    };
    let config = load(&file).map_err(|wrong| Sorry { exit: Exit::Configuration, text: tell(&wrong, &io::stderr()) })?;
    Ok((config, file))
}

/// There is none of that name in the file.
fn no_such(what: &str, name: &str, known: &[&str], file: &Path) -> Sorry {
    let next = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("the file has no {what}s"),
        None => format!("there is {}", known.join(", ")),
    };
    Sorry::missing(format!("there is no {what} `{name}` in {}", file.display()), next)
}

impl From<Trouble> for Sorry {
    fn from(trouble: Trouble) -> Self {
        Self { exit: trouble.exit(), text: trouble.tell() }
    }
}

/// A sensor that is read here and now.
pub struct Reader {
    config: sensors::Config,
    hardware: Arc<dyn Hardware>,
    lane: Lane,
    clock: Clock,
    driver: Arc<Mutex<Option<Box<dyn Driver>>>>,
    filters: Filters,
}

/// Why there are no values.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Lane(#[from] LaneError),
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// The name of a channel, its unit, what the device said, and what would be published.
pub type Value = (&'static str, &'static str, f64, Sample);

impl Reader {
    /// Nothing is opened yet.
    pub fn new(config: sensors::Config, hardware: Arc<dyn Hardware>) -> Self {
        let clock = Clock::system();
        let lane = Lanes::new(clock, Execution::Thread).get(&config.device.lane());
        let filters = config.filters();
        Self { config, hardware, lane, clock, driver: Arc::default(), filters }
    }

    /// Opens it, if it is not open, and reads once, in the order of the names as a daemon tells them. After an error it is opened anew.
    pub async fn read(&self) -> Result<Vec<Value>, ReadError> {
        let raw = self.with(|driver| driver.read()).await?;
        let (now, mut filters) = (self.clock.now(), locked(&self.filters));
        let filtered = |(value, filter): (&f64, &mut Filter)| filter.pass(*value, now);
        let samples: Vec<Sample> = raw.iter().zip(filters.iter_mut()).map(filtered).collect();
        let channels = self.config.device.channels().iter();
        let values = channels.zip(raw).zip(samples);
        let value =
            |((channel, raw), sample): ((&Channel, f64), Sample)| (channel.name, channel.quantity.unit(), raw, sample);
        let mut values: Vec<Value> = values.map(value).collect();
        values.sort_by_key(|(name, ..)| *name);
        Ok(values)
    }

    /// Does something with the open device in its lane.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Box<dyn Driver>) -> Result<T, DriverError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (config, hardware, place) = (self.config.clone(), self.hardware.clone(), self.driver.clone());
        let who = format!("sensor {}", config.id).into();
        let job = move || {
            let mut place = locked(&place);
            let mut driver = place.take().map_or_else(|| config.open(&*hardware), Ok)?;
            let done = work(&mut driver)?;
            *place = Some(driver);
            Ok::<T, DriverError>(done)
        };
        Ok(self.lane.run(&who, self.config.device.deadline(), job).await??)
    }
}

/// Runs what waits for hardware. A driver that hangs keeps its thread, and nobody waits for that one here.
pub fn wait_for<T>(work: impl Future<Output = Result<T, Sorry>>) -> Result<T, Sorry> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Sorry::failed(format!("cannot begin: {error}"), "free some memory"))?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}
