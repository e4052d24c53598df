//! A channel that is calculated from others: `value = "vpd(air.temperature, air.humidity)"`.
//!
//! Its value is as good as the worst that it is calculated from. Where there is none (a division by zero, or air that is wetter
//! than can be), it is bad and says why.
//!
//! Own code, since the `evalexpr` crate is under the AGPL now, and no other one knows where in the text a mistake is.

mod expression;
mod functions;
mod parse;
mod words;

use std::sync::Arc;

use self::expression::Expression;
use self::parse::{Mistake, Parsed, parse};
use super::{Entry, Formula, Input, Named, Outcome, SharedFormula, Trouble};
use crate::config::{Diagnostic, Section};
use crate::model::{ChannelId, Quantity, Sample};
use crate::sensors::Channel;

const ABOUT: &str = "\
- `value`: a formula over channels, such as `air.temperature`, with numbers, `+ - * / ^` and parentheses.
- Functions: `vpd(temperature, humidity)` in kPa, `dew_point(temperature, humidity)`, `absolute_humidity(temperature, humidity)`
  in g/m³; `average`, `min` and `max` of two to sixteen values, `difference(a, b)`, `abs(x)`, `clamp(x, lowest, highest)`.
- What it measures follows from its functions and channels, where they say it. Once it was calculated with, say it:
  `quantity = \"temperature\"` or `unit = \"kPa\"`; without either it is a number. Its channel has the name of the quantity:
  `vpd.vpd`, `ratio.number`.
- What is in the air is by the Magnus formula with the coefficients of the WMO, for -45 to 60 °C over water.
- It is bad while one of its channels is bad or silent (for `stale_after`, three intervals of the slowest), and uncertain while
  one of them is.
- Trouble: a name that begins with a digit stands in single quotes: `'1wire.temperature' - 2`.
";

pub(super) const ENTRY: Entry = Entry {
    name: "formula",
    summary: "a channel that is calculated from others: vapour pressure deficit, dew point, averages, differences",
    about: ABOUT,
    example: r#"
[sensors.deficit]
driver = "formula"
value = "vpd(air1.temperature, air1.humidity)"
unit = "kPa"
"#,
    inputs,
    read,
};

const KEY: &str = "value";

#[derive(Debug)]
struct Calculated {
    channel: Channel,
    expression: Expression,
}

/// The channels that the formula names.
fn inputs(section: &Section<'_>) -> Named {
    // That it is there and a text is checked here; `read` passes over it.
    let Some(text) = section.required::<String>(KEY) else { return Named::default() };
    match parse(&text) {
        Ok(Parsed { channels, .. }) => {
            let place = |span| section.place_within(KEY, span);
            Named { channels: channels.into_iter().map(|(id, span)| (id, place(span))).collect(), whole: true }
        }
        Err(mistake) => {
            report(section, mistake);
            Named::default()
        }
    }
}

fn report(section: &Section<'_>, Mistake { at, message, hint }: Mistake) {
    let message = format!("the formula of {} {message}", section.what());
    section.report(Diagnostic::new(message, section.place_within(KEY, at), hint));
}

fn read(section: &Section, inputs: &[Input]) -> Option<SharedFormula> {
    let quantity = section.optional::<Quantity>("quantity");
    let unit = section.optional::<String>("unit");
    if section.has("quantity") && quantity.is_none() || section.has("unit") && unit.is_none() {
        return None;
    }
    let text = section.value(KEY)?.get_ref().as_str()?;
    let Parsed { expression, channels } = parse(text).ok()?;
    let known = |id: &ChannelId| inputs.iter().find(|input| input.id == *id).map(|input| input.quantity);
    let measured: Vec<Option<Quantity>> = channels.iter().map(|(id, _)| known(id)).collect();
    let implied = match expression.measures(&measured) {
        Ok(implied) => implied,
        Err(mistake) => {
            report(section, mistake);
            return None;
        }
    };
    let quantity = match (quantity, unit) {
        (None, None) => implied.unwrap_or(Quantity::Number),
        (Some(_), Some(_)) => {
            let message = format!("{} has both `quantity` and `unit`", section.what());
            section.wrong("unit", message, "the quantity has its unit: leave this out");
            return None;
        }
        (Some(named), None) => agreed(section, "quantity", named, implied)?,
        (None, Some(unit)) => of_unit(section, &unit, implied)?,
    };
    Some(Arc::new(Calculated { channel: Channel { name: quantity.name(), quantity }, expression }))
}

/// What the file says, unless the formula knows better.
fn agreed(section: &Section<'_>, key: &str, named: Quantity, implied: Option<Quantity>) -> Option<Quantity> {
    match implied {
        Some(other) if other != named => {
            let (message, name) = (format!("the formula of {} gives {}", section.what(), shown(other)), named.name());
            section.wrong(key, message, format!("this says {name}: leave it out, or calculate something else"));
            None
        }
        _ => Some(named),
    }
}

/// The one quantity with this unit.
fn of_unit(section: &Section<'_>, unit: &str, implied: Option<Quantity>) -> Option<Quantity> {
    if let Some(implied) = implied.filter(|implied| implied.unit() == unit) {
        return Some(implied);
    }
    let with: Vec<Quantity> =
        Quantity::ALL.iter().copied().filter(|one| one.unit() == unit && !unit.is_empty()).collect();
    let names: Vec<&str> = with.iter().map(|quantity| quantity.name()).collect();
    match with[..] {
        [one] => agreed(section, "unit", one, implied),
        [] => {
            let mut units: Vec<&str> =
                Quantity::ALL.iter().map(|one| one.unit()).filter(|one| !one.is_empty()).collect();
            units.sort_unstable();
            units.dedup();
            section.wrong("unit", format!("unknown unit `{unit}`"), format!("known: {}", units.join(", ")));
            None
        }
        _ => {
            let hint = format!("write `quantity = \"…\"` in its place: {}", names.join(", "));
            section.wrong("unit", format!("several quantities are in {unit}"), hint);
            None
        }
    }
}

/// `vpd in kPa`
fn shown(quantity: Quantity) -> String {
    match quantity.unit() {
        "" => quantity.name().to_owned(),
        unit => format!("{} in {unit}", quantity.name()),
    }
}

impl Formula for Calculated {
    fn channel(&self) -> Channel {
        self.channel
    }

    fn compute(&self, inputs: &[(&ChannelId, Option<&Sample>)]) -> Outcome {
        let (mut values, mut doubts, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for (id, sample) in inputs {
            match sample {
                Some(Sample::Good(value)) => values.push(*value),
                Some(Sample::Uncertain(value, reason)) => {
                    values.push(*value);
                    doubts.push(format!("{id} {reason}"));
                }
                Some(Sample::Bad(reason)) => missing.push(format!("{id}: {reason}")),
                None => missing.push(format!("{id} does not answer")),
            }
        }
        if !missing.is_empty() {
            // Whose fault that is has its own alarm.
            return Outcome { sample: Sample::Bad(missing.join(", ").into()), uses: Vec::new(), trouble: None };
        }
        let uses: Vec<usize> = (0..inputs.len()).collect();
        match self.expression.evaluate(&values) {
            Ok(value) if doubts.is_empty() => Outcome { sample: Sample::Good(value), uses, trouble: None },
            Ok(value) => Outcome { sample: Sample::Uncertain(value, doubts.join(", ").into()), uses, trouble: None },
            Err(why) => {
                let trouble = Some(Trouble { about: uses.clone(), text: why.clone() });
                Outcome { sample: Sample::Bad(why.into()), uses, trouble }
            }
        }
    }
}

#[cfg(test)]
mod tests;
