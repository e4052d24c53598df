//! The ledger: what every output's limits must remember over a restart, a kill and a power cut, in one small file.
//!
//! A guard asks for a record before it uses what the record reserves. It is written in a lane of its own, so no tick ever waits
//! for the disk, and one write serves all that wait. If it fails, a person is told and control goes on.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::guard::{Guard, Limits, Memory, Record};
use crate::alarms::Alarms;
use crate::boot::Boot;
use crate::clock::Clock;
use crate::files;
use crate::hardware::lane::Lane;
use crate::model::OutputId;
use crate::panics::locked;

/// A write that takes longer hangs. Also how long the last one may take.
const DEADLINE: Duration = Duration::from_secs(1);

/// The name of its alarm.
const ALARM: &str = "limits";

/// A handle on the ledger; all clones are the same one.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    file: PathBuf,
    boot: Boot,
    clock: Clock,
    alarms: Alarms,
    lane: Lane,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is to stand in the file. Outputs that are not configured any more stay in it.
    known: BTreeMap<String, Stamped>,
    accounts: BTreeMap<OutputId, Arc<Account>>,
    /// The file was there and could not be read: nobody knows what was used.
    spent: bool,
    /// Records that wait for the disk.
    waiting: Waiting,
    writing: bool,
    failed: bool,
}

/// The version of a record, and whose guard is told of it: a later guard of the same output counts anew.
type Waiting = BTreeMap<OutputId, (Arc<Account>, u64)>;

/// A guard whose memory is kept.
pub struct Account {
    /// The limits and all they remember.
    pub guard: Arc<Mutex<Guard>>,
    recorded: Notify,
}

impl Account {
    /// Waits until the guard was told of a record, so that it may decide otherwise.
    pub async fn recorded(&self) {
        self.recorded.notified().await;
    }
}

/// The file.
#[derive(Serialize, Deserialize)]
struct File {
    boot: String,
    outputs: BTreeMap<String, Stamped>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stamped {
    /// Milliseconds from the boot to when this was so.
    uptime: u64,
    memory: Memory,
}

impl Ledger {
    /// Reads the file. One that cannot be read is put aside: then every budget counts as spent, and a person is told. Blocks.
    pub fn open(file: &Path, boot: Boot, clock: Clock, alarms: &Alarms, lane: Lane) -> Self {
        let mut state = State::default();
        match read(file) {
            Ok(Some(File { boot: then, outputs })) => {
                let aged = |old: Stamped| {
                    // Of another boot: how long ago it was is not known, so it counts as of now.
                    let ago = boot.since(&then, Duration::from_millis(old.uptime));
                    Stamped { uptime: millis(boot.uptime.saturating_sub(ago)), ..old }
                };
                state.known = outputs.into_iter().map(|(output, old)| (output, aged(old))).collect();
            }
            Ok(None) => {}
            Err(error) => {
                state.spent = true;
                let aside = file.with_extension("json.damaged");
                let kept = match fs::rename(file, &aside) {
                    Ok(()) => format!("it is kept as {}", aside.display()),
                    Err(error) => format!("it could not be put aside: {error}"),
                };
                let text = format!(
                    "what limits remember, {}, cannot be read: {error}; {kept}. Every budget counts as spent from now: \
                     look after what must not wait, then acknowledge this",
                    file.display()
                );
                tracing::error!("{text}");
                alarms.latch(ALARM, &text);
            }
        }
        let shared =
            Shared { file: file.to_owned(), boot, clock, alarms: alarms.clone(), lane, state: Mutex::new(state) };
        Self { shared: Arc::new(shared) }
    }

    /// The guard of an output under these limits, with what is remembered of it. An output that had a guard before goes on with
    /// what that one knows.
    pub fn account(&self, output: &OutputId, limits: Limits) -> Arc<Account> {
        let (now, uptime) = (self.shared.clock.now(), self.uptime());
        let mut state = self.state();
        let (memory, aged) = match (state.accounts.get(output), state.known.get(output.as_str())) {
            (Some(account), _) => (Some(locked(&account.guard).memory(now)), Duration::ZERO),
            (None, Some(known)) => {
                (Some(known.memory.clone()), uptime.saturating_sub(Duration::from_millis(known.uptime)))
            }
            (None, None) => (state.spent.then(Memory::spent), Duration::ZERO),
        };
        let guard = Guard::restored(limits, memory.as_ref(), aged, now);
        if memory.is_some() {
            // What an orderly stop knew exactly holds for this one start, and what was reserved counts as used from now on.
            let stamped = Stamped { uptime: millis(uptime), memory: guard.memory(now).after_a_crash() };
            state.known.insert(output.as_str().to_owned(), stamped);
        }
        let account = Arc::new(Account { guard: Arc::new(Mutex::new(guard)), recorded: Notify::new() });
        state.accounts.insert(output.clone(), account.clone());
        account
    }

    /// Other limits for an output from now on; what is remembered of it holds under these too.
    pub fn set_limits(&self, output: &OutputId, limits: Limits) {
        let account = self.state().accounts.get(output).cloned();
        if let Some(account) = account {
            locked(&account.guard).set_limits(limits, self.shared.clock.now());
            // Its actor looks again.
            account.recorded.notify_one();
        }
    }

    /// Writes what a crash from now on would leave, unless there is nothing to remember. To be called before anything is driven.
    pub async fn begin(&self) {
        if self.state().known.is_empty() {
            return self.shared.alarms.forget(ALARM);
        }
        if std::mem::replace(&mut self.state().writing, true) {
            // Somebody writes already, and all that is known with it.
            return;
        }
        self.write_all().await;
        if !self.state().failed {
            self.shared.alarms.forget(ALARM);
        }
    }

    /// Takes a record to the disk; the guard is told when it is there, or cannot be. Returns at once.
    pub fn record(&self, output: &OutputId, record: Record) {
        let stamped = Stamped { uptime: millis(self.uptime()), memory: record.memory };
        let idle = {
            let mut state = self.state();
            let Some(account) = state.accounts.get(output).cloned() else { return };
            state.known.insert(output.as_str().to_owned(), stamped);
            state.waiting.insert(output.clone(), (account, record.version));
            !std::mem::replace(&mut state.writing, true)
        };
        if idle {
            let ledger = self.clone();
            tokio::spawn(async move { ledger.write_all().await });
        }
    }

    /// Writes exactly what every guard remembers. To be called once all outputs are safe.
    pub async fn close(&self) {
        let (now, uptime) = (self.shared.clock.now(), millis(self.uptime()));
        {
            let state = &mut *self.state();
            for (output, account) in &state.accounts {
                let memory = locked(&account.guard).memory(now);
                state.known.insert(output.as_str().to_owned(), Stamped { uptime, memory });
            }
            if state.known.is_empty() {
                return;
            }
        }
        // The lane has a deadline of its own, and whatever is before us in it too.
        let (written, _) = self.write().await;
        self.tell(written);
    }

    /// Writes until nobody waits any more.
    async fn write_all(&self) {
        loop {
            let (written, mut asked) = self.write().await;
            let well = written.is_ok();
            self.tell(written);
            let more = {
                let mut state = self.state();
                if !well {
                    asked.append(&mut state.waiting);
                }
                // After a failure the next record tries again, with all that this one had.
                state.writing = !state.waiting.is_empty();
                state.writing
            };
            // Also when it could not be written: control goes on, and a person knows.
            for (account, version) in asked.into_values() {
                locked(&account.guard).recorded(version);
                account.recorded.notify_one();
            }
            if !more {
                return;
            }
        }
    }

    async fn write(&self) -> (Result<(), String>, Waiting) {
        let (file, asked) = {
            let mut state = self.state();
            let file = File { boot: self.shared.boot.id.clone(), outputs: state.known.clone() };
            (file, std::mem::take(&mut state.waiting))
        };
        let bytes = match serde_json::to_vec_pretty(&file) {
            Ok(bytes) => bytes,
            Err(error) => return (Err(error.to_string()), asked),
        };
        let (path, who) = (self.shared.file.clone(), Arc::from("the ledger of limits"));
        let written = self.shared.lane.run(&who, DEADLINE, move || files::replace(&path, &bytes)).await;
        let result = match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        (result, asked)
    }

    fn tell(&self, written: Result<(), String>) {
        let before = std::mem::replace(&mut self.state().failed, written.is_err());
        match written {
            Err(error) if !before => {
                let text = format!(
                    "what limits remember cannot be written to {}: {error}; a restart would forget it. Check the disk, and that \
                     the directory may be written",
                    self.shared.file.display()
                );
                tracing::error!("{text}");
                self.shared.alarms.raise(ALARM, &text);
            }
            Ok(()) if before => {
                tracing::info!("what limits remember is written again");
                self.shared.alarms.clear(ALARM);
            }
            _ => {}
        }
    }

    fn uptime(&self) -> Duration {
        self.shared.boot.uptime.saturating_add(self.shared.clock.now().since_start())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.shared.state)
    }
}

/// `None` if there is no file: a first start.
fn read(file: &Path) -> io::Result<Option<File>> {
    match fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Bus;
    use crate::hardware::lane::{Execution, Gate, Lanes, hang};
    use crate::model::Timestamp;

    fn limits() -> Limits {
        let text = "[node]\nname = \"a\"\nhardware = \"simulated\"\n[outputs.heater]\ndriver = \"gpio\"\npin = 17";
        crate::config::parse(text).unwrap().outputs.remove(0).limits
    }

    #[tokio::test(start_paused = true)]
    async fn no_record_waits_for_a_disk_that_hangs_and_the_next_one_after_it_is_written() {
        let clock = Clock::simulated(Timestamp::from_millis(0));
        let alarms = Alarms::new(clock, Bus::new(clock, 0));
        let lane = Lanes::new(clock, Execution::Inline).get("disk");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("outputs.json");
        let boot = Boot { id: "a".into(), uptime: Duration::from_secs(5) };
        let ledger = Ledger::open(&file, boot, clock, &alarms, lane.clone());
        let heater = OutputId::new("heater").unwrap();
        let account = ledger.account(&heater, limits());
        let record = |version| ledger.record(&heater, Record { version, memory: Memory::default() });

        let (gate, who) = (Gate::new(), Arc::from("somebody"));
        let hung = gate.clone();
        assert!(lane.run(&who, DEADLINE, move || hang(&hung)).await.is_err());
        let before = clock.now();
        record(1);
        assert_eq!(clock.now(), before);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(alarms.standing_now().len(), 1);
        timeout(&account).await.expect("control goes on");
        assert!(!file.exists());

        gate.release();
        tokio::time::sleep(Duration::from_millis(1)).await;
        for version in [2, 3] {
            record(version);
        }
        timeout(&account).await.expect("the guard is told");
        assert_eq!(alarms.standing_now(), []);
        assert_eq!(read(&file).unwrap().unwrap().outputs["heater"].uptime, 9001);
    }

    async fn timeout(account: &Account) -> Result<(), tokio::time::error::Elapsed> {
        tokio::time::timeout(Duration::from_secs(1), account.recorded()).await
    }
}
