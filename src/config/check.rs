//! What has to fit together across tables: names, channels, outputs, and what the devices occupy.
//!
//! Sensors and outputs tell what they are as they are read; controllers ask for what they name. A device that could not
//! be read is known by its name only, and nothing is said about the rest of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::interlocks::{self, Named};
use super::lines::Lines;
use super::section::{listed, nearest};
use super::{Diagnostic, Place, Section};
use crate::model::{ChannelId, Claim, OutputId, Quantity};

/// The sensors and outputs of the file, as far as they were read.
pub struct Devices<'t> {
    lines: Lines<'t>,
    names: BTreeMap<String, Holder>,
    sensors: BTreeMap<String, Sensor>,
    outputs: BTreeMap<String, Output>,
    claims: Vec<(Claim, Holder)>,
    driven: BTreeMap<String, Holder>,
    powering: Vec<(OutputId, Holder)>,
    /// Its GPIO lines are those of a Raspberry Pi's header, some of which its buses take.
    header: bool,
    heard: Vec<(ChannelId, Holder)>,
    topics: Vec<(String, Holder)>,
}

/// Who has something, and where it says so.
struct Holder {
    what: String,
    place: Place,
}

/// What others need to know of a sensor; `None` is what could not be read.
pub struct Sensor {
    /// The names of its channels and what they measure.
    pub channels: Option<Vec<(&'static str, Quantity)>>,
    /// How often it is read.
    pub every: Option<Duration>,
}

/// What is known of a channel that somebody names; `None` is what could not be read.
pub struct Known {
    /// Its name after the dot, and what it measures.
    pub measures: Option<(&'static str, Quantity)>,
    /// How often there is a reading of it.
    pub every: Option<Duration>,
}

/// What others need to know of an output.
#[derive(Default)]
pub struct Output {
    /// On and off are all it can do: it has no `cycle` either.
    pub only_switches: bool,
    /// It is a switch that rests at on, so that a device can live on it.
    pub powers: bool,
    /// It has a `cycle`.
    pub pulses: bool,
    /// After so long at once it rests.
    pub max_on: Option<Duration>,
    /// It is on when nobody demands anything.
    pub safe_on: bool,
    /// Those while which alone it may be on.
    pub only_while: Vec<Named>,
    /// Those with which it may not be on.
    pub never_with: Vec<Named>,
}

impl<'t> Devices<'t> {
    /// None yet, in the file with this text.
    pub(super) fn new(text: &'t str, header: bool) -> Self {
        Self {
            lines: Lines::new(text),
            names: BTreeMap::new(),
            sensors: BTreeMap::new(),
            outputs: BTreeMap::new(),
            claims: Vec::new(),
            driven: BTreeMap::new(),
            powering: Vec::new(),
            header,
            heard: Vec::new(),
            topics: Vec::new(),
        }
    }

    /// Takes a name. Readings, outputs and controllers stand side by side in the topics, so each is there once.
    pub fn name(&mut self, name: &str, section: &Section<'_>) {
        match self.names.get(name) {
            Some(first) => {
                let message = format!("the name `{name}` is taken by {}", self.who(first));
                section.report(
                    Diagnostic::new(message, section.header_place(), "choose another name")
                        .also(first.place.clone(), format!("{} is here", first.what)),
                );
            }
            None => {
                self.names.insert(name.to_owned(), Holder::of(section, section.header_place()));
            }
        }
    }

    /// Adds a sensor.
    pub fn add_sensor(&mut self, name: &str, sensor: Sensor) {
        self.sensors.insert(name.to_owned(), sensor);
    }

    /// Adds an output.
    pub fn add_output(&mut self, name: &str, output: Output) {
        self.outputs.insert(name.to_owned(), output);
    }

    /// Takes what a device occupies.
    pub fn claim(&mut self, section: &Section<'_>, claims: Vec<Claim>) {
        for claim in claims {
            let key = key_of(&claim);
            let place = section.place(key);
            let clashes = |other: &Claim| claim.clashes(other) || self.header && claim.is_on_a_line_of(other);
            if let Some((other, first)) = self.claims.iter().find(|(other, _)| clashes(other)) {
                let (what, who) = (section.what(), self.who(first));
                let other_chip = claim.is_another_chip_than(other);
                let message = if other_chip {
                    format!("{what} wants {claim}, where {who} has another chip")
                } else if claim.clashes(other) {
                    format!("{what} wants {claim}, which {who} has")
                } else {
                    format!("{what} wants {claim}, and {who} has {other}: both are on one line of the header")
                };
                let key = match claim {
                    Claim::I2cInput { .. } if other_chip => "address",
                    Claim::SpiInput { .. } if other_chip => "select",
                    _ => key,
                };
                section.report(
                    Diagnostic::new(message, section.place(key), format!("choose another `{key}` for one of them"))
                        .also(first.place.clone(), format!("{} has it here", first.what)),
                );
            }
            self.claims.push((claim, Holder::of(section, place)));
        }
        if self.header {
            self.crowded(section);
        }
    }

    /// Finds a PWM channel that is on one of two lines, while others have both. The last one of them to come is told.
    fn crowded(&self, section: &Section<'_>) {
        for (channel, holder) in &self.claims {
            let taker = |line: &u8| {
                let takes = self.claims.iter().filter(|(claim, _)| claim.takes_line(*line));
                takes.map(|(_, taker)| taker).find(|taker| taker.what != holder.what)
            };
            let own =
                |line: &u8| self.claims.iter().any(|(claim, one)| one.what == holder.what && claim.takes_line(*line));
            let lines = channel.header_choice();
            if lines.iter().any(own) {
                continue;
            }
            let Some(takers) = lines.iter().map(taker).collect::<Option<Vec<_>>>() else { continue };
            let [first, last] = takers[..] else { continue };
            if ![holder, first, last].iter().any(|one| one.what == section.what()) {
                continue;
            }
            let message = format!(
                "{} wants {channel}, which comes out on GPIO {} or {}, and {} and {} have both",
                holder.what,
                lines[0],
                lines[1],
                self.who(first),
                self.who(last)
            );
            let hint = "choose another `channel`, or another pin for one of them";
            section.report(
                Diagnostic::new(message, holder.place.clone(), hint)
                    .also(first.place.clone(), format!("{} is here", first.what))
                    .also(last.place.clone(), format!("{} is here", last.what)),
            );
        }
    }

    /// The channel that `key` must name, and how often there is a reading of it, where that is known.
    pub fn channel(&self, section: &Section<'_>, key: &'static str) -> Option<(ChannelId, Option<Duration>)> {
        let id: ChannelId = section.required(key)?;
        let every = self.known(section, &id, section.place(key))?.every;
        Some((id, every))
    }

    /// What is known of the channel that is named at `place`; reported if there is none.
    pub fn known(&self, section: &Section<'_>, id: &ChannelId, place: Place) -> Option<Known> {
        let Some(sensor) = self.sensors.get(id.sensor()) else {
            let hint = self.similar_channels(id);
            section.report(Diagnostic::absent(format!("there is no sensor `{}`", id.sensor()), place, hint));
            return None;
        };
        let channels = sensor.channels.as_deref().unwrap_or_default();
        let measures = channels.iter().find(|(name, _)| *name == id.channel()).copied();
        if !channels.is_empty() && measures.is_none() {
            let names: Vec<&str> = channels.iter().map(|(name, _)| *name).collect();
            let all = format!("{} has: {}", id.sensor(), listed(&names));
            let hint = match nearest(id.channel(), &names) {
                Some(near) => format!("did you mean `{}.{near}`? {all}", id.sensor()),
                None => all,
            };
            let message = format!("sensor {} has no channel `{}`", id.sensor(), id.channel());
            section.report(Diagnostic::new(message, place, hint));
            return None;
        }
        Some(Known { measures, every: sensor.every })
    }

    /// The output that `key` may name. Each output has one controller only.
    pub fn drive(&mut self, section: &Section<'_>, key: &'static str) -> Option<OutputId> {
        let id: OutputId = section.optional(key)?;
        if !self.outputs.contains_key(id.as_str()) {
            let outputs: Vec<&str> = self.outputs.keys().map(String::as_str).collect();
            let hint = suggestion(id.as_str(), &outputs, "outputs");
            section.report(Diagnostic::absent(format!("there is no output `{id}`"), section.place(key), hint));
            return Some(id);
        }
        match self.driven.get(id.as_str()) {
            Some(first) if first.what != section.what() => {
                let message = format!("output {id} is driven by {} already", self.who(first));
                section.report(
                    Diagnostic::new(message, section.place(key), "an output can have one controller")
                        .also(first.place.clone(), format!("{} drives it", first.what)),
                );
            }
            Some(_) => {}
            None => {
                self.driven.insert(id.as_str().to_owned(), Holder::of(section, section.place(key)));
            }
        }
        Some(id)
    }

    /// The output that `key` must name, from which a sensor is fed. Checked when all outputs are known.
    pub fn power(&mut self, section: &Section<'_>, key: &'static str) -> Option<OutputId> {
        let id: OutputId = section.required(key)?;
        self.powering.push((id.clone(), Holder::of(section, section.place(key))));
        Some(id)
    }

    /// Channels that `key` names, and that a sensor must be able to hear. Checked when all sensors are known.
    pub fn hear(&mut self, section: &Section<'_>, key: &'static str, channels: &[ChannelId]) {
        let place = section.place(key);
        self.heard.extend(channels.iter().map(|id| (id.clone(), Holder::of(section, place.clone()))));
    }

    /// Reports the channels that are not there although a sensor is to hear them. `root` is any section of the file.
    pub(super) fn check_inputs(&self, root: &Section<'_>) {
        for (id, Holder { place, .. }) in &self.heard {
            self.known(root, id, place.clone());
        }
    }

    /// A topic that `key` names and that a device hears or is reached by. Checked when all of the file was read.
    pub fn topic(&mut self, section: &Section<'_>, key: &'static str, topic: &str) {
        self.topics.push((topic.to_owned(), Holder::of(section, section.place(key))));
    }

    /// Reports the topics that no device can have: all of them without a broker, and those at which the node itself speaks and listens,
    /// which are below `own`. `root` is the file.
    pub(super) fn check_topics(&self, root: &Section<'_>, own: Option<&str>) {
        let has_broker = root.has("mqtt");
        for (topic, Holder { what, place }) in &self.topics {
            if !has_broker {
                let message = format!("{what} has a topic, and there is no broker");
                let hint = "add `[mqtt]` with `broker = \"mqtt://127.0.0.1:1883\"`";
                root.report(Diagnostic::absent(message, place.clone(), hint));
            }
            if let Some(own) = own.filter(|own| topic.starts_with(*own)) {
                let message = format!("{what} would hear this node itself, or command it: all below {own} is its own");
                root.report(Diagnostic::new(message, place.clone(), "name the channel or the output itself"));
            }
        }
    }

    /// Reports the outputs that cannot feed a sensor although they are to. `root` is any section of the file.
    pub(super) fn check_power(&self, root: &Section<'_>) {
        for (id, Holder { what, place }) in &self.powering {
            match self.outputs.get(id.as_str()) {
                None => {
                    let outputs: Vec<&str> = self.outputs.keys().map(String::as_str).collect();
                    let hint = suggestion(id.as_str(), &outputs, "outputs");
                    root.report(Diagnostic::absent(format!("there is no output `{id}`"), place.clone(), hint));
                }
                Some(output) if !output.powers => root.report(Diagnostic::new(
                    format!("output {id} cannot be the {what}: nothing is fed by it while it is safe"),
                    place.clone(),
                    format!("name a switch, and write `safe = \"on\"` in [outputs.{id}]"),
                )),
                Some(_) => {}
            }
        }
    }

    /// For how long an output can be on at once, if that is limited.
    pub fn max_on(&self, output: &OutputId) -> Option<Duration> {
        self.outputs.get(output.as_str())?.max_on
    }

    /// Whether an output cannot hold a level between on and off.
    pub fn only_switches(&self, output: &OutputId) -> bool {
        self.outputs.get(output.as_str()).is_some_and(|output| output.only_switches)
    }

    /// What is wrong with what outputs say of one another. To be asked when all outputs are read.
    pub(super) fn interlocks(&self) -> Vec<Diagnostic> {
        interlocks::check(&self.outputs)
    }

    /// The names of all sensors, read or not.
    pub(super) fn sensors(&self) -> impl Iterator<Item = &str> {
        self.sensors.keys().map(String::as_str)
    }

    /// The names of all outputs, read or not.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &str> {
        self.outputs.keys().map(String::as_str)
    }

    /// `output heater (line 12)`
    fn who(&self, holder: &Holder) -> String {
        format!("{} (line {})", holder.what, self.lines.line(holder.place.0.start))
    }

    fn similar_channels(&self, id: &ChannelId) -> String {
        let sensors: Vec<&str> = self.sensors.keys().map(String::as_str).collect();
        suggestion(id.sensor(), &sensors, "sensors")
    }
}

impl Holder {
    fn of(section: &Section<'_>, place: Place) -> Self {
        Self { what: section.what().to_owned(), place }
    }
}

pub(super) fn suggestion(name: &str, known: &[&str], what: &str) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("the file has no {what}"),
        None => format!("known {what}: {}", listed(known)),
    }
}

/// The key that a person changes to give a device another place.
fn key_of(claim: &Claim) -> &'static str {
    match claim {
        Claim::Pin(_) => "pin",
        Claim::Pwm(_) => "channel",
        Claim::I2c { .. } => "address",
        Claim::I2cInput { .. } | Claim::SpiInput { .. } => "input",
        Claim::OneWire(_) => "id",
        Claim::Spi { .. } => "select",
        Claim::Serial(_) => "port",
        Claim::Topic(_) => "topic",
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    #[test]
    fn a_line_of_the_header_that_a_bus_takes_is_taken() {
        let house = |pin: u8| {
            format!(
                "[node]\nname = \"x\"\nhardware = \"simulated\"\n[sensors.air]\ndriver = \"bme280\"\n\
                 [outputs.pump]\ndriver = \"gpio\"\npin = {pin}\n"
            )
        };
        assert!(parse(&house(4)).is_ok());
        let found = parse(&house(3)).unwrap_err();
        let expected = "output pump wants GPIO pin 3, and sensor air (line 4) has address 0x76 on I²C bus 1: both are on one line of \
                        the header";
        assert_eq!(found[0].message, expected);
        assert!(found[0].hint.contains("another `pin`"), "{found:?}");
    }

    #[test]
    fn a_pwm_channel_needs_one_of_its_two_lines() {
        let house = |fan: &str, pins: &[u8]| {
            let one = |pin: &u8| format!("[outputs.lamp{pin}]\ndriver = \"gpio\"\npin = {pin}\n");
            let lamps: String = pins.iter().map(one).collect();
            let fan = format!("[outputs.fan]\ndriver = \"pwm\"\n{fan}\n");
            let node = "[node]\nname = \"x\"\nhardware = \"simulated\"\n";
            let messages = |file: String| -> Vec<String> {
                parse(&file)
                    .err()
                    .map(|found| found.iter().map(|one| one.message.clone()).collect())
                    .unwrap_or_default()
            };
            (messages(format!("{node}{fan}{lamps}")), messages(format!("{node}{lamps}{fan}")))
        };
        for (fan, pins) in [
            ("channel = 0", &[18][..]),
            ("channel = 0", &[13, 18, 19]),
            ("channel = 0\npin = 12", &[18]),
            ("channel = 1", &[12, 18]),
        ] {
            assert_eq!(house(fan, pins), (vec![], vec![]), "{fan} {pins:?}");
        }
        for (fan, pins, expected) in [
            ("channel = 0", &[12, 18][..], "output fan wants PWM channel 0, which comes out on GPIO 12 or 18, and "),
            ("channel = 0\npin = 18", &[18], "wants GPIO pin 18, which output "),
        ] {
            let (before, after) = house(fan, pins);
            for found in [before, after] {
                assert!(found.len() == 1 && found[0].contains(expected), "{fan} {pins:?}: {found:?}");
            }
        }
    }

    #[test]
    fn two_different_chips_cannot_be_at_one_address() {
        let house = |address: u8| {
            format!(
                "[node]\nname = \"x\"\nhardware = \"simulated\"\n\
                 [outputs.pump]\ndriver = \"pcf8574\"\naddress = 0x20\nline = 0\n\
                 [outputs.lamp]\ndriver = \"mcp23017\"\naddress = {address}\nline = \"A3\"\n"
            )
        };
        assert!(parse(&house(0x21)).is_ok());
        let found = parse(&house(0x20)).unwrap_err();
        let expected =
            "output lamp wants input 3 of address 0x20 on I²C bus 1, where output pump (line 4) has another chip";
        assert_eq!(found[0].message, expected);
        assert!(found[0].hint.contains("another `address`"), "{found:?}");
    }
}
