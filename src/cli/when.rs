//! Moments and ages as people write them: `2026-11-21T08:30:00Z`, `2026-11-21 08:30`, `2026-11-21`, `now`, `7d`.

use std::time::Duration;

use clap::Args;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::database::Sorry;
use crate::model::Timestamp;
use crate::store;

/// The range of time that is meant.
#[derive(Debug, Args)]
pub struct Between {
    /// From this moment on: "2026-11-21T08:30:00Z", "2026-11-21 08:30", "2026-11-21", or an age: "12h", "7d"
    #[arg(long, value_name = "TIME", value_parser = when)]
    from: Option<When>,
    /// And before this one
    #[arg(long, value_name = "TIME", value_parser = when)]
    to: Option<When>,
}

impl Between {
    /// Both moments, as far as they are named.
    ///
    /// # Errors
    /// There is nothing between them.
    pub fn seen_at(&self, now: Timestamp) -> Result<(Option<Timestamp>, Option<Timestamp>), Sorry> {
        let [from, to] = [self.from, self.to].map(|when| when.map(|when| when.seen_at(now)));
        match (from, to) {
            (Some(from), Some(to)) if from >= to => {
                Err(Sorry::usage(format!("--from ({from}) is not before --to ({to})"), "swap them"))
            }
            _ => Ok((from, to)),
        }
    }
}

/// A moment, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// That moment.
    At(Timestamp),
    /// So long before now.
    Ago(Duration),
}

impl When {
    /// The moment.
    fn seen_at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(age) => now - age,
        }
    }
}

/// A moment; what says no zone is of the machine's own.
///
/// # Errors
/// What to write instead.
fn when(text: &str) -> Result<When, String> {
    in_zone(text, &TimeZone::system())
}

/// A length of time that is not zero.
///
/// # Errors
/// What to write instead.
pub fn age(text: &str) -> Result<Duration, String> {
    let age = store::age(text.trim()).filter(|age| !age.is_zero());
    age.ok_or_else(|| "write a number and a unit: \"30m\", \"24h\", \"7d\", \"4w\" or \"1y\"".to_owned())
}

fn in_zone(text: &str, zone: &TimeZone) -> Result<When, String> {
    let text = text.trim();
    if text == "now" {
        return Ok(When::Ago(Duration::ZERO));
    }
    if let Some(age) = store::age(text) {
        return Ok(When::Ago(age));
    }
    let time = text.parse::<jiff::Timestamp>().or_else(|_| {
        // A date is its midnight.
        text.parse::<DateTime>()?.to_zoned(zone.clone()).map(|zoned| zoned.timestamp())
    });
    let time = time.map_err(|_| {
        "write a moment (\"2026-11-21T08:30:00Z\", \"2026-11-21 08:30\"), a date (\"2026-11-21\") or an age (\"12h\", \"7d\")"
    })?;
    Ok(When::At(Timestamp::from_millis(time.as_millisecond())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_name_a_moment() {
        let east = TimeZone::fixed(jiff::tz::offset(1));
        let at = |text: &str| match in_zone(text, &east) {
            Ok(When::At(time)) => time.to_string(),
            Ok(When::Ago(age)) => format!("{} s", age.as_secs()),
            Err(hint) => hint[..5].to_owned(),
        };
        let cases = [
            ("2026-11-21T08:30:00.250Z", "2026-11-21T08:30:00.250Z"),
            ("2026-11-21T08:30:00+02:00", "2026-11-21T06:30:00.000Z"),
            (" 2026-11-21 08:30 ", "2026-11-21T07:30:00.000Z"),
            ("2026-11-21T08:30:00", "2026-11-21T07:30:00.000Z"),
            ("2026-11-21", "2026-11-20T23:00:00.000Z"),
            ("now", "0 s"),
            ("12h", "43200 s"),
            ("1h 30m", "5400 s"),
            ("7d", "604800 s"),
            ("2 w", "1209600 s"),
        ];
        for (text, expected) in cases {
            assert_eq!(at(text), expected, "{text}");
        }
        for text in ["", "soon", "7", "-7d", "2026-13-01", "99999999999y", "yesterday", "2026-11-21T25:00"] {
            assert_eq!(at(text), "write", "{text}");
        }
        assert_eq!((age("0s").is_err(), age("1d")), (true, Ok(Duration::from_secs(86_400))));
        let now = Timestamp::from_millis(100_000);
        assert_eq!(When::Ago(Duration::from_secs(60)).seen_at(now), Timestamp::from_millis(40_000));
    }
}
