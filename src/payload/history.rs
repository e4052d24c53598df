//! A page of the history: readings in the order of their numbers, with all that the store keeps of them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{brief, rfc_3339};
use crate::model::{ChannelId, Sample, Timestamp};

/// A page. Node and number name a reading for ever, so who has it already can drop it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History<'a> {
    /// Whose readings.
    pub node: Cow<'a, str>,
    /// In the order of their numbers.
    pub readings: Vec<Recorded<'a>>,
}

/// A reading of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded<'a> {
    /// Its number.
    pub seq: u64,
    /// `air.temperature`
    pub channel: Cow<'a, str>,
    /// When it was measured.
    #[serde(with = "rfc_3339")]
    pub time: Timestamp,
    /// As it was measured, with all decimals. Nothing when it is bad.
    pub value: Option<f64>,
    /// `°C`
    pub unit: Cow<'a, str>,
    /// `good`, `uncertain` or `bad`
    pub quality: Cow<'a, str>,
    /// Why it is not good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
}

impl<'a> Recorded<'a> {
    /// What is told of a reading.
    pub fn new(seq: u64, channel: &'a ChannelId, time: Timestamp, unit: &'a str, sample: &'a Sample) -> Self {
        Self {
            seq,
            channel: channel.as_str().into(),
            time,
            value: sample.value(),
            unit: unit.into(),
            quality: sample.quality().into(),
            reason: sample.reason().map(|reason| brief(reason)),
        }
    }
}
