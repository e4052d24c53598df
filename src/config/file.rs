//! From a path to a checked configuration, or to everything that is wrong with it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::redact::redact;
use super::{Config, Diagnostic, Place, parse};

/// A description of a house is a few kilobytes; what is larger is another file.
const LARGEST: u64 = 1 << 20;

/// Why a file is not a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// It could not be read at all.
    #[error("cannot read {}: {reason}; {hint}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
        /// The next step.
        hint: &'static str,
    },
    /// It has mistakes.
    #[error("{} has {} mistakes", .0.path.display(), .0.diagnostics.len())]
    Mistakes(Mistakes),
}

/// All mistakes in a file, with the text that they are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    /// The file.
    pub path: PathBuf,
    /// What is in it, with secrets hidden; bytes that are no text are replaced.
    pub text: String,
    /// What is wrong with it, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads and checks a file. Opens nothing else, and no hardware.
pub fn load(path: &Path) -> Result<Config, Wrong> {
    read(path, bytes(path)?).map_err(Wrong::Mistakes)
}

/// The bytes of a file, right or wrong.
pub fn bytes(path: &Path) -> Result<Vec<u8>, Wrong> {
    let unreadable = |reason: String, hint: &'static str| Wrong::Unreadable { path: path.to_owned(), reason, hint };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(system_words(&error), next_step(error.kind())))?;
    if bytes.len() as u64 > LARGEST {
        return Err(unreadable("it is larger than 1 MiB".into(), "is it the right file?"));
    }
    Ok(bytes)
}

/// Checks the bytes of a file; `path` is only what it is called.
pub fn read(path: &Path, mut bytes: Vec<u8>) -> Result<Config, Mistakes> {
    // Some editors begin a file with this mark. Without it, columns count what a person sees.
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    // From here on it may be shown to anybody.
    let mistakes = |text: String, diagnostics| {
        let (text, diagnostics) = redact(&text, diagnostics);
        Mistakes { path: path.to_owned(), text, diagnostics }
    };
    match String::from_utf8(bytes) {
        Ok(text) => parse(&text).map_err(|diagnostics| mistakes(text, diagnostics)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let byte = error.as_bytes().get(at).copied().unwrap_or_default();
            let replaced = Place::at(at..at + char::REPLACEMENT_CHARACTER.len_utf8());
            let hint = format!("this byte is {byte:#04x}: save the file as UTF-8");
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            Err(mistakes(text, vec![Diagnostic::new("the file is not UTF-8", replaced, hint)]))
        }
    }
}

/// "No such file or directory", without the number behind it.
fn system_words(error: &io::Error) -> String {
    let words = error.to_string();
    words.split(" (os error").next().unwrap_or(&words).to_owned()
}

fn next_step(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "give the path of a configuration file",
        io::ErrorKind::PermissionDenied => "let this user read it",
        io::ErrorKind::IsADirectory => "give the path of a file in it",
        _ => "check the path and the disk",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(bytes: &[u8]) -> Vec<(String, usize)> {
        let Mistakes { text, diagnostics, .. } = read(Path::new("a.toml"), bytes.to_vec()).unwrap_err();
        let line = |at: usize| text[..at].lines().count().max(1);
        diagnostics.into_iter().map(|found| (found.message, line(found.place.0.start))).collect()
    }

    #[test]
    fn what_is_not_text_is_shown_where_it_begins() {
        assert_eq!(complaints(b"[node]\nname = \"caf\xe9\"\n"), [("the file is not UTF-8".to_owned(), 2)]);
        assert_eq!(complaints(b"\xff\xfe[\0n\0"), [("the file is not UTF-8".to_owned(), 1)]);
    }

    #[test]
    fn a_mark_at_the_start_and_windows_line_ends_change_nothing() {
        let bare = "[node]\nname = \"a\"\nhardware = \"simulated\"\n";
        let windows = format!("\u{feff}{}", bare.replace('\n', "\r\n"));
        for text in [bare, &windows] {
            assert_eq!(read(Path::new("a.toml"), text.as_bytes().to_vec()).unwrap().node.name, "a");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("greenhouse.toml");
        let message = load(&missing).unwrap_err().to_string();
        assert!(message.ends_with("No such file or directory; give the path of a configuration file"), "{message}");

        let large = directory.path().join("large.toml");
        std::fs::write(&large, vec![b'#'; (1 << 20) + 1]).unwrap();
        assert!(load(&large).unwrap_err().to_string().contains("larger than 1 MiB"));
        assert!(load(directory.path()).unwrap_err().to_string().contains("give the path of a file in it"));
    }
}
