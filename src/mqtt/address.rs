//! How a broker is named in the file: `"mqtt://host:1883"`, `"mqtts://host:8883"` or `"embedded"`.

use std::fmt;

use toml::de::DeValue;

use crate::config::Value;

/// The port that is MQTT's by custom, and the one for TLS.
const PORT: u16 = 1883;
const TLS_PORT: u16 = 8883;
/// The path that brokers listen at by custom.
const PATH: &str = "/mqtt";

/// Which broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broker {
    /// One in this process, on loopback.
    Embedded {
        /// Where it listens.
        port: u16,
    },
    /// `mqtt://host:port`, `mqtts://…`, `ws://…/path` or `wss://…/path`
    Remote {
        /// Name or address; an IPv6 address stands in brackets.
        host: String,
        /// 1883 if not given; with TLS 8883, as a website 80 or 443.
        port: u16,
        /// Whether all is said within TLS.
        tls: bool,
        /// The path, if MQTT comes within a websocket.
        websocket: Option<String>,
    },
}

impl Broker {
    /// `mqtt://host:port`
    pub fn at(host: &str, port: u16) -> Self {
        Self::Remote { host: host.to_owned(), port, tls: false, websocket: None }
    }

    /// Whether all is said within TLS.
    pub fn is_secure(&self) -> bool {
        matches!(self, Self::Remote { tls: true, .. })
    }

    /// As it is written in the file: `mqtts://pi.local:8883`
    pub fn url(&self) -> String {
        match self {
            Self::Embedded { .. } => format!("mqtt://{self}"),
            Self::Remote { tls, websocket, .. } => {
                let scheme = scheme(*tls, websocket.is_some());
                format!("{scheme}://{self}{}", websocket.as_deref().unwrap_or_default())
            }
        }
    }

    /// The host and the port to connect to.
    pub fn endpoint(&self) -> (&str, u16) {
        match self {
            Self::Embedded { port } => ("127.0.0.1", *port),
            Self::Remote { host, port, .. } => (host, *port),
        }
    }
}

fn scheme(tls: bool, websocket: bool) -> &'static str {
    match (tls, websocket) {
        (false, false) => "mqtt",
        (true, false) => "mqtts",
        (false, true) => "ws",
        (true, true) => "wss",
    }
}

/// `127.0.0.1:1883`
impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = self.endpoint();
        write!(f, "{host}:{port}")
    }
}

impl Value for Broker {
    const EXPECTED: &'static str = "the address of a broker";
    const EXAMPLE: &'static str = "\"mqtt://127.0.0.1:1883\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        const HINT: &str = "write \"mqtt://127.0.0.1:1883\", or \"embedded\" for a broker in the process";
        let text = value.as_str().ok_or(HINT)?.trim();
        if text == "embedded" {
            return Ok(Self::Embedded { port: PORT });
        }
        if let Some(port) = text.strip_prefix("embedded:") {
            return Ok(Self::Embedded { port: read_port(port)? });
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            let address = !text.is_empty() && !text.contains(['/', '@', ' ']);
            return Err(if address { format!("write \"mqtt://{text}\"") } else { HINT.into() });
        };
        let (tls, websocket) = match scheme {
            "mqtt" | "tcp" => (false, false),
            "mqtts" | "ssl" | "tls" => (true, false),
            "ws" => (false, true),
            "wss" => (true, true),
            _ => return Err(HINT.into()),
        };
        if websocket && !cfg!(feature = "websocket") {
            return Err("this homeostat was built without websockets: build it with `cargo build --release \
                        --features websocket`, or use \"mqtt://…\" or \"mqtts://…\""
                .into());
        }
        if rest.contains('@') {
            return Err("a password does not belong here: use `username` and `password_file`".into());
        }
        let (rest, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = match path {
            "" | "/" if websocket => Some(PATH.to_owned()),
            path if websocket => Some(path.to_owned()).filter(|path| path.chars().all(|c| c.is_ascii_graphic())),
            "" | "/" => None,
            _ => return Err(HINT.into()),
        };
        if websocket && path.is_none() {
            return Err(HINT.into());
        }
        let usual = match (tls, websocket) {
            (false, false) => PORT,
            (true, false) => TLS_PORT,
            (false, true) => 80,
            (true, true) => 443,
        };
        // The last colon begins the port, unless it stands within an IPv6 address's brackets.
        let (host, port) = match rest.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((host, port)) => (host, read_port(port)?),
            None => (rest, usual),
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let fits = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_')),
        };
        if fits { Ok(Self::Remote { host: host.to_owned(), port, tls, websocket: path }) } else { Err(HINT.into()) }
    }
}

fn read_port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|&port| port > 0).ok_or_else(|| "a port is a number from 1 to 65535".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let embedded = |broker: &Broker| if matches!(broker, Broker::Embedded { .. }) { "own " } else { "" };
        Broker::read(&DeValue::String(text.into())).map(|broker| format!("{}{}", embedded(&broker), broker.url()))
    }

    #[test]
    fn reads_what_people_write() {
        let cases = [
            ("embedded", "own mqtt://127.0.0.1:1883"),
            ("embedded:1884", "own mqtt://127.0.0.1:1884"),
            ("mqtt://127.0.0.1", "mqtt://127.0.0.1:1883"),
            ("mqtt://pi.local:1884/", "mqtt://pi.local:1884"),
            ("mqtt://[::1]:1884", "mqtt://[::1]:1884"),
            ("mqtt://[fe80::1]", "mqtt://[fe80::1]:1883"),
            ("mqtts://pi.local", "mqtts://pi.local:8883"),
            ("ssl://[::1]:1883/", "mqtts://[::1]:1883"),
        ];
        for (text, broker) in cases {
            assert_eq!(read(text).as_deref(), Ok(broker), "{text:?}");
        }
    }

    #[test]
    fn says_what_would_do() {
        let cases = [
            ("mqtt://me:secret@pi", "use `username` and `password_file`"),
            ("pi.local:1883", "write \"mqtt://pi.local:1883\""),
            ("embedded:0", "from 1 to 65535"),
            ("mqtt://pi:99999", "from 1 to 65535"),
            ("mqtt://", "write \"mqtt://127.0.0.1:1883\""),
            ("mqtt://[::g]", "write \"mqtt://127.0.0.1:1883\""),
            ("mqtt://pi/path", "write \"mqtt://127.0.0.1:1883\""),
            ("mqtt://a b", "write \"mqtt://127.0.0.1:1883\""),
            ("http://pi", "write \"mqtt://127.0.0.1:1883\""),
            ("", "write \"mqtt://127.0.0.1:1883\""),
        ];
        for (text, hint) in cases {
            let error = read(text).unwrap_err();
            assert!(error.contains(hint), "{text:?}: {error}");
            assert!(!error.contains("secret"));
        }
    }

    #[cfg(feature = "websocket")]
    #[test]
    fn a_websocket_has_a_path() {
        assert_eq!(read("ws://pi:9001").as_deref(), Ok("ws://pi:9001/mqtt"));
        assert_eq!(read("wss://pi/broker/ws?x=1").as_deref(), Ok("wss://pi:443/broker/ws?x=1"));
        assert!(read("ws://pi/a b").is_err() && read("ws://me:secret@pi").unwrap_err().contains("password_file"));
    }

    #[cfg(not(feature = "websocket"))]
    #[test]
    fn without_websockets_it_says_how_to_build_with_them() {
        assert!(read("wss://pi").unwrap_err().contains("--features websocket"));
    }
}
