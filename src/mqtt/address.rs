//! How a broker is named in the file: `"mqtt://host:1883"` or `"embedded"`.

use std::fmt;

use toml::de::DeValue;

use crate::config::Value;

/// The port that is MQTT's by custom.
const PORT: u16 = 1883;

/// Which broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broker {
    /// One in this process, on loopback.
    Embedded {
        /// Where it listens.
        port: u16,
    },
    /// `mqtt://host:port`
    Remote {
        /// Name or address; an IPv6 address stands in brackets.
        host: String,
        /// 1883 if not given.
        port: u16,
    },
}

impl Broker {
    /// The host and the port to connect to.
    pub fn endpoint(&self) -> (&str, u16) {
        match self {
            Self::Embedded { port } => ("127.0.0.1", *port),
            Self::Remote { host, port } => (host, *port),
        }
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
        match scheme {
            "mqtt" => {}
            "mqtts" | "ssl" | "tls" => return Err("TLS is not there yet: write \"mqtt://…\"".into()),
            _ => return Err(HINT.into()),
        }
        if rest.contains('@') {
            return Err("a password does not belong here: use `username` and `password_file`".into());
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // The last colon begins the port, unless it stands within an IPv6 address's brackets.
        let (host, port) = match rest.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((host, port)) => (host, read_port(port)?),
            None => (rest, PORT),
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let fits = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_')),
        };
        if fits { Ok(Self::Remote { host: host.to_owned(), port }) } else { Err(HINT.into()) }
    }
}

fn read_port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|&port| port > 0).ok_or_else(|| "a port is a number from 1 to 65535".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let embedded = |broker: Broker| if matches!(broker, Broker::Embedded { .. }) { "own " } else { "" };
        Broker::read(&DeValue::String(text.into())).map(|broker| format!("{}{broker}", embedded(broker.clone())))
    }

    #[test]
    fn reads_what_people_write() {
        let cases = [
            ("embedded", "own 127.0.0.1:1883"),
            ("embedded:1884", "own 127.0.0.1:1884"),
            ("mqtt://127.0.0.1", "127.0.0.1:1883"),
            ("mqtt://pi.local:1884/", "pi.local:1884"),
            ("mqtt://[::1]:1884", "[::1]:1884"),
            ("mqtt://[fe80::1]", "[fe80::1]:1883"),
        ];
        for (text, broker) in cases {
            assert_eq!(read(text).as_deref(), Ok(broker), "{text:?}");
        }
    }

    #[test]
    fn says_what_would_do() {
        let cases = [
            ("mqtts://pi", "TLS is not there yet"),
            ("mqtt://me:secret@pi", "use `username` and `password_file`"),
            ("pi.local:1883", "write \"mqtt://pi.local:1883\""),
            ("embedded:0", "from 1 to 65535"),
            ("mqtt://pi:99999", "from 1 to 65535"),
            ("mqtt://", "write \"mqtt://127.0.0.1:1883\""),
            ("mqtt://[::g]", "write \"mqtt://127.0.0.1:1883\""),
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
}
