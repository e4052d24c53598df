//! Copies of the configuration in the state directory: what drives the outputs now, what last ran well, and how the starts went.
//!
//! - `config.running.toml`: the text that the live process, or one that died without order, drives its outputs by. Whoever cleans
//!   up after a crash must know the pins of then, not those that the file names by now.
//! - `config.next.toml`: during a reload, the text that is being taken over.
//! - `config.left.json`: earlier texts of this process, while an output of one of them may not be safe.
//! - `config.good.toml`: the text of the last configuration that ran well.
//! - `config.starts.json`: which bytes were last tried, and how many of their starts failed.
//!
//! The first three go when every output is known to be safe: a pin may have another device on it before anything runs here again,
//! and what was "off" for the old one may be "on" for the new one.
//!
//! All of it blocks, for a second at most: a disk that fails or hangs costs the copies, never the start.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::files;
use crate::panics::locked;

/// How long the disk may take for one copy.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// So many earlier texts are kept, the oldest and the newest of them: the file must not grow for ever.
const MOST_LEFT: usize = 8;

/// Where the copies are.
#[derive(Debug, Clone)]
pub struct Copies {
    state: PathBuf,
    /// Held by whoever changes what drives the outputs, and whether that is over. A write that a slow disk has held up must not
    /// come after the copies were removed.
    closed: Arc<Mutex<bool>>,
}

/// The copy of what drives the outputs could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Unkept {
    /// The disk's words.
    reason: io::Error,
    /// An older copy could not be removed either, so after a crash other pins would be driven than those that were.
    pub astray: bool,
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
        Self { state: state.to_owned(), closed: Arc::default() }
    }

    /// What drives the outputs, or did so last.
    pub fn running(&self) -> PathBuf {
        self.state.join("config.running.toml")
    }

    /// What is being taken over.
    pub fn next(&self) -> PathBuf {
        self.state.join("config.next.toml")
    }

    /// What has outputs that may not be safe yet, as [`texts`] reads it.
    pub fn left(&self) -> PathBuf {
        self.state.join("config.left.json")
    }

    /// What last ran well.
    pub fn good(&self) -> PathBuf {
        self.state.join("config.good.toml")
    }

    fn starts_file(&self) -> PathBuf {
        self.state.join("config.starts.json")
    }

    /// The outputs are about to be driven by `text` and nothing else. To be called before the first of them is taken.
    ///
    /// # Errors
    /// The disk's. Then an older copy is removed where that is possible: no copy leads back to the file, and a wrong one astray.
    pub fn keep_running(&self, text: &[u8]) -> Result<(), Unkept> {
        let text = text.to_owned();
        self.change(move |copies, _| {
            let kept = copies.write_running(&text);
            let cleared = remove(&copies.next()).and(remove(&copies.left()));
            kept.and(cleared.map_err(|reason| Unkept { reason, astray: true }))
        })
    }

    /// Beside what runs, outputs of `text` are about to be driven.
    ///
    /// # Errors
    /// The disk's.
    pub fn announce(&self, text: &[u8]) -> Result<(), Unkept> {
        let text = text.to_owned();
        self.change(move |copies, _| write(&copies.next(), &text).map_err(|reason| Unkept { reason, astray: false }))
    }

    /// What was announced has not been taken over, and no output of it was touched.
    ///
    /// # Errors
    /// The disk's.
    pub fn withdraw(&self) -> Result<(), Unkept> {
        self.change(|copies, _| remove(&copies.next()).map_err(|reason| Unkept { reason, astray: true }))
    }

    /// What was announced drives the outputs now. Something of `before` may not be safe yet, if it is given; without it, everything
    /// that has left is.
    ///
    /// # Errors
    /// The disk's. The copies then name more outputs rather than fewer.
    pub fn settle(&self, text: &[u8], before: Option<&str>) -> Result<(), Unkept> {
        let (text, before) = (text.to_owned(), before.map(str::to_owned));
        self.change(move |copies, _| {
            let left = copies.left();
            let kept = match before {
                Some(before) => {
                    let mut all = std::fs::read(&left).map(|bytes| texts(&bytes)).unwrap_or_default();
                    if !all.contains(&before) {
                        all.truncate(MOST_LEFT - 1);
                        all.push(before);
                    }
                    serde_json::to_vec(&all).map_err(io::Error::from).and_then(|bytes| write(&left, &bytes))
                }
                None => remove(&left),
            };
            kept.map_err(|reason| Unkept { reason, astray: false })?;
            copies.write_running(&text)?;
            remove(&copies.next()).map_err(|reason| Unkept { reason, astray: true })
        })
    }

    /// Every output is safe, and nothing drives any: what drove them is forgotten, for good.
    ///
    /// # Errors
    /// The disk's.
    pub fn forget(&self) -> Result<(), Unkept> {
        self.change(|copies, closed| {
            *closed = true;
            let gone = [copies.running(), copies.next(), copies.left()].map(|file| remove(&file));
            gone.into_iter().collect::<io::Result<()>>().map_err(|reason| Unkept { reason, astray: true })
        })
    }

    /// One change after another, each as a whole, and none after the end.
    fn change(&self, work: impl FnOnce(&Self, &mut bool) -> Result<(), Unkept> + Send + 'static) -> Result<(), Unkept> {
        let copies = self.clone();
        let changed = patiently(move || {
            let closed = copies.closed.clone();
            let mut closed = locked(&closed);
            if *closed { Ok(Ok(())) } else { Ok(work(&copies, &mut closed)) }
        });
        changed.unwrap_or_else(|reason| Err(Unkept { reason, astray: true }))
    }

    fn write_running(&self, text: &[u8]) -> Result<(), Unkept> {
        let file = self.running();
        write(&file, text).map_err(|reason| Unkept { reason, astray: remove(&file).is_err() })
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
        let file = self.starts_file();
        let read = patiently(move || std::fs::read(file)).ok();
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

/// The texts in `config.left.json`; none if it is damaged.
pub fn texts(bytes: &[u8]) -> Vec<String> {
    serde_json::from_slice(bytes).unwrap_or_default()
}

fn keep(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let (file, bytes) = (file.to_owned(), bytes.to_owned());
    patiently(move || write(&file, &bytes))
}

/// Replaces a file, unless it has these bytes already: the card wears out by being written.
fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if std::fs::read(file).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    files::replace(file, bytes)
}

fn remove(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Err(error),
        _ => Ok(()),
    }
}

/// On a thread of its own, for the disk may hang; then the thread stays behind.
fn patiently<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
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
        assert!(!copies.keep_running(b"two").unwrap_err().astray);
        assert!(!copies.running().exists());
    }

    #[test]
    fn a_reload_leaves_the_texts_of_all_outputs_that_may_be_driven_and_an_orderly_end_none() {
        let directory = tempfile::tempdir().unwrap();
        let copies = Copies::new(directory.path());
        let read = |file: PathBuf| std::fs::read_to_string(file).unwrap_or_default();
        let state = || (read(copies.running()), read(copies.next()), texts(read(copies.left()).as_bytes()).join(" "));
        let are = |running: &str, next: &str, left: &str| (running.to_owned(), next.to_owned(), left.to_owned());

        copies.keep_running(b"a").unwrap();
        copies.announce(b"b").unwrap();
        assert_eq!(state(), are("a", "b", ""));
        copies.withdraw().unwrap();
        assert_eq!(state(), are("a", "", ""));
        copies.announce(b"b").unwrap();
        copies.settle(b"b", Some("a")).unwrap();
        assert_eq!(state(), are("b", "", "a"));
        copies.announce(b"c").unwrap();
        copies.settle(b"c", Some("b")).unwrap();
        assert_eq!(state(), are("c", "", "a b"));
        copies.settle(b"c", None).unwrap();
        assert_eq!(state(), are("c", "", ""));

        // What cannot be written down loses nothing of what was.
        copies.announce(b"d").unwrap();
        std::fs::create_dir(directory.path().join(".config.left.json.new")).unwrap();
        copies.settle(b"d", Some("c")).unwrap_err();
        assert_eq!(state(), are("c", "d", ""));

        copies.forget().unwrap();
        copies.announce(b"e").expect("a late one is dropped");
        assert_eq!(state(), are("", "", ""));
    }
}
