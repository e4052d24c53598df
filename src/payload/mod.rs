//! What leaves the process, and comes back to the command line: small JSON objects, the same over MQTT and over HTTP.
//!
//! Made from the bus's events they borrow; read from JSON they own. Numbers have four decimals at most, times are RFC 3339
//! in UTC.

mod answer;
mod history;
mod rfc_3339;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use answer::{
    Acknowledged, Calibrate, Calibrated, Counts, Dose, Failure, Flushed, Reloaded, RestsOn, Sensor, Status, Store, Why,
};
pub use history::{History, Recorded};

use crate::message::{self, ControllerState, Mode, OutputState};
use crate::model::{self, Timestamp};

/// In characters.
const LONGEST_REASON: usize = 300;

/// A reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading<'a> {
    /// Nothing when it is bad.
    pub value: Option<f64>,
    /// `°C`
    pub unit: Cow<'a, str>,
    /// When it was measured.
    #[serde(with = "rfc_3339")]
    pub time: Timestamp,
    /// `good`, `uncertain` or `bad`
    pub quality: Cow<'a, str>,
    /// Why it is not good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// Its number.
    pub seq: u64,
}

impl<'a> From<&'a model::Reading> for Reading<'a> {
    fn from(reading: &'a model::Reading) -> Self {
        Self {
            value: reading.sample.value().map(short),
            unit: reading.quantity.unit().into(),
            time: reading.time,
            quality: reading.sample.quality().into(),
            reason: reading.sample.reason().map(|reason| brief(reason)),
            seq: reading.seq,
        }
    }
}

/// What an output does, and for whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output<'a> {
    /// 0..=1: what it was asked for, within its limits.
    pub level: f64,
    /// Whether the pin is on right now.
    pub on: bool,
    /// Whose demand it follows, or is kept from following.
    pub by: Option<Cow<'a, str>>,
    /// Since when.
    #[serde(with = "rfc_3339")]
    pub since: Timestamp,
    /// Why it is as it is.
    pub why: Cow<'a, str>,
    /// What keeps it from following the demand: then that is why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Cow<'a, str>>,
    /// What the demand rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Whether the last write to the hardware succeeded.
    pub confirmed: bool,
}

impl<'a> From<&'a OutputState> for Output<'a> {
    fn from(state: &'a OutputState) -> Self {
        Self {
            level: short(state.level.get()),
            on: state.on,
            by: state.by.as_ref().map(|owner| owner.as_str().into()),
            since: state.since,
            why: (&*state.why).into(),
            limit: state.limit.as_deref().map(Into::into),
            because: state.because.as_ref().map(ToString::to_string),
            confirmed: state.confirmed,
        }
    }
}

/// What a controller has worked out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Controller<'a> {
    /// What it aims at.
    pub setpoint: f64,
    /// `automatic`, `manual` or `waiting`
    pub mode: Cow<'a, str>,
    /// The process value it acted on.
    pub input: Option<f64>,
    /// Proportional to the error,
    pub p: f64,
    /// to its sum over time,
    pub i: f64,
    /// to the speed of the process value.
    pub d: f64,
    /// -1..=1: above 0 it raises, below 0 it lowers.
    pub output: f64,
}

impl From<&ControllerState> for Controller<'_> {
    fn from(state: &ControllerState) -> Self {
        let mode = match state.mode {
            Mode::Automatic => "automatic",
            Mode::Manual(_) => "manual",
            Mode::Waiting => "waiting",
            Mode::Tripped => "tripped",
        };
        Self {
            setpoint: short(state.setpoint),
            mode: mode.into(),
            input: state.input.map(short),
            p: short(state.terms.p),
            i: short(state.terms.i),
            d: short(state.terms.d),
            output: short(state.output),
        }
    }
}

/// An alarm that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm<'a> {
    /// What is wrong.
    pub text: Cow<'a, str>,
    /// Since when it stands.
    #[serde(with = "rfc_3339")]
    pub since: Timestamp,
    /// It stands until it is acknowledged.
    pub latched: bool,
    /// A person knows.
    pub acknowledged: bool,
}

impl<'a> Alarm<'a> {
    /// Nothing for an alarm that has gone.
    pub fn standing(alarm: &'a message::Alarm) -> Option<Self> {
        let &message::Alarm { since, latched, acknowledged, .. } = alarm;
        alarm.text.as_deref().map(|text| Self { text: text.into(), since, latched, acknowledged })
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult<'a> {
    /// `accepted`, `done`, `rejected` or `expired`
    pub result: Cow<'a, str>,
    /// Why it is not done; of a dose, what was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Cow<'a, str>>,
}

/// The JSON of a payload.
pub fn json(payload: &impl Serialize) -> Vec<u8> {
    // These structs have text keys and finite or null numbers, so they always can be written.
    serde_json::to_vec(payload).unwrap_or_default()
}

/// Four decimals: more than any sensor is exact to. The store keeps all of them.
fn short(value: f64) -> f64 {
    let rounded = (value * 1e4).round() / 1e4;
    // Numbers too large for this have no decimals anyway; -0 would only puzzle.
    if rounded.is_finite() { rounded + 0.0 } else { value }
}

/// A reason, at most as long as a few lines: brokers refuse large packets, and drivers say what devices tell them. The store keeps all
/// of it.
fn brief(reason: &str) -> Cow<'_, str> {
    match reason.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}…", &reason[..end]).into(),
        None => reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_can_be_read() {
        let text = r#"{"value":23.4,"unit":"°C","time":"2026-11-21T08:33:20.250Z","quality":"uncertain","reason":"it \"jumped\"","seq":81734}"#;
        let reading: Reading<'static> = serde_json::from_str(text).unwrap();
        assert_eq!((reading.time, reading.seq), (Timestamp::from_millis(1_795_250_000_250), 81734));
        assert_eq!(String::from_utf8(json(&reading)).unwrap(), text);
        assert!(serde_json::from_str::<Reading<'static>>(&text.replace("2026", "soon")).is_err());
    }

    #[test]
    fn a_reason_is_cut_between_two_letters() {
        assert_eq!(brief("gone"), "gone");
        let (most, more) = ("é".repeat(LONGEST_REASON), "é".repeat(LONGEST_REASON + 1));
        assert_eq!(brief(&most), most);
        assert_eq!(brief(&more), format!("{most}…"));
    }
}
