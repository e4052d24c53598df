//! What was seen of a schedule: what was done, what the pins did, what was told, and what is on disk. Nothing from inside.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use homeostat::message::{Event, Mode};
use homeostat::model::{Level, Reading};
use homeostat::store::Stored;
use homeostat::supervisor::Stage;

use super::house::{HOUSE, Output, Sensor, VARIANTS};
use super::schedule::{Breakage, Deed, Schedule};
use super::spans::{Moment, Spans};

pub struct Trace<'s> {
    pub schedule: &'s Schedule,
    pub lives: Vec<Life>,
    pub done: Vec<Done>,
    /// For each output every change, the first its first level.
    pub levels: BTreeMap<&'static str, Vec<(Moment, Level)>>,
    /// Everything told on the bus, with the moment and the life it was told in.
    pub told: Vec<(Moment, usize, Event)>,
    pub stored: BTreeMap<&'static str, Vec<Stored>>,
    /// Which variant of the file held from when on.
    pub variants: Vec<(Moment, usize)>,
    /// What the broker had, by topic, before the last stop.
    pub retained: BTreeMap<String, String>,
    /// When the watchdog was fed.
    pub fed: Vec<Moment>,
    usable: BTreeMap<String, Vec<(Moment, usize)>>,
    bad: BTreeMap<String, Vec<Moment>>,
    told_of: BTreeMap<String, Vec<usize>>,
    /// Events that our own tap had no room for.
    pub dropped: u64,
}

/// One life of the daemon.
#[derive(Debug, Clone)]
pub struct Life {
    /// When its clock was zero.
    pub began: Moment,
    /// When it was asked to stop, or died.
    pub asked: Moment,
    /// When nothing of it was left.
    pub ended: Moment,
    pub end: End,
    /// After a crash: when `homeostat safe` was through.
    pub safe: Moment,
}

#[derive(Debug, Clone, PartialEq)]
pub enum End {
    Lives,
    Stopped(Stage),
    Crashed,
}

/// A deed that was done.
#[derive(Debug, Clone)]
pub struct Done {
    pub at: Moment,
    pub deed: Deed,
    /// When what it broke was whole again, or whom it killed was left alone.
    pub over: Moment,
    /// Each moment at which it ended an actor, or would have if that had been there.
    pub kills: Vec<Moment>,
    /// Whether anybody took it.
    pub taken: bool,
    pub life: usize,
}

impl<'s> Trace<'s> {
    pub fn new(schedule: &'s Schedule) -> Self {
        Self {
            schedule,
            lives: Vec::new(),
            done: Vec::new(),
            levels: BTreeMap::new(),
            told: Vec::new(),
            stored: BTreeMap::new(),
            variants: Vec::new(),
            retained: BTreeMap::new(),
            fed: Vec::new(),
            usable: BTreeMap::new(),
            bad: BTreeMap::new(),
            told_of: BTreeMap::new(),
            dropped: 0,
        }
    }

    pub fn readings(&self) -> impl Iterator<Item = (Moment, usize, &Reading)> {
        self.told.iter().filter_map(|(at, life, event)| match event {
            Event::Reading(reading) => Some((*at, *life, reading)),
            _ => None,
        })
    }

    /// When a channel had a usable reading (the reading's own time), and in which life.
    pub fn usable(&self, channel: &str) -> &[(Moment, usize)] {
        self.usable.get(channel).map_or(&[], |usable| usable)
    }

    /// Sorts what was told by whom it is of, for those who look for it again and again.
    pub fn index(&mut self) {
        for (number, (at, life, event)) in self.told.iter().enumerate() {
            match event {
                Event::Reading(reading) => {
                    let channel = reading.channel.as_str().to_owned();
                    match reading.sample.value() {
                        Some(_) => {
                            let moment = self.lives[*life].began + reading.at.since_start();
                            self.usable.entry(channel).or_default().push((moment, *life));
                        }
                        None => self.bad.entry(channel).or_default().push(*at),
                    }
                }
                Event::Output(state) => {
                    self.told_of.entry(format!("outputs.{}", state.output)).or_default().push(number);
                }
                Event::Controller(state) => {
                    self.told_of.entry(format!("controllers.{}", state.controller)).or_default().push(number);
                }
                _ => {}
            }
        }
    }

    /// When a channel had a reading that cannot be used.
    pub fn bad(&self, channel: &str) -> &[Moment] {
        self.bad.get(channel).map_or(&[], |bad| bad)
    }

    /// What was told of an output or a controller (`outputs.fan`).
    pub fn told_of(&self, name: &str) -> impl DoubleEndedIterator<Item = &(Moment, usize, Event)> + use<'_, 's> {
        self.told_of.get(name).into_iter().flatten().map(|&number| &self.told[number])
    }

    /// When the hardware of an output could not be written to: it was broken, or somebody hung in its lane.
    pub fn pin_broken(&self, output: &Output) -> Spans {
        let hit = |device: &str, how| {
            HOUSE.outputs.iter().any(|one| {
                one.name == device && (one.name == output.name || (how == Breakage::Hangs && one.lane == output.lane))
            })
        };
        self.broken(hit)
    }

    /// When a sensor could not be read: it was broken, somebody hung on its bus, or its actor was ended.
    pub fn sensor_hit(&self, sensor: &Sensor) -> Spans {
        let hit = |device: &str, how| {
            HOUSE.sensors.iter().any(|one| {
                one.name == device && (one.name == sensor.name || (how == Breakage::Hangs && one.lane == sensor.lane))
            })
        };
        self.broken(hit).union(&self.killed(&format!("sensors.{}", sensor.name)))
    }

    /// When the file was such that a part (`outputs.fan`) was not as at first, from the reload that changed it until that which
    /// changed it back is through.
    pub fn varied(&self, part: &str) -> Spans {
        let touched = |variant: usize| VARIANTS[variant].touches.contains(&part);
        let ends = self.variants.iter().skip(1).map(|(at, _)| *at).chain([self.schedule.length]);
        let spans = self.variants.iter().zip(ends).filter(|((_, variant), _)| touched(*variant));
        let around = self.done.iter().filter_map(|done| match done.deed {
            Deed::Reload { variant } if done.taken => {
                let before = self.variants.iter().take_while(|(at, _)| *at < done.over).last();
                let is_of_it = touched(variant) || before.is_some_and(|(_, before)| touched(*before));
                is_of_it.then_some((done.at, done.over + Duration::from_millis(2)))
            }
            _ => None,
        });
        spans.map(|((from, _), to)| (*from, to)).chain(around).collect()
    }

    /// When a controller surely was tripped: from the moment at which it says so until a person acknowledges that, or a next life.
    pub fn tripped(&self, controller: &str) -> Spans {
        let mode = |event: &Event| matches!(event, Event::Controller(state) if state.mode == Mode::Tripped);
        let spans = self.told_of(&format!("controllers.{controller}")).filter(|(.., event)| mode(event)).map(
            |(at, life, _)| {
                let acknowledged =
                    self.done.iter().find(|done| matches!(done.deed, Deed::Acknowledge { .. }) && done.at >= *at);
                (*at, acknowledged.map_or(Moment::MAX, |done| done.at).min(self.lives[*life].asked))
            },
        );
        spans.collect()
    }

    pub fn broken(&self, hit: impl Fn(&str, Breakage) -> bool) -> Spans {
        let spans = self.done.iter().filter_map(|done| match &done.deed {
            Deed::Break { device, how, .. } if hit(device, *how) => Some((done.at, done.over)),
            _ => None,
        });
        spans.collect()
    }

    /// From when an actor was first ended until it was left alone.
    pub fn killed(&self, name: &str) -> Spans {
        let spans = self.done.iter().filter_map(|done| match &done.deed {
            Deed::Kill { actor, .. } if actor == name => Some((done.at, done.over + Duration::from_millis(1))),
            _ => None,
        });
        spans.collect()
    }

    /// When an output's or controller's actor (`outputs.fan`) was gone: from its end until it is heard of again, or its daemon is
    /// gone too.
    pub fn away(&self, name: &str) -> Spans {
        let signs: Vec<Moment> = self.told_of(name).map(|(at, ..)| *at).collect();
        let kills = self.done.iter().filter(|done| matches!(&done.deed, Deed::Kill { actor, .. } if actor == name));
        let away = kills.flat_map(|done| &done.kills).map(|&kill| {
            let back = signs[signs.partition_point(|sign| *sign <= kill)..].first();
            (kill, back.copied().unwrap_or(self.schedule.length))
        });
        away.collect::<Spans>().without(&self.between_lives())
    }

    /// From the beginning of each life until this output was first heard of: while its hardware cannot be taken it has no actor.
    pub fn unheard(&self, output: &str) -> Spans {
        let name = format!("outputs.{output}");
        let first = |number: usize| self.told_of(&name).find(|(_, life, _)| *life == number).map(|(at, ..)| *at);
        let lives = self.lives.iter().enumerate();
        lives.map(|(number, life)| (life.began, first(number).unwrap_or(life.asked))).collect()
    }

    pub fn output_away(&self, output: &str) -> Spans {
        self.away(&format!("outputs.{output}"))
    }

    pub fn controller_away(&self, controller: &str) -> Spans {
        self.away(&format!("controllers.{controller}"))
    }

    /// When a controller was surely gone: an end at the very moment of a beginning may have come before it, and counts for nothing.
    pub fn controller_surely_away(&self, controller: &str) -> Spans {
        let begins = |event: &Event| matches!(event, Event::Controller(state) if state.mode == Mode::Waiting);
        let told = self.told_of(&format!("controllers.{controller}"));
        let begun: Vec<Moment> = told.filter(|(.., event)| begins(event)).map(|(at, ..)| *at).collect();
        self.controller_away(controller).iter().filter(|(from, _)| !begun.contains(from)).collect()
    }

    /// When there was no daemon.
    pub fn between_lives(&self) -> Spans {
        self.lives.windows(2).map(|pair| (pair[0].ended, pair[1].began)).collect()
    }

    /// When an output was at a level of which this holds.
    pub fn level_is(&self, output: &str, holds: impl Fn(Level) -> bool) -> Spans {
        let levels = &self.levels[output];
        let ends = levels.iter().skip(1).map(|(at, _)| *at).chain([self.schedule.length]);
        levels.iter().zip(ends).filter(|((_, level), _)| holds(*level)).map(|((from, _), to)| (*from, to)).collect()
    }

    pub fn level_at(&self, output: &str, at: Moment) -> Option<Level> {
        self.levels[output].iter().take_while(|(changed, _)| *changed <= at).last().map(|(_, level)| *level)
    }

    /// The same for the same seed on every machine.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?}", (&self.levels, &self.told, &self.done)).hash(&mut hasher);
        hasher.finish()
    }
}
