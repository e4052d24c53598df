//! TLS to a real Mosquitto, with a CA that the test has made: what goes through, and what is said when it does not.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

#[path = "common/broker.rs"]
mod broker;
#[path = "common/log.rs"]
mod log;
#[path = "common/pki.rs"]
mod pki;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use broker::{DEADLINE, Mosquitto, Subscriber, free_port};
use homeostat::bus::Bus;
use homeostat::clock::Clock;
use homeostat::mqtt::tls::{Files, Identity};
use homeostat::mqtt::{self, Broker, Config, Login, Mqtt, Protocol};
use homeostat::secret::Source;
use log::Log;
use pki::{Ca, Flaw, Pair};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

const STATUS: &str = "homeostat/greenhouse/status";
const VERSIONS: [Protocol; 2] = [Protocol::V3, Protocol::V5];

/// What `openssl x509 -req` makes unasked: a certificate of version 1, which rcgen cannot make.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBITCByAIUQ4LF9oYy8gAXpQ8rdnr8FXCiagAwCgYIKoZIzj0EAwIwETEPMA0G
A1UEAwwGb3VyIENBMCAXDTI2MTEyMTA4NDAzMloYDzIxMjYxMDI4MDg0MDMyWjAU
MRIwEAYDVQQDDAlob21lb3N0YXQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARa
eCBweXZKN4pCsvcGaMhpusHhJSK30xIUMhGxvetYqJcz38/X3ziTIMwupppSmq1E
hTXBRIpGmJg0ufJDl/ZcMAoGCCqGSM49BAMCA0gAMEUCIQD5ZsZIvaIOpUxQ9QYo
V2k+mvkw2hYW9fhRkf/XBkr4xQIgP3MKyv3PXaRWmCIC49XO0zQ+6zTyMBBBP9rd
ZFYfi7U=
-----END CERTIFICATE-----
";

/// A house of certificates, and a Mosquitto with one port for TLS and one without.
struct Site {
    directory: TempDir,
    ca: Ca,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca = Ca::new(directory.path(), "ca");
        Self { directory, ca }
    }

    /// Begins a broker that shows this certificate. Gives the port without TLS, too.
    async fn broker(&self, certificate: &Pair, settings: &str) -> (Mosquitto, u16) {
        let plain = free_port();
        let settings = format!(
            "allow_anonymous true\ncertfile {}\nkeyfile {}\n{settings}\nlistener {plain} 127.0.0.1\n",
            certificate.certificate.display(),
            certificate.key.display(),
        );
        let broker = Mosquitto::on(free_port(), &settings).await;
        // The second port comes after the first.
        let listening = async { while TcpStream::connect(("127.0.0.1", plain)).await.is_err() {} };
        tokio::time::timeout(DEADLINE, listening).await.expect("no port without TLS");
        (broker, plain)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }
}

/// The MQTT task, for as long as this lives.
struct Node(Mqtt, JoinHandle<()>);

impl Node {
    fn start(config: Config) -> Self {
        let bus = Bus::new(Clock::system(), 0);
        let tap = Arc::new(bus.tap(100, 1));
        let mqtt = Mqtt::new(config, "greenhouse");
        let inner = mqtt.clone();
        let task = tokio::spawn(async move {
            let _bus = bus;
            mqtt::run(&inner, &tap, std::future::pending(), || {}).await.unwrap();
        });
        Self(mqtt, task)
    }

    async fn connects(&self, log: &Log) {
        let connected = async {
            while !self.0.is_connected() {
                tokio::task::yield_now().await;
            }
        };
        let connected = tokio::time::timeout(DEADLINE, connected).await;
        assert!(connected.is_ok(), "no connection:\n{}", log.text());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.1.abort();
    }
}

fn secure(port: u16, ca: &Path) -> Config {
    let broker = Broker::Remote { host: "127.0.0.1".into(), port, tls: true, websocket: None };
    Config { tls: Files { ca: Some(ca.to_owned()), identity: None }, ..Config::to(broker) }
}

fn identity(pair: &Pair) -> Option<Identity> {
    Some(Identity { certificate: pair.certificate.clone(), key: pair.key.clone() })
}

/// What is said of the first attempt with this.
async fn said(config: Config) -> String {
    let log = Log::begin();
    let node = Node::start(config);
    log.until("control goes on").await;
    assert!(!node.0.is_connected());
    log.text()
}

#[tokio::test]
#[ignore = "needs mosquitto"]
async fn what_its_ca_has_signed_is_trusted() {
    let site = Site::new();
    let (broker, plain) = site.broker(&site.ca.sign("server", Flaw::Nothing), "").await;
    let mut watcher = Subscriber::new(plain, "homeostat/#").await;
    for protocol in VERSIONS {
        let log = Log::begin();
        let node = Node::start(Config { protocol, ..secure(broker.port, &site.ca.pair.certificate) });
        node.connects(&log).await;
        watcher.until_latest(STATUS, "online").await;
        drop(node);
        watcher.until_latest(STATUS, "offline").await;
    }
}

#[tokio::test]
#[ignore = "needs mosquitto"]
async fn a_certificate_that_is_not_good_enough_says_why_and_what_to_do() {
    let site = Site::new();
    let other = Ca::new(site.directory.path(), "other");
    let cases = [
        (
            other.sign("strange", Flaw::Nothing),
            format!("not signed by the CA in {}; give the CA", site.path("ca.pem").display()),
        ),
        (site.ca.sign("old", Flaw::Expired), "has expired on 2020-01-01T00:00:00Z; renew it at the broker".into()),
        (
            site.ca.sign("new", Flaw::NotYetValid),
            "is valid from 2999-01-01T00:00:00Z on only; set the clock here".into(),
        ),
        (site.ca.sign("else", Flaw::OtherName), "is for other.example and not for 127.0.0.1; write a name".into()),
        (site.ca.pair.clone(), "what it shows is the certificate of a CA; sign one".into()),
    ];
    for (certificate, expected) in cases {
        let (broker, _) = site.broker(&certificate, "").await;
        for protocol in VERSIONS {
            let said = said(Config { protocol, ..secure(broker.port, &site.ca.pair.certificate) }).await;
            let whole = format!("the broker at 127.0.0.1:{} is not trusted: ", broker.port);
            assert!(said.contains(&whole) && said.contains(&expected), "{expected}\n{said}");
        }
    }
}

#[tokio::test]
#[ignore = "needs mosquitto"]
async fn a_broker_that_wants_a_client_certificate_gets_one_or_says_so() {
    let site = Site::new();
    let other = Ca::new(site.directory.path(), "other");
    let ca = &site.ca.pair.certificate;
    let [ours, strange, old] = [
        site.ca.sign("client", Flaw::Nothing),
        other.sign("stranger", Flaw::Nothing),
        site.ca.sign("old", Flaw::Expired),
    ];
    let settings = format!("cafile {}\nrequire_certificate true", ca.display());
    let (broker, _) = site.broker(&site.ca.sign("server", Flaw::Nothing), &settings).await;
    for protocol in VERSIONS {
        let with =
            |identity| Config { protocol, tls: Files { ca: Some(ca.clone()), identity }, ..secure(broker.port, ca) };
        let cases = [
            (None, "wants a client certificate: give `client_certificate` and `client_key`"),
            (identity(&strange), "stranger.pem: it does not know the CA that signed it; check `client_certificate`"),
            (identity(&old), "old.pem: it has expired; check `client_certificate`"),
        ];
        for (identity, expected) in cases {
            let said = said(with(identity)).await;
            assert!(said.contains(expected), "{expected}\n{said}");
        }
        let log = Log::begin();
        Node::start(with(identity(&ours))).connects(&log).await;
    }
}

#[tokio::test]
#[ignore = "needs mosquitto"]
async fn who_speaks_tls_to_a_plain_port_or_the_other_way_round_is_told() {
    let site = Site::new();
    let (broker, plain) = site.broker(&site.ca.sign("server", Flaw::Nothing), "").await;
    for protocol in VERSIONS {
        let told = said(Config { protocol, ..secure(plain, &site.ca.pair.certificate) }).await;
        let expected = format!(
            "at 127.0.0.1:{plain}: it hung up when TLS began; is it its port without TLS? \
             write `broker = \"mqtt://127.0.0.1:{plain}\"` for MQTT without TLS, or another port"
        );
        assert!(told.contains(&expected), "{told}");

        let told = said(Config { protocol, ..Config::to(Broker::at("127.0.0.1", broker.port)) }).await;
        let expected = format!("write `broker = \"mqtts://127.0.0.1:{}\"` for MQTT with TLS", broker.port);
        assert!(told.contains(&expected), "{told}");
    }
}

#[tokio::test]
#[ignore = "needs mosquitto"]
async fn a_wrong_password_within_tls_is_named_but_not_shown() {
    let site = Site::new();
    let passwords = site.path("passwords");
    let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args(["pi", "right"]).output();
    assert!(made.unwrap().status.success());
    let settings = format!("allow_anonymous false\npassword_file {}", passwords.display());
    let (broker, _) = site.broker(&site.ca.sign("server", Flaw::Nothing), &settings).await;
    let kept = site.path("kept");
    for protocol in VERSIONS {
        std::fs::write(&kept, "hunter2\n").unwrap();
        let login = Login { username: "pi".into(), password: Some(Source::File(kept.clone())) };
        let config = Config { protocol, login: Some(login), ..secure(broker.port, &site.ca.pair.certificate) };
        let log = Log::begin();
        let node = Node::start(config);
        log.until("refuses the user \"pi\" with this password: check `username` and `password_file`").await;
        // Put right while it runs.
        std::fs::write(&kept, "right\n").unwrap();
        node.connects(&log).await;
        assert!(!log.text().contains("hunter2"), "{}", log.text());
    }
}

#[tokio::test]
#[ignore = "needs mosquitto"]
async fn a_renewed_ca_is_taken_at_the_next_connection() {
    let site = Site::new();
    let (broker, _) = site.broker(&site.ca.sign("server", Flaw::Nothing), "").await;
    let file = site.path("trusted.pem");
    std::fs::copy(Ca::new(site.directory.path(), "former").pair.certificate, &file).unwrap();
    let log = Log::begin();
    let node = Node::start(secure(broker.port, &file));
    log.until("is not signed by the CA in").await;
    std::fs::copy(&site.ca.pair.certificate, &file).unwrap();
    node.connects(&log).await;
}

/// Ends with this value.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The whole program, as systemd starts it: its password is a credential, and the CA is one that the system knows.
#[tokio::test]
#[ignore = "needs mosquitto"]
async fn the_program_trusts_the_systems_cas_and_takes_a_credential() {
    let site = Site::new();
    let passwords = site.path("passwords");
    let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args(["pi", "hunter2"]).output();
    assert!(made.unwrap().status.success());
    let settings = format!("allow_anonymous false\npassword_file {}", passwords.display());
    let (broker, plain) = site.broker(&site.ca.sign("server", Flaw::Nothing), &settings).await;
    std::fs::write(site.path("mqtt"), "hunter2").unwrap();
    std::fs::write(
        site.path("config.toml"),
        format!(
            "[node]\nname = \"greenhouse\"\nhardware = \"simulated\"\n[mqtt]\nbroker = \"mqtts://127.0.0.1:{}\"\n\
             username = \"pi\"\npassword_credential = \"mqtt\"\nprotocol = \"5\"\n",
            broker.port
        ),
    )
    .unwrap();
    let mut watcher = Subscriber::with_login(plain, "homeostat/#", Some(("pi", "hunter2"))).await;
    let program = Command::new(env!("CARGO_BIN_EXE_homeostat"))
        .args(["run", "config.toml"])
        .current_dir(site.directory.path())
        .env("STATE_DIRECTORY", site.directory.path())
        .env("CREDENTIALS_DIRECTORY", site.directory.path())
        .env("SSL_CERT_FILE", &site.ca.pair.certificate)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(site.path("log")).unwrap())
        .spawn()
        .unwrap();
    let program = Program(program);
    watcher.until_latest(STATUS, "online").await;
    let log = || std::fs::read_to_string(site.path("log")).unwrap();
    let logged = async {
        while !log().contains("connected to the broker") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let logged = tokio::time::timeout(DEADLINE, logged).await;
    drop(program);
    assert!(logged.is_ok() && !log().contains("hunter2"), "{}", log());
}

#[cfg(feature = "websocket")]
#[tokio::test]
#[ignore = "needs mosquitto"]
async fn mqtt_comes_through_a_websocket_with_tls_and_without() {
    let site = Site::new();
    for (protocol, tls) in [(Protocol::V3, false), (Protocol::V3, true), (Protocol::V5, false), (Protocol::V5, true)] {
        let port = free_port();
        let server = site.ca.sign("server", Flaw::Nothing);
        let mut settings = format!("allow_anonymous true\nlistener {port} 127.0.0.1\nprotocol websockets\n");
        if tls {
            settings += &format!("certfile {}\nkeyfile {}\n", server.certificate.display(), server.key.display());
        }
        let _broker = Mosquitto::on(free_port(), &settings).await;
        let target = Broker::Remote { host: "127.0.0.1".into(), port, tls, websocket: Some("/mqtt".into()) };
        let config = Config { broker: target, protocol, ..secure(port, &site.ca.pair.certificate) };
        let log = Log::begin();
        Node::start(config).connects(&log).await;
    }
}

/// What is wrong with a file is found before anybody is spoken to.
#[tokio::test]
async fn a_file_that_is_of_no_use_is_named_with_its_key() {
    let site = Site::new();
    let pair = site.ca.sign("client", Flaw::Nothing);
    let write = |name: &str, text: &str| {
        std::fs::write(site.path(name), text).unwrap();
        site.path(name)
    };
    let ca = || site.ca.pair.certificate.clone();
    let pem = std::fs::read_to_string(ca()).unwrap();
    let as_us = |certificate: &Path, key: &Path| Some(Identity { certificate: certificate.into(), key: key.into() });
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let cases = [
        (Some(site.path("none.pem")), None, "none.pem", "No such file", "ca_file"),
        (Some(write("text.pem", "hunter2")), None, "text.pem", "there is no certificate in it", "ca_file"),
        (Some(write("half.pem", &pem[..pem.len() / 2])), None, "half.pem", "in the midst of a PEM section", "ca_file"),
        (Some(write("bad.pem", &pem.replace('M', "!"))), None, "bad.pem", "is damaged", "ca_file"),
        (Some("/dev/null".into()), None, "/dev/null", "this is not a file", "ca_file"),
        (Some(ca()), as_us(&pair.key, &pair.key), "client.key", "there is no certificate in it", "client_certificate"),
        (Some(ca()), as_us(&pair.certificate, &pair.certificate), "client.pem", "no private key in it", "client_key"),
        (
            Some(ca()),
            as_us(&write("one.pem", VERSION_1), &pair.key),
            "one.pem",
            "X.509 version 1",
            "client_certificate",
        ),
        (
            Some(ca()),
            as_us(&pair.certificate, &site.ca.pair.key),
            "ca.key",
            "does not belong to the certificate in",
            "client_key",
        ),
        (
            Some(ca()),
            as_us(&pair.certificate, &write("locked.key", encrypted)),
            "locked.key",
            "has a password",
            "client_key",
        ),
    ];
    for (ca, identity, file, reason, key) in cases {
        let config = Config { tls: Files { ca, identity }, ..secure(free_port(), Path::new("")) };
        let said = said(config).await;
        assert!(said.contains(&format!("cannot use {}", site.path(file).display())), "{said}");
        assert!(said.contains(reason) && said.contains(&format!("check `{key}` under [mqtt]")), "{reason}\n{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
