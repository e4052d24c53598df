//! What a node has, as far as Home Assistant is told of it.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::{ChannelId, ControllerId, Dosing, OutputId, Quantity, SensorId, Shown};

/// A node and everything on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Things {
    /// The node's name.
    pub node: String,
    /// The program's version.
    pub version: String,
    /// Those with a device, and those that are computed.
    pub sensors: Vec<Sensor>,
    /// All outputs.
    pub outputs: Vec<Output>,
    /// All controllers.
    pub controllers: Vec<Controller>,
    /// The names of all alarms that there may be: `sensors.air`, `outputs.heater.pin`, `store`.
    pub alarms: Vec<String>,
}

/// A sensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    /// Its name.
    pub id: SensorId,
    /// The part after the dot of each of its channels, and what it measures.
    pub channels: Vec<(String, Quantity)>,
    /// How often it reads for sure.
    pub every: Duration,
}

/// An output.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name.
    pub id: OutputId,
    /// What it can be set to.
    pub takes: Takes,
    /// Whether it takes commands over MQTT. If not, Home Assistant only shows it.
    pub remote: bool,
    /// As what it is shown, if a person has said so.
    pub shown: Option<Shown>,
    /// What it gives in so much time; `None` where nobody has measured that.
    pub dosing: Option<Dosing>,
}

/// What an output can be set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// On and off.
    OnOff,
    /// Everything between; also a relay that makes on-time of a level.
    Levels,
}

impl Output {
    /// As what it is shown: what a person has said, else what fits.
    pub fn shown(&self) -> Shown {
        match (self.shown, self.takes) {
            (None | Some(Shown::Number), Takes::OnOff) => Shown::Switch,
            (None, Takes::Levels) => Shown::Number,
            (Some(shown), _) => shown,
        }
    }
}

/// A controller.
#[derive(Debug, Clone, PartialEq)]
pub struct Controller {
    /// Its name.
    pub id: ControllerId,
    /// The channel that it holds at its setpoint.
    pub input: ChannelId,
    /// What that channel measures.
    pub quantity: Quantity,
    /// What it can do about it.
    pub moves: Moves,
    /// Whether it takes commands over MQTT. If not, Home Assistant only shows it.
    pub remote: bool,
    /// Whether a person may hold its outputs through it: each of them takes commands itself.
    pub by_hand: bool,
    /// What its setpoint can be set to, in the channel's unit.
    pub setpoints: RangeInclusive<f64>,
}

/// In which directions a controller moves its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moves {
    /// Up only.
    Raises,
    /// Down only.
    Lowers,
    /// Both.
    Both,
}
