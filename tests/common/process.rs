//! The real binary in a directory of its own, with systemd's ear at the door.

#![allow(dead_code, reason = "each test uses what it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

#[path = "process/daemon.rs"]
mod daemon;
#[path = "process/database.rs"]
mod database;
#[path = "process/disk.rs"]
mod disk;
#[path = "process/pins.rs"]
mod pins;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use daemon::Daemon;
use disk::Disk;

/// What the unit calls, without the flags.
pub const RUN: &[&str] = &["run", "config.toml"];

/// A directory that is both the working and the state directory, with a `config.toml` in it. What the tests keep for themselves
/// (logs, systemd's sockets, the pins of a `pins = "../pins.log"`) is one above.
pub struct House {
    directory: tempfile::TempDir,
    disk: Option<Disk>,
    begun: Cell<u32>,
}

impl House {
    pub fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("state")).unwrap();
        let house = Self { directory, disk: None, begun: Cell::new(0) };
        house.write("config.toml", config);
        house
    }

    /// The directory as the daemon names it.
    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// A file of the state directory, where this process finds it.
    pub fn path(&self, name: &str) -> PathBuf {
        match &self.disk {
            Some(disk) => disk.seen_from_outside(&self.state()),
            None => self.state(),
        }
        .join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Empty if there is none.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// `homeostat …` as the unit would call it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.disk {
            Some(disk) => clean(disk.enter(&self.state(), env!("CARGO_BIN_EXE_homeostat")), &self.state()),
            None => homeostat(&self.state()),
        };
        command.args(arguments).env("STATE_DIRECTORY", self.state());
        command
    }

    /// Runs a command to its end: its exit code, and what it said on both streams.
    pub fn ask(&self, arguments: &[&str]) -> (i32, String, String) {
        said(&mut self.command(arguments))
    }

    /// Begins a daemon and does not wait for it.
    pub fn begin(&self, arguments: &[&str]) -> Daemon {
        self.begin_as(self.command(arguments))
    }

    /// Begins a daemon and waits until systemd would know that it runs.
    pub fn run(&self, arguments: &[&str]) -> Daemon {
        self.run_as(self.command(arguments))
    }

    /// The same, with what the test has changed of the command.
    pub fn run_as(&self, command: Command) -> Daemon {
        let daemon = self.begin_as(command);
        daemon.hears("READY=1");
        daemon
    }

    fn begin_as(&self, command: Command) -> Daemon {
        self.begun.set(self.begun.get() + 1);
        Daemon::begin(command, self.directory.path(), self.begun.get())
    }

    /// Begins a daemon that is to end by itself. Gives the exit code and the log.
    pub fn refused(&self, arguments: &[&str]) -> (Option<i32>, String) {
        self.begin(arguments).ends()
    }
}

/// The program in a directory, with nothing of this process's environment that it would heed.
pub fn homeostat(directory: &Path) -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_homeostat")), directory)
}

fn clean(mut command: Command, directory: &Path) -> Command {
    command.current_dir(directory);
    for directory in ["STATE_DIRECTORY", "RUNTIME_DIRECTORY", "HOMEOSTAT_SOCKET"] {
        command.env_remove(directory);
    }
    for of_systemd in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "RUST_LOG", "JOURNAL_STREAM"] {
        command.env_remove(of_systemd);
    }
    command
}

/// Runs a command to its end: its exit code, and what it said on both streams.
pub fn said(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Looks until it is so: a file has no other way to tell. Bounded.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..4_000 {
        if so() {
            return;
        }
        live_for(Duration::from_millis(5));
    }
    panic!("{what}: not within 20 s");
}

/// Lets real processes live for a while in real time.
pub fn live_for(time: Duration) {
    let (_silent, tick) = channel::<()>();
    assert_eq!(tick.recv_timeout(time), Err(RecvTimeoutError::Timeout));
}

/// Milliseconds since 1970, as in `pins.log`.
pub fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a real process lives in real time")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}
