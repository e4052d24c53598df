//! What a person should know of: each alarm is raised once, stands until its cause has gone, and is told on every change.
//!
//! A *latched* alarm also outlasts its cause: it stands until a person acknowledges it, because whoever raised it has
//! stopped something that must not begin again by itself. Acknowledging any other alarm only says that it was seen.
//!
//! A shared table like the bus: nothing in it can fill up or die.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::bus::Bus;
use crate::clock::Clock;
use crate::message::{Alarm, Event};
use crate::panics::locked;

/// A handle on the alarms; all clones are the same ones.
#[derive(Clone)]
pub struct Alarms {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    bus: Bus,
    standing: Mutex<BTreeMap<Arc<str>, Alarm>>,
}

/// No alarm of that name stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no alarm `{0}`; `homeostat alarms` lists those that stand")]
pub struct NoSuchAlarm(pub String);

impl Alarms {
    /// No alarms yet. Their changes are told on `bus`.
    pub fn new(clock: Clock, bus: Bus) -> Self {
        Self { shared: Arc::new(Shared { clock, bus, standing: Mutex::default() }) }
    }

    /// The alarm stands until [`clear`](Self::clear). Told when it is new or says something else.
    pub fn raise(&self, name: &str, text: &str) {
        self.stand(name, text, false);
    }

    /// The alarm stands until a person [acknowledges](Self::acknowledge) it.
    pub fn latch(&self, name: &str, text: &str) {
        self.stand(name, text, true);
    }

    /// The cause has gone, and with it the alarm unless it is latched. Costs nothing if there is none.
    pub fn clear(&self, name: &str) {
        let mut standing = self.standing();
        if standing.get(name).is_some_and(|alarm| !alarm.latched) {
            standing.remove(name);
            self.tell_gone(name);
        }
    }

    /// A person knows. A latched alarm has gone with that; any other stands on, marked, until its cause has gone.
    pub fn acknowledge(&self, name: &str) -> Result<(), NoSuchAlarm> {
        let mut standing = self.standing();
        let Some(alarm) = standing.get_mut(name) else { return Err(NoSuchAlarm(name.to_owned())) };
        if alarm.latched {
            standing.remove(name);
            self.tell_gone(name);
        } else if !std::mem::replace(&mut alarm.acknowledged, true) {
            self.shared.bus.tell(Event::Alarm(alarm.clone()));
        }
        Ok(())
    }

    /// Tells that an alarm of an earlier process, which may stand at the broker, has gone. One that stands here stays.
    pub fn forget(&self, name: &str) {
        let standing = self.standing();
        if !standing.contains_key(name) {
            self.tell_gone(name);
        }
    }

    /// Whether a latched alarm of that name stands: whoever raised it stays stopped.
    pub fn is_latched(&self, name: &str) -> bool {
        self.standing().get(name).is_some_and(|alarm| alarm.latched)
    }

    /// All that stand, by name.
    pub fn standing_now(&self) -> Vec<Alarm> {
        self.standing().values().cloned().collect()
    }

    fn stand(&self, name: &str, text: &str, latched: bool) {
        let mut standing = self.standing();
        let before = standing.get(name);
        let alarm = Alarm {
            name: name.into(),
            text: Some(text.into()),
            since: before.map_or_else(|| self.shared.clock.wall(), |alarm| alarm.since),
            latched: latched || before.is_some_and(|alarm| alarm.latched),
            acknowledged: before.is_some_and(|alarm| alarm.acknowledged),
        };
        if before != Some(&alarm) {
            standing.insert(alarm.name.clone(), alarm.clone());
            self.shared.bus.tell(Event::Alarm(alarm));
        }
    }

    /// Told while the table is locked, so that what is told comes in the order of what happened.
    fn tell_gone(&self, name: &str) {
        let since = self.shared.clock.wall();
        let gone = Alarm { name: name.into(), text: None, since, latched: false, acknowledged: false };
        self.shared.bus.tell(Event::Alarm(gone));
    }

    fn standing(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Alarm>> {
        locked(&self.shared.standing)
    }
}
