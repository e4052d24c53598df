//! Where each event is published. The whole table of topics stands in the README.

use std::fmt::Write;

use crate::message::Event;

/// The topics of one node.
pub(super) struct Topics {
    /// `homeostat/<node>/`
    base: String,
    status: String,
    history: String,
    standing: String,
}

impl Topics {
    pub(super) fn new(node: &str) -> Self {
        let base = base(node);
        let status = format!("{base}status");
        let history = format!("{base}history");
        let standing = format!("{base}alarm");
        Self { base, status, history, standing }
    }

    /// `homeostat/<node>/history`
    pub(super) fn history(&self) -> &str {
        &self.history
    }

    /// `homeostat/<node>/alarm`
    pub(super) fn standing(&self) -> &str {
        &self.standing
    }

    /// `homeostat/<node>/status`
    pub(super) fn status(&self) -> &str {
        &self.status
    }

    /// `homeostat/<node>/result/<id>`
    pub(super) fn result(&self, id: &str) -> String {
        format!("{}result/{id}", self.base)
    }

    /// Where a thing, or a part of it, is told of: `homeostat/<node>/air/temperature`.
    pub(super) fn thing(&self, parts: &[&str]) -> String {
        format!("{}{}", self.base, parts.join("/"))
    }

    /// Where a thing is told what to do: `homeostat/<node>/heater/set`.
    pub(super) fn set(&self, thing: &str) -> String {
        format!("{}{thing}/set", self.base)
    }

    /// Where commands are published: `homeostat/<node>/+/set` and `homeostat/<node>/command/+`.
    pub(super) fn commands(&self) -> Vec<String> {
        ["+/set", "command/+"].map(|path| format!("{}{path}", self.base)).into()
    }

    /// What of a topic stands below the node's: `heater/set`.
    pub(super) fn path<'t>(&self, topic: &'t str) -> Option<&'t str> {
        topic.strip_prefix(&self.base)
    }

    /// Puts the event's topic in place of what `topic` held; one buffer serves for all of them.
    pub(super) fn of(&self, event: &Event, topic: &mut String) {
        topic.clear();
        topic.push_str(&self.base);
        // Writing to a string cannot fail.
        let _ = match event {
            Event::Reading(reading) => write!(topic, "{}/{}", reading.channel.sensor(), reading.channel.channel()),
            Event::Sensor(state) => write!(topic, "{}/status", state.sensor),
            Event::Output(state) => write!(topic, "{}", state.output),
            Event::Controller(state) => write!(topic, "{}", state.controller),
            Event::Alarm(alarm) => write!(topic, "alarm/{}", plain(&alarm.name)),
            Event::Gone(gone) => write!(topic, "{}", gone.id),
        };
    }
}

/// Below this are all topics of the node called `node`: `homeostat/greenhouse/`.
pub fn base(node: &str) -> String {
    format!("homeostat/{}/", plain(node))
}

/// One level of a topic: what MQTT would read as something else becomes `_`.
fn plain(name: &str) -> String {
    name.replace(|c: char| matches!(c, '/' | '+' | '#') || c.is_control(), "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Alarm, Gone, SensorState};
    use crate::model::{ChannelId, Monotonic, Quantity, Reading, Sample, SensorId, Timestamp};

    #[test]
    fn follow_the_names() {
        let topics = Topics::new("greenhouse");
        assert_eq!(topics.status(), "homeostat/greenhouse/status");
        assert_eq!(topics.standing(), "homeostat/greenhouse/alarm");
        assert_eq!(topics.set("heater"), "homeostat/greenhouse/heater/set");
        let path = topics.set("heater");
        assert_eq!(topics.path(&path), Some("heater/set"));
        let mut topic = String::new();
        let alarm = |name: &str| {
            let (name, since) = (name.into(), Timestamp::from_millis(0));
            Event::Alarm(Alarm { name, text: None, since, latched: false, acknowledged: false })
        };
        let cases = [
            (Event::Sensor(SensorState { sensor: SensorId::new("air").unwrap(), online: true }), "air/status"),
            (alarm("sensors.air"), "alarm/sensors.air"),
            (alarm("odd/#+\n"), "alarm/odd____"),
        ];
        for (event, expected) in cases {
            topics.of(&event, &mut topic);
            assert_eq!(topic.strip_prefix("homeostat/greenhouse/"), Some(expected));
        }
    }

    #[test]
    fn a_thing_is_told_of_where_its_events_are_published() {
        let topics = Topics::new("greenhouse");
        let channel = ChannelId::parse("air.temperature").unwrap();
        let (sample, at, time) = (Sample::Good(1.0), Monotonic::default(), Timestamp::from_millis(0));
        let reading = Reading { seq: 1, channel, quantity: Quantity::Temperature, sample, at, time };
        let sensor = SensorState { sensor: SensorId::new("air").unwrap(), online: true };
        for (event, parts) in [
            (Event::Reading(reading), &["air", "temperature"][..]),
            (Event::Sensor(sensor), &["air", "status"]),
            (Event::Gone(Gone { id: "heater".into() }), &["heater"]),
        ] {
            let mut topic = String::new();
            topics.of(&event, &mut topic);
            assert_eq!(topics.thing(parts), topic);
        }
    }
}
