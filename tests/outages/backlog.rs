//! A backlog of fifty readings a second drains while live values arrive as fast as ever.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::broker::{Broker, Keeps, free_port};
use super::consumer::{Reading, each_of, stored_each};
use super::house::{Home, SENSORS, fifty, silent};
use super::listener::Listener;
use super::process::{House, now, until};
use super::{ALONE, number};

/// An hour and forty minutes of fifty a second: a minute of draining.
const USUAL: u64 = 300_000;

/// What live values may take from the sensor to a subscriber, in milliseconds: p99.
const PROMISED: f64 = 100.0;

/// How long live values are measured when there is no backlog.
const FLOOR: Duration = Duration::from_secs(15);

#[test]
#[ignore = "needs mosquitto"]
fn a_backlog_drains_while_live_values_arrive_within_a_tenth_of_a_second() {
    let _alone = ALONE.write().unwrap();
    let backlog = number("HOMEOSTAT_BACKLOG").unwrap_or(USUAL);
    let home = Home::new(&fifty(free_port(), "1s"));
    let daemon = home.run();
    until("every sensor is in the store", || daemon.frozen(|| home.house.database().stored()) >= SENSORS as i64);
    daemon.stop();
    let began = now();
    let last = fill(&home.house, backlog);
    println!("{backlog} readings written in {} ms", now() - began);

    let broker = Broker::start(Keeps::Nothing, "");
    let (live, history) = (
        Listener::new(broker.port, "homeostat/house/+/temperature"),
        Listener::new(broker.port, "homeostat/house/history"),
    );
    home.house.write("config.toml", &fifty(broker.port, "1s"));
    let daemon = home.run();
    let (mut digest, began) = (Digest::default(), now());
    // A thousand a second is a fifth of what it should be.
    let deadline = began + 60_000 + i64::try_from(backlog).unwrap();
    while digest.last < last {
        assert!(now() < deadline, "{digest:?} of {last}: {}", daemon.log());
        let page = history.next(Duration::from_secs(20)).unwrap_or_else(|| panic!("{digest:?}: {}", daemon.log()));
        each_of(page.payload.as_bytes(), |reading| digest.add(&reading));
    }
    let drained = now();
    let seconds = (drained - began) as f64 / 1000.0;
    let during = latencies(&live, f64::MIN, drained as f64);
    let (count, in_drain) = (during.len(), p99(during));
    println!("drained in {seconds:.1} s, {:.0} readings a second", backlog as f64 / seconds);
    println!("live latency while draining: p99 {in_drain:.1} ms over {count} messages");

    let settled = drained as f64 + 2000.0;
    let without = latencies(&live, settled, settled + FLOOR.as_secs_f64() * 1000.0);
    let (count, floor) = (without.len(), p99(without));
    println!("live latency without a backlog: p99 {floor:.1} ms over {count} messages");
    assert!(count > 10 * SENSORS, "{count} live messages: this proves little");

    // And not one is missing.
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    let mut expected = Digest::default();
    stored_each(&home.house, |reading| expected.add(&reading));
    home.house.write("config.toml", &silent(broker.port));
    let _daemon = home.run();
    while digest.last < expected.last {
        let page = history.next(Duration::from_secs(20)).unwrap_or_else(|| panic!("{digest:?} of {expected:?}"));
        each_of(page.payload.as_bytes(), |reading| digest.add(&reading));
    }
    assert_eq!(digest, expected, "what was read is what is stored");
    let promised = PROMISED.max(3.0 * floor);
    assert!(
        in_drain < promised,
        "live values took {in_drain:.1} ms (p99) while draining; promised are {promised:.0} ms"
    );
}

/// Puts a past in the place of what is stored. Gives the number of its last reading.
fn fill(house: &House, readings: u64) -> u64 {
    let mut db = rusqlite::Connection::open(house.path("homeostat.db")).unwrap();
    let (first, last): (i64, i64) = db
        .query_row("SELECT min(seq), min(seq) + ?1 - 1 FROM readings", [readings as i64], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    let db = db.transaction().unwrap();
    db.execute_batch("DELETE FROM readings; DELETE FROM batches").unwrap();
    db.execute(
        "WITH RECURSIVE numbers(seq) AS (SELECT ?1 UNION ALL SELECT seq + 1 FROM numbers WHERE seq < ?2)
         INSERT INTO readings (seq, series, time, value, quality)
         SELECT seq, 1 + seq % (SELECT count(*) FROM series), ?3 - (?2 - seq) * 20, seq % 1000 / 4.0, 0 FROM numbers",
        (first, last, now() - 1000),
    )
    .unwrap();
    db.execute_batch(
        "INSERT INTO batches SELECT min(seq), max(seq), min(time), max(time), count(*) FROM readings GROUP BY seq / 1000;
         UPDATE meta SET value = (SELECT max(seq) FROM readings) WHERE key = 'reserved'",
    )
    .unwrap();
    let cursor: i64 = db.query_row("SELECT value FROM meta WHERE key = 'history'", (), |row| row.get(0)).unwrap();
    assert!(cursor < first, "nothing has been acknowledged yet");
    db.commit().unwrap();
    u64::try_from(last).unwrap()
}

/// From the reading's own time to its arrival, in milliseconds, of what arrived between the two.
fn latencies(live: &Listener, from: f64, to: f64) -> Vec<f64> {
    let mut found = Vec::new();
    while let Some(heard) = live.next(Duration::from_secs(5)) {
        if heard.at > to {
            break;
        }
        let time = heard.json()["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        if heard.at >= from {
            found.push(heard.at - time.as_millisecond() as f64);
        }
    }
    found
}

fn p99(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() * 99 / 100]
}

/// Of readings in their order, for a day of them is too much to keep.
#[derive(Debug, Default, PartialEq)]
struct Digest {
    last: u64,
    count: u64,
    hash: u64,
}

impl Digest {
    /// One that is not new is dropped.
    fn add(&mut self, reading: &Reading) {
        if reading.seq <= self.last {
            return;
        }
        let mut hasher = DefaultHasher::new();
        let value = reading.value.map(|value| format!("{value:.9}"));
        (self.hash, reading.seq, &reading.channel, &reading.time, value, &reading.quality).hash(&mut hasher);
        *self = Self { last: reading.seq, count: self.count + 1, hash: hasher.finish() };
    }
}
