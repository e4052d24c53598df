//! What systemd is told: that we are ready, what we do, that we still live. Does nothing when systemd did not start us.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::warn;

/// The way to the service manager. All of it is optional: a failure is logged once and changes nothing. It never waits, which
/// is why this is no library: a service manager that does not listen for a while would stop whoever tells it something.
#[derive(Debug, Default)]
pub struct Notify {
    /// Our end, and where theirs is: not connected, for theirs may be made anew.
    line: Option<(UnixDatagram, SocketAddr)>,
    failed: AtomicBool,
    /// That we are ready, which it had no room for. Without it a start has failed, so it is said again.
    unready: AtomicBool,
}

impl Notify {
    /// Uses `NOTIFY_SOCKET`, as sd_notify(3) has it; without it every call does nothing.
    pub fn new() -> Self {
        let notify = Self::default();
        let line = std::env::var_os("NOTIFY_SOCKET").map(|name| line(&name)).transpose();
        match line {
            Ok(line) => Self { line, ..notify },
            Err(error) => {
                notify.trouble(&error);
                notify
            }
        }
    }

    /// Everything has started. `systemctl start` returns now.
    pub fn ready(&self) {
        self.unready.store(!self.send("READY=1"), Ordering::Relaxed);
    }

    /// The configuration is being read again; [`ready`](Self::ready) ends that.
    pub fn reloading(&self) {
        self.send("RELOADING=1");
    }

    /// The orderly stop has begun.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// One line for `systemctl status`.
    pub fn status(&self, text: &str) {
        // A line break would begin another assignment.
        self.send(&format!("STATUS={}", text.replace(['\n', '\r'], " ")));
    }

    /// Vouches that the daemon makes progress. To be called only by someone who has seen that it does.
    pub fn feed(&self) {
        if self.unready.load(Ordering::Relaxed) {
            self.ready();
        }
        self.send("WATCHDOG=1");
    }

    /// Gives whether it was heard, or nobody is there to hear it.
    fn send(&self, assignment: &str) -> bool {
        let Some((socket, manager)) = &self.line else { return true };
        match socket.send_to_addr(format!("{assignment}\n").as_bytes(), manager) {
            Ok(_) => true,
            Err(error) => {
                self.trouble(&error);
                false
            }
        }
    }

    fn trouble(&self, error: &io::Error) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            warn!("systemd cannot be told anything: {error}; with Type=notify it will think that the start failed");
        }
    }
}

/// To a path, or to an abstract name that begins with `@`.
fn line(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const CHILD: &str = "HOMEOSTAT_TEST_SYSTEMD";

    /// Runs one of these tests again in a process of its own, because the environment belongs to the whole process.
    fn in_child(test: &str, environment: &[(&str, &str)]) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&format!("systemd::tests::{test}"), "--exact"]).env(CHILD, "1");
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            command.env_remove(name);
        }
        let output = command.envs(environment.iter().copied()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    #[test]
    fn systemd_hears_every_message_as_a_datagram_of_its_own() {
        if std::env::var_os(CHILD).is_some() {
            let notify = Notify::new();
            notify.ready();
            notify.status("2 sensors\nREADY=0");
            notify.feed();
            notify.stopping();
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        in_child("systemd_hears_every_message_as_a_datagram_of_its_own", &[("NOTIFY_SOCKET", path.to_str().unwrap())]);

        socket.set_nonblocking(true).unwrap();
        let mut heard = Vec::new();
        let mut buffer = [0; 256];
        while let Ok(length) = socket.recv(&mut buffer) {
            heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        assert_eq!(heard, ["READY=1\n", "STATUS=2 sensors READY=0\n", "WATCHDOG=1\n", "STOPPING=1\n"]);
    }

    #[test]
    fn a_service_manager_that_does_not_listen_keeps_nobody_and_hears_later_that_we_are_ready() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notify = Notify { line: Some(line(path.as_os_str()).unwrap()), ..Notify::default() };
        let (done, is_done) = mpsc::channel();
        std::thread::spawn(move || {
            (0..100_000).for_each(|_| notify.feed());
            notify.ready();
            done.send(notify).unwrap();
        });
        let notify = is_done.recv_timeout(Duration::from_secs(60)).expect("it waits for the manager");
        manager.set_nonblocking(true).unwrap();
        let mut buffer = [0; 64];
        while let Ok(length) = manager.recv(&mut buffer) {
            assert_eq!(&buffer[..length], b"WATCHDOG=1\n");
        }
        notify.feed();
        let heard = [(); 2].map(|()| {
            let length = manager.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        });
        assert_eq!(heard, ["READY=1\n", "WATCHDOG=1\n"]);
    }

    #[test]
    fn without_systemd_or_with_a_dead_one_nothing_happens() {
        if std::env::var_os(CHILD).is_some() {
            let notify = Notify::new();
            notify.ready();
            notify.feed();
            return;
        }
        let test = "without_systemd_or_with_a_dead_one_nothing_happens";
        in_child(test, &[]);
        in_child(test, &[("NOTIFY_SOCKET", "/nowhere/notify"), ("WATCHDOG_USEC", "0")]);
    }
}
