//! `homeostat pins`: the 40-pin header, and who has which pin of it.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::bench::{Whose, configuration};
use super::client::{Client, Trouble};
use super::database::Sorry;
use super::page::{Ink, Page};
use crate::config::{Config, HardwareKind};
use crate::model::{Claim, HEADER, HeaderPin, Level};
use crate::payload::Status;

/// A device, what it is called by, and what it takes.
struct Device {
    /// `heater`
    name: String,
    claims: Vec<Claim>,
    /// What its pin is at, if a daemon says so.
    level: Option<String>,
}

/// Draws it, for the configuration of the daemon that runs or for a file.
pub fn pins(Whose { config, at }: Whose) -> Result<(), Sorry> {
    let client = Client::new(at.socket);
    let running =
        if config.is_none() { client.get::<Status<'static>>("status") } else { Err(Trouble::NoDaemon(Vec::new())) };
    let running = match running {
        Ok(status) => Some(status),
        Err(Trouble::NoDaemon(_)) => None,
        Err(trouble) => return Err(trouble.into()),
    };
    let named = config.or_else(|| running.as_ref().map(|status| PathBuf::from(&*status.config)));
    let (config, file) = configuration(named)?;
    let mut out = io::stdout();
    let page = Page::of(&out);
    let mut text = format!("{}\n\n", page.ink(Ink::Heading, &file.display().to_string()));
    // Writing to a String cannot fail.
    let _ = draw(&mut text, &devices(&config, running.as_ref()), &page);
    for doubt in doubts(&config) {
        let _ = writeln!(text, "\n{}", page.ink(Ink::Alert, &doubt.to_string()));
    }
    let _ = out.write_all(text.as_bytes());
    Ok(())
}

/// Something that may be wrong.
#[derive(Debug)]
pub struct Doubt {
    /// What.
    pub message: String,
    /// The next step.
    pub hint: String,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.hint)
    }
}

/// What may be on one pin, and may not: only the person who wired it knows.
pub fn doubts(config: &Config) -> Vec<Doubt> {
    // Of what other boards' lines are for, nobody knows.
    if config.node.hardware == HardwareKind::Linux {
        return Vec::new();
    }
    let devices = devices(config, None);
    let mut doubts = Vec::new();
    for device in &devices {
        for channel in &device.claims {
            let lines = channel.header_choice();
            let has = |device: &Device, line: u8| device.claims.iter().any(|claim| claim.takes_line(line));
            if lines.iter().any(|line| has(device, *line)) {
                continue;
            }
            let free: Vec<String> = lines
                .iter()
                .filter(|line| !devices.iter().any(|other| has(other, **line)))
                .map(|line| format!("`pin = {line}`"))
                .collect();
            for line in lines {
                // A bus is surely where it is, so the channel is on the other one.
                for other in devices.iter().filter(|other| other.claims.contains(&Claim::Pin(*line))) {
                    let message = format!(
                        "{} has {channel}, which comes out on GPIO {} or {}, as its overlay says, and {} has GPIO {line}",
                        device.name, lines[0], lines[1], other.name
                    );
                    let hint = format!("write {} for {} if that is where it is", free.join(" or "), device.name);
                    doubts.push(Doubt { message, hint });
                }
            }
        }
    }
    doubts
}

fn devices(config: &Config, running: Option<&Status<'_>>) -> Vec<Device> {
    let sensors = config.sensors.iter().map(|sensor| Device {
        name: sensor.id.to_string(),
        claims: sensor.device.claims(),
        level: None,
    });
    let outputs = config.outputs.iter().map(|output| {
        let state = running.and_then(|status| status.outputs.get(output.id.as_str()));
        let level = state
            .map(|state| Level::clamped(if state.on || state.level == 0.0 { state.level } else { 0.0 }).to_string());
        Device { name: output.id.to_string(), claims: output.device.claims(), level }
    });
    sensors.chain(outputs).collect()
}

/// So wide is a column of names.
const WIDE: usize = 26;

fn draw(text: &mut String, devices: &[Device], page: &Page) -> fmt::Result {
    let users = users(devices);
    let used = |line: u8| users.get(&line).map(|names| names.join(", "));
    for pair in HEADER.chunks_exact(2).enumerate().map(|(row, pair)| (2 * row + 1, pair)) {
        let (number, [left, right]) = (pair.0, [pair.1[0], pair.1[1]]);
        let (label, name) = (label(left), cell(left, &used));
        write!(text, "{}  {label:>14} {number:>2}", page.ink(ink(left, &used), &format!("{name:>WIDE$}")))?;
        let (label, name) = (self::label(right), cell(right, &used));
        let line = format!(" \u{2022} \u{2022} {:<2} {label:<14}  {}", number + 1, page.ink(ink(right, &used), &name));
        writeln!(text, "{}", line.trim_end())?;
    }
    let elsewhere: Vec<String> = devices.iter().filter_map(elsewhere).collect();
    if !elsewhere.is_empty() {
        writeln!(text, "\n{}", page.ink(Ink::Heading, "elsewhere"))?;
    }
    elsewhere.iter().try_for_each(|line| writeln!(text, "  {line}"))
}

/// Who has each line. A bus is named once for all that are on it.
fn users(devices: &[Device]) -> BTreeMap<u8, Vec<String>> {
    let mut users: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for device in devices {
        for claim in &device.claims {
            let (lines, who): (&[u8], String) = match (claim, &device.level) {
                (Claim::Pin(line), Some(level)) => (std::slice::from_ref(line), format!("{} ({level})", device.name)),
                (Claim::Pin(line), None) => (std::slice::from_ref(line), device.name.clone()),
                (claim, _) => (claim.header_lines(), bus(claim)),
            };
            for line in lines {
                let names = users.entry(*line).or_default();
                if !names.contains(&who) {
                    names.push(who.clone());
                }
            }
        }
    }
    users
}

fn bus(claim: &Claim) -> String {
    match claim {
        Claim::I2c { bus, .. } | Claim::I2cInput { bus, .. } => format!("I\u{b2}C bus {bus}"),
        Claim::Spi { bus, .. } | Claim::SpiInput { bus, .. } => format!("SPI bus {bus}"),
        other => other.to_string(),
    }
}

/// What a device has besides pins: `air: address 0x76 on I²C bus 1`.
fn elsewhere(device: &Device) -> Option<String> {
    let others: Vec<String> =
        device.claims.iter().filter(|claim| !matches!(claim, Claim::Pin(_))).map(Claim::to_string).collect();
    let level = device.level.as_ref().map(|level| format!(" ({level})")).unwrap_or_default();
    (!others.is_empty()).then(|| format!("{}{level}: {}", device.name, others.join(", ")))
}

fn label(pin: HeaderPin) -> String {
    match pin {
        HeaderPin::Supply(name) => name.to_owned(),
        HeaderPin::Gpio(line, "") => format!("GPIO {line}"),
        HeaderPin::Gpio(line, also) => format!("{also} GPIO {line}"),
    }
}

fn cell(pin: HeaderPin, used: &impl Fn(u8) -> Option<String>) -> String {
    match pin {
        HeaderPin::Supply(_) => String::new(),
        HeaderPin::Gpio(line, _) => used(line).unwrap_or_default(),
    }
}

fn ink(pin: HeaderPin, used: &impl Fn(u8) -> Option<String>) -> Ink {
    if cell(pin, used).is_empty() { Ink::Dim } else { Ink::Heading }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::config;

    #[test]
    fn what_may_be_on_the_pin_of_a_pwm_channel_is_doubted_until_somebody_says_where_that_is() {
        let doubts = |fan: &str, hardware: &str| {
            let text = format!(
                "[node]\nname = \"x\"\nhardware = \"{hardware}\"\n[outputs.lamp]\ndriver = \"gpio\"\npin = 18\n\
                 [outputs.fan]\ndriver = \"pwm\"\n{fan}\n"
            );
            let doubts = super::doubts(&config::parse(&text).unwrap());
            doubts.iter().map(Doubt::to_string).collect::<Vec<_>>()
        };
        let told = doubts("channel = 0", "simulated");
        assert_eq!(
            told,
            [
                "fan has PWM channel 0, which comes out on GPIO 12 or 18, as its overlay says, and lamp has GPIO 18: write `pin = 12` for \
                 fan if that is where it is"
            ]
        );
        for (fan, hardware) in
            [("channel = 0\npin = 12", "simulated"), ("channel = 1", "simulated"), ("channel = 0", "linux")]
        {
            assert_eq!(doubts(fan, hardware), [""; 0], "{fan} {hardware}");
        }
    }

    #[test]
    fn every_device_is_where_it_is_wired() {
        let text = "[node]\nname = \"x\"\nhardware = \"simulated\"\n\
                    [sensors.air]\ndriver = \"bme280\"\n[outputs.heater]\ndriver = \"gpio\"\npin = 17\n";
        let config = config::parse(text).unwrap();
        let mut drawn = String::new();
        draw(&mut drawn, &devices(&config, None), &Page { colours: false, zone: TimeZone::UTC }).unwrap();
        let line = |pin: &str| drawn.lines().find(|line| line.contains(pin)).unwrap().to_owned();
        assert_eq!(drawn.lines().count(), 23, "{drawn}");
        assert!(line("GPIO 17").trim_start().starts_with("heater"), "{drawn}");
        assert!(line("GPIO 17").contains("11 \u{2022} \u{2022} 12 PWM0 GPIO 18"), "{drawn}");
        assert!(line("SDA1").trim_start().starts_with("I\u{b2}C bus 1"), "{drawn}");
        assert!(drawn.ends_with("  air: address 0x76 on I\u{b2}C bus 1\n"), "{drawn}");
    }
}
