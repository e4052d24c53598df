//! A flow meter that gives pulses: a paddle wheel with a Hall sensor, such as the YF-S201, or a water meter's contact.

use std::time::Duration;

use super::tally::Tally;
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Edge, Hardware, PulseCounter};
use crate::model::{Monotonic, Quantity};
use crate::wiring::{OnInput, Wiring};

const ABOUT: &str = "\
- Channels: `flow` in L/min and `volume` in L since the daemon began to count. The first reading has no flow yet: it takes two.
- Range: as its maker says; a YF-S201 goes from 1 to 30 L/min with 450 pulses a litre (±10 %), a YF-B1 has 660.
  To calibrate, let a known volume run: `pulses_per_litre` is that of the file, times what is shown, divided by what ran.
- Wiring: most want 5 V and have a pull-up resistor to it inside: bring the signal down to 3.3 V with a divider (10 kΩ and 20 kΩ) before
  `pin`, which is the Broadcom number. A contact or an open collector needs nothing: it pulls to ground (`active = \"low\"`, `pull =
  \"up\"`, as without these keys).
- `debounce`: none without the key, as a Hall sensor needs none; 20 ms for the contact of a water meter.
- Trouble: flow where nothing flows is a long cable beside a pump's; shield it, or put 10 nF from the pin to ground.
";

pub(super) const ENTRY: Entry = Entry {
    name: "flow-meter",
    summary: "flow and volume of a liquid, by pulses on a pin: YF-S201 and its like, water meters",
    about: ABOUT,
    example: r#"
[sensors.supply]
driver = "flow-meter"
pin = 22
pulses_per_litre = 450
every = "5s"
"#,
    read,
};

/// A YF-S201: 7.5 Hz at 1 L/min.
const USUAL: f64 = 450.0;

/// A flow over less time would be made of single pulses.
const LEAST: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
struct Config {
    input: OnInput,
    pulses_per_litre: f64,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let input = OnInput::read(section, Duration::ZERO);
    let pulses_per_litre =
        if section.has("pulses_per_litre") { section.optional("pulses_per_litre") } else { Some(USUAL) };
    let pulses_per_litre = pulses_per_litre?;
    if !(0.001..=1e6).contains(&pulses_per_litre) {
        let hint = "it stands in its papers: 450 for a YF-S201, 0.1 for a water meter with a pulse every 10 L";
        section.wrong("pulses_per_litre", format!("there are no {pulses_per_litre} pulses in a litre"), hint);
        return None;
    }
    Some(Box::new(Config { input: input?, pulses_per_litre }))
}

const CHANNELS: &[Channel] =
    &[Channel { name: "flow", quantity: Quantity::FlowRate }, Channel { name: "volume", quantity: Quantity::Volume }];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.input.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let counter = hardware.counter(self.input.pin, self.input.settings, Edge::Rising)?;
        let (tally, pulses_per_litre) = (Tally::new(LEAST), self.pulses_per_litre);
        Ok(Box::new(FlowMeter { counter, tally, pulses_per_litre, now: Monotonic::default() }))
    }
}

struct FlowMeter {
    counter: Box<dyn PulseCounter>,
    tally: Tally,
    pulses_per_litre: f64,
    now: Monotonic,
}

impl Driver for FlowMeter {
    fn at(&mut self, now: Monotonic) {
        self.now = now;
    }

    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let count = self.counter.count()?;
        let (pulses, time) = self.tally.pass(self.now, count);
        Ok(vec![litres_per_minute(pulses, time, self.pulses_per_litre), count as f64 / self.pulses_per_litre])
    }
}

/// No number at all as long as it has been too short.
fn litres_per_minute(pulses: u64, time: Duration, pulses_per_litre: f64) -> f64 {
    if time < LEAST { f64::NAN } else { pulses as f64 / pulses_per_litre / time.as_secs_f64() * 60.0 }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened};
    use super::*;
    use crate::hardware::recorded::Recorded;

    fn after(millis: u64) -> Monotonic {
        Monotonic::new(Duration::from_millis(millis))
    }

    #[test]
    fn pulses_are_litres_and_pulses_a_second_a_flow() {
        let board = Recorded::default();
        let mut meter = opened(&ENTRY, "pin = 22", &board).unwrap();
        // The YF-S201's sheet has 16 Hz at 2 L/min, of which its own 7.5 Hz for each makes 15.
        meter.at(after(500));
        let first = meter.read().unwrap();
        assert!(first[0].is_nan() && first[1] == 0.0, "{first:?}");
        board.set_pulses(22, 75);
        meter.at(after(5500));
        assert_near(&meter.read().unwrap(), &[2.0, 75.0 / 450.0], 1e-9);
        meter.at(after(10_500));
        assert_near(&meter.read().unwrap(), &[0.0, 75.0 / 450.0], 1e-9);
    }

    #[test]
    fn a_flow_is_never_made_of_the_pulses_of_a_moment() {
        let board = Recorded::default();
        let mut meter = opened(&ENTRY, "pin = 22\npulses_per_litre = 60", &board).unwrap();
        // A pulse a second is 1 L/min; it is read every 20 ms.
        let mut flows = Vec::new();
        for look in 0..500 {
            board.set_pulses(22, look * 20 / 1000);
            meter.at(after(look * 20));
            flows.push(meter.read().unwrap()[0]);
        }
        assert!(flows[..50].iter().all(|flow| flow.is_nan()));
        assert!(flows[60..].iter().all(|flow| (0.9..=1.0).contains(flow)), "{flows:?}");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in
            [("", "add `pin"), ("pin = 22\npulses_per_litre = 0", "450"), ("pin = 22\npull = 3", "\"up\"")]
        {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
