//! PCF8574 and PCF8574A: eight more pins on I²C, on most of the cheap relay boards with a bus.
//!
//! Source: NXP PCF8574/74A, revision 5, chapter 8. Own code, because the chip is one byte, and its latch is to be remembered for all
//! outputs on it.

use super::{Entry, OutputConfig, Resolution, lines};
use crate::config::Section;
use crate::hardware::bank::{Confirmation, Line};
use crate::hardware::{Active, Hardware, HardwareError, I2cDevice, Latch};
use crate::model::{Claim, Level};
use crate::panics::locked;
use crate::wiring::OnI2c;

const ABOUT: &str = "\
- 8 lines, P0 to P7. Low takes 25 mA, high gives 0.1 mA only: for relay boards that switch on when a line is low
  (`active = \"low\"`), not for a transistor.
- Wiring: 3.3 V (or 5 V behind a level shifter), ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in
  `/boot/firmware/config.txt`.
- Address: 0x20 to 0x27 by A0 to A2; a PCF8574A has 0x38 to 0x3f.
- Its lines are outputs here, all of them. After power-on all are high.
- Trouble: \"set to on, and it reads off\" with `active = \"high\"`: something pulls the line down that needs more than 0.1 mA.
";

pub(super) const ENTRY: Entry = Entry {
    name: "pcf8574",
    summary: "a line of an 8-line port expander, I²C: relay boards",
    about: ABOUT,
    example: r#"
[outputs.lamp]
driver = "pcf8574"
address = 0x20
line = 0
active = "low"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    place: OnI2c,
    line: u8,
    active: Active,
}

const ADDRESSES: [(u8, &str); 16] = [
    (0x20, "PCF8574"),
    (0x21, ""),
    (0x22, ""),
    (0x23, ""),
    (0x24, ""),
    (0x25, ""),
    (0x26, ""),
    (0x27, ""),
    (0x38, "PCF8574A"),
    (0x39, ""),
    (0x3a, ""),
    (0x3b, ""),
    (0x3c, ""),
    (0x3d, ""),
    (0x3e, ""),
    (0x3f, ""),
];

fn read(section: &Section) -> Option<Box<dyn OutputConfig>> {
    let place = OnI2c::read(section, "PCF8574", &ADDRESSES);
    let line = section.required::<u8>("line").filter(|line| {
        if *line > 7 {
            section.wrong("line", format!("a PCF8574 has no line {line}"), "it has 0 to 7");
        }
        *line <= 7
    });
    let active = lines::active(section);
    Some(Box::new(Config { place: place?, line: line?, active: active? }))
}

impl OutputConfig for Config {
    fn resolution(&self) -> Resolution {
        Resolution::Switch
    }

    fn claims(&self) -> Vec<Claim> {
        self.place.claims_part(self.line)
    }

    fn lane(&self) -> String {
        self.place.lane()
    }

    fn open(&self, hardware: &dyn Hardware, initial: Level) -> Result<Box<dyn Line>, HardwareError> {
        let latch = hardware.latch(self.place.bus, self.place.address);
        let mut line = Pcf8574 { chip: self.place.open(hardware)?, latch, line: self.line, active: self.active };
        line.write(initial)?;
        Ok(Box::new(line))
    }
}

struct Pcf8574 {
    chip: I2cDevice,
    latch: Latch,
    line: u8,
    active: Active,
}

impl Line for Pcf8574 {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        let (on, latch) = (level.is_on(), self.latch.clone());
        // Held until it is written: after a crash each output has a lane of its own.
        let mut written = locked(&latch);
        let before = match *written {
            Some(byte) => byte,
            // Nobody has written since we began. What the lines are at is what somebody had written before.
            None => self.byte()?.into(),
        };
        let bit = 1 << self.line;
        let byte = if lines::electrical(self.active, on) { before | bit } else { before & !bit };
        // Also if it fails, for it is what is wanted: the next one who writes must not undo it.
        *written = Some(byte);
        self.chip.write(&[byte as u8])?;
        drop(written);
        let found = self.is_on()?;
        lines::obeys(format!("P{} of {}", self.line, self.chip.name()), on, found)
    }

    fn read_back(&mut self) -> Result<Option<Level>, HardwareError> {
        Ok(Some(self.is_on()?.into()))
    }
}

impl Pcf8574 {
    /// What the lines are at.
    fn byte(&mut self) -> Result<u8, HardwareError> {
        let mut byte = [0];
        self.chip.read(&mut byte)?;
        Ok(byte[0])
    }

    fn is_on(&mut self) -> Result<bool, HardwareError> {
        let high = self.byte()? & 1 << self.line != 0;
        Ok(lines::electrical(self.active, high))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, mistakes};
    use super::*;
    use crate::hardware::recorded::{Recorded, i2c, nack};

    #[test]
    fn outputs_on_one_chip_do_not_move_one_another_and_a_failed_write_is_not_undone_by_the_next() {
        // P3 was on when we came, and is nobody's.
        let board = Recorded::new([i2c(0x20, &[], &[0xf7]), i2c(0x20, &[0xf7], &[]), i2c(0x20, &[], &[0xf7])]);
        let mut lamp = config(&ENTRY, "line = 0\nactive = \"low\"").open(&board, Level::OFF).unwrap();
        board.then([i2c(0x20, &[0xf5], &[]), i2c(0x20, &[], &[0xf5])]);
        let mut pump = config(&ENTRY, "line = 1\nactive = \"low\"").open(&board, Level::ON).unwrap();
        board.then([i2c(0x20, &[0xf4], &[]), i2c(0x20, &[], &[0xf4])]);
        assert_eq!(lamp.write(Level::ON), Ok(Confirmation::ReadBack));
        board.then([nack(0x20, &[0xf6]), i2c(0x20, &[0xf7], &[]), i2c(0x20, &[], &[0xf7])]);
        pump.write(Level::OFF).unwrap_err();
        assert_eq!(lamp.write(Level::OFF), Ok(Confirmation::ReadBack));
        drop(lamp);
        board.done();
    }

    #[test]
    fn a_line_that_does_not_obey_and_a_chip_that_lost_its_power_are_noticed() {
        let board = Recorded::new([i2c(0x27, &[], &[0x00]), i2c(0x27, &[0x80], &[]), i2c(0x27, &[], &[0x00])]);
        let keys = "line = 7\naddress = 0x27\nactive = \"low\"";
        let error = config(&ENTRY, keys).open(&board, Level::OFF).err().unwrap().to_string();
        assert!(error.starts_with("P7 of PCF8574 at 0x27 on I²C bus 1: set to off, and it reads on"), "{error}");

        let board = Recorded::new([i2c(0x20, &[], &[0xff]), i2c(0x20, &[0xfe], &[]), i2c(0x20, &[], &[0xfe])]);
        let mut line = config(&ENTRY, "line = 0\nactive = \"low\"").open(&board, Level::ON).unwrap();
        board.then([i2c(0x20, &[], &[0xff])]);
        assert_eq!(line.read_back(), Ok(Some(Level::OFF)));

        let nobody = Recorded::new([nack(0x20, &[])]);
        config(&ENTRY, "line = 0").open(&nobody, Level::OFF).err().unwrap();
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("", "add `line"),
            ("line = 8", "0 to 7"),
            ("line = 0\naddress = 0x28", "0x38 (PCF8574A)"),
            ("line = 0\nactive = \"on\"", "\"low\" for most"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
