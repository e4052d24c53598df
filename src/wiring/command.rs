//! A program of the user's that stands for a device: its command line as a table has it, read alike for sensors and outputs.

use toml::de::DeValue;

use crate::config::{Diagnostic, Section};

/// Whether the commands of a table are lines for a shell: `shell = true`.
pub fn shell(section: &Section<'_>) -> Option<bool> {
    if section.has("shell") { section.optional("shell") } else { Some(false) }
}

/// A program and its arguments, as `process.rs` runs it: `["/usr/local/bin/program", "argument"]`, or for a shell
/// `"program argument | other"`.
pub fn command(section: &Section<'_>, key: &'static str, shell: bool) -> Option<Vec<String>> {
    const LIST: &str = "[\"/usr/local/bin/program\", \"argument\"]";
    const LINE: &str = "\"program argument | other\"";
    let Some(value) = section.value(key) else {
        let hint = format!("add `{key} = {}`", if shell { LINE } else { LIST });
        section.report(Diagnostic::absent(format!("{} needs `{key}`", section.what()), section.header_place(), hint));
        return None;
    };
    let wrong = |what: &str, hint: String| {
        section.wrong(key, format!("`{key}` of {} {what}", section.what()), hint);
        None
    };
    if shell {
        let line = value.get_ref().as_str().filter(|line| !line.trim().is_empty());
        return match line {
            Some(line) if line.contains('\0') => wrong(NUL.0, NUL.1.to_owned()),
            Some(line) => Some(["/bin/sh", "-c", line].map(str::to_owned).into()),
            None => wrong("is no line for a shell", format!("write {LINE}, or leave out `shell` and write {LIST}")),
        };
    }
    let text = |word: &toml::Spanned<DeValue<'_>>| word.get_ref().as_str().map(str::to_owned);
    let words: Option<Vec<String>> = value.get_ref().as_array().and_then(|words| words.iter().map(text).collect());
    let words = words.unwrap_or_default();
    match words.first().map(String::as_str) {
        None | Some("") => {
            let shell = if value.get_ref().is_str() { "; or add `shell = true`" } else { "" };
            wrong("is not a program with its arguments", format!("write a list of texts: {LIST}{shell}"))
        }
        _ if words.iter().any(|word| word.contains('\0')) => wrong(NUL.0, NUL.1.to_owned()),
        Some(program) if program.contains('/') && !program.starts_with('/') => {
            wrong("depends on where homeostat was started", format!("write the whole path: {LIST}"))
        }
        Some(_) => Some(words),
    }
}

/// What no program can be given.
const NUL: (&str, &str) = ("has a character that no program can be given", "leave out \"\\u0000\"");

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use toml::de::DeTable;

    use super::*;

    /// What is read of `command`, and the hints of what is wrong.
    fn read(keys: &str) -> (Option<Vec<String>>, Vec<String>) {
        let found = RefCell::default();
        let table = DeTable::parse(keys).unwrap();
        let section = Section::new("sensor uplink", 0..0, table.get_ref(), &found);
        let words = shell(&section).and_then(|shell| command(&section, "command", shell));
        (words, found.into_inner().into_iter().map(|diagnostic| diagnostic.hint).collect())
    }

    #[test]
    fn a_command_is_a_list_of_words_or_a_line_for_a_shell() {
        for (keys, expected) in [
            (r#"command = ["date"]"#, &["date"][..]),
            (r#"command = ["/bin/a b", "", "c; d"]"#, &["/bin/a b", "", "c; d"]),
            ("shell = false\ncommand = ['/bin/a']", &["/bin/a"]),
            ("shell = true\ncommand = 'bin/a | b'", &["/bin/sh", "-c", "bin/a | b"]),
        ] {
            let (words, found) = read(keys);
            assert_eq!(
                (words.unwrap(), found),
                (expected.iter().map(|&word| word.to_owned()).collect(), vec![]),
                "{keys}"
            );
        }
    }

    #[test]
    fn mistakes_in_a_command_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("", "add `command = [\"/usr/local/bin/program\", \"argument\"]`"),
            ("shell = true", "add `command = \"program argument | other\"`"),
            ("command = 'date'", "or add `shell = true`"),
            ("command = []", "write a list of texts"),
            ("command = ['']", "write a list of texts"),
            ("command = ['sleep', 1]", "write a list of texts"),
            ("command = 1", "write a list of texts"),
            ("command = ['bin/date']", "write the whole path"),
            ("command = ['date', \"\\u0000\"]", "leave out"),
            ("shell = true\ncommand = \"date \\u0000\"", "leave out"),
            ("shell = true\ncommand = ' '", "write \"program argument | other\""),
            ("shell = true\ncommand = ['date']", "leave out `shell`"),
            ("shell = 1\ncommand = 'date'", "write true"),
        ] {
            let (words, found) = read(keys);
            assert!(words.is_none() && found.len() == 1 && found[0].contains(expected), "{keys}: {found:?}");
        }
    }
}
