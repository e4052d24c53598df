//! `homeostat drivers`: what can be connected, and how. The same tables that read the configuration say it, so it cannot be out of date.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use super::database::Sorry;
use super::page::{Ink, Page};
use crate::config::{Section, nearest};
use crate::outputs::{self, Resolution};
use crate::sensors::{self, computed};

/// What there is to say of a driver.
struct Known {
    kind: Kind,
    name: &'static str,
    summary: &'static str,
    about: &'static str,
    example: &'static str,
    /// What its example measures or takes: `temperature in °C`.
    gives: String,
    /// The keys of its own that it knows.
    keys: Vec<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sensor,
    Computed,
    Output,
}

impl Kind {
    fn heading(self) -> &'static str {
        match self {
            Self::Sensor => "Sensors",
            Self::Computed => "Sensors that are computed from others",
            Self::Output => "Outputs",
        }
    }
}

/// All of them, or one in full, for people; or all in full as a page of the documentation.
pub fn drivers(name: Option<&str>, markdown: bool) -> Result<(), Sorry> {
    let all = known();
    let mut out = io::stdout();
    let page = Page::of(&out);
    let text = match name {
        None if markdown => self::markdown(&all),
        None => list(&all, &page),
        Some(name) => {
            let called: Vec<&Known> = all.iter().filter(|driver| driver.name == name).collect();
            if called.is_empty() {
                let names: Vec<&str> = all.iter().map(|driver| driver.name).collect();
                let next = match nearest(name, &names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`homeostat drivers` lists them all".to_owned(),
                };
                return Err(Sorry::missing(format!("there is no driver `{name}`"), next));
            }
            called.into_iter().map(|driver| in_full(driver, &page)).collect::<Vec<_>>().join("\n")
        }
    };
    // Whoever closed the pipe has seen enough.
    let _ = out.write_all(text.as_bytes());
    Ok(())
}

fn known() -> Vec<Known> {
    let sensors = sensors::DRIVERS.iter().map(|entry| {
        let (config, keys) = example(entry.example, |section| (entry.read)(section));
        let channels = config.map(|config| {
            let channel = |channel: &sensors::Channel| match channel.quantity.unit() {
                "" => channel.name.to_owned(),
                unit => format!("{} in {unit}", channel.name),
            };
            config.channels().iter().map(channel).collect::<Vec<_>>().join(", ")
        });
        let sensors::Entry { name, summary, about, example, .. } = *entry;
        Known { kind: Kind::Sensor, name, summary, about, example, gives: channels.unwrap_or_default(), keys }
    });
    let computed = computed::DRIVERS.iter().map(|entry| {
        let computed::Entry { name, summary, about, example, .. } = *entry;
        Known { kind: Kind::Computed, name, summary, about, example, gives: String::new(), keys: Vec::new() }
    });
    let outputs = outputs::DRIVERS.iter().map(|entry| {
        let (config, keys) = self::example(entry.example, |section| (entry.read)(section));
        let takes = config.map(|config| match config.resolution() {
            Resolution::Switch => "on and off",
            Resolution::Continuous => "every level",
        });
        let outputs::Entry { name, summary, about, example, .. } = *entry;
        Known { kind: Kind::Output, name, summary, about, example, gives: takes.unwrap_or_default().into(), keys }
    });
    sensors.chain(computed).chain(outputs).collect()
}

/// What a driver makes of its example, and the keys that it asks for.
fn example<T>(text: &str, read: impl FnOnce(&Section<'_>) -> Option<T>) -> (Option<T>, Vec<&'static str>) {
    super::example::read(text, read).map_or_else(|| (None, Vec::new()), |example| (example.config, example.keys))
}

fn list(all: &[Known], page: &Page) -> String {
    let wide = all.iter().map(|driver| driver.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for kind in [Kind::Sensor, Kind::Computed, Kind::Output] {
        let _ = writeln!(text, "{}", page.ink(Ink::Heading, kind.heading()));
        for driver in all.iter().filter(|driver| driver.kind == kind) {
            let _ = writeln!(text, "  {:<wide$}  {}", driver.name, page.hang(wide + 4, driver.summary));
        }
        text.push('\n');
    }
    text.push_str("`homeostat drivers NAME` tells how one is connected, and shows its table for the configuration.\n");
    text
}

fn in_full(driver: &Known, page: &Page) -> String {
    let mut text = String::new();
    let _ = write_in_full(&mut text, driver, page);
    text
}

fn write_in_full(text: &mut String, driver: &Known, page: &Page) -> fmt::Result {
    writeln!(text, "{}: {}\n", page.ink(Ink::Heading, driver.name), driver.summary)?;
    text.push_str(driver.about.trim_end());
    text.push('\n');
    for (label, what) in facts(driver) {
        let label = format!("{label:<9}");
        writeln!(text, "{}{}", page.ink(Ink::Dim, &label), page.hang(label.len(), &what))?;
    }
    writeln!(text, "\n{}", driver.example.trim())
}

/// Its channels or levels, and its own keys.
fn facts(driver: &Known) -> Vec<(&'static str, String)> {
    let gives = if driver.kind == Kind::Output { "takes" } else { "measures" };
    let keys = driver.keys.join(", ");
    [(gives, driver.gives.clone()), ("keys", keys)].into_iter().filter(|(_, what)| !what.is_empty()).collect()
}

fn markdown(all: &[Known]) -> String {
    let mut text = String::new();
    let _ = write_markdown(&mut text, all);
    text
}

fn write_markdown(text: &mut String, all: &[Known]) -> fmt::Result {
    writeln!(text, "# Drivers\n")?;
    writeln!(
        text,
        "Written by `homeostat drivers --markdown`; a test holds it against the program. `homeostat drivers NAME` shows one of\nthem \
         on a terminal. What every sensor can do besides (filters, plausibility, calibration) is in the README."
    )?;
    for kind in [Kind::Sensor, Kind::Computed, Kind::Output] {
        let drivers = || all.iter().filter(|driver| driver.kind == kind);
        let gives = if kind == Kind::Output { "takes" } else { "measures" };
        writeln!(text, "\n## {}\n\n| driver | {gives} | |\n|---|---|---|", kind.heading())?;
        for driver in drivers() {
            writeln!(text, "| [{0}](#{0}) | {1} | {2} |", driver.name, driver.gives, driver.summary)?;
        }
    }
    for driver in all {
        writeln!(text, "\n### {}\n\n{}\n\n{}", driver.name, sentence(driver.summary), driver.about.trim_end())?;
        if !driver.keys.is_empty() {
            let keys: Vec<String> = driver.keys.iter().map(|key| format!("`{key}`")).collect();
            writeln!(text, "- Keys: {}", keys.join(", "))?;
        }
        writeln!(text, "\n```toml\n{}\n```", driver.example.trim())?;
    }
    Ok(())
}

/// With a capital letter and a full stop.
fn sentence(summary: &str) -> String {
    let mut letters = summary.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_driver_says_what_a_person_needs() {
        for driver in known() {
            let Known { name, summary, about, example, .. } = &driver;
            assert!(!summary.is_empty() && !summary.ends_with('.') && summary.len() < 100, "{name}: {summary}");
            let is_a_list =
                about.starts_with("- ") && about.lines().all(|line| line.starts_with("- ") || line.starts_with("  "));
            assert!(is_a_list && about.lines().all(|line| line.chars().count() <= 150), "{name}:\n{about}");
            assert!(example.contains(&format!("driver = \"{name}\"")), "{name}: {example}");
            assert!(driver.kind == Kind::Computed || !driver.gives.is_empty(), "{name}: its example cannot be read");
        }
    }

    #[test]
    fn names_are_in_the_order_of_the_alphabet_and_each_is_there_once() {
        for kind in [Kind::Sensor, Kind::Computed, Kind::Output] {
            let names: Vec<_> = known().iter().filter(|driver| driver.kind == kind).map(|driver| driver.name).collect();
            assert!(names.is_sorted() && names.windows(2).all(|two| two[0] != two[1]), "{names:?}");
        }
    }

    #[test]
    fn the_page_of_the_documentation_is_what_the_program_says() {
        let page = std::fs::read_to_string("docs/drivers.md").unwrap();
        assert!(page == markdown(&known()), "write it again: cargo run -- drivers --markdown > docs/drivers.md");
    }
}
