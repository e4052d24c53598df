//! MAX31855: a thermocouple on SPI, with the temperature of its cold junction.
//!
//! Source: Maxim 19-5793, tables 2 to 5. Own code: no kept crate, and it is one transfer.

use embedded_hal::spi::SpiDevice;

use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, Spi, SpiSettings};
use crate::model::Quantity;
use crate::wiring::{OnSpi, Wiring};

const ABOUT: &str = "\
- Range: by its type -270 to 1800 °C in steps of 0.25 °C (K: ±2 °C from -20 to 700 °C). The letter on the chip (MAX31855K, J, N, T, S, R
  or E) must be that of the thermocouple. It takes the thermocouple for a straight line, which it is not far below 0 °C.
- Wiring: 3.3 V, ground, CLK to GPIO 11, DO to GPIO 9, CS to GPIO 8 (`select = 0`) or GPIO 7 (`select = 1`); `dtparam=spi=on` in
  `/boot/firmware/config.txt`. The thermocouple must not touch ground.
- Trouble: a temperature that falls when it should rise means that the thermocouple's two wires are swapped.
";

pub(super) const ENTRY: Entry = Entry {
    name: "max31855",
    summary: "thermocouple, SPI: -270 to 1800 °C, and its cold junction",
    about: ABOUT,
    example: r#"
[sensors.stove]
driver = "max31855"
bus = 0
select = 0
every = "5s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnSpi);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    Some(Box::new(Config(OnSpi::read(section, "MAX31855")?)))
}

const CHANNELS: &[Channel] = &[
    Channel { name: "temperature", quantity: Quantity::Temperature },
    Channel { name: "cold_junction", quantity: Quantity::Temperature },
];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.0.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        Ok(Box::new(Max31855 { device: self.0.name(), spi: self.0.open(hardware, SETTINGS)? }))
    }
}

/// 5 MHz is the most.
const SETTINGS: SpiSettings = SpiSettings { hertz: 1_000_000, mode: 0 };
/// Always 0 (table 2).
const RESERVED: u32 = 1 << 17 | 1 << 3;
const FAULT: u32 = 1 << 16;
/// Which fault, in the lowest bits.
const FAULTS: [(u32, &str); 3] = [
    (1 << 0, "the thermocouple is not connected, or broken"),
    (1 << 1, "the thermocouple touches ground; insulate its tip"),
    (1 << 2, "the thermocouple touches a supply voltage; check its wiring"),
];

struct Max31855 {
    device: String,
    spi: Spi,
}

impl Driver for Max31855 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let mut frame = [0; 4];
        self.spi.read(&mut frame)?;
        let frame = u32::from_be_bytes(frame);
        if frame & RESERVED != 0 {
            let what = format!("bits that are always 0 are set in {frame:#010x}; check its wiring and its power");
            return Err(DriverError::corrupt(&self.device, what));
        }
        // Both at exactly 0 °C is what a wire that came loose gives.
        if frame == 0 {
            return Err(DriverError::corrupt(&self.device, "it sent zeros only; check its wiring and its power"));
        }
        let faults: Vec<&str> = FAULTS.iter().filter(|(bit, _)| frame & bit != 0).map(|(_, what)| *what).collect();
        if !faults.is_empty() {
            return Err(DriverError::no_value(&self.device, faults.join(", and ")));
        }
        if frame & FAULT != 0 {
            return Err(DriverError::corrupt(&self.device, "it has a fault, but does not say which"));
        }
        let [hot, cold] = celsius(frame);
        if !(-270.0..=1800.0).contains(&hot) || !(-55.0..=127.0).contains(&cold) {
            let what = format!("{hot} °C, with its cold junction at {cold} °C, is outside what it can measure");
            return Err(DriverError::corrupt(&self.device, what));
        }
        Ok(vec![hot, cold])
    }
}

/// °C of the thermocouple and of the cold junction (tables 4 and 5).
fn celsius(frame: u32) -> [f64; 2] {
    let frame = frame.cast_signed();
    [f64::from(frame >> 18) * 0.25, f64::from(frame << 16 >> 20) * 0.0625]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, spi};

    fn read(frame: u32) -> Result<Vec<f64>, DriverError> {
        read_once(&ENTRY, "", &Recorded::new([spi(&[], &frame.to_be_bytes())]))
    }

    #[test]
    fn the_datasheets_temperatures_are_read() {
        let hot = [
            (0b0110_0100_0000_0000, 1600.0),
            (0b0011_1110_1000_0000, 1000.0),
            (0b0000_0110_0100_1100, 100.75),
            (0b0000_0001_1001_0000, 25.0),
            (0b0000_0000_0000_0000, 0.0),
            (0b1111_1111_1111_1100, -0.25),
            (0b1111_1111_1111_0000, -1.0),
            (0b1111_0000_0110_0000, -250.0),
        ];
        for (bits, celsius) in hot {
            assert_near(&read(bits << 16 | 0x190 << 4).unwrap(), &[celsius, 25.0], 0.0);
        }
        let cold = [
            (0b0111_1111_0000, 127.0),
            (0b0110_0100_1001, 100.5625),
            (0b0001_1001_0000, 25.0),
            (0b0000_0000_0000, 0.0),
            (0b1111_1111_1111, -0.0625),
            (0b1111_1111_0000, -1.0),
            (0b1110_1100_0000, -20.0),
            (0b1100_1001_0000, -55.0),
        ];
        for (bits, celsius) in cold {
            assert_near(&read(0b0000_0110_0100_1100 << 16 | bits << 4).unwrap(), &[100.75, celsius], 0.0);
        }
    }

    #[test]
    fn faults_and_loose_wires_are_told_apart() {
        let usual = 0x0190_1900;
        for (frame, expected) in [
            (usual | FAULT | 1, "has no value: the thermocouple is not connected"),
            (usual | FAULT | 2, "touches ground"),
            (usual | FAULT | 4, "touches a supply voltage"),
            (usual | FAULT, "does not say which"),
            (0xffff_ffff, "bits that are always 0 are set in 0xffffffff"),
            (usual | 1 << 3, "always 0"),
            (0, "zeros only"),
            (0x7ffc_1900, "2047.75 °C"),
        ] {
            let error = read(frame).unwrap_err().to_string();
            assert!(error.starts_with("MAX31855 at chip select 0 of SPI bus 0") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        assert!(mistakes(&ENTRY, "select = \"CE1\"")[0].hint.contains("this is a text; write 1"));
    }
}
