//! The keys that every `[sensors.NAME]` table has: `driver`, `every`, and a table for each channel. The rest is the driver's.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::filter::{Filter, Options};
use super::pace::{LONGEST, USUAL};
use super::recovery::Power;
use super::{Config, DRIVERS, Filters, SensorConfig, computed};
use crate::config::{Devices, Section, Sensor};
use crate::model::SensorId;

const RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=LONGEST;

impl Config {
    /// Reads a table and tells the others what it has. Reports what is wrong, and gives `None` then.
    pub fn read(name: &str, section: Section<'_>, devices: &mut Devices<'_>) -> Option<Self> {
        let id = section.name(name, SensorId::new);
        let every = if section.has("every") { section.duration("every", RANGE) } else { Some(USUAL) };
        let computed = computed::DRIVERS.iter().map(|entry| entry.name);
        let names: Vec<&'static str> = DRIVERS.iter().map(|entry| entry.name).chain(computed).collect();
        let driver = section.word("driver", &names).and_then(|name| DRIVERS.iter().find(|entry| entry.name == name));
        let device: Option<Arc<dyn SensorConfig>> = driver.and_then(|entry| (entry.read)(&section)).map(Arc::from);
        let measured = device.as_ref().map_or(&[][..], |device| device.channels());
        let options = measured.iter().map(|channel| {
            let table = section.shared(channel.name);
            table.map_or_else(Options::default, |table| Options::read(&table, every))
        });
        let options = options.collect();
        if device.is_none() {
            section.spare_tables();
        }
        let channels = device.as_ref().map(|_| measured.iter().map(|one| (one.name, one.quantity)).collect());
        devices.add_sensor(name, Sensor { channels, every });
        let power = Power::read(&section, devices);
        devices.hear(&section, "compensation", device.as_ref().map(|device| device.inputs()).unwrap_or_default());
        devices.claim(&section, device.as_ref().map(|device| device.claims()).unwrap_or_default());
        // Which keys an unknown driver has, nobody knows.
        if let Some(driver) = driver {
            section.finish_for(driver.name);
        }
        Some(Self { id: id?, driver: driver?.name, every: every?, power: power?, device: device?, options })
    }

    /// New filters for its channels.
    pub fn filters(&self) -> Filters {
        let channels = self.device.channels().iter().zip(&self.options);
        let filters = channels.map(|(channel, options)| Filter::new(options.clone(), channel.quantity, self.every));
        Arc::new(Mutex::new(filters.collect()))
    }
}
