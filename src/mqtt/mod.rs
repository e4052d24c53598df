//! The latest of everything at an MQTT broker, under `homeostat/<node>/`, retained and acknowledged.
//!
//! ```text
//! bus ─tap─▶ run ─▶ outbox (newest payload of each topic) ─▶ rumqttc ─▶ broker
//!                      ▲─────────── acknowledged ─────────────┘
//! ```
//!
//! The client library forgets what it was given when a connection breaks. So the outbox remembers, for each topic, the
//! newest payload and whether the broker has acknowledged it, and says everything again after each new connection.
//! `rumqttc` is named in `network.rs` only, `rumqttd` in `broker.rs`.

mod address;
mod backoff;
pub mod broker;
mod client;
mod connection;
pub mod discovery;
mod error;
pub mod history;
pub mod link;
mod network;
pub mod outbox;
mod payload;
mod topics;

use std::path::PathBuf;

use crate::config::Section;

pub use address::Broker;
pub use client::{Behind, Mqtt, run};
pub use error::MqttError;
pub use link::Link;
pub use network::Network;

/// The `[mqtt]` table, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to.
    pub broker: Broker,
    /// Who we are there.
    pub username: Option<String>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// How Home Assistant is told what there is; `None`: not at all.
    pub home_assistant: Option<discovery::Settings>,
}

impl Config {
    /// Reads `[mqtt]`. What is wrong is reported to the section.
    pub fn read(section: Section) -> Option<Self> {
        let broker = section.required::<Broker>("broker");
        let username = section.optional::<String>("username");
        let password_file = section.optional::<String>("password_file").map(PathBuf::from);
        let nobodys = password_file.is_some() && !section.has("username");
        if nobodys {
            section.wrong("password_file", "a password needs a user", "add `username = \"…\"`");
        }
        let home_assistant = section.or("home_assistant", discovery::HomeAssistant::default()).0;
        section.finish();
        broker.filter(|_| !nobodys).map(|broker| Self { broker, username, password_file, home_assistant })
    }
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
        let broker = Broker::Embedded { port: 1883 };
        let expected = Config { broker, username: None, password_file: None, home_assistant: None };
        assert_eq!(config, Some(expected));
    }

    #[test]
    fn home_assistant_is_told_if_that_is_wanted() {
        let told = |value: &str| read(&format!("broker = \"embedded\"\nhome_assistant = {value}"));
        assert_eq!(told("true").0.unwrap().home_assistant, Some(discovery::Settings::default()));
        assert_eq!(told("false").0.unwrap().home_assistant, None);
        let (message, hint) = &told("{ prefix = \"#\" }").1[0];
        assert_eq!(message, "`home_assistant` of mqtt is not a way to tell Home Assistant");
        assert!(hint.contains("without + and #"), "{hint}");
    }

    #[test]
    fn every_mistake_is_found() {
        let (config, found) = read("broker = \"mqtts://b\"\npassword_file = \"/etc/p\"\nhost = \"b\"");
        assert_eq!(config, None);
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
}
