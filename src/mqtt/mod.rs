//! The latest of everything at an MQTT broker, under `homeostat/<node>/`, retained and acknowledged.
//!
//! ```text
//! bus ─tap─▶ run ─▶ outbox (newest payload of each topic) ─▶ rumqttc ─▶ broker
//!                      ▲─────────── acknowledged ─────────────┘
//! ```
//!
//! The client library forgets what it was given when a connection breaks. So the outbox remembers, for each topic, the
//! newest payload and whether the broker has acknowledged it, and says everything again after each new connection.
//! The clients are named in `network.rs` and `network_v5.rs`, and their TLS in `tls.rs` and `failure.rs`; `rumqttd` in
//! `broker.rs`. docs/mqtt-client.md says why these clients.

mod address;
mod announcer;
mod backoff;
pub mod broker;
mod client;
pub mod commands;
mod connection;
mod conversation;
pub mod discovery;
mod error;
mod failure;
pub mod history;
pub mod link;
mod network;
mod network_v5;
pub mod outbox;
mod payload;
mod portion;
pub mod tls;
mod topics;

use toml::de::DeValue;

use crate::config::{Section, Value};
use crate::secret::{PASSWORD, Source};

pub use address::Broker;
pub use client::{Behind, Mqtt, run};
pub use error::MqttError;
pub use link::Link;
pub use network::Network;
pub use topics::base;

/// The `[mqtt]` table, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to.
    pub broker: Broker,
    /// Who we are there, if it asks.
    pub login: Option<Login>,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Whom to trust, and who we are, within TLS.
    pub tls: tls::Files,
    /// Whether it takes commands.
    pub commands: bool,
    /// How Home Assistant is told what there is; `None`: not at all.
    pub home_assistant: Option<discovery::Settings>,
}

/// A user at the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub username: String,
    /// Where the password is kept.
    pub password: Option<Source>,
}

/// The version of MQTT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// 3.1.1, which every broker speaks.
    #[default]
    V3,
    /// 5
    V5,
}

impl Value for Protocol {
    const EXPECTED: &'static str = "a version of MQTT";
    const EXAMPLE: &'static str = "\"3.1.1\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("3.1.1") => Ok(Self::V3),
            Some("5" | "5.0") => Ok(Self::V5),
            _ => Err("write \"3.1.1\" or \"5\"".into()),
        }
    }
}

impl Config {
    /// To this broker, and nothing else asked for.
    pub fn to(broker: Broker) -> Self {
        let (protocol, tls) = (Protocol::default(), tls::Files::default());
        Self { broker, login: None, protocol, tls, commands: true, home_assistant: None }
    }

    /// Reads `[mqtt]`. What is wrong is reported to the section.
    pub fn read(section: Section) -> Option<Self> {
        let broker = section.required::<Broker>("broker");
        let login = login(&section);
        let protocol = section.or("protocol", Protocol::default());
        if let (Some(Broker::Embedded { .. }), Protocol::V5) = (&broker, protocol) {
            section.wrong("protocol", "the embedded broker does not speak MQTT 5", "write \"3.1.1\"");
        }
        let home_assistant = section.or("home_assistant", discovery::HomeAssistant::default()).0;
        let tls = tls::Files::read(&section, broker.as_ref());
        let commands = section.or("commands", true);
        section.finish();
        broker.map(|broker| Self { broker, login, protocol, tls, commands, home_assistant })
    }
}

fn login(section: &Section<'_>) -> Option<Login> {
    let username = section.optional::<String>("username");
    if section.has("password") {
        let message = format!("a password does not belong in the file: `password` of {}", section.what());
        let hint = format!(
            "write it to a file that only homeostat can read, and `{} = \"/etc/homeostat/mqtt.password\"` here; `{}` and \
             `{}` are other ways",
            PASSWORD.file, PASSWORD.environment, PASSWORD.credential
        );
        section.wrong("password", message, hint);
    }
    let password = Source::of(section, &PASSWORD);
    if let (Some(source), false) = (&password, section.has("username")) {
        section.wrong(PASSWORD.of(source), "a password needs a user", "add `username = \"…\"`");
    }
    username.map(|username| Login { username, password })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use toml::de::DeTable;

    use super::*;

    fn read(text: &str) -> (Option<Config>, Vec<(String, String)>) {
        let found = RefCell::default();
        let table = DeTable::parse(text).unwrap();
        let config = Config::read(Section::new("mqtt", 0..0, table.get_ref(), &found));
        (config, found.into_inner().into_iter().map(|diagnostic| (diagnostic.message, diagnostic.hint)).collect())
    }

    #[test]
    fn a_broker_is_enough() {
        let (config, found) = read("broker = \"embedded\"");
        assert_eq!(found, []);
        assert_eq!(config, Some(Config::to(Broker::Embedded { port: 1883 })));
    }

    #[test]
    fn tls_a_login_and_a_version_are_read() {
        let (config, found) = read(
            "broker = \"mqtts://pi\"\nca_file = \"/ca\"\nclient_certificate = \"/c\"\nclient_key = \"/k\"\n\
             username = \"me\"\npassword_credential = \"mqtt\"\nprotocol = \"5\"",
        );
        assert_eq!(found, []);
        let login = Login { username: "me".into(), password: Some(Source::Credential("mqtt".into())) };
        let identity = tls::Identity { certificate: "/c".into(), key: "/k".into() };
        let broker = Broker::Remote { host: "pi".into(), port: 8883, tls: true, websocket: None };
        let expected = Config {
            login: Some(login),
            protocol: Protocol::V5,
            tls: tls::Files { ca: Some("/ca".into()), identity: Some(identity) },
            ..Config::to(broker)
        };
        assert_eq!(config, Some(expected));
    }

    #[test]
    fn home_assistant_is_told_if_that_is_asked_for() {
        let told = |value: &str| read(&format!("broker = \"embedded\"\nhome_assistant = {value}"));
        assert_eq!(told("true").0.unwrap().home_assistant, Some(discovery::Settings::default()));
        assert_eq!(told("false").0.unwrap().home_assistant, None);
        let (message, hint) = &told("{ prefix = \"#\" }").1[0];
        assert_eq!(message, "`home_assistant` of mqtt is not a way to tell Home Assistant");
        assert!(hint.contains("without + and #"), "{hint}");
    }

    #[test]
    fn every_mistake_is_found() {
        let (_, found) = read("broker = \"mqts://b\"\npassword_file = \"/etc/p\"\nhost = \"b\"\nca_file = \"/ca\"");
        let messages: Vec<&str> = found.iter().map(|(message, _)| message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "`broker` of mqtt is not the address of a broker",
                "a password needs a user",
                "unknown key `host` for mqtt"
            ]
        );
        assert!(read("").1[0].1.contains("mqtt://127.0.0.1:1883"));
    }

    #[test]
    fn what_does_not_go_together_says_what_to_write() {
        let cases = [
            ("mqtt://b", "ca_file = \"/ca\"", "write `broker = \"mqtts://…\"`"),
            ("embedded", "client_certificate = \"/c\"\nclient_key = \"/k\"", "the embedded broker speaks no TLS"),
            ("mqtts://b", "client_key = \"/k\"", "add `client_certificate"),
            ("mqtts://b", "client_certificate = \"/c\"", "add `client_key"),
            (
                "mqtts://b",
                "username = \"me\"\npassword = \"hunter2\"",
                "`password_file = \"/etc/homeostat/mqtt.password\"`",
            ),
            ("mqtt://b", "username = \"me\"\npassword_env = \"P\"\npassword_file = \"/p\"", "not both"),
            ("mqtt://b", "protocol = \"4\"", "write \"3.1.1\" or \"5\""),
            ("mqtt://b", "protocol = 5", "write \"3.1.1\" or \"5\""),
            ("embedded", "protocol = \"5\"", "write \"3.1.1\""),
        ];
        for (broker, rest, expected) in cases {
            let (_, found) = read(&format!("broker = \"{broker}\"\n{rest}"));
            let [(message, hint)] = &found[..] else { panic!("{rest}: {found:?}") };
            assert!(
                hint.contains(expected) && !format!("{message}{hint}").contains("hunter2"),
                "{rest}: {message}: {hint}"
            );
        }
    }
}
