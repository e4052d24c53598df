//! The ledger: what every output's limits must remember over a restart, a kill and a power cut, in one small file.
//!
//! A guard asks for a record before it uses what the record reserves. It is written in a lane of its own, so no tick ever waits
//! for the disk, and one write serves all that wait. If it fails, a person is told, it is tried again, and control goes on.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::guard::{Guard, Limits, Memory, Record, TooManyDemands};
use crate::alarms::Alarms;
use crate::boot::Boot;
use crate::clock::Clock;
use crate::files;
use crate::hardware::lane::Lane;
use crate::model::{Demand, Monotonic, OutputId};
use crate::panics::locked;

/// No guard waits longer for the disk. Also how long the last write may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// A write that takes longer hangs. An SD card that tidies up may well take seconds, and no person has to hear of that.
const DEADLINE: Duration = Duration::from_secs(15);

/// A write that failed is tried again so much later, or with the next record.
const RETRY: Duration = Duration::from_secs(10);

/// The alarm of a file that cannot be written.
const ALARM: &str = "limits";

/// The alarm of a file that could not be read, which stands until a person knows.
const SPENT: &str = "limits.spent";

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
    /// How many of the changes in [`State::changes`] a write has dealt with, well or not.
    tried: watch::Sender<u64>,
    /// A record that ends the wait after a failure.
    news: Arc<Notify>,
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
    /// How often what is to stand in the file has changed.
    changes: u64,
    writing: bool,
    /// Whether the last write failed; `None` before the first.
    failed: Option<bool>,
}

/// The version of a record, and whose guard is told of it: a later guard of the same output counts anew.
type Waiting = BTreeMap<OutputId, (Arc<Account>, u64)>;

/// A guard whose memory is kept.
pub struct Account {
    /// The limits and all they remember.
    pub guard: Arc<Mutex<Guard>>,
    changed: Notify,
}

impl Account {
    /// Hands a demand to the guard, and wakes the actor if there is one now. Gives [until when](Guard::wanted_until) the output is
    /// wanted at all.
    ///
    /// # Errors
    /// See [`Guard::demand`].
    pub fn demand(&self, demand: Demand, now: Monotonic) -> Result<Option<Monotonic>, TooManyDemands> {
        let mut guard = locked(&self.guard);
        let taken = guard.demand(demand, now).map(|()| guard.wanted_until());
        self.changed.notify_one();
        taken
    }

    /// Waits until the guard knows of something that may make it decide otherwise.
    pub async fn changed(&self) {
        self.changed.notified().await;
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
                let kept = match files::put_aside(file) {
                    Ok(aside) => format!("it is kept as {}", aside.display()),
                    Err(error) => format!("it could not be put aside: {error}"),
                };
                let text = format!(
                    "what limits remember, {}, cannot be read: {error}; {kept}. Every budget counts as spent from now: \
                     look after what must not wait, then acknowledge this",
                    file.display()
                );
                tracing::error!("{text}");
                alarms.latch(SPENT, &text);
            }
        }
        let shared = Shared {
            file: file.to_owned(),
            boot,
            clock,
            alarms: alarms.clone(),
            lane,
            state: Mutex::new(state),
            tried: watch::Sender::new(0),
            news: Arc::default(),
        };
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
        let account = Arc::new(Account { guard: Arc::new(Mutex::new(guard)), changed: Notify::new() });
        state.accounts.insert(output.clone(), account.clone());
        account
    }

    /// Other limits for an output from now on; what is remembered of it holds under these too.
    pub fn set_limits(&self, output: &OutputId, limits: Limits) {
        let account = self.state().accounts.get(output).cloned();
        if let Some(account) = account {
            locked(&account.guard).set_limits(limits, self.shared.clock.now());
            // Its actor looks again.
            account.changed.notify_one();
        }
    }

    /// Writes what a crash from now on would leave, unless there is nothing to remember. Returns when that is written or cannot be
    /// soon. To be called before anything is driven.
    pub async fn begin(&self) {
        self.shared.alarms.forget(SPENT);
        if self.state().known.is_empty() {
            return self.shared.alarms.forget(ALARM);
        }
        let mut tried = self.shared.tried.subscribe();
        let change = self.changed(|_| {});
        let _ = timeout(PATIENCE, tried.wait_for(|tried| *tried >= change)).await;
    }

    /// Takes a record to the disk; the guard is told when it is there, or cannot be soon. Returns at once.
    pub fn record(&self, output: &OutputId, record: Record) {
        let stamped = Stamped { uptime: millis(self.uptime()), memory: record.memory };
        self.changed(|state| {
            let Some(account) = state.accounts.get(output).cloned() else { return };
            state.known.insert(output.as_str().to_owned(), stamped);
            state.waiting.insert(output.clone(), (account, record.version));
        });
    }

    /// Sees to it that a change is written, and gives its number.
    fn changed(&self, change: impl FnOnce(&mut State)) -> u64 {
        let mut state = self.state();
        change(&mut state);
        state.changes += 1;
        let changes = state.changes;
        if !std::mem::replace(&mut state.writing, true) {
            drop(state);
            tokio::spawn(self.clone().write_all());
        } else if state.failed == Some(true) {
            self.shared.news.notify_one();
        }
        changes
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
        let written = self.write(PATIENCE).await;
        self.tell(written);
    }

    /// Writes until all that has changed is on disk.
    async fn write_all(mut self) {
        loop {
            let changes = self.state().changes;
            let written = self.write_while_nobody_waits().await;
            let well = written.is_ok();
            self.tell(written);
            self.shared.tried.send_replace(changes);
            if well {
                let mut state = self.state();
                state.writing = state.changes > changes;
                if !state.writing {
                    return;
                }
                continue;
            }
            // Whoever comes from now on wakes it up, and those who came meanwhile have done so.
            let (news, shared) = (self.shared.news.clone(), Arc::downgrade(&self.shared));
            drop(self);
            let _ = timeout(RETRY, news.notified()).await;
            // A daemon that has gone writes nothing more.
            let Some(shared) = shared.upgrade() else { return };
            self = Self { shared };
        }
    }

    /// One write. The guards that wait for it are told when it has ended, well or not: if not, a person knows. When it takes too
    /// long they are told before, and so are those that come meanwhile.
    async fn write_while_nobody_waits(&self) -> Result<(), String> {
        let asked = std::mem::take(&mut self.state().waiting);
        let write = self.write(DEADLINE);
        tokio::pin!(write);
        let mut waiting = asked;
        loop {
            tokio::select! {
                biased;
                written = &mut write => {
                    if written.is_err() {
                        waiting.append(&mut self.state().waiting);
                    }
                    answer(waiting);
                    return written;
                }
                () = sleep(PATIENCE) => {
                    waiting.append(&mut self.state().waiting);
                    answer(std::mem::take(&mut waiting));
                }
            }
        }
    }

    async fn write(&self, deadline: Duration) -> Result<(), String> {
        let file = File { boot: self.shared.boot.id.clone(), outputs: self.state().known.clone() };
        let bytes = serde_json::to_vec_pretty(&file).map_err(|error| error.to_string())?;
        let (path, who) = (self.shared.file.clone(), Arc::from("the ledger of limits"));
        let written = self.shared.lane.run(&who, deadline, move || files::replace(&path, &bytes)).await;
        files::replaced(written)
    }

    fn tell(&self, written: Result<(), String>) {
        let before = self.state().failed.replace(written.is_err());
        match written {
            Err(error) if before != Some(true) => {
                let text = format!(
                    "what limits remember cannot be written to {}: {error}; a restart would forget it. Check the disk, and that \
                     the directory may be written",
                    self.shared.file.display()
                );
                tracing::error!("{text}");
                self.shared.alarms.raise(ALARM, &text);
            }
            Ok(()) if before == Some(true) => {
                tracing::info!("what limits remember is written again");
                self.shared.alarms.clear(ALARM);
            }
            // What stands at the broker is of an earlier process.
            Ok(()) if before.is_none() => self.shared.alarms.forget(ALARM),
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

/// Tells guards to go on.
fn answer(waiting: Waiting) {
    for (account, version) in waiting.into_values() {
        locked(&account.guard).recorded(version);
        account.changed.notify_one();
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
mod tests;
