//! MCP4725: one voltage on I²C, for dimmable drivers, pumps and valves that take 0 to 5 V, or 0 to 10 V behind an amplifier.
//!
//! Source: Microchip DS22039D, chapters 5 and 6.1. Own code: two bytes there and five back are less than the crates' own types.

use std::ops::RangeInclusive;

use super::{Entry, OutputConfig, Resolution};
use crate::config::Section;
use crate::hardware::bank::{Confirmation, Line};
use crate::hardware::{Hardware, HardwareError, I2cDevice};
use crate::model::{Claim, Level};
use crate::wiring::OnI2c;

const ABOUT: &str = "\
- A voltage in 4096 steps from ground to its supply, up to 25 mA. `reference` is the supply in volts (3.3 if it is not there);
  `min_voltage` and `max_voltage` are what off and on are, from 0 to `reference` if they are not there.
- Wiring: 3.3 V (or 5 V behind a level shifter), ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in
  `/boot/firmware/config.txt`.
- Address: by its type and A0, 0x60 to 0x67; most boards have 0x60, or 0x62.
- Its EEPROM is never written. As it is sold that holds half of the supply, which the output has from power-on until homeostat
  writes to it: clear it once with the maker's example program where that does harm.
";

pub(super) const ENTRY: Entry = Entry {
    name: "mcp4725",
    summary: "a voltage from 0 to 5 V, I²C: dimmable drivers, proportional valves",
    about: ABOUT,
    example: r#"
[outputs.lamp]
driver = "mcp4725"
address = 0x60
reference = 5.0
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    place: OnI2c,
    codes: RangeInclusive<u16>,
}

/// Volts; what the chip may be fed with.
const SUPPLY: RangeInclusive<f64> = 2.7..=5.5;

fn read(section: &Section) -> Option<Box<dyn OutputConfig>> {
    let addresses = [
        (0x60, "MCP4725A0, A0 to ground"),
        (0x61, "A0 to 3.3 V"),
        (0x62, "MCP4725A1"),
        (0x63, "A1, A0 to 3.3 V"),
        (0x64, "MCP4725A2"),
        (0x65, "A2, A0 to 3.3 V"),
        (0x66, "MCP4725A3"),
        (0x67, "A3, A0 to 3.3 V"),
    ];
    let place = OnI2c::read(section, "MCP4725", &addresses);
    let volts = |key, usual| if section.has(key) { section.optional::<f64>(key) } else { Some(usual) };
    let reference = volts("reference", 3.3);
    if let Some(reference) = reference
        && !SUPPLY.contains(&reference)
    {
        let message = format!("`reference` of {} cannot be {reference} V", section.what());
        section.wrong("reference", message, "it is the chip's own supply, 2.7 to 5.5 V");
        return None;
    }
    let least = volts("min_voltage", 0.0);
    let most = volts("max_voltage", reference.unwrap_or(*SUPPLY.end()));
    let (place, reference, least, most) = (place?, reference?, least?, most?);
    if !(0.0 <= least && least < most && most <= reference) {
        let message = format!("{} cannot go from {least} V to {most} V", section.what());
        let key = if section.has("max_voltage") { "max_voltage" } else { "min_voltage" };
        section.wrong(key, message, format!("`min_voltage` is less than `max_voltage`, within 0 to {reference} V"));
        return None;
    }
    // The highest code is one step below the supply.
    let code = |volts: f64| (volts / reference * 4096.0).round().min(4095.0) as u16;
    Some(Box::new(Config { place, codes: code(least)..=code(most) }))
}

impl OutputConfig for Config {
    fn resolution(&self) -> Resolution {
        Resolution::Continuous
    }

    fn claims(&self) -> Vec<Claim> {
        self.place.claims()
    }

    fn lane(&self) -> String {
        self.place.lane()
    }

    fn open(&self, hardware: &dyn Hardware, initial: Level) -> Result<Box<dyn Line>, HardwareError> {
        let chip = self.place.open(hardware)?;
        let mut line = Mcp4725 { chip, codes: self.codes.clone(), left: initial };
        line.write(initial)?;
        Ok(Box::new(line))
    }
}

/// Of the first byte that is read (figure 6-3): whether the output is switched off, with a resistor to ground.
const POWER_DOWN: u8 = 0b110;

struct Mcp4725 {
    chip: I2cDevice,
    codes: RangeInclusive<u16>,
    /// What was written last, of which the chip keeps so many steps.
    left: Level,
}

impl Line for Mcp4725 {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        let code = code(level, &self.codes);
        // Fast mode (6.1.1): the two high bits at 0 leave the EEPROM alone, the next two switch the output on.
        self.chip.write(&code.to_be_bytes())?;
        self.left = level;
        let found = self.code()?;
        if found == Some(code) {
            return Ok(Confirmation::ReadBack);
        }
        let reason = "it did not take what was written; check the wiring of the bus and the supply".into();
        Err(HardwareError::Io { what: self.chip.name().to_owned(), reason })
    }

    fn read_back(&mut self) -> Result<Option<Level>, HardwareError> {
        let Some(found) = self.code()? else { return Ok(Some(Level::OFF)) };
        if found == code(self.left, &self.codes) {
            return Ok(Some(self.left));
        }
        let (least, most) = (f64::from(*self.codes.start()), f64::from(*self.codes.end()));
        Ok(Some(Level::clamped((f64::from(found) - least) / (most - least))))
    }
}

impl Mcp4725 {
    /// The code at its output; `None` while that is switched off.
    fn code(&mut self) -> Result<Option<u16>, HardwareError> {
        let mut bytes = [0; 3];
        self.chip.read(&mut bytes)?;
        let [status, high, low] = bytes;
        Ok((status & POWER_DOWN == 0).then_some(u16::from_be_bytes([high, low]) >> 4))
    }
}

fn code(level: Level, codes: &RangeInclusive<u16>) -> u16 {
    let (least, most) = (f64::from(*codes.start()), f64::from(*codes.end()));
    level.get().mul_add(most - least, least).round() as u16
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, mistakes};
    use super::*;
    use crate::hardware::recorded::{Recorded, i2c, nack};

    #[test]
    fn a_level_becomes_a_voltage_that_is_read_back() {
        let board = Recorded::new([i2c(0x60, &[0x00, 0x00], &[]), i2c(0x60, &[], &[0xc0, 0x00, 0x00])]);
        let mut line = config(&ENTRY, "").open(&board, Level::OFF).unwrap();
        board.then([i2c(0x60, &[0x0f, 0xff], &[]), i2c(0x60, &[], &[0x80, 0xff, 0xf0])]);
        assert_eq!(line.write(Level::ON), Ok(Confirmation::ReadBack));
        board.then([i2c(0x60, &[0x05, 0x55], &[]), i2c(0x60, &[], &[0xc0, 0x55, 0x50])]);
        let third = Level::clamped(1.0 / 3.0);
        assert_eq!(line.write(third), Ok(Confirmation::ReadBack));
        board.then([i2c(0x60, &[], &[0xc0, 0x55, 0x50]), i2c(0x60, &[], &[0xc0, 0x80, 0x00])]);
        assert_eq!(line.read_back(), Ok(Some(third)), "as it was left, not as it was rounded");
        // As it comes from the factory: somebody took its power for a moment.
        let half = line.read_back().unwrap().unwrap();
        assert!((half.get() - 0.5).abs() < 0.001, "{half:?}");
        drop(line);
        board.done();
    }

    #[test]
    fn off_and_on_can_be_voltages_between() {
        let keys = "address = 0x62\nreference = 5.0\nmin_voltage = 1.0\nmax_voltage = 2.5";
        let board = Recorded::new([i2c(0x62, &[0x03, 0x33], &[]), i2c(0x62, &[], &[0xc0, 0x33, 0x30])]);
        let mut line = config(&ENTRY, keys).open(&board, Level::OFF).unwrap();
        board.then([i2c(0x62, &[0x08, 0x00], &[]), i2c(0x62, &[], &[0xc0, 0x80, 0x00])]);
        line.write(Level::ON).unwrap();
        board.done();
    }

    #[test]
    fn what_was_not_taken_and_nobody_there_are_errors() {
        for bytes in [[0xc0, 0x80, 0x00], [0xc6, 0x00, 0x00], [0xff, 0xff, 0xff]] {
            let board = Recorded::new([i2c(0x60, &[0, 0], &[]), i2c(0x60, &[], &bytes)]);
            let error = config(&ENTRY, "").open(&board, Level::OFF).err().unwrap().to_string();
            assert!(error.starts_with("MCP4725 at 0x60 on I²C bus 1: it did not take"), "{error}");
        }
        config(&ENTRY, "").open(&Recorded::new([nack(0x60, &[0, 0])]), Level::OFF).err().unwrap();
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("address = 0x68", "0x62 (MCP4725A1)"),
            ("reference = 12", "2.7 to 5.5 V"),
            ("max_voltage = 5", "within 0 to 3.3 V"),
            ("min_voltage = 2\nmax_voltage = 1", "less than `max_voltage`"),
            ("min_voltage = 3.4", "less than `max_voltage`"),
            ("min_voltage = -1", "within 0 to 3.3 V"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
