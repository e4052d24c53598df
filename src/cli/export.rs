//! `homeostat export`: readings as CSV or JSON lines, on standard output or in a file that is never half written.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::bar::Bar;
use super::database::{Channels, Database, Sorry, Which, note};
use super::target::may_become;
use super::when::Between;
use crate::clock::Clock;
use crate::files;
use crate::store::query::{self, Range, Row};

/// Between two looks at how far it is.
const STEP: u64 = 1000;

/// What is to be exported, and to where.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    channels: Channels,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    between: Between,
    /// Every reading, or what is left of them by the minute or the hour: least, mean and most
    #[arg(long, value_enum, default_value_t)]
    resolution: Resolution,
    /// Into this file, which is replaced when all is written; `-` is standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

/// How it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For spreadsheets and most else: RFC 4180, with a heading
    #[default]
    Csv,
    /// One JSON object a line
    Jsonl,
}

/// How finely.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Resolution {
    /// Every reading
    #[default]
    Raw,
    /// By the minute; the last ten minutes may not be there yet
    Minutes,
    /// By the hour; the same
    Hours,
}

impl From<Resolution> for query::Resolution {
    fn from(resolution: Resolution) -> Self {
        match resolution {
            Resolution::Raw => Self::Raw,
            Resolution::Minutes => Self::Minutes,
            Resolution::Hours => Self::Hours,
        }
    }
}

/// Writes them all. Whoever closes the pipe has seen enough.
pub fn export(export: Export) -> Result<(), Sorry> {
    let Export { channels, format, between, resolution, output, which } = export;
    let (from, to) = between.seen_at(Clock::system().wall())?;
    let database = Database::find(which)?;
    let range = Range { channels: database.choose(channels)?, from, to };
    let output = output.filter(|file| file.as_os_str() != "-");
    if let Some(file) = &output {
        may_become(file, &database.file, if format == Format::Csv { "readings.csv" } else { "readings.jsonl" })?;
    }
    let done = match &output {
        None => {
            let mut out = BufWriter::new(io::stdout().lock());
            write(&database, &range, (format, resolution), &mut out, !io::stdout().is_terminal())?
        }
        Some(file) => in_place(file, |out| write(&database, &range, (format, resolution), out, true))?,
    };
    match done {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let to = output.map_or_else(|| "standard output".to_owned(), |file| file.display().to_string());
            Err(Sorry::failed(
                format!("cannot write to {to}: {error}"),
                "see to the room there, and that you may write",
            ))
        }
        _ => Ok(()),
    }
}

/// The outer error is of the database.
fn write(
    database: &Database,
    range: &Range,
    (format, resolution): (Format, Resolution),
    out: &mut dyn Write,
    has_bar: bool,
) -> Result<io::Result<()>, Sorry> {
    let all = query::estimate(&database.file, range, resolution.into())?;
    let mut bar = Bar::new("exporting", has_bar);
    let mut sheet = match Sheet::begin(format, resolution, out) {
        Ok(sheet) => sheet,
        Err(error) => return Ok(Err(error)),
    };
    let (mut written, mut count) = (Ok(()), 0);
    let mut each = |row: Row| {
        count += 1;
        if count % STEP == 0 {
            bar.at(count, all);
        }
        match sheet.add(&row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                written = Err(error);
                ControlFlow::Break(())
            }
        }
    };
    query::rows(&database.file, range, resolution.into(), &mut each)?;
    if resolution == Resolution::Raw {
        let _ = database.left(range).into_iter().try_for_each(each);
    }
    let written = written.and_then(|()| sheet.end());
    drop(bar);
    if written.is_ok() && count == 0 {
        note("no such readings are stored in that time; `homeostat query` shows what there is");
    }
    Ok(written)
}

/// Where rows go, one below the other.
enum Sheet<'o> {
    Csv(Box<csv::Writer<&'o mut dyn Write>>),
    Jsonl(&'o mut dyn Write),
}

/// A reading, in the order of the columns.
#[derive(Serialize)]
struct Reading<'a> {
    time: String,
    channel: &'a str,
    value: Option<f64>,
    unit: &'a str,
    quality: &'static str,
    reason: Option<&'a str>,
    seq: Option<u64>,
}

/// A minute or an hour of them.
#[derive(Serialize)]
struct RolledUp<'a> {
    /// When it began.
    time: String,
    channel: &'a str,
    min: Option<f64>,
    mean: Option<f64>,
    max: Option<f64>,
    unit: &'a str,
    count: u64,
}

impl<'o> Sheet<'o> {
    fn begin(format: Format, resolution: Resolution, out: &'o mut dyn Write) -> io::Result<Self> {
        let columns = match resolution {
            Resolution::Raw => ["time", "channel", "value", "unit", "quality", "reason", "seq"],
            Resolution::Minutes | Resolution::Hours => ["time", "channel", "min", "mean", "max", "unit", "count"],
        };
        Ok(match format {
            Format::Jsonl => Self::Jsonl(out),
            Format::Csv => {
                let mut how = csv::WriterBuilder::new();
                // The heading is there even without a row.
                how.has_headers(false).terminator(csv::Terminator::CRLF);
                let mut sheet = how.from_writer(out);
                sheet.write_record(columns).map_err(plain)?;
                Self::Csv(Box::new(sheet))
            }
        })
    }

    fn add(&mut self, row: &Row) -> io::Result<()> {
        let Row { channel, unit, value, min, max, count, quality, reason, seq, .. } = row;
        let time = row.time.to_string();
        if let Some(seq) = *seq {
            let (value, reason) = (*value, reason.as_deref());
            self.line(&Reading { time, channel, value, unit, quality, reason, seq: Some(seq) })
        } else {
            self.line(&RolledUp { time, channel, min: *min, mean: *value, max: *max, unit, count: *count })
        }
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        match self {
            Self::Csv(sheet) => sheet.serialize(line).map_err(plain),
            Self::Jsonl(out) => {
                let mut text = serde_json::to_vec(line)?;
                text.push(b'\n');
                out.write_all(&text)
            }
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Self::Csv(sheet) => sheet.into_inner().map_err(|error| error.into_error())?.flush(),
            Self::Jsonl(out) => out.flush(),
        }
    }
}

/// The system's own error, so that a closed pipe is known for one.
fn plain(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// Writes beside the file, and puts that in its place when all is there.
fn in_place(
    file: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<io::Result<()>, Sorry>,
) -> Result<io::Result<()>, Sorry> {
    // A pipe or a device stays what it is.
    if fs::metadata(file).is_ok_and(|known| !known.is_file() && !known.is_dir()) {
        return match File::options().write(true).open(file) {
            Ok(out) => write(&mut BufWriter::new(out)),
            Err(error) => Ok(Err(error)),
        };
    }
    let Some(beside) = files::beside(file) else { return Ok(Err(io::ErrorKind::IsADirectory.into())) };
    let mut out = match File::create(&beside) {
        Ok(out) => BufWriter::new(out),
        Err(error) => return Ok(Err(error)),
    };
    let written = write(&mut out).map(|written| {
        written?;
        out.flush()?;
        out.get_ref().sync_all()?;
        fs::rename(&beside, file)
    });
    if !matches!(written, Ok(Ok(()))) {
        let _ = fs::remove_file(&beside);
    }
    written
}
