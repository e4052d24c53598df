//! A small physical world behind buses and pins: plants that outputs act on and sensors probe.
//!
//! It implements [`Hardware`] at the level of transactions, so the drivers that run on a Raspberry Pi run here as they
//! are. Each brings a model of its chip ([`SensorConfig::chip`](crate::sensors::SensorConfig::chip)). What is on the
//! wires is felt by the world through [`Simulated::wire`]. Time is [`Clock`]'s, so an hour of a greenhouse lasts as long
//! as its arithmetic. The same configuration and the same deeds at the same times give the same readings, bit for bit.
//!
//! Tests look at pins and truths, and break things with [`Simulated::inject`].

mod chip;
mod config;
mod fault;
mod handle;
mod plant;
mod record;
mod stuck;
mod world;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use embedded_hal::i2c::Operation;

pub use self::chip::{Actuator, Chip, I2cChip, OneWireChip, Probe};
pub use self::config::Config;
pub use self::fault::Fault;
use self::fault::{Deed, Faults, device};
use self::handle::{AnyOutput, Bus, InputPin, NoDelay, OutputPin, PwmChannel, WireDevice};
use self::record::Record;
use self::stuck::Stuck;
use self::world::World;
use super::bank::Line;
use super::{
    Active, Delay, DigitalInput, DigitalOutput, Hardware, HardwareError, I2c, InputSettings, Latch, Latches, OneWire,
    Pull, Pwm, Recovered, StandIn, Wake,
};
use crate::clock::Clock;
use crate::model::{Claim, Level, Monotonic, OutputId, Quantity};
use crate::panics::locked;

/// So many changes of a pin are remembered, the latest.
const CHANGES: usize = 100_000;

/// The simulated world. Clones are handles on the same one.
#[derive(Clone)]
pub struct Simulated {
    clock: Clock,
    /// How old the world was when this clock started.
    before: Duration,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    world: World,
    /// By bus and address: usually one, several where sensors share a converter.
    i2c: BTreeMap<(u8, u8), Vec<Plugged<dyn I2cChip>>>,
    one_wire: BTreeMap<String, Plugged<dyn OneWireChip>>,
    /// Sensors without a model of their chip: their element, and what they measure.
    stand_ins: BTreeMap<String, (usize, Vec<Quantity>)>,
    levels: BTreeMap<Actuator, Level>,
    /// Which electrical level means "on" for each driven pin.
    active: BTreeMap<u8, Active>,
    /// Which inputs are held high by a resistor.
    pulled_up: BTreeMap<u8, bool>,
    /// Which inputs something outside drives, and who is to hear of it when they change.
    contacts: BTreeMap<u8, bool>,
    wakes: BTreeMap<u8, Wake>,
    changes: BTreeMap<Actuator, VecDeque<(Monotonic, Level)>>,
    wires: HashMap<Actuator, OutputId>,
    faults: Faults,
    garbage: fastrand::Rng,
    record: Option<Record>,
    stuck: Stuck,
    latches: Arc<Latches>,
}

/// A chip and the number of its sensing element in the world.
struct Plugged<C: ?Sized> {
    sensor: String,
    model: Box<C>,
    element: usize,
}

impl Simulated {
    /// A world at its beginning, with nothing plugged in.
    pub fn new(config: Config, clock: Clock) -> Self {
        let shared = Shared {
            garbage: fastrand::Rng::with_seed(world::mixed(config.seed, "garbage")),
            world: World::new(config, clock.now()),
            i2c: BTreeMap::new(),
            one_wire: BTreeMap::new(),
            stand_ins: BTreeMap::new(),
            levels: BTreeMap::new(),
            active: BTreeMap::new(),
            pulled_up: BTreeMap::new(),
            contacts: BTreeMap::new(),
            wakes: BTreeMap::new(),
            changes: BTreeMap::new(),
            wires: HashMap::new(),
            faults: Faults::new(),
            record: None,
            stuck: Stuck::default(),
            latches: Arc::default(),
        };
        Self { clock, before: Duration::ZERO, shared: Arc::new(Mutex::new(shared)) }
    }

    /// For tests: the same world at the age `at`, as the next process on this machine finds it. Pins are as the last one left
    /// them, and what is broken is broken still.
    pub fn found_by(&self, clock: Clock, at: Monotonic) -> Self {
        Self { clock, before: at.since_start(), shared: self.shared.clone() }
    }

    /// Connects a sensor's chip, where `[simulation.probes]` places the sensor.
    pub fn plug(&self, chip: Chip, sensor: &str) {
        let now = self.now();
        let mut shared = self.lock();
        let element = shared.world.add_element(sensor, now);
        let sensor = sensor.to_owned();
        match chip {
            Chip::I2c { bus, address, model } => {
                shared.i2c.entry((bus, address)).or_default().push(Plugged { sensor, model, element })
            }
            Chip::OneWire { id, model } => {
                shared.one_wire.insert(id, Plugged { sensor, model, element });
            }
            // It feels nothing of the world, and is open until somebody moves it.
            Chip::Contact { pin } => drop(shared.contacts.remove(&pin)),
        }
    }

    /// For tests: puts an input at an electrical level from outside, and wakes who reads it if that changes it. Bounces are none.
    pub fn set_input(&self, pin: u8, high: bool) {
        let before = self.voltage(pin);
        self.lock().contacts.insert(pin, high);
        let wake = self.lock().wakes.get(&pin).cloned();
        if let Some(wake) = wake.filter(|_| self.voltage(pin) != before) {
            wake();
        }
    }

    /// Lets the world give the values of a sensor whose chip it has no model of.
    pub fn stand_in_for(&self, sensor: &str, quantities: Vec<Quantity>) {
        let now = self.now();
        let mut shared = self.lock();
        let element = shared.world.add_element(sensor, now);
        shared.stand_ins.insert(sensor.to_owned(), (element, quantities));
    }

    /// Takes a sensor's chip away. Who still speaks to it gets no answer.
    pub fn unplug(&self, sensor: &str) {
        let mut shared = self.lock();
        for chips in shared.i2c.values_mut() {
            chips.retain(|chip| chip.sensor != sensor);
        }
        shared.i2c.retain(|_, chips| !chips.is_empty());
        shared.one_wire.retain(|_, chip| chip.sensor != sensor);
        shared.stand_ins.remove(sensor);
    }

    /// Another world from now on. Plants that begin as those of before go on as they are, and so do chips and pins.
    pub fn rebuild(&self, config: Config) {
        let now = self.clock.now();
        self.lock().world.rebuild(config, now);
    }

    /// Lets an output act on the plants that name it. Wire before the output is opened.
    pub fn wire(&self, output: &OutputId, actuator: Actuator) {
        self.lock().wires.insert(actuator, output.clone());
    }

    /// Writes every change of a pin or PWM channel down in a file from now on, behind what it holds.
    pub fn record(&self, file: &Path) -> io::Result<()> {
        self.lock().record = Some(Record::open(file)?);
        Ok(())
    }

    /// For tests: whether a pin is on; `None` if nobody ever drove it.
    pub fn pin(&self, pin: u8) -> Option<bool> {
        self.lock().levels.get(&Actuator::Pin(pin)).map(|level| level.is_on())
    }

    /// For tests: the level of a PWM channel; `None` if nobody ever drove it.
    pub fn pwm_level(&self, channel: u8) -> Option<Level> {
        self.level_of(&Actuator::Pwm(channel))
    }

    /// For tests: the level of an output's hardware; `None` if nobody ever drove it.
    pub fn level_of(&self, actuator: &Actuator) -> Option<Level> {
        self.lock().levels.get(actuator).copied()
    }

    /// For tests: every change of a pin with its time, first the level it was opened with. At most the latest 100 000.
    pub fn pin_changes(&self, pin: u8) -> Vec<(Monotonic, bool)> {
        self.changes(Actuator::Pin(pin)).into_iter().map(|(at, level)| (at, level.is_on())).collect()
    }

    /// For tests: the same for a pin or a PWM channel, with its levels.
    pub fn changes(&self, actuator: Actuator) -> Vec<(Monotonic, Level)> {
        self.lock().changes.get(&actuator).into_iter().flatten().copied().collect()
    }

    /// For tests: the age of the world.
    pub fn now(&self) -> Monotonic {
        self.clock.now() + self.before
    }

    /// For tests: what is true in a plant now, without lag and noise. NaN if it has no such quantity.
    pub fn truth(&self, plant: &str, quantity: Quantity) -> f64 {
        let now = self.now();
        self.lock().world.truth(plant, quantity, now).unwrap_or(f64::NAN)
    }

    /// For tests: breaks a device until it is healed. All inputs of a converter break together.
    pub fn inject(&self, target: &Claim, fault: Fault) {
        self.lock().faults.insert(device(target), fault);
    }

    /// For tests: repairs a device. Who hangs already is freed by the gate of the fault only.
    pub fn heal(&self, target: &Claim) {
        self.lock().faults.remove(&device(target));
    }

    /// For tests: a device holds the data line of an I²C bus low until it has been clocked so often; 0 lets it go.
    pub fn hold_sda(&self, bus: u8, clocks: u32) {
        self.lock().stuck.hold(bus, clocks);
    }

    /// For tests: which buses somebody tried to free, and when.
    pub fn freeing(&self) -> Vec<(u8, Monotonic)> {
        self.lock().stuck.attempts.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        locked(&self.shared)
    }

    fn strike(&self, deed: Deed, target: &Claim) -> Result<bool, HardwareError> {
        let fault = self.lock().faults.get(target).cloned();
        fault.map_or(Ok(false), |fault| fault.strike(deed, target))
    }

    fn strike_drop(&self, target: &Claim) {
        let fault = self.lock().faults.get(target).cloned();
        if let Some(fault) = fault {
            fault.strike_drop(target);
        }
    }

    fn garble(&self, bytes: &mut [u8]) {
        self.lock().garbage.fill(bytes);
    }

    fn i2c_transaction(&self, bus: u8, address: u8, operations: &mut [Operation<'_>]) -> Result<(), HardwareError> {
        let now = self.now();
        let mut shared = self.lock();
        shared.stuck.check(bus)?;
        let Shared { i2c, world, .. } = &mut *shared;
        let Some(chips) = i2c.get_mut(&(bus, address)) else {
            return Err(HardwareError::NoAcknowledge { what: Claim::I2c { bus, address }.to_string() });
        };
        // The selected one comes last, so that its answer is the one that stays in the buffers.
        let selected = chips.iter().position(|chip| chip.model.selected()).unwrap_or(0);
        let others = (0..chips.len()).filter(|&number| number != selected);
        for number in others.chain([selected]) {
            let chip = &mut chips[number];
            chip.model.transaction(operations, &mut world.element(chip.element, now))?;
        }
        Ok(())
    }

    fn one_wire_read(&self, id: &str, file: &str) -> Result<String, HardwareError> {
        let now = self.now();
        let mut shared = self.lock();
        let Shared { one_wire, world, .. } = &mut *shared;
        let Some(chip) = one_wire.get_mut(id) else { return Err(no_such_device(&Claim::OneWire(id.to_owned()))) };
        chip.model.read(file, &mut world.element(chip.element, now))
    }

    fn drive(&self, actuator: Actuator, level: Level) {
        let now = self.now();
        let mut shared = self.lock();
        let Shared { wires, world, levels, changes, record, .. } = &mut *shared;
        if let Some(output) = wires.get(&actuator) {
            world.set_level(output, level, now);
        }
        if levels.insert(actuator.clone(), level) == Some(level) {
            return;
        }
        if let Some(record) = record {
            record.write(self.clock.wall(), &actuator, level);
        }
        let changes = changes.entry(actuator).or_default();
        if changes.len() == CHANGES {
            changes.pop_front();
        }
        changes.push_back((now, level));
    }

    /// Whether a pin is electrically high: as an output or a contact drives it, or else as its resistor pulls it.
    fn voltage(&self, pin: u8) -> bool {
        let shared = self.lock();
        match (shared.levels.get(&Actuator::Pin(pin)), shared.active.get(&pin)) {
            (Some(level), Some(active)) => level.is_on() == (*active == Active::High),
            _ => [&shared.contacts, &shared.pulled_up].iter().find_map(|held| held.get(&pin)).copied().unwrap_or(false),
        }
    }
}

fn no_such_device(target: &Claim) -> HardwareError {
    HardwareError::NotFound { what: target.to_string(), hint: "check its wiring and its id".to_owned() }
}

impl Hardware for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn i2c(&self, bus: u8) -> Result<I2c, HardwareError> {
        Ok(I2c::new(Bus { world: self.clone(), bus, met: Vec::new() }))
    }

    fn recover_i2c(&self, bus: u8) -> Result<Recovered, HardwareError> {
        let now = self.clock.now();
        self.lock().stuck.free(bus, now)
    }

    fn output(&self, pin: u8, active: Active, initial: bool) -> Result<Box<dyn DigitalOutput>, HardwareError> {
        self.strike(Deed::Open, &Claim::Pin(pin))?;
        self.lock().active.insert(pin, active);
        self.drive(Actuator::Pin(pin), Level::from(initial));
        Ok(Box::new(OutputPin { world: self.clone(), pin }))
    }

    fn input(
        &self,
        pin: u8,
        settings: InputSettings,
        wake: Option<Wake>,
    ) -> Result<Box<dyn DigitalInput>, HardwareError> {
        self.strike(Deed::Open, &Claim::Pin(pin))?;
        self.lock().pulled_up.insert(pin, settings.pull == Pull::Up);
        self.lock().wakes.extend(wake.map(|wake| (pin, wake)));
        Ok(Box::new(InputPin { world: self.clone(), pin, active: settings.active }))
    }

    fn pwm(&self, channel: u8, _frequency: f64, initial: Level) -> Result<Box<dyn Pwm>, HardwareError> {
        self.strike(Deed::Open, &Claim::Pwm(channel))?;
        self.drive(Actuator::Pwm(channel), initial);
        Ok(Box::new(PwmChannel { world: self.clone(), channel }))
    }

    fn one_wire(&self, id: &str) -> Result<Box<dyn OneWire>, HardwareError> {
        let target = Claim::OneWire(id.to_owned());
        self.strike(Deed::Open, &target)?;
        if !self.lock().one_wire.contains_key(id) {
            return Err(no_such_device(&target));
        }
        Ok(Box::new(WireDevice { world: self.clone(), id: id.to_owned() }))
    }

    fn latch(&self, bus: u8, address: u8) -> Latch {
        self.lock().latches.get(bus, address)
    }

    fn delay(&self) -> Delay {
        Delay::new(NoDelay)
    }

    fn stand_in(&self, sensor: &str) -> Option<StandIn> {
        let (element, quantities) = self.lock().stand_ins.get(sensor)?.clone();
        let world = self.clone();
        Some(Box::new(move || {
            let now = world.now();
            let mut shared = world.lock();
            let mut feeling = shared.world.element(element, now);
            quantities.iter().map(|quantity| feeling.feel(*quantity)).collect()
        }))
    }

    fn stand_in_for_output(&self, output: &OutputId, initial: Level) -> Option<Box<dyn Line>> {
        let actuator = Actuator::Device(output.clone());
        self.lock().wires.get(&actuator)?;
        self.drive(actuator.clone(), initial);
        Some(Box::new(AnyOutput { world: self.clone(), actuator }))
    }
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Simulated")
    }
}
