//! Outputs that stand in one another's way: who moves first, and what is never seen on the pins.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::Interlock;

/// The pins of several outputs.
#[derive(Clone, Default)]
struct Pins(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    levels: BTreeMap<&'static str, Level>,
    /// What changed, in its order.
    log: Vec<String>,
    /// How often anything was written.
    writes: usize,
    /// Whose writes fail.
    stuck: Option<&'static str>,
    /// What was never to be seen. A panic would stay in the lane.
    never: Option<String>,
}

struct Pin(Pins, &'static str);

impl Line for Pin {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        let mut pins = self.0.0.lock().unwrap();
        pins.writes += 1;
        if pins.stuck == Some(self.1) {
            return Err(HardwareError::Io { what: self.1.into(), reason: "stuck".into() });
        }
        if pins.levels.insert(self.1, level) != Some(level) {
            pins.log.push(format!("{} {level}", self.1));
        }
        for (one, other) in [("open", "close"), ("pump", "drain")] {
            let on = |name| pins.levels.get(name).is_some_and(|level| level.is_on());
            if on(one) && on(other) {
                pins.never = Some(format!("{one} and {other} are on: {:?}", pins.log));
            }
        }
        Ok(Confirmation::ReadBack)
    }
}

impl Pins {
    fn on(&self, name: &str) -> bool {
        self.0.lock().unwrap().levels.get(name).is_some_and(|level| level.is_on())
    }

    fn writes(&self) -> usize {
        self.0.lock().unwrap().writes
    }

    fn stick(&self, name: Option<&'static str>) {
        self.0.lock().unwrap().stuck = name;
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }
}

struct House {
    bank: Bank,
    pins: Pins,
    slots: BTreeMap<&'static str, Arc<Slot>>,
}

fn id(name: &str) -> OutputId {
    OutputId::new(name).unwrap()
}

/// The heater needs the fan, the mister the heater; a motor opens or closes; the pump rests on, and never with the drain.
const NAMES: [&str; 7] = ["fan", "heater", "mister", "open", "close", "pump", "drain"];

async fn house() -> House {
    house_on(Execution::Inline).await
}

async fn house_on(execution: Execution) -> House {
    let clock = Clock::simulated(Timestamp::from_millis(0));
    let lanes = Lanes::new(clock, execution);
    let (bank, pins) = (Bank::default(), Pins::default());
    bank.set_interlocks(&id("heater"), &[id("fan")], &[]);
    bank.set_interlocks(&id("mister"), &[id("heater")], &[]);
    bank.set_interlocks(&id("close"), &[], &[id("open")]);
    bank.set_interlocks(&id("pump"), &[], &[id("drain")]);
    let add = |(number, name): (usize, &'static str)| {
        let (lane, at) = (lanes.get(["gpio", "pwm"][number % 2]), pins.clone());
        let open: OpenLine = Box::new(move |_| Ok(Box::new(Pin(at.clone(), name))));
        (name, bank.add(&id(name), lane, Level::from(name == "pump"), open))
    };
    let slots = NAMES.into_iter().enumerate().map(add).collect();
    assert!(bank.open().await.is_empty());
    pins.log();
    House { bank, pins, slots }
}

impl House {
    async fn put(&self, name: &str, on: bool) -> Result<(), WriteError> {
        self.slots[name].write(Level::from(on), secs(1000)).await
    }
}

fn held(by: &str, how: Interlock) -> Result<(), WriteError> {
    Err(WriteError::Interlocked { by: id(by), how })
}

#[tokio::test(start_paused = true)]
async fn what_needs_another_goes_on_after_it_and_off_before_it() {
    let house = house().await;
    let writes = house.pins.writes();
    assert_eq!(house.put("heater", true).await, held("fan", Interlock::OnlyWhile));
    assert_eq!(house.pins.writes(), writes, "nothing has moved");
    assert_eq!(house.slots["heater"].blocked(), Some((id("fan"), Interlock::OnlyWhile)));
    for name in ["fan", "heater", "mister"] {
        house.put(name, true).await.unwrap();
    }
    assert_eq!(house.slots["heater"].blocked(), None);
    house.put("fan", false).await.unwrap();
    assert_eq!(house.pins.log(), ["fan on", "heater on", "mister on", "mister off", "heater off", "fan off"]);
    tokio::time::timeout(Duration::from_secs(1), house.slots["heater"].moved()).await.expect("its actor is told");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_are_never_on_together_the_first_wins_whichever_says_so() {
    let house = house().await;
    let (one, other) = tokio::join!(house.put("open", true), house.put("close", true));
    assert_eq!((one, other), (Ok(()), held("open", Interlock::NeverWith)));
    house.put("open", false).await.unwrap();
    house.put("close", true).await.unwrap();
    assert_eq!(house.put("open", true).await, held("close", Interlock::NeverWith));
    house.pins.log();

    // One that does not obey may still be on.
    house.pins.stick(Some("close"));
    house.put("close", false).await.unwrap_err();
    assert_eq!(house.put("open", true).await, held("close", Interlock::NeverWith));
    house.pins.stick(None);
    assert!(house.bank.release(secs(0)).await.is_empty());
    house.put("open", true).await.unwrap();
    assert_eq!(house.pins.log(), ["close off", "open on"]);
}

#[tokio::test(start_paused = true)]
async fn others_make_way_for_a_safe_level_that_is_on() {
    let house = house().await;
    house.put("pump", false).await.unwrap();
    house.put("drain", true).await.unwrap();
    // Nobody holds the pump any more.
    house.slots["pump"].hold(secs(1));
    assert_eq!(house.bank.release(secs(2)).await.len(), 1);
    assert_eq!(house.pins.log(), ["pump off", "drain on", "drain off", "pump on"]);

    house.put("pump", false).await.unwrap();
    house.put("drain", true).await.unwrap();
    house.pins.log();
    house.pins.stick(Some("drain"));
    house.slots["pump"].hold(secs(3));
    let released = house.bank.release(secs(4)).await;
    assert_eq!(released[0].result, held("drain", Interlock::NeverWith), "it cannot be confirmed off");
    assert!(house.slots["pump"].trouble().unwrap().contains("its safe level (on): held back by drain (never_with)"));
    house.pins.stick(None);
    for _ in 0..2 {
        house.bank.release(secs(5)).await;
    }
    assert_eq!(house.pins.log(), ["drain off", "pump on"]);
    assert_eq!(house.slots["pump"].trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn everything_is_sealed_in_the_same_order() {
    let house = house().await;
    for name in ["fan", "heater", "mister", "close"] {
        house.put(name, true).await.unwrap();
    }
    house.put("pump", false).await.unwrap();
    house.put("drain", true).await.unwrap();
    house.pins.log();
    assert_eq!(house.bank.seal().await, []);
    assert_eq!(house.pins.log(), ["mister off", "heater off", "fan off", "close off", "drain off", "pump on"]);
    assert_eq!(house.pins.0.lock().unwrap().never, None);
    for name in NAMES {
        assert_eq!(house.put(name, true).await.is_ok(), name == "pump", "{name} after the seal");
        assert_eq!(house.pins.on(name), name == "pump", "{name} after the seal");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_loses_what_it_needs_falls_with_the_next_round() {
    for fall in ["it fails", "it is removed", "a new interlock"] {
        let house = house().await;
        house.put("fan", true).await.unwrap();
        house.put("heater", true).await.unwrap();
        match fall {
            "it fails" => {
                house.pins.stick(Some("fan"));
                house.slots["fan"].write(Level::new(0.5).unwrap(), secs(1000)).await.unwrap_err();
                assert_eq!(house.bank.release(secs(0)).await.len(), 1);
            }
            "it is removed" => house.bank.remove(&id("fan")).await.unwrap(),
            _ => {
                house.bank.set_interlocks(&id("heater"), &[id("drain")], &[]);
                assert_eq!(house.bank.release(secs(0)).await.len(), 1);
            }
        }
        assert!(!house.pins.on("heater"), "{fall}");
        assert!(matches!(house.put("heater", true).await, Err(WriteError::Interlocked { .. })), "{fall}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_holds_up_whom_it_needs_for_its_deadline_only() {
    let clock = Clock::simulated(Timestamp::from_millis(0));
    let lanes = Lanes::new(clock, Execution::Inline);
    let (bank, pins, gate) = (Bank::default(), Pins::default(), crate::hardware::lane::Gate::new());
    bank.set_interlocks(&id("heater"), &[id("fan")], &[]);
    let add = |name: &'static str, lane: &str| {
        let at = pins.clone();
        bank.add(&id(name), lanes.get(lane), Level::OFF, Box::new(move |_| Ok(Box::new(Pin(at.clone(), name)))))
    };
    let (fan, heater) = (add("fan", "pwm"), add("heater", "gpio"));
    for slot in [&fan, &heater] {
        slot.write(Level::ON, secs(1000)).await.unwrap();
    }
    let (hung, who) = (gate.clone(), Arc::from("somebody"));
    let hang = lanes.get("gpio").run(&who, Duration::from_millis(1), move || crate::hardware::lane::hang(&hung)).await;
    assert!(hang.is_err());
    let asked = clock.now();
    fan.write(Level::OFF, secs(1000)).await.unwrap();
    assert!(clock.now().since(asked) <= Duration::from_millis(500) && !pins.on("fan"));
    assert!(heater.trouble().unwrap().starts_with("output heater cannot be confirmed off: gpio has been busy"));
    gate.release();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!pins.on("heater"), "its last word was kept");
}

#[tokio::test]
async fn two_lanes_at_once_never_have_both_on() {
    let house = house_on(Execution::Thread).await;
    let mut won = [0, 0];
    for round in 0..300 {
        let (one, other) = tokio::join!(house.put("open", round % 3 != 0), house.put("close", round % 4 != 1));
        won = [won[0] + u32::from(one.is_ok()), won[1] + u32::from(other.is_ok())];
        let _ = tokio::join!(house.put("close", round % 2 == 0), house.put("open", round % 2 == 1));
    }
    assert_eq!(house.pins.0.lock().unwrap().never, None);
    assert!(won[0] > 50 && won[1] > 50, "both had their turn: {won:?}");
}

#[derive(Debug, Clone)]
enum Deed {
    Put(&'static str, bool),
    Release(u64),
    Stick(Option<&'static str>),
    Verify,
    Restart(&'static str),
}

fn deeds() -> impl Strategy<Value = Vec<(Deed, Deed)>> {
    let name = || prop::sample::select(NAMES.to_vec());
    let deed = prop_oneof![
        6 => (name(), any::<bool>()).prop_map(|(name, on)| Deed::Put(name, on)),
        2 => (0..3000u64).prop_map(Deed::Release),
        1 => prop::option::of(name()).prop_map(Deed::Stick),
        1 => Just(Deed::Verify),
        1 => name().prop_map(Deed::Restart),
    ];
    prop::collection::vec((deed.clone(), deed), 1..40)
}

impl House {
    async fn act(&self, deed: &Deed) {
        match deed {
            Deed::Put(name, on) => drop(self.put(name, *on).await),
            Deed::Release(now) => drop(self.bank.release(secs(*now)).await),
            Deed::Stick(name) => self.pins.stick(*name),
            Deed::Verify => self.bank.verify().await,
            Deed::Restart(name) => drop(self.slots[name].open().await),
        }
    }
}

proptest! {
    #[test]
    fn never_both_and_never_without(deeds in deeds()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let house = house().await;
            let mut stuck = false;
            for (one, other) in &deeds {
                tokio::join!(house.act(one), house.act(other));
                stuck |= matches!(one, Deed::Stick(Some(_))) || matches!(other, Deed::Stick(Some(_)));
                for (dependent, partner) in [("heater", "fan"), ("mister", "heater")] {
                    let alone = house.pins.on(dependent) && !house.pins.on(partner);
                    assert!(stuck || !alone, "{dependent} is on without {partner} after {one:?} and {other:?}");
                }
            }
            // Whatever has been: all is safe once the pins obey.
            house.pins.stick(None);
            assert_eq!(house.bank.seal().await, []);
            for name in NAMES {
                assert_eq!(house.pins.on(name), name == "pump", "{name}");
            }
            assert_eq!(house.pins.0.lock().unwrap().never, None);
        });
    }
}
