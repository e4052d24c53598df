//! What a child can tell its supervisor while it lives: that it is ready, that it is alive, and why it gave up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::clock::Clock;
use crate::model::Monotonic;
use crate::panics::locked;

/// One life of one child. The child holds one clone, the supervisor another.
#[derive(Debug, Clone)]
pub struct Lifeline {
    clock: Clock,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ready: watch::Sender<bool>,
    /// Milliseconds after the daemon's start.
    last_beat: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl Lifeline {
    /// The line for a child that begins to live now.
    pub fn new(clock: Clock) -> Self {
        let shared =
            Shared { ready: watch::Sender::new(false), last_beat: AtomicU64::default(), failure: Mutex::default() };
        let lifeline = Self { clock, shared: Arc::new(shared) };
        lifeline.beat();
        lifeline
    }

    /// Child: what the others wait for at the start is done.
    pub fn ready(&self) {
        self.shared.ready.send_replace(true);
    }

    /// Child: something real was just done.
    pub fn beat(&self) {
        let millis = u64::try_from(self.clock.now().since_start().as_millis()).unwrap_or(u64::MAX);
        self.shared.last_beat.store(millis, Ordering::Relaxed);
    }

    /// Child: this is why I stop now. To be followed by the stop.
    pub fn give_up(&self, why: impl Into<String>) {
        *self.failure() = Some(why.into());
    }

    /// Supervisor: waits until the child is ready. Ends only then, so give it a deadline.
    pub async fn until_ready(&self) {
        let mut ready = self.shared.ready.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Supervisor: when the child last did something.
    pub fn last_beat(&self) -> Monotonic {
        Monotonic::new(std::time::Duration::from_millis(self.shared.last_beat.load(Ordering::Relaxed)))
    }

    /// Supervisor: why it gave up, if it did.
    pub fn why(&self) -> Option<String> {
        self.failure().clone()
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        locked(&self.shared.failure)
    }
}
