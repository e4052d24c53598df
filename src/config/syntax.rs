//! Mistakes in the TOML itself, and which parts of a broken file can still be believed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue, Error};

use super::{Diagnostic, Place};

/// A text that the parser reads to its end.
pub(super) struct Legible<'t> {
    /// The file, with spaces where the parser would have given up. Every byte is where it was.
    pub(super) text: Cow<'t, str>,
    /// What was wrong there.
    pub(super) errors: Vec<Error>,
}

/// Blanks out the lines without a `=`: the parser complains about each of them, but forgets all that stands below the first.
pub(super) fn legible(text: &str) -> Legible<'_> {
    let (_, mut errors) = DeTable::parse_recoverable(text);
    errors.retain(|error| error.message().starts_with("key with no value"));
    if errors.is_empty() {
        return Legible { text: Cow::Borrowed(text), errors };
    }
    let mut bytes = text.as_bytes().to_vec();
    for error in &errors {
        let Place(span) = Place::at(error.span().unwrap_or_default()).within(text);
        let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[span.start..].find('\n').map_or(text.len(), |at| span.start + at);
        bytes[start..end].fill(b' ');
    }
    // Whole lines were filled, so nothing was cut in two and this never fails.
    match String::from_utf8(bytes) {
        Ok(blanked) => Legible { text: Cow::Owned(blanked), errors },
        Err(_) => Legible { text: Cow::Borrowed(text), errors: Vec::new() },
    }
}

/// What the parser complained about.
pub(super) struct Syntax {
    /// One mistake a line; the others in it usually follow from the first.
    pub(super) mistakes: Vec<Diagnostic>,
    /// Where the parser guessed. What is said about these parts may be absurd.
    doubtful: Vec<Range<usize>>,
}

/// With more than this many errors it is hardly TOML, and the rest of it says nothing.
const MOST: usize = 100;

impl Syntax {
    /// Takes the parser's errors and what it made of `text` nevertheless.
    pub(super) fn new(text: &str, root: &DeTable<'_>, errors: &[Error]) -> Self {
        let mut errors: Vec<(Range<usize>, &str)> = errors
            .iter()
            .map(|error| (Place::at(error.span().unwrap_or_default()).within(text).0, error.message()))
            .collect();
        errors.sort_by_key(|(span, _)| span.start);

        let mut of_line = BTreeMap::new();
        let mut doubtful: Vec<Range<usize>> = Vec::new();
        let mut swallowed: Vec<Range<usize>> = Vec::new();
        for (mut span, message) in errors.iter().take(MOST).cloned() {
            if let Some(opened) = opener(message).and_then(|opener| unclosed(root, opener, span.start, text)) {
                // It is seen where it should have ended, and to be mended where it begins.
                swallowed.push(opened..span.start);
                doubtful.push(whole_lines(text, &(opened..span.start)));
                let line_end = text[opened..].find('\n').map_or(text.len(), |at| opened + at);
                span = opened..span.start.min(line_end);
            }
            doubtful.push(whole_lines(text, &span));
            let line = text[..span.start].rfind('\n');
            let first = of_line.entry(line).or_insert_with(|| describe(message, span.clone(), text));
            if span.start < first.place.0.start {
                *first = describe(message, span, text);
            }
        }
        // A list that is never closed takes the rest of the file for its items: say that once, not line by line.
        let inside = |at: usize| swallowed.iter().any(|span| span.start < at && at <= span.end);
        let mut mistakes: Vec<_> = of_line.into_values().filter(|one| !inside(one.place.0.start)).collect();
        if let Some((span, _)) = errors.get(MOST).filter(|(span, _)| !inside(span.start)) {
            let message = format!("and {} more mistakes in the syntax", errors.len() - MOST);
            mistakes.push(Diagnostic::new(message, Place::at(span.clone()), "is this a TOML file?"));
            doubtful.push(0..text.len() + 1);
        }
        Self { mistakes, doubtful }
    }

    /// Whether a mistake that was found in what the parser made of the file is really one.
    pub(super) fn leaves(&self, found: &Diagnostic) -> bool {
        let at = found.place.0.start;
        self.mistakes.is_empty() || !(found.absence || self.doubtful.iter().any(|span| span.contains(&at)))
    }
}

/// The parser's message in two parts: what is wrong, and what to write.
fn describe(message: &str, span: Range<usize>, text: &str) -> Diagnostic {
    let written = text.get(span.clone()).unwrap_or_default();
    let (what, expected) = match message.split_once(", expected ") {
        Some((what, expected)) => (what, format!("expected {expected}")),
        None => (message, String::new()),
    };
    let (what, hint) = match what {
        "string values must be quoted" if written.is_empty() => {
            ("a value is missing", "write one after the `=`".into())
        }
        "string values must be quoted" => (what, format!("write \"{written}\"")),
        // `info` begins like `inf`.
        "invalid float" if written.starts_with(char::is_alphabetic) => {
            ("string values must be quoted", format!("write \"{written}\""))
        }
        "duplicate key" => ("this key or section is there twice", "keep one of the two".into()),
        "recursion limit" | "cannot recurse further; max recursion depth met" => {
            ("tables or lists are nested too deeply", "at most 80 levels".into())
        }
        "unclosed array" => ("this list is never closed", "write `]` where it ends".into()),
        "unclosed inline table" => ("this table is never closed", "write `}` where it ends".into()),
        "unclosed table" => ("the name of this section is never closed", expected),
        "invalid basic string" | "invalid literal string" if written.starts_with(['"', '\'']) => {
            ("this text is never closed", expected)
        }
        "invalid multi-line basic string" | "invalid multi-line literal string" if written.starts_with(['"', '\'']) => {
            ("this text is never closed", format!("write {} where it ends", written.get(..3).unwrap_or("quotes")))
        }
        _ => (what, expected),
    };
    Diagnostic::new(what, Place::at(span), hint)
}

/// What was opened, if the parser says with `message` that it was not closed.
fn opener(message: &str) -> Option<&'static [char]> {
    match message {
        _ if message.starts_with("unclosed array") => Some(&['[']),
        _ if message.starts_with("unclosed inline table") => Some(&['{']),
        _ if message.starts_with("invalid") && message.contains(" string") => Some(&['"', '\'']),
        _ => None,
    }
}

/// Where the outermost value begins that goes on until `end`.
fn unclosed(table: &DeTable<'_>, opener: &[char], end: usize, text: &str) -> Option<usize> {
    table.iter().find_map(|(_, value)| {
        let span = value.span();
        let opens = text.get(span.clone()).is_some_and(|written| written.starts_with(opener));
        // The span of a section is its header, which begins with a bracket too.
        let header = matches!(value.get_ref(), DeValue::Table(_)) && opener == ['['];
        match value.get_ref() {
            _ if opens && !header && span.end == end && span.start < end => Some(span.start),
            DeValue::Table(inner) => unclosed(inner, opener, end, text),
            _ => None,
        }
    })
}

/// The lines of a span; from a broken header on, all lines of its section.
fn whole_lines(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let mut end = text[span.end..].find('\n').map_or(text.len() + 1, |at| span.end + at + 1);
    if text[start..].trim_start().starts_with('[') {
        end = text.get(end..).and_then(|rest| next_header(rest).map(|at| end + at)).unwrap_or(text.len() + 1);
    }
    start..end
}

fn next_header(text: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('[') {
            return Some(at);
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    /// The first line of what is wrong with a file that has a right `[node]`, and the text it is said about.
    fn said(rest: &str) -> Vec<(String, String)> {
        let text = format!("[node]\nname = \"a\"\nhardware = \"simulated\"\n{rest}");
        let found = parse(&text).err().unwrap_or_default();
        found.into_iter().map(|found| (found.message, text[found.place.0].to_owned())).collect()
    }

    #[test]
    fn a_broken_line_hides_no_other_and_is_told_once() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("[log]\nlevel", &[("key with no value", "")]),
            ("lone\n[a]\nx = 1\n", &[("key with no value", ""), ("unknown section `[a]`", "a")]),
            ("[log]\nlevel \"é\"\n[a]\n", &[("key with no value", ""), ("unknown section `[a]`", "a")]),
            (
                "[log\nlevel = 1\n[a]\n",
                &[("the name of this section is never closed", ""), ("unknown section `[a]`", "a")],
            ),
            ("[log]\nlevel = [1,\n\"x\"\ny = 2\n[a]\n", &[("this list is never closed", "[1,")]),
            ("[log]\nlevel = \"\"\"x\ny = 2\n[a]\n", &[("this text is never closed", "\"\"\"x")]),
            ("[log]\nlevel = { x = 1\n[a]\n", &[("this table is never closed", "{ x = 1")]),
            ("[log]\nlevel = info\n", &[("string values must be quoted", "info")]),
            ("[log]\nlevel =\n", &[("a value is missing", "")]),
            ("[log]\n[log]\n", &[("this key or section is there twice", "log")]),
        ];
        for (rest, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
            assert_eq!(said(rest), expected, "{rest}");
        }
    }
}
