//! Who wins: the auditor keeps the demands it made itself and works out what they must come to.

use homeostat::model::{Level, Priority, Wish};

use super::{SLACK, TICK, Violation, violated};
use crate::schedules::house::{HOUSE, Output};
use crate::schedules::schedule::Deed;
use crate::schedules::spans::{Moment, Spans};
use crate::schedules::trace::{Done, Trace};

/// The output that only people move and nothing holds back.
const FREE: &str = "lamp";

pub fn safety(trace: &Trace<'_>) -> Result<(), Violation> {
    for output in &HOUSE.outputs {
        let excused = excused(trace, output);
        let moved = trace.level_is(&output.name, |level| level != output.safe);
        let safe = |live: &[Live]| {
            let winner = winner(live);
            winner.is_some_and(|winner| winner.priority == Priority::Safety && winner.wish == Wish::Safe)
        };
        let wanted: Spans = stretches(trace, output)
            .into_iter()
            .filter(|stretch| safe(&stretch.live))
            .map(|stretch| (stretch.from, stretch.to))
            .collect();
        let disobeyed = wanted.without(&wanted.without(&moved)).without(&excused);
        if let Some((from, _)) = disobeyed.first_over(TICK) {
            return violated(from, format!("{} is not at its safe level", output.name));
        }
    }
    Ok(())
}

pub fn priorities(trace: &Trace<'_>) -> Result<(), Violation> {
    let output = HOUSE.output(FREE);
    let excused = excused(trace, output);
    for stretch in stretches(trace, output) {
        let level = match winner(&stretch.live).map(|winner| winner.wish) {
            Some(Wish::Level(level)) => level,
            _ => output.safe,
        };
        let other = trace.level_is(FREE, |found: Level| found != level);
        let span: Spans = [(stretch.from, stretch.to)].into_iter().collect();
        let wrong = span.without(&span.without(&other)).without(&excused);
        if let Some((from, _)) = wrong.first_over(TICK) {
            let found = trace.level_at(FREE, from);
            return violated(from, format!("{FREE} is at {found:?}, and {level} is wanted by {:?}", stretch.live));
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
struct Live {
    owner: u8,
    priority: Priority,
    wish: Wish,
    until: Moment,
}

/// Among equals the one that joined last.
fn winner(live: &[Live]) -> Option<&Live> {
    live.iter().max_by_key(|one| one.priority)
}

/// A time in which the same demands of ours are live.
struct Stretch {
    from: Moment,
    to: Moment,
    live: Vec<Live>,
}

fn stretches(trace: &Trace<'_>, output: &Output) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    for (number, life) in trace.lives.iter().enumerate() {
        let ours: Vec<&Done> = trace
            .done
            .iter()
            .filter(|done| done.life == number && done.taken)
            .filter(|done| matches!(&done.deed, Deed::Demand { output: of, .. } if *of == output.name))
            .collect();
        let mut live: Vec<Live> = Vec::new();
        let mut from = life.began;
        let mut next = ours.into_iter().peekable();
        while from < life.asked {
            while let Some(done) = next.next_if(|done| done.at <= from) {
                join(&mut live, done);
            }
            live.retain(|one| one.until > from);
            let ends = live.iter().map(|one| one.until).chain(next.peek().map(|done| done.at)).chain([life.asked]);
            let to = ends.min().unwrap_or(life.asked);
            stretches.push(Stretch { from, to, live: live.clone() });
            from = to;
        }
    }
    stretches
}

/// A renewal keeps its place; a person's command joins as the newest.
fn join(live: &mut Vec<Live>, done: &Done) {
    let Deed::Demand { owner, priority, wish, lease, .. } = &done.deed else { return };
    let new = Live { owner: *owner, priority: *priority, wish: *wish, until: done.at + *lease };
    live.retain(|one| one.until > done.at);
    let place = live.iter().position(|one| one.owner == *owner);
    match place {
        Some(place) if *wish == Wish::Nothing => drop(live.remove(place)),
        None if *wish == Wish::Nothing => {}
        Some(place) if live[place].priority == *priority && *priority != Priority::Manual => live[place] = new,
        Some(place) => {
            live.remove(place);
            live.push(new);
        }
        None => live.push(new),
    }
}

/// When its actor was gone or its hardware broken, and a moment after; and while it starts.
fn excused(trace: &Trace<'_>, output: &Output) -> Spans {
    let starts = trace.lives.iter().map(|life| (life.began, life.began + SLACK));
    let away = trace.output_away(&output.name).union(&trace.unheard(&output.name)).longer(TICK);
    away.union(&trace.pin_broken(output).longer(SLACK)).union(&starts.collect())
}
