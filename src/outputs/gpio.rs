//! A GPIO pin that is on or off: a relay board, a solid state relay, a MOSFET.
//!
//! Each write is read back, so an output that says it is off is off up to the pin.

use super::{Entry, OutputConfig, Resolution, lines};
use crate::config::Section;
use crate::hardware::bank::Line;
use crate::hardware::simulated::Actuator;
use crate::hardware::{Active, Hardware, HardwareError};
use crate::model::{Claim, Level};
use crate::wiring;

const ABOUT: &str = "\
- Wiring: `pin` is the Broadcom number (GPIO 17 is pin 11 of the header). Most relay boards switch on when the pin is
  low: `active = \"low\"`.
- A pin can give 16 mA at 3.3 V. Never connect a coil, a pump or anything else without its own driver.
- Trouble: GPIO 0 and 1 belong to the board's EEPROM, 2 and 3 to I²C, 4 to 1-Wire as long as these are in use.
  \"permission denied\": the user must be in the group `gpio`.
";

pub(super) const ENTRY: Entry = Entry {
    name: "gpio",
    summary: "a pin that is on or off: relays, solid state relays, MOSFETs",
    about: ABOUT,
    example: r#"
[outputs.heater]
driver = "gpio"
pin = 17
active = "low"
cycle = "20s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    pin: u8,
    active: Active,
}

fn read(section: &Section) -> Option<Box<dyn OutputConfig>> {
    let (pin, active) = (wiring::pin(section, "pin"), lines::active(section));
    Some(Box::new(Config { pin: pin?, active: active? }))
}

impl OutputConfig for Config {
    fn resolution(&self) -> Resolution {
        Resolution::Switch
    }

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::Pin(self.pin)]
    }

    fn lane(&self) -> String {
        "gpio".to_owned()
    }

    fn open(&self, hardware: &dyn Hardware, initial: Level) -> Result<Box<dyn Line>, HardwareError> {
        Ok(Box::new(lines::Switch::open(hardware, self.pin, self.active, initial)?))
    }

    fn actuator(&self) -> Option<Actuator> {
        Some(Actuator::Pin(self.pin))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::hardware::bank::Confirmation;
    use crate::hardware::simulated::Fault;

    fn heater(active: Active) -> Config {
        Config { pin: 17, active }
    }

    #[test]
    fn it_starts_at_its_first_level_and_stays_there_when_it_is_dropped() {
        for (initial, on) in [(Level::OFF, false), (Level::ON, true)] {
            let world = testing::world();
            drop(heater(Active::Low).open(&world, initial).unwrap());
            assert_eq!(world.pin(17), Some(on));
        }
    }

    #[test]
    fn active_low_is_on_when_the_pin_is_low() {
        for (active, high) in [(Active::High, true), (Active::Low, false)] {
            let world = testing::world();
            let mut line = heater(active).open(&world, Level::OFF).unwrap();
            assert_eq!(line.write(Level::ON), Ok(Confirmation::ReadBack));
            assert_eq!(world.pin(17), Some(true));
            assert_eq!(world.input(17, Default::default(), None).unwrap().get(), Ok(high));
        }
    }

    #[test]
    fn opening_it_again_moves_nothing() {
        let world = testing::world();
        let mut line = heater(Active::Low).open(&world, Level::OFF).unwrap();
        line.write(Level::ON).unwrap();
        drop(line);
        heater(Active::Low).open(&world, Level::ON).unwrap().write(Level::ON).unwrap();
        let levels: Vec<_> = world.pin_changes(17).into_iter().map(|(_, on)| on).collect();
        assert_eq!(levels, [false, true]);
    }

    #[test]
    fn a_pin_that_reads_otherwise_is_an_error() {
        let world = testing::world();
        let mut line = heater(Active::High).open(&world, Level::ON).unwrap();
        world.inject(&Claim::Pin(17), Fault::Garbage);
        let error = line.write(Level::OFF).unwrap_err().to_string();
        assert!(error.starts_with("GPIO pin 17: set to off, and it reads on"), "{error}");
        world.heal(&Claim::Pin(17));
        assert_eq!(line.write(Level::OFF), Ok(Confirmation::ReadBack));
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        assert_eq!(testing::mistakes(&ENTRY, "pin = 17\nactive = \"high\""), []);
        for (keys, expected) in [
            ("", "add `pin"),
            ("pin = 64", "0 to 27"),
            ("pin = 17\nactive = \"LOW\"", "\"low\" for most"),
            ("pin = 17\nactive = true", "\"low\" for most"),
            ("pin = 17\nactiv = \"low\"", "`active`"),
        ] {
            let found = testing::mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
