//! Adafruit's STEMMA soil sensor: moisture of soil by its capacitance, and a rough temperature, on I²C.
//!
//! Source: the registers of Adafruit's seesaw firmware, as its Arduino library has them (Adafruit_seesaw.h). There are no check sums.
//! Own code: two registers.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Channels: `moisture` in %, between `dry` and `wet`; `temperature` (±2 °C, of the board and not of the root); `capacitance`, a number
  from about 200 to 2000, for the calibration.
- Calibration: `dry` is what `capacitance` shows in dry soil, `wet` what it shows in soil that has just been watered. Without the keys
  they are 200 and 2000, the ends of its scale, which no soil reaches: most lies between 320 and 1020.
- Wiring: 3.3 V (red), ground (black), SDA (white) to GPIO 2, SCL (green) to GPIO 3; `dtparam=i2c_arm=on` in
  `/boot/firmware/config.txt`. Put it in up to the line; the electronics above it must stay dry.
- Address: 0x36, with the bridge AD0 0x37, AD1 0x38, both 0x39.
- Trouble: it needs the clock to be stretched; where reads fail, `dtparam=i2c_arm_baudrate=50000` helps.
";

pub(super) const ENTRY: Entry = Entry {
    name: "seesaw-soil",
    summary: "moisture of soil by capacitance, I²C: Adafruit STEMMA soil sensor",
    about: ABOUT,
    example: r#"
[sensors.bed]
driver = "seesaw-soil"
bus = 1
address = 0x36
dry = 330
wet = 1010
every = "1m"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    place: OnI2c,
    dry: f64,
    wet: f64,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let addresses = [(0x36, ""), (0x37, "AD0"), (0x38, "AD1"), (0x39, "both")];
    let place = OnI2c::read(section, "seesaw soil sensor", &addresses);
    let dry = if section.has("dry") { section.optional("dry") } else { Some(*SCALE.start()) };
    let wet = if section.has("wet") { section.optional("wet") } else { Some(*SCALE.end()) };
    let (dry, wet): (f64, f64) = (dry?, wet?);
    if !SCALE.contains(&dry) || !SCALE.contains(&wet) || wet - dry < LEAST {
        let hint = "both are what `capacitance` shows, from 200 to 2000, and `wet` is larger than `dry` by 50 at least";
        section.wrong("wet", "this calibration cannot be", hint);
        return None;
    }
    Some(Box::new(Config { place: place?, dry, wet }))
}

/// From air to water, as its maker gives them.
const SCALE: std::ops::RangeInclusive<f64> = 200.0..=2000.0;
/// With less between dry and wet, a % would be noise.
const LEAST: f64 = 50.0;
/// Outside of its scale by more than this it is no measurement.
const TOLERANCE: f64 = 100.0;

const CHANNELS: &[Channel] = &[
    Channel { name: "moisture", quantity: Quantity::Moisture },
    Channel { name: "temperature", quantity: Quantity::Temperature },
    Channel { name: "capacitance", quantity: Quantity::Number },
];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.place.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut chip = self.place.open(hardware)?;
        let [id] = registers(&mut chip, HARDWARE_ID)?;
        if !HARDWARE_IDS.contains(&id) {
            let found = format!("hardware id {id:#04x}; a MAX17048 battery gauge is at 0x36 as well");
            return Err(DriverError::wrong_chip(chip.name(), found));
        }
        Ok(Box::new(Seesaw { chip, dry: self.dry, wet: self.wet }))
    }
}

/// A module of the firmware and a function of it.
const HARDWARE_ID: [u8; 2] = [0x00, 0x01];
const TEMPERATURE: [u8; 2] = [0x00, 0x04];
const TOUCH_0: [u8; 2] = [0x0f, 0x10];

/// SAMD09, and the ATtiny 806, 807, 816, 817, 1616 and 1617, on which the firmware runs too.
const HARDWARE_IDS: [u8; 7] = [0x55, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89];

/// Until the firmware has an answer ready.
const ANSWERS: Duration = Duration::from_millis(5);
/// While a touch is measured the answer is 0xffff, and the next is asked for.
const TRIES: u32 = 4;

/// It wants a stop, and a pause, before it is read.
fn registers<const N: usize>(chip: &mut I2cDevice, function: [u8; 2]) -> Result<[u8; N], DriverError> {
    chip.write(&function)?;
    chip.wait(ANSWERS);
    let mut bytes = [0; N];
    chip.read(&mut bytes)?;
    Ok(bytes)
}

struct Seesaw {
    chip: I2cDevice,
    dry: f64,
    wet: f64,
}

impl Driver for Seesaw {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let capacitance = self.capacitance()?;
        let sixteenths = i32::from_be_bytes(registers(&mut self.chip, TEMPERATURE)?);
        let celsius = f64::from(sixteenths) / 65536.0;
        if !(-40.0..=105.0).contains(&celsius) || sixteenths == 0 {
            let what = format!("its temperature of {celsius:.1} °C cannot be; shorten the cable");
            return Err(DriverError::no_value(self.chip.name(), what));
        }
        let moisture = 100.0 * ((capacitance - self.dry) / (self.wet - self.dry)).clamp(0.0, 1.0);
        Ok(vec![moisture, celsius, capacitance])
    }
}

impl Seesaw {
    fn capacitance(&mut self) -> Result<f64, DriverError> {
        for _ in 0..TRIES {
            let value = u16::from_be_bytes(registers(&mut self.chip, TOUCH_0)?);
            if value != 0xffff {
                let value = f64::from(value);
                if (SCALE.start() - TOLERANCE..=SCALE.end() + TOLERANCE).contains(&value) {
                    return Ok(value);
                }
                let what = format!("a capacitance of {value} cannot be; shorten the cable, and dry the electronics");
                return Err(DriverError::no_value(self.chip.name(), what));
            }
        }
        Err(DriverError::no_value(self.chip.name(), "it does not finish its measurement; switch its power off and on"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    fn ask(function: [u8; 2], answer: &[u8]) -> [Step; 2] {
        [i2c(0x36, &function, &[]), i2c(0x36, &[], answer)]
    }

    fn board(id: u8) -> Recorded {
        Recorded::new(ask([0x00, 0x01], &[id]))
    }

    /// Bytes by the registers' layout: no document of the maker has an example.
    #[test]
    fn it_speaks_the_firmwares_bytes() {
        for id in [0x55, 0x87] {
            let board = board(id);
            // Once not ready, then 670; 22.5 °C in 65536ths.
            board.then(ask([0x0f, 0x10], &[0xff, 0xff]));
            board.then(ask([0x0f, 0x10], &[0x02, 0x9e]));
            board.then(ask([0x00, 0x04], &[0x00, 0x16, 0x80, 0x00]));
            assert_near(&read_once(&ENTRY, "dry = 330\nwet = 1010", &board).unwrap(), &[50.0, 22.5, 670.0], 1e-9);
            assert_eq!(board.waited(), 4 * ANSWERS);
        }
    }

    #[test]
    fn moisture_stays_on_its_scale_and_frost_is_below_zero() {
        for (touch, percent) in [(300u16, 0.0), (330, 0.0), (1010, 100.0), (1020, 100.0)] {
            let board = board(0x55);
            board.then(ask([0x0f, 0x10], &touch.to_be_bytes()));
            board.then(ask([0x00, 0x04], &[0xff, 0xfe, 0x80, 0x00]));
            let expected = [percent, -1.5, f64::from(touch)];
            assert_near(&read_once(&ENTRY, "dry = 330\nwet = 1010", &board).unwrap(), &expected, 1e-9);
        }
    }

    #[test]
    fn what_is_no_measurement_is_an_error() {
        let error = |board: &Recorded| read_once(&ENTRY, "", board).unwrap_err().to_string();
        assert!(error(&board(0x00)).contains("is not there: hardware id 0x00; a MAX17048"));
        let absent = error(&Recorded::new([nack(0x36, &[0x00, 0x01])]));
        assert!(absent.starts_with("no answer from address 0x36 on I²C bus 1"), "{absent}");
        for (touch, expected) in [([0x00, 0x00], "capacitance of 0 "), ([0xff, 0xfe], "capacitance of 65534 ")] {
            let board = board(0x55);
            board.then(ask([0x0f, 0x10], &touch));
            assert!(error(&board).contains(expected));
        }
        let busy = board(0x55);
        (0..TRIES).for_each(|_| busy.then(ask([0x0f, 0x10], &[0xff, 0xff])));
        assert!(error(&busy).contains("does not finish"));
        for bytes in [[0; 4], [0x7f, 0xff, 0xff, 0xff]] {
            let board = board(0x55);
            board.then(ask([0x0f, 0x10], &[0x02, 0x9e]));
            board.then(ask([0x00, 0x04], &bytes));
            assert!(error(&board).contains("cannot be; shorten the cable"));
        }
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("address = 0x35", "0x37 (AD0)"),
            ("dry = 1010\nwet = 330", "larger than `dry`"),
            ("dry = 0", "from 200 to 2000"),
            ("dry = \"330\"", "write 1.0"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
