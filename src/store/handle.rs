//! The store as others hold it: what waits in memory, the writer, and what to do when the disk fails.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tracing::{error, info, warn};

use super::StoreError;
use super::query::{self, Stored};
use super::writer::Writer;
use crate::bus::Tap;
use crate::message::Event;
use crate::model::{ChannelId, Reading};
use crate::panics::locked;

/// How many readings wait for a disk that fails: some 15 MB, or 2.8 hours of ten readings a second.
const MOST_PENDING: usize = 100_000;

/// The database and what waits for it. All clones are the same store; what waits survives a restart of its task.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    file: PathBuf,
    /// Never locked for longer than it takes to move readings in or out.
    pending: Mutex<VecDeque<Reading>>,
    /// Locked while the disk works, so only ever on the blocking pool. `None` after a failure.
    writer: Mutex<Slot>,
    lost: AtomicU64,
}

struct Slot {
    writer: Option<Writer>,
    /// Whether the last write failed, and how many readings had been lost before that.
    failing: Option<u64>,
}

impl Store {
    /// Opens the database or begins one. Also gives the highest number that a reading may already have.
    /// Blocks; meant for the start, before any actor runs.
    pub fn open(file: &Path) -> Result<(Self, u64), StoreError> {
        let mut writer = Writer::open(file)?;
        let last_seq = writer.reserved();
        writer.reserve_above(last_seq).map_err(|source| StoreError::Sqlite {
            what: "write to",
            file: file.to_owned(),
            source,
        })?;
        let shared = Shared {
            file: file.to_owned(),
            pending: Mutex::default(),
            writer: Mutex::new(Slot { writer: Some(writer), failing: None }),
            lost: AtomicU64::new(0),
        };
        Ok((Self { shared: Arc::new(shared) }, last_seq))
    }

    /// Ends in good order: writes what still waits, and lets the next start go on right after `last_seq`, the bus's last
    /// number. Nothing may be published any more. Blocks. Without it nothing is lost, but the numbers jump.
    pub fn close(&self, last_seq: u64) -> Result<(), StoreError> {
        let mut slot = self.writer();
        self.write_pending(&mut slot)?;
        if let Some(mut writer) = slot.writer.take() {
            writer.set_reserved(last_seq).map_err(|source| self.failed("write to", source))?;
        }
        Ok(())
    }

    /// The database's file.
    pub fn file(&self) -> &Path {
        &self.shared.file
    }

    /// How many readings could not be kept because the disk failed for too long.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// How many readings are on disk. Blocks.
    pub fn count(&self) -> Result<u64, StoreError> {
        query::count(self.file())
    }

    /// All readings of a channel that are on disk, in the order of their numbers. Blocks.
    pub fn readings(&self, channel: &ChannelId) -> Result<Vec<Stored>, StoreError> {
        query::readings(self.file(), channel)
    }

    /// Moves the readings that wait in the tap to those that wait for the disk. Never blocks.
    pub(super) fn collect(&self, tap: &Tap) {
        let mut events = Vec::new();
        tap.drain(&mut events);
        let mut pending = self.pending();
        let readings = events.into_iter().filter_map(|event| match event {
            Event::Reading(reading) => Some(reading),
            _ => None,
        });
        pending.extend(readings);
        let excess = pending.len().saturating_sub(MOST_PENDING);
        pending.drain(..excess);
        self.shared.lost.fetch_add(excess as u64, Ordering::Relaxed);
    }

    /// How many readings wait for the disk.
    pub fn waiting(&self) -> usize {
        self.pending().len()
    }

    /// Writes everything that waits, in one transaction. A failure is logged once, and the readings wait on. Blocks.
    pub(super) fn commit(&self) {
        let mut slot = self.writer();
        let written = self.write_pending(&mut slot);
        match (written, slot.failing) {
            (Err(error), None) => {
                error!(
                    "{error}; readings wait in memory, at most {MOST_PENDING} of them, and it is tried again at every flush"
                );
                slot.failing = Some(self.lost());
            }
            (Ok(()), Some(lost_before)) => {
                match self.lost() - lost_before {
                    0 => info!("{} can be written to again; no reading was lost", self.file().display()),
                    lost => warn!("{} can be written to again; {lost} readings were lost", self.file().display()),
                }
                slot.failing = None;
            }
            (Ok(()), None) | (Err(_), Some(_)) => {}
        }
    }

    fn write_pending(&self, slot: &mut Slot) -> Result<(), StoreError> {
        // They stay where they are until they are on disk, so that neither an error nor a panic loses one.
        let batch: Vec<Reading> = self.pending().iter().cloned().collect();
        let Some(newest) = batch.last().map(|reading| reading.seq) else { return Ok(()) };
        let mut writer = match slot.writer.take() {
            Some(writer) => writer,
            None => Writer::open(self.file())?,
        };
        writer.write(&batch).map_err(|source| self.failed("write to", source))?;
        slot.writer = Some(writer);
        let mut pending = self.pending();
        while pending.front().is_some_and(|reading| reading.seq <= newest) {
            pending.pop_front();
        }
        Ok(())
    }

    fn failed(&self, what: &'static str, source: rusqlite::Error) -> StoreError {
        StoreError::Sqlite { what, file: self.shared.file.clone(), source }
    }

    fn pending(&self) -> MutexGuard<'_, VecDeque<Reading>> {
        locked(&self.shared.pending)
    }

    fn writer(&self) -> MutexGuard<'_, Slot> {
        // A panic has taken the writer out of its slot, so the next one opens the file afresh.
        locked(&self.shared.writer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusqlite::Connection;

    use super::*;
    use crate::bus::Bus;
    use crate::clock::Clock;
    use crate::model::{Quantity, Sample, Timestamp};

    struct Rig {
        directory: tempfile::TempDir,
        bus: Bus,
        tap: Tap,
        store: Store,
        air: ChannelId,
    }

    impl Rig {
        fn new() -> Self {
            Self::again(tempfile::tempdir().unwrap())
        }

        /// The next start on the same disk.
        fn again(directory: tempfile::TempDir) -> Self {
            let (store, last_seq) = Store::open(&directory.path().join("homeostat.db")).unwrap();
            let bus = Bus::new(Clock::simulated(Timestamp::from_millis(1_795_250_000_001)), last_seq);
            let tap = bus.tap(1_000_000, 1_000_000);
            Self { directory, bus, tap, store, air: ChannelId::parse("air.temperature").unwrap() }
        }

        fn publish(&self, sample: Sample) -> u64 {
            self.bus.publish(&self.air, Quantity::Temperature, sample)
        }

        fn write(&self) {
            self.store.collect(&self.tap);
            self.store.commit();
        }

        fn stored(&self) -> Vec<u64> {
            self.store.readings(&self.air).unwrap().iter().map(|stored| stored.seq).collect()
        }

        /// What happens on a full disk: no row can be added.
        fn fill_disk(&self) {
            self.sql("CREATE TRIGGER full BEFORE INSERT ON readings BEGIN SELECT RAISE(ABORT, 'full'); END");
        }

        fn sql(&self, sql: &str) {
            Connection::open(self.store.file()).unwrap().execute_batch(sql).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn readings_come_back_as_they_were_and_any_tool_can_read_them() {
        let rig = Rig::new();
        rig.publish(Sample::Good(21.5));
        tokio::time::advance(Duration::from_millis(998)).await;
        rig.publish(Sample::Uncertain(80.0, "it jumped".into()));
        rig.publish(Sample::Bad("unplugged".into()));
        rig.publish(Sample::Bad("unplugged".into()));
        rig.publish(Sample::Bad("bus hung".into()));
        rig.write();

        let db = Connection::open(rig.store.file()).unwrap();
        let mut select = db
            .prepare(
                "SELECT concat_ws(' ', time, channel, value, unit, quality, reason, seq) FROM history ORDER BY seq",
            )
            .unwrap();
        let rows: Vec<String> = select.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(
            rows,
            [
                "2026-11-21T08:33:20.001Z air.temperature 21.5 °C good 1",
                "2026-11-21T08:33:20.999Z air.temperature 80.0 °C uncertain it jumped 2",
                "2026-11-21T08:33:20.999Z air.temperature °C bad unplugged 3",
                "2026-11-21T08:33:20.999Z air.temperature °C bad 4",
                "2026-11-21T08:33:20.999Z air.temperature °C bad bus hung 5",
            ]
        );
        let stored = rig.store.readings(&rig.air).unwrap();
        assert_eq!(stored[0].time, Timestamp::from_millis(1_795_250_000_001));
        assert_eq!((stored[2].value, stored[2].quality.as_str()), (None, "bad"));
        assert_eq!(rig.store.count().unwrap(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_number_that_was_given_out_is_never_given_out_again() {
        let mut given = Vec::new();
        let mut directory = tempfile::tempdir().unwrap();
        for crash in 0..5 {
            let rig = Rig::again(directory);
            given.push(rig.publish(Sample::Good(1.0)));
            if crash % 2 == 0 {
                rig.write();
            }
            // Published, and never written: the process dies here.
            given.push(rig.publish(Sample::Good(2.0)));
            directory = rig.directory;
        }
        assert!(given.is_sorted_by(|earlier, later| earlier < later), "{given:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn numbers_are_reserved_before_they_can_be_given_out() {
        let mut rig = Rig::new();
        let half_a_block = rig.bus.last_seq() + 600_000;
        rig.bus = Bus::new(Clock::system(), half_a_block);
        rig.tap = rig.bus.tap(10, 10);
        rig.publish(Sample::Good(1.0));
        rig.write();
        let again = Rig::again(rig.directory);
        assert!(again.bus.last_seq() > half_a_block + 500_000, "{}", again.bus.last_seq());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_close_the_numbers_go_on_without_a_gap() {
        let rig = Rig::new();
        rig.publish(Sample::Good(1.0));
        let last = rig.publish(Sample::Good(2.0));
        rig.store.collect(&rig.tap);
        rig.store.close(rig.bus.last_seq()).unwrap();
        assert_eq!(rig.stored(), [1, 2]);
        assert_eq!(Rig::again(rig.directory).publish(Sample::Good(3.0)), last + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn readings_wait_for_a_disk_that_fails() {
        let rig = Rig::new();
        rig.publish(Sample::Good(1.0));
        rig.write();
        rig.fill_disk();
        rig.publish(Sample::Good(2.0));
        rig.write();
        rig.publish(Sample::Good(3.0));
        rig.write();
        assert_eq!(rig.stored(), [1]);
        rig.sql("DROP TRIGGER full");
        rig.write();
        assert_eq!(rig.stored(), [1, 2, 3]);
        assert_eq!((rig.store.lost(), rig.store.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_the_disk_is_bounded_and_what_is_lost_is_counted() {
        let rig = Rig::new();
        rig.fill_disk();
        for value in 0..MOST_PENDING + 7 {
            rig.publish(Sample::Good(value as f64));
        }
        rig.write();
        assert_eq!((rig.store.lost(), rig.store.waiting()), (7, MOST_PENDING));
        rig.sql("DROP TRIGGER full");
        rig.write();
        assert_eq!(rig.stored().first(), Some(&8));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_that_is_there_already_is_not_changed() {
        let rig = Rig::new();
        rig.publish(Sample::Good(1.0));
        rig.store.collect(&rig.tap);
        let batch: Vec<Reading> = rig.store.pending().iter().cloned().collect();
        rig.store.commit();
        rig.store.pending().extend(batch);
        rig.store.commit();
        assert_eq!(rig.stored(), [1]);
    }
}
