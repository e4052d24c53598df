//! Plays a schedule: the whole daemon in virtual time on this thread, through all its lives, and writes down what is seen.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use homeostat::clock::Clock;
use homeostat::daemon::{self, Daemon};
use homeostat::hardware::lane::Gate;
use homeostat::hardware::simulated::{Fault, Simulated};
use homeostat::message::Event;
use homeostat::model::{ChannelId, Claim, ControllerId, Demand, Monotonic, OutputId, Owner, Timestamp};
use homeostat::store::Store;

use super::house::{HOUSE, VARIANTS, varied};
use super::schedule::{Breakage, Deed, Schedule, Trouble};
use super::spans::Moment;
use super::trace::{Done, End, Life, Trace};
use crate::common::disk::FakeDisk;
use crate::common::link::{self, FakeBroker};
use crate::common::{self, Setting};

/// From a crash to `ExecStopPost`, and from there to the next start.
const UNTIL_SAFE: Duration = Duration::from_millis(200);
const UNTIL_STARTED: Duration = Duration::from_millis(1_800);
/// From the end of a stop to the next start.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a child is ended that is to stay away. Not a part of the longest wait before a next life, or end and beginning would
/// fall together.
const AGAIN: Duration = Duration::from_millis(397);

/// A moment at which something is to be done, with the number of its planned deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Do(usize),
    KillAgain(usize),
    Over(usize),
}

/// Plays a schedule from beginning to end.
pub fn run(schedule: &Schedule) -> Trace<'_> {
    let (disk, broker) = (FakeDisk::default(), FakeBroker::default());
    let setting = Setting {
        disk: Arc::new(disk.clone()),
        broker: schedule.has_broker().then(|| broker.clone()),
        state: Arc::new(directory()),
        ..Setting::default()
    };
    let mut run = Run {
        steps: steps(schedule),
        trace: Trace::new(schedule),
        numbers: BTreeMap::new(),
        world: None,
        broken: BTreeMap::new(),
        now: Moment::ZERO,
        wall: common::BEGINNING,
        variant: 0,
        disk,
        broker,
    };
    while run.trace.lives.last().is_none_or(|life| life.ended < schedule.length) {
        // Whatever a life leaves behind goes with its runtime.
        let found = setting.after(run.now);
        common::virtually(run.live(found));
    }
    run.trace.index();
    run.trace
}

fn steps(schedule: &Schedule) -> VecDeque<(Moment, Step)> {
    let mut steps = Vec::new();
    for (number, planned) in schedule.planned.iter().enumerate() {
        steps.push((planned.at, Step::Do(number)));
        match &planned.deed {
            Deed::Break { lasts, .. } | Deed::Disk { lasts, .. } | Deed::Broker { lasts, .. } => {
                steps.push((planned.at + *lasts, Step::Over(number)))
            }
            Deed::Kill { lasts, .. } if !lasts.is_zero() => {
                let times = lasts.as_millis() / AGAIN.as_millis();
                steps.extend((1..=times as u32).map(|time| (planned.at + AGAIN * time, Step::KillAgain(number))));
            }
            _ => {}
        }
    }
    steps.retain(|(at, _)| *at < schedule.length);
    steps.sort();
    steps.into()
}

/// In memory where there is such a place: a thousand commits of a real disk take longer than all the rest.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

struct Run<'s> {
    steps: VecDeque<(Moment, Step)>,
    trace: Trace<'s>,
    /// Where in `trace.done` a planned deed is.
    numbers: BTreeMap<usize, usize>,
    world: Option<Simulated>,
    /// What is broken now: by which planned deed, and on which gate one hangs.
    broken: BTreeMap<&'static str, (usize, Option<Gate>)>,
    now: Moment,
    wall: Timestamp,
    /// What the file is now.
    variant: usize,
    disk: FakeDisk,
    broker: FakeBroker,
}

/// A daemon and those who watch it.
struct Watched {
    daemon: Daemon,
    clock: Clock,
    world: Simulated,
    /// What was told, with the age of the world.
    told: Rc<RefCell<Vec<(Moment, Event)>>>,
    tap: Arc<homeostat::bus::Tap>,
    fed: Rc<RefCell<Vec<Moment>>>,
}

impl<'s> Run<'s> {
    /// From the start of a daemon to its end, and the time before it without one.
    async fn live(&mut self, found: Setting) {
        let mut config = common::house(&varied(self.variant));
        config.mqtt = self.trace.schedule.has_broker().then(link::config);
        self.disk.fails(None);
        self.disk.hangs(false);
        let clock = Clock::simulated(self.wall);
        let world = match &self.world {
            None => daemon::simulated(&config, clock),
            Some(world) => world.found_by(clock, Monotonic::new(self.now)),
        };
        self.world = Some(world.clone());
        if let Some(before) = self.trace.lives.last_mut() {
            if before.end == End::Crashed {
                tokio::time::sleep(UNTIL_SAFE).await;
                common::make_safe(&config, clock, &world).await;
                before.safe = world.now().since_start();
                tokio::time::sleep(UNTIL_STARTED).await;
            } else {
                tokio::time::sleep(PAUSE).await;
            }
        }
        let began = world.now().since_start();
        let clock = Clock::simulated(clock.wall());
        let found = found.after(began.saturating_sub(self.now));
        let watched = watch(config, clock, &world, &found).await;
        self.trace.variants.push((began, self.variant));
        self.trace.lives.push(Life { began, asked: began, ended: began, end: End::Lives, safe: Moment::ZERO });
        let mut watched = watched;
        self.play(&mut watched).await;
        self.end(watched).await;
    }

    /// Does what is to be done, until the daemon is to end. Leaves how in the last of `lives`.
    async fn play(&mut self, watched: &mut Watched) {
        // What was due while there was no daemon comes a little after its start, and no two things at one moment.
        let mut earliest = watched.world.now().since_start() + Duration::from_millis(101);
        while let Some((at, step)) = self.steps.pop_front() {
            sleep_until(&watched.world, at.max(earliest)).await;
            earliest = watched.world.now().since_start() + Duration::from_millis(1);
            let now = watched.world.now().since_start();
            match step {
                Step::Over(number) => self.over(number, now),
                Step::KillAgain(number) => {
                    let done = &mut self.trace.done[self.numbers[&number]];
                    if let Deed::Kill { actor, .. } = &done.deed {
                        watched.daemon.restart(actor);
                        done.over = now;
                        done.kills.push(now);
                    }
                }
                Step::Do(number) => {
                    let deed = self.trace.schedule.planned[number].deed.clone();
                    let end = match deed {
                        Deed::Restart => Some(End::Stopped(homeostat::supervisor::Stage::Stopped)),
                        Deed::Crash => Some(End::Crashed),
                        _ => None,
                    };
                    let taken = match deed {
                        Deed::Reload { variant } => self.reload(variant, &mut watched.daemon).await,
                        _ => self.act(number, &deed, watched, now),
                    };
                    let over = watched.world.now().since_start();
                    if let (true, Deed::Reload { variant }) = (taken, &deed) {
                        self.trace.variants.push((over, *variant));
                    }
                    self.numbers.insert(number, self.trace.done.len());
                    let life = self.trace.lives.len() - 1;
                    self.trace.done.push(Done { at: now, deed, over, kills: vec![now], taken, life });
                    if let Some(end) = end {
                        self.trace.lives[life].end = end;
                        return;
                    }
                }
            }
        }
        sleep_until(&watched.world, self.trace.schedule.length).await;
    }

    fn act(&mut self, number: usize, deed: &Deed, watched: &Watched, now: Moment) -> bool {
        let Watched { daemon, clock, world, .. } = watched;
        match deed {
            Deed::Break { device, how, .. } => {
                if let Some((earlier, _)) = self.broken.get(device) {
                    self.over(*earlier, now);
                }
                let gate = (*how == Breakage::Hangs).then(Gate::new);
                world.inject(claim(device), fault(*how, &gate));
                self.broken.insert(device, (number, gate));
                true
            }
            Deed::Kill { actor, .. } => {
                daemon.restart(actor);
                true
            }
            Deed::Demand { output, owner, priority, wish, lease } => {
                let demand = Demand {
                    owner: Owner::new(&format!("people.{owner}")),
                    priority: *priority,
                    wish: *wish,
                    until: clock.now() + *lease,
                    because: None,
                };
                daemon.bus().demand(&OutputId::new(output).unwrap(), demand).is_ok()
            }
            Deed::Adjust { controller, how } => {
                daemon.bus().adjust(&ControllerId::new(controller).unwrap(), *how).is_ok()
            }
            Deed::Jump { millis } => {
                clock.jump(*millis);
                true
            }
            Deed::Disk { how, .. } => {
                match how {
                    Some(fault) => self.disk.fails(*fault),
                    None => self.disk.hangs(true),
                }
                true
            }
            Deed::Broker { how, .. } => {
                match how {
                    Trouble::Down => self.broker.down(),
                    Trouble::Slow => self.broker.slow(Duration::from_millis(150)),
                    Trouble::Forgets => self.broker.forget(),
                }
                true
            }
            Deed::Acknowledge { alarm } => daemon.alarms().acknowledge(alarm).is_ok(),
            Deed::Restart | Deed::Crash | Deed::Reload { .. } => true,
        }
    }

    /// Takes a variant over, and gives whether it was.
    async fn reload(&mut self, variant: usize, daemon: &mut Daemon) -> bool {
        let mut config = common::house(&varied(variant));
        config.mqtt = self.trace.schedule.has_broker().then(link::config);
        let taken = daemon.reload(config).await;
        // A file that cannot be taken over would not be found by a next life either.
        assert_eq!(taken.is_err(), VARIANTS[variant].refused, "{}: {taken:?}", VARIANTS[variant].name);
        if taken.is_ok() {
            self.variant = variant;
        }
        taken.is_ok()
    }

    /// What a deed broke is whole again, if nothing else has broken it since.
    fn over(&mut self, number: usize, now: Moment) {
        match &self.trace.schedule.planned[number].deed {
            Deed::Disk { .. } => {
                self.disk.fails(None);
                self.disk.hangs(false);
            }
            Deed::Broker { .. } => {
                self.broker.up();
                self.broker.slow(Duration::from_millis(1));
            }
            _ => {}
        }
        if let (Deed::Disk { .. } | Deed::Broker { .. }, Some(&done)) =
            (&self.trace.schedule.planned[number].deed, self.numbers.get(&number))
        {
            self.trace.done[done].over = now;
        }
        let device = self.broken.iter().find(|(_, (by, _))| *by == number).map(|(device, _)| *device);
        let Some((device, (_, gate))) = device.and_then(|device| self.broken.remove_entry(device)) else { return };
        if let Some(world) = &self.world {
            world.heal(claim(device));
        }
        if let Some(gate) = gate {
            gate.release();
        }
        self.trace.done[self.numbers[&number]].over = now;
    }

    async fn end(&mut self, watched: Watched) {
        let Watched { daemon, clock, world, told, tap, fed } = watched;
        let asked = world.now().since_start();
        let life = self.trace.lives.len() - 1;
        let store = daemon.store().clone();
        if asked >= self.trace.schedule.length {
            let topics = self.broker.topics().into_iter();
            self.trace.retained =
                topics.filter_map(|topic| Some((topic.clone(), self.broker.retained(&topic)?))).collect();
        }
        let end = match &self.trace.lives[life].end {
            End::Crashed => End::Crashed,
            _ => End::Stopped(daemon.stop(Duration::from_secs(3)).await),
        };
        let mut late = Vec::new();
        tap.drain(&mut late);
        self.now = world.now().since_start();
        self.wall = clock.wall();
        self.trace.told.extend(told.take().into_iter().map(|(at, event)| (at, life, event)));
        self.trace.told.extend(late.into_iter().map(|event| (self.now, life, event)));
        self.trace.fed.append(&mut fed.borrow_mut());
        self.trace.dropped += tap.dropped();
        let last = &mut self.trace.lives[life];
        (last.asked, last.ended, last.end) = (asked, self.now, end);
        if self.now >= self.trace.schedule.length {
            self.conclude(&world, &store);
        }
    }

    /// What can be seen when all is over.
    fn conclude(&mut self, world: &Simulated, store: &Store) {
        for output in &HOUSE.outputs {
            let changes = world.changes(output.actuator.clone()).into_iter();
            self.trace.levels.insert(&output.name, changes.map(|(at, level)| (at.since_start(), level)).collect());
        }
        for channel in HOUSE.channels() {
            let stored = store.readings(&ChannelId::parse(channel).unwrap()).unwrap();
            self.trace.stored.insert(channel, stored);
        }
    }
}

async fn watch(config: homeostat::config::Config, clock: Clock, world: &Simulated, found: &Setting) -> Watched {
    let (told, fed) = (Rc::<RefCell<Vec<_>>>::default(), Rc::<RefCell<Vec<_>>>::default());
    let (alive, seen) = (fed.clone(), world.clone());
    let host = found.host(clock, world);
    let daemon = Daemon::start(config, host, move || alive.borrow_mut().push(seen.now().since_start())).await.unwrap();
    let tap = Arc::new(daemon.bus().tap(100_000, 1));
    let (queue, log, seen) = (tap.clone(), told.clone(), world.clone());
    actix::spawn(async move {
        let mut events = Vec::new();
        loop {
            queue.filled().await;
            queue.drain(&mut events);
            let now = seen.now().since_start();
            log.borrow_mut().extend(events.drain(..).map(|event| (now, event)));
        }
    });
    Watched { daemon, clock, world: world.clone(), told, tap, fed }
}

async fn sleep_until(world: &Simulated, at: Moment) {
    tokio::time::sleep(at.saturating_sub(world.now().since_start())).await;
}

fn claim(device: &str) -> &'static Claim {
    let sensor = HOUSE.sensors.iter().find(|sensor| sensor.name == device).map(|sensor| &sensor.claim);
    sensor.unwrap_or_else(|| &HOUSE.output(device).claim)
}

fn fault(how: Breakage, gate: &Option<Gate>) -> Fault {
    match how {
        Breakage::Errs => Fault::Error,
        Breakage::Hangs => Fault::Hang(gate.clone().unwrap_or_default()),
        Breakage::TalksNonsense => Fault::Garbage,
        Breakage::PanicsInUse => Fault::PanicOnUse,
        Breakage::PanicsInOpen => Fault::PanicOnOpen,
        Breakage::PanicsInDrop => Fault::PanicOnDrop,
    }
}
