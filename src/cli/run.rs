//! `homeostat run FILE`: the daemon that a configuration describes, from its first line to its exit code.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use anyhow::Context as _;

use super::{Exit, banner, tell};
use crate::boot::Boot;
use crate::clock::Clock;
use crate::config::{Config, HardwareKind, load};
use crate::daemon::{self, Daemon, Host};
use crate::hardware::Hardware;
use crate::hardware::lane::Execution;
use crate::hardware::raspberry::Raspberry;
use crate::signal::{Signal, Signals};
use crate::supervisor::Stage;
use crate::systemd::Notify;
use crate::telemetry;

/// Each phase of the stop has a deadline of its own; this one is for the case that they fail. systemd waits for five seconds.
const LONGEST_STOP: Duration = Duration::from_secs(3);

/// Reads a file and runs what it describes.
pub fn run(file: &Path) -> Exit {
    let config = match load(file) {
        Ok(config) => config,
        Err(wrong) => {
            let mut err = io::stderr();
            let _ = err.write_all(tell(&wrong, &err).as_bytes());
            return Exit::Configuration;
        }
    };
    let exit = match start(config) {
        Ok(exit) => exit,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            Exit::Start
        }
    };
    // A driver that hangs keeps its thread, and nobody waits for that one here.
    std::process::exit(exit as i32)
}

fn start(config: Config) -> anyhow::Result<Exit> {
    let log = telemetry::init(config.log.clone())?;
    telemetry::log_panics();
    let signals = Signals::watch().context("cannot watch for signals")?;
    let exit = System::new().block_on(serve(config, signals));
    log.flush();
    exit
}

async fn serve(config: Config, signals: Signals) -> anyhow::Result<Exit> {
    let clock = Clock::system();
    let hardware: Arc<dyn Hardware> = match config.node.hardware {
        HardwareKind::Simulated => Arc::new(daemon::simulated(&config, clock)),
        HardwareKind::RaspberryPi => Raspberry::open()?,
    };
    let host = Host {
        clock,
        boot: Boot::of_this_machine(),
        hardware,
        execution: Execution::Thread,
        control: Arbiter::current(),
        services: Arbiter::new().handle(),
        state: state_directory(),
        seed: fastrand::u64(..),
    };
    let banner = banner::banner(&config, &host.state);
    let summary = banner::summary(&config);

    let systemd = Arc::new(Notify::new());
    let feed = systemd.clone();
    let mut daemon = Daemon::start(config, host, move || feed.feed()).await?;
    let _ = io::stdout().write_all(banner.as_bytes());

    let ended = tokio::select! {
        // A signal during the start is a signal too.
        biased;
        () = asked_to_stop(&signals) => None,
        stage = async {
            daemon.running().await;
            systemd.ready();
            systemd.status(&summary);
            daemon.ended().await
        } => Some(stage),
    };
    let stage = match ended {
        Some(stage) => stage,
        None => {
            tracing::info!("stopping: outputs to their safe levels first");
            systemd.stopping();
            systemd.status("stopping");
            daemon.stop(LONGEST_STOP).await
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

async fn asked_to_stop(signals: &Signals) {
    while signals.next().await != Signal::Stop {
        tracing::warn!("reloading is not there yet: restart homeostat to apply a changed configuration");
    }
}

/// systemd's, if it gives one; else where we are.
fn state_directory() -> PathBuf {
    let given = std::env::var_os("STATE_DIRECTORY").unwrap_or_default();
    std::env::split_paths(&given).next().filter(|first| !first.as_os_str().is_empty()).unwrap_or_default()
}
