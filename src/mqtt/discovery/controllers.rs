//! A controller of a temperature is a `climate`; any other a `number`, its setpoint, and a `switch`, whether it follows that.
//! Beside it stand `sensor`s: its mode and its output.
//!
//! It is off when it holds no output: by hand, or because its plant did not behave and a person must acknowledge that first.
//! A controller that waits for a reading is on: it goes on by itself.

use super::entity::{Climate, Commands, Entity, Kind, Number, Sensor, Switch};
use super::names::{Names, title};
use super::things::{Controller, Moves};
use crate::model::Quantity;

/// The modes that a controller tells of.
const MODES: &[&str] = &["automatic", "manual", "waiting", "tripped", "off"];

/// A template that gives `off` while the controller is off, and else this.
macro_rules! unless_off {
    ($else:expr) => {
        concat!(
            "{{ 'off' if value_json.mode in ['off', 'tripped'] ",
            "or (value_json.mode == 'manual' and value_json.output == 0) else ",
            $else,
            " }}"
        )
    };
}

pub(super) fn entities(controller: &Controller, names: &Names) -> Vec<Entity> {
    let id = controller.id.as_str();
    let topic = names.topics.thing(&[id]);
    let part = |part: &'static str, kind: Kind| Entity::new(names, &[id, part], title(&[id, part]), kind);
    let mode = part(
        "mode",
        Kind::Sensor(Sensor {
            stat_t: topic.clone(),
            val_tpl: "{{ value_json.mode }}".into(),
            dev_cla: Some("enum"),
            ops: Some(MODES),
            ..Sensor::default()
        }),
    );
    let output = part(
        "output",
        Kind::Sensor(Sensor {
            stat_t: topic.clone(),
            val_tpl: "{{ (value_json.output * 100) | round(1) }}".into(),
            unit_of_meas: Some("%"),
            stat_cla: Some("measurement"),
            ..Sensor::default()
        }),
    );
    let mut entities = vec![mode.aside(), output.aside()];
    if !controller.remote {
        entities.push(part("setpoint", aim(controller, topic)));
    } else if controller.quantity == Quantity::Temperature {
        entities.push(Entity::new(names, &[id], title(&[id]), climate(controller, topic, names)));
    } else {
        entities.push(part("setpoint", setpoint(controller, topic.clone(), names)));
        entities.push(Entity::new(names, &[id], title(&[id]), automatic(controller, topic, names)));
    }
    entities
}

fn climate(controller: &Controller, topic: String, names: &Names) -> Kind {
    let set = names.topics.set(controller.id.as_str());
    let (mode, mode_stat_tpl) = match controller.moves {
        Moves::Raises => ("heat", unless_off!("'heat'")),
        Moves::Lowers => ("cool", unless_off!("'cool'")),
        Moves::Both => ("heat_cool", unless_off!("'heat_cool'")),
    };
    Kind::Climate(Box::new(Climate {
        modes: ["off", mode],
        mode_stat_t: topic.clone(),
        mode_stat_tpl: mode_stat_tpl.into(),
        mode_cmd_t: set.clone(),
        mode_cmd_tpl: "{\"mode\":\"{{ 'off' if value == 'off' else 'automatic' }}\"}",
        temp_stat_t: topic.clone(),
        temp_stat_tpl: "{{ value_json.setpoint }}",
        temp_cmd_t: set,
        temp_cmd_tpl: "{\"setpoint\":{{ value }}}",
        // Not the controller's own: it is told also while the controller does not act on it.
        curr_temp_t: names.topics.thing(&[controller.input.sensor(), controller.input.channel()]),
        curr_temp_tpl: "{{ value_json.value }}",
        act_t: topic,
        act_tpl: unless_off!("'heating' if value_json.output > 0 else 'cooling' if value_json.output < 0 else 'idle'"),
        min_temp: *controller.setpoints.start(),
        max_temp: *controller.setpoints.end(),
        temp_step: 0.5,
        temp_unit: "C",
        qos: 1,
        ret: false,
    }))
}

fn setpoint(controller: &Controller, stat_t: String, names: &Names) -> Kind {
    Kind::Number(Number {
        commands: Commands::to(names.topics.set(controller.id.as_str())),
        cmd_tpl: Some("{\"setpoint\":{{ value }}}"),
        stat_t,
        val_tpl: "{{ value_json.setpoint }}",
        min: *controller.setpoints.start(),
        max: *controller.setpoints.end(),
        step: 0.1,
        mode: "box",
        dev_cla: controller.quantity.device_class(),
        unit_of_meas: Some(controller.quantity.unit()).filter(|unit| !unit.is_empty()),
    })
}

/// Its setpoint, for those who may not change it.
fn aim(controller: &Controller, stat_t: String) -> Kind {
    Kind::Sensor(Sensor {
        stat_t,
        val_tpl: "{{ value_json.setpoint }}".into(),
        dev_cla: controller.quantity.device_class(),
        unit_of_meas: Some(controller.quantity.unit()).filter(|unit| !unit.is_empty()),
        ..Sensor::default()
    })
}

fn automatic(controller: &Controller, stat_t: String, names: &Names) -> Kind {
    Kind::Switch(Switch {
        commands: Commands::to(names.topics.set(controller.id.as_str())),
        stat_t,
        val_tpl: unless_off!("'on'"),
        pl_on: "{\"mode\":\"automatic\"}",
        pl_off: "{\"mode\":\"off\"}",
        stat_on: Some("on"),
        stat_off: Some("off"),
    })
}
