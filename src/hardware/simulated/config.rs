//! The `[simulation]` table: which plants there are, which outputs act on them, and which sensors hang in them.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::plant::{Plant, Room, Soil, Walls, saturation};
use crate::config::{Diagnostic, Place, Section, Value};
use crate::model::{OutputId, SensorId};

/// The `[simulation]` table, checked. Without one the world is empty: sensors feel a calm room.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// From which all noise comes.
    pub(super) seed: u64,
    pub(super) plants: Vec<PlantConfig>,
    pub(super) probes: Vec<ProbeConfig>,
    pins: Option<PathBuf>,
    /// Names of sensors and outputs, which can be checked only when all are known.
    outputs: Vec<(OutputId, Place)>,
    sensors: Vec<(SensorId, Place)>,
}

/// `[simulation.plants.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlantConfig {
    pub name: String,
    pub start: Plant,
    pub effects: Vec<Effect>,
    /// Of a soil: the room that it is in.
    pub room: Option<String>,
}

/// What an output does to a plant at full level.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Effect {
    pub output: OutputId,
    pub kind: EffectKind,
    pub strength: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EffectKind {
    /// W
    Heat,
    /// W/K to the outdoors
    Exchange,
    /// % per second
    Water,
}

/// One line of `[simulation.probes]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ProbeConfig {
    pub sensor: SensorId,
    pub plant: String,
    /// Seconds.
    pub lag: f64,
    /// Standard deviation, in the unit of each quantity.
    pub noise: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { seed: 1, plants: Vec::new(), probes: Vec::new(), pins: None, outputs: Vec::new(), sensors: Vec::new() }
    }
}

const CELSIUS: RangeInclusive<f64> = -60.0..=100.0;
const PERCENT: RangeInclusive<f64> = 0.0..=100.0;
const ABOVE_ZERO: RangeInclusive<f64> = 1e-6..=1e12;
const FROM_ZERO: RangeInclusive<f64> = 0.0..=1e12;

impl Config {
    /// Reads the table and reports what is wrong with it. What can be read is returned even then, so that its names can
    /// be checked too; a plant with a mistake is left out.
    pub fn read(section: Section<'_>) -> Option<Self> {
        let pins = section.optional::<String>("pins").map(PathBuf::from);
        let mut config = Self { seed: section.or("seed", 1), pins, ..Self::default() };
        let mut names = Vec::new();
        let mut rooms = Vec::new();
        let mut lying_in = Vec::new();
        for (name, plant) in section.named("plants", "plant") {
            names.push(name);
            let kind = plant.required::<String>("kind");
            let mut room = None;
            let read = match kind.as_deref() {
                Some("room") => {
                    rooms.push(name);
                    config.room(&plant)
                }
                Some("soil") => {
                    room = plant.optional::<String>("room");
                    lying_in.extend(room.clone().map(|room| (name, room, plant.place("room"))));
                    config.soil(&plant)
                }
                Some(other) => {
                    plant.wrong("kind", format!("there is no plant of kind `{other}`"), "write \"room\" or \"soil\"");
                    continue;
                }
                None => continue,
            };
            plant.finish();
            if let Some((start, effects)) = read {
                config.plants.push(PlantConfig { name: name.to_owned(), start, effects, room });
            }
        }
        for (name, room, place) in lying_in.into_iter().filter(|(_, room, _)| !rooms.contains(&room.as_str())) {
            let message = format!("plant {name} is in `{room}`, and there is no such room");
            section.report(Diagnostic::new(message, place, known("rooms", &rooms)));
        }
        if let Some(probes) = section.table("probes") {
            config.probes(&probes, &names);
        }
        section.finish();
        Some(config)
    }

    /// `pins = "pins.log"`: where the pins' levels are written down, relative to the state directory.
    pub fn pins(&self) -> Option<&Path> {
        self.pins.as_deref()
    }

    /// Reports the sensors and outputs that the simulation names and nobody has. Where they stand is forgotten with that.
    pub fn check(&mut self, sensors: &[SensorId], outputs: &[OutputId]) -> Vec<Diagnostic> {
        let (named_sensors, named_outputs) = (std::mem::take(&mut self.sensors), std::mem::take(&mut self.outputs));
        let sensors = named_sensors.into_iter().filter(|(name, _)| !sensors.contains(name)).map(|(name, place)| {
            Diagnostic::new(
                format!("the simulation has a probe for `{name}`, and there is no such sensor"),
                place,
                known("sensors", sensors),
            )
        });
        let outputs = named_outputs.into_iter().filter(|(name, _)| !outputs.contains(name)).map(|(name, place)| {
            Diagnostic::new(
                format!("the simulation names `{name}`, and there is no such output"),
                place,
                known("outputs", outputs),
            )
        });
        sensors.chain(outputs).collect()
    }

    fn room(&mut self, section: &Section<'_>) -> Option<(Plant, Vec<Effect>)> {
        let temperature = within(section, "initial", Some(20.0), CELSIUS);
        let outdoor = within(section, "outdoor", Some(10.0), CELSIUS);
        let heat_capacity = within(section, "heat_capacity", None, ABOVE_ZERO);
        let heat_loss = within(section, "heat_loss", None, FROM_ZERO);
        let humidity = within(section, "humidity", Some(60.0), PERCENT);
        let pressure = within(section, "pressure", Some(1013.25), 300.0..=1100.0);
        let walls = section.table("walls").map(|walls| {
            let heat_capacity = within(&walls, "heat_capacity", None, ABOVE_ZERO);
            let coupling = within(&walls, "coupling", None, FROM_ZERO);
            walls.finish();
            Some(Walls { temperature: temperature?, heat_capacity: heat_capacity?, coupling: coupling? })
        });
        let effects = [
            self.effect(section, "heater", "power", EffectKind::Heat, 1.0),
            self.effect(section, "fan", "exchange", EffectKind::Exchange, 1.0),
        ];
        let room = Room {
            temperature: temperature?,
            outdoor: outdoor?,
            heat_capacity: heat_capacity?,
            heat_loss: heat_loss?,
            walls: match walls {
                Some(walls) => Some(walls?),
                None => None,
            },
            vapour: humidity? / 100.0 * saturation(temperature?),
            pressure: pressure?,
        };
        Some((Plant::Room(room), effects.into_iter().flatten().collect()))
    }

    fn soil(&mut self, section: &Section<'_>) -> Option<(Plant, Vec<Effect>)> {
        let moisture = within(section, "moisture", Some(50.0), PERCENT);
        let dries = within(section, "dries", Some(1.0), FROM_ZERO);
        let temperature = within(section, "initial", Some(15.0), CELSIUS);
        let pump = self.effect(section, "pump", "adds", EffectKind::Water, 1.0 / 60.0);
        let soil = Soil { moisture: moisture?, dries: dries? / 3600.0, temperature: temperature? };
        Some((Plant::Soil(soil), pump.into_iter().collect()))
    }

    /// `heater = { output = "heater", power = 1500 }`
    fn effect(
        &mut self,
        section: &Section<'_>,
        key: &'static str,
        strength_key: &'static str,
        kind: EffectKind,
        scale: f64,
    ) -> Option<Effect> {
        let table = section.table(key)?;
        let output = table.required::<OutputId>("output");
        let strength = within(&table, strength_key, None, FROM_ZERO);
        if let Some(output) = &output {
            self.outputs.push((output.clone(), table.place("output")));
        }
        table.finish();
        Some(Effect { output: output?, kind, strength: strength? * scale })
    }

    /// `air = "house"` or `air = { plant = "house", lag = "20s", noise = 0.05 }`
    fn probes(&mut self, section: &Section<'_>, plants: &[&str]) {
        for (key, value) in section.entries() {
            let name: &str = key.get_ref();
            let sensor = match SensorId::new(name) {
                Ok(sensor) => sensor,
                Err(error) => {
                    let message = format!("`{name}` is not the name of a sensor");
                    section.report(Diagnostic::new(message, Place::at(key.span()), error.to_string()));
                    continue;
                }
            };
            let (plant, place, lag, noise) = match value.get_ref() {
                DeValue::Table(table) => {
                    let table = section.inner(format!("the probe of {name}"), key.span(), table);
                    let plant = table.required::<String>("plant");
                    let lag = table.or("lag", Duration::ZERO).as_secs_f64();
                    let noise = within(&table, "noise", Some(0.0), 0.0..=1e6);
                    let place = table.place("plant");
                    table.finish();
                    (plant, place, lag, noise)
                }
                other => match String::read(other) {
                    Ok(plant) => (Some(plant), Place::at(value.span()), 0.0, Some(0.0)),
                    Err(_) => {
                        section.report(Diagnostic::new(
                            format!("the probe of {name} is not the name of a plant"),
                            Place::at(value.span()),
                            "write \"house\" or { plant = \"house\", lag = \"20s\", noise = 0.05 }",
                        ));
                        continue;
                    }
                },
            };
            self.sensors.push((sensor.clone(), Place::at(key.span())));
            let (Some(plant), Some(noise)) = (plant, noise) else { continue };
            if plants.contains(&plant.as_str()) {
                self.probes.push(ProbeConfig { sensor, plant, lag, noise });
            } else {
                let message = format!("the probe of {name} is in `{plant}`, and there is no such plant");
                section.report(Diagnostic::new(message, place, known("plants", plants)));
            }
        }
    }
}

/// A number within limits; required if it has no default.
fn within(section: &Section<'_>, key: &'static str, default: Option<f64>, range: RangeInclusive<f64>) -> Option<f64> {
    let value = match default {
        Some(default) if !section.has(key) => default,
        Some(_) => section.optional(key)?,
        None => section.required(key)?,
    };
    if range.contains(&value) {
        return Some(value);
    }
    let message = format!("`{key} = {value}` of {} is out of range", section.what());
    section.wrong(key, message, format!("it is from {} to {}", range.start(), range.end()));
    None
}

fn known<T: ToString>(what: &str, names: &[T]) -> String {
    if names.is_empty() {
        return format!("there are no {what}");
    }
    let names: Vec<String> = names.iter().map(T::to_string).collect();
    format!("known {what}: {}", names.join(", "))
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;

    use toml::de::DeTable;

    use super::*;

    /// A simulation table and what was reported on it.
    pub fn read(toml: &str) -> (Option<Config>, Vec<Diagnostic>) {
        let table = DeTable::parse(toml).unwrap();
        let found = RefCell::default();
        let config = Config::read(Section::new("the simulation", 0..0, table.get_ref(), &found));
        (config, found.into_inner())
    }

    const GREENHOUSE: &str = r#"
        seed = 7
        pins = "pins.log"

        [plants.house]
        kind = "room"
        initial = 12.0
        outdoor = 8
        heat_capacity = 60000
        heat_loss = 40
        walls = { heat_capacity = 200000, coupling = 30 }
        heater = { output = "heater", power = 1500 }
        fan = { output = "fan", exchange = 60 }

        [plants.bed]
        kind = "soil"
        moisture = 45
        dries = 3.6
        room = "house"
        pump = { output = "pump", adds = 6 }

        [probes]
        air = { plant = "house", lag = "20s", noise = 0.05 }
        soil = "bed"
    "#;

    #[test]
    fn a_greenhouse_is_read_as_written() {
        let (config, found) = read(GREENHOUSE);
        assert_eq!(found, []);
        let config = config.unwrap();
        assert_eq!((config.seed, config.pins()), (7, Some(Path::new("pins.log"))));
        let [house, bed] = &config.plants[..] else { panic!("{config:?}") };
        assert_eq!((house.name.as_str(), house.effects.len()), ("house", 2));
        assert_eq!(bed.effects[0].strength, 0.1);
        assert_eq!(bed.room.as_deref(), Some("house"));
        assert_eq!((config.probes[0].lag, config.probes[0].noise), (20.0, 0.05));
        assert_eq!((config.probes[1].lag, config.probes[1].noise), (0.0, 0.0));
    }

    #[test]
    fn names_that_nobody_has_are_found_at_their_place() {
        let (config, _) = read(GREENHOUSE);
        let ids = |names: &[&str]| names.iter().map(|name| OutputId::new(name).unwrap()).collect::<Vec<_>>();
        let found = config.unwrap().check(&[SensorId::new("air").unwrap()], &ids(&["heater", "fan"]));
        let told: Vec<_> =
            found.iter().map(|mistake| (&GREENHOUSE[mistake.place.0.clone()], mistake.hint.as_str())).collect();
        assert_eq!(told, [("soil", "known sensors: air"), ("\"pump\"", "known outputs: heater, fan")]);
    }

    #[test]
    fn every_mistake_is_reported() {
        let cases = [
            ("sede = 1", "unknown key `sede`"),
            ("[plants.a]\nkind = \"lake\"", "no plant of kind `lake`"),
            ("[plants.a]\nkind = \"room\"\nheat_loss = 1", "needs `heat_capacity`"),
            ("[plants.a]\nkind = \"room\"\nheat_loss = 1\nheat_capacity = 0", "out of range"),
            ("[plants.a]\nkind = \"soil\"\nmoisture = 101", "out of range"),
            ("[plants.a]\nkind = \"soil\"\nroom = \"b\"", "no such room"),
            ("[plants.a]\nkind = \"soil\"\npump = { output = \"p\" }", "needs `adds`"),
            ("[probes]\nair = \"house\"", "no such plant"),
            ("[probes]\nair = 1", "not the name of a plant"),
            ("[probes]\n\"a b\" = \"house\"", "not the name of a sensor"),
            ("[probes]\nair = { plant = \"a\", lga = \"1s\" }\n[plants.a]\nkind = \"soil\"", "unknown key `lga`"),
        ];
        for (toml, expected) in cases {
            let (_, found) = read(toml);
            assert_eq!(found.len(), 1, "{toml}: {found:?}");
            assert!(found[0].message.contains(expected), "{toml}: {found:?}");
        }
    }
}
