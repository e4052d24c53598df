//! The BME680's arithmetic: from raw numbers to units, by the chip's own trimming, and back for its heater. Pure.
//!
//! Source: BST-BME680-DS001 revision 1.9, chapters 3.3 and 3.4, in f64; for the gas of a BME688,
//! BST-BME688-DS000 revision 1.3, chapter 3.4. Temperature and pressure are as in its relatives, and stand in `bosch.rs`.

use super::super::bosch::Trimming;

/// The chip's own trimming values, by their names in the datasheet: `par_h1` is `h[0]`, `par_g1` is `g[0]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Calibration {
    pub(super) trimming: Trimming,
    pub(super) h: [f64; 7],
    pub(super) g: [f64; 3],
    pub(super) heat_range: f64,
    pub(super) heat_value: f64,
    pub(super) range_error: f64,
}

impl Calibration {
    /// From the registers at 0x8a, at 0xe1 and at 0x00.
    pub(super) fn parse(one: &[u8; 23], two: &[u8; 14], three: &[u8; 5]) -> Self {
        let unsigned = |bytes: &[u8], at: usize| f64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let signed = |bytes: &[u8], at: usize| f64::from(i16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let small = |byte: u8| f64::from(byte.cast_signed());
        // Two numbers of twelve bits share the byte at 0xe2.
        let twelve = |high: u8, low: u8| f64::from(u16::from(high) << 4 | u16::from(low));
        Self {
            // Several are shorter than the BMP280's, and so scaled up.
            trimming: Trimming {
                t1: unsigned(two, 8),
                t2: signed(one, 0),
                t3: small(one[2]) * 16.0,
                p1: unsigned(one, 4),
                p: [
                    signed(one, 6),
                    small(one[8]) * 32.0,
                    signed(one, 10),
                    signed(one, 12),
                    small(one[15]) / 4.0,
                    small(one[14]) * 128.0,
                    signed(one, 18),
                    signed(one, 20),
                ],
                p10: f64::from(one[22]),
            },
            h: [
                twelve(two[2], two[1] & 0x0f),
                twelve(two[0], two[1] >> 4),
                small(two[3]),
                small(two[4]),
                small(two[5]),
                f64::from(two[6]),
                small(two[7]),
            ],
            g: [small(two[12]), signed(two, 10), small(two[13])],
            heat_range: f64::from(three[2] >> 4 & 0b11),
            heat_value: small(three[0]),
            range_error: f64::from(three[4].cast_signed() >> 4),
        }
    }

    /// % at a temperature.
    pub(super) fn percent(&self, raw: u16, celsius: f64) -> f64 {
        let [h1, h2, h3, h4, h5, h6, h7] = self.h;
        let a = f64::from(raw) - (h1 * 16.0 + h3 / 2.0 * celsius);
        let b = a * (h2 / 262_144.0 * (1.0 + h4 / 16384.0 * celsius + h5 / 1_048_576.0 * celsius * celsius));
        (b + (h6 / 16384.0 + h7 / 2_097_152.0 * celsius) * b * b).clamp(0.0, 100.0)
    }

    /// The setting for which the heater becomes `target` °C hot in air of `ambient` °C. It is held to what the register can hold.
    pub(super) fn heater(&self, target: f64, ambient: f64) -> u8 {
        let [g1, g2, g3] = self.g;
        let a = (g1 / 16.0 + 49.0) * (1.0 + (g2 / 32768.0 * 0.0005 + 0.00235) * target);
        let b = a + g3 / 1024.0 * ambient;
        (3.4 * (b * (4.0 / (4.0 + self.heat_range)) / (1.0 + self.heat_value * 0.002) - 25.0)) as u8
    }

    /// Ω of a BME680. `raw` has 10 bits, `range` has 4.
    pub(super) fn ohm(&self, raw: u16, range: u8) -> f64 {
        let (first, second) = GAS_RANGES[usize::from(range & 0x0f)];
        let a = (1340.0 + 5.0 * self.range_error) * first;
        a * second / (f64::from(raw) - 512.0 + a)
    }
}

/// Ω of a BME688, whose gas has no trimming.
pub(super) fn ohm_of_bme688(raw: u16, range: u8) -> f64 {
    let full = f64::from(262_144_u32 >> (range & 0x0f));
    1e6 * full / (4096.0 + 3.0 * (f64::from(raw) - 512.0))
}

/// `const_array1` and `const_array2` (3.4.1).
const GAS_RANGES: [(f64, f64); 16] = [
    (1.0, 8_000_000.0),
    (1.0, 4_000_000.0),
    (1.0, 2_000_000.0),
    (1.0, 1_000_000.0),
    (1.0, 499_500.499_5),
    (0.99, 248_262.164_8),
    (1.0, 125_000.0),
    (0.992, 63_004.032_26),
    (1.0, 31_281.281_28),
    (1.0, 15625.0),
    (0.998, 7812.5),
    (0.995, 3906.25),
    (1.0, 1953.125),
    (0.99, 976.5625),
    (1.0, 488.28125),
    (1.0, 244.140625),
];

#[cfg(test)]
mod tests {
    use super::super::tests::EXAMPLE;
    use super::*;

    fn example() -> Calibration {
        Calibration::parse(&EXAMPLE.0, &EXAMPLE.1, &EXAMPLE.2)
    }

    #[test]
    fn the_trimming_is_found_where_it_is() {
        let found = example();
        let trimming = found.trimming;
        assert_eq!((trimming.t1, trimming.t2, trimming.t3 / 16.0), (26041.0, 26469.0, 3.0));
        assert_eq!((trimming.p1, trimming.p10), (36673.0, 30.0));
        let [p2, p3, p4, p5, p6, p7, p8, p9] = trimming.p;
        assert_eq!(
            [p2, p3 / 32.0, p4, p5, p6 * 4.0, p7 / 128.0, p8, p9],
            [-10515.0, 88.0, 7310.0, -129.0, 30.0, 46.0, -3177.0, -2379.0]
        );
        assert_eq!(found.h, [676.0, 1029.0, 0.0, 45.0, 20.0, 120.0, -100.0]);
        assert_eq!(found.g, [-30.0, -24754.0, 18.0]);
        assert_eq!((found.heat_range, found.heat_value, found.range_error), (1.0, 48.0, 0.0));
        assert_eq!(Calibration::parse(&EXAMPLE.0, &EXAMPLE.1, &[0, 0, 0, 0, 0xf3]).range_error, -1.0);
    }

    /// What the integer form, another way to the same numbers, gives of a real chip's trimming.
    #[test]
    fn it_agrees_with_the_integer_form() {
        let example = example();
        let (celsius, pascal) = example.trimming.celsius_and_pascal(501_240, 353_485);
        let percent = example.percent(19019, celsius);
        assert!((celsius - 26.69).abs() < 0.01, "{celsius}");
        assert!((pascal - 98712.0).abs() < 5.0, "{pascal}");
        assert!((percent - 42.402).abs() < 0.05, "{percent}");
        assert!((example.ohm(0, 0) - 12_946_860.0).abs() < 10.0, "{}", example.ohm(0, 0));
        assert_eq!(ohm_of_bme688(0, 0).round(), 102_400_000.0);
    }

    #[test]
    fn the_heater_is_set_as_the_integer_form_has_it() {
        // (784 - 30) · ((154009 - 24754) · 320 · 5 / 100 + 3276800) / 10 / 2, and so on, for the same chip at 25 °C.
        assert_eq!(example().heater(320.0, 25.0), 106);
        assert_eq!(Calibration { heat_value: -128.0, ..example() }.heater(1e9, 25.0), 255);
    }

    #[test]
    fn no_range_of_the_gas_divides_by_nothing() {
        for range in 0..=15 {
            for raw in [0, 511, 512, 1023] {
                let (one, other) = (example().ohm(raw, range), ohm_of_bme688(raw, range));
                assert!(one.is_finite() && one > 0.0 && other.is_finite() && other > 0.0, "{range} {raw}");
            }
        }
    }
}
