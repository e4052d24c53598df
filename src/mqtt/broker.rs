//! `broker = "embedded"`: a broker in this process, on loopback, for a first look without installing one.
//!
//! It keeps nothing on disk, asks nobody for a password, has no way to be stopped (it ends with the process), and gives a
//! new subscriber at most 100 retained topics at QoS 1 or 2. Mosquitto is the real one.

use std::io;

use super::Broker;

/// Why there is no broker in this process.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Somebody listens there already.
    #[error(
        "port {port} on 127.0.0.1 is already taken, probably by Mosquitto: write broker = \"mqtt://127.0.0.1:{port}\" \
         under [mqtt] to use that one, or broker = \"embedded:{other}\" for a port of its own"
    )]
    Taken {
        /// The port.
        port: u16,
        /// One that may be free.
        other: u16,
    },
    /// It cannot listen there.
    #[error("cannot listen on port {port} of 127.0.0.1: {source}; write another one, broker = \"embedded:1884\"")]
    Listen {
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// It did not come up.
    #[error("the embedded broker did not start on port {port}: {reason}")]
    Silent {
        /// The port.
        port: u16,
        /// What is known.
        reason: String,
    },
    /// Built without it.
    #[error(
        "this homeostat was built without a broker: write broker = \"mqtt://127.0.0.1:1883\" under [mqtt] and install \
         Mosquitto, or build with `--features embedded-broker`"
    )]
    NotBuilt,
}

/// Starts the broker if it is to be an embedded one, and gives back its port once it listens. Blocks for milliseconds;
/// meant for the start, before any actor runs, and only once in a process for each port.
pub fn start_if_embedded(broker: &Broker) -> Result<Option<u16>, BrokerError> {
    match broker {
        Broker::Embedded { port } => start(*port).map(|()| Some(*port)),
        Broker::Remote { .. } => Ok(None),
    }
}

#[cfg(not(feature = "embedded-broker"))]
fn start(_port: u16) -> Result<(), BrokerError> {
    Err(BrokerError::NotBuilt)
}

#[cfg(feature = "embedded-broker")]
fn start(port: u16) -> Result<(), BrokerError> {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
    use std::sync::mpsc::{RecvTimeoutError, sync_channel};
    use std::time::Duration;

    /// It takes about a millisecond; a loaded Pi Zero may need longer.
    const PATIENCE: u32 = 2_000;
    const STEP: Duration = Duration::from_millis(1);

    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // The broker itself would only log that the port is taken.
    drop(TcpListener::bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BrokerError::Taken { port, other: if port < u16::MAX { port + 1 } else { 1884 } },
        _ => BrokerError::Listen { port, source },
    })?);
    let silent = |reason: String| BrokerError::Silent { port, reason };
    let (ended, has_ended) = sync_channel(1);
    std::thread::Builder::new()
        .name("broker".into())
        .spawn(move || {
            // Only returns when it has failed.
            let reason = match rumqttd::Broker::new(settings(address)).start() {
                Ok(()) => "it stopped listening".to_owned(),
                Err(error) => error.to_string(),
            };
            let _ = ended.try_send(reason);
        })
        .map_err(|error| silent(error.to_string()))?;
    for _ in 0..PATIENCE {
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            return Ok(());
        }
        match has_ended.recv_timeout(STEP) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(reason) => return Err(silent(reason)),
            Err(RecvTimeoutError::Disconnected) => return Err(silent("it panicked".into())),
        }
    }
    Err(silent("it does not listen".into()))
}

#[cfg(feature = "embedded-broker")]
fn settings(listen: std::net::SocketAddr) -> rumqttd::Config {
    let connections = rumqttd::ConnectionSettings {
        connection_timeout_ms: 5_000,
        max_payload_size: 256 * 1024,
        max_inflight_count: 500,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = rumqttd::ServerSettings {
        name: "broker-v4".into(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    rumqttd::Config {
        router: rumqttd::RouterConfig {
            max_connections: 100,
            // Also the most retained topics that a QoS 0 subscriber gets.
            max_outgoing_packet_count: 10_000,
            // What a slow subscriber may lag behind; it stays in memory for every filter.
            max_segment_size: 1024 * 1024,
            max_segment_count: 2,
            ..rumqttd::RouterConfig::default()
        },
        v4: Some([("1".to_owned(), server)].into()),
        ..rumqttd::Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_broker_is_left_alone() {
        let remote = Broker::at("pi.local", 1883);
        assert!(matches!(start_if_embedded(&remote), Ok(None)));
    }

    #[cfg(feature = "embedded-broker")]
    #[test]
    fn a_port_that_is_taken_says_what_to_write_instead() {
        let other = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        let error = start_if_embedded(&Broker::Embedded { port }).unwrap_err().to_string();
        assert!(error.contains(&format!("broker = \"mqtt://127.0.0.1:{port}\"")), "{error}");
        assert!(error.contains("broker = \"embedded:"), "{error}");
    }
}
