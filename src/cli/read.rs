//! `homeostat read SENSOR` and `homeostat watch SENSOR`: what a sensor says, from the daemon that reads it or from the device itself.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use tokio::time::{Instant, sleep, sleep_until};

use super::bench::{Bench, Place, Reader, Value, Whose, wait_for};
use super::client::{Client, encoded};
use super::database::Sorry;
use super::page::{Ink, Page};
use super::when::age;
use crate::clock::Clock;
use crate::model::{Sample, Timestamp};
use crate::payload;

/// So often the daemon is asked whether there is something new.
const LOOK: Duration = Duration::from_millis(250);

/// Which sensor, and where.
#[derive(Debug, Args)]
pub struct Read {
    /// Its name
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    sensor: String,
    #[command(flatten)]
    whose: Whose,
}

/// The same, again and again.
#[derive(Debug, Args)]
pub struct Watch {
    #[command(flatten)]
    read: Read,
    /// How often the device is read; a running daemon keeps to its own interval
    #[arg(long, value_name = "SPAN", value_parser = age)]
    every: Option<Duration>,
    /// End after so many readings
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// Reads once, and prints.
pub fn read(Read { sensor, whose }: Read) -> Result<(), Sorry> {
    let mut out = io::stdout();
    let page = Page::of(&out);
    let text = match Place::find(whose)? {
        Place::Daemon(client) => {
            let found: payload::Sensor<'static> = ask(&client, &sensor)?;
            if found.channels.is_empty() {
                let error = format!("{sensor} has not read yet");
                return Err(Sorry::failed(error, "`homeostat status` and the log tell why"));
            }
            let rows = found.channels.iter().map(|(name, reading)| told(name, reading, &page));
            rows.collect::<String>()
        }
        Place::Bench(bench) => {
            let reader = reader(&bench, &sensor)?;
            let values = wait_for(async { reader.read().await.map_err(|error| unread(&sensor, &error)) })?;
            values.iter().map(|value| measured(value, &page)).collect()
        }
    };
    let _ = out.write_all(text.as_bytes());
    Ok(())
}

/// Prints every reading with its time until it is stopped, or until there were so many.
pub fn watch(Watch { read: Read { sensor, whose }, every, count }: Watch) -> Result<(), Sorry> {
    let mut left = count.unwrap_or(u64::MAX);
    match Place::find(whose)? {
        Place::Daemon(client) => wait_for(async {
            let mut seen = 0;
            while left > 0 {
                let found: payload::Sensor<'static> = ask(&client, &sensor)?;
                let newest = found.channels.values().map(|reading| reading.seq).max().unwrap_or_default();
                if newest > seen {
                    let page = Page::of(&io::stdout());
                    let new = found.channels.iter().filter(|(_, reading)| reading.seq > seen);
                    let rows = new.map(|(name, reading)| (reading.time, told(name, reading, &page)));
                    print(rows.collect(), &page)?;
                    (seen, left) = (newest, left - 1);
                }
                if left > 0 {
                    sleep(LOOK).await;
                }
            }
            Ok(())
        }),
        Place::Bench(bench) => {
            let reader = reader(&bench, &sensor)?;
            let every = every.unwrap_or(bench.sensor(&sensor)?.every);
            wait_for(async {
                let clock = Clock::system();
                let mut next: Instant = clock.instant(clock.now());
                while left > 0 {
                    let page = Page::of(&io::stdout());
                    let text = match reader.read().await {
                        Ok(values) => values.iter().map(|value| measured(value, &page)).collect(),
                        // What comes and goes is what one looks for here.
                        Err(error) => format!("{}\n", page.ink(Ink::Alert, &error.to_string())),
                    };
                    print(vec![(clock.wall(), text)], &page)?;
                    (next, left) = (next + every, left - 1);
                    if left > 0 {
                        sleep_until(next).await;
                    }
                }
                Ok(())
            })
        }
    }
}

fn ask(client: &Client, sensor: &str) -> Result<payload::Sensor<'static>, Sorry> {
    Ok(client.get(&format!("sensors/{}", encoded(sensor)))?)
}

fn reader(bench: &Bench, sensor: &str) -> Result<Reader, Sorry> {
    Ok(Reader::new(bench.sensor(sensor)?.clone(), bench.hardware.clone()))
}

fn unread(sensor: &str, error: &impl std::fmt::Display) -> Sorry {
    Sorry::failed(format!("sensor {sensor}: {error}"), "`homeostat drivers` tells how its driver is connected")
}

/// Whoever closed the pipe has seen enough.
fn print(rows: Vec<(Timestamp, String)>, page: &Page) -> Result<(), Sorry> {
    let (mut out, now) = (io::stdout(), Clock::system().wall());
    for (time, row) in rows {
        for line in row.lines() {
            let written = writeln!(out, "{}  {line}", page.time(time, now));
            if written.is_err() {
                std::process::exit(0);
            }
        }
    }
    Ok(())
}

fn told(name: &str, reading: &payload::Reading<'_>, page: &Page) -> String {
    row(name, reading.value, &reading.unit, &reading.quality, reading.reason.as_deref(), page)
}

/// What the device said stands beside what would be published, where filters make a difference.
fn measured((name, unit, raw, sample): &Value, page: &Page) -> String {
    let mut text = row(name, sample.value(), unit, sample.quality(), sample.reason().map(|reason| &**reason), page);
    if matches!(sample, Sample::Good(value) if (value - raw).abs() < 1e-9) {
        return text;
    }
    text.pop();
    let _ = writeln!(text, "  {}", page.ink(Ink::Dim, &format!("(the device says {raw:.4})")));
    text
}

fn row(name: &str, value: Option<f64>, unit: &str, quality: &str, reason: Option<&str>, page: &Page) -> String {
    let value = value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let doubt = if quality == "good" { String::new() } else { page.ink(Ink::Alert, &format!("  {quality}{reason}")) };
    format!("{name:<14}{value:>12} {unit}{doubt}\n")
}
