//! `homeostat query`: a quick look at how things went, one line for each channel, or JSON for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::database::{Channels, Database, Sorry, Which};
use super::page::{Ink, Page, ago};
use super::spark::Spark;
use super::when::{Between, age};
use crate::clock::Clock;
use crate::config::written;
use crate::model::Timestamp;
use crate::store::query::{self, Range, Resolution, Row};

/// What is looked at without a word on it.
const LAST: Duration = Duration::from_secs(24 * 3600);

/// Up to here every reading is looked at; a Pi reads some hundred thousand a second.
const RAW: i64 = 2 * HOUR;
/// Up to here the minutes: more of them than a terminal has columns.
const MINUTES: i64 = 5 * 24 * HOUR;
const HOUR: i64 = 3_600_000;

/// Where there is no terminal.
const WIDTH: usize = 60;
/// Fewer columns show nothing.
const NARROWEST: usize = 10;

/// What is to be looked at.
#[derive(Debug, Args)]
pub struct Query {
    #[command(flatten)]
    channels: Channels,
    /// So far back: "30m", "24h", "7d" [default: 24h]
    #[arg(long, value_name = "AGE", value_parser = age, conflicts_with = "from")]
    last: Option<Duration>,
    #[command(flatten)]
    between: Between,
    /// As JSON, one object for each channel
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// Reads, and prints.
pub fn query(Query { channels, last, between, json, which }: Query) -> Result<(), Sorry> {
    let database = Database::find(which)?;
    // After the flush, or what was read meanwhile would lie ahead.
    let now = Clock::system().wall();
    let (from, to) = between.seen_at(now)?;
    let is_now = to.is_none();
    let to = to.unwrap_or(now);
    let last = if from.is_none() { last.or(Some(LAST)) } else { None };
    let from = from.unwrap_or_else(|| to - last.unwrap_or_default());
    if from >= to {
        return Err(Sorry::usage(
            format!("--from ({from}) is still to come"),
            "give a moment before now, or an age: \"12h\"",
        ));
    }
    // A reading of this very millisecond is one, too.
    let end = Timestamp::from_millis(to.as_millis().saturating_add(i64::from(is_now)));
    let range = Range { channels: database.choose(channels)?, from: Some(from), to: Some(end) };
    let look = Look { from, to, now, is_now, last };
    let seen = look.at(&database, &range)?;
    let mut out = io::stdout();
    let text = if json {
        format!("{}\n", look.json(&seen))
    } else {
        let width = if out.is_terminal() {
            terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
        } else {
            None
        };
        look.render(&seen, width, &Page::of(&out))
    };
    let _ = out.write_all(text.as_bytes());
    Ok(())
}

/// When is looked at, and from when.
struct Look {
    from: Timestamp,
    to: Timestamp,
    now: Timestamp,
    /// Whether `to` is.
    is_now: bool,
    /// How far back from `to`, if that was said.
    last: Option<Duration>,
}

/// By channel and unit, for a channel may have had another one once.
type Seen = BTreeMap<(Arc<str>, Arc<str>), Course>;

/// How a channel went.
struct Course {
    spark: Spark,
    min: f64,
    max: f64,
    sum: f64,
    count: u64,
    last: Option<Row>,
}

impl Course {
    fn add(&mut self, row: Row) {
        if let (Some(min), Some(mean), Some(max)) = (row.min, row.value, row.max) {
            self.min = self.min.min(min);
            self.max = self.max.max(max);
            self.sum += mean * row.count as f64;
            self.count += row.count;
            self.spark.add(row.time.as_millis(), mean, row.count);
        }
        self.newest(row);
    }

    fn newest(&mut self, row: Row) {
        if self.last.as_ref().is_none_or(|last| last.time <= row.time) {
            self.last = Some(row);
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

impl Look {
    fn at(&self, database: &Database, range: &Range) -> Result<Seen, Sorry> {
        let mut seen = Seen::new();
        for channel in query::channels(&database.file)?.into_iter().filter(|channel| range.names(&channel.name)) {
            seen.insert((channel.name.into(), channel.unit.into()), self.course());
        }
        let length = self.to.as_millis().saturating_sub(self.from.as_millis());
        let finest = if length <= RAW {
            Resolution::Raw
        } else if length <= MINUTES {
            Resolution::Minutes
        } else {
            Resolution::Hours
        };
        // What is too old to be there so finely is there more coarsely.
        for resolution in [Resolution::Raw, Resolution::Minutes, Resolution::Hours] {
            if resolution < finest {
                continue;
            }
            let mut is_there = false;
            query::overview(&database.file, range, resolution, |row| {
                is_there = true;
                self.course_of(&mut seen, &row).add(row);
            })?;
            if is_there {
                break;
            }
        }
        for row in database.left(range) {
            self.course_of(&mut seen, &row).add(row);
        }
        // Roll-ups know no last reading, and a channel may have been silent for longer than is looked at.
        if self.is_now {
            for row in query::newest(&database.file, &range.channels)? {
                self.course_of(&mut seen, &row).newest(row);
            }
        }
        Ok(seen)
    }

    fn course(&self) -> Course {
        let spark = Spark::new(self.from.as_millis(), self.to.as_millis().saturating_add(1));
        Course { spark, min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0, count: 0, last: None }
    }

    fn course_of<'s>(&self, seen: &'s mut Seen, row: &Row) -> &'s mut Course {
        seen.entry((row.channel.clone(), row.unit.clone())).or_insert_with(|| self.course())
    }

    fn json(&self, seen: &Seen) -> Value {
        seen.iter()
            .map(|((channel, unit), course)| {
                let some = |value: f64| Some(value).filter(|_| course.count > 0);
                let last = course.last.as_ref().map(|row| {
                    json!({ "time": row.time.to_string(), "value": row.value, "quality": row.quality, "reason": row.reason.as_deref() })
                });
                json!({
                    "channel": **channel, "unit": **unit, "from": self.from.to_string(), "to": self.to.to_string(),
                    "count": course.count, "min": some(course.min), "mean": some(course.mean()), "max": some(course.max),
                    "last": last,
                })
            })
            .collect()
    }

    /// One line for each; `width` is the terminal's, if there is one.
    fn render(&self, seen: &Seen, width: Option<usize>, page: &Page) -> String {
        if seen.is_empty() {
            return "no reading was stored yet\n".to_owned();
        }
        let number =
            |course: &Course, value: f64| if course.count > 0 { format!("{value:.2}") } else { "-".to_owned() };
        let units = seen.keys().map(|(_, unit)| unit.chars().count()).max().unwrap_or_default();
        let rows: Vec<[String; 7]> = seen
            .iter()
            .map(|((channel, unit), course)| {
                let (last, age) = match &course.last {
                    Some(row) => (
                        row.value.map_or_else(|| row.quality.to_owned(), |value| format!("{value:.2}")),
                        ago(row.time, self.now),
                    ),
                    None => ("-".to_owned(), "long ago".to_owned()),
                };
                let numbers = [course.min, course.mean(), course.max].map(|value| number(course, value));
                let [min, mean, max] = numbers;
                [channel.to_string(), min, mean, max, format!("{last} {unit:<units$}"), age, course.count.to_string()]
            })
            .collect();
        let heading = ["", "min", "mean", "max", "last", "", "readings"].map(str::to_owned);
        let wide = |column: usize| {
            let cells = rows.iter().chain([&heading]).map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        };
        let wide: Vec<usize> = (0..heading.len()).map(wide).collect();
        let around: usize = wide.iter().sum::<usize>() + 2 * heading.len();
        // A terminal's last column makes some of them turn the line over.
        let columns = width.map_or(WIDTH, |width| width.saturating_sub(around + 1)).max(NARROWEST);
        let line = |cells: &[String; 7], spark: &str| {
            let mut line = format!("{:<first$}  {spark:<columns$}", cells[0], first = wide[0]);
            for (cell, wide) in cells.iter().zip(&wide).skip(1) {
                // Writing to a String cannot fail.
                let _ = write!(line, "  {cell:>wide$}");
            }
            line.truncate(line.trim_end().len());
            line
        };
        let mut text = page.ink(Ink::Dim, &line(&heading, &self.span(columns, page)));
        text.push('\n');
        for (cells, course) in rows.iter().zip(seen.values()) {
            text.push_str(&line(cells, &course.spark.line(columns)));
            text.push('\n');
        }
        text
    }

    /// What the columns stand for, if there is room for it.
    fn span(&self, columns: usize, page: &Page) -> String {
        let time = |time| page.time(time, self.now);
        let text = match (self.last, self.is_now) {
            (Some(last), true) => format!("last {}", written(last)),
            (_, true) => format!("since {}", time(self.from)),
            (_, false) => format!("{} to {}", time(self.from), time(self.to)),
        };
        if text.chars().count() <= columns { text } else { String::new() }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn a_channel_is_a_line() {
        let now = Timestamp::from_millis(1_795_250_000_250);
        let last = Duration::from_secs(3600);
        let look = Look { from: now - last, to: now, now, is_now: true, last: Some(last) };
        let mut seen = Seen::new();
        let mut add = |channel: &str, unit: &str, age: u64, value: Option<f64>| {
            let row = Row {
                time: now - Duration::from_secs(age),
                channel: channel.into(),
                unit: unit.into(),
                value,
                min: value,
                max: value,
                count: 1,
                quality: if value.is_some() { "good" } else { "bad" },
                reason: None,
                seq: Some(1),
            };
            look.course_of(&mut seen, &row).add(row);
        };
        for minute in (0..60).filter(|minute| !(30..45).contains(minute)).rev() {
            add("air.temperature", "°C", minute * 60 + 2, Some(20.0 - minute as f64 / 10.0));
        }
        add("soil.moisture", "%", 90, None);
        let page = Page { colours: false, zone: TimeZone::UTC };
        let text = look.render(&seen, Some(80), &page);
        let expected = concat!(
            "                 last 1h       min   mean    max      last             readings\n",
            "air.temperature  ▁▁▂  ▅▆▇██  14.10  17.30  20.00  20.00 °C    2 s ago        45\n",
            "soil.moisture                    -      -      -    bad %   1 min ago         0\n",
        );
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| line.chars().count() < 80));
        assert_eq!(look.render(&seen, None, &page).lines().next().unwrap().find("min"), Some(17 + 60 + 4));
        let json = look.json(&seen);
        assert_eq!(
            (&json[0]["channel"], &json[0]["count"], &json[0]["last"]["value"]),
            (&"air.temperature".into(), &45.into(), &20.0.into())
        );
        assert_eq!((&json[1]["min"], &json[1]["last"]["quality"]), (&Value::Null, &"bad".into()));
        assert_eq!(look.render(&Seen::new(), None, &page), "no reading was stored yet\n");
    }
}
