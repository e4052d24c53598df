//! What the store keeps of what happens: readings, alarms, and the changes of outputs that people are told of.

use std::borrow::Cow;
use std::sync::Arc;

use crate::message::{Alarm, OutputState};
use crate::model::{ChannelId, Reading, Sample, Timestamp};

/// A reading as it is kept: all that is said of it to the outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbered {
    /// Its number: of this node, growing, never used twice.
    pub seq: u64,
    /// Whose.
    pub channel: ChannelId,
    /// The unit's symbol: `°C`.
    pub unit: Cow<'static, str>,
    /// When.
    pub time: Timestamp,
    /// How much, whether to believe it, and why not. The reason is always there.
    pub sample: Sample,
}

impl From<Reading> for Numbered {
    fn from(reading: Reading) -> Self {
        let Reading { seq, channel, quantity, sample, time, .. } = reading;
        Self { seq, channel, unit: Cow::Borrowed(quantity.unit()), time, sample }
    }
}

/// How far a reading is believed, as it stands in the database.
pub(super) fn quality(sample: &Sample) -> u8 {
    match sample {
        Sample::Good(_) => 0,
        Sample::Uncertain(..) => 1,
        Sample::Bad(_) => 2,
    }
}

/// The way back. What cannot be, because somebody has changed the file, is bad.
pub(super) fn sample(value: Option<f64>, quality: i64, reason: Option<Arc<str>>) -> Sample {
    let reason = reason.unwrap_or_else(|| "unknown".into());
    match (value, quality) {
        (Some(value), 0) => Sample::Good(value),
        (Some(value), 1) => Sample::Uncertain(value, reason),
        _ => Sample::Bad(reason),
    }
}

/// An output went to another state: see [`OutputState::differs_from`].
#[derive(Debug, Clone, PartialEq)]
pub struct OutputChange {
    /// Since when it is so.
    pub time: Timestamp,
    /// Whose, by name.
    pub output: Arc<str>,
    /// What it was asked for, 0..=1.
    pub level: f64,
    /// Whether the pin is on.
    pub on: bool,
    /// Who asked; `None` when it rests at its safe level.
    pub by: Option<Arc<str>>,
    /// Why it is as it is.
    pub why: Arc<str>,
}

impl From<&OutputState> for OutputChange {
    fn from(state: &OutputState) -> Self {
        Self {
            time: state.since,
            output: state.output.as_str().into(),
            level: state.level.get(),
            on: state.on,
            by: state.by.as_ref().map(|owner| owner.as_str().into()),
            why: state.why.clone(),
        }
    }
}

/// What is to be on disk.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    Reading(Numbered),
    Alarm(Alarm),
    Output(OutputChange),
}

impl Entry {
    /// The number, if it is a reading.
    pub(super) fn seq(&self) -> Option<u64> {
        self.reading().map(|reading| reading.seq)
    }

    pub(super) fn reading(&self) -> Option<&Numbered> {
        match self {
            Self::Reading(reading) => Some(reading),
            Self::Alarm(_) | Self::Output(_) => None,
        }
    }
}
