//! One start of the daemon: which configuration it runs on, and whether it turned out well.
//!
//! With `--fallback` a file whose starts fail three times in a row is left aside for the copy that last ran well. A start is counted
//! as failed before it begins and taken back when it runs well, so that a crash counts too. An orderly stop is a person's: the next
//! start tries the file again.
//!
//! That person may have rewired meanwhile, and the last good copy would then drive the old pins. It is taken all the same: an edit over
//! the network and `systemctl restart` is an orderly stop too, nobody may be there to see that start fail, and that is what the
//! copy is for. Whoever rewires removes `config.good.toml`, or has the new file run well first.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::config::{self, Config, Wrong};
use crate::copies::{Copies, Unkept};

/// So many starts of one file may fail in a row.
const MOST_FAILED: u32 = 3;

/// Whoever lives so long after everything was begun runs well. Nothing shorter clears the count of failures, or a file that crashes
/// after 20 s would do so for ever.
const WELL: Duration = Duration::from_secs(60);

/// The disk may take so long for all that one event wants of it.
const LONGEST: Duration = Duration::from_secs(3);

/// A start, and what it is tried on.
#[derive(Debug, Clone)]
pub struct Attempt {
    copies: Copies,
    path: PathBuf,
    /// What the file holds; nothing if it cannot be read.
    file: Vec<u8>,
    /// What is run: the same, or the copy that last ran well.
    text: Vec<u8>,
    fallback: bool,
    /// Why it is not the file that runs.
    pub instead: Option<String>,
}

impl Attempt {
    /// Reads the file, or else the last good copy if `fallback` allows that and the file has failed often enough.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn begin(file: &Path, copies: Copies, fallback: bool) -> Result<(Config, Self), Wrong> {
        let read = config::bytes(file);
        let bytes = read.as_ref().cloned().unwrap_or_default();
        let starts = copies.starts(&bytes);
        let mut attempt = Self::on(file, bytes, copies, fallback);
        let exhausted = fallback && starts.failed >= MOST_FAILED;
        if fallback && !exhausted {
            attempt.count(starts.failed + 1, None);
        }
        let loaded = read.and_then(|bytes| config::read(file, bytes).map_err(Wrong::Mistakes));
        if exhausted && let Some((config, good)) = attempt.good_copy() {
            let why = loaded.err().map(|wrong| first_mistake(&wrong)).or(starts.why);
            let path = file.display();
            attempt.instead = Some(format!(
                "{path} did not start {} times ({}), so the last configuration that ran well is running; fix it (`homeostat \
                 check {path}` says what is wrong), then reload or restart",
                starts.failed,
                why.as_deref().unwrap_or("it ended within a minute; the log says how")
            ));
            attempt.text = good;
            return Ok((config, attempt));
        }
        loaded.map(|config| (config, attempt))
    }

    fn on(path: &Path, file: Vec<u8>, copies: Copies, fallback: bool) -> Self {
        Self { copies, path: path.to_owned(), text: file.clone(), file, fallback, instead: None }
    }

    /// Whether both drive the outputs by the same text.
    pub fn runs_as(&self, other: &Self) -> bool {
        self.text == other.text
    }

    /// Which file it is about.
    pub fn file(&self) -> &Path {
        &self.path
    }

    /// The file as it is now, for a daemon that runs already.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn again(&self) -> Result<(Config, Self), Wrong> {
        let bytes = config::bytes(&self.path)?;
        let config = config::read(&self.path, bytes.clone()).map_err(Wrong::Mistakes)?;
        Ok((config, Self::on(&self.path, bytes, self.copies.clone(), self.fallback)))
    }

    /// The copy that last ran well, if it is another one than the file and this program still takes it.
    fn good_copy(&self) -> Option<(Config, Vec<u8>)> {
        let path = self.copies.good();
        let bytes = config::bytes(&path).ok().filter(|bytes| *bytes != self.file)?;
        Some((config::read(&path, bytes.clone()).ok()?, bytes))
    }

    /// The outputs are about to be taken, for the first time in this process. Blocks for two seconds at most. Gives what a person
    /// has to know, if after a crash other outputs would be made safe than those of this attempt.
    pub fn takes_outputs(&self) -> Option<String> {
        self.complain(&self.copies.running(), self.copies.keep_running(&self.text))
    }

    /// Outputs of this attempt are about to be taken beside those of the one that runs. Blocks, as above.
    pub fn announce(&self) {
        let _ = self.complain(&self.copies.next(), self.copies.announce(&self.text));
    }

    /// The daemon did not take what was announced, and touched nothing. Blocks and gives as above.
    pub fn withdraw(&self) -> Option<String> {
        self.complain(&self.copies.next(), self.copies.withdraw())
    }

    /// What was announced drives the outputs. `before` is the attempt until then, if something of it may not be safe yet. Blocks
    /// and gives as above.
    pub fn settle(&self, before: Option<&Self>) -> Option<String> {
        // What has run was UTF-8.
        let before = before.and_then(|before| str::from_utf8(&before.text).ok());
        self.complain(&self.copies.running(), self.copies.settle(&self.text, before))
    }

    fn complain(&self, file: &Path, kept: Result<(), Unkept>) -> Option<String> {
        let error = kept.err()?;
        tracing::warn!("{} cannot be written: {error}; check the disk", file.display());
        error.astray.then(|| {
            format!(
                "{} is out of date and cannot be replaced or removed ({error}): if homeostat dies now, `homeostat safe` goes by the \
                 old outputs; check the disk, then reload",
                self.copies.running().display()
            )
        })
    }

    /// It did not start. Blocks for two seconds at most.
    pub fn failed(&self, why: &str) {
        if self.fallback && self.instead.is_none() {
            self.count(self.copies.starts(&self.file).failed, Some(why.to_owned()));
        }
    }

    /// Everything was begun: once that has lasted, it is written down, unless what this gives is dropped before.
    pub fn lasts(self: &Arc<Self>) -> Lasting {
        let attempt = self.clone();
        Lasting(tokio::spawn(async move {
            tokio::time::sleep(WELL).await;
            // It only fails if it panics, and then nothing is written down.
            let _ = aside(move || {
                if attempt.instead.is_none() {
                    attempt.forget_failures();
                }
                attempt.ran_well();
            })
            .await;
        }))
    }

    /// It was stopped as a person wanted, and every output is safe. Blocks for three seconds at most.
    pub fn stopped_in_order(&self) {
        let _ = self.complain(&self.copies.running(), self.copies.forget());
        self.forget_failures();
    }

    fn ran_well(&self) {
        if let Err(error) = self.copies.keep_good(&self.text) {
            tracing::warn!("{} cannot be written: {error}; check the disk", self.copies.good().display());
        }
    }

    fn forget_failures(&self) {
        if self.fallback {
            self.count(0, None);
        }
    }

    /// There may be no log yet.
    fn count(&self, failed: u32, why: Option<String>) {
        if let Err(error) = self.copies.keep_starts(&self.file, failed, why) {
            let _ = writeln!(
                io::stderr(),
                "warning: cannot count the starts of this configuration: {error}; check the disk"
            );
        }
    }
}

/// Waits in the background until a configuration has run well; dropped, it does not any more.
#[derive(Debug)]
pub struct Lasting(JoinHandle<()>);

impl Drop for Lasting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What blocks, on a thread of its own. `None` if the disk takes too long, or the work panics; it may be done later then.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    timeout(LONGEST, spawn_blocking(work)).await.ok()?.ok()
}

/// `line 14: unknown key `adress`; did you mean `address`?`
fn first_mistake(wrong: &Wrong) -> String {
    match wrong {
        Wrong::Unreadable { .. } => wrong.to_string(),
        Wrong::Mistakes(mistakes) => mistakes.diagnostics.first().map_or_else(String::new, |first| {
            let line = mistakes.text.bytes().take(first.place.0.start).filter(|byte| *byte == b'\n').count() + 1;
            format!("line {line}: {}; {}", first.message, first.hint)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sixty_seconds_of_running_clear_the_failures_and_make_a_good_configuration_and_nothing_less_does() {
        let text = b"[node]\nname = \"a\"\nhardware = \"simulated\"\n";
        for (lived, failed, good) in [(0, 1, false), (11, 1, false), (59, 1, false), (61, 0, true)] {
            let directory = tempfile::tempdir().unwrap();
            let copies = Copies::new(directory.path());
            let file = directory.path().join("config.toml");
            std::fs::write(&file, text).unwrap();
            let (_, attempt) = Attempt::begin(&file, copies.clone(), true).unwrap();
            let attempt = Arc::new(attempt);
            let state = || (copies.starts(text).failed, copies.good().exists());

            let lasting = attempt.lasts();
            tokio::time::sleep(Duration::from_secs(lived)).await;
            until(|| state() == (failed, good)).await;
            // By a reload, or the end.
            drop(lasting);
            tokio::time::sleep(Duration::from_secs(120)).await;
            assert_eq!(state(), (failed, good), "after {lived} s");
            attempt.stopped_in_order();
            assert_eq!(state(), (0, good), "after {lived} s");
        }
    }

    /// The disk has a thread of its own, which virtual time does not wait for.
    async fn until(so: impl Fn() -> bool) {
        for _ in 0..1_000 {
            if so() {
                return;
            }
            let _ = spawn_blocking(std::thread::yield_now).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_that_runs_well_does_not_clear_the_file_that_failed() {
        let directory = tempfile::tempdir().unwrap();
        let copies = Copies::new(directory.path());
        copies.keep_good(b"[node]\nname = \"a\"\nhardware = \"simulated\"\n").unwrap();
        let file = directory.path().join("config.toml");
        std::fs::write(&file, "[nod]").unwrap();
        for _ in 0..3 {
            Attempt::begin(&file, copies.clone(), true).unwrap_err();
        }
        let (config, attempt) = Attempt::begin(&file, copies.clone(), true).unwrap();
        assert_eq!(config.node.name, "a");
        let attempt = Arc::new(attempt);
        let written = std::fs::read(copies.good()).unwrap();
        std::fs::remove_file(copies.good()).unwrap();
        let _lasting = attempt.lasts();
        tokio::time::sleep(Duration::from_secs(61)).await;
        until(|| copies.good().exists()).await;
        assert_eq!((copies.starts(b"[nod]").failed, std::fs::read(copies.good()).unwrap()), (3, written));
        attempt.stopped_in_order();
        assert_eq!(copies.starts(b"[nod]").failed, 0, "whoever stops it wants the file to be tried again");
    }
}
