//! HC-SR04 and its like: a distance by the time that an ultrasonic pulse takes to come back.
//!
//! Source: the HC-SR04's user manual (10 µs trigger, 58 µs of echo for each centimetre, 60 ms between two), and the speed of sound in air,
//! 331.3 m/s at 0 °C, which goes with the root of the absolute temperature.

use std::time::Duration;

use embedded_hal::delay::DelayNs;

use super::compensation::Compensation;
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Delay, Echo, Hardware};
use crate::model::{ChannelId, Claim, Quantity};
use crate::wiring::{Wiring, pin};

const ABOUT: &str = "\
- Range: 20 to 4000 mm (±3 mm at best), straight ahead, within 15° to either side. Each reading is the middle one of three.
- Wiring: `trigger` and `echo` are Broadcom numbers. An HC-SR04 wants 5 V, and its echo is 5 V too: bring it down to 3.3 V with a divider
  (1 kΩ and 2 kΩ) before the pin. An HC-SR04P or RCWL-1601 works at 3.3 V without one.
- `compensation = { temperature = \"air.temperature\" }`: sound is faster in warm air, by 1 % for each 6 °C; 20 °C without the key.
- For the level of a tank take one that is waterproof (JSN-SR04T, from 250 mm on), and turn it round with the channel's `scale = -1` and
  `offset`.
- Trouble: \"no echo\" from what is soft or slanted, or nearer than 20 mm.
";

pub(super) const ENTRY: Entry = Entry {
    name: "hc-sr04",
    summary: "distance by ultrasound, on two pins: HC-SR04, JSN-SR04T, RCWL-1601",
    about: ABOUT,
    example: r#"
[sensors.level]
driver = "hc-sr04"
trigger = 23
echo = 24
every = "10s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    trigger: u8,
    echo: u8,
    compensation: Compensation,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let (trigger, echo) = (pin(section, "trigger"), pin(section, "echo"));
    let compensation = Compensation::read(section, &[Quantity::Temperature]);
    let (trigger, echo) = (trigger?, echo?);
    if trigger == echo {
        section.wrong(
            "echo",
            format!("GPIO {echo} cannot be both `trigger` and `echo`"),
            "each needs a pin of its own",
        );
        return None;
    }
    Some(Box::new(Config { trigger, echo, compensation: compensation? }))
}

const CHANNELS: &[Channel] = &[Channel { name: "distance", quantity: Quantity::Distance }];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        // It takes a quarter of a second, for which no other pin should wait.
        Wiring { claims: vec![Claim::Pin(self.trigger), Claim::Pin(self.echo)], lane: format!("echo-{}", self.echo) }
    }

    fn inputs(&self) -> &[ChannelId] {
        self.compensation.channels()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        Ok(Box::new(Ranger {
            name: format!("HC-SR04 at GPIO {} and {}", self.trigger, self.echo),
            echo: hardware.echo(self.trigger, self.echo)?,
            delay: hardware.delay(),
            compensation: self.compensation.clone(),
        }))
    }
}

/// Without an echo it ends its answer after 38 ms by itself.
const TIMEOUT: Duration = Duration::from_millis(40);
/// Until what comes back from the walls is gone.
const PAUSE_MS: u32 = 60;
/// What it measures, in mm.
const RANGE: std::ops::RangeInclusive<f64> = 20.0..=4000.0;
const USUAL: f64 = 20.0;

struct Ranger {
    name: String,
    echo: Box<dyn Echo>,
    delay: Delay,
    compensation: Compensation,
}

impl Driver for Ranger {
    fn hear(&mut self, inputs: &[Option<f64>]) {
        self.compensation.hear(inputs);
    }

    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let celsius = self.compensation.needed(Quantity::Temperature, &self.name)?.unwrap_or(USUAL);
        let mut times = [None; 3];
        for (number, time) in times.iter_mut().enumerate() {
            if number > 0 {
                self.delay.delay_ms(PAUSE_MS);
            }
            *time = self.echo.measure(TIMEOUT)?;
        }
        // None comes before all others, so that two that are missing take the middle.
        times.sort_unstable();
        let Some(time) = times[1] else {
            let what =
                "no echo; look whether it sees something within 4 m, and check `trigger`, `echo` and their wires";
            return Err(DriverError::no_value(&self.name, what));
        };
        let distance = millimetres(time, celsius);
        if !RANGE.contains(&distance) {
            let what = format!("{distance:.0} mm is outside of its 20 to 4000 mm; look whether something is too near");
            return Err(DriverError::no_value(&self.name, what));
        }
        Ok(vec![distance])
    }
}

/// There and back.
fn millimetres(time: Duration, celsius: f64) -> f64 {
    let metres_per_second = 331.3 * (1.0 + celsius.max(-100.0) / 273.15).sqrt();
    1000.0 * metres_per_second * time.as_secs_f64() / 2.0
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened};
    use super::*;
    use crate::hardware::recorded::Recorded;

    const KEYS: &str = "trigger = 23\necho = 24";

    #[test]
    fn an_echo_is_a_distance() {
        // The manual's 58 µs for each centimetre are those of 345 m/s: 23 °C.
        let near = |micros, celsius| (millimetres(Duration::from_micros(micros), celsius) * 10.0).round() / 10.0;
        assert_eq!([near(5800, 20.0), near(5800, 23.0), near(5800, 0.0)], [995.3, 1000.4, 960.8]);
        let board = Recorded::default();
        let mut ranger = opened(&ENTRY, KEYS, &board).unwrap();
        board.set_echo(Some(Duration::from_micros(5800)));
        assert_near(&ranger.read().unwrap(), &[995.32], 0.01);
        assert_eq!(board.waited(), Duration::from_millis(120));
    }

    #[test]
    fn no_echo_and_one_that_cannot_be_are_errors() {
        let board = Recorded::default();
        let mut ranger = opened(&ENTRY, KEYS, &board).unwrap();
        for (micros, expected) in
            [(None, "no echo"), (Some(38_000), "outside"), (Some(100), "too near"), (Some(50_000), "no echo")]
        {
            board.set_echo(micros.map(Duration::from_micros));
            let error = ranger.read().unwrap_err().to_string();
            assert!(error.starts_with("HC-SR04 at GPIO 23 and 24 has no value") && error.contains(expected), "{error}");
        }
    }

    /// Answers in turn.
    struct Echoes(Vec<Option<u64>>);

    impl Echo for Echoes {
        fn measure(&mut self, _: Duration) -> Result<Option<Duration>, crate::hardware::HardwareError> {
            Ok(self.0.remove(0).map(Duration::from_micros))
        }
    }

    #[test]
    fn the_middle_one_of_three_counts() {
        for (echoes, expected) in [
            ([Some(5800), Some(600), Some(5810)], Some(995.32)),
            ([None, Some(5800), Some(20_000)], Some(995.32)),
            ([Some(5800), None, None], None),
        ] {
            let mut ranger = Ranger {
                name: String::new(),
                echo: Box::new(Echoes(echoes.to_vec())),
                delay: Recorded::default().delay(),
                compensation: Compensation::default(),
            };
            let distance = ranger.read().ok().map(|values| (values[0] * 100.0).round() / 100.0);
            assert_eq!(distance, expected);
        }
    }

    #[test]
    fn the_temperature_counts_if_it_is_to_and_without_it_nothing_is_told() {
        let board = Recorded::default();
        let keys = format!("{KEYS}\ncompensation = {{ temperature = \"air.temperature\" }}");
        let mut ranger = opened(&ENTRY, &keys, &board).unwrap();
        board.set_echo(Some(Duration::from_micros(5800)));
        ranger.hear(&[Some(0.0)]);
        assert_near(&ranger.read().unwrap(), &[960.77], 0.01);
        ranger.hear(&[None]);
        let error = ranger.read().unwrap_err().to_string();
        assert!(error.ends_with("air.temperature, by which it is compensated, has no value"), "{error}");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("trigger = 23", "add `echo"),
            ("trigger = 23\necho = 23", "a pin of its own"),
            ("trigger = 99\necho = 23", "0 to 27"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
