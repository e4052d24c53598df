//! What the daemon answers over HTTP beyond the single states: all of it together, why an output is as it is, what went wrong.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Alarm, Controller, Output, Reading, rfc_3339, short};
use crate::model::dose::Dosed;
use crate::model::{Because, Terms, Timestamp};

/// Devices by their names.
type Named<'a, T> = BTreeMap<Cow<'a, str>, T>;

/// `GET /api/v1/outputs/NAME/dose`: what became of the last dose by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "told", rename_all = "snake_case")]
pub enum Dose<'a> {
    /// It is being given.
    Running,
    /// All of it was.
    Given(Cow<'a, str>),
    /// Less was given, and why.
    CutShort(Cow<'a, str>),
}

impl<'a> From<&'a Dosed> for Dose<'a> {
    fn from(dosed: &'a Dosed) -> Self {
        match dosed {
            Dosed::Running => Self::Running,
            Dosed::Given(told) => Self::Given(told.into()),
            Dosed::CutShort(told) => Self::CutShort(told.into()),
        }
    }
}

/// `GET /api/v1/status`: everything as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status<'a> {
    /// `[node] name`
    pub node: Cow<'a, str>,
    /// Of homeostat.
    pub version: Cow<'a, str>,
    /// `simulated`, `raspberry-pi` or `linux`
    pub hardware: Cow<'a, str>,
    /// `starting`, `running`, `stopped` or `failed: why`
    pub stage: Cow<'a, str>,
    /// The configuration's file.
    pub config: Cow<'a, str>,
    /// Now.
    #[serde(with = "rfc_3339")]
    pub time: Timestamp,
    /// When the daemon started.
    #[serde(with = "rfc_3339")]
    pub since: Timestamp,
    /// That in seconds.
    pub uptime: u64,
    /// How many there are.
    pub counts: Counts,
    /// Those that were heard of since the start.
    pub sensors: Named<'a, Sensor<'a>>,
    /// The same.
    pub outputs: Named<'a, Output<'a>>,
    /// The same.
    pub controllers: Named<'a, Controller<'a>>,
    /// Those that stand.
    pub alarms: Named<'a, Alarm<'a>>,
    /// The database.
    pub store: Store<'a>,
    /// Messages that were dropped because somebody's queue was full, since the start.
    pub dropped: u64,
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Sensors,
    pub sensors: usize,
    /// and how many of them read.
    pub online: usize,
    /// Outputs.
    pub outputs: usize,
    /// Controllers.
    pub controllers: usize,
    /// Alarms that stand,
    pub alarms: usize,
    /// and how many of them nobody has acknowledged.
    pub unacknowledged: usize,
}

/// A sensor and what it has read last.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sensor<'a> {
    /// Whether it reads.
    pub online: bool,
    /// By channel: `temperature`.
    pub channels: Named<'a, Reading<'a>>,
}

/// `POST /api/v1/sensors/NAME/calibrate` with `{"step": ["mid", "7.00"]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibrate {
    /// In the words of the driver.
    pub step: Vec<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibrated<'a> {
    /// In the device's words.
    pub answer: Cow<'a, str>,
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store<'a> {
    /// Where it is.
    pub file: Cow<'a, str>,
    /// Readings that wait for a disk that fails.
    pub waiting: usize,
    /// Readings for which it failed too long.
    pub lost: u64,
}

/// `GET /api/v1/outputs/NAME/why`: the chain from a reading to the pin, and how it came to be so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why<'a> {
    /// Whose.
    pub output: Cow<'a, str>,
    /// Now.
    #[serde(with = "rfc_3339")]
    pub time: Timestamp,
    /// How it is, since the last change of who, on or off, or the limit.
    pub now: Output<'a>,
    /// What the demand rests on; of the last one that rested on anything if there is none now.
    pub rests_on: Option<RestsOn<'a>>,
    /// The newest reading of that channel.
    pub reading: Option<Reading<'a>>,
    /// The controller whose demand that is, as it is now.
    pub controller: Option<Controller<'a>>,
    /// Earlier changes, the newest first.
    pub before: Vec<Output<'a>>,
}

/// What a controller's demand rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestsOn<'a> {
    /// Who demanded: `controllers.warmth`.
    pub by: Cow<'a, str>,
    /// The process value's channel,
    pub input: Cow<'a, str>,
    /// the value,
    pub value: f64,
    /// and the number of that reading.
    pub seq: u64,
    /// What was aimed at.
    pub setpoint: f64,
    /// Proportional to the error,
    pub p: f64,
    /// to its sum over time,
    pub i: f64,
    /// to the speed of the process value.
    pub d: f64,
}

impl<'a> RestsOn<'a> {
    /// What the demand `by` somebody rests on.
    pub fn new(by: &'a str, because: &'a Because) -> Self {
        let &Because { ref input, value, seq, setpoint, terms: Terms { p, i, d } } = because;
        Self {
            by: by.into(),
            input: input.as_str().into(),
            value: short(value),
            seq,
            setpoint: short(setpoint),
            p: short(p),
            i: short(i),
            d: short(d),
        }
    }
}

/// `POST /api/v1/alarms/NAME/acknowledge`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged<'a> {
    /// Which.
    pub alarm: Cow<'a, str>,
    /// Whether it stands on, because its cause is still there.
    pub stands: bool,
}

/// `POST /api/v1/reload`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded<'a> {
    /// What changed.
    pub summary: Cow<'a, str>,
}

/// `POST /api/v1/flush`: every reading until then is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flushed<'a> {
    /// The database, from the root on.
    pub file: Cow<'a, str>,
}

/// The body of every status above 399.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure<'a> {
    /// What is wrong.
    pub error: Cow<'a, str>,
    /// The next step.
    pub hint: Cow<'a, str>,
}
