//! `homeostat run FILE`: the daemon that a configuration describes, from its first line to its exit code.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use anyhow::Context as _;

use super::attempt::Attempt;
use super::machine::{board, state_directory};
use super::take_over::{ALARM, take_over};
use super::{Exit, banner, tell};
use crate::clock::Clock;
use crate::config::Config;
use crate::copies::Copies;
use crate::daemon::{Daemon, Host};
use crate::hardware::lane::Execution;
use crate::lock::{Lock, LockError};
use crate::signal::{Signal, Signals};
use crate::supervisor::Stage;
use crate::systemd::Notify;
use crate::telemetry;

/// Each phase of the stop has a deadline of its own; this one is for the case that they fail. systemd waits for five seconds.
const LONGEST_STOP: Duration = Duration::from_secs(3);

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
            let mut err = io::stderr();
            let _ = err.write_all(tell(&wrong, &err).as_bytes());
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
    let exit = System::new().block_on(serve(config, state, attempt, signals));
    log.flush();
    exit
}

async fn serve(config: Config, state: PathBuf, attempt: &Arc<Attempt>, signals: Signals) -> anyhow::Result<Exit> {
    let clock = Clock::system();
    let (hardware, world) = board(&config, clock, &state)?;
    let host = Host {
        clock,
        hardware,
        world,
        execution: Execution::Thread,
        control: Arbiter::current(),
        services: Arbiter::new().handle(),
        state,
        seed: fastrand::u64(..),
    };
    let banner = banner::banner(&config, &host.state);
    let summary = banner::summary(&config);

    let systemd = Arc::new(Notify::new());
    let feed = systemd.clone();
    attempt.takes_outputs();
    let mut daemon = Daemon::start(config, host, move || feed.feed()).await?;
    let _ = io::stdout().write_all(banner.as_bytes());
    match &attempt.instead {
        Some(text) => {
            tracing::error!("{text}");
            daemon.alarms().raise(ALARM, text);
        }
        None => daemon.alarms().forget(ALARM),
    }

    let mut attempt = attempt.clone();
    let mut ran = false;
    let ended = loop {
        tokio::select! {
            // A signal during the start is a signal too.
            biased;
            signal = signals.next() => match signal {
                Signal::Stop => break None,
                Signal::Reload => {
                    systemd.reloading();
                    match take_over(&mut daemon, &attempt).await {
                        Ok((told, taken)) => {
                            tracing::info!("reloaded: {told}");
                            attempt = Arc::new(taken);
                            actix::spawn(attempt.clone().lasts());
                        }
                        Err(why) => tracing::error!("not reloaded: {why}"),
                    }
                    systemd.ready();
                }
            },
            stage = daemon.running(), if !ran => {
                ran = true;
                if stage == Stage::Running {
                    systemd.ready();
                    systemd.status(&summary);
                    actix::spawn(attempt.clone().lasts());
                }
            }
            stage = daemon.ended(), if ran => break Some(stage),
        }
    };
    let stage = match ended {
        Some(stage) => stage,
        None => {
            tracing::info!("stopping: outputs to their safe levels first");
            systemd.stopping();
            systemd.status("stopping");
            let stage = daemon.stop(LONGEST_STOP).await;
            if stage == Stage::Stopped {
                attempt.stopped_in_order(ran);
            }
            stage
        }
    };
    Ok(match stage {
        Stage::Failed(why) => {
            tracing::error!("{why}");
            Exit::Failed
        }
        _ => {
            tracing::info!("stopped: every output is safe, every reading is stored");
            Exit::Fine
        }
    })
}
