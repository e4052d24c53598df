//! What is where on this machine: the state directory, the configuration if nobody names one, and the board that it means.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use crate::clock::Clock;
use crate::config::{Config, HardwareKind};
use crate::daemon;
use crate::hardware::Hardware;
use crate::hardware::linux::Linux;
use crate::hardware::raspberry::Raspberry;
use crate::hardware::simulated::Simulated;
use crate::lock;

/// The unit's own, for whoever looks after it from a shell.
const UNIT: &str = "/var/lib/homeostat";

/// Where a configuration is when nobody names one.
const CONFIGURATIONS: [&str; 2] = ["/etc/homeostat/config.toml", "config.toml"];

/// The configuration when nobody names one: what may be one, as what cannot be looked at has to be told.
pub fn usual_configuration() -> Option<PathBuf> {
    CONFIGURATIONS.iter().map(PathBuf::from).find(|file| file.try_exists().unwrap_or(true))
}

/// systemd's, if it gives one; else where we are.
pub fn state_directory() -> PathBuf {
    given().unwrap_or_default()
}

/// Where the daemon of this machine keeps its state: as above, but where nothing ran here, the unit's.
pub fn last_state_directory() -> PathBuf {
    given().unwrap_or_else(|| {
        let (here, unit) = (PathBuf::new(), PathBuf::from(UNIT));
        // `exists` would take "permission denied" for a no.
        let ran_in = |state: &Path| state.join(lock::NAME).try_exists().unwrap_or(true);
        if !ran_in(&here) && ran_in(&unit) { unit } else { here }
    })
}

fn given() -> Option<PathBuf> {
    first_directory("STATE_DIRECTORY")
}

/// systemd gives several as `one:two`.
pub fn first_directory(variable: &str) -> Option<PathBuf> {
    let given = std::env::var_os(variable)?;
    std::env::split_paths(&given).next().filter(|first| !first.as_os_str().is_empty())
}

/// The board of this machine, whatever a configuration says.
pub fn this_board() -> Arc<dyn Hardware> {
    match Raspberry::open() {
        Ok(board) => board,
        Err(_) => Linux::open(None),
    }
}

/// The board of a configuration, and the same again if it is a world in this process. Touches no pin and no bus.
pub fn board(config: &Config, clock: Clock, state: &Path) -> anyhow::Result<(Arc<dyn Hardware>, Option<Simulated>)> {
    match config.node.hardware {
        HardwareKind::Simulated => {
            let world = daemon::simulated(config, clock);
            if let Some(pins) = config.simulation.as_ref().and_then(|simulation| simulation.pins()) {
                let file = state.join(pins);
                world.record(&file).with_context(|| {
                    format!("cannot write `pins` of [simulation] to {}; give the path of a file", file.display())
                })?;
            }
            Ok((Arc::new(world.clone()), Some(world)))
        }
        HardwareKind::RaspberryPi => Ok((Raspberry::open()?, None)),
        HardwareKind::Linux => Ok((Linux::open(config.node.gpiochip.clone()), None)),
    }
}
