//! The real link: `rumqttc` over TCP. Each connection gets a fresh client, so nothing of an old one can linger.

use futures_util::future::BoxFuture;
use rumqttc::mqttbytes;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Outgoing,
    Packet, PublishOptions, QoS, StateError, SubscribeFilter, SubscribeReasonCode, TlsConfiguration, Transport,
};

use super::conversation::{KEEP_ALIVE, WINDOW};
use super::failure::{Attempt, Cause, PATIENCE};
use super::link::{Heard, Introduction, Line, Link, Listener, Message, Speaker, Stuck};
use super::outbox::Due;
use super::{Broker, Config, MqttError, PASSWORD, Protocol, network_v5};
use crate::secret::Secret;

pub(super) const LARGEST_PACKET: usize = 256 * 1024;
/// Beside the window, which is never exceeded: subscriptions, and the last word.
pub(super) const SPARE: usize = 10;

/// The machine's network.
#[derive(Debug, Clone, Copy)]
pub struct Network;

impl Link for Network {
    fn connect<'a>(&'a self, who: Introduction<'a>) -> BoxFuture<'a, Result<Line, MqttError>> {
        match who.config.protocol {
            Protocol::V3 => Box::pin(connect(who)),
            Protocol::V5 => Box::pin(network_v5::connect(who)),
        }
    }
}

async fn connect(who: Introduction<'_>) -> Result<Line, MqttError> {
    let config = who.config;
    let kept = Kept::read(config).await?;
    let unreachable = |reason| MqttError::Unreachable { broker: config.broker.to_string(), reason };
    let mut options = towards(who.id, &config.broker, kept.tls).map_err(unreachable)?;
    options.set_keep_alive(KEEP_ALIVE);
    options.set_inflight(WINDOW);
    options.set_max_request_batch(WINDOW.into());
    options.set_max_packet_size(LARGEST_PACKET, LARGEST_PACKET);
    options.set_last_will(LastWill::new(who.status_topic, Introduction::OFFLINE, QoS::AtLeastOnce, true));
    if let Some(login) = &config.login {
        let password = kept.password.as_ref().map_or("", Secret::expose);
        options.set_credentials(&login.username, password.to_owned());
    }
    // Room for the whole window, so that handing over never fails.
    let (client, mut eventloop) = AsyncClient::builder(options).capacity(usize::from(WINDOW) + SPARE).build();
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(PATIENCE.as_secs());
    eventloop.set_network_options(network);
    let listener = NetworkListener { eventloop, attempt: Attempt::new(config), is_up: false };
    Ok(Line { speaker: Box::new(NetworkSpeaker(client)), listener: Box::new(listener) })
}

/// What is kept in files and their like. Read anew for each connection, so that it can be put right while we run.
pub(super) struct Kept {
    pub(super) password: Option<Secret>,
    pub(super) tls: Option<TlsConfiguration>,
}

impl Kept {
    pub(super) async fn read(config: &Config) -> Result<Self, MqttError> {
        let config = config.clone();
        let read = tokio::task::spawn_blocking(move || {
            let password = match config.login.and_then(|login| login.password) {
                None => None,
                Some(source) => {
                    let key = PASSWORD.of(&source);
                    Some(source.read().map_err(|unreadable| MqttError::Password { unreadable, key })?)
                }
            };
            let tls = if config.broker.is_secure() { Some(config.tls.load()?) } else { None };
            Ok(Self { password, tls })
        });
        read.await.unwrap_or_else(|error| Err(MqttError::NoTls { reason: error.to_string() }))
    }
}

/// Options for a client towards that broker, with or without TLS around, and a websocket within that.
fn towards(id: &str, broker: &Broker, tls: Option<TlsConfiguration>) -> Result<MqttOptions, String> {
    let (host, port) = broker.endpoint();
    #[cfg(feature = "websocket")]
    if let Broker::Remote { websocket: Some(_), .. } = broker {
        let options = match tls {
            Some(tls) => MqttOptions::websocket_with_tls_config(id, broker.url(), tls),
            None => rumqttc::Broker::websocket(broker.url()).map(|broker| MqttOptions::new(id, broker)),
        };
        return options.map_err(|error| error.to_string());
    }
    let Some(tls) = tls else { return Ok(MqttOptions::new(id, (host, port))) };
    // The name that the certificate must have, which is without brackets.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut options = MqttOptions::new(id, (host, port));
    options.set_transport(Transport::tls_with_config(tls));
    Ok(options)
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
    attempt: Attempt,
    is_up: bool,
}

impl Listener for NetworkListener {
    fn next(&mut self) -> BoxFuture<'_, Result<Heard, MqttError>> {
        Box::pin(async {
            match self.eventloop.poll().await {
                Ok(event) => Ok(self.heard(event)),
                Err(error) => Err(self.attempt.failed(cause(&error), self.is_up)),
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
}

fn cause(error: &ConnectionError) -> Cause<'_> {
    use mqttbytes::Error::Io as Wire;
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => Cause::Login,
        ConnectionError::ConnectionRefused(code) => Cause::Refused(format!("{code:?}")),
        ConnectionError::Tls(error) => Cause::Tls(error),
        ConnectionError::Io(error)
        | ConnectionError::MqttState(StateError::Io(error) | StateError::Deserialization(Wire(error))) => {
            Cause::Io(error)
        }
        ConnectionError::NetworkTimeout => Cause::Timeout,
        ConnectionError::FlushTimeout => Cause::Stalled,
        ConnectionError::MqttState(StateError::ConnectionAborted) => Cause::Closed,
        ConnectionError::MqttState(StateError::AwaitPingResp) => Cause::Silent,
        ConnectionError::NotConnAck(_) => Cause::Garbage("its first packet is no answer".into()),
        ConnectionError::MqttState(StateError::Deserialization(mqttbytes::Error::PayloadSizeLimitExceeded(bytes))) => {
            Cause::TooLarge(*bytes)
        }
        ConnectionError::MqttState(StateError::Deserialization(error)) => Cause::Garbage(error.to_string()),
        error => Cause::Other(error.to_string()),
    }
}
