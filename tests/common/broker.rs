//! Brokers for tests, and a subscriber that shows what anybody else would see there.
//!
//! These use real sockets, so a test with them runs on the real clock and waits for conditions, never for a time.

#![allow(dead_code, reason = "each test uses what it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rumqttc::{Client, Event, MqttOptions, Outgoing, Packet, PublishOptions, QoS};
use tokio::sync::mpsc;

/// A test that waits longer than this has failed.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A port on loopback that nobody uses at the moment.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A message that a subscriber got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub topic: String,
    pub payload: String,
    /// Whether it was there before the subscriber came.
    pub retained: bool,
}

impl Received {
    /// The payload, read as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.payload).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Somebody else at the broker. Runs on a thread of its own, so it also listens while the test's runtime works.
pub struct Subscriber {
    client: Client,
    messages: mpsc::UnboundedReceiver<Received>,
    /// Everything received so far, in order.
    pub seen: Vec<Received>,
}

impl Subscriber {
    /// Subscribes to `filter` without a password; returns when the broker has confirmed it.
    pub async fn new(port: u16, filter: &str) -> Self {
        Self::with_login(port, filter, None).await
    }

    /// The same with a user and a password.
    pub async fn with_login(port: u16, filter: &str, login: Option<(&str, &str)>) -> Self {
        let mut options = MqttOptions::new(format!("subscriber-{}", fastrand::u64(..)), ("127.0.0.1", port));
        if let Some((user, password)) = login {
            options.set_credentials(user, password.to_owned());
        }
        let (client, mut connection) = Client::builder(options).capacity(10).build();
        client.subscribe(filter, QoS::AtLeastOnce).unwrap();
        let (sender, messages) = mpsc::unbounded_channel();
        let (confirm, mut confirmed) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::SubAck(_))) => drop(confirm.send(Ok(()))),
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                        let (topic, payload) = (text(&publish.topic), text(&publish.payload));
                        let message = Received { topic, payload, retained: publish.retain };
                        drop(sender.send(message));
                    }
                    Ok(Event::Outgoing(Outgoing::Disconnect)) => break,
                    Ok(_) => {}
                    Err(error) => return drop(confirm.send(Err(error))),
                }
            }
        });
        let confirmed = tokio::time::timeout(DEADLINE, confirmed.recv()).await.expect("no answer to the subscription");
        confirmed.expect("the subscriber has gone").expect("cannot subscribe");
        Self { client, messages, seen: Vec::new() }
    }

    /// Says something to whoever listens.
    pub fn publish(&self, topic: &str, payload: &str, retain: bool) {
        let once = PublishOptions::at_least_once();
        self.client.publish(topic, payload, if retain { once.retained() } else { once }).unwrap();
    }

    /// Waits for the next message.
    pub async fn next(&mut self) -> Received {
        let message = tokio::time::timeout(DEADLINE, self.messages.recv()).await;
        let message = message.unwrap_or_else(|_| panic!("no further message; seen: {:#?}", self.seen));
        let message = message.unwrap_or_else(|| panic!("the broker has gone; seen: {:#?}", self.seen));
        self.seen.push(message.clone());
        message
    }

    /// Waits for a message, new or already seen, that fits; gives the latest one.
    pub async fn until(&mut self, fits: impl Fn(&Received) -> bool) -> Received {
        loop {
            if let Some(message) = self.seen.iter().rev().find(|message| fits(message)) {
                return message.clone();
            }
            self.next().await;
        }
    }

    /// Waits until the topic's latest payload is this one.
    pub async fn until_latest(&mut self, topic: &str, payload: &str) {
        while self.latest(topic).is_none_or(|latest| latest != payload) {
            self.next().await;
        }
    }

    /// The topic's latest payload so far.
    pub fn latest(&self, topic: &str) -> Option<&str> {
        self.seen.iter().rev().find(|message| message.topic == topic).map(|message| message.payload.as_str())
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.client.try_disconnect();
    }
}

/// A Mosquitto of the test's own, without persistence. It ends with this value.
pub struct Mosquitto {
    pub port: u16,
    process: Child,
    directory: tempfile::TempDir,
}

impl Mosquitto {
    /// Starts one on a free port that lets everybody in.
    pub async fn start() -> Self {
        Self::on(free_port(), "allow_anonymous true").await
    }

    /// Starts one on a free port that knows one user.
    pub async fn with_user(user: &str, password: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("passwords");
        let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&file).args([user, password]).output();
        assert!(made.expect("mosquitto_passwd is not installed").status.success());
        let settings = format!("allow_anonymous false\npassword_file {}", file.display());
        Self::within(directory, free_port(), &settings).await
    }

    /// Starts one on a certain port, for a broker that comes back.
    pub async fn on(port: u16, settings: &str) -> Self {
        Self::within(tempfile::tempdir().unwrap(), port, settings).await
    }

    async fn within(directory: tempfile::TempDir, port: u16, settings: &str) -> Self {
        let config = directory.path().join("mosquitto.conf");
        // Started by root it would become a user who cannot read our directory.
        let text = format!("listener {port} 127.0.0.1\npersistence false\nuser root\n{settings}\n");
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let process = Command::new(program())
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("mosquitto is not installed");
        let mut broker = Self { port, process, directory };
        broker.wait_until_it_listens().await;
        broker
    }

    async fn wait_until_it_listens(&mut self) {
        let listening = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                if let Some(status) = self.process.try_wait().unwrap() {
                    panic!("mosquitto: {status}: {}", log(self.directory.path()));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, listening).await.expect("mosquitto does not listen");
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn log(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("log")).unwrap_or_default()
}

/// Debian puts it where a user's PATH does not look.
fn program() -> PathBuf {
    let system = PathBuf::from("/usr/sbin/mosquitto");
    if system.exists() { system } else { "mosquitto".into() }
}
