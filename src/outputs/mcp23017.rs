//! MCP23017: sixteen more pins on I²C, for relay boards that need more than the header has.
//!
//! Source: Microchip DS20001952D, chapter 3.5. Own code: the expander crates keep a copy of the latch of their own, which others
//! on the chip would not see; here it is read from the chip each time.

use super::{Entry, OutputConfig, Resolution, lines};
use crate::config::Section;
use crate::hardware::bank::{Confirmation, Line};
use crate::hardware::{Active, Hardware, HardwareError, I2cDevice, Latch};
use crate::model::{Claim, Level};
use crate::panics::locked;
use crate::wiring::OnI2c;

const ABOUT: &str = "\
- 16 lines, A0 to A7 and B0 to B7, each 25 mA at most and 125 mA together: enough for a relay board's inputs, not for a coil.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3, RESET to 3.3 V; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x20 to 0x27, by A0 to A2.
- Without power or after a reset all lines are inputs: a relay board's own resistors hold it off then.
- Trouble: a board that clicks at random has RESET in the air.
";

pub(super) const ENTRY: Entry = Entry {
    name: "mcp23017",
    summary: "a line of a 16-line port expander, I²C: relay boards",
    about: ABOUT,
    example: r#"
[outputs.valve]
driver = "mcp23017"
address = 0x20
line = "A0"
active = "low"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    place: OnI2c,
    /// 0 to 7 are A0 to A7, 8 to 15 are B0 to B7.
    line: u8,
    active: Active,
}

const ADDRESSES: [(u8, &str); 8] = [
    (0x20, "A2, A1, A0 to ground"),
    (0x21, "A0 to 3.3 V"),
    (0x22, "A1"),
    (0x23, "A1, A0"),
    (0x24, "A2"),
    (0x25, "A2, A0"),
    (0x26, "A2, A1"),
    (0x27, "A2, A1, A0"),
];

fn read(section: &Section) -> Option<Box<dyn OutputConfig>> {
    let place = OnI2c::read(section, "MCP23017", &ADDRESSES);
    let named: Option<String> = section.required("line");
    let line = named.and_then(|name| {
        let line = number(&name);
        if line.is_none() {
            section.wrong(
                "line",
                format!("an MCP23017 has no line `{name}`"),
                "it is \"A0\" to \"A7\" or \"B0\" to \"B7\"",
            );
        }
        line
    });
    let active = lines::active(section);
    Some(Box::new(Config { place: place?, line: line?, active: active? }))
}

fn number(name: &str) -> Option<u8> {
    let (port, bit) = name.split_at_checked(1)?;
    let bit = bit.parse().ok().filter(|bit| (0..8).contains(bit))?;
    match port {
        "A" | "a" => Some(bit),
        "B" | "b" => Some(8 + bit),
        _ => None,
    }
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
        let chip = self.place.open(hardware)?;
        let shared = hardware.latch(self.place.bus, self.place.address);
        let mut line = Mcp23017 { chip, shared, port: self.line / 8, bit: 1 << (self.line % 8), active: self.active };
        line.write(initial)?;
        Ok(Box::new(line))
    }
}

/// The registers of port A (table 3-3, with IOCON.BANK at 0 as after power-on); those of port B follow each.
const DIRECTION: u8 = 0x00;
const PINS: u8 = 0x12;
const LATCH: u8 = 0x14;

struct Mcp23017 {
    chip: I2cDevice,
    /// Held while a register that others share is read, changed and written.
    shared: Latch,
    port: u8,
    bit: u8,
    active: Active,
}

impl Line for Mcp23017 {
    /// The level first and the direction then, so that a line that was an input begins where it belongs.
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        let (on, shared) = (level.is_on(), self.shared.clone());
        let alone = locked(&shared);
        let latch = self.chip.register(LATCH + self.port)?;
        let high = lines::electrical(self.active, on);
        self.chip.set(LATCH + self.port, if high { latch | self.bit } else { latch & !self.bit })?;
        let inputs = self.chip.register(DIRECTION + self.port)?;
        if inputs & self.bit != 0 {
            self.chip.set(DIRECTION + self.port, inputs & !self.bit)?;
        }
        drop(alone);
        let found = self.is_on()?;
        lines::obeys(format!("{}{} of {}", self.port_name(), self.bit.trailing_zeros(), self.chip.name()), on, found)
    }

    fn read_back(&mut self) -> Result<Option<Level>, HardwareError> {
        let inputs = self.chip.register(DIRECTION + self.port)?;
        if inputs & self.bit == 0 {
            return Ok(Some(self.is_on()?.into()));
        }
        let reason = "it has become an input: the chip was reset, or lost its power; check RESET and the supply".into();
        Err(HardwareError::Io { what: self.chip.name().to_owned(), reason })
    }
}

impl Mcp23017 {
    /// The pin itself, not what it was told.
    fn is_on(&mut self) -> Result<bool, HardwareError> {
        let high = self.chip.register(PINS + self.port)? & self.bit != 0;
        Ok(lines::electrical(self.active, high))
    }

    fn port_name(&self) -> char {
        if self.port == 0 { 'A' } else { 'B' }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, mistakes};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    const B1: &str = "line = \"B1\"\nactive = \"low\"";

    /// Others of port B are on, and B1 is still an input, as after power-on.
    fn opening() -> [Step; 5] {
        [
            i2c(0x20, &[0x15], &[0x80]),
            i2c(0x20, &[0x15, 0x82], &[]),
            i2c(0x20, &[0x01], &[0x7f]),
            i2c(0x20, &[0x01, 0x7d], &[]),
            i2c(0x20, &[0x13], &[0x82]),
        ]
    }

    #[test]
    fn the_level_is_there_before_the_line_drives_and_nothing_else_moves() {
        let board = Recorded::new(opening());
        let mut line = config(&ENTRY, B1).open(&board, Level::OFF).unwrap();
        board.then([
            i2c(0x20, &[0x15], &[0x82]),
            i2c(0x20, &[0x15, 0x80], &[]),
            i2c(0x20, &[0x01], &[0x7d]),
            i2c(0x20, &[0x13], &[0x80]),
        ]);
        assert_eq!(line.write(Level::ON), Ok(Confirmation::ReadBack));
        board.then([i2c(0x20, &[0x01], &[0x7d]), i2c(0x20, &[0x13], &[0x80])]);
        assert_eq!(line.read_back(), Ok(Some(Level::ON)));
        drop(line);
        board.done();
    }

    #[test]
    fn a_line_that_does_not_obey_and_a_chip_that_was_reset_are_errors() {
        let [read, set, direction, drive, _] = opening();
        let board = Recorded::new([read, set, direction, drive, i2c(0x20, &[0x13], &[0x80])]);
        let error = config(&ENTRY, B1).open(&board, Level::OFF).err().unwrap().to_string();
        assert!(error.starts_with("B1 of MCP23017 at 0x20 on I²C bus 1: set to off, and it reads on"), "{error}");

        let board = Recorded::new(opening());
        let mut line = config(&ENTRY, B1).open(&board, Level::OFF).unwrap();
        board.then([i2c(0x20, &[0x01], &[0xff])]);
        assert!(line.read_back().unwrap_err().to_string().contains("was reset"));

        let error = config(&ENTRY, B1).open(&Recorded::new([nack(0x20, &[0x15])]), Level::OFF).err().unwrap();
        assert!(error.to_string().starts_with("no answer from address 0x20"), "{error}");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("", "add `line"),
            ("line = \"A8\"", "\"A0\" to \"A7\""),
            ("line = \"C0\"", "\"A0\" to \"A7\""),
            ("line = \"\"", "\"A0\" to \"A7\""),
            ("line = \"A0\"\naddress = 0x28", "0x27 (A2, A1, A0)"),
            ("line = \"A0\"\nactive = 0", "\"low\" for most"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
