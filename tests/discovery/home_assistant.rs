//! A Home Assistant and its broker, as far as discovery goes: which entities it has after which messages.
//!
//! - A component that is left out of a device's message stays; one with nothing but its kind goes.
//! - An empty payload takes away whatever came by that topic.
//! - An entity that is there already, by another topic, is refused unless that topic has said `migrate_discovery`.

use std::collections::{BTreeMap, BTreeSet};

use homeostat::mqtt::discovery::Messages;
use serde_json::Value;

/// Kind and unique id.
pub type Id = (String, String);

#[derive(Debug, Default)]
pub struct HomeAssistant {
    /// What the broker has.
    pub retained: Messages,
    /// By which topic each entity came; `None` while it is let go of.
    entities: BTreeMap<Id, Option<String>>,
    /// The entity of each component of a device's message.
    components: BTreeMap<(String, String), Id>,
}

impl HomeAssistant {
    /// One that has not heard yet what the broker has.
    pub fn at(retained: &Messages) -> Self {
        Self { retained: retained.clone(), ..Self::default() }
    }

    /// It forgets how everything came, and hears what is retained. What nobody tells of any more is not there.
    pub fn restart(&mut self) {
        self.entities.clear();
        self.components.clear();
        for (topic, payload) in self.retained.clone() {
            self.hear(&topic, &payload);
        }
    }

    pub fn entities(&self) -> BTreeSet<Id> {
        self.entities.keys().cloned().collect()
    }

    pub fn has(&self, id: &Id) -> bool {
        self.entities.contains_key(id)
    }

    /// A retained payload comes to the broker and to Home Assistant.
    pub fn publish(&mut self, topic: &str, payload: Vec<u8>) {
        self.hear(topic, &payload);
        if payload.is_empty() {
            self.retained.remove(topic);
        } else {
            self.retained.insert(topic.to_owned(), payload);
        }
    }

    fn hear(&mut self, topic: &str, payload: &[u8]) {
        let by = Some(topic.to_owned());
        let Ok(message) = serde_json::from_slice::<Value>(payload) else {
            if payload.is_empty() {
                self.entities.retain(|_, owner| *owner != by);
                self.components.retain(|(device, _), _| device != topic);
            }
            return;
        };
        if message.get("migrate_discovery").is_some() {
            for owner in self.entities.values_mut().filter(|owner| **owner == by) {
                *owner = None;
            }
            self.components.retain(|(device, _), _| device != topic);
            return;
        }
        let Some(components) = message.get("cmps").and_then(Value::as_object) else {
            if let Some(id) = message.get("uniq_id").and_then(Value::as_str) {
                let kind = topic.rsplit('/').nth(3).expect("a kind");
                self.add((kind.to_owned(), id.to_owned()), topic);
            }
            return;
        };
        for (key, fields) in components {
            let key = (topic.to_owned(), key.clone());
            let Some(kind) = fields.get("p").and_then(Value::as_str) else { continue };
            match fields.get("uniq_id").and_then(Value::as_str) {
                Some(id) => {
                    let id = (kind.to_owned(), id.to_owned());
                    self.add(id.clone(), topic);
                    let same = self.components.insert(key.clone(), id.clone());
                    assert!(same.is_none_or(|same| same == id), "{key:?} became another entity");
                }
                None => {
                    let id = self.components.remove(&key);
                    id.map(|id| self.entities.remove(&id));
                }
            }
        }
    }

    fn add(&mut self, id: Id, topic: &str) {
        let owner = self.entities.entry(id).or_insert_with(|| Some(topic.to_owned()));
        if owner.is_none() {
            *owner = Some(topic.to_owned());
        }
    }
}

/// Whether a topic filter of MQTT, without `#`, lets a topic through.
pub fn matches(filter: &str, topic: &str) -> bool {
    let (filter, topic): (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic.split('/').collect());
    filter.len() == topic.len() && filter.iter().zip(topic).all(|(filter, level)| *filter == "+" || *filter == level)
}

/// The entities that a Home Assistant has that hears nothing but these messages.
pub fn ids(messages: &Messages) -> BTreeSet<Id> {
    let mut fresh = HomeAssistant::at(messages);
    fresh.restart();
    fresh.entities()
}
