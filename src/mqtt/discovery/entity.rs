//! The fields of each kind of entity, by the short names that Home Assistant's documentation gives for discovery.
//!
//! <https://www.home-assistant.io/integrations/mqtt/#supported-abbreviations-in-mqtt-discovery-messages>. A field that stands
//! here is one that the kind has: `tests/discovery.rs` holds every payload against the documented ones.

use std::collections::BTreeMap;

use serde::Serialize;

use super::names::{Names, key};
use crate::payload::json;

/// One entity.
#[derive(Debug, Serialize)]
pub(super) struct Entity {
    /// What its ids are made of.
    #[serde(skip)]
    key: String,
    name: String,
    uniq_id: String,
    def_ent_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ent_cat: Option<&'static str>,
    avty: Vec<Available>,
    /// Every topic must say `online`, not only the last that said anything.
    avty_mode: &'static str,
    #[serde(flatten)]
    attributes: Option<Attributes>,
    #[serde(flatten)]
    kind: Kind,
}

/// A topic that says `online` or `offline`.
#[derive(Debug, Serialize)]
struct Available {
    t: String,
}

/// What is shown beside the state.
#[derive(Debug, Serialize)]
pub(super) struct Attributes {
    pub json_attr_t: String,
    pub json_attr_tpl: String,
}

/// What an entity is, and the fields that only this kind has.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Kind {
    Sensor(Sensor),
    BinarySensor(BinarySensor),
    Switch(Switch),
    Number(Number),
    Light(Light),
    Fan(Fan),
    Climate(Box<Climate>),
}

/// <https://www.home-assistant.io/integrations/sensor.mqtt/>
#[derive(Debug, Default, Serialize)]
pub(super) struct Sensor {
    pub stat_t: String,
    pub val_tpl: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev_cla: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_of_meas: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stat_cla: Option<&'static str>,
    /// s
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp_aft: Option<u64>,
    /// The states of the class `enum`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ops: Option<&'static [&'static str]>,
}

/// <https://www.home-assistant.io/integrations/binary_sensor.mqtt/>: its template gives `ON` or `OFF`.
#[derive(Debug, Serialize)]
pub(super) struct BinarySensor {
    pub stat_t: String,
    pub val_tpl: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev_cla: Option<&'static str>,
}

/// How commands are sent. A retained one would be obeyed again at every connection.
#[derive(Debug, Serialize)]
pub(super) struct Commands {
    pub cmd_t: String,
    pub qos: u8,
    pub ret: bool,
}

impl Commands {
    pub fn to(cmd_t: String) -> Self {
        Self { cmd_t, qos: 1, ret: false }
    }
}

/// <https://www.home-assistant.io/integrations/switch.mqtt/>
#[derive(Debug, Serialize)]
pub(super) struct Switch {
    #[serde(flatten)]
    pub commands: Commands,
    pub stat_t: String,
    pub val_tpl: &'static str,
    pub pl_on: &'static str,
    pub pl_off: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stat_on: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stat_off: Option<&'static str>,
}

/// <https://www.home-assistant.io/integrations/number.mqtt/>
#[derive(Debug, Serialize)]
pub(super) struct Number {
    #[serde(flatten)]
    pub commands: Commands,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd_tpl: Option<&'static str>,
    pub stat_t: String,
    pub val_tpl: &'static str,
    pub min: f64,
    pub max: f64,
    pub step: f64,
    pub mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev_cla: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_of_meas: Option<&'static str>,
}

/// What a light and a fan have alike: they are on or off.
#[derive(Debug, Serialize)]
pub(super) struct OnOff {
    #[serde(flatten)]
    pub commands: Commands,
    pub stat_t: String,
    pub stat_val_tpl: &'static str,
    pub pl_on: &'static str,
    pub pl_off: &'static str,
}

/// <https://www.home-assistant.io/integrations/light.mqtt/#default-schema>
#[derive(Debug, Serialize)]
pub(super) struct Light {
    #[serde(flatten)]
    pub on_off: OnOff,
    #[serde(flatten)]
    pub brightness: Option<Brightness>,
}

/// What a light has that can be dimmed.
#[derive(Debug, Serialize)]
pub(super) struct Brightness {
    pub bri_cmd_t: String,
    pub bri_stat_t: String,
    pub bri_val_tpl: &'static str,
    pub bri_scl: u8,
    /// `brightness`: it is turned on by its brightness alone, and not first to its full one.
    pub on_cmd_type: &'static str,
}

/// <https://www.home-assistant.io/integrations/fan.mqtt/>
#[derive(Debug, Serialize)]
pub(super) struct Fan {
    #[serde(flatten)]
    pub on_off: OnOff,
    #[serde(flatten)]
    pub speed: Option<Speed>,
}

/// What a fan has that can run slower.
#[derive(Debug, Serialize)]
pub(super) struct Speed {
    pub pct_cmd_t: String,
    pub pct_stat_t: String,
    pub pct_val_tpl: &'static str,
}

/// <https://www.home-assistant.io/integrations/climate.mqtt/>
#[derive(Debug, Serialize)]
pub(super) struct Climate {
    pub modes: [&'static str; 2],
    pub mode_stat_t: String,
    pub mode_stat_tpl: String,
    pub mode_cmd_t: String,
    pub mode_cmd_tpl: &'static str,
    pub temp_stat_t: String,
    pub temp_stat_tpl: &'static str,
    pub temp_cmd_t: String,
    pub temp_cmd_tpl: &'static str,
    pub curr_temp_t: String,
    pub curr_temp_tpl: &'static str,
    pub act_t: String,
    pub act_tpl: &'static str,
    pub min_temp: f64,
    pub max_temp: f64,
    pub temp_step: f64,
    pub temp_unit: &'static str,
    pub qos: u8,
    pub ret: bool,
}

impl Entity {
    /// An entity that is there while the daemon runs. `parts` say which of the node's.
    pub fn new(names: &Names, parts: &[&str], name: String, kind: Kind) -> Self {
        let key = key(parts);
        Self {
            name,
            uniq_id: names.unique(&key),
            def_ent_id: names.entity_id(kind.platform(), parts),
            ent_cat: None,
            avty: vec![Available { t: names.topics.status().to_owned() }],
            avty_mode: "all",
            attributes: None,
            kind,
            key,
        }
    }

    /// One that is there only while `topic` says `online`, too.
    pub fn while_online(mut self, topic: String) -> Self {
        self.avty.push(Available { t: topic });
        self
    }

    /// One that stands aside, under "diagnostic".
    pub fn aside(mut self) -> Self {
        self.ent_cat = Some("diagnostic");
        self
    }

    pub fn with(mut self, json_attr_t: String, json_attr_tpl: String) -> Self {
        self.attributes = Some(Attributes { json_attr_t, json_attr_tpl });
        self
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn platform(&self) -> &'static str {
        self.kind.platform()
    }
}

impl Kind {
    fn platform(&self) -> &'static str {
        match self {
            Self::Sensor(_) => "sensor",
            Self::BinarySensor(_) => "binary_sensor",
            Self::Switch(_) => "switch",
            Self::Number(_) => "number",
            Self::Light(_) => "light",
            Self::Fan(_) => "fan",
            Self::Climate(_) => "climate",
        }
    }
}

/// The node as one device.
#[derive(Debug, Serialize)]
pub(super) struct Device {
    ids: [String; 1],
    name: String,
    mf: &'static str,
    sw: String,
}

impl Device {
    pub fn new(names: &Names, version: &str) -> Self {
        Self { ids: [names.id().to_owned()], name: names.node().to_owned(), mf: "homeostat", sw: version.to_owned() }
    }
}

/// Who tells.
#[derive(Debug, Serialize)]
pub(super) struct Origin {
    name: &'static str,
    sw: String,
}

impl Origin {
    pub fn new(version: &str) -> Self {
        Self { name: "homeostat", sw: version.to_owned() }
    }
}

/// The payload of the device form. A component's key says its kind too: one of another kind is another component.
pub(super) fn together(entities: &[Entity], dev: &Device, o: &Origin) -> Vec<u8> {
    #[derive(Serialize)]
    struct Together<'a> {
        dev: &'a Device,
        o: &'a Origin,
        cmps: BTreeMap<String, Component<'a>>,
    }
    #[derive(Serialize)]
    struct Component<'a> {
        p: &'static str,
        #[serde(flatten)]
        entity: &'a Entity,
    }
    let component = |entity| Component { p: Entity::platform(entity), entity };
    let cmps = entities.iter().map(|entity| (format!("{}-{}", entity.platform(), entity.key), component(entity)));
    json(&Together { dev, o, cmps: cmps.collect() })
}

/// The payload of one entity in the older form.
pub(super) fn alone(entity: &Entity, dev: &Device, o: &Origin) -> Vec<u8> {
    #[derive(Serialize)]
    struct Alone<'a> {
        #[serde(flatten)]
        entity: &'a Entity,
        dev: &'a Device,
        o: &'a Origin,
    }
    json(&Alone { entity, dev, o })
}
