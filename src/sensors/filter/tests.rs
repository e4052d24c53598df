//! What must hold for every filter, and what is said about a value that is not good.

use std::cell::RefCell;

use proptest::prelude::*;
use toml::de::DeTable;

use super::*;
use crate::config::{Diagnostic, Section};

/// The interval of the readings in these tests.
const EVERY: Duration = Duration::from_secs(10);

fn read(keys: &str) -> (Options, Vec<Diagnostic>) {
    let table = DeTable::parse(keys).unwrap();
    let found = RefCell::default();
    let section = Section::new("`temperature` of sensor air", 0..0, table.get_ref(), &found);
    let options = Options::read(&section, Some(EVERY));
    section.finish();
    (options, found.into_inner())
}

fn filter(keys: &str) -> Filter {
    let (options, found) = read(keys);
    assert_eq!(found, [], "{keys}");
    Filter::new(options, Quantity::Temperature, EVERY)
}

fn at(seconds: u64) -> Monotonic {
    Monotonic::new(Duration::from_secs(seconds))
}

/// What becomes of raw values that come every ten seconds: `21 good`.
fn told(keys: &str, raw: &[f64]) -> Vec<String> {
    let mut filter = filter(keys);
    let samples = raw.iter().zip(0..).map(|(&raw, tick)| filter.pass(raw, at(10 * tick)));
    samples
        .map(|sample| {
            let value = sample.value().map_or("-".to_owned(), |value| ((value * 1e6).round() / 1e6).to_string());
            format!("{value} {}", sample.quality())
        })
        .collect()
}

#[test]
fn each_value_is_worth_what_the_table_says() {
    let cases: &[(&str, &[f64], &[&str])] = &[
        ("", &[1.5, f64::NAN, f64::INFINITY], &["1.5 good", "- bad", "- bad"]),
        ("offset = -0.4\nscale = 2", &[10.0], &["19.6 good"]),
        ("scale = 1e300", &[1e300], &["- bad"]),
        // The range is of corrected values, and its ends are in it.
        ("offset = 10\nvalid = [0, 20]", &[10.0, 10.1, -10.0, -10.1], &["20 good", "- bad", "0 good", "- bad"]),
        // A spike, and a step that stays.
        ("max_rate = \"1 per 10s\"", &[20.0, 45.0, 20.5], &["20 good", "45 uncertain", "20.5 good"]),
        (
            "max_rate = \"1 per 10s\"",
            &[20.0, 45.0, 45.5, 45.2, 45.1],
            &["20 good", "45 uncertain", "45.5 uncertain", "45.2 good", "45.1 good"],
        ),
        // Three that do not agree are no step, and neither are three with one between that cannot be.
        (
            "max_rate = \"1 per 10s\"",
            &[20.0, 45.0, 90.0, 60.0],
            &["20 good", "45 uncertain", "90 uncertain", "60 uncertain"],
        ),
        (
            "max_rate = \"1 per 10s\"\nvalid = [0, 50]",
            &[20.0, 45.0, 45.0, 85.0, 45.0],
            &["20 good", "45 uncertain", "45 uncertain", "- bad", "45 uncertain"],
        ),
        ("max_rate = \"1 per 10s\"\nimplausible = \"bad\"", &[20.0, 45.0, 20.0], &["20 good", "- bad", "20 good"]),
        // The same for 20 s, until it moves.
        (
            "stuck_after = \"20s\"",
            &[5.0, 5.0, 5.0, 5.0, 5.1, 5.1],
            &["5 good", "5 good", "5 uncertain", "5 uncertain", "5.1 good", "5.1 good"],
        ),
        ("stuck_after = \"20s\"\nimplausible = \"bad\"", &[5.0, 5.0, 5.0], &["5 good", "5 good", "- bad"]),
        // The raw value is what is stuck, also where it cannot be.
        ("stuck_after = \"20s\"\nvalid = [0, 1]", &[5.0, 5.0, 5.0], &["- bad", "- bad", "- bad"]),
        ("smooth = \"median 3\"", &[1.0, 9.0, 2.0, 3.0], &["1 good", "1 good", "2 good", "3 good"]),
        ("smooth = \"average 2\"", &[1.0, 2.0, 4.0], &["1 good", "1.5 good", "3 good"]),
        ("smooth = \"exponential 10s\"", &[0.0, 1.0], &["0 good", "0.632121 good"]),
        // What is not good does not enter, and a spike does not come through as uncertain.
        (
            "smooth = \"average 2\"\nmax_rate = \"1 per 10s\"\nvalid = [0, 50]",
            &[20.0, 21.0, 45.0, 99.0, 22.0],
            &["20 good", "20.5 good", "20.5 uncertain", "- bad", "21.5 good"],
        ),
    ];
    for (keys, raw, expected) in cases {
        assert_eq!(told(keys, raw), *expected, "{keys} with {raw:?}");
    }
}

#[test]
fn what_is_not_good_says_why() {
    let cases: &[(&str, &[f64], &str)] = &[
        ("valid = [-10, 60]", &[61.2], "61.2 °C is outside of the valid -10 to 60 °C"),
        ("valid = [-10, 60]", &[60.001], "60.001 °C is outside of the valid -10 to 60 °C"),
        (
            "max_rate = \"2 per 10s\"",
            &[20.0, 45.125],
            "jumps impossibly: from 20 to 45.13 °C within 10s, and it can change by 2 °C per 10s",
        ),
        ("stuck_after = \"30s\"", &[5.0; 4], "has been exactly 5 °C for 30s; the sensor may be stuck"),
        ("scale = 1e308", &[1e308], "the calibration makes no number of 1"),
    ];
    for (keys, raw, expected) in cases {
        let mut filter = filter(keys);
        let last = raw.iter().zip(0..).map(|(&raw, tick)| filter.pass(raw, at(10 * tick))).last().unwrap();
        assert!(last.reason().unwrap().starts_with(expected), "{keys}: {last:?}");
    }
}

#[test]
fn after_a_gap_or_in_a_fresh_life_smoothing_begins_anew() {
    for how in ["median 99", "average 99", "exponential 1h"] {
        let keys = format!("smooth = \"{how}\"\nvalid = [0, 50]");
        let mut filter = filter(&keys);
        filter.pass(20.0, at(0));
        filter.pass(99.0, at(50));
        assert_ne!(filter.pass(30.0, at(100)), Sample::Good(30.0), "{how}: ten intervals are no gap");
        assert_eq!(filter.pass(40.0, at(201)), Sample::Good(40.0), "{how}: more are one");
        filter.fresh_life();
        assert_eq!(filter.pass(45.0, at(202)), Sample::Good(45.0), "{how}: in a fresh life");
    }
}

#[test]
fn a_sensor_that_comes_back_with_the_same_value_is_stuck_all_the_same() {
    let mut filter = filter("stuck_after = \"20s\"");
    assert_eq!(filter.pass(5.0, at(0)), Sample::Good(5.0));
    filter.fresh_life();
    assert_eq!(filter.pass(5.0, at(30)).quality(), "uncertain");
}

#[test]
fn the_longer_ago_the_last_value_the_further_away_the_next_may_be() {
    let mut filter = filter("max_rate = \"1 per 10s\"");
    filter.pass(20.0, at(0));
    assert_eq!(filter.pass(26.0, at(50)).quality(), "uncertain");
    assert_eq!(filter.pass(26.0, at(60)).quality(), "good");
}

#[test]
fn mistakes_are_told_with_what_would_do() {
    let cases = [
        ("valid = [60, -10]", "is not a range", "upside down; write the lowest value first: [-10, 60]"),
        ("valid = [1, 1]", "is not a range", "upside down"),
        ("valid = [1]", "is not a range", "[-10, 60]"),
        ("valid = [1, inf]", "is not a range", "[-10, 60]"),
        ("points = [[0, 0]]", "is not a calibration", "2 to 16 points; for one, write an `offset`"),
        ("points = [[5, 0], [5, 1]]", "is not a calibration", "must ascend, and 5 comes after 5"),
        ("points = [[0, 0], [1, 5], [2, 3]]", "is not a calibration", "only rise or only fall"),
        ("points = [[0, 0], [1, 5], [2, 5]]", "is not a calibration", "only rise or only fall"),
        ("points = [[0, 0], 1]", "is not a calibration", "pairs of the raw and the right value"),
        ("points = [[0, 0], [1, 1]]\noffset = 1", "with `points` and with `offset`", "leave one of them out"),
        ("scale = 0", "makes every value the same", "1 changes nothing"),
        ("max_rate = 2", "is not a rate of change", "\"2 per 10s\""),
        ("max_rate = \"-2 per 10s\"", "is not a rate of change", "\"2 per 10s\""),
        ("max_rate = \"2 per 0s\"", "is not a rate of change", "\"2 per 10s\""),
        ("stuck_after = \"15s\"", "shorter than two intervals", "every 10s: give it at least 20s"),
        ("stuck_after = \"200h\"", "cannot be", "it goes from 1s"),
        ("implausible = \"bad\"", "values that nothing finds", "add `max_rate"),
        ("stuck_after = \"1h\"\nimplausible = \"good\"", "is not \"uncertain\" or \"bad\"", "used with care"),
        ("smooth = \"median 4\"", "is not a smoothing", "odd number of values, from 3 to 99"),
        ("smooth = \"median 1\"", "is not a smoothing", "odd number of values, from 3 to 99"),
        ("smooth = \"median 101\"", "is not a smoothing", "odd number of values, from 3 to 99"),
        ("smooth = \"average 1\"", "is not a smoothing", "2 to 99"),
        ("smooth = \"exponential 0s\"", "is not a smoothing", "time constant"),
        ("smooth = \"median\"", "is not a smoothing", "\"median 5\", \"average 10\" or"),
        ("smoth = \"median 5\"", "unknown key `smoth`", "did you mean `smooth`?"),
    ];
    for (keys, message, hint) in cases {
        let (_, found) = read(keys);
        assert_eq!(found.len(), 1, "{keys}: {found:?}");
        assert!(found[0].message.contains(message) && found[0].hint.contains(hint), "{keys}: {found:?}");
    }
}

/// Raw values as sensors give them, and some that none gives.
fn raw() -> impl Strategy<Value = f64> {
    prop_oneof![8 => -50.0..150.0f64, 2 => (0..5i32).prop_map(f64::from), 1 => any::<f64>()]
}

fn smoothing() -> impl Strategy<Value = Smoothing> {
    prop_oneof![
        (1..50usize).prop_map(|half| Smoothing::Median(2 * half + 1)),
        (2..=99usize).prop_map(Smoothing::Average),
        (1..100_000u64).prop_map(|millis| Smoothing::Exponential(Duration::from_millis(millis))),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let rate = (0.01..100.0f64).prop_map(|change| Rate { change, per: EVERY });
    let stuck = (1..100u64).prop_map(Duration::from_secs);
    let implausible = prop_oneof![Just(Implausible::Uncertain), Just(Implausible::Bad)];
    let (rate, stuck) = (proptest::option::of(rate), proptest::option::of(stuck));
    (rate, stuck, implausible, proptest::option::of(smoothing())).prop_map(
        |(max_rate, stuck_after, implausible, smoothing)| Options {
            calibration: Calibration::default(),
            valid: Some(-20.0..=60.0),
            max_rate,
            stuck_after,
            implausible,
            smoothing,
        },
    )
}

fn points(falling: bool) -> impl Strategy<Value = Vec<(f64, f64)>> {
    let step = (0.001..100.0f64, 0.001..100.0f64);
    (-1000.0..1000.0f64, -1000.0..1000.0f64, prop::collection::vec(step, 1..16)).prop_map(move |(x, y, steps)| {
        let sign = if falling { -1.0 } else { 1.0 };
        let mut points = vec![(x, y)];
        for (dx, dy) in steps {
            let (x, y) = points[points.len() - 1];
            points.push((x + dx, y + sign * dy));
        }
        points
    })
}

proptest! {
    #[test]
    fn smoothed_values_lie_between_those_that_went_in(
        smoothing in smoothing(),
        values in prop::collection::vec((any::<f64>().prop_filter("finite", |value| value.is_finite()), 0..30u64), 1..120),
    ) {
        let mut smoother = Smoother::new(smoothing, Duration::from_secs(100));
        let (mut now, mut lowest, mut highest) = (0, f64::INFINITY, f64::NEG_INFINITY);
        for (value, wait) in values {
            now += wait;
            (lowest, highest) = (lowest.min(value), highest.max(value));
            let smoothed = smoother.enter(value, at(now));
            prop_assert!((lowest..=highest).contains(&smoothed), "{smoothed} of {lowest} to {highest}");
        }
    }

    #[test]
    fn a_constant_stays_what_it_is(smoothing in smoothing(), value in -1e6..1e6f64, waits in prop::collection::vec(0..200u64, 1..120)) {
        let mut filter = Filter::new(Options { smoothing: Some(smoothing), ..Options::default() }, Quantity::Voltage, EVERY);
        let mut now = 0;
        for wait in waits {
            now += wait;
            prop_assert_eq!(filter.pass(value, at(now)), Sample::Good(value));
        }
    }

    #[test]
    fn what_cannot_be_never_becomes_a_value(options in options(), values in prop::collection::vec((raw(), 0..200u64), 1..60)) {
        let mut filter = Filter::new(options.clone(), Quantity::Temperature, EVERY);
        let mut now = 0;
        for (raw, wait) in values {
            now += wait;
            let sample = filter.pass(raw, at(now));
            match sample.value() {
                Some(value) => {
                    prop_assert!((-20.0..=60.0).contains(&raw), "{raw} became {sample:?}");
                    prop_assert!((-20.0..=60.0).contains(&value), "{sample:?}");
                }
                None => prop_assert!(
                    !(-20.0..=60.0).contains(&raw) || options.implausible == Implausible::Bad,
                    "{raw} became {sample:?}"
                ),
            }
        }
    }

    #[test]
    fn a_calibration_goes_through_its_points_and_one_way(
        points in prop_oneof![points(false), points(true)],
        mut raw in prop::collection::vec(-3000.0..3000.0f64, 2..50),
    ) {
        let calibration = Calibration::Points(calibration::Points::new(points.clone()).unwrap());
        for (raw, right) in &points {
            let got = calibration.apply(*raw);
            prop_assert!((got - right).abs() <= 1e-9 * right.abs().max(1.0), "{raw} is {got}, not {right}");
        }
        raw.sort_by(f64::total_cmp);
        let falling = points[0].1 > points[1].1;
        for pair in raw.windows(2) {
            let (one, other) = (calibration.apply(pair[0]), calibration.apply(pair[1]));
            let (lower, upper) = if falling { (other, one) } else { (one, other) };
            prop_assert!(lower <= upper + 1e-9 * upper.abs().max(1.0), "{pair:?} become {one} and {other}");
        }
    }

    #[test]
    fn a_single_spike_is_never_good_and_a_step_that_stays_is_good_from_the_third_value_on(
        base in -40.0..40.0f64,
        height in prop_oneof![10.0..500.0f64, -500.0..-10.0f64],
        noise in prop::collection::vec(-0.4..0.4f64, 20),
        when in 1..9usize,
        length in 1..6usize,
    ) {
        let mut filter = filter("max_rate = \"1 per 10s\"");
        for (index, noise) in noise.iter().enumerate() {
            let since = index.checked_sub(when).filter(|since| *since < length);
            let raw = base + noise + since.map_or(0.0, |_| height);
            let good = matches!(filter.pass(raw, at(10 * index as u64)), Sample::Good(_));
            let expected = match since {
                Some(since) => since >= 2,
                // Back from a step that was taken for real is a step too.
                None if length >= 3 && index >= when + length => index >= when + length + 2,
                None => true,
            };
            prop_assert_eq!(good, expected, "value {} of {}", index, raw);
        }
    }

    #[test]
    fn no_table_makes_it_panic(key in "(points|valid|smooth|max_rate|stuck_after)", value in "[\\[\\]0-9a-z\", .-]{0,20}") {
        let text = format!("{key} = {value}");
        let Ok(table) = DeTable::parse(&text) else { return Ok(()) };
        let found = RefCell::default();
        let _ = Options::read(&Section::new("test", 0..0, table.get_ref(), &found), Some(EVERY));
    }
}
