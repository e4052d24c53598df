//! The floor: the same publishes and inserts as plainly as they can be written. No actors, no supervision, no safety.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, PublishOptions};
use rusqlite::{Connection, params};

struct Pipe {
    client: AsyncClient,
    connection: EventLoop,
    database: Connection,
    batch: Vec<(i64, i64, i64, f64)>,
    seq: i64,
    outstanding: usize,
}

/// Runs for `seconds`: `load` sensors once a second, or `max` readings as fast as they are acknowledged.
pub fn run(port: u16, database: &Path, seconds: u64, load: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut options = MqttOptions::new("floor", ("127.0.0.1", port));
    options.set_inflight(100);
    options.set_max_request_batch(100);
    let (client, connection) = AsyncClient::builder(options).capacity(200).build();
    let database = Connection::open(database).unwrap();
    database
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE readings (series INTEGER, time INTEGER, seq INTEGER, value REAL, PRIMARY KEY (series, time, seq)) WITHOUT ROWID;",
        )
        .unwrap();
    let mut pipe = Pipe { client, connection, database, batch: Vec::new(), seq: 0, outstanding: 0 };
    runtime.block_on(async {
        let end = Instant::now() + Duration::from_secs(seconds);
        match load.parse::<usize>() {
            Ok(sensors) => pipe.ticks(sensors, end).await,
            Err(_) => pipe.bulk(end).await,
        }
        pipe.settle().await;
    });
    pipe.commit();
}

impl Pipe {
    async fn ticks(&mut self, sensors: usize, end: Instant) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        while Instant::now() < end {
            tokio::select! {
                event = self.connection.poll() => self.heard(event.unwrap()),
                _ = second.tick() => {
                    for sensor in 0..sensors {
                        self.read(sensor);
                    }
                    if self.batch.len() >= 10 * sensors {
                        self.commit();
                    }
                }
            }
        }
    }

    async fn bulk(&mut self, end: Instant) {
        let mut sensor = 0;
        while Instant::now() < end {
            while self.outstanding < 100 {
                sensor = (sensor + 1) % 500;
                self.read(sensor);
            }
            if self.batch.len() >= 500 {
                self.commit();
            }
            let event = self.connection.poll().await.unwrap();
            self.heard(event);
        }
    }

    fn read(&mut self, sensor: usize) {
        self.seq += 1;
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let value = 20.0 + (self.seq % 100) as f64 / 100.0;
        let time = jiff::Timestamp::from_millisecond(now).unwrap();
        let payload =
            format!(r#"{{"value":{value},"unit":"°C","time":"{time:.3}","quality":"good","seq":{}}}"#, self.seq);
        let topic = format!("homeostat/bench/s{sensor}/temperature");
        self.client.try_publish(topic, payload, PublishOptions::at_least_once().retained()).unwrap();
        self.outstanding += 1;
        self.batch.push((sensor as i64, now, self.seq, value));
    }

    fn heard(&mut self, event: Event) {
        if let Event::Incoming(Packet::PubAck(_)) = event {
            self.outstanding -= 1;
        }
    }

    async fn settle(&mut self) {
        while self.outstanding > 0 {
            let event = self.connection.poll().await.unwrap();
            self.heard(event);
        }
    }

    fn commit(&mut self) {
        let transaction = self.database.transaction().unwrap();
        {
            let mut insert = transaction.prepare("INSERT INTO readings VALUES (?1, ?2, ?3, ?4)").unwrap();
            for (series, time, seq, value) in self.batch.drain(..) {
                insert.execute(params![series, time, seq, value]).unwrap();
            }
        }
        transaction.commit().unwrap();
    }
}
