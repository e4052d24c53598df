//! What a configuration asks for, part by part, and how one differs from another. Pure.
//!
//! A part is compared by its whole `Debug` text: the drivers' own settings are behind a trait object, and every one of them
//! derives `Debug`, so a setting that is added later cannot be forgotten here.

use std::collections::BTreeMap;
use std::fmt;

use crate::config::Config;

/// A configuration, ready to be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What only a restart can change, by where it stands in the file.
    fixed: BTreeMap<&'static str, String>,
    /// `sensors.air`, `outputs.heater`, `controllers.warmth`, `mqtt`, `alarms`, `store`, `simulation`.
    parts: BTreeMap<String, Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// Another one of these means: end it, and begin it anew.
    nature: String,
    /// Another one of these can be taken over as it runs.
    terms: String,
}

/// What became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is not there any more.
    Removed,
    /// It must be begun anew.
    Replaced,
    /// It goes on from where it is, with other limits or gains.
    Adjusted,
}

/// The difference between two plans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Where the file has what only a restart can change.
    pub fixed: Vec<&'static str>,
    /// Every part that is not as it was, by name.
    pub changed: BTreeMap<String, Change>,
    /// How many are as they were.
    pub same: usize,
}

impl Plan {
    /// What `config` asks for.
    pub fn of(config: &Config) -> Self {
        let mut parts = BTreeMap::new();
        let mut part = |name: String, nature: String, terms: String| parts.insert(name, Part { nature, terms });
        for sensor in &config.sensors {
            part(format!("sensors.{}", sensor.id), format!("{sensor:?}"), String::new());
        }
        for sensor in &config.computed {
            part(format!("sensors.{}", sensor.id), format!("{sensor:?}"), String::new());
        }
        for output in &config.outputs {
            // The safe level is how the hardware is taken.
            let nature = format!("{} {:?} {:?}", output.driver, output.device, output.limits.safe);
            part(format!("outputs.{}", output.id), nature, format!("{output:?}"));
        }
        for controller in &config.controllers {
            let wiring = format!("{:?} {:?}", controller.raise, controller.lower);
            part(format!("controllers.{}", controller.id), wiring, format!("{controller:?}"));
        }
        if let Some(mqtt) = &config.mqtt {
            part("mqtt".into(), format!("{} {mqtt:?}", config.node.name), String::new());
        }
        if let Some(alarms) = &config.alarms {
            part("alarms".into(), format!("{} {alarms:?}", config.node.name), String::new());
        }
        part("store".into(), format!("{:?}", config.store), String::new());
        // Told apart from the rest so that a world can change with its devices.
        part("simulation".into(), String::new(), format!("{:?}", config.simulation));
        let fixed = [
            ("[node] hardware", format!("{:?}", config.node.hardware)),
            ("[node] gpiochip", format!("{:?}", config.node.gpiochip)),
            ("[store] path", format!("{:?}", config.store.path)),
            ("[log]", format!("{:?}", config.log)),
        ];
        Self { fixed: fixed.into(), parts }
    }

    /// The same without the parts that `difference` ends: what is left of them is begun as if it were new.
    pub fn without(mut self, difference: &Difference) -> Self {
        self.parts.retain(|name, _| !difference.changed.contains_key(name));
        self
    }

    /// What must be done to come from this plan to `new`.
    pub fn to(&self, new: &Self) -> Difference {
        let fixed = self.fixed.iter().filter(|(place, text)| new.fixed.get(*place) != Some(text));
        let mut difference = Difference { fixed: fixed.map(|(place, _)| *place).collect(), ..Difference::default() };
        for (name, old) in &self.parts {
            let change = match new.parts.get(name) {
                None => Change::Removed,
                Some(part) if part.nature != old.nature => Change::Replaced,
                Some(part) if part.terms != old.terms => Change::Adjusted,
                Some(_) => {
                    difference.same += 1;
                    continue;
                }
            };
            difference.changed.insert(name.clone(), change);
        }
        let added = new.parts.keys().filter(|name| !self.parts.contains_key(*name));
        difference.changed.extend(added.map(|name| (name.clone(), Change::Added)));
        difference
    }
}

/// "sensors.air begun anew, outputs.pump removed; 7 go on as they were"
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changed.is_empty() {
            return f.write_str("nothing has changed");
        }
        for (number, (name, change)) in self.changed.iter().enumerate() {
            let what = match change {
                Change::Added => "added",
                Change::Removed => "removed",
                Change::Replaced => "begun anew",
                Change::Adjusted => "adjusted",
            };
            write!(f, "{}{name} {what}", if number == 0 { "" } else { ", " })?;
        }
        write!(f, "; {} went on as they were", self.same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const EXAMPLE: &str = include_str!("../../config.example.toml");

    fn plan(text: &str) -> Plan {
        Plan::of(&config::parse(text).unwrap())
    }

    #[test]
    fn each_change_is_found_and_nothing_else() {
        let cases: [(&str, String, &str); 11] = [
            ("nothing", EXAMPLE.to_owned(), "nothing has changed"),
            ("a comment", format!("# hello\n{EXAMPLE}"), "nothing has changed"),
            ("a gain", EXAMPLE.replace("kp = 0.12", "kp = 0.2"), "controllers.warmth adjusted"),
            ("another output", EXAMPLE.replace("lower = \"fan\"\n", ""), "controllers.warmth begun anew"),
            ("an interval", EXAMPLE.replace("every = \"5s\"", "every = \"6s\""), "sensors.air begun anew"),
            ("a driver's key", EXAMPLE.replace("input = 0", "input = 1"), "sensors.soil begun anew"),
            ("a pin", EXAMPLE.replace("pin = 17", "pin = 27"), "outputs.heater begun anew"),
            ("a safe level", EXAMPLE.replace("safe = \"30%\"", "safe = 0.304"), "outputs.fan begun anew"),
            ("a limit", EXAMPLE.replace("min_off = \"2s\"", "min_off = \"3s\""), "outputs.heater adjusted"),
            ("a plant", EXAMPLE.replace("outdoor = 8.0", "outdoor = 9.0"), "simulation adjusted"),
            ("the flush", EXAMPLE.replace("flush = \"10s\"", "flush = \"20s\""), "store begun anew"),
        ];
        for (what, text, expected) in cases {
            let difference = plan(EXAMPLE).to(&plan(&text));
            assert_eq!(difference.fixed, [""; 0], "{what}");
            assert_eq!(difference.to_string().split(';').next(), Some(expected), "{what}");
        }
    }

    #[test]
    fn another_secret_is_another_part_and_no_secret_is_told() {
        let with = |url: &str| format!("{EXAMPLE}\n[alarms]\nwebhook = \"{url}\"");
        let (one, other) = (plan(&with("https://a.example/one")), plan(&with("https://a.example/other")));
        assert!(one.to(&other).to_string().starts_with("alarms begun anew"));
        assert!(!format!("{one:?}").contains("example/one"));
    }

    #[test]
    fn what_only_a_restart_can_change_is_named() {
        let cases = [
            ("path = \"homeostat.db\"", "path = \"other.db\"", "[store] path"),
            ("hardware = \"simulated\"", "hardware = \"raspberry-pi\"", "[node] hardware"),
        ];
        for (old, new, place) in cases {
            assert_eq!(plan(EXAMPLE).to(&plan(&EXAMPLE.replacen(old, new, 1))).fixed, [place]);
        }
    }
}
