//! What the bench measures with: a broker, a subscriber that counts, and a process that is looked at from outside.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};

/// A Mosquitto on a free port of loopback.
pub struct Broker {
    pub port: u16,
    process: Child,
    _directory: tempfile::TempDir,
}

impl Broker {
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("mosquitto.conf");
        let text =
            format!("listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true\n");
        std::fs::write(&config, text).unwrap();
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let process = Command::new("mosquitto")
            .env("PATH", path)
            .arg("-c")
            .arg(config)
            .stderr(Stdio::null())
            .spawn()
            .expect("the bench needs mosquitto: apt install mosquitto");
        let broker = Self { port, process, _directory: directory };
        let deadline = Instant::now() + Duration::from_secs(5);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "mosquitto does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        broker
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Counts readings as they arrive at somebody else.
pub struct Subscriber {
    client: Client,
    seen: Arc<AtomicU64>,
}

impl Subscriber {
    /// Is subscribed when it returns, and has seen what was retained from earlier runs.
    pub fn connect(port: u16) -> Self {
        let mut options = MqttOptions::new(format!("subscriber-{}", fastrand::u32(..)), ("127.0.0.1", port));
        options.set_keep_alive(60);
        let (client, mut connection) = Client::builder(options).capacity(10).build();
        // Live values; pages of the history are larger than this client takes.
        client.subscribe("homeostat/+/+/+", QoS::AtMostOnce).unwrap();
        let seen = Arc::new(AtomicU64::new(0));
        let (count, (subscribed, ready)) = (seen.clone(), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::SubAck(_))) => subscribed.send(()).unwrap(),
                    Ok(Event::Incoming(Packet::Publish(message))) => {
                        // What was retained is of an earlier run.
                        if !message.retain && message.payload.starts_with(b"{\"value\"") {
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
        ready.recv_timeout(Duration::from_secs(5)).expect("subscribed");
        Self { client, seen }
    }

    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    pub fn first_reading(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.seen() == 0 {
            assert!(Instant::now() < deadline, "no reading arrived");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.client.disconnect();
    }
}

/// A process that is being measured.
pub struct Victim {
    process: Child,
}

/// What was seen of it.
#[derive(Debug)]
pub struct Measured {
    pub published: u64,
    pub stored: u64,
    pub cpu: Duration,
    pub time: Duration,
    pub peak_mb: f64,
}

impl Measured {
    pub fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.published.max(1) as f64
    }

    /// The part of what was stored that was published too.
    pub fn whole(&self) -> f64 {
        self.published as f64 / self.stored.max(1) as f64
    }

    pub fn rate(&self) -> f64 {
        self.published.min(self.stored) as f64 / self.time.as_secs_f64()
    }
}

impl Victim {
    /// The daemon as people run it, with simulated 1-Wire sensors.
    pub fn daemon(port: u16, directory: &Path, sensors: u32, every: &str) -> Self {
        let mut config = format!(
            "[node]\nname = \"bench\"\nhardware = \"simulated\"\n\n[mqtt]\nbroker = \"mqtt://127.0.0.1:{port}\"\n"
        );
        for sensor in 0..sensors {
            write!(
                config,
                "\n[sensors.s{sensor}]\ndriver = \"ds18b20\"\nid = \"28-{sensor:012x}\"\nevery = \"{every}\"\n"
            )
            .unwrap();
        }
        let file = directory.join("bench.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_homeostat"));
        // As systemd gives it: in memory.
        let runtime = Path::new("/dev/shm").join(format!("homeostat-bench-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&runtime);
        std::fs::create_dir(&runtime).unwrap();
        command.arg("run").arg(file).env("RUST_LOG", "warn").env("STATE_DIRECTORY", directory);
        command.env("RUNTIME_DIRECTORY", runtime);
        Self { process: command.stdout(Stdio::null()).spawn().unwrap() }
    }

    /// The plain loop.
    pub fn floor(port: u16, database: &Path, time: Duration, load: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["floor", &port.to_string()]).arg(database).arg(time.as_secs().to_string()).arg(load);
        Self { process: command.spawn().unwrap() }
    }

    /// Looks at it for `time`, then has it stop in good order and counts what it stored.
    pub fn measure(mut self, subscriber: &Subscriber, database: &Path, time: Duration) -> Measured {
        let (began, cpu, seen) = (Instant::now(), self.cpu(), subscriber.seen());
        std::thread::sleep(time);
        let (time, cpu, published) = (began.elapsed(), self.cpu().saturating_sub(cpu), subscriber.seen() - seen);
        let peak_mb = self.peak_mb();
        self.interrupt();
        // What was on its way in or out at either end: all that is stored against all that was seen, over the same while.
        let total = settled(subscriber);
        let stored = rows(database).saturating_sub(total - published);
        Measured { published, stored, cpu, time, peak_mb }
    }

    /// CPU time of all threads that live.
    fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let of = |task: std::io::Result<std::fs::DirEntry>| -> u64 {
            let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
            text.split_whitespace().next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0)
        };
        Duration::from_nanos(tasks.map(of).sum())
    }

    fn peak_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        let kilobytes: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kilobytes / 1024.0
    }

    fn interrupt(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until nothing more arrives.
fn settled(subscriber: &Subscriber) -> u64 {
    let mut seen = subscriber.seen();
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let now = subscriber.seen();
        if now == seen {
            return seen;
        }
        seen = now;
    }
}

fn rows(database: &Path) -> u64 {
    let database = rusqlite::Connection::open(database).unwrap();
    let rows: i64 = database.query_row("SELECT count(*) FROM readings", [], |row| row.get(0)).unwrap();
    rows.unsigned_abs()
}
