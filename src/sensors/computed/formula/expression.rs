//! A formula that was understood: what it comes to, and what it measures.

use std::ops::Range;

use super::functions::{Function, Gives, Takes};
use super::parse::Mistake;
use crate::model::Quantity;

/// A part of a formula, and where it stands in the text.
#[derive(Debug)]
pub(super) struct Expression {
    pub node: Node,
    pub span: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Node {
    Number(f64),
    /// The input of this index.
    Input(usize),
    Negative(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    Call(&'static Function, Vec<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

impl Expression {
    /// Its value, with one finite value for each input; the error is why it has none. It is always finite.
    pub fn evaluate(&self, inputs: &[f64]) -> Result<f64, String> {
        let value = match &self.node {
            Node::Number(number) => *number,
            Node::Input(index) => *inputs.get(*index).ok_or("an input is missing")?,
            Node::Negative(of) => -of.evaluate(inputs)?,
            Node::Binary(operator, left, right) => operator.apply(left.evaluate(inputs)?, right.evaluate(inputs)?)?,
            Node::Call(function, arguments) => {
                let values: Result<Vec<f64>, String> = arguments.iter().map(|one| one.evaluate(inputs)).collect();
                (function.compute)(&values?)?
            }
        };
        if value.is_finite() { Ok(value) } else { Err("the formula comes to no finite number".to_owned()) }
    }

    /// What it measures, as far as that follows from `inputs`, which is what each of them measures; `None` for a number, and for
    /// whatever was calculated with.
    pub fn measures(&self, inputs: &[Option<Quantity>]) -> Result<Option<Quantity>, Mistake> {
        match &self.node {
            Node::Number(_) => Ok(None),
            Node::Input(index) => Ok(inputs.get(*index).copied().flatten()),
            Node::Negative(of) => of.measures(inputs).map(|_| None),
            Node::Binary(_, left, right) => {
                left.measures(inputs)?;
                right.measures(inputs).map(|_| None)
            }
            Node::Call(function, arguments) => called(function, arguments, inputs),
        }
    }
}

fn called(
    function: &Function,
    arguments: &[Expression],
    inputs: &[Option<Quantity>],
) -> Result<Option<Quantity>, Mistake> {
    let mut alike = None;
    for (place, argument) in arguments.iter().enumerate() {
        // What was calculated with may be anything: `air.temperature - 2` is still a temperature to whoever wrote it.
        let Some(measured) = argument.measures(inputs)? else { continue };
        let wanted = match function.takes {
            Takes::These(quantities) => quantities.get(place).copied().unwrap_or(measured),
            Takes::Alike(_) => *alike.get_or_insert(measured),
        };
        if measured != wanted {
            let message = format!("has a {} where `{}` wants a {}", measured.name(), function.name, wanted.name());
            let hint = match function.takes {
                Takes::These(_) => format!("write {}", function.usage),
                Takes::Alike(_) => format!("all that is given to `{}` must measure the same", function.name),
            };
            return Err(Mistake::new(argument.span.clone(), message, hint));
        }
    }
    Ok(match function.gives {
        Gives::This(quantity) => Some(quantity),
        Gives::Alike => alike,
        Gives::Difference => alike.filter(|quantity| *quantity != Quantity::Temperature),
    })
}

impl Operator {
    fn apply(self, left: f64, right: f64) -> Result<f64, String> {
        Ok(match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide if right == 0.0 => return Err("the formula divides by zero".to_owned()),
            Self::Divide => left / right,
            Self::Power => left.powf(right),
        })
    }
}
