//! The keys of a `[controllers.NAME]` table.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Config, pid};
use crate::config::{Devices, Diagnostic, Section, written};
use crate::model::{ControllerId, OutputId};

/// Without a sensor's interval to go by.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(10);
const STALE_AFTER: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(7 * 24 * 3600);
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
        let stale_after = stale_after(&section, input.as_ref().and_then(|(_, every)| *every));
        let gains = gains(&section);
        section.finish();
        let (input, _) = input?;
        Some(Self { id: id?, input, raise, lower, setpoint: setpoint?, stale_after, gains: gains? })
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
