//! `homeostat check FILE`: everything that is wrong with a configuration, on standard output. Opens nothing but the file.

use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;

use super::pins::doubts;
use super::{Exit, tell};
use crate::config::{Wrong, load};

/// For whom the mistakes are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: the line, and what to do about it
    #[default]
    Text,
    /// For editors: one JSON object a line
    Json,
}

/// Checks a file.
pub fn check(file: &Path, format: Format) -> Exit {
    let wrong = match load(file) {
        Ok(config) => {
            for doubt in doubts(&config) {
                let _ = writeln!(io::stderr(), "warning: {doubt}");
            }
            return Exit::Fine;
        }
        Err(wrong) => wrong,
    };
    let mut out = io::stdout();
    let text = match (&wrong, format) {
        (_, Format::Text) => tell(&wrong, &out),
        (Wrong::Mistakes(mistakes), Format::Json) => mistakes.json(),
        (Wrong::Unreadable { path, .. }, Format::Json) => {
            format!("{}\n", serde_json::json!({ "message": wrong.to_string(), "file": path.to_string_lossy() }))
        }
    };
    // Whoever closed the pipe has seen enough; the exit code says the rest.
    let _ = out.write_all(text.as_bytes());
    Exit::Configuration
}
