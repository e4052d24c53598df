//! What systemd is told: that we are ready, what we do, that we still live. Does nothing when systemd did not start us.

use std::sync::atomic::{AtomicBool, Ordering};

use sd_notify::NotifyState;
use tracing::warn;

/// The way to the service manager. All of it is optional: a failure is logged once and changes nothing.
#[derive(Debug, Default)]
pub struct Notify {
    failed: AtomicBool,
}

impl Notify {
    /// Uses `NOTIFY_SOCKET`, as sd_notify(3) has it; without it every call does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything has started. `systemctl start` returns now.
    pub fn ready(&self) {
        self.send(&NotifyState::Ready);
    }

    /// The configuration is being read again; [`ready`](Self::ready) ends that.
    pub fn reloading(&self) {
        self.send(&NotifyState::Reloading);
    }

    /// The orderly stop has begun.
    pub fn stopping(&self) {
        self.send(&NotifyState::Stopping);
    }

    /// One line for `systemctl status`.
    pub fn status(&self, text: &str) {
        // A line break would begin another assignment.
        self.send(&NotifyState::Status(&text.replace(['\n', '\r'], " ")));
    }

    /// Vouches that the daemon makes progress. To be called only by someone who has seen that it does.
    pub fn feed(&self) {
        self.send(&NotifyState::Watchdog);
    }

    fn send(&self, state: &NotifyState<'_>) {
        if let Err(error) = sd_notify::notify(std::slice::from_ref(state))
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            warn!("systemd cannot be told anything: {error}; with Type=notify it will think that the start failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

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
