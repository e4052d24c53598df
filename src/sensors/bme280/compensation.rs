//! The BME280's arithmetic: from raw numbers to units, by the chip's own trimming. Pure.
//!
//! Source: BST-BME280-DS001 revision 1.23, the floating point form of appendix A, in f64; table 16 for the trimming values.

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
        let twenty = |high, mid, low| u32::from_be_bytes([0, high, mid, low]) >> 4;
        Self { pressure: twenty(p0, p1, p2), temperature: twenty(t0, t1, t2), humidity: u16::from_be_bytes([h0, h1]) }
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Values {
    pub(super) celsius: f64,
    pub(super) percent: f64,
    pub(super) pascal: f64,
}

/// The chip's own trimming values (table 16), by their names in the datasheet: `dig_T1` is `t1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Calibration {
    pub(super) t1: f64,
    pub(super) t2: f64,
    pub(super) t3: f64,
    pub(super) p1: f64,
    pub(super) p: [f64; 8],
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
        let unsigned = |at: usize| f64::from(u16::from_le_bytes([one[at], one[at + 1]]));
        let signed = |at: usize| f64::from(i16::from_le_bytes([one[at], one[at + 1]]));
        // Two numbers of twelve bits share the byte at 0xe5.
        let twelve = |high: u8, low: u8| f64::from(i16::from(high.cast_signed()) << 4 | i16::from(low));
        Self {
            t1: unsigned(0),
            t2: signed(2),
            t3: signed(4),
            p1: unsigned(6),
            p: std::array::from_fn(|number| signed(8 + 2 * number)),
            h1: f64::from(one[25]),
            h2: f64::from(i16::from_le_bytes([two[0], two[1]])),
            h3: f64::from(two[2]),
            h4: twelve(two[3], two[4] & 0x0f),
            h5: twelve(two[5], two[4] >> 4),
            h6: f64::from(two[6].cast_signed()),
        }
    }

    /// A chip that lost its power while it was read gives all zeros or all ones.
    pub(super) fn is_plausible(&self) -> bool {
        ![self.t1, self.p1].iter().any(|value| matches!(value, 0.0 | 65535.0))
    }

    /// All three quantities; `None` if one is outside what the chip can measure.
    pub(super) fn compensate(&self, raw: Raw) -> Option<Values> {
        let fine = self.fine(raw.temperature);
        let values = Values {
            celsius: fine / 5120.0,
            percent: self.percent(raw.humidity, fine),
            pascal: self.pascal(raw.pressure, fine),
        };
        let measurable = (-40.0..=85.0).contains(&values.celsius) && (30_000.0..=110_000.0).contains(&values.pascal);
        measurable.then_some(values)
    }

    /// `t_fine`: 5120 times the temperature in °C, which the other two depend on.
    pub(super) fn fine(&self, raw: u32) -> f64 {
        let raw = f64::from(raw);
        let a = (raw / 16384.0 - self.t1 / 1024.0) * self.t2;
        let b = raw / 131_072.0 - self.t1 / 8192.0;
        a + b * b * self.t3
    }

    pub(super) fn pascal(&self, raw: u32, fine: f64) -> f64 {
        let [p2, p3, p4, p5, p6, p7, p8, p9] = self.p;
        let a = fine / 2.0 - 64000.0;
        let b = a * a * p6 / 32768.0 + a * p5 * 2.0;
        let b = b / 4.0 + p4 * 65536.0;
        let a = (p3 * a * a / 524_288.0 + p2 * a) / 524_288.0;
        let a = (1.0 + a / 32768.0) * self.p1;
        let p = (1_048_576.0 - f64::from(raw) - b / 4096.0) * 6250.0 / a;
        p + (p9 * p * p / 2_147_483_648.0 + p * p8 / 32768.0 + p7) / 16.0
    }

    pub(super) fn percent(&self, raw: u16, fine: f64) -> f64 {
        let a = fine - 76800.0;
        let b = f64::from(raw) - (self.h4 * 64.0 + self.h5 / 16384.0 * a);
        let c = 1.0 + self.h6 / 67_108_864.0 * a * (1.0 + self.h3 / 67_108_864.0 * a);
        let h = b * (self.h2 / 65536.0 * c);
        (h * (1.0 - self.h1 * h / 524_288.0)).clamp(0.0, 100.0)
    }
}
