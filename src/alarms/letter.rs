//! What a person gets: one sentence that any messenger can show, and the same as data.

use std::sync::Arc;

use serde::Serialize;

use crate::message::Alarm;
use crate::model::Timestamp;

/// So many alarms stand in the sentence; of the others it says how many there are.
const NAMED: usize = 5;

/// What has become of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It stands.
    Raised,
    /// It stands, and a person knows.
    Acknowledged,
    /// It stood.
    Gone,
}

/// One alarm in a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name,
    pub name: Arc<str>,
    /// its newest text,
    pub text: Arc<str>,
    /// since when it stands or has gone,
    pub since: Timestamp,
    /// what has become of it,
    pub state: State,
    /// and whether it stands until a person acknowledges it.
    pub latched: bool,
}

impl Item {
    /// An alarm that stands; `None` for one that has gone.
    pub fn of(alarm: &Alarm) -> Option<Self> {
        let state = if alarm.acknowledged { State::Acknowledged } else { State::Raised };
        let (name, text, since, latched) = (alarm.name.clone(), alarm.text.clone()?, alarm.since, alarm.latched);
        Some(Self { name, text, since, state, latched })
    }
}

/// What is told at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Who tells.
    pub node: Arc<str>,
    /// Of what.
    pub items: Vec<Item>,
    /// And of how many more, for which there was no room.
    pub more: usize,
}

#[derive(Serialize)]
struct Body<'a> {
    node: &'a str,
    alarms: Vec<BodyItem<'a>>,
    text: String,
}

#[derive(Serialize)]
struct BodyItem<'a> {
    name: &'a str,
    text: &'a str,
    since: String,
    state: State,
    latched: bool,
}

impl<'a> From<&'a Item> for BodyItem<'a> {
    fn from(item: &'a Item) -> Self {
        let &Item { ref name, ref text, since, state, latched } = item;
        Self { name, text, since: since.to_string(), state, latched }
    }
}

impl Letter {
    /// One line for each alarm: `sensors.air: no answer`; and one that counts those left out.
    pub fn lines(&self) -> Vec<String> {
        let line = |item: &Item| match item.state {
            State::Raised => format!("{}: {}", item.name, item.text),
            State::Acknowledged => format!("{} was acknowledged: {}", item.name, item.text),
            State::Gone => format!("{} has gone: {}", item.name, item.text),
        };
        let more = self.items.len().saturating_sub(NAMED) + self.more;
        let more = (more > 0).then(|| format!("and {more} more"));
        self.items.iter().take(NAMED).map(line).chain(more).collect()
    }

    /// `greenhouse: sensors.air: no answer; and 14 more`
    pub fn sentence(&self) -> String {
        format!("{}: {}", self.node, self.lines().join("; "))
    }

    /// The body of a webhook.
    pub fn json(&self) -> Vec<u8> {
        let body =
            Body { node: &self.node, alarms: self.items.iter().map(BodyItem::from).collect(), text: self.sentence() };
        // Texts and truth values can always be written.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, state: State) -> Item {
        let since = Timestamp::from_millis(1_795_250_000_250);
        Item { name: name.into(), text: "no \"answer\"".into(), since, state, latched: false }
    }

    #[test]
    fn a_letter_is_a_sentence_and_data() {
        let items = vec![item("sensors.air", State::Raised), item("store", State::Gone)];
        let letter = Letter { node: "greenhouse".into(), items, more: 0 };
        assert_eq!(
            String::from_utf8(letter.json()).unwrap(),
            concat!(
                r#"{"node":"greenhouse","alarms":["#,
                r#"{"name":"sensors.air","text":"no \"answer\"","since":"2026-11-21T08:33:20.250Z","state":"raised","latched":false},"#,
                r#"{"name":"store","text":"no \"answer\"","since":"2026-11-21T08:33:20.250Z","state":"gone","latched":false}],"#,
                r#""text":"greenhouse: sensors.air: no \"answer\"; store has gone: no \"answer\""}"#
            )
        );
    }

    #[test]
    fn what_a_sentence_has_no_room_for_is_counted() {
        let items = (0..9).map(|number| item(&format!("a{number}"), State::Raised)).collect();
        let sentence = Letter { node: "n".into(), items, more: 10 }.sentence();
        assert!(
            sentence.contains("a4") && !sentence.contains("a5") && sentence.ends_with("; and 14 more"),
            "{sentence}"
        );
    }
}
