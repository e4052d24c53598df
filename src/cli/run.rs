//! `homeostat run FILE`: the daemon that a configuration describes, from its first line to its exit code.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix::prelude::*;
use anyhow::Context as _;

use super::attempt::Attempt;
use super::machine::state_directory;
use super::{Exit, complain, serve};
use crate::config::Config;
use crate::copies::Copies;
use crate::lock::{Lock, LockError};
use crate::signal::Signals;
use crate::telemetry;

/// Reads a file and runs what it describes; with `fallback`, what ran well last where the file fails again and again.
pub fn run(file: &Path, fallback: bool) -> Exit {
    let state = state_directory();
    let lock = Lock::take(&state);
    match &lock {
        Ok(_) => {}
        Err(held @ LockError::Held(_)) => return refuse(&held.to_string()),
        // A disk that cannot be written is no reason to let the plants freeze.
        Err(error) => {
            drop(writeln!(io::stderr(), "warning: {error}; nothing keeps a second homeostat from starting here"))
        }
    }
    let (config, attempt) = match Attempt::begin(file, Copies::new(&state), fallback) {
        Ok(begun) => begun,
        Err(wrong) => {
            complain(&wrong);
            return Exit::Configuration;
        }
    };
    let attempt = Arc::new(attempt);
    let exit = start(config, state, &attempt).unwrap_or_else(|error| {
        let text = format!("{error:#}");
        attempt.failed(&text);
        refuse(&text)
    });
    // A driver that hangs keeps its thread, and nobody waits for that one here.
    std::process::exit(exit as i32)
}

fn refuse(why: &str) -> Exit {
    let _ = writeln!(io::stderr(), "error: {why}");
    Exit::Start
}

fn start(config: Config, state: PathBuf, attempt: &Arc<Attempt>) -> anyhow::Result<Exit> {
    let log = telemetry::init(config.log.clone())?;
    telemetry::log_panics();
    let signals = Signals::watch().context("cannot watch for signals")?;
    let system = System::new();
    let exit = system.block_on(serve::serve(config, state, attempt, signals));
    // To drop it is to wait for every thread that hangs on a disk. The process ends after this, and they with it.
    std::mem::forget(system);
    log.flush();
    exit
}
