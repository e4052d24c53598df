//! A Mosquitto that dies and comes back on the same port, with what it has kept or without.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::process::until;

/// What it keeps over a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    Everything,
    Nothing,
}

pub struct Broker {
    pub port: u16,
    settings: String,
    directory: tempfile::TempDir,
    process: Option<Child>,
    /// Whether nothing that it had acknowledged can have been lost.
    pub is_honest: bool,
}

impl Broker {
    /// One that lets everybody in and drops nothing for want of room.
    pub fn start(keeps: Keeps, settings: &str) -> Self {
        let mut broker = Self::later(keeps, settings);
        broker.begin();
        broker
    }

    /// One that does not run yet.
    pub fn later(keeps: Keeps, settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let persistence = match keeps {
            Keeps::Everything => format!("persistence true\npersistence_location {}/", directory.path().display()),
            Keeps::Nothing => "persistence false".to_owned(),
        };
        // Started by root it would become a user who cannot read our directory.
        let settings = format!(
            "listener {port} 127.0.0.1\nuser root\nallow_anonymous true\nmax_queued_messages 0\n{persistence}\n{settings}\n"
        );
        std::fs::write(directory.path().join("mosquitto.conf"), &settings).unwrap();
        Self { port, settings, directory, process: None, is_honest: true }
    }

    pub fn begin(&mut self) {
        self.begin_by(Command::new("/usr/sbin/mosquitto"));
        until("mosquitto listens", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// By another command than `mosquitto`, which may be in a namespace; so nobody can tell whether it listens.
    pub fn begin_by(&mut self, mut command: Command) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        command.arg("-c").arg(self.path("mosquitto.conf")).stdin(Stdio::null()).stdout(log.try_clone().unwrap());
        self.process = Some(command.stderr(log).spawn().expect("mosquitto is installed"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// It is asked to end, and keeps what it is to keep.
    pub fn stop(&mut self) {
        self.is_honest &= self.settings.contains("persistence true");
        if let Some(mut process) = self.process.take() {
            let asked = Command::new("kill").arg(process.id().to_string()).status().unwrap();
            assert!(asked.success());
            process.wait().unwrap();
        }
    }

    /// It dies with all that it had in memory.
    pub fn kill(&mut self) {
        self.is_honest = false;
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// What it had kept is gone: sessions, and what lay there for them.
    pub fn forget(&mut self) {
        assert!(!self.runs());
        self.is_honest = false;
        let _ = std::fs::remove_file(self.path("mosquitto.db"));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A port on loopback that nobody uses at the moment.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
