//! What a device occupies, so that two devices on one pin are found before anything moves.

use std::fmt;

/// What a device occupies for itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Claim {
    /// A GPIO line, by its Broadcom number.
    Pin(u8),
    /// A hardware PWM channel.
    Pwm(u8),
    /// An address on an I²C bus.
    I2c {
        /// `/dev/i2c-N`
        bus: u8,
        /// Seven bits.
        address: u8,
    },
    /// One input or output of a chip that several devices share at one I²C address.
    I2cInput {
        /// `/dev/i2c-N`
        bus: u8,
        /// Seven bits.
        address: u8,
        /// What the chip is called: two different ones cannot share it.
        chip: &'static str,
        /// The chip's input or output, by its number.
        input: u8,
    },
    /// A device on the 1-Wire bus, by its id.
    OneWire(String),
    /// A chip select of an SPI bus.
    Spi {
        /// `/dev/spidevBUS.…`
        bus: u8,
        /// `/dev/spidev….SELECT`
        select: u8,
    },
    /// One input of a converter that several sensors share at one chip select.
    SpiInput {
        /// `/dev/spidevBUS.…`
        bus: u8,
        /// `/dev/spidev….SELECT`
        select: u8,
        /// What the converter is called: two different ones cannot share it.
        chip: &'static str,
        /// The converter's input.
        input: u8,
    },
    /// A serial port, by its path.
    Serial(String),
    /// An MQTT topic on which a device is told what to do.
    Topic(String),
}

impl Claim {
    /// Whether two devices cannot both be there.
    pub fn clashes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::I2c { bus, address }, Self::I2cInput { bus: b, address: a, .. })
            | (Self::I2cInput { bus: b, address: a, .. }, Self::I2c { bus, address }) => (bus, address) == (b, a),
            (Self::Spi { bus, select }, Self::SpiInput { bus: b, select: s, .. })
            | (Self::SpiInput { bus: b, select: s, .. }, Self::Spi { bus, select }) => (bus, select) == (b, s),
            _ => self == other || self.is_another_chip_than(other),
        }
    }

    /// Whether both are parts of chips that others share, in one place, but the chips are different ones.
    pub fn is_another_chip_than(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::I2cInput { bus, address, chip, .. }, Self::I2cInput { bus: b, address: a, chip: c, .. }) => {
                (bus, address) == (b, a) && chip != c
            }
            (Self::SpiInput { bus, select, chip, .. }, Self::SpiInput { bus: b, select: s, chip: c, .. }) => {
                (bus, select) == (b, s) && chip != c
            }
            _ => false,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pin(pin) => write!(f, "GPIO pin {pin}"),
            Self::Pwm(channel) => write!(f, "PWM channel {channel}"),
            Self::I2c { bus, address } => write!(f, "address {address:#04x} on I²C bus {bus}"),
            Self::I2cInput { bus, address, input, .. } => {
                write!(f, "input {input} of address {address:#04x} on I²C bus {bus}")
            }
            Self::OneWire(id) => write!(f, "1-Wire device {id}"),
            Self::Spi { bus, select } => write!(f, "chip select {select} of SPI bus {bus}"),
            Self::SpiInput { bus, select, input, .. } => {
                write!(f, "input {input} of chip select {select} of SPI bus {bus}")
            }
            Self::Serial(port) => write!(f, "serial port {port}"),
            Self::Topic(topic) => write!(f, "MQTT topic {topic}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_one_chip_are_shared_and_those_of_two_in_one_place_clash() {
        let i2c = |address, chip, input| Claim::I2cInput { bus: 1, address, chip, input };
        let spi = |select, chip, input| Claim::SpiInput { bus: 0, select, chip, input };
        for (one, other, clash) in [
            (i2c(0x20, "PCF8574", 0), i2c(0x20, "PCF8574", 1), false),
            (i2c(0x20, "PCF8574", 0), i2c(0x20, "PCF8574", 0), true),
            (i2c(0x20, "PCF8574", 0), i2c(0x20, "MCP23017", 1), true),
            (i2c(0x20, "PCF8574", 0), i2c(0x21, "MCP23017", 0), false),
            (i2c(0x20, "PCF8574", 0), Claim::I2c { bus: 1, address: 0x20 }, true),
            (spi(0, "MCP3008", 0), spi(0, "MCP3008", 1), false),
            (spi(0, "MCP3008", 0), spi(0, "MCP3208", 1), true),
            (spi(0, "MCP3008", 0), spi(1, "MCP3208", 0), false),
        ] {
            assert_eq!((one.clashes(&other), other.clashes(&one)), (clash, clash), "{one:?} {other:?}");
        }
    }
}
