//! The real binary in a directory of its own, with systemd's ear at the door.

#![allow(dead_code, reason = "each test uses what it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// A directory that is both the working and the state directory, with a `config.toml` in it.
pub struct House {
    directory: tempfile::TempDir,
    told: UnixDatagram,
}

/// A daemon; killed at the end of the test, if not before.
pub struct Daemon(pub Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    /// The end that nothing can be done about.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits until the log says this. It has a thread of its own, which a kill may come before.
    pub fn says(&mut self, part: &str) {
        let log = BufReader::new(self.0.stderr.take().unwrap());
        let (tell, told) = channel();
        std::thread::spawn(move || log.lines().map_while(Result::ok).all(|line| tell.send(line).is_ok()));
        while !told
            .recv_timeout(Duration::from_secs(10))
            .unwrap_or_else(|_| panic!("{part} is not in the log"))
            .contains(part)
        {}
    }

    /// The orderly end. Gives the exit code and the log.
    pub fn stop(mut self) -> (Option<i32>, String) {
        assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
        let mut log = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.0.wait().unwrap().code(), log)
    }
}

impl House {
    pub fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let told = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        told.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let house = Self { directory, told };
        house.write("config.toml", config);
        house
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// `homeostat …` as the unit would call it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_homeostat"));
        command.args(arguments).current_dir(self.directory.path()).env("STATE_DIRECTORY", self.directory.path());
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "RUST_LOG", "JOURNAL_STREAM"] {
            command.env_remove(name);
        }
        command
    }

    /// Begins a daemon and does not wait for it.
    pub fn begin(&self, arguments: &[&str]) -> Daemon {
        let mut command = self.command(arguments);
        command.env("NOTIFY_SOCKET", self.path("notify")).stdout(Stdio::null()).stderr(Stdio::piped());
        Daemon(command.spawn().unwrap())
    }

    /// Begins a daemon and waits until systemd would know that it runs.
    pub fn run(&self, arguments: &[&str]) -> Daemon {
        let daemon = self.begin(arguments);
        let mut buffer = [0; 512];
        loop {
            let length = self.told.recv(&mut buffer).expect("the daemon does not start");
            if buffer[..length].starts_with(b"READY=1") {
                return daemon;
            }
        }
    }

    /// Begins a daemon that is to end by itself. Gives the exit code and the log.
    pub fn refused(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut daemon = self.begin(arguments);
        until("the daemon ends by itself", || daemon.0.try_wait().unwrap().is_some());
        let mut log = String::new();
        daemon.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (daemon.0.wait().unwrap().code(), log)
    }

    pub fn safe(&self) -> Output {
        self.command(&["safe", "config.toml"]).output().unwrap()
    }

    /// What each pin is at, by the last line of `pins.log` that tells.
    pub fn pins(&self) -> BTreeMap<String, String> {
        let log = self.read("pins.log");
        let line = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let [_, kind, number, level] = words[..] else { panic!("not a line of pins.log: {line}") };
            (format!("{kind} {number}"), level.to_owned())
        };
        log.lines().map(line).collect()
    }

    pub fn pin(&self, name: &str) -> Option<String> {
        self.pins().remove(name)
    }
}

/// Looks until it is so: a file has no other way to tell. Bounded.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let (_silent, tick) = channel::<()>();
    for _ in 0..4_000 {
        if so() {
            return;
        }
        assert_eq!(tick.recv_timeout(Duration::from_millis(5)), Err(RecvTimeoutError::Timeout));
    }
    panic!("{what}: not within 20 s");
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
