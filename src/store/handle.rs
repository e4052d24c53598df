//! The store as others hold it: what waits in memory, the writer, and what to do when the disk fails or the file is damaged.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tracing::{error, info, warn};

use super::disk::{Disk, Operation};
use super::health::Health;
use super::pending::{Entry, MOST, Pending};
use super::query::{self, Stored};
use super::writer::{BLOCK, Writer};
use super::{StoreError, aside, numbers, schema};
use crate::alarms::Alarms;
use crate::bus::Tap;
use crate::clock::Clock;
use crate::message::Alarm;
use crate::model::{ChannelId, Monotonic};
use crate::panics::locked;

/// The database and what waits for it. All clones are the same store; what waits survives a restart of its task.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    file: PathBuf,
    clock: Clock,
    disk: Arc<dyn Disk>,
    /// Never locked for longer than it takes to move readings in or out.
    pending: Mutex<Pending>,
    /// Locked while the disk works, so only ever where it may block.
    slot: Mutex<Slot>,
    /// Never locked while the disk works.
    health: Mutex<Health>,
    lost: AtomicU64,
    /// What the tap had no room for.
    unheard: AtomicU64,
    /// Counts the files that were begun, so that a reader who finds one damaged does not blame the next.
    generation: AtomicU64,
    /// The generation that a reader found damaged, plus one.
    suspect: AtomicU64,
}

/// After a panic in the midst of a write, the next one opens the file afresh.
struct Slot {
    /// `None` after a failure.
    writer: Option<Writer>,
    /// The highest number that is known to have been given out.
    given: u64,
    /// Whether our numbers do not come from the database, because it was not there at the start.
    strange: bool,
    /// What had been reserved in it when it came. Not to be undone by us.
    others: u64,
}

impl Store {
    /// Opens the database or begins one. Also gives the highest number that a reading may already have. A damaged file is put
    /// aside; without a disk readings wait for one. Blocks; meant for the start, before any actor runs.
    ///
    /// # Errors
    /// Only if the place is not ours to write to ([`StoreError::is_refusal`]).
    pub fn open(file: &Path, clock: Clock, disk: Arc<dyn Disk>) -> Result<(Self, u64), StoreError> {
        let shared = Shared {
            file: file.to_owned(),
            clock,
            disk,
            pending: Mutex::default(),
            slot: Mutex::new(Slot { writer: None, given: 0, strange: false, others: 0 }),
            health: Mutex::default(),
            lost: AtomicU64::new(0),
            unheard: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            suspect: AtomicU64::new(0),
        };
        let store = Self { shared: Arc::new(shared) };
        let from_time = numbers::from_time(clock.wall(), file);
        // It may be damaged, or about to be replaced: two blocks cover a reservation that is lost with the log.
        let salvage = || schema::salvage_reserved(file).map_or(from_time, |reserved| reserved + 2 * BLOCK);
        let mut slot = store.slot();
        let begun = match store.begin(&mut slot, None) {
            Err(error) if error.is_damage() => {
                let above = salvage();
                store.put_aside(&mut slot, &error).and_then(|()| store.begin(&mut slot, Some(above)))
            }
            other => other,
        };
        match begun {
            Ok(()) => {}
            Err(error) if error.is_refusal() => return Err(error),
            Err(error) => {
                // Nothing can be reserved, so numbers come from where they need not be.
                slot.given = schema::salvage_reserved(file).map_or(from_time, |reserved| reserved.max(from_time));
                slot.strange = true;
                store.failed(&error);
            }
        }
        let given = slot.given;
        drop(slot);
        Ok((store, given))
    }

    /// Opens the file for the first time. Numbers go on above `above`, or above what is reserved in it.
    fn begin(&self, slot: &mut Slot, above: Option<u64>) -> Result<(), StoreError> {
        // It may be new only because a power cut has emptied it, or came when the one before it had just been put aside.
        let was_there = self.file().exists() || aside::any(self.file());
        let mut writer = self.open_writer()?;
        let above = match (above, writer.reserved()) {
            (Some(above), _) => above,
            (None, 0) if was_there => numbers::from_time(self.shared.clock.wall(), self.file()),
            (None, reserved) => reserved,
        };
        writer.reserve_above(above).map_err(|source| self.sqlite("write to", source))?;
        slot.given = above;
        slot.writer = Some(writer);
        Ok(())
    }

    /// Ends in good order: writes what still waits, and lets the next start go on right after `last_seq`, the bus's last
    /// number. Nothing may be published any more. Blocks. Without it nothing is lost, but the numbers jump.
    pub fn close(&self, last_seq: u64) -> Result<(), StoreError> {
        let mut slot = self.slot();
        self.write_pending(&mut slot)?;
        let last = last_seq.max(slot.others);
        if let Some(mut writer) = slot.writer.take() {
            writer.set_reserved(last).map_err(|source| self.sqlite("write to", source))?;
        }
        Ok(())
    }

    /// The database's file.
    pub fn file(&self) -> &Path {
        &self.shared.file
    }

    /// How many readings and alarms could not be kept, because the disk failed for too long or nobody took them off the bus.
    /// The latter also counts what would not have been kept, so it is at most so many.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed) + self.shared.unheard.load(Ordering::Relaxed)
    }

    /// How many readings are on disk. Blocks.
    pub fn count(&self) -> Result<u64, StoreError> {
        self.read(query::count)
    }

    /// All readings of a channel that are on disk, in the order of their numbers. Blocks.
    pub fn readings(&self, channel: &ChannelId) -> Result<Vec<Stored>, StoreError> {
        self.read(|file| query::readings(file, channel))
    }

    /// The newest `most` changes of alarms that are on disk, oldest first. Blocks.
    pub fn alarms(&self, most: u32) -> Result<Vec<Alarm>, StoreError> {
        self.read(|file| query::alarms(file, most))
    }

    /// A file that cannot be read because it is damaged is put aside at the next flush.
    fn read<T>(&self, question: impl FnOnce(&Path) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let generation = self.shared.generation.load(Ordering::Acquire);
        let answer = question(self.file());
        if answer.as_ref().is_err_and(StoreError::is_damage) {
            self.shared.suspect.store(generation + 1, Ordering::Release);
        }
        answer
    }

    /// Moves what waits in the tap to what waits for the disk. Never blocks.
    pub fn collect(&self, tap: &Tap) {
        let mut events = Vec::new();
        tap.drain(&mut events);
        let lost = self.pending().add(events.into_iter().filter_map(Entry::of));
        self.shared.lost.fetch_add(lost, Ordering::Relaxed);
        self.shared.unheard.store(tap.dropped(), Ordering::Relaxed);
    }

    /// How many readings and alarms wait for the disk.
    pub fn waiting(&self) -> usize {
        self.pending().len()
    }

    /// Whether there is something to do on the disk, and it is worth a try.
    pub(super) fn is_due(&self) -> bool {
        let health = self.health();
        let wanted = health.is_failing() || self.is_suspect() || self.waiting() > 0;
        wanted && health.may_try(self.shared.clock.now())
    }

    pub(super) fn now(&self) -> Monotonic {
        self.shared.clock.now()
    }

    /// Ends when the disk takes a transaction.
    pub(super) fn ready(&self) -> BoxFuture<'static, ()> {
        self.shared.disk.ready()
    }

    /// Has the alarms say how it stands. `hangs`: for how long a write has been under way, if that is too long.
    pub(super) fn tell(&self, alarms: &Alarms, hangs: Option<Duration>) {
        self.health().tell(alarms, hangs);
    }

    /// Writes everything that waits, in one transaction. A failure is logged once, and the readings wait on. Blocks.
    pub(super) fn commit(&self) {
        let written = self.write_pending(&mut self.slot());
        match written {
            Err(error) => self.failed(&error),
            Ok(()) => match self.health().well(self.lost()) {
                Some(0) => info!("{} can be written to again; no reading was lost", self.file().display()),
                Some(lost) => warn!("{} can be written to again; {lost} readings were lost", self.file().display()),
                None => {}
            },
        }
    }

    fn failed(&self, error: &StoreError) {
        let text = format!("{error}; readings wait in memory, at most {MOST} of them, and it is tried again");
        if self.health().failed(text.as_str().into(), self.shared.clock.now(), self.lost()) {
            error!("{text}");
        }
    }

    fn write_pending(&self, slot: &mut Slot) -> Result<(), StoreError> {
        let found = if self.is_suspect() {
            Err(StoreError::Damaged { file: self.file().to_owned(), what: "it cannot be read".into() })
        } else {
            self.try_write(slot)
        };
        match found {
            Err(error) if error.is_damage() => {
                self.put_aside(slot, &error)?;
                self.try_write(slot)
            }
            other => other,
        }
    }

    fn try_write(&self, slot: &mut Slot) -> Result<(), StoreError> {
        let (batch, end) = self.pending().batch();
        slot.given = batch.iter().filter_map(Entry::seq).fold(slot.given, u64::max);
        let mut writer = match slot.writer.take() {
            Some(writer) => writer,
            None => {
                let writer = self.open_writer()?;
                if std::mem::take(&mut slot.strange) {
                    slot.others = writer.reserved();
                }
                writer
            }
        };
        writer.write(&batch, slot.given).map_err(|source| self.sqlite("write to", source))?;
        slot.writer = Some(writer);
        self.pending().written(end);
        Ok(())
    }

    /// Renames the damaged file, so that a new one is begun.
    fn put_aside(&self, slot: &mut Slot, error: &StoreError) -> Result<(), StoreError> {
        // Closed before it is renamed.
        slot.writer = None;
        let renamed = match self.shared.disk.check(Operation::PutAside) {
            Ok(()) => aside::put(self.file(), self.shared.clock.wall()),
            Err(fault) => Err(fault.into()),
        };
        let aside = renamed.map_err(|source| StoreError::PutAside { file: self.file().to_owned(), source })?;
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
        let aside = aside.display();
        let text = format!(
            "{error}. It has been put aside as {aside}, and a new one begun; control was not affected. \
             To salvage what it holds: sqlite3 '{aside}' .recover | sqlite3 salvaged.db"
        );
        error!("{text}");
        self.health().put_aside(text);
        Ok(())
    }

    fn is_suspect(&self) -> bool {
        self.shared.suspect.load(Ordering::Acquire) == self.shared.generation.load(Ordering::Acquire) + 1
    }

    fn open_writer(&self) -> Result<Writer, StoreError> {
        Writer::open(self.file(), self.shared.disk.clone())
    }

    fn sqlite(&self, what: &'static str, source: rusqlite::Error) -> StoreError {
        StoreError::Sqlite { what, file: self.shared.file.clone(), source }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        locked(&self.shared.pending)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        locked(&self.shared.health)
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        locked(&self.shared.slot)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusqlite::Connection;

    use super::*;
    use crate::bus::Bus;
    use crate::model::{Quantity, Sample, Timestamp};
    use crate::store::disk::Fault;

    /// A disk with one fault at a time.
    #[derive(Default)]
    struct BadDisk(Mutex<Option<(Operation, Fault)>>);

    impl Disk for BadDisk {
        fn check(&self, operation: Operation) -> Result<(), Fault> {
            match *self.0.lock().unwrap() {
                Some((fails, fault)) if fails == operation => Err(fault),
                _ => Ok(()),
            }
        }
    }

    struct Rig {
        directory: tempfile::TempDir,
        disk: Arc<BadDisk>,
        clock: Clock,
        bus: Bus,
        tap: Tap,
        alarms: Alarms,
        store: Store,
        air: ChannelId,
    }

    impl Rig {
        fn new() -> Self {
            Self::again(tempfile::tempdir().unwrap())
        }

        /// The next start on the same disk.
        fn again(directory: tempfile::TempDir) -> Self {
            Self::on(directory, Arc::default())
        }

        fn on(directory: tempfile::TempDir, disk: Arc<BadDisk>) -> Self {
            let clock = Clock::simulated(Timestamp::from_millis(1_795_250_000_001));
            let (store, last_seq) = Store::open(&directory.path().join("homeostat.db"), clock, disk.clone()).unwrap();
            let bus = Bus::new(clock, last_seq);
            let tap = bus.tap(1_000_000, 1_000_000);
            let alarms = Alarms::new(clock, bus.clone());
            Self { directory, disk, clock, bus, tap, alarms, store, air: ChannelId::parse("air.temperature").unwrap() }
        }

        fn fails(&self, fault: Option<(Operation, Fault)>) {
            *self.disk.0.lock().unwrap() = fault;
        }

        /// Ends in order, as the daemon does.
        fn close(self) -> tempfile::TempDir {
            self.store.collect(&self.tap);
            self.store.close(self.bus.last_seq()).unwrap();
            self.directory
        }

        /// What of the alarm of that name people are told.
        fn alarm(&self, name: &str) -> Option<String> {
            self.store.tell(&self.alarms, None);
            let standing = self.alarms.standing_now();
            standing.iter().find(|alarm| &*alarm.name == name).and_then(|alarm| alarm.text.as_deref().map(String::from))
        }

        fn put_aside(&self) -> Vec<PathBuf> {
            let files = std::fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path());
            files.filter(|file| file.to_str().unwrap().ends_with('Z')).collect()
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
    async fn readings_wait_for_a_disk_that_fails_and_people_are_told() {
        use Fault::{Full, Io, ReadOnly};
        use Operation::{Commit, Open, Write};
        for (fault, advice) in [
            ((Write, Full), "make room on the disk"),
            ((Commit, Full), "make room on the disk"),
            ((Write, ReadOnly), "not mounted read-only"),
            ((Commit, Io), "look at `dmesg`"),
        ] {
            let rig = Rig::new();
            rig.publish(Sample::Good(1.0));
            rig.write();
            rig.fails(Some(fault));
            rig.publish(Sample::Good(2.0));
            rig.write();
            assert!(rig.alarm("store").is_some_and(|text| text.contains(advice)), "{fault:?}");
            // It is opened again after a failure, and that fails too.
            rig.fails(Some((Open, fault.1)));
            rig.publish(Sample::Good(3.0));
            rig.write();
            assert_eq!(rig.stored(), [1]);
            rig.fails(None);
            rig.write();
            assert_eq!((rig.alarm("store"), rig.alarm("store.damaged")), (None, None), "{fault:?}");
            assert_eq!(rig.stored(), [1, 2, 3]);
            assert_eq!((rig.store.lost(), rig.store.waiting()), (0, 0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_the_disk_is_bounded_and_what_is_lost_is_counted() {
        let rig = Rig::new();
        rig.fails(Some((Operation::Write, Fault::Full)));
        for value in 0..MOST + 7 {
            rig.publish(Sample::Good(value as f64));
        }
        rig.write();
        assert_eq!((rig.store.lost(), rig.store.waiting()), (7, MOST));
        rig.fails(None);
        rig.write();
        assert_eq!(rig.stored().first(), Some(&8));
        // What nobody took off the bus in time is lost too.
        let tap = rig.bus.tap(10, 10);
        for value in 0..15 {
            rig.publish(Sample::Good(f64::from(value)));
        }
        rig.store.collect(&tap);
        assert_eq!(rig.store.lost(), 7 + 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_that_is_there_already_is_not_changed() {
        let rig = Rig::new();
        rig.publish(Sample::Good(1.0));
        rig.store.collect(&rig.tap);
        let (batch, _) = rig.store.pending().batch();
        rig.store.commit();
        rig.store.pending().add(batch.into_iter());
        rig.store.commit();
        assert_eq!(rig.stored(), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn alarms_are_stored_once_for_each_change() {
        let rig = Rig::new();
        rig.alarms.forget("sensors.air");
        rig.alarms.raise("sensors.air", "unplugged");
        rig.alarms.raise("sensors.air", "unplugged");
        rig.write();
        tokio::time::advance(Duration::from_secs(1)).await;
        rig.alarms.acknowledge("sensors.air").unwrap();
        rig.alarms.clear("sensors.air");
        rig.alarms.latch("outputs.heater", "no warmer");
        rig.write();
        let rig = Rig::again(rig.close());
        // At a start everything is said to have gone: news for what stood when the last one ended, and for nothing else.
        rig.alarms.forget("sensors.air");
        rig.alarms.forget("outputs.heater");
        rig.write();
        let db = Connection::open(rig.store.file()).unwrap();
        let mut select = db.prepare("SELECT concat_ws(' ', since, name, state, text) FROM alarm_history").unwrap();
        let rows: Vec<String> = select.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(
            rows,
            [
                "2026-11-21T08:33:20.001Z sensors.air raised unplugged",
                "2026-11-21T08:33:20.001Z sensors.air acknowledged unplugged",
                "2026-11-21T08:33:21.001Z sensors.air gone",
                "2026-11-21T08:33:21.001Z outputs.heater latched no warmer",
                "2026-11-21T08:33:20.001Z outputs.heater gone",
            ]
        );
        let newest = rig.store.alarms(2).unwrap();
        assert_eq!((&*newest[0].name, newest[0].latched, newest[1].text.is_none()), ("outputs.heater", true, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_damaged_while_it_is_written_is_put_aside_and_nothing_is_lost() {
        for operation in [Operation::Write, Operation::Commit, Operation::Reserve] {
            let rig = Rig::new();
            let before = rig.publish(Sample::Good(1.0));
            rig.write();
            // A whole block later, so that numbers are reserved too.
            let bus = Bus::new(rig.clock, before + BLOCK);
            let tap = bus.tap(10, 10);
            let number = bus.publish(&rig.air, Quantity::Temperature, Sample::Good(2.0));
            rig.store.collect(&tap);
            rig.fails(Some((operation, Fault::Damaged)));
            rig.store.commit();
            // The new one fails as well; by then the first has been put aside.
            assert_eq!(rig.put_aside().len(), 1, "{operation:?}");
            rig.fails(None);
            rig.store.commit();
            assert_eq!(rig.stored(), [number]);
            let told = rig.alarm("store.damaged").unwrap();
            assert!(told.contains(".recover") && told.contains(rig.put_aside()[0].to_str().unwrap()), "{told}");
            assert_eq!(query::readings(&rig.put_aside()[0], &rig.air).unwrap().len(), 1);
            let directory = rig.directory;
            assert!(Rig::again(directory).bus.last_seq() > number);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_happened_to_the_file_the_next_start_has_the_data_or_puts_it_aside() {
        type Harm = fn(&Path);
        let harms: [(&str, Harm); 8] = [
            ("the header is zeroed", |file| overwrite(file, 0, &[0; 512])),
            ("the header is noise", |file| overwrite(file, 0, b"something else altogether")),
            ("the first page is noise", |file| overwrite(file, 100, &[0xa5; 3000])),
            ("our mark is gone", |file| overwrite(file, 68, &[0, 0, 0, 9])),
            ("the schema is from far away", |file| overwrite(file, 60, &[0x7f, 0, 0, 0])),
            ("the schema is none", |file| overwrite(file, 60, &[0, 0, 0, 0])),
            ("it is half as long", |file| {
                let length = std::fs::metadata(file).unwrap().len();
                std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(length / 2).unwrap();
            }),
            ("it is empty", |file| {
                std::fs::write(file, "").unwrap();
                std::fs::write(aside::log_of(file), "x".repeat(5000)).unwrap();
            }),
        ];
        for (what, harm) in harms {
            let rig = Rig::new();
            for value in 0..500 {
                rig.publish(Sample::Good(f64::from(value)));
            }
            let last = rig.bus.last_seq();
            let file = rig.store.file().to_owned();
            let directory = rig.close();
            harm(&file);
            let rig = Rig::again(directory);
            assert_eq!(rig.put_aside().len(), 1, "{what}");
            assert!(rig.alarm("store.damaged").is_some(), "{what}");
            let next = rig.publish(Sample::Good(1.0));
            assert!(next > last, "{what}: {next}");
            rig.write();
            assert_eq!(rig.stored(), [next], "{what}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_kill_the_log_heals_a_damaged_file_or_both_are_put_aside() {
        for log_is_damaged in [false, true] {
            let rig = Rig::new();
            for value in 0..500 {
                rig.publish(Sample::Good(f64::from(value)));
                rig.write();
            }
            let last = rig.bus.last_seq();
            // As the kill leaves them: the log holds newer pages than the file, the first one among them.
            let killed = tempfile::tempdir().unwrap();
            let file = killed.path().join("homeostat.db");
            std::fs::copy(rig.store.file(), &file).unwrap();
            std::fs::copy(aside::log_of(rig.store.file()), aside::log_of(&file)).unwrap();
            overwrite(&file, 16, &[0xa5; 4096]);
            if log_is_damaged {
                overwrite(&aside::log_of(&file), 8, &[0xa5; 4096]);
            }
            let rig = Rig::again(killed);
            assert!(rig.publish(Sample::Good(1.0)) > last);
            rig.write();
            if log_is_damaged {
                assert!(aside::log_of(&rig.put_aside()[0]).exists());
                assert_eq!(rig.stored().len(), 1);
            } else {
                assert_eq!((rig.put_aside().len(), rig.stored().len()), (0, 501));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn noise_on_any_page_never_panics_and_new_readings_are_always_kept() {
        let rig = Rig::new();
        for value in 0..3000 {
            rig.publish(if value % 7 == 0 { Sample::Bad(format!("reason {value}").into()) } else { Sample::Good(0.5) });
        }
        rig.alarms.raise("sensors.air", "unplugged");
        let last = rig.bus.last_seq();
        let file = rig.store.file().to_owned();
        let directory = rig.close();
        let whole = std::fs::read(&file).unwrap();
        let mut random = fastrand::Rng::with_seed(7);
        let (mut kept, mut aside) = (0, 0);
        for round in 0..100 {
            let directory = tempfile::tempdir_in(directory.path()).unwrap();
            let mut bytes = whole.clone();
            for _ in 0..random.usize(1..9) {
                // Half of the noise hits what matters most.
                let end = if random.bool() { 4096 } else { bytes.len() };
                let at = random.usize(0..end);
                bytes[at] = random.u8(..);
            }
            // No newer schema is to be tested here.
            bytes[60..64].copy_from_slice(&whole[60..64]);
            let file = directory.path().join("homeostat.db");
            std::fs::write(&file, bytes).unwrap();
            // Every other time it was no orderly stop, after which the file is looked through.
            if round % 2 == 0 {
                std::fs::write(aside::log_of(&file), "left behind").unwrap();
            }
            let rig = Rig::again(directory);
            let next = rig.publish(Sample::Good(1.0));
            rig.alarms.raise("sensors.air", "again");
            rig.write();
            // What cannot be read is found by whoever reads it.
            let old = rig.store.readings(&rig.air).map(|stored| stored.len());
            let _ = (rig.store.alarms(10), rig.store.count());
            rig.write();
            assert_eq!(rig.store.waiting(), 0, "round {round}");
            let later = rig.publish(Sample::Good(2.0));
            rig.write();
            if round % 2 == 0 {
                assert_eq!(rig.stored().last(), Some(&later), "round {round}");
            }
            // By looking at all of them: noise in a key can hide what comes after it from those who look for a series. In a
            // file that was not looked through, the place of the noise may still wait for its first reader.
            let db = Connection::open(rig.store.file()).unwrap();
            let new = "SELECT count(*) FROM readings WHERE seq + 0 = ?1";
            match db.query_row(new, [later as i64], |row| row.get::<_, i64>(0)) {
                Ok(new) => assert_eq!(new, 1, "round {round}"),
                Err(error) => assert!(round % 2 == 1, "round {round}: {error}"),
            }
            match rig.put_aside().len() {
                0 => {
                    assert!(old.is_ok(), "round {round}");
                    kept += 1;
                }
                _ => {
                    assert!(rig.alarm("store.damaged").is_some() && next > last, "round {round}: {next} after {last}");
                    aside += 1;
                }
            }
        }
        assert!(kept > 10 && aside > 10, "{kept} kept, {aside} put aside");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_disk_at_the_start_readings_wait_for_one_and_numbers_stay_unique() {
        for fault in [(Operation::Open, Fault::NoAccess), (Operation::Reserve, Fault::ReadOnly)] {
            let rig = Rig::new();
            let first = rig.publish(Sample::Good(1.0));
            let disk = Arc::new(BadDisk(Mutex::new(Some(fault))));
            let rig = Rig::on(rig.close(), disk);
            assert!(rig.alarm("store").is_some_and(|text| text.contains("readings wait in memory")));
            let second = rig.publish(Sample::Good(2.0));
            rig.write();
            assert_eq!((rig.store.waiting(), rig.stored()), (2, vec![first]), "the alarm and the reading wait");
            rig.fails(None);
            rig.write();
            assert_eq!((rig.alarm("store"), rig.stored()), (None, vec![first, second]));
            // The process dies; what it could have given out is above.
            let third = Rig::again(rig.directory).publish(Sample::Good(3.0));
            assert!(first < second && third > second + BLOCK / 2, "{first} {second} {third}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_ours_is_refused_and_never_touched() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("photos.db");
        let open = || Store::open(&file, Clock::system(), Arc::new(BadDisk::default())).map(drop).unwrap_err();
        std::fs::write(&file, "a text of somebody ".repeat(50)).unwrap();
        assert!(open().is_refusal());
        std::fs::remove_file(&file).unwrap();
        Connection::open(&file).unwrap().execute_batch("CREATE TABLE photos (id)").unwrap();
        assert!(open().is_refusal());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    fn overwrite(file: &Path, at: usize, with: &[u8]) {
        let mut bytes = std::fs::read(file).unwrap();
        bytes[at..at + with.len()].copy_from_slice(with);
        std::fs::write(file, bytes).unwrap();
    }
}
