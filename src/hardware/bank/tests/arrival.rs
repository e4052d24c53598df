//! What moves by itself after a write: it is waited for at the end, and before its line is given back.

use super::*;

/// Goes to each new level in its own time.
struct Vent {
    clock: Clock,
    takes: Duration,
    level: Level,
    there: Monotonic,
    fails: bool,
    dropped: Arc<AtomicBool>,
}

impl Line for Vent {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        if std::mem::replace(&mut self.level, level) != level {
            self.there = self.clock.now() + self.takes;
        }
        Ok(Confirmation::Accepted)
    }

    fn under_way(&mut self) -> Result<Option<Duration>, HardwareError> {
        let now = self.clock.now();
        if self.fails && self.there > secs(1) && now.since(self.there - self.takes) > Duration::from_millis(100) {
            return Err(HardwareError::Io { what: "vent".into(), reason: "the end switch was not reached".into() });
        }
        Ok(Some(self.there.since(now)).filter(|left| !left.is_zero()))
    }
}

impl Drop for Vent {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
    }
}

struct House {
    bank: Bank,
    clock: Clock,
    lanes: Lanes,
}

impl House {
    fn new() -> Self {
        let clock = Clock::simulated(Timestamp::from_millis(0));
        Self { bank: Bank::default(), clock, lanes: Lanes::new(clock, Execution::Inline) }
    }

    fn vent(&self, name: &str, takes: Duration, fails: bool) -> (Arc<Slot>, Arc<AtomicBool>) {
        let (clock, dropped) = (self.clock, Arc::new(AtomicBool::new(false)));
        let ours = dropped.clone();
        let open: OpenLine = Box::new(move |level| {
            Ok(Box::new(Vent { clock, takes, level, there: clock.now(), fails, dropped: ours.clone() }))
        });
        let way = Way { lane: self.lanes.get(&format!("stepper {name}")), deadline: Duration::from_secs(4) };
        (self.bank.add(&OutputId::new(name).unwrap(), way, Level::OFF, open), dropped)
    }

    /// Who is not safe and why, and how long that took.
    async fn seal(&self) -> (Vec<String>, Duration) {
        let began = self.clock.now();
        let left = self.bank.seal().await;
        (left.iter().map(|(who, error)| format!("{who}: {error}")).collect(), self.clock.now().since(began))
    }
}

const MS: fn(u64) -> Duration = Duration::from_millis;

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_what_is_on_its_way_and_no_longer() {
    let house = House::new();
    let (quick, _) = house.vent("quick", MS(500), false);
    quick.write(Level::ON, secs(99)).await.unwrap();
    tokio::time::sleep(MS(3000)).await;
    let (left, took) = house.seal().await;
    assert!(left.is_empty() && took >= MS(500) && took <= MS(550), "{left:?} after {took:?}");

    // One that stands where it is safe holds up nobody.
    let house = House::new();
    house.vent("quick", MS(500), false).0.open().await.unwrap();
    assert_eq!(house.seal().await, (vec![], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_not_there_in_time_or_breaks_down_on_its_way_is_named() {
    let house = House::new();
    let moving = [("quick", 500, false), ("slow", 10_000, false), ("broken", 1900, true)];
    for (name, takes, fails) in moving {
        house.vent(name, MS(takes), fails).0.open().await.unwrap();
    }
    tokio::time::sleep(MS(1500)).await;
    for slot in house.bank.slots() {
        slot.write(Level::ON, secs(99)).await.unwrap();
    }
    // Meanwhile a pin in another lane hangs.
    let gate = crate::hardware::lane::Gate::new();
    let hung = gate.clone();
    let open: OpenLine = Box::new(move |_| {
        crate::hardware::lane::hang(&hung);
        Err(HardwareError::Io { what: "pin".into(), reason: "gone".into() })
    });
    house.bank.add(&OutputId::new("heater").unwrap(), house.lanes.get("gpio"), Level::OFF, open);
    let (left, took) = house.seal().await;
    assert_eq!(took, Bank::SEALING);
    let [slow, broken, heater] = left.as_slice() else { panic!("{left:?}") };
    assert_eq!(
        slow,
        "output slow: it is still on its way, for up to 8 s more, and stops where it is when this process ends"
    );
    assert_eq!(broken, "output broken: vent: the end switch was not reached");
    assert!(heater.starts_with("output heater: gpio has been busy"), "{heater}");
    assert!(house.bank.is_sealed());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_removed_keeps_its_line_until_it_is_there_or_another_of_its_name_follows() {
    for followed in [false, true] {
        let house = House::new();
        let (vent, dropped) = house.vent("vent", MS(5000), false);
        vent.write(Level::ON, secs(99)).await.unwrap();
        house.bank.remove(&vent.id).await.expect("it obeys");
        house.bank.release(secs(1)).await;
        assert_eq!((house.bank.leaving(), dropped.load(Ordering::Relaxed)), (vec![vent.id.clone()], false));
        match followed {
            true => drop(house.vent("vent", MS(5000), false)),
            false => {
                tokio::time::sleep(MS(5000)).await;
                house.bank.release(secs(6)).await;
            }
        }
        tokio::task::yield_now().await;
        assert_eq!((house.bank.leaving(), dropped.load(Ordering::Relaxed)), (vec![], true), "followed: {followed}");
    }
}
