//! The log: on a terminal for a person, in the journal for systemd.
//!
//! A filter is a list of levels, as in `info,homeostat::sensors=debug`: one for everything, and more for single modules.

mod writer;

use std::fmt;
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use tracing::{Event, Level, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use self::writer::LogWriter;
use crate::clock::Clock;
use crate::model::Timestamp;
use crate::panics;

/// What holds in every filter that does not name these itself: the broker's own news would drown ours.
const QUIET: [(&str, LevelFilter); 3] =
    [("rumqttd", LevelFilter::OFF), ("rumqttc", LevelFilter::WARN), ("actix_server", LevelFilter::WARN)];

/// Which events are logged. Parsed from `info,homeostat::sensors=debug`; by default, what a person wants to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Targets);

/// A part of a filter makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a log level: write error, warn, info, debug, trace or off, or module=level")]
pub struct FilterError(String);

/// The log cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TelemetryError {
    /// The filter in the environment makes no sense.
    #[error("in the environment's RUST_LOG, {0}")]
    RustLog(FilterError),
    /// The thread that writes could not begin.
    #[error("cannot begin to log: {0}")]
    Thread(String),
    /// Someone else has set up the log of this process already.
    #[error("the log was set up twice in one process")]
    Twice,
}

impl Default for Filter {
    fn default() -> Self {
        Self(Targets::new().with_default(LevelFilter::INFO).with_targets(QUIET))
    }
}

/// Own parsing, because `Targets` takes a misspelt level for the name of a module and then shows nothing at all.
impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let Self(mut targets) = Self::default();
        for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            let (target, level) = match directive.split_once('=') {
                Some((target, level)) => (Some(target.trim()), level.trim()),
                None => (None, directive),
            };
            let level: LevelFilter = level.parse().map_err(|_| FilterError(directive.to_owned()))?;
            targets = match target {
                Some(target) => targets.with_target(target, level),
                None => targets.with_default(level),
            };
        }
        Ok(Self(targets))
    }
}

/// The log of this process.
pub struct Log(Option<LogWriter>);

impl Log {
    /// Waits until what was logged is written, for a third of a second at most. To be called before the process exits.
    pub fn flush(&self) {
        if let Some(writer) = &self.0 {
            writer.flush();
        }
    }
}

/// Begins logging with `filter`; the environment's `RUST_LOG` takes its place. Goes to the journal if that is where standard
/// error leads, and to standard error otherwise.
pub fn init(filter: Filter) -> Result<Log, TelemetryError> {
    let Filter(targets) = match std::env::var("RUST_LOG") {
        Ok(text) if !text.trim().is_empty() => text.parse().map_err(TelemetryError::RustLog)?,
        _ => filter,
    };
    let registry = tracing_subscriber::registry();
    if let Some(journal) = journal() {
        registry.with(journal.with_filter(targets)).try_init().map_err(|_| TelemetryError::Twice)?;
        return Ok(Log(None));
    }
    let writer = LogWriter::begin(io::stderr()).map_err(|error| TelemetryError::Thread(error.to_string()))?;
    let person = tracing_subscriber::fmt::layer()
        .event_format(Plain { clock: Clock::system(), zone: TimeZone::system() })
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty()))
        .with_writer(writer.clone());
    registry.with(person.with_filter(targets)).try_init().map_err(|_| TelemetryError::Twice)?;
    Ok(Log(Some(writer)))
}

/// Has panics logged like everything else, instead of written to standard error by Rust itself. The supervisor then says
/// what it does about them.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panics::text(panic.payload());
        match panic.location() {
            Some(place) => tracing::error!("panicked at {place}: {text}"),
            None => tracing::error!("panicked: {text}"),
        }
    }));
}

/// The journal, if standard error leads there: systemd says so in `JOURNAL_STREAM`, which a child of ours with another
/// standard error inherits too, hence the comparison (systemd.exec(5)).
fn journal() -> Option<tracing_journald::Layer> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let stderr = std::fs::metadata("/proc/self/fd/2").ok()?;
    if !leads_to(&stream, stderr.dev(), stderr.ino()) {
        return None;
    }
    let levels = PriorityMappings { info: Priority::Informational, debug: Priority::Debug, ..PriorityMappings::new() };
    Some(tracing_journald::layer().ok()?.with_priority_mappings(levels))
}

fn leads_to(stream: &str, device: u64, inode: u64) -> bool {
    let named = stream.split_once(':').and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    named == Some((device, inode))
}

/// One line for a person: the time of day, the level unless it is the usual one, the sentence, the fields.
struct Plain {
    clock: Clock,
    zone: TimeZone,
}

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (dim, plain) = if writer.has_ansi_escapes() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        write!(writer, "{dim}{}{plain} ", time_of_day(self.clock.wall(), &self.zone))?;
        let level = *event.metadata().level();
        if level != Level::INFO {
            let colour = match level {
                _ if !writer.has_ansi_escapes() => "",
                Level::ERROR => "\x1b[1;31m",
                Level::WARN => "\x1b[33m",
                _ => "\x1b[2m",
            };
            write!(writer, "{colour}{level}{plain} ")?;
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

fn time_of_day(at: Timestamp, zone: &TimeZone) -> String {
    match jiff::Timestamp::from_millisecond(at.as_millis()) {
        Ok(time) => time.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string(),
        Err(_) => "--:--:--".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_filter_is_a_level_and_more_for_single_modules() {
        let shows =
            |filter: &str, target: &str, level: Level| filter.parse::<Filter>().unwrap().0.would_enable(target, &level);
        let cases = [
            ("", "homeostat", Level::INFO, true),
            ("", "homeostat", Level::DEBUG, false),
            ("info", "rumqttd::server", Level::INFO, false),
            ("debug", "rumqttd::server", Level::ERROR, false),
            ("debug", "rumqttd::server", Level::INFO, false),
            ("debug,rumqttd=debug", "rumqttd::server", Level::DEBUG, true),
            ("warn, homeostat::sensors = trace", "homeostat::sensors::actor", Level::TRACE, true),
            ("warn, homeostat::sensors = trace", "homeostat::outputs", Level::INFO, false),
            ("off", "homeostat", Level::ERROR, false),
        ];
        for (filter, target, level, expected) in cases {
            assert_eq!(shows(filter, target, level), expected, "{filter:?} for {target} at {level}");
        }
    }

    #[test]
    fn a_bad_filter_is_named() {
        for (text, directive) in
            [("inof", "inof"), ("info, homeostat=loud", "homeostat=loud"), ("homeostat", "homeostat")]
        {
            assert_eq!(text.parse::<Filter>(), Err(FilterError(directive.into())));
        }
    }

    #[test]
    fn the_journal_is_used_only_where_standard_error_leads_there() {
        assert!(leads_to("9:21034", 9, 21034));
        for other in ["9:21035", "8:21034", "", "9", "a:b"] {
            assert!(!leads_to(other, 9, 21034), "{other:?}");
        }
    }

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_the_time_the_sentence_and_its_fields() {
        let memory = Memory::default();
        let writer = memory.clone();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Plain {
                clock: Clock::simulated(Timestamp::from_millis(1_795_250_000_250)),
                zone: TimeZone::fixed(jiff::tz::offset(1)),
            })
            .with_ansi(false)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(sensor = "air", after = 3, "the sensor is back");
            tracing::warn!("the broker is gone");
        });
        let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        let stripped: Vec<_> = text.lines().map(|line| line.split_at(6)).collect();
        assert_eq!(
            stripped,
            [("09:33:", "20 the sensor is back sensor=\"air\" after=3"), ("09:33:", "20 WARN the broker is gone")]
        );
    }
}
