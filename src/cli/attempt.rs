//! One start of the daemon: which configuration it runs on, and whether it turned out well.
//!
//! With `--fallback` a file whose starts fail three times in a row is left aside for the copy that last ran well. A start is counted
//! as failed before it begins and taken back when it runs, so that a crash counts too. An orderly stop is a person's: the next start
//! tries the file again.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, Config, Wrong};
use crate::copies::Copies;

/// So many starts of one file may fail in a row.
const MOST_FAILED: u32 = 3;

/// Whoever lives so long after everything was begun has started.
const STARTED: Duration = Duration::from_secs(10);

/// Whoever lives so long runs well.
const WELL: Duration = Duration::from_secs(60);

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
                why.as_deref().unwrap_or("it ended within 10 s; the log says how")
            ));
            attempt.text = good;
            return Ok((config, attempt));
        }
        loaded.map(|config| (config, attempt))
    }

    fn on(path: &Path, file: Vec<u8>, copies: Copies, fallback: bool) -> Self {
        Self { copies, path: path.to_owned(), text: file.clone(), file, fallback, instead: None }
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

    /// The outputs are about to be taken.
    pub fn takes_outputs(&self) {
        if let Err(error) = self.copies.keep_running(&self.text) {
            tracing::warn!("{} cannot be written: {error}; check the disk", self.copies.running().display());
        }
    }

    /// It did not start.
    pub fn failed(&self, why: &str) {
        if self.fallback && self.instead.is_none() {
            self.count(self.copies.starts(&self.file).failed, Some(why.to_owned()));
        }
    }

    /// Everything was begun: waits until that has lasted, and writes it down. To be dropped when the daemon ends.
    pub async fn lasts(self: Arc<Self>) {
        tokio::time::sleep(STARTED).await;
        let attempt = self.clone();
        let started = move || {
            if attempt.instead.is_none() {
                attempt.forget_failures()
            }
        };
        // It only fails if it panics, and then nothing is written down.
        let _ = tokio::task::spawn_blocking(started).await;
        tokio::time::sleep(WELL - STARTED).await;
        let _ = tokio::task::spawn_blocking(move || self.ran_well()).await;
    }

    /// It was stopped as a person wanted. `ran` says that everything had been begun.
    pub fn stopped_in_order(&self, ran: bool) {
        self.forget_failures();
        if ran {
            self.ran_well();
        }
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
    async fn ten_seconds_of_running_are_a_start_and_sixty_make_a_good_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let copies = Copies::new(directory.path());
        let file = directory.path().join("config.toml");
        let text = b"[node]\nname = \"a\"\nhardware = \"simulated\"\n";
        std::fs::write(&file, text).unwrap();
        let (_, attempt) = Attempt::begin(&file, copies.clone(), true).unwrap();
        let state = || (copies.starts(text).failed, copies.good().exists());
        assert_eq!(state(), (1, false));

        let lasts = tokio::spawn(Arc::new(attempt).lasts());
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(state(), (1, false));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(state(), (0, false));
        tokio::time::sleep(Duration::from_secs(48)).await;
        assert_eq!(state(), (0, false));
        lasts.await.unwrap();
        assert_eq!(state(), (0, true));
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
        attempt.clone().lasts().await;
        assert_eq!(copies.starts(b"[nod]").failed, 3);
        attempt.stopped_in_order(true);
        assert_eq!(copies.starts(b"[nod]").failed, 0, "whoever stops it wants the file to be tried again");
    }
}
