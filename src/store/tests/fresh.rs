//! The fresh tier: a process that dies at any point loses nothing that was in it, and stores nothing twice.

use super::*;
use crate::message::{Event, OutputState};
use crate::model::{Level, OutputId};

/// What the daemon may have come to before it died.
#[derive(Debug, Clone, Copy)]
enum Step {
    Publish,
    Journal,
    Commit,
    /// Committed, and died before the fresh tier was told.
    CommitAlone,
    Alarm,
    Output,
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_point_nothing_that_was_journaled_is_lost_and_nothing_is_there_twice() {
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..60 {
        let mut directory = tempfile::tempdir().unwrap();
        let (mut safe, mut alarms, mut outputs, mut told) = (Vec::new(), 0, 0, 0);
        for _life in 0..4 {
            let rig = Rig::again(directory);
            let (mut waits, mut others) = (Vec::new(), (0, 0));
            for _ in 0..random.usize(0..12) {
                use Step::*;
                told += 1;
                match random.choice([Publish, Publish, Publish, Journal, Commit, CommitAlone, Alarm, Output]).unwrap() {
                    Publish => waits.push(rig.publish(match told % 3 {
                        0 => Sample::Bad("unplugged".into()),
                        1 => Sample::Uncertain(2.0, format!("reason {told}").into()),
                        _ => Sample::Good(f64::from(told)),
                    })),
                    Alarm => {
                        rig.alarms.raise("sensors.air", &format!("number {told}"));
                        others.0 += 1;
                    }
                    Output => {
                        rig.bus.tell(change(told, rig.clock.wall()));
                        others.1 += 1;
                    }
                    step => {
                        rig.store.collect(&rig.tap);
                        let tier = matches!(step, CommitAlone).then(|| rig.store.fresh_tier().take());
                        match step {
                            Journal => rig.store.journal(),
                            _ => rig.store.commit(),
                        }
                        if let Some(tier) = tier {
                            *rig.store.fresh_tier() = tier;
                        }
                        safe.append(&mut waits);
                        alarms += std::mem::take(&mut others.0);
                        outputs += std::mem::take(&mut others.1);
                    }
                }
                tokio::time::advance(Duration::from_millis(3)).await;
            }
            // It dies here: nothing is closed in order.
            directory = rig.die();
        }
        let rig = Rig::again(directory);
        assert_eq!(rig.stored(), safe, "round {round}");
        assert_eq!(rig.ask::<i32>("SELECT count(*) FROM alarms"), alarms, "round {round}");
        assert_eq!(rig.ask::<i32>("SELECT count(*) FROM output_changes"), outputs, "round {round}");
        assert_eq!(rig.store.waiting(), 0);
        let reasons = "SELECT count(*) FROM history WHERE (quality = 'good') <> (reason IS NULL)";
        assert_eq!(rig.ask::<i32>(reasons), 0, "each reason is whole");
        assert!(rig.publish(Sample::Good(1.0)) > safe.last().copied().unwrap_or(0));
    }
}

/// A change that is like no other one.
fn change(number: i32, since: Timestamp) -> Event {
    Event::Output(OutputState {
        output: OutputId::new("heater").unwrap(),
        level: Level::OFF,
        on: false,
        by: None,
        why: format!("number {number}").into(),
        limit: Some(format!("number {number}").into()),
        because: None,
        confirmed: true,
        since,
    })
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_over_waits_for_a_disk_like_everything_else() {
    let rig = Rig::new();
    let first = rig.publish(Sample::Good(1.0));
    rig.store.collect(&rig.tap);
    rig.store.journal();
    let disk = Arc::new(BadDisk(Mutex::new(Some((Operation::Open, Fault::NoAccess)))));
    let rig = Rig::on(rig.die(), disk);
    assert_eq!(rig.store.waiting(), 1);
    let second = rig.publish(Sample::Good(2.0));
    rig.store.collect(&rig.tap);
    rig.store.journal();
    // And it dies again.
    let rig = Rig::again(rig.die());
    assert_eq!(rig.stored(), [first, second]);
}

#[tokio::test(start_paused = true)]
async fn after_an_orderly_end_nothing_is_left_in_memory() {
    let rig = Rig::new();
    rig.publish(Sample::Good(1.0));
    rig.store.collect(&rig.tap);
    rig.store.journal();
    let directory = rig.close();
    assert!(!fresh(&directory).exists());
    assert_eq!(Rig::again(directory).stored(), [1]);
}

#[tokio::test(start_paused = true)]
async fn whatever_lies_in_its_place_the_daemon_starts_and_is_safe_from_then_on() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 5] = [
        ("noise", |file| std::fs::write(file, [0xa5; 9000]).unwrap()),
        ("empty", |file| std::fs::write(file, "").unwrap()),
        ("half", |file| {
            let bytes = std::fs::read(file).unwrap();
            std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("of another program", |file| {
            std::fs::remove_file(file).unwrap();
            Connection::open(file).unwrap().execute_batch("CREATE TABLE photos (id)").unwrap();
        }),
        ("a directory", |file| {
            std::fs::remove_file(file).unwrap();
            std::fs::create_dir(file).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let rig = Rig::new();
        rig.write();
        rig.publish(Sample::Good(1.0));
        rig.store.collect(&rig.tap);
        rig.store.journal();
        let directory = rig.die();
        let _ = std::fs::remove_file(aside_log(&fresh(&directory)));
        harm(&fresh(&directory));
        let rig = Rig::again(directory);
        assert_eq!(rig.alarm("store.fresh"), None, "{what}");
        let number = rig.publish(Sample::Good(2.0));
        rig.store.collect(&rig.tap);
        rig.store.journal();
        let rig = Rig::again(rig.die());
        assert_eq!(rig.stored().last(), Some(&number), "{what}");
    }
}

fn aside_log(file: &Path) -> PathBuf {
    super::super::aside::log_of(file)
}

#[tokio::test(start_paused = true)]
async fn memory_that_cannot_be_written_is_an_alarm_and_the_disk_goes_on() {
    let mut rig = Rig::new();
    let place = rig.directory.path().join("runtime");
    let file = rig.directory.path().join("homeostat.db");
    rig.store = Store::open(&file, Some(&place.join(FRESH)), rig.clock, rig.disk.clone()).unwrap().0;
    assert!(rig.alarm("store.fresh").is_some_and(|text| text.contains("runtime/fresh.db")));
    let first = rig.publish(Sample::Good(1.0));
    rig.store.collect(&rig.tap);
    rig.store.journal();
    rig.store.commit();
    assert_eq!(rig.stored(), [first]);

    let second = rig.publish(Sample::Good(2.0));
    rig.store.collect(&rig.tap);
    std::fs::create_dir(&place).unwrap();
    rig.store.journal();
    assert!(rig.alarm("store.fresh").is_some(), "it is not tried all the time");
    tokio::time::advance(Duration::from_secs(61)).await;
    rig.store.journal();
    assert_eq!(rig.alarm("store.fresh"), None);
    let (clock, disk) = (rig.clock, rig.disk.clone());
    let _directory = rig.die();
    let (store, _) = Store::open(&file, Some(&place.join(FRESH)), clock, disk).unwrap();
    assert_eq!(store.after(0, 9).unwrap().iter().map(|reading| reading.seq).collect::<Vec<_>>(), [first, second]);
}
