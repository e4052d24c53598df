//! What outlives the process: the alarms that stand, in `alarms.json` of the state directory.
//!
//! Latched ones stand again in the next process, before any controller begins. The others are written too, only so that the next
//! process can tell that they have gone: what still is wrong raises its alarm again by itself.
//!
//! There is no safe side to err to when the file is damaged: nobody knows then what had been stopped. So it is put aside, and
//! a latched alarm of its own asks a person to look.

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::Alarms;
use crate::files;
use crate::message::Alarm;
use crate::model::Timestamp;

/// The file in the state directory.
pub const FILE: &str = "alarms.json";

/// The alarm that tells of a damaged file.
const DAMAGED: &str = "alarms";

/// The alarm that tells that the file cannot be written.
const UNWRITTEN: &str = "alarms.unwritten";

/// Far more than there are things that could raise one.
const MOST: usize = 10_000;

/// A larger file is not ours.
const LARGEST: u64 = 16 << 20;

/// After a write that failed the next one follows so much later, unless something changes before.
const RETRY: Duration = Duration::from_secs(30);

/// What an earlier process left.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// What stood when it ended.
    pub alarms: Vec<Alarm>,
    /// What is wrong with the file, if anything is.
    pub damage: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    alarms: Vec<KeptAlarm>,
}

#[derive(Serialize, Deserialize)]
struct KeptAlarm {
    name: String,
    text: String,
    since_ms: i64,
    latched: bool,
    acknowledged: bool,
}

/// The file's content for these alarms.
fn written(alarms: &[Alarm]) -> Vec<u8> {
    let kept = |alarm: &Alarm| {
        let text = alarm.text.as_deref()?.to_owned();
        let &Alarm { since, latched, acknowledged, .. } = alarm;
        Some(KeptAlarm { name: alarm.name.to_string(), text, since_ms: since.as_millis(), latched, acknowledged })
    };
    let kept = Kept { version: 1, alarms: alarms.iter().filter_map(kept).take(MOST).collect() };
    // Text keys and whole numbers can always be written.
    serde_json::to_vec_pretty(&kept).unwrap_or_default()
}

fn read(bytes: &[u8]) -> Result<Vec<Alarm>, String> {
    let kept: Kept = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if kept.version != 1 {
        return Err(format!("it is of version {}, and this homeostat knows version 1", kept.version));
    }
    let alarm = |kept: KeptAlarm| Alarm {
        name: kept.name.into(),
        text: Some(kept.text.into()),
        since: Timestamp::from_millis(kept.since_ms),
        latched: kept.latched,
        acknowledged: kept.acknowledged,
    };
    Ok(kept.alarms.into_iter().take(MOST).map(alarm).collect())
}

/// Reads what an earlier process left. A damaged file is put aside beside itself. Blocks.
pub fn recall(file: &Path) -> Recalled {
    let content = fs::metadata(file).and_then(|found| {
        if found.len() > LARGEST { Err(io::Error::other("it is far too large")) } else { fs::read(file) }
    });
    let wrong = match content {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Recalled::default(),
        Err(error) => error.to_string(),
        Ok(bytes) => match read(&bytes) {
            Ok(alarms) => return Recalled { alarms, damage: None },
            Err(wrong) => wrong,
        },
    };
    let what_now = match files::put_aside(file) {
        Ok(aside) => format!("it was put aside as {}", aside.display()),
        Err(error) => format!("it could not be put aside either ({error})"),
    };
    Recalled { alarms: Vec::new(), damage: Some(format!("{} cannot be read: {wrong}; {what_now}", file.display())) }
}

impl Alarms {
    /// Takes over what an earlier process left: latched alarms stand on, the others are told to have gone.
    pub fn restore(&self, recalled: &Recalled) {
        for alarm in &recalled.alarms {
            if alarm.latched { self.stand_again(alarm.clone()) } else { self.forget(&alarm.name) }
        }
        if let Some(damage) = &recalled.damage {
            tracing::error!("{damage}");
            self.latch(
                DAMAGED,
                &format!(
                    "{damage}. If a latched alarm stood before, it was lost: see whether everything that runs may run, \
                     then `homeostat ack {DAMAGED}`"
                ),
            );
        }
    }
}

/// Has every change of the table written with `write`, until `stop`. What changes while one is under way is written with the next
/// one. A write that fails is tried again for ever.
pub async fn keep<E: Display>(
    alarms: &Alarms,
    write: impl AsyncFn(Vec<u8>) -> Result<(), E>,
    stop: impl Future<Output = ()>,
) {
    let mut stop = pin!(stop);
    let mut changes = alarms.changes();
    let mut on_disk: Option<Vec<u8>> = None;
    loop {
        changes.mark_unchanged();
        let bytes = written(&alarms.standing_now());
        let mut failed = false;
        if on_disk.as_ref() != Some(&bytes) {
            match write(bytes.clone()).await {
                Ok(()) => {
                    on_disk = Some(bytes);
                    alarms.clear(UNWRITTEN);
                }
                Err(error) => {
                    failed = true;
                    // The words stay the same while it fails: an alarm that is told once changes nothing here twice.
                    tracing::debug!("{FILE} cannot be written: {error}");
                    let text = format!(
                        "{FILE} cannot be written, so latched alarms would not survive a restart: see to the disk"
                    );
                    alarms.raise(UNWRITTEN, &text);
                }
            }
        }
        tokio::select! {
            () = &mut stop => break,
            _ = changes.changed() => {}
            () = sleep(RETRY), if failed => {}
        }
    }
    let bytes = written(&alarms.standing_now());
    if on_disk.as_ref() != Some(&bytes)
        && let Err(error) = write(bytes).await
    {
        tracing::error!("{FILE} could not be written before the stop: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use proptest::prelude::*;

    use super::super::tests::alarms;
    use super::*;
    use crate::message::Event;

    fn alarm(name: &str, latched: bool) -> Alarm {
        let since = Timestamp::from_millis(1_795_250_000_250);
        Alarm { name: name.into(), text: Some("\"it\" is °C".into()), since, latched, acknowledged: !latched }
    }

    #[test]
    fn what_was_written_is_recalled() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        assert_eq!(recall(&file), Recalled::default(), "no file is no damage");
        let stood = vec![alarm("controllers.warmth.watch", true), alarm("sensors.air", false)];
        fs::write(&file, written(&stood)).unwrap();
        assert_eq!(recall(&file), Recalled { alarms: stood, damage: None });
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_a_person_is_told_until_they_know() {
        let whole = written(&[alarm("a", true)]);
        let newer = String::from_utf8(whole.clone()).unwrap().replace("\"version\": 1", "\"version\": 2");
        for damaged in [&whole[..whole.len() / 2], b"", b"\xff\0", newer.as_bytes(), b"[]"] {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join(FILE);
            fs::write(&file, damaged).unwrap();
            let recalled = recall(&file);
            assert!(recalled.damage.is_some());
            assert!(!file.exists());
            assert_eq!(fs::read(directory.path().join("alarms.json.damaged")).unwrap(), damaged);
            let (alarms, _) = alarms();
            alarms.restore(&recalled);
            alarms.clear("alarms");
            assert!(alarms.is_latched("alarms"));
            assert!(alarms.standing_now()[0].text.as_deref().unwrap().contains("alarms.json.damaged"));
        }
    }

    #[test]
    fn latched_alarms_stand_again_with_their_time_and_the_others_are_told_to_have_gone() {
        let (alarms, tap) = alarms();
        alarms.restore(&Recalled { alarms: vec![alarm("a", true), alarm("b", false)], damage: None });
        assert_eq!(alarms.standing_now(), [alarm("a", true)]);
        let mut told = Vec::new();
        tap.drain(&mut told);
        let told: Vec<_> = told
            .iter()
            .map(|event| match event {
                Event::Alarm(alarm) => (alarm.name.to_string(), alarm.text.is_some()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, [("a".to_owned(), true), ("b".to_owned(), false)]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_change_is_written_also_after_the_disk_has_failed_and_the_last_one_at_the_stop() {
        let (alarms, _tap) = alarms();
        let (files, broken) = (RefCell::new(Vec::new()), Cell::new(false));
        let write = async |bytes: Vec<u8>| {
            if broken.get() {
                return Err("no space");
            }
            files.borrow_mut().push(read(&bytes).unwrap().into_iter().map(|alarm| alarm.name.to_string()).collect());
            Ok(())
        };
        let last = || -> Vec<String> { files.borrow().last().cloned().unwrap_or_default() };
        let play = async {
            alarms.latch("a", "first");
            sleep(Duration::from_millis(1)).await;
            assert_eq!(last(), ["a"]);
            broken.set(true);
            alarms.raise("b", "second");
            sleep(Duration::from_secs(300)).await;
            assert_eq!(last(), ["a"]);
            assert!(alarms.standing_now().iter().any(|alarm| &*alarm.name == UNWRITTEN));
            broken.set(false);
            sleep(RETRY * 2).await;
            assert_eq!(last(), ["a", "b"]);
            alarms.acknowledge("a").unwrap();
        };
        keep(&alarms, write, play).await;
        assert_eq!(last(), ["b"]);
        assert!(files.borrow().len() < 10, "only changes are written: {:?}", files.borrow());
    }

    proptest! {
        #[test]
        fn no_file_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..200usize, flip in any::<u8>()) {
            let _ = read(&bytes);
            let mut near = written(&[alarm("a", true)]);
            let cut = cut % near.len();
            near[cut] ^= flip;
            let _ = read(&near);
            let _ = read(&near[..cut]);
        }
    }
}
