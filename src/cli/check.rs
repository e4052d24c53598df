//! `homeostat check FILE`: everything that is wrong with a configuration, on standard output. Opens nothing but the file.

use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;

use super::pins::{Doubt, doubts};
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
            warn(file, &doubts(&config), format);
            return Exit::Fine;
        }
        Err(wrong) => wrong,
    };
    let mut out = io::stdout();
    let text = match (&wrong, format) {
        (_, Format::Text) => tell(&wrong, &out),
        (Wrong::Mistakes(mistakes), Format::Json) => mistakes.json(),
        (Wrong::Unreadable { path, .. }, Format::Json) => {
            let (message, file) = (wrong.to_string(), path.to_string_lossy());
            format!("{}\n", serde_json::json!({ "severity": "error", "message": message, "file": file }))
        }
    };
    // Whoever closed the pipe has seen enough; the exit code says the rest.
    let _ = out.write_all(text.as_bytes());
    Exit::Configuration
}

/// Beside the mistakes for people, among them for editors: no place in the file is wrong, so none is given.
fn warn(file: &Path, doubts: &[Doubt], format: Format) {
    for doubt in doubts {
        let _ = match format {
            Format::Text => writeln!(io::stderr(), "warning: {doubt}"),
            Format::Json => {
                let Doubt { message, hint } = doubt;
                let file = file.to_string_lossy();
                let line = serde_json::json!({ "severity": "warning", "message": message, "hint": hint, "file": file });
                writeln!(io::stdout(), "{line}")
            }
        };
    }
}
