//! What can stand between us and the broker, and what to do about it.

use std::path::PathBuf;

use crate::secret::Unreadable;

/// Why the broker cannot be reached. Every one of these is waited out; none ends the task.
#[derive(Debug, thiserror::Error)]
pub enum MqttError {
    /// The password could not be read.
    #[error("cannot read the password for the broker from {unreadable}; check `{key}` under [mqtt]")]
    Password {
        /// Where it should be, and what stands in the way.
        unreadable: Unreadable,
        /// The key of the configuration that says so.
        key: &'static str,
    },
    /// A file for TLS is of no use.
    #[error("cannot use {} for TLS to the broker: {reason}; check `{key}` under [mqtt]", .file.display())]
    File {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system trusts no CA.
    #[error(
        "this system has no CAs to trust ({reason}): give the broker's as `ca_file` under [mqtt], or install ca-certificates"
    )]
    NoCas {
        /// What the system says.
        reason: String,
    },
    /// There is no TLS here.
    #[error("TLS cannot be used: {reason}; write `broker = \"mqtt://…\"` under [mqtt] for MQTT without it")]
    NoTls {
        /// What the library says.
        reason: String,
    },
    /// Whoever is there cannot prove to be the broker.
    #[error("the broker at {broker} is not trusted: {reason}; {hint}")]
    Distrusted {
        /// Where.
        broker: String,
        /// What is wrong with its certificate.
        reason: String,
        /// The next step.
        hint: String,
    },
    /// The broker wants to know who we are.
    #[error(
        "the broker at {broker} wants a client certificate: give `client_certificate` and `client_key` under [mqtt]"
    )]
    Unidentified {
        /// Where.
        broker: String,
    },
    /// The broker does not believe who we are.
    #[error(
        "the broker at {broker} refuses the client certificate in {}: {reason}; check `client_certificate` under [mqtt], \
         and the CA that the broker has for its clients",
        .file.display()
    )]
    Identity {
        /// Where.
        broker: String,
        /// Our certificate.
        file: PathBuf,
        /// What the broker says.
        reason: String,
    },
    /// Somebody is there, who does not understand us.
    #[error("nobody speaks {language} at {broker}: {reason}; {hint}")]
    Speech {
        /// Where.
        broker: String,
        /// What we speak.
        language: &'static str,
        /// What came instead.
        reason: String,
        /// The next step.
        hint: String,
    },
    /// The broker does not want this user.
    #[error("the broker at {broker} refuses {who}: {keys} under [mqtt]")]
    Login {
        /// Where.
        broker: String,
        /// `the user "pi" with this password`, or `a client without a username`.
        who: String,
        /// The next step.
        keys: String,
    },
    /// The broker does not want us for another reason.
    #[error("the broker at {broker} refuses the connection: {reason}")]
    Refused {
        /// Where.
        broker: String,
        /// What it gave as reason.
        reason: String,
    },
    /// Nobody answers.
    #[error("cannot reach a broker at {broker}: {reason}; check `broker` under [mqtt] and whether the broker runs")]
    Unreachable {
        /// Where.
        broker: String,
        /// What the system says.
        reason: String,
    },
    /// Somebody publishes far too much where we listen.
    #[error(
        "somebody publishes {bytes} bytes on a topic of this node's commands or of Home Assistant at {broker}, which ends the \
         connection: find it with `mosquitto_sub -v -t 'homeostat/#'` and take it away; until the next start commands are not heard"
    )]
    TooLarge {
        /// Where.
        broker: String,
        /// How much.
        bytes: usize,
    },
    /// It was there and has gone.
    #[error("the connection to the broker at {broker} is lost: {reason}")]
    Lost {
        /// Where.
        broker: String,
        /// What ended it.
        reason: String,
    },
}
