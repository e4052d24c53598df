//! From the messages that Home Assistant has to those that it should have, so that what is not there any more disappears.
//!
//! - An entity of the older form goes when its topic is emptied.
//! - A component of the device form does not go by being left out: it is published once with nothing but its kind, `p`, and
//!   then left out. Should only the first of the two arrive, nothing is amiss: such a component is none.
//! - An entity that comes on another topic, because the form or the prefix is another or a message became too long, would be
//!   refused as there already. So the old topic first says `migrate_discovery`, which lets go of its entities with all that
//!   people made of them.
//!
//! <https://www.home-assistant.io/integrations/mqtt/#migration-from-single-component-to-device-based-discovery>

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Messages;

const MIGRATE: &[u8] = b"{\"migrate_discovery\":true}";

/// What is known of an entity in a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    /// Ids are unique among the entities of a kind only.
    kind: String,
    id: String,
    /// Its key in the device form.
    component: Option<String>,
}

impl Known {
    /// The same entity, on whatever topic.
    fn entity(&self) -> (&str, &str) {
        (&self.kind, &self.id)
    }
}

/// What must be published, in this order and retained, to come from `before` to `after`. An empty payload makes the broker
/// forget its topic.
pub fn changes(before: &Messages, after: &Messages) -> Vec<(String, Vec<u8>)> {
    let wanted: Vec<(Known, &String)> = after
        .iter()
        .flat_map(|(topic, payload)| known(topic, payload).into_iter().map(move |one| (one, topic)))
        .collect();
    let wanted: BTreeMap<(&str, &str), &String> = wanted.iter().map(|(one, topic)| (one.entity(), *topic)).collect();
    let (mut first, mut last, mut touched) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (topic, payload) in before.iter().filter(|(_, payload)| !payload.is_empty()) {
        let is_wanted = |one: &Known| wanted.contains_key(&one.entity());
        let (stay, go): (Vec<_>, Vec<_>) = known(topic, payload).into_iter().partition(is_wanted);
        let moves = stay.iter().any(|one| wanted.get(&one.entity()).is_some_and(|new| *new != topic));
        let is_left = !after.contains_key(topic);
        if is_left && stay.is_empty() {
            first.push((topic.clone(), Vec::new()));
            continue;
        }
        if go.iter().any(|one| one.component.is_some()) {
            first.push((topic.clone(), without(payload, &go)));
            touched.insert(topic);
        }
        if moves {
            first.push((topic.clone(), MIGRATE.to_vec()));
            touched.insert(topic);
        }
        if is_left {
            last.push((topic.clone(), Vec::new()));
        }
    }
    let is_news =
        |(topic, payload): &(&String, &Vec<u8>)| before.get(*topic) != Some(payload) || touched.contains(topic);
    first.extend(after.iter().filter(is_news).map(|(topic, payload)| (topic.clone(), payload.clone())));
    first.extend(last);
    first
}

/// The entities that a message has made. What cannot be read has made none.
fn known(topic: &str, payload: &[u8]) -> Vec<Known> {
    let Ok(Value::Object(message)) = serde_json::from_slice(payload) else { return Vec::new() };
    let text = |of: &Map<String, Value>, key: &str| of.get(key).and_then(Value::as_str).map(str::to_owned);
    match message.get("cmps").and_then(Value::as_object) {
        Some(components) => {
            let known = |(component, fields): (&String, &Value)| {
                let fields = fields.as_object()?;
                let (kind, id) = (text(fields, "p")?, text(fields, "uniq_id")?);
                Some(Known { kind, id, component: Some(component.clone()) })
            };
            components.iter().filter_map(known).collect()
        }
        None => {
            // …/sensor/homeostat-greenhouse/air-temperature/config
            let kind = topic.rsplit('/').nth(3).unwrap_or_default().to_owned();
            let id = text(&message, "uniq_id");
            id.map(|id| Known { kind, id, component: None }).into_iter().collect()
        }
    }
}

/// A message of the device form in which these components have nothing but their kind.
fn without(payload: &[u8], gone: &[Known]) -> Vec<u8> {
    let Ok(mut message) = serde_json::from_slice::<Value>(payload) else { return payload.to_vec() };
    if let Some(components) = message.get_mut("cmps").and_then(Value::as_object_mut) {
        for entity in gone {
            if let Some(component) = &entity.component {
                components.insert(component.clone(), json!({ "p": entity.kind }));
            }
        }
    }
    crate::payload::json(&message)
}
