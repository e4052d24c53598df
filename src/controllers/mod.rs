//! Controllers: one actor for all of them, the arithmetic of each in a pure file of its own.

pub mod actor;
mod config;
pub mod pid;
pub mod watch;

use std::time::Duration;

use crate::model::{ChannelId, ControllerId, OutputId};

/// A `[controllers.NAME]` table, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Its name.
    pub id: ControllerId,
    /// The process value.
    pub input: ChannelId,
    /// What raises it.
    pub raise: Option<OutputId>,
    /// What lowers it.
    pub lower: Option<OutputId>,
    /// What to aim at, in the channel's unit.
    pub setpoint: f64,
    /// A reading older than this is no reading.
    pub stale_after: Duration,
    /// The gains.
    pub gains: pid::Gains,
    /// What the plant must do under power, and must not do without.
    pub watch: Option<watch::Settings>,
}
