//! One after the other, each within its deadline, and what hangs holds up nobody but its own lane.

use super::*;
use crate::model::Timestamp;

const DEADLINE: Duration = Duration::from_secs(2);

fn lane(execution: Execution) -> Lane {
    Lane::new("i2c-1", Clock::simulated(Timestamp::from_millis(0)), execution)
}

#[tokio::test(start_paused = true)]
async fn a_hung_job_holds_up_its_own_bus_only_and_says_who_is_in_the_way() {
    let lane = lane(Execution::Inline);
    let gate = Gate::new();
    let (air, soil): (Arc<str>, Arc<str>) = ("sensor air".into(), "sensor soil".into());

    let hung = gate.clone();
    let started = lane.now();
    let (first, second) = tokio::join!(lane.run(&air, DEADLINE, move || hang(&hung)), lane.run(&soil, DEADLINE, || 7),);
    assert_eq!(first, Err(LaneError::Timeout { lane: "i2c-1".into(), deadline: DEADLINE }));
    assert!(matches!(second, Err(LaneError::Busy { .. })), "{second:?}");
    assert_eq!(lane.now().since(started), DEADLINE);

    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(lane.now().since(started), Duration::from_secs(12));
    let refused = lane.run(&soil, DEADLINE, || 7).await.unwrap_err();
    assert_eq!(refused.to_string(), "i2c-1 has been busy for 12 s with sensor air");

    gate.release();
    tokio::task::yield_now().await;
    assert_eq!(lane.run(&soil, DEADLINE, || 7).await, Ok(7));
}

#[tokio::test]
async fn a_hung_thread_is_the_only_one_of_its_bus() {
    let (lane, other) = (lane(Execution::Thread), lane(Execution::Thread));
    let (short, who): (_, Arc<str>) = (Duration::from_millis(20), "sensor air".into());
    let gate = Gate::new();
    let hung = gate.clone();
    assert!(matches!(lane.run(&who, short, move || hang(&hung)).await, Err(LaneError::Timeout { .. })));
    assert!(matches!(lane.run(&who, short, || 7).await, Err(LaneError::Busy { .. })));
    assert_eq!(other.run(&who, DEADLINE, || 7).await, Ok(7));
    gate.release();
    // The thread finishes what it had begun, and the lane serves again.
    while lane.run(&who, DEADLINE, || 7).await != Ok(7) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_job_or_in_what_it_leaves_behind_stays_in_the_job() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    for execution in [Execution::Thread, Execution::Inline] {
        let (lane, who): (_, Arc<str>) = (lane(execution), "sensor air".into());
        let panicked = lane.run(&who, DEADLINE, || panic!("in read")).await;
        assert_eq!(panicked, Err::<(), _>(LaneError::Panicked("in read".into())));
        lane.discard(&who, Bomb);
        assert_eq!(lane.run(&who, DEADLINE, || 7).await, Ok(7));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_counts_from_the_jobs_own_turn() {
    let lane = lane(Execution::Inline);
    let (slow, stuck, who) = (Gate::new(), Gate::new(), Arc::from("sensor air"));
    let began = lane.now();
    let release = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        slow.release();
    };
    let (first, second) = (slow.clone(), stuck.clone());
    let (_, waited, ()) = tokio::join!(
        lane.run(&who, DEADLINE, move || hang(&first)),
        lane.run(&who, DEADLINE, move || hang(&second)),
        release,
    );
    assert!(matches!(waited, Err(LaneError::Timeout { .. })), "{waited:?}");
    assert_eq!(lane.now().since(began), Duration::from_millis(3500));
}

#[tokio::test]
async fn jobs_come_one_after_another() {
    let (lane, who): (_, Arc<str>) = (lane(Execution::Thread), "sensor air".into());
    let jobs = (0..50).map(|n| lane.run(&who, DEADLINE, move || n));
    let results = futures_util::future::join_all(jobs).await;
    assert!(results.into_iter().enumerate().all(|(n, result)| result == Ok(n)));
}
