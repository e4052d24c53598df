//! How long it took until all was well again, for each kind of fault: for docs/faults.md.

use std::time::Duration;

use homeostat::model::Level;

use super::house::HOUSE;
use super::invariants::{RETURN, SLACK, TICK, allowed, wanted, windows};
use super::schedule::{Breakage, Deed};
use super::spans::Moment;
use super::trace::{Done, End, Trace};
use crate::common::faults::Measured;

const COMMAND: &str = "cargo test --test schedules";

/// All measurements of one schedule.
pub fn measure(trace: &Trace<'_>) -> Vec<Measured> {
    let mut measured = Vec::new();
    for done in &trace.done {
        match &done.deed {
            Deed::Break { device, how, .. } => {
                returned(trace, done, device, *how, &mut measured);
                lost(trace, done, device, *how, &mut measured);
                obeyed(trace, done, device, *how, &mut measured);
            }
            Deed::Kill { actor, .. } => killed(trace, done, actor, &mut measured),
            Deed::Jump { .. } => jumped(trace, done, &mut measured),
            Deed::Restart | Deed::Crash => ended(trace, done, &mut measured),
            Deed::Reload { .. } => reloaded(done, &mut measured),
            Deed::Demand { .. }
            | Deed::Adjust { .. }
            | Deed::Disk { .. }
            | Deed::Broker { .. }
            | Deed::Acknowledge { .. } => {}
        }
    }
    measured
}

/// Whether the first file was in force for all the time until `to`: with another one, other actors and pins may be there.
fn first_file(trace: &Trace<'_>, to: Moment) -> bool {
    !trace.done.iter().any(|done| matches!(done.deed, Deed::Reload { .. }) && done.taken && done.at <= to)
}

fn push(into: &mut Vec<Measured>, fault: impl Into<String>, how: &str, took: Duration, promised: Duration) {
    into.push(Measured {
        fault: fault.into(),
        how: how.to_owned(),
        count: 1,
        seconds: took.as_secs_f64(),
        promised: promised.as_secs_f64(),
        command: COMMAND.to_owned(),
    });
}

fn told(how: Breakage) -> &'static str {
    match how {
        Breakage::Errs => "answers with errors",
        Breakage::Hangs => "hangs",
        Breakage::TalksNonsense => "talks nonsense",
        Breakage::PanicsInUse => "makes its driver panic in use",
        Breakage::PanicsInOpen => "makes its driver panic when opened",
        Breakage::PanicsInDrop => "makes its driver panic when dropped",
    }
}

/// From a sensor's healing to its first good reading.
fn returned(trace: &Trace<'_>, done: &Done, device: &str, how: Breakage, into: &mut Vec<Measured>) {
    let Some(sensor) = HOUSE.sensors.iter().find(|sensor| sensor.name == device) else { return };
    if windows(trace, sensor).iter().any(|(healed, _)| *healed == done.over)
        && let Some((back, _)) = trace.usable(&sensor.channels[0]).iter().find(|(at, _)| *at >= done.over)
    {
        push(into, format!("a sensor {}", told(how)), "it is healed: until it reads again", *back - done.over, RETURN);
    }
}

/// From a sensor's last good reading to the moment at which its controller's outputs are at their safe levels, if nobody else
/// wants them.
fn lost(trace: &Trace<'_>, done: &Done, device: &str, how: Breakage, into: &mut Vec<Measured>) {
    for controller in HOUSE.controllers.iter().filter(|controller| controller.input.split('.').next() == Some(device)) {
        let usable = trace.usable(&controller.input);
        let last = usable[..usable.partition_point(|(at, _)| *at <= done.at)].last().map(|(at, _)| *at);
        let next = usable.get(usable.partition_point(|(at, _)| *at <= done.at)).map_or(Moment::MAX, |(at, _)| *at);
        let Some(last) = last.filter(|last| next > *last + controller.stale_after) else { continue };
        for output in controller.moves.iter().map(|name| HOUSE.output(name)) {
            let (from, to) = (last, last + controller.stale_after + SLACK);
            let others = trace.done.iter().any(|other| {
                let about = matches!(&other.deed, Deed::Demand { output: of, .. } | Deed::Break { device: of, .. } if *of == output.name);
                let end = match &other.deed {
                    Deed::Demand { lease, .. } => other.at + *lease,
                    _ => other.over,
                };
                about && other.at <= to && end >= from
            });
            let one_life = trace.lives.iter().any(|life| life.began <= from && to < life.asked);
            let moved = trace.level_is(&output.name, |level: Level| level != output.safe);
            // What begins at `to` itself has another reason: the sensor was back.
            let begun = |start: Moment| start + TICK < to;
            let end = moved.iter().filter(|(start, end)| begun(*start) && *end > from).map(|(_, end)| end).last();
            let end = end.unwrap_or(from);
            // The sensor may be back in the very moment at which they would fall, and a pin that was broken has its own row.
            let again = allowed(trace, output).touches(last + controller.stale_after, to);
            if others || again || !one_life || !moved.contains(from) || !first_file(trace, end) {
                continue;
            }
            let took = end.saturating_sub(last);
            let promised = controller.stale_after + SLACK;
            let how_long =
                format!("its last good reading, usable for {:?}: until its outputs are safe", controller.stale_after);
            push(into, format!("a sensor {}", told(how)), &how_long, took, promised);
        }
    }
}

/// From a pin's healing until it is at its safe level.
fn obeyed(trace: &Trace<'_>, done: &Done, device: &str, how: Breakage, into: &mut Vec<Measured>) {
    let Some(output) = HOUSE.outputs.iter().find(|output| output.name == device) else { return };
    // Only where nobody wants it: then it is known where it must go.
    let moved = trace.level_is(&output.name, |level| level != output.safe);
    let (from, to) = (done.over, done.over + SLACK);
    let broken = trace.pin_broken(output).touches(from, to) || trace.output_away(device).contains(from);
    let wanted = wanted(trace, output).touches(from, to) || broken;
    if let Some((_, safe)) = moved
        .iter()
        .find(|(from, to)| *from <= done.over && done.over < *to)
        .filter(|(_, safe)| !wanted && first_file(trace, *safe))
    {
        push(into, format!("a pin {}", told(how)), "it is healed: until it is safe", safe - done.over, SLACK);
    }
}

fn reloaded(done: &Done, into: &mut Vec<Measured>) {
    let fault = if done.taken { "a changed file is taken over" } else { "a changed file is refused" };
    push(into, fault, "until all that changed has begun anew", done.over - done.at, Duration::from_secs(3));
}

fn killed(trace: &Trace<'_>, done: &Done, actor: &str, into: &mut Vec<Measured>) {
    let Some((kind, _)) = actor.split_once('.') else { return };
    let Some(&last) = done.kills.last() else { return };
    if kind == "sensors" {
        return;
    }
    let back = trace.told_of(actor).map(|(at, ..)| *at).find(|at| *at > last);
    let life = &trace.lives[done.life];
    // One whose pin cannot be taken cannot come back.
    let broken = HOUSE.outputs.iter().filter(|output| actor == format!("outputs.{}", output.name));
    let broken = broken.map(|output| trace.pin_broken(output)).any(|broken| broken.touches(life.began, last + RETURN));
    if let Some(back) = back.filter(|back| *back < life.asked && !broken && first_file(trace, *back)) {
        let fault = format!("the actor of {} is ended", if kind == "outputs" { "an output" } else { "a controller" });
        push(into, fault, "ended again and again, then left alone: until it is back", back - last, RETURN);
    }
}

/// A jump moves no pin: what moves at its moment would be seen.
fn jumped(trace: &Trace<'_>, done: &Done, into: &mut Vec<Measured>) {
    let moved = trace.levels.values().flatten().any(|(at, _)| *at == done.at);
    let took = if moved { Duration::from_millis(1) } else { Duration::ZERO };
    push(
        into,
        "civil time jumps by up to ten years",
        "until leases, limits and controllers go on as before",
        took,
        Duration::from_millis(1),
    );
}

fn ended(trace: &Trace<'_>, done: &Done, into: &mut Vec<Measured>) {
    let life = &trace.lives[done.life];
    for output in &HOUSE.outputs {
        if trace.pin_broken(output).touches(life.asked, life.asked + SLACK) {
            continue;
        }
        let until = life.ended.max(life.safe);
        let moved = trace.level_is(&output.name, |level| level != output.safe);
        let end = moved.iter().filter(|(from, to)| *from <= until && *to > life.asked).map(|(_, to)| to).last();
        let took = end.map_or(Duration::ZERO, |end| end - life.asked);
        match life.end {
            End::Crashed => {
                let how = "all is dropped, then every pin is made safe as ExecStopPost does: until outputs are safe";
                push(into, "the process dies", how, took, Duration::from_secs(2));
            }
            _ => push(into, "an orderly stop", "until outputs are safe", took, Duration::from_secs(1)),
        }
    }
}
