//! `homeostat why heater`: the chain from a reading to the pin as it is now, and what was before.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::client::{Client, Trouble, encoded};
use super::page::{Ink, Page, ago, level};
use crate::payload::{Output, RestsOn, Status, Why};

/// As many as one looks at; the rest is in the API.
const CHANGES: usize = 12;

/// Where what follows a label begins.
const COLUMN: usize = 14;

/// Tells it of one output, or of all.
pub fn why(client: &Client, output: Option<&str>) -> Result<(), Trouble> {
    let names = match output {
        Some(name) => vec![name.to_owned()],
        None => client.get::<Status<'static>>("status")?.outputs.keys().map(ToString::to_string).collect(),
    };
    let mut out = io::stdout();
    for (index, name) in names.iter().enumerate() {
        let why: Why<'static> = client.get(&format!("outputs/{}/why", encoded(name)))?;
        let between = if index == 0 { "" } else { "\n" };
        let _ = write!(out, "{between}{}", render(&why, &Page::of(&out)));
    }
    Ok(())
}

/// The whole answer.
fn render(why: &Why<'_>, page: &Page) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = heading(&mut text, why, page);
    let mut row = |label: &str, what: &str| {
        let label = page.ink(Ink::Dim, &format!("{label:<12}"));
        let _ = writeln!(text, "  {label}{}", page.hang(COLUMN, what));
    };
    if let Some(rests_on) = &why.rests_on {
        row("reading", &reading(why, rests_on));
        row("controller", &controller(why, rests_on));
    }
    row("demand", &demand(&why.now));
    match &why.now.limit {
        Some(limit) => row("limit", limit),
        None if why.now.by.is_some() => row("limit", "none in the way"),
        None => {}
    }
    row("pin", &pin(&why.now));
    let _ = before(&mut text, why, page);
    text
}

fn heading(text: &mut String, why: &Why<'_>, page: &Page) -> std::fmt::Result {
    let Output { level: part, since, confirmed, .. } = why.now;
    let at = if part > 0.0 && part < 1.0 { "at " } else { "" };
    let confirmed =
        if confirmed { "confirmed".to_owned() } else { page.ink(Ink::Alert, "not confirmed by the hardware") };
    let output = page.ink(Ink::Heading, &why.output);
    writeln!(text, "{output} is {at}{} since {}, {confirmed}", level(part), page.time(since, why.time))
}

fn reading(why: &Why<'_>, RestsOn { input, value, seq, .. }: &RestsOn<'_>) -> String {
    let Some(newest) = &why.reading else { return format!("{input} {value:.2} (no. {seq}), which has gone") };
    let (unit, quality, when) = (&newest.unit, &newest.quality, ago(newest.time, why.time));
    let reason = newest.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    if newest.seq == *seq {
        return format!("{input} {value:.2} {unit}, {quality}{reason}, {when} (no. {seq})");
    }
    let now = newest.value.map(|value| format!("{value:.2} {unit}, ")).unwrap_or_default();
    format!("{input} {value:.2} {unit} (no. {seq}); since then {now}{quality}{reason}, {when}")
}

fn controller(why: &Why<'_>, rests_on: &RestsOn<'_>) -> String {
    let &RestsOn { ref by, setpoint, p, i, d, .. } = rests_on;
    let name = by.strip_prefix("controllers.").unwrap_or(by);
    let now = why.controller.as_ref();
    match now.map(|now| &*now.mode) {
        Some("waiting") => return format!("{name} aims at {setpoint:.2}, but waits for a reading that it can use"),
        Some("manual") => {
            return format!("{name} is held at {:.0} % by hand", percent(now.map_or(0.0, |now| now.output)));
        }
        _ => {}
    }
    let sum = percent(p + i + d);
    let mut text = format!("{name} aims at {setpoint:.2}: p {p:+.3}, i {i:+.3}, d {d:+.3} = {sum:.0} %");
    // What it made of exactly these terms, not of a later reading.
    let Some(now) = now.filter(|now| (now.p, now.i, now.d) == (p, i, d)) else { return text };
    let output = percent(now.output);
    if output != sum {
        // On one line, whichever that is.
        text += &format!(", cut\u{a0}to\u{a0}{output:.0} %");
    }
    if why.now.level == 0.0 && why.now.limit.is_none() {
        text += match output {
            0.0 => "",
            1.0.. => "; it raises, and this output lowers",
            _ => "; it lowers, and this output raises",
        };
    }
    text
}

/// Without the sign of a zero.
fn percent(part: f64) -> f64 {
    (part * 100.0).round() + 0.0
}

fn demand(now: &Output<'_>) -> String {
    match &now.by {
        None if now.limit.is_some() => "no live demand, so it is to rest at its safe level".to_owned(),
        None => format!("{}, so it rests at its safe level", now.why),
        Some(_) if now.limit.is_none() => now.why.to_string(),
        Some(by) if now.level > 0.0 => format!("{by} asks for {}", level(now.level)),
        Some(by) => format!("{by} asks for something else"),
    }
}

fn pin(now: &Output<'_>) -> String {
    let is = match (now.on, now.level > 0.0) {
        (true, true) if now.level < 1.0 => "on at this moment",
        (true, _) => "on",
        (false, true) => "off at this moment",
        (false, false) => "off",
    };
    let obeys = if now.confirmed { "confirmed" } else { "not confirmed: the last write failed, and is tried again" };
    format!("{is}, {obeys}")
}

fn before(text: &mut String, why: &Why<'_>, page: &Page) -> std::fmt::Result {
    let shown = &why.before[..why.before.len().min(CHANGES)];
    if shown.is_empty() {
        return Ok(());
    }
    writeln!(text, "{}", page.ink(Ink::Heading, "before:"))?;
    let times: Vec<String> = shown.iter().map(|change| page.time(change.since, why.time)).collect();
    let width = times.iter().map(String::len).max().unwrap_or_default();
    for (change, time) in shown.iter().zip(&times) {
        let unconfirmed = if change.confirmed { "" } else { " (not confirmed)" };
        let what = page.hang(width + 10, &format!("{}{unconfirmed}", change.why));
        writeln!(text, "  {time:>width$}  {:<4}  {what}", level(change.level))?;
    }
    match why.before.len() - shown.len() {
        0 => Ok(()),
        more => writeln!(text, "  {}", page.ink(Ink::Dim, &format!("and {more} earlier changes"))),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::model::Timestamp;
    use crate::payload::{Controller, Reading};

    const NOW: i64 = 1_795_250_000_250;

    fn told(why: &Why<'_>) -> String {
        let text = render(why, &Page { colours: false, zone: TimeZone::UTC });
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        text
    }

    fn output(seconds_ago: i64, level: f64, by: Option<&'static str>, why: &'static str) -> Output<'static> {
        Output {
            level,
            on: level > 0.0,
            by: by.map(Into::into),
            since: Timestamp::from_millis(NOW - seconds_ago * 1000),
            why: why.into(),
            limit: None,
            because: None,
            confirmed: true,
        }
    }

    /// The same, kept from what it is asked for.
    fn limited(seconds_ago: i64, level: f64, by: Option<&'static str>, limit: &'static str) -> Output<'static> {
        Output { limit: Some(limit.into()), ..output(seconds_ago, level, by, limit) }
    }

    fn heater() -> Why<'static> {
        let warmth = Some("controllers.warmth");
        Why {
            output: "heater".into(),
            time: Timestamp::from_millis(NOW),
            now: output(10, 0.4, warmth, "controllers.warmth asks for 40 %"),
            rests_on: Some(RestsOn {
                by: "controllers.warmth".into(),
                input: "air.temperature".into(),
                value: 21.34,
                seq: 81734,
                setpoint: 24.0,
                p: 0.319,
                i: 0.081,
                d: -0.0,
            }),
            reading: Some(Reading {
                value: Some(21.34),
                unit: "°C".into(),
                time: Timestamp::from_millis(NOW - 2000),
                quality: "good".into(),
                reason: None,
                seq: 81734,
            }),
            controller: Some(Controller {
                setpoint: 24.0,
                mode: "automatic".into(),
                input: Some(21.34),
                p: 0.319,
                i: 0.081,
                d: 0.0,
                output: 0.4,
            }),
            before: vec![limited(22, 0.0, warmth, "held off for min_off"), output(86_400, 0.0, None, "no live demand")],
        }
    }

    #[test]
    fn the_chain_goes_from_the_reading_to_the_pin() {
        assert_eq!(
            told(&heater()),
            "\
heater is at 40 % since 08:33:10, confirmed
  reading     air.temperature 21.34 °C, good, 2 s ago (no. 81734)
  controller  warmth aims at 24.00: p +0.319, i +0.081, d -0.000 = 40 %
  demand      controllers.warmth asks for 40 %
  limit       none in the way
  pin         on at this moment, confirmed
before:
             08:32:58  off   held off for min_off
  2026-11-20 08:33:20  off   no live demand
"
        );
    }

    #[test]
    fn a_limit_in_the_way_is_named() {
        let now = Output {
            on: false,
            confirmed: false,
            ..limited(3, 0.4, Some("controllers.warmth"), "held off for min_off")
        };
        let text = told(&Why { now, before: Vec::new(), ..heater() });
        assert!(text.starts_with("heater is at 40 % since 08:33:17, not confirmed by the hardware\n"), "{text}");
        assert!(
            text.contains("  limit       held off for min_off\n  pin         off at this moment, not confirmed"),
            "{text}"
        );
        assert!(!text.contains("before"), "{text}");
    }

    #[test]
    fn a_limit_that_keeps_it_from_its_safe_level_is_named_too() {
        let now = limited(3, 0.0, None, "held off for min_off");
        let text = told(&Why { now, rests_on: None, reading: None, controller: None, ..heater() });
        let expected = "no live demand, so it is to rest at its safe level\n  limit       held off for min_off\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn without_a_demand_it_says_who_has_fallen_silent_and_over_what() {
        let mut why = heater();
        why.now = output(30, 0.0, None, "no live demand");
        why.reading = Some(Reading {
            value: None,
            quality: "bad".into(),
            reason: Some("BME280 at 0x76 on i2c-1 does not answer".into()),
            seq: 81740,
            ..why.reading.unwrap()
        });
        why.controller = Some(Controller { mode: "waiting".into(), ..why.controller.unwrap() });
        why.before.clear();
        assert_eq!(
            told(&why),
            "\
heater is off since 08:32:50, confirmed
  reading     air.temperature 21.34 °C (no. 81734); since then bad: BME280 at
              0x76 on i2c-1 does not answer, 2 s ago
  controller  warmth aims at 24.00, but waits for a reading that it can use
  demand      no live demand, so it rests at its safe level
  pin         off, confirmed
"
        );
    }

    #[test]
    fn the_output_of_the_other_direction_says_so() {
        let mut why = heater();
        why.now = output(9, 0.0, Some("controllers.warmth"), "controllers.warmth asks for off");
        why.rests_on = why.rests_on.map(|rests_on| RestsOn { p: 1.434, i: 0.017, d: -0.024, ..rests_on });
        why.controller = why.controller.map(|now| Controller { p: 1.434, i: 0.017, d: -0.024, output: 1.0, ..now });
        let expected = "d -0.024 = 143 %,\n              cut to 100 %; it raises, and this output lowers\n";
        assert!(told(&why).contains(expected), "{}", told(&why));
    }

    #[test]
    fn a_long_past_is_cut_short() {
        let before = (1..=31).map(|ago| output(ago, 0.0, None, "no live demand")).collect();
        let text = told(&Why { before, ..heater() });
        assert!(text.ends_with("no live demand\n  and 19 earlier changes\n"), "{text}");
    }
}
