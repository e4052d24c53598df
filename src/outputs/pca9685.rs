//! PCA9685: sixteen PWM channels on I²C, for lamps, valves and fans beyond the two that the board has.
//!
//! Source: NXP PCA9685, revision 4, chapter 7.3. Own code: the `pwm-pca9685` crate does not read back, and knows nothing of others
//! that use the same chip.

use std::time::Duration;

use super::{Entry, OutputConfig, Resolution, lines};
use crate::config::{Frequency, Section, Value};
use crate::hardware::bank::{Confirmation, Line};
use crate::hardware::{Active, Hardware, HardwareError, I2cDevice, Latch};
use crate::model::{Claim, Level};
use crate::panics::locked;
use crate::wiring::OnI2c;

const ABOUT: &str = "\
- 16 channels of 4096 steps at 24 Hz to 1.5 kHz; all channels of one chip have one `frequency` (200 Hz if it is not there; servos
  want 50 Hz).
- A channel gives 10 mA or takes 25 mA: a MOSFET or a driver board stands between it and everything else. `active = \"low\"` for what
  is on when the channel is low.
- Wiring: 3.3 V at VCC, ground, SDA to GPIO 2, SCL to GPIO 3, OE to ground; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x40 to 0x7f by its six jumpers, but for 0x70, where all of these chips answer at first.
- After power-on all channels are low: with `active = \"low\"` the load is on until homeostat writes, and OE does not prevent it. Never
  for a heater, a valve or a pump.
- Trouble: all channels off although they read back as set: OE is high or in the air.
";

pub(super) const ENTRY: Entry = Entry {
    name: "pca9685",
    summary: "one of 16 PWM channels on I²C: lamps, valves, fans",
    about: ABOUT,
    example: r#"
[outputs.lamp]
driver = "pca9685"
address = 0x40
channel = 0
frequency = "500Hz"
"#,
    read,
};

const CHIP: &str = "PCA9685";
/// Where all of them answer after power-on, so that none is known by it.
const ALL_CALL: u8 = 0x70;
const LAST_CHANNEL: u8 = 15;

#[derive(Debug, Clone)]
struct Config {
    place: OnI2c,
    channel: u8,
    active: Active,
    prescale: u8,
}

fn read(section: &Section) -> Option<Box<dyn OutputConfig>> {
    let place = place(section);
    let channel = lines::channel(section, "channel", LAST_CHANNEL, "a PCA9685 has 0 to 15");
    let active = lines::active(section);
    let frequency = if section.has("frequency") { section.optional("frequency") } else { Some(Frequency(200.0)) };
    let prescale = frequency.and_then(|Frequency(hertz)| {
        let prescale = prescale(hertz);
        if prescale.is_none() {
            let message = format!("`frequency` of {} is none that a PCA9685 makes", section.what());
            section.wrong("frequency", message, "it goes from \"24Hz\" to \"1526Hz\"");
        }
        prescale
    });
    Some(Box::new(Config { place: place?, channel: channel?, active: active?, prescale: prescale? }))
}

fn place(section: &Section) -> Option<OnI2c> {
    // Nobody wants to hear of all sixty-three.
    let ends = [(0x40, "no jumper"), (0x7f, "all six; any between but 0x70")];
    let given = section.value("address").and_then(|value| u8::read(value.get_ref()).ok());
    match given.filter(|address| (0x40..0x80).contains(address) && *address != ALL_CALL) {
        Some(address) => OnI2c::read(section, CHIP, &[(address, "")]),
        None => OnI2c::read(section, CHIP, &ends),
    }
}

/// 7.3.5: the oscillator has 25 MHz, and 3 is the least.
fn prescale(hertz: f64) -> Option<u8> {
    let divided = (25e6 / (4096.0 * hertz)).round() - 1.0;
    (3.0..=255.0).contains(&divided).then_some(divided as u8)
}

impl OutputConfig for Config {
    fn resolution(&self) -> Resolution {
        Resolution::Continuous
    }

    fn claims(&self) -> Vec<Claim> {
        self.place.claims_part(self.channel)
    }

    fn lane(&self) -> String {
        self.place.lane()
    }

    fn open(&self, hardware: &dyn Hardware, initial: Level) -> Result<Box<dyn Line>, HardwareError> {
        let chip = self.place.open(hardware)?;
        let shared = hardware.latch(self.place.bus, self.place.address);
        let user = User::new(shared, self.prescale, &chip)?;
        let mut line = Pca9685 { chip, user, channel: self.channel, active: self.active, left: Level::OFF };
        line.write(initial)?;
        Ok(Box::new(line))
    }
}

/// Who uses the chip, counted in the high byte of what its users share; the low one is their prescale. The first one's counts.
struct User {
    shared: Latch,
    prescale: u8,
}

impl User {
    fn new(shared: Latch, prescale: u8, chip: &I2cDevice) -> Result<Self, HardwareError> {
        let mut known = locked(&shared);
        let [count, theirs] = known.unwrap_or_default().to_be_bytes();
        if count > 0 && theirs != prescale {
            let reason = "another output on it has another `frequency`; all channels of one chip have the same".into();
            return Err(HardwareError::Io { what: chip.name().to_owned(), reason });
        }
        *known = Some(u16::from_be_bytes([count + 1, prescale]));
        drop(known);
        Ok(Self { shared, prescale })
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut known = locked(&self.shared);
        *known = known.map(|known| known.saturating_sub(1 << 8));
    }
}

/// The registers (table 4).
const MODE_1: u8 = 0x00;
const MODE_2: u8 = 0x01;
const CHANNELS: u8 = 0x06;
const PRESCALE: u8 = 0xfe;
/// Bits of MODE 1 (table 5).
const RESTART: u8 = 0x80;
const STEP_ON: u8 = 0x20;
const SLEEP: u8 = 0x10;
/// MODE 2 (table 6): driven both ways and not inverted, whatever another program left.
const TOTEM_POLE: u8 = 0x04;
/// On all the time, or off all the time: bit 4 of the high byte of either time.
const ALWAYS: u16 = 1 << 12;
/// Until the oscillator runs.
const WAKING: Duration = Duration::from_micros(500);

struct Pca9685 {
    chip: I2cDevice,
    user: User,
    channel: u8,
    active: Active,
    /// What was written last, of which the chip keeps 4096 steps.
    left: Level,
}

impl Line for Pca9685 {
    fn write(&mut self, level: Level) -> Result<Confirmation, HardwareError> {
        let shared = self.user.shared.clone();
        let alone = locked(&shared);
        // Awake and at another speed it has an earlier process's settings; asleep it has just got its power.
        let before = self.chip.register(MODE_1)?;
        let awake = before & !RESTART == STEP_ON
            && self.chip.register(PRESCALE)? == self.user.prescale
            && self.chip.register(MODE_2)? == TOTEM_POLE;
        if !awake {
            self.wake()?;
        }
        let times = times(level, self.active);
        let [on, off] = times.map(u16::to_le_bytes);
        self.chip.write(&[self.register(), on[0], on[1], off[0], off[1]])?;
        drop(alone);
        self.left = level;
        if self.times()? == times {
            return Ok(Confirmation::ReadBack);
        }
        let reason = format!("channel {} did not take what was written; check the wiring of the bus", self.channel);
        Err(HardwareError::Io { what: self.chip.name().to_owned(), reason })
    }

    fn read_back(&mut self) -> Result<Option<Level>, HardwareError> {
        let prescale = self.user.prescale;
        for (name, register, expected) in
            [("MODE 1", MODE_1, STEP_ON), ("MODE 2", MODE_2, TOTEM_POLE), ("prescale", PRESCALE, prescale)]
        {
            let found = self.chip.register(register)?;
            let found = if register == MODE_1 { found & !RESTART } else { found };
            let reason = match () {
                () if found == expected => continue,
                () if register == MODE_1 && found & SLEEP != 0 => {
                    "it sleeps: it was reset, or lost its power; check its supply".to_owned()
                }
                () => format!("its {name} is {found:#04x} and not {expected:#04x}; does another program use it too?"),
            };
            return Err(HardwareError::Io { what: self.chip.name().to_owned(), reason });
        }
        let found = self.times()?;
        Ok(Some(if found == times(self.left, self.active) { self.left } else { level(found, self.active) }))
    }
}

impl Pca9685 {
    /// 7.3.1.1. Before the channel is written: that takes from the chip that others ran before it slept.
    fn wake(&mut self) -> Result<(), HardwareError> {
        self.chip.set(MODE_1, STEP_ON | SLEEP)?;
        self.chip.set(PRESCALE, self.user.prescale)?;
        self.chip.set(MODE_2, TOTEM_POLE)?;
        self.chip.set(MODE_1, STEP_ON)?;
        self.chip.wait(WAKING);
        // The channels that ran before go on; others wake up off.
        if self.chip.register(MODE_1)? & RESTART != 0 {
            self.chip.set(MODE_1, STEP_ON | RESTART)?;
        }
        Ok(())
    }

    fn register(&self) -> u8 {
        CHANNELS + 4 * self.channel
    }

    fn times(&mut self) -> Result<[u16; 2], HardwareError> {
        let [a, b, c, d] = self.chip.registers(self.register())?;
        Ok([u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])])
    }
}

/// 7.3.3: at which of 4096 steps it goes high, and at which low.
fn times(level: Level, active: Active) -> [u16; 2] {
    let high = if active == Active::High { level.get() } else { 1.0 - level.get() };
    match high {
        0.0 => [0, ALWAYS],
        1.0 => [ALWAYS, 0],
        // What is neither on nor off stays so.
        part => [0, (part * 4096.0).round().clamp(1.0, 4095.0) as u16],
    }
}

fn level([on, off]: [u16; 2], active: Active) -> Level {
    // Off wins where both are set.
    let high = match () {
        () if off & ALWAYS != 0 => 0.0,
        () if on & ALWAYS != 0 => 1.0,
        () => f64::from(off.wrapping_sub(on) & 0xfff) / 4096.0,
    };
    Level::clamped(if active == Active::High { high } else { 1.0 - high })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, mistakes};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    /// After power-on: asleep, and all channels off. Channel 1 at 25 % of 200 Hz.
    fn waking() -> [Step; 9] {
        [
            i2c(0x40, &[0x00], &[0x11]),
            i2c(0x40, &[0x00, 0x30], &[]),
            i2c(0x40, &[0xfe, 0x1e], &[]),
            i2c(0x40, &[0x01, 0x04], &[]),
            i2c(0x40, &[0x00, 0x20], &[]),
            i2c(0x40, &[0x00], &[0xa0]),
            i2c(0x40, &[0x00, 0xa0], &[]),
            i2c(0x40, &[0x0a, 0, 0, 0x00, 0x04], &[]),
            i2c(0x40, &[0x0a], &[0, 0, 0x00, 0x04]),
        ]
    }

    /// Awake, with 200 Hz.
    fn awake() -> [Step; 3] {
        [i2c(0x40, &[0x00], &[0x20]), i2c(0x40, &[0xfe], &[0x1e]), i2c(0x40, &[0x01], &[0x04])]
    }

    /// As it is read back: awake, neither inverted nor open drain, at 200 Hz, and these times.
    fn told(times: [u8; 4]) -> [Step; 4] {
        [
            i2c(0x40, &[0x00], &[0x20]),
            i2c(0x40, &[0x01], &[0x04]),
            i2c(0x40, &[0xfe], &[0x1e]),
            i2c(0x40, &[0x0a], &times),
        ]
    }

    #[test]
    fn a_sleeping_chip_is_woken_before_its_channel_is_written_and_each_level_is_read_back() {
        let board = Recorded::new(waking());
        let mut line = config(&ENTRY, "channel = 1").open(&board, Level::clamped(0.25)).unwrap();
        assert!(board.waited() >= WAKING);
        board.then(awake());
        board.then([i2c(0x40, &[0x0a, 0, 0, 0, 0x10], &[]), i2c(0x40, &[0x0a], &[0, 0, 0, 0x10])]);
        assert_eq!(line.write(Level::OFF), Ok(Confirmation::ReadBack));
        board.then(awake());
        board.then([i2c(0x40, &[0x0a, 0, 0, 0x55, 0x05], &[]), i2c(0x40, &[0x0a], &[0, 0, 0x55, 0x05])]);
        let third = Level::clamped(1.0 / 3.0);
        assert_eq!(line.write(third), Ok(Confirmation::ReadBack));
        board.then(told([0, 0, 0x55, 0x05]));
        assert_eq!(line.read_back(), Ok(Some(third)), "as it was left, not as it was rounded");
        board.then(told([0, 0, 0, 0x08]));
        assert_eq!(line.read_back(), Ok(Level::new(0.5)));
        board.then([i2c(0x40, &[0x00], &[0x11])]);
        assert!(line.read_back().unwrap_err().to_string().contains("lost its power"));
        // Somebody inverted it: the level that the registers have would be the wrong one.
        board.then([i2c(0x40, &[0x00], &[0x20]), i2c(0x40, &[0x01], &[0x14])]);
        assert!(line.read_back().unwrap_err().to_string().contains("its MODE 2 is 0x14 and not 0x04"));
        // It counts its channel from another register, or at another speed: somebody else set it up.
        board.then([i2c(0x40, &[0x00], &[0x81])]);
        assert!(line.read_back().unwrap_err().to_string().contains("its MODE 1 is 0x01 and not 0x20"));
        board.then([i2c(0x40, &[0x00], &[0xa0]), i2c(0x40, &[0x01], &[0x04]), i2c(0x40, &[0xfe], &[0x79])]);
        assert!(line.read_back().unwrap_err().to_string().contains("its prescale is 0x79 and not 0x1e"));
        board.then([i2c(0x40, &[0x00], &[0x20]), i2c(0x40, &[0xfe], &[0x1e]), i2c(0x40, &[0x01], &[0x14])]);
        board.then(waking().into_iter().skip(1));
        assert_eq!(line.write(Level::clamped(0.25)), Ok(Confirmation::ReadBack));
        drop(line);
        board.done();
    }

    #[test]
    fn one_chip_has_one_frequency_until_nobody_uses_it() {
        let board = Recorded::new(waking());
        let line = config(&ENTRY, "channel = 1").open(&board, Level::clamped(0.25)).unwrap();
        let servo = config(&ENTRY, "channel = 2\nfrequency = \"50Hz\"");
        let error = servo.open(&board, Level::OFF).err().unwrap().to_string();
        assert!(error.contains("another `frequency`"), "{error}");
        drop(line);
        board.then([
            i2c(0x40, &[0x00], &[0x20]),
            i2c(0x40, &[0xfe], &[0x1e]),
            i2c(0x40, &[0x00, 0x30], &[]),
            i2c(0x40, &[0xfe, 0x79], &[]),
            i2c(0x40, &[0x01, 0x04], &[]),
            i2c(0x40, &[0x00, 0x20], &[]),
            i2c(0x40, &[0x00], &[0x20]),
            i2c(0x40, &[0x0e, 0, 0, 0, 0x10], &[]),
            i2c(0x40, &[0x0e], &[0, 0, 0, 0x10]),
        ]);
        servo.open(&board, Level::OFF).unwrap();
        board.done();
    }

    #[test]
    fn what_was_not_taken_and_nobody_there_are_errors() {
        let [a, b, c, d, e, f, g, h, _] = waking();
        let board = Recorded::new([a, b, c, d, e, f, g, h, i2c(0x40, &[0x0a], &[0xff; 4])]);
        let open = |board: &Recorded| {
            config(&ENTRY, "channel = 1")
                .open(board, Level::clamped(0.25))
                .err()
                .map(|error| error.to_string())
                .unwrap()
        };
        let error = open(&board);
        assert!(error.starts_with("PCA9685 at 0x40 on I²C bus 1: channel 1 did not take"), "{error}");
        assert!(open(&Recorded::new([nack(0x40, &[0x00])])).starts_with("no answer from address 0x40"));
    }

    #[test]
    fn on_and_off_are_whole_and_what_lies_between_is_neither() {
        for (part, high, low) in [
            (0.0, [0, ALWAYS], [ALWAYS, 0]),
            (0.00001, [0, 1], [0, 4095]),
            (0.25, [0, 1024], [0, 3072]),
            (0.99999, [0, 4095], [0, 1]),
            (1.0, [ALWAYS, 0], [0, ALWAYS]),
        ] {
            let wanted = Level::new(part).unwrap();
            for (active, expected) in [(Active::High, high), (Active::Low, low)] {
                assert_eq!(times(wanted, active), expected, "{part} {active:?}");
                assert!((level(expected, active).get() - part).abs() < 1.0 / 4095.0, "{part} {active:?}");
            }
        }
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        for (keys, expected) in [
            ("", "add `channel"),
            ("channel = 16", "0 to 15"),
            ("channel = 0\naddress = 0x70", "any between but 0x70"),
            ("channel = 0\naddress = 0x3f", "0x40 (no jumper)"),
            ("channel = 0\nfrequency = \"20Hz\"", "1526Hz"),
            ("channel = 0\nfrequency = \"25kHz\"", "1526Hz"),
        ] {
            let found = mistakes(&ENTRY, keys);
            assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
        }
    }
}
