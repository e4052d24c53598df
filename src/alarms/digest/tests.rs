//! The digest over scripts of what stands when, one second a step.

use proptest::prelude::*;

use super::*;

const RATE: Rate = Rate { messages: 2, per: Duration::from_secs(60) };

fn at(seconds: u64) -> Monotonic {
    Monotonic::new(Duration::from_secs(seconds))
}

/// `a`: an alarm; `A`: an acknowledged one.
fn stand(names: &str) -> Vec<Alarm> {
    let alarm = |name: char| {
        let (text, since) = (format!("text of {name}"), Timestamp::from_millis(0));
        let (lower, acknowledged) = (name.to_lowercase().to_string(), name.is_uppercase());
        Alarm { name: lower.into(), text: Some(text.as_str().into()), since, latched: false, acknowledged }
    };
    names.chars().map(alarm).collect()
}

/// `+a`, `a?`, `-a`
fn short(letter: &Letter) -> String {
    let item = |item: &Item| match item.state {
        State::Raised => format!("+{}", item.name),
        State::Acknowledged => format!("{}?", item.name),
        State::Gone => format!("-{}", item.name),
    };
    letter.items.iter().map(item).collect::<Vec<_>>().join(" ")
}

/// Plays what stands from which second on, and gives the letters with the seconds at which they went. All arrive.
fn play(mut digest: Digest, script: &[(u64, &str)], until: u64) -> Vec<(u64, String)> {
    let mut letters = Vec::new();
    for second in 0..until {
        let now = at(second);
        let names = script.iter().rev().find(|(from, _)| *from <= second).map_or("", |(_, names)| names);
        digest.look(&stand(names), now, Timestamp::from_millis(0));
        if let Some(letter) = digest.take(now) {
            letters.push((second, short(&letter)));
            digest.delivered(now);
        }
    }
    letters
}

fn digest(again_after: Option<u64>) -> Digest {
    Digest::new("n", RATE, again_after.map(Duration::from_secs), &[])
}

fn letters(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|(second, text)| (*second, (*text).to_owned())).collect()
}

#[test]
fn what_happens_together_is_one_letter_and_the_end_is_told_too() {
    let script = [(10, "a"), (11, "ab"), (100, "aB"), (200, "B")];
    assert_eq!(play(digest(None), &script, 300), letters(&[(12, "+a +b"), (102, "b?"), (202, "-a")]));
}

#[test]
fn above_the_rate_letters_are_held_and_become_one() {
    let script = [(10, "a"), (20, "ab"), (30, "abc"), (40, "abcd"), (50, "bcd")];
    assert_eq!(play(digest(None), &script, 300), letters(&[(12, "+a"), (22, "+b"), (72, "-a +c +d")]));
}

#[test]
fn what_stands_is_told_again_until_somebody_acknowledges_it() {
    let script = [(10, "ab"), (250, "aB"), (450, "AB")];
    let expected = [(12, "+a +b"), (112, "+a +b"), (212, "+a +b"), (252, "b?"), (352, "+a"), (452, "a?")];
    assert_eq!(play(digest(Some(100)), &script, 1000), letters(&expected));
}

#[test]
fn of_alarms_that_were_told_by_an_earlier_process_only_the_end_is_news() {
    let known = Digest::new("n", RATE, None, &stand("ab"));
    assert_eq!(play(known, &[(0, "a")], 100), letters(&[(2, "-b")]));
}

#[test]
fn other_words_alone_are_no_news_but_what_waits_is_told_in_the_newest() {
    let mut digest = digest(None);
    let mut alarms = stand("a");
    digest.look(&alarms, at(0), Timestamp::from_millis(0));
    alarms[0].text = Some("newest".into());
    digest.look(&alarms, at(1), Timestamp::from_millis(0));
    let letter = digest.take(at(2)).unwrap();
    assert_eq!(&*letter.items[0].text, "newest");
    digest.delivered(at(2));
    alarms[0].text = Some("other".into());
    digest.look(&alarms, at(3), Timestamp::from_millis(0));
    assert_eq!(digest.due(), None);
}

#[test]
fn a_letter_that_failed_goes_again_ever_later_with_what_is_newer() {
    let mut digest = digest(None);
    digest.look(&stand("ab"), at(0), Timestamp::from_millis(0));
    let mut now = at(2);
    let mut waits = Vec::new();
    for _ in 0..12 {
        let letter = digest.take(now).unwrap();
        digest.failed(letter, now);
        let due = digest.due().unwrap();
        waits.push(due.since(now).as_secs());
        now = due;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    let letter = digest.take(now).unwrap();
    digest.look(&stand("b"), now, Timestamp::from_millis(0));
    digest.failed(letter, now);
    let letter = digest.take(digest.due().unwrap()).unwrap();
    assert_eq!(short(&letter), "-a +b");
    digest.delivered(now);
    digest.look(&stand("bc"), now, Timestamp::from_millis(0));
    assert_eq!(digest.due(), Some(now + TOGETHER), "one that arrives ends the waiting");
}

#[test]
fn a_flood_is_counted_not_kept() {
    let mut digest = digest(None);
    let alarm = |number: usize| {
        let (name, since) = (format!("alarm{number:04}"), Timestamp::from_millis(0));
        Alarm { name: name.into(), text: Some("t".into()), since, latched: false, acknowledged: false }
    };
    let flood: Vec<Alarm> = (0..1000).map(alarm).collect();
    digest.look(&flood, at(0), Timestamp::from_millis(0));
    let letter = digest.take(at(2)).unwrap();
    assert_eq!((letter.items.len(), letter.more), (MOST, 900));
    assert!(letter.sentence().ends_with("; and 995 more"));
}

#[test]
fn the_last_letter_does_not_wait_to_be_complete_but_keeps_to_the_rate() {
    let mut digest = digest(None);
    digest.look(&stand("a"), at(0), Timestamp::from_millis(0));
    assert_eq!(digest.take(at(0)), None);
    assert_eq!(short(&digest.take_last(at(0)).unwrap()), "+a");
    digest.delivered(at(0));
    digest.delivered(at(0));
    digest.look(&stand("ab"), at(1), Timestamp::from_millis(0));
    assert_eq!(digest.take_last(at(1)), None);
}

proptest! {
    /// Whatever stands when and whatever fails: never above the rate, and in the end a person knows how it is.
    #[test]
    fn never_above_the_rate_and_at_last_a_person_knows(
        script in proptest::collection::vec((1..40u64, 0..8u8, any::<bool>()), 1..60),
    ) {
        let mut digest = digest(None);
        let mut now = 0;
        let mut arrived = Vec::new();
        let mut known: BTreeMap<Arc<str>, State> = BTreeMap::new();
        let mut stands = Vec::new();
        for (pause, set, arrives) in script.into_iter().chain([(1000, 5, true), (1000, 5, true), (1000, 5, true)]) {
            now += pause;
            stands = stand(&"abc".chars().enumerate().filter(|(bit, _)| set & (1 << bit) != 0).map(|(_, name)| name).collect::<String>());
            digest.look(&stands, at(now), Timestamp::from_millis(0));
            let Some(letter) = digest.take(at(now)) else { continue };
            if arrives {
                known.extend(letter.items.iter().map(|item| (item.name.clone(), item.state)));
                digest.delivered(at(now));
                arrived.push(now);
            } else {
                digest.failed(letter, at(now));
            }
        }
        for window in arrived.windows(RATE.messages as usize + 1) {
            prop_assert!(window[RATE.messages as usize] - window[0] >= RATE.per.as_secs());
        }
        let believed: Vec<&str> = known.iter().filter(|(_, state)| **state == State::Raised).map(|(name, _)| &**name).collect();
        let truly: Vec<&str> = stands.iter().map(|alarm| &*alarm.name).collect();
        prop_assert_eq!(believed, truly);
    }
}
