//! Files that were damaged by chance or on purpose.

use std::path::Path;

use homeostat::config;
use proptest::prelude::*;

use super::EXAMPLE;

/// A file is never so bad that it cannot be talked about.
fn is_answered(bytes: Vec<u8>) {
    let Err(mistakes) = config::read(Path::new("config.toml"), bytes) else { return };
    assert!(!mistakes.diagnostics.is_empty(), "wrong, and nothing said about it:\n{}", mistakes.text);
    for mistake in &mistakes.diagnostics {
        let span = mistake.place.0.clone();
        assert!(mistakes.text.get(span.clone()).is_some(), "{span:?} is no part of the file: {mistake:?}");
        assert!(!mistake.message.is_empty());
    }
    let starts: Vec<usize> = mistakes.diagnostics.iter().map(|mistake| mistake.place.0.start).collect();
    assert!(starts.is_sorted(), "not in the order of the file: {starts:?}");
    assert!(mistakes.render(false).starts_with("error: "));
    mistakes.json().lines().for_each(|line| assert!(serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[test]
fn hostile_files_get_an_answer_too() {
    let long = |part: &str| part.repeat((1 << 17) / part.len());
    let keys: String = (0..10_000).map(|n| format!("k{n}=1,")).collect();
    let files = [
        long("["),
        long("a."),
        long("a=[{"),
        long("\r"),
        long("\0"),
        long("x\n"),
        long("é"),
        format!("[{}a]", long("a.")),
        format!("a = {}", long("[")),
        format!("a = \"{}", long("a\n")),
        format!("node = {{ {keys} }}"),
        (0..2_000).map(|n| format!("[sensors.a{n}]\ndriver = \"bme280\"\n")).collect(),
        (1..=100).map(|depth| format!("[{}a]\n", "a.".repeat(depth))).collect(),
        format!("[node]\nname = \"{}\"\n[{}]\n", long("n"), "s".repeat(1000)),
    ];
    for text in files {
        is_answered(text.into_bytes());
    }
}

/// One careless or hostile edit of a file.
#[derive(Debug, Clone)]
enum Edit {
    Delete(usize, usize),
    Insert(usize, &'static [u8]),
    Byte(usize, u8),
    Swap(usize, usize),
    Repeat(usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    const PARTS: [&[u8]; 18] = [
        b"[",
        b"]",
        b"{",
        b"}",
        b"\"",
        b"'",
        b"\"\"\"",
        b"=",
        b",",
        b".",
        b"\n",
        b"\r\n",
        b"#",
        b"\0",
        b"-1",
        b"nan",
        "é".as_bytes(),
        b"\xff",
    ];
    let at = 0..EXAMPLE.len();
    prop_oneof![
        (at.clone(), 1..40usize).prop_map(|(at, count)| Edit::Delete(at, count)),
        (at.clone(), prop::sample::select(&PARTS[..])).prop_map(|(at, part)| Edit::Insert(at, part)),
        (at.clone(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte(at, byte)),
        (at.clone(), at.clone()).prop_map(|(a, b)| Edit::Swap(a, b)),
        (at, 1..200usize).prop_map(|(at, count)| Edit::Repeat(at, count)),
    ]
}

fn edited(edits: Vec<Edit>) -> Vec<u8> {
    let mut bytes = EXAMPLE.as_bytes().to_vec();
    for edit in edits {
        let length = bytes.len().max(1);
        match edit {
            Edit::Delete(at, count) => drop(bytes.drain(at % length..(at % length + count).min(bytes.len()))),
            Edit::Insert(at, part) => drop(bytes.splice(at % length..at % length, part.iter().copied())),
            Edit::Byte(at, byte) => bytes[at % length] = byte,
            Edit::Swap(a, b) => bytes.swap(a % length, b % length),
            Edit::Repeat(at, count) => {
                let part = bytes[at % length..(at % length + count).min(bytes.len())].to_vec();
                bytes.extend(part);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn a_damaged_file_is_answered_with_places_inside_it(edits in prop::collection::vec(edit(), 1..6)) {
        is_answered(edited(edits));
    }
}
