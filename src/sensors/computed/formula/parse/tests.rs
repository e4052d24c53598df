//! What formulas come to, and what is said of those that nobody can understand.

use proptest::prelude::*;

use super::*;

/// With `a.x` and `b.x` at 8 and 2, whatever comes first in the text.
fn value(text: &str) -> Result<f64, String> {
    let parsed = parse(text).map_err(|mistake| mistake.message)?;
    let values = parsed.channels.iter().map(|(id, _)| if id.sensor() == "a" { 8.0 } else { 2.0 });
    parsed.expression.evaluate(&values.collect::<Vec<_>>())
}

#[test]
fn signs_bind_as_in_mathematics() {
    let cases = [
        ("a.x", 8.0),
        ("b.x - a.x", -6.0),
        ("a.x - b.x - 1", 5.0),
        ("a.x / b.x / 2", 2.0),
        ("1 + a.x * b.x", 17.0),
        ("(1 + a.x) * b.x", 18.0),
        ("-b.x ^ 2", -4.0),
        ("2 ^ 3 ^ b.x", 512.0),
        ("a.x ^ -1", 0.125),
        ("-a.x * -b.x", 16.0),
        ("- -a.x", 8.0),
        ("a.x - -2", 10.0),
        ("2*max(a.x, b.x, 3) - min(a.x,b.x)", 14.0),
        ("average(difference(a.x, b.x), abs(-b.x))", 4.0),
        ("clamp(a.x, 0, b.x + 1)", 3.0),
        ("a.x + a.x", 16.0),
    ];
    for (text, expected) in cases {
        assert_eq!(value(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_has_no_value_says_why() {
    for (text, why) in [
        ("a.x / (b.x - 2)", "the formula divides by zero"),
        ("(-a.x) ^ 0.5", "the formula comes to no finite number"),
        ("a.x * 1e308 * 1e308", "the formula comes to no finite number"),
        ("0 * (1e308 * a.x * a.x)", "the formula comes to no finite number"),
        ("vpd(a.x, 1000)", "1000 % is no relative humidity"),
        ("clamp(a.x, 3, b.x)", "clamp is to keep it above 3 and below 2"),
    ] {
        assert_eq!(value(text), Err(why.to_owned()), "{text}");
    }
}

/// The part of the text that a mistake is about, what is wrong, and what would do.
#[test]
fn a_mistake_is_told_where_it_stands() {
    let cases = [
        ("", "", "ends where a value is missing", "write a channel"),
        ("a.x +", "", "ends where a value is missing", "write a channel"),
        ("a.x + * 2", "*", "has a `*` where a value is missing", "write a channel"),
        ("a.x b.x", "b.x", "has `b.x` where nothing more can follow", "one of + - * / ^"),
        ("a.x)", ")", "has `)` where nothing more can follow", "one of"),
        ("2 * (a.x", "(", "never closes this parenthesis", "`)` where it ends"),
        ("max(a.x", "(", "never closes this parenthesis", "`)` where it ends"),
        ("max(a.x b.x)", "b.x", "something here that does not fit", "`)` or `,`"),
        ("vdp(a.x, b.x)", "vdp", "has an unknown function `vdp`", "did you mean `vpd`?"),
        ("VPD(a.x, b.x)", "VPD", "has an unknown function `VPD`", "did you mean `vpd`?"),
        ("sin(a.x)", "sin", "has an unknown function `sin`", "average, clamp, dew_point"),
        ("a.x + air", "air", "has an unknown word `air`", "`air.temperature`"),
        ("vpd", "vpd", "gives `vpd` nothing", "write vpd(temperature, humidity)"),
        ("2 * vpd(a.x)", "vpd(a.x)", "gives `vpd` one value", "write vpd(temperature, humidity)"),
        ("max()", "max()", "gives `max` nothing", "max(a, b, …)"),
        ("a.x % 2", "%", "has a `%`", "+ - * / ^"),
        ("é + a.x", "é", "has a `é`", "+ - * / ^"),
        ("1.2.3 + a.x", "1.2.3", "has `1.2.3`, which is no number", "write 21"),
        ("1e999 + a.x", "1e999", "is no number", "write 21"),
        ("Air.x", "Air.x", "has `Air.x`, which is no channel", "air.temperature"),
        ("air. x", "air.", "has `air.`, which is no channel", "air.temperature"),
        ("2 + 'air.x", "'air.x", "never closes this quote", "where the name ends"),
        ("2 + 3", "2 + 3", "names no channel", "air.temperature"),
    ];
    for (text, at, message, hint) in cases {
        let mistake = parse(text).expect_err(text);
        let told = (&text[mistake.at.clone()], mistake.message.contains(message), mistake.hint.contains(hint));
        assert_eq!(told, (at, true, true), "{text}: {mistake:?}");
    }
}

#[test]
fn no_text_is_too_much_for_the_stack() {
    let deep = |number: usize| format!("{}a.x{}", "(".repeat(number), ")".repeat(number));
    assert_eq!(value(&deep(31)), Ok(8.0));
    assert!(parse(&deep(32)).unwrap_err().message.contains("nested more than 32 deep"));
    assert!(parse(&deep(100_000)).unwrap_err().message.contains("too long"));
    for (text, times) in [("-", 900), ("2^", 450), ("abs(", 240), ("1-(", 300)] {
        assert!(parse(&(text.repeat(times) + "a.x")).unwrap_err().message.contains("nested"), "{text}");
    }
    // As long as it may be, and each sign on top of the last.
    assert_eq!(value(&("a.x".to_owned() + &"-1".repeat(498))), Ok(8.0 - 498.0));
}

#[test]
fn a_formula_names_each_channel_once_and_not_too_many() {
    let sum = |number: usize| (0..number).map(|n| format!("a{n}.x")).collect::<Vec<_>>().join("+");
    assert_eq!(parse(&(sum(16) + "+a3.x")).unwrap().channels.len(), 16);
    let mistake = parse(&sum(17)).unwrap_err();
    assert!(mistake.message.contains("more than 16 channels"), "{mistake:?}");
}

/// Texts that are nearly formulas.
fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "a.x",
        "b-1.x",
        "'1.x'",
        "vpd",
        "max",
        "abs",
        "clamp",
        "(",
        ")",
        ",",
        "+",
        "-",
        "*",
        "/",
        "^",
        "1",
        "0",
        "1e300",
        ".",
        "e",
        " ",
        "'",
        "é",
        "dew_point(",
        "%",
    ]);
    prop_oneof![prop::collection::vec(word, 0..40).prop_map(|words| words.concat()), any::<String>()]
}

proptest! {
    #[test]
    fn no_text_panics_and_every_value_is_finite(text in text(), values in prop::collection::vec(-1e300..1e300, 16)) {
        match parse(&text) {
            Ok(Parsed { expression, channels }) => {
                let value = expression.evaluate(&values);
                prop_assert!(value.as_ref().is_ok_and(|value| value.is_finite()) || value.as_ref().is_err_and(|why| !why.is_empty()));
                prop_assert_eq!(value, expression.evaluate(&values));
                prop_assert!(channels.iter().all(|(id, at)| text[at.clone()].trim_matches('\'') == id.as_str()));
            }
            Err(Mistake { at, message, hint }) => {
                prop_assert!(text.get(at.clone()).is_some(), "{at:?} is not in {text:?}");
                prop_assert!(!message.is_empty() && !hint.is_empty());
            }
        }
    }
}
