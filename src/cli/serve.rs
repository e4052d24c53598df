//! The daemon from its start to its end: what signals, systemd and the socket ask of it meanwhile.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix::prelude::*;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::attempt::{Attempt, Lasting, aside};
use super::machine::{board, first_directory};
use super::take_over::{ALARM, COPIES, take_over};
use super::{Exit, banner};
use crate::boot::Boot;
use crate::clock::Clock;
use crate::config::{Config, HardwareKind};
use crate::daemon::{Daemon, Hand, Host, Reload};
use crate::hardware::lane::Execution;
use crate::message::OutputState;
use crate::model::dose::Dosed;
use crate::mqtt::Network;
use crate::signal::{Signal, Signals};
use crate::store::RealDisk;
use crate::supervisor::{LONGEST_STOP, Stage};
use crate::systemd::Notify;
use crate::web::{self, Commands, Refused, Served};

/// Runs a daemon until it is stopped or ends by itself.
pub async fn serve(config: Config, state: PathBuf, attempt: &Arc<Attempt>, signals: Signals) -> anyhow::Result<Exit> {
    let clock = Clock::system();
    let (hardware, world) = board(&config, clock, &state)?;
    let (asks, mut asked) = mpsc::channel(1);
    let asks = Arc::new(Asks(asks));
    let host = Host {
        clock,
        boot: Boot::of_this_machine(clock.now().since_start()),
        hardware,
        world,
        execution: Execution::Thread,
        control: Arbiter::current(),
        services: Arbiter::new().handle(),
        state,
        runtime: first_directory("RUNTIME_DIRECTORY"),
        disk: Arc::new(RealDisk),
        link: Arc::new(Network),
        reload: Some(over_mqtt(asks.clone())),
        seed: fastrand::u64(..),
    };
    let banner = banner::banner(&config, &host.state);
    let summary = banner::summary(&config);

    let systemd = Arc::new(Notify::new());
    let feed = systemd.clone();
    let papers = attempt.clone();
    let astray = aside(move || papers.takes_outputs()).await.flatten();
    let (node, kind, services) = (config.node.name.clone(), config.node.hardware, host.services.clone());
    let socket = runtime_directory(&host.state).join(web::SOCKET);
    let mut daemon = Daemon::start(config, host, move || feed.feed()).await?;
    let _ = io::stdout().write_all(banner.as_bytes());
    match &attempt.instead {
        Some(text) => {
            tracing::error!("{text}");
            daemon.alarms().raise(ALARM, text);
        }
        None => daemon.alarms().forget(ALARM),
    }
    match &astray {
        Some(text) => daemon.alarms().raise(COPIES, text),
        None => daemon.alarms().forget(COPIES),
    }
    let state = web::State {
        node: node.into(),
        hardware: match kind {
            HardwareKind::Simulated => "simulated",
            HardwareKind::RaspberryPi => "raspberry-pi",
            HardwareKind::Linux => "linux",
        },
        config: attempt.file().to_owned(),
        clock,
        bus: daemon.bus().clone(),
        alarms: daemon.alarms().clone(),
        store: daemon.store().clone(),
        stage: daemon.stage(),
        commands: Arc::new(Acts { asks, hand: daemon.hand() }),
    };
    let served = listen(&socket, state, &services).await;

    let mut attempt = attempt.clone();
    let mut lasting = None;
    let mut ran = false;
    let ended = loop {
        let asker = tokio::select! {
            // A signal during the start is a signal too.
            biased;
            signal = signals.next() => match signal {
                Signal::Stop => break None,
                Signal::Reload => None,
            },
            Some(asker) = asked.recv() => Some(asker),
            stage = daemon.running(), if !ran => {
                ran = true;
                if stage == Stage::Running {
                    systemd.ready();
                    systemd.status(&summary);
                    lasting = Some(attempt.lasts());
                }
                continue;
            }
            stage = daemon.ended(), if ran => break Some(stage),
        };
        let answer = tokio::select! {
            biased;
            // A reload that is dropped half way does no harm, for the stop makes all safe.
            () = signals.stop() => break None,
            answer = reload(&mut daemon, &mut attempt, &mut lasting, &systemd) => answer,
        };
        if let Some(asker) = asker {
            // Whoever has gone meanwhile does not hear of it; the log does.
            let _ = asker.send(answer);
        }
    };
    drop(lasting);
    let stage = match ended {
        Some(stage) => stage,
        None => {
            tracing::info!("stopping: outputs to their safe levels first");
            systemd.stopping();
            systemd.status("stopping");
            let stage = daemon.stop(LONGEST_STOP).await;
            // Only if every output was made safe.
            if stage == Stage::Stopped {
                aside(move || attempt.stopped_in_order()).await;
            }
            stage
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

/// The file again. What came of it is logged, and told to whoever asked.
async fn reload(
    daemon: &mut Daemon,
    attempt: &mut Arc<Attempt>,
    lasting: &mut Option<Lasting>,
    systemd: &Notify,
) -> Result<String, Refused> {
    systemd.reloading();
    let result = take_over(daemon, attempt).await;
    systemd.ready();
    match result {
        Ok((told, taken)) => {
            tracing::info!("reloaded: {told}");
            *attempt = Arc::new(taken);
            // What ran before does not run well by what the new one does.
            *lasting = Some(attempt.lasts());
            Ok(told)
        }
        Err(kept) => {
            tracing::error!("{kept}");
            Err(kept.into())
        }
    }
}

/// The socket's way to those who can act.
struct Acts {
    asks: Arc<Asks>,
    hand: Hand,
}

impl Commands for Acts {
    fn reload(&self) -> BoxFuture<'static, Result<String, Refused>> {
        self.asks.reload()
    }

    fn set(&self, output: String, command: Vec<u8>) -> BoxFuture<'static, Result<OutputState, String>> {
        let hand = self.hand.clone();
        async move { hand.set(&output, &command).await }.boxed()
    }

    fn dosed(&self, output: &str) -> Option<Dosed> {
        self.hand.dosed(output)
    }
}

/// The way to the one who can reload.
struct Asks(mpsc::Sender<oneshot::Sender<Result<String, Refused>>>);

impl Asks {
    fn reload(&self) -> BoxFuture<'static, Result<String, Refused>> {
        let (answer, answered) = oneshot::channel();
        let asked = self.0.try_send(answer);
        async move {
            asked.map_err(|_| Refused {
                text: "a reload is under way, or the daemon stops".to_owned(),
                hint: "nothing was changed by this one; ask again in a moment",
            })?;
            // Nobody knows how far it came.
            let stopped = || Refused {
                text: "the daemon stops, and the reload was not finished".to_owned(),
                hint: "outputs go to their safe levels; the next start reads the file",
            };
            answered.await.unwrap_or_else(|_| Err(stopped()))
        }
        .boxed()
    }
}

/// The same way for a command over MQTT.
fn over_mqtt(asks: Arc<Asks>) -> Reload {
    Arc::new(move || asks.reload().map(|done| done.map_err(|refused| refused.text)).boxed())
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

/// systemd's, if it gives one; else where the state is.
fn runtime_directory(state: &Path) -> PathBuf {
    first_directory("RUNTIME_DIRECTORY").unwrap_or_else(|| state.to_owned())
}
