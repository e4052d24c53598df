//! MAX31865: a PT100 or PT1000 with two, three or four wires on SPI.
//!
//! It measures once for each read and switches the current through the probe off between, which keeps the probe from warming itself.
//! Each read sets all it needs, looks for faults of the probe first, and reads back what it was set to.
//!
//! Source: Maxim 19-6478, "Internal Registers"; IEC 60751 for platinum. Own code: `embedded-devices` 0.10 measures with whatever the
//! chip's register holds, which after a loss of power is two wires, does not say which fault it found, and brings `uom` along.

use std::time::Duration;

use embedded_hal::delay::DelayNs;
use embedded_hal::spi::SpiDevice;

use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::{Frequency, Section};
use crate::hardware::{Delay, Hardware, HardwareError, Spi, SpiSettings};
use crate::model::Quantity;
use crate::wiring::{OnSpi, Wiring};

const ABOUT: &str = "\
- Range: -200 to 850 °C (±0.5 °C, and what the probe's class adds), in steps of about 0.03 °C.
- Wiring: 3.3 V, ground, CLK to GPIO 11, SDO to GPIO 9, SDI to GPIO 10, CS to GPIO 8 (`select = 0`) or GPIO 7 (`select = 1`);
  `dtparam=spi=on` in `/boot/firmware/config.txt`. The board's bridges must be set for the probe's `wires`.
- `reference` is the board's resistor: 430 Ω for a PT100 and 4300 Ω for a PT1000 unless it says otherwise.
- `mains = \"60Hz\"` where that is what hums; the filter is for 50 Hz otherwise.
- Trouble: with two wires each 0.4 Ω of cable makes a PT100 read 1 °C too much; use three or four.
";

pub(super) const ENTRY: Entry = Entry {
    name: "max31865",
    summary: "PT100 or PT1000, SPI: -200 to 850 °C",
    about: ABOUT,
    example: r#"
[sensors.mash]
driver = "max31865"
bus = 0
select = 0
probe = "PT100"
wires = 3
every = "5s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    place: OnSpi,
    /// The probe's resistance at 0 °C, and the board's resistor.
    nominal: f64,
    reference: f64,
    /// Three wires and the filter, as they stand in the setting.
    setting: u8,
    converting: Duration,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let place = OnSpi::read(section, "MAX31865");
    let probe = section.word("probe", &["PT100", "PT1000"]);
    let nominal = if probe == Some("PT1000") { 1000.0 } else { 100.0 };
    let usual = 4.3 * nominal;
    let reference = if section.has("reference") { section.optional("reference") } else { Some(usual) };
    let Frequency(mains) = section.or("mains", Frequency(50.0));
    let mains_fit = mains == 50.0 || mains == 60.0;
    if !mains_fit {
        section.wrong("mains", format!("there is no filter for {mains} Hz"), "write \"50Hz\" or \"60Hz\"");
    }
    let wires = section.required::<u8>("wires").filter(|wires| {
        let fits = (2..=4).contains(wires);
        if !fits {
            section.wrong("wires", format!("a probe cannot have {wires} wires"), "it has 2, 3 or 4");
        }
        fits
    });
    // With another resistor, the probe's range does not fit the converter's.
    let reference = reference.filter(|ohm| {
        let fits = (0.5 * usual..=2.0 * usual).contains(ohm);
        if !fits && probe.is_some() {
            let hint = format!("it is printed on the board's resistor; {usual} Ω is usual for this probe");
            section.wrong("reference", format!("{ohm} Ω does not fit this probe"), hint);
        }
        fits
    });
    let (filter, converting) = if mains == 50.0 { (FILTER_50, CONVERTING_50) } else { (0, CONVERTING_60) };
    let setting = filter | if wires? == 3 { THREE_WIRES } else { 0 };
    let config = Config { place: place?, nominal, reference: reference?, setting, converting };
    (probe.is_some() && mains_fit).then(|| Box::new(config) as _)
}

const CHANNELS: &[Channel] = &[Channel { name: "temperature", quantity: Quantity::Temperature }];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.place.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let spi = self.place.open(hardware, SETTINGS)?;
        let mut chip = Max31865 { device: self.place.name(), spi, delay: hardware.delay(), config: self.clone() };
        chip.set(self.setting)?;
        // As after power-on: another program may have left others.
        chip.spi.write(&[WRITE | THRESHOLDS, 0xff, 0xff, 0, 0])?;
        chip.expect(self.setting)?;
        Ok(Box::new(chip))
    }
}

const SETTINGS: SpiSettings = SpiSettings { hertz: 1_000_000, mode: 1 };
/// The registers (table 1).
const SETTING: u8 = 0x00;
const RESISTANCE: u8 = 0x01;
/// The highest and the lowest resistance that is no fault.
const THRESHOLDS: u8 = 0x03;
const FAULT: u8 = 0x07;
const WRITE: u8 = 0x80;
/// The setting (table 2).
const BIAS: u8 = 1 << 7;
const MEASURE_ONCE: u8 = 1 << 5;
const THREE_WIRES: u8 = 1 << 4;
const LOOK_FOR_FAULTS: u8 = 0b01 << 2;
const CLEAR_FAULTS: u8 = 1 << 1;
const FILTER_50: u8 = 1;
/// What charges the capacitor at the inputs, ten times over.
const BIAS_SETTLING: Duration = Duration::from_millis(10);
/// 0.51 ms by figure 3.
const LOOKING: Duration = Duration::from_millis(1);
/// At most ("Electrical Characteristics").
const CONVERTING_50: Duration = Duration::from_millis(66);
const CONVERTING_60: Duration = Duration::from_millis(55);
/// The fault register (table 7).
const FAULTS: [(u8, &str); 6] = [
    (1 << 7, "the probe's resistance is too high; is it connected?"),
    (1 << 6, "the probe's resistance is too low; is there a short circuit?"),
    (1 << 5, "the current does not reach the probe; is it connected, and are the bridges set for its wires?"),
    (1 << 4, "a wire of FORCE- is open or shorted"),
    (1 << 3, "a wire of RTDIN- is open or shorted"),
    (1 << 2, "an input is outside the supply; check the wiring"),
];

struct Max31865 {
    device: String,
    spi: Spi,
    delay: Delay,
    config: Config,
}

impl Driver for Max31865 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let biased = self.config.setting | BIAS;
        self.set(biased | CLEAR_FAULTS)?;
        self.wait(BIAS_SETTLING);
        self.set(biased | LOOK_FOR_FAULTS)?;
        self.wait(LOOKING);
        self.expect(biased)?;
        self.set(biased | MEASURE_ONCE)?;
        self.wait(self.config.converting);
        self.expect(biased)?;
        let [high, low] = self.get(RESISTANCE)?;
        let [faults] = self.get(FAULT)?;
        self.set(self.config.setting)?;
        if let Some((_, what)) = FAULTS.iter().find(|(bit, _)| faults & bit != 0) {
            return Err(DriverError::no_value(&self.device, *what));
        }
        let word = u16::from_be_bytes([high, low]);
        if word & 1 != 0 {
            return Err(DriverError::no_value(&self.device, "it found a fault, but does not say which; read it again"));
        }
        let ohm = f64::from(word >> 1) * self.config.reference / 32768.0;
        let celsius = celsius(ohm / self.config.nominal).ok_or_else(|| {
            let what = format!("{ohm:.1} Ω is no temperature of this probe; check `probe`, `reference` and its wiring");
            DriverError::no_value(&self.device, what)
        })?;
        Ok(vec![celsius])
    }
}

impl Max31865 {
    fn get<const N: usize>(&mut self, register: u8) -> Result<[u8; N], HardwareError> {
        let mut answer = [0; N];
        let mut operations =
            [embedded_hal::spi::Operation::Write(&[register]), embedded_hal::spi::Operation::Read(&mut answer)];
        self.spi.transaction(&mut operations)?;
        Ok(answer)
    }

    fn set(&mut self, setting: u8) -> Result<(), HardwareError> {
        self.spi.write(&[WRITE | SETTING, setting])
    }

    /// The bits that begin something are clear again when it is done, and the others are as they were written.
    fn expect(&mut self, setting: u8) -> Result<(), DriverError> {
        let [found] = self.get(SETTING)?;
        if found == setting {
            return Ok(());
        }
        if found & !(MEASURE_ONCE | LOOK_FOR_FAULTS) == setting {
            return Err(DriverError::no_value(&self.device, "it does not finish its measurement; read it again"));
        }
        let found = format!(
            "its setting reads {found:#04x} after {setting:#04x} was written; check its wiring, or it lost its power for a moment"
        );
        Err(DriverError::wrong_chip(&self.device, found))
    }

    fn wait(&mut self, time: Duration) {
        self.delay.delay_us(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }
}

/// Callendar–Van Dusen with the coefficients of IEC 60751: R(t)/R(0) = 1 + At + Bt² + C(t - 100)t³, the last below 0 °C only.
const A: f64 = 3.9083e-3;
const B: f64 = -5.775e-7;
const C: f64 = -4.183e-12;

fn ratio(celsius: f64) -> f64 {
    let c = if celsius < 0.0 { C } else { 0.0 };
    1.0 + celsius * (A + celsius * (B + celsius * (c * (celsius - 100.0))))
}

/// °C at so many times the resistance at 0 °C; `None` outside -200 to 850 °C, and a step of the converter.
fn celsius(wanted: f64) -> Option<f64> {
    if !(ratio(-200.1)..=ratio(850.1)).contains(&wanted) {
        return None;
    }
    let mut celsius = (-A + (A * A - 4.0 * B * (1.0 - wanted)).sqrt()) / (2.0 * B);
    if celsius < 0.0 {
        // Newton, from what the quadratic part gives: 2.4 °C off at -200 °C, and below 1e-9 °C after three steps.
        for _ in 0..3 {
            let slope = A + celsius * (2.0 * B + celsius * C * (4.0 * celsius - 300.0));
            celsius -= (ratio(celsius) - wanted) / slope;
        }
    }
    Some(celsius)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, spi};

    const KEYS: &str = "probe = \"PT100\"\nwires = 3";

    fn reading(word: u16, faults: u8) -> Vec<Step> {
        let [high, low] = word.to_be_bytes();
        vec![
            spi(&[0x80, 0x11], &[]),
            spi(&[0x83, 0xff, 0xff, 0, 0], &[]),
            spi(&[0x00], &[0x11]),
            spi(&[0x80, 0x93], &[]),
            spi(&[0x80, 0x95], &[]),
            spi(&[0x00], &[0x91]),
            spi(&[0x80, 0xb1], &[]),
            spi(&[0x00], &[0x91]),
            spi(&[0x01], &[high, low]),
            spi(&[0x07], &[faults]),
            spi(&[0x80, 0x11], &[]),
        ]
    }

    #[test]
    fn codes_are_temperatures_by_the_datasheets_formula() {
        // Code = ohm / reference · 2¹⁵, shifted by the fault bit: with 400 Ω, -200 °C is 0x0bda and 0 °C 0x4000 in the registers.
        let keys = format!("{KEYS}\nreference = 400");
        for (code, celsius) in [(1517, -200.0), (4936, -100.0), (8192, 0.0), (11346, 100.0), (23017, 500.0)] {
            let board = Recorded::new(reading(code << 1, 0));
            assert_near(&read_once(&ENTRY, &keys, &board).unwrap(), &[celsius], 0.04);
            assert!((Duration::from_millis(76)..Duration::from_millis(100)).contains(&board.waited()));
        }
    }

    #[test]
    fn platinum_is_as_in_the_table_of_iec_60751() {
        for (ohm, expected) in [
            (18.52, -200.0),
            (60.26, -100.0),
            (80.31, -50.0),
            (100.0, 0.0),
            (138.51, 100.0),
            (247.09, 400.0),
            (390.48, 850.0),
        ] {
            assert_near(&[celsius(ohm / 100.0).unwrap()], &[expected], 0.02);
        }
        for tenths in -2000..=8500 {
            let expected = f64::from(tenths) / 10.0;
            assert_near(&[celsius(ratio(expected)).unwrap()], &[expected], 1e-6);
        }
        assert_eq!((celsius(0.0), celsius(4.0)), (None, None));
    }

    #[test]
    fn what_the_probe_lacks_is_told() {
        for (word, faults, expected) in [
            (0x4001, 0x80, "too high"),
            (0x4001, 0x20, "does not reach the probe"),
            (0x4001, 0x04, "outside the supply"),
            (0x4001, 0x00, "does not say which"),
            (0x0000, 0x00, "0.0 Ω is no temperature of this probe"),
            (0xfffe, 0x00, "430.0 Ω is no temperature"),
        ] {
            let error = read_once(&ENTRY, KEYS, &Recorded::new(reading(word, faults))).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn absence_a_loss_of_power_and_an_endless_measurement_are_errors() {
        for nothing in [0x00, 0xff] {
            let board = Recorded::new(reading(0, 0).into_iter().take(2));
            board.then([spi(&[0x00], &[nothing])]);
            let error = opened(&ENTRY, KEYS, &board).err().unwrap().to_string();
            assert!(error.contains("is not there: its setting reads") && error.contains("check its wiring"), "{error}");
        }
        for (after, expected) in [(0x00, "lost its power"), (0xb1, "does not finish")] {
            let mut steps = reading(0x4000, 0);
            steps[7] = spi(&[0x00], &[after]);
            let error = read_once(&ENTRY, KEYS, &Recorded::new(steps)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("wires = 2", "PT100, PT1000"),
            ("probe = \"PT100\"", "add `wires"),
            ("probe = \"PT100\"\nwires = 5", "2, 3 or 4"),
            ("probe = \"PT1000\"\nwires = 4\nreference = 430", "4300"),
            ("probe = \"PT100\"\nwires = 4\nmains = 55", "50Hz"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
