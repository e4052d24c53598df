//! The limits of an output, computed from its pin's own history.

use std::time::Duration;

use homeostat::model::{Priority, Wish};

use super::{SLACK, TICK, Violation, violated};
use crate::schedules::house::{HOUSE, Output};
use crate::schedules::schedule::Deed;
use crate::schedules::spans::Spans;
use crate::schedules::trace::Trace;

pub fn min_on(trace: &Trace<'_>) -> Result<(), Violation> {
    for output in HOUSE.outputs.iter().filter(|output| !output.limits.min_on.is_zero()) {
        let (on, excused) = (trace.level_is(&output.name, |level| level.is_on()), excused(trace, output));
        let leases = super::leases::sure(trace, output);
        let (safety, broken) = (wishes_for_safety(trace, output), trace.pin_broken(output));
        for (from, to) in on.iter().filter(|(from, to)| *to - *from + TICK < output.limits.min_on) {
            let ordinary = leases.contains(to) && leases.contains(to + TICK) && !safety.touches(from, to + TICK);
            // A pin that did not obey may have been on, so max_on counts that time too, and comes before min_on.
            let counts_from = output.limits.max_on.map_or(from, |most| to.saturating_sub(most));
            let ordinary = ordinary && !broken.touches(counts_from, from.max(counts_from));
            if ordinary && !excused.touches(from, to + TICK) && to < trace.schedule.length {
                return violated(to, format!("{} was on for {:?} only, by an ordinary demand", output.name, to - from));
            }
        }
    }
    Ok(())
}

pub fn min_off(trace: &Trace<'_>) -> Result<(), Violation> {
    for output in HOUSE.outputs.iter().filter(|output| !output.limits.min_off.is_zero()) {
        let off = trace.level_is(&output.name, |level| !level.is_on());
        for (from, to) in off.iter().filter(|(_, to)| *to < trace.schedule.length) {
            if to - from + TICK < output.limits.min_off {
                return violated(to, format!("{} is on again after {:?}", output.name, to - from));
            }
        }
    }
    Ok(())
}

pub fn max_on(trace: &Trace<'_>) -> Result<(), Violation> {
    for output in &HOUSE.outputs {
        let Some(most) = output.limits.max_on else { continue };
        let (on, broken) = (trace.level_is(&output.name, |level| level.is_on()), trace.pin_broken(output));
        let away = trace.output_away(&output.name);
        for (from, to) in on.iter() {
            let due = from + most;
            let slack = if away.contains(due) { SLACK } else { TICK };
            let late: Spans = [(due + slack, to)].into_iter().collect();
            if let Some((at, _)) = late.without(&broken.longer(SLACK)).first_over(Duration::ZERO) {
                return violated(at, format!("{} is on for longer than {most:?}, since {from:?}", output.name));
            }
        }
    }
    Ok(())
}

/// On-time in every window, over all lives: the most is in one that ends where a time of being on ends.
pub fn budgets(trace: &Trace<'_>) -> Result<(), Violation> {
    for output in &HOUSE.outputs {
        let on = trace.level_is(&output.name, |level| level.is_on());
        for budget in &output.limits.budgets {
            // A pin that does not obey and a daemon that dies may keep it on for longer than anybody wants.
            let hindered = trace.pin_broken(output).longer(SLACK).union(&ends(trace));
            let owed: Spans = on.without(&hindered);
            for (_, end) in owed.iter() {
                let window: Spans = [(end.saturating_sub(budget.window), end)].into_iter().collect();
                let within = owed.without(&owed.without(&window));
                let sum: Duration = within.iter().map(|(from, to)| to - from).sum();
                let lives = u32::try_from(within.iter().count()).unwrap_or(u32::MAX);
                if sum > budget.on + SLACK + TICK * lives {
                    return violated(end, format!("{} was on for {sum:?} in {:?}", output.name, budget.window));
                }
            }
        }
    }
    Ok(())
}

/// Starts in every window, over all lives.
pub fn starts(trace: &Trace<'_>) -> Result<(), Violation> {
    for output in &HOUSE.outputs {
        let Some(limit) = output.limits.starts else { continue };
        let on = trace.level_is(&output.name, |level| level.is_on());
        let starts: Vec<_> = on.iter().map(|(from, _)| from).collect();
        for first in starts.windows(limit.most as usize + 1) {
            if first[limit.most as usize] + TICK < first[0] + limit.window {
                return violated(
                    first[limit.most as usize],
                    format!("{} has started once more than {limit:?}", output.name),
                );
            }
        }
    }
    Ok(())
}

pub fn never_with(trace: &Trace<'_>) -> Result<(), Violation> {
    for (one, other) in pairs(|output| &output.never_with) {
        let on = |output: &Output| trace.level_is(&output.name, |level| level.is_on());
        let both = on(one).without(&on(one).without(&on(other)));
        // A pin that does not obey is on with whomever, and the round of the bank comes once a second.
        let excused = trace.varied(&format!("outputs.{}", one.name)).longer(SLACK);
        let broken = trace.pin_broken(one).union(&trace.pin_broken(other)).longer(SLACK);
        if let Some((at, _)) = both.without(&excused).without(&broken).first_over(Duration::ZERO) {
            return violated(at, format!("{} and {} are on together", one.name, other.name));
        }
    }
    Ok(())
}

pub fn only_while(trace: &Trace<'_>) -> Result<(), Violation> {
    for (one, other) in pairs(|output| &output.only_while) {
        let on = trace.level_is(&one.name, |level| level.is_on());
        let alone = on.without(&trace.level_is(&other.name, |level| level.is_on()));
        let excused = trace.varied(&format!("outputs.{}", one.name)).longer(SLACK);
        let broken = trace.pin_broken(one).union(&trace.pin_broken(other)).longer(SLACK);
        // Whoever makes all safe after a crash knows of no order.
        let left = alone.without(&excused).without(&broken).without(&ends(trace));
        if let Some((at, _)) = left.first_over(Duration::ZERO) {
            return violated(at, format!("{} is on without {}", one.name, other.name));
        }
    }
    Ok(())
}

fn pairs(of: impl Fn(&Output) -> &Vec<String>) -> Vec<(&'static Output, &'static Output)> {
    let pair = |output: &'static Output| of(output).iter().map(|name| (output, HOUSE.output(name))).collect::<Vec<_>>();
    HOUSE.outputs.iter().flat_map(pair).collect()
}

/// From when a daemon ends until all is safe.
fn ends(trace: &Trace<'_>) -> Spans {
    trace.lives.iter().map(|life| (life.asked, life.ended.max(life.safe) + TICK)).collect()
}

/// When an output goes off without a decision of its guard, or later than decided.
fn excused(trace: &Trace<'_>, output: &Output) -> Spans {
    let ends = trace.lives.iter().map(|life| (life.asked, life.ended.max(life.safe) + TICK));
    let broken = trace.pin_broken(output).longer(SLACK);
    let varied = trace.varied(&format!("outputs.{}", output.name));
    trace.output_away(&output.name).longer(SLACK).union(&broken).union(&ends.collect()).union(&varied)
}

fn wishes_for_safety(trace: &Trace<'_>, output: &Output) -> Spans {
    let wishes = trace.done.iter().filter_map(|done| match &done.deed {
        Deed::Demand { output: of, priority: Priority::Safety, wish, lease, .. }
            if *of == output.name && *wish != Wish::Nothing =>
        {
            Some((done.at, done.at + *lease + TICK))
        }
        _ => None,
    });
    wishes.collect()
}
