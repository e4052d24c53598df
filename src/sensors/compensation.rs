//! Channels of other sensors that a value depends on: `compensation = { temperature = "air.temperature" }`.

use super::DriverError;
use crate::config::Section;
use crate::model::{ChannelId, Quantity};

/// What a driver is to be told before each read, each with what it measures, and what it was told last.
#[derive(Debug, Clone, Default)]
pub struct Compensation {
    quantities: Vec<Quantity>,
    channels: Vec<ChannelId>,
    heard: Vec<Option<f64>>,
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

    /// Remembers what a driver is told, in the order of [`channels`](Self::channels): [`Driver::hear`](super::Driver::hear).
    pub fn hear(&mut self, inputs: &[Option<f64>]) {
        self.heard = inputs.to_vec();
    }

    /// The value of a quantity; `None` if it has none at the moment, or nobody named a channel for it.
    pub fn value(&self, quantity: Quantity) -> Option<f64> {
        let number = self.quantities.iter().position(|one| *one == quantity)?;
        self.heard.get(number).copied().flatten()
    }

    /// The same for a driver that measures something else without it; `None` if nobody named a channel for it.
    ///
    /// # Errors
    /// Somebody did, and it has no value at the moment.
    pub fn needed(&self, quantity: Quantity, device: &str) -> Result<Option<f64>, DriverError> {
        let named = self.quantities.iter().zip(&self.channels).find(|(one, _)| **one == quantity);
        match (named, self.value(quantity)) {
            (None, _) => Ok(None),
            (_, Some(value)) => Ok(Some(value)),
            (Some((_, channel)), None) => {
                let what = format!("{channel}, by which it is compensated, has no value");
                Err(DriverError::no_value(device, what))
            }
        }
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
    pub fn climate(&self) -> Option<(f64, f64)> {
        let (celsius, percent) = (self.value(Quantity::Temperature)?, self.value(Quantity::Humidity)?);
        Some((celsius, percent.clamp(0.0, 100.0)))
    }
}
