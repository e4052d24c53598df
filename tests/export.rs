//! `homeostat export`, `query` and `backup`: what they give is what the store holds, beside a daemon that runs and without one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario that cannot play has failed")]

#[path = "common/houses.rs"]
mod houses;
#[path = "common/process.rs"]
mod process;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use homeostat::alarms::Alarms;
use homeostat::bus::Bus;
use homeostat::clock::Clock;
use homeostat::model::{ChannelId, Quantity, Sample, Timestamp};
use homeostat::store::query::{self, Range, Resolution, Row};
use homeostat::store::{self, Config, RealDisk, Store, backup};
use houses::CLOSET;
use process::{House, RUN, homeostat, now, said, until};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

/// What a command prints, where, and its exit code.
fn ask(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    said(homeostat(directory).args(arguments).env("RUNTIME_DIRECTORY", directory))
}

/// Publishes readings and stores them in the directory's `homeostat.db`, as a daemon would.
fn stored(directory: &Path, publish: impl FnOnce(&Bus)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let clock = Clock::system();
        let (store, last_seq) = Store::open(&directory.join("homeostat.db"), None, clock, Arc::new(RealDisk)).unwrap();
        let bus = Bus::new(clock, last_seq);
        let alarms = Alarms::new(clock, bus.clone());
        let tap = bus.tap(1_000_000, 1_000_000);
        publish(&bus);
        store::run(&store, &alarms, &tap, &Config::default(), std::future::ready(()), || {}).await.unwrap();
        store.close(bus.last_seq()).unwrap();
    });
}

fn publish(bus: &Bus, channel: &str, sample: Sample) {
    bus.publish(&ChannelId::parse(channel).unwrap(), Quantity::Temperature, sample);
}

/// Everything in the directory's database, as the store itself gives it.
fn rows(directory: &Path, range: &Range) -> Vec<Row> {
    let mut found = Vec::new();
    let each = |row| {
        found.push(row);
        std::ops::ControlFlow::Continue(())
    };
    query::rows(&directory.join("homeostat.db"), range, Resolution::Raw, each).unwrap();
    found
}

/// Every file of a directory, whole.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        // Readers of one file agree on what they read by these two, in which nothing stands.
        .filter(|(name, bytes)| !(name.ends_with("-shm") || name.ends_with("-wal") && bytes.is_empty()))
        .collect();
    files.sort();
    files
}

/// The reading that a line of the export is about.
fn parsed(fields: &[&str]) -> Row {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let [time, channel, value, unit, quality, reason, seq] = fields else { panic!("{fields:?}") };
    let time: jiff::Timestamp = time.parse().unwrap();
    let value = some(value).map(|value| value.parse().unwrap());
    Row {
        time: Timestamp::from_millis(time.as_millisecond()),
        channel: (*channel).into(),
        unit: (*unit).into(),
        value,
        min: value,
        max: value,
        count: 1,
        quality: ["good", "uncertain", "bad"].into_iter().find(|known| known == quality).unwrap(),
        reason: some(reason).map(Into::into),
        seq: Some(seq.parse().unwrap()),
    }
}

#[test]
fn what_is_exported_and_read_again_is_what_the_store_holds() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let mut random = fastrand::Rng::with_seed(5);
    let reasons = ["no answer", "it said \"no\", twice", "line one\r\nline two", "=1+1", " ", "Grüße; 🌱", "'"];
    stored(at, |bus| {
        for number in 0..5_000 {
            let channel = ["air.temperature", "air.humidity", "water.temperature"][number % 3];
            let value = match number % 5 {
                0 => random.f64() * 1e-9,
                1 => -random.f64() * 1e300,
                2 => f64::from(random.i32(..)),
                _ => 20.0 + random.f64(),
            };
            let reason = reasons[random.usize(..reasons.len())].into();
            publish(
                bus,
                channel,
                match number % 7 {
                    0 => Sample::Bad(reason),
                    1 => Sample::Uncertain(value, reason),
                    _ => Sample::Good(value),
                },
            );
        }
    });
    let before = files(at);
    let ranges = [
        (vec![], vec![]),
        (vec!["air"], vec!["air"]),
        (vec!["water.temperature", "--channel", "air.humidity"], vec!["water.temperature", "air.humidity"]),
    ];
    for (arguments, channels) in ranges {
        let range = Range { channels: channels.into_iter().map(str::to_owned).collect(), ..Range::default() };
        let expected = rows(at, &range);
        assert!(expected.len() > 1000);

        let (code, text, error) = ask(at, &[&["export"], &arguments[..]].concat());
        assert_eq!((code, &*error), (0, ""));
        assert!(text.starts_with("time,channel,value,unit,quality,reason,seq\r\n") && text.ends_with("\r\n"));
        let mut sheet = csv::Reader::from_reader(text.as_bytes());
        let found: Vec<Row> = sheet.records().map(|line| parsed(&line.unwrap().iter().collect::<Vec<_>>())).collect();
        assert_eq!(found, expected);

        let (code, text, _) = ask(at, &[&["export", "--format", "jsonl"], &arguments[..]].concat());
        assert_eq!((code, text.lines().count()), (0, expected.len()));
        for (line, row) in text.lines().zip(&expected) {
            // As text, for not every reader of JSON takes a number's last digit as it stands.
            let value = format!("\"value\":{},", serde_json::to_string(&row.value).unwrap());
            assert!(line.contains(&value), "{line}");
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!((line["seq"].as_u64(), line["reason"].as_str()), (row.seq, row.reason.as_deref()));
            assert_eq!(
                (line["channel"].as_str(), line["time"].as_str()),
                (Some(&*row.channel), Some(&*row.time.to_string()))
            );
        }
    }
    let (_, text, _) = ask(at, &["export", "--from", "2h", "--to", "1h"]);
    assert_eq!(text.lines().count(), 1, "the heading alone");
    assert_eq!(ask(at, &["query"]).0, 0);
    assert_eq!(files(at), before, "nobody has written to it");
}

#[test]
fn a_file_is_there_whole_or_not_at_all_and_a_closed_pipe_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    stored(at, |bus| (0..50_000).for_each(|number| publish(bus, "air.temperature", Sample::Good(f64::from(number)))));

    assert_eq!(ask(at, &["export", "--output", "air.csv", "air"]), (0, String::new(), String::new()));
    let file = std::fs::read_to_string(at.join("air.csv")).unwrap();
    assert!(file == ask(at, &["export", "--output", "-"]).1 && file.lines().count() == 50_001);
    for (to, expected, what) in [
        ("homeostat.db", 1, "is the database itself"),
        (".", 1, "name a file, ./readings.csv"),
        ("nowhere/air.csv", 4, "mkdir -p nowhere"),
        ("air.csv/air.csv", 4, "cannot write to air.csv/air.csv: Not a directory"),
    ] {
        let (code, _, error) = ask(at, &["export", "--output", to]);
        assert!(code == expected && error.contains(what), "{to}: {code} {error}");
    }
    let (code, _, error) = ask(at, &["export", "--output", "/dev/full"]);
    assert!(code == 4 && error.contains("No space left"), "{error}");
    assert!(!files(at).iter().any(|(name, _)| name.ends_with(".new")));

    let mut process = homeostat(at).arg("export").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let ended = process.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), &b""[..]));
    assert!(first.starts_with("time,"));
}

#[test]
fn beside_a_daemon_the_newest_reading_is_there_at_once() {
    // It flushes once an hour.
    let house = House::new(CLOSET);
    let at = &house.path("");
    let daemon = house.run(RUN);
    for turn in 0..3 {
        let asked = now();
        until("a reading was taken since", || {
            let (code, text, error) = ask(at, &["export", "rack", "--format", "jsonl", "--from", "1m"]);
            assert_eq!((code, &*error), (0, ""), "turn {turn}");
            let newest: Value = serde_json::from_str(text.lines().last().unwrap_or("{}")).unwrap();
            let newest = newest["time"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
            newest.is_some_and(|newest| newest.as_millisecond() > asked)
        });
    }
    let (code, table, error) = ask(at, &["query"]);
    let line = table.lines().nth(1).unwrap_or_default();
    assert!(
        code == 0 && line.starts_with("rack.temperature  ") && line.contains(" °C  ") && line.contains(" s ago"),
        "{table}{error}"
    );
    let json: Value = serde_json::from_str(&ask(at, &["query", "--json", "--last", "1h"]).1).unwrap();
    let count = json[0]["count"].as_u64().unwrap();
    assert!(count > 0 && count == json[0]["count"].as_u64().unwrap() && json[0]["last"]["quality"] == "good", "{json}");

    // A copy, while it writes on.
    let (code, text, error) = ask(at, &["backup", "copy.db"]);
    assert!(code == 0 && text.starts_with("copy.db is a whole copy of "), "{text}{error}");
    let copy = Connection::open_with_flags(at.join("copy.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let check: String = copy.query_row("PRAGMA quick_check", [], |row| row.get(0)).unwrap();
    let stored = copy.query_row("SELECT count(*) FROM history", [], |row| row.get::<_, i64>(0)).unwrap() as u64;
    assert!(check == "ok" && stored >= count, "{check}, {stored} of {count}");
    let (code, _, error) = ask(at, &["backup", "copy.db"]);
    assert!(code == 1 && error.contains("copy.db is there already") && error.contains("--force"), "{error}");
    assert_eq!(ask(at, &["backup", "copy.db", "--force"]).0, 0);
    for (to, what) in [("homeostat.db", "is the database itself"), (".", "is a directory")] {
        let (code, _, error) = ask(at, &["backup", to, "--force"]);
        assert!(code == 1 && error.contains(what), "{error}");
    }
    let (code, _, error) = ask(at, &["query", "--from", "2999-01-01"]);
    assert!(code == 2 && error.contains("still to come"), "{error}");
    // An export of the copy is not of the daemon's database.
    let lines = |text: String| text.lines().count() as u64;
    let of_copy = lines(ask(at, &["export", "--database", "copy.db"]).1);
    assert!(of_copy > stored && of_copy < lines(ask(at, &["export"]).1) + 1);
    drop(copy);
    let company = |name: &&str| at.join(name).exists();
    assert_eq!(["copy.db-wal", "copy.db-shm", ".copy.db.new", "copy.db.new"].iter().find(|name| company(name)), None);
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn after_a_crash_what_the_daemon_has_left_is_exported_too() {
    let house = House::new(CLOSET);
    let at = &house.path("");
    let mut command = house.command(RUN);
    command.env("RUNTIME_DIRECTORY", at);
    let daemon = house.run_as(command);
    let lines = || ask(at, &["export"]).1.lines().count();
    until("some readings", || lines() > 3);
    let before = lines();
    // All of these are in memory and in the fresh tier alone.
    until("some more", || {
        process::live_for(std::time::Duration::from_millis(300));
        daemon.frozen(|| std::fs::metadata(at.join("fresh.db-wal")).is_ok_and(|log| log.len() > 0))
    });
    daemon.kill();
    let files_before = files(at);
    let (code, text, error) = ask(at, &["export"]);
    assert_eq!((code, &*error), (0, ""));
    assert!(text.lines().count() > before, "{} after {before}", text.lines().count());
    let mut sheet = csv::Reader::from_reader(text.as_bytes());
    let numbers: Vec<u64> = sheet.records().map(|line| line.unwrap()[6].parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|one, other| one < other), "nothing twice");
    let (_, _, error) = ask(at, &["backup", "../copy.db"]);
    assert!(error.starts_with("note: no daemon answers: readings since its last flush are missing"), "{error}");
    assert_eq!(files(at), files_before, "the next start finds all as it was left");
}

#[test]
fn what_is_not_there_is_said_with_the_next_step() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let sorry = |arguments: &[&str]| {
        let (code, text, error) = ask(at, arguments);
        assert_eq!(text, "", "{arguments:?}");
        (code, error)
    };
    for command in [&["export"][..], &["query"], &["backup", "copy.db"]] {
        let (code, error) = sorry(command);
        assert!(code == 1 && error.contains("there is no database homeostat.db\n  next   start the daemon"), "{error}");
    }
    assert!(!at.join("homeostat.db").exists());
    stored(at, |bus| publish(bus, "air.temperature", Sample::Good(20.0)));
    std::fs::write(at.join("config.toml"), CLOSET.replace("flush = \"1h\"", "path = \"plants.db\"")).unwrap();
    std::fs::write(at.join("photo.jpg"), [255; 5000]).unwrap();
    std::fs::write(at.join("wrong.toml"), "[node]\n").unwrap();
    Connection::open(at.join("photos.db")).unwrap().execute_batch("CREATE TABLE photos (id)").unwrap();
    let cases: [(&[&str], i32, &str); 11] = [
        (
            &["export", "air.temprature", "--database", "homeostat.db"],
            1,
            "did you mean `air.temperature`? `homeostat query` shows all",
        ),
        (&["query", "ari", "--database", "homeostat.db"], 1, "did you mean `air`?"),
        (&["query", "config.toml", "--database", "homeostat.db"], 1, "--config config.toml"),
        (&["query"], 1, "there is no database plants.db"),
        (&["query", "--config", "wrong.toml"], 1, "error: [node] needs `name`"),
        (&["query", "--config", "missing.toml"], 1, "cannot read missing.toml"),
        (&["export", "--database", "photo.jpg"], 1, "photo.jpg is no database of homeostat"),
        (&["export", "--database", "photos.db"], 1, "photos.db is no database of homeostat"),
        (&["export", "--database", "."], 1, ". is no file"),
        (&["export", "--from", "soon"], 2, "write a moment"),
        (&["export", "--from", "1h", "--to", "2h"], 2, "is not before --to"),
    ];
    for (arguments, code, part) in cases {
        let (found, error) = sorry(arguments);
        assert!(found == code && error.contains(part), "{arguments:?}: {found} {error}");
    }
}

#[test]
fn an_export_of_nothing_says_so_beside_its_heading() {
    let directory = tempfile::tempdir().unwrap();
    stored(directory.path(), |bus| publish(bus, "air.temperature", Sample::Good(20.0)));
    for (range, lines, note) in [
        (&["--to", "2001-01-01"][..], 1, "note: no such readings are stored in that time; `homeostat query` shows"),
        (&[], 2, ""),
    ] {
        let arguments = [&["export", "--database", "homeostat.db"], range].concat();
        let (code, text, error) = ask(directory.path(), &arguments);
        assert_eq!((code, text.lines().count()), (0, lines), "{error}");
        assert!(if note.is_empty() { error.is_empty() } else { error.starts_with(note) }, "{error}");
    }
}

#[test]
fn a_damaged_database_gives_no_backup() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("homeostat.db");
    stored(directory.path(), |bus| {
        (0..20_000).for_each(|number| publish(bus, "air.temperature", Sample::Good(f64::from(number))));
    });
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2 / 2048 * 2048;
    bytes[middle..middle + 8192].fill(0x5a);
    std::fs::write(&file, bytes).unwrap();
    let to = directory.path().join("copy.db");
    assert!(backup(&file, &to, |_, _| {}).is_err());
    let (code, _, error) = ask(directory.path(), &["backup", "copy.db"]);
    assert!(code == 4 && error.contains("is damaged"), "{error}");
    assert!(files(directory.path()).iter().all(|(name, _)| !name.starts_with("copy.db")));
}
