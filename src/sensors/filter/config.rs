//! The keys of a channel: `temperature = { offset = -0.4, valid = [-10, 60], smooth = "median 5" }`.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::calibration::{Calibration, Points};
use super::plausible::Rate;
use super::smoothing::Smoothing;
use super::{Implausible, Options};
use crate::config::{Section, Value, written};

const STUCK_AFTER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);

/// The longest window of a median or an average.
const LONGEST: usize = 99;

/// The slowest exponential.
const SLOWEST: Duration = Duration::from_secs(24 * 3600);

impl Options {
    /// Reads the table of a channel, which its driver may share. Reports what is wrong and leaves it out.
    pub fn read(table: &Section<'_>, every: Option<Duration>) -> Self {
        let what = table.what();
        let smoothing = table.optional("smooth");
        let valid = table.optional::<Span>("valid").map(|span| span.0);
        let max_rate = table.optional("max_rate");
        let stuck_after = table.duration("stuck_after", STUCK_AFTER);
        if let (Some(after), Some(every)) = (stuck_after, every)
            && after < every * 2
        {
            let message = format!("`stuck_after` of {what} is shorter than two intervals of its sensor");
            let hint = format!("there is a reading every {}: give it at least {}", written(every), written(every * 2));
            table.wrong("stuck_after", message, hint);
        }
        let implausible = table.optional("implausible");
        if implausible.is_some() && !table.has("max_rate") && !table.has("stuck_after") {
            let message = format!("`implausible` of {what} says what becomes of values that nothing finds");
            table.wrong("implausible", message, "add `max_rate = \"2 per 10s\"` or `stuck_after = \"30m\"`");
        }
        let (calibration, implausible) = (calibration(table), implausible.unwrap_or_default());
        Self { calibration, valid, max_rate, stuck_after, implausible, smoothing }
    }
}

fn calibration(table: &Section<'_>) -> Calibration {
    let (scale, offset) = (table.or("scale", 1.0), table.or("offset", 0.0));
    if scale == 0.0 {
        let message = format!("`scale` of {} makes every value the same", table.what());
        table.wrong("scale", message, "a scale of 1 changes nothing");
    }
    let Some(points) = table.optional::<Points>("points") else { return Calibration::Line { scale, offset } };
    if let Some(key) = ["scale", "offset"].into_iter().find(|key| table.has(key)) {
        let message = format!("{} is calibrated with `points` and with `{key}`", table.what());
        table.wrong(key, message, "leave one of them out: points can say all that a scale and an offset say");
    }
    Calibration::Points(points)
}

/// `[-10, 60]`
struct Span(RangeInclusive<f64>);

impl Value for Span {
    const EXPECTED: &'static str = "a range";
    const EXAMPLE: &'static str = "[-10, 60]";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let (lowest, highest) = pair(value).ok_or("write the lowest and the highest value: [-10, 60]")?;
        if lowest < highest {
            return Ok(Self(lowest..=highest));
        }
        Err(format!("it is upside down; write the lowest value first: [{highest}, {lowest}]"))
    }
}

impl Value for Points {
    const EXPECTED: &'static str = "a calibration";
    const EXAMPLE: &'static str = "[[0.3, 0.0], [99.1, 100.0]]";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let points: Option<Vec<_>> =
            value.as_array().and_then(|list| list.iter().map(|point| pair(point.get_ref())).collect());
        let points = points.ok_or("write pairs of the raw and the right value: [[0.3, 0.0], [99.1, 100.0]]")?;
        Points::new(points)
    }
}

/// Two numbers in a list.
fn pair(value: &DeValue<'_>) -> Option<(f64, f64)> {
    let list = value.as_array()?;
    let number = |index: usize| f64::read(list.get(index)?.get_ref()).ok();
    (list.len() == 2).then_some(())?;
    Some((number(0)?, number(1)?))
}

impl Value for Rate {
    const EXPECTED: &'static str = "a rate of change";
    const EXAMPLE: &'static str = "\"2 per 10s\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        const HINT: &str = "write a change in the channel's unit and the time that it takes: \"2 per 10s\"";
        let (change, per) = value.as_str().and_then(|text| text.split_once("per")).ok_or(HINT)?;
        let change = change.trim().parse::<f64>().ok().filter(|change| change.is_finite() && *change > 0.0);
        let per = duration(per).filter(|per| !per.is_zero());
        Ok(Self { change: change.ok_or(HINT)?, per: per.ok_or(HINT)? })
    }
}

impl Value for Smoothing {
    const EXPECTED: &'static str = "a smoothing";
    const EXAMPLE: &'static str = "\"median 5\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        const HINT: &str = "write \"median 5\", \"average 10\" or \"exponential 30s\"";
        let (how, what) = value.as_str().and_then(|text| text.trim().split_once(' ')).ok_or(HINT)?;
        let number = what.trim().parse::<usize>();
        match (how, number) {
            ("median", Ok(number)) if number % 2 == 1 && (3..=LONGEST).contains(&number) => Ok(Self::Median(number)),
            ("median", _) => Err(format!("a median is of an odd number of values, from 3 to {LONGEST}: \"median 5\"")),
            ("average", Ok(number)) if (2..=LONGEST).contains(&number) => Ok(Self::Average(number)),
            ("average", _) => Err(format!("an average is of 2 to {LONGEST} values: \"average 10\"")),
            ("exponential", _) => {
                let constant = duration(what).filter(|constant| !constant.is_zero() && *constant <= SLOWEST);
                constant.map(Self::Exponential).ok_or_else(|| {
                    format!("an exponential has a time constant of at most {}: \"exponential 30s\"", written(SLOWEST))
                })
            }
            _ => Err(HINT.into()),
        }
    }
}

impl Value for Implausible {
    const EXPECTED: &'static str = "\"uncertain\" or \"bad\"";
    const EXAMPLE: &'static str = "\"uncertain\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("uncertain") => Ok(Self::Uncertain),
            Some("bad") => Ok(Self::Bad),
            _ => Err("\"uncertain\" values are used with care, \"bad\" ones are not used".into()),
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    Duration::read(&DeValue::String(text.trim().into())).ok()
}
