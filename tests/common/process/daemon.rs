//! One daemon: what it tells systemd, what it logs, and its ends.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{now, until};

/// A daemon; killed at the end of the test, if not before.
pub struct Daemon {
    process: Child,
    told: UnixDatagram,
    log: PathBuf,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Daemon {
    /// The first, second … daemon of a house. Each has a log and a socket of its own, so none hears of another's.
    pub(super) fn begin(mut command: Command, directory: &Path, number: u32) -> Self {
        let (log, socket) = (directory.join(format!("log.{number}")), directory.join(format!("notify.{number}")));
        let told = UnixDatagram::bind(&socket).unwrap();
        told.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        command.env("NOTIFY_SOCKET", &socket).stdin(Stdio::null()).stdout(Stdio::null());
        let process = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        Self { process, told, log }
    }

    /// Waits until systemd hears this.
    pub fn hears(&self, wanted: &str) {
        let mut buffer = [0; 512];
        loop {
            match self.told.recv(&mut buffer) {
                Ok(length) if String::from_utf8_lossy(&buffer[..length]).contains(wanted) => return,
                // A signal to this process, a child's end for one, is no answer.
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    panic!("{wanted} is not told: {error}: {}", self.log())
                }
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Hears whatever is told from now on, as systemd does, and forgets it. Who tells more than the socket holds waits for a listener:
    /// that is after a minute, with one message in five seconds.
    pub fn hears_all(&self) {
        let told = self.told.try_clone().unwrap();
        std::thread::spawn(move || {
            let is_over = |error: std::io::Error| error.kind() != ErrorKind::Interrupted;
            while !told.recv(&mut [0; 512]).is_err_and(is_over) {}
        });
    }

    /// Waits until the log says this so many times.
    pub fn says(&self, part: &str, times: usize) {
        until(&format!("the log says {part:?}"), || self.log().matches(part).count() >= times);
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success(), "{signal}");
    }

    pub fn lives(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// The end that nothing can be done about. Gives when it was, in milliseconds since 1970.
    pub fn kill(mut self) -> i64 {
        let at = now();
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        at
    }

    /// The orderly end. Gives the exit code and the log.
    pub fn stop(self) -> (Option<i32>, String) {
        self.signal("-TERM");
        self.ends()
    }

    /// Waits until it has ended. Gives the exit code and the log.
    pub fn ends(mut self) -> (Option<i32>, String) {
        until("the daemon ends", || !self.lives());
        (self.process.wait().unwrap().code(), self.log())
    }

    /// Looks at its files while it stands still.
    pub fn frozen<T>(&self, look: impl FnOnce() -> T) -> T {
        self.signal("-STOP");
        let stat = format!("/proc/{}/stat", self.process.id());
        // The state follows the name, which is in brackets.
        until("the daemon stands still", || std::fs::read_to_string(&stat).unwrap().contains(") T "));
        let seen = look();
        self.signal("-CONT");
        seen
    }
}
