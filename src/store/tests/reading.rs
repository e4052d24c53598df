//! Reading back: for the history's reader, for people and their commands, and as a copy.

use std::ops::ControlFlow;

use super::query::{Range, Resolution, Row};
use super::*;

fn numbers(found: &[Numbered]) -> Vec<u64> {
    found.iter().map(|reading| reading.seq).collect()
}

fn rows(file: &Path, range: &Range, resolution: Resolution) -> Vec<Row> {
    let mut found = Vec::new();
    let each = |row| {
        found.push(row);
        ControlFlow::Continue(())
    };
    query::rows(file, range, resolution, each).unwrap();
    found
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_number_is_given_whole_from_disk_and_from_memory() {
    let rig = Rig::new();
    for value in 0..10 {
        let sample = if value % 2 == 0 { Sample::Bad("unplugged".into()) } else { Sample::Good(f64::from(value)) };
        rig.publish(sample);
        if value == 5 {
            rig.write();
        }
    }
    rig.store.collect(&rig.tap);
    let early = numbers(&rig.store.after(4, 9).unwrap());
    assert_eq!(early, [5, 6], "nobody is told what would be lost with the process");
    rig.store.journal();
    for after in 0..=10 {
        for most in [1, 3, 6, 100] {
            let found = rig.store.after(after, most).unwrap();
            let expected: Vec<u64> = (after + 1..=10).take(most).collect();
            assert_eq!(numbers(&found), expected, "{most} after {after}");
            let is_whole = |reading: &Numbered| match reading.seq % 2 {
                1 => reading.sample == Sample::Bad("unplugged".into()),
                _ => reading.sample == Sample::Good((reading.seq - 1) as f64) && reading.unit == "°C",
            };
            assert!(found.iter().all(is_whole), "{found:?}");
        }
    }
    // Of a file that cannot be read, nothing is left out.
    std::fs::write(rig.store.file(), "nothing of ours").unwrap();
    assert!(rig.store.after(0, 1).is_err());
    assert_eq!(numbers(&rig.store.after(6, 9).unwrap()), [7, 8, 9, 10]);
}

#[tokio::test(start_paused = true)]
async fn the_cursor_of_the_history_survives_a_stop_and_a_crash() {
    let rig = Rig::new();
    rig.publish(Sample::Good(1.0));
    rig.store.acknowledged(1);
    rig.write();
    let rig = Rig::again(rig.die());
    assert_eq!(rig.store.cursor(), 1);
    let last = rig.publish(Sample::Good(2.0));
    rig.store.collect(&rig.tap);
    rig.store.acknowledged(last);
    rig.store.acknowledged(1);
    rig.store.journal();
    let rig = Rig::again(rig.die());
    assert_eq!(rig.store.cursor(), last, "it never goes back, and the fresh tier has it");
    rig.store.acknowledged(last + 1);
    let rig = Rig::again(rig.close());
    assert_eq!(rig.store.cursor(), last + 1);
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_the_history_begins_with_what_is_stored_from_then_on() {
    let write = |rig: &Rig, readings: u32, is_read: bool| {
        rig.store.keeps_for_history(is_read);
        let numbers: Vec<u64> = (0..readings).map(|n| rig.publish(Sample::Good(n.into()))).collect();
        rig.write();
        numbers
    };
    let rig = Rig::new();
    write(&rig, 3, false);
    // Whether it ended in order or not.
    let rig = Rig::again(rig.die());
    let mut expected = write(&rig, 2, true);
    let rig = Rig::again(rig.die());
    expected.extend(write(&rig, 2, true));
    let rig = Rig::again(rig.close());
    let waiting = |rig: &Rig| numbers(&rig.store.after(rig.store.cursor(), 99).unwrap());
    assert_eq!(waiting(&rig), expected, "nothing was acknowledged since it began");
    // It leaves for a while.
    write(&rig, 2, false);
    let rig = Rig::again(rig.close());
    rig.store.keeps_for_history(true);
    assert_eq!(waiting(&rig), Vec::<u64>::new());
    let rig = Rig::again(rig.die());
    let latest = write(&rig, 1, true);
    assert_eq!(waiting(&rig), latest);
}

#[tokio::test(start_paused = true)]
async fn a_range_is_what_lies_in_it_whatever_the_clock_did() {
    const HOUR: i64 = 3_600_000;
    let rig = Rig::new();
    let begin = rig.clock.wall().as_millis() / HOUR * HOUR;
    let mut random = fastrand::Rng::with_seed(3);
    let mut times = Vec::new();
    for number in 0..12_000_i64 {
        // Now and then somebody sets the clock.
        let jump = if number % 1500 == 0 { random.i64(-48..48) * HOUR } else { 0 };
        let time = begin + number * 1000 + jump;
        rig.publish_at(time, (number % 60) as f64);
        times.push(time);
        if number % 700 == 0 {
            rig.write();
        }
    }
    rig.write();
    let file = rig.store.file();
    for _ in 0..50 {
        let from = begin + random.i64(-3_600_000..14_000_000);
        let to = from + random.i64(0..7_200_000);
        let millis = |millis| Some(Timestamp::from_millis(millis));
        let range = Range { channels: vec!["air".into()], from: millis(from), to: millis(to) };
        let expected = times.iter().filter(|time| (from..to).contains(time)).count();
        let found = rows(file, &range, Resolution::Raw);
        assert_eq!(found.len(), expected, "{from} to {to}");
        assert!(found.is_sorted_by_key(|row| row.seq));
        let estimate = query::estimate(file, &range, Resolution::Raw).unwrap();
        assert!(estimate.abs_diff(expected as u64) <= 5000, "{estimate} for {expected}");
    }
    let none = Range { channels: vec!["water.temperature".into()], ..Range::default() };
    assert_eq!(
        (rows(file, &none, Resolution::Raw).len(), query::estimate(file, &none, Resolution::Raw).unwrap()),
        (0, 0)
    );
    let [air] = &query::channels(file).unwrap()[..] else { panic!("one channel") };
    assert_eq!((air.name.as_str(), air.unit.as_str()), ("air.temperature", "°C"));

    while rig.store.slot().writer.as_mut().unwrap().roll_up().unwrap() {}
    let all = Range::default();
    let (minutes, hours) = (rows(file, &all, Resolution::Minutes), rows(file, &all, Resolution::Hours));
    for rolled in [&minutes, &hours] {
        assert_eq!(rolled.iter().map(|row| row.count).sum::<u64>(), 12_000);
        assert!(rolled.is_sorted_by_key(|row| row.time));
    }
    let whole = minutes.iter().find(|row| row.count == 60).unwrap();
    assert_eq!((whole.min, whole.value, whole.max), (Some(0.0), Some(29.5), Some(59.0)));
    assert_eq!(rig.ask::<i64>("SELECT sum(count) FROM minutes WHERE channel = 'air.temperature'"), 12_000);
    assert_eq!(rig.ask::<i64>("SELECT sum(count) FROM hours WHERE mean BETWEEN min AND max"), 12_000);
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_daemon_has_left_is_read_without_a_change_and_only_what_is_not_on_disk() {
    let rig = Rig::new();
    let publish = |value: f64| {
        rig.publish(Sample::Good(value));
        rig.store.collect(&rig.tap);
        rig.store.journal();
    };
    for value in [1.0, 2.0, 3.0] {
        publish(value);
    }
    let (tier, kept) = (rig.directory.path().join(crate::store::FRESH), rig.directory.path().join("kept.db"));
    let log = |file: &Path| std::path::PathBuf::from(format!("{}-wal", file.display()));
    for (from, to) in [(tier.clone(), kept.clone()), (log(&tier), log(&kept))] {
        std::fs::copy(from, to).unwrap();
    }
    let before = std::fs::read(log(&kept)).unwrap();
    let scratch = rig.directory.path().join("scratch");
    let left = |range: &Range| {
        let found = query::left(rig.store.file(), &kept, &scratch, range).unwrap();
        found.iter().map(|row| row.seq.unwrap()).collect::<Vec<u64>>()
    };
    let all = Range::default();
    assert_eq!(left(&all), [1, 2, 3]);
    assert_eq!(left(&Range { channels: vec!["water".into()], ..Range::default() }), [0; 0]);
    assert_eq!(left(&Range { to: Some(Timestamp::from_millis(0)), ..Range::default() }), [0; 0]);
    // As if it had died between its flush and the word on it.
    rig.write();
    assert_eq!(left(&all), [0; 0], "they are on disk");
    assert!(!scratch.exists() && std::fs::read(log(&kept)).unwrap() == before);
    let nothing = rig.directory.path().join("nothing.db");
    assert_eq!(query::left(rig.store.file(), &nothing, &scratch, &all), Ok(vec![]));
    std::fs::remove_file(log(&kept)).unwrap();
    std::fs::write(&kept, "nothing of ours ".repeat(100)).unwrap();
    assert!(query::left(rig.store.file(), &kept, &scratch, &all).is_err() && !scratch.exists());
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_one_moment_of_the_file_while_it_is_written_on() {
    let rig = Rig::new();
    for value in 0..90_000 {
        rig.publish(Sample::Good(f64::from(value)));
    }
    rig.write();
    let to = rig.directory.path().join("copy.db");
    std::fs::write(&to, "an older copy").unwrap();
    let mut told = Vec::new();
    backup(rig.store.file(), &to, |done, all| {
        rig.publish(Sample::Good(0.5));
        rig.write();
        told.push((done, all));
    })
    .unwrap();
    assert!(told.len() > 1 && told.is_sorted() && told.last().is_some_and(|(done, all)| done == all), "{told:?}");
    let copy = Connection::open(&to).unwrap();
    let ask = |question| copy.query_row(question, (), |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(ask("PRAGMA integrity_check"), "ok");
    assert_eq!(ask("SELECT count(*) || '' FROM history"), "90000");
    assert_eq!(rig.ask::<i64>("SELECT count(*) FROM readings"), 90_000 + told.len() as i64);

    let nowhere = rig.directory.path().join("nowhere/copy.db");
    let error = backup(rig.store.file(), &nowhere, |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("nowhere/copy.db"), "{error}");
    let missing = rig.directory.path().join("missing.db");
    assert!(backup(&missing, &to, |_, _| {}).is_err() && !missing.exists());
    assert_eq!(ask("SELECT count(*) || '' FROM history"), "90000", "the older copy stays");
}

#[tokio::test(start_paused = true)]
async fn whoever_may_only_read_can_read_what_nobody_writes() {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::new();
    rig.publish(Sample::Good(1.0));
    let directory = rig.close();
    let file = directory.path().join("homeostat.db");
    let mode = |mode| std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o500);
    let found = rows(&file, &Range::default(), Resolution::Raw).len();
    mode(0o700);
    assert_eq!(found, 1);
}

#[tokio::test(start_paused = true)]
async fn changes_of_outputs_are_stored_and_pulses_are_not() {
    use crate::message::{Event, OutputState};
    use crate::model::{Level, OutputId, Owner};
    let rig = Rig::new();
    let state = |level: f64, on: bool, by: Option<&str>, why: &str| {
        Event::Output(OutputState {
            output: OutputId::new("heater").unwrap(),
            level: Level::clamped(level),
            on,
            by: by.map(Owner::new),
            why: why.into(),
            limit: why.starts_with("min_off").then(|| why.into()),
            because: None,
            confirmed: true,
            since: rig.clock.wall(),
        })
    };
    rig.bus.tell(state(0.0, false, None, "no live demand"));
    for pulse in 0..10 {
        rig.bus.tell(state(0.4, pulse % 2 == 0, Some("controllers.warmth"), "controllers.warmth asks for 40 %"));
    }
    rig.bus.tell(state(0.4, true, Some("controllers.warmth"), "min_off: 3 s to go"));
    rig.write();
    let db = Connection::open(rig.store.file()).unwrap();
    let mut select =
        db.prepare("SELECT concat_ws(' ', time, output, level, state, owner, why) FROM output_history").unwrap();
    let found: Vec<String> = select.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(
        found,
        [
            "2026-11-21T08:33:20.001Z heater 0.0 off no live demand",
            "2026-11-21T08:33:20.001Z heater 0.4 on controllers.warmth controllers.warmth asks for 40 %",
            "2026-11-21T08:33:20.001Z heater 0.4 on controllers.warmth min_off: 3 s to go",
        ]
    );
}
