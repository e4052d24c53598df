//! The functions that a formula may use, in one table.
//!
//! What is in the air is by the Magnus formula over water with the coefficients of Sonntag (1990), as the World Meteorological
//! Organization recommends it for -45 to 60 °C (WMO-No. 8, Guide to Instruments and Methods of Observation, volume I, chapter 4,
//! annex 4.B): e_w(t) = 6.112 hPa · exp(17.62 t / (243.12 °C + t)). What pressure changes of that, 0.5 %, is left out.

use std::fmt;
use std::ops::RangeInclusive;

use crate::model::Quantity;

/// What a function can be given.
pub(super) enum Takes {
    /// One of each of these.
    These(&'static [Quantity]),
    /// So many of one kind.
    Alike(RangeInclusive<usize>),
}

/// What comes out of it.
#[derive(Clone, Copy)]
pub(super) enum Gives {
    This(Quantity),
    /// The same as went in.
    Alike,
    /// The same, unless it has an arbitrary zero: 2 °C between two rooms is no temperature.
    Difference,
}

/// A row of the table.
pub(super) struct Function {
    pub name: &'static str,
    /// As a person writes it.
    pub usage: &'static str,
    pub takes: Takes,
    pub gives: Gives,
    /// With as many numbers as it takes, each finite; the error is why there is no result.
    pub compute: fn(&[f64]) -> Result<f64, String>,
}

const AIR: Takes = Takes::These(&[Quantity::Temperature, Quantity::Humidity]);

/// Nobody writes more.
const MOST: usize = 16;

#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "abs", usage: "abs(x)", takes: Takes::Alike(1..=1), gives: Gives::Alike, compute: abs },
    Function { name: "absolute_humidity", usage: "absolute_humidity(temperature, humidity)", takes: AIR, gives: Gives::This(Quantity::AbsoluteHumidity), compute: absolute_humidity },
    Function { name: "average", usage: "average(a, b, …)", takes: Takes::Alike(2..=MOST), gives: Gives::Alike, compute: average },
    Function { name: "clamp", usage: "clamp(x, lowest, highest)", takes: Takes::Alike(3..=3), gives: Gives::Alike, compute: clamp },
    Function { name: "dew_point", usage: "dew_point(temperature, humidity)", takes: AIR, gives: Gives::This(Quantity::Temperature), compute: dew_point },
    Function { name: "difference", usage: "difference(a, b)", takes: Takes::Alike(2..=2), gives: Gives::Difference, compute: difference },
    Function { name: "max", usage: "max(a, b, …)", takes: Takes::Alike(2..=MOST), gives: Gives::Alike, compute: max },
    Function { name: "min", usage: "min(a, b, …)", takes: Takes::Alike(2..=MOST), gives: Gives::Alike, compute: min },
    Function { name: "vpd", usage: "vpd(temperature, humidity)", takes: AIR, gives: Gives::This(Quantity::VapourPressureDeficit), compute: vpd },
];

impl Function {
    pub fn named(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|function| function.name == name)
    }

    /// How many arguments it takes.
    pub fn arguments(&self) -> RangeInclusive<usize> {
        match &self.takes {
            Takes::These(quantities) => quantities.len()..=quantities.len(),
            Takes::Alike(number) => number.clone(),
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// hPa of water vapour in saturated air, over water.
fn saturation(celsius: f64) -> f64 {
    6.112 * (17.62 * celsius / (243.12 + celsius)).exp()
}

/// Where the formula of the saturation holds, in °C.
const HOLDS: RangeInclusive<f64> = -45.0..=60.0;

/// A sensor in wet air may say a little more than 100 %, and in dry air less than 0 %. What is further off is a mistake.
const SPARE: f64 = 5.0;

/// The temperature in °C and the relative humidity as a part of 1.
fn air(values: &[f64]) -> Result<(f64, f64), String> {
    let [celsius, percent] = *values else { return Err("it needs a temperature and a humidity".to_owned()) };
    if !HOLDS.contains(&celsius) {
        return Err(format!("{celsius} °C is outside of the {} to {} °C of the formula", HOLDS.start(), HOLDS.end()));
    }
    if !(-SPARE..=100.0 + SPARE).contains(&percent) {
        return Err(format!("{percent} % is no relative humidity"));
    }
    Ok((celsius, percent.clamp(0.0, 100.0) / 100.0))
}

/// kPa by which the vapour falls short of saturation.
fn vpd(values: &[f64]) -> Result<f64, String> {
    let (celsius, part) = air(values)?;
    Ok(saturation(celsius) * (1.0 - part) / 10.0)
}

/// °C at which the vapour would saturate the air: the formula of the saturation, solved for t.
fn dew_point(values: &[f64]) -> Result<f64, String> {
    let (celsius, part) = air(values)?;
    if part == 0.0 {
        return Err("air without water has no dew point".to_owned());
    }
    let gamma = part.ln() + 17.62 * celsius / (243.12 + celsius);
    Ok(243.12 * gamma / (17.62 - gamma))
}

/// g/m³ of vapour by the gas law, e / (R_w T), with R_w = 461.5 J/(kg K).
fn absolute_humidity(values: &[f64]) -> Result<f64, String> {
    let (celsius, part) = air(values)?;
    let (pascal, kelvin) = (saturation(celsius) * part * 100.0, celsius + 273.15);
    Ok(1000.0 * pascal / (461.5 * kelvin))
}

fn abs(values: &[f64]) -> Result<f64, String> {
    values.first().map(|value| value.abs()).ok_or_else(missing)
}

fn average(values: &[f64]) -> Result<f64, String> {
    // Divided first, so that the sum cannot overflow.
    let number = values.len() as f64;
    if values.is_empty() { Err(missing()) } else { Ok(values.iter().map(|value| value / number).sum()) }
}

fn min(values: &[f64]) -> Result<f64, String> {
    values.iter().copied().reduce(f64::min).ok_or_else(missing)
}

fn max(values: &[f64]) -> Result<f64, String> {
    values.iter().copied().reduce(f64::max).ok_or_else(missing)
}

fn difference(values: &[f64]) -> Result<f64, String> {
    let [one, other] = *values else { return Err(missing()) };
    Ok(one - other)
}

fn clamp(values: &[f64]) -> Result<f64, String> {
    let [value, lowest, highest] = *values else { return Err(missing()) };
    if lowest > highest {
        return Err(format!("clamp is to keep it above {lowest} and below {highest}"));
    }
    Ok(value.clamp(lowest, highest))
}

/// The number of arguments was checked when the formula was read.
fn missing() -> String {
    "an argument is missing".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, values: &[f64]) -> Result<f64, String> {
        (Function::named(name).unwrap().compute)(values)
    }

    /// The saturation over water by Goff and Gratch, as the Smithsonian tables have it, from which the formula differs by less than
    /// 0.6 %; and what follows from it.
    #[test]
    fn what_is_in_the_air_agrees_with_the_tables() {
        for (celsius, hectopascal) in [(-20.0, 1.2540), (0.0, 6.1078), (10.0, 12.272), (20.0, 23.373), (30.0, 42.430)] {
            assert!((saturation(celsius) / hectopascal - 1.0).abs() < 6e-3, "{celsius}: {}", saturation(celsius));
        }
        let cases = [
            ("vpd", [25.0, 50.0], 1.584),
            ("vpd", [20.0, 102.0], 0.0),
            ("dew_point", [25.0, 50.0], 13.86),
            ("dew_point", [20.0, 100.0], 20.0),
            ("absolute_humidity", [20.0, 100.0], 17.29),
            ("absolute_humidity", [30.0, 50.0], 15.17),
        ];
        for (name, values, expected) in cases {
            let found = of(name, &values).unwrap();
            assert!((found - expected).abs() <= 6e-3 * expected, "{name} of {values:?}: {found}");
        }
    }

    #[test]
    fn what_cannot_be_has_no_result() {
        for (name, values) in [
            ("vpd", &[61.0, 50.0][..]),
            ("vpd", &[20.0, 120.0]),
            ("dew_point", &[20.0, 0.0]),
            ("absolute_humidity", &[-273.15, 10.0]),
            ("clamp", &[1.0, 3.0, 2.0]),
        ] {
            assert!(of(name, values).is_err(), "{name} of {values:?}: {:?}", of(name, values));
        }
    }

    #[test]
    fn those_of_numbers_are_what_they_say() {
        for (name, values, expected) in [
            ("abs", &[-3.0][..], 3.0),
            ("average", &[1.0, 2.0, 6.0], 3.0),
            ("average", &[f64::MAX, f64::MAX], f64::MAX),
            ("min", &[2.0, 1.0, 3.0], 1.0),
            ("max", &[2.0, 1.0, 3.0], 3.0),
            ("difference", &[1.0, 3.0], -2.0),
            ("clamp", &[9.0, 0.0, 5.0], 5.0),
            ("clamp", &[-9.0, 0.0, 5.0], 0.0),
        ] {
            assert_eq!(of(name, values), Ok(expected), "{name} of {values:?}");
        }
    }
}
