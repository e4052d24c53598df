//! Whatever a child does to end, its supervisor begins it anew, and its neighbours do not notice. In virtual time.

#![allow(clippy::panic, clippy::unwrap_used, reason = "what panics on purpose is the subject")]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use actix::prelude::*;
use homeostat::alarms::Alarms;
use homeostat::bus::{Bus, Tap};
use homeostat::clock::Clock;
use homeostat::hardware::bank::Bank;
use homeostat::lifeline::Lifeline;
use homeostat::message::{Event, Ping, Stop};
use homeostat::model::{Monotonic, Timestamp};
use homeostat::supervisor::{Child, Role, Root, Stage, StopAll, actor, task};

/// The ways in which a patient can end in its first life. It lives quietly from the second one on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    PanicWhenMade,
    PanicInStarted,
    PanicInHandler,
    PanicInTimer,
    PanicInFuture,
    PanicInStopping,
    PanicInDrop,
    PanicTwice,
    GiveUp,
    StopUnasked,
}

const ENDINGS: [Ending; 10] = [
    Ending::PanicWhenMade,
    Ending::PanicInStarted,
    Ending::PanicInHandler,
    Ending::PanicInTimer,
    Ending::PanicInFuture,
    Ending::PanicInStopping,
    Ending::PanicInDrop,
    Ending::PanicTwice,
    Ending::GiveUp,
    Ending::StopUnasked,
];

struct Patient {
    /// `None` when it is well.
    ending: Option<Ending>,
    lifeline: Lifeline,
}

struct Fall;

impl Message for Fall {
    type Result = ();
}

impl Actor for Patient {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.lifeline.ready();
        let Some(ending) = self.ending else { return };
        match ending {
            Ending::PanicWhenMade => unreachable!(),
            Ending::PanicInStarted => panic!("on purpose, in started"),
            Ending::PanicInHandler | Ending::PanicTwice => ctx.notify(Fall),
            Ending::PanicInTimer => {
                ctx.run_later(Duration::from_millis(10), |_, _| panic!("on purpose, in timer"));
            }
            Ending::PanicInFuture => {
                ctx.spawn(async { panic!("on purpose, in future") }.into_actor(self));
            }
            Ending::GiveUp => {
                self.lifeline.give_up("the device is not there");
                ctx.stop();
            }
            Ending::PanicInStopping | Ending::PanicInDrop | Ending::StopUnasked => ctx.stop(),
        }
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        if matches!(self.ending, Some(Ending::PanicInStopping | Ending::PanicTwice)) {
            panic!("on purpose, in stopping");
        }
        Running::Stop
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        if self.ending == Some(Ending::PanicInDrop) {
            panic!("on purpose, in drop");
        }
    }
}

impl Handler<Fall> for Patient {
    type Result = ();

    fn handle(&mut self, _: Fall, _: &mut Self::Context) {
        panic!("on purpose, in handler");
    }
}

impl Handler<Stop> for Patient {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.ending = None;
        ctx.stop();
    }
}

impl Handler<Ping> for Patient {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {
        self.lifeline.beat();
    }
}

/// Ticks every 100 ms and writes down when.
struct Neighbour(Clock, Arc<Mutex<Vec<Monotonic>>>, Lifeline);

impl Actor for Neighbour {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.2.ready();
        ctx.run_interval(Duration::from_millis(100), |neighbour, _| {
            neighbour.1.lock().unwrap().push(neighbour.0.now());
        });
    }
}

impl Handler<Stop> for Neighbour {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Handler<Ping> for Neighbour {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {
        self.2.beat();
    }
}

/// A root over some children in virtual time.
struct Ward {
    clock: Clock,
    tap: Tap,
    root: Addr<Root>,
    stage: tokio::sync::watch::Receiver<Stage>,
    fed: Rc<Cell<u32>>,
}

impl Ward {
    fn new(children: impl FnOnce(Clock) -> Vec<Child>) -> Self {
        let clock = Clock::simulated(Timestamp::from_millis(0));
        let bus = Bus::new(clock, 0);
        let tap = bus.tap(100, 1);
        let fed = Rc::new(Cell::new(0));
        let feed = fed.clone();
        let alarms = Alarms::new(clock, bus.clone());
        let root = Root::new(clock, bus, alarms, Arc::new(Bank::default()), children(clock), 1, move || {
            feed.set(feed.get() + 1)
        });
        let stage = root.stage();
        Self { clock, tap, root: root.start(), stage, fed }
    }

    async fn stop(&mut self) -> Stage {
        self.root.send(StopAll).await.unwrap();
        self.stage.wait_for(Stage::is_over).await.unwrap().clone()
    }

    fn alarms(&self) -> Vec<(String, bool)> {
        let mut events = Vec::new();
        self.tap.drain(&mut events);
        let alarm = |event| match event {
            Event::Alarm(alarm) => Some((alarm.name.to_string(), alarm.text.is_some())),
            _ => None,
        };
        events.into_iter().filter_map(alarm).collect()
    }
}

fn child(name: &str, role: Role, body: homeostat::supervisor::Body) -> Child {
    Child { name: name.into(), role, body, arbiter: Arbiter::current() }
}

/// Runs a scenario in virtual time.
fn virtually(scenario: impl Future<Output = ()>) {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // What panics on purpose need not be told.
            if !homeostat::panics::text(panic.payload()).starts_with("on purpose") {
                loud(panic);
            }
        }));
    });
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    System::with_tokio_rt(runtime).block_on(scenario);
}

#[test]
fn a_child_comes_back_from_every_ending_and_its_neighbour_misses_no_tick() {
    for ending in ENDINGS {
        virtually(async move {
            let lives = Arc::new(AtomicU32::new(0));
            let ticks = Arc::new(Mutex::new(Vec::new()));
            let (count, written) = (lives.clone(), ticks.clone());
            let mut ward = Ward::new(|clock| {
                let patient = actor(move |lifeline| {
                    let first = count.fetch_add(1, Ordering::SeqCst) == 0;
                    if first && ending == Ending::PanicWhenMade {
                        panic!("on purpose, when made");
                    }
                    Patient { ending: first.then_some(ending), lifeline }
                });
                let neighbour = actor(move |lifeline| Neighbour(clock, written.clone(), lifeline));
                vec![
                    child("controllers.patient", Role::Controller, patient),
                    child("controllers.neighbour", Role::Controller, neighbour),
                ]
            });
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(lives.load(Ordering::SeqCst), 2, "{ending:?}");
            let ticks = ticks.lock().unwrap().clone();
            assert!(ticks.len() >= 98, "{ending:?}: {} ticks", ticks.len());
            for pair in ticks.windows(2) {
                assert_eq!(pair[1].since(pair[0]), Duration::from_millis(100), "{ending:?}");
            }
            assert_eq!(ward.stop().await, Stage::Stopped);
        });
    }
}

#[test]
fn one_that_fails_for_ever_is_tried_for_ever_and_told_of_once() {
    virtually(async {
        let lives = Arc::new(AtomicU32::new(0));
        let well = Arc::new(AtomicU32::new(0));
        let (count, healed) = (lives.clone(), well.clone());
        let mut ward = Ward::new(|_| {
            let patient = actor(move |lifeline| {
                count.fetch_add(1, Ordering::SeqCst);
                let ending = (healed.load(Ordering::SeqCst) == 0).then_some(Ending::GiveUp);
                Patient { ending, lifeline }
            });
            vec![child("controllers.patient", Role::Controller, patient)]
        });
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let tried = lives.load(Ordering::SeqCst);
        assert!((55..90).contains(&tried), "about once a minute, and more often at first: {tried}");
        let name = "controllers.patient".to_owned();
        assert_eq!(ward.alarms(), [(name.clone(), false), (name, true)], "what stood before is taken back first");

        well.store(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(150)).await;
        assert_eq!(ward.alarms(), [("controllers.patient".to_owned(), false)]);
        assert_eq!(ward.stop().await, Stage::Stopped);
    });
}

#[test]
fn a_store_that_fails_again_and_again_ends_the_daemon() {
    virtually(async {
        let mut ward = Ward::new(|_| {
            let store = task(|_, _| async { Err::<(), _>("the disk is gone") });
            vec![child("store", Role::Store, store)]
        });
        let ended = ward.stage.wait_for(|stage| matches!(stage, Stage::Failed(_))).await.unwrap().clone();
        assert_eq!(ended, Stage::Failed("store fails again and again: the disk is gone".into()));
    });
}

#[test]
fn a_child_that_does_not_stop_is_ended_and_holds_up_nobody() {
    virtually(async {
        let mut ward = Ward::new(|_| {
            let deaf = task(|lifeline, _| async move {
                lifeline.ready();
                std::future::pending::<Result<(), String>>().await
            });
            vec![child("store", Role::Store, deaf.clone()), child("controllers.deaf", Role::Controller, deaf)]
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let asked = ward.clock.now();
        assert_eq!(ward.stop().await, Stage::Stopped);
        assert!(ward.clock.now().since(asked) < Duration::from_secs(2));
    });
}

#[test]
fn the_watchdog_is_fed_only_while_every_critical_child_answers() {
    virtually(async {
        let deaf = Arc::new(AtomicU32::new(0));
        let falls_silent = deaf.clone();
        let mut ward = Ward::new(|_| {
            let answers = actor(|lifeline| Patient { ending: None, lifeline });
            let silent = task(move |lifeline, mut orders| {
                let deaf = falls_silent.clone();
                async move {
                    lifeline.ready();
                    let beats = async {
                        while deaf.load(Ordering::SeqCst) == 0 {
                            lifeline.beat();
                            tokio::time::sleep(Duration::from_secs(3)).await;
                        }
                        std::future::pending::<()>().await;
                    };
                    tokio::select! { () = beats => {}, () = orders.stop() => {} }
                    Ok::<(), String>(())
                }
            });
            vec![child("controllers.patient", Role::Controller, answers), child("store", Role::Store, silent)]
        });
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(ward.fed.get() >= 11, "{}", ward.fed.get());

        deaf.store(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(20)).await;
        let fed = ward.fed.get();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(ward.fed.get(), fed);
        assert_eq!(ward.stop().await, Stage::Stopped);
    });
}
