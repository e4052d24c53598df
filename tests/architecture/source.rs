//! Reads the paths that a Rust file names, well enough for code that rustfmt has been over.

/// One file of the crate.
pub struct Source {
    /// From the package's folder: `src/sensors/bme280.rs`.
    pub path: String,
    /// Its module: `["sensors", "bme280"]`; `["lib"]` for the root.
    pub module: Vec<String>,
    /// Whether all of it is for tests.
    pub is_test: bool,
    /// All of it.
    pub text: String,
}

/// A path that a file names.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// From the root, where it is ours: `crate::model::Level`.
    pub path: String,
    /// Counted from 1.
    pub line: usize,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let inner = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
        let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
        if module.len() > 1 && module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        let is_test = module.iter().any(|part| part == "tests");
        Self { path: path.to_owned(), module, is_test, text: text.to_owned() }
    }

    /// Every path with at least two parts, in `use` lines and elsewhere, each branch of a `use` tree on its own.
    pub fn named(&self) -> Vec<Named> {
        let code = without_tests(&without_comments_and_texts(&self.text));
        let mut found = Vec::new();
        let mut at = 0;
        while at < code.len() {
            let word = word_at(&code, at);
            if word == 0 {
                at += 1;
                continue;
            }
            // A path begins where it is not already inside one, and `.await` or a field is none.
            let before = code[..at].iter().rev().find(|byte| !byte.is_ascii_whitespace());
            let begins = !matches!(before, Some(b'.')) && !continues_a_path(&code[..at]);
            if begins && code[at + word..].starts_with(b"::") {
                at = self.tree(&code, at, &[], &mut found);
            } else {
                at += word;
            }
        }
        found
    }

    /// Reads a path or a tree of paths after `prefix`, and gives where it ends.
    fn tree(&self, code: &[u8], mut at: usize, prefix: &[String], found: &mut Vec<Named>) -> usize {
        let mut parts = prefix.to_vec();
        let begin = at;
        loop {
            at = past_space(code, at);
            if code.get(at) == Some(&b'{') {
                at += 1;
                loop {
                    at = past_space(code, at);
                    match code.get(at) {
                        Some(b'}') => return at + 1,
                        Some(b',') => at += 1,
                        Some(_) => at = self.tree(code, at, &parts, found).max(at + 1),
                        None => return at,
                    }
                }
            }
            let word = word_at(code, at);
            if word > 0 {
                parts.push(String::from_utf8_lossy(&code[at..at + word]).into_owned());
                at += word;
                if code[at..].starts_with(b"::") {
                    at += 2;
                    continue;
                }
            }
            let line = 1 + code[..at.max(begin)].iter().filter(|byte| **byte == b'\n').count();
            if parts.len() > 1 {
                found.push(Named { path: self.rooted(&parts), line });
            }
            // `as other` of a use line.
            return at.max(begin + 1);
        }
    }

    /// Resolves `self` and `super`, which also end a branch as in `model::{self, Level}`.
    fn rooted(&self, parts: &[String]) -> String {
        let mut root: Option<Vec<String>> = None;
        let mut rest = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            match part.as_str() {
                "crate" => root = Some(Vec::new()),
                "self" if index == 0 => root = Some(self.module.clone()),
                "self" => {}
                "super" => {
                    let base = root.get_or_insert_with(|| self.module.clone());
                    base.pop();
                }
                other => rest.push(other.to_owned()),
            }
        }
        let root = root.map(|root| [vec!["crate".to_owned()], root].concat()).unwrap_or_default();
        [root, rest].concat().join("::")
    }
}

/// Whether what stands before a word is the `a::` or `a::{b, ` of a longer path; a leading `::` alone is not.
fn continues_a_path(before: &[u8]) -> bool {
    let Some(head) = before.strip_suffix(b"::") else { return false };
    head.last().is_some_and(|byte| is_word(*byte) || matches!(byte, b'>' | b')' | b']'))
}

fn past_space(code: &[u8], mut at: usize) -> usize {
    while code.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

fn word_at(code: &[u8], at: usize) -> usize {
    code[at.min(code.len())..].iter().take_while(|byte| is_word(**byte)).count()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Puts spaces where comments, texts and characters are; lines stay where they were.
fn without_comments_and_texts(text: &str) -> Vec<u8> {
    let mut code = text.as_bytes().to_vec();
    let mut at = 0;
    while at < code.len() {
        let rest = &code[at..];
        let length = match rest {
            [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => find(rest, b"*/").map_or(rest.len(), |end| end + 2),
            [b'r', b'"' | b'#', ..] if at == 0 || !is_word(code[at - 1]) => {
                let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
                if rest.get(1 + hashes) == Some(&b'"') {
                    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
                    find(&rest[2 + hashes..], &close).map_or(rest.len(), |end| 2 + hashes + end + close.len())
                } else {
                    0
                }
            }
            [b'"', ..] => closing(rest, b'"'),
            // A character; but 'a without its end is a lifetime.
            [b'\'', b'\\', ..] => closing(rest, b'\''),
            [b'\'', _, b'\'', ..] => 3,
            _ => 0,
        };
        for byte in &mut code[at..at + length] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += length.max(1);
    }
    code
}

/// The length up to the unescaped `end`, which also begins it.
fn closing(text: &[u8], end: u8) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            byte if byte == end => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// Puts spaces where something is that `#[cfg(test)]` stands before, up to its closing brace or semicolon.
fn without_tests(code: &[u8]) -> Vec<u8> {
    const MARK: &[u8] = b"#[cfg(test)]";
    let mut code = code.to_vec();
    while let Some(begin) = find(&code, MARK) {
        let mut depth = 0;
        let mut end = begin + MARK.len();
        while end < code.len() {
            match code[end] {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                _ => {}
            }
            end += 1;
            if depth == 0 && matches!(code[end - 1], b'}' | b';') {
                break;
            }
        }
        for byte in &mut code[begin..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    code
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
