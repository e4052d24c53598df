//! Writing what waits before its time, because somebody wants to read it: `POST /flush`, which `homeostat export` and its like begin
//! with.

use tokio::sync::{Notify, oneshot};

use super::Store;
use crate::panics::locked;

/// Far more than ask at a time.
const MOST: usize = 100;

/// Who waits for everything to be on disk that was published before they asked.
#[derive(Default)]
pub(super) struct Asked {
    wakes: Notify,
    askers: std::sync::Mutex<Vec<Asker>>,
}

struct Asker {
    /// Where what they wait for ends; `None` while it is still in the tap.
    end: Option<u64>,
    tell: oneshot::Sender<Result<(), String>>,
}

impl Store {
    /// Has everything that was published until now written at once, and says when it is on disk. Waits for the disk, so the caller
    /// needs a deadline.
    ///
    /// # Errors
    /// Why it is not, for people; it is tried again as ever.
    pub async fn flush(&self) -> Result<(), String> {
        let (tell, told) = oneshot::channel();
        {
            let mut askers = locked(&self.shared.asked.askers);
            // Those who had no more patience.
            askers.retain(|asker| !asker.tell.is_closed());
            if askers.len() >= MOST {
                return Err("too many ask for it already".to_owned());
            }
            askers.push(Asker { end: None, tell });
        }
        self.shared.asked.wakes.notify_one();
        told.await.unwrap_or_else(|_| Err("the daemon stops".to_owned()))
    }

    /// Ends when somebody asks.
    pub(super) async fn is_asked(&self) {
        self.shared.asked.wakes.notified().await;
    }

    /// The tap was emptied just now, so whoever has asked waits for no more than what is here.
    pub(super) fn is_collected(&self) {
        let end = self.pending().end();
        for asker in locked(&self.shared.asked.askers).iter_mut() {
            asker.end.get_or_insert(end);
        }
    }

    /// Tells those who have what they wait for. With `is_idle`, when no write is under way or about to begin, also those who do not
    /// get it.
    pub(super) fn tell_askers(&self, is_idle: bool) {
        let mut askers = locked(&self.shared.asked.askers);
        if askers.is_empty() {
            return;
        }
        let (begins, trouble) = (self.pending().begins(), self.health().trouble());
        for asker in std::mem::take(&mut *askers) {
            let is_there = asker.end.is_some_and(|end| end <= begins);
            // Nobody may listen any more.
            match &trouble {
                // What memory had no room for has gone, too, but not to the disk.
                None if is_there => drop(asker.tell.send(Ok(()))),
                Some(trouble) if is_idle && asker.end.is_some() => drop(asker.tell.send(Err(trouble.to_string()))),
                _ => askers.push(asker),
            }
        }
    }

    /// Nothing more is written.
    pub(super) fn let_askers_go(&self) {
        locked(&self.shared.asked.askers).clear();
    }
}
