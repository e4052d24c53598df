//! The words of a formula: numbers, channels, names of functions, and signs.
//!
//! A sensor may have a hyphen in its name and a channel has none, so `air.temperature-bed-2.temperature` has one minus in it.

use std::iter::Peekable;
use std::ops::Range;
use std::str::CharIndices;

use super::parse::Mistake;
use crate::model::ChannelId;

/// A word and where it stands, in bytes.
pub(super) type Word = (Token, Range<usize>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Channel(ChannelId),
    /// What can only be a function.
    Name(String),
    /// One of `+-*/^(),`
    Sign(char),
}

/// Takes a text apart.
pub(super) fn words(text: &str) -> Result<Vec<Word>, Mistake> {
    let mut rest = Reader { text, letters: text.char_indices().peekable() };
    let mut words = Vec::new();
    while let Some((start, letter)) = rest.letters.next() {
        let token = match letter {
            ' ' | '\t' | '\n' | '\r' => continue,
            '+' | '-' | '*' | '/' | '^' | '(' | ')' | ',' => Token::Sign(letter),
            '0'..='9' | '.' => rest.number(start)?,
            'a'..='z' | 'A'..='Z' | '_' => rest.name(start)?,
            '\'' => {
                rest.skip(|letter| letter != '\'');
                let name = &text[start + 1..rest.at()];
                if rest.letters.next().is_none() {
                    return Err(Mistake::new(
                        start..text.len(),
                        "never closes this quote",
                        "write ' where the name ends",
                    ));
                }
                channel(name, start..rest.at())?
            }
            other => {
                let hint = "it is made of channels, numbers, functions and + - * / ^ ( )";
                return Err(Mistake::new(start..rest.at(), format!("has a `{other}`"), hint));
            }
        };
        words.push((token, start..rest.at()));
    }
    Ok(words)
}

struct Reader<'t> {
    text: &'t str,
    letters: Peekable<CharIndices<'t>>,
}

impl Reader<'_> {
    /// Where the next letter stands.
    fn at(&mut self) -> usize {
        self.letters.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn skip(&mut self, fits: impl Fn(char) -> bool) {
        while self.letters.next_if(|(_, letter)| fits(*letter)).is_some() {}
    }

    /// `21`, `.5`, `2.5e-3`
    fn number(&mut self, start: usize) -> Result<Token, Mistake> {
        self.skip(|letter| letter.is_ascii_digit() || letter == '.');
        let at = self.at();
        let exponent =
            self.text[at..].strip_prefix(['e', 'E']).map(|rest| rest.strip_prefix(['+', '-']).unwrap_or(rest));
        if exponent.is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit())) {
            self.letters.next();
            self.letters.next();
            self.skip(|letter| letter.is_ascii_digit());
        }
        let span = start..self.at();
        let written = &self.text[span.clone()];
        match written.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Token::Number(number)),
            _ => Err(Mistake::new(span, format!("has `{written}`, which is no number"), "write 21, 0.5 or 2.5e-3")),
        }
    }

    /// `air.temperature`, or a word without a dot.
    fn name(&mut self, start: usize) -> Result<Token, Mistake> {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let tail = &self.text[start..];
        let sensor = tail.find(|letter: char| !is_part(letter) && letter != '-').unwrap_or(tail.len());
        if tail[sensor..].starts_with('.') {
            self.skip(|letter| is_part(letter) || letter == '-');
            self.letters.next();
            self.skip(is_part);
            let span = start..self.at();
            return channel(&self.text[span.clone()], span);
        }
        self.skip(is_part);
        let end = self.at();
        Ok(Token::Name(self.text[start..end].to_owned()))
    }
}

fn channel(name: &str, span: Range<usize>) -> Result<Token, Mistake> {
    let hint = "write a sensor and its channel with a dot: air.temperature";
    let id =
        ChannelId::parse(name).map_err(|_| Mistake::new(span, format!("has `{name}`, which is no channel"), hint))?;
    Ok(Token::Channel(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hyphen_is_part_of_a_sensors_name_and_a_minus_elsewhere() {
        let cases = [
            ("air.temperature-bed-2.temperature", "air.temperature - bed-2.temperature"),
            ("3-air.x", "3 - air.x"),
            ("air.x-3", "air.x - 3"),
            ("a-1.x -1", "a-1.x - 1"),
            ("2*-air.x_2", "2 * - air.x_2"),
            ("'1wire.x'-2e-3", "1wire.x - 0.002"),
            ("max(a.b,1.5)", "max ( a.b , 1.5 )"),
        ];
        for (text, expected) in cases {
            let shown = words(text).unwrap().into_iter().map(|(token, _)| match token {
                Token::Number(number) => number.to_string(),
                Token::Channel(id) => id.to_string(),
                Token::Name(name) => name,
                Token::Sign(sign) => sign.to_string(),
            });
            assert_eq!(shown.collect::<Vec<_>>().join(" "), expected, "{text}");
        }
    }
}
