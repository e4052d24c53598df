//! The history as MQTT turns its pages: readings of the store, behind the store's own cursor.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::task::spawn_blocking;

use crate::mqtt::history::{Page, Readings};
use crate::payload::{History, Recorded, json};
use crate::store::{Numbered, Store};

/// No page is larger, whatever the reasons that its readings give: brokers refuse large packets.
const LARGEST: usize = 192 * 1024;

/// The readings of one node's store.
pub(super) struct Stored {
    pub store: Store,
    pub node: String,
}

impl Readings for Stored {
    fn page(&self, most: usize) -> BoxFuture<'static, Result<Option<Page>, String>> {
        let (store, node) = (self.store.clone(), self.node.clone());
        let read = spawn_blocking(move || {
            let readings = store.after(store.cursor(), most).map_err(|error| error.to_string())?;
            Ok(page(&node, &readings, most))
        });
        read.map(|page| page.unwrap_or_else(|panic| Err(panic.to_string()))).boxed()
    }

    fn acknowledged(&self, last: u64) {
        self.store.acknowledged(last);
    }
}

/// As many of the readings as fit.
fn page(node: &str, readings: &[Numbered], most: usize) -> Option<Page> {
    let last = readings.last()?.seq;
    let payload = json(&History { node: node.into(), readings: readings.iter().map(recorded).collect() });
    if payload.len() > LARGEST && readings.len() > 1 {
        return page(node, &readings[..readings.len() / 2], 0);
    }
    Some(Page { payload, last, is_full: readings.len() >= most })
}

fn recorded(Numbered { seq, channel, unit, time, sample }: &Numbered) -> Recorded<'_> {
    Recorded::new(*seq, channel, *time, unit, sample)
}
