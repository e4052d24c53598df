//! The plant watch against plants that obey, plants that do not, and plants that move by themselves.

use proptest::prelude::*;

use super::*;

const WITHIN: Duration = Duration::from_secs(600);
const GAP: Duration = Duration::from_secs(60);
const SETTINGS: Settings = Settings { gain: 1.0, within: WITHIN, idle_gain: Some(3.0) };

fn at(seconds: f64) -> Monotonic {
    Monotonic::new(Duration::from_secs_f64(seconds))
}

/// Feeds readings every ten seconds of `value(second)`, and gives the first trip and when it came.
fn first_trip(powers: [Power; 2], setpoint: f64, seconds: u32, value: impl Fn(f64) -> f64) -> Option<(u32, Trip)> {
    let mut watch = Watch::new(SETTINGS, GAP);
    (0..seconds).step_by(10).find_map(|second| {
        let time = f64::from(second);
        watch.see(at(time), value(time), setpoint, powers[0], powers[1]).map(|trip| (second, trip))
    })
}

#[test]
fn power_is_judged_by_what_is_asked_and_what_is_given() {
    let cases = [
        (0.0, 0.0, Power::Off),
        (0.0, 1.0, Power::Some),
        (1.0, 0.0, Power::Some),
        (0.94, 1.0, Power::Some),
        (0.95, 0.95, Power::Full),
    ];
    for (asked, given, power) in cases {
        assert_eq!(Power::of(Level::clamped(asked), Level::clamped(given)), power, "{asked} asked, {given} given");
    }
}

#[test]
fn full_power_that_moves_nothing_trips_in_both_directions() {
    use Direction::{Lower, Raise};
    type Case = (&'static str, [Power; 2], f64, f64, Option<Trip>);
    let table: [Case; 7] = [
        ("a dead heater", [Power::Full, Power::Off], 24.0, 0.0, Some(Trip::PowerWithoutEffect(Raise, 0.0))),
        ("and the house cools", [Power::Full, Power::Off], 24.0, -0.5, Some(Trip::PowerWithoutEffect(Raise, -0.5))),
        ("a heater that warms", [Power::Full, Power::Off], 24.0, 1.0, None),
        ("a dead fan", [Power::Off, Power::Full], 10.0, 0.5, Some(Trip::PowerWithoutEffect(Lower, -0.5))),
        ("a fan that cools", [Power::Off, Power::Full], 10.0, -1.0, None),
        ("half power", [Power::Some, Power::Off], 24.0, 0.0, None),
        ("full power beyond the setpoint", [Power::Full, Power::Off], 19.0, 0.0, None),
    ];
    for (what, powers, setpoint, slope, expected) in table {
        // The slope is per `within`.
        let found = first_trip(powers, setpoint, 900, |time| 20.0 + slope * time / WITHIN.as_secs_f64());
        let near = |(second, trip): (u32, Trip)| match (trip, expected) {
            (Trip::PowerWithoutEffect(a, moved), Some(Trip::PowerWithoutEffect(b, by))) => {
                second == 600 && a == b && (moved - by).abs() < 1e-9
            }
            _ => false,
        };
        assert!(found.map_or(expected.is_none(), near), "{what}: {found:?}");
    }
}

#[test]
fn an_effect_without_power_trips_if_it_is_fast_enough_and_asked_for() {
    use Direction::{Lower, Raise};
    let off = [Power::Off, Power::Off];
    let rises = |slope: f64| move |time: f64| 25.0 + slope * time / WITHIN.as_secs_f64();
    assert_eq!(first_trip(off, 24.0, 7200, rises(3.1)).map(|(second, _)| second), Some(600));
    assert!(matches!(first_trip(off, 24.0, 7200, rises(3.1)), Some((_, Trip::EffectWithoutPower(Raise, _)))));
    assert!(matches!(first_trip(off, 26.0, 7200, rises(-3.1)), Some((_, Trip::EffectWithoutPower(Lower, _)))));
    // The sun, over hours; and whatever happens on the near side of the setpoint or under power.
    assert_eq!(first_trip(off, 24.0, 7200, rises(2.9)), None);
    assert_eq!(first_trip(off, 60.0, 7200, rises(3.1)), None);
    assert_eq!(first_trip([Power::Some, Power::Off], 24.0, 7200, rises(3.1)), None);
    // Whenever it begins, it is found within two windows of it.
    let later = first_trip(off, 24.0, 7200, |time| 25.0 + 3.1 * (time - 1234.0).max(0.0) / WITHIN.as_secs_f64());
    assert!(later.is_some_and(|(second, _)| (1234..=1234 + 1200).contains(&second)), "{later:?}");

    let mut watch = Watch::new(Settings { idle_gain: None, ..SETTINGS }, GAP);
    for second in (0..7200).step_by(10).map(f64::from) {
        assert_eq!(watch.see(at(second), 25.0 + second, 24.0, Power::Off, Power::Off), None);
    }
}

#[test]
fn what_was_seen_before_a_gap_or_a_pause_does_not_count() {
    let full = |watch: &mut Watch, time: f64| watch.see(at(time), 20.0, 24.0, Power::Full, Power::Off);
    for pause in [false, true] {
        let mut watch = Watch::new(SETTINGS, GAP);
        (0..=59).for_each(|step| assert_eq!(full(&mut watch, f64::from(step) * 10.0), None));
        let again = if pause { 600.0 } else { 651.0 };
        if pause {
            watch.pause();
        }
        assert_eq!(full(&mut watch, again), None);
        let trip = (1..100).map(|step| again + f64::from(step) * 10.0).find(|time| full(&mut watch, *time).is_some());
        assert_eq!(trip, Some(again + 600.0));
    }
}

#[test]
fn a_moment_below_full_power_begins_the_window_anew() {
    let mut watch = Watch::new(SETTINGS, GAP);
    let trip = (0..200).map(|step| f64::from(step) * 10.0).find(|time| {
        let power = if *time == 590.0 { Power::Some } else { Power::Full };
        watch.see(at(*time), 20.0, 24.0, power, Power::Off).is_some()
    });
    assert_eq!(trip, Some(1200.0));
}

#[test]
fn a_reading_that_is_not_newer_or_no_number_counts_for_nothing() {
    let mut watch = Watch::new(SETTINGS, GAP);
    for (time, value) in [(0.0, 20.0), (0.0, 99.0), (5.0, f64::NAN), (10.0, 20.0), (5.0, -99.0)] {
        assert_eq!(watch.see(at(time), value, 24.0, Power::Full, Power::Off), None);
    }
    let trip = (2..100)
        .map(|step| f64::from(step) * 10.0)
        .find(|time| watch.see(at(*time), 20.9, 24.0, Power::Full, Power::Off).is_some());
    assert_eq!(trip, Some(600.0), "neither 99 nor -99 was ever there");
}

#[test]
fn a_person_is_told_what_to_look_at() {
    let (heater, air) = (OutputId::new("heater").unwrap(), ChannelId::parse("air.temperature").unwrap());
    let text = |trip: Trip| trip.text(&heater, &air, "°C", WITHIN);
    assert_eq!(
        text(Trip::PowerWithoutEffect(Direction::Raise, 0.2)),
        "heater at full power for 10m, and air.temperature only rose by 0.20 °C: does heater have power, is the sensor in its place?"
    );
    assert!(text(Trip::PowerWithoutEffect(Direction::Lower, -0.2)).contains(" rose by 0.20 °C"));
    assert!(
        text(Trip::EffectWithoutPower(Direction::Raise, 3.0))
            .contains("off for 10m, and air.temperature still rose by 3.00")
    );
}

proptest! {
    /// However it wavers: if in each half window it once gets `gain` above a point before, nothing is wrong.
    #[test]
    fn never_trips_while_the_value_moves_by_gain_in_each_window(
        wave in proptest::collection::vec((0.0..5.0f64, 1.0..3.0f64), 1..40),
        down in any::<bool>(),
        interval in 1.0..30.0f64,
    ) {
        let mut watch = Watch::new(SETTINGS, GAP);
        let steps = (WITHIN.as_secs_f64() / 2.0 / interval) as usize;
        let (mut time, mut value) = (0.0, 0.0);
        for (fall, rise) in wave {
            // A fall at first, and then the rise, spread over the rest.
            for step in 0..steps {
                value += if step == 0 { -fall } else { (rise + 1e-9) / (steps - 1) as f64 };
                time += interval;
                let seen = if down { -value } else { value };
                let setpoint = if down { -1e6 } else { 1e6 };
                let (raise, lower) = if down { (Power::Some, Power::Full) } else { (Power::Full, Power::Some) };
                prop_assert_eq!(watch.see(at(time), seen, setpoint, raise, lower), None, "at {}", time);
            }
        }
    }

    /// Whatever it did before: once it stays within less than `gain`, it trips after `within`, and one interval more at most.
    #[test]
    fn always_trips_within_a_window_and_one_interval_when_the_value_stays(
        before in proptest::collection::vec((0.0..50.0f64, 0..3u8), 0..40),
        after in proptest::collection::vec((0.0..0.99f64, 1.0..30.0f64), 700),
    ) {
        let mut watch = Watch::new(SETTINGS, GAP);
        let mut time = 0.0;
        for (value, power) in before {
            time += 10.0;
            let power = [Power::Off, Power::Some, Power::Full][usize::from(power)];
            // It may trip here and rightly so; nobody acknowledges it, and what comes after must trip just the same.
            let _ = watch.see(at(time), value, 100.0, power, Power::Off);
        }
        watch.see(at(time + 1.0), 20.0, 100.0, Power::Some, Power::Off);
        let mut began = None;
        let mut tripped = None;
        for (value, interval) in after {
            time += interval;
            let time = time + 1.0;
            let began = *began.get_or_insert(time);
            if watch.see(at(time), 20.0 + value, 100.0, Power::Full, Power::Some).is_some() {
                tripped = Some((time - began, interval));
                break;
            }
        }
        let (took, interval) = tripped.expect("it trips");
        let within = WITHIN.as_secs_f64();
        prop_assert!(took >= within - 1e-6 && took <= within + interval + 1e-6, "after {} s", took);
    }
}
