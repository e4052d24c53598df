//! Alarms are `binary_sensor`s: one for each name that there may be, and one for any at all.
//!
//! All of them look at one topic, which always has a payload. A topic for each alarm that is empty while it does not stand
//! would not do: Home Assistant hears nothing from an empty topic when it starts, and shows the state as unknown.

use std::collections::BTreeMap;

use serde::Serialize;

use super::entity::{BinarySensor, Entity, Kind};
use super::names::Names;
use crate::message;
use crate::payload::{Alarm, json};

pub(super) fn entities(alarms: &[String], names: &Names) -> Vec<Entity> {
    let topic = names.topics.standing().to_owned();
    let problem =
        |val_tpl: String| Kind::BinarySensor(BinarySensor { stat_t: topic.clone(), val_tpl, dev_cla: Some("problem") });
    let any = problem("{{ 'ON' if value_json.standing > 0 else 'OFF' }}".into());
    let all = "{{ {'standing': value_json.standing, 'alarms': value_json.alarms | list} | tojson }}";
    let any = Entity::new(names, &["alarm"], "Alarm".into(), any).with(topic.clone(), all.into());
    let one = |alarm: &String| {
        let alarm = quotable(alarm);
        let kind = problem(format!("{{{{ 'ON' if '{alarm}' in value_json.alarms else 'OFF' }}}}"));
        let attributes = format!("{{{{ value_json.alarms['{alarm}'] | default({{}}) | tojson }}}}");
        let parts: Vec<&str> = std::iter::once("alarm").chain(alarm.split('.')).collect();
        // Its name is what `homeostat ack` takes.
        Entity::new(names, &parts, format!("Alarm {alarm}"), kind).with(topic.clone(), attributes).aside()
    };
    std::iter::once(any).chain(alarms.iter().map(one)).collect()
}

/// Alarms are called after things, so no name has anything else; here it must not, for it stands within quotation marks.
fn quotable(alarm: &str) -> String {
    alarm.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')).collect()
}

/// All alarms that stand.
///
/// `{"standing":1,"alarms":{"sensors.air":{"text":"…","since":"…","latched":false,"acknowledged":false}}}`
#[derive(Debug, Clone, Default, Serialize)]
pub struct Standing {
    standing: usize,
    alarms: BTreeMap<String, Alarm<'static>>,
}

impl Standing {
    /// Takes note of an alarm that stands, says something else, or has gone.
    pub fn take(&mut self, alarm: &message::Alarm) {
        match alarm.text.as_deref() {
            Some(text) => {
                let &message::Alarm { since, latched, acknowledged, .. } = alarm;
                let standing = Alarm { text: text.to_owned().into(), since, latched, acknowledged };
                self.alarms.insert(alarm.name.to_string(), standing);
            }
            None => {
                self.alarms.remove(&*alarm.name);
            }
        }
        self.standing = self.alarms.len();
    }

    /// What is published.
    pub fn payload(&self) -> Vec<u8> {
        json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn what_stands_is_told_of_with_its_names() {
        let mut standing = Standing::default();
        let mut told = |name: &str, text: Option<&str>| {
            let (name, text) = (name.into(), text.map(Into::into));
            let since = Timestamp::from_millis(1_795_250_000_250);
            standing.take(&message::Alarm { name, text, since, latched: true, acknowledged: false });
            String::from_utf8(standing.payload()).unwrap()
        };
        let air = r#""sensors.air":{"text":"unplugged","since":"2026-11-21T08:33:20.250Z","latched":true,"acknowledged":false}"#;
        assert_eq!(told("store", None), r#"{"standing":0,"alarms":{}}"#);
        assert_eq!(told("sensors.air", Some("unplugged")), format!(r#"{{"standing":1,"alarms":{{{air}}}}}"#));
        assert!(told("store", Some("full")).starts_with(&format!(r#"{{"standing":2,"alarms":{{{air},"store":"#)));
        told("store", None);
        assert_eq!(told("sensors.air", None), r#"{"standing":0,"alarms":{}}"#);
    }
}
