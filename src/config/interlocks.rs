//! Whether what the outputs say of one another fits together: `only_while` and `never_with`. An output may name one that stands
//! later in the file, so this is looked at when all of them are read.

use std::collections::BTreeMap;

use super::check::{Output, suggestion};
use super::{Diagnostic, Place};
use crate::model::OutputId;

/// One side of an interlock: whom an output names, and where it does.
pub type Named = (OutputId, Place);

/// Everything that is wrong with the interlocks.
pub(super) fn check(outputs: &BTreeMap<String, Output>) -> Vec<Diagnostic> {
    let names: Vec<&str> = outputs.keys().map(String::as_str).collect();
    let mut found = Vec::new();
    for (name, output) in outputs {
        let lists = [("only_while", &output.only_while), ("never_with", &output.never_with)];
        let each = lists.into_iter().flat_map(|(key, list)| list.iter().map(move |(other, place)| (key, other, place)));
        for (key, other, place) in each {
            let mut report = |message: String, hint: String| {
                found.push(Diagnostic::new(message, place.clone(), hint));
            };
            let Some(known) = outputs.get(other.as_str()) else {
                let hint = suggestion(other.as_str(), &names, "outputs");
                found.push(Diagnostic::absent(format!("there is no output `{other}`"), place.clone(), hint));
                continue;
            };
            if other.as_str() == name {
                report(format!("`{key}` of output {name} names itself"), "name another output".into());
                continue;
            }
            if key == "never_with" {
                if output.safe_on && known.safe_on {
                    let hint = format!("let the safe level of {name} or of {other} be off");
                    report(format!("output {name} is never on with {other}, but both are when they are safe"), hint);
                }
                continue;
            }
            if output.never_with.iter().any(|(never, _)| never == other) {
                let hint = "remove it from `only_while` or from `never_with`".to_owned();
                report(format!("output {name} is on only while {other} is, and never with it"), hint);
            }
            if known.pulses {
                let hint = format!("remove `cycle` from [outputs.{other}], or name an output without one");
                report(
                    format!("output {name} would come and go with the pulses of {other}, which has a `cycle`"),
                    hint,
                );
            }
            if output.safe_on {
                let hint = format!("let the safe level of {name} be off, or remove this");
                report(format!("output {name} is on when it is safe, whether {other} is on or not"), hint);
            }
        }
    }
    found.extend(circles(outputs));
    found
}

/// Outputs that wait for one another: none of them could ever be the first to go on. Each circle is told once.
fn circles(outputs: &BTreeMap<String, Output>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    // No way from these leads anywhere new.
    let mut done: Vec<&str> = Vec::new();
    for start in outputs.keys() {
        // The way from the start, and of each output on it, how many of those it names were looked at.
        let mut way: Vec<(&str, usize)> = vec![(start, 0)];
        while let Some((name, looked)) = way.last_mut() {
            let next = outputs.get(*name).and_then(|output| output.only_while.get(*looked));
            let Some((next, place)) = next.filter(|_| !done.contains(name)) else {
                done.push(name);
                way.pop();
                continue;
            };
            *looked += 1;
            let itself = next.as_str() == *name;
            match way.iter().position(|(name, _)| *name == next.as_str()) {
                Some(_) if itself => {}
                Some(begin) => {
                    let names: Vec<&str> = way[begin..].iter().map(|(name, _)| *name).chain([next.as_str()]).collect();
                    let message = format!("`only_while` goes in a circle: {}", names.join(", "));
                    let hint = "none of them could go on first: remove one of these";
                    found.push(Diagnostic::new(message, place.clone(), hint));
                }
                None => way.push((next.as_str(), 0)),
            }
        }
    }
    found
}
