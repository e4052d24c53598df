//! INA219: voltage, current and power of a direct current, over a shunt, on I²C.
//!
//! It measures once for each read, over 32 samples of 17 ms together, so that a load that is switched by PWM is averaged. Current and power
//! are worked out here from both voltages: the chip's own need a calibration register that rounds, is lost with the power, and overflows.
//! What stands for it is the setting, which each read compares, and the end of the shunt's range.
//!
//! Source: TI SBOS448G, 8.5 and 8.6. Own code: `embedded-devices` 0.10 takes shunts in whole milliohms and the setting from the chip, as it
//! is after a loss of power, and brings `uom` along.

use std::time::Duration;

use super::ina::{ADDRESSES, CHANNELS, SETTING, unchanged};
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: 0 to 26 V (±0.5 %), and 0.32 V over the shunt either way: ±3.2 A with the usual 0.1 Ω, in steps of 0.1 mA.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`. The supply to VIN+, the load
  to VIN-; the load's ground must be the Pi's.
- Address: 0x40; by A0 and A1 up to 0x4f, on most boards 0x40, 0x41, 0x44 and 0x45.
- `shunt` is the resistor in ohms: `R100` on it is 0.1.
- Trouble: a current below zero means that VIN+ and VIN- are swapped.
";

pub(super) const ENTRY: Entry = Entry {
    name: "ina219",
    summary: "voltage, current and power over a shunt, I²C: 26 V",
    about: ABOUT,
    example: r#"
[sensors.pump_supply]
driver = "ina219"
bus = 1
address = 0x40
shunt = 0.1
every = "5s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    place: OnI2c,
    /// Ω
    shunt: f64,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let place = OnI2c::read(section, "INA219", &ADDRESSES);
    let shunt = if section.has("shunt") { section.optional("shunt") } else { Some(0.1) };
    let shunt = shunt.filter(|ohm| {
        let fits = (0.0001..=100.0).contains(ohm);
        if !fits {
            section.wrong(
                "shunt",
                format!("a shunt cannot have {ohm} Ω"),
                "it is in ohms: `R100` on the resistor is 0.1",
            );
        }
        fits
    });
    Some(Box::new(Config { place: place?, shunt: shunt? }))
}

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.place.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut chip = self.place.open(hardware)?;
        chip.set_word(SETTING, RESET)?;
        let found = chip.word(SETTING)?;
        if found != AFTER_RESET {
            return Err(DriverError::wrong_chip(chip.name(), other_chip(found)));
        }
        Ok(Box::new(Ina219 { chip, shunt: self.shunt }))
    }
}

/// The registers (table 2), besides the setting.
const SHUNT: u8 = 0x01;
const BUS: u8 = 0x02;
const POWER: u8 = 0x03;
/// The setting (8.6.2.1), and what it is after a reset.
const RESET: u16 = 1 << 15;
const AFTER_RESET: u16 = 0x399f;
/// 32 V, ±320 mV, 32 samples of 12 bits for each, and both once.
const MEASURE_ONCE: u16 = 1 << 13 | 0b11 << 11 | 0b1101 << 7 | 0b1101 << 3 | 0b011;
/// 32 samples, each 586 µs at most, for each of both.
const MEASURING: Duration = Duration::from_millis(38);
/// In BUS: both are measured. Reading POWER clears it.
const READY: u16 = 1 << 1;
/// 10 µV and 4 mV a step.
const SHUNT_STEP: f64 = 10e-6;
const BUS_STEP: f64 = 4e-3;
/// The ends of ±320 mV.
const SHUNT_END: u16 = 32_000;

struct Ina219 {
    chip: I2cDevice,
    shunt: f64,
}

impl Driver for Ina219 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        self.chip.word(POWER)?;
        self.chip.set_word(SETTING, MEASURE_ONCE)?;
        self.chip.wait(MEASURING);
        let bus = self.ready()?;
        let shunt = self.chip.word(SHUNT)?.cast_signed();
        unchanged(&mut self.chip, MEASURE_ONCE)?;
        if shunt.unsigned_abs() >= SHUNT_END {
            let most = f64::from(SHUNT_END) * SHUNT_STEP / self.shunt;
            let what = format!("the current is above the {most:.3} A that it can measure; use a smaller shunt");
            return Err(DriverError::no_value(self.chip.name(), what));
        }
        let (volts, ampere) = (f64::from(bus >> 3) * BUS_STEP, f64::from(shunt) * SHUNT_STEP / self.shunt);
        Ok(vec![volts, ampere, volts * ampere])
    }
}

impl Ina219 {
    fn ready(&mut self) -> Result<u16, DriverError> {
        for _ in 0..5 {
            let bus = self.chip.word(BUS)?;
            if bus & READY != 0 {
                return Ok(bus);
            }
            self.chip.wait(Duration::from_millis(2));
        }
        Err(DriverError::no_value(self.chip.name(), "it does not finish its measurement"))
    }
}

/// What a setting after a reset belongs to.
fn other_chip(setting: u16) -> String {
    let chip = match setting {
        0x4127 => "this is an INA226, for which there is no driver",
        0x6127 => "this is an INA260; use driver = \"ina260\"",
        0x7127 => "this is an INA3221, for which there is no driver",
        _ => "check its wiring and the address with `i2cdetect`",
    };
    format!("its setting is {setting:#06x} after a reset and not {AFTER_RESET:#06x}: {chip}")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    fn read(keys: &str, ready: &[u16], rest: &[(u8, u16)]) -> Result<Vec<f64>, DriverError> {
        let answer = |register: u8, word: u16| i2c(0x40, &[register], &word.to_be_bytes());
        let mut steps: Vec<Step> = vec![
            i2c(0x40, &[0x00, 0x80, 0x00], &[]),
            answer(0x00, 0x399f),
            answer(0x03, 0),
            i2c(0x40, &[0x00, 0x3e, 0xeb], &[]),
        ];
        steps.extend(ready.iter().map(|bus| answer(0x02, *bus)));
        steps.extend(rest.iter().map(|(register, word)| answer(*register, *word)));
        read_once(&ENTRY, keys, &Recorded::new(steps))
    }

    #[test]
    fn the_datasheets_example_is_measured() {
        // 8.5.3: 2 mΩ, 20 mV over it (0x07d0), 11.98 V (0x5d98, and the flag CNVR), 119.8 W.
        let values = read("shunt = 0.002", &[0x5d9a], &[(0x01, 0x07d0), (0x00, 0x3eeb)]);
        assert_near(&values.unwrap(), &[11.98, 10.0, 119.8], 0.001);
        // Table 7: -320 mV is 0x8300, and one step less is still in the range.
        let values = read("", &[0x5d98, 0x5d9a], &[(0x01, 0x8301), (0x00, 0x3eeb)]);
        assert_near(&values.unwrap(), &[11.98, -3.1999, -38.3348], 0.0001);
    }

    #[test]
    fn overflow_a_loss_of_power_and_an_endless_measurement_are_errors() {
        for (ready, rest, expected) in [
            (&[0x5d9a][..], &[(0x01, 0x7d00), (0x00, 0x3eeb)][..], "above the 3.200 A that it can measure"),
            (&[0x5d9a], &[(0x01, 0x8300), (0x00, 0x3eeb)], "use a smaller shunt"),
            (&[0x5d9a], &[(0x01, 0x0000), (0x00, 0x399f)], "reads 0x399f after 0x3eeb was written; it lost its power"),
            (&[0x0000; 5], &[], "does not finish"),
        ] {
            let error = read("", ready, rest).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn another_chip_at_the_address_is_noticed() {
        for (setting, expected) in [([0x61, 0x27], "use driver = \"ina260\""), ([0xff, 0xff], "check its wiring")] {
            let board = Recorded::new([i2c(0x40, &[0x00, 0x80, 0x00], &[]), i2c(0x40, &[0x00], &setting)]);
            let error = opened(&ENTRY, "", &board).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let absent = Recorded::new([nack(0x40, &[0x00, 0x80, 0x00])]);
        assert!(opened(&ENTRY, "", &absent).err().unwrap().to_string().starts_with("no answer from address 0x40"));
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in
            [("address = 0x50", "0x41 (A0 to 3.3 V)"), ("shunt = 0", "`R100`"), ("shunt = 1000", "ohms")]
        {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
