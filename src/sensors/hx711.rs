//! HX711: a load cell, for the weight of a pot, a keg or a hive, on two pins.
//!
//! The chip has a clock of its own kind, which a pin makes here. A pulse that lasts longer than 60 µs, because the machine was busy, switches
//! the chip off: what follows reads as ones, and it begins anew. So three conversions are taken, of which two must agree.
//!
//! Source: Avia HX711 datasheet, "Serial Interface", "Reset and Power-Down" and figure 2. Own code: `hx711` 0.7 waits without end for a
//! chip that is not there, and takes what it reads after a pulse too long for a weight.

use std::time::Duration;

use embedded_hal::delay::DelayNs;

use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Active, Delay, DigitalInput, DigitalOutput, Hardware, HardwareError, InputSettings, Pull};
use crate::model::{Claim, Quantity};
use crate::wiring::{Wiring, pin};

const ABOUT: &str = "\
- Range: that of the load cell; the chip gives 24 bits of ±20 mV, of which about 17 hold still.
- Wiring: VCC to 3.3 V (with 5 V, DT destroys the Pi's pin), ground, DT to the `data` pin, SCK to the `clock` pin. The cell's red, black,
  white and green wires to E+, E-, A- and A+. Channel A, amplified 128 times.
- `zero` is what it counts with nothing on it, `scale` how many counts a gram makes. With nothing on it, `homeostat calibrate hive zero`
  tells the one; with a known weight on it, say 5000 g, `homeostat calibrate hive 5000` tells the other. Write both into its table.
- Timing: the pins are driven by a program that others may interrupt. Disturbed conversions are noticed and given up, so under heavy load
  readings fail, but do not lie. The kernel's driver does not have that: `hx711` of iio, by an overlay of one's own.
- Trouble: a weight that drifts for an hour is the cell warming up; values that jump are a cell that touches something besides its load.
";

pub(super) const ENTRY: Entry = Entry {
    name: "hx711",
    summary: "weight of a load cell, two pins",
    about: ABOUT,
    example: r#"
[sensors.hive]
driver = "hx711"
data = 5
clock = 6
zero = 84213
scale = 21.7
every = "1m"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    data: u8,
    clock: u8,
    /// Counts with nothing on it.
    zero: f64,
    /// Counts of a gram.
    scale: f64,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let (data, clock) = (pin(section, "data"), pin(section, "clock"));
    let zero = if section.has("zero") { section.optional("zero") } else { Some(0.0) };
    let scale = if section.has("scale") { section.optional("scale") } else { Some(1.0) };
    let scale: Option<f64> = scale.filter(|counts| {
        let fits = counts.abs() >= 1e-6;
        if !fits {
            section.wrong("scale", "a gram cannot be no counts", "it is how many counts a gram makes: 21.7");
        }
        fits
    });
    if data.is_some() && data == clock {
        section.wrong("clock", "both pins are the same", "DT goes to the `data` pin and SCK to the `clock` pin");
        return None;
    }
    Some(Box::new(Config { data: data?, clock: clock?, zero: zero?, scale: scale? }))
}

const CHANNELS: &[Channel] = &[Channel { name: "mass", quantity: Quantity::Mass }];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    /// One of its own, for it waits long and shares nothing.
    fn wiring(&self) -> Wiring {
        Wiring { claims: vec![Claim::Pin(self.data), Claim::Pin(self.clock)], lane: format!("hx711-{}", self.data) }
    }

    /// Three conversions, each after a reset.
    fn deadline(&self) -> Duration {
        Duration::from_secs(4)
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        // With nobody there, it is never ready.
        let settings = InputSettings { pull: Pull::Up, ..InputSettings::default() };
        Ok(Box::new(Hx711 {
            device: format!("HX711 at GPIO {} and {}", self.data, self.clock),
            clock: hardware.output(self.clock, Active::High, false)?,
            data: hardware.input(self.data, settings, None)?,
            delay: hardware.delay(),
            empty: self.zero,
            config: self.clone(),
        }))
    }
}

const BITS: u32 = 24;
/// One pulse more than the bits: channel A, 128 times, next time too.
const PULSES: u32 = 25;
/// Ready is looked for so often, and so long: 400 ms after it was switched on (10 a second), 100 ms otherwise.
const LOOK: Duration = Duration::from_millis(1);
const LOOKS: u32 = 600;
/// The ends of the scale, where it is overloaded.
const ENDS: (i32, i32) = (-(1 << 23), (1 << 23) - 1);
/// From less a scale would be made of noise.
const LEAST_DIFFERENCE: f64 = 1000.0;
/// A thousandth of the whole scale: many times its noise. A conversion that was disturbed is off by more, unless by a bit that does not matter.
const AGREE: i32 = (1 << 24) / 1000;

struct Hx711 {
    device: String,
    clock: Box<dyn DigitalOutput>,
    data: Box<dyn DigitalInput>,
    delay: Delay,
    /// `zero`, or what a step of a calibration found since.
    empty: f64,
    config: Config,
}

impl Driver for Hx711 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let counts = self.counts()?;
        Ok(vec![(f64::from(counts) - self.config.zero) / self.config.scale])
    }

    /// Changes nothing; it tells what to write into the file.
    fn calibrate(&mut self, step: &[&str]) -> Result<String, DriverError> {
        let no_step = || DriverError::no_value(&self.device, "a step is `zero`, or the grams that are on it: `5000`");
        let &[word] = step else { return Err(no_step()) };
        if word == "zero" {
            self.empty = f64::from(self.counts()?);
            return Ok(format!("with nothing on it, it counts {0}: write `zero = {0}`", self.empty));
        }
        let gram = word.parse::<f64>().ok().filter(|gram| gram.is_finite() && *gram > 0.0).ok_or_else(no_step)?;
        let difference = f64::from(self.counts()?) - self.empty;
        if difference.abs() < LEAST_DIFFERENCE {
            let what =
                format!("it counts only {difference} more than with nothing on it; put more on it, and check `zero`");
            return Err(DriverError::no_value(&self.device, what));
        }
        Ok(format!(
            "with {gram} g on it, it counts {difference} more than with nothing: write `scale = {:.5}`",
            difference / gram
        ))
    }
}

impl Hx711 {
    fn counts(&mut self) -> Result<i32, DriverError> {
        let conversions = [self.convert()?, self.convert()?, self.convert()?];
        let Some(counts) = agreed(conversions) else {
            let what = format!(
                "it counted {}, {} and {}; the load moves, or the machine is too busy for its clock",
                conversions[0], conversions[1], conversions[2]
            );
            return Err(DriverError::no_value(&self.device, what));
        };
        if counts == ENDS.0 || counts == ENDS.1 {
            let what = "it is at the end of its scale; is the cell connected, and is the load below what it bears?";
            return Err(DriverError::no_value(&self.device, what));
        }
        Ok(counts)
    }

    fn convert(&mut self) -> Result<i32, DriverError> {
        self.wait_until_ready()?;
        let mut word = 0u32;
        for pulse in 0..PULSES {
            let bit = self.pulse()?;
            if pulse < BITS {
                word = word << 1 | u32::from(bit);
            }
        }
        // It is busy again for 12 ms at least; a line that stays low is not the chip's.
        if !self.data.get()? {
            let what = "its data line stays low; check its wiring and its power";
            return Err(DriverError::corrupt(&self.device, what));
        }
        // The sign is in bit 23.
        Ok((word << 8).cast_signed() >> 8)
    }

    /// The data line falls when a conversion is ready.
    fn wait_until_ready(&mut self) -> Result<(), DriverError> {
        for _ in 0..LOOKS {
            if !self.data.get()? {
                return Ok(());
            }
            self.delay.delay_us(u32::try_from(LOOK.as_micros()).unwrap_or(u32::MAX));
        }
        let what = "it is not ready; check its wiring, its power, and which of both pins is which";
        Err(DriverError::no_value(&self.device, what))
    }

    /// One clock, and the bit that comes with it. Nothing waits while the clock is high, since the least wait is longer than 60 µs. To look at
    /// the data line takes about 0.1 µs; twice is the 0.2 µs that each level must last.
    fn pulse(&mut self) -> Result<bool, HardwareError> {
        self.clock.set(true)?;
        let bit = self.data.get().and_then(|_| self.data.get());
        // Also if the bit could not be read.
        self.clock.set(false)?;
        self.data.get()?;
        bit
    }
}

/// The mean of the two that are nearest, if they agree.
fn agreed(mut conversions: [i32; 3]) -> Option<i32> {
    conversions.sort_unstable();
    let [low, middle, high] = conversions;
    let (one, other) = if middle - low <= high - middle { (low, middle) } else { (middle, high) };
    (other - one <= AGREE).then(|| one + (other - one) / 2)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use super::super::testing::{assert_near, mistakes, opened};
    use super::*;
    use crate::hardware::recorded::Recorded;

    /// The chip: what it converts to, one after the other, and before which pulse it is switched off by one that is too long.
    #[derive(Default)]
    struct Chip {
        conversions: VecDeque<(u32, Option<u32>)>,
        pulses: u32,
        clock: bool,
        data: bool,
        stuck: Option<bool>,
    }

    #[derive(Clone, Default)]
    struct Pin(Arc<Mutex<Chip>>);

    impl DigitalOutput for Pin {
        fn set(&mut self, on: bool) -> Result<(), HardwareError> {
            let mut chip = self.0.lock().unwrap();
            assert_ne!(chip.clock, on, "the clock alternates");
            chip.clock = on;
            if on {
                let (word, off) = chip.conversions[0];
                let shown = chip.pulses < BITS && off.is_none_or(|off| chip.pulses < off);
                chip.data = !shown || word >> (BITS - 1 - chip.pulses) & 1 == 1;
                chip.pulses += 1;
            } else if chip.pulses == PULSES {
                chip.pulses = 0;
                chip.conversions.pop_front();
            }
            Ok(())
        }

        fn read_back(&mut self) -> Result<Option<bool>, HardwareError> {
            Ok(None)
        }
    }

    impl DigitalInput for Pin {
        fn get(&mut self) -> Result<bool, HardwareError> {
            let chip = self.0.lock().unwrap();
            Ok(chip.stuck.unwrap_or(chip.data))
        }
    }

    /// Time passes, and the next conversion is ready.
    impl DelayNs for Pin {
        fn delay_ns(&mut self, _: u32) {
            self.0.lock().unwrap().data = false;
        }
    }

    type Conversions<'c> = &'c [(u32, Option<u32>)];

    fn wired(zero: f64, scale: f64, conversions: Conversions<'_>, stuck: Option<bool>) -> (Hx711, Pin) {
        let conversions = conversions.iter().copied().collect();
        let pin = Pin(Arc::new(Mutex::new(Chip { conversions, data: true, stuck, ..Chip::default() })));
        let driver = Hx711 {
            device: "HX711".to_owned(),
            clock: Box::new(pin.clone()),
            data: Box::new(pin.clone()),
            delay: Delay::new(pin.clone()),
            empty: zero,
            config: Config { data: 5, clock: 6, zero, scale },
        };
        (driver, pin)
    }

    fn read(zero: f64, scale: f64, conversions: Conversions<'_>, stuck: Option<bool>) -> Result<f64, DriverError> {
        let (mut driver, pin) = wired(zero, scale, conversions, stuck);
        let values = driver.read()?;
        assert!(pin.0.lock().unwrap().conversions.is_empty() && !pin.0.lock().unwrap().clock);
        Ok(values[0])
    }

    #[test]
    fn twenty_four_bits_are_grams() {
        // The datasheet has no example; two's complement, the highest bit first, by its figure 2.
        for (word, zero, scale, gram) in
            [(84_213, 84_213.0, 21.7, 0.0), (301_213, 84_213.0, 21.7, 10_000.0), (0xff_ff38, 0.0, -2.0, 100.0)]
        {
            assert_near(&[read(zero, scale, &[(word, None); 3], None).unwrap()], &[gram], 1e-9);
        }
    }

    #[test]
    fn a_pulse_too_long_in_one_conversion_of_three_does_no_harm() {
        for off in 0..BITS {
            for place in 0..3 {
                let mut conversions = [(0x12_3000, None), (0x12_3004, None), (0x12_3008, None)];
                conversions[place].1 = Some(off);
                let gram = read(0.0, 1.0, &conversions, None).unwrap();
                assert!((gram - f64::from(0x12_3004)).abs() <= 8.0, "{off} {place} {gram}");
            }
        }
        let error = read(0.0, 1.0, &[(0x12_3000, None), (0x12_3000, Some(3)), (0x12_3000, Some(7))], None);
        assert!(error.unwrap_err().to_string().contains("too busy for its clock"));
    }

    #[test]
    fn overload_and_loose_wires_are_errors() {
        for (word, stuck, expected) in [
            (0x7f_ffff, None, "end of its scale"),
            (0x80_0000, None, "end of its scale"),
            (0x12_3000, Some(true), "it is not ready; check its wiring"),
            (0x12_3000, Some(false), "its data line stays low"),
        ] {
            let error = read(0.0, 1.0, &[(word, None); 3], stuck).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn calibration_tells_what_to_write() {
        let conversions = [[(84_213, None); 3], [(192_713, None); 3], [(84_300, None); 3]].concat();
        let (mut driver, _) = wired(0.0, 1.0, &conversions, None);
        let zero = driver.calibrate(&["zero"]).unwrap();
        assert!(zero.ends_with("write `zero = 84213`"), "{zero}");
        let scale = driver.calibrate(&["5000"]).unwrap();
        assert!(scale.ends_with("write `scale = 21.70000`"), "{scale}");
        assert!(driver.calibrate(&["5000"]).unwrap_err().to_string().contains("only 87 more"));
        for wrong in [&["zro"][..], &["-5"], &["inf"], &[], &["zero", "5000"]] {
            assert!(driver.calibrate(wrong).unwrap_err().to_string().contains("a step is `zero`, or the grams"));
        }
    }

    #[test]
    fn its_clock_is_low_from_the_first_moment_on_and_nobody_there_is_not_ready() {
        let board = Recorded::default();
        let mut driver = opened(&ENTRY, "data = 5\nclock = 6", &board).unwrap();
        assert_eq!(board.written(), [(6, false)]);
        assert!(
            driver.read().unwrap_err().to_string().starts_with("HX711 at GPIO 5 and 6 has no value: it is not ready")
        );
        assert!(board.waited() < Duration::from_secs(1));
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("data = 5", "add `clock"),
            ("data = 5\nclock = 5", "SCK"),
            ("data = 5\nclock = 64", "0 to 27"),
            ("data = 5\nclock = 6\nscale = 0", "21.7"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
