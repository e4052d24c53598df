//! Hides what may be a secret in the lines of a file that are shown with a mistake: the daemon's log and an editor's list are
//! read by more people than the file. A password has no place in the file, but it is often there when it is checked first.
//!
//! Every byte stays where it was, so that places and columns remain right.

use std::ops::Range;

use super::Diagnostic;

/// What was hidden is shown so, one for each character; with as many bytes as that had.
const MASKS: [char; 4] = ['*', '·', '•', '𝄪'];

/// The text and its mistakes without what may be a secret.
pub(super) fn redact(text: &str, mut mistakes: Vec<Diagnostic>) -> (String, Vec<Diagnostic>) {
    let secrets = secrets(text);
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for span in &secrets {
        shown.push_str(text.get(at..span.start).unwrap_or_default());
        let secret = text.get(span.clone()).unwrap_or_default();
        shown.extend(secret.chars().map(|c| if c == '\n' { c } else { MASKS[c.len_utf8() - 1] }));
        at = span.end;
        // "write \"hunter2\"", of a text without quotes.
        let here = |mistake: &&mut Diagnostic| mistake.place.0.start <= span.end && span.start <= mistake.place.0.end;
        for mistake in mistakes.iter_mut().filter(here) {
            let bare = secret.trim().trim_matches(['"', '\'']);
            if !bare.is_empty() {
                mistake.message = mistake.message.replace(bare, "…");
                mistake.hint = mistake.hint.replace(bare, "…");
            }
        }
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    (shown, mistakes)
}

/// Where secrets stand: values of keys that sound like it, and passwords within addresses. In order, apart from one another.
fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found = values(text);
    found.extend(within_addresses(text));
    found.sort_by_key(|span| (span.start, span.end));
    let mut apart: Vec<Range<usize>> = Vec::new();
    for span in found {
        match apart.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => apart.push(span),
        }
    }
    apart
}

/// `password = "hunter2"`, also misspelt or without its quotes. Not `password_file = "/etc/…"`.
fn values(text: &str) -> Vec<Range<usize>> {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(in_word).map(|start| at + start) {
        let end = text[start..].find(|c| !in_word(c)).map_or(text.len(), |length| start + length);
        at = end;
        if sounds_secret(&text[start..end]) {
            let after = text[end..].trim_start_matches(['"', '\'']).trim_start_matches([' ', '\t']);
            let value = after.trim_start_matches(['=', ':']).trim_start_matches([' ', '\t']);
            let value = if value.len() < after.len() { value } else { after };
            if value.len() < after.len() || value.starts_with(['"', '\'']) {
                let start = text.len() - value.len();
                let length = value_length(value);
                if !names_place(&text[..end], &value[..length]) {
                    found.push(start..start + length);
                }
                at = start + length;
            }
        }
    }
    found
}

fn sounds_secret(word: &str) -> bool {
    let word = word.to_lowercase();
    ["passw", "passphrase", "pwd", "secret", "token", "webhook"].iter().any(|part| word.contains(part))
        && !word.ends_with("_file")
        || word.split(['_', '-']).any(|part| ["pass", "pw"].contains(&part))
}

/// `password_env = "MQTT_PASSWORD"`, unless what stands there is no name at all.
fn names_place(key: &str, value: &str) -> bool {
    let name = value.trim_matches(['"', '\'']);
    ["_env", "_credential"].iter().any(|suffix| key.ends_with(suffix))
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// How far a value goes: to its closing quotes, or else to the end of the line.
fn value_length(value: &str) -> usize {
    let line = value.find('\n').unwrap_or(value.len());
    for quotes in ["\"\"\"", "'''"] {
        if let Some(inner) = value.strip_prefix(quotes) {
            return inner.find(quotes).map_or(value.len(), |length| length + 2 * quotes.len());
        }
    }
    let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        return value[..line].trim_end().len();
    };
    let mut escaped = false;
    for (at, c) in value[..line].char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && quote == '"' && !escaped;
    }
    line
}

/// The `hunter2` of `mqtt://me:hunter2@pi`.
fn within_addresses(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    for part in text.split(['"', '\'', '\n']) {
        if let Some(end) = part.rfind('@') {
            let start = part.find("://").map_or(0, |scheme| scheme + 3);
            if let Some(colon) = part.get(start..end).and_then(|login| login.find(':')) {
                found.push(at + start + colon + 1..at + end);
            }
        }
        at += part.len() + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Place;

    #[test]
    fn what_may_be_a_secret_is_hidden_and_nothing_else() {
        let cases = [
            ("password = \"hunter2\" # mine", "password = ********* # mine"),
            ("mqtt = { password=\"a\\\"b\", brokr = 1 }", "mqtt = { password=******, brokr = 1 }"),
            ("passwort = 'hunter2'", "passwort = *********"),
            ("\"password\" = hunter 2", "\"password\" = ********"),
            ("password = \"hunter2", "password = ********"),
            ("password \"hunter2\"", "password *********"),
            ("password: hunter2", "password: *******"),
            ("mqtt.password = \"\"\"\nhunter2\n\"\"\"\nx = 1", "mqtt.password = ***\n*******\n***\nx = 1"),
            ("password = \"é€\"\n", "password = *·•*\n"),
            ("broker = \"mqtt://me:hunter2@pi:1883\"", "broker = \"mqtt://me:*******@pi:1883\""),
            ("broker = \"me:hun:ter@2@pi\"", "broker = \"me:*********@pi\""),
            ("webhook = \"https://hooks/T0\"", "webhook = ******************"),
            ("password_file = \"/etc/p\"", "password_file = \"/etc/p\""),
            ("password_env = \"P\"\nuser = \"me@pi\"", "password_env = \"P\"\nuser = \"me@pi\""),
            ("password_env = \"hunter 2\"", "password_env = **********"),
            ("# the password is elsewhere", "# the password is elsewhere"),
            ("[sensors.token]\nbus = 1", "[sensors.token]\nbus = 1"),
            ("password", "password"),
        ];
        for (text, expected) in cases {
            let (shown, _) = redact(text, Vec::new());
            assert_eq!(shown, expected);
            assert_eq!(shown.len(), text.len());
        }
    }

    #[test]
    fn a_hint_does_not_repeat_it() {
        let text = "password = hunter2";
        let mistake = Diagnostic::new("no quotes", Place::at(11..18), "write \"hunter2\"");
        let (_, mistakes) = redact(text, vec![mistake]);
        assert_eq!(mistakes[0].hint, "write \"…\"");
    }

    proptest::proptest! {
        #[test]
        fn no_byte_moves(text in "([a-z=\"':@/ \\\\\n]|password|é|€|𝄞|://){0,40}") {
            let (shown, _) = redact(&text, Vec::new());
            assert_eq!(shown.len(), text.len());
            let lines = |text: &str| text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect::<Vec<_>>();
            assert_eq!(lines(&shown), lines(&text));
        }
    }
}
