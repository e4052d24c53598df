//! A lane per bus: one operation at a time, a deadline on each, and a quick refusal while one hangs.
//!
//! Drivers block, so they run on tokio's blocking pool. The jobs of one bus share one thread, which works through all that
//! wait before it goes: fifty sensors that tick together cost one wake-up. A hung operation keeps that one thread, and
//! everyone else on the bus is told at once who is in the way; other buses never notice.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    const DEADLINE: Duration = Duration::from_secs(2);

    fn lane(execution: Execution) -> Lane {
        Lane::new("i2c-1", Clock::simulated(Timestamp::from_millis(0)), execution)
    }

    #[tokio::test(start_paused = true)]
    async fn a_hung_job_holds_up_its_own_bus_only_and_says_who_is_in_the_way() {
        let lane = lane(Execution::Inline);
        let gate = Gate::new();
        let (air, soil): (Arc<str>, Arc<str>) = ("sensor air".into(), "sensor soil".into());

        let hung = gate.clone();
        let started = lane.now();
        let (first, second) =
            tokio::join!(lane.run(&air, DEADLINE, move || hang(&hung)), lane.run(&soil, DEADLINE, || 7),);
        assert_eq!(first, Err(LaneError::Timeout { lane: "i2c-1".into(), deadline: DEADLINE }));
        assert!(matches!(second, Err(LaneError::Busy { .. })), "{second:?}");
        assert_eq!(lane.now().since(started), DEADLINE);

        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(lane.now().since(started), Duration::from_secs(12));
        let refused = lane.run(&soil, DEADLINE, || 7).await.unwrap_err();
        assert_eq!(refused.to_string(), "i2c-1 has been busy for 12 s with sensor air");

        gate.release();
        tokio::task::yield_now().await;
        assert_eq!(lane.run(&soil, DEADLINE, || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_hung_thread_is_the_only_one_of_its_bus() {
        let (lane, other) = (lane(Execution::Thread), lane(Execution::Thread));
        let (short, who): (_, Arc<str>) = (Duration::from_millis(20), "sensor air".into());
        let gate = Gate::new();
        let hung = gate.clone();
        assert!(matches!(lane.run(&who, short, move || hang(&hung)).await, Err(LaneError::Timeout { .. })));
        assert!(matches!(lane.run(&who, short, || 7).await, Err(LaneError::Busy { .. })));
        assert_eq!(other.run(&who, DEADLINE, || 7).await, Ok(7));
        gate.release();
        // The thread finishes what it had begun, and the lane serves again.
        while lane.run(&who, DEADLINE, || 7).await != Ok(7) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_in_a_job_or_in_what_it_leaves_behind_stays_in_the_job() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in drop");
            }
        }
        for execution in [Execution::Thread, Execution::Inline] {
            let (lane, who): (_, Arc<str>) = (lane(execution), "sensor air".into());
            let panicked = lane.run(&who, DEADLINE, || panic!("in read")).await;
            assert_eq!(panicked, Err::<(), _>(LaneError::Panicked("in read".into())));
            lane.discard(&who, Bomb);
            assert_eq!(lane.run(&who, DEADLINE, || 7).await, Ok(7));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_counts_from_the_jobs_own_turn() {
        let lane = lane(Execution::Inline);
        let (slow, stuck, who) = (Gate::new(), Gate::new(), Arc::from("sensor air"));
        let began = lane.now();
        let release = async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            slow.release();
        };
        let (first, second) = (slow.clone(), stuck.clone());
        let (_, waited, ()) = tokio::join!(
            lane.run(&who, DEADLINE, move || hang(&first)),
            lane.run(&who, DEADLINE, move || hang(&second)),
            release,
        );
        assert!(matches!(waited, Err(LaneError::Timeout { .. })), "{waited:?}");
        assert_eq!(lane.now().since(began), Duration::from_millis(3500));
    }

    #[tokio::test]
    async fn jobs_come_one_after_another() {
        let (lane, who): (_, Arc<str>) = (lane(Execution::Thread), "sensor air".into());
        let jobs = (0..50).map(|n| lane.run(&who, DEADLINE, move || n));
        let results = futures_util::future::join_all(jobs).await;
        assert!(results.into_iter().enumerate().all(|(n, result)| result == Ok(n)));
    }
}
