//! Sensors: one actor for all of them, one file for each chip.
//!
//! To add a chip, write its file in the order of `ds18b20.rs` and name it in [`DRIVERS`]. What a person needs to know of it (range,
//! wiring, address, trouble) stands in its [`Entry`], from where `homeostat drivers` and docs/drivers.md have it.

pub mod actor;
mod ads1115;
mod aht20;
mod bh1750;
mod bme280;
mod bme680;
mod bmp280;
mod bmp390;
mod bosch;
pub mod calibration;
mod ccs811;
mod command;
pub mod compensation;
pub mod computed;
mod config;
mod cpu_temperature;
mod crc;
mod dht22;
mod digital_input;
mod disk;
mod ds18b20;
mod ens160;
mod ezo;
mod file;
pub mod filter;
mod flow_meter;
mod hc_sr04;
mod hwmon;
mod hx711;
mod iio;
mod ina;
mod ina219;
mod ina260;
mod kernel;
mod lm75;
mod max31855;
mod max31865;
mod max6675;
mod mcp3008;
mod mcp9808;
mod memory;
mod messages;
mod mh_z19;
mod mlx90614;
mod moisture;
pub mod mqtt;
mod pace;
mod pms5003;
mod rain_gauge;
pub mod recovery;
mod scd30;
mod scd4x;
mod sds011;
mod seesaw_soil;
mod sensirion;
mod sgp30;
mod sgp40;
mod sht3x;
mod sht4x;
mod shtc3;
mod tally;
#[cfg(test)]
mod testing;
pub mod text;
mod tmp102;
mod tsl2591;
mod veml7700;
mod vl53l0x;
mod voc_index;

use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use self::filter::Filter;
use crate::config::Section;
use crate::hardware::simulated::Chip;
use crate::hardware::{Hardware, HardwareError, StandIn, Wake};
use crate::model::{ChannelId, Claim, Monotonic, Quantity, SensorId};
use crate::wiring::Wiring;

/// Every sensor driver there is.
#[rustfmt::skip]
pub static DRIVERS: &[Entry] = &[
    ads1115::ENTRY,
    aht20::ENTRY,
    bh1750::ENTRY,
    bme280::ENTRY,
    bme680::ENTRY,
    bmp280::ENTRY,
    bmp390::ENTRY,
    ccs811::ENTRY,
    command::ENTRY,
    cpu_temperature::ENTRY,
    dht22::ENTRY,
    digital_input::ENTRY,
    disk::ENTRY,
    ds18b20::ENTRY,
    ens160::ENTRY,
    ezo::DO,
    ezo::EC,
    ezo::ORP,
    ezo::PH,
    ezo::RTD,
    file::ENTRY,
    flow_meter::ENTRY,
    hc_sr04::ENTRY,
    hwmon::ENTRY,
    hx711::ENTRY,
    iio::ENTRY,
    ina219::ENTRY,
    ina260::ENTRY,
    lm75::ENTRY,
    max31855::ENTRY,
    max31865::ENTRY,
    max6675::ENTRY,
    mcp3008::ENTRY,
    mcp9808::ENTRY,
    memory::ENTRY,
    mh_z19::ENTRY,
    mlx90614::ENTRY,
    mqtt::ENTRY,
    pms5003::ENTRY,
    rain_gauge::ENTRY,
    scd30::ENTRY,
    scd4x::ENTRY,
    sds011::ENTRY,
    seesaw_soil::ENTRY,
    sgp30::ENTRY,
    sgp40::ENTRY,
    sht3x::ENTRY,
    sht4x::ENTRY,
    shtc3::ENTRY,
    tmp102::ENTRY,
    lm75::ENTRY_TMP105,
    tsl2591::ENTRY,
    veml7700::ENTRY,
    vl53l0x::ENTRY,
];

/// A driver's row in the table.
pub struct Entry {
    /// `driver = "…"`
    pub name: &'static str,
    /// One line for `homeostat drivers` and the documentation.
    pub summary: &'static str,
    /// Range, wiring, address and trouble, as a Markdown list of short items.
    pub about: &'static str,
    /// A `[sensors.NAME]` table that works; each is parsed in a test.
    pub example: &'static str,
    /// Reads the driver's own keys. Reports what is wrong to the section and gives `None` then.
    pub read: fn(&Section) -> Option<Box<dyn SensorConfig>>,
}

/// A `[sensors.NAME]` table, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name.
    pub id: SensorId,
    /// `driver = "…"`
    pub driver: &'static str,
    /// How often it is read.
    pub every: Duration,
    /// `power = { … }`: what is switched off and on when it fails again and again.
    pub power: Option<recovery::Power>,
    /// The driver's own part.
    pub device: Arc<dyn SensorConfig>,
    /// What the table says of each channel, in the order of the driver's channels.
    pub options: Vec<filter::Options>,
}

impl Config {
    /// Finds the device and makes it ready, or takes what stands in for it in a simulated world. Runs in the lane, and may block.
    pub fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        match hardware.stand_in(self.id.as_str()) {
            Some(values) => Ok(Box::new(Simulated(values))),
            None => self.device.open(hardware),
        }
    }
}

/// What a simulated world has in place of a chip that it has no model of.
struct Simulated(StandIn);

impl Driver for Simulated {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        Ok((self.0)())
    }
}

/// An open driver, or none. Each life of a sensor has its own, for a hang may keep that of the life before.
pub type Device = Arc<Mutex<Option<Box<dyn Driver>>>>;

/// The device of the life that runs, for whoever calibrates it. Not an owner: a driver may block or panic while it is dropped, and only
/// its actor knows to have the lane do that.
pub type Running = Arc<Mutex<Weak<Mutex<Option<Box<dyn Driver>>>>>>;

/// The filters of a sensor's channels, in the order of the driver's channels. They outlive the sensor's actor.
pub type Filters = Arc<Mutex<Vec<Filter>>>;

/// One measured quantity of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    /// The part after the dot in `air.temperature`.
    pub name: &'static str,
    /// What it measures, and so its unit.
    pub quantity: Quantity,
}

/// A driver's configuration, checked. Opening it again after a failure always begins from here.
pub trait SensorConfig: fmt::Debug + Send + Sync {
    /// What one read gives, in this order.
    fn channels(&self) -> &[Channel];

    /// What it occupies, and the lane it is read through.
    fn wiring(&self) -> Wiring;

    /// Channels of other sensors that its values depend on, such as the air's humidity for a gas sensor.
    fn inputs(&self) -> &[ChannelId] {
        &[]
    }

    /// How long one read or open may take before the device counts as hung.
    fn deadline(&self) -> Duration {
        Duration::from_secs(2)
    }

    /// What it hears over a broker, if it is not read at all: then it has an actor of its own, and [`open`](Self::open) gives an error.
    fn heard(&self) -> Option<&mqtt::Heard> {
        None
    }

    /// How far apart its readings may lie, where that is not the interval at which it is read.
    fn interval(&self) -> Option<Duration> {
        None
    }

    /// Finds the device and makes it ready. Runs in the lane, and may block.
    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError>;

    /// The chip as the simulated world has it, speaking the real chip's registers; `None` if there is none yet.
    fn chip(&self) -> Option<Chip> {
        None
    }
}

// Not in the trait, so that a driver says it at one place only.
impl dyn SensorConfig + '_ {
    /// What the device occupies.
    pub fn claims(&self) -> Vec<Claim> {
        self.wiring().claims
    }

    /// The lane it is read through: `i2c-1`, `w1`.
    pub fn lane(&self) -> String {
        self.wiring().lane
    }
}

/// An opened device.
pub trait Driver: Send {
    /// One value for each channel, in the order of [`SensorConfig::channels`]. Runs in the lane, and may block.
    fn read(&mut self) -> Result<Vec<f64>, DriverError>;

    /// Called before each read with the fresh values of [`SensorConfig::inputs`], in their order; `None` where there is none.
    fn hear(&mut self, inputs: &[Option<f64>]) {
        let _ = inputs;
    }

    /// Called right before each read with its time, for what is measured per second.
    fn at(&mut self, now: Monotonic) {
        let _ = now;
    }

    /// Called once after it was opened. Whenever `wake` is called the sensor is read at once, and not only in its interval.
    fn wake_by(&mut self, wake: Wake) -> Result<(), DriverError> {
        let _ = wake;
        Ok(())
    }

    /// Carries out a step of a calibration, such as `["mid", "7.00"]`, and says what the device answered. Runs in the lane.
    fn calibrate(&mut self, step: &[&str]) -> Result<String, DriverError> {
        let _ = step;
        Err(DriverError::NoCalibration)
    }
}

/// Why a device gave no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// The bus did not carry it.
    #[error(transparent)]
    Hardware(#[from] HardwareError),
    /// Something answered, but it is not this chip.
    #[error("{device} is not there: {found}")]
    WrongChip {
        /// The chip and where it should be.
        device: String,
        /// What answered instead, and what to do.
        found: String,
    },
    /// The bytes arrived damaged.
    #[error("{device} sent damaged data: {what}")]
    Corrupt {
        /// The chip and where it is.
        device: String,
        /// Which check failed.
        what: String,
    },
    /// There is nothing in the device that could be calibrated.
    #[error("its chip keeps no calibration of its own; use `offset`, `scale` or `points` of its channel")]
    NoCalibration,
    /// The chip itself says that it has no value.
    #[error("{device} has no value: {what}")]
    NoValue {
        /// The chip and where it is.
        device: String,
        /// Why, and what to do.
        what: String,
    },
    /// The chip is well, but has no value so soon. This is no failure: it is not opened anew, which would make it begin again.
    #[error("{device} has no value yet: {what}")]
    NotYet {
        /// The chip and where it is.
        device: String,
        /// What it waits for.
        what: String,
    },
}

impl DriverError {
    /// Something answered, but it is not this chip.
    pub fn wrong_chip(device: &str, found: impl Into<String>) -> Self {
        Self::WrongChip { device: device.to_owned(), found: found.into() }
    }

    /// The bytes arrived damaged.
    pub fn corrupt(device: &str, what: impl Into<String>) -> Self {
        Self::Corrupt { device: device.to_owned(), what: what.into() }
    }

    /// The chip itself says that it has no value.
    pub fn no_value(device: &str, what: impl Into<String>) -> Self {
        Self::NoValue { device: device.to_owned(), what: what.into() }
    }
    /// The chip is well, but has no value so soon.
    pub fn not_yet(device: &str, what: impl Into<String>) -> Self {
        Self::NotYet { device: device.to_owned(), what: what.into() }
    }
}
