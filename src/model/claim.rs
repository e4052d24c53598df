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
            _ => self == other,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pin(pin) => write!(f, "GPIO pin {pin}"),
            Self::Pwm(channel) => write!(f, "PWM channel {channel}"),
            Self::I2c { bus, address } => write!(f, "address {address:#04x} on I²C bus {bus}"),
            Self::I2cInput { bus, address, input } => {
                write!(f, "input {input} of address {address:#04x} on I²C bus {bus}")
            }
            Self::OneWire(id) => write!(f, "1-Wire device {id}"),
            Self::Spi { bus, select } => write!(f, "chip select {select} of SPI bus {bus}"),
            Self::SpiInput { bus, select, input } => {
                write!(f, "input {input} of chip select {select} of SPI bus {bus}")
            }
            Self::Serial(port) => write!(f, "serial port {port}"),
            Self::Topic(topic) => write!(f, "MQTT topic {topic}"),
        }
    }
}
