//! Which configurations `homeostat safe` goes by: what the dead process wrote down, or else the file, or else what last ran well.
//!
//! With a readable `config.running.toml` only the process's own copies count. The file may have been edited since and never been
//! applied, and driving its pins to its idea of "off" may switch on what is there in truth. Without that copy nothing was driven,
//! or the disk would not take it: then the file is as near as anybody can come. The copy that last ran well stands in for a broken file
//! only if something may be on, for it may be about pins that have been rewired since.
//!
//! The disk may be why the process died, so each file is read on a thread of its own, and none is waited for long.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Exit, complain};
use crate::config::{Config, Wrong, load, parse};
use crate::copies::{Copies, texts};
use crate::lock::{Lock, LockError};

/// For all of the disk's answers together: they are asked for at once.
pub const READING: Duration = Duration::from_secs(1);

/// How the process ended that is to be cleaned up after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Nobody says: a person calls.
    Unknown,
    /// It was stopped in order.
    Order,
    /// It ended by itself, with every output safe or none taken.
    Exit,
    /// It was killed, and may not even be quite dead: a thread in the hands of a hanging disk keeps the lock until the disk answers.
    Kill,
}

impl After {
    /// From systemd's `$SERVICE_RESULT`, as systemd.exec(5) lists it.
    pub fn of(result: Option<&str>) -> Self {
        match result {
            None | Some("") => Self::Unknown,
            Some("success") => Self::Order,
            Some("timeout" | "watchdog" | "signal" | "core-dump" | "oom-kill") => Self::Kill,
            // Whatever else there is or may come: none of it hides a daemon that still lives.
            Some(_) => Self::Exit,
        }
    }
}

/// The lock, or why it cannot be had; `None` if the disk does not answer.
pub async fn lock(state: &Path) -> Option<Result<Option<Lock>, LockError>> {
    let state = state.to_owned();
    in_time(move || Lock::take_if_there(&state)).await
}

/// What says which outputs there are, the surest first. None if there is nothing to do.
///
/// # Errors
/// The exit code, after what is wrong was told.
pub async fn configurations(file: &Path, copies: &Copies, after: After) -> Result<Vec<Config>, Exit> {
    let (running, next, left, file, good) = tokio::join!(
        paper(copies.running()),
        paper(copies.next()),
        left(copies.left()),
        read(file),
        paper(copies.good())
    );
    let (known, died) = match (&running, &next) {
        (Ok(Some(_)), _) | (Ok(None), Ok(Some(_))) => (true, true),
        (Ok(None), Ok(None)) => (false, after == After::Kill),
        _ => (false, true),
    };
    let mut configs: Vec<Config> = [running, next].into_iter().filter_map(|found| found.ok().flatten()).collect();
    configs.extend(left);
    if known || (!died && after == After::Order) {
        return Ok(configs);
    }
    match file {
        Ok(config) => configs.push(config),
        Err(wrong) => {
            complain(&wrong);
            configs.extend(good.ok().flatten().filter(|_| died));
            if configs.is_empty() {
                return Err(Exit::Configuration);
            }
            let _ = writeln!(io::stderr(), "warning: the outputs are those of the copies in the state directory");
        }
    }
    Ok(configs)
}

/// A copy, which need not be there.
async fn paper(path: PathBuf) -> Result<Option<Config>, Wrong> {
    let there = path.clone();
    let read = move || match there.try_exists() {
        Ok(false) => Ok(None),
        _ => load(&there).map(Some),
    };
    in_time(read).await.unwrap_or_else(|| Err(late(&path)))
}

/// The configurations in `config.left.json` that this program takes.
async fn left(path: PathBuf) -> Vec<Config> {
    let read = move || crate::config::bytes(&path).map(|bytes| texts(&bytes)).unwrap_or_default();
    let texts = in_time(read).await.unwrap_or_default();
    texts.iter().filter_map(|text| parse(text).ok()).collect()
}

async fn read(path: &Path) -> Result<Config, Wrong> {
    let file = path.to_owned();
    in_time(move || load(&file)).await.unwrap_or_else(|| Err(late(path)))
}

fn late(path: &Path) -> Wrong {
    let reason = format!("the disk does not answer within {} s", READING.as_secs());
    Wrong::Unreadable { path: path.to_owned(), reason, hint: "check the disk" }
}

async fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    timeout(READING, spawn_blocking(work)).await.ok()?.ok()
}
