//! BMP388 and BMP390: air pressure, finely, and temperature on I²C.
//!
//! It measures once for each read (forced mode) and sleeps between. Each read sets all it needs again, and the chip says when both
//! values are new, so that one that lost power for a moment works on or says so.
//!
//! Source: BST-BMP388-DS001 revision 1.1, chapters 3 and 4, and the floating point form of chapter 9, in f64. Own code: that of
//! `embedded-devices` subtracts without a sign, so that a cold chip's number wraps around, never asks whether a value is new, and
//! brings a crate of units along.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig, bosch};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: 300 to 1250 hPa (±0.5 hPa), -40 to 85 °C (±1 °C; it warms itself a little).
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`. CSB to 3.3 V.
- Address: 0x76 with SDO to ground, 0x77 with SDO to 3.3 V, as most boards have it; `i2cdetect -y 1` shows it.
- Trouble: it sees light; cover it from the sun.
";

pub(super) const ENTRY: Entry = Entry {
    name: "bmp390",
    summary: "air pressure and temperature, I²C: BMP388, BMP390",
    about: ABOUT,
    example: r#"
[sensors.weather]
driver = "bmp390"
bus = 1
address = 0x77
every = "1m"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnI2c);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let addresses = [(0x77, "SDO to 3.3 V"), (0x76, "SDO to ground")];
    Some(Box::new(Config(OnI2c::read(section, "BMP390", &addresses)?)))
}

const CHANNELS: &[Channel] = &[
    Channel { name: "pressure", quantity: Quantity::Pressure },
    Channel { name: "temperature", quantity: Quantity::Temperature },
];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.0.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut chip = self.0.open(hardware)?;
        let id = chip.register(ID)?;
        if !matches!(id, BMP388 | BMP390) {
            // Its relatives at these addresses have their id elsewhere.
            let found = bosch::other_chip(chip.register(bosch::ID)?, "BMP388 or BMP390");
            return Err(DriverError::wrong_chip(chip.name(), found));
        }
        chip.set(COMMAND, SOFT_RESET)?;
        chip.wait(STARTING);
        let bytes: [u8; 21] = chip.registers(TRIMMING)?;
        if bytes == [0x00; 21] || bytes == [0xff; 21] {
            let what = "its calibration is empty; check the wiring, or the chip is broken";
            return Err(DriverError::corrupt(chip.name(), what));
        }
        Ok(Box::new(Bmp390 { chip, trimming: Trimming::parse(&bytes) }))
    }
}

/// The registers (table 24).
const ID: u8 = 0x00;
const STATUS: u8 = 0x03;
const DATA: u8 = 0x04;
const PWR_CTRL: u8 = 0x1b;
const OSR: u8 = 0x1c;
const TRIMMING: u8 = 0x31;
const COMMAND: u8 = 0x7e;
const BMP388: u8 = 0x50;
const BMP390: u8 = 0x60;
const SOFT_RESET: u8 = 0xb6;
/// In `STATUS`: pressure and temperature are new. Reading them clears it.
const BOTH_NEW: u8 = 0b11 << 5;
/// Pressure four times, temperature once: "standard resolution" (3.4.1). The filter is off after the reset.
const STANDARD: u8 = 0b010;
const FORCED_BOTH: u8 = 0b01 << 4 | 0b11;
/// 3.9.2: 234 + 392 + 4 · 2020 + 163 + 2020 µs.
const MEASURING: Duration = Duration::from_micros(10_900);
const STARTING: Duration = Duration::from_millis(2);
const A_LITTLE_MORE: Duration = Duration::from_millis(2);

struct Bmp390 {
    chip: I2cDevice,
    trimming: Trimming,
}

impl Driver for Bmp390 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        self.chip.set(OSR, STANDARD)?;
        self.chip.set(PWR_CTRL, FORCED_BOTH)?;
        self.chip.wait(MEASURING);
        for _ in 0..10 {
            if self.chip.register(STATUS)? & BOTH_NEW == BOTH_NEW {
                return self.values();
            }
            self.chip.wait(A_LITTLE_MORE);
        }
        let what = "it does not finish its measurement; did it lose its power for a moment?";
        Err(DriverError::no_value(self.chip.name(), what))
    }
}

impl Bmp390 {
    fn values(&mut self) -> Result<Vec<f64>, DriverError> {
        let [p0, p1, p2, t0, t1, t2] = self.chip.registers(DATA)?;
        let celsius = self.trimming.celsius(u32::from_le_bytes([t0, t1, t2, 0]));
        let pascal = self.trimming.pascal(u32::from_le_bytes([p0, p1, p2, 0]), celsius);
        if !(-40.0..=85.0).contains(&celsius) || !(30_000.0..=125_000.0).contains(&pascal) {
            let what = format!("{celsius:.1} °C or {pascal:.0} Pa is outside what it can measure; check its wiring");
            return Err(DriverError::corrupt(self.chip.name(), what));
        }
        Ok(vec![pascal / 100.0, celsius])
    }
}

/// The chip's own trimming values (9.1), scaled: `PAR_T1` is `t[0]`, `PAR_P1` is `p[0]`.
struct Trimming {
    t: [f64; 3],
    p: [f64; 11],
}

impl Trimming {
    fn parse(bytes: &[u8; 21]) -> Self {
        let unsigned = |at: usize| f64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let signed = |at: usize| f64::from(i16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let small = |at: usize| f64::from(bytes[at].cast_signed());
        let scaled = |value: f64, bits: i32| value * 2.0f64.powi(-bits);
        Self {
            t: [scaled(unsigned(0), -8), scaled(unsigned(2), 30), scaled(small(4), 48)],
            p: [
                scaled(signed(5) - 16384.0, 20),
                scaled(signed(7) - 16384.0, 29),
                scaled(small(9), 32),
                scaled(small(10), 37),
                scaled(unsigned(11), -3),
                scaled(unsigned(13), 6),
                scaled(small(15), 8),
                scaled(small(16), 15),
                scaled(signed(17), 48),
                scaled(small(19), 48),
                scaled(small(20), 65),
            ],
        }
    }

    /// 9.2
    fn celsius(&self, raw: u32) -> f64 {
        let from_zero = f64::from(raw) - self.t[0];
        from_zero * self.t[1] + from_zero * from_zero * self.t[2]
    }

    /// 9.3: three polynomials, one for each power of the raw number.
    fn pascal(&self, raw: u32, celsius: f64) -> f64 {
        let (raw, t) = (f64::from(raw), celsius);
        let [p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11] = self.p;
        let offset = p5 + p6 * t + p7 * t * t + p8 * t.powi(3);
        let linear = raw * (p1 + p2 * t + p3 * t * t + p4 * t.powi(3));
        offset + linear + raw * raw * (p9 + p10 * t) + raw.powi(3) * p11
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{assert_near, mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    /// Trimming of the size that chips have; the datasheet has no example.
    const T: [i128; 3] = [27652, 19035, -7];
    const P: [i128; 11] = [-241, -1394, 35, 0, 25181, 30164, -13, -7, 16301, 21, -60];
    const EXAMPLE: [u8; 21] = [
        0x04, 0x6c, 0x5b, 0x4a, 0xf9, 0x0f, 0xff, 0x8e, 0xfa, 0x23, 0x00, 0x5d, 0x62, 0xd4, 0x75, 0xf3, 0xf9, 0xad,
        0x3f, 0x15, 0xc4,
    ];
    const RAW: (u32, u32) = (8_388_608, 6_900_000);
    const DATA_OF_RAW: [u8; 6] = [0x20, 0x49, 0x69, 0x00, 0x00, 0x80];

    /// Bosch's integer form, another way to the same numbers: °C and Pa.
    fn integer((temperature, pressure): (u32, u32)) -> (f64, f64) {
        let (raw, from_zero) = (i128::from(pressure), i128::from(temperature) - 256 * T[0]);
        let t = (T[1] * from_zero * 262_144 + from_zero * from_zero * T[2]) >> 32;
        let (t2, t3) = (t * t, ((t * t) / 64 * t) / 256);
        let offset = (P[4] << 47) + P[7] * t3 / 32 + P[6] * t2 * 16 + ((P[5] * t) << 22);
        let linear = ((P[0] - 16384) << 46) + P[3] * t3 / 32 + P[2] * t2 * 4 + ((P[1] - 16384) * t * 2_097_152);
        let square = (P[9] * t + 65536 * P[8]) * raw / 8192 * raw / 512;
        let cubic = P[10] * raw * raw / 65536 * raw / 128;
        let pascal = (offset / 4 + linear / 16_777_216 * raw + square + cubic) * 25;
        (t as f64 * 25.0 / 16384.0 / 100.0, pascal as f64 / 1_099_511_627_776.0 / 100.0)
    }

    fn opening(id: u8, trimming: &[u8; 21]) -> [Step; 3] {
        [i2c(0x77, &[0x00], &[id]), i2c(0x77, &[0x7e, 0xb6], &[]), i2c(0x77, &[0x31], trimming)]
    }

    fn measuring(statuses: &[u8]) -> Recorded {
        let board = Recorded::new(opening(0x60, &EXAMPLE));
        board.then([i2c(0x77, &[0x1c, 0x02], &[]), i2c(0x77, &[0x1b, 0x13], &[])]);
        board.then(statuses.iter().map(|status| i2c(0x77, &[0x03], &[*status])));
        board
    }

    #[test]
    fn a_measurement_comes_through_the_driver_as_the_integer_form_has_it() {
        let board = measuring(&[0x30, 0x70]);
        board.then([i2c(0x77, &[0x04], &DATA_OF_RAW)]);
        let (celsius, pascal) = integer(RAW);
        assert_near(&[celsius, pascal], &[23.175, 99_982.73], 0.005);
        assert_near(&read_once(&ENTRY, "", &board).unwrap(), &[pascal / 100.0, celsius], 0.001);
        assert!(board.waited() >= MEASURING + STARTING);
    }

    proptest! {
        #[test]
        fn the_arithmetic_agrees_with_the_integer_form(
            temperature in 7_300_000..10_400_000u32,
            pressure in 4_000_000..9_000_000u32,
        ) {
            let trimming = Trimming::parse(&EXAMPLE);
            let (celsius, pascal) = integer((temperature, pressure));
            let found = trimming.celsius(temperature);
            prop_assert!((found - celsius).abs() < 0.001, "{} {}", found, celsius);
            let found = trimming.pascal(pressure, found);
            prop_assert!((found - pascal).abs() < 0.1, "{} {}", found, pascal);
        }
    }

    #[test]
    fn what_was_not_measured_or_cannot_be_is_no_value() {
        let board = measuring(&[0x50; 10]);
        let error = read_once(&ENTRY, "", &board).unwrap_err().to_string();
        assert!(error.contains("does not finish its measurement"), "{error}");
        assert!(board.waited() < Duration::from_millis(100));

        let board = measuring(&[0x70]);
        board.then([i2c(0x77, &[0x04], &[0x00; 6])]);
        let error = read_once(&ENTRY, "", &board).unwrap_err();
        assert!(matches!(&error, DriverError::Corrupt { .. }), "{error}");
    }

    #[test]
    fn another_chip_empty_trimming_and_absence_are_errors() {
        let other = Recorded::new([i2c(0x77, &[0x00], &[0x00]), i2c(0x77, &[0xd0], &[0x58])]);
        let error = opened(&ENTRY, "", &other).err().unwrap().to_string();
        assert!(error.contains("found chip id 0x58, which is a BMP280"), "{error}");

        let error = opened(&ENTRY, "", &Recorded::new(opening(0x50, &[0xff; 21]))).err().unwrap();
        assert!(matches!(&error, DriverError::Corrupt { .. }), "{error}");

        let error = opened(&ENTRY, "", &Recorded::new([nack(0x77, &[0x00])])).err().unwrap().to_string();
        assert_eq!(error, "no answer from address 0x77 on I²C bus 1: check its wiring, its power and its address");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        let found = mistakes(&ENTRY, "address = 0x48");
        assert!(found[0].hint.contains("0x76 (SDO to ground)"), "{found:?}");
    }
}
