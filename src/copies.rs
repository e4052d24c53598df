//! Copies of the configuration in the state directory: what drives the outputs now, what last ran well, and how the starts went.
//!
//! - `config.running.toml`: the text that the live process, or the last one, drives its outputs by. Whoever cleans up after a crash
//!   must know the pins of then, not those that the file names by now.
//! - `config.good.toml`: the text of the last configuration that ran well.
//! - `config.starts.json`: which bytes were last tried, and how many of their starts failed.
//!
//! All of it blocks, for a second at most: a disk that fails or hangs costs the copies, never the start.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::files;

/// How long the disk may take for one copy.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the copies are.
#[derive(Debug, Clone)]
pub struct Copies {
    state: PathBuf,
}

/// How the starts of one file went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Starts {
    /// Of the bytes in the file. A newer program may count anew, for it may take what the older one did not.
    hash: u64,
    /// Starts that did not come as far as running, in a row.
    pub failed: u32,
    /// What the last of them said, if it could say anything.
    pub why: Option<String>,
}

impl Copies {
    /// The copies in this state directory.
    pub fn new(state: &Path) -> Self {
        Self { state: state.to_owned() }
    }

    /// What drives the outputs, or did so last.
    pub fn running(&self) -> PathBuf {
        self.state.join("config.running.toml")
    }

    /// What last ran well.
    pub fn good(&self) -> PathBuf {
        self.state.join("config.good.toml")
    }

    fn starts_file(&self) -> PathBuf {
        self.state.join("config.starts.json")
    }

    /// The outputs are about to be driven by `text`. To be called before the first of them is taken.
    ///
    /// # Errors
    /// The disk's. Then an older copy is removed where that is possible: no copy leads back to the file, and a wrong one astray.
    pub fn keep_running(&self, text: &[u8]) -> io::Result<()> {
        let file = self.running();
        keep(&file, text).inspect_err(|_| drop(patiently(move || std::fs::remove_file(file))))
    }

    /// `text` has run well.
    ///
    /// # Errors
    /// The disk's, with the earlier copy as it was.
    pub fn keep_good(&self, text: &[u8]) -> io::Result<()> {
        keep(&self.good(), text)
    }

    /// How the starts of a file with these bytes went; well, if nothing is known.
    pub fn starts(&self, bytes: &[u8]) -> Starts {
        let hash = hash(bytes);
        let read = std::fs::read(self.starts_file()).ok();
        let known = read.and_then(|read| serde_json::from_slice::<Starts>(&read).ok());
        known.filter(|known| known.hash == hash).unwrap_or(Starts { hash, ..Starts::default() })
    }

    /// Writes down how they went. Nothing is written where nothing failed before either.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep_starts(&self, bytes: &[u8], failed: u32, why: Option<String>) -> io::Result<()> {
        let starts = Starts { hash: hash(bytes), failed, why };
        if self.starts(bytes) == starts {
            return Ok(());
        }
        keep(&self.starts_file(), &serde_json::to_vec(&starts)?)
    }
}

/// Replaces a file, unless it has these bytes already: the card wears out by being written.
fn keep(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let (file, bytes) = (file.to_owned(), bytes.to_owned());
    patiently(move || {
        if std::fs::read(&file).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        files::replace(&file, &bytes)
    })
}

/// On a thread of its own, for the disk may hang; then the thread stays behind.
fn patiently(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let (done, result) = sync_channel(1);
    std::thread::Builder::new().name("copies".into()).spawn(move || drop(done.send(work())))?;
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("the disk does not answer within {PATIENCE:?}"));
    result.recv_timeout(PATIENCE).map_err(late)?
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starts_of_one_file_are_counted_and_another_begins_at_none() {
        let directory = tempfile::tempdir().unwrap();
        let copies = Copies::new(directory.path());
        assert_eq!(copies.starts(b"a").failed, 0);
        copies.keep_starts(b"a", 2, Some("no board".into())).unwrap();
        let Starts { failed, why, .. } = copies.starts(b"a");
        assert_eq!((failed, why.as_deref()), (2, Some("no board")));
        assert_eq!(copies.starts(b"b").failed, 0);
        for damaged in ["", "{", "{\"hash\":-1}", "\0\0\0"] {
            std::fs::write(copies.starts_file(), damaged).unwrap();
            assert_eq!(copies.starts(b"a").failed, 0, "{damaged:?}");
        }
    }

    #[test]
    fn a_copy_that_cannot_be_kept_leaves_no_wrong_one_behind() {
        let directory = tempfile::tempdir().unwrap();
        let copies = Copies::new(directory.path());
        copies.keep_running(b"one").unwrap();
        assert_eq!(std::fs::read(copies.running()).unwrap(), b"one");
        // What is in the way is a folder where the new content is first written.
        std::fs::create_dir(directory.path().join(".config.running.toml.new")).unwrap();
        copies.keep_running(b"one").expect("nothing is to be written");
        assert!(copies.keep_running(b"two").is_err());
        assert!(!copies.running().exists());
    }
}
