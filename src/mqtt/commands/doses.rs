//! Doses that run: how long the pump really was on, so that whoever asked hears what was really given. A pure state machine.

use std::time::Duration;

use super::pending::Outcome;
use crate::message::OutputState;
use crate::model::{Dosing, Monotonic, OutputId, Owner, dose};

/// A pump that was on for all its time but this is on time.
const TOLERANCE: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct Running {
    /// Under which its sender waits, if at all.
    id: Option<String>,
    output: OutputId,
    dosing: Dosing,
    /// How long it is to be on.
    time: Duration,
    until: Monotonic,
    /// Since when it is on.
    on: Option<Monotonic>,
    /// How long it was on before that.
    was_on: Duration,
    /// What kept it off last.
    why: String,
}

/// One dose for each output.
#[derive(Debug, Default)]
pub struct Doses(Vec<Running>);

impl Doses {
    /// How long a dose runs there yet.
    pub fn left(&self, output: &OutputId, now: Monotonic) -> Option<Duration> {
        let running = self.0.iter().find(|running| running.output == *output)?;
        Some(running.until.since(now)).filter(|left| !left.is_zero())
    }

    /// A dose begins that takes so long, if nothing stands in its way.
    pub fn begin(&mut self, id: Option<String>, output: &OutputId, dosing: Dosing, time: Duration, now: Monotonic) {
        let why = "the output has not said anything since".to_owned();
        let (output, until) = (output.clone(), now + time);
        self.0.push(Running { id, output, dosing, time, until, on: None, was_on: Duration::ZERO, why });
    }

    /// An output has said what it does.
    pub fn heard(&mut self, state: &OutputState, by: &Owner, now: Monotonic) {
        let flows = state.by.as_ref() == Some(by) && state.on && state.confirmed;
        for running in self.0.iter_mut().filter(|running| running.output == state.output) {
            running.count(now);
            if now < running.until {
                running.on = flows.then_some(now);
                if !flows {
                    running.why = state.why.to_string();
                }
            }
        }
    }

    /// Another command has come: the dose before it is over.
    pub fn superseded(&mut self, output: &OutputId, why: &str, now: Monotonic) -> Vec<(String, Outcome)> {
        let over = self.take(now, |running| running.output == *output);
        let told = over.into_iter().filter_map(|dose| {
            let outcome = dose.whole().unwrap_or_else(|given| Outcome::Rejected(format!("{given}: {why}")));
            Some((dose.id?, outcome))
        });
        told.collect()
    }

    /// Those whose time is over.
    pub fn expired(&mut self, now: Monotonic) -> Vec<(String, Outcome)> {
        let over = self.take(now, |running| running.until <= now);
        let told = over.into_iter().filter_map(|dose| {
            let outcome = dose.whole().unwrap_or_else(|given| Outcome::Expired(format!("{given}: {}", dose.why)));
            Some((dose.id?, outcome))
        });
        told.collect()
    }

    /// How long until the next one is over.
    pub fn next(&self, now: Monotonic) -> Option<Duration> {
        self.0.iter().map(|running| running.until.since(now)).min()
    }

    fn take(&mut self, now: Monotonic, which: impl Fn(&Running) -> bool) -> Vec<Running> {
        let (mut taken, left): (Vec<_>, _) = std::mem::take(&mut self.0).into_iter().partition(which);
        self.0 = left;
        taken.iter_mut().for_each(|running| running.count(now));
        taken
    }
}

impl Running {
    /// Counts the time that it was on until now, or until its end.
    fn count(&mut self, now: Monotonic) {
        if let Some(since) = self.on.take() {
            self.was_on += now.min(self.until).since(since);
        }
    }

    /// That it is done; or how much of it was given, if it was cut short.
    fn whole(&self) -> Result<Outcome, String> {
        let given = dose::shown(self.dosing.given(self.was_on));
        if self.was_on + TOLERANCE.max(self.time / 50) >= self.time {
            return Ok(Outcome::Given(format!("{given} ml were given")));
        }
        Err(format!("cut short, {given} of {} ml were given", dose::shown(self.dosing.given(self.time))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Level, Timestamp};

    const OURS: &str = "mqtt";

    fn at(millis: u64) -> Monotonic {
        Monotonic::new(Duration::from_millis(millis))
    }

    fn pump() -> OutputId {
        OutputId::new("pump").unwrap()
    }

    fn state(by: &str, on: bool, confirmed: bool, why: &str) -> OutputState {
        OutputState {
            output: pump(),
            level: Level::from(on),
            on,
            by: Some(Owner::new(by)),
            why: why.into(),
            limit: None,
            because: None,
            confirmed,
            since: Timestamp::from_millis(0),
        }
    }

    /// 10 ml at 2 ml in a second, from the first second on.
    fn doses() -> Doses {
        let (mut doses, dosing) = (Doses::default(), Dosing { rate: 2.0, min_on: Duration::ZERO, max_on: None });
        doses.begin(Some("a".into()), &pump(), dosing, Duration::from_secs(5), at(1000));
        doses
    }

    #[test]
    fn only_what_the_pump_really_ran_for_us_counts() {
        type Said = (u64, &'static str, bool, bool);
        let cases: [(&[Said], Outcome); 7] = [
            (&[(1000, OURS, true, true)], Outcome::Given("10 ml were given".into())),
            (&[(1030, OURS, true, true), (6030, OURS, false, true)], Outcome::Given("9.94 ml were given".into())),
            (&[], Outcome::Expired("cut short, 0 of 10 ml were given: the output has not said anything since".into())),
            (
                &[(1000, OURS, true, true), (3500, OURS, false, true)],
                Outcome::Expired("cut short, 5 of 10 ml were given: said at 3500".into()),
            ),
            (
                &[(1000, OURS, false, true), (5000, OURS, true, true)],
                Outcome::Expired("cut short, 2 of 10 ml were given: said at 1000".into()),
            ),
            (
                &[(1000, "rules.dry", true, true)],
                Outcome::Expired("cut short, 0 of 10 ml were given: said at 1000".into()),
            ),
            (&[(1000, OURS, true, false)], Outcome::Expired("cut short, 0 of 10 ml were given: said at 1000".into())),
        ];
        for (said, expected) in cases {
            let mut doses = doses();
            for (millis, by, on, confirmed) in said {
                let state = state(by, *on, *confirmed, &format!("said at {millis}"));
                doses.heard(&state, &Owner::new(OURS), at(*millis));
            }
            assert_eq!(doses.expired(at(5999)), [], "{said:?}");
            // However late somebody asks.
            assert_eq!(doses.expired(at(60_000)), [("a".to_owned(), expected)], "{said:?}");
            assert_eq!(doses.next(at(60_000)), None);
        }
    }

    #[test]
    fn one_runs_until_its_time_is_over_or_another_command_comes() {
        let mut doses = doses();
        assert_eq!(doses.left(&pump(), at(2000)), Some(Duration::from_secs(4)));
        assert_eq!(doses.left(&pump(), at(6000)), None);
        assert_eq!(doses.next(at(2000)), Some(Duration::from_secs(4)));
        doses.heard(&state(OURS, true, true, ""), &Owner::new(OURS), at(1000));
        let over = doses.superseded(&pump(), "another command has come after it", at(2000));
        let why = "cut short, 2 of 10 ml were given: another command has come after it";
        assert_eq!(over, [("a".to_owned(), Outcome::Rejected(why.into()))]);
        assert_eq!(doses.left(&pump(), at(2000)), None);
    }
}
