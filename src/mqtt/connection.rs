//! One connection, from the first byte to the last. Each gets a fresh client, so nothing of an old one can linger.

use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::FutureExt;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Outgoing,
    Packet, PublishOptions, QoS, StateError,
};
use tokio::time;

use super::client::{BEAT, Mqtt, Told};
use super::{MqttError, payload};
use crate::bus::Tap;

/// How many publishes may be on their way at once. The client gives no packet id a second time before it was
/// acknowledged, in whatever order the broker does that.
const WINDOW: u16 = 100;
/// Sensors that tick together are published together, for one wake-up of the processor.
const SETTLE: Duration = Duration::from_millis(2);
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_millis(800);
const CONNECT_TIMEOUT: u64 = 5;
/// Seconds.
const KEEP_ALIVE: u16 = 30;
/// How many beats the broker may say nothing at all: two keep-alives. The client asks whether it is still there only
/// when nothing was published for a keep-alive, so it would not notice while publishes go out and no answer comes.
const SILENCE: u64 = 2 * KEEP_ALIVE as u64 / BEAT.as_secs();
const LARGEST_PACKET: usize = 256 * 1024;
const RETAINED: PublishOptions = PublishOptions::at_least_once().retained();
const NO_ANSWER: &str = "the broker no longer answers";

/// How a connection ended.
pub(super) enum End {
    /// As asked.
    Stopped,
    /// Or not.
    Failed {
        error: MqttError,
        /// Whether it had lasted for a while, so that the trouble is a new one.
        proved: bool,
    },
}

/// Connects, and keeps the broker up to date until `stop` or until the connection breaks.
pub(super) async fn hold(
    mqtt: &Mqtt,
    tap: &Tap,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    beat: &impl Fn(),
    told: &mut Told,
) -> End {
    let (mut connection, mut eventloop) = match Connection::new(mqtt).await {
        Ok(connection) => connection,
        Err(error) => return End::Failed { error, proved: false },
    };
    let mut beats = time::interval(BEAT);
    let mut settle = pin!(time::sleep(SETTLE));
    let mut settling = false;
    let mut farewell = pin!(time::sleep(FAREWELL));
    loop {
        let polled = {
            // A poll that is dropped halfway loses packets, so everything else happens beside it.
            let mut poll = pin!(eventloop.poll());
            loop {
                tokio::select! {
                    polled = &mut poll => break polled,
                    () = tap.filled(), if !settling => {
                        settling = true;
                        settle.set(time::sleep(SETTLE));
                    }
                    () = &mut settle, if settling => {
                        settling = false;
                        // What came in the meantime is taken now, and need not wake us again.
                        let _ = tap.filled().now_or_never();
                        mqtt.collect(tap);
                    }
                    () = &mut stop, if connection.last_words == LastWords::NotYet => {
                        if !connection.is_up {
                            return End::Stopped;
                        }
                        mqtt.collect(tap);
                        connection.last_words = LastWords::Wanted;
                        farewell.set(time::sleep(FAREWELL));
                    }
                    () = &mut farewell, if connection.last_words != LastWords::NotYet => return End::Stopped,
                    _ = beats.tick() => {
                        if let Err(error) = connection.beat() {
                            return connection.end(error);
                        }
                    }
                }
                beat();
                if let Err(error) = connection.feed() {
                    return connection.end(error);
                }
            }
        };
        let fed = match polled {
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return End::Stopped,
            Ok(event) => {
                connection.note(&event, told);
                connection.feed()
            }
            Err(error) => Err(connection.failure(&error)),
        };
        if let Err(error) = fed {
            return connection.end(error);
        }
    }
}

/// What is left to do at the end, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastWords {
    NotYet,
    /// Everything else is to be acknowledged first.
    Wanted,
    /// `offline` is to be acknowledged.
    Said,
    /// The broker is to hear that this is no accident.
    Leaving,
}

struct Connection<'a> {
    mqtt: &'a Mqtt,
    client: AsyncClient,
    login: Option<String>,
    is_up: bool,
    /// How many beats it has been up.
    beats: u64,
    /// How many of them since the broker last said anything.
    silent_beats: u64,
    last_words: LastWords,
}

impl<'a> Connection<'a> {
    async fn new(mqtt: &'a Mqtt) -> Result<(Self, EventLoop), MqttError> {
        let config = mqtt.config();
        let (host, port) = config.broker.endpoint();
        let mut options = MqttOptions::new(mqtt.id(), (host, port));
        options.set_keep_alive(KEEP_ALIVE);
        options.set_inflight(WINDOW);
        options.set_max_request_batch(WINDOW.into());
        options.set_max_packet_size(LARGEST_PACKET, LARGEST_PACKET);
        options.set_last_will(LastWill::new(mqtt.status_topic(), payload::OFFLINE, QoS::AtLeastOnce, true));
        if let Some(username) = &config.username {
            options.set_credentials(username, password(mqtt).await?);
        }
        // Room for the whole window, so that handing over never fails.
        let (client, mut eventloop) = AsyncClient::builder(options).capacity(WINDOW.into()).build();
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_TIMEOUT);
        eventloop.set_network_options(network);
        let login = config.username.clone();
        let last_words = LastWords::NotYet;
        Ok((Self { mqtt, client, login, is_up: false, beats: 0, silent_beats: 0, last_words }, eventloop))
    }

    fn note(&mut self, event: &Event, told: &mut Told) {
        if matches!(event, Event::Incoming(_)) {
            self.silent_beats = 0;
        }
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                self.is_up = true;
                self.mqtt.set_connected(true);
                let mut outbox = self.mqtt.outbox();
                outbox.set(self.mqtt.status_topic(), payload::ONLINE.to_vec());
                outbox.connected(self.mqtt.status_topic());
                drop(outbox);
                told.connected();
            }
            Event::Outgoing(Outgoing::Publish(packet)) => self.mqtt.outbox().sent(*packet),
            Event::Incoming(Packet::PubAck(ack)) => self.mqtt.outbox().acknowledged(ack.pkid),
            _ => {}
        }
    }

    fn beat(&mut self) -> Result<(), MqttError> {
        if self.is_up {
            self.beats += 1;
            self.silent_beats += 1;
        }
        if self.silent_beats > SILENCE { Err(self.lost(NO_ANSWER)) } else { Ok(()) }
    }

    /// Hands over what is due and, at the end, says the last words.
    fn feed(&mut self) -> Result<(), MqttError> {
        if !self.is_up {
            return Ok(());
        }
        self.hand_over()?;
        if self.last_words == LastWords::NotYet || !self.mqtt.outbox().is_settled() {
            return Ok(());
        }
        match self.last_words {
            LastWords::NotYet | LastWords::Leaving => Ok(()),
            LastWords::Wanted => {
                self.last_words = LastWords::Said;
                self.mqtt.outbox().set(self.mqtt.status_topic(), payload::OFFLINE.to_vec());
                self.hand_over()
            }
            LastWords::Said => {
                self.last_words = LastWords::Leaving;
                self.client.try_disconnect().map_err(|_| self.stuck())
            }
        }
    }

    fn hand_over(&self) -> Result<(), MqttError> {
        let mut outbox = self.mqtt.outbox();
        while let Some((topic, payload)) = outbox.next(WINDOW.into()) {
            self.client.try_publish(topic, payload, RETAINED).map_err(|_| self.stuck())?;
        }
        Ok(())
    }

    fn end(&self, error: MqttError) -> End {
        match self.last_words {
            LastWords::NotYet => End::Failed { error, proved: self.beats > 1 },
            _ => End::Stopped,
        }
    }

    fn stuck(&self) -> MqttError {
        self.lost("the client takes no more")
    }

    fn lost(&self, reason: &str) -> MqttError {
        MqttError::Lost { broker: self.mqtt.config().broker.to_string(), reason: reason.into() }
    }

    fn failure(&self, error: &ConnectionError) -> MqttError {
        let broker = self.mqtt.config().broker.to_string();
        match error {
            ConnectionError::ConnectionRefused(
                ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
            ) => {
                let who = match &self.login {
                    Some(username) => format!("the user \"{username}\" with this password"),
                    None => "a client without a username".into(),
                };
                MqttError::Login { broker, who }
            }
            ConnectionError::ConnectionRefused(code) => MqttError::Refused { broker, reason: format!("{code:?}") },
            error if self.is_up => MqttError::Lost { broker, reason: reason(error) },
            error => MqttError::Unreachable { broker, reason: reason(error) },
        }
    }
}

/// What ended a connection, as a person would say it.
fn reason(error: &ConnectionError) -> String {
    match error {
        ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error)) => error.to_string(),
        ConnectionError::NetworkTimeout => format!("no answer within {CONNECT_TIMEOUT} s"),
        ConnectionError::FlushTimeout => format!("nothing could be sent for {CONNECT_TIMEOUT} s"),
        ConnectionError::MqttState(StateError::ConnectionAborted) => "the broker closed it".into(),
        ConnectionError::MqttState(StateError::AwaitPingResp) => NO_ANSWER.into(),
        error => error.to_string(),
    }
}

/// The password file is read anew for each connection, so that it can be put right while we run.
async fn password(mqtt: &Mqtt) -> Result<String, MqttError> {
    let Some(file) = mqtt.config().password_file.clone() else { return Ok(String::new()) };
    let path = file.clone();
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
    let text = read.map_err(std::io::Error::other).flatten().map_err(|source| MqttError::Password { file, source })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
