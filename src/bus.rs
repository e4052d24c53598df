//! The event bus: what happened goes to whoever listens, what is wanted goes to whoever serves it. By id, never by address.
//!
//! It is not an actor but a shared table, so it has no mailbox that could fill and no way to die. Every queue behind it
//! is bounded; what does not fit is dropped, oldest first, and counted.

mod latest;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use actix::Recipient;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

pub use latest::Past;

use self::latest::Latest;
use crate::clock::Clock;
use crate::message::{Adjust, ControllerState, Event, NewReading, OutputState, SensorState};
use crate::model::{ChannelId, ControllerId, Demand, Monotonic, OutputId, Quantity, Reading, Sample, SensorId};
use crate::panics::locked;

/// Takes the demands on an output, whether its actor lives or is between two lives; or says why not.
pub type Desk = Arc<dyn Fn(Demand) -> Result<(), String> + Send + Sync>;

/// Carries out a step of a sensor's calibration, such as `["mid", "7.00"]`, and gives what the device answered.
pub type Calibrator = Arc<dyn Fn(Vec<String>) -> BoxFuture<'static, Result<String, NotCalibrated>> + Send + Sync>;

/// Why a step of a calibration was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCalibrated {
    /// There is nothing in the device that could be calibrated.
    #[error("its chip keeps no calibration of its own")]
    NoSteps,
    /// The device has not done it, or knows no such step.
    #[error("{0}")]
    Failed(String),
}

impl NotCalibrated {
    /// The next step of a person.
    pub fn next(&self) -> &'static str {
        match self {
            Self::NoSteps => "use `offset`, `scale` or `points` of its channel",
            Self::Failed(_) => "`homeostat drivers DRIVER` tells the steps of its driver",
        }
    }
}

/// A handle on the bus; all clones are the same bus.
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    table: Mutex<Table>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Table {
    last_seq: u64,
    channels: HashMap<ChannelId, Channel>,
    online: HashMap<SensorId, bool>,
    outputs: HashMap<OutputId, Desk>,
    calibrators: HashMap<SensorId, Calibrator>,
    controllers: HashMap<ControllerId, Recipient<Adjust>>,
    states: Latest,
    taps: Vec<Arc<Queue>>,
}

#[derive(Default)]
struct Channel {
    latest: Option<Reading>,
    listeners: Vec<Recipient<NewReading>>,
}

impl Table {
    /// Nothing is known any more of a sensor, output or controller of this name.
    fn forget(&mut self, id: &str) {
        for (_, channel) in self.channels.iter_mut().filter(|(channel, _)| channel.sensor() == id) {
            channel.latest = None;
        }
        self.online.retain(|sensor, _| sensor.as_str() != id);
        self.outputs.retain(|output, _| output.as_str() != id);
        self.calibrators.retain(|sensor, _| sensor.as_str() != id);
        self.controllers.retain(|controller, _| controller.as_str() != id);
        self.states.forget(id);
    }
}

/// Why nobody has taken what was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undeliverable {
    /// There is nobody of that id, its actor is between two lives, or its mailbox is full.
    #[error("{0} does not take messages at the moment")]
    Nobody(String),
    /// Whoever serves it has refused it.
    #[error("{0}")]
    Refused(String),
}

impl Bus {
    /// A bus whose first reading gets the number after `last_seq`.
    pub fn new(clock: Clock, last_seq: u64) -> Self {
        let table = Mutex::new(Table { last_seq, ..Table::default() });
        Self { shared: Arc::new(Shared { clock, table, dropped: AtomicU64::new(0) }) }
    }

    /// Gives the sample its times and its number, keeps it as the channel's latest and tells everyone who listens.
    pub fn publish(&self, channel: &ChannelId, quantity: Quantity, sample: Sample) -> u64 {
        self.publish_as_of(channel, quantity, sample, self.shared.clock.now())
    }

    /// The same for what was so at an earlier moment, as readings that are computed from others are.
    pub fn publish_as_of(&self, channel: &ChannelId, quantity: Quantity, sample: Sample, at: Monotonic) -> u64 {
        let time = self.shared.clock.wall_at(at);
        let mut table = self.table();
        table.last_seq += 1;
        let seq = table.last_seq;
        let reading = Reading { seq, channel: channel.clone(), quantity, sample, at, time };
        if let Some(known) = table.channels.get_mut(channel) {
            known.listeners.retain(|listener| listener.connected());
            for listener in &known.listeners {
                if listener.try_send(NewReading(reading.clone())).is_err() {
                    self.count_dropped();
                }
            }
            known.latest = Some(reading.clone());
        } else {
            // Nobody listens yet.
            table.channels.insert(channel.clone(), Channel { latest: Some(reading.clone()), listeners: Vec::new() });
        }
        self.spread(&mut table, Event::Reading(reading));
        seq
    }

    /// Tells everyone who taps the bus, and keeps the newest state of an output or a controller.
    pub fn tell(&self, event: Event) {
        let mut table = self.table();
        table.states.take(&event);
        if let Event::Gone(gone) = &event {
            table.forget(&gone.id);
        }
        self.spread(&mut table, event);
    }

    /// A sensor came or went; told on if that is news. Gives what was known before.
    pub fn sensor(&self, state: SensorState) -> Option<bool> {
        let mut table = self.table();
        let before = table.online.insert(state.sensor.clone(), state.online);
        if before != Some(state.online) {
            self.spread(&mut table, Event::Sensor(state));
        }
        before
    }

    /// The latest reading of a channel.
    pub fn latest(&self, channel: &ChannelId) -> Option<Reading> {
        self.table().channels.get(channel)?.latest.clone()
    }

    /// The latest reading of every channel that was read, by channel.
    pub fn readings(&self) -> BTreeMap<ChannelId, Reading> {
        let table = self.table();
        let latest = |(id, channel): (&ChannelId, &Channel)| Some((id.clone(), channel.latest.clone()?));
        table.channels.iter().filter_map(latest).collect()
    }

    /// Which sensors were heard of, and whether they read.
    pub fn sensors(&self) -> BTreeMap<SensorId, bool> {
        self.table().online.iter().map(|(id, online)| (id.clone(), *online)).collect()
    }

    /// Every output's present and past.
    pub fn outputs(&self) -> BTreeMap<OutputId, Past> {
        self.table().states.outputs.clone()
    }

    /// What an output last said of itself.
    pub fn output(&self, output: &OutputId) -> Option<OutputState> {
        self.table().states.outputs.get(output).map(|past| past.now.clone())
    }

    /// Every controller's latest state.
    pub fn controllers(&self) -> BTreeMap<ControllerId, ControllerState> {
        self.table().states.controllers.clone()
    }

    /// A controller's latest state.
    pub fn controller(&self, controller: &ControllerId) -> Option<ControllerState> {
        self.table().states.controllers.get(controller).cloned()
    }

    /// The number of the newest reading.
    pub fn last_seq(&self) -> u64 {
        self.table().last_seq
    }

    /// Every new reading of `channel` goes to `listener` from now on, for as long as it lives.
    pub fn listen(&self, channel: &ChannelId, listener: Recipient<NewReading>) {
        let mut table = self.table();
        let listeners = &mut table.channels.entry(channel.clone()).or_default().listeners;
        listeners.retain(|listener| listener.connected());
        listeners.push(listener);
    }

    /// Demands on `output` go to `desk` from now on, in place of whoever served it before.
    pub fn serve_output(&self, output: &OutputId, desk: Desk) {
        self.table().outputs.insert(output.clone(), desk);
    }

    /// Steps of `sensor`'s calibration go to `calibrator` from now on.
    pub fn serve_calibration(&self, sensor: &SensorId, calibrator: Calibrator) {
        self.table().calibrators.insert(sensor.clone(), calibrator);
    }

    /// Nobody calibrates `sensor` any more: it has no device.
    pub fn serve_no_calibration(&self, sensor: &SensorId) {
        self.table().calibrators.remove(sensor);
    }

    /// Who carries out steps of a sensor's calibration.
    pub fn calibrator(&self, sensor: &str) -> Option<Calibrator> {
        let table = self.table();
        table.calibrators.iter().find(|(id, _)| id.as_str() == sensor).map(|(_, calibrator)| calibrator.clone())
    }

    /// Adjustments of `controller` go to `recipient` from now on, in place of whoever served it before.
    pub fn serve_controller(&self, controller: &ControllerId, recipient: Recipient<Adjust>) {
        self.table().controllers.insert(controller.clone(), recipient);
    }

    /// Asks for a level on an output.
    pub fn demand(&self, output: &OutputId, demand: Demand) -> Result<(), Undeliverable> {
        let desk = self.table().outputs.get(output).cloned();
        let taken = match desk {
            Some(desk) => desk(demand).map_err(Undeliverable::Refused),
            None => Err(Undeliverable::Nobody(output.as_str().to_owned())),
        };
        taken.inspect_err(|_| self.count_dropped())
    }

    /// Asks a controller to act differently.
    pub fn adjust(&self, controller: &ControllerId, adjust: Adjust) -> Result<(), Undeliverable> {
        let table = self.table();
        if table.controllers.get(controller).is_some_and(|recipient| recipient.try_send(adjust).is_ok()) {
            return Ok(());
        }
        self.count_dropped();
        Err(Undeliverable::Nobody(controller.as_str().to_owned()))
    }

    /// A queue of every event from now on, of at most `capacity`. Whoever waits on it is woken when `wake_at` are there.
    pub fn tap(&self, capacity: usize, wake_at: usize) -> Tap {
        let tap = Tap::new(capacity, wake_at);
        self.table().taps.push(tap.queue.clone());
        tap
    }

    /// The same, beginning with the newest of everything but the alarms, which have their own table: for one who comes late.
    pub fn tap_all(&self, capacity: usize, wake_at: usize) -> Tap {
        let mut table = self.table();
        let tap = Tap::new(capacity, wake_at);
        let sensors = table.online.iter().map(|(sensor, &online)| SensorState { sensor: sensor.clone(), online });
        let readings = table.channels.values().filter_map(|channel| channel.latest.clone());
        let states = &table.states;
        let events = (sensors.map(Event::Sensor))
            .chain(readings.map(Event::Reading))
            .chain(states.outputs.values().map(|past| Event::Output(past.now.clone())))
            .chain(states.controllers.values().cloned().map(Event::Controller));
        for event in events {
            tap.queue.push(event);
        }
        table.taps.push(tap.queue.clone());
        tap
    }

    /// How many messages were dropped because somebody's queue was full, since the start.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    fn spread(&self, table: &mut Table, event: Event) {
        // A tap that was dropped leaves the bus as the queue's only owner.
        table.taps.retain(|queue| Arc::strong_count(queue) > 1);
        let Some((last, others)) = table.taps.split_last() else { return };
        for queue in others {
            self.offer(queue, event.clone());
        }
        self.offer(last, event);
    }

    fn offer(&self, queue: &Queue, event: Event) {
        if !queue.push(event) {
            self.count_dropped();
        }
    }

    fn count_dropped(&self) {
        self.shared.dropped.fetch_add(1, Ordering::Relaxed);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing in here is left half done by a panic: each step is one insertion.
        locked(&self.shared.table)
    }
}

struct Queue {
    events: Mutex<VecDeque<Event>>,
    capacity: usize,
    wake_at: usize,
    filled: Notify,
    dropped: AtomicU64,
}

impl Queue {
    /// Whether it fitted without dropping the oldest.
    fn push(&self, event: Event) -> bool {
        let mut events = locked(&self.events);
        let full = events.len() >= self.capacity;
        if full {
            events.pop_front();
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        events.push_back(event);
        if events.len() >= self.wake_at {
            self.filled.notify_one();
        }
        !full
    }
}

/// A bounded queue of everything that happens, for those who work in batches. Dropping it ends it.
pub struct Tap {
    queue: Arc<Queue>,
}

impl Tap {
    fn new(capacity: usize, wake_at: usize) -> Self {
        let queue = Queue {
            events: Mutex::default(),
            capacity: capacity.max(1),
            wake_at: wake_at.clamp(1, capacity.max(1)),
            filled: Notify::new(),
            dropped: AtomicU64::new(0),
        };
        Self { queue: Arc::new(queue) }
    }

    /// Waits until as many events are there as was asked for. May wake early; cancelling it loses nothing.
    pub async fn filled(&self) {
        self.queue.filled.notified().await;
    }

    /// Moves everything that is there to the end of `into`.
    pub fn drain(&self, into: &mut Vec<Event>) {
        into.extend(locked(&self.queue.events).drain(..));
    }

    /// Puts an event in this queue alone.
    pub fn offer(&self, event: Event) {
        self.queue.push(event);
    }

    /// How many events this queue had no room for, since it began.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Gone, Mode, OutputState};
    use crate::model::{Level, Terms, Timestamp};

    #[tokio::test]
    async fn what_was_told_is_kept_until_it_is_forgotten() {
        let bus = Bus::new(Clock::simulated(Timestamp::from_millis(0)), 0);
        let (air, soil) = (SensorId::new("air").unwrap(), SensorId::new("soil").unwrap());
        for sensor in [&air, &soil] {
            bus.sensor(SensorState { sensor: sensor.clone(), online: true });
            bus.publish(&ChannelId::new(sensor, "temperature"), Quantity::Temperature, Sample::Good(1.0));
        }
        let (output, controller) = (OutputId::new("heater").unwrap(), ControllerId::new("warmth").unwrap());
        bus.tell(Event::Output(OutputState {
            output: output.clone(),
            level: Level::OFF,
            on: false,
            by: None,
            why: "no live demand".into(),
            limit: None,
            because: None,
            confirmed: true,
            since: Timestamp::from_millis(0),
        }));
        let (mode, terms) = (Mode::Waiting, Terms::default());
        let state =
            ControllerState { controller: controller.clone(), mode, setpoint: 1.0, input: None, terms, output: 0.0 };
        bus.tell(Event::Controller(state));
        let counts = || [bus.sensors().len(), bus.readings().len(), bus.outputs().len(), bus.controllers().len()];
        assert_eq!(counts(), [2, 2, 1, 1]);

        for id in [air.as_str(), output.as_str(), controller.as_str()] {
            bus.tell(Event::Gone(Gone { id: id.into() }));
        }
        assert_eq!(counts(), [1, 1, 0, 0]);
        assert!(bus.sensors().contains_key(&soil));
    }
}
