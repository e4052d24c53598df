//! A house of fifty sensors, and its daemons one after another.

use std::fmt::Write;
use std::process::Command;

use super::process::{Daemon, House, RUN};

pub const SENSORS: usize = 50;

/// Fifty sensors, an output and a controller at the broker on this port.
pub fn fifty(port: u16, every: &str) -> String {
    let mut text = head(port);
    for number in 0..SENSORS {
        write!(text, "[sensors.s{number}]\ndriver = \"ds18b20\"\nid = \"28-{number:012x}\"\nevery = \"{every}\"\n")
            .unwrap();
    }
    text += "[outputs.heater]\ndriver = \"gpio\"\npin = 17\ncycle = \"2s\"\n\
             [controllers.warmth]\nkind = \"pid\"\ninput = \"s0.temperature\"\nraise = \"heater\"\nsetpoint = 30.0\nkp = 0.05\n";
    text
}

/// The same house when nothing is measured any more.
pub fn silent(port: u16) -> String {
    head(port)
}

fn head(port: u16) -> String {
    format!(
        "[node]\nname = \"house\"\nhardware = \"simulated\"\n[store]\nflush = \"400ms\"\n\
         [mqtt]\nbroker = \"mqtt://127.0.0.1:{port}\"\n"
    )
}

/// A house and the directory in memory that outlives its daemons, as systemd keeps it.
pub struct Home {
    pub house: House,
    memory: tempfile::TempDir,
}

impl Home {
    pub fn new(config: &str) -> Self {
        Self { house: House::new(config), memory: tempfile::tempdir_in("/dev/shm").unwrap() }
    }

    /// `homeostat …` as the unit would call it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.house.command(arguments);
        command.env("RUNTIME_DIRECTORY", self.memory.path());
        command
    }

    pub fn run(&self) -> Daemon {
        self.run_as(self.command(RUN))
    }

    /// The same by another command.
    pub fn run_as(&self, command: Command) -> Daemon {
        let daemon = self.house.run_as(command);
        daemon.hears_all();
        daemon
    }
}
