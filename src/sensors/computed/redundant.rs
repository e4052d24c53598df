//! Several sensors for one thing: the first that can be relied on, or what they agree upon.
//!
//! - `failover`: the first input in the order of the file whose fresh reading is good; else the first uncertain one. The
//!   alarm stands while that is not the first input.
//! - `agree`: the largest group of good values that lie `within` of one another, if that is more than half of them: their
//!   mean, or their median if they are three or more. One value alone is uncertain, for nothing bears it out; no such group
//!   is bad. The alarm stands while any input does not answer or does not agree. If none is good, the uncertain ones are
//!   held against each other in the same way, and what they agree upon stays uncertain.

use std::sync::Arc;

use toml::de::DeValue;

use super::{Entry, Formula, Input, Outcome, SharedFormula, Trouble};
use crate::config::{Section, Value};
use crate::model::{ChannelId, Quantity, Sample};
use crate::sensors::Channel;

pub(super) const ENTRY: Entry = Entry {
    name: "redundant",
    summary: "one channel out of several that measure the same: the first that works, or what they agree upon",
    about: "- `inputs`: two to sixteen channels of one kind. `policy`: what is made of them.\n",
    example: r#"
[sensors.air]
driver = "redundant"
inputs = ["air1.temperature", "air2.temperature"]
policy = "agree"
within = 1.0
stale_after = "30s"
"#,
    read,
};

#[derive(Debug)]
struct Redundant {
    channel: Channel,
    policy: Policy,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Policy {
    Failover,
    Agree { within: f64 },
}

/// `policy = "…"`
#[derive(Clone, Copy, PartialEq)]
enum Named {
    Failover,
    Agree,
}

fn read(section: &Section, inputs: &[Input]) -> Option<SharedFormula> {
    let what = section.what();
    let policy = section.required::<Named>("policy");
    let within = section.optional::<f64>("within");
    let first = inputs.first()?;
    if let Some(other) = inputs.iter().find(|input| input.quantity != first.quantity) {
        let message = format!(
            "{what} holds `{}` in {} against `{}` in {}",
            first.id,
            first.quantity.unit(),
            other.id,
            other.quantity.unit()
        );
        section.wrong("inputs", message, "all its inputs must measure the same");
        return None;
    }
    let policy = match (policy?, within) {
        (Named::Failover, None) if !section.has("within") => Policy::Failover,
        (Named::Failover, _) => {
            let message = format!("`within` of {what} is for sensors that must agree");
            section.wrong("within", message, "leave it out, or write `policy = \"agree\"`");
            return None;
        }
        (Named::Agree, Some(within)) if within > 0.0 => Policy::Agree { within },
        (Named::Agree, Some(_)) => {
            let message = format!("`within` of {what} must be above 0");
            section.wrong("within", message, "two sensors are never exactly equal; give what both may err together");
            return None;
        }
        (Named::Agree, None) => return section.required::<f64>("within").and(None),
    };
    let channel = Channel { name: first.name, quantity: first.quantity };
    Some(Arc::new(Redundant { channel, policy }))
}

impl Value for Named {
    const EXPECTED: &'static str = "a policy";
    const EXAMPLE: &'static str = "\"failover\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("failover") => Ok(Self::Failover),
            Some("agree") => Ok(Self::Agree),
            _ => Err("write \"failover\" (the first that works) or \"agree\" (what they agree upon)".into()),
        }
    }
}

type Inputs<'i> = [(&'i ChannelId, Option<&'i Sample>)];

impl Formula for Redundant {
    fn channel(&self) -> Channel {
        self.channel
    }

    fn compute(&self, inputs: &Inputs<'_>) -> Outcome {
        match self.policy {
            Policy::Failover => failover(inputs),
            Policy::Agree { within } => agree(inputs, within, self.channel.quantity),
        }
    }
}

fn failover(inputs: &Inputs<'_>) -> Outcome {
    let first = |fits: fn(&Sample) -> bool| {
        let mut fresh = inputs.iter().enumerate().filter_map(|(index, (_, sample))| Some((index, (*sample)?)));
        fresh.find(|(_, sample)| fits(sample))
    };
    let source = first(|sample| matches!(sample, Sample::Good(_))).or_else(|| first(|sample| sample.value().is_some()));
    let Some((index, sample)) = source else { return nothing(inputs) };
    let sample = match sample {
        Sample::Uncertain(value, reason) => Sample::Uncertain(*value, format!("{} {reason}", inputs[index].0).into()),
        other => other.clone(),
    };
    let about: Vec<usize> = match &sample {
        Sample::Good(_) => (0..index).collect(),
        _ => (0..inputs.len()).collect(),
    };
    let uses = format!("{} is used", inputs[index].0);
    let trouble = (!about.is_empty()).then(|| Trouble { text: format!("{}; {uses}", told(inputs, &about)), about });
    Outcome { sample, uses: vec![index], trouble }
}

fn agree(inputs: &Inputs<'_>, within: f64, quantity: Quantity) -> Outcome {
    let values = |fits: fn(&Sample) -> bool| -> Vec<(usize, f64)> {
        let value = |(index, (_, sample)): (usize, &(_, Option<&Sample>))| {
            Some((index, sample.filter(|sample| fits(sample))?.value()?))
        };
        inputs.iter().enumerate().filter_map(value).collect()
    };
    let good = values(|sample| matches!(sample, Sample::Good(_)));
    let are_good = !good.is_empty();
    let mut votes = if are_good { good } else { values(|_| true) };
    if votes.is_empty() {
        return nothing(inputs);
    }
    votes.sort_by(|one, other| one.1.total_cmp(&other.1));
    let silent: Vec<usize> = (0..inputs.len()).filter(|index| !votes.iter().any(|(voter, _)| voter == index)).collect();
    let group = largest_group(&votes, within);
    let all: Vec<usize> = sorted(&votes);

    if group.len() * 2 <= votes.len() {
        let values: Vec<String> = all.iter().map(|&index| worth(inputs, index, quantity)).collect();
        let text = format!("{} differ by more than {within} {}", listed(&values), quantity.unit());
        return Outcome {
            sample: Sample::Bad(text.clone().into()),
            uses: all,
            trouble: Some(Trouble { about: (0..inputs.len()).collect(), text }),
        };
    }
    let value = middle(group);
    let uses = sorted(group);
    let (sample, mut says) = match (&uses[..], are_good) {
        ([only], true) => {
            let text = format!("only {} answers", inputs[*only].0);
            (Sample::Uncertain(value, text.clone().into()), vec![text])
        }
        (_, true) => (Sample::Good(value), Vec::new()),
        (_, false) => {
            let reason = format!("no input is good: {}", told(inputs, &uses));
            (Sample::Uncertain(value, reason.into()), Vec::new())
        }
    };
    let outside: Vec<usize> = all.into_iter().filter(|index| !uses.contains(index)).collect();
    says.extend(outside.iter().map(|&index| format!("{} is not like the others", worth(inputs, index, quantity))));
    let mut about: Vec<usize> = silent.into_iter().chain(if are_good { Vec::new() } else { uses.clone() }).collect();
    if !about.is_empty() {
        says.push(told(inputs, &about));
    }
    about.extend(outside);
    about.sort_unstable();
    let trouble = (!about.is_empty()).then(|| Trouble { about, text: says.join("; ") });
    Outcome { sample, uses, trouble }
}

/// Nothing fresh has a value.
fn nothing(inputs: &Inputs<'_>) -> Outcome {
    let about: Vec<usize> = (0..inputs.len()).collect();
    let text = told(inputs, &about);
    Outcome { sample: Sample::Bad(text.clone().into()), uses: Vec::new(), trouble: Some(Trouble { about, text }) }
}

/// The most neighbours of the ascending `votes` that lie within `within`; of several as large, the closest together.
fn largest_group(votes: &[(usize, f64)], within: f64) -> &[(usize, f64)] {
    let span = |group: &[(usize, f64)]| match (group.first(), group.last()) {
        (Some(first), Some(last)) => last.1 - first.1,
        _ => 0.0,
    };
    let mut best = &votes[..0];
    for (start, first) in votes.iter().enumerate() {
        let end = votes.partition_point(|vote| vote.1 - first.1 <= within);
        let group = &votes[start..end.max(start)];
        if group.len() > best.len() || group.len() == best.len() && span(group) < span(best) {
            best = group;
        }
    }
    best
}

/// The mean of two, else the median, of ascending values that are not none.
fn middle(group: &[(usize, f64)]) -> f64 {
    let at = |index: usize| group.get(index).map_or(f64::NAN, |vote| vote.1);
    let (lower, upper) = (at((group.len() - 1) / 2), at(group.len() / 2));
    // Halved first, so that the sum cannot overflow.
    if lower == upper { lower } else { lower / 2.0 + upper / 2.0 }
}

fn sorted(votes: &[(usize, f64)]) -> Vec<usize> {
    let mut indices: Vec<usize> = votes.iter().map(|(index, _)| *index).collect();
    indices.sort_unstable();
    indices
}

/// `air1.temperature (21.4 °C)`
fn worth(inputs: &Inputs<'_>, index: usize, quantity: Quantity) -> String {
    let (id, sample) = inputs[index];
    let value = sample.and_then(Sample::value).unwrap_or(f64::NAN);
    format!("{id} ({} {})", (value * 100.0).round() / 100.0, quantity.unit())
}

/// What is the matter with each of these: `air1.temperature does not answer, air2.temperature: unplugged`.
fn told(inputs: &Inputs<'_>, about: &[usize]) -> String {
    let tell = |&index: &usize| {
        let (id, sample) = inputs[index];
        match sample.map(Sample::reason) {
            None => format!("{id} does not answer"),
            Some(Some(reason)) => format!("{id}: {reason}"),
            Some(None) => format!("{id} is good"),
        }
    };
    about.iter().map(tell).collect::<Vec<_>>().join(", ")
}

fn listed(names: &[String]) -> String {
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests;
