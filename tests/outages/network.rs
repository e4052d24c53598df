//! The network itself goes away, in a namespace of its own: nobody is told, and packets are gone.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::ALONE;
use super::broker::{Broker, Keeps};
use super::consumer::{compare, consume, stored};
use super::house::{Home, fifty, silent};
use super::listener::Listener;
use super::process::{RUN, live_for, until};

/// Whoever is in it sees a loopback of its own.
struct Network(Child);

impl Network {
    fn new() -> Self {
        let up = "ip link set lo up && echo up && exec sleep 600";
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--net", "sh", "-c", up]).stdout(Stdio::piped());
        let mut network = Self(unshare.spawn().expect("unshare is there"));
        let said = network.0.stdout.as_mut().unwrap();
        said.read_exact(&mut [0; 2]).expect("a network namespace can be made, and iproute2 is installed");
        network
    }

    fn enter(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--preserve-credentials", "--net", "--target", &self.0.id().to_string()]);
        command.arg(program);
        command
    }

    fn set(&self, state: &str) {
        assert!(self.enter("ip").args(["link", "set", "lo", state]).status().unwrap().success());
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs mosquitto and namespaces"]
fn a_network_that_goes_and_comes_back_loses_nothing() {
    let _shared = ALONE.read().unwrap();
    let network = Network::new();
    let mut broker = Broker::later(Keeps::Everything, "");
    broker.begin_by(network.enter("/usr/sbin/mosquitto"));
    let home = Home::new(&fifty(broker.port, "200ms"));
    let run = || {
        let plain = home.command(RUN);
        let mut command = network.enter(plain.get_program());
        command.args(plain.get_args()).current_dir(plain.get_current_dir().unwrap());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        home.run_as(command)
    };
    let history = ["-c", "-i", "reader", "-t", "homeostat/house/history"];
    until("there is a subscription", || {
        let port = broker.port.to_string();
        let mut subscribe = network.enter("mosquitto_sub");
        let subscribed = subscribe.args(["-p", &port, "-q", "1", "-E"]).args(history).stderr(Stdio::null()).status();
        subscribed.unwrap().success()
    });
    let reader = Listener::by(network.enter("mosquitto_sub"), broker.port, &history);
    let daemon = run();
    daemon.says("connected to the broker", 1);
    let mut rng = fastrand::Rng::with_seed(1);
    for cut in [300, 1500, 4000, 8000] {
        live_for(Duration::from_millis(rng.u64(0..2000)));
        network.set("down");
        live_for(Duration::from_millis(cut));
        network.set("up");
    }
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    let expected = stored(&home.house);
    home.house.write("config.toml", &silent(broker.port));
    let _daemon = run();
    let mut pages: Vec<String> = Vec::new();
    let last = expected.last().unwrap().seq;
    while consume(&pages).last().is_none_or(|reading| reading.seq < last) {
        let read = consume(&pages).len();
        let page =
            reader.next(Duration::from_secs(20)).unwrap_or_else(|| panic!("{read} of {}: {log}", expected.len()));
        pages.push(page.payload);
    }
    compare(&consume(&pages), &expected).unwrap_or_else(|wrong| panic!("{wrong}"));
    println!("{} readings on {} pages over four cuts", expected.len(), pages.len());
}
