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
        let safety = wishes_for_safety(trace, output);
        for (from, to) in on.iter().filter(|(from, to)| *to - *from + TICK < output.limits.min_on) {
            let ordinary = leases.contains(to) && leases.contains(to + TICK) && !safety.touches(from, to + TICK);
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

/// When an output goes off without a decision of its guard, or later than decided.
fn excused(trace: &Trace<'_>, output: &Output) -> Spans {
    let ends = trace.lives.iter().map(|life| (life.asked, life.ended.max(life.safe) + TICK));
    let broken = trace.pin_broken(output).longer(SLACK);
    trace.output_away(&output.name).longer(SLACK).union(&broken).union(&ends.collect())
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
