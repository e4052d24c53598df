//! The real binary: its exit codes, its signals, and what it tells systemd.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const CLOSET: &str = r#"
[node]
name = "closet"
hardware = "simulated"

[store]
flush = "1h"

[sensors.rack]
driver = "ds18b20"
id = "28-0316a2795cff"
every = "100ms"

[outputs.fan]
driver = "gpio"
pin = 17
cycle = "10s"

[controllers.cooling]
kind = "pid"
input = "rack.temperature"
lower = "fan"
setpoint = 15.0
kp = 0.1
"#;

fn homeostat(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homeostat"));
    command.current_dir(directory);
    for name in ["NOTIFY_SOCKET", "STATE_DIRECTORY", "WATCHDOG_USEC", "RUST_LOG", "JOURNAL_STREAM"] {
        command.env_remove(name);
    }
    command
}

/// A daemon on `config` in a directory of its own, once it runs.
struct Running {
    process: Child,
    directory: tempfile::TempDir,
    told: UnixDatagram,
}

impl Running {
    fn start(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.toml"), config).unwrap();
        let socket = directory.path().join("notify");
        let told = UnixDatagram::bind(&socket).unwrap();
        told.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut command = homeostat(directory.path());
        command.args(["run", "config.toml"]).env("NOTIFY_SOCKET", &socket);
        let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let running = Self { process, directory, told };
        running.hear("READY=1");
        running
    }

    /// Waits until systemd would have heard this.
    fn hear(&self, wanted: &str) -> String {
        let mut buffer = [0; 512];
        loop {
            let length = match self.told.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => panic!("{wanted} was not told: {error}"),
            };
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.contains(wanted) {
                return text;
            }
        }
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn rows(&self) -> i64 {
        let database = rusqlite::Connection::open(self.directory.path().join("homeostat.db")).unwrap();
        database.query_row("SELECT count(*) FROM readings", [], |row| row.get(0)).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_signal_stops_it_in_order_and_stores_what_was_read() {
    for signal in ["-TERM", "-INT"] {
        let mut running = Running::start(CLOSET);
        running.hear("STATUS=closet: 1 sensor, 1 output, 1 controller");
        running.signal(signal);
        running.hear("STOPPING=1");
        let mut log = String::new();
        running.process.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert_eq!(running.process.wait().unwrap().code(), Some(0), "{log}");
        // With a flush of an hour they can only have been written by the stop.
        assert!(running.rows() > 0);
        assert!(log.contains("every output is safe"), "{log}");
    }
}

#[test]
fn a_hangup_takes_over_a_changed_file_and_changes_nothing_for_a_wrong_one() {
    let mut running = Running::start(CLOSET);
    let mut log = BufReader::new(running.process.stderr.take().unwrap()).lines().map_while(Result::ok);
    let file = running.directory.path().join("config.toml");
    let cases = [
        (CLOSET.replace("kp = 0.1", "kp = 0.2"), "reloaded: controllers.cooling adjusted; 4 went on as they were"),
        (CLOSET.replace("kp = 0.1", "kq = 0.2"), "not reloaded, nothing was changed: error: unknown key `kq`"),
        (
            CLOSET.replace("flush = \"1h\"", "path = \"other.db\""),
            "not reloaded, nothing was changed: [store] path cannot be changed while",
        ),
        (CLOSET.to_owned(), "reloaded: controllers.cooling adjusted"),
    ];
    for (text, expected) in cases {
        std::fs::write(&file, text).unwrap();
        running.signal("-HUP");
        let line = log.find(|line| line.contains("reloaded")).unwrap();
        assert!(line.contains(expected), "{line}");
        // systemd hears the end of each.
        running.hear("READY=1");
    }
    assert_eq!(running.process.try_wait().unwrap(), None);
}

#[test]
fn the_watchdog_is_fed_while_it_runs() {
    let running = Running::start(CLOSET);
    running.hear("WATCHDOG=1");
}

#[test]
fn a_start_that_fails_says_why_and_exits_with_three() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let cases = [
        (CLOSET.replace("simulated", "raspberry-pi"), "no Raspberry Pi found"),
        (format!("{CLOSET}\n[mqtt]\nbroker = \"embedded:{port}\""), "is already taken"),
        (CLOSET.replace("flush = \"1h\"", "path = \"/nowhere/homeostat.db\""), "/nowhere"),
    ];
    for (config, reason) in cases {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.toml"), config).unwrap();
        let output = homeostat(directory.path()).args(["run", "config.toml"]).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{message}");
        assert!(message.starts_with("error: ") && message.contains(reason), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn a_wrong_configuration_exits_with_one_and_a_wrong_command_line_with_two() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("right.toml"), CLOSET).unwrap();
    std::fs::write(directory.path().join("wrong.toml"), CLOSET.replace("pin = 17", "pim = 17")).unwrap();
    let run = |arguments: &[&str]| -> Output { homeostat(directory.path()).args(arguments).output().unwrap() };

    let right = run(&["check", "right.toml"]);
    assert_eq!((right.status.code(), right.stdout.len(), right.stderr.len()), (Some(0), 0, 0));
    assert_eq!(run(&["check", "wrong.toml"]).status.code(), Some(1));
    assert_eq!(run(&["run", "wrong.toml"]).status.code(), Some(1));
    assert_eq!(run(&["run", "missing.toml"]).status.code(), Some(1));
    assert_eq!(run(&["frobnicate"]).status.code(), Some(2));
    let version = run(&["--version"]);
    assert_eq!(String::from_utf8_lossy(&version.stdout), format!("homeostat {}\n", env!("CARGO_PKG_VERSION")));
}
