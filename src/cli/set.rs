//! `homeostat set OUTPUT LEVEL --for 5s`: an output by hand, within its own limits.
//!
//! A running daemon takes it as a manual demand. Where none runs, a short-lived one is begun with the outputs alone: the same guard
//! holds the same limits and remembers what was used of them, interlocks hold, and at its end everything is safe again.

use std::fs::DirBuilder;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use actix::prelude::*;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;

use super::bench::{Bench, Place, Whose, wait_for};
use super::client::{Client, encoded};
use super::database::Sorry;
use super::when::age;
use super::why::why;
use crate::boot::Boot;
use crate::clock::Clock;
use crate::config::written;
use crate::daemon::{Daemon, Host};
use crate::hardware::lane::Execution;
use crate::lock::Lock;
use crate::model::{Level, OutputId};
use crate::mqtt::Network;
use crate::payload::{self, Dose};
use crate::signal::Signals;
use crate::store::RealDisk;
use crate::supervisor::{LONGEST_STOP, Stage};

/// So often a dose is asked after.
const LOOK: Duration = Duration::from_millis(200);

/// Longer than the daemon gives itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is wanted of which output.
#[derive(Debug, Args)]
pub struct Set {
    /// Its name
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    output: String,
    /// on, off, 0.4, 40%; auto gives it back; 12.5ml is a dose of a pump
    #[arg(value_parser = wanted)]
    level: Wanted,
    /// For how long
    #[arg(long = "for", value_name = "SPAN", value_parser = age)]
    lease: Option<Duration>,
    #[command(flatten)]
    whose: Whose,
}

/// A level as a person writes it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wanted {
    Level(Level),
    GiveBack,
    Dose(f64),
}

fn wanted(text: &str) -> Result<Wanted, String> {
    const HINT: &str = "write on, off, 0.4 or 40%, auto, or a dose as 12.5ml";
    const RANGE: &str = "a level is from 0% to 100%, or from 0 to 1";
    const TOO_LITTLE: &str = "a dose is more than 0 ml, as 12.5ml";
    let is_number = |text: &str| text.trim().parse().is_ok_and(f64::is_finite);
    if text == "auto" {
        return Ok(Wanted::GiveBack);
    }
    if let Some(number) = text.strip_suffix("ml") {
        let dose = number.trim().parse().ok().filter(|ml: &f64| ml.is_finite() && *ml > 0.0);
        let wrong = if is_number(number) { TOO_LITTLE } else { HINT };
        return dose.map(Wanted::Dose).ok_or_else(|| wrong.to_owned());
    }
    let wrong = if is_number(text.strip_suffix('%').unwrap_or(text)) { RANGE } else { HINT };
    text.parse().map(Wanted::Level).map_err(|_| wrong.to_owned())
}

/// As it is published over MQTT: the same words mean the same.
#[derive(Debug, Serialize)]
struct Command {
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<serde_json::Value>,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ml: Option<f64>,
}

impl Command {
    fn new(output: &str, level: Wanted, lease: Option<Duration>) -> Result<Self, Sorry> {
        Ok(match (level, lease) {
            (Wanted::Level(level), Some(lease)) => {
                Self { level: Some(level.get().into()), lease: Some(written(lease)), ml: None }
            }
            (Wanted::Level(_), None) => {
                return Err(Sorry::usage(format!("for how long is {output} to be so?"), "add --for 5s"));
            }
            (Wanted::GiveBack, None) => Self { level: Some("auto".into()), lease: None, ml: None },
            (Wanted::Dose(ml), None) => Self { level: None, lease: None, ml: Some(ml) },
            (_, Some(_)) => {
                let error =
                    "--for is for a level: a dose takes as long as it takes, and what is given back is given back";
                return Err(Sorry::usage(error, "leave it out"));
            }
        })
    }
}

/// Asks for it, and tells what came of it.
pub fn set(Set { output, level, lease, whose }: Set) -> Result<(), Sorry> {
    let place = Place::find(whose)?;
    // A wrong name is told before what is missing beside it.
    match &place {
        Place::Daemon(client) => {
            let _known: payload::Output<'static> = client.get(&format!("outputs/{}", encoded(&output)))?;
        }
        Place::Bench(bench) => bench.knows_output(&output)?,
    }
    let command = Command::new(&output, level, lease)?;
    match place {
        Place::Daemon(client) => ask(&client, &output, &command),
        Place::Bench(bench) => by_ourselves(*bench, &output, &command, lease),
    }
}

fn ask(client: &Client, output: &str, command: &Command) -> Result<(), Sorry> {
    let path = format!("outputs/{}/set", encoded(output));
    let _state: payload::Output<'static> = client.post_with(&path, command, PATIENCE)?;
    why(client, Some(output))?;
    if command.ml.is_none() {
        return Ok(());
    }
    let path = format!("outputs/{}/dose", encoded(output));
    wait_for(async {
        loop {
            match client.get::<Dose<'static>>(&path)? {
                Dose::Running => tokio::time::sleep(LOOK).await,
                over => return tell(output, &over),
            }
        }
    })
}

/// What was really given. Less than what was asked for is a failure.
fn tell(output: &str, dose: &Dose<'_>) -> Result<(), Sorry> {
    match dose {
        Dose::Given(told) => drop(writeln!(io::stdout(), "{output}: {told}")),
        Dose::CutShort(told) => {
            return Err(Sorry::failed(format!("{output}: {told}"), "`homeostat why` tells what the output does now"));
        }
        Dose::Running => {}
    }
    Ok(())
}

/// A daemon with nothing but the outputs, for as long as it takes.
fn by_ourselves(mut bench: Bench, output: &str, command: &Command, lease: Option<Duration>) -> Result<(), Sorry> {
    bench.unlock();
    let began = |error: &dyn std::fmt::Display| Sorry { exit: super::Exit::Start, text: format!("error: {error}\n") };
    let _lock = Lock::take(&bench.state).map_err(|error| began(&error))?;
    let signals = Signals::watch().map_err(|error| began(&error))?;
    let system = System::new();
    let done = system.block_on(serve(bench, output, command, lease, signals));
    // To drop it is to wait for every thread that hangs.
    std::mem::forget(system);
    done
}

async fn serve(
    bench: Bench,
    output: &str,
    command: &Command,
    lease: Option<Duration>,
    signals: Signals,
) -> Result<(), Sorry> {
    let Bench { mut config, hardware, world, state, .. } = bench;
    (config.sensors, config.computed, config.controllers) = Default::default();
    (config.mqtt, config.alarms) = (None, None);
    let scratch = Scratch::new()?;
    config.store.path = scratch.0.join("homeostat.db");
    let clock = Clock::system();
    let host = Host {
        clock,
        boot: Boot::of_this_machine(clock.now().since_start()),
        hardware,
        world,
        execution: Execution::Thread,
        control: Arbiter::current(),
        services: Arbiter::new().handle(),
        state,
        runtime: None,
        disk: Arc::new(RealDisk),
        link: Arc::new(Network),
        reload: None,
        seed: fastrand::u64(..),
    };
    let failed = |error: &dyn std::fmt::Display| Sorry::failed(error, "`homeostat safe FILE` makes every output safe");
    let daemon = Daemon::start(config, host, || ()).await.map_err(|error| failed(&error))?;
    let mut out = io::stdout();
    let said = async {
        daemon.running().await;
        let _ = writeln!(out, "no daemon runs: every output is at its safe level, and is again at the end of this");
        let asked = daemon.hand().set(output, &payload::json(command)).await;
        let state = asked.map_err(|why| Sorry::missing(why, "`homeostat drivers` and its table tell what it can"))?;
        let _ = writeln!(out, "{output}: {} ({})", Level::clamped(state.level.get()), state.why);
        tokio::select! {
            // A terminal that has gone is a stop as well.
            _ = signals.next() => daemon.hand().end(output),
            () = over(&daemon, output, lease) => {}
        }
        match command.ml.and_then(|_| daemon.hand().dosed(output)) {
            Some(dosed) => tell(output, &Dose::from(&dosed)),
            None => Ok(()),
        }
    }
    .await;
    let stage = daemon.stop(LONGEST_STOP).await;
    if stage != Stage::Stopped {
        return Err(failed(&format!("it did not end in order: {stage:?}")));
    }
    let _ = writeln!(out, "{output} and every other output are safe");
    said
}

/// Ends with the lease; a dose ends with its own.
async fn over(daemon: &Daemon, output: &str, lease: Option<Duration>) {
    match lease {
        Some(lease) => tokio::time::sleep(lease).await,
        None => {
            daemon.hand().dose_over(output).await;
            if let Ok(output) = OutputId::new(output) {
                daemon.hand().given_back(&output).await;
            }
        }
    }
}

/// A folder for the database that nobody will read.
struct Scratch(PathBuf);

impl Scratch {
    /// Nobody else has prepared it, and nobody else looks into it.
    fn new() -> Result<Self, Sorry> {
        let folder = env::temp_dir().join(format!("homeostat-set-{:016x}", fastrand::u64(..)));
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| Sorry::failed(format!("cannot make {}: {error}", folder.display()), "make room in it"))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_written_as_elsewhere() {
        let level = |part| Wanted::Level(Level::new(part).unwrap());
        for (text, expected) in [
            ("on", level(1.0)),
            ("off", level(0.0)),
            ("40%", level(0.4)),
            ("0.4", level(0.4)),
            ("auto", Wanted::GiveBack),
            ("12.5ml", Wanted::Dose(12.5)),
            ("3 ml", Wanted::Dose(3.0)),
        ] {
            assert_eq!(wanted(text), Ok(expected), "{text}");
        }
        for (text, told) in [
            ("", "write on, off"),
            ("high", "write on, off"),
            ("inf", "write on, off"),
            ("ml", "write on, off"),
            ("infml", "write on, off"),
            ("0ml", "more than 0 ml"),
            ("-3 ml", "more than 0 ml"),
            ("1.5", "from 0 to 1"),
            ("130%", "from 0% to 100%"),
            ("-1 %", "from 0% to 100%"),
        ] {
            assert!(wanted(text).unwrap_err().contains(told), "{text}");
        }
    }
}
