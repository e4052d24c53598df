//! MCP3008: one of eight analog inputs on SPI, for soil probes and whatever else gives a voltage.
//!
//! The chip has no id and no check sum, but when it is clocked on it sends each result a second time, lowest bit first. Both must
//! agree; only the lowest bit is sent once.
//!
//! Source: Microchip DS21295, chapters 5 and 6.1, figure 5-2. Own code: it is one transfer.

use embedded_hal::spi::SpiDevice;

use super::moisture::Moisture;
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, Spi, SpiSettings};
use crate::model::Quantity;
use crate::wiring::{OnSpi, Wiring};

const ABOUT: &str = "\
- Range: 0 V to the voltage at VREF, in 1024 steps. One table for each input; up to eight share a chip.
- Wiring: VDD and VREF to 3.3 V, AGND and DGND to ground, CLK to GPIO 11, DOUT to GPIO 9, DIN to GPIO 10, CS to GPIO 8 (`select = 0`)
  or GPIO 7 (`select = 1`); `dtparam=spi=on` in `/boot/firmware/config.txt`. With 5 V at VDD, DOUT destroys the Pi's pin.
- Soil: `moisture = { dry = 2.8, wet = 1.1 }` are the volts of the probe in air and in water.
- Trouble: no chip looks like 0 V, since GPIO 9 is pulled to ground. `gpio=9=pu` in `config.txt` pulls it up, and then it is an error.
  With `moisture` 0 V is one too, but a probe whose `dry` (or `wet`) is 0 V cannot be told from no chip.
";

pub(super) const ENTRY: Entry = Entry {
    name: "mcp3008",
    summary: "voltage or soil moisture, SPI: one of eight analog inputs",
    about: ABOUT,
    example: r#"
[sensors.bed]
driver = "mcp3008"
bus = 0
select = 0
input = 3
reference = 3.3
moisture = { dry = 2.8, wet = 1.1 }
every = "1m"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    place: OnSpi,
    input: u8,
    /// The volts at VREF.
    reference: f64,
    moisture: Option<Moisture>,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let place = OnSpi::read(section, "MCP3008");
    let input = section.required::<u8>("input");
    let reference = if section.has("reference") { section.optional("reference") } else { Some(3.3) };
    let input_fits = input.is_none_or(|input| input <= 7);
    if !input_fits {
        section.wrong("input", "an MCP3008 has no such input", "it has the inputs 0 to 7");
    }
    let reference = reference.filter(|volts| {
        let fits = (0.25..=5.5).contains(volts);
        if !fits {
            let hint = "it is what VREF is connected to, in volts: 3.3";
            section.wrong("reference", format!("an MCP3008 cannot measure against {volts} V"), hint);
        }
        fits
    });
    let moisture = Moisture::read(section, reference.unwrap_or(5.5), "reference")?;
    let config = Config { place: place?, input: input?, reference: reference?, moisture };
    input_fits.then(|| Box::new(config) as _)
}

const CHANNELS: &[Channel] = &[
    Channel { name: "voltage", quantity: Quantity::Voltage },
    Channel { name: "moisture", quantity: Quantity::Moisture },
];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        if self.moisture.is_some() { CHANNELS } else { &CHANNELS[..1] }
    }

    fn wiring(&self) -> Wiring {
        self.place.wiring_of(self.input)
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        Ok(Box::new(Mcp3008 { spi: self.place.open(hardware, SETTINGS)?, config: self.clone() }))
    }
}

/// 1.35 MHz at 2.7 V is the most (chapter 1).
const SETTINGS: SpiSettings = SpiSettings { hertz: 1_000_000, mode: 0 };
/// Ends in the start bit, so that the result lies on byte borders (6.1).
const START: u8 = 0b0000_0001;
/// An input against ground, and not against its neighbour (table 5-2).
const SINGLE_ENDED: u8 = 0b1000_0000;
/// Always 0, before the ten bits of the result.
const NULL_BIT: u16 = 1 << 10;

struct Mcp3008 {
    spi: Spi,
    config: Config,
}

impl Driver for Mcp3008 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let mut answer = [0; 5];
        self.spi.transfer(&mut answer, &[START, SINGLE_ENDED | self.config.input << 4, 0, 0, 0])?;
        let device = || self.config.place.name();
        let result = result(answer).map_err(|what| DriverError::corrupt(&device(), what))?;
        let volts = f64::from(result) * self.config.reference / 1024.0;
        match self.config.moisture {
            None => Ok(vec![volts]),
            Some(moisture) => Ok(vec![volts, moisture.of_input(volts, &device(), self.config.input)?]),
        }
    }
}

/// The ten bits in an answer (figure 5-2): a null bit, B9 to B0, then B1 to B9 and zeros.
fn result([_, high, low, back, rest]: [u8; 5]) -> Result<u16, &'static str> {
    let (word, again) = (u16::from_be_bytes([high, low]), u16::from_be_bytes([back, rest]));
    if word & NULL_BIT != 0 {
        return Err("it does not answer with the null bit; check its wiring and its power");
    }
    let result = word & 0x3ff;
    // B0 is the last bit of the one and the first of the other.
    if again != result.reverse_bits() << 1 {
        return Err("its result reads otherwise backwards; shorten the wires, and check that DOUT is connected");
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, spi};

    /// What the chip sends when it has converted to `result`, by figure 5-2.
    fn sent(result: u16) -> [u8; 5] {
        let forth = (0..10).rev().map(|bit| result >> bit & 1);
        let back = (1..10).map(|bit| result >> bit & 1);
        let bits = forth.chain(back).chain(std::iter::repeat_n(0, 7));
        let all = bits.fold(0u64, |all, bit| all << 1 | u64::from(bit));
        let [_, _, _, .., b1, b2, b3, b4] = all.to_be_bytes();
        // High impedance before the null bit: anything.
        [0xff, 0xf8 | b1, b2, b3, b4]
    }

    fn read(keys: &str, answer: [u8; 5]) -> Result<Vec<f64>, DriverError> {
        read_once(&ENTRY, keys, &Recorded::new([spi(&[0x01, 0xd0, 0, 0, 0], &answer)]))
    }

    #[test]
    fn it_speaks_the_datasheets_bits() {
        for (result, volts) in [(0, 0.0), (1, 3.3 / 1024.0), (512, 1.65), (0x2c5, 2.2849), (1023, 3.2968)] {
            assert_near(&read("input = 5", sent(result)).unwrap(), &[volts], 0.0001);
        }
        assert_eq!(sent(0x2c5), [0xff, 0xfa, 0xc5, 0b0100_0110, 0b1000_0000]);
        let keys = "input = 5\nreference = 5.0\nmoisture = { dry = 3.0, wet = 2.0 }";
        assert_near(&read(keys, sent(512)).unwrap(), &[2.5, 50.0], 0.0001);
    }

    #[test]
    fn what_does_not_agree_with_itself_is_no_result() {
        let error = read("input = 5", [0xff; 5]).unwrap_err().to_string();
        assert!(error.starts_with("MCP3008 at chip select 0 of SPI bus 0 sent damaged data: it does not"), "{error}");
        for (byte, bit) in [(1, 0), (2, 7), (2, 1), (3, 7), (3, 0), (4, 7), (4, 0)] {
            let mut damaged = sent(0x2c5);
            damaged[byte] ^= 1 << bit;
            let error = read("input = 5", damaged).unwrap_err().to_string();
            assert!(error.contains("otherwise backwards"), "{byte} {bit} {error}");
        }
        let error = read("input = 5\nmoisture = { dry = 2.8, wet = 1.1 }", [0; 5]).unwrap_err().to_string();
        assert!(error.contains("input 5 is at 0 V; is the probe, or the chip, connected?"), "{error}");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("", "add `input"),
            ("input = 8", "0 to 7"),
            ("input = 0\nreference = 33", "3.3"),
            ("input = 0\nmoisture = { dry = 5.0, wet = 2.0 }", "3.3 V, the reference"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
