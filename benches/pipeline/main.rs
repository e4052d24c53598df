//! How much a reading costs, from the sensor to the acknowledged MQTT message and the committed row, beside a *floor*: a
//! plain loop that makes the same publishes and inserts by hand (`floor.rs`), in the same run on the same broker.
//!
//!     cargo bench --bench pipeline
//!
//! Needs Mosquitto (Debian: `apt install mosquitto`). Takes about two minutes. Every figure is of a process of its own,
//! measured from outside: CPU time and peak memory by the kernel's account, messages by a subscriber, rows in the database.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot measure has nothing to say")]
#![allow(clippy::disallowed_methods, reason = "it measures real time, from outside")]

mod floor;
mod peer;

use std::path::Path;
use std::time::{Duration, Instant};

use peer::{Broker, Measured, Subscriber, Victim};

/// How long each load is kept up.
const BULK: Duration = Duration::from_secs(4);
const TICKS: Duration = Duration::from_secs(20);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [name, port, database, seconds, load] = &arguments[..]
        && name == "floor"
    {
        return floor::run(port.parse().unwrap(), Path::new(database), seconds.parse().unwrap(), load);
    }
    let broker = Broker::start();
    println!("{:<46}{:>12}{:>12}{:>10}", "", "homeostat", "floor", "ratio");
    ticks(&broker);
    bulk(&broker);
    start(&broker);
}

/// Fifty sensors at 1 Hz, ticking together: what a Pi does all day.
fn ticks(broker: &Broker) {
    let ours = steady(broker, 50, "1s", TICKS);
    let floor = steady_floor(broker, "50", TICKS);
    row("50 sensors at 1 Hz: CPU a reading", ours.cpu_us(), floor.cpu_us(), "µs");
    row("50 sensors at 1 Hz: peak memory", ours.peak_mb, floor.peak_mb, "MB");
    assert!(ours.published >= 50 * (TICKS.as_secs() - 2), "{ours:?}");
}

/// How many readings a second can be both acknowledged and committed. The load grows until more of it no longer helps.
/// Live topics promise the newest only, so under a load that is too high some readings are stored and not published.
fn bulk(broker: &Broker) {
    let floor = steady_floor(broker, "max", BULK);
    let mut best: Option<Measured> = None;
    for sensors in [50, 100, 150, 200, 250, 300, 400, 500, 600, 800] {
        let ours = steady(broker, sensors, "10ms", BULK);
        if best.as_ref().is_some_and(|best| best.rate() > ours.rate()) {
            break;
        }
        best = Some(ours);
    }
    if let Some(ours) = best {
        row("in bulk: readings a second", ours.rate(), floor.rate(), "/s");
        row("in bulk: CPU a reading", ours.cpu_us(), floor.cpu_us(), "µs");
        println!("{:<46}{:>10.1} %", "in bulk: stored readings that were published", 100.0 * ours.whole());
    }
}

/// From the start of the process to the first reading at a subscriber.
fn start(broker: &Broker) {
    let mut times: Vec<f64> = (0..9)
        .map(|_| {
            let directory = tempfile::tempdir().unwrap();
            let subscriber = Subscriber::connect(broker.port);
            let began = Instant::now();
            let _daemon = Victim::daemon(broker.port, directory.path(), 50, "1s");
            subscriber.first_reading(Duration::from_secs(10));
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{:<46}{:>9.0} ms   (slowest of nine: {:.0} ms)",
        "start to the first reading, median", times[4], times[8]
    );
}

fn steady(broker: &Broker, sensors: u32, every: &str, time: Duration) -> Measured {
    let directory = tempfile::tempdir().unwrap();
    let subscriber = Subscriber::connect(broker.port);
    let daemon = Victim::daemon(broker.port, directory.path(), sensors, every);
    subscriber.first_reading(Duration::from_secs(10));
    daemon.measure(&subscriber, &directory.path().join("homeostat.db"), time)
}

fn steady_floor(broker: &Broker, load: &str, time: Duration) -> Measured {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("floor.db");
    let subscriber = Subscriber::connect(broker.port);
    let floor = Victim::floor(broker.port, &database, time + Duration::from_secs(1), load);
    subscriber.first_reading(Duration::from_secs(10));
    floor.measure(&subscriber, &database, time)
}

fn row(what: &str, ours: f64, floor: f64, unit: &str) {
    println!("{what:<46}{:>12}{:>12}{:>10.2}", rounded(ours, unit), rounded(floor, unit), ours / floor);
}

fn rounded(figure: f64, unit: &str) -> String {
    let digits = usize::from(figure < 100.0);
    format!("{figure:.digits$} {unit}")
}
