//! The task that tells a person: it sees what stands, asks the digest, and has the courier carry the letters.
//!
//! It looks at the table, not at the bus: an alarm wakes it, a reading does not, and there is no queue that could fill.
//! A courier that fails is logged once and raises no alarm, which would only have to be carried by the same courier.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{sleep_until, timeout};

use super::courier::{Courier, DEADLINE, Webhook};
use super::digest::Digest;
use super::letter::Letter;
use super::{Alarms, Config, Recalled, Way};
use crate::panics::locked;

/// How long the last letter before the end may take: less than the supervisor waits.
const LAST: Duration = Duration::from_millis(700);

/// One way to a person. All clones are the same; it survives a restart of its task.
#[derive(Clone)]
pub struct Teller {
    alarms: Alarms,
    courier: Arc<dyn Courier>,
    digest: Arc<Mutex<Digest>>,
    name: Arc<str>,
}

type Delivery = JoinHandle<Result<(), (Letter, String)>>;

impl Teller {
    /// A teller for each way of the configuration. What a person was told by the process before is not told again, except
    /// for latched alarms: what they hold back still waits for somebody.
    pub fn all(config: &Config, node: &str, alarms: &Alarms, recalled: &Recalled) -> Vec<Self> {
        let known: Vec<_> = recalled.alarms.iter().filter(|alarm| !alarm.latched).cloned().collect();
        let teller = |way: &Way| {
            let (name, courier): (_, Arc<dyn Courier>) = match way {
                Way::Webhook(hook) => ("alarms.webhook", Arc::new(Webhook::new(hook.clone(), DEADLINE))),
                #[cfg(feature = "email")]
                Way::Email(mail) => ("alarms.email", Arc::new(super::email::Email(mail.clone()))),
            };
            let digest = Digest::new(node, config.at_most, config.again_after, &known);
            Self::new(name, courier, digest, alarms)
        };
        config.ways.iter().map(teller).collect()
    }

    fn new(name: &str, courier: Arc<dyn Courier>, digest: Digest, alarms: &Alarms) -> Self {
        Self { alarms: alarms.clone(), courier, digest: Arc::new(Mutex::new(digest)), name: name.into() }
    }

    /// `alarms.webhook`
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Tells until `stop`, and then what was not told yet, if that is quick. The error means that the courier panicked.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Result<(), JoinError> {
        let clock = self.alarms.clock();
        let mut stop = pin!(stop);
        let mut changes = self.alarms.changes();
        let mut under_way: Option<Delivery> = None;
        let mut failing = false;
        loop {
            changes.mark_unchanged();
            self.look();
            if under_way.is_none() {
                under_way = locked(&self.digest).take(clock.now()).map(|letter| self.send(letter));
            }
            let due = if under_way.is_none() { locked(&self.digest).due() } else { None };
            tokio::select! {
                () = &mut stop => break,
                _ = changes.changed() => {}
                () = sleep_until(clock.instant(due.unwrap_or_default())), if due.is_some() => {}
                done = finished(&mut under_way) => {
                    under_way = None;
                    failing = self.came_back(done?, failing);
                }
            }
        }
        // What is under way goes on by itself; its letter is not sent twice.
        if under_way.is_none() {
            self.look();
            if let Some(letter) = locked(&self.digest).take_last(clock.now()) {
                under_way = Some(self.send(letter));
            }
        }
        if let Ok(done) = timeout(LAST, finished(&mut under_way)).await {
            self.came_back(done?, failing);
        }
        Ok(())
    }

    fn look(&self) {
        let clock = self.alarms.clock();
        locked(&self.digest).look(&self.alarms.standing_now(), clock.now(), clock.wall());
    }

    fn send(&self, letter: Letter) -> Delivery {
        let courier = self.courier.clone();
        spawn_blocking(move || courier.deliver(&letter).map_err(|why| (letter, why)))
    }

    /// Whether it fails now.
    fn came_back(&self, result: Result<(), (Letter, String)>, failing: bool) -> bool {
        let now = self.alarms.clock().now();
        match result {
            Ok(()) => {
                if failing {
                    tracing::info!("{} tells again", self.name);
                }
                locked(&self.digest).delivered(now);
                false
            }
            Err((letter, why)) => {
                if !failing {
                    tracing::warn!("{} cannot tell a person of alarms, and tries again: {why}", self.name);
                }
                locked(&self.digest).failed(letter, now);
                true
            }
        }
    }
}

/// Waits for the delivery under way, for ever if there is none.
async fn finished(under_way: &mut Option<Delivery>) -> Result<Result<(), (Letter, String)>, JoinError> {
    match under_way {
        Some(delivery) => delivery.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::super::Rate;
    use super::super::tests::alarms;
    use super::*;

    /// Writes letters down, and fails as long as it is told to.
    #[derive(Default)]
    struct Fake {
        letters: Mutex<Vec<String>>,
        attempts: Mutex<u32>,
        broken: Mutex<bool>,
    }

    impl Courier for Fake {
        fn deliver(&self, letter: &Letter) -> Result<(), String> {
            *self.attempts.lock().unwrap() += 1;
            if *self.broken.lock().unwrap() {
                return Err("broken".into());
            }
            self.letters.lock().unwrap().push(letter.sentence());
            Ok(())
        }
    }

    impl Fake {
        fn told(&self) -> Vec<String> {
            std::mem::take(&mut self.letters.lock().unwrap())
        }
    }

    fn teller(alarms: &Alarms) -> (Teller, Arc<Fake>) {
        let courier = Arc::new(Fake::default());
        (Teller::new("alarms.webhook", courier.clone(), Digest::new("n", Rate::default(), None, &[]), alarms), courier)
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_is_told_and_once_more_when_it_is_over() {
        let (alarms, _tap) = alarms();
        let (teller, fake) = teller(&alarms);
        let play = async {
            alarms.raise("a", "one");
            alarms.raise("b", "two");
            sleep(Duration::from_secs(3)).await;
            assert_eq!(fake.told(), ["n: a: one; b: two"]);
            alarms.clear("a");
            sleep(Duration::from_secs(3)).await;
            assert_eq!(fake.told(), ["n: a has gone: one"]);
            sleep(Duration::from_secs(3600)).await;
            assert_eq!(*fake.attempts.lock().unwrap(), 2);
        };
        teller.run(play).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_courier_that_fails_raises_no_alarm_and_gets_the_newest_when_it_is_back() {
        let (alarms, tap) = alarms();
        let (teller, fake) = teller(&alarms);
        *fake.broken.lock().unwrap() = true;
        let play = async {
            alarms.raise("a", "one");
            sleep(Duration::from_secs(600)).await;
            alarms.raise("a", "newest");
            assert!((5..20).contains(&*fake.attempts.lock().unwrap()), "{}", fake.attempts.lock().unwrap());
            *fake.broken.lock().unwrap() = false;
            sleep(Duration::from_secs(301)).await;
            assert_eq!(fake.told(), ["n: a: newest"]);
        };
        teller.run(play).await.unwrap();
        let mut events = Vec::new();
        tap.drain(&mut events);
        assert_eq!(events.len(), 2, "only the two that the test raised");
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_just_before_the_end_is_told() {
        let (alarms, _tap) = alarms();
        let (teller, fake) = teller(&alarms);
        let raise = async {
            sleep(Duration::from_secs(9)).await;
            alarms.raise("store", "fails again and again");
        };
        teller.run(raise).await.unwrap();
        assert_eq!(fake.told(), ["n: store: fails again and again"]);
    }
}
