//! Brokers that take no large packets: pages become as small as they must be, and only what fits on no page is missing.

use std::time::Duration;

use super::ALONE;
use super::broker::{Broker, Keeps, free_port};
use super::consumer::{Reading, consume, stored};
use super::house::{Home, fifty};
use super::listener::Listener;
use super::process::live_for;

/// Reads until it has the reading of this number.
fn read_to(broker: &Broker, last: u64, history: &Listener) -> Vec<Reading> {
    let mut pages: Vec<String> = Vec::new();
    while consume(&pages).last().is_none_or(|reading| reading.seq < last) {
        let page = history.next(Duration::from_secs(60));
        pages.push(page.unwrap_or_else(|| panic!("only {:?}: {}", consume(&pages).last(), broker.log())).payload);
    }
    consume(&pages)
}

/// A house with some backlog.
fn behind() -> Home {
    let home = Home::new(&fifty(free_port(), "50ms"));
    let daemon = home.run();
    live_for(Duration::from_secs(2));
    assert_eq!(daemon.stop().0, Some(0));
    home
}

#[test]
#[ignore = "needs mosquitto"]
fn a_page_that_is_too_large_for_the_broker_comes_in_smaller_ones() {
    let _shared = ALONE.read().unwrap();
    // They wait more than they work.
    std::thread::scope(|scope| {
        for (protocol, limit) in
            [("3.1.1", "max_packet_size 8000"), ("5", "max_packet_size 8000"), ("5", "message_size_limit 8000")]
        {
            scope.spawn(move || arrives_in_smaller_ones(protocol, limit));
        }
    });
}

fn arrives_in_smaller_ones(protocol: &str, limit: &str) {
    let broker = Broker::start(Keeps::Nothing, limit);
    let home = behind();
    let expected = stored(&home.house);
    let history = Listener::new(broker.port, "homeostat/house/history");
    let config = fifty(broker.port, "1s").replace("[mqtt]\n", &format!("[mqtt]\nprotocol = \"{protocol}\"\n"));
    home.house.write("config.toml", &config);
    let _daemon = home.run();
    let read = read_to(&broker, expected.last().unwrap().seq, &history);
    assert!(read.starts_with(&expected), "MQTT {protocol}, {limit}");
    println!("MQTT {protocol}, {limit}: {} readings", read.len());
}

#[test]
#[ignore = "needs mosquitto"]
fn a_reading_that_is_too_large_for_the_broker_is_held_back_alone_and_a_person_hears_of_it() {
    let _shared = ALONE.read().unwrap();
    let home = behind();
    let db = rusqlite::Connection::open(home.house.path("homeostat.db")).unwrap();
    let large: i64 =
        db.query_row("SELECT seq FROM readings ORDER BY seq LIMIT 1 OFFSET 30", (), |row| row.get(0)).unwrap();
    db.execute("INSERT INTO reasons VALUES (?1, ?2)", (large, "\u{2603}".repeat(1000))).unwrap();
    db.execute("DELETE FROM readings WHERE seq > ?1 + 30", [large]).unwrap();
    db.execute("UPDATE readings SET value = NULL, quality = 2, reason = ?1 WHERE seq = ?1", [large]).unwrap();
    drop(db);
    let large = u64::try_from(large).unwrap();
    let expected: Vec<Reading> = stored(&home.house).into_iter().filter(|reading| reading.seq != large).collect();

    let broker = Broker::start(Keeps::Nothing, "max_packet_size 800");
    let (history, alarms) = (
        Listener::new(broker.port, "homeostat/house/history"),
        Listener::new(broker.port, "homeostat/house/alarm/mqtt.history"),
    );
    // Once an hour: the backlog is what this is about.
    home.house.write("config.toml", &fifty(broker.port, "1h"));
    let _daemon = home.run();
    let read = read_to(&broker, expected.last().unwrap().seq, &history);
    assert!(read.starts_with(&expected), "all others are there, in order: {read:?}");
    let alarm = alarms.next(Duration::from_secs(20)).expect("a person hears of it");
    assert!(alarm.payload.contains(&format!("number {large}:")), "{alarm:?}");
}
