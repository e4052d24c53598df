//! Port expanders without a latch that can be read: what was written last, shared by all outputs on one chip.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::panics::locked;

/// The bits that were written last to one chip; `None` before the first write. The lane of the bus keeps users apart, so to read,
/// change and write it is one step.
pub type Latch = Arc<Mutex<Option<u16>>>;

/// The latches of a board, by bus and address.
#[derive(Debug, Default)]
pub struct Latches(Mutex<HashMap<(u8, u8), Latch>>);

impl Latches {
    /// That of one chip; all who ask get the same.
    pub fn get(&self, bus: u8, address: u8) -> Latch {
        locked(&self.0).entry((bus, address)).or_default().clone()
    }
}
