//! `homeostat safe FILE`: every output at its safe level without the daemon, after that has died. systemd's `ExecStopPost=`.
//!
//! Which outputs: those that the dead process drove, by its own copies of the configuration; `papers` has the rules. Needs neither the
//! database nor a disk that can be written, and may be done any number of times. When all is safe, the copies go: whoever rewires
//! then is not driven by them.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Exit;
use super::machine::{board, last_state_directory};
use super::papers::{After, configurations, lock};
use crate::clock::Clock;
use crate::config::{Config, HardwareKind};
use crate::copies::Copies;
use crate::hardware::bank::{Bank, Confirmation, Line, Slot, Way};
use crate::hardware::lane::{Execution, Lanes};
use crate::hardware::{Hardware, HardwareError};
use crate::lock::LockError;
use crate::model::{Claim, Level};
use crate::outputs;
use crate::panics::locked;

/// For all outputs together, unless one of them has a longer deadline.
const LONGEST: Duration = Bank::SEALING;

/// Makes everything safe and says so, a line for each output. `result` is what systemd says of the end: `$SERVICE_RESULT`.
pub fn safe(file: &Path, result: Option<&str>) -> Exit {
    match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(clean_up(file, &last_state_directory(), After::of(result)));
            // A driver or a disk that hangs keeps its thread, and nobody waits for that one here.
            runtime.shutdown_background();
            exit
        }
        Err(error) => report(&[Err(format!("no output could be made safe: {error}; switch them off by hand"))]),
    }
}

async fn clean_up(file: &Path, state: &Path, after: After) -> Exit {
    let copies = Copies::new(state);
    let (lock, configs) = tokio::join!(lock(state), configurations(file, &copies, after));
    let warn = |text: &str| drop(writeln!(io::stderr(), "warning: {text}"));
    // Held until the end, so that no daemon starts in the middle of this.
    let ours = match &lock {
        Some(Ok(lock)) => lock.is_some(),
        Some(Err(LockError::Io { reason, .. })) if reason.kind() != io::ErrorKind::PermissionDenied => false,
        // A heater that stays on is worse than two that write its pin.
        Some(Err(LockError::Held(_))) if after == After::Kill => {
            warn(
                "the process that was killed is not quite dead and holds its lock; its outputs are made safe all the same",
            );
            false
        }
        Some(Err(error)) => {
            let hint = if matches!(error, LockError::Held(_)) {
                ""
            } else {
                ", so a running homeostat would go unseen: use sudo"
            };
            let _ = writeln!(io::stderr(), "error: {error}{hint}");
            return Exit::Start;
        }
        None => {
            warn("the disk with the lock does not answer, so a running homeostat would go unseen");
            false
        }
    };
    let configs = match configs {
        Ok(configs) => configs,
        Err(exit) => return exit,
    };
    let clock = Clock::system();
    let (houses, mut said) = houses(configs, clock, state);
    said.extend(drive(houses, Lanes::new(clock, Execution::Thread)).await);
    let exit = report(&said);
    // Only under the lock: they may be a living daemon's.
    if ours && exit == Exit::Fine {
        // On a disk that cannot be written they stay, and the next start says so.
        let _ = copies.forget();
    }
    exit
}

/// What became of one output, for people.
type Said = Result<String, String>;

fn report(said: &[Said]) -> Exit {
    for line in said {
        // Whoever closed the pipe has seen enough; the exit code says the rest.
        let _ = match line {
            Ok(safe) => writeln!(io::stdout(), "{safe}"),
            Err(complaint) => writeln!(io::stderr(), "error: {complaint}"),
        };
    }
    if said.iter().all(Result::is_ok) { Exit::Fine } else { Exit::Failed }
}

/// A configuration and its board.
type House = (Config, Arc<dyn Hardware>);

/// The boards of the configurations that have outputs, and which are not there.
fn houses(configs: Vec<Config>, clock: Clock, state: &Path) -> (Vec<House>, Vec<Said>) {
    let (mut houses, mut said) = (Vec::new(), Vec::new());
    for config in configs.into_iter().filter(|config| !config.outputs.is_empty()) {
        match board(&config, clock, state) {
            Ok((hardware, _)) => houses.push((config, hardware)),
            Err(error) => {
                let names: Vec<&str> = config.outputs.iter().map(|output| output.id.as_str()).collect();
                said.push(Err(format!("{} cannot be made safe: {error:#}", names.join(", "))));
            }
        }
    }
    (houses, said)
}

/// One output on its way to its safe level.
struct Patient {
    id: String,
    safe: Level,
    place: String,
    slot: Arc<Slot>,
    deadline: Duration,
    sure: Arc<Mutex<Option<Confirmation>>>,
}

async fn drive(houses: Vec<House>, lanes: Lanes) -> Vec<Said> {
    let (bank, mut patients, mut taken) = (Bank::default(), Vec::new(), Vec::new());
    for (config, hardware) in houses {
        let kind = config.node.hardware;
        for output in config.outputs {
            if claim(&mut taken, kind, output.device.claims()) {
                patients.push(admit(output, &bank, &lanes, &hardware));
            }
        }
        // What was a sensor's while the daemon lived must not be driven because the file has an output there by now.
        for sensor in config.sensors {
            claim(&mut taken, kind, sensor.device.claims());
        }
    }
    // One that may take longer than the others gets its time once.
    let longest =
        patients.iter().map(|patient| patient.deadline).fold(LONGEST, Duration::max).min(outputs::LONGEST_DEADLINE);
    // Also when time was up. What moves by itself does so only as long as this process lives, and is waited for.
    let left = bank.seal_within(longest).await;
    let outcome = |Patient { id, safe, place, slot, sure, .. }| {
        let who = format!("output {id}");
        let why = left.iter().find(|(name, _)| **name == *who).map(|(_, error)| error.to_string());
        if why.is_none() && slot.level() == Some(safe) {
            let confirmed = *locked(&sure) == Some(Confirmation::ReadBack);
            return Ok(format!("{id}: {safe} ({place}), {}", if confirmed { "confirmed" } else { "accepted" }));
        }
        let why = why.unwrap_or_else(|| format!("no answer within {} s", longest.as_secs_f64()));
        Err(format!("{id} ({place}) may not be {safe}: {why}; see to it by hand"))
    };
    patients.into_iter().map(outcome).collect()
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
    let open = output.opener(hardware, None);
    let outputs::Config { id, limits, device, .. } = output;
    let places: Vec<String> = device.claims().iter().map(Claim::to_string).collect();
    // A program or a device on the network occupies nothing of ours.
    let place = if places.is_empty() { device.lane() } else { places.join(", ") };
    let safe = limits.initial();
    // A lane for each output, unlike the daemon: here nothing may wait behind another one that hangs.
    let lane = lanes.get(&format!("{} for {place}", device.lane()));
    let sure: Arc<Mutex<Option<Confirmation>>> = Arc::default();
    let (witness, deadline) = (Arc::clone(&sure), device.deadline());
    let open = move |initial| -> Result<Box<dyn Line>, HardwareError> {
        Ok(Box::new(Witnessed { line: open(initial)?, sure: witness.clone() }))
    };
    let slot = bank.add(&id, Way { lane, deadline }, safe, Box::new(open));
    Patient { id: id.to_string(), safe, place, slot, deadline, sure }
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

    fn under_way(&mut self) -> Result<Option<Duration>, HardwareError> {
        self.line.under_way()
    }

    fn renewable(&self) -> bool {
        self.line.renewable()
    }
}

#[cfg(test)]
mod tests {
    use super::super::papers::READING;
    use super::*;
    use crate::copies;
    use crate::daemon;
    use crate::hardware::lane::Gate;
    use crate::hardware::simulated::Fault;
    use crate::model::{OutputId, Timestamp};
    use crate::web;

    const HOUSE: &str = r#"
        [node]
        name = "house"
        hardware = "simulated"
        [outputs.heater]
        driver = "gpio"
        pin = 17
        [outputs.lamp]
        driver = "gpio"
        pin = 27
        safe = "on"
        [outputs.fan]
        driver = "pwm"
        channel = 0
        safe = "30%"
    "#;

    #[tokio::test(start_paused = true)]
    async fn whatever_one_output_does_the_others_are_safe_within_two_seconds() {
        let gate = Gate::new();
        for (fault, why) in [
            (Fault::Hang(gate), "busy"),
            (Fault::Error, "injected fault"),
            (Fault::PanicOnUse, "panics in use"),
            (Fault::PanicOnOpen, "panics in open"),
            (Fault::Garbage, "it reads on"),
        ] {
            let clock = Clock::simulated(Timestamp::from_millis(0));
            let config = crate::config::parse(HOUSE).unwrap();
            let world = daemon::simulated(&config, clock);
            world.inject(&Claim::Pin(17), fault);
            let said = drive(vec![(config, Arc::new(world.clone()))], Lanes::new(clock, Execution::Inline)).await;
            assert!(clock.now().since_start() <= LONGEST, "{why}: {:?}", clock.now());

            let [Err(heater), Ok(lamp), Ok(fan)] = &said[..] else { panic!("{why}: {said:?}") };
            assert!(heater.starts_with("heater (GPIO pin 17) may not be off: ") && heater.contains(why), "{heater}");
            assert!(heater.ends_with("; see to it by hand"), "{heater}");
            assert_eq!(lamp, "lamp: on (GPIO pin 27), confirmed");
            assert_eq!(fan, "fan: 30 % (PWM channel 0), accepted");
            assert_eq!((world.pin(27), world.pwm_level(0)), (Some(true), Level::new(0.3)));
        }
    }

    #[test]
    fn systemd_waits_for_the_slowest_output_and_the_slowest_disk() {
        // To begin and to end, on the smallest Pi.
        const PROGRAM: Duration = Duration::from_secs(1);
        let unit = include_str!("../../deploy/systemd/homeostat.service");
        let given = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
        let given = Duration::from_secs(given.parse().unwrap());
        let usual = READING + LONGEST + copies::PATIENCE + PROGRAM;
        let more = outputs::LONGEST_DEADLINE.saturating_sub(LONGEST);
        let stop = daemon::LONGEST_END + web::LONGEST_STOP + PROGRAM;
        for (what, taken) in [("`homeostat safe`", usual + more), ("a stop", stop)] {
            assert!(taken <= given, "{what} may take {taken:?}, and is killed after {given:?}");
        }
        // And what is said there of it is true.
        let [usual, more, stop, sealing] = [usual, more, stop, Bank::SEALING].map(|time| time.as_secs_f64());
        for said in [
            format!("ExecStopPost takes {usual} s at most"),
            format!("may take its time, {more} s more"),
            format!("is tried for {sealing} s before the stop goes on"),
            format!("the stop takes {stop} s"),
        ] {
            assert!(unit.replace("\n#", "").contains(&said), "it says something else than {said:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_still_on_its_way_at_the_end_is_not_safe() {
        struct Vent(u64);
        impl Line for Vent {
            fn write(&mut self, _: Level) -> Result<Confirmation, HardwareError> {
                Ok(Confirmation::Accepted)
            }

            fn under_way(&mut self) -> Result<Option<Duration>, HardwareError> {
                self.0 = self.0.saturating_sub(1);
                Ok((self.0 > 0).then(|| Duration::from_secs(self.0)))
            }
        }
        let clock = Clock::simulated(Timestamp::from_millis(0));
        for (looks, left) in [(5, None), (1000, Some("output vent"))] {
            let (bank, lanes, sure) = (Bank::default(), Lanes::new(clock, Execution::Inline), Arc::default());
            let way = Way { lane: lanes.get("stepper"), deadline: Duration::from_secs(4) };
            let open = move |_| -> Result<Box<dyn Line>, HardwareError> {
                Ok(Box::new(Witnessed { line: Box::new(Vent(looks)), sure: Arc::clone(&sure) }))
            };
            bank.add(&OutputId::new("vent").unwrap(), way, Level::OFF, Box::new(open));
            let found = bank.seal_within(LONGEST).await;
            assert_eq!(found.first().map(|(who, _)| &**who), left);
        }
    }
}
