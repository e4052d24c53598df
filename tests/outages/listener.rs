//! Somebody who subscribes and notes when each message arrives.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A message, and when it arrived: milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct Heard {
    pub at: f64,
    pub topic: String,
    pub payload: String,
}

impl Heard {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.payload).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub struct Listener {
    process: Child,
    heard: Receiver<Heard>,
}

impl Listener {
    /// `command` is `mosquitto_sub`, wherever it is to run.
    pub fn by(mut command: Command, port: u16, arguments: &[&str]) -> Self {
        command.args(["-p", &port.to_string(), "-q", "1", "-F", "%U %t %p"]).args(arguments).stdout(Stdio::piped());
        let mut process = command.spawn().expect("mosquitto_sub is installed");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (hears, heard) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut parts = line.splitn(3, ' ').map(str::to_owned);
                let (Some(at), Some(topic)) = (parts.next(), parts.next()) else { continue };
                let at = at.parse::<f64>().unwrap() * 1000.0;
                let _ = hears.send(Heard { at, topic, payload: parts.next().unwrap_or_default() });
            }
        });
        Self { process, heard }
    }

    pub fn new(port: u16, filter: &str) -> Self {
        Self::by(Command::new("mosquitto_sub"), port, &["-t", filter])
    }

    /// The next message, if one comes within that time.
    pub fn next(&self, within: Duration) -> Option<Heard> {
        self.heard.recv_timeout(within).ok()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
