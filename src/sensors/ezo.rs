//! Atlas Scientific's EZO circuits on I²C: pH, conductivity, redox potential, dissolved oxygen and temperature of water.
//!
//! Source: the datasheets EZO-pH 5.8, EZO-EC 6.2, EZO-ORP, EZO-DO 5.4 and EZO-RTD, chapter "I²C mode". They speak one protocol, in text
//! without check sums. A measurement takes up to 900 ms, for which the bus is not held: each read fetches the one that the read before
//! it began. What the EZO-DO answers to `S,?` is from a driver that quotes its datasheet 5.8, and not from a circuit. Own code, since no
//! crate with embedded-hal 1.0 has been kept.

mod circuits;

use std::ops::RangeInclusive;
use std::time::Duration;

use self::circuits::Kind;
pub(super) use self::circuits::{DO, EC, ORP, PH, RTD};
use super::compensation::Compensation;
use super::{Channel, Driver, DriverError, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, I2cDevice};
use crate::model::{ChannelId, Monotonic, Quantity};
use crate::wiring::{OnI2c, Wiring};

#[derive(Debug, Clone)]
struct Config {
    kind: &'static Kind,
    place: OnI2c,
    compensation: Compensation,
    /// ppt; as the circuit has it, if nobody says.
    salinity: Option<f64>,
}

/// ppt; more than that no sea has.
const SALINITIES: RangeInclusive<f64> = 0.0..=42.0;

fn read(section: &Section<'_>, kind: &'static Kind) -> Option<Box<dyn SensorConfig>> {
    let bus = if section.has("bus") { section.optional("bus") } else { Some(1) };
    let address = if section.has("address") { section.optional("address") } else { Some(kind.address) };
    let wanted: &[Quantity] = if kind.compensated.is_some() { &[Quantity::Temperature] } else { &[] };
    let compensation =
        if kind.compensated.is_some() { Compensation::read(section, wanted) } else { Some(Compensation::default()) };
    let salinity =
        if kind.salted && section.has("salinity") { section.optional("salinity").map(Some) } else { Some(None) };
    if let Some(Some(ppt)) = salinity
        && !SALINITIES.contains(&ppt)
    {
        let hint = "it is in g of salt in a kg of water (ppt): 35 in the sea, at most 42";
        section.wrong("salinity", format!("no water has a salinity of {ppt} ppt"), hint);
        return None;
    }
    let (bus, address) = (bus?, address?);
    if !(0x08..=0x77).contains(&address) {
        let hint = format!("it is at {:#04x}, unless it was changed to another from 0x08 to 0x77", kind.address);
        section.wrong("address", format!("an {} cannot be at address {address:#04x}", kind.chip), hint);
        return None;
    }
    let place = OnI2c { chip: kind.chip, bus, address };
    Some(Box::new(Config { kind, place, compensation: compensation?, salinity: salinity? }))
}

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        self.kind.channels
    }

    fn wiring(&self) -> Wiring {
        self.place.wiring()
    }

    fn inputs(&self) -> &[ChannelId] {
        self.compensation.channels()
    }

    fn deadline(&self) -> Duration {
        // Seven commands when it is opened, or the end of a measurement, a calibration and its state.
        Duration::from_secs(10)
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut chip = self.place.open(hardware)?;
        let answer = ask(&mut chip, "i", COMMAND)?;
        let id =
            answer.to_ascii_uppercase().strip_prefix("?I,").and_then(|rest| rest.split(',').next().map(str::to_owned));
        if !id.as_deref().is_some_and(|id| self.kind.ids.contains(&id)) {
            let found = format!("what answers calls itself `{answer}`; use the driver of that circuit, or its address");
            return Err(DriverError::wrong_chip(chip.name(), found));
        }
        let parts = switch_on(&mut chip, self.kind)?;
        if self.kind.channels.iter().any(|channel| channel.quantity == Quantity::Temperature) {
            celsius(&mut chip)?;
        }
        if let Some(ppt) = self.salinity {
            salinity(&mut chip, ppt)?;
        }
        let compensation = self.compensation.clone();
        // It keeps the temperature of the last compensated measurement while it has power.
        if let Some(usual) = self.kind.compensated.filter(|_| compensation.channels().is_empty()) {
            ask(&mut chip, &format!("T,{usual}"), COMMAND)?;
        }
        let (now, begun) = (Monotonic::default(), None);
        Ok(Box::new(Ezo { chip, kind: self.kind, parts, compensation, now, begun }))
    }
}

/// Until a command has been carried out.
const COMMAND: Duration = Duration::from_millis(300);
/// Until a measurement or a calibration is done, usually.
const MEASURING: Duration = Duration::from_millis(900);
/// What is still not done then is asked for this often, so many times.
const AGAIN: (Duration, u32) = (Duration::from_millis(100), 10);
/// A measurement that was begun longer ago says nothing of now.
const OLD: Duration = Duration::from_secs(30);
/// The longest answer, with its code.
const LONGEST: usize = 40;

/// Sends a command and gives the text of its answer.
fn ask(chip: &mut I2cDevice, command: &str, time: Duration) -> Result<String, DriverError> {
    chip.write(command.as_bytes())?;
    chip.wait(time);
    hear(chip, command)
}

/// The text of an answer, which is waited for if it is not there yet.
fn hear(chip: &mut I2cDevice, command: &str) -> Result<String, DriverError> {
    for _ in 0..AGAIN.1 {
        let mut answer = [0; LONGEST];
        chip.read(&mut answer)?;
        let (code, text) = (answer[0], answer[1..].split(|byte| *byte == 0).next().unwrap_or_default());
        return match code {
            // There is a µ in one that is no number.
            1 if !text.iter().any(u8::is_ascii_control) => Ok(String::from_utf8_lossy(text).into_owned()),
            1 => Err(DriverError::corrupt(chip.name(), "its answer is no text; shorten the cable")),
            2 => Err(DriverError::no_value(chip.name(), format!("it does not know the command `{command}`"))),
            254 => {
                chip.wait(AGAIN.0);
                continue;
            }
            255 => {
                let what =
                    format!("it has no data for `{command}`; its power was off for a moment, or nobody is there");
                Err(DriverError::no_value(chip.name(), what))
            }
            _ => Err(DriverError::corrupt(chip.name(), format!("there is no answer with the code {code:#04x}"))),
        };
    }
    Err(DriverError::no_value(chip.name(), format!("it does not finish `{command}`; switch its power off and on")))
}

/// Lets it tell all its channels, and says of how many parts its answer is, of which these are the first.
fn switch_on(chip: &mut I2cDevice, kind: &Kind) -> Result<usize, DriverError> {
    if kind.outputs.is_empty() {
        return Ok(1);
    }
    let state = ask(chip, "O,?", COMMAND)?;
    let is_on = |name: &str| state.split(',').skip(1).any(|on| on.eq_ignore_ascii_case(name));
    let (wanted, others) = kind.outputs.split_at(kind.channels.len());
    for missing in wanted.iter().filter(|name| !is_on(name)) {
        ask(chip, &format!("O,{missing},1"), COMMAND)?;
    }
    Ok(wanted.len() + others.iter().filter(|name| is_on(name)).count())
}

/// Lets it tell °C. It keeps another scale, that somebody chose once, without power.
fn celsius(chip: &mut I2cDevice) -> Result<(), DriverError> {
    if !ask(chip, "S,?", COMMAND)?.eq_ignore_ascii_case("?S,c") {
        ask(chip, "S,c", COMMAND)?;
    }
    Ok(())
}

/// Tells it how salty the water is. It keeps that in a memory which wears out: only if it is something else.
fn salinity(chip: &mut I2cDevice, ppt: f64) -> Result<(), DriverError> {
    // `?S,37.5,ppt` or `?S,50000,µS`, by the unit in which it was told.
    let answer = ask(chip, "S,?", COMMAND)?;
    let told: Option<f64> = answer.strip_suffix(",ppt").and_then(|rest| rest.rsplit(',').next()?.trim().parse().ok());
    if told.is_none_or(|told| (told - ppt).abs() > 0.1) {
        ask(chip, &format!("S,{ppt:.1},ppt"), COMMAND)?;
    }
    Ok(())
}

struct Ezo {
    chip: I2cDevice,
    kind: &'static Kind,
    /// So many numbers are in an answer, those of the channels first.
    parts: usize,
    compensation: Compensation,
    now: Monotonic,
    /// When the measurement was begun that is to be fetched.
    begun: Option<Monotonic>,
}

impl Ezo {
    fn begin(&mut self) -> Result<(), DriverError> {
        let command = match self.compensation.needed(Quantity::Temperature, self.chip.name())? {
            Some(celsius) => format!("RT,{celsius:.2}"),
            None => "R".to_owned(),
        };
        Ok(self.chip.write(command.as_bytes())?)
    }

    fn values(&self, answer: &str) -> Result<Vec<f64>, DriverError> {
        let number = |part: &str| part.trim().parse().ok().filter(|number: &f64| number.is_finite());
        let values: Option<Vec<f64>> = answer.split(',').map(number).collect();
        match values.filter(|values| values.len() == self.parts) {
            None => {
                let what = format!("`{answer}` is not the {} numbers it should be", self.parts);
                Err(DriverError::corrupt(self.chip.name(), what))
            }
            Some(values) if !self.kind.possible.contains(&values[0]) => {
                let what = format!("it says {}, which cannot be; {}", values[0], self.kind.otherwise);
                Err(DriverError::no_value(self.chip.name(), what))
            }
            Some(values) => Ok(values.into_iter().take(self.kind.channels.len()).collect()),
        }
    }
}

impl Driver for Ezo {
    fn hear(&mut self, inputs: &[Option<f64>]) {
        self.compensation.hear(inputs);
    }

    fn at(&mut self, now: Monotonic) {
        self.now = now;
    }

    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        if self.begun.take().is_none_or(|begun| self.now.since(begun) > OLD) {
            self.begin()?;
            self.chip.wait(MEASURING);
        }
        let answer = hear(&mut self.chip, "R")?;
        let values = self.values(&answer)?;
        // What is in its way now the next read will tell: this one has its values.
        self.begun = self.begin().is_ok().then_some(self.now);
        Ok(values)
    }

    fn calibrate(&mut self, step: &[&str]) -> Result<String, DriverError> {
        let command = match step {
            [] => None,
            step => Some(self.kind.command(step).map_err(|what| DriverError::no_value(self.chip.name(), what))?),
        };
        // What it measures still would be taken for its answer. Whatever came of it, nobody wants it any more.
        if self.begun.take().is_some() {
            drop(hear(&mut self.chip, "R"));
        }
        if let Some(command) = command {
            let answer = ask(&mut self.chip, &command, MEASURING)?;
            if !answer.is_empty() {
                let what = format!("it answers `{answer}` to `{command}`, to which there is nothing to say; repeat it");
                return Err(DriverError::corrupt(self.chip.name(), what));
            }
        }
        let state = ask(&mut self.chip, "Cal,?", COMMAND)?;
        Ok(match state.rsplit(',').next() {
            Some("0") => "it is not calibrated".to_owned(),
            Some("1") => "it is calibrated at one point".to_owned(),
            points => format!("it is calibrated at {} points", points.unwrap_or_default()),
        })
    }
}

#[cfg(test)]
#[path = "ezo/tests.rs"]
mod tests;
