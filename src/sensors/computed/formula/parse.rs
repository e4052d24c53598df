//! From the text of a formula to an expression, by the strength with which each sign binds (Pratt's way).
//!
//! Length and depth are bounded, so no text is too much for the stack.

use std::iter::Peekable;
use std::ops::Range;
use std::vec::IntoIter;

use super::expression::{Expression, Node, Operator};
use super::functions::{FUNCTIONS, Function};
use super::words::{Token, Word, words};
use crate::config::nearest;
use crate::model::ChannelId;

/// Longer than anything that a person can still read, in bytes.
const LONGEST: usize = 1000;

/// How deep parentheses, functions and signs may stand in one another.
const DEEPEST: u8 = 32;

/// How many channels a formula may name.
const CHANNELS: usize = 16;

/// How strongly a sign before its only operand binds: `-2^2` is -4, and `-2*3` is (-2)·3.
const NEGATIVE: u8 = 5;

/// What is wrong in a formula, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub at: Range<usize>,
    /// After "the formula": "has a `%`".
    pub message: String,
    pub hint: String,
}

impl Mistake {
    pub fn new(at: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: hint.into() }
    }
}

/// A formula that was understood.
#[derive(Debug)]
pub(super) struct Parsed {
    pub expression: Expression,
    /// The channels that it names, each once, and where it is named first.
    pub channels: Vec<(ChannelId, Range<usize>)>,
}

/// Reads a formula.
pub(super) fn parse(text: &str) -> Result<Parsed, Mistake> {
    if text.len() > LONGEST {
        let hint = format!("it may have {LONGEST} bytes: let a formula sensor of its own compute a part of it");
        return Err(Mistake::new(0..text.len(), "is too long", hint));
    }
    let end = text.len()..text.len();
    let mut parser = Parser { words: words(text)?.into_iter().peekable(), end, channels: Vec::new(), depth: 0 };
    let expression = parser.expression(0)?;
    if let Some((_, at)) = parser.words.next() {
        let message = format!("has `{}` where nothing more can follow", &text[at.clone()]);
        return Err(Mistake::new(at, message, "write one of + - * / ^ between two values"));
    }
    if parser.channels.is_empty() {
        return Err(Mistake::new(0..text.len(), "names no channel", "write one: air.temperature"));
    }
    Ok(Parsed { expression, channels: parser.channels })
}

struct Parser {
    words: Peekable<IntoIter<Word>>,
    /// Where the text ends.
    end: Range<usize>,
    channels: Vec<(ChannelId, Range<usize>)>,
    depth: u8,
}

impl Parser {
    /// What stands here, as far as its signs bind at least so strongly.
    fn expression(&mut self, least: u8) -> Result<Expression, Mistake> {
        self.depth += 1;
        if self.depth > DEEPEST {
            let at = self.words.peek().map_or(self.end.clone(), |(_, at)| at.clone());
            let hint = "let a formula sensor of its own compute a part of it";
            return Err(Mistake::new(at, format!("is nested more than {DEEPEST} deep"), hint));
        }
        let mut left = self.operand()?;
        while let Some((operator, binds, right_binds)) = self.operator()
            && binds >= least
        {
            self.words.next();
            let right = self.expression(right_binds)?;
            let span = left.span.start..right.span.end;
            left = Expression { node: Node::Binary(operator, Box::new(left), Box::new(right)), span };
        }
        self.depth -= 1;
        Ok(left)
    }

    /// The sign that stands here, how strongly it binds to its left, and what to its right must bind at least as strongly.
    fn operator(&mut self) -> Option<(Operator, u8, u8)> {
        match self.words.peek()?.0 {
            Token::Sign('+') => Some((Operator::Add, 1, 2)),
            Token::Sign('-') => Some((Operator::Subtract, 1, 2)),
            Token::Sign('*') => Some((Operator::Multiply, 3, 4)),
            Token::Sign('/') => Some((Operator::Divide, 3, 4)),
            // 2^3^2 is 2^9, as in mathematics.
            Token::Sign('^') => Some((Operator::Power, 7, 6)),
            _ => None,
        }
    }

    fn operand(&mut self) -> Result<Expression, Mistake> {
        const HINT: &str = "write a channel, a number or a function";
        let Some((token, at)) = self.words.next() else {
            return Err(Mistake::new(self.end.clone(), "ends where a value is missing", HINT));
        };
        let start = at.start;
        let (node, end) = match token {
            Token::Number(number) => (Node::Number(number), at.end),
            Token::Channel(id) => (Node::Input(self.channel(id, at.clone())?), at.end),
            Token::Sign('-') => {
                let of = self.expression(NEGATIVE)?;
                let end = of.span.end;
                (Node::Negative(Box::new(of)), end)
            }
            Token::Sign('(') => {
                let inner = self.expression(0)?;
                let end = self.close(&at)?;
                return Ok(Expression { span: start..end, ..inner });
            }
            Token::Sign(sign) => {
                return Err(Mistake::new(at, format!("has a `{sign}` where a value is missing"), HINT));
            }
            Token::Name(name) => self.call(&name, at)?,
        };
        Ok(Expression { node, span: start..end })
    }

    /// The index of a channel.
    fn channel(&mut self, id: ChannelId, at: Range<usize>) -> Result<usize, Mistake> {
        if let Some(index) = self.channels.iter().position(|(known, _)| *known == id) {
            return Ok(index);
        }
        if self.channels.len() >= CHANNELS {
            let hint = "let a formula sensor of its own compute a part of it";
            return Err(Mistake::new(at, format!("names more than {CHANNELS} channels"), hint));
        }
        self.channels.push((id, at));
        Ok(self.channels.len() - 1)
    }

    /// A function with its arguments, and where it ends.
    fn call(&mut self, name: &str, at: Range<usize>) -> Result<(Node, usize), Mistake> {
        let opened = self.words.next_if(|(token, _)| *token == Token::Sign('('));
        let Some(function) = Function::named(name) else {
            let names: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
            let all = format!("there are {}", names.join(", "));
            let hint = match (nearest(&name.to_ascii_lowercase(), &names), &opened) {
                (Some(near), _) => format!("did you mean `{near}`? {all}"),
                (None, Some(_)) => all,
                (None, None) => format!("a channel has a dot: `{name}.temperature`"),
            };
            let what = if opened.is_some() { "has an unknown function" } else { "has an unknown word" };
            return Err(Mistake::new(at, format!("{what} `{name}`"), hint));
        };
        let Some((_, open)) = opened else {
            return Err(Mistake::new(at, format!("gives `{name}` nothing"), format!("write {}", function.usage)));
        };
        let mut arguments = Vec::new();
        if self.words.peek().is_none_or(|(token, _)| *token != Token::Sign(')')) {
            arguments.push(self.expression(0)?);
            while self.words.next_if(|(token, _)| *token == Token::Sign(',')).is_some() {
                arguments.push(self.expression(0)?);
            }
        }
        let end = self.close(&open)?;
        if !function.arguments().contains(&arguments.len()) {
            let message = format!("gives `{name}` {}", number(arguments.len()));
            return Err(Mistake::new(at.start..end, message, format!("write {}", function.usage)));
        }
        Ok((Node::Call(function, arguments), end))
    }

    /// Takes the parenthesis that closes the one at `open`, and tells where it ends.
    fn close(&mut self, open: &Range<usize>) -> Result<usize, Mistake> {
        match self.words.next() {
            Some((Token::Sign(')'), at)) => Ok(at.end),
            Some((_, at)) => {
                Err(Mistake::new(at, "has something here that does not fit", "write `)` or `,` before it"))
            }
            None => Err(Mistake::new(open.clone(), "never closes this parenthesis", "write `)` where it ends")),
        }
    }
}

fn number(arguments: usize) -> String {
    match arguments {
        0 => "nothing".to_owned(),
        1 => "one value".to_owned(),
        more => format!("{more} values"),
    }
}

#[cfg(test)]
mod tests;
