//! A daemon as a process, in a directory of its own, with pins that are lines in a file.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};

/// Three sensors at 20 Hz; a heater in pulses, a pump with a budget, a compressor that must rest.
pub const LOAD: &str = r#"
[node]
name = "house"
hardware = "simulated"

[store]
flush = "500ms"

[mqtt]
broker = "mqtt://127.0.0.1:PORT"

[sensors.air]
driver = "bme280"
every = "50ms"

[sensors.tank]
driver = "ds18b20"
id = "28-0316a2795cff"
every = "50ms"

[sensors.box]
driver = "bme280"
bus = 3
every = "50ms"

[outputs.heater]
driver = "gpio"
pin = 17
cycle = "1s"

[outputs.pump]
driver = "gpio"
pin = 27
max_on = { "20s" = "per hour" }
cycle = "2s"

[outputs.compressor]
driver = "gpio"
pin = 22
min_off = "1500ms"
cycle = "4s"

[controllers.warmth]
kind = "pid"
input = "air.temperature"
raise = "heater"
setpoint = 30.0
kp = 0.05
stale_after = "1s"

[controllers.flow]
kind = "pid"
input = "tank.temperature"
raise = "pump"
setpoint = 30.0
kp = 0.05
stale_after = "1s"

[controllers.cold]
kind = "pid"
input = "box.temperature"
lower = "compressor"
setpoint = 10.0
kp = 0.05
stale_after = "1s"

[simulation]
pins = "../pins.log"

[simulation.plants.house]
kind = "room"
initial = 20.0
outdoor = 20.0
heat_capacity = 1e6
heat_loss = 50.0
"#;

/// The same house without its broker.
pub fn without_broker(text: &str) -> String {
    text.replace("[mqtt]\nbroker = \"mqtt://127.0.0.1:PORT\"\n", "")
}

pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub struct House {
    directory: tempfile::TempDir,
    told: UnixDatagram,
    process: Option<Child>,
    /// The state directory is on a small file system that only the daemon and who enters its namespace can see.
    namespace: Option<Child>,
}

impl House {
    pub fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("state")).unwrap();
        std::fs::write(directory.path().join("config.toml"), config).unwrap();
        let told = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        told.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { directory, told, process: None, namespace: None }
    }

    /// The same, with its state on four megabytes of their own.
    pub fn on_tmpfs(config: &str) -> Self {
        let mut house = Self::new(config);
        let state = house.directory.path().join("state");
        let mount = format!("mount -t tmpfs -o size=4m tmpfs {} && echo mounted && exec sleep 600", state.display());
        let mut keeper = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", &mount])
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is there");
        let mut said = [0; 7];
        keeper.stdout.as_mut().unwrap().read_exact(&mut said).expect("a tmpfs can be mounted in a namespace");
        house.namespace = Some(keeper);
        house
    }

    /// The state directory as this process sees it.
    fn state(&self) -> PathBuf {
        let state = self.directory.path().join("state");
        match &self.namespace {
            Some(keeper) => Path::new(&format!("/proc/{}/root", keeper.id())).join(state.strip_prefix("/").unwrap()),
            None => state,
        }
    }

    /// A command in the state directory, where the daemon's disk is.
    fn command(&self, program: &str) -> Command {
        let state = self.directory.path().join("state");
        let mut command = match &self.namespace {
            None => Command::new(program),
            Some(keeper) => {
                let mut enter = Command::new("nsenter");
                enter.args([
                    "--user",
                    "--preserve-credentials",
                    "--mount",
                    "--target",
                    &keeper.id().to_string(),
                    program,
                ]);
                enter
            }
        };
        command.current_dir(&state).env("STATE_DIRECTORY", &state).env_remove("RUST_LOG").env_remove("JOURNAL_STREAM");
        command.env_remove("NOTIFY_SOCKET").env_remove("RUNTIME_DIRECTORY");
        command
    }

    fn homeostat(&self, verb: &str) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_homeostat"));
        command.arg(verb).arg(self.directory.path().join("config.toml"));
        command
    }

    /// Starts the daemon and waits until it is ready.
    pub fn start(&mut self) {
        let log = std::fs::File::create(self.directory.path().join("log")).unwrap();
        let mut command = self.homeostat("run");
        command.env("NOTIFY_SOCKET", self.directory.path().join("notify"));
        command.stdout(Stdio::null()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        let mut buffer = [0; 512];
        loop {
            let heard =
                self.told.recv(&mut buffer).unwrap_or_else(|error| panic!("not ready: {error}: {}", self.log()));
            if buffer[..heard].starts_with(b"READY=1") {
                return;
            }
        }
    }

    /// Lets it live for a while.
    #[expect(clippy::disallowed_methods, reason = "a real process lives in real time")]
    pub fn live_for(&self, time: Duration) {
        std::thread::sleep(time);
    }

    /// `kill -9`, and when that was, in milliseconds since 1970.
    pub fn kill(&mut self) -> i64 {
        let mut process = self.process.take().unwrap();
        let now = now();
        process.kill().unwrap();
        process.wait().unwrap();
        self.forget_told();
        now
    }

    /// SIGTERM: when it was asked, its exit code, and when it was gone.
    pub fn terminate(&mut self) -> (i64, Option<i32>, i64) {
        let asked = now();
        self.signal("-TERM");
        let code = self.process.take().unwrap().wait().unwrap().code();
        self.forget_told();
        (asked, code, now())
    }

    /// What the dead one told last is not for the next.
    fn forget_told(&self) {
        self.told.set_nonblocking(true).unwrap();
        while self.told.recv(&mut [0; 512]).is_ok() {}
        self.told.set_nonblocking(false).unwrap();
    }

    /// What systemd runs when the daemon has ended, however that was.
    pub fn make_safe(&self) -> Output {
        self.homeostat("safe").output().unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Every change of a pin: milliseconds since 1970, which, and to what.
    fn changes(&self) -> Vec<(i64, String, String)> {
        let text = std::fs::read_to_string(self.directory.path().join("pins.log")).unwrap_or_default();
        let line = |line: &str| {
            let mut words = line.split(' ');
            let at = words.next()?.parse().ok()?;
            let pin = format!("{} {}", words.next()?, words.next()?);
            Some((at, pin, words.next()?.to_owned()))
        };
        text.lines().filter_map(line).collect()
    }

    /// What each pin is at.
    pub fn levels(&self) -> BTreeMap<String, String> {
        self.changes().into_iter().map(|(_, pin, level)| (pin, level)).collect()
    }

    pub fn last_change(&self) -> i64 {
        self.changes().last().map_or(0, |(at, ..)| *at)
    }

    /// When a pin was on, from and to; the last may still be.
    pub fn pulses(&self, pin: u8) -> Vec<(i64, i64)> {
        let name = format!("pin {pin}");
        let mut pulses = Vec::new();
        let mut since = None;
        for (at, _, level) in self.changes().into_iter().filter(|(_, pin, _)| *pin == name) {
            match (level.as_str(), since) {
                ("on", None) => since = Some(at),
                ("off", Some(on)) => {
                    pulses.push((on, at));
                    since = None;
                }
                _ => {}
            }
        }
        pulses.extend(since.map(|on| (on, now())));
        pulses
    }

    fn database(&self) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let file = if self.namespace.is_some() { self.copy_of_database() } else { self.state().join("homeostat.db") };
        Connection::open_with_flags(file, flags).unwrap()
    }

    /// SQLite cannot follow a path into a namespace. The daemon stands still while its files are copied.
    fn copy_of_database(&self) -> PathBuf {
        let copy = self.directory.path().join("copy");
        let _ = std::fs::remove_dir_all(&copy);
        std::fs::create_dir(&copy).unwrap();
        self.signal("-STOP");
        for name in ["homeostat.db", "homeostat.db-wal"] {
            if let Ok(bytes) = std::fs::read(self.state().join(name)) {
                std::fs::write(copy.join(name), bytes).unwrap();
            }
        }
        self.signal("-CONT");
        copy.join("homeostat.db")
    }

    fn signal(&self, signal: &str) {
        if let Some(process) = &self.process {
            let status = Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap();
            assert!(status.success());
        }
    }

    fn ask(&self, question: &str) -> i64 {
        self.database().query_row(question, [], |row| row.get(0)).unwrap()
    }

    pub fn stored(&self) -> i64 {
        self.ask("SELECT count(*) FROM readings")
    }

    pub fn last_seq(&self) -> i64 {
        self.ask("SELECT max(seq) FROM readings")
    }

    pub fn first_seq(&self) -> i64 {
        self.ask("SELECT min(seq) FROM readings")
    }

    /// The file is whole, no number is there twice, and time goes with the numbers.
    pub fn assert_whole(&self) {
        let db = self.database();
        let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        assert_eq!(self.ask("SELECT count(*) - count(DISTINCT seq) FROM readings"), 0);
        let backwards =
            "SELECT count(*) FROM (SELECT time - lag(time) OVER (ORDER BY seq) AS step FROM readings) WHERE step < 0";
        assert_eq!(self.ask(backwards), 0);
    }
}

fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a real process lives in real time")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

impl House {
    /// Writes until nothing more fits.
    pub fn fill_disk(&self) {
        let _ = std::fs::write(self.state().join("filler"), vec![0; 8 << 20]);
    }

    pub fn make_room(&self) {
        std::fs::remove_file(self.state().join("filler")).unwrap();
    }

    pub fn set_read_only(&self, read_only: bool) {
        let how = if read_only { "remount,ro" } else { "remount,rw" };
        let state = self.directory.path().join("state");
        let status = self.command("mount").args(["-o", how]).arg(state).status().unwrap();
        assert!(status.success(), "{how}");
    }

    /// Bytes of another kind in the midst of the file and at its head.
    pub fn damage_database(&self) {
        let file = self.state().join("homeostat.db");
        let mut bytes = std::fs::read(&file).unwrap();
        for byte in bytes.iter_mut().skip(16).take(4096) {
            *byte = 0xa5;
        }
        std::fs::write(&file, bytes).unwrap();
    }

    /// How many databases were put aside.
    pub fn put_aside(&self) -> usize {
        let names = std::fs::read_dir(self.state()).unwrap().map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with("homeostat.db.damaged"))
            .filter(|name| !name.to_string_lossy().ends_with("-wal") && !name.to_string_lossy().ends_with("-shm"))
            .count()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        for process in [self.process.take(), self.namespace.take()].into_iter().flatten() {
            let mut process = process;
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
