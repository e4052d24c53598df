//! The real link: `rumqttc` over TCP. Each connection gets a fresh client, so nothing of an old one can linger.

use std::time::Duration;

use futures_util::future::BoxFuture;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Outgoing,
    Packet, PublishOptions, QoS, StateError, SubscribeFilter, SubscribeReasonCode,
};

use super::connection::{KEEP_ALIVE, NO_ANSWER, WINDOW};
use super::link::{Heard, Introduction, Line, Link, Listener, Message, Speaker, Stuck};
use super::outbox::Due;
use super::{Config, MqttError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const LARGEST_PACKET: usize = 256 * 1024;
/// Beside the window, which is never exceeded: subscriptions, and the last word.
const SPARE: usize = 10;

/// The machine's network.
#[derive(Debug, Clone, Copy)]
pub struct Network;

impl Link for Network {
    fn connect<'a>(&'a self, who: Introduction<'a>) -> BoxFuture<'a, Result<Line, MqttError>> {
        Box::pin(connect(who))
    }
}

async fn connect(who: Introduction<'_>) -> Result<Line, MqttError> {
    let config = who.config;
    let (host, port) = config.broker.endpoint();
    let mut options = MqttOptions::new(who.id, (host, port));
    options.set_keep_alive(KEEP_ALIVE);
    options.set_inflight(WINDOW);
    options.set_max_request_batch(WINDOW.into());
    options.set_max_packet_size(LARGEST_PACKET, LARGEST_PACKET);
    options.set_last_will(LastWill::new(who.status_topic, Introduction::OFFLINE, QoS::AtLeastOnce, true));
    if let Some(username) = &config.username {
        options.set_credentials(username, password(config).await?);
    }
    // Room for the whole window, so that handing over never fails.
    let (client, mut eventloop) = AsyncClient::builder(options).capacity(usize::from(WINDOW) + SPARE).build();
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
    eventloop.set_network_options(network);
    let (broker, login) = (config.broker.to_string(), config.username.clone());
    let listener = NetworkListener { eventloop, broker, login, is_up: false };
    Ok(Line { speaker: Box::new(NetworkSpeaker(client)), listener: Box::new(listener) })
}

struct NetworkSpeaker(AsyncClient);

impl Speaker for NetworkSpeaker {
    fn publish(&self, Due { topic, payload, retain }: Due<'_>) -> Result<(), Stuck> {
        let once = PublishOptions::at_least_once();
        self.0.try_publish(topic, payload, if retain { once.retained() } else { once }).map(drop).map_err(|_| Stuck)
    }

    fn subscribe(&self, filters: &[String]) -> Result<(), Stuck> {
        let filters = filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
        self.0.try_subscribe_many(filters).map_err(|_| Stuck)
    }

    fn leave(&self) -> Result<(), Stuck> {
        self.0.try_disconnect().map(drop).map_err(|_| Stuck)
    }
}

struct NetworkListener {
    eventloop: EventLoop,
    broker: String,
    login: Option<String>,
    is_up: bool,
}

impl Listener for NetworkListener {
    fn next(&mut self) -> BoxFuture<'_, Result<Heard, MqttError>> {
        Box::pin(async {
            match self.eventloop.poll().await {
                Ok(event) => Ok(self.heard(event)),
                Err(error) => Err(self.failure(&error)),
            }
        })
    }
}

impl NetworkListener {
    fn heard(&mut self, event: Event) -> Heard {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                self.is_up = true;
                Heard::Connected
            }
            Event::Incoming(Packet::PubAck(ack)) => Heard::Acknowledged(ack.pkid),
            Event::Incoming(Packet::Publish(publish)) => Heard::Message(Message {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload.into(),
                retained: publish.retain,
            }),
            Event::Incoming(Packet::SubAck(answer)) if answer.return_codes.contains(&SubscribeReasonCode::Failure) => {
                Heard::Deaf
            }
            Event::Incoming(_) => Heard::Alive,
            Event::Outgoing(Outgoing::Publish(packet)) => Heard::Sent(packet),
            Event::Outgoing(Outgoing::Disconnect) => Heard::Left,
            Event::Outgoing(_) => Heard::Other,
        }
    }

    fn failure(&self, error: &ConnectionError) -> MqttError {
        let broker = self.broker.clone();
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
    let timeout = CONNECT_TIMEOUT.as_secs();
    match error {
        ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error)) => error.to_string(),
        ConnectionError::NetworkTimeout => format!("no answer within {timeout} s"),
        ConnectionError::FlushTimeout => format!("nothing could be sent for {timeout} s"),
        ConnectionError::MqttState(StateError::ConnectionAborted) => "the broker closed it".into(),
        ConnectionError::MqttState(StateError::AwaitPingResp) => NO_ANSWER.into(),
        error => error.to_string(),
    }
}

/// The password file is read anew for each connection, so that it can be put right while we run.
async fn password(config: &Config) -> Result<String, MqttError> {
    let Some(file) = config.password_file.clone() else { return Ok(String::new()) };
    let path = file.clone();
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
    let text = read.map_err(std::io::Error::other).flatten().map_err(|source| MqttError::Password { file, source })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
