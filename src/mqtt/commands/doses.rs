//! Doses that run: how long the pump really was on, so that whoever asked hears what was really given. A pure state machine.

use std::collections::BTreeMap;
use std::time::Duration;

use super::pending::Outcome;
use crate::message::OutputState;
use crate::model::dose::{self, Dosed};
use crate::model::{Dosing, Monotonic, OutputId, Owner};

/// A pump that was on for all its time but this is on time.
const TOLERANCE: Duration = Duration::from_millis(50);

/// Who hears what came of a dose.
#[derive(Debug)]
pub enum Hears {
    /// Its sender, who waits under this name, if at all.
    Sender(Option<String>),
    /// Whoever asks for it later: a person at the machine.
    Asking,
}

#[derive(Debug)]
struct Running {
    /// As whom it was asked for: what the pump does for others is not of this dose.
    owner: Owner,
    hears: Hears,
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

/// One dose for each output, and what came of the last one that nobody waited for.
#[derive(Debug, Default)]
pub struct Doses {
    running: Vec<Running>,
    kept: BTreeMap<OutputId, Dosed>,
}

impl Doses {
    /// How long a dose runs there yet, and whose it is.
    pub fn left(&self, output: &OutputId, now: Monotonic) -> Option<(Duration, &Owner)> {
        let running = self.running.iter().find(|running| running.output == *output)?;
        Some((running.until.since(now), &running.owner)).filter(|(left, _)| !left.is_zero())
    }

    /// What became of the last dose there of which somebody asks later.
    pub fn kept(&self, output: &OutputId) -> Option<Dosed> {
        let runs = |dose: &Running| dose.output == *output && matches!(dose.hears, Hears::Asking);
        if self.running.iter().any(runs) { Some(Dosed::Running) } else { self.kept.get(output).cloned() }
    }

    /// A dose begins that takes so long, if nothing stands in its way.
    pub fn begin(
        &mut self,
        (owner, hears): (&Owner, Hears),
        output: &OutputId,
        dosing: Dosing,
        time: Duration,
        now: Monotonic,
    ) {
        let why = "the output has not said anything since".to_owned();
        let (owner, output, until) = (owner.clone(), output.clone(), now + time);
        self.running.push(Running { owner, hears, output, dosing, time, until, on: None, was_on: Duration::ZERO, why });
    }

    /// An output has said what it does.
    pub fn heard(&mut self, state: &OutputState, now: Monotonic) {
        for running in self.running.iter_mut().filter(|running| running.output == state.output) {
            let flows = state.by.as_ref() == Some(&running.owner) && state.on && state.confirmed;
            running.count(now);
            if now < running.until {
                running.on = flows.then_some(now);
                if !flows {
                    running.why = state.why.to_string();
                }
            }
        }
    }

    /// Another command has come from the same one: the dose before it is over.
    pub fn superseded(
        &mut self,
        output: &OutputId,
        owner: &Owner,
        why: &str,
        now: Monotonic,
    ) -> Vec<(String, Outcome)> {
        let which = |running: &Running| running.output == *output && running.owner == *owner;
        self.end(now, which, |given, _| Outcome::Rejected(format!("{given}: {why}")))
    }

    /// Those whose time is over.
    pub fn expired(&mut self, now: Monotonic) -> Vec<(String, Outcome)> {
        self.end(now, |running| running.until <= now, |given, why| Outcome::Expired(format!("{given}: {why}")))
    }

    /// How long until the next one is over.
    pub fn next(&self, now: Monotonic) -> Option<Duration> {
        self.running.iter().map(|running| running.until.since(now)).min()
    }

    /// Ends these, and gives what is to be said at once. `short` makes of one that was cut short, and of what kept it off, what came of it.
    fn end(
        &mut self,
        now: Monotonic,
        which: impl Fn(&Running) -> bool,
        short: impl Fn(String, &str) -> Outcome,
    ) -> Vec<(String, Outcome)> {
        let (over, left): (Vec<_>, _) = std::mem::take(&mut self.running).into_iter().partition(which);
        self.running = left;
        let mut told = Vec::new();
        for mut dose in over {
            dose.count(now);
            let outcome = dose.whole().unwrap_or_else(|given| short(given, &dose.why));
            match dose.hears {
                Hears::Sender(id) => told.extend(id.map(|id| (id, outcome))),
                Hears::Asking => drop(self.kept.insert(dose.output, dosed(outcome))),
            }
        }
        told
    }
}

fn dosed(outcome: Outcome) -> Dosed {
    match outcome {
        Outcome::Given(what) => Dosed::Given(what),
        Outcome::Rejected(why) | Outcome::Expired(why) => Dosed::CutShort(why),
        // No dose ends so.
        Outcome::Accepted | Outcome::Done => Dosed::Running,
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
        let asker = (&Owner::new(OURS), Hears::Sender(Some("a".into())));
        doses.begin(asker, &pump(), dosing, Duration::from_secs(5), at(1000));
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
                doses.heard(&state, at(*millis));
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
        assert_eq!(doses.left(&pump(), at(2000)), Some((Duration::from_secs(4), &Owner::new(OURS))));
        assert_eq!(doses.left(&pump(), at(6000)), None);
        assert_eq!(doses.next(at(2000)), Some(Duration::from_secs(4)));
        doses.heard(&state(OURS, true, true, ""), at(1000));
        let of = |owner| Owner::new(owner);
        assert_eq!(doses.superseded(&pump(), &of("hand"), "", at(2000)), [], "that one has demands of its own");
        let over = doses.superseded(&pump(), &of(OURS), "another command has come after it", at(2000));
        let why = "cut short, 2 of 10 ml were given: another command has come after it";
        assert_eq!(over, [("a".to_owned(), Outcome::Rejected(why.into()))]);
        assert_eq!(doses.left(&pump(), at(2000)), None);
    }

    #[test]
    fn what_nobody_waits_for_is_kept_until_the_next_one() {
        let (mut doses, dosing) = (Doses::default(), Dosing { rate: 2.0, min_on: Duration::ZERO, max_on: None });
        let hand = Owner::new("hand");
        assert_eq!(doses.kept(&pump()), None);
        for (by, expected) in [
            ("hand", Dosed::Given("10 ml were given".into())),
            (OURS, Dosed::CutShort("cut short, 0 of 10 ml were given: mqtt asks for off".into())),
        ] {
            doses.begin((&hand, Hears::Asking), &pump(), dosing, Duration::from_secs(5), at(0));
            doses.heard(&state(by, true, true, "mqtt asks for off"), at(0));
            assert_eq!((doses.expired(at(4999)), doses.kept(&pump())), (vec![], Some(Dosed::Running)));
            assert_eq!((doses.expired(at(5000)), doses.kept(&pump())), (vec![], Some(expected)));
        }
    }
}
