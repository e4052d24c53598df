//! Each channel of a sensor is a `sensor`.

use std::time::Duration;

use super::entity::{Entity, Kind, Sensor};
use super::names::{Names, title};
use super::things;
use crate::model::Quantity;

/// A reading counts for at least so long.
const SHORTEST: Duration = Duration::from_secs(60);

pub(super) fn entities<'a>(sensor: &'a things::Sensor, names: &'a Names) -> impl Iterator<Item = Entity> + 'a {
    sensor.channels.iter().map(|(channel, quantity)| entity(sensor, channel, *quantity, names))
}

fn entity(sensor: &things::Sensor, channel: &str, quantity: Quantity, names: &Names) -> Entity {
    let parts = [sensor.id.as_str(), channel];
    let topic = names.topics.thing(&parts);
    let kind = Kind::Sensor(Sensor {
        stat_t: topic.clone(),
        // A bad reading's value is null, and so its state unknown.
        val_tpl: "{{ value_json.value }}".into(),
        dev_cla: quantity.device_class(),
        unit_of_meas: Some(quantity.unit()).filter(|unit| !unit.is_empty()),
        stat_cla: Some("measurement"),
        exp_aft: Some(expire_after(sensor.every)),
        ops: None,
    });
    let attributes = "{{ {'quality': value_json.quality, 'reason': value_json.reason | default(none)} | tojson }}";
    Entity::new(names, &parts, title(&parts), kind)
        .while_online(names.topics.thing(&[sensor.id.as_str(), "status"]))
        .with(topic, attributes.into())
}

/// Three intervals, in whole seconds: two readings may be late or lost.
fn expire_after(every: Duration) -> u64 {
    let seconds = (every * 3).max(SHORTEST).as_secs_f64().ceil();
    // At most three days, so exact.
    seconds as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_counts_for_three_intervals_and_no_less_than_a_minute() {
        let cases = [(10, 60), (19_999, 60), (20_001, 61), (86_400_000, 259_200)];
        for (every, seconds) in cases {
            assert_eq!(expire_after(Duration::from_millis(every)), seconds, "{every} ms");
        }
    }
}
