//! What each policy makes of what its inputs say.

use proptest::prelude::*;

use super::*;
use crate::model::Quantity;

fn good(value: f64) -> Option<Sample> {
    Some(Sample::Good(value))
}

fn unsure(value: f64) -> Option<Sample> {
    Some(Sample::Uncertain(value, "jumps".into()))
}

fn bad() -> Option<Sample> {
    Some(Sample::Bad("unplugged".into()))
}

/// The sample, what it comes from, and what is said of which.
type Told = (String, Vec<usize>, Option<(Vec<usize>, String)>);

fn outcome(policy: Policy, inputs: &[Option<Sample>]) -> Told {
    let ids: Vec<ChannelId> =
        (1..=inputs.len()).map(|number| ChannelId::parse(&format!("air{number}.temperature")).unwrap()).collect();
    let inputs: Vec<_> = ids.iter().zip(inputs.iter().map(Option::as_ref)).collect();
    let channel = Channel { name: "temperature", quantity: Quantity::Temperature };
    let Outcome { sample, uses, trouble } = Redundant { channel, policy }.compute(&inputs);
    let value = sample.value().map_or("-".to_owned(), |value| value.to_string());
    let reason = sample.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
    (format!("{value} {}{reason}", sample.quality()), uses, trouble.map(|trouble| (trouble.about, trouble.text)))
}

type Case<'c> = (&'c [Option<Sample>], &'c str, &'c [usize], Option<(&'c [usize], &'c str)>);

fn check(policy: Policy, cases: &[Case<'_>]) {
    for (inputs, sample, uses, trouble) in cases {
        let trouble = trouble.map(|(about, text)| (about.to_vec(), text.to_owned()));
        assert_eq!(outcome(policy, inputs), ((*sample).to_owned(), uses.to_vec(), trouble), "{policy:?} of {inputs:?}");
    }
}

#[test]
fn failover_takes_the_first_that_can_be_relied_on() {
    check(
        Policy::Failover,
        &[
            (&[good(20.0), good(30.0)], "20 good", &[0], None),
            (&[good(20.0), None], "20 good", &[0], None),
            (
                &[bad(), good(30.0)],
                "30 good",
                &[1],
                Some((&[0], "air1.temperature: unplugged; air2.temperature is used")),
            ),
            (
                &[None, unsure(2.0), good(30.0)],
                "30 good",
                &[2],
                Some((&[0, 1], "air1.temperature does not answer, air2.temperature: jumps; air3.temperature is used")),
            ),
            (
                &[bad(), unsure(30.0)],
                "30 uncertain: air2.temperature jumps",
                &[1],
                Some((&[0, 1], "air1.temperature: unplugged, air2.temperature: jumps; air2.temperature is used")),
            ),
            (
                &[None, bad()],
                "- bad: air1.temperature does not answer, air2.temperature: unplugged",
                &[],
                Some((&[0, 1], "air1.temperature does not answer, air2.temperature: unplugged")),
            ),
        ],
    );
}

#[test]
fn agreement_needs_more_than_half_of_those_that_answer() {
    let differ = "air1.temperature (20 °C) and air2.temperature (21.5 °C) differ by more than 1 °C";
    check(
        Policy::Agree { within: 1.0 },
        &[
            (&[good(20.0), good(21.0)], "20.5 good", &[0, 1], None),
            (&[good(20.0), good(21.5)], &format!("- bad: {differ}"), &[0, 1], Some((&[0, 1], differ))),
            (
                &[good(20.0), None],
                "20 uncertain: only air1.temperature answers",
                &[0],
                Some((&[1], "only air1.temperature answers; air2.temperature does not answer")),
            ),
            (&[good(20.2), good(20.0), good(20.9)], "20.2 good", &[0, 1, 2], None),
            // The odd one out is named, and does not count.
            (
                &[good(20.0), good(35.0), good(20.5)],
                "20.25 good",
                &[0, 2],
                Some((&[1], "air2.temperature (35 °C) is not like the others")),
            ),
            // Of two groups as large the one that is closer together.
            (
                &[good(20.0), good(20.75), good(21.25)],
                "21 good",
                &[1, 2],
                Some((&[0], "air1.temperature (20 °C) is not like the others")),
            ),
            (&[good(20.0), bad(), good(20.5)], "20.25 good", &[0, 2], Some((&[1], "air2.temperature: unplugged"))),
            // Two against two is no majority.
            (
                &[good(20.0), good(20.0), good(30.0), good(30.0)],
                "- bad: air1.temperature (20 °C), air2.temperature (20 °C), air3.temperature (30 °C) and \
                 air4.temperature (30 °C) differ by more than 1 °C",
                &[0, 1, 2, 3],
                Some((
                    &[0, 1, 2, 3],
                    "air1.temperature (20 °C), air2.temperature (20 °C), air3.temperature (30 °C) and \
                     air4.temperature (30 °C) differ by more than 1 °C",
                )),
            ),
            // An uncertain value bears nothing out, and several of them stay uncertain.
            (
                &[good(20.0), unsure(20.0)],
                "20 uncertain: only air1.temperature answers",
                &[0],
                Some((&[1], "only air1.temperature answers; air2.temperature: jumps")),
            ),
            (
                &[unsure(20.0), unsure(20.5)],
                "20.25 uncertain: no input is good: air1.temperature: jumps, air2.temperature: jumps",
                &[0, 1],
                Some((&[0, 1], "air1.temperature: jumps, air2.temperature: jumps")),
            ),
            (
                &[None, bad()],
                "- bad: air1.temperature does not answer, air2.temperature: unplugged",
                &[],
                Some((&[0, 1], "air1.temperature does not answer, air2.temperature: unplugged")),
            ),
        ],
    );
}

fn sample() -> impl Strategy<Value = Option<Sample>> {
    let value =
        || prop_oneof![(0..40i32).prop_map(f64::from), any::<f64>().prop_filter("finite", |value| value.is_finite())];
    prop_oneof![4 => value().prop_map(good), 1 => value().prop_map(unsure), 1 => Just(bad()), 1 => Just(None)]
}

proptest! {
    #[test]
    fn no_policy_makes_more_of_its_inputs_than_they_are(
        inputs in prop::collection::vec(sample(), 2..9),
        within in 0.1..10.0f64,
        agrees in any::<bool>(),
    ) {
        let ids: Vec<ChannelId> = (0..inputs.len()).map(|number| ChannelId::parse(&format!("a{number}.b")).unwrap()).collect();
        let named: Vec<_> = ids.iter().zip(inputs.iter().map(Option::as_ref)).collect();
        let policy = if agrees { Policy::Agree { within } } else { Policy::Failover };
        let channel = Channel { name: "b", quantity: Quantity::Voltage };
        let Outcome { sample, uses, trouble } = Redundant { channel, policy }.compute(&named);

        let values: Vec<f64> = inputs.iter().flatten().filter_map(Sample::value).collect();
        let goods: Vec<f64> =
            inputs.iter().flatten().filter(|sample| matches!(sample, Sample::Good(_))).filter_map(Sample::value).collect();
        prop_assert!(uses.iter().all(|&index| inputs[index].as_ref().is_some_and(|sample| sample.value().is_some())));
        match sample {
            Sample::Good(value) if agrees => {
                let near = goods.iter().filter(|good| (*good - value).abs() <= within).count();
                prop_assert!(near >= 2 && near * 2 > goods.len(), "{value} of {goods:?}");
                prop_assert!(uses.len() >= 2);
            }
            Sample::Good(value) => prop_assert_eq!(Some(&value), goods.first()),
            Sample::Uncertain(value, _) => {
                prop_assert!(values.iter().any(|one| *one <= value) && values.iter().any(|one| *one >= value));
                prop_assert!(trouble.is_some());
            }
            Sample::Bad(_) => prop_assert!(trouble.is_some() && (agrees || values.is_empty())),
        }
    }
}
