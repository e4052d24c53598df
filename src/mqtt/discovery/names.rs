//! What things are called: ids that are unique and stay, and names for people. Topics are those of `mqtt/topics.rs`.
//!
//! An id is made of names joined by `-`. A `-` within a name becomes `H`, which no name has, so that `bed-2` with `top` and
//! `bed` with `2-top` stay two.

use crate::mqtt::topics::Topics;

/// The names of one node.
pub(super) struct Names {
    /// As a person wrote it.
    node: String,
    /// `homeostat-greenhouse`
    id: String,
    /// Where it publishes, and listens.
    pub topics: Topics,
}

impl Names {
    pub fn new(node: &str) -> Self {
        let id = format!("homeostat-{}", part(node));
        Self { node: node.to_owned(), id, topics: Topics::new(node) }
    }

    pub fn node(&self) -> &str {
        &self.node
    }

    /// The id of the device: `homeostat-greenhouse`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// An id that no other node has: `homeostat-greenhouse-air-temperature`.
    pub fn unique(&self, key: &str) -> String {
        format!("{}-{key}", self.id)
    }

    /// What Home Assistant calls an entity at first: `sensor.greenhouse_air_temperature`.
    pub fn entity_id(&self, platform: &str, parts: &[&str]) -> String {
        let words = std::iter::once(self.node.as_str()).chain(parts.iter().copied());
        let words = words.flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric()));
        let words: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
        // A name may be nothing but dashes.
        format!("{platform}.{}", if words.is_empty() { "homeostat".to_owned() } else { words.join("_") })
    }
}

/// An id within the node: `air-temperature`.
pub(super) fn key(parts: &[&str]) -> String {
    parts.iter().map(|name| part(name)).collect::<Vec<_>>().join("-")
}

/// A name within an id. Ids have nothing but letters, digits, `_` and `-`, and no name of ours has capital letters.
fn part(name: &str) -> String {
    let letter = |c: char| match c {
        '-' => 'H',
        c if c.is_ascii_alphanumeric() || c == '_' => c,
        _ => 'X',
    };
    name.chars().map(letter).collect()
}

/// A name for people: `Bed 2 moisture`.
pub(super) fn title(parts: &[&str]) -> String {
    let words = parts.iter().flat_map(|part| part.split(['_', '-'])).filter(|word| !word.is_empty());
    let text = words.collect::<Vec<_>>().join(" ");
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}", first.to_ascii_uppercase(), letters.as_str()),
        // A name may be nothing but dashes.
        None => parts.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_programs_get_a_name_each() {
        let names = Names::new("green-house");
        assert_eq!(names.unique(&key(&["bed-2", "soil_moisture"])), "homeostat-greenHhouse-bedH2-soil_moisture");
        assert_eq!(names.entity_id("sensor", &["bed-2", "soil_moisture"]), "sensor.green_house_bed_2_soil_moisture");
        assert_eq!(Names::new("--").entity_id("sensor", &["_"]), "sensor.homeostat");
        assert_eq!(title(&["bed-2", "soil_moisture"]), "Bed 2 soil moisture");
        assert_eq!(title(&["-", "_"]), "- _");
        assert_ne!(key(&["bed-2", "top"]), key(&["bed", "2-top"]));
    }
}
