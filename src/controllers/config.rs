//! The keys of a `[controllers.NAME]` table.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Config, pid, watch};
use crate::config::{Devices, Diagnostic, Section, written};
use crate::model::{ControllerId, OutputId};

/// Without a sensor's interval to go by.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(10);
const STALE_AFTER: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(7 * 24 * 3600);
const WITHIN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
const FILTER: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);

impl Config {
    /// Reads a table and finds what it names among the devices. Reports what is wrong, and gives `None` then.
    pub fn read(name: &str, section: Section<'_>, devices: &mut Devices<'_>) -> Option<Self> {
        let id = section.name(name, ControllerId::new);
        // Which keys an unknown kind has, nobody knows.
        section.word("kind", &["pid"])?;
        let input = devices.channel(&section, "input");
        let raise = devices.drive(&section, "raise");
        let lower = devices.drive(&section, "lower");
        check_outputs(&section, [("raise", &raise), ("lower", &lower)], devices);
        let setpoint = section.required("setpoint");
        let every = input.as_ref().and_then(|(_, every)| *every);
        let stale_after = stale_after(&section, every);
        let gains = gains(&section);
        let watch = match section.table("watch") {
            Some(section) => watch(section, every).map(Some),
            None => (!section.has("watch")).then_some(None),
        };
        if let Some(Some(watch)) = &watch {
            check_rests(&section, watch, [&raise, &lower], devices);
        }
        section.finish();
        let (input, _) = input?;
        Some(Self { id: id?, input, raise, lower, setpoint: setpoint?, stale_after, gains: gains?, watch: watch? })
    }
}

/// An output that must rest before the watch has seen enough is never seen at full power for long enough.
fn check_rests(section: &Section<'_>, watch: &watch::Settings, outputs: [&Option<OutputId>; 2], devices: &Devices<'_>) {
    for output in outputs.into_iter().flatten() {
        let Some(most) = devices.max_on(output).filter(|most| *most <= watch.within) else { continue };
        section.wrong(
            "watch",
            format!("the `watch` of {} can never find that output {output} does nothing", section.what()),
            format!("its `max_on` ends after {} at once: make `within` shorter than that", written(most)),
        );
    }
}

fn check_outputs(section: &Section<'_>, outputs: [(&'static str, &Option<OutputId>); 2], devices: &Devices<'_>) {
    let what = section.what();
    if !section.has("raise") && !section.has("lower") {
        let hint = "add `raise = \"heater\"`, `lower = \"fan\"` or both, with the names of outputs";
        section.report(Diagnostic::absent(format!("{what} moves nothing"), section.header_place(), hint));
    }
    if let [(_, Some(raise)), (_, Some(lower))] = outputs
        && raise == lower
    {
        section.wrong(
            "lower",
            format!("{what} raises and lowers with the same output"),
            "name another output, or none",
        );
        return;
    }
    for (key, output) in outputs {
        if let Some(output) = output.as_ref().filter(|output| devices.only_switches(output)) {
            let message = format!("{what} turns output {output} up and down, which can only be on or off");
            let hint = format!("add `cycle = \"20s\"` to [outputs.{output}]: a level becomes on-time within it");
            section.report(Diagnostic::absent(message, section.place(key), hint));
        }
    }
}

/// For how long a reading counts, by default three times the sensor's interval. Shorter than two, one late reading
/// would stop the control.
fn stale_after(section: &Section<'_>, every: Option<Duration>) -> Duration {
    let usual = every.map_or(SHORTEST_PATIENCE, |every| (every * 3).max(SHORTEST_PATIENCE));
    let Some(given) = section.duration("stale_after", STALE_AFTER) else { return usual };
    if let Some(every) = every.filter(|every| given < *every * 2) {
        section.wrong(
            "stale_after",
            format!("`stale_after` of {} is shorter than two intervals of its sensor", section.what()),
            format!("there is a reading every {}: give it at least {}", written(every), written(every * 2)),
        );
    }
    given
}

fn gains(section: &Section<'_>) -> Option<pid::Gains> {
    let kp: Option<f64> = section.required("kp");
    let ki = section.or("ki", 0.0);
    let kd = section.or("kd", 0.0);
    let filter = section.duration("filter", FILTER);
    let kp = kp?;
    let gains = pid::Gains { kp, ki, kd, filter: filter.unwrap_or_else(|| usual_filter(kp, kd)) };
    if let Err(reason) = gains.check() {
        section.wrong("kp", format!("the gains of {} do not work", section.what()), reason);
        return None;
    }
    Some(gains)
}

/// A tenth of the derivative time, as is usual (Åström and Hägglund, Advanced PID Control, 3.3).
fn usual_filter(kp: f64, kd: f64) -> Duration {
    let derivative_time = if kp == 0.0 { kd } else { kd / kp };
    Duration::try_from_secs_f64(derivative_time.abs() / 10.0).unwrap_or_default().min(*FILTER.end())
}

/// `watch = { gain = 1.0, within = "10m", idle_gain = 3.0 }`
fn watch(section: Section<'_>, every: Option<Duration>) -> Option<watch::Settings> {
    let gain = section.required::<f64>("gain").filter(|gain| is_above_zero(&section, "gain", *gain));
    let within = if section.has("within") {
        section.duration("within", WITHIN).filter(|within| is_long_enough(&section, *within, every))
    } else {
        section.required("within")
    };
    let idle_gain = match section.optional::<f64>("idle_gain") {
        Some(gain) => is_above_zero(&section, "idle_gain", gain).then_some(Some(gain)),
        None => (!section.has("idle_gain")).then_some(None),
    };
    section.finish();
    Some(watch::Settings { gain: gain?, within: within?, idle_gain: idle_gain? })
}

fn is_above_zero(section: &Section<'_>, key: &str, gain: f64) -> bool {
    if gain <= 0.0 {
        let hint = match key {
            "gain" => {
                "how far full power surely moves the input in that time, in its unit: half of what it usually does"
            }
            _ => {
                "how far the input may move on without power in that time, in its unit: more than sun and weather can do"
            }
        };
        section.wrong(key, format!("`{key}` of {} is not above 0", section.what()), hint);
    }
    gain > 0.0
}

/// With fewer readings than three in its time, two bad moments of the sensor would be a fault of the plant.
fn is_long_enough(section: &Section<'_>, within: Duration, every: Option<Duration>) -> bool {
    let Some(every) = every.filter(|every| within < *every * 3) else { return true };
    section.wrong(
        "within",
        format!("`within` of {} is shorter than three intervals of its sensor", section.what()),
        format!("there is a reading every {}: give it at least {}", written(every), written(every * 3)),
    );
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said about a controller with this `watch`, whose sensor reads every five seconds.
    fn said(watch: &str) -> Result<Option<watch::Settings>, String> {
        let text = format!(
            r#"
            [node]
            name = "house"
            hardware = "simulated"
            [sensors.air]
            driver = "bme280"
            every = "5s"
            [outputs.fan]
            driver = "pwm"
            channel = 0
            min_off = "1m"
            max_on = "1h"
            [controllers.cool]
            kind = "pid"
            input = "air.temperature"
            lower = "fan"
            setpoint = 24
            kp = 0.1
            {watch}
            "#
        );
        match crate::config::parse(&text) {
            Ok(config) => Ok(config.controllers[0].watch),
            Err(mistakes) => {
                let said = |mistake: &Diagnostic| format!("{}: {}\n", mistake.message, mistake.hint);
                Err(mistakes.iter().map(said).collect())
            }
        }
    }

    #[test]
    fn a_watch_is_read_and_its_mistakes_say_what_to_write() {
        let within = Duration::from_secs(600);
        assert_eq!(said(""), Ok(None));
        let plain = watch::Settings { gain: 1.0, within, idle_gain: None };
        assert_eq!(said("watch = { gain = 1, within = \"10m\" }"), Ok(Some(plain)));
        let both = watch::Settings { idle_gain: Some(3.0), ..plain };
        assert_eq!(said("watch = { gain = 1.0, within = \"10m\", idle_gain = 3.0 }"), Ok(Some(both)));

        let cases = [
            ("watch = { gain = 1.0 }", "add `within = "),
            ("watch = { within = \"10m\" }", "add `gain = "),
            ("watch = { gain = 0, within = \"10m\" }", "`gain` of `watch` of controller cool is not above 0"),
            ("watch = { gain = 1, within = \"10m\", idle_gain = -1 }", "more than sun and weather can do"),
            ("watch = { gain = 1, within = \"14s\" }", "there is a reading every 5s: give it at least 15s"),
            ("watch = { gain = 1, within = \"48h\" }", "it goes from 1s to 24h"),
            ("watch = { gain = 1, within = \"10m\", idle_gian = 3 }", "did you mean `idle_gain`?"),
            ("watch = \"10m\"", "is not a table"),
            ("watch = { gain = 1, within = \"1h\" }", "its `max_on` ends after 1h at once: make `within` shorter"),
        ];
        for (watch, expected) in cases {
            let said = said(watch).expect_err(watch);
            assert!(said.contains(expected), "{watch}: {said}");
        }
    }
}
