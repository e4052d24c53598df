//! A reading that was published keeps its number, its time and its value, and is not lost.

use std::collections::HashMap;
use std::time::Duration;

use homeostat::store::Stored;

use super::{Violation, violated};
use crate::schedules::house::HOUSE;
use crate::schedules::trace::{End, Trace};

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
    for (at, life, reading) in trace.readings() {
        let life = &trace.lives[life];
        // The store's own actor may have been between two lives.
        let unwritten = life.end == End::Crashed && at + HOUSE.flush + Duration::from_secs(3) >= life.ended;
        if !unwritten && !stored[reading.channel.as_str()].contains(&reading.seq) {
            return violated(at, format!("reading {} of {} is not on disk", reading.seq, reading.channel));
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
