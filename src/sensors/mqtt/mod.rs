//! A sensor that others publish: a Zigbee or LoRa device behind a bridge, a Tasmota plug, another node.
//!
//! It is not read but heard, so it has an actor of its own. What lay retained at the broker is not taken: nobody can tell how old it is.

pub mod actor;

use std::ops::RangeInclusive;
use std::time::Duration;

use super::text::TextValue;
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, HardwareError};
use crate::wiring::{self, Wiring};

const ABOUT: &str = "\
- `topic`: what is published there, one topic without `+` and `#`. The number is all of it, or stands in JSON at `pointer`
  (`/temperature`). `quantity` is what it measures, and the channel's name: `bed.temperature`. on, true and open are 1 as a `state`.
- There is a reading when something is published, at most one in `every`: of more, the last one counts.
- `stale_after`, usually 10m: when nothing came for so long, the reading is bad. A battery device may say something once in an hour only:
  give it two of its own intervals, and set a shorter interval in its bridge if a controller is to act on it.
- What is retained at the broker is of unknown age and is not taken, so after a start there is no reading before the device speaks again.
- It needs `[mqtt]`. This node's own topics cannot be heard; those of another node can (`pointer = \"/value\"`).
- With `hardware = \"simulated\"` it is simulated too.
- Trouble: `mosquitto_sub -v -t 'zigbee2mqtt/#'` shows what is published.
";

pub(super) const ENTRY: Entry = Entry {
    name: "mqtt",
    summary: "what others publish on a topic: Zigbee and LoRa sensors behind a bridge, Tasmota, another node",
    about: ABOUT,
    example: r#"
[sensors.bed]
driver = "mqtt"
topic = "zigbee2mqtt/greenhouse"
pointer = "/temperature"
quantity = "temperature"
stale_after = "30m"
"#,
    read,
};

const USUAL: Duration = Duration::from_secs(10 * 60);
const STALE_AFTER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);

/// What a sensor hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Where.
    pub topic: String,
    /// Which number in it.
    pub value: TextValue,
    /// After so long a silence its last reading does not count any more.
    pub stale_after: Duration,
}

#[derive(Debug)]
struct Config {
    heard: Heard,
    channel: [Channel; 1],
}

fn read(section: &Section) -> Option<Box<dyn SensorConfig>> {
    let topic = wiring::topic(section, "topic");
    let value = TextValue::read(section);
    let stale_after = match section.has("stale_after") {
        true => section.duration("stale_after", STALE_AFTER),
        false => Some(USUAL),
    };
    let heard = Heard { topic: topic?, value: value?, stale_after: stale_after? };
    let channel = [heard.value.channel()];
    Some(Box::new(Config { heard, channel }))
}

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        &self.channel
    }

    /// Several sensors may listen to one topic.
    fn wiring(&self) -> Wiring {
        Wiring::unclaimed("mqtt")
    }

    fn heard(&self) -> Option<&Heard> {
        Some(&self.heard)
    }

    /// Who counts on a reading waits for three of these, and no longer than it is good.
    fn interval(&self) -> Option<Duration> {
        Some(self.heard.stale_after / 3)
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        Err(DriverError::Hardware(HardwareError::Unsupported {
            what: format!("reading the MQTT topic {}", self.heard.topic),
            hardware: hardware.name(),
            hint: "it is published by its device, and heard by `homeostat run` only".to_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn a_topic_is_enough_and_mistakes_are_told_with_what_would_do() {
        assert_eq!(testing::mistakes(&ENTRY, "topic = \"a/b\""), []);
        for (keys, expected) in [
            ("", "add `topic"),
            ("topic = \"\"", "1 to 500 bytes"),
            ("topic = \"zigbee2mqtt/+\"", "name one topic"),
            ("topic = \"#\"", "name one topic"),
            ("topic = \"a\\nb\"", "no control characters"),
            ("topic = 5", "\"text\""),
            ("topic = \"a\"\npointer = \"temperature\"", "write \"/temperature\""),
            ("topic = \"a\"\nquantity = \"heat\"", "known quantities: temperature"),
            ("topic = \"a\"\nstale_after = \"1ms\"", "from 1s to 168h"),
        ] {
            let found = testing::mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }

    #[test]
    fn it_cannot_be_read_without_the_daemon_and_says_so() {
        let config = Config {
            heard: Heard {
                topic: "a/b".into(),
                value: TextValue { pointer: None, quantity: crate::model::Quantity::Number },
                stale_after: USUAL,
            },
            channel: [Channel { name: "number", quantity: crate::model::Quantity::Number }],
        };
        let error = config.open(&testing::world()).err().unwrap().to_string();
        assert!(error.contains("the MQTT topic a/b") && error.contains("homeostat run"), "{error}");
    }
}
