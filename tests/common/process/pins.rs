//! What the pins did, by the file that `pins` of `[simulation]` names.

use std::collections::BTreeMap;

use super::{House, now};

/// A change of a pin.
pub struct Change {
    /// Milliseconds since 1970.
    pub at: i64,
    /// `pin 17`
    pub pin: String,
    /// `on`
    pub level: String,
}

impl House {
    /// Every change, in order.
    pub fn changes(&self) -> Vec<Change> {
        let line = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let [at, kind, number, level] = words[..] else { panic!("not a line of pins.log: {line}") };
            Change { at: at.parse().unwrap(), pin: format!("{kind} {number}"), level: level.to_owned() }
        };
        self.read("../pins.log").lines().map(line).collect()
    }

    /// What each pin is at.
    pub fn pins(&self) -> BTreeMap<String, String> {
        self.changes().into_iter().map(|change| (change.pin, change.level)).collect()
    }

    /// Whether they are all off, and since when.
    pub fn off_since(&self) -> Option<i64> {
        let all_off = self.pins().values().all(|level| level == "off");
        all_off.then(|| self.changes().last().map_or(0, |last| last.at))
    }

    /// When a pin was on, from and to; the last may still be.
    pub fn pulses(&self, pin: u8) -> Vec<(i64, i64)> {
        let name = format!("pin {pin}");
        let (mut pulses, mut since) = (Vec::new(), None);
        for change in self.changes().into_iter().filter(|change| change.pin == name) {
            match (change.level.as_str(), since) {
                ("on", None) => since = Some(change.at),
                ("off", Some(on)) => {
                    pulses.push((on, change.at));
                    since = None;
                }
                _ => {}
            }
        }
        pulses.extend(since.map(|on| (on, now())));
        pulses
    }

    /// For how long a pin was on, altogether, in milliseconds.
    pub fn time_on(&self, pin: u8) -> i64 {
        self.pulses(pin).iter().map(|(on, off)| off - on).sum()
    }
}
