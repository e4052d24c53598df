//! `homeostat safe FILE`: every output at its safe level without the daemon, after that has died. systemd's `ExecStopPost=`.
//!
//! Which outputs: first those that the dead process drove, by its own copy of the configuration, for the file may have been edited
//! since; then those of the file that are on other hardware. Where the file is broken, the copy that last ran well stands in for
//! it. Needs neither the database nor a disk that can be written, and may be done any number of times.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::timeout;

use super::machine::{board, last_state_directory};
use super::{Exit, tell};
use crate::clock::Clock;
use crate::config::{Config, HardwareKind, Wrong, load};
use crate::copies::Copies;
use crate::hardware::bank::{Bank, Confirmation, Line, Slot};
use crate::hardware::lane::{Execution, Lanes};
use crate::hardware::{Hardware, HardwareError};
use crate::lock::{Lock, LockError};
use crate::model::{Claim, Level};
use crate::outputs;
use crate::panics::locked;

/// For all outputs together. A hung one takes 1.7 s: three attempts of half a second, and the pauses between.
const LONGEST: Duration = Duration::from_secs(2);

/// Makes everything safe and says so, a line for each output.
pub fn safe(file: &Path) -> Exit {
    let state = last_state_directory();
    // Held until the end, so that no daemon starts in the middle of this.
    let lock = Lock::take_if_there(&state);
    match &lock {
        Ok(_) => {}
        Err(LockError::Io { reason, .. }) if reason.kind() != io::ErrorKind::PermissionDenied => {}
        Err(error) => {
            let hint = if matches!(error, LockError::Held(_)) {
                ""
            } else {
                ", so a running homeostat would go unseen: use sudo"
            };
            let _ = writeln!(io::stderr(), "error: {error}{hint}");
            return Exit::Start;
        }
    }
    let Ok(configs) = configurations(file, &Copies::new(&state)) else { return Exit::Configuration };
    match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => {
            let all_safe = runtime.block_on(drive(configs, &state));
            // A driver that hangs keeps its thread, and nobody waits for that one here.
            runtime.shutdown_background();
            if all_safe { Exit::Fine } else { Exit::Failed }
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: no output could be made safe: {error}; switch them off by hand");
            Exit::Failed
        }
    }
}

/// What says which outputs there are, the surest first; at least one. What is wrong with the file is told in any case.
fn configurations(file: &Path, copies: &Copies) -> Result<Vec<Config>, ()> {
    let mut configs: Vec<Config> = load(&copies.running()).into_iter().collect();
    match load(file) {
        Ok(config) => configs.push(config),
        Err(wrong) => {
            configs.extend(load(&copies.good()));
            complain(&wrong);
            if configs.is_empty() {
                return Err(());
            }
            let _ = writeln!(io::stderr(), "warning: the outputs are those of the copies in the state directory");
        }
    }
    Ok(configs)
}

fn complain(wrong: &Wrong) {
    let mut err = io::stderr();
    let _ = err.write_all(tell(wrong, &err).as_bytes());
}

/// One output on its way to its safe level.
struct Patient {
    id: String,
    safe: Level,
    place: String,
    slot: Arc<Slot>,
    sure: Arc<Mutex<Option<Confirmation>>>,
}

/// Whether all of them are safe now.
async fn drive(configs: Vec<Config>, state: &Path) -> bool {
    let clock = Clock::system();
    let lanes = Lanes::new(clock, Execution::Thread);
    let (bank, mut patients, mut taken, mut all_safe) = (Bank::default(), Vec::new(), Vec::new(), true);
    for config in configs {
        let kind = config.node.hardware;
        let hardware = match board(&config, clock, state) {
            Ok((hardware, _)) => hardware,
            Err(error) => {
                let names: Vec<&str> = config.outputs.iter().map(|output| output.id.as_str()).collect();
                let _ = writeln!(io::stderr(), "error: {} cannot be made safe: {error:#}", names.join(", "));
                all_safe = false;
                continue;
            }
        };
        for output in config.outputs {
            if claim(&mut taken, kind, output.device.claims()) {
                patients.push(admit(output, &bank, &lanes, &hardware));
            }
        }
    }
    // The outcome is read from the slots, which also tell it when time was up.
    let left = timeout(LONGEST, bank.seal()).await.unwrap_or_default();
    for Patient { id, safe, place, slot, sure } in patients {
        if slot.level() == Some(safe) {
            let sure = match *locked(&sure) {
                Some(Confirmation::ReadBack) => "confirmed",
                _ => "accepted",
            };
            let _ = writeln!(io::stdout(), "{id}: {safe} ({place}), {sure}");
        } else {
            all_safe = false;
            let who = format!("output {id}");
            let why = left.iter().find(|(name, _)| **name == *who).map(|(_, error)| error.to_string());
            let why = why.unwrap_or_else(|| format!("no answer within {} s", LONGEST.as_secs()));
            let _ = writeln!(io::stderr(), "error: {id} ({place}) may not be {safe}: {why}; see to it by hand");
        }
    }
    all_safe
}

/// Whether what an output occupies is still free; it is not any more then.
fn claim(taken: &mut Vec<(HardwareKind, Claim)>, kind: HardwareKind, claims: Vec<Claim>) -> bool {
    if claims.iter().any(|claim| taken.iter().any(|(board, other)| *board == kind && claim.clashes(other))) {
        return false;
    }
    taken.extend(claims.into_iter().map(|claim| (kind, claim)));
    true
}

fn admit(output: outputs::Config, bank: &Bank, lanes: &Lanes, hardware: &Arc<dyn Hardware>) -> Patient {
    let outputs::Config { id, limits, device, .. } = output;
    let places: Vec<String> = device.claims().iter().map(Claim::to_string).collect();
    let (safe, place) = (limits.initial(), places.join(", "));
    // A lane for each output, unlike the daemon: here nothing may wait behind another one that hangs.
    let lane = lanes.get(&format!("{} for {place}", device.lane()));
    let sure: Arc<Mutex<Option<Confirmation>>> = Arc::default();
    let (hardware, witness) = (hardware.clone(), Arc::clone(&sure));
    let open = move |initial| -> Result<Box<dyn Line>, HardwareError> {
        Ok(Box::new(Witnessed { line: device.open(&*hardware, initial)?, sure: witness.clone() }))
    };
    let slot = bank.add(&id, lane, safe, Box::new(open));
    Patient { id: id.to_string(), safe, place, slot, sure }
}

/// A line that remembers how sure its last write was.
struct Witnessed {
    line: Box<dyn Line>,
    sure: Arc<Mutex<Option<Confirmation>>>,
}

impl Line for Witnessed {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        let confirmation = self.line.write(level)?;
        *locked(&self.sure) = Some(confirmation);
        Ok(confirmation)
    }
}
