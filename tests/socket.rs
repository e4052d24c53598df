//! The daemon's socket and the commands that speak to it: what is answered, to whom, and that nothing a client sends does harm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

#[path = "common/houses.rs"]
mod houses;
#[path = "common/process.rs"]
mod process;

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use homeostat::alarms::Alarms;
use homeostat::bus::{Bus, NotCalibrated};
use homeostat::clock::Clock;
use homeostat::message::OutputState;
use homeostat::model::dose::Dosed;
use homeostat::model::{ChannelId, Quantity, Sample, SensorId};
use homeostat::store::{RealDisk, Store};
use homeostat::supervisor::Stage;
use homeostat::web::{self, Commands, Refused, SOCKET, State};
use houses::CLOSET;
use process::{House, RUN, homeostat, said};
use serde_json::Value;
use tokio::sync::watch;

/// What a command prints, where, and its exit code.
fn ask(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    said(homeostat(directory).args(arguments))
}

/// Until the daemon's answer to `path` satisfies `enough`; each request waits for an answer, so this does not spin.
fn until(directory: &Path, path: &[&str], enough: impl Fn(&str) -> bool) -> String {
    for _ in 0..2000 {
        let (code, text, error) = ask(directory, path);
        assert_eq!(code, 0, "{error}");
        if enough(&text) {
            return text;
        }
    }
    panic!("{path:?} never came to that")
}

#[test]
fn a_person_beside_the_daemon_sees_what_it_does_and_why() {
    let house = House::new(CLOSET);
    let at = &house.path("");
    let daemon = house.run(RUN);

    let json = until(at, &["status", "--json"], |text| text.contains("\"by\":\"controllers.cooling\""));
    let status: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&status["node"], &status["stage"]), (&"closet".into(), &"running".into()));
    assert_eq!((&status["config"], &status["counts"]["online"]), (&"config.toml".into(), &1.into()));
    assert_eq!(status["sensors"]["rack"]["channels"]["temperature"]["unit"], "°C");
    assert_eq!((&status["store"]["lost"], &status["dropped"]), (&0.into(), &0.into()));

    let (code, table, _) = ask(at, &["status"]);
    assert!(code == 0 && table.starts_with("closet is running since "), "{table}");
    let (code, why, _) = ask(at, &["why", "fan"]);
    assert!(code == 0 && why.starts_with("fan is ") && why.contains("cooling aims at 15.00: p -"), "{why}");
    assert!(why.contains("\nbefore:\n") && why.contains("no live demand"), "{why}");
    assert_eq!(ask(at, &["why"]).1.lines().next(), why.lines().next());
    let (code, _, error) = ask(at, &["why", "fam"]);
    assert_eq!((code, &*error), (1, "error: there is no output `fam`\n  next   did you mean `fan`?\n"));
    assert_eq!(ask(at, &["alarms"]), (0, "no alarms\n".into(), String::new()));

    let socket = at.join(SOCKET);
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(daemon.stop().0, Some(0));
    assert!(!socket.exists(), "the socket goes with the daemon");
    let (code, _, error) = ask(at, &["status", "--socket", "homeostat.sock"]);
    assert!(code == 3 && error.contains("tried  homeostat.sock: there is none"), "{error}");
}

#[test]
fn the_socket_of_a_dead_daemon_is_replaced_and_that_of_a_live_one_is_not() {
    let house = House::new(CLOSET);
    let at = &house.path("");
    house.run(RUN).kill();
    assert!(at.join(SOCKET).exists(), "what is killed cleans nothing up");
    let (code, _, error) = ask(at, &["status"]);
    assert!(code == 3 && error.contains("the daemon that listened here has died"), "{error}");

    let first = house.run(RUN);
    assert_eq!(ask(at, &["status"]).0, 0);
    // Two daemons cannot share their state, and this is about what they can share.
    let neighbour = House::new(CLOSET);
    let mut second = neighbour.command(RUN);
    second.env("RUNTIME_DIRECTORY", at);
    let (code, log) = neighbour.run_as(second).stop();
    assert!(code == Some(0) && log.contains("another homeostat listens at"), "{log}");
    assert_eq!(ask(at, &["status"]).0, 0, "the first is reached as before");
    assert_eq!(first.stop().0, Some(0));
}

#[test]
fn nothing_that_a_client_sends_does_harm() {
    let house = House::new(CLOSET);
    let at = &house.path("");
    let daemon = house.run(RUN);
    let connect = || {
        let stream = UnixStream::connect(at.join(SOCKET)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    let get = b"GET /api/v1/status HTTP/1.1\r\nHost: a\r\n";
    let cases: Vec<Vec<u8>> = vec![
        b"\0\xff\xfe garbage \x1b[2J\r\n\r\n".to_vec(),
        [&get[..], b"X: ", &vec![b'a'; 2 << 20], b"\r\n\r\n"].concat(),
        [&get[..], &b"X: a\r\n".repeat(10_000), b"\r\n"].concat(),
        [b"GET /", &vec![b'a'; 1 << 20][..], b" HTTP/1.1\r\n\r\n"].concat(),
        [&b"POST /api/v1/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n"[..]].concat(),
        [
            b"POST /api/v1/alarms/a/acknowledge HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n",
            &vec![0; 1 << 20][..],
        ]
        .concat(),
        b"POST /api/v1/reload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n".to_vec(),
        b"GET /api/v1/outputs/%00%ff%0d%0a/why HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec(),
        b"GET /api/v1/../../etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
    ];
    for bytes in cases {
        let mut stream = connect();
        // It may hang up before it has heard it all.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.starts_with("HTTP/1.1 2") && !answer.contains("root:"), "{answer}");
        assert_eq!(ask(at, &["status"]).0, 0, "after {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)]));
    }
    // More than it serves at a time, and none of them ever finishes its sentence.
    let half: Vec<UnixStream> = (0..24)
        .map(|_| {
            let mut stream = connect();
            stream.write_all(get).unwrap();
            stream
        })
        .collect();
    let (code, _, error) = ask(at, &["status"]);
    assert_eq!(code, 0, "{error}");
    drop(half);
    let (code, log) = daemon.stop();
    assert!(code == Some(0) && !log.contains("panic"), "{log}");
}

/// Reloads what begins with "right".
struct Reloads(&'static str);

impl Commands for Reloads {
    fn reload(&self) -> BoxFuture<'static, Result<String, Refused>> {
        let text = self.0.to_owned();
        async move {
            if text.starts_with("right") {
                Ok(text)
            } else {
                Err(Refused { text, hint: "nothing was changed; mend that and reload again" })
            }
        }
        .boxed()
    }

    fn set(&self, _: String, _: Vec<u8>) -> BoxFuture<'static, Result<OutputState, String>> {
        async { Err("nothing here can be moved".to_owned()) }.boxed()
    }

    fn dosed(&self, output: &str) -> Option<Dosed> {
        (output == "pump").then(|| Dosed::CutShort("cut short, 2 of 5 ml were given: min_off".to_owned()))
    }
}

/// A socket over tables that the test fills, and a scenario that asks it from another thread.
fn served(reload: &'static str, scenario: impl FnOnce(&Path, &Bus, &Alarms) + Send + 'static) {
    actix::System::new().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let (store, last_seq) =
            Store::open(&directory.path().join("homeostat.db"), None, clock, Arc::new(RealDisk)).unwrap();
        let bus = Bus::new(clock, last_seq);
        let alarms = Alarms::new(clock, bus.clone());
        let (_stage, stage) = watch::channel(Stage::Running);
        let state = State {
            node: "closet".into(),
            hardware: "simulated",
            config: "config.toml".into(),
            clock,
            bus: bus.clone(),
            alarms: alarms.clone(),
            store,
            stage,
            commands: Arc::new(Reloads(reload)),
        };
        let (served, server) = web::serve(&directory.path().join(SOCKET), state).await.unwrap();
        actix::spawn(server);
        let at = directory.path().to_owned();
        tokio::task::spawn_blocking(move || scenario(&at, &bus, &alarms)).await.unwrap();
        served.stop().await;
    });
}

/// The status and the body.
fn request(at: &Path, line: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(at.join(SOCKET)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[test]
fn every_path_answers_in_json_also_when_it_cannot() {
    served("right: nothing changed", |at, bus, _| {
        let channel = ChannelId::parse("air.temperature").unwrap();
        bus.publish(&channel, Quantity::Temperature, Sample::Bad("unplugged".into()));
        let cases = [
            ("GET /api/v1/status", 200, "sensors", "{\"air\":{"),
            ("GET /api/v1/sensors", 200, "air", "\"online\":false"),
            ("GET /api/v1/sensors/air", 200, "channels", "\"reason\":\"unplugged\""),
            ("GET /api/v1/sensors/aif", 404, "hint", "did you mean `air`?"),
            ("GET /api/v1/sensors/lake", 404, "hint", "there is air"),
            ("GET /api/v1/outputs/heater/why", 404, "error", "there is no output `heater`"),
            ("GET /api/v1/controllers/a%2Fb", 404, "error", "there is no controller `a/b`"),
            ("POST /api/v1/sensors/aif/calibrate", 404, "error", "there is no sensor `aif`"),
            ("POST /api/v1/sensors/air/calibrate", 409, "error", "sensor air: it is computed or heard over MQTT"),
            ("POST /api/v1/alarms/a/acknowledge", 404, "error", "there is no alarm `a`"),
            ("POST /api/v1/reload", 200, "summary", "right: nothing changed"),
            ("GET /api/v1/reload", 405, "hint", "use POST"),
            ("DELETE /api/v1/status", 405, "hint", "use GET"),
            ("GET /api/v2/status", 404, "hint", "/api/v1/status"),
            ("GET /", 404, "error", "there is nothing at /"),
        ];
        for (line, status, key, part) in cases {
            let (is, body) = request(at, line);
            assert!(is == status && body[key].to_string().replace("\\", "").contains(part), "{line}: {is} {body}");
        }
        for line in ["GET /api/v1/outputs", "GET /api/v1/controllers", "GET /api/v1/alarms"] {
            assert_eq!(request(at, line), (200, serde_json::json!({})), "{line}");
        }
    });
}

#[test]
fn an_alarm_is_listed_and_acknowledged() {
    served("right", |at, _, alarms| {
        alarms.raise("sensors.air", "unplugged");
        alarms.latch("outputs.heater", "it does not warm");
        let (_, list, _) = ask(at, &["alarms"]);
        assert!(
            list.contains("\n  it does not warm\n") && list.contains("stands until `homeostat ack outputs.heater`"),
            "{list}"
        );

        let gone = "outputs.heater is acknowledged, and has gone\n";
        assert_eq!(ask(at, &["ack", "outputs.heater"]), (0, gone.into(), String::new()));
        let (code, _, error) = ask(at, &["ack", "sensor.air"]);
        assert_eq!(
            (code, &*error),
            (1, "error: there is no alarm `sensor.air`\n  next   did you mean `sensors.air`?\n")
        );
        let stands = "sensors.air is acknowledged; it stands until its cause has gone\n";
        assert_eq!(ask(at, &["ack", "--all"]), (0, stands.into(), String::new()));
        assert_eq!(ask(at, &["ack", "--all"]).1, "there is nothing to acknowledge\n");
        let standing = alarms.standing_now();
        assert!(standing.len() == 1 && standing[0].acknowledged, "{standing:?}");
        assert_eq!(ask(at, &["ack"]).0, 2, "neither a name nor --all");
    });
}

#[test]
fn a_reload_says_what_changed_or_what_is_wrong() {
    served("right: restarted sensors.air; 8 others kept running", |at, _, _| {
        let summary = "right: restarted sensors.air; 8 others kept running\n";
        assert_eq!(ask(at, &["reload"]), (0, summary.into(), String::new()));
    });
    served("error: unknown key `pim`\n --> config.toml:12:1\n", |at, _, _| {
        let (code, out, error) = ask(at, &["reload"]);
        assert_eq!((code, &*out), (1, ""));
        let expected =
            "error: unknown key `pim`\n --> config.toml:12:1\nnothing was changed; mend that and reload again\n";
        assert_eq!(error, expected);
        assert_eq!(request(at, "POST /api/v1/reload").0, 409);
    });
}

#[test]
fn a_device_that_cannot_be_calibrated_now_has_failed() {
    served("right", |at, bus, _| {
        let silent = |_| async { Err(NotCalibrated::Failed("it does not answer".to_owned())) }.boxed();
        bus.serve_calibration(&SensorId::new("ph").unwrap(), Arc::new(silent));
        let told =
            "error: sensor ph: it does not answer\n  next   `homeostat drivers DRIVER` tells the steps of its driver\n";
        assert_eq!(ask(at, &["calibrate", "ph", "mid", "7.00"]), (4, String::new(), told.into()));
    });
}

#[test]
fn a_command_finds_its_daemon_by_the_environment_too() {
    served("right", |at, _, _| {
        let elsewhere = tempfile::tempdir().unwrap();
        let run = |name: &str, value: &Path| said(homeostat(elsewhere.path()).arg("alarms").env(name, value)).0;
        assert_eq!(run("HOMEOSTAT_SOCKET", &at.join(SOCKET)), 0);
        assert_eq!(run("RUNTIME_DIRECTORY", at), 0);
        assert_eq!(run("HOMEOSTAT_SOCKET", Path::new("/nowhere")), 3);
    });
}
