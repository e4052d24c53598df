//! Where a device is connected, as its table in the file says it: read, claimed, named and opened alike by sensors and outputs.

mod command;

use std::time::Duration;

use toml::de::DeValue;

use crate::config::{Diagnostic, Section, Value};
use crate::hardware::{Active, Hardware, HardwareError, I2cDevice, InputSettings, Pull, Spi, SpiSettings, Uart};
use crate::model::Claim;

pub use command::{command, shell};

/// The highest GPIO on the header of a Raspberry Pi; other boards have chips with more lines, up to 64 of which can be named.
const LAST_PIN: u8 = 63;

/// How a device is connected: what nobody else may have, and behind whom it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wiring {
    /// What it occupies.
    pub claims: Vec<Claim>,
    /// The lane it is spoken to through: `i2c-1`, `w1`.
    pub lane: String,
}

impl Wiring {
    /// Of what any number of devices can have: a file of the kernel, a program.
    pub fn unclaimed(lane: impl Into<String>) -> Self {
        Self { claims: Vec::new(), lane: lane.into() }
    }
}

/// A chip on an I²C bus: `bus = 1`, `address = 0x76`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnI2c {
    /// What it is called: `BME280`.
    pub chip: &'static str,
    /// `/dev/i2c-N`
    pub bus: u8,
    /// Seven bits.
    pub address: u8,
}

impl OnI2c {
    /// Reads both keys. `addresses` are those that the chip can have, each with how it gets it (`SDO to ground`, or nothing where there
    /// is only one); the first is the usual one.
    pub fn read(section: &Section<'_>, chip: &'static str, addresses: &[(u8, &str)]) -> Option<Self> {
        let usual = addresses.first().map_or(0, |(address, _)| *address);
        let bus = if section.has("bus") { section.optional("bus") } else { Some(1) };
        let address = if section.has("address") { section.optional("address") } else { Some(usual) };
        let (bus, address) = (bus?, address?);
        if addresses.iter().all(|(known, _)| *known != address) {
            let message = format!("{} cannot be at address {address:#04x}", with_article(chip));
            section.wrong("address", message, format!("it is at {}", choices(addresses)));
            return None;
        }
        Some(Self { chip, bus, address })
    }

    /// All of the chip, on its bus.
    pub fn wiring(&self) -> Wiring {
        Wiring { claims: self.claims(), lane: self.lane() }
    }

    /// One input of a chip that several devices share.
    pub fn wiring_of(&self, input: u8) -> Wiring {
        Wiring { claims: self.claims_part(input), lane: self.lane() }
    }

    /// All of the chip.
    pub fn claims(&self) -> Vec<Claim> {
        vec![Claim::I2c { bus: self.bus, address: self.address }]
    }

    /// One input or output of a chip that several devices share.
    pub fn claims_part(&self, input: u8) -> Vec<Claim> {
        vec![Claim::I2cInput { bus: self.bus, address: self.address, chip: self.chip, input }]
    }

    /// `i2c-1`
    pub fn lane(&self) -> String {
        format!("i2c-{}", self.bus)
    }

    /// Opens the bus; nothing is sent yet.
    pub fn open(&self, hardware: &dyn Hardware) -> Result<I2cDevice, HardwareError> {
        I2cDevice::open(hardware, self.chip, self.bus, self.address)
    }
}

/// A chip on an SPI bus: `bus = 0`, `select = 0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnSpi {
    /// What it is called: `MAX31855`.
    pub chip: &'static str,
    /// `/dev/spidevBUS.…`
    pub bus: u8,
    /// Its chip select.
    pub select: u8,
}

impl OnSpi {
    /// Reads both keys; both are 0 if they are not there.
    pub fn read(section: &Section<'_>, chip: &'static str) -> Option<Self> {
        let bus = if section.has("bus") { section.optional("bus") } else { Some(0) };
        let select = if section.has("select") { section.optional("select") } else { Some(0) };
        Some(Self { chip, bus: bus?, select: select? })
    }

    /// All of the chip, on its bus.
    pub fn wiring(&self) -> Wiring {
        self.on_bus(Claim::Spi { bus: self.bus, select: self.select })
    }

    /// One input of a chip that several devices share.
    pub fn wiring_of(&self, input: u8) -> Wiring {
        self.on_bus(Claim::SpiInput { bus: self.bus, select: self.select, chip: self.chip, input })
    }

    fn on_bus(&self, claim: Claim) -> Wiring {
        Wiring { claims: vec![claim], lane: format!("spi-{}", self.bus) }
    }

    /// `MAX31855 at chip select 0 of SPI bus 0`
    pub fn name(&self) -> String {
        format!("{} at chip select {} of SPI bus {}", self.chip, self.select, self.bus)
    }

    /// Opens the device.
    pub fn open(&self, hardware: &dyn Hardware, settings: SpiSettings) -> Result<Spi, HardwareError> {
        hardware.spi(self.bus, self.select, settings)
    }
}

/// A device on a serial port: `port = "/dev/serial0"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnSerial {
    /// What it is called: `MH-Z19`.
    pub chip: &'static str,
    /// Its device file.
    pub port: String,
    /// Bits in a second.
    pub baud: u32,
}

impl OnSerial {
    /// Reads `port`, by default the one on the header.
    pub fn read(section: &Section<'_>, chip: &'static str, baud: u32) -> Option<Self> {
        let port = if section.has("port") { section.optional("port") } else { Some("/dev/serial0".to_owned()) };
        let port: String = port?;
        if !port.starts_with("/dev/") || port.contains("..") {
            section.wrong(
                "port",
                format!("`{port}` is no serial port"),
                "write its device file: \"/dev/serial0\", \"/dev/ttyUSB0\"",
            );
            return None;
        }
        Some(Self { chip, port, baud })
    }

    /// All of the port; its lane is called as its file, `serial0`.
    pub fn wiring(&self) -> Wiring {
        let lane = self.port.rsplit('/').next().unwrap_or(&self.port).to_owned();
        Wiring { claims: vec![Claim::Serial(self.port.clone())], lane }
    }

    /// `MH-Z19 at /dev/serial0`
    pub fn name(&self) -> String {
        format!("{} at {}", self.chip, self.port)
    }

    /// Opens the port.
    pub fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Uart>, HardwareError> {
        hardware.uart(&self.port, self.baud)
    }
}

/// A GPIO line by its Broadcom number, as `key = 17` has it.
pub fn pin(section: &Section<'_>, key: &'static str) -> Option<u8> {
    let pin = section.required::<u8>(key)?;
    if pin > LAST_PIN {
        let hint = "a Raspberry Pi's header has GPIO 0 to 27, by Broadcom number";
        section.wrong(key, format!("there is no GPIO {pin}"), hint);
        return None;
    }
    Some(pin)
}

/// A pin that is read: `pin = 27`, `active = "low"`, `pull = "up"`, `debounce = "20ms"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnInput {
    /// Broadcom number.
    pub pin: u8,
    /// How it is read.
    pub settings: InputSettings,
}

/// Bounces take milliseconds; what is longer is the `for` of a rule.
const LONGEST_DEBOUNCE: Duration = Duration::from_secs(1);

impl OnInput {
    /// Reads the keys. Where the file says nothing the pin is as for a contact to ground: low is active. It is pulled to where it is
    /// not active, so that a wire that is off means "nothing".
    pub fn read(section: &Section<'_>, debounce: Duration) -> Option<Self> {
        let pin = pin(section, "pin");
        let active = if section.has("active") { section.optional("active") } else { Some(Active::Low) };
        let at_rest = if active == Some(Active::High) { Pull::Down } else { Pull::Up };
        let pull = if section.has("pull") { section.optional("pull") } else { Some(at_rest) };
        let debounce = match section.has("debounce") {
            true => section.duration("debounce", Duration::ZERO..=LONGEST_DEBOUNCE),
            false => Some(debounce),
        };
        let settings = InputSettings { active: active?, pull: pull?, debounce: debounce? };
        Some(Self { pin: pin?, settings })
    }

    /// The pin, in the lane of all pins.
    pub fn wiring(&self) -> Wiring {
        Wiring { claims: vec![Claim::Pin(self.pin)], lane: "gpio".to_owned() }
    }
}

impl Value for Active {
    const EXPECTED: &'static str = "\"high\" or \"low\"";
    const EXAMPLE: &'static str = "\"low\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("high") => Ok(Self::High),
            Some("low") => Ok(Self::Low),
            _ => Err("write the level at which it is on: \"high\", or \"low\" for most relay boards and for contacts to ground".into()),
        }
    }
}

impl Value for Pull {
    const EXPECTED: &'static str = "\"up\", \"down\" or \"none\"";
    const EXAMPLE: &'static str = "\"up\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("up") => Ok(Self::Up),
            Some("down") => Ok(Self::Down),
            Some("none") => Ok(Self::None),
            _ => {
                Err("write \"up\" for a contact to ground, \"down\" for one to 3.3 V, or \"none\" if it has a resistor"
                    .into())
            }
        }
    }
}

/// One MQTT topic: `key = "zigbee2mqtt/greenhouse"`.
pub fn topic(section: &Section<'_>, key: &'static str) -> Option<String> {
    /// In bytes; the protocol allows 65535.
    const LONGEST: usize = 500;
    if !section.has(key) {
        let hint = format!("add `{key} = \"zigbee2mqtt/greenhouse\"`");
        section.report(Diagnostic::absent(format!("{} needs `{key}`", section.what()), section.header_place(), hint));
        return None;
    }
    let topic = section.optional::<String>(key)?;
    let mistake = if topic.is_empty() || topic.len() > LONGEST {
        format!("a topic has 1 to {LONGEST} bytes")
    } else if topic.contains(['+', '#']) {
        "name one topic; `+` and `#` would stand for many, and one device is behind each".to_owned()
    } else if topic.chars().any(char::is_control) {
        "a topic has no control characters".to_owned()
    } else {
        return Some(topic);
    };
    section.wrong(key, format!("`{key}` of {} is not a topic", section.what()), mistake);
    None
}

fn with_article(chip: &str) -> String {
    // Said letter by letter, these begin with a vowel: an ADS1115, an SHT31.
    let vowel = chip.starts_with(['A', 'E', 'F', 'H', 'I', 'L', 'M', 'N', 'O', 'R', 'S', 'X', '8']);
    format!("{} {chip}", if vowel { "an" } else { "a" })
}

/// `0x76 (SDO to ground) or 0x77 (SDO to 3.3 V)`
fn choices(addresses: &[(u8, &str)]) -> String {
    let each: Vec<String> = addresses
        .iter()
        .map(
            |(address, how)| if how.is_empty() { format!("{address:#04x}") } else { format!("{address:#04x} ({how})") },
        )
        .collect();
    match each.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_its_place_for_itself_and_waits_for_those_on_its_bus() {
        let i2c = OnI2c { chip: "ADS1115", bus: 1, address: 0x48 };
        let spi = OnSpi { chip: "MCP3008", bus: 0, select: 1 };
        let serial = OnSerial { chip: "MH-Z19", port: "/dev/serial0".to_owned(), baud: 9600 };
        let input = OnInput { pin: 27, settings: InputSettings::default() };
        for (wiring, claim, lane) in [
            (i2c.wiring(), Claim::I2c { bus: 1, address: 0x48 }, "i2c-1"),
            (i2c.wiring_of(3), Claim::I2cInput { bus: 1, address: 0x48, chip: "ADS1115", input: 3 }, "i2c-1"),
            (spi.wiring(), Claim::Spi { bus: 0, select: 1 }, "spi-0"),
            (spi.wiring_of(7), Claim::SpiInput { bus: 0, select: 1, chip: "MCP3008", input: 7 }, "spi-0"),
            (serial.wiring(), Claim::Serial("/dev/serial0".to_owned()), "serial0"),
            (input.wiring(), Claim::Pin(27), "gpio"),
        ] {
            assert_eq!(wiring, Wiring { claims: vec![claim], lane: lane.to_owned() });
        }
    }
}
