//! How much the store writes to the card in a day, for fifty sensors at 1 Hz, beside programs that commit each reading.
//!
//!     cargo test --test wear -- --nocapture
//!
//! What counts is what the kernel says this process has dirtied on a disk (`write_bytes` of /proc/self/io). Time is simulated, so
//! that an hour takes seconds; every thirty seconds of it all that was written is forced to the disk, as the kernel does by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what cannot measure has failed")]

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use homeostat::alarms::Alarms;
use homeostat::bus::Bus;
use homeostat::clock::Clock;
use homeostat::model::{ChannelId, Quantity, Sample, Timestamp};
use homeostat::store::{self, Config, RealDisk, Store};
use rusqlite::Connection;

const SENSORS: u64 = 50;
const SECOND: Duration = Duration::from_secs(1);
/// Two checkpoints and six roll-ups.
const HOUR: u64 = 3600;
/// `dirty_expire_centisecs` of Linux: what is written twice within this is one write to the disk.
const WRITE_BACK: u64 = 30;
const DAY: f64 = 86_400.0;

/// What this process has written to disks so far.
fn written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
}

/// Has the disk take everything that was written.
fn settle(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let _ = File::open(entry.unwrap().path()).and_then(|file| file.sync_data());
    }
}

/// A temperature like a sensor's: in sixteenths.
fn value(sensor: u64, second: u64) -> f64 {
    20.0 + (sensor % 7) as f64 + ((second / 30 + sensor * 3) % 16) as f64 / 16.0
}

/// Our store with its task, in an hour of simulated time. Gives bytes a day.
fn ours(directory: &Path, fresh: &Path, flush: Duration) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let clock = Clock::simulated(Timestamp::from_millis(1_795_248_000_000));
        let (file, fresh) = (directory.join("homeostat.db"), fresh.join(store::FRESH));
        let (store, last_seq) = Store::open(&file, Some(&fresh), clock, Arc::new(RealDisk)).unwrap();
        let bus = Bus::new(clock, last_seq);
        let (alarms, tap) = (Alarms::new(clock, bus.clone()), bus.tap(50_000, 1));
        let channels: Vec<_> =
            (0..SENSORS).map(|one| ChannelId::parse(&format!("s{one}.temperature")).unwrap()).collect();
        let config = Config { flush, ..Config::default() };
        settle(directory);
        let before = written();
        let day = async {
            for second in 0..HOUR {
                tokio::time::sleep(SECOND).await;
                for (sensor, channel) in (0..).zip(&channels) {
                    bus.publish(channel, Quantity::Temperature, Sample::Good(value(sensor, second)));
                }
                if second % WRITE_BACK == WRITE_BACK - 1 {
                    settle(directory);
                }
            }
        };
        store::run(&store, &alarms, &tap, &config, day, || {}).await.unwrap();
        assert_eq!((store.count().unwrap(), store.waiting()), (SENSORS * HOUR, 0));
        store.close(bus.last_seq()).unwrap();
        (written() - before) as f64 * DAY / HOUR as f64
    })
}

/// One commit a reading. Gives bytes a day.
fn theirs(directory: &Path, settings: &str, seconds: u64) -> f64 {
    let db = Connection::open(directory.join("theirs.db")).unwrap();
    db.execute_batch(settings).unwrap();
    db.execute_batch("CREATE TABLE readings (seq INTEGER PRIMARY KEY, series, time, value, quality, reason)").unwrap();
    let mut insert = db.prepare("INSERT INTO readings VALUES (NULL, ?1, ?2, ?3, 0, NULL)").unwrap();
    settle(directory);
    let before = written();
    for second in 0..seconds {
        for sensor in 0..SENSORS {
            insert.execute((sensor as i64, (1_795_248_000 + second as i64) * 1000, value(sensor, second))).unwrap();
        }
        if second % WRITE_BACK == WRITE_BACK - 1 {
            settle(directory);
        }
    }
    (written() - before) as f64 * DAY / seconds as f64
}

#[test]
fn a_day_writes_a_small_part_of_what_one_commit_a_reading_does() {
    // Beside the build, which lies on a disk where the directory for temporary files may not.
    let place = |name: &str| tempfile::Builder::new().prefix(name).tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let probe = place("probe");
    let before = written();
    fs::write(probe.path().join("a"), vec![1; 1 << 20]).unwrap();
    settle(probe.path());
    if written() - before < 1 << 20 {
        println!("{} is not on a disk whose writes are counted: nothing measured", probe.path().display());
        return;
    }
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else {
        println!("there is no /dev/shm: nothing measured");
        return;
    };
    let mine = ours(place("ten").path(), memory.path(), Duration::from_secs(10));
    let minute = ours(place("minute").path(), memory.path(), Duration::from_secs(60));
    let wal = theirs(place("wal").path(), "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", 600);
    let default = theirs(place("default").path(), "", 10);
    println!("50 sensors at 1 Hz, megabytes written to the disk in a day, and how many times as much as homeostat:");
    let row = |what: &str, bytes: f64| println!("  {what:<58}{:>10.0} MB{:>8.1}", bytes / 1e6, bytes / mine);
    row("homeostat, flush = \"10s\"", mine);
    row("homeostat, flush = \"60s\"", minute);
    row("one commit a reading, in a log that is not synchronised", wal);
    row("one commit a reading, as SQLite does it by default", default);
    assert!(wal / mine > 30.0, "{} times", wal / mine);
    assert!(default / mine > 50.0, "{} times", default / mine);
}
