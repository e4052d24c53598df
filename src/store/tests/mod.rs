//! The store as a whole, on real files and with a disk that fails; without its task.

mod damage;
mod fresh;
mod reading;
mod thinning;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::Connection;

use super::disk::{Fault, Operation};
use super::pending::MOST;
use super::thin::Terms;
use super::writer::BLOCK;
use super::*;
use crate::alarms::Alarms;
use crate::bus::{Bus, Tap};
use crate::clock::Clock;
use crate::model::{ChannelId, Quantity, Sample, Timestamp};

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
        let (store, last_seq) =
            Store::open(&directory.path().join("homeostat.db"), Some(&fresh(&directory)), clock, disk.clone()).unwrap();
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

    /// The process dies.
    fn die(self) -> tempfile::TempDir {
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

    /// One reading at this value, at this moment of civil time.
    fn publish_at(&self, millis: i64, value: f64) -> u64 {
        self.clock.jump(millis - self.clock.wall().as_millis());
        self.publish(Sample::Good(value))
    }

    /// Rolls up and thins until nothing is left to do. Gives the most rows of a step.
    fn tidy(&self, terms: &Terms) -> u64 {
        let mut slot = self.store.slot();
        let writer = slot.writer.as_mut().unwrap();
        while writer.roll_up().unwrap() {}
        let mut most = 0;
        loop {
            let step = writer.thin(terms).unwrap();
            if step.done == 0 {
                return most;
            }
            most = most.max(step.done);
        }
    }

    fn ask<T: rusqlite::types::FromSql>(&self, question: &str) -> T {
        let db = Connection::open(self.store.file()).unwrap();
        db.query_row(question, (), |row| row.get(0)).unwrap()
    }

    fn write(&self) {
        self.store.collect(&self.tap);
        self.store.commit();
    }

    fn stored(&self) -> Vec<u64> {
        self.store.readings(&self.air).unwrap().iter().map(|stored| stored.seq).collect()
    }
}

/// Its fresh tier is in the same directory.
fn fresh(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join(FRESH)
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
        .prepare("SELECT concat_ws(' ', time, channel, value, unit, quality, reason, seq) FROM history ORDER BY seq")
        .unwrap();
    let rows: Vec<String> = select.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(
        rows,
        [
            "2026-11-21T08:33:20.001Z air.temperature 21.5 °C good 1",
            "2026-11-21T08:33:20.999Z air.temperature 80.0 °C uncertain it jumped 2",
            "2026-11-21T08:33:20.999Z air.temperature °C bad unplugged 3",
            "2026-11-21T08:33:20.999Z air.temperature °C bad unplugged 4",
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
    let mut again = Vec::new();
    rig.bus.tell(crate::message::Event::Reading(rig.bus.latest(&rig.air).unwrap()));
    rig.tap.drain(&mut again);
    rig.store.commit();
    rig.store.pending().take(again.into_iter());
    assert_eq!(rig.store.after(0, 9).unwrap().len(), 1, "on disk and still waiting, it is given once");
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
    let open = || Store::open(&file, None, Clock::system(), Arc::new(BadDisk::default())).map(drop).unwrap_err();
    std::fs::write(&file, "a text of somebody ".repeat(50)).unwrap();
    assert!(open().is_refusal());
    std::fs::remove_file(&file).unwrap();
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE photos (id)").unwrap();
    assert!(open().is_refusal());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}
