//! The pin stays where it is while its actor is gone and when it comes back.

use std::time::Duration;

use super::{SLACK, TICK, Violation, violated};
use crate::schedules::house::{HOUSE, Output};
use crate::schedules::schedule::Deed;
use crate::schedules::spans::{Moment, Spans};
use crate::schedules::trace::Trace;

/// The bank holds a level for so long after the moment at which its actor meant to look again.
const GRACE: Duration = Duration::from_secs(2);

pub fn pins_stay(trace: &Trace<'_>) -> Result<(), Violation> {
    for output in &HOUSE.outputs {
        // A pin of which nothing is known stands in the way of its rivals.
        let pins = rivals(output).map(|rival| trace.pin_broken(rival)).chain([trace.pin_broken(output)]);
        let broken = pins.fold(Spans::default(), |all, one| all.union(&one)).longer(SLACK);
        let ends: Spans = trace.lives.iter().map(|life| (life.asked, life.ended.max(life.safe) + TICK)).collect();
        let name = format!("outputs.{}", output.name);
        let there: Vec<Moment> = trace.told_of(&name).map(|(at, ..)| *at).collect();
        for (gone, back) in trace.output_away(&output.name).iter() {
            if trace.varied(&name).touches(gone, back)
                || !output.only_while.is_empty()
                || broken.touches(gone.saturating_sub(SLACK), back.min(trace.schedule.length))
                || ends.touches(gone, back + TICK * 2)
            {
                continue;
            }
            let mut released = false;
            for &(at, level) in trace.levels[output.name.as_str()].iter() {
                let what =
                    format!("{} goes to {level:?}, and its actor was gone from {gone:?} to {back:?}", output.name);
                // A write that was under way at its end is done.
                if at > gone + TICK && at < back && !there.contains(&at) {
                    if level != output.safe || at < gone + GRACE {
                        return violated(at, what);
                    }
                    released = true;
                } else if at >= back && at <= back + TICK && !released && !explained(trace, output, gone, back) {
                    return violated(at, what);
                }
            }
        }
    }
    Ok(())
}

pub fn reload(trace: &Trace<'_>) -> Result<(), Violation> {
    for done in trace.done.iter().filter(|done| matches!(done.deed, Deed::Reload { .. })) {
        for output in HOUSE.outputs.iter().filter(|output| output.only_while.is_empty()) {
            let span = (done.at, done.over + TICK);
            let name = format!("outputs.{}", output.name);
            let touched = trace.varied(&name).touches(span.0, span.1)
                || trace.pin_broken(output).longer(SLACK).touches(span.0, span.1)
                || trace.output_away(&output.name).longer(TICK).touches(span.0, span.1);
            let moved = trace.levels[output.name.as_str()].iter().find(|(at, _)| (span.0..=span.1).contains(at));
            if let (false, Some((at, level))) = (touched || explained(trace, output, span.0, span.1), moved) {
                return violated(*at, format!("{} goes to {level:?} at {:?}", output.name, done.deed));
            }
        }
    }
    Ok(())
}

/// Whether a lease, a limit, a demand or a controller's word changed anything meanwhile. With a cycle, pulses begin and end of
/// themselves.
fn explained(trace: &Trace<'_>, output: &Output, gone: Moment, back: Moment) -> bool {
    let meanwhile = |at: Moment| gone.saturating_sub(TICK) <= at && at <= back + TICK;
    let demands = trace.done.iter().any(|done| match &done.deed {
        Deed::Demand { output: of, lease, .. } => {
            *of == output.name && (meanwhile(done.at) || meanwhile(done.at + *lease))
        }
        _ => false,
    });
    let readings =
        HOUSE.controllers.iter().filter(|controller| controller.moves.contains(&output.name)).any(|controller| {
            let usable = trace.usable(&controller.input).iter().map(|(at, _)| *at);
            usable.filter(|at| *at <= back + TICK).any(|at| meanwhile(at) || meanwhile(at + controller.stale_after))
        });
    let limits = [Some(output.limits.min_on), Some(output.limits.min_off), output.limits.max_on];
    let since = trace.levels[output.name.as_str()].iter().map(|(at, _)| *at).take_while(|at| *at <= gone + TICK).last();
    // What was before the start of a daemon is unknown after a crash, so limits count from there.
    // Nor is it known what a pin that did not obey was at, until it did.
    let since = since.into_iter().chain(trace.lives.iter().map(|life| life.began));
    let since = since.chain(trace.pin_broken(output).iter().map(|(_, to)| to).collect::<Vec<_>>());
    let limits = since.flat_map(|since| limits.iter().flatten().map(move |limit| since + *limit));
    let limits = limits.into_iter().any(|at| at <= back + TICK && gone.saturating_sub(TICK) <= at + SLACK);
    let moved_by = HOUSE.controllers.iter().filter(|controller| controller.moves.contains(&output.name));
    let words = moved_by.flat_map(|controller| trace.told_of(&format!("controllers.{}", controller.name)));
    let words = words.map(|(at, ..)| *at).collect::<Vec<_>>().into_iter().any(meanwhile);
    // One that stood in its way may have gone off.
    let rivals = rivals(output).next().is_some();
    let others = !output.limits.budgets.is_empty() || output.limits.starts.is_some() || rivals;
    demands || readings || words || limits || others || output.limits.cycle.is_some()
}

/// Those with which it is never on.
fn rivals(output: &Output) -> impl Iterator<Item = &'static Output> {
    let named = |one: &&Output, other: &Output| one.never_with.contains(&other.name);
    HOUSE.outputs.iter().filter(move |one| named(one, output) || named(&output, one))
}
