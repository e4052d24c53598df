//! Somebody who reads the history as docs/history.md tells: in the order in which it comes, dropping what is not new. At the end it
//! must have what the store has.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::process::House;

/// A reading, as a consumer or the store has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Reading {
    pub seq: u64,
    pub channel: String,
    pub time: String,
    pub value: Option<f64>,
    pub quality: String,
}

#[derive(Deserialize)]
struct Page {
    node: String,
    readings: Vec<Reading>,
}

/// What is new on these pages, in the order in which they came.
pub fn consume(pages: &[impl AsRef<[u8]>]) -> Vec<Reading> {
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut all = Vec::new();
    for page in pages {
        let page: Page = serde_json::from_slice(page.as_ref()).expect("a page of the history is JSON");
        for reading in page.readings {
            let last = last.entry(page.node.clone()).or_default();
            if reading.seq > *last {
                *last = reading.seq;
                all.push(reading);
            }
        }
    }
    all
}

/// How many readings came more than once.
pub fn repeats(pages: &[impl AsRef<[u8]>]) -> usize {
    let all: usize =
        pages.iter().map(|page| serde_json::from_slice::<Page>(page.as_ref()).unwrap().readings.len()).sum();
    all - consume(pages).len()
}

/// Looks at every reading of a page.
pub fn each_of(page: &[u8], each: impl FnMut(Reading)) {
    serde_json::from_slice::<Page>(page).expect("a page of the history is JSON").readings.into_iter().for_each(each);
}

/// What the store of a house holds that does not run.
pub fn stored(house: &House) -> Vec<Reading> {
    let mut all = Vec::new();
    stored_each(house, |reading| all.push(reading));
    all
}

/// The same, one by one.
pub fn stored_each(house: &House, each: impl FnMut(Reading)) {
    let db = rusqlite::Connection::open(house.path("homeostat.db")).unwrap();
    let mut select = db.prepare("SELECT seq, channel, time, value, quality FROM history ORDER BY seq").unwrap();
    let rows = select.query_map((), |row| {
        let seq: i64 = row.get(0)?;
        Ok(Reading {
            seq: seq.try_into().unwrap(),
            channel: row.get(1)?,
            time: row.get(2)?,
            value: row.get(3)?,
            quality: row.get(4)?,
        })
    });
    rows.unwrap().map(Result::unwrap).for_each(each);
}

/// The first thing that is wrong with what somebody has read.
pub struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `read` is `stored`: every reading, in order, each with its own time and value.
pub fn compare(read: &[Reading], stored: &[Reading]) -> Result<(), Wrong> {
    let mut times: BTreeMap<&str, &str> = BTreeMap::new();
    for (at, expected) in stored.iter().enumerate() {
        let wrong = |what: &str| {
            let (read, stored) = (read.len(), stored.len());
            Err(Wrong(format!("{what} (house, {}): {expected:?}; {read} were read, {stored} are stored", expected.seq)))
        };
        match read.get(at) {
            Some(found) if found.seq == expected.seq && is_same(found, expected) => {}
            Some(found) if found.seq == expected.seq => return wrong(&format!("{found:?} was read for")),
            Some(found) if found.seq < expected.seq => {
                return wrong(&format!("{found:?} is not stored, and was read before"));
            }
            Some(_) | None => return wrong("the first that is missing is"),
        }
        // Strings of one form, so their order is that of time.
        let before = times.insert(&expected.channel, &expected.time);
        if before.is_some_and(|before| before > expected.time.as_str()) {
            return wrong(&format!("time goes back from {} at", before.unwrap_or("nothing")));
        }
    }
    match read.get(stored.len()) {
        Some(more) => Err(Wrong(format!("{more:?} was read and is not stored"))),
        None => Ok(()),
    }
}

/// The reader of JSON may be off by the last bit of a value.
fn is_same(one: &Reading, other: &Reading) -> bool {
    let near = match (one.value, other.value) {
        (Some(one), Some(other)) => (one - other).abs() <= f64::EPSILON * other.abs(),
        (one, other) => one == other,
    };
    near && (&one.channel, &one.time, &one.quality) == (&other.channel, &other.time, &other.quality)
}

/// A reader with a session of its own at a broker, which keeps for it what comes.
pub struct Reader {
    port: u16,
}

const TOPIC: &str = "homeostat/house/history";
/// Says that there is nothing more.
const END: &str = "the end";

impl Reader {
    pub fn subscribe(port: u16) -> Self {
        let reader = Self { port };
        let done = reader.command("mosquitto_sub").args(["-c", "-i", "reader", "-E"]).status().unwrap();
        assert!(done.success(), "mosquitto_sub: {done}");
        reader
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-p", &self.port.to_string(), "-q", "1", "-t", TOPIC]);
        command
    }

    /// Everything that the broker has kept for it.
    pub fn fetch(self) -> Vec<Vec<u8>> {
        let said = self.command("mosquitto_pub").args(["-m", END]).status().unwrap();
        assert!(said.success(), "mosquitto_pub: {said}");
        let fetching =
            self.command("mosquitto_sub").args(["-c", "-i", "reader", "-W", "30"]).stdout(Stdio::piped()).spawn();
        let mut fetching = fetching.expect("mosquitto_sub is installed");
        let lines = BufReader::new(fetching.stdout.take().unwrap()).lines().map(Result::unwrap);
        let pages = lines.take_while(|line| line != END).map(String::into_bytes).collect();
        let _ = fetching.kill();
        let _ = fetching.wait();
        pages
    }
}
