//! Every reading, in the order of their numbers, page by page under `history`: read back from where they are stored, and behind
//! a cursor that moves when the broker has acknowledged a page, and not before.
//!
//! One page is on its way at a time, so pages arrive in order. After an outage the backlog drains at a bounded rate, and live
//! values go before every page. What was on its way when a connection broke is sent again: readers drop what they have by
//! node and number.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{self, Sleep};

use super::portion::Next;

/// Readings on a page: some 60 kB of JSON.
pub(super) const MOST: usize = 500;
/// Between two pages of a backlog. With this at most 5,000 readings leave in a second.
const BREATH: Duration = Duration::from_millis(100);
/// Between two pages when there is no backlog.
const EVERY: Duration = Duration::from_secs(5);
/// After the readings could not be read.
const RETRY: Duration = Duration::from_secs(30);

/// A part of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// As it is published.
    pub payload: Vec<u8>,
    /// The number of its last reading.
    pub last: u64,
    /// How many there are on it.
    pub readings: usize,
    /// Whether there was no room for more.
    pub is_full: bool,
}

/// Where readings are kept, and until when they were acknowledged.
pub trait Readings: Send + Sync {
    /// What follows on the cursor, at most `most` readings; `None` if there is nothing yet.
    fn page(&self, most: usize) -> BoxFuture<'static, Result<Option<Page>, String>>;

    /// A page without readings.
    fn empty_page(&self) -> Page;

    /// The broker has everything up to this number.
    fn acknowledged(&self, last: u64);

    /// The broker never takes the reading of this number, and whoever waits for it is to hear of that. The cursor goes past it.
    fn held_back(&self, number: u64);
}

/// Turns the pages, for as long as a connection lasts.
pub(super) struct Pages {
    pause: Pin<Box<Sleep>>,
    reading: Option<BoxFuture<'static, Result<Option<Page>, String>>>,
}

impl Pages {
    pub(super) fn new() -> Self {
        Self { pause: Box::pin(time::sleep(Duration::ZERO)), reading: None }
    }

    /// The broker did not want the last one: the next one is the same, and comes later.
    pub(super) fn wait(&mut self) {
        self.pause = Box::pin(time::sleep(RETRY));
    }

    /// The same, but a smaller one may be wanted.
    pub(super) fn hurry(&mut self) {
        self.pause = Box::pin(time::sleep(BREATH));
    }

    /// The next page, when it is due and if there is one. Cancelling it loses nothing.
    pub(super) async fn next(&mut self, readings: Option<&dyn Readings>, next: Next) -> Result<Page, String> {
        let Some(readings) = readings else { return pending().await };
        loop {
            let reading = match &mut self.reading {
                Some(reading) => reading,
                None => {
                    self.pause.as_mut().await;
                    let Next::Readings(most) = next else { return Ok(readings.empty_page()) };
                    self.reading.insert(readings.page(most))
                }
            };
            let page = reading.await;
            self.reading = None;
            let pause = match &page {
                Err(_) => RETRY,
                Ok(Some(page)) if page.is_full => BREATH,
                Ok(_) => EVERY,
            };
            self.pause = Box::pin(time::sleep(pause));
            match page {
                Ok(None) => {}
                Ok(Some(page)) => return Ok(page),
                Err(error) => return Err(error),
            }
        }
    }
}
