//! Channels of other sensors that a value depends on: `compensation = { temperature = "air.temperature" }`.

use crate::config::Section;
use crate::model::{ChannelId, Quantity};

/// What a driver is to be told before each read, each with what it measures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compensation {
    quantities: Vec<Quantity>,
    channels: Vec<ChannelId>,
}

impl Compensation {
    /// Reads the key. `wanted` is what the driver can use; each may be there or not. `None` if it is wrong.
    pub fn read(section: &Section<'_>, wanted: &[Quantity]) -> Option<Self> {
        let mut compensation = Self::default();
        if !section.has("compensation") {
            return Some(compensation);
        }
        let table = section.table("compensation")?;
        let mut whole = true;
        for quantity in wanted {
            if !table.has(quantity.name()) {
                continue;
            }
            match table.optional::<ChannelId>(quantity.name()) {
                Some(channel) => {
                    compensation.quantities.push(*quantity);
                    compensation.channels.push(channel);
                }
                None => whole = false,
            }
        }
        table.finish();
        whole.then_some(compensation)
    }

    /// The channels, in an order of their own: [`SensorConfig::inputs`](super::SensorConfig::inputs).
    pub fn channels(&self) -> &[ChannelId] {
        &self.channels
    }

    /// The value of a quantity among `inputs`, which are in the order of [`channels`](Self::channels).
    pub fn value(&self, quantity: Quantity, inputs: &[Option<f64>]) -> Option<f64> {
        let number = self.quantities.iter().position(|one| *one == quantity)?;
        inputs.get(number).copied().flatten()
    }
    /// Reads the key of a driver that can use the air's temperature and humidity, but only both together.
    pub fn read_climate(section: &Section<'_>) -> Option<Self> {
        let compensation = Self::read(section, &[Quantity::Temperature, Quantity::Humidity])?;
        if compensation.channels.len() == 1 {
            let hint = "write `compensation = { temperature = \"air.temperature\", humidity = \"air.humidity\" }`";
            section.wrong("compensation", "the temperature and the humidity are needed, not one of them", hint);
            return None;
        }
        Some(compensation)
    }

    /// °C and % relative humidity; `None` unless both are there.
    pub fn climate(&self, inputs: &[Option<f64>]) -> Option<(f64, f64)> {
        let (celsius, percent) = (self.value(Quantity::Temperature, inputs)?, self.value(Quantity::Humidity, inputs)?);
        Some((celsius, percent.clamp(0.0, 100.0)))
    }
}
