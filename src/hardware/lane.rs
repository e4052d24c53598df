//! A lane per bus: one operation at a time, a deadline on each, and a quick refusal while one hangs.
//!
//! Drivers block, so they run on tokio's blocking pool. The jobs of one bus share one thread, which works through all that
//! wait before it goes: fifty sensors that tick together cost one wake-up. A hung operation keeps that one thread, and
//! everyone else on the bus is told at once who is in the way; other buses never notice.

#[cfg(test)]
mod tests;

use std::any::Any;
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout_at;

use crate::clock::Clock;
use crate::model::Monotonic;
use crate::panics::{self, locked};

/// More waiting jobs than devices on any bus; beyond it something is wrong.
const QUEUE: usize = 1024;

/// Where jobs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// On a thread that may block.
    Thread,
    /// At once, on the caller's thread: for virtual time, where nothing may really wait. A simulated hang becomes a job
    /// that never ends ([`hang`]).
    Inline,
}

/// Why a job has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaneError {
    /// It did not end in time. It may still be running, and holds up the lane until it ends.
    #[error("no answer on {lane} within {} s", .deadline.as_secs_f32())]
    Timeout {
        /// The bus.
        lane: Arc<str>,
        /// How long it was given.
        deadline: Duration,
    },
    /// Another job is hung; this one was not begun.
    #[error("{lane} has been busy for {} s with {with}", .since.as_secs())]
    Busy {
        /// The bus.
        lane: Arc<str>,
        /// Whose job hangs.
        with: Arc<str>,
        /// For how long by now.
        since: Duration,
    },
    /// The job panicked.
    #[error("panicked: {0}")]
    Panicked(String),
    /// More jobs wait than there can be devices.
    #[error("{0} has {QUEUE} operations waiting")]
    Full(Arc<str>),
}

/// All lanes, by name.
pub struct Lanes {
    clock: Clock,
    execution: Execution,
    lanes: Mutex<HashMap<String, Lane>>,
}

impl Lanes {
    /// No lanes yet; each is made when it is first asked for.
    pub fn new(clock: Clock, execution: Execution) -> Self {
        Self { clock, execution, lanes: Mutex::default() }
    }

    /// The lane of that name.
    pub fn get(&self, name: &str) -> Lane {
        let mut lanes = locked(&self.lanes);
        lanes.entry(name.to_owned()).or_insert_with(|| Lane::new(name, self.clock, self.execution)).clone()
    }
}

/// One bus's lane; all clones are the same.
#[derive(Clone)]
pub struct Lane {
    shared: Arc<Shared>,
}

struct Shared {
    name: Arc<str>,
    clock: Clock,
    execution: Execution,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    running: Option<Running>,
    /// Whether somebody works through `waiting`.
    worked: bool,
    last_id: u64,
}

struct Job {
    id: u64,
    who: Arc<str>,
    deadline: Duration,
    work: Box<dyn FnOnce() -> Ended + Send>,
}

struct Running {
    id: u64,
    who: Arc<str>,
    since: Monotonic,
    deadline: Duration,
}

impl Running {
    fn overdue(&self) -> Monotonic {
        self.since + self.deadline
    }
}

enum Ended {
    Done,
    /// It never will, until the gate opens (inline only). Whoever waits for its answer waits on.
    Hung(Gate, Box<dyn Any + Send>),
}

impl Lane {
    fn new(name: &str, clock: Clock, execution: Execution) -> Self {
        Self { shared: Arc::new(Shared { name: name.into(), clock, execution, state: Mutex::default() }) }
    }

    /// The bus.
    pub fn name(&self) -> &Arc<str> {
        &self.shared.name
    }

    /// Runs `work` when its turn comes. The deadline counts from then; waiting ends early when the job in front hangs, and
    /// a job that nobody waits for any more is left out.
    pub async fn run<T: Send + 'static>(
        &self,
        who: &Arc<str>,
        deadline: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LaneError> {
        self.refuse_if_hung(self.now())?;
        let (reply, answer) = oneshot::channel();
        let id = self.enqueue(who, deadline, move || perform(work, reply, Unwanted::LeaveOut))?;
        self.wait(id, deadline, answer).await
    }

    /// The same, but `work` keeps its place behind a job that hangs and is done at last even if nobody waits any more.
    pub async fn run_surely<T: Send + 'static>(
        &self,
        who: &Arc<str>,
        deadline: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LaneError> {
        let (reply, answer) = oneshot::channel();
        let id = self.enqueue(who, deadline, move || perform(work, reply, Unwanted::DoItStill))?;
        self.wait(id, deadline, answer).await
    }

    async fn wait<T>(
        &self,
        id: u64,
        deadline: Duration,
        mut answer: oneshot::Receiver<Result<T, String>>,
    ) -> Result<T, LaneError> {
        let asked = self.now();
        loop {
            let patience = self.locked().running.as_ref().map_or(asked + deadline, Running::overdue);
            match timeout_at(self.shared.clock.instant(patience), &mut answer).await {
                Ok(Ok(Ok(value))) => return Ok(value),
                Ok(Ok(Err(panic))) => return Err(LaneError::Panicked(panic)),
                Ok(Err(_)) => return Err(self.timeout(deadline)),
                Err(_) => match self.locked().running.as_ref() {
                    // Another job's time was up, and it has ended since: whoever runs now has just begun.
                    Some(running) if running.overdue() > self.now() => {}
                    Some(running) if running.id == id => return Err(self.timeout(deadline)),
                    Some(running) => return Err(self.busy(running)),
                    // Nobody began anything since: the blocking pool itself has no thread left.
                    None if asked + deadline <= self.now() => return Err(self.timeout(deadline)),
                    None => {}
                },
            }
        }
    }

    /// Drops something that may block or panic while it is dropped, such as a driver.
    pub fn discard<T: Send + 'static>(&self, who: &Arc<str>, thing: T) {
        // If the lane is full of work that hangs, `thing` is dropped here with its job: late, but caught.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            self.enqueue(who, Duration::from_secs(2), move || {
                let _ = catch_unwind(AssertUnwindSafe(|| drop(thing)));
                Ended::Done
            })
        }));
    }

    fn enqueue(
        &self,
        who: &Arc<str>,
        deadline: Duration,
        work: impl FnOnce() -> Ended + Send + 'static,
    ) -> Result<u64, LaneError> {
        let mut state = self.locked();
        if state.waiting.len() >= QUEUE {
            return Err(LaneError::Full(self.shared.name.clone()));
        }
        state.last_id += 1;
        let id = state.last_id;
        state.waiting.push_back(Job { id, who: who.clone(), deadline, work: Box::new(work) });
        if !std::mem::replace(&mut state.worked, true) {
            drop(state);
            let lane = self.clone();
            match self.shared.execution {
                Execution::Thread => drop(tokio::task::spawn_blocking(move || lane.work_through())),
                Execution::Inline => INLINE.with(|inline| {
                    let outer = inline.replace(true);
                    lane.work_through();
                    inline.set(outer);
                }),
            }
        }
        Ok(id)
    }

    fn work_through(&self) {
        while let Some(job) = self.next() {
            if let Ended::Hung(gate, unanswered) = (job.work)() {
                // The job stays the running one; whoever opens the gate lets the lane go on.
                let lane = self.clone();
                tokio::spawn(async move {
                    gate.opened().await;
                    drop(unanswered);
                    INLINE.with(|inline| inline.set(true));
                    lane.work_through();
                    INLINE.with(|inline| inline.set(false));
                });
                return;
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let now = self.now();
        let mut state = self.locked();
        let job = state.waiting.pop_front();
        state.worked = job.is_some();
        state.running =
            job.as_ref().map(|job| Running { id: job.id, who: job.who.clone(), since: now, deadline: job.deadline });
        job
    }

    fn refuse_if_hung(&self, now: Monotonic) -> Result<(), LaneError> {
        match self.locked().running.as_ref() {
            Some(running) if running.overdue() < now => Err(self.busy(running)),
            _ => Ok(()),
        }
    }

    fn busy(&self, running: &Running) -> LaneError {
        let since = self.now().since(running.since);
        LaneError::Busy { lane: self.shared.name.clone(), with: running.who.clone(), since }
    }

    fn timeout(&self, deadline: Duration) -> LaneError {
        LaneError::Timeout { lane: self.shared.name.clone(), deadline }
    }

    fn now(&self) -> Monotonic {
        self.shared.clock.now()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        locked(&self.shared.state)
    }
}

/// What becomes of a job that nobody waits for any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unwanted {
    LeaveOut,
    DoItStill,
}

/// Does the work. Whatever panics, also while being dropped, stays in here.
fn perform<T: Send + 'static>(
    work: impl FnOnce() -> T,
    reply: oneshot::Sender<Result<T, String>>,
    unwanted: Unwanted,
) -> Ended {
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        if reply.is_closed() && unwanted == Unwanted::LeaveOut {
            drop(work);
            return None;
        }
        Some(work())
    }));
    let result = match attempt {
        Ok(None) => return Ended::Done,
        Ok(Some(value)) => Ok(value),
        Err(payload) => match payload.downcast::<Hang>() {
            Ok(hang) => return Ended::Hung(hang.0, Box::new(reply)),
            Err(payload) => Err(panics::text(&*payload)),
        },
    };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(reply.send(result))));
    Ended::Done
}

thread_local! {
    static INLINE: Cell<bool> = const { Cell::new(false) };
}

/// What a simulated driver hangs on until somebody opens it.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar, Notify)>);

struct Hang(Gate);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everyone through, now and later.
    pub fn release(&self) {
        let (open, changed, noticed) = &*self.0;
        *locked(open) = true;
        changed.notify_all();
        noticed.notify_waiters();
    }

    async fn opened(&self) {
        let (open, _, noticed) = &*self.0;
        let notified = noticed.notified();
        if *locked(open) {
            return;
        }
        notified.await;
    }
}

/// Hangs like a device that never answers, until the gate is opened. To be called within a lane's job only: on a thread
/// it blocks, inline it unwinds to the lane, which then treats the job as one that does not end.
pub fn hang(gate: &Gate) {
    let (open, changed, _) = &*gate.0;
    if *locked(open) {
        return;
    }
    if INLINE.with(Cell::get) {
        resume_unwind(Box::new(Hang(gate.clone())));
    }
    let guard = changed.wait_while(locked(open), |open| !*open);
    drop(guard.unwrap_or_else(PoisonError::into_inner));
}
