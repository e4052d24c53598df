//! Files that are damaged: nothing that comes later is lost, and what was there is put aside.

use super::*;

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
        assert_eq!(super::super::read::readings(&rig.put_aside()[0], &rig.air).unwrap().len(), 1);
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

fn overwrite(file: &Path, at: usize, with: &[u8]) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at..at + with.len()].copy_from_slice(with);
    std::fs::write(file, bytes).unwrap();
}
