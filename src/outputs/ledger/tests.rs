//! A disk that hangs, pauses or comes late, and a ledger that waits for it as little as it may.

use super::*;
use crate::bus::Bus;
use crate::hardware::lane::{Execution, Gate, Lanes, hang};
use crate::model::Timestamp;

fn limits() -> Limits {
    let text = "[node]\nname = \"a\"\nhardware = \"simulated\"\n[outputs.heater]\ndriver = \"gpio\"\npin = 17";
    crate::config::parse(text).unwrap().outputs.remove(0).limits
}

struct Desk {
    clock: Clock,
    alarms: Alarms,
    lane: Lane,
    directory: tempfile::TempDir,
    ledger: Ledger,
    heater: OutputId,
}

impl Desk {
    fn new() -> Self {
        let clock = Clock::simulated(Timestamp::from_millis(0));
        let alarms = Alarms::new(clock, Bus::new(clock, 0));
        let lane = Lanes::new(clock, Execution::Inline).get("ledger");
        let directory = tempfile::tempdir().unwrap();
        let boot = Boot { id: "a".into(), uptime: Duration::from_secs(5) };
        let ledger = Ledger::open(&directory.path().join("outputs.json"), boot, clock, &alarms, lane.clone());
        Self { clock, alarms, lane, directory, ledger, heater: OutputId::new("heater").unwrap() }
    }

    fn record(&self, version: u64) {
        self.ledger.record(&self.heater, Record { version, memory: Memory::default() });
    }

    /// When what the file says of the heater was so.
    fn written(&self) -> Option<u64> {
        let file = read(&self.directory.path().join("outputs.json")).unwrap()?;
        Some(file.outputs["heater"].uptime)
    }

    /// The disk does not answer from now on until the gate opens.
    async fn hang(&self, deadline: Duration) -> Gate {
        let (gate, who, lane) = (Gate::new(), Arc::from("somebody"), self.lane.clone());
        let hung = gate.clone();
        tokio::spawn(async move { lane.run(&who, deadline, move || hang(&hung)).await });
        tokio::task::yield_now().await;
        gate
    }
}

#[tokio::test(start_paused = true)]
async fn no_record_waits_for_a_disk_that_hangs_and_what_it_missed_is_written_after_it() {
    let desk = Desk::new();
    let account = desk.ledger.account(&desk.heater, limits());
    let gate = desk.hang(PATIENCE).await;
    sleep(2 * PATIENCE).await;
    let before = desk.clock.now();
    desk.record(1);
    assert_eq!(desk.clock.now(), before);
    answered(&account).await.expect("control goes on");
    sleep(PATIENCE).await;
    assert_eq!(desk.alarms.standing_now().len(), 1);
    assert_eq!(desk.written(), None);

    gate.release();
    sleep(Duration::from_millis(1)).await;
    for version in [2, 3] {
        desk.record(version);
    }
    answered(&account).await.expect("the guard is told");
    assert_eq!(desk.alarms.standing_now(), []);
    assert_eq!(desk.written(), Some(8001));

    // Nobody records any more.
    let gate = desk.hang(PATIENCE).await;
    sleep(2 * PATIENCE).await;
    desk.record(4);
    gate.release();
    sleep(PATIENCE).await;
    assert_eq!((desk.written(), desk.alarms.standing_now().len()), (Some(8001), 1));
    sleep(Duration::from_secs(10)).await;
    assert_eq!((desk.written(), desk.alarms.standing_now()), (Some(10_001), vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_pauses_for_seconds_holds_up_no_guard_and_is_nobodys_alarm() {
    let desk = Desk::new();
    let account = desk.ledger.account(&desk.heater, limits());
    let gate = desk.hang(DEADLINE).await;
    for version in [1, 2, 3] {
        desk.record(version);
        answered(&account).await.expect("control goes on");
    }
    assert_eq!(desk.written(), None);
    gate.release();
    sleep(Duration::from_millis(1)).await;
    assert_eq!((desk.written(), desk.alarms.standing_now()), (Some(7000), vec![]));
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_before_what_it_must_remember_is_written_also_while_another_write_is_under_way() {
    let desk = Desk::new();
    drop(desk.ledger.account(&desk.heater, limits()));
    let gate = desk.hang(DEADLINE).await;
    desk.record(1);
    sleep(Duration::from_millis(100)).await;
    drop(desk.ledger.account(&desk.heater, limits()));
    let opens = async {
        sleep(Duration::from_millis(100)).await;
        gate.release();
    };
    tokio::join!(desk.ledger.begin(), opens);
    assert_eq!(desk.written(), Some(5100));
}

async fn answered(account: &Account) -> Result<(), tokio::time::error::Elapsed> {
    timeout(PATIENCE + Duration::from_millis(1), account.changed()).await
}
