//! An output is above its safe level only while somebody with a live lease wants it.

use std::time::Duration;

use homeostat::message::Event;
use homeostat::model::Wish;

use super::{SLACK, TICK, Violation, violated};
use crate::schedules::house::{HOUSE, Output};
use crate::schedules::schedule::Deed;
use crate::schedules::spans::{Moment, Spans};
use crate::schedules::trace::{End, Trace};

pub fn live(trace: &Trace<'_>) -> Result<(), Violation> {
    for output in &HOUSE.outputs {
        let moved = trace.level_is(&output.name, |level| level != output.safe);
        if let Some((from, to)) = moved.without(&allowed(trace, output)).first_over(TICK) {
            return violated(
                from,
                format!("{} is not at its safe level for {:?} without a lease", output.name, to - from),
            );
        }
    }
    Ok(())
}

pub fn stop(trace: &Trace<'_>) -> Result<(), Violation> {
    for output in &HOUSE.outputs {
        let moved = trace.level_is(&output.name, |level| level != output.safe);
        let broken = trace.pin_broken(output).longer(SLACK);
        for (number, life) in trace.lives.iter().enumerate().filter(|(_, life)| life.end != End::Crashed) {
            let next = trace.lives.get(number + 1).map_or(trace.schedule.length, |next| next.began);
            let after: Spans = [(life.asked + Duration::from_secs(1), next)].into_iter().collect();
            let unsafe_then = moved.without(&moved.without(&after)).without(&broken);
            if let Some((from, _)) = unsafe_then.first_over(Duration::ZERO) {
                return violated(
                    from,
                    format!("{} is not at its safe level after a stop at {:?}", output.name, life.asked),
                );
            }
        }
    }
    Ok(())
}

/// What an output says of itself is true: a write that failed is not told as done.
pub fn confirmed(trace: &Trace<'_>) -> Result<(), Violation> {
    for output in &HOUSE.outputs {
        let told = trace.told_of(&format!("outputs.{}", output.name)).filter_map(|(at, life, event)| match event {
            Event::Output(state) => Some((*at, *life, state)),
            _ => None,
        });
        let told: Vec<_> = told.collect();
        let away = trace.output_away(&output.name).longer(SLACK);
        for (number, (at, life, state)) in told.iter().enumerate().filter(|(_, (_, _, state))| state.confirmed) {
            // Until the next word, the end of its actor or that of its daemon. It is told at the decision, before the write is through.
            let until = told.get(number + 1).map_or(trace.schedule.length, |next| next.0).min(trace.lives[*life].asked);
            let claimed: Spans = [(*at + Duration::from_millis(1_500), until)].into_iter().collect();
            let other = trace.level_is(&output.name, |level| level.is_on() != state.on);
            let varied = trace.varied(&format!("outputs.{}", output.name));
            let wrong = claimed.without(&claimed.without(&other)).without(&away).without(&varied);
            if let Some((from, _)) = wrong.first_over(TICK) {
                let is = if state.on { "on" } else { "off" };
                return violated(
                    from,
                    format!("{} is told to be {is} and confirmed since {at:?}, and is not", output.name),
                );
            }
        }
    }
    Ok(())
}

/// When an output may be at another level than its safe one.
pub fn allowed(trace: &Trace<'_>, output: &Output) -> Spans {
    wanted(trace, output).union(&trace.pin_broken(output).longer(SLACK))
}

/// The same for one that obeys.
pub fn wanted(trace: &Trace<'_>, output: &Output) -> Spans {
    let away = trace.output_away(&output.name);
    let leases = demanded(trace, output).union(&controlled(trace, output));
    let with_slack = |(from, to): (Moment, Moment)| (from, if away.contains(to) { to + SLACK } else { to });
    let leases: Spans = leases.iter().map(with_slack).collect();
    // Also while the daemon that had the lease dies, until somebody has made it safe.
    let dying = trace.lives.iter().map(|life| match life.end {
        End::Crashed => (life.asked, life.safe + TICK),
        _ => (life.asked, life.asked + Duration::from_secs(1)),
    });
    leases.union(&dying.collect())
}

/// When one of our own demands was live. One for the safe level counts too: `min_on` may hold the output on under it.
fn demanded(trace: &Trace<'_>, output: &Output) -> Spans {
    let ours: Vec<_> = trace
        .done
        .iter()
        .filter_map(|done| match &done.deed {
            Deed::Demand { output: of, owner, wish, lease, .. } if *of == output.name && done.taken => {
                Some((done, *owner, *wish, *lease))
            }
            _ => None,
        })
        .collect();
    let lease = |(number, (done, owner, wish, lease)): (usize, &(&_, u8, Wish, Duration))| {
        let done: &crate::schedules::trace::Done = done;
        if *wish == Wish::Nothing {
            return (done.at, done.at);
        }
        let replaced = ours[number + 1..].iter().find(|later| later.1 == *owner && later.0.life == done.life);
        let until = (done.at + *lease).min(trace.lives[done.life].asked);
        (done.at, replaced.map_or(until, |later| until.min(later.0.at)))
    };
    ours.iter().enumerate().map(lease).collect()
}

/// When somebody surely had a live demand: as [`allowed`] without any slack, and no longer than until a reading was bad, at which
/// a controller takes its demand back.
pub fn sure(trace: &Trace<'_>, output: &Output) -> Spans {
    let mut spans: Vec<_> = demanded(trace, output).iter().collect();
    for controller in HOUSE.controllers.iter().filter(|controller| controller.moves.contains(&output.name)) {
        let (usable, bad) = (trace.usable(&controller.input), trace.bad(&controller.input));
        for (begin, to) in controlled(trace, output).iter() {
            let mut from = begin;
            for &at in bad.iter().filter(|at| (begin..to).contains(*at)) {
                spans.push((from, at));
                // Until the next usable one.
                from =
                    usable.get(usable.partition_point(|(usable, _)| *usable <= at)).map_or(to, |(usable, _)| *usable);
            }
            spans.push((from.min(to), to));
        }
    }
    spans.into_iter().collect()
}

/// When a controller that was there had a usable reading that was fresh.
fn controlled(trace: &Trace<'_>, output: &Output) -> Spans {
    let mut spans = Vec::new();
    for controller in HOUSE.controllers.iter().filter(|controller| controller.moves.contains(&output.name)) {
        let away = trace.controller_surely_away(&controller.name);
        let tripped = trace.tripped(&controller.name);
        for &(at, life) in trace.usable(&controller.input) {
            let fresh = (at + controller.stale_after).min(trace.lives[life].asked);
            // It takes back what it demanded when it trips.
            if tripped.contains(at) {
                continue;
            }
            let fresh = tripped.iter().map(|(from, _)| from).find(|from| (at..fresh).contains(from)).unwrap_or(fresh);
            let back = away.iter().find(|(from, to)| (*from..*to).contains(&at)).map_or(at, |(_, to)| to);
            spans.push((back, fresh));
        }
    }
    spans.into_iter().collect()
}
