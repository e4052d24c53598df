//! Home Assistant discovery: messages that tell it which things there are, so that nobody has to describe them twice. Pure.
//!
//! ```text
//! Things ─▶ entities ─▶ messages(form) ─▶ changes(before, after) ─▶ the broker, retained
//! ```
//!
//! `announcer.rs` has what goes on at the broker: what an earlier process has left is taken from [`filters`] before anything is said,
//! then the [`changes`] go out one after the other, and after a reload those from the messages before it to those after it. When
//! `online` comes on one of [`births`], all is said again.
//!
//! Without `home_assistant` in the file the messages are none, and what was published before is removed.

mod alarms;
mod changes;
mod config;
mod controllers;
mod entity;
mod names;
mod outputs;
mod sensors;
mod things;

use std::collections::BTreeMap;

pub use alarms::Standing;
pub use changes::changes;
pub use config::{Form, HomeAssistant, Settings};
pub use things::{Controller, Moves, Output, Sensor, Takes, Things};

use entity::{Device, Entity, Origin};
use names::Names;

/// What is retained at the broker for Home Assistant: payloads by topic.
pub type Messages = BTreeMap<String, Vec<u8>>;

/// The payload on one of [`births`] when Home Assistant has started.
pub const BIRTH: &[u8] = b"online";

/// Home Assistant's own prefix. It tells that it is online under this one, whatever prefix it listens to.
const PREFIX: &str = "homeassistant";

/// So many entities go into one message of the device form. With the longest names there are, that is still less than the
/// 256 KiB that our client and the embedded broker take.
const MOST: usize = 100;

/// What Home Assistant is to know.
pub fn messages(things: &Things, settings: &Settings) -> Messages {
    let names = Names::new(&things.node);
    let entities = entities(things, &names);
    let (device, origin) = (Device::new(&names, &things.version), Origin::new(&things.version));
    match settings.form {
        Form::Device => {
            let (prefix, id) = (&settings.prefix, names.id());
            let topic = |number: usize| match number {
                0 => format!("{prefix}/device/{id}/config"),
                _ => format!("{prefix}/device/{id}/{}/config", number + 1),
            };
            let message = |(number, part)| (topic(number), entity::together(part, &device, &origin));
            entities.chunks(MOST).enumerate().map(message).collect()
        }
        Form::Components => {
            let topic = |entity: &Entity| {
                format!("{}/{}/{}/{}/config", settings.prefix, entity.platform(), names.id(), entity.key())
            };
            entities.iter().map(|entity| (topic(entity), entity::alone(entity, &device, &origin))).collect()
        }
    }
}

/// Where messages of this node may be retained, of either form. Nothing else is published there.
pub fn filters(node: &str, settings: &Settings) -> [String; 2] {
    let (prefix, names) = (&settings.prefix, Names::new(node));
    let id = names.id();
    [format!("{prefix}/device/{id}/config"), format!("{prefix}/+/{id}/+/config")]
}

/// Whether a topic is one of a message of this node. `filters` let nothing else through, but another subscription may.
pub fn is_ours(node: &str, settings: &Settings, topic: &str) -> bool {
    let Some(rest) = topic.strip_prefix(&settings.prefix).and_then(|rest| rest.strip_prefix('/')) else { return false };
    let names = Names::new(node);
    let id = names.id();
    match rest.split('/').collect::<Vec<_>>()[..] {
        ["device", is, "config"] => is == id,
        [_, is, _, "config"] => is == id,
        _ => false,
    }
}

/// Where Home Assistant says that it has started.
pub fn births(settings: &Settings) -> Vec<String> {
    let mut topics = vec![format!("{PREFIX}/status")];
    if settings.prefix != PREFIX {
        topics.push(format!("{}/status", settings.prefix));
    }
    topics
}

fn entities(things: &Things, names: &Names) -> Vec<Entity> {
    let sensors = things.sensors.iter().flat_map(|sensor| sensors::entities(sensor, names));
    let outputs = things.outputs.iter().map(|output| outputs::entity(output, names));
    let controllers = things.controllers.iter().flat_map(|controller| controllers::entities(controller, names));
    sensors.chain(outputs).chain(controllers).chain(alarms::entities(&things.alarms, names)).collect()
}
