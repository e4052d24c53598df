//! A disk that a test can make full, read-only, slow, or damage. The real SQLite runs on a real file under it.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use homeostat::store::Disk;
use homeostat::store::disk::{Fault, Operation};
use tokio::sync::watch;

/// All clones are the same disk.
#[derive(Clone)]
pub struct FakeDisk {
    fault: Arc<Mutex<Option<Fault>>>,
    hangs: Arc<watch::Sender<bool>>,
}

impl Default for FakeDisk {
    fn default() -> Self {
        Self { fault: Arc::default(), hangs: Arc::new(watch::Sender::new(false)) }
    }
}

impl FakeDisk {
    /// Whatever is done fails like this from now on; with `None` all is well again. `Damaged` is found once only: the file is
    /// then put aside, and the next one is whole.
    pub fn fails(&self, fault: impl Into<Option<Fault>>) {
        *self.fault.lock().unwrap() = fault.into();
    }

    /// Nothing comes back from it until it no longer hangs.
    pub fn hangs(&self, hangs: bool) {
        self.hangs.send_replace(hangs);
    }
}

impl Disk for FakeDisk {
    fn check(&self, _: Operation) -> Result<(), Fault> {
        let mut fault = self.fault.lock().unwrap();
        let now = *fault;
        if now == Some(Fault::Damaged) {
            *fault = None;
        }
        now.map_or(Ok(()), Err)
    }

    fn ready(&self) -> BoxFuture<'static, ()> {
        let mut hangs = self.hangs.subscribe();
        Box::pin(async move {
            // A disk that has gone with its test hangs nobody.
            let _ = hangs.wait_for(|hangs| !hangs).await;
        })
    }
}
