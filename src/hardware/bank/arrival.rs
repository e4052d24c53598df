//! What moves by itself after a write, such as a stepper: it is asked in its lane whether it is there yet, where that matters. That is
//! at the end of the process, which would stop it where it is, and before its line is dropped.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::slot::{Doubt, Slot};
use super::table::{Key, Table};
use super::{Errors, WriteError};
use crate::panics::locked;

/// Between two looks at what is on its way.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until an output that was written safe is there, or has no chance of it: until it is not to be written again, `written`, and is
/// not safe. Whoever waits sets the bound.
pub(super) async fn wait(
    table: &Arc<Mutex<Table>>,
    slot: &Arc<Slot>,
    mut written: watch::Receiver<bool>,
    errors: &Errors,
) {
    loop {
        let is_over = *written.borrow();
        if let Err(error) = ask(table, slot.key).await {
            locked(errors).insert(slot.key, error);
        }
        let (safe, moves) = locked(table)
            .entries
            .get(&slot.key)
            .map_or((true, false), |entry| (entry.pin.is_at(slot.safe), entry.moves()));
        match (safe, is_over) {
            (true, _) if !moves => return,
            (false, true) => return,
            (true, true) => sleep(LOOK).await,
            // Whichever comes first.
            (_, false) => drop(timeout(LOOK, written.changed()).await),
        }
    }
}

/// Looks whether one that was written is there by now. What is wrong with it stands in the table.
pub(super) async fn look(table: &Arc<Mutex<Table>>, key: Key) {
    let _ = ask(table, key).await;
}

/// Asks one that moves. All others are not disturbed.
async fn ask(table: &Arc<Mutex<Table>>, key: Key) -> Result<(), WriteError> {
    let moving = locked(table).entries.get(&key).filter(|entry| entry.moves()).map(|entry| entry.slot.clone());
    let Some(slot) = moving else { return Ok(()) };
    let (shared, it) = (table.clone(), slot.clone());
    slot.way.lane.run(&slot.who, slot.way.deadline, move || ask_line(&shared, &it)).await?
}

/// Runs in the lane.
fn ask_line(table: &Mutex<Table>, slot: &Slot) -> Result<(), WriteError> {
    let mut place = locked(&slot.line);
    let Some(taken) = place.take() else { return Ok(()) };
    let doubt = Doubt { table, key: slot.key };
    let (kept, left) = taken.under_way();
    *place = kept;
    std::mem::forget(doubt);
    let mut table = locked(table);
    let Some(entry) = table.entries.get_mut(&slot.key) else { return Ok(()) };
    match left {
        Ok(left) => {
            entry.under_way = left;
            Ok(())
        }
        Err(error) => {
            entry.doubt();
            let error = WriteError::from(error);
            table.failed(slot.key, slot.safe, &error);
            Err(error)
        }
    }
}
