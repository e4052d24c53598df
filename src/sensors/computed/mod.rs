//! Sensors without a device: their channel is computed from the channels of other sensors.
//!
//! One actor for all of them, one file for each way to compute. To add one, write a [`Formula`] and name it in [`DRIVERS`].

pub mod actor;
mod config;
mod redundant;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::config::{has, read};
use super::Channel;
use crate::config::Section;
use crate::model::{ChannelId, Quantity, Sample, SensorId};

/// Every driver there is that computes.
pub static DRIVERS: &[Entry] = &[redundant::ENTRY];

/// A driver's row in the table.
pub struct Entry {
    /// `driver = "…"`
    pub name: &'static str,
    /// One line for `homeostat drivers` and the documentation.
    pub summary: &'static str,
    /// What it is for, its keys and trouble, as a Markdown list of short items.
    pub about: &'static str,
    /// A `[sensors.NAME]` table that works, beside sensors of the names that it uses.
    pub example: &'static str,
    /// Reads the driver's own keys. Reports what is wrong to the section and gives `None` then.
    pub read: fn(&Section, &[Input]) -> Option<SharedFormula>,
}

/// A channel that is computed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Which.
    pub id: ChannelId,
    /// The part of its id after the dot.
    pub name: &'static str,
    /// What it measures.
    pub quantity: Quantity,
}

/// A `[sensors.NAME]` table of a driver that computes, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name.
    pub id: SensorId,
    /// `driver = "…"`
    pub driver: &'static str,
    /// What it computes with, in the order of the file.
    pub inputs: Vec<Input>,
    /// A reading that is older than this is not used.
    pub stale_after: Duration,
    /// The interval of its fastest input: it does not publish more often.
    pub fastest: Duration,
    /// The interval of its slowest input: so often it reads for sure.
    pub slowest: Duration,
    /// How it computes.
    pub formula: SharedFormula,
}

/// A formula that every life of its sensor uses.
pub type SharedFormula = Arc<dyn Formula>;

/// How one value is made of several. Pure: the same samples give the same outcome.
pub trait Formula: fmt::Debug + Send + Sync {
    /// What it computes.
    fn channel(&self) -> Channel;

    /// What the inputs come to, each with its latest sample in the order of [`Config::inputs`]; `None` where there is no
    /// fresh one.
    fn compute(&self, inputs: &[(&ChannelId, Option<&Sample>)]) -> Outcome;
}

/// What a formula made of its inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What is published.
    pub sample: Sample,
    /// Which inputs it comes from, as indices; none if nothing fresh is there to compute with.
    pub uses: Vec<usize>,
    /// What a person should know of.
    pub trouble: Option<Trouble>,
}

/// Some inputs cannot be relied on.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// Which, as indices. Told again only when these change, for the text may hold values.
    pub about: Vec<usize>,
    /// A sentence.
    pub text: String,
}
