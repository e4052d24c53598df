//! What ended a connection, as a person would say it, with the next step. The same for every client library.

use std::io;
use std::time::Duration;

use rumqttc::TlsError;
use rumqttc::tokio_rustls::rustls;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};

use super::conversation::NO_ANSWER;
use super::{Broker, Config, MqttError, PASSWORD};

/// How long a connection may take to begin, and a packet to be sent.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What the library calls a certificate without extensions.
pub(super) const VERSION_1: &str = "UnsupportedCertVersion";

/// What a client library says, with its own words for it left behind.
pub(super) enum Cause<'e> {
    /// The broker does not want this user.
    Login,
    /// The broker does not want us, and says why.
    Refused(String),
    /// What the system says; or TLS, once it has begun.
    Io(&'e io::Error),
    /// TLS did not begin.
    Tls(&'e TlsError),
    /// The other side ended it.
    Closed,
    /// What came is larger than anything we ask for: so many bytes.
    TooLarge(usize),
    /// What came is not MQTT.
    Garbage(String),
    /// No answer in time.
    Timeout,
    /// Nothing could be sent in time.
    Stalled,
    /// No answer to our question whether it is still there.
    Silent,
    /// Something else.
    Other(String),
}

/// Who wanted what from whom, for the message.
pub(super) struct Attempt(Config);

impl Attempt {
    pub(super) fn new(config: &Config) -> Self {
        Self(config.clone())
    }

    /// Why it failed. `is_up`: after the broker had let us in.
    pub(super) fn failed(&self, cause: Cause<'_>, is_up: bool) -> MqttError {
        match cause {
            Cause::Login => self.login(),
            Cause::Refused(reason) => MqttError::Refused { broker: self.broker(), reason },
            Cause::Io(error) => match tls_error(error) {
                Some(error) if !is_up => self.tls(error),
                None if !is_up && hung_up(error) => self.rebuffed(),
                _ => self.ended(is_up, error.to_string()),
            },
            Cause::Tls(TlsError::Io(error)) => match tls_error(error) {
                Some(error) => self.tls(error),
                None if hung_up(error) => self
                    .ended(is_up, format!("it hung up when TLS began; is it its port without TLS? {}", self.instead())),
                None => self.ended(is_up, error.to_string()),
            },
            Cause::Tls(TlsError::TLS(error)) => self.tls(error),
            Cause::Tls(error) => self.ended(is_up, error.to_string()),
            Cause::TooLarge(bytes) => MqttError::TooLarge { broker: self.broker(), bytes },
            Cause::Garbage(what) if !is_up => self.speech(&format!("what it says is not MQTT ({what})")),
            Cause::Closed if !is_up => self.rebuffed(),
            Cause::Closed => self.ended(is_up, "the broker closed it".into()),
            Cause::Timeout => self.ended(is_up, format!("no answer within {} s", PATIENCE.as_secs())),
            Cause::Stalled => self.ended(is_up, format!("nothing could be sent for {} s", PATIENCE.as_secs())),
            Cause::Silent => self.ended(is_up, NO_ANSWER.into()),
            Cause::Garbage(reason) | Cause::Other(reason) => self.ended(is_up, reason),
        }
    }

    fn broker(&self) -> String {
        self.0.broker.to_string()
    }

    fn ended(&self, is_up: bool, reason: String) -> MqttError {
        let broker = self.broker();
        if is_up { MqttError::Lost { broker, reason } } else { MqttError::Unreachable { broker, reason } }
    }

    fn login(&self) -> MqttError {
        let (who, keys) = match &self.0.login {
            None => ("a client without a username".into(), format!("add `username` and `{}`", PASSWORD.file)),
            Some(login) => match &login.password {
                None => {
                    (format!("the user \"{}\" without a password", login.username), format!("add `{}`", PASSWORD.file))
                }
                Some(source) => (
                    format!("the user \"{}\" with this password", login.username),
                    format!("check `username` and `{}`", PASSWORD.of(source)),
                ),
            },
        };
        MqttError::Login { broker: self.broker(), who, keys }
    }

    /// Somebody is there, and hung up at our first words. It may not mean anything: brokers also come and go.
    fn rebuffed(&self) -> MqttError {
        let guess = match (self.0.broker.is_secure(), &self.0.tls.identity) {
            (false, _) => format!("is it its port for TLS? {}", self.instead()),
            (true, None) => "does it want a client certificate?".into(),
            (true, Some(_)) => "does it accept our client certificate?".into(),
        };
        self.ended(false, format!("it hung up at our first words; {guess}"))
    }

    /// Somebody is there, who speaks something else.
    fn speech(&self, reason: &str) -> MqttError {
        let language = if self.0.broker.is_secure() { "TLS" } else { "MQTT" };
        MqttError::Speech { broker: self.broker(), language, reason: reason.into(), hint: self.instead() }
    }

    /// What to write if it is the port for the other kind.
    fn instead(&self) -> String {
        match &self.0.broker {
            Broker::Remote { host, port, tls, websocket } => {
                let (host, websocket) = (host.clone(), websocket.clone());
                let other = Broker::Remote { host, port: *port, tls: !tls, websocket }.url();
                let with = if *tls { "without" } else { "with" };
                format!("write `broker = \"{other}\"` for MQTT {with} TLS, or another port")
            }
            Broker::Embedded { .. } => {
                "another program has its port; write another one, `broker = \"embedded:1884\"`".into()
            }
        }
    }

    fn tls(&self, error: &rustls::Error) -> MqttError {
        match error {
            rustls::Error::InvalidCertificate(error) => self.distrust(error),
            rustls::Error::AlertReceived(alert) => self.alert(*alert),
            rustls::Error::InvalidMessage(_) => self.speech("what it says is not TLS"),
            rustls::Error::PeerIncompatible(_) => {
                self.ended(false, "it speaks no version of TLS from 1.2 on, or only weak ciphers".into())
            }
            error => self.ended(false, format!("TLS: {error}")),
        }
    }

    /// The broker's certificate is not good enough.
    fn distrust(&self, error: &CertificateError) -> MqttError {
        let (reason, hint) = match error {
            CertificateError::UnknownIssuer => match &self.0.tls.ca {
                Some(file) => (
                    format!("its certificate is not signed by the CA in {}", file.display()),
                    "give the CA that has signed it as `ca_file` under [mqtt]".into(),
                ),
                None => (
                    "its certificate is not signed by a CA that this system knows".into(),
                    "give the CA that has signed it as `ca_file` under [mqtt]".into(),
                ),
            },
            CertificateError::ExpiredContext { time, not_after } => (
                format!("its certificate has expired on {}", date(*not_after)),
                format!("renew it at the broker; or set the clock here, which says {}", date(*time)),
            ),
            CertificateError::NotValidYetContext { time, not_before } => (
                format!("its certificate is valid from {} on only", date(*not_before)),
                format!("set the clock here, which says {}", date(*time)),
            ),
            CertificateError::NotValidForNameContext { presented, .. } => {
                let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
                let names = if names.is_empty() { "no name at all".into() } else { names.join(", ") };
                (
                    format!("its certificate is for {names} and not for {}", self.0.broker.endpoint().0),
                    "write a name that it is for in `broker` under [mqtt], or make it one with this name".into(),
                )
            }
            CertificateError::Revoked => ("its certificate is revoked".into(), "give the broker a new one".into()),
            error => {
                // The library has no types for these two that can be reached. Both are what `openssl` makes unasked.
                let kind = format!("{error:?}");
                if kind.contains("CaUsedAsEndEntity") {
                    let hint = "sign one for the broker with that CA; docs/mqtt-client.md shows how";
                    ("what it shows is the certificate of a CA".into(), hint.into())
                } else if kind.contains(VERSION_1) {
                    let hint = "sign one with its name as `subjectAltName`; docs/mqtt-client.md shows how";
                    ("its certificate is of X.509 version 1, which names no host".into(), hint.into())
                } else {
                    (format!("its certificate is not accepted: {error}"), "give the broker another one".into())
                }
            }
        };
        MqttError::Distrusted { broker: self.broker(), reason, hint }
    }

    /// What the broker says within TLS when it ends it.
    fn alert(&self, alert: AlertDescription) -> MqttError {
        use AlertDescription as Alert;
        let about_us = matches!(
            alert,
            Alert::CertificateRequired
                | Alert::NoCertificate
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
        );
        let broker = self.broker();
        match &self.0.tls.identity {
            // So TLS 1.2 says it.
            None if about_us || alert == Alert::HandshakeFailure => MqttError::Unidentified { broker },
            Some(identity) if about_us => MqttError::Identity {
                broker,
                file: identity.certificate.clone(),
                reason: match alert {
                    Alert::UnknownCA => "it does not know the CA that signed it".into(),
                    Alert::CertificateExpired => "it has expired".into(),
                    Alert::CertificateRevoked => "it is revoked".into(),
                    alert => format!("{alert:?}"),
                },
            },
            _ => self.ended(false, format!("it ends TLS with {alert:?}")),
        }
    }
}

/// The error of TLS within one of a stream.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn hung_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "another age".into(), |time| time.to_string())
}

/// `pi.local` of `DnsName("pi.local")`
fn bare(name: &str) -> &str {
    name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name).trim_matches('"')
}
