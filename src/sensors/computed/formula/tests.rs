//! What becomes of the quality of what a formula is given.

use super::*;

fn outcome(formula: &str, samples: &[Option<Sample>]) -> Outcome {
    let Parsed { expression, channels } = parse(formula).unwrap();
    let channel = Channel { name: "number", quantity: Quantity::Number };
    let inputs: Vec<_> = channels.iter().map(|(id, _)| id).zip(samples.iter().map(Option::as_ref)).collect();
    Calculated { channel, expression }.compute(&inputs)
}

#[test]
fn a_value_is_as_good_as_the_worst_that_it_is_calculated_from() {
    let good = || Some(Sample::Good(8.0));
    let unsure = || Some(Sample::Uncertain(2.0, "jumps".into()));
    let bad = || Some(Sample::Bad("unplugged".into()));
    let is = |sample| Outcome { sample, uses: vec![0, 1], trouble: None };
    let is_bad = |why: &str| Outcome { sample: Sample::Bad(why.into()), uses: vec![], trouble: None };
    let cases = [
        ([good(), good()], is(Sample::Good(16.0))),
        ([good(), unsure()], is(Sample::Uncertain(10.0, "b.x jumps".into()))),
        ([unsure(), unsure()], is(Sample::Uncertain(4.0, "a.x jumps, b.x jumps".into()))),
        ([bad(), unsure()], is_bad("a.x: unplugged")),
        ([good(), None], is_bad("b.x does not answer")),
        ([bad(), None], is_bad("a.x: unplugged, b.x does not answer")),
    ];
    for (samples, expected) in cases {
        assert_eq!(outcome("a.x + b.x", &samples), expected, "{samples:?}");
    }
}

#[test]
fn what_good_values_do_not_allow_is_bad_and_told() {
    let samples = [Some(Sample::Good(1.0)), Some(Sample::Good(0.0))];
    let text = "the formula divides by zero".to_owned();
    let expected = Outcome {
        sample: Sample::Bad(text.clone().into()),
        uses: vec![0, 1],
        trouble: Some(Trouble { about: vec![0, 1], text }),
    };
    assert_eq!(outcome("a.x / b.x", &samples), expected);
}
