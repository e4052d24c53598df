//! What the tests have measured of each fault, for docs/faults.md: dropped into `target/faults/`, one file for each test binary.
//!
//! A file is a JSON array of [`Measured`]. Whoever measures calls [`record`]; `tests/faults.rs` makes the table of them all.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

/// The worst that was seen of one fault made in one way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What went wrong: "sensor hangs".
    pub fault: String,
    /// How it was made, and what was timed.
    pub how: String,
    /// How often it was measured.
    pub count: u64,
    /// The worst time, in seconds.
    pub seconds: f64,
    /// By when all must be well, in seconds.
    pub promised: f64,
    /// What measures it.
    pub command: String,
}

/// Keeps one measurement: the worst of those with the same `fault` and `how` counts. Gives whether the promise was kept.
pub fn record(fault: &str, how: &str, seconds: f64, promised: f64, command: &str) -> bool {
    record_all([Measured {
        fault: fault.to_owned(),
        how: how.to_owned(),
        count: 1,
        seconds,
        promised,
        command: command.to_owned(),
    }]);
    seconds <= promised
}

/// Keeps many at once.
pub fn record_all(measured: impl IntoIterator<Item = Measured>) {
    static KEPT: Mutex<Option<BTreeMap<(String, String), Measured>>> = Mutex::new(None);
    let mut kept = KEPT.lock().unwrap();
    let kept = kept.get_or_insert_with(before);
    for new in measured {
        match kept.get_mut(&(new.fault.clone(), new.how.clone())) {
            Some(old) => merge(old, &new),
            None => drop(kept.insert((new.fault.clone(), new.how.clone()), new)),
        }
    }
    let file = directory().join(format!("{}.json", binary()));
    let all: Vec<&Measured> = kept.values().collect();
    // Put in place whole, for another test may read at this moment.
    let written = file.with_extension(format!("{}.tmp", std::process::id()));
    fs::create_dir_all(directory()).unwrap();
    fs::write(&written, serde_json::to_string_pretty(&all).unwrap()).unwrap();
    fs::rename(&written, &file).unwrap();
}

/// What earlier runs of this test binary have dropped: those that need nothing installed and those that do are run apart.
fn before() -> BTreeMap<(String, String), Measured> {
    let text = fs::read_to_string(directory().join(format!("{}.json", binary()))).unwrap_or_default();
    let measured: Vec<Measured> = serde_json::from_str(&text).unwrap_or_default();
    measured.into_iter().map(|one| ((one.fault.clone(), one.how.clone()), one)).collect()
}

/// All that was ever dropped, by fault: of the same measurement the worst.
pub fn all() -> Vec<Measured> {
    let mut all: BTreeMap<(String, String), Measured> = BTreeMap::new();
    for entry in fs::read_dir(directory()).into_iter().flatten() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let measured: Vec<Measured> =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}; delete it", file.display()));
        for new in measured {
            match all.get_mut(&(new.fault.clone(), new.how.clone())) {
                Some(old) => merge(old, &new),
                None => drop(all.insert((new.fault.clone(), new.how.clone()), new)),
            }
        }
    }
    all.into_values().collect()
}

fn merge(old: &mut Measured, new: &Measured) {
    let same = old.promised.to_bits() == new.promised.to_bits();
    assert!(same, "{} ({}) has two promises: {} and {} s", new.fault, new.how, old.promised, new.promised);
    old.count += new.count;
    old.seconds = old.seconds.max(new.seconds);
    old.command.clone_from(&new.command);
}

/// Beside the build that measures, wherever that is.
fn directory() -> PathBuf {
    let binary = std::env::current_exe().unwrap();
    // target/debug/deps/schedules-0123456789abcdef
    binary.ancestors().nth(3).unwrap().join("faults")
}

/// `schedules`
fn binary() -> String {
    let path = std::env::current_exe().unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    name.rsplit_once('-').map_or(name.clone(), |(name, _)| name.to_owned())
}
