//! A broker that comes back and has forgotten everything is told all of it within five seconds, however long it was away.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ALONE;
use super::broker::{Broker, Keeps};
use super::house::{Home, SENSORS, fifty};
use super::listener::{Heard, Listener};
use super::process::{live_for, now};

/// In milliseconds.
const PROMISED: f64 = 5000.0;

/// The newest of each topic that is retained. An alarm that has gone is empty, and leaves nothing.
fn all(listener: &Listener, until: impl Fn(&BTreeMap<String, Heard>) -> bool) -> BTreeMap<String, Heard> {
    let mut topics = BTreeMap::new();
    while !until(&topics) {
        let heard = listener.next(Duration::from_secs(20)).unwrap_or_else(|| panic!("only {topics:#?}"));
        if !heard.topic.ends_with("/history") && !heard.payload.is_empty() {
            topics.insert(heard.topic.clone(), heard);
        }
    }
    topics
}

fn seq(heard: &Heard) -> Option<u64> {
    heard.topic.ends_with("/temperature").then(|| heard.json()["seq"].as_u64().unwrap())
}

#[test]
#[ignore = "needs mosquitto"]
fn after_a_restart_without_persistence_all_that_is_retained_is_right_within_five_seconds() {
    let _shared = ALONE.read().unwrap();
    let mut broker = Broker::start(Keeps::Nothing, "");
    let home = Home::new(&fifty(broker.port, "1s"));
    let _daemon = home.run();
    // Sensors with their status, an output, a controller, the node.
    let topics = 2 * SENSORS + 3;
    for away in [0, 700, 4000, 20_000] {
        let before =
            all(&Listener::new(broker.port, "homeostat/house/#"), |topics_so_far| topics_so_far.len() >= topics);
        broker.kill();
        live_for(Duration::from_millis(away));
        broker.begin();
        let began = now() as f64;
        let listener = Listener::new(broker.port, "homeostat/house/#");
        let again = all(&listener, |again| before.keys().all(|topic| again.contains_key(topic)));
        let took = again.values().map(|heard| heard.at).fold(began, f64::max) - began;
        println!("{} topics are right again {took:.0} ms after a broker that was away for {away} ms", again.len());
        assert!(took < PROMISED, "it took {took:.0} ms after {away} ms");
        // And a newcomer finds them, none of them older than what was known.
        let found = all(&Listener::new(broker.port, "homeostat/house/#"), |found| found.len() >= before.len());
        assert_eq!(found.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
        assert_eq!(found["homeostat/house/status"].payload, "online");
        for (topic, heard) in &before {
            assert!(seq(&found[topic]) >= seq(heard), "{topic}: {heard:?}, then {:?}", found[topic]);
        }
    }
}
