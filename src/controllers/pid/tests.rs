//! The PID against closed forms, an independent solution, and the mistakes that others have made.

use proptest::prelude::*;

use super::*;

const PI: Gains = Gains { kp: 0.1, ki: 0.01, kd: 0.0, filter: Duration::ZERO };
const PID: Gains = Gains { kp: 0.12, ki: 0.004, kd: 0.8, filter: Duration::from_secs(3) };

fn at(seconds: f64) -> Monotonic {
    Monotonic::new(Duration::from_secs_f64(seconds))
}

fn pid(gains: Gains) -> Pid {
    Pid::new(gains, -1.0..=1.0, Duration::from_secs(60))
}

#[track_caller]
fn near(value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{value} is not within {tolerance} of {expected}");
}

#[test]
fn a_constant_error_is_integrated_by_the_second() {
    // P = kp·e = 0.1·2; I = ki·e·t = 0.01·2·t, whatever the period.
    for period in [0.5, 1.0, 5.0] {
        let mut pid = pid(PI);
        for step in 0..=(20.0 / period) as u32 {
            let time = f64::from(step) * period;
            let Output { output, terms } = pid.step(22.0, 20.0, at(time)).unwrap();
            near(terms.p, 0.2, 1e-12);
            near(terms.i, 0.02 * time, 1e-12);
            near(output, terms.p + terms.i, 1e-12);
        }
    }
}

#[test]
fn a_ramp_comes_through_the_derivative_filter_exponentially() {
    // A first-order filter of time constant T answers a ramp of slope s with s·(1 − exp(−t/T)), whatever the period.
    let gains = Gains { kp: 0.0, ki: 0.0, kd: 2.0, filter: Duration::from_secs(4) };
    for period in [0.5, 1.0, 5.0] {
        let mut pid = pid(gains);
        for step in 0..=(20.0 / period) as u32 {
            let time = f64::from(step) * period;
            let Output { output, .. } = pid.step(0.0, 10.0 + 0.3 * time, at(time)).unwrap();
            near(output, -2.0 * 0.3 * (1.0 - (-time / 4.0).exp()), 1e-12);
        }
    }
    let mut unfiltered = pid(Gains { filter: Duration::ZERO, ..gains });
    unfiltered.step(0.0, 10.0, at(0.0)).unwrap();
    near(unfiltered.step(0.0, 10.3, at(1.0)).unwrap().output, -0.6, 1e-12);
}

/// The input of the reference: straight lines between these.
const KNOTS: [(f64, f64); 7] =
    [(0.0, 12.0), (60.0, 18.0), (90.0, 22.5), (120.0, 22.0), (160.0, 28.0), (220.0, 24.0), (300.0, 24.0)];

fn reference_input(time: f64) -> f64 {
    let right = KNOTS.iter().position(|(knot, _)| *knot >= time).unwrap().max(1);
    let ((t0, y0), (t1, y1)) = (KNOTS[right - 1], KNOTS[right]);
    y0 + (y1 - y0) * (time - t0) / (t1 - t0)
}

#[test]
fn agrees_with_the_differential_equations() {
    // The continuous controller, written as I-PD, which has no kick by its form: u = J − kp·y − kd·v with J(0) = kp·r(0),
    // J' = ki·(r − y) + (clamp(u) − u)/√(kd/ki), v' = (y' − v)/3 s; limits 0.1..=1; the setpoint r goes from 22 to 25 at
    // 120 s. Solved by the midpoint rule with a step of 1/4096 s in a separate program. Columns: time, u before the limits.
    let table = [
        (0.0, 1.20000),
        (20.0, 1.27119),
        (40.0, 1.22739),
        (60.0, 1.13114),
        (80.0, 0.89167),
        (100.0, 0.85353),
        (120.0, 0.88494),
        (140.0, 0.51179),
        (160.0, 0.03692),
        (180.0, 0.18624),
        (200.0, 0.26646),
        (220.0, 0.45313),
        (240.0, 0.47986),
        (260.0, 0.55979),
        (280.0, 0.63979),
        (300.0, 0.71979),
    ];
    // Sampling is exact in the linear range; drawing back from a limit is not, by half a period in Tt at most.
    for (period, tolerance) in [(0.1, 0.002), (1.0, 0.02)] {
        let mut pid = Pid::new(PID, 0.1..=1.0, Duration::from_secs(60));
        for step in 0..=(300.0 / period) as u32 {
            let time = f64::from(step) * period;
            let setpoint = if time <= 120.0 { 22.0 } else { 25.0 };
            let Output { output, terms } = pid.step(setpoint, reference_input(time), at(time)).unwrap();
            if let Some((_, expected)) = table.iter().find(|(when, _)| (when - time).abs() < 1e-6) {
                near(terms.p + terms.i + terms.d, *expected, tolerance);
                near(output, expected.clamp(0.1, 1.0), tolerance);
            }
        }
    }
}

#[test]
fn the_same_trajectory_gives_the_same_integral_at_any_period() {
    let integral = |period: f64| {
        let mut pid = pid(Gains { kp: 0.0, ki: 0.0005, kd: 1.0, ..PID });
        let steps = (300.0 / period) as u32;
        (0..=steps)
            .map(|step| f64::from(step) * period)
            .fold(0.0, |_, time| pid.step(22.0, reference_input(time), at(time)).unwrap().terms.i)
    };
    near(integral(5.0), integral(1.0), 1e-9);
    near(integral(0.1), integral(1.0), 1e-9);
}

#[test]
fn a_changed_setpoint_does_not_kick_but_is_followed() {
    let mut pid = pid(PID);
    let mut last = 0.0;
    for second in 0..20 {
        last = pid.step(20.0, 20.0, at(f64::from(second))).unwrap().output;
    }
    let same_reading = pid.step(24.0, 20.0, at(19.0)).unwrap();
    near(same_reading.output, last, 1e-12);
    near(same_reading.terms.p, 0.12 * 4.0, 1e-12);
    // One second later the integral has grown by ki·e·dt.
    near(pid.step(24.0, 20.0, at(20.0)).unwrap().output, last + 0.004 * 4.0, 1e-12);
}

#[test]
fn the_first_step_acts_on_the_whole_error_and_without_ki_every_step_does() {
    near(pid(PID).step(24.0, 20.0, at(7.0)).unwrap().output, 0.48, 1e-12);
    let mut proportional = pid(Gains { ki: 0.0, ..PI });
    near(proportional.step(20.0, 20.0, at(0.0)).unwrap().output, 0.0, 1e-12);
    near(proportional.step(24.0, 20.0, at(1.0)).unwrap().output, 0.4, 1e-12);
}

#[test]
fn leaves_saturation_when_the_input_turns_and_not_an_hour_later() {
    for gains in [PI, PID] {
        let mut pid = Pid::new(gains, 0.0..=1.0, Duration::from_secs(60));
        let mut naive = 0.0;
        for second in 0..3600 {
            assert_eq!(pid.step(25.0, 10.0, at(f64::from(second))).unwrap().output, 1.0);
            naive += gains.ki * 15.0;
        }
        // Too warm by 2 from now on: a plain sum would take so long to come down to 1.
        assert!((naive - 1.0) / (gains.ki * 2.0) > 7.0 * 3600.0);
        let recovery =
            (3600..).find(|&second| pid.step(25.0, 27.0, at(f64::from(second))).unwrap().output < 1.0).unwrap();
        assert!(recovery - 3600 < 5, "{recovery}");
    }
}

#[test]
fn an_integral_alone_stays_within_the_limits() {
    let mut pid = pid(Gains { kp: 0.0, ..PI });
    for second in 0..1000 {
        assert!(pid.step(25.0, 10.0, at(f64::from(second))).unwrap().terms.i <= 1.0);
    }
    near(pid.step(25.0, 26.0, at(1000.0)).unwrap().output, 1.0 + 0.01 * 7.0, 0.1);
    assert!(pid.step(25.0, 26.0, at(1001.0)).unwrap().output < 1.0);
}

#[test]
fn a_reading_that_is_not_newer_moves_nothing() {
    let mut pid = pid(PID);
    pid.step(22.0, 20.0, at(0.0)).unwrap();
    let output = pid.step(22.0, 20.1, at(1.0)).unwrap();
    for (input, time) in [(20.1, 1.0), (30.0, 1.0), (10.0, 0.5), (20.0, 0.0)] {
        assert_eq!(pid.step(22.0, input, at(time)), Some(output), "{input} at {time} s");
    }
}

#[test]
fn nothing_is_integrated_across_a_gap_or_a_pause_and_the_integral_stays() {
    let run = |between: fn(&mut Pid), next: f64| {
        let mut pid = pid(PID);
        for second in 0..=10 {
            pid.step(22.0, 20.0 + 0.01 * f64::from(second), at(f64::from(second))).unwrap();
        }
        let before = pid.clone().step(22.0, 20.1, at(10.0)).unwrap();
        between(&mut pid);
        let after = pid.step(22.0, 15.0, at(next)).unwrap();
        near(after.terms.i, before.terms.i, 1e-12);
        assert_eq!(after.terms.d, 0.0, "no speed is known");
        // And it goes on from there.
        assert!(pid.step(22.0, 15.0, at(next + 1.0)).unwrap().terms.i > before.terms.i);
    };
    run(|_| (), 71.0);
    run(Pid::pause, 12.0);
    run(|pid| assert_eq!(pid.step(22.0, f64::NAN, at(10.5)), None), 71.0);
}

#[test]
fn a_step_that_has_no_output_gives_no_old_one_either_and_leaves_everything_as_it_was() {
    let (mut pid, mut twin) = (pid(PID), pid(PID));
    for second in 0..10 {
        let second = f64::from(second);
        for (setpoint, input) in [(22.0, f64::NAN), (22.0, f64::INFINITY), (f64::NAN, 20.0), (f64::NEG_INFINITY, 20.0)]
        {
            assert_eq!(pid.step(setpoint, input, at(second)), None);
            pid.track(0.9, setpoint, input, at(second));
        }
        assert_eq!(pid.step(22.0, 20.0 + second, at(second)), twin.step(22.0, 20.0 + second, at(second)));
    }
}

#[test]
fn manual_goes_over_to_automatic_without_a_bump() {
    let mut pid = pid(PID);
    for second in 0..100 {
        let second = f64::from(second);
        pid.track(0.35, 22.0, 18.0 + 0.02 * second, at(second));
    }
    // Holding 0.35 with an error of several degrees has wound nothing up: the first second adds ki·e·dt and what P loses on the way.
    let output = pid.step(22.0, 20.0, at(100.0)).unwrap().output;
    near(output, 0.35 + 0.004 * 2.01 - 0.12 * 0.02, 1e-9);
}

#[test]
fn gains_that_cannot_work_are_refused_by_name() {
    let cases = [
        (PID, None),
        (Gains { kp: 0.0, kd: 0.0, ..PID }, None),
        (Gains { kp: -0.1, ..PID }, Some("kp is -0.1")),
        (Gains { ki: f64::NAN, ..PID }, Some("ki is NaN")),
        (Gains { kd: f64::INFINITY, ..PID }, Some("kd is inf")),
        (Gains { kp: 0.0, ki: 0.0, kd: 0.0, ..PID }, Some("all 0")),
    ];
    for (gains, problem) in cases {
        match (gains.check(), problem) {
            (Ok(()), None) => (),
            (Err(found), Some(problem)) => assert!(found.contains(problem), "{found}"),
            other => panic!("{other:?}"),
        }
    }
}

fn gain() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), 0.0..10.0, 0.0..f64::MAX]
}

fn finite() -> impl Strategy<Value = f64> {
    prop_oneof![-50.0..50.0, proptest::num::f64::NORMAL | proptest::num::f64::ZERO]
}

proptest! {
    /// The hold is what the controller goes on from, however long it was held and whatever the input did.
    #[test]
    fn a_hold_holds(held in -1.0..=1.0f64, inputs in proptest::collection::vec(-50.0..50.0f64, 1..200)) {
        let mut pid = pid(PID);
        for (second, input) in inputs.into_iter().enumerate() {
            let now = at(second as f64);
            pid.track(held, 22.0, input, now);
            // The same reading once more: no time has gone on.
            let output = pid.clone().step(22.0, input, now).unwrap().output;
            prop_assert!((output - held).abs() < 1e-9, "{output} instead of {held}");
        }
    }

    #[test]
    fn the_output_is_finite_and_within_its_limits(
        (kp, ki, kd) in (gain(), gain(), gain()),
        filter in 0..100_000u64,
        (a, b) in (-2.0..=2.0f64, -2.0..=2.0f64),
        steps in proptest::collection::vec((0..5u8, finite(), finite(), 0..100_000_000_000u64), 1..50),
    ) {
        let gains = Gains { kp, ki, kd, filter: Duration::from_millis(filter) };
        let (low, high) = (a.clamp(-1.0, 1.0), b.clamp(-1.0, 1.0).max(a.clamp(-1.0, 1.0)));
        let mut pid = Pid::new(gains, a..=b, Duration::from_secs(60));
        let mut now = at(0.0);
        for (kind, setpoint, input, nanoseconds) in steps {
            now = now + Duration::from_nanos(nanoseconds);
            match kind {
                0 => pid.track(setpoint, 20.0, input, now),
                1 => pid.pause(),
                _ => {
                    let Output { output, terms } = pid.step(setpoint, input, now).unwrap();
                    prop_assert!(low <= output && output <= high, "{output}");
                    prop_assert!([terms.p, terms.i, terms.d].iter().all(|term| term.is_finite()), "{terms:?}");
                }
            }
        }
    }
}
