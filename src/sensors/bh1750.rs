//! BH1750: light in lux on I²C, cheap and everywhere (GY-30, GY-302).
//!
//! The chip has no id, no check sum and no register to read back, and gives zeros after it lost its power. So each read sets all
//! that it needs and waits for its own measurement: zero is then darkness.
//!
//! Source: ROHM BH1750FVI Technical Note 11046EDT01, instruction set and "Adjust measurement result for influence of optical window".
//! Own code: no kept crate.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, HardwareError, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: 0 to 121 000 lx (±20 %), in steps of 1.1 lx, above 60 000 lx of 1.9 lx. It sees as the eye does, which is not as leaves do.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x23 with ADDR to ground or open, 0x5c with ADDR to 3.3 V.
- Trouble: behind a window it sees less; `illuminance = { scale = 1.25 }` makes up for glass that takes a fifth.
";

pub(super) const ENTRY: Entry = Entry {
    name: "bh1750",
    summary: "light, I²C: 0 to 121 000 lx",
    about: ABOUT,
    example: r#"
[sensors.daylight]
driver = "bh1750"
bus = 1
address = 0x23
every = "10s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnI2c);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let addresses = [(0x23, "ADDR to ground"), (0x5c, "ADDR to 3.3 V")];
    Some(Box::new(Config(OnI2c::read(section, "BH1750", &addresses)?)))
}

const CHANNELS: &[Channel] = &[Channel { name: "illuminance", quantity: Quantity::Illuminance }];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.0.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut chip = self.0.open(hardware)?;
        // Tells at once if nobody is there.
        chip.write(&[POWER_ON])?;
        Ok(Box::new(Bh1750(chip)))
    }
}

/// The instructions. After a measurement "once" the chip switches itself off.
const POWER_ON: u8 = 0x01;
const MEASURE_ONCE: u8 = 0x20;
const MEASURE_ONCE_FINELY: u8 = 0x21;
/// The measurement time is set in two parts: its upper three bits and its lower five.
const TIME_HIGH: u8 = 0b0100_0000;
const TIME_LOW: u8 = 0b0110_0000;
/// The shortest that can be set; usual is 69. It reaches furthest, and holds the bus least.
const TIME: u8 = 31;
const USUAL_TIME: u8 = 69;
/// 180 ms at most with the usual time, and in proportion.
const MEASURING: Duration = Duration::from_millis(82);
/// As far as it counts.
const SATURATED: u16 = 0xffff;

struct Bh1750(I2cDevice);

impl Driver for Bh1750 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        for mode in [MEASURE_ONCE_FINELY, MEASURE_ONCE] {
            let count = self.measure(mode)?;
            if count != SATURATED {
                return Ok(vec![lux(count, mode, TIME)]);
            }
        }
        let what = "it is brighter than its 121 000 lx; shade it, and set `scale` to what the shade takes";
        Err(DriverError::no_value(self.0.name(), what))
    }
}

impl Bh1750 {
    fn measure(&mut self, mode: u8) -> Result<u16, HardwareError> {
        for instruction in [POWER_ON, TIME_HIGH | TIME >> 5, TIME_LOW | TIME & 0b1_1111, mode] {
            self.0.write(&[instruction])?;
        }
        self.0.wait(MEASURING);
        let mut bytes = [0; 2];
        self.0.read(&mut bytes)?;
        Ok(u16::from_be_bytes(bytes))
    }
}

/// 1.2 counts are one lux at the usual time; the fine mode counts twice as far.
fn lux(count: u16, mode: u8, time: u8) -> f64 {
    let finer = if mode == MEASURE_ONCE_FINELY { 2.0 } else { 1.0 };
    f64::from(count) / 1.2 / finer * f64::from(USUAL_TIME) / f64::from(time)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    fn measured(mode: u8, answer: [u8; 2]) -> Vec<Step> {
        let mut steps: Vec<Step> = [0x01, 0x40, 0x7f, mode].iter().map(|byte| i2c(0x23, &[*byte], &[])).collect();
        steps.push(i2c(0x23, &[], &answer));
        steps
    }

    fn read(measurements: &[(u8, [u8; 2])]) -> (Result<Vec<f64>, DriverError>, Duration) {
        let board = Recorded::new([i2c(0x23, &[0x01], &[])]);
        measurements.iter().for_each(|(mode, answer)| board.then(measured(*mode, *answer)));
        (read_once(&ENTRY, "", &board), board.waited())
    }

    #[test]
    fn the_datasheets_example_is_28067_lux() {
        // 10000011 10010000 with the usual measurement time.
        assert_near(&[lux(0x8390, MEASURE_ONCE, USUAL_TIME)], &[28067.0], 0.5);
    }

    #[test]
    fn it_sets_all_it_needs_and_measures_coarsely_where_fine_is_not_enough() {
        // The instructions are the datasheet's, the values its formula's with a measurement time of 31.
        let (values, waited) = read(&[(0x21, [0x01, 0x10])]);
        assert_near(&values.unwrap(), &[252.258], 0.001);
        assert!(waited >= Duration::from_millis(81));
        assert_near(&read(&[(0x21, [0x00, 0x00])]).0.unwrap(), &[0.0], 0.0);
        assert_near(&read(&[(0x21, [0xff, 0xff]), (0x20, [0x83, 0x90])]).0.unwrap(), &[62471.0], 1.0);
    }

    #[test]
    fn too_much_light_and_nobody_there_are_errors() {
        let error = read(&[(0x21, [0xff, 0xff]), (0x20, [0xff, 0xff])]).0.unwrap_err().to_string();
        assert!(error.contains("brighter than its 121 000 lx; shade it"), "{error}");
        let error = opened(&ENTRY, "", &Recorded::new([nack(0x23, &[0x01])])).err().unwrap().to_string();
        assert!(error.starts_with("no answer from address 0x23"), "{error}");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        let found = mistakes(&ENTRY, "address = 0x5b");
        assert!(found[0].hint.contains("0x5c (ADDR to 3.3 V)"), "{found:?}");
    }
}
