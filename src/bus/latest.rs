//! What the bus keeps for whoever asks later: the newest state of every output and controller, and how each output came to it.

use std::collections::{BTreeMap, VecDeque};

use crate::message::{ControllerState, Event, OutputState};
use crate::model::{ControllerId, OutputId, Timestamp};

/// How many changes of an output are kept.
const CHANGES: usize = 32;

/// The newest of everything that is told. Keeping it costs a few counted references; nothing is written out.
#[derive(Default)]
pub(super) struct Latest {
    pub(super) outputs: BTreeMap<OutputId, Past>,
    pub(super) controllers: BTreeMap<ControllerId, ControllerState>,
}

/// An output as it is, and the last of its changes ([`OutputState::differs_from`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// How it is.
    pub now: OutputState,
    /// The newest last; never empty, for the last one is how the present began.
    changes: VecDeque<OutputState>,
}

impl Past {
    fn new(state: &OutputState) -> Self {
        Self { now: state.clone(), changes: VecDeque::from([state.clone()]) }
    }

    /// When the present began.
    pub fn since(&self) -> Timestamp {
        self.changes.back().map_or(self.now.since, |change| change.since)
    }

    /// What was before the present, the newest first.
    pub fn before(&self) -> impl Iterator<Item = &OutputState> {
        self.changes.iter().rev().skip(1)
    }

    /// How the present began, and what was before, the newest first.
    pub fn changes(&self) -> impl Iterator<Item = &OutputState> {
        self.changes.iter().rev()
    }

    fn take(&mut self, state: &OutputState) {
        if state.differs_from(&self.now) {
            if self.changes.len() >= CHANGES {
                self.changes.pop_front();
            }
            self.changes.push_back(state.clone());
        } else if let Some(change) = self.changes.back_mut() {
            // A change is remembered with the last level and the last reading of its time, under the moment it began.
            *change = OutputState { since: change.since, ..state.clone() };
        }
        self.now = state.clone();
    }
}

impl Latest {
    /// Keeps what there is to keep of an event.
    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::Output(state) => match self.outputs.get_mut(&state.output) {
                Some(past) => past.take(state),
                None => {
                    self.outputs.insert(state.output.clone(), Past::new(state));
                }
            },
            Event::Controller(state) => match self.controllers.get_mut(&state.controller) {
                Some(known) => known.clone_from(state),
                None => {
                    self.controllers.insert(state.controller.clone(), state.clone());
                }
            },
            // Channels and sensors have a place of their own on the bus, alarms in their table.
            Event::Reading(_) | Event::Sensor(_) | Event::Alarm(_) | Event::Gone(_) => {}
        }
    }

    /// An output or controller that is not there any more.
    pub(super) fn forget(&mut self, id: &str) {
        self.outputs.retain(|output, _| output.as_str() != id);
        self.controllers.retain(|controller, _| controller.as_str() != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Level, Owner};

    /// What is a limit here.
    const HELD_OFF: &str = "held off for min_off";

    /// `by level why`, told a second after the one before.
    fn told(latest: &mut Latest, second: i64, by: Option<&str>, level: f64, on: bool, why: &str) {
        latest.take(&Event::Output(OutputState {
            output: OutputId::new("heater").unwrap(),
            level: Level::clamped(level),
            on,
            by: by.map(Owner::new),
            why: why.into(),
            limit: (why == HELD_OFF).then(|| why.into()),
            because: None,
            confirmed: true,
            since: Timestamp::from_millis(second * 1000),
        }));
    }

    fn past(latest: &Latest) -> &Past {
        &latest.outputs[&OutputId::new("heater").unwrap()]
    }

    #[test]
    fn a_pulse_or_another_level_is_no_change_but_who_and_why_are() {
        let (mut latest, warmth) = (Latest::default(), Some("controllers.warmth"));
        told(&mut latest, 1, None, 0.0, false, "no live demand");
        told(&mut latest, 2, warmth, 0.0, false, HELD_OFF);
        told(&mut latest, 2, warmth, 0.0, false, "controllers.warmth asks for off");
        told(&mut latest, 3, warmth, 0.4, true, "controllers.warmth asks for 40 %");
        told(&mut latest, 4, warmth, 0.4, false, "controllers.warmth asks for 40 %");
        told(&mut latest, 5, warmth, 0.7, true, "controllers.warmth asks for 70 %");
        let past = past(&latest);
        let seen: Vec<_> = past.changes().map(|state| (state.since.as_millis() / 1000, &*state.why)).collect();
        let expected = [
            (3, "controllers.warmth asks for 70 %"),
            (2, "controllers.warmth asks for off"),
            (2, HELD_OFF),
            (1, "no live demand"),
        ];
        assert_eq!(seen, expected);
        assert_eq!((past.since().as_millis(), past.now.since.as_millis()), (3000, 5000));
        assert_eq!(past.before().count(), 3);
    }

    #[test]
    fn the_oldest_changes_make_room() {
        let mut latest = Latest::default();
        for second in 0..100 {
            told(&mut latest, second, None, (second % 2) as f64, second % 2 == 1, "no live demand");
        }
        let seconds: Vec<_> = past(&latest).changes().map(|state| state.since.as_millis() / 1000).collect();
        assert_eq!(seconds, (68..100).rev().collect::<Vec<_>>());
    }
}
