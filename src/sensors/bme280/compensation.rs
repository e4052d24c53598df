//! The BME280's arithmetic: from raw numbers to units, by the chip's own trimming. Pure.
//!
//! Source: BST-BME280-DS001 revision 1.23, the floating point form of appendix A, in f64; table 16 for the trimming values.
//! Temperature and pressure are as in its relatives, and stand in `bosch.rs`.

use super::super::bosch::{self, Trimming};

/// One measurement as the chip gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Raw {
    /// 20 bits
    pub(super) pressure: u32,
    /// 20 bits
    pub(super) temperature: u32,
    pub(super) humidity: u16,
}

impl Raw {
    pub(super) fn parse([p0, p1, p2, t0, t1, t2, h0, h1]: [u8; 8]) -> Self {
        Self {
            pressure: bosch::twenty([p0, p1, p2]),
            temperature: bosch::twenty([t0, t1, t2]),
            humidity: u16::from_be_bytes([h0, h1]),
        }
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Values {
    pub(super) celsius: f64,
    pub(super) percent: f64,
    pub(super) pascal: f64,
}

/// The chip's own trimming values (table 16), by their names in the datasheet: `dig_H1` is `h1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Calibration {
    pub(super) trimming: Trimming,
    pub(super) h1: f64,
    pub(super) h2: f64,
    pub(super) h3: f64,
    pub(super) h4: f64,
    pub(super) h5: f64,
    pub(super) h6: f64,
}

impl Calibration {
    /// From the registers at 0x88 and at 0xe1.
    pub(super) fn parse(one: &[u8; 26], two: &[u8; 7]) -> Self {
        // Two numbers of twelve bits share the byte at 0xe5.
        let twelve = |high: u8, low: u8| f64::from(i16::from(high.cast_signed()) << 4 | i16::from(low));
        let mut shared = [0; 24];
        shared.copy_from_slice(&one[..24]);
        Self {
            trimming: Trimming::parse(&shared),
            h1: f64::from(one[25]),
            h2: f64::from(i16::from_le_bytes([two[0], two[1]])),
            h3: f64::from(two[2]),
            h4: twelve(two[3], two[4] & 0x0f),
            h5: twelve(two[5], two[4] >> 4),
            h6: f64::from(two[6].cast_signed()),
        }
    }

    /// All three quantities; `None` if one is outside what the chip can measure.
    pub(super) fn compensate(&self, raw: Raw) -> Option<Values> {
        let fine = self.trimming.fine(raw.temperature);
        let values = Values {
            celsius: bosch::celsius(fine),
            percent: self.percent(raw.humidity, fine),
            pascal: self.trimming.pascal(raw.pressure, fine),
        };
        bosch::is_measurable(values.celsius, values.pascal).then_some(values)
    }

    pub(super) fn percent(&self, raw: u16, fine: f64) -> f64 {
        let a = fine - 76800.0;
        let b = f64::from(raw) - (self.h4 * 64.0 + self.h5 / 16384.0 * a);
        let c = 1.0 + self.h6 / 67_108_864.0 * a * (1.0 + self.h3 / 67_108_864.0 * a);
        let h = b * (self.h2 / 65536.0 * c);
        (h * (1.0 - self.h1 * h / 524_288.0)).clamp(0.0, 100.0)
    }
}
