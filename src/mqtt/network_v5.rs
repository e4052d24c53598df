//! The same link for MQTT 5: another client library of the same family, whose types are its own. What differs for us: the broker
//! says how many publishes may be on their way, and why it ends a connection.

use futures_util::future::BoxFuture;
use rumqttc5::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Outgoing,
    Packet, PubAckReason, PublishOptions, QoS, StateError, SubscribeFilter, SubscribeReasonCode, TlsConfiguration,
    Transport, mqttbytes,
};

use super::conversation::{KEEP_ALIVE, WINDOW};
use super::failure::{Attempt, Cause, PATIENCE};
use super::link::{Heard, Introduction, Line, Listener, Message, Speaker, Stuck};
use super::network::{Kept, LARGEST_PACKET, SPARE};
use super::outbox::Due;
use super::{Broker, MqttError};
use crate::secret::Secret;

/// Prepares a line.
pub(super) async fn connect(who: Introduction<'_>) -> Result<Line, MqttError> {
    let config = who.config;
    let broker = &config.broker;
    let unreachable = |reason: String| MqttError::Unreachable { broker: broker.to_string(), reason };
    let kept = Kept::read(config).await?;
    let mut options = towards(who.id, broker, kept.tls).map_err(unreachable)?;
    options.set_keep_alive(KEEP_ALIVE);
    options.set_outgoing_inflight_upper_limit(WINDOW);
    options.set_max_request_batch(WINDOW.into());
    options.set_max_packet_size(u32::try_from(LARGEST_PACKET).ok());
    options.set_last_will(LastWill::new(who.status_topic, Introduction::OFFLINE, QoS::AtLeastOnce, true, None));
    if let Some(login) = &config.login {
        let password = kept.password.as_ref().map_or("", Secret::expose);
        options.set_credentials(&login.username, password.to_owned());
    }
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(PATIENCE.as_secs());
    options.set_network_options(network);
    options.set_connect_timeout(PATIENCE);
    // Room for the whole window, so that handing over never fails.
    let client = AsyncClient::builder(options).capacity(usize::from(WINDOW) + SPARE).try_build();
    let (client, eventloop) = client.map_err(|error| unreachable(error.to_string()))?;
    let listener = Ear { eventloop, attempt: Attempt::new(config), is_up: false };
    Ok(Line { speaker: Box::new(Mouth(client)), listener: Box::new(listener) })
}

fn towards(id: &str, broker: &Broker, tls: Option<TlsConfiguration>) -> Result<MqttOptions, String> {
    let (host, port) = broker.endpoint();
    #[cfg(feature = "websocket")]
    if let Broker::Remote { websocket: Some(_), .. } = broker {
        let options = match tls {
            Some(tls) => MqttOptions::websocket_with_tls_config(id, broker.url(), tls),
            None => rumqttc5::Broker::websocket(broker.url()).map(|broker| MqttOptions::new(id, broker)),
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

struct Mouth(AsyncClient);

impl Speaker for Mouth {
    fn publish(&self, Due { topic, payload, retain }: Due<'_>) -> Result<(), Stuck> {
        let once = PublishOptions::at_least_once();
        self.0.try_publish(topic, payload, if retain { once.retained() } else { once }).map_err(|_| Stuck)
    }

    fn subscribe(&self, filters: &[String]) -> Result<(), Stuck> {
        let filters = filters.iter().map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce));
        self.0.try_subscribe_many(filters).map_err(|_| Stuck)
    }

    fn leave(&self) -> Result<(), Stuck> {
        self.0.try_disconnect().map_err(|_| Stuck)
    }
}

struct Ear {
    eventloop: EventLoop,
    attempt: Attempt,
    is_up: bool,
}

impl Listener for Ear {
    fn next(&mut self) -> BoxFuture<'_, Result<Heard, MqttError>> {
        Box::pin(async {
            match self.eventloop.poll().await {
                Ok(event) => Ok(self.heard(event)),
                Err(error) => Err(self.attempt.failed(cause(&error), self.is_up)),
            }
        })
    }
}

impl Ear {
    fn heard(&mut self, event: Event) -> Heard {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                self.is_up = true;
                // A broker may ask to be pinged less often; then we would take its silence for its end.
                self.eventloop.options.set_keep_alive(KEEP_ALIVE);
                Heard::Connected
            }
            Event::Incoming(Packet::PubAck(ack)) => match ack.reason {
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Heard::Acknowledged(ack.pkid),
                _ => Heard::Refused(ack.pkid),
            },
            Event::Incoming(Packet::Publish(publish)) => Heard::Message(Message {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload.into(),
                retained: publish.retain,
            }),
            Event::Incoming(Packet::SubAck(answer)) => {
                let granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
                if answer.return_codes.iter().all(granted) { Heard::Alive } else { Heard::Deaf }
            }
            Event::Incoming(_) => Heard::Alive,
            Event::Outgoing(Outgoing::Publish(packet)) => Heard::Sent(packet),
            Event::Outgoing(Outgoing::Disconnect) => Heard::Left,
            Event::Outgoing(_) | Event::Auth(_) => Heard::Other,
        }
    }
}

fn cause(error: &ConnectionError) -> Cause<'_> {
    use mqttbytes::Error::Io as Wire;
    use mqttbytes::v5::DisconnectReasonCode as Farewell;
    match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => match code {
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => Cause::Login,
            ConnectReturnCode::UnsupportedProtocolVersion | ConnectReturnCode::RefusedProtocolVersion => {
                Cause::Refused("it does not speak MQTT 5; write `protocol = \"3.1.1\"` under [mqtt]".into())
            }
            code => Cause::Refused(format!("{code:?}")),
        },
        ConnectionError::Tls(error) => Cause::Tls(error),
        ConnectionError::Io(error)
        | ConnectionError::MqttState(StateError::Io(error) | StateError::Deserialization(Wire(error))) => {
            Cause::Io(error)
        }
        ConnectionError::Timeout(_) => Cause::Timeout,
        ConnectionError::MqttState(StateError::ConnectionAborted) => Cause::Closed,
        ConnectionError::MqttState(StateError::AwaitPingResp) => Cause::Silent,
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => match reason_code {
            Farewell::SessionTakenOver => {
                Cause::Other("another client has come with our name; is there a second node of this name?".into())
            }
            Farewell::ServerShuttingDown => Cause::Other("the broker is going down".into()),
            code => Cause::Other(format!("the broker ends it: {code:?}")),
        },
        ConnectionError::NotConnAck(_) => Cause::Garbage("its first packet is no answer".into()),
        ConnectionError::MqttState(StateError::Deserialization(error)) => Cause::Garbage(error.to_string()),
        error => Cause::Other(error.to_string()),
    }
}
