//! A soil probe at an analog input: `moisture = { dry = 2.8, wet = 1.1 }` makes percent of its volts.

use super::DriverError;
use crate::config::Section;

/// The volts of a soil probe at both ends of its scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moisture {
    /// In air.
    pub dry: f64,
    /// In water.
    pub wet: f64,
}

/// So much of its span outside the calibration a probe may be; soil that is drier than air is a loose wire.
const OUTSIDE: f64 = 0.5;
/// Volts below which an input is at ground. Neither end of a probe's scale may be near it for that to mean anything.
const GROUND: f64 = 0.02;
const ABOVE_GROUND: f64 = 0.1;

impl Moisture {
    /// Reads the key, which may be there or not; `None` if it is wrong. `full` is the most volts that the converter can tell, which
    /// is called its `range` or its `reference`.
    ///
    /// The table is shared with what every channel has: `moisture = { dry = 2.8, wet = 1.1, smooth = "median 5" }`.
    pub fn read(section: &Section<'_>, full: f64, called: &str) -> Option<Option<Self>> {
        let Some(table) = section.shared("moisture") else { return Some(None) };
        let (dry, wet) = (table.required("dry"), table.required("wet"));
        let moisture = Self { dry: dry?, wet: wet? };
        if let Some(hint) = moisture.nonsense(full, called) {
            section.wrong("moisture", "this calibration cannot be", hint);
            return None;
        }
        Some(Some(moisture))
    }

    /// What is wrong with a calibration.
    fn nonsense(self, full: f64, called: &str) -> Option<String> {
        let measurable = 0.0..=full;
        if !measurable.contains(&self.dry) || !measurable.contains(&self.wet) {
            return Some(format!("both `dry` and `wet` lie within 0 to {full} V, the {called}"));
        }
        let near = (self.dry - self.wet).abs() < 0.01 * full;
        near.then(|| "`dry` and `wet` are the volts in air and in water, and must differ".to_owned())
    }

    /// The moisture at an input of a device.
    pub fn of_input(self, volts: f64, device: &str, input: u8) -> Result<f64, DriverError> {
        if volts < GROUND && self.dry.min(self.wet) > ABOVE_GROUND {
            let what = format!("input {input} is at 0 V; is the probe, or the chip, connected?");
            return Err(DriverError::no_value(device, what));
        }
        self.percent(volts).ok_or_else(|| {
            let what = format!(
                "input {input} is at {volts:.3} V, far outside the calibration of its probe; is the probe connected?"
            );
            DriverError::no_value(device, what)
        })
    }

    /// The moisture between dry (0 %) and wet (100 %), at the ends of which it stays; `None` far outside.
    fn percent(self, volts: f64) -> Option<f64> {
        let part = (volts - self.dry) / (self.wet - self.dry);
        (-OUTSIDE..=1.0 + OUTSIDE).contains(&part).then(|| 100.0 * part.clamp(0.0, 1.0))
    }

    /// The volts that a probe in soil of this moisture gives.
    pub fn volts(self, percent: f64) -> f64 {
        self.dry + (self.wet - self.dry) * percent / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moisture_stays_within_its_scale_and_is_none_far_outside() {
        let cases = [
            (2.8, Some(0.0)),
            (1.1, Some(100.0)),
            (1.95, Some(50.0)),
            (3.0, Some(0.0)),
            (0.9, Some(100.0)),
            (0.0, None),
            (4.0, None),
        ];
        for (volts, percent) in cases {
            let got = Moisture { dry: 2.8, wet: 1.1 }.percent(volts);
            assert_eq!(got.map(|got| (got * 1e6).round() / 1e6), percent, "{volts} V");
        }
    }

    #[test]
    fn zero_volts_are_no_moisture_unless_the_probe_can_give_them() {
        let of =
            |dry, wet, volts| Moisture { dry, wet }.of_input(volts, "ADS1115", 2).map_err(|error| error.to_string());
        let error = of(3.0, 1.0, 0.0).unwrap_err();
        assert!(error.contains("input 2 is at 0 V; is the probe, or the chip, connected?"), "{error}");
        assert!(of(3.0, 1.0, 0.019).is_err());
        assert_eq!(of(3.0, 1.0, 0.021), Ok(100.0));
        assert_eq!(of(0.0, 2.0, 0.0), Ok(0.0));
    }
}
