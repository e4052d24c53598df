//! A device that is switched by what is published on a topic: a Zigbee or Tasmota plug, a dimmer behind a bridge, another node's output.
//!
//! A write counts as accepted once it was handed to a connection that stands; without one it fails, and a person is told, but for the
//! first seconds of the first one. Whether the broker took it, and what the device says it does, is seen when outputs are read back.

use std::sync::Arc;
use std::time::Duration;

use super::lines;
use super::{Entry, OutputConfig, Resolution};
use crate::config::Section;
use crate::hardware::bank::{Confirmation, Line};
use crate::hardware::{Hardware, HardwareError};
use crate::model::{Claim, Level};
use crate::post::{Letterbox, Outlet, Post};
use crate::wiring;

const ABOUT: &str = "\
- `topic`: where it is told. A switch is told `on` and `off`, usually `ON` and `OFF`; what takes levels is told `set`, in which
  `{percent}` stands for 0 to 100 and `{level}` for 0 to 1: `set = '{\"brightness\": {percent}}'`.
- `state_topic`, with a JSON `pointer` if need be: where a switch says what it does, in the same words. It is then read back, and set
  back if somebody else moved it.
- **When homeostat crashes, or the broker or the radio goes, nobody turns it off.** `homeostat safe` cannot: only a running homeostat
  has a connection. Use it for what may stay on, or **let the plug itself be a dead man's switch**: give it a switch-off timer, and
  tell it again well before that ends. With `repeat = \"30s\"` it is told again every 30 s while it is not at its safe level, which is
  no switching to limits and budgets; its timer is three times that, so that one that is lost does no harm. Tasmota: `PulseTime 190`
  is 90 s (100 more than the seconds). Zigbee2MQTT, if the plug takes it: `on = '{\"state\": \"ON\", \"on_time\": 90}'`.
- A device without a timer: let it, or an automation beside the broker, turn off when `homeostat/<node>/status` becomes `offline` (the
  will, a minute after a crash at the latest).
- It is told with QoS 1 and not retained: a retained `ON` would turn it on again after its own restart, also without homeostat. It is
  told again on each new connection, so a payload that toggles will not do.
- It needs `[mqtt]`. With `hardware = \"simulated\"` it is simulated, and nothing is published.
- Trouble: `mosquitto_sub -v -t 'zigbee2mqtt/#'` shows what it is told and what it says.
";

pub(super) const ENTRY: Entry = Entry {
    name: "mqtt",
    summary: "a device that is told over MQTT: Zigbee and Tasmota plugs, dimmers, another node's outputs",
    about: ABOUT,
    example: r#"
[outputs.plug]
driver = "mqtt"
topic = "zigbee2mqtt/plug/set"
on = "ON"
off = "OFF"
state_topic = "zigbee2mqtt/plug"
pointer = "/state"
"#,
    read,
};

/// So often in a row the broker may not have taken what was said, when it is read back.
const PATIENCE: u32 = 2;

#[derive(Debug, Clone)]
struct Config {
    topic: String,
    words: Words,
    state: Option<State>,
    repeat: Option<Duration>,
}

/// What it is told.
#[derive(Debug, Clone)]
enum Words {
    Switch {
        on: String,
        off: String,
    },
    /// With `{percent}` or `{level}` in it.
    Levels(String),
}

/// Where it says what it does.
#[derive(Debug, Clone)]
struct State {
    topic: String,
    /// Of the word within JSON.
    pointer: Option<String>,
}

fn read(section: &Section) -> Option<Box<dyn OutputConfig>> {
    let (topic, repeat) = (wiring::topic(section, "topic"), lines::repeat(section));
    let word = |key, usual: &str| if section.has(key) { section.optional(key) } else { Some(usual.to_owned()) };
    let (on, off): (Option<String>, Option<String>) = (word("on", "ON"), word("off", "OFF"));
    let set = section.has("set").then(|| section.optional::<String>("set"));
    let pointer = section.has("pointer").then(|| section.optional::<String>("pointer"));
    let state = section.has("state_topic").then(|| wiring::topic(section, "state_topic"));
    let wrong = |key, message: &str, hint: &str| {
        section.wrong(key, format!("{} {message}", section.what()), hint);
        None
    };
    let words = match set {
        Some(set) => {
            let set = set?;
            if let Some(key) = ["on", "off", "state_topic"].into_iter().find(|key| section.has(key)) {
                return wrong(key, "takes levels, and this is for a switch", "leave out this or `set`");
            }
            if !set.contains("{percent}") && !set.contains("{level}") {
                return wrong("set", "would be told the same at every level", "write \"{percent}\" for 0 to 100");
            }
            Words::Levels(set)
        }
        None => {
            let (on, off) = (on?, off?);
            if on == off {
                return wrong("off", "is told the same when it is to be on and off", "write what turns it off");
            }
            Words::Switch { on, off }
        }
    };
    let pointer = match pointer {
        Some(pointer) => Some(pointer?),
        None => None,
    };
    if pointer.as_ref().is_some_and(|pointer| !pointer.starts_with('/')) {
        return wrong("pointer", "has a `pointer` that does not begin with a slash", "write \"/state\"");
    }
    let state = match (state, pointer) {
        (Some(topic), pointer) => Some(State { topic: topic?, pointer }),
        (None, Some(_)) => {
            return wrong("pointer", "has a `pointer` into nothing", "add `state_topic`, or leave it out");
        }
        (None, None) => None,
    };
    Some(Box::new(Config { topic: topic?, words, state, repeat }))
}

impl OutputConfig for Config {
    fn resolution(&self) -> Resolution {
        match self.words {
            Words::Switch { .. } => Resolution::Switch,
            Words::Levels(_) => Resolution::Continuous,
        }
    }

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::Topic(self.topic.clone())]
    }

    fn lane(&self) -> String {
        "mqtt".to_owned()
    }

    fn open(&self, hardware: &dyn Hardware, _: Level) -> Result<Box<dyn Line>, HardwareError> {
        Err(HardwareError::Unsupported {
            what: format!("publishing on {}", self.topic),
            hardware: hardware.name(),
            hint: "only a running homeostat has a connection to the broker".to_owned(),
        })
    }

    fn open_over(&self, post: &Post) -> Option<Box<dyn Line>> {
        let state = self.state.as_ref().map(|state| post.subscribe(&state.topic));
        let outlet = post.outlet(&self.topic);
        Some(Box::new(Told { config: self.clone(), outlet, state, told: None, says: None, unanswered: 0 }))
    }

    fn topics(&self) -> Vec<(&'static str, &str)> {
        let state = self.state.iter().map(|state| ("state_topic", state.topic.as_str()));
        state.chain([("topic", self.topic.as_str())]).collect()
    }
}

impl Config {
    fn payload(&self, level: Level) -> String {
        match &self.words {
            Words::Switch { on, off } => (if level.is_on() { on } else { off }).clone(),
            Words::Levels(set) => {
                let (percent, part) = ((level.get() * 100.0).round(), (level.get() * 1000.0).round() / 1000.0);
                set.replace("{percent}", &percent.to_string()).replace("{level}", &part.to_string())
            }
        }
    }

    /// Whether it says that it is on; `None` if that is not to be understood.
    fn says(&self, payload: &[u8]) -> Option<bool> {
        let (Words::Switch { on, off }, Some(state)) = (&self.words, &self.state) else { return None };
        let text = std::str::from_utf8(payload).ok()?.trim();
        let word = match &state.pointer {
            None => text.to_owned(),
            Some(pointer) => match serde_json::from_str::<serde_json::Value>(text).ok()?.pointer(pointer)? {
                serde_json::Value::String(word) => word.clone(),
                other => other.to_string(),
            },
        };
        [(on, true), (off, false)].into_iter().find_map(|(known, is)| (*known == word).then_some(is))
    }
}

struct Told {
    config: Config,
    outlet: Outlet,
    state: Option<Arc<Letterbox>>,
    told: Option<Level>,
    /// What the device has said since it was told last.
    says: Option<bool>,
    unanswered: u32,
}

impl Told {
    fn what(&self) -> String {
        Claim::Topic(self.config.topic.clone()).to_string()
    }
}

impl Line for Told {
    /// There is nothing to take.
    fn renewable(&self) -> bool {
        false
    }

    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        // What it said before says nothing about this.
        self.state.as_ref().and_then(|letters| letters.take());
        self.says = None;
        // To say the same again is no answer.
        if self.told.replace(level) != Some(level) {
            self.unanswered = 0;
        }
        // Asked first, so that a connection which comes meanwhile is not one that was lost.
        let is_early = self.outlet.is_early();
        match self.outlet.say(self.config.payload(level).into_bytes()) {
            Ok(()) => Ok(Confirmation::Accepted),
            Err(_) if is_early => Err(HardwareError::NotYet {
                what: self.what(),
                reason: "there is no connection to the broker yet".to_owned(),
            }),
            Err(_) => {
                Err(HardwareError::Io { what: self.what(), reason: "there is no connection to the broker".to_owned() })
            }
        }
    }

    fn read_back(&mut self) -> Result<Option<Level>, HardwareError> {
        if !self.outlet.has_arrived() {
            self.unanswered += 1;
            return match self.unanswered {
                ..PATIENCE => Ok(None),
                _ => Err(HardwareError::Io {
                    what: self.what(),
                    reason: "the broker has not taken what was said last".to_owned(),
                }),
            };
        }
        self.unanswered = 0;
        if let Some(letter) = self.state.as_ref().and_then(|letters| letters.take()) {
            self.says = self.config.says(&letter.payload);
        }
        Ok(self.says.map(Level::from))
    }

    fn repeat(&self) -> Option<Duration> {
        self.config.repeat
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::clock::Clock;
    use crate::hardware::bank::{Bank, Slot};
    use crate::hardware::lane::{Execution, Lanes};
    use crate::model::{Monotonic, OutputId, Timestamp};

    #[test]
    fn without_the_daemon_it_cannot_be_made_safe_and_says_so() {
        let words = Words::Switch { on: "ON".into(), off: "OFF".into() };
        let config = Config { topic: "plug/set".into(), words, state: None, repeat: None };
        let error = config.open(&testing::world(), Level::OFF).err().unwrap().to_string();
        assert!(error.contains("publishing on plug/set") && error.contains("only a running homeostat"), "{error}");
    }

    #[test]
    fn what_takes_levels_is_told_them() {
        let post = Post::new(Clock::system());
        let words = Words::Levels(r#"{"brightness": {percent}, "part": {level}}"#.into());
        let mut line = Config { topic: "lamp".into(), words, state: None, repeat: None }.open_over(&post).unwrap();
        assert!(line.write(Level::ON).unwrap_err().to_string().contains("MQTT topic lamp: there is no connection"));
        post.set_connected(true);
        for (level, expected) in [(0.0, (0, "0")), (0.625, (63, "0.625")), (1.0, (100, "1"))] {
            assert_eq!(line.write(Level::new(level).unwrap()), Ok(Confirmation::Accepted));
            let told = String::from_utf8(post.due().remove(0).1).unwrap();
            assert_eq!(told, format!(r#"{{"brightness": {}, "part": {}}}"#, expected.0, expected.1));
        }
        // A broker that takes nothing is not obeyed by anybody.
        assert_eq!(line.read_back(), Ok(None));
        assert!(line.read_back().is_err());
        post.arrived(|_| true);
        assert_eq!(line.read_back(), Ok(None));
    }

    /// A plug at its bank, with the time, the post and its slot.
    fn banked() -> (Clock, Post, Bank, Arc<Slot>) {
        let clock = Clock::simulated(Timestamp::from_millis(0));
        let (post, bank) = (Post::new(clock), Bank::default());
        let (config, table) = (testing::config(&ENTRY, "topic = \"plug\""), post.clone());
        let lane = Lanes::new(clock, Execution::Inline).get("mqtt");
        let open = move |_| Ok(config.open_over(&table).unwrap());
        let plug = bank.add(&OutputId::new("plug").unwrap(), lane, Level::OFF, Box::new(open));
        (clock, post, bank, plug)
    }

    #[tokio::test(start_paused = true)]
    async fn before_the_first_connection_it_is_not_confirmed_and_nobody_is_told_for_ten_seconds() {
        for connects in [None, Some(3)] {
            let (clock, post, bank, plug) = banked();
            let errors = bank.open().await;
            assert!(errors.len() == 1 && errors[0].1.is_early(), "{errors:?}");
            for second in 0..15 {
                if connects == Some(second) {
                    post.set_connected(true);
                    // And it goes at once: from here on it is one that was lost.
                    post.set_connected(false);
                }
                bank.release(clock.now()).await;
                assert_eq!((plug.level(), plug.confirmation()), (None, None));
                let expected = second >= connects.unwrap_or(10);
                let told = plug.trouble();
                assert_eq!(told.is_some(), expected, "{connects:?}: {told:?} after {second} s");
                assert!(told.is_none_or(|told| told.contains("off: MQTT topic plug: there is no connection to the broker:")));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            post.set_connected(true);
            bank.release(clock.now()).await;
            assert_eq!((plug.level(), plug.trouble()), (Some(Level::OFF), None));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_takes_no_word_is_told_of_though_every_write_is_accepted() {
        for (level, looks) in [(Level::OFF, 3), (Level::ON, 4)] {
            let (clock, post, bank, plug) = banked();
            post.set_connected(true);
            plug.write(level, Monotonic::new(Duration::from_secs(999))).await.unwrap();
            for look in 1..8 {
                post.due();
                bank.verify().await;
                bank.release(clock.now()).await;
                assert_eq!(plug.level(), Some(level), "told again");
                assert_eq!(plug.trouble().is_some(), look >= looks, "{level}: {:?} at look {look}", plug.trouble());
            }
            post.due();
            post.arrived(|_| true);
            bank.verify().await;
            assert_eq!(plug.trouble(), None, "{level}");
        }
    }

    #[test]
    fn to_be_told_the_same_again_is_no_answer_of_the_broker() {
        let post = Post::new(Clock::system());
        let config = testing::config(&ENTRY, "topic = \"plug\"\nrepeat = \"5s\"");
        let mut line = config.open_over(&post).unwrap();
        assert_eq!(line.repeat(), Some(Duration::from_secs(5)));
        post.set_connected(true);
        for expected in [Ok(None), Err(())] {
            line.write(Level::ON).unwrap();
            assert_eq!(post.due().len(), 1);
            assert_eq!(line.read_back().map_err(drop), expected);
        }
        line.write(Level::OFF).unwrap();
        assert_eq!(line.read_back(), Ok(None), "another level is another matter");
    }

    #[test]
    fn what_it_said_before_it_was_told_does_not_count() {
        let post = Post::new(Clock::system());
        let state = Some(State { topic: "plug".into(), pointer: Some("/state".into()) });
        let words = Words::Switch { on: "ON".into(), off: "OFF".into() };
        let mut line = Config { topic: "plug/set".into(), words, state, repeat: None }.open_over(&post).unwrap();
        post.set_connected(true);
        post.deliver("plug", br#"{"state": "OFF"}"#, false);
        line.write(Level::ON).unwrap();
        post.due();
        post.arrived(|_| true);
        assert_eq!(line.read_back(), Ok(None));
        for (says, expected) in [("\"ON\"", Some(Level::ON)), ("\"OFF\"", Some(Level::OFF)), ("3", None)] {
            post.deliver("plug", format!(r#"{{"state": {says}}}"#).as_bytes(), false);
            assert_eq!(line.read_back(), Ok(expected), "{says}");
        }
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for right in ["topic = \"a\"", "topic = \"a\"\nset = \"{level}\""] {
            assert_eq!(testing::mistakes(&ENTRY, right), []);
        }
        for (keys, expected) in [
            ("", "add `topic"),
            ("topic = \"a/#\"", "name one topic"),
            ("topic = \"a\"\non = \"OFF\"", "what turns it off"),
            ("topic = \"a\"\non = 1", "\"text\""),
            ("topic = \"a\"\nset = \"percent\"", "\"{percent}\""),
            ("topic = \"a\"\nset = \"{percent}\"\non = \"1\"", "leave out"),
            ("topic = \"a\"\npointer = \"/state\"", "add `state_topic`"),
            ("topic = \"a\"\nstate_topic = \"b\"\npointer = \"state\"", "\"/state\""),
        ] {
            let found = testing::mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
