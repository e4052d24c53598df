//! A reading that was published keeps its number, its time and its value, and is not lost.

use std::collections::HashMap;
use std::time::Duration;

use homeostat::store::Stored;

use super::{Violation, violated};
use crate::schedules::house::HOUSE;
use crate::schedules::schedule::Deed;
use crate::schedules::spans::Spans;
use crate::schedules::trace::{End, Trace};

/// The longest wait of the store for a disk that fails, and a flush.
const RECOVERY: Duration = Duration::from_secs(120);

pub fn growing(trace: &Trace<'_>) -> Result<(), Violation> {
    let mut last = 0;
    for (at, _, reading) in trace.readings() {
        if reading.seq <= last {
            return violated(at, format!("reading {} comes after reading {last}", reading.seq));
        }
        last = reading.seq;
    }
    Ok(())
}

pub fn stored(trace: &Trace<'_>) -> Result<(), Violation> {
    let published: HashMap<u64, _> = trace.readings().map(|(_, _, reading)| (reading.seq, reading)).collect();
    for (channel, rows) in &trace.stored {
        let mut last = 0;
        for row in rows {
            if row.seq <= last {
                return violated(trace.schedule.length, format!("reading {} of {channel} is stored twice", row.seq));
            }
            last = row.seq;
            let same = published.get(&row.seq).is_some_and(|reading| {
                let sample = &reading.sample;
                reading.channel.as_str() == *channel
                    && (row.time, row.value, row.quality.as_str()) == (reading.time, sample.value(), sample.quality())
            });
            if !same {
                return violated(trace.schedule.length, format!("{channel} has {row:?}, which was never published"));
            }
        }
    }
    Ok(())
}

pub fn kept(trace: &Trace<'_>) -> Result<(), Violation> {
    let numbers = |rows: &Vec<Stored>| rows.iter().map(|row| row.seq).collect::<std::collections::HashSet<u64>>();
    let stored: HashMap<&str, _> = trace.stored.iter().map(|(channel, rows)| (*channel, numbers(rows))).collect();
    let sick = trace.done.iter().filter(|done| matches!(done.deed, Deed::Disk { .. }));
    // One that was not healed before was healed by the end of its life.
    let sick = sick.map(|done| (done.at, if done.over > done.at { done.over } else { trace.lives[done.life].ended }));
    let sick: Spans = sick.collect();
    for (at, life, reading) in trace.readings().filter(|(.., reading)| stored.contains_key(reading.channel.as_str())) {
        let life = &trace.lives[life];
        // The store's own actor may have been between two lives.
        let unwritten = life.end == End::Crashed && at + HOUSE.flush + Duration::from_secs(3) >= life.ended;
        // A disk that is not well when the daemon ends, or was not long before, has not got what was read meanwhile.
        let unwell = sick.touches(at, life.ended) && sick.touches(life.ended.saturating_sub(RECOVERY), life.ended);
        if !unwritten && !unwell && !stored[reading.channel.as_str()].contains(&reading.seq) {
            return violated(at, format!("reading {} of {} is not on disk", reading.seq, reading.channel));
        }
    }
    Ok(())
}

pub fn retained(trace: &Trace<'_>) -> Result<(), Violation> {
    let settled = trace.schedule.length.saturating_sub(Duration::from_secs(2));
    if trace.schedule.quiet >= settled || !trace.schedule.has_broker() {
        // A schedule that was made shorter has no quiet end.
        return Ok(());
    }
    for channel in HOUSE.channels() {
        let newest = trace
            .readings()
            .filter(|(at, ..)| *at < settled)
            .filter(|(.., reading)| reading.channel.as_str() == *channel)
            .last();
        let Some((at, _, reading)) = newest else { continue };
        let topic = format!("homeostat/house/{}", channel.replace('.', "/"));
        let has: Option<u64> = trace
            .retained
            .get(&topic)
            .and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok()?.get("seq")?.as_u64());
        if has.is_none_or(|has| has < reading.seq) {
            return violated(at, format!("the broker has {has:?} of {channel}, and reading {} is newer", reading.seq));
        }
    }
    Ok(())
}

pub fn queues(trace: &Trace<'_>) -> Result<(), Violation> {
    if trace.dropped > 0 {
        return violated(trace.schedule.length, format!("{} events were dropped", trace.dropped));
    }
    Ok(())
}
