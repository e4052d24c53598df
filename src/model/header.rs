//! The 40-pin header of a Raspberry Pi: what each pin is, and which of them a bus takes.

use super::Claim;

/// One pin of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderPin {
    /// Power or ground, as it is printed: `3.3 V`.
    Supply(&'static str),
    /// A GPIO line, by its Broadcom number, and what else it can be.
    Gpio(u8, &'static str),
}

use HeaderPin::{Gpio, Supply};

/// Pin 1 first, which is the one with the square solder pad, beside the microSD card.
pub const HEADER: [HeaderPin; 40] = [
    Supply("3.3 V"),
    Supply("5 V"),
    Gpio(2, "SDA1"),
    Supply("5 V"),
    Gpio(3, "SCL1"),
    Supply("ground"),
    Gpio(4, "1-Wire"),
    Gpio(14, "TXD"),
    Supply("ground"),
    Gpio(15, "RXD"),
    Gpio(17, ""),
    Gpio(18, "PWM0"),
    Gpio(27, ""),
    Supply("ground"),
    Gpio(22, ""),
    Gpio(23, ""),
    Supply("3.3 V"),
    Gpio(24, ""),
    Gpio(10, "MOSI"),
    Supply("ground"),
    Gpio(9, "MISO"),
    Gpio(25, ""),
    Gpio(11, "SCLK"),
    Gpio(8, "CE0"),
    Supply("ground"),
    Gpio(7, "CE1"),
    Gpio(0, "ID_SD"),
    Gpio(1, "ID_SC"),
    Gpio(5, ""),
    Supply("ground"),
    Gpio(6, ""),
    Gpio(12, "PWM0"),
    Gpio(13, "PWM1"),
    Supply("ground"),
    Gpio(19, "PWM1"),
    Gpio(16, ""),
    Gpio(26, ""),
    Gpio(20, ""),
    Supply("ground"),
    Gpio(21, ""),
];

/// Where a PWM channel can come out, on any model: a Pi 5 has its channels 2 and 3 where the others have 0 and 1.
pub fn pwm_lines(channel: u8) -> &'static [u8] {
    match channel {
        0 => &[12, 18],
        1 => &[13, 19],
        2 => &[14, 18],
        3 => &[15, 19],
        _ => &[],
    }
}

impl Claim {
    /// The GPIO lines of the header that this takes for certain, whatever overlays say. The 1-Wire bus can be on any, a PWM channel
    /// on [one of two](Self::header_choice).
    pub fn header_lines(&self) -> &'static [u8] {
        match self {
            Self::I2c { bus: 1, .. } | Self::I2cInput { bus: 1, .. } => &[2, 3],
            Self::I2c { bus: 0, .. } | Self::I2cInput { bus: 0, .. } => &[0, 1],
            Self::Spi { bus: 0, select: 0 } | Self::SpiInput { bus: 0, select: 0, .. } => &[9, 10, 11, 8],
            Self::Spi { bus: 0, select: 1 } | Self::SpiInput { bus: 0, select: 1, .. } => &[9, 10, 11, 7],
            Self::Serial(port) if matches!(port.as_str(), "/dev/serial0" | "/dev/ttyAMA0" | "/dev/ttyS0") => &[14, 15],
            _ => &[],
        }
    }

    /// The GPIO lines of the header of which this takes one, as an overlay says.
    pub fn header_choice(&self) -> &'static [u8] {
        if let Self::Pwm(channel) = self { pwm_lines(*channel) } else { &[] }
    }

    /// Whether it takes this GPIO line for certain.
    pub fn takes_line(&self, line: u8) -> bool {
        *self == Self::Pin(line) || self.header_lines().contains(&line)
    }

    /// Whether one of both is a GPIO line that the bus of the other takes.
    pub fn is_on_a_line_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pin(line), bus) | (bus, Self::Pin(line)) => bus.header_lines().contains(line),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_each_line_once_and_its_supplies_where_they_are() {
        let mut lines: Vec<u8> =
            HEADER.iter().filter_map(|pin| if let Gpio(line, _) = pin { Some(*line) } else { None }).collect();
        lines.sort_unstable();
        assert_eq!(lines, (0..28).collect::<Vec<_>>());
        let at = |what| -> Vec<usize> { (1..=40).filter(|pin| HEADER[pin - 1] == Supply(what)).collect() };
        assert_eq!((at("3.3 V"), at("5 V")), (vec![1, 17], vec![2, 4]));
        assert_eq!(at("ground"), [6, 9, 14, 20, 25, 30, 34, 39]);
        assert_eq!(HEADER[10], Gpio(17, ""), "GPIO 17 is pin 11");
    }
}
