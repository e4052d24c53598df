//! The store's task: takes readings off the bus and has them written. Never blocks, and never waits for the disk.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{self, MissedTickBehavior};
use tracing::error;

use super::{Config, Store, StoreError, health};
use crate::alarms::Alarms;
use crate::bus::Tap;
use crate::model::Monotonic;

/// How often the supervisor hears of it when nothing happens.
const BEAT: Duration = Duration::from_secs(5);

/// A transaction that takes longer is an alarm; SD cards do pause for seconds.
const HANGS: Duration = Duration::from_secs(30);

/// For so long the first event waits for others before all go to the fresh tier: sensors that tick together are one transaction.
const GATHERED: Duration = Duration::from_millis(25);

/// So much waits for the disk at most, if there is a disk; then it does not wait for the flush.
const PLENTY: usize = 25_000;

/// Writes what comes through the tap every `flush`, or as soon as the tap has filled, until `stop`; then writes the rest. If there
/// is a fresh tier, the tap is to wake at the first event, which goes there with those that come along.
///
/// A failing disk is not an error: there is an alarm, readings wait in the store, oldest dropped first, and are written when
/// it is well. A disk that hangs does not stop the beat. An error means that a writing thread was lost; what waits is kept
/// for the next run.
pub async fn run(
    store: &Store,
    alarms: &Alarms,
    tap: &Tap,
    config: &Config,
    stop: impl Future<Output = ()>,
    beat: impl Fn(),
) -> Result<(), StoreError> {
    // The supervisor does this for alarms of a child's name; these may stand at the broker from an earlier process.
    for alarm in [health::DAMAGED, health::FRESH, health::UNREAD] {
        alarms.forget(alarm);
    }
    store.keeps(config);
    let mut stop = pin!(stop);
    let mut beats = time::interval(BEAT);
    let mut flushes = time::interval(config.flush.max(Duration::from_millis(1)));
    flushes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The disk has one job at a time, and the fresh tier another, which does not wait for a disk that hangs.
    let (mut disk, mut fresh): (Option<Job>, Option<Job>) = (None, None);
    let mut gathered = pin!(time::sleep(Duration::ZERO));
    let (mut gathers, mut ripe, mut due) = (false, false, false);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = beats.tick() => {}
            _ = flushes.tick() => due = true,
            () = store.is_asked() => due = true,
            () = tap.filled(), if !gathers => match store.has_fresh_tier() {
                true => {
                    gathered.as_mut().reset(store.after_now(GATHERED));
                    gathers = true;
                }
                false => due = true,
            },
            () = &mut gathered, if gathers => (gathers, ripe) = (false, true),
            done = finished(&mut disk) => {
                disk = None;
                done.map_err(|error| panicked(store, error))?;
            }
            done = finished(&mut fresh) => {
                fresh = None;
                done.map_err(|error| panicked(store, error))?;
            }
        }
        beat();
        if due || ripe {
            store.collect(tap);
            store.is_collected();
        }
        if ripe && fresh.is_none() {
            ripe = false;
            fresh = Some(Job::begin(store, Store::journal));
        }
        due |= store.has_fresh_tier() && store.waiting() >= PLENTY;
        if disk.is_none() {
            if std::mem::take(&mut due) && store.is_due() {
                disk = Some(Job::begin_on_disk(store, Store::commit));
            } else if store.is_untidy() {
                disk = Some(Job::begin_on_disk(store, Store::tidy));
            }
        }
        store.tell_askers(disk.is_none() && !due);
        let under_way = disk.as_ref().map(|job| store.now().since(job.since));
        store.tell(alarms, under_way.filter(|since| *since >= HANGS));
    }
    for mut job in [disk, fresh] {
        if job.is_some() {
            finished(&mut job).await.map_err(|error| panicked(store, error))?;
        }
    }
    store.collect(tap);
    if store.waiting() > 0 {
        let last = Job::begin_on_disk(store, Store::commit);
        finished(&mut Some(last)).await.map_err(|error| panicked(store, error))?;
    }
    store.let_askers_go();
    match store.waiting() {
        0 => {}
        unwritten => error!("{unwritten} readings could not be written to {} before the stop", store.file().display()),
    }
    Ok(())
}

/// Work on a thread that may block.
struct Job {
    since: Monotonic,
    done: BoxFuture<'static, Result<(), JoinError>>,
}

impl Job {
    fn begin(store: &Store, work: fn(&Store)) -> Self {
        let (since, store) = (store.now(), store.clone());
        Self { since, done: Box::pin(spawn_blocking(move || work(&store))) }
    }

    /// Once the disk takes it.
    fn begin_on_disk(store: &Store, work: fn(&Store)) -> Self {
        let (since, store) = (store.now(), store.clone());
        let done = async move {
            store.ready().await;
            spawn_blocking(move || work(&store)).await
        };
        Self { since, done: Box::pin(done) }
    }
}

/// Waits for the job under way, for ever if there is none.
async fn finished(job: &mut Option<Job>) -> Result<(), JoinError> {
    match job {
        Some(job) => (&mut job.done).await,
        None => std::future::pending().await,
    }
}

fn panicked(store: &Store, error: JoinError) -> StoreError {
    StoreError::Panicked { file: store.file().to_owned(), text: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::RealDisk;
    use super::super::disk::{Disk, Fault, Operation};
    use super::*;
    use crate::bus::Bus;
    use crate::clock::Clock;
    use crate::model::{ChannelId, Quantity, Sample};

    const FLUSH: Duration = Duration::from_secs(10);

    fn config() -> Config {
        Config { flush: FLUSH, ..Config::default() }
    }

    /// Runs the task for as long as `play` lasts, and stops it then.
    async fn with_task(play: impl AsyncFnOnce(&Bus, &dyn Fn() -> u64, &Cell<u32>)) -> u64 {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let (store, last_seq) = open(directory.path(), clock, None);
        let bus = Bus::new(clock, last_seq);
        let alarms = Alarms::new(clock, bus.clone());
        let tap = bus.tap(10_000, 100);
        let beats = Cell::new(0);
        let count = || store.count().unwrap();
        run(&store, &alarms, &tap, &config(), play(&bus, &count, &beats), || beats.set(beats.get() + 1)).await.unwrap();
        store.count().unwrap()
    }

    fn open(directory: &Path, clock: Clock, fresh: Option<&Path>) -> (Store, u64) {
        Store::open(&directory.join("homeostat.db"), fresh, clock, Arc::new(RealDisk)).unwrap()
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

    /// Fails while that is so.
    #[derive(Default)]
    struct BadDisk(AtomicBool);

    impl Disk for BadDisk {
        fn check(&self, _: Operation) -> Result<(), Fault> {
            if self.0.load(Ordering::Relaxed) { Err(Fault::Io) } else { Ok(()) }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_does_not_wait_for_the_flush() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let disk = Arc::new(BadDisk::default());
        let (store, last_seq) = Store::open(&directory.path().join("homeostat.db"), None, clock, disk.clone()).unwrap();
        let bus = Bus::new(clock, last_seq);
        let (alarms, tap, config) = (Alarms::new(clock, bus.clone()), bus.tap(10_000, 100), config());
        let asks = async {
            time::sleep(FLUSH / 2).await;
            publish(&bus, 7);
            let moment = clock.now();
            store.flush().await.unwrap();
            assert_eq!((store.count().unwrap(), clock.now().since(moment)), (7, Duration::ZERO));
            assert_eq!(store.flush().await, Ok(()), "nothing waits");
            disk.0.store(true, Ordering::Relaxed);
            for _ in 0..2 {
                publish(&bus, 1);
                let error = store.flush().await.unwrap_err();
                assert!(error.contains("homeostat.db") && error.contains("wait in memory"), "{error}");
            }
            disk.0.store(false, Ordering::Relaxed);
            time::sleep(FLUSH).await;
            assert_eq!((store.flush().await, store.count().unwrap()), (Ok(()), 9));
        };
        run(&store, &alarms, &tap, &config, asks, || {}).await.unwrap();
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
    async fn after_a_death_between_two_flushes_only_what_came_in_the_last_moment_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let fresh = directory.path().join("fresh.db");
        let clock = Clock::system();
        let (store, last_seq) = open(directory.path(), clock, Some(&fresh));
        let bus = Bus::new(clock, last_seq);
        let (alarms, tap) = (Alarms::new(clock, bus.clone()), bus.tap(10_000, 1));
        let dies = async {
            time::sleep(FLUSH / 2).await;
            for _ in 0..5 {
                publish(&bus, 10);
                time::sleep(FLUSH / 20).await;
            }
            assert_eq!(store.count().unwrap(), 0);
            publish(&bus, 10);
            time::sleep(GATHERED / 2).await;
        };
        let config = config();
        let runs = run(&store, &alarms, &tap, &config, std::future::pending(), || {});
        tokio::select! {
            () = dies => {}
            ended = runs => panic!("{ended:?}"),
        }
        drop(store);
        assert_eq!(open(directory.path(), clock, Some(&fresh)).0.count().unwrap(), 50);
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
