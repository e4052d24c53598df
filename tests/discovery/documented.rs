//! The fields that Home Assistant documents for discovery, and a payload held against them.
//!
//! Typed from its pages on MQTT, on each of the kinds (`sensor.mqtt` and so on) and on the device classes of sensors, binary
//! sensors and numbers, as of 2025.10. Fields that we have no use for are not all here: to use one, add it.

use serde_json::{Map, Value};

/// A short name, what it is short for, and what its value is.
type Field = (&'static str, &'static str, Is);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Is {
    Text,
    /// Of a-z, A-Z, 0-9, _ and -.
    Id,
    /// `sensor.greenhouse_air`
    EntityId,
    Template,
    /// One to listen to.
    Topic,
    /// One to publish on.
    Command,
    /// A whole number above 0.
    Seconds,
    Number,
    Bool,
    Qos,
    Availability,
    OneOf(&'static [&'static str]),
    /// A list of some of these.
    SomeOf(&'static [&'static str]),
    /// A list of texts.
    Texts,
}
use Is::*;

/// What all kinds have.
const COMMON: &[Field] = &[
    ("name", "name", Text),
    ("uniq_id", "unique_id", Id),
    ("def_ent_id", "default_entity_id", EntityId),
    ("ent_cat", "entity_category", OneOf(&["config", "diagnostic"])),
    ("avty", "availability", Availability),
    ("avty_mode", "availability_mode", OneOf(&["all", "any", "latest"])),
    ("json_attr_t", "json_attributes_topic", Topic),
    ("json_attr_tpl", "json_attributes_template", Template),
    ("en", "enabled_by_default", Bool),
    ("ic", "icon", Text),
    ("qos", "qos", Qos),
];

const COMMANDS: &[Field] = &[
    ("cmd_t", "command_topic", Command),
    ("ret", "retain", Bool),
    ("opt", "optimistic", Bool),
    ("pl_on", "payload_on", Text),
    ("pl_off", "payload_off", Text),
];

struct Kind {
    name: &'static str,
    required: &'static [&'static str],
    fields: &'static [&'static [Field]],
}

const KINDS: &[Kind] = &[
    Kind {
        name: "sensor",
        required: &["stat_t"],
        fields: &[&[
            ("stat_t", "state_topic", Topic),
            ("val_tpl", "value_template", Template),
            ("dev_cla", "device_class", Text),
            ("unit_of_meas", "unit_of_measurement", Text),
            ("stat_cla", "state_class", OneOf(&["measurement", "total", "total_increasing"])),
            ("exp_aft", "expire_after", Seconds),
            ("frc_upd", "force_update", Bool),
            ("ops", "options", Texts),
            ("sug_dsp_prc", "suggested_display_precision", Number),
        ]],
    },
    Kind {
        name: "binary_sensor",
        required: &["stat_t"],
        fields: &[&[
            ("stat_t", "state_topic", Topic),
            ("val_tpl", "value_template", Template),
            ("dev_cla", "device_class", Text),
            ("pl_on", "payload_on", Text),
            ("pl_off", "payload_off", Text),
            ("exp_aft", "expire_after", Seconds),
            ("off_dly", "off_delay", Seconds),
        ]],
    },
    Kind {
        name: "switch",
        required: &["cmd_t"],
        fields: &[
            COMMANDS,
            &[
                ("stat_t", "state_topic", Topic),
                ("val_tpl", "value_template", Template),
                ("cmd_tpl", "command_template", Template),
                ("stat_on", "state_on", Text),
                ("stat_off", "state_off", Text),
                ("dev_cla", "device_class", OneOf(&["outlet", "switch"])),
            ],
        ],
    },
    Kind {
        name: "number",
        required: &["cmd_t"],
        fields: &[&[
            ("cmd_t", "command_topic", Command),
            ("cmd_tpl", "command_template", Template),
            ("stat_t", "state_topic", Topic),
            ("val_tpl", "value_template", Template),
            ("min", "min", Number),
            ("max", "max", Number),
            ("step", "step", Number),
            ("mode", "mode", OneOf(&["auto", "box", "slider"])),
            ("dev_cla", "device_class", Text),
            ("unit_of_meas", "unit_of_measurement", Text),
            ("ret", "retain", Bool),
            ("opt", "optimistic", Bool),
            ("pl_rst", "payload_reset", Text),
        ]],
    },
    Kind {
        name: "light",
        required: &["cmd_t"],
        fields: &[
            COMMANDS,
            &[
                ("stat_t", "state_topic", Topic),
                ("stat_val_tpl", "state_value_template", Template),
                ("bri_cmd_t", "brightness_command_topic", Command),
                ("bri_cmd_tpl", "brightness_command_template", Template),
                ("bri_stat_t", "brightness_state_topic", Topic),
                ("bri_val_tpl", "brightness_value_template", Template),
                ("bri_scl", "brightness_scale", Number),
                ("on_cmd_type", "on_command_type", OneOf(&["first", "last", "brightness"])),
            ],
        ],
    },
    Kind {
        name: "fan",
        required: &["cmd_t"],
        fields: &[
            COMMANDS,
            &[
                ("cmd_tpl", "command_template", Template),
                ("stat_t", "state_topic", Topic),
                ("stat_val_tpl", "state_value_template", Template),
                ("pct_cmd_t", "percentage_command_topic", Command),
                ("pct_cmd_tpl", "percentage_command_template", Template),
                ("pct_stat_t", "percentage_state_topic", Topic),
                ("pct_val_tpl", "percentage_value_template", Template),
                ("spd_rng_min", "speed_range_min", Number),
                ("spd_rng_max", "speed_range_max", Number),
            ],
        ],
    },
    Kind {
        name: "climate",
        required: &[],
        fields: &[&[
            // The page on MQTT names `auto` and not `heat_cool`; the page on climate names both, and others announce it.
            ("modes", "modes", SomeOf(&["auto", "off", "cool", "heat", "heat_cool", "dry", "fan_only"])),
            ("mode_stat_t", "mode_state_topic", Topic),
            ("mode_stat_tpl", "mode_state_template", Template),
            ("mode_cmd_t", "mode_command_topic", Command),
            ("mode_cmd_tpl", "mode_command_template", Template),
            ("temp_stat_t", "temperature_state_topic", Topic),
            ("temp_stat_tpl", "temperature_state_template", Template),
            ("temp_cmd_t", "temperature_command_topic", Command),
            ("temp_cmd_tpl", "temperature_command_template", Template),
            ("curr_temp_t", "current_temperature_topic", Topic),
            ("curr_temp_tpl", "current_temperature_template", Template),
            ("act_t", "action_topic", Topic),
            ("act_tpl", "action_template", Template),
            ("min_temp", "min_temp", Number),
            ("max_temp", "max_temp", Number),
            ("temp_step", "temp_step", Number),
            ("temp_unit", "temperature_unit", OneOf(&["C", "F"])),
            ("precision", "precision", Number),
            ("ret", "retain", Bool),
            ("opt", "optimistic", Bool),
        ]],
    },
];

/// Classes of sensors and numbers, with the units of ours that each may have; `""` is none.
const CLASSES: &[(&str, &[&str])] = &[
    ("aqi", &[""]),
    ("atmospheric_pressure", &["bar", "cbar", "hPa", "inHg", "kPa", "mbar", "mmHg", "Pa", "psi"]),
    ("carbon_dioxide", &["ppm"]),
    ("conductivity", &["S/cm", "mS/cm", "µS/cm"]),
    ("current", &["A", "mA"]),
    ("data_size", &["B", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB"]),
    ("distance", &["km", "m", "cm", "mm", "mi", "nmi", "yd", "in"]),
    ("enum", &[""]),
    ("frequency", &["Hz", "kHz", "MHz", "GHz"]),
    ("humidity", &["%"]),
    ("illuminance", &["lx"]),
    ("moisture", &["%"]),
    ("ph", &[""]),
    ("pm1", &["µg/m³"]),
    ("pm10", &["µg/m³"]),
    ("pm25", &["µg/m³"]),
    ("power", &["mW", "W", "kW", "MW", "GW", "TW"]),
    ("precipitation", &["cm", "in", "mm"]),
    ("precipitation_intensity", &["in/d", "in/h", "mm/d", "mm/h"]),
    ("pressure", &["Pa", "kPa", "hPa", "bar", "cbar", "mbar", "mmHg", "inHg", "psi"]),
    ("temperature", &["°C", "°F", "K"]),
    ("volatile_organic_compounds_parts", &["ppm", "ppb"]),
    ("voltage", &["V", "mV", "µV", "kV", "MV"]),
    ("volume_flow_rate", &["m³/h", "ft³/min", "L/min", "gal/min", "mL/s"]),
    ("weight", &["kg", "g", "mg", "µg", "oz", "lb", "st"]),
];

/// Those of binary sensors that we could use.
const BINARY_CLASSES: &[&str] = &["connectivity", "power", "problem", "running", "safety"];

/// Holds the topic of a message and what is not an entity's own against the documentation.
#[track_caller]
pub fn check_message(topic: &str, message: &Map<String, Value>) {
    let levels: Vec<&str> = topic.split('/').collect();
    let is_id = |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    match levels[..] {
        ["homeassistant", "device", id, "config"] | ["homeassistant", "device", id, _, "config"] => {
            assert!(is_id(id) && is_id(levels[levels.len() - 2]), "{topic}");
            assert_eq!(message.keys().collect::<Vec<_>>(), ["cmps", "dev", "o"], "{topic}");
            for (key, fields) in message["cmps"].as_object().unwrap() {
                let kind = fields["p"].as_str().unwrap();
                assert!(KINDS.iter().any(|known| known.name == kind), "{key} is a {kind}");
                assert!(fields.get("uniq_id").is_some(), "{key} needs an id in this form");
            }
        }
        ["homeassistant", kind, node, object, "config"] => {
            assert!(KINDS.iter().any(|known| known.name == kind), "{topic}");
            assert!(is_id(node) && is_id(object), "{topic}");
        }
        _ => panic!("{topic} is not a topic of the discovery"),
    }
    let fields = |of: &str, known: &[&str]| {
        let fields = message[of].as_object().unwrap();
        assert!(fields.keys().all(|key| known.contains(&key.as_str())), "{of} of {topic}: {fields:?}");
        fields.clone()
    };
    let device = fields("dev", &["ids", "cns", "name", "mf", "mdl", "mdl_id", "hw", "sw", "sn", "sa", "cu"]);
    assert!(device["ids"].as_array().is_some_and(|ids| !ids.is_empty()), "a device needs an id");
    assert!(fields("o", &["name", "sw", "url"])["name"].is_string(), "an origin needs a name");
}

/// Holds an entity's own fields against the documentation.
#[track_caller]
pub fn check_entity(kind: &str, fields: &Map<String, Value>) {
    let known = KINDS.iter().find(|known| known.name == kind).unwrap_or_else(|| panic!("there is no {kind}"));
    for required in known.required.iter().chain(&["name", "uniq_id"]) {
        assert!(fields.contains_key(*required), "a {kind} needs {required}: {fields:?}");
    }
    for (key, value) in fields {
        let documented = known.fields.iter().chain(&[COMMON]).flat_map(|fields| fields.iter());
        let field = documented.clone().find(|(short, _, _)| short == key);
        let (_, _, is) = field.unwrap_or_else(|| panic!("a {kind} has no {key}"));
        assert!(fits(value, *is), "{key} of a {kind} is not {is:?}: {value}");
    }
    assert!(!fields.contains_key("json_attr_tpl") || fields.contains_key("json_attr_t"), "a template of nothing");
    let text = |key: &str| fields.get(key).and_then(Value::as_str);
    match kind {
        "sensor" | "number" => {
            if let Some(class) = text("dev_cla") {
                let (_, units) = CLASSES
                    .iter()
                    .find(|(known, _)| *known == class)
                    .unwrap_or_else(|| panic!("there is no class {class}"));
                assert!(
                    units.contains(&text("unit_of_meas").unwrap_or_default()),
                    "a unit that {class} has not: {fields:?}"
                );
                assert_eq!(class == "enum", fields.contains_key("ops"), "an enum has options: {fields:?}");
                assert!(class != "enum" || !fields.contains_key("stat_cla"), "words are not measured");
            }
            assert!(kind == "number" || text("ent_cat") != Some("config"), "a sensor is diagnostic, if anything");
        }
        "binary_sensor" => {
            assert!(text("dev_cla").is_none_or(|class| BINARY_CLASSES.contains(&class)), "{fields:?}");
            assert!(text("ent_cat") != Some("config"), "a sensor is diagnostic, if anything");
        }
        _ => {}
    }
    for (low, high) in [("min", "max"), ("min_temp", "max_temp")] {
        if let (Some(low), Some(high)) = (fields.get(low), fields.get(high)) {
            assert!(low.as_f64() < high.as_f64(), "{fields:?}");
        }
    }
    assert!(fields.get("ret") != Some(&Value::Bool(true)), "a retained command is obeyed again at every connection");
}

fn fits(value: &Value, is: Is) -> bool {
    let text = |fits: &dyn Fn(&str) -> bool| value.as_str().is_some_and(fits);
    let word = |text: &str| !text.is_empty() && text.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'));
    match is {
        Text => text(&|text| !text.is_empty()),
        Id => text(&|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))),
        EntityId => text(&|id| {
            let parts = id.split_once('.');
            let tidy =
                |part: &str| word(part) && !part.starts_with('_') && !part.ends_with('_') && !part.contains("__");
            parts.is_some_and(|(domain, object)| word(domain) && tidy(object))
        }),
        Template => text(&|text| {
            let count = |part| text.matches(part).count();
            let quotes = text.matches('\'').count();
            count("{{") > 0 && count("{{") == count(" }}") && count("{%") == 0 && quotes % 2 == 0
        }),
        Topic | Command => {
            text(&|topic| !topic.is_empty() && !topic.contains(['+', '#', '\0']) && topic.starts_with("homeostat/"))
        }
        Seconds => value.as_u64().is_some_and(|seconds| seconds > 0),
        Number => value.is_number(),
        Bool => value.is_boolean(),
        Qos => value.as_u64().is_some_and(|qos| qos <= 2),
        Availability => value.as_array().is_some_and(|topics| {
            let fits = |one: &Value| {
                one.as_object().is_some_and(|one| {
                    let known = ["t", "pl_avail", "pl_not_avail", "val_tpl"];
                    one.keys().all(|key| known.contains(&key.as_str())) && one.get("t").is_some_and(|t| fits(t, Topic))
                })
            };
            !topics.is_empty() && topics.iter().all(fits)
        }),
        OneOf(words) => text(&|text| words.contains(&text)),
        SomeOf(words) => value.as_array().is_some_and(|list| {
            !list.is_empty() && list.iter().all(|one| one.as_str().is_some_and(|one| words.contains(&one)))
        }),
        Texts => value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string)),
    }
}

#[test]
fn short_names_are_the_documented_ones() {
    // Both columns are unique, so that no short name stands for two fields of a kind and no field has two.
    for kind in KINDS {
        let fields: Vec<&Field> = kind.fields.iter().chain(&[COMMON]).flat_map(|fields| fields.iter()).collect();
        for (n, (short, long, _)) in fields.iter().enumerate() {
            let twice = fields[..n].iter().any(|(other, another, _)| other == short || another == long);
            assert!(!twice, "{short} or {long} stands twice for a {}", kind.name);
            // A short name is made of the beginnings of the words that it is short for.
            let words: Vec<&str> = long.split('_').collect();
            assert!(short.len() <= long.len() && words[0].starts_with(&short[..1]), "{short} for {long}");
        }
    }
}
