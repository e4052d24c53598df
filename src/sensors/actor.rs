//! The actor of every sensor: opens its device in the lane, reads it on time, and publishes what it hears or why it hears nothing.
//!
//! It gives up, and is begun anew by its supervisor, when the device cannot be opened or did not answer three times running.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::Notify;

use super::filter::Filter;
use super::recovery::{self, Help, Power, Recovery};
use super::{Config, Device, DriverError, Filters, Running};
use crate::bus::Bus;
use crate::clock::Clock;
use crate::hardware::lane::{Lane, LaneError};
use crate::hardware::{Hardware, Wake};
use crate::lifeline::Lifeline;
use crate::message::{Ping, SensorState, Stop};
use crate::model::{ChannelId, Demand, Level, Owner, Priority, Quantity, Sample, Wish};
use crate::panics::{self, locked};

/// A single failed read is weather; so many running are a fault.
const PATIENCE: u32 = 3;

/// A pin that changes all the time, because nothing holds it, wakes its sensor no more often than this.
const REST: Duration = Duration::from_millis(20);

/// A channel that is compensated with counts for so long, if its own sensor's interval is not longer.
const FRESH: Duration = Duration::from_secs(300);

/// What a sensor works with.
#[derive(Clone)]
pub struct Surroundings {
    /// Tells the time.
    pub clock: Clock,
    /// Where readings go.
    pub bus: Bus,
    /// The board.
    pub hardware: Arc<dyn Hardware>,
    /// The lane of the device's bus.
    pub lane: Lane,
    /// What its earlier lives have taught; it outlives the actor.
    pub recovery: Arc<Mutex<Recovery>>,
    /// What its values go through, which remembers what earlier lives read.
    pub filters: Filters,
    /// The device of the life that runs, for whoever calibrates it.
    pub running: Running,
}

/// A sensor.
pub struct Sensor {
    config: Arc<Config>,
    with: Surroundings,
    lifeline: Lifeline,
    who: Arc<str>,
    channels: Vec<(ChannelId, Quantity)>,
    /// Taken while it is being read. Shared with the job that reads, which a hang may keep.
    device: Device,
    /// A read is under way: the next tick is left out.
    reading: bool,
    /// Told by the device itself that there is something to read.
    woken: Arc<Notify>,
    /// It was told so while a read was under way.
    again: bool,
    failures: u32,
    /// What was told last; a reading a second need not tell it again.
    online: Option<bool>,
}

impl Sensor {
    /// A sensor that is not yet open.
    pub fn new(config: Arc<Config>, with: Surroundings, lifeline: Lifeline) -> Self {
        let channel = |channel: &super::Channel| (ChannelId::new(&config.id, channel.name), channel.quantity);
        let channels = config.device.channels().iter().map(channel).collect();
        let who = format!("sensor {}", config.id).into();
        panics::locked(&with.filters).iter_mut().for_each(Filter::fresh_life);
        let device = Device::default();
        *panics::locked(&with.running) = Arc::downgrade(&device);
        Self {
            config,
            with,
            lifeline,
            who,
            channels,
            device,
            reading: false,
            woken: Arc::default(),
            again: false,
            failures: 0,
            online: None,
        }
    }

    /// Gives the device the help that its earlier lives call for, and opens it.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        let (now, power) = (self.with.clock.now(), self.config.power.as_ref());
        let help = locked(&self.with.recovery).begin(power, now);
        match (help, power) {
            (Help::Power, Some(power)) => {
                let Power { output, off_for, .. } = power;
                let demand = Demand {
                    owner: Owner::new(&format!("sensors.{}", self.config.id)),
                    priority: Priority::Rule,
                    wish: Wish::Level(Level::OFF),
                    until: now + *off_for,
                    because: None,
                };
                if let Err(error) = self.with.bus.demand(output, demand) {
                    tracing::warn!("{}: its power cannot be switched off and on: {error}", self.who);
                    return self.open(true, ctx);
                }
                locked(&self.with.recovery).switched(now);
                tracing::warn!("{} does not come back: its power, {output}, is off for {off_for:?}", self.who);
                ctx.run_later(power.wait(), |sensor, ctx| sensor.open(true, ctx));
            }
            (help, _) => self.open(help != Help::None, ctx),
        }
    }

    fn open(&mut self, free_bus: bool, ctx: &mut Context<Self>) {
        let (config, hardware, device) = (self.config.clone(), self.with.hardware.clone(), self.device.clone());
        let woken = self.woken.clone();
        let wake: Wake = Arc::new(move || woken.notify_one());
        let work = move || -> Result<(), DriverError> {
            let freed = if free_bus { recovery::free_bus(&config.device.claims(), &*hardware) } else { Ok(()) };
            // Without a free bus the chip cannot answer, and that is then the better reason.
            let mut opened = config.open(&*hardware).map_err(|error| freed.err().map_or(error, DriverError::from))?;
            opened.wake_by(wake)?;
            *panics::locked(&device) = Some(opened);
            Ok(())
        };
        self.in_lane(ctx, work, |sensor, opened, ctx| match opened {
            Ok(()) => {
                sensor.lifeline.ready();
                sensor.tick(ctx);
                sensor.listen(ctx);
            }
            Err(failure) => sensor.give_up(&failure, ctx),
        });
    }

    /// Reads now, and again at the next multiple of the interval: sensors of one interval tick together.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        let clock = self.with.clock;
        ctx.run_later(clock.next_multiple(self.config.every).since(clock.now()), Self::tick);
        self.lifeline.beat();
        if !self.reading {
            self.read(ctx);
        }
    }

    /// Reads as well whenever the device says that something has happened.
    fn listen(&mut self, ctx: &mut Context<Self>) {
        let woken = self.woken.clone();
        let told = async move { woken.notified().await };
        ctx.spawn(told.into_actor(self).map(|(), sensor, ctx| {
            match sensor.reading {
                true => sensor.again = true,
                false => sensor.read(ctx),
            }
            ctx.run_later(REST, Self::listen);
        }));
    }

    fn read(&mut self, ctx: &mut Context<Self>) {
        self.reading = true;
        let (device, inputs, clock) = (self.device.clone(), self.inputs(), self.with.clock);
        let work = move || -> Result<Vec<f64>, DriverError> {
            let mut device = panics::locked(&device);
            // While it is being read the driver is not in its place: after a panic it is gone.
            let Some(driver) = device.take() else {
                return Err(DriverError::NoValue {
                    device: "the driver".into(),
                    what: "it was lost in a panic".into(),
                });
            };
            let (driver, values) = panics::lend(driver, |driver| {
                if !inputs.is_empty() {
                    driver.hear(&inputs);
                }
                // Here and not before: the job may have waited for its turn.
                driver.at(clock.now());
                driver.read()
            });
            *device = Some(driver);
            values
        };
        self.in_lane(ctx, work, Self::heard);
    }

    /// The fresh values of the channels that its own depend on.
    fn inputs(&self) -> Vec<Option<f64>> {
        let (now, patience) = (self.with.clock.now(), FRESH.max(self.config.every * 3));
        let fresh = |channel: &ChannelId| {
            let reading = self.with.bus.latest(channel)?;
            if now.since(reading.at) <= patience { reading.sample.value() } else { None }
        };
        self.config.device.inputs().iter().map(fresh).collect()
    }

    fn heard(&mut self, values: Result<Vec<f64>, Failure>, ctx: &mut Context<Self>) {
        self.reading = false;
        if std::mem::take(&mut self.again) {
            self.woken.notify_one();
        }
        match values {
            Ok(values) => {
                let (mut values, at) = (values.into_iter(), self.with.clock.now());
                let mut filters = panics::locked(&self.with.filters);
                for ((channel, quantity), filter) in self.channels.iter().zip(filters.iter_mut()) {
                    let sample = match values.next() {
                        Some(value) => filter.pass(value, at),
                        None => Sample::Bad("the driver gave no value for this channel".into()),
                    };
                    self.with.bus.publish(channel, *quantity, sample);
                }
                drop(filters);
                self.answered();
            }
            // However often a chip is opened anew, it would not be ready sooner.
            Err(early @ Failure::Driver(DriverError::NotYet { .. })) => {
                self.publish_bad(&early);
                self.answered();
            }
            Err(failure) => {
                self.failures += 1;
                if self.failures >= PATIENCE || failure.is_fatal() {
                    return self.give_up(&failure, ctx);
                }
                if self.failures == 1 {
                    tracing::warn!("{}: {failure}", self.who);
                }
                self.publish_bad(&failure);
            }
        }
    }

    fn answered(&mut self) {
        if self.failures > 0 {
            tracing::info!("{} answers again", self.who);
        }
        self.failures = 0;
        locked(&self.with.recovery).read();
        self.tell(true);
    }

    fn give_up(&mut self, failure: &Failure, ctx: &mut Context<Self>) {
        self.publish_bad(failure);
        self.tell(false);
        self.lifeline.give_up(failure.to_string());
        ctx.stop();
    }

    fn publish_bad(&self, failure: &Failure) {
        let reason: Arc<str> = failure.to_string().into();
        for (channel, quantity) in &self.channels {
            self.with.bus.publish(channel, *quantity, Sample::Bad(reason.clone()));
        }
    }

    fn tell(&mut self, online: bool) {
        if self.online.replace(online) == Some(online) {
            return;
        }
        let before = self.with.bus.sensor(SensorState { sensor: self.config.id.clone(), online });
        if online && before == Some(false) {
            tracing::info!("{} is back", self.who);
        }
    }

    fn in_lane<T: Send + 'static>(
        &self,
        ctx: &mut Context<Self>,
        work: impl FnOnce() -> Result<T, DriverError> + Send + 'static,
        then: impl FnOnce(&mut Self, Result<T, Failure>, &mut Context<Self>) + 'static,
    ) {
        let (lane, who, deadline) = (self.with.lane.clone(), self.who.clone(), self.config.device.deadline());
        let job = async move { lane.run(&who, deadline, work).await?.map_err(Failure::Driver) };
        ctx.spawn(job.into_actor(self).map(then_with(then)));
    }
}

fn then_with<T>(
    then: impl FnOnce(&mut Sensor, T, &mut Context<Sensor>),
) -> impl FnOnce(T, &mut Sensor, &mut Context<Sensor>) {
    move |result, sensor, ctx| then(sensor, result, ctx)
}

/// A driver may block or panic while it is dropped, so the lane does that.
impl Drop for Sensor {
    fn drop(&mut self) {
        self.with.lane.discard(&self.who, std::mem::take(&mut self.device));
    }
}

impl Actor for Sensor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.begin(ctx);
    }
}

impl Handler<Stop> for Sensor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.tell(false);
        ctx.stop();
    }
}

impl Handler<Ping> for Sensor {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {
        self.lifeline.beat();
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Lane(#[from] LaneError),
    #[error("{0}")]
    Driver(DriverError),
}

impl Failure {
    /// Whether the driver itself is gone, so that only opening it again can help.
    fn is_fatal(&self) -> bool {
        matches!(self, Self::Lane(LaneError::Timeout { .. } | LaneError::Panicked(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::lane::{Execution, Lanes};
    use crate::hardware::recorded::Recorded;
    use crate::model::SensorId;
    use crate::sensors::{Channel, Driver, SensorConfig};
    use crate::wiring::Wiring;

    /// A chip that never has a value, for this reason.
    #[derive(Debug, Clone)]
    struct Dumb(DriverError);

    impl SensorConfig for Dumb {
        fn channels(&self) -> &[Channel] {
            &[Channel { name: "co2", quantity: Quantity::CarbonDioxide }]
        }

        fn wiring(&self) -> Wiring {
            Wiring::unclaimed("test")
        }

        fn open(&self, _: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
            Ok(Box::new(self.clone()))
        }
    }

    impl Driver for Dumb {
        fn read(&mut self) -> Result<Vec<f64>, DriverError> {
            Err(self.0.clone())
        }
    }

    /// Whether the sensor lives on after a minute of it, whether it counts as online, and what its channel says.
    async fn after_a_minute(error: DriverError) -> (bool, Option<bool>, Option<String>) {
        let (clock, every, id) = (Clock::system(), Duration::from_secs(1), SensorId::new("room").unwrap());
        let filter = Filter::new(super::super::filter::Options::default(), Quantity::CarbonDioxide, every);
        let device = Arc::new(Dumb(error));
        let config = Config { id: id.clone(), driver: "test", every, power: None, device, options: Vec::new() };
        let with = Surroundings {
            clock,
            bus: Bus::new(clock, 0),
            hardware: Arc::new(Recorded::default()),
            lane: Lanes::new(clock, Execution::Inline).get("test"),
            recovery: Arc::default(),
            filters: Arc::new(Mutex::new(vec![filter])),
            running: Arc::default(),
        };
        let (bus, lifeline) = (with.bus.clone(), Lifeline::new(clock));
        let sensor = Sensor::new(Arc::new(config), with, lifeline).start();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let said = bus.latest(&ChannelId::new(&id, "co2")).and_then(|reading| reading.sample.reason().cloned());
        (sensor.connected(), bus.sensors().get(&id).copied(), said.map(|why| why.to_string()))
    }

    #[test]
    fn a_chip_that_has_no_value_yet_is_left_alone_and_one_that_fails_is_given_up() {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        System::with_tokio_rt(runtime).block_on(async {
            let early = after_a_minute(DriverError::not_yet("CHIP", "it warms up")).await;
            assert_eq!(early, (true, Some(true), Some("CHIP has no value yet: it warms up".into())));
            let failed = after_a_minute(DriverError::no_value("CHIP", "it is broken")).await;
            assert_eq!(failed, (false, Some(false), Some("CHIP has no value: it is broken".into())));
        });
    }
}
