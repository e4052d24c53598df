//! What Bosch's sensors of air pressure have in common: their ids, how they are waited for, and the arithmetic from raw numbers to
//! °C and Pa by a chip's own trimming.
//!
//! Source: BST-BMP280-DS001 revision 1.23, the floating point form of its appendix 8.1, in f64. The BME280 has the same, and the
//! BME680 (BST-BME680-DS001, 3.3) differs in the scale of some trimming values and in one more term.

use std::time::Duration;

use super::DriverError;
use crate::hardware::I2cDevice;

/// The register of a chip's id.
pub const ID: u8 = 0xd0;
/// The id of a BMP280.
pub const BMP280: u8 = 0x58;
/// The id of a BME280.
pub const BME280: u8 = 0x60;
/// The id of a BME680, and of a BME688.
pub const BME680: u8 = 0x61;

/// What a raw number of 20 bits is when its quantity was not measured.
pub const SKIPPED: u32 = 0x80000;

/// A chip's own trimming values, by their names in the datasheet (`dig_T1` is `t1`) and as the BMP280 scales them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trimming {
    /// `dig_T1`, and so on.
    pub t1: f64,
    pub t2: f64,
    pub t3: f64,
    pub p1: f64,
    /// `dig_P2` to `dig_P9`
    pub p: [f64; 8],
    /// Zero but for the BME680.
    pub p10: f64,
}

impl Trimming {
    /// From the registers at 0x88 of a BMP280 or a BME280.
    pub fn parse(bytes: &[u8; 24]) -> Self {
        let unsigned = |at: usize| f64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let signed = |at: usize| f64::from(i16::from_le_bytes([bytes[at], bytes[at + 1]]));
        Self {
            t1: unsigned(0),
            t2: signed(2),
            t3: signed(4),
            p1: unsigned(6),
            p: std::array::from_fn(|number| signed(8 + 2 * number)),
            p10: 0.0,
        }
    }

    /// A chip that lost its power while it was read, and a bus without an answer, give all zeros or all ones.
    pub fn is_plausible(&self) -> bool {
        ![self.t1, self.p1].iter().any(|value| matches!(value, 0.0 | 65535.0))
    }

    /// °C and Pa, of both raw numbers.
    pub fn celsius_and_pascal(&self, temperature: u32, pressure: u32) -> (f64, f64) {
        let fine = self.fine(temperature);
        (celsius(fine), self.pascal(pressure, fine))
    }

    /// `t_fine`: 5120 times the temperature in °C, which the other quantities depend on.
    pub fn fine(&self, raw: u32) -> f64 {
        let raw = f64::from(raw);
        let a = (raw / 16384.0 - self.t1 / 1024.0) * self.t2;
        let b = raw / 131_072.0 - self.t1 / 8192.0;
        a + b * b * self.t3
    }

    /// Pa.
    pub fn pascal(&self, raw: u32, fine: f64) -> f64 {
        let [p2, p3, p4, p5, p6, p7, p8, p9] = self.p;
        let a = fine / 2.0 - 64000.0;
        let b = a * a * p6 / 32768.0 + a * p5 * 2.0;
        let b = b / 4.0 + p4 * 65536.0;
        let a = (p3 * a * a / 524_288.0 + p2 * a) / 524_288.0;
        let a = (1.0 + a / 32768.0) * self.p1;
        let p = (1_048_576.0 - f64::from(raw) - b / 4096.0) * 6250.0 / a;
        let cubic = (p / 256.0).powi(3) * self.p10 / 131_072.0;
        p + (p9 * p * p / 2_147_483_648.0 + p * p8 / 32768.0 + cubic + p7) / 16.0
    }
}

/// °C of `t_fine`.
pub fn celsius(fine: f64) -> f64 {
    fine / 5120.0
}

/// Whether the chip can have measured this. Not a number is outside, too.
pub fn is_measurable(celsius: f64, pascal: f64) -> bool {
    (-40.0..=85.0).contains(&celsius) && (30_000.0..=110_000.0).contains(&pascal)
}

/// A raw number of 20 bits, from the three registers that hold it.
pub fn twenty([high, mid, low]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, high, mid, low]) >> 4
}

/// Reads the id, and says what there is in place of `wanted`, which has `ids`.
pub fn check_id(chip: &mut I2cDevice, wanted: &str, ids: &[u8]) -> Result<(), DriverError> {
    let id = chip.register(ID)?;
    if ids.contains(&id) { Ok(()) } else { Err(DriverError::wrong_chip(chip.name(), other_chip(id, wanted))) }
}

/// What a chip with this id is, and what to do.
pub fn other_chip(id: u8, wanted: &str) -> String {
    let what = match id {
        0x56..=BMP280 => "a BMP280, which has no humidity, though many are sold as BME280; use driver = \"bmp280\"",
        BME280 => "a BME280; use driver = \"bme280\"",
        BME680 => "a BME680 or BME688; use driver = \"bme680\"",
        0x00 | 0xff => "a bus without an answer, or a chip that has its id elsewhere; check the wiring and the address",
        _ => return format!("found chip id {id:#04x}, which is no {wanted}; check the address with `i2cdetect`"),
    };
    format!("found chip id {id:#04x}, which is {what}")
}

/// Waits until a bit of a register is clear: first as long as it should take, then a little more.
pub fn wait_until_clear(
    chip: &mut I2cDevice,
    time: Duration,
    (register, bit): (u8, u8),
    otherwise: &str,
) -> Result<(), DriverError> {
    chip.wait(time);
    for _ in 0..10 {
        if chip.register(register)? & bit == 0 {
            return Ok(());
        }
        chip.wait(Duration::from_millis(2));
    }
    Err(DriverError::no_value(chip.name(), otherwise))
}
