//! A rain gauge with a tipping bucket, each tip of which closes a contact.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::tally::Tally;
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Edge, Hardware, PulseCounter};
use crate::model::{Monotonic, Quantity};
use crate::wiring::{OnInput, Wiring};

const ABOUT: &str = "\
- Channels: `rain` in mm since the daemon began to count, and `rain_rate` in mm/h over the last `window` (10 minutes without the key).
  One tip in ten minutes is 1.7 mm/h, and less cannot be told; a longer `window` is finer and slower.
- `mm_per_tip`: 0.2794 for the gauge of most weather stations (also without the key), 0.2 for a Davis. To calibrate, let 100 mL drip
  through it within half an hour: mm_per_tip = 100 000 mm³ / the funnel's area in mm² / tips.
- Wiring: its two wires to `pin` (Broadcom number) and to ground.
- `debounce`: 10 ms without the key. Each tip closes the contact for about 100 ms.
- Trouble: rain in a storm without a cloud is the mast that shakes; no rain is a leaf in the funnel, a spider in the bucket, or a gauge
  that is not level.
";

pub(super) const ENTRY: Entry = Entry {
    name: "rain-gauge",
    summary: "rain, by a tipping bucket's contact on a pin",
    about: ABOUT,
    example: r#"
[sensors.rain]
driver = "rain-gauge"
pin = 5
mm_per_tip = 0.2794
window = "10m"
every = "1m"
"#,
    read,
};

/// Of the gauge that comes with most weather stations (WH-SP-RG, MS-WH-SP-RG).
const USUAL: f64 = 0.2794;
const BOUNCES: Duration = Duration::from_millis(10);
const WINDOW: Duration = Duration::from_secs(600);
const WINDOWS: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(24 * 3600);

#[derive(Debug, Clone)]
struct Config {
    input: OnInput,
    mm_per_tip: f64,
    window: Duration,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let input = OnInput::read(section, BOUNCES);
    let mm_per_tip = if section.has("mm_per_tip") { section.optional("mm_per_tip") } else { Some(USUAL) };
    let window = if section.has("window") { section.duration("window", WINDOWS) } else { Some(WINDOW) };
    let mm_per_tip = mm_per_tip?;
    if !(0.001..=100.0).contains(&mm_per_tip) {
        let hint = "it stands in its papers: 0.2794 or 0.3 for most, 0.2 for a Davis";
        section.wrong("mm_per_tip", format!("no tip is {mm_per_tip} mm of rain"), hint);
        return None;
    }
    Some(Box::new(Config { input: input?, mm_per_tip, window: window? }))
}

const CHANNELS: &[Channel] = &[
    Channel { name: "rain", quantity: Quantity::Precipitation },
    Channel { name: "rain_rate", quantity: Quantity::PrecipitationIntensity },
];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.input.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let counter = hardware.counter(self.input.pin, self.input.settings, Edge::Rising)?;
        let tally = Tally::new(self.window);
        Ok(Box::new(RainGauge { config: self.clone(), counter, tally, now: Monotonic::default() }))
    }
}

struct RainGauge {
    config: Config,
    counter: Box<dyn PulseCounter>,
    tally: Tally,
    now: Monotonic,
}

impl Driver for RainGauge {
    fn at(&mut self, now: Monotonic) {
        self.now = now;
    }

    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let count = self.counter.count()?;
        let (tips, time) = self.tally.pass(self.now, count);
        // Also before a whole window has passed: a first tip is no cloudburst.
        let hours = time.max(self.config.window).as_secs_f64() / 3600.0;
        Ok([count as f64, tips as f64 / hours].map(|tips| tips * self.config.mm_per_tip).into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened};
    use super::*;
    use crate::hardware::recorded::Recorded;

    #[test]
    fn tips_are_millimetres_and_those_of_the_window_a_rate() {
        let board = Recorded::default();
        let mut gauge = opened(&ENTRY, "pin = 5\nmm_per_tip = 0.2", &board).unwrap();
        for (minute, tips, rain, rate) in [
            (0, 0, 0.0, 0.0),
            // 0.2 mm in ten minutes, though it has looked for one only.
            (1, 1, 0.2, 1.2),
            (5, 6, 1.2, 7.2),
            (10, 10, 2.0, 12.0),
            (11, 10, 2.0, 10.8),
            (15, 10, 2.0, 4.8),
            (25, 10, 2.0, 0.0),
        ] {
            board.set_pulses(5, tips);
            gauge.at(Monotonic::new(Duration::from_secs(60 * minute)));
            assert_near(&gauge.read().unwrap(), &[rain, rate], 1e-9);
        }
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in
            [("", "add `pin"), ("pin = 5\nmm_per_tip = -0.2", "0.2794"), ("pin = 5\nwindow = \"1s\"", "from 1m to 24h")]
        {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
