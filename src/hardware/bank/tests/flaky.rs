//! Hardware that fails, goes and comes back at random: what is never on meanwhile, and how soon all is well again.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The heater needs the fan; a motor opens or closes; the pump rests on, and never with the drain.
const NAMES: [&str; 6] = ["fan", "heater", "open", "close", "pump", "drain"];

#[derive(Clone, Default)]
struct World(Arc<Mutex<Truth>>);

#[derive(Default)]
struct Truth {
    pins: BTreeMap<&'static str, Pin>,
    released: Monotonic,
    sealed: bool,
    /// What was never to be seen. A panic would stay in the lane.
    never: Option<String>,
}

#[derive(Default)]
struct Pin {
    on: bool,
    /// It was last told to be on and has confirmed that, as far as anybody has heard.
    confirmed_on: bool,
    held_until: Monotonic,
    /// A line knows the chip that it was opened on.
    chip: u32,
    gone: bool,
    noise: u32,
    /// What fails has its effect all the same.
    late: bool,
}

struct Wire {
    world: World,
    name: &'static str,
    chip: u32,
}

impl World {
    /// One transfer: `level` is written, or it is read.
    fn transfer(&self, name: &'static str, chip: Option<u32>, level: Option<Level>) -> Result<bool, HardwareError> {
        let mut truth = self.0.lock().unwrap();
        let needs = name != "heater" || truth.pins["fan"].confirmed_on;
        let (released, sealed) = (truth.released, truth.sealed);
        let pin = truth.pins.get_mut(name).unwrap();
        let heard = !pin.gone && chip.is_none_or(|chip| chip == pin.chip);
        let fails = !heard || pin.noise > 0;
        pin.noise = pin.noise.saturating_sub(1);
        if let Some(level) = level.filter(|_| heard && (!fails || pin.late)) {
            pin.on = level.is_on();
            let wrong = match () {
                () if !level.is_on() || name == "pump" => None,
                () if sealed => Some("after the seal"),
                () if pin.held_until < released => Some("held by nobody"),
                () if !needs => Some("without the fan"),
                () => None,
            };
            pin.confirmed_on = !fails && pin.on;
            truth.never = truth.never.take().or(wrong.map(|wrong| format!("{name} goes on {wrong}")));
            for (one, other) in [("open", "close"), ("pump", "drain")] {
                if truth.pins[one].on && truth.pins[other].on {
                    truth.never = truth.never.take().or(Some(format!("{one} and {other} are on")));
                }
            }
        }
        let pin = truth.pins.get_mut(name).unwrap();
        if fails {
            pin.confirmed_on = false;
            return Err(HardwareError::Io { what: name.into(), reason: "no such device".into() });
        }
        Ok(pin.on)
    }

    fn pin(&self, name: &str, change: impl FnOnce(&mut Pin)) {
        change(self.0.lock().unwrap().pins.get_mut(name).unwrap());
    }

    fn plug_in(&self, name: &str) {
        self.pin(name, |pin| {
            if std::mem::take(&mut pin.gone) {
                (pin.on, pin.chip) = (false, pin.chip + 1);
            }
        });
    }
}

impl Line for Wire {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        self.world.transfer(self.name, Some(self.chip), Some(level)).map(|_| Confirmation::Accepted)
    }

    fn read_back(&mut self) -> Result<Option<Level>, HardwareError> {
        self.world.transfer(self.name, Some(self.chip), None).map(|on| Some(on.into()))
    }
}

#[derive(Debug, Clone)]
enum Deed {
    Put(&'static str, bool, u64),
    /// Whether the pin stays as it was.
    Unplug(&'static str, bool),
    PlugIn(&'static str),
    /// So many failures, which have their effect or not.
    Noise(&'static str, u32, bool),
    Release,
    Verify,
}

fn deeds() -> impl Strategy<Value = Vec<(Deed, Deed)>> {
    let name = || prop::sample::select(NAMES.to_vec());
    let deed = prop_oneof![
        6 => (name(), any::<bool>(), 0..6u64).prop_map(|(name, on, lease)| Deed::Put(name, on, lease)),
        2 => (name(), any::<bool>()).prop_map(|(name, stays)| Deed::Unplug(name, stays)),
        2 => name().prop_map(Deed::PlugIn),
        2 => (name(), 1..4u32, any::<bool>()).prop_map(|(name, times, late)| Deed::Noise(name, times, late)),
        3 => Just(Deed::Release),
        1 => Just(Deed::Verify),
    ];
    prop::collection::vec((deed.clone(), deed), 1..60)
}

struct House {
    bank: Bank,
    world: World,
    slots: BTreeMap<&'static str, Arc<Slot>>,
}

impl House {
    async fn new() -> Self {
        let lanes = Lanes::new(Clock::simulated(Timestamp::from_millis(0)), Execution::Inline);
        let (bank, world) = (Bank::default(), World::default());
        let id = |name| OutputId::new(name).unwrap();
        bank.set_interlocks(&id("heater"), &[id("fan")], &[]);
        bank.set_interlocks(&id("close"), &[], &[id("open")]);
        bank.set_interlocks(&id("pump"), &[], &[id("drain")]);
        let add = |(number, name): (usize, &'static str)| {
            world.0.lock().unwrap().pins.insert(name, Pin::default());
            let at = world.clone();
            let open: OpenLine = Box::new(move |level| {
                at.transfer(name, None, Some(level))?;
                let chip = at.0.lock().unwrap().pins[name].chip;
                Ok(Box::new(Wire { world: at.clone(), name, chip }))
            });
            (name, bank.add(&id(name), lanes.get(["i2c-1", "gpio"][number % 2]), Level::from(name == "pump"), open))
        };
        let slots = NAMES.into_iter().enumerate().map(add).collect();
        assert!(bank.open().await.is_empty());
        Self { bank, world, slots }
    }

    async fn act(&self, now: u64, deed: &Deed) {
        match *deed {
            Deed::Put(name, on, lease) => {
                self.world.pin(name, |pin| pin.held_until = secs(now + lease));
                drop(self.slots[name].write(Level::from(on), secs(now + lease)).await);
            }
            Deed::Unplug(name, stays) => self.world.pin(name, |pin| {
                (pin.gone, pin.on) = (true, pin.on && stays);
            }),
            Deed::PlugIn(name) => self.world.plug_in(name),
            Deed::Noise(name, times, late) => self.world.pin(name, |pin| (pin.noise, pin.late) = (times, late)),
            Deed::Release => {
                self.world.0.lock().unwrap().released = secs(now);
                drop(self.bank.release(secs(now)).await);
            }
            Deed::Verify => self.bank.verify().await,
        }
    }

    fn heal(&self) {
        for name in NAMES {
            self.world.plug_in(name);
            self.world.pin(name, |pin| pin.noise = 0);
        }
    }

    fn never(&self) -> Option<String> {
        self.world.0.lock().unwrap().never.clone()
    }
}

proptest! {
    #[test]
    fn nothing_is_on_that_should_be_off_and_what_works_again_is_right_within_a_look_and_a_round(
        deeds in deeds(),
        breaks in prop::collection::vec((prop::sample::select(NAMES.to_vec()), any::<bool>()), 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let house = House::new().await;
            for (now, (one, other)) in (1..).zip(&deeds) {
                tokio::join!(house.act(now, one), house.act(now, other));
                assert_eq!(house.never(), None, "{one:?} and {other:?}");
            }
            house.heal();
            let now = deeds.len() as u64 + 1;
            house.act(now, &Deed::Verify).await;
            house.act(now, &Deed::Release).await;
            assert_eq!(house.never(), None);
            for (name, slot) in &house.slots {
                let (wanted, on) = (slot.wanted(), house.world.0.lock().unwrap().pins[name].on);
                assert_eq!((slot.level(), on), (Some(wanted), wanted.is_on()), "{name}");
            }
            // What comes back as another chip in the midst of the end is safe by then, too.
            for (name, stays) in &breaks {
                house.act(now, &Deed::Unplug(name, *stays)).await;
            }
            house.world.0.lock().unwrap().sealed = true;
            let back = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                house.heal();
                for name in NAMES {
                    house.act(now, &Deed::Put(name, true, 9)).await;
                }
            };
            let (left, ()) = tokio::join!(house.bank.seal(), back);
            assert_eq!((left, house.never()), (vec![], None));
            for name in NAMES {
                assert_eq!(house.world.0.lock().unwrap().pins[name].on, name == "pump", "{name}");
            }
        });
    }
}
