//! `homeostat run FILE`: the daemon that a configuration describes, from its first line to its exit code.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{Exit, banner, tell};
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
use crate::web::{self, Commands, Refused, Served};

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
    let exit = match start(config, file) {
        Ok(exit) => exit,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            Exit::Start
        }
    };
    // A driver that hangs keeps its thread, and nobody waits for that one here.
    std::process::exit(exit as i32)
}

fn start(config: Config, file: &Path) -> anyhow::Result<Exit> {
    let log = telemetry::init(config.log.clone())?;
    telemetry::log_panics();
    let signals = Signals::watch().context("cannot watch for signals")?;
    let exit = System::new().block_on(serve(config, file, signals));
    log.flush();
    exit
}

async fn serve(config: Config, file: &Path, signals: Signals) -> anyhow::Result<Exit> {
    let clock = Clock::system();
    let hardware: Arc<dyn Hardware> = match config.node.hardware {
        HardwareKind::Simulated => Arc::new(daemon::simulated(&config, clock)),
        HardwareKind::RaspberryPi => Raspberry::open()?,
    };
    let host = Host {
        clock,
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
    let (node, kind, services) = (config.node.name.clone(), config.node.hardware, host.services.clone());
    let socket = runtime_directory(&host.state).join(web::SOCKET);
    let mut daemon = Daemon::start(config, host, move || feed.feed()).await?;
    let _ = io::stdout().write_all(banner.as_bytes());
    let state = web::State {
        node: node.into(),
        hardware: match kind {
            HardwareKind::Simulated => "simulated",
            HardwareKind::RaspberryPi => "raspberry-pi",
        },
        config: file.to_owned(),
        clock,
        bus: daemon.bus().clone(),
        alarms: daemon.alarms().clone(),
        store: daemon.store().clone(),
        stage: daemon.stage(),
        commands: Arc::new(NotYet),
    };
    let served = listen(&socket, state, &services).await;

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
    if let Some(served) = served {
        served.stop().await;
    }
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

/// The socket for people. The daemon does without one rather than not run.
async fn listen(socket: &Path, state: web::State, services: &ArbiterHandle) -> Option<Served> {
    match web::serve(socket, state).await {
        Ok((served, server)) => {
            services.spawn(async {
                if let Err(error) = server.await {
                    tracing::warn!("nobody serves the socket any more: {error}");
                }
            });
            Some(served)
        }
        Err(error) => {
            tracing::warn!("`homeostat status` and its like will not reach this daemon: {error}");
            None
        }
    }
}

/// Stands in until the daemon can reload.
struct NotYet;

impl Commands for NotYet {
    fn reload(&self) -> BoxFuture<'static, Result<String, Refused>> {
        let text = "reloading is not there yet: restart homeostat to apply a changed configuration";
        async { Err(Refused { text: text.to_owned() }) }.boxed()
    }
}

/// systemd's, if it gives one; else where we are.
fn state_directory() -> PathBuf {
    first_directory("STATE_DIRECTORY").unwrap_or_default()
}

/// systemd's, if it gives one; else where the state is.
fn runtime_directory(state: &Path) -> PathBuf {
    first_directory("RUNTIME_DIRECTORY").unwrap_or_else(|| state.to_owned())
}

/// systemd gives several as `one:two`.
pub(super) fn first_directory(variable: &str) -> Option<PathBuf> {
    let given = std::env::var_os(variable)?;
    std::env::split_paths(&given).next().filter(|first| !first.as_os_str().is_empty())
}
