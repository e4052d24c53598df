//! `homeostat status`: everything as it is now, in a table for people or in JSON for machines.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use super::alarms::list;
use super::client::{Client, Trouble};
use super::page::{Ink, Page, ago, level, span};
use crate::payload::{Controller, Output, Reading, Sensor, Status};

/// Asks, and prints.
pub fn status(client: &Client, json: bool) -> Result<(), Trouble> {
    let mut out = io::stdout();
    let text = if json {
        let mut body = client.get_json("status")?;
        body.push(b'\n');
        body
    } else {
        render(&client.get("status")?, &Page::of(&out)).into_bytes()
    };
    let _ = out.write_all(&text);
    Ok(())
}

/// The table.
fn render(status: &Status<'_>, page: &Page) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, status, page);
    text
}

fn write(text: &mut String, status: &Status<'_>, page: &Page) -> fmt::Result {
    let Status { version, config, store, dropped, .. } = status;
    let node = page.ink(Ink::Heading, &status.node);
    let stage = if status.stage == "running" { status.stage.to_string() } else { page.ink(Ink::Alert, &status.stage) };
    let hardware = match status.hardware.as_ref() {
        "simulated" => "on simulated hardware",
        "linux" => "on a Linux board",
        _ => "on a Raspberry Pi",
    };
    let (since, uptime) = (page.time(status.since, status.time), span(status.uptime));
    writeln!(text, "{node} is {stage} since {since} ({uptime}) {hardware}")?;
    let small = |label: &str, what: &str| page.ink(Ink::Dim, &format!("{label:<15}{what}"));
    writeln!(text, "{}", small("homeostat", version))?;
    writeln!(text, "{}", small("configuration", config))?;
    writeln!(text, "{}", small("database", &store.file))?;
    let mut alert = |what: String| writeln!(text, "{}", page.ink(Ink::Alert, &what));
    if store.waiting > 0 {
        alert(format!("{} readings wait for the disk, which fails", store.waiting))?;
    }
    if store.lost > 0 {
        alert(format!("{} readings were lost to a disk that failed for too long", store.lost))?;
    }
    if *dropped > 0 {
        alert(format!("{dropped} messages were dropped, because somebody was too slow for them"))?;
    }

    let names = status.sensors.keys().chain(status.outputs.keys()).chain(status.controllers.keys());
    let wide = names.map(|name| name.chars().count()).max().unwrap_or_default().max(6);
    let heading = |what: &str| format!("\n{}", page.ink(Ink::Heading, what));
    if !status.sensors.is_empty() {
        writeln!(text, "{}", heading("sensors"))?;
    }
    for (name, sensor) in &status.sensors {
        self::sensor(text, name, sensor, wide, status, page)?;
    }
    if !status.outputs.is_empty() {
        writeln!(text, "{}", heading("outputs"))?;
    }
    for (name, output) in &status.outputs {
        writeln!(text, "  {name:<wide$}  {}", self::output(output, wide, page))?;
    }
    if !status.controllers.is_empty() {
        writeln!(text, "{}", heading("controllers"))?;
    }
    for (name, controller) in &status.controllers {
        writeln!(text, "  {name:<wide$}  {}", page.hang(wide + 4, &self::controller(controller)))?;
    }
    if status.alarms.is_empty() {
        return writeln!(text, "\nno alarms");
    }
    writeln!(text, "{}", heading("alarms"))?;
    list(&status.alarms, status.time, page).lines().try_for_each(|line| writeln!(text, "  {line}"))
}

fn sensor(
    text: &mut String,
    name: &str,
    sensor: &Sensor<'_>,
    wide: usize,
    status: &Status<'_>,
    page: &Page,
) -> fmt::Result {
    let offline = if sensor.online { String::new() } else { page.ink(Ink::Alert, "offline") };
    if sensor.channels.is_empty() {
        let what = if sensor.online { "has not read yet" } else { &offline };
        return writeln!(text, "  {name:<wide$}  {what}");
    }
    let channels = sensor.channels.keys().map(|channel| channel.chars().count()).max().unwrap_or_default().max(12);
    for (index, (channel, reading)) in sensor.channels.iter().enumerate() {
        let (name, offline) = if index == 0 { (name, &*offline) } else { ("", "") };
        let (value, what) = self::reading(reading, status, page);
        let line = format!("  {name:<wide$}  {channel:<channels$}{value}  {what}  {offline}");
        writeln!(text, "{}", line.trim_end())?;
    }
    Ok(())
}

/// The number in its column, and how old it is or what is wrong with it.
fn reading(reading: &Reading<'_>, status: &Status<'_>, page: &Page) -> (String, String) {
    let value = reading.value.map(|value| format!("{value:.2}")).unwrap_or_else(|| "-".to_owned());
    let age = ago(reading.time, status.time);
    let what = match &reading.reason {
        None if reading.quality == "good" => page.ink(Ink::Dim, &age),
        reason => {
            let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{}{reason}, {age}", page.ink(Ink::Alert, &reading.quality))
        }
    };
    (format!("{value:>10} {:<4}", reading.unit), what)
}

fn output(output: &Output<'_>, wide: usize, page: &Page) -> String {
    let pulse = match (output.on, output.level > 0.0 && output.level < 1.0) {
        (true, true) => "on now",
        (false, true) => "off now",
        _ => "",
    };
    let column = wide + 4 + 18;
    let unconfirmed = if output.confirmed { "" } else { " (not confirmed)" };
    let why = page.hang(column, &format!("{}{unconfirmed}", output.why));
    let why = if output.confirmed { why } else { page.ink(Ink::Alert, &why) };
    format!("{:<8}{pulse:<8}  {why}", level(output.level))
}

fn controller(controller: &Controller<'_>) -> String {
    let Controller { setpoint, output, .. } = controller;
    let to =
        controller.input.map_or_else(|| format!("to {setpoint:.2}"), |input| format!("{input:.2} to {setpoint:.2}"));
    let way = match (output * 100.0).round() {
        0.0 => "asks for nothing".to_owned(),
        part if part > 0.0 => format!("raises at {part:.0} %"),
        part => format!("lowers at {:.0} %", -part),
    };
    match &*controller.mode {
        "waiting" => format!("{to}, waits for a reading that it can use"),
        "manual" => format!("{to}, held by hand, {way}"),
        _ => format!("{to}, {way}"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    const STATUS: &str = r#"{
        "node": "greenhouse", "version": "0.1.0", "hardware": "simulated", "stage": "running",
        "config": "config.example.toml", "time": "2026-11-21T08:33:20.250Z", "since": "2026-11-21T07:30:20.250Z",
        "uptime": 3780,
        "counts": {"sensors": 2, "online": 1, "outputs": 2, "controllers": 1, "alarms": 1, "unacknowledged": 1},
        "sensors": {
            "air": {"online": true, "channels": {
                "humidity": {"value": 61.2, "unit": "%", "time": "2026-11-21T08:33:18.250Z", "quality": "good", "seq": 7},
                "temperature": {"value": 21.3, "unit": "°C", "time": "2026-11-21T08:33:18.250Z", "quality": "good", "seq": 6}
            }},
            "soil": {"online": false, "channels": {
                "moisture": {"value": null, "unit": "%", "time": "2026-11-21T08:32:18.250Z", "quality": "bad", "reason": "no answer", "seq": 5}
            }}
        },
        "outputs": {
            "fan": {"level": 0.0, "on": false, "by": null, "since": "2026-11-21T08:33:18.250Z", "why": "no live demand", "confirmed": true},
            "heater": {"level": 0.4, "on": true, "by": "controllers.warmth", "since": "2026-11-21T08:33:18.250Z", "why": "controllers.warmth asks for 40 %", "confirmed": true}
        },
        "controllers": {"warmth": {"setpoint": 24.0, "mode": "automatic", "input": 21.3, "p": 0.3, "i": 0.1, "d": 0.0, "output": 0.4}},
        "alarms": {"sensors.soil": {"text": "no answer", "since": "2026-11-21T08:32:18.250Z", "latched": false, "acknowledged": false}},
        "store": {"file": "homeostat.db", "waiting": 0, "lost": 0}, "dropped": 3
    }"#;

    fn told(status: &Status<'_>) -> String {
        let text = render(status, &Page { colours: false, zone: TimeZone::UTC });
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        text
    }

    #[test]
    fn everything_is_seen_at_one_glance() {
        assert_eq!(
            told(&serde_json::from_str(STATUS).unwrap()),
            "\
greenhouse is running since 07:30:20 (1 h 3 min) on simulated hardware
homeostat      0.1.0
configuration  config.example.toml
database       homeostat.db
3 messages were dropped, because somebody was too slow for them

sensors
  air     humidity         61.20 %     2 s ago
          temperature      21.30 °C    2 s ago
  soil    moisture             - %     bad: no answer, 1 min ago  offline

outputs
  fan     off               no live demand
  heater  40 %    on now    controllers.warmth asks for 40 %

controllers
  warmth  21.30 to 24.00, raises at 40 %

alarms
  sensors.soil since 08:32:18
    no answer
"
        );
    }

    #[test]
    fn an_empty_daemon_is_no_table_of_nothing() {
        let mut status: Status<'_> = serde_json::from_str(STATUS).unwrap();
        (status.sensors, status.outputs, status.controllers) = Default::default();
        (status.alarms, status.dropped) = Default::default();
        assert!(told(&status).ends_with("database       homeostat.db\n\nno alarms\n"));
    }
}
