//! What the bank promises: one output alone, then outputs that stand in one another's way.

mod anew;
mod arrival;
mod flaky;
mod interlocks;

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;

use super::*;
use crate::clock::Clock;
use crate::hardware::lane::{Execution, Lanes};
use crate::model::Timestamp;

/// A line that writes down what it is told, and the next failure it is to have.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    log: Vec<String>,
    write: Option<&'static str>,
    /// Every write fails.
    stuck: bool,
    read_back: Option<&'static str>,
}

impl Recorder {
    fn opener(&self) -> OpenLine {
        let recorder = self.clone();
        Box::new(move |level| {
            recorder.0.lock().unwrap().log.push(format!("open {level}"));
            Ok(Box::new(recorder.clone()))
        })
    }

    fn fail_next(&self, how: &'static str) {
        self.0.lock().unwrap().write = Some(how);
    }

    /// What it is at when it is read next.
    fn find(&self, what: &'static str) {
        self.0.lock().unwrap().read_back = Some(what);
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }
}

impl Line for Recorder {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        let failure = {
            let mut script = self.0.lock().unwrap();
            script.write.take().or(script.stuck.then_some("error"))
        };
        match failure {
            Some("panic") => panic!("in write"),
            Some(_) => Err(HardwareError::Io { what: "pin".into(), reason: "stuck".into() }),
            None => {
                self.0.lock().unwrap().log.push(format!("write {level}"));
                Ok(Confirmation::Accepted)
            }
        }
    }

    fn read_back(&mut self) -> Result<Option<Level>, HardwareError> {
        let found = self.0.lock().unwrap().read_back.take();
        match found {
            Some("panic") => panic!("in read_back"),
            found => Ok(Some(Level::from(found == Some("on")))),
        }
    }
}

fn bank() -> (Bank, Arc<Slot>, Recorder, Clock) {
    let clock = Clock::simulated(Timestamp::from_millis(0));
    let lane = Lanes::new(clock, Execution::Inline).get("gpio");
    let (bank, recorder) = (Bank::default(), Recorder::default());
    let slot = bank.add(&OutputId::new("heater").unwrap(), lane, Level::OFF, recorder.opener());
    (bank, slot, recorder, clock)
}

fn secs(secs: u64) -> Monotonic {
    Monotonic::new(Duration::from_secs(secs))
}

#[tokio::test(start_paused = true)]
async fn opening_again_moves_nothing() {
    let (_bank, slot, recorder, _) = bank();
    slot.open().await.unwrap();
    slot.write(Level::ON, secs(9)).await.unwrap();
    slot.open().await.unwrap();
    slot.write(Level::ON, secs(10)).await.unwrap();
    assert_eq!(recorder.log(), ["open off", "write off", "write on"]);
    assert_eq!(slot.level(), Some(Level::ON));
}

#[tokio::test(start_paused = true)]
async fn a_level_that_nobody_holds_falls_to_safe() {
    let (bank, slot, recorder, _) = bank();
    slot.write(Level::ON, secs(9)).await.unwrap();
    assert!(bank.release(secs(9)).await.is_empty());
    slot.hold(secs(20));
    assert!(bank.release(secs(15)).await.is_empty());
    assert_eq!(bank.release(secs(21)).await.len(), 1);
    assert!(bank.release(secs(22)).await.is_empty());
    assert_eq!(recorder.log(), ["open on", "write on", "write off"]);
}

/// A plug that turns off by itself, and what is known of it whenever it is told something.
struct Forgetful {
    recorder: Recorder,
    slot: Arc<Mutex<Option<Arc<Slot>>>>,
    known: Arc<Mutex<Vec<Option<Level>>>>,
}

impl Line for Forgetful {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        self.known.lock().unwrap().extend(self.slot.lock().unwrap().as_ref().map(|slot| slot.level()));
        self.recorder.write(level)
    }

    fn repeat(&self) -> Option<Duration> {
        Some(Duration::from_secs(30))
    }
}

#[tokio::test(start_paused = true)]
async fn what_its_device_may_forget_is_told_again_and_nobody_sees_that_unless_it_fails() {
    let (bank, _, recorder, clock) = bank();
    let (itself, known) = (Arc::new(Mutex::new(None::<Arc<Slot>>)), Arc::new(Mutex::new(Vec::new())));
    let (line, seen, slot) = (recorder.clone(), known.clone(), itself.clone());
    let open: OpenLine =
        Box::new(move |_| Ok(Box::new(Forgetful { recorder: line.clone(), slot: slot.clone(), known: seen.clone() })));
    let lane = Lanes::new(clock, Execution::Inline).get("http plug");
    let plug = bank.add(&OutputId::new("plug").unwrap(), lane, Level::OFF, open);
    *itself.lock().unwrap() = Some(plug.clone());
    let rounds = async |rounds: std::ops::Range<u64>| {
        for at in rounds {
            assert!(bank.release(secs(at)).await.is_empty());
            bank.verify().await;
        }
    };
    plug.write(Level::ON, secs(999)).await.unwrap();
    known.lock().unwrap().clear();
    rounds(0..90).await;
    assert_eq!(recorder.log(), ["write on", "open off", "write off", "write on", "write on"], "at 30 s and 60 s");
    assert_eq!(*known.lock().unwrap(), [Some(Level::ON); 2], "nothing happens to its limits and budgets");

    recorder.fail_next("error");
    bank.release(secs(90)).await;
    assert_eq!(plug.level(), None, "shown as every write that fails");
    assert!(plug.moved().now_or_never().is_some(), "and its actor hears of it");
    rounds(91..120).await;
    assert_eq!((plug.level(), recorder.log().len()), (Some(Level::ON), 1), "written at once, and that counts");

    plug.write(Level::OFF, secs(999)).await.unwrap();
    rounds(120..300).await;
    assert_eq!(recorder.log(), ["write off"], "there it falls by itself");
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_write_nothing_is_believed_and_safe_is_written_until_it_holds() {
    for failure in ["error", "panic"] {
        let (bank, slot, recorder, _) = bank();
        slot.write(Level::ON, secs(9)).await.unwrap();
        recorder.fail_next(failure);
        slot.write(Level::OFF, secs(9)).await.unwrap_err();
        assert_eq!(slot.level(), None);
        assert!(slot.trouble().unwrap().starts_with("output heater cannot be confirmed off: "), "{failure}");
        // Not because nobody holds it: what is wanted is written until it is confirmed.
        assert!(bank.release(secs(1)).await.is_empty());
        assert_eq!((slot.level(), slot.confirmation()), (Some(Level::OFF), Some(Confirmation::Accepted)));
        assert_eq!(slot.trouble(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_go_on_is_told_of_at_the_third_try() {
    let (bank, slot, recorder, _) = bank();
    slot.open().await.unwrap();
    recorder.0.lock().unwrap().stuck = true;
    for told in [false, false, true] {
        slot.write(Level::ON, secs(9)).await.unwrap_err();
        assert_eq!(slot.trouble().is_some(), told);
    }
    recorder.0.lock().unwrap().stuck = false;
    bank.release(secs(1)).await;
    assert_eq!((slot.level(), slot.trouble()), (Some(Level::ON), None));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_panics_when_it_is_read_does_not_keep_others_from_being_read() {
    let (bank, heater, broken, clock) = bank();
    let lane = Lanes::new(clock, Execution::Inline).get("gpio");
    let (other, moved) = (OutputId::new("pump").unwrap(), Recorder::default());
    let pump = bank.add(&other, lane, Level::OFF, moved.opener());
    bank.open().await;
    broken.find("panic");
    moved.find("on");
    bank.verify().await;
    assert_eq!((heater.level(), pump.level()), (Some(Level::OFF), Some(Level::OFF)));
    assert_eq!(broken.log(), ["open off", "write off", "open off", "write off"], "taken anew");
    assert_eq!(moved.log(), ["open off", "write off", "write off"], "set back");
    let told = pump.trouble().unwrap();
    assert!(told.starts_with("output pump was left off and found on: something else moved its pin"), "{told}");
    bank.verify().await;
    assert_eq!(pump.trouble(), None, "found where it was left");
}

#[tokio::test(start_paused = true)]
async fn an_output_is_removed_once_it_is_safe_and_comes_back_as_another() {
    let (bank, slot, recorder, clock) = bank();
    let heater = OutputId::new("heater").unwrap();
    slot.write(Level::ON, secs(9)).await.unwrap();
    recorder.fail_next("error");
    bank.remove(&heater).await.unwrap_err();
    assert_eq!(slot.write(Level::ON, secs(9)).await, Err(WriteError::Removed));
    assert_eq!(
        recorder.log(),
        ["open on", "write on", "write off"],
        "it stays, and nothing but its safe level is written"
    );
    bank.remove(&heater).await.unwrap();
    assert_eq!(slot.write(Level::ON, secs(9)).await, Err(WriteError::Removed));
    assert!(bank.troubles().is_empty() && bank.remove(&heater).await.is_ok());

    let lane = Lanes::new(clock, Execution::Inline).get("gpio");
    let again = bank.add(&heater, lane, Level::OFF, recorder.opener());
    again.write(Level::ON, secs(9)).await.unwrap();
    assert_eq!((again.level(), slot.level()), (Some(Level::ON), None));
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_made_safe_stands_beside_its_follower_until_it_is_and_both_can_be_removed() {
    let (bank, old, stuck, clock) = bank();
    let heater = OutputId::new("heater").unwrap();
    let lane = Lanes::new(clock, Execution::Inline).get("gpio");
    old.write(Level::ON, secs(9)).await.unwrap();
    stuck.fail_next("error");
    bank.remove(&heater).await.unwrap_err();
    assert_eq!(bank.leaving(), std::slice::from_ref(&heater));

    let recorder = Recorder::default();
    let new = bank.add(&heater, lane.clone(), Level::OFF, recorder.opener());
    new.open().await.unwrap();
    let told = bank.troubles();
    assert!(
        told.len() == 1 && told[0].1.as_ref().is_some_and(|told| told.contains("cannot be confirmed off")),
        "{told:?}"
    );
    assert_eq!(new.trouble(), told[0].1, "the new one's actor does not clear the alarm");

    stuck.0.lock().unwrap().stuck = true;
    bank.release(secs(1)).await;
    stuck.0.lock().unwrap().stuck = false;
    assert_eq!((bank.leaving().len(), new.level()), (1, Some(Level::OFF)));
    new.write(Level::ON, secs(9)).await.unwrap();
    bank.release(secs(2)).await;
    assert_eq!((bank.leaving(), bank.troubles()), (vec![], vec![(heater.clone(), None)]));
    assert!(locked(&old.line).is_none(), "the hardware is given back");
    assert_eq!(new.level(), Some(Level::ON));

    recorder.fail_next("error");
    bank.remove(&heater).await.unwrap_err();
    let last = bank.add(&heater, lane, Level::OFF, Recorder::default().opener());
    last.open().await.unwrap();
    bank.remove(&heater).await.unwrap();
    assert!(bank.troubles().is_empty() && bank.leaving().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_whose_hardware_was_never_taken_leaves_nothing_behind() {
    let (bank, _, _, clock) = bank();
    let (heater, fan) = (OutputId::new("heater").unwrap(), OutputId::new("fan").unwrap());
    let lane = Lanes::new(clock, Execution::Inline).get("gpio");
    let broken: OpenLine = Box::new(|_| Err(HardwareError::Io { what: "pin".into(), reason: "in use".into() }));
    let slot = bank.add(&fan, lane, Level::OFF, broken);
    bank.set_interlocks(&heater, &[], std::slice::from_ref(&fan));
    slot.open().await.unwrap_err();
    assert!(bank.troubles().iter().any(|(output, told)| *output == fan && told.is_some()));
    bank.remove(&fan).await.unwrap();
    assert_eq!((bank.leaving(), bank.troubles()), (vec![], vec![(heater.clone(), None)]));
    let heater = bank.slots().pop().unwrap();
    heater.write(Level::ON, secs(9)).await.expect("nobody stands in its way");
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_process_may_have_left_on_does_not_leave_before_it_is_safe() {
    let clock = Clock::simulated(Timestamp::from_millis(0));
    let lane = Lanes::new(clock, Execution::Inline).get("gpio");
    let (bank, recorder, fan) = (Bank::default(), Recorder::default(), OutputId::new("fan").unwrap());
    let (whole, opens) = (Arc::new(AtomicBool::new(false)), recorder.opener());
    let heals = whole.clone();
    let open: OpenLine = Box::new(move |level| match heals.load(Ordering::Relaxed) {
        true => opens(level),
        false => Err(HardwareError::Io { what: "pin".into(), reason: "in use".into() }),
    });
    bank.add(&fan, lane, Level::OFF, open);
    assert_eq!(bank.open().await.len(), 1);
    bank.remove(&fan).await.unwrap_err();
    bank.release(secs(1)).await;
    assert_eq!((bank.leaving(), recorder.log().len()), (vec![fan], 0));
    whole.store(true, Ordering::Relaxed);
    bank.release(secs(2)).await;
    assert_eq!(bank.leaving(), []);
    assert!(recorder.log()[0].starts_with("open off"), "{:?}", recorder.log());
}

/// The fan's off is on its way to the pin; meanwhile on is wanted again.
#[tokio::test(start_paused = true)]
async fn nobody_is_on_because_of_a_pin_whose_off_is_under_way_or_done() {
    let (bank, heater, _, clock) = bank();
    let lane = Lanes::new(clock, Execution::Inline).get("gpio");
    let fan = bank.add(&OutputId::new("fan").unwrap(), lane, Level::OFF, Recorder::default().opener());
    bank.set_interlocks(&heater.id, std::slice::from_ref(&fan.id), &[]);
    fan.write(Level::ON, secs(9)).await.unwrap();
    assert_eq!(heater.blocked(), None);

    let want = |level| drop(locked(&bank.table).want(fan.key, level).unwrap());
    want(Level::OFF);
    assert!(locked(&bank.table).turn(fan.key).unwrap().is_some_and(|turn| !turn.level.is_on()));
    want(Level::ON);
    assert!(heater.blocked().is_some(), "the off is under way");
    let written = taken::Written { confirmation: Confirmation::Accepted, under_way: None, repeat: None };
    locked(&bank.table).written(fan.key, Level::OFF, written, false);
    assert!(heater.blocked().is_some(), "the off is on the pin");
    fan.write(Level::ON, secs(9)).await.unwrap();
    assert_eq!(heater.blocked(), None);
}

#[tokio::test(start_paused = true)]
async fn a_life_that_ended_in_the_midst_of_a_write_leaves_the_pin_to_the_next() {
    let (_bank, slot, recorder, _) = bank();
    slot.open().await.unwrap();
    recorder.fail_next("error");
    slot.write(Level::ON, secs(9)).await.unwrap_err();
    slot.open().await.unwrap();
    assert_eq!(recorder.log(), ["open off", "write off"], "the next life's guard decides, not the opening");
}

#[tokio::test]
async fn the_last_word_is_the_last_one_on_the_pin() {
    let clock = Clock::simulated(Timestamp::from_millis(0));
    let lane = Lanes::new(clock, Execution::Thread).get("gpio");
    let (bank, recorder) = (Bank::default(), Recorder::default());
    let slot = bank.add(&OutputId::new("heater").unwrap(), lane.clone(), Level::OFF, recorder.opener());
    // The lane is held up while several want several things and then stop waiting.
    let gate = crate::hardware::lane::Gate::new();
    let (hung, who) = (gate.clone(), Arc::from("somebody"));
    // Long enough for its thread to begin it, on whatever machine: one that nobody waits for any more is left out.
    let hang = lane.run(&who, Duration::from_millis(300), move || crate::hardware::lane::hang(&hung));
    assert!(hang.await.is_err());
    for level in [Level::ON, Level::OFF, Level::ON] {
        assert!(slot.write(level, secs(9)).await.is_err());
    }
    assert_eq!(bank.seal().await.len(), 1);
    gate.release();
    while slot.level() != Some(Level::OFF) {
        tokio::task::yield_now().await;
    }
    assert!(!recorder.log().contains(&"write on".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_answer_does_not_hold_up_the_end() {
    let (bank, heater, recorder, clock) = bank();
    let gate = crate::hardware::lane::Gate::new();
    let lane = Lanes::new(clock, Execution::Inline).get("http plug");
    let hung = gate.clone();
    let open: OpenLine = Box::new(move |_| {
        crate::hardware::lane::hang(&hung);
        Err(HardwareError::Io { what: "plug".into(), reason: "gone".into() })
    });
    let way = Way { lane, deadline: Duration::from_millis(4500) };
    bank.add(&OutputId::new("plug").unwrap(), way, Level::OFF, open);
    let began = clock.now();
    recorder.fail_next("error");
    let (left, ()) = tokio::join!(bank.seal(), async {
        tokio::time::sleep(RETRY + RETRY / 2).await;
        assert_eq!(heater.level(), Some(Level::OFF), "its second try waits for nobody else");
    });
    assert_eq!(clock.now().since(began), Bank::SEALING);
    let [(who, error)] = left.as_slice() else { panic!("{left:?}") };
    assert_eq!((&**who, error.to_string().as_str()), ("output plug", "no answer on http plug within 2 s"));
    assert!(bank.is_sealed());
}

#[tokio::test(start_paused = true)]
async fn a_sealed_bank_turns_nothing_on() {
    let (bank, slot, recorder, _) = bank();
    slot.write(Level::ON, secs(9)).await.unwrap();
    assert!(bank.seal().await.is_empty());
    assert_eq!(slot.write(Level::ON, secs(99)).await, Err(WriteError::Sealed));
    slot.write(Level::OFF, secs(99)).await.unwrap();
    assert_eq!(recorder.log(), ["open on", "write on", "write off"]);
}
