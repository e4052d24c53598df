//! Whether the disk works, when to try it again, and what people are to hear of it.

use std::sync::Arc;
use std::time::Duration;

use crate::alarms::Alarms;
use crate::model::Monotonic;

/// Stands while nothing can be written.
pub(super) const FAILING: &str = "store";
/// Latched when a database was put aside. Another name, because one of them ends by itself and the other does not.
pub(super) const DAMAGED: &str = "store.damaged";
/// Stands while the fresh tier cannot be written.
pub(super) const FRESH: &str = "store.fresh";
/// Latched when readings went that the history's reader had not had.
pub(super) const UNREAD: &str = "store.history";

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Health {
    trouble: Option<Trouble>,
    /// Whether the alarm stands that we raised. The supervisor has one of the same name, which is not ours to clear.
    raised: bool,
    put_aside: Option<String>,
    /// What is wrong with the fresh tier, and whether that was told.
    fresh: (Option<String>, bool),
    /// How many readings have gone unread, if that is news.
    unread: Option<u64>,
}

#[derive(Debug)]
struct Trouble {
    text: Arc<str>,
    failures: u32,
    /// Not to be tried again before.
    until: Monotonic,
    lost_before: u64,
}

impl Health {
    /// It could not be written; `lost` counts since the start. Whether this is the beginning of it.
    pub(super) fn failed(&mut self, text: Arc<str>, now: Monotonic, lost: u64) -> bool {
        let (failures, lost_before) =
            self.trouble.as_ref().map_or((0, lost), |trouble| (trouble.failures, trouble.lost_before));
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE);
        self.trouble = Some(Trouble { text, failures: failures.saturating_add(1), until: now + pause, lost_before });
        failures == 0
    }

    /// It was written. If that ends a trouble: how many were lost in it.
    pub(super) fn well(&mut self, lost: u64) -> Option<u64> {
        self.trouble.take().map(|trouble| lost.saturating_sub(trouble.lost_before))
    }

    /// A person is to hear of a database that was put aside.
    pub(super) fn put_aside(&mut self, text: String) {
        self.put_aside = Some(text);
    }

    /// How the fresh tier is.
    pub(super) fn fresh(&mut self, trouble: Option<String>) {
        self.fresh.0 = trouble;
    }

    /// So many readings have gone, altogether, before the history's reader had them.
    pub(super) fn unread(&mut self, readings: u64) {
        self.unread = Some(readings);
    }

    pub(super) fn is_failing(&self) -> bool {
        self.trouble.is_some()
    }

    /// Why nothing can be written.
    pub(super) fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.as_ref().map(|trouble| trouble.text.clone())
    }

    /// Whether it is worth a try.
    pub(super) fn may_try(&self, now: Monotonic) -> bool {
        self.trouble.as_ref().is_none_or(|trouble| now >= trouble.until)
    }

    /// Has the alarms say what is known. `hangs`: for how long a write has been under way, if that is too long.
    pub(super) fn tell(&mut self, alarms: &Alarms, hangs: Option<Duration>) {
        if let Some(text) = self.put_aside.take() {
            alarms.latch(DAMAGED, &text);
        }
        if let Some(readings) = self.unread.take() {
            let text = format!(
                "{readings} readings were deleted for want of room before the broker had them: see to the broker, \
                 or give the store a larger `max_size`"
            );
            alarms.latch(UNREAD, &text);
        }
        match &self.fresh {
            (Some(trouble), _) => {
                let text = format!("{trouble}; until then a crash loses what was not on disk yet");
                alarms.raise(FRESH, &text);
                self.fresh.1 = true;
            }
            (None, true) => {
                alarms.clear(FRESH);
                self.fresh.1 = false;
            }
            (None, false) => {}
        }
        match (&self.trouble, hangs) {
            (_, Some(_)) if self.raised => {}
            (_, Some(since)) => {
                self.raised = true;
                let text = format!(
                    "the disk has not answered for {} s: it may be failing, look at `dmesg`; readings wait in memory",
                    since.as_secs()
                );
                alarms.raise(FAILING, &text);
            }
            (Some(trouble), None) => {
                self.raised = true;
                alarms.raise(FAILING, &trouble.text);
            }
            (None, None) if std::mem::take(&mut self.raised) => alarms.clear(FAILING),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fails_is_tried_less_and_less_often_but_at_least_once_a_minute() {
        let mut health = Health::default();
        let mut now = Monotonic::default();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            health.failed("full".into(), now, 3);
            let begun = now;
            while !health.may_try(now) {
                now = now + Duration::from_secs(1);
            }
            pauses.push(now.since(begun).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(health.well(10), Some(7));
        assert_eq!(health.well(11), None);
    }
}
