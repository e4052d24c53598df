//! The store's task: takes readings off the bus and has them written. Never blocks, and never waits for the disk.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{self, MissedTickBehavior};
use tracing::error;

use super::{Store, StoreError, health};
use crate::alarms::Alarms;
use crate::bus::Tap;
use crate::model::Monotonic;

/// How often the supervisor hears of it when nothing happens.
const BEAT: Duration = Duration::from_secs(5);

/// A transaction that takes longer is an alarm; SD cards do pause for seconds.
const HANGS: Duration = Duration::from_secs(30);

/// Writes what comes through the tap every `flush`, or as soon as the tap has filled, until `stop`; then writes the rest.
///
/// A failing disk is not an error: there is an alarm, readings wait in the store, oldest dropped first, and are written when
/// it is well. A disk that hangs does not stop the beat. An error means that the writing thread was lost; what waits is kept
/// for the next run.
pub async fn run(
    store: &Store,
    alarms: &Alarms,
    tap: &Tap,
    flush: Duration,
    stop: impl Future<Output = ()>,
    beat: impl Fn(),
) -> Result<(), StoreError> {
    // The supervisor does this for alarms of a child's name; this one may stand at the broker from an earlier process.
    alarms.forget(health::DAMAGED);
    let mut stop = pin!(stop);
    let mut beats = time::interval(BEAT);
    let mut flushes = time::interval(flush.max(Duration::from_millis(1)));
    flushes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut commit: Option<Commit> = None;
    let mut due = false;
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = beats.tick() => {}
            _ = flushes.tick() => due = true,
            () = tap.filled() => due = true,
            done = finished(&mut commit) => {
                commit = None;
                done.map_err(|error| panicked(store, error))?;
            }
        }
        beat();
        if due {
            store.collect(tap);
        }
        if due && commit.is_none() {
            due = false;
            commit = store.is_due().then(|| Commit::begin(store));
        }
        let under_way = commit.as_ref().map(|commit| store.now().since(commit.since));
        store.tell(alarms, under_way.filter(|since| *since >= HANGS));
    }
    if commit.is_some() {
        finished(&mut commit).await.map_err(|error| panicked(store, error))?;
    }
    store.collect(tap);
    if store.waiting() > 0 {
        finished(&mut Some(Commit::begin(store))).await.map_err(|error| panicked(store, error))?;
    }
    match store.waiting() {
        0 => {}
        unwritten => error!("{unwritten} readings could not be written to {} before the stop", store.file().display()),
    }
    Ok(())
}

/// A transaction under way.
struct Commit {
    since: Monotonic,
    done: BoxFuture<'static, Result<(), JoinError>>,
}

impl Commit {
    fn begin(store: &Store) -> Self {
        let (since, store) = (store.now(), store.clone());
        let done = async move {
            store.ready().await;
            spawn_blocking(move || store.commit()).await
        };
        Self { since, done: Box::pin(done) }
    }
}

/// Waits for the commit under way, for ever if there is none.
async fn finished(commit: &mut Option<Commit>) -> Result<(), JoinError> {
    match commit {
        Some(commit) => (&mut commit.done).await,
        None => std::future::pending().await,
    }
}

fn panicked(store: &Store, error: JoinError) -> StoreError {
    StoreError::Panicked { file: store.file().to_owned(), text: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::super::RealDisk;
    use super::*;
    use crate::bus::Bus;
    use crate::clock::Clock;
    use crate::model::{ChannelId, Quantity, Sample};

    const FLUSH: Duration = Duration::from_secs(10);

    /// Runs the task for as long as `play` lasts, and stops it then.
    async fn with_task(play: impl AsyncFnOnce(&Bus, &dyn Fn() -> u64, &Cell<u32>)) -> u64 {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let (store, last_seq) = Store::open(&directory.path().join("homeostat.db"), clock, Arc::new(RealDisk)).unwrap();
        let bus = Bus::new(clock, last_seq);
        let alarms = Alarms::new(clock, bus.clone());
        let tap = bus.tap(10_000, 100);
        let beats = Cell::new(0);
        let count = || store.count().unwrap();
        run(&store, &alarms, &tap, FLUSH, play(&bus, &count, &beats), || beats.set(beats.get() + 1)).await.unwrap();
        store.count().unwrap()
    }

    fn publish(bus: &Bus, readings: usize) {
        let channel = ChannelId::parse("air.temperature").unwrap();
        for _ in 0..readings {
            bus.publish(&channel, Quantity::Temperature, Sample::Good(20.0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn readings_are_written_together_at_the_flush() {
        with_task(async |bus, count, _| {
            time::sleep(FLUSH / 2).await;
            publish(bus, 7);
            time::sleep(FLUSH / 4).await;
            assert_eq!(count(), 0);
            time::sleep(FLUSH / 2).await;
            assert_eq!(count(), 7);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_tap_does_not_wait_for_the_flush() {
        with_task(async |bus, count, _| {
            time::sleep(FLUSH / 2).await;
            publish(bus, 100);
            time::sleep(Duration::from_millis(1)).await;
            assert_eq!(count(), 100);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_the_tap_at_the_stop_is_written() {
        let count = with_task(async |bus, _, _| {
            time::sleep(FLUSH / 2).await;
            publish(bus, 99);
        });
        assert_eq!(count.await, 99);
    }

    #[tokio::test(start_paused = true)]
    async fn it_beats_also_when_there_is_nothing_to_do() {
        with_task(async |_, _, beats| {
            time::sleep(Duration::from_secs(1)).await;
            let before = beats.get();
            time::sleep(BEAT).await;
            assert!(beats.get() > before);
        })
        .await;
    }
}
