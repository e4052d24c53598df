//! The whole protocol between actors on one page: what crosses the bus, and what can be asked of an actor.

use std::sync::Arc;

use actix::Message;

use crate::model::{Because, ControllerId, Level, Monotonic, OutputId, Owner, Reading, SensorId, Terms, Timestamp};

/// What has happened. Everything that the store, MQTT and people learn of comes as one of these.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A sensor has read.
    Reading(Reading),
    /// A sensor came or went.
    Sensor(SensorState),
    /// An output changed.
    Output(OutputState),
    /// A controller has acted.
    Controller(ControllerState),
    /// An alarm was raised or has gone.
    Alarm(Alarm),
    /// Something was taken out of the configuration.
    Gone(Gone),
}

/// A sensor, output or controller that is not there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Its name, which no other has.
    pub id: Arc<str>,
}

/// Whether a sensor is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorState {
    /// Whose.
    pub sensor: SensorId,
    /// Whether it reads.
    pub online: bool,
}

/// What an output does, and for whom.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputState {
    /// Whose.
    pub output: OutputId,
    /// What it was asked for, within its limits.
    pub level: Level,
    /// Whether the pin is on right now; with `cycle` it comes and goes while the level stays.
    pub on: bool,
    /// Who asked; `None` when it rests at its safe level.
    pub by: Option<Owner>,
    /// Why it is as it is: "controllers.warmth asks for 40 %".
    pub why: Arc<str>,
    /// What keeps it from following the demand, or from its safe level without one: "held off for min_off". Then that is why.
    pub limit: Option<Arc<str>>,
    /// What the demand that won rests on.
    pub because: Option<Arc<Because>>,
    /// Whether the pin is known to be so.
    pub confirmed: bool,
    /// Since when it is in this state: see [`OutputState::differs_from`].
    pub since: Timestamp,
}

impl OutputState {
    /// Whether it is in another state than `before`: who demands, on or off, the limit, and whether it obeys. Neither the
    /// pulses of a cycle nor a level that follows the weather make another one.
    pub fn differs_from(&self, before: &Self) -> bool {
        self.by != before.by
            || self.level.is_on() != before.level.is_on()
            || self.confirmed != before.confirmed
            || self.limit != before.limit
    }
}

/// What a controller has worked out.
#[derive(Debug, Clone, PartialEq)]
pub struct ControllerState {
    /// Whose.
    pub controller: ControllerId,
    /// Whether it acts, and if not, why.
    pub mode: Mode,
    /// What it aims at.
    pub setpoint: f64,
    /// The process value it acted on.
    pub input: Option<f64>,
    /// The proportional, integral and derivative parts of the output.
    pub terms: Terms,
    /// -1..=1: above 0 it raises, below 0 it lowers.
    pub output: f64,
}

/// What a controller does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// It follows its setpoint.
    Automatic,
    /// It holds this output, -1..=1.
    Manual(f64),
    /// It has no usable reading and demands nothing.
    Waiting,
    /// Its plant did not behave: it keeps its outputs safe until a person has acknowledged the alarm.
    Tripped,
}

/// Something a person should know of. Retained in MQTT while it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// `sensors.air`: one alarm a name stands at a time.
    pub name: Arc<str>,
    /// `None` when it has gone.
    pub text: Option<Arc<str>>,
    /// Since when it stands, or has gone.
    pub since: Timestamp,
    /// It stands until a person acknowledges it, even if its cause has gone.
    pub latched: bool,
    /// A person has said that they know.
    pub acknowledged: bool,
}

/// To a controller: its channel has a new reading.
#[derive(Debug, Clone)]
pub struct NewReading(pub Reading);

impl Message for NewReading {
    type Result = ();
}

/// To a controller: act differently from now on, without a bump.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Adjust {
    /// Aim at this.
    Setpoint(f64),
    /// Follow the setpoint.
    Automatic,
    /// Hold this output, -1..=1, until then; without an end, until somebody says otherwise.
    Manual(f64, Option<Monotonic>),
}

impl Message for Adjust {
    type Result = ();
}

/// To any actor: finish in good order, then stop. An output goes to its safe level first.
#[derive(Debug, Clone, Copy)]
pub struct Stop;

impl Message for Stop {
    type Result = ();
}

/// To any actor: tell your lifeline that you still take messages.
#[derive(Debug, Clone, Copy)]
pub struct Ping;

impl Message for Ping {
    type Result = ();
}
