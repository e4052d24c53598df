//! The history as MQTT turns its pages: readings of the store, behind the store's own cursor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::alarms::Alarms;
use crate::mqtt::history::{Page, Readings};
use crate::payload::{History, Recorded, json};
use crate::store::{Numbered, Store};

/// No page is larger, whatever the reasons that its readings give: brokers refuse large packets.
const LARGEST: usize = 192 * 1024;

/// Latched when there are readings that the broker never takes.
const HELD_BACK: &str = "mqtt.history";

/// The readings of one node's store.
pub(super) struct Stored {
    store: Store,
    node: String,
    alarms: Alarms,
    /// A disk that hangs keeps the thread that reads from it, whatever becomes of the connection it reads for. It is to be the only one.
    turn: Arc<Semaphore>,
    held_back: AtomicU64,
}

impl Stored {
    pub fn new(store: Store, node: &str, alarms: Alarms) -> Self {
        let (turn, held_back) = (Arc::new(Semaphore::new(1)), AtomicU64::new(0));
        Self { store, node: node.to_owned(), alarms, turn, held_back }
    }
}

impl Readings for Stored {
    fn page(&self, most: usize) -> BoxFuture<'static, Result<Option<Page>, String>> {
        let (store, node) = (self.store.clone(), self.node.clone());
        let turn = self.turn.clone();
        async move {
            // It goes back when the thread is done, not when nobody waits for it any more.
            let turn = turn.acquire_owned().await.map_err(|closed| closed.to_string())?;
            let read = spawn_blocking(move || {
                let _turn = turn;
                let readings = store.after(store.cursor(), most).map_err(|error| error.to_string())?;
                Ok(page(&node, &readings, most))
            });
            read.await.unwrap_or_else(|panic| Err(panic.to_string()))
        }
        .boxed()
    }

    fn empty_page(&self) -> Page {
        let payload = json(&History { node: self.node.as_str().into(), readings: Vec::new() });
        Page { payload, last: 0, readings: 0, is_full: true }
    }

    fn acknowledged(&self, last: u64) {
        self.store.acknowledged(last);
    }

    fn held_back(&self, number: u64) {
        self.store.acknowledged(number);
        let count = self.held_back.fetch_add(1, Ordering::Relaxed) + 1;
        let text = format!(
            "{count} readings are missing in the history over MQTT, the last of them number {number}: the broker ends the connection \
             whenever one of them comes. Give it a larger `max_packet_size`; they are in the database, in the view `history`"
        );
        tracing::error!("{text}");
        self.alarms.latch(HELD_BACK, &text);
    }
}

/// As many of the readings as fit.
fn page(node: &str, readings: &[Numbered], most: usize) -> Option<Page> {
    let last = readings.last()?.seq;
    let payload = json(&History { node: node.into(), readings: readings.iter().map(recorded).collect() });
    if payload.len() > LARGEST && readings.len() > 1 {
        return page(node, &readings[..readings.len() / 2], 0);
    }
    Some(Page { payload, last, readings: readings.len(), is_full: readings.len() >= most })
}

fn recorded(Numbered { seq, channel, unit, time, sample }: &Numbered) -> Recorded<'_> {
    Recorded::new(*seq, channel, *time, unit, sample)
}
