//! Sensors and controllers: whoever is not touched does not notice, and whoever was comes back.

use std::collections::BTreeSet;
use std::time::Duration;

use homeostat::message::{Event, Mode};

use super::{Violation, violated};
use crate::schedules::house::{HOUSE, Sensor};
use crate::schedules::spans::{Moment, Spans};
use crate::schedules::trace::Trace;

/// How long a sensor may take to come back: the longest wait before a next life, and its first read.
pub const RETURN: Duration = Duration::from_secs(62);

/// How long a daemon may take until its sensors read: outputs that do not answer are waited for first.
const START: Duration = Duration::from_secs(4);

pub fn on_time(trace: &Trace<'_>) -> Result<(), Violation> {
    for sensor in &HOUSE.sensors {
        let excused = excused(trace, sensor);
        for channel in &sensor.channels {
            let good: BTreeSet<Moment> = trace.usable(channel).iter().map(|(at, _)| *at).collect();
            for life in &trace.lives {
                let ticks = (1..).map(|tick| life.began + sensor.every * tick).take_while(|tick| *tick < life.asked);
                let ticks: BTreeSet<Moment> = ticks.collect();
                let missed = ticks.iter().find(|tick| !good.contains(tick) && !excused.contains(**tick));
                if let Some(tick) = missed {
                    return violated(*tick, format!("{channel} has no reading"));
                }
                let odd = good.range(life.began..life.asked).find(|at| !ticks.contains(at) && !excused.contains(**at));
                if let Some(at) = odd {
                    return violated(*at, format!("{channel} has a reading between two ticks"));
                }
            }
        }
    }
    Ok(())
}

pub fn acted_on(trace: &Trace<'_>) -> Result<(), Violation> {
    for controller in &HOUSE.controllers {
        let acts = |event: &Event| matches!(event, Event::Controller(state) if state.mode != Mode::Waiting);
        let told = trace.told_of(&format!("controllers.{}", controller.name));
        let acted: BTreeSet<Moment> = told.filter(|(.., event)| acts(event)).map(|(at, ..)| *at).collect();
        let away = trace.controller_away(&controller.name);
        let starts: Spans = trace.lives.iter().map(|life| (life.began, life.began + START)).collect();
        for &(at, life) in trace.usable(&controller.input) {
            if !acted.contains(&at) && !away.contains(at) && !starts.contains(at) && at < trace.lives[life].asked {
                return violated(at, format!("{} does not act on a reading of {}", controller.name, controller.input));
            }
        }
    }
    Ok(())
}

pub fn back(trace: &Trace<'_>) -> Result<(), Violation> {
    for sensor in &HOUSE.sensors {
        let good: Vec<Moment> = trace.usable(&sensor.channels[0]).iter().map(|(at, _)| *at).collect();
        for (healed, due) in windows(trace, sensor) {
            let returned = good.partition_point(|at| *at < healed);
            if good.get(returned).is_none_or(|at| *at > due) {
                return violated(due, format!("{} has been whole since {healed:?} and gives no reading", sensor.name));
            }
        }
    }
    Ok(())
}

/// From each moment from which a sensor was left alone, within one life, until it must be back.
pub fn windows(trace: &Trace<'_>, sensor: &Sensor) -> Vec<(Moment, Moment)> {
    let hit = trace.sensor_hit(sensor).union(&trace.varied(&format!("sensors.{}", sensor.name)));
    let due = |(_, healed): (Moment, Moment)| (healed, healed + RETURN);
    let in_peace = |(healed, due): &(Moment, Moment)| {
        let lives = trace.lives.iter().any(|life| life.began <= *healed && *due < life.asked);
        lives && !hit.touches(*healed, *due)
    };
    hit.iter().map(due).filter(in_peace).collect()
}

pub fn quiet(trace: &Trace<'_>) -> Result<(), Violation> {
    let Some(life) = trace.lives.last().filter(|life| life.began < trace.schedule.quiet) else { return Ok(()) };
    let settled = life.asked.saturating_sub(Duration::from_secs(60));
    for controller in &HOUSE.controllers {
        let last = |name: String| trace.told_of(&name).rfind(|(at, ..)| *at < life.asked);
        let acts = |at: Moment, mode: &Mode| at >= settled && *mode != Mode::Waiting;
        let state = match last(format!("controllers.{}", controller.name)) {
            Some((at, _, Event::Controller(state))) if acts(*at, &state.mode) => state,
            _ => return violated(settled, format!("{} does not act", controller.name)),
        };
        for moved in controller.moves.iter().filter(|_| state.mode != Mode::Tripped) {
            let output = match last(format!("outputs.{moved}")) {
                Some((.., Event::Output(output))) => Some(output),
                _ => None,
            };
            let by = output.and_then(|output| output.by.as_ref()).map(|owner| owner.as_str());
            if by != Some(&format!("controllers.{}", controller.name)) {
                return violated(
                    settled,
                    format!("{moved} does not follow {} ({state:?}): {output:?}", controller.name),
                );
            }
        }
    }
    Ok(())
}

/// When a sensor need not read on time: it was hit and has not been heard of since, or its daemon starts.
fn excused(trace: &Trace<'_>, sensor: &Sensor) -> Spans {
    let starts = trace.lives.iter().map(|life| (life.began, life.began + START));
    let good: Vec<Moment> = trace.usable(&sensor.channels[0]).iter().map(|(at, _)| *at).collect();
    let hit = trace.sensor_hit(sensor);
    let recovering = hit.iter().map(|(from, healed)| {
        // The first reading after the return comes at once, not at a tick.
        let returned = good.iter().find(|at| **at > healed).map_or(Moment::MAX, |at| *at + Duration::from_nanos(1));
        (from, returned.min(healed + RETURN))
    });
    let varied = trace.varied(&format!("sensors.{}", sensor.name));
    starts.collect::<Spans>().union(&recovering.collect()).union(&varied.longer(sensor.every))
}
