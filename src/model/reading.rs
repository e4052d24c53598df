//! What a sensor says, and how far it may be believed.

use std::sync::Arc;

use super::{ChannelId, Monotonic, Quantity, Timestamp};

/// A measured value and its quality, as in OPC UA. A bad sample has no value, so none can be acted on by mistake.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// To be believed; finite.
    Good(f64),
    /// To be used with care, and why; finite.
    Uncertain(f64, Arc<str>),
    /// Not there, and why.
    Bad(Arc<str>),
}

impl Sample {
    /// A good sample; one that is not a number is bad.
    pub fn measured(value: f64) -> Self {
        if value.is_finite() { Self::Good(value) } else { Self::Bad("the driver gave no number".into()) }
    }

    /// The value, unless the sample is bad.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Good(value) | Self::Uncertain(value, _) => Some(*value),
            Self::Bad(_) => None,
        }
    }

    /// `good`, `uncertain` or `bad`.
    pub fn quality(&self) -> &'static str {
        match self {
            Self::Good(_) => "good",
            Self::Uncertain(..) => "uncertain",
            Self::Bad(_) => "bad",
        }
    }

    /// Why it is not good.
    pub fn reason(&self) -> Option<&Arc<str>> {
        match self {
            Self::Good(_) => None,
            Self::Uncertain(_, reason) | Self::Bad(reason) => Some(reason),
        }
    }
}

/// One sample of one channel, with its times and its number. Once published it never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Of this node, growing, never used twice, also over restarts.
    pub seq: u64,
    /// Whose.
    pub channel: ChannelId,
    /// Of what, and so in which unit.
    pub quantity: Quantity,
    /// How much, and whether to believe it.
    pub sample: Sample,
    /// When, for controllers and limits.
    pub at: Monotonic,
    /// When, for people and databases.
    pub time: Timestamp,
}
