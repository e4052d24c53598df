//! The bank reads back what it left on the pins: what another program or a stray wire has moved is set back and told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;

use super::WriteError;
use super::slot::{DEADLINE, Doubt, Slot};
use super::table::Table;
use crate::hardware::lane::{Lane, LaneError};
use crate::panics::locked;

/// Reads every pin that can be read, with one job in each lane. What is not as it was left is unknown afterwards.
pub(super) async fn verify(table: &Arc<Mutex<Table>>) {
    let mut lanes: BTreeMap<Arc<str>, (Lane, Vec<Arc<Slot>>)> = BTreeMap::new();
    for entry in locked(table).entries.values() {
        let lane = &entry.slot.way.lane;
        let (_, slots) = lanes.entry(lane.name().clone()).or_insert_with(|| (lane.clone(), Vec::new()));
        slots.push(entry.slot.clone());
    }
    join_all(lanes.into_values().map(|(lane, slots)| read_lane(table, lane, slots.into()))).await;
}

async fn read_lane(table: &Arc<Mutex<Table>>, lane: Lane, slots: Arc<[Arc<Slot>]>) {
    let (who, begun): (Arc<str>, _) = ("the bank, which reads pins back".into(), Arc::new(AtomicUsize::new(0)));
    while begun.load(Ordering::Relaxed) < slots.len() {
        let (shared, rest, count) = (table.clone(), slots.clone(), begun.clone());
        let job = move || {
            for slot in rest.iter().skip(count.load(Ordering::Relaxed)) {
                count.fetch_add(1, Ordering::Relaxed);
                read_back(&shared, slot);
            }
        };
        match lane.run(&who, DEADLINE, job).await {
            Ok(()) => return,
            Err(error @ LaneError::Panicked(_)) => {
                // The others of this lane are read all the same.
                let Some(slot) = slots.get(begun.load(Ordering::Relaxed).saturating_sub(1)) else { return };
                locked(table).failed(slot.key, slot.safe, &WriteError::from(error));
            }
            // A lane that hangs is the trouble of whoever writes to it.
            Err(_) => return,
        }
    }
}

fn read_back(table: &Mutex<Table>, slot: &Slot) {
    let mut place = locked(&slot.line);
    let Some(left) = locked(table).entries.get(&slot.key).and_then(|entry| entry.pin.level()) else { return };
    let Some(taken) = place.take() else { return };
    let doubt = Doubt { table, key: slot.key };
    let (kept, found) = taken.read_back();
    *place = kept;
    std::mem::forget(doubt);
    let mut table = locked(table);
    match found {
        Ok(found) => {
            if let Some(entry) = table.entries.get_mut(&slot.key) {
                entry.trouble.heard();
            }
            if let Some(found) = found {
                table.found(slot.key, left, found);
            }
        }
        Err(error) => {
            let error = WriteError::from(error);
            if let Some(entry) = table.entries.get_mut(&slot.key) {
                entry.doubt();
                entry.trouble.unheard(left, &error);
            }
            table.failed(slot.key, left, &error);
        }
    }
}
