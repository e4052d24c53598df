//! ADS1115: one of four analog inputs on I²C, for soil probes and whatever else gives a voltage.
//!
//! One conversion for each read (single-shot), so that inputs can share the chip. It is read back what was converted,
//! since the chip has no id and other chips live at its addresses.
//!
//! Source: TI SBAS444, chapter 8. Own code, since the `ads1x1x` crate remembers that it has started a conversion: after
//! an error it takes the next result for its own, and that may be another input's.

use std::time::Duration;

use embedded_hal::i2c::Operation;

use super::moisture::Moisture;
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::simulated::{Chip, I2cChip, Probe};
use crate::hardware::{Hardware, HardwareError, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: 0 V to the supply, in steps of 1/32768 of `range`. One table for each input; up to four share a chip.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3. Address 0x48 with ADDR to ground, 0x49 to 3.3 V, 0x4a to
  SDA, 0x4b to SCL. No input may be above the supply, whatever the range.
- Soil: `moisture = { dry = 2.8, wet = 1.1 }` are the volts of the probe in air and in water.
- Trouble: a probe that came loose gives a voltage far outside its calibration, which is an error and no moisture.
  So is 0 V, but a probe whose `dry` (or `wet`) is 0 V cannot be told from no probe, nor from no chip.
";

pub(super) const ENTRY: Entry = Entry {
    name: "ads1115",
    summary: "voltage or soil moisture, I²C: one of four analog inputs",
    about: ABOUT,
    example: r#"
[sensors.soil]
driver = "ads1115"
bus = 1
address = 0x48
input = 0
moisture = { dry = 2.8, wet = 1.1 }
every = "1m"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    place: OnI2c,
    input: u8,
    range: Range,
    moisture: Option<Moisture>,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let addresses = [(0x48, "ADDR to ground"), (0x49, "3.3 V"), (0x4a, "SDA"), (0x4b, "SCL")];
    let place = OnI2c::read(section, "ADS1115", &addresses);
    let input = section.required::<u8>("input");
    let name = section.or("range", "4.096V".to_owned());
    let range = RANGES.iter().find(|range| range.name == name).copied();

    let input_fits = input.is_none_or(|input| input <= 3);
    if !input_fits {
        section.wrong("input", "an ADS1115 has no such input", "it has the inputs 0 to 3");
    }
    let Some(range) = range else {
        let names: Vec<_> = RANGES.iter().map(|range| format!("\"{}\"", range.name)).collect();
        section.wrong(
            "range",
            format!("an ADS1115 has no range `{name}`"),
            format!("its ranges: {}", names.join(", ")),
        );
        return None;
    };
    let moisture = Moisture::read(section, range.volts, "range")?;
    let (place, input) = (place?, input?);
    input_fits.then(|| Box::new(Config { place, input, range, moisture }) as _)
}

const CHANNELS: &[Channel] = &[
    Channel { name: "voltage", quantity: Quantity::Voltage },
    Channel { name: "moisture", quantity: Quantity::Moisture },
];

impl Config {
    fn model(&self) -> Model {
        Model { config: self.clone(), pointer: 0, setting: RESET_SETTING, result: 0 }
    }
}

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        if self.moisture.is_some() { CHANNELS } else { &CHANNELS[..1] }
    }

    fn wiring(&self) -> Wiring {
        self.place.wiring_of(self.input)
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut driver = Ads1115 { chip: self.place.open(hardware)?, config: self.clone() };
        driver.convert()?;
        Ok(Box::new(driver))
    }

    fn chip(&self) -> Option<Chip> {
        Some(Chip::I2c { bus: self.place.bus, address: self.place.address, model: Box::new(self.model()) })
    }
}

/// A setting of the amplifier in front of the converter.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    name: &'static str,
    volts: f64,
    /// PGA in the setting.
    bits: u16,
}

const RANGES: [Range; 6] = [
    Range { name: "6.144V", volts: 6.144, bits: 0b000 },
    Range { name: "4.096V", volts: 4.096, bits: 0b001 },
    Range { name: "2.048V", volts: 2.048, bits: 0b010 },
    Range { name: "1.024V", volts: 1.024, bits: 0b011 },
    Range { name: "0.512V", volts: 0.512, bits: 0b100 },
    Range { name: "0.256V", volts: 0.256, bits: 0b101 },
];

impl Range {
    /// Volts of a result. `0x7fff` is one step below the full range.
    fn volts(self, result: i16) -> f64 {
        f64::from(result) * self.volts / 32768.0
    }
}

/// The registers (8.1.1 and 8.1.3).
const CONVERSION: u8 = 0;
const SETTING: u8 = 1;
/// Written: begin a conversion. Read: none is running.
const START: u16 = 1 << 15;
/// Input 0 against ground; the next inputs follow.
const INPUT_0: u16 = 0b100 << 12;
const SINGLE_SHOT: u16 = 1 << 8;
/// 128 conversions a second.
const RATE_128: u16 = 0b100 << 5;
const CONVERTING: Duration = Duration::from_millis(8);
const A_LITTLE_MORE: Duration = Duration::from_millis(1);
const COMPARATOR_OFF: u16 = 0b11;
const RESET_SETTING: u16 = 0x8583;

impl Config {
    fn setting(&self) -> u16 {
        START | INPUT_0 | u16::from(self.input) << 12 | self.range.bits << 9 | SINGLE_SHOT | RATE_128 | COMPARATOR_OFF
    }
}

struct Ads1115 {
    chip: I2cDevice,
    config: Config,
}

impl Driver for Ads1115 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let volts = self.config.range.volts(self.convert()?);
        let Some(moisture) = self.config.moisture else { return Ok(vec![volts]) };
        Ok(vec![volts, moisture.of_input(volts, self.chip.name(), self.config.input)?])
    }
}

impl Ads1115 {
    fn convert(&mut self) -> Result<i16, DriverError> {
        let setting = self.config.setting();
        self.chip.set_word(SETTING, setting)?;
        self.chip.wait(CONVERTING);
        for _ in 0..10 {
            let now = self.chip.word(SETTING)?;
            if now == setting {
                return Ok(self.chip.word(CONVERSION)?.cast_signed());
            }
            if now | START != setting {
                let found = format!(
                    "its setting reads {now:#06x} after {setting:#06x} was written; either this is another chip, \
                     or it lost its power for a moment"
                );
                return Err(DriverError::wrong_chip(self.chip.name(), found));
            }
            self.chip.wait(A_LITTLE_MORE);
        }
        Err(DriverError::no_value(self.chip.name(), "it does not finish its conversion"))
    }
}

/// The chip in the simulated world, with this sensor's probe at its input.
struct Model {
    config: Config,
    pointer: u8,
    setting: u16,
    result: i16,
}

impl I2cChip for Model {
    fn transaction(&mut self, operations: &mut [Operation<'_>], probe: &mut dyn Probe) -> Result<(), HardwareError> {
        for operation in operations {
            match operation {
                Operation::Write([SETTING, high, low]) => {
                    self.pointer = SETTING;
                    self.setting = u16::from_be_bytes([*high, *low]);
                    if self.setting & START != 0 && self.selected() {
                        self.convert(probe);
                    }
                }
                Operation::Write(bytes) => self.pointer = bytes.first().copied().unwrap_or(self.pointer),
                Operation::Read(buffer) => {
                    let value = match self.pointer {
                        CONVERSION => self.result.cast_unsigned(),
                        SETTING => self.setting | START,
                        _ => 0,
                    };
                    for (byte, value) in buffer.iter_mut().zip(value.to_be_bytes()) {
                        *byte = value;
                    }
                }
            }
        }
        Ok(())
    }

    fn selected(&self) -> bool {
        self.setting & 0b111 << 12 == INPUT_0 | u16::from(self.config.input) << 12
    }
}

impl Model {
    fn convert(&mut self, probe: &mut dyn Probe) {
        let volts = match self.config.moisture {
            Some(moisture) => moisture.volts(probe.feel(Quantity::Moisture)),
            None => probe.feel(Quantity::Voltage),
        };
        let pga = self.setting >> 9 & 0b111;
        let full = RANGES.iter().find(|range| range.bits == pga).map_or(0.256, |range| range.volts);
        self.result = (volts / full * 32768.0).round().clamp(-32768.0, 32767.0) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    fn config(input: u8, moisture: Option<Moisture>) -> Config {
        Config { place: OnI2c { chip: "ADS1115", bus: 1, address: 0x48 }, input, range: RANGES[1], moisture }
    }

    const PROBE: Moisture = Moisture { dry: 2.8, wet: 1.1 };

    /// A chip whose setting and result are what they are told to be, and what was written to it.
    struct Told {
        settings: Vec<u16>,
        result: u16,
        written: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
    }

    impl I2cChip for Told {
        fn transaction(&mut self, operations: &mut [Operation<'_>], _: &mut dyn Probe) -> Result<(), HardwareError> {
            match operations {
                [Operation::Write(bytes)] => self.written.lock().unwrap().extend_from_slice(bytes),
                [Operation::Write([SETTING]), Operation::Read(buffer)] => {
                    let next = if self.settings.len() > 1 { self.settings.remove(0) } else { self.settings[0] };
                    buffer.copy_from_slice(&next.to_be_bytes());
                }
                [Operation::Write([CONVERSION]), Operation::Read(buffer)] => {
                    buffer.copy_from_slice(&self.result.to_be_bytes());
                }
                other => panic!("{other:?}"),
            }
            Ok(())
        }
    }

    fn convert(settings: &[u16], result: u16) -> (Result<f64, DriverError>, Vec<u8>) {
        let hardware = testing::world();
        let written = std::sync::Arc::default();
        let model = Told { settings: settings.to_vec(), result, written: std::sync::Arc::clone(&written) };
        hardware.plug(Chip::I2c { bus: 1, address: 0x48, model: Box::new(model) }, "soil");
        let value = config(2, None).open(&hardware).and_then(|mut driver| driver.read()).map(|values| values[0]);
        let written = written.lock().unwrap().clone();
        (value, written)
    }

    #[test]
    fn it_speaks_the_datasheets_bytes() {
        // Begin, input 2 against ground, ±4.096 V, single-shot, 128 a second, no comparator; once to open, once to read.
        let idle = 0xe383;
        for (result, volts) in
            [(0x7fff, 4.096 * 32767.0 / 32768.0), (0x0001, 0.000_125), (0xffff, -0.000_125), (0, 0.0)]
        {
            let (value, written) = convert(&[idle], result);
            assert_eq!(written, [0x01, 0xe3, 0x83, 0x01, 0xe3, 0x83]);
            assert!((value.unwrap() - volts).abs() < 1e-12);
        }
    }

    #[test]
    fn it_waits_for_a_conversion_but_not_for_ever() {
        let (idle, busy) = (0xe383, 0x6383);
        assert!(convert(&[busy, busy, idle], 0x4000).0.is_ok());
        let error = convert(&[busy], 0x4000).0.unwrap_err().to_string();
        assert!(error.contains("does not finish"), "{error}");
    }

    #[test]
    fn another_chip_at_the_address_is_noticed() {
        for setting in [0x8583, 0xffff, 0x0000] {
            assert!(matches!(convert(&[setting], 0x4000).0, Err(DriverError::WrongChip { .. })), "{setting:#06x}");
        }
    }

    #[test]
    fn sensors_that_share_a_chip_get_their_own_inputs() {
        let hardware = testing::with(
            r#"
            [plants.left]
            kind = "soil"
            moisture = 20
            [plants.right]
            kind = "soil"
            moisture = 70
            [probes]
            a = "left"
            b = "right"
            "#,
        );
        let (a, b) = (config(0, Some(PROBE)), config(3, Some(Moisture { dry: 0.5, wet: 3.0 })));
        hardware.plug(a.chip().unwrap(), "a");
        hardware.plug(b.chip().unwrap(), "b");
        let (mut a, mut b) = (a.open(&hardware).unwrap(), b.open(&hardware).unwrap());
        for _ in 0..3 {
            assert!((a.read().unwrap()[1] - 20.0).abs() < 0.1);
            assert!((b.read().unwrap()[1] - 70.0).abs() < 0.1);
        }
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (toml, expected) in [
            ("", "add `input"),
            ("input = 4", "0 to 3"),
            ("input = 0\naddress = 0x50", "0x4b"),
            ("input = 0\nrange = \"5V\"", "\"4.096V\""),
            ("input = 0\nmoisture = { dry = 2.0, wet = 2.0 }", "must differ"),
            ("input = 0\nmoisture = { dry = 5.0, wet = 2.0 }", "4.096 V"),
            ("input = 0\nmoisture = { dry = 2.0 }", "wet"),
        ] {
            let found = testing::mistakes(&ENTRY, toml);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{toml}: {found:?}");
        }
    }
}
