//! What a person should know of: each alarm is raised once, stands until its cause has gone, and is told on every change.
//!
//! A *latched* alarm also outlasts its cause: it stands until a person acknowledges it, because whoever raised it has
//! stopped something that must not begin again by itself. Acknowledging any other alarm only says that it was seen.
//!
//! A shared table like the bus: nothing in it can fill up or die. `memory.rs` keeps it over restarts; `teller.rs` tells a person.

mod config;
mod courier;
mod digest;
#[cfg(feature = "email")]
mod email;
mod letter;
mod memory;
mod teller;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use crate::bus::{Bus, Tap};
use crate::clock::Clock;
use crate::message::{Alarm, Event};
use crate::panics::locked;

pub use self::config::{Config, Rate, Way};
pub use self::courier::Courier;
pub use self::letter::Letter;
pub use self::memory::{FILE, Recalled, keep, recall};
pub use self::teller::Teller;

/// A handle on the alarms; all clones are the same ones.
#[derive(Clone)]
pub struct Alarms {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    bus: Bus,
    standing: Mutex<BTreeMap<Arc<str>, Alarm>>,
    changes: watch::Sender<()>,
}

/// No alarm of that name stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no alarm `{0}`; `homeostat alarms` lists those that stand")]
pub struct NoSuchAlarm(pub String);

impl Alarms {
    /// No alarms yet. Their changes are told on `bus`.
    pub fn new(clock: Clock, bus: Bus) -> Self {
        Self { shared: Arc::new(Shared { clock, bus, standing: Mutex::default(), changes: watch::Sender::new(()) }) }
    }

    /// The alarm stands until [`clear`](Self::clear). Told when it is new or says something else.
    pub fn raise(&self, name: &str, text: &str) {
        self.stand(name, text, false);
    }

    /// The alarm stands while there is such a trouble: [`raise`](Self::raise) with a text, [`clear`](Self::clear) without.
    pub fn set(&self, name: &str, trouble: Option<&str>) {
        match trouble {
            Some(text) => self.raise(name, text),
            None => self.clear(name),
        }
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
            self.tell(alarm.clone());
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

    /// Tells one who comes late of all that stand; later changes come after them.
    pub fn tell_all(&self, tap: &Tap) {
        self.standing().values().for_each(|alarm| tap.offer(Event::Alarm(alarm.clone())));
    }

    /// The causes of all alarms of a part of the configuration have gone with it: of `sensors.air` and `sensors.air.inputs`.
    pub fn clear_all_of(&self, part: &str) {
        let is_of = |name: &str| name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let names: Vec<Arc<str>> = self.standing().keys().filter(|name| is_of(name)).cloned().collect();
        names.iter().for_each(|name| self.clear(name));
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
            self.tell(alarm);
        }
    }

    /// An alarm of an earlier process stands on, as it was.
    fn stand_again(&self, alarm: Alarm) {
        let mut standing = self.standing();
        standing.insert(alarm.name.clone(), alarm.clone());
        self.tell(alarm);
    }

    fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// Sees every change from now on; several at once are seen as one.
    fn changes(&self) -> watch::Receiver<()> {
        self.shared.changes.subscribe()
    }

    /// Told while the table is locked, so that what is told comes in the order of what happened.
    fn tell_gone(&self, name: &str) {
        let since = self.shared.clock.wall();
        let gone = Alarm { name: name.into(), text: None, since, latched: false, acknowledged: false };
        self.tell(gone);
    }

    fn tell(&self, alarm: Alarm) {
        self.shared.bus.tell(Event::Alarm(alarm));
        self.shared.changes.send_replace(());
    }

    fn standing(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Alarm>> {
        locked(&self.shared.standing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Tap;
    use crate::model::Timestamp;

    pub(super) fn alarms() -> (Alarms, Tap) {
        let clock = Clock::simulated(Timestamp::from_millis(0));
        let bus = Bus::new(clock, 0);
        let tap = bus.tap(1000, 1);
        (Alarms::new(clock, bus), tap)
    }

    /// What was told since the last time: `+a` stands, `!a` latched, `a?` acknowledged, `-a` gone.
    fn told(tap: &Tap) -> Vec<String> {
        let mut events = Vec::new();
        tap.drain(&mut events);
        let sign = |alarm: &Alarm| match (&alarm.text, alarm.acknowledged, alarm.latched) {
            (None, ..) => format!("-{}", alarm.name),
            (Some(text), true, _) => format!("{}? {text}", alarm.name),
            (Some(text), _, true) => format!("!{} {text}", alarm.name),
            (Some(text), ..) => format!("+{} {text}", alarm.name),
        };
        let alarm = |event: &Event| match event {
            Event::Alarm(alarm) => sign(alarm),
            other => panic!("{other:?}"),
        };
        events.iter().map(alarm).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_change_is_told_once() {
        type Act = fn(&Alarms);
        let acts: [(Act, &[&str]); 14] = [
            (|alarms| alarms.clear("a"), &[]),
            (|alarms| alarms.raise("a", "one"), &["+a one"]),
            (|alarms| alarms.raise("a", "one"), &[]),
            (|alarms| alarms.raise("a", "two"), &["+a two"]),
            (|alarms| alarms.acknowledge("a").unwrap(), &["a? two"]),
            (|alarms| alarms.acknowledge("a").unwrap(), &[]),
            (|alarms| alarms.clear("a"), &["-a"]),
            (|alarms| assert!(alarms.acknowledge("a").is_err()), &[]),
            (|alarms| alarms.latch("a", "three"), &["!a three"]),
            (|alarms| alarms.clear("a"), &[]),
            (|alarms| alarms.raise("a", "four"), &["!a four"]),
            (|alarms| alarms.forget("a"), &[]),
            (|alarms| alarms.acknowledge("a").unwrap(), &["-a"]),
            (|alarms| alarms.forget("a"), &["-a"]),
        ];
        let (alarms, tap) = alarms();
        for (number, (act, expected)) in acts.into_iter().enumerate() {
            act(&alarms);
            assert_eq!(told(&tap), expected, "act {number}");
        }
        assert_eq!(alarms.standing_now(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_stands_since_it_was_first_raised_and_one_name_does_not_touch_another() {
        let (alarms, _tap) = alarms();
        alarms.raise("controllers.warmth", "fails again and again");
        alarms.latch("controllers.warmth.watch", "no warmer");
        tokio::time::advance(std::time::Duration::from_secs(9)).await;
        alarms.raise("controllers.warmth.watch", "still no warmer");
        alarms.clear("controllers.warmth");
        assert!(alarms.is_latched("controllers.warmth.watch") && !alarms.is_latched("controllers.warmth"));
        let [watch] = &alarms.standing_now()[..] else { panic!("one stands") };
        assert_eq!((watch.since, watch.latched), (Timestamp::from_millis(0), true));
    }
}
