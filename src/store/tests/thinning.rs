//! Roll-ups and retention: nothing is rolled up twice or not at all, nothing young goes, the file keeps to its size, and no
//! step is long.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::thin::{ROLLED_UP, THINNED};
use super::*;

const HOUR: Duration = Duration::from_secs(3600);
/// A batch's, and so the most readings that go in a step.
const BATCH: u64 = 5_000;

fn terms(now: i64, keep: Keep) -> Terms {
    let now = Some(Timestamp::from_millis(now));
    Terms { now, keep, max_size: u64::MAX, read_to: None, make_room: false }
}

const FOREVER: Keep = Keep { raw: None, minutes: None, hours: None };

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn roll_ups_are_what_a_direct_computation_gives_in_whatever_order_readings_come(
        readings in prop::collection::vec((-200_000_i64..8_000_000, prop::option::of(-1e6..1e6)), 1..300),
        steps in prop::collection::vec(1_usize..80, 1..10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _guard = runtime.enter();
        let rig = Rig::new();
        let mut expected: BTreeMap<(i64, i64), (f64, f64, f64, i64)> = BTreeMap::new();
        let mut steps = steps.iter().cycle();
        let mut until = *steps.next().unwrap();
        for (number, (time, value)) in readings.iter().enumerate() {
            rig.clock.jump(time - rig.clock.wall().as_millis());
            rig.publish(value.map_or(Sample::Bad("unplugged".into()), Sample::Good));
            if let Some(value) = value {
                for step in [60_000, 3_600_000] {
                    let known = expected.entry((step, time.div_euclid(step) * step)).or_insert((*value, *value, 0.0, 0));
                    *known = (known.0.min(*value), known.1.max(*value), known.2 + value, known.3 + 1);
                }
            }
            if number == until {
                until += steps.next().unwrap();
                rig.write();
                rig.store.slot().writer.as_mut().unwrap().roll_up().unwrap();
            }
        }
        rig.write();
        while rig.store.slot().writer.as_mut().unwrap().roll_up().unwrap() {}
        let db = Connection::open(rig.store.file()).unwrap();
        for (table, step) in [("rollup_minutes", 60_000), ("rollup_hours", 3_600_000)] {
            let mut select = db.prepare(&format!("SELECT time, min, max, sum, count FROM {table} ORDER BY time")).unwrap();
            let mut rows = select.query(()).unwrap();
            let mut of_step = expected.iter().filter(|((of, _), _)| *of == step);
            while let Some(row) = rows.next().unwrap() {
                let (&(_, time), &(min, max, sum, count)) = of_step.next().expect("no row too many");
                prop_assert_eq!(row.get::<_, i64>(0).unwrap(), time);
                prop_assert_eq!((row.get(1).unwrap(), row.get(2).unwrap(), row.get(4).unwrap()), (min, max, count));
                prop_assert!((row.get::<_, f64>(3).unwrap() - sum).abs() < 1e-3);
            }
            prop_assert!(of_step.next().is_none());
        }
    }
}

/// A day of one reading in two seconds, with some roll-ups.
fn a_day() -> (Rig, i64) {
    let rig = Rig::new();
    let begin = rig.clock.wall().as_millis() / 3_600_000 * 3_600_000;
    for number in 0..43_200 {
        rig.publish_at(begin + number * 2_000, number as f64);
    }
    rig.write();
    (rig, begin)
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_asked_goes_what_is_younger_stays_and_no_step_is_long() {
    let (rig, begin) = a_day();
    let end = begin + 86_400_000;
    let keep = Keep { raw: Some(6 * HOUR), minutes: Some(12 * HOUR), hours: Some(18 * HOUR) };
    let nothing = Terms { now: None, ..terms(end, keep) };
    assert_eq!(rig.tidy(&nothing), 0, "without a clock that can be believed nothing is old");
    let most = rig.tidy(&terms(end, keep));
    assert!(most <= BATCH.max(THINNED as u64), "a step of {most} rows");
    for (table, hours, slack) in
        [("readings", 6, 3_600_000), ("rollup_minutes", 12, 60_000), ("rollup_hours", 18, 3_600_000)]
    {
        let oldest: i64 = rig.ask(&format!("SELECT min(time) FROM {table}"));
        let cutoff = end - hours * 3_600_000;
        assert!(oldest <= cutoff && oldest + 2 * slack >= cutoff, "{table}: {} s off", (oldest - cutoff) / 1000);
        let times = if table == "readings" { "count(*)" } else { "sum(count)" };
        let young: i64 = rig.ask(&format!("SELECT {times} FROM {table} WHERE time >= {cutoff}"));
        assert_eq!(young, hours * 1800, "{table}: nothing that is younger has gone");
    }
    assert_eq!(rig.ask::<i64>("SELECT count(*) FROM batches WHERE first_seq < (SELECT min(seq) FROM readings)"), 0);
}

#[tokio::test(start_paused = true)]
async fn raw_readings_wait_for_the_roll_up_and_for_the_historys_reader() {
    let (rig, begin) = a_day();
    let keep = Keep { raw: Some(HOUR), ..FOREVER };
    let terms = terms(begin + 86_400_000, keep);
    let thin = |terms: &Terms| rig.store.slot().writer.as_mut().unwrap().thin(terms).unwrap();
    assert_eq!(thin(&terms).done, 0, "nothing is rolled up yet");
    let read_to = 10_000;
    assert!(rig.tidy(&Terms { read_to: Some(read_to), ..terms }) > 0);
    let first = rig.store.after(0, 1).unwrap()[0].seq;
    assert!(first <= read_to + 1 && first > read_to - BATCH, "{first}");
    // The size wins, and what the reader loses is counted.
    let step = thin(&Terms { read_to: Some(read_to), max_size: 1, ..terms });
    assert_eq!(rig.store.after(0, 1).unwrap()[0].seq - 1 - read_to, step.unread);
    assert!(step.unread > 0);
    rig.store.health().unread(step.unread);
    assert!(rig.alarm("store.history").is_some_and(|text| text.contains("max_size")));
}

#[tokio::test(start_paused = true)]
async fn the_file_keeps_to_its_size_oldest_readings_first() {
    let (rig, begin) = a_day();
    let size = || {
        let writer = rig.store.slot();
        super::super::thin::Size::of(writer.writer.as_ref().unwrap()).unwrap().all
    };
    let before = size();
    let mut minutes = 0;
    for part in [0.7, 0.4, 0.1] {
        // The log goes into the file, which alone is measured then.
        rig.ask::<i64>("PRAGMA wal_checkpoint(TRUNCATE)");
        let max_size = (before as f64 * part) as u64;
        let most = rig.tidy(&Terms { max_size, ..terms(begin, FOREVER) });
        assert!(most <= BATCH.max(THINNED as u64), "a step of {most} rows");
        rig.ask::<i64>("PRAGMA wal_checkpoint(TRUNCATE)");
        assert!(size() <= max_size, "{} of {max_size} bytes", size());
        let newest: i64 = rig.ask("SELECT max(seq) FROM readings");
        assert_eq!(newest, 43_200, "the newest stay");
        let kept: i64 = rig.ask("SELECT count(*) FROM rollup_minutes");
        if rig.ask::<i64>("SELECT count(*) FROM batches") > 0 {
            assert_eq!(kept, 1440, "readings go before roll-ups");
        }
        minutes = kept;
    }
    assert!(minutes < 1440, "in the end roll-ups go too");
    assert_eq!(rig.ask::<String>("PRAGMA integrity_check"), "ok");
    rig.publish(Sample::Good(1.0));
    rig.write();
    assert_eq!(rig.store.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_round_is_made_of_bounded_steps_and_comes_by_itself() {
    let (rig, _) = a_day();
    assert!(!rig.store.is_untidy());
    tokio::time::advance(Duration::from_secs(601)).await;
    let mut steps = 0;
    while rig.store.is_untidy() {
        rig.store.tidy();
        steps += 1;
        assert!(steps < 100, "it comes to an end");
    }
    assert!(steps >= 43_200 / ROLLED_UP, "{steps} steps");
    assert_eq!(rig.ask::<i64>("SELECT sum(count) FROM rollup_minutes"), 43_200);
    // One that fails is tried again at the next round.
    rig.fails(Some((Operation::Thin, Fault::Io)));
    tokio::time::advance(Duration::from_secs(601)).await;
    rig.store.tidy();
    assert!(!rig.store.is_untidy());
    rig.fails(None);
    rig.publish(Sample::Good(1.0));
    rig.write();
    assert_eq!(rig.alarm("store"), None);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_gets_room_from_the_oldest_readings() {
    let (rig, _) = a_day();
    let reserve = rig.directory.path().join("homeostat.db.reserve");
    assert!(std::fs::metadata(&reserve).is_ok_and(|known| known.len() > 100_000));
    rig.fails(Some((Operation::Commit, Fault::Full)));
    let last = rig.publish(Sample::Good(1.0));
    rig.write();
    assert!(rig.store.is_untidy() && rig.alarm("store").is_some());
    let before = rig.store.count().unwrap();
    while rig.store.is_untidy() {
        rig.store.tidy();
    }
    let gone = before - rig.store.count().unwrap();
    assert!((1..=BATCH).contains(&gone), "{gone}");
    assert!(!reserve.exists(), "its room was needed");
    rig.fails(None);
    rig.write();
    assert_eq!((rig.stored().last(), rig.alarm("store")), (Some(&last), None));
}

/// `cargo test --lib how_long -- --ignored --nocapture`
#[tokio::test]
#[ignore = "measures time"]
#[allow(clippy::disallowed_methods, reason = "it measures real time")]
async fn how_long_the_tiers_and_the_steps_take() {
    let rig = Rig::new();
    let began = std::time::Instant::now();
    let mut journaled = Duration::ZERO;
    for _ in 0..1500 {
        for value in 0..50 {
            rig.publish(Sample::Good(f64::from(value) + 0.5));
        }
        rig.store.collect(&rig.tap);
        let began = std::time::Instant::now();
        rig.store.journal();
        journaled += began.elapsed();
        if rig.store.waiting() == 500 {
            rig.store.commit();
        }
    }
    println!("{:?} a reading to the fresh tier, {:?} through both", journaled / 75_000, began.elapsed() / 75_000);
    let keep = Keep { raw: Some(Duration::ZERO), ..FOREVER };
    let terms = terms(rig.clock.wall().as_millis() + 1, keep);
    let mut slot = rig.store.slot();
    let writer = slot.writer.as_mut().unwrap();
    let (mut roll_up, mut thin) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..100 {
        let began = std::time::Instant::now();
        writer.roll_up().unwrap();
        roll_up = roll_up.max(began.elapsed());
        let began = std::time::Instant::now();
        writer.thin(&terms).unwrap();
        thin = thin.max(began.elapsed());
    }
    println!(
        "the longest step: {roll_up:?} to roll up, {thin:?} to delete; the longest flush {:?}",
        rig.store.longest().0
    );
}
