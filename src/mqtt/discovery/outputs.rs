//! An output is a `switch`, a `number`, a `light` or a `fan`; one that takes no commands a `binary_sensor` or a `sensor`.
//!
//! Its state is the level that it was asked for, within its limits. A relay that makes on-time of a level goes on and off
//! within its cycle, and Home Assistant would show a switch that moves by itself.

use super::entity::{
    BinarySensor, Brightness, Commands, Entity, Fan, Kind, Light, Number, OnOff, Sensor, Speed, Switch,
};
use super::names::{Names, title};
use super::things::{Output, Takes};
use crate::model::Shown;

const ON: &str = "on";
const OFF: &str = "off";
const IS_ON: &str = "{{ 'on' if value_json.level > 0 else 'off' }}";
const PERCENT: &str = "{{ (value_json.level * 100) | round(1) }}";
/// Lights and fans know whole steps only.
const WHOLE_PERCENT: &str = "{{ (value_json.level * 100) | round | int }}";

pub(super) fn entity(output: &Output, names: &Names) -> Entity {
    let parts = [output.id.as_str()];
    let topic = names.topics.thing(&parts);
    let kind = if output.remote { commanded(output, &topic, names) } else { watched(output.takes, &topic) };
    let attributes = "{{ {'by': value_json.by, 'why': value_json.why, 'confirmed': value_json.confirmed} | tojson }}";
    Entity::new(names, &parts, title(&parts), kind).with(topic, attributes.into())
}

fn commanded(output: &Output, topic: &str, names: &Names) -> Kind {
    let set = names.topics.set(output.id.as_str());
    let (commands, stat_t) = (Commands::to(set.clone()), topic.to_owned());
    let takes_levels = output.takes == Takes::Levels;
    let on_off = |commands, stat_t| OnOff { commands, stat_t, stat_val_tpl: IS_ON, pl_on: ON, pl_off: OFF };
    match output.shown() {
        Shown::Switch => Kind::Switch(Switch {
            commands,
            stat_t,
            val_tpl: IS_ON,
            pl_on: ON,
            pl_off: OFF,
            stat_on: None,
            stat_off: None,
        }),
        Shown::Number => Kind::Number(Number {
            commands,
            cmd_tpl: None,
            stat_t,
            val_tpl: PERCENT,
            min: 0.0,
            max: 100.0,
            step: 1.0,
            mode: "slider",
            dev_cla: None,
            unit_of_meas: Some("%"),
        }),
        Shown::Light => {
            let brightness = takes_levels.then(|| Brightness {
                bri_cmd_t: set,
                bri_stat_t: topic.to_owned(),
                bri_val_tpl: WHOLE_PERCENT,
                bri_scl: 100,
                on_cmd_type: "brightness",
            });
            Kind::Light(Light { on_off: on_off(commands, stat_t), brightness })
        }
        Shown::Fan => {
            let speed = takes_levels.then(|| Speed {
                pct_cmd_t: set,
                pct_stat_t: topic.to_owned(),
                pct_val_tpl: WHOLE_PERCENT,
            });
            Kind::Fan(Fan { on_off: on_off(commands, stat_t), speed })
        }
    }
}

fn watched(takes: Takes, topic: &str) -> Kind {
    let stat_t = topic.to_owned();
    match takes {
        Takes::OnOff => {
            let val_tpl = "{{ 'ON' if value_json.level > 0 else 'OFF' }}".into();
            Kind::BinarySensor(BinarySensor { stat_t, val_tpl, dev_cla: None })
        }
        Takes::Levels => Kind::Sensor(Sensor {
            stat_t,
            val_tpl: PERCENT.into(),
            unit_of_meas: Some("%"),
            stat_cla: Some("measurement"),
            ..Sensor::default()
        }),
    }
}
