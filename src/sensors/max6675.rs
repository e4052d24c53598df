//! MAX6675: a thermocouple of type K on SPI, from 0 to 1024 °C.
//!
//! Source: Maxim 19-2235, "Serial Interface" and figure 2. Own code: no kept crate, and it is one transfer.

use std::time::Duration;

use embedded_hal::spi::SpiDevice;

use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::{Section, Value};
use crate::hardware::{Hardware, Spi, SpiSettings};
use crate::model::Quantity;
use crate::wiring::{OnSpi, Wiring};

const ABOUT: &str = "\
- Range: 0 to 1024 °C in steps of 0.25 °C (±3 °C up to 700 °C), type K only. No frost: below 0 °C there is no value. Out of
  production; a MAX31855 is its successor.
- Wiring: 3.3 V, ground, SCK to GPIO 11, SO to GPIO 9, CS to GPIO 8 (`select = 0`) or GPIO 7 (`select = 1`); `dtparam=spi=on` in
  `/boot/firmware/config.txt`.
- It measures for 0.22 s and each read begins it anew, so `every` is no shorter than \"250ms\".
- Trouble: to notice a thermocouple that came off, T- must be connected to ground at the chip, as it is on the usual boards.
";

pub(super) const ENTRY: Entry = Entry {
    name: "max6675",
    summary: "thermocouple of type K, SPI: 0 to 1024 °C",
    about: ABOUT,
    example: r#"
[sensors.kiln]
driver = "max6675"
bus = 0
select = 1
every = "2s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnSpi);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let place = OnSpi::read(section, "MAX6675");
    let every = section.value("every").and_then(|every| Duration::read(every.get_ref()).ok());
    if every.is_some_and(|every| every < CONVERTING) {
        section.wrong("every", "a MAX6675 would never finish a measurement", "read it every \"250ms\" at most");
        return None;
    }
    Some(Box::new(Config(place?)))
}

const CHANNELS: &[Channel] = &[Channel { name: "temperature", quantity: Quantity::Temperature }];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.0.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        Ok(Box::new(Max6675 { device: self.0.name(), spi: self.0.open(hardware, SETTINGS)? }))
    }
}

/// 4.3 MHz is the most.
const SETTINGS: SpiSettings = SpiSettings { hertz: 1_000_000, mode: 0 };
/// 0.22 s at most, and a little for the beat of the actor.
const CONVERTING: Duration = Duration::from_millis(250);
/// The sign, which is never set, and the device's id, which is 0.
const ALWAYS_0: u16 = 1 << 15 | 1 << 1;
/// The thermocouple is not connected.
const OPEN: u16 = 1 << 2;

struct Max6675 {
    device: String,
    spi: Spi,
}

impl Driver for Max6675 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let mut frame = [0; 2];
        self.spi.read(&mut frame)?;
        let frame = u16::from_be_bytes(frame);
        if frame & ALWAYS_0 != 0 {
            let what = format!("bits that are always 0 are set in {frame:#06x}; check its wiring and its power");
            return Err(DriverError::corrupt(&self.device, what));
        }
        if frame & OPEN != 0 {
            return Err(DriverError::no_value(&self.device, "the thermocouple is not connected, or broken"));
        }
        let steps = frame >> 3;
        if steps == 0 || steps == 0xfff {
            let what = if steps == 0 {
                "it is at 0 °C or below, or a wire is loose; check its wiring and that the thermocouple is the right way round"
            } else {
                "it is hotter than the 1023.75 °C that it can measure"
            };
            return Err(DriverError::no_value(&self.device, what));
        }
        Ok(vec![f64::from(steps) * 0.25])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, spi};

    fn read(frame: u16) -> Result<Vec<f64>, DriverError> {
        read_once(&ENTRY, "every = \"250ms\"", &Recorded::new([spi(&[], &frame.to_be_bytes())]))
    }

    #[test]
    fn twelve_bits_are_quarters_of_a_degree() {
        // The datasheet has no example; D14 to D3 by its figure 2.
        for (frame, celsius) in [(0x0008, 0.25), (0x0320, 25.0), (0x3208, 400.25), (0x7ff0, 1023.5)] {
            assert_near(&read(frame).unwrap(), &[celsius], 0.0);
        }
    }

    #[test]
    fn faults_and_loose_wires_are_told_apart() {
        for (frame, expected) in [
            (0x0324, "has no value: the thermocouple is not connected"),
            (0xffff, "bits that are always 0 are set in 0xffff"),
            (0x0322, "always 0"),
            (0x0000, "0 °C or below, or a wire is loose"),
            (0x7ff8, "hotter"),
        ] {
            let error = read(frame).unwrap_err().to_string();
            assert!(error.starts_with("MAX6675 at chip select 0 of SPI bus 0") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_sensor_that_is_read_too_often_is_refused() {
        let found = mistakes(&ENTRY, "every = \"100ms\"");
        assert!(found.len() == 1 && found[0].message.contains("never finish"), "{found:?}");
    }
}
