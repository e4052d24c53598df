//! INA260: voltage, current and power of a direct current on I²C, with the shunt in the chip.
//!
//! It measures once for each read, over 16 samples of 18 ms together, so that a load that is switched by PWM is averaged.
//!
//! Source: TI SBOS656C, 7.6. Own code: no crate for it is known to us.

use std::time::Duration;

use super::ina::{ADDRESSES, CHANNELS, SETTING, unchanged};
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: 0 to 36 V and ±15 A (±0.15 %), in steps of 1.25 mV, 1.25 mA and 10 mW.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`. The supply to VIN+, the load
  to VIN-; the load's ground must be the Pi's. Above 10 A the board itself gets hot.
- Address: 0x40; by A0 and A1 up to 0x4f, on most boards 0x40, 0x41, 0x44 and 0x45.
- Trouble: a current below zero means that VIN+ and VIN- are swapped.
";

pub(super) const ENTRY: Entry = Entry {
    name: "ina260",
    summary: "voltage, current and power, I²C: 36 V, 15 A",
    about: ABOUT,
    example: r#"
[sensors.solar]
driver = "ina260"
bus = 1
address = 0x41
every = "5s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnI2c);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    Some(Box::new(Config(OnI2c::read(section, "INA260", &ADDRESSES)?)))
}

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.0.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut chip = self.0.open(hardware)?;
        let (maker, id) = (chip.word(MAKER)?, chip.word(ID)?);
        if maker != TI || id >> 4 != CHIP_ID {
            return Err(DriverError::wrong_chip(chip.name(), other_chip(maker, id)));
        }
        Ok(Box::new(Ina260(chip)))
    }
}

/// The registers (table 4), besides the setting.
const CURRENT: u8 = 0x01;
const VOLTAGE: u8 = 0x02;
const POWER: u8 = 0x03;
const FLAGS: u8 = 0x06;
const MAKER: u8 = 0xfe;
const ID: u8 = 0xff;
const TI: u16 = 0x5449;
/// Without the revision, which is in the last four bits.
const CHIP_ID: u16 = 0x227;
/// 16 samples of 1.1 ms for each, and both once. The uppermost bits are always 110.
const MEASURE_ONCE: u16 = 0b110 << 12 | 0b010 << 9 | 0b100 << 6 | 0b100 << 3 | 0b011;
/// 16 samples, each 1.21 ms at most, for each of both.
const MEASURING: Duration = Duration::from_millis(39);
/// In FLAGS: all is measured; the power is more than it can tell.
const READY: u16 = 1 << 3;
const OVERFLOW: u16 = 1 << 2;
/// V, A and W a step.
const VOLTAGE_STEP: f64 = 1.25e-3;
const CURRENT_STEP: f64 = 1.25e-3;
const POWER_STEP: f64 = 10e-3;
/// A, which the chip bears.
const MOST: f64 = 15.0;

struct Ina260(I2cDevice);

impl Driver for Ina260 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        self.0.set_word(SETTING, MEASURE_ONCE)?;
        self.0.wait(MEASURING);
        let flags = self.ready()?;
        let current = f64::from(self.0.word(CURRENT)?.cast_signed()) * CURRENT_STEP;
        let (voltage, power) = (self.0.word(VOLTAGE)?, self.0.word(POWER)?);
        unchanged(&mut self.0, MEASURE_ONCE)?;
        if flags & OVERFLOW != 0 || current.abs() > MOST {
            let what = format!(
                "the current, {current:.1} A, or the power is more than it can measure; reduce the load at once"
            );
            return Err(DriverError::no_value(self.0.name(), what));
        }
        // The power has no sign of its own.
        let power = (f64::from(power) * POWER_STEP).copysign(current);
        Ok(vec![f64::from(voltage) * VOLTAGE_STEP, current, power])
    }
}

impl Ina260 {
    fn ready(&mut self) -> Result<u16, DriverError> {
        for _ in 0..5 {
            // Reading them clears READY.
            let flags = self.0.word(FLAGS)?;
            if flags & READY != 0 {
                return Ok(flags);
            }
            self.0.wait(Duration::from_millis(2));
        }
        Err(DriverError::no_value(self.0.name(), "it does not finish its measurement"))
    }
}

fn other_chip(maker: u16, id: u16) -> String {
    let chip = match (maker, id) {
        (TI, 0x2260) => "this is an INA226, for which there is no driver",
        (0x0000 | 0xffff, _) => "this may be an INA219, which has no id; use driver = \"ina219\"",
        _ => "check its wiring and the address with `i2cdetect`",
    };
    format!("found id {maker:#06x} {id:#06x} and not {TI:#06x} 0x2270: {chip}")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    fn answer(register: u8, word: u16) -> Step {
        i2c(0x40, &[register], &word.to_be_bytes())
    }

    fn read(flags: &[u16], rest: [u16; 4]) -> Result<Vec<f64>, DriverError> {
        let board = Recorded::new([answer(0xfe, 0x5449), answer(0xff, 0x2270), i2c(0x40, &[0x00, 0x65, 0x23], &[])]);
        board.then(flags.iter().map(|flags| answer(0x06, *flags)));
        if flags.last().is_some_and(|flags| flags & READY != 0) {
            board.then([1, 2, 3, 0].into_iter().zip(rest).map(|(register, word)| answer(register, word)));
        }
        read_once(&ENTRY, "", &board)
    }

    #[test]
    fn the_datasheets_steps_are_volts_amperes_and_watts() {
        // It has no example in bytes: ±10 A are 8000 steps of 1.25 mA, 12 V 9600 of 1.25 mV, 120 W 12000 of 10 mW.
        assert_near(&read(&[0x0008], [0x1f40, 0x2580, 0x2ee0, 0x6523]).unwrap(), &[12.0, 10.0, 120.0], 1e-9);
        assert_near(&read(&[0, 0x0008], [0xe0c0, 0x2580, 0x2ee0, 0x6523]).unwrap(), &[12.0, -10.0, -120.0], 1e-9);
    }

    #[test]
    fn overflow_a_loss_of_power_and_an_endless_measurement_are_errors() {
        for (flags, rest, expected) in [
            (&[0x000c][..], [0x1f40, 0x2580, 0xffff, 0x6523], "10.0 A, or the power is more than it can measure"),
            (&[0x0008], [0x2ee1, 0x2580, 0x2ee0, 0x6523], "reduce the load"),
            (&[0x0008], [0, 0, 0, 0x6127], "reads 0x6127 after 0x6523 was written; it lost its power"),
            (&[0; 5], [0; 4], "does not finish"),
        ] {
            let error = read(flags, rest).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn another_chip_at_the_address_is_noticed() {
        for (maker, id, expected) in [(0x5449, 0x2260, "INA226"), (0xffff, 0xffff, "\"ina219\""), (1, 2, "i2cdetect")] {
            let error = opened(&ENTRY, "", &Recorded::new([answer(0xfe, maker), answer(0xff, id)])).err().unwrap();
            assert!(error.to_string().contains(expected), "{error}");
        }
        let error = opened(&ENTRY, "", &Recorded::new([nack(0x40, &[0xfe])])).err().unwrap().to_string();
        assert!(error.starts_with("no answer from address 0x40"), "{error}");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        assert!(mistakes(&ENTRY, "address = 0x50")[0].hint.contains("0x41 (A0 to 3.3 V)"));
    }
}
