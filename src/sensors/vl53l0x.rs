//! VL53L0X: a distance by the time that light takes there and back, on I²C, such as that of water in a tank.
//!
//! ST describes no registers, but a program (the API) that sets them. What is written here, and in which order, is what that program writes;
//! the names are its names. The chip measures once for each read, for 66 ms.
//!
//! Source: ST DS11555 revision 4, table 5 (ids) and 2.7; STSW-IMG005, the data that its steps DataInit, StaticInit and PerformRefCalibration
//! write. Own code: the `vl53l0x` crate 1.0 gives the distance without its status, which for nothing in sight is 8190 mm, and waits for the
//! chip by tens of thousands of transfers.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::{Hardware, HardwareError, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

const ABOUT: &str = "\
- Range: 50 to 1200 mm (±5 %), within a cone of 25°. Take care that nothing else is in it: a tank's wall, a pipe, the rim.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x29, always; another one, which it can be told, is forgotten with its power. A TSL2591 is at 0x29 too.
- Trouble: it looks through clear water: let something white float on it. In the sun it sees a third as far. Each is off by up to 30 mm:
  measure once with a ruler, and set `distance = { offset = -12 }`.
";

pub(super) const ENTRY: Entry = Entry {
    name: "vl53l0x",
    summary: "distance by light, I²C: 50 to 1200 mm",
    about: ABOUT,
    example: r#"
[sensors.tank_level]
driver = "vl53l0x"
bus = 1
every = "10s"
distance = { offset = -12, smooth = "median 5" }
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnI2c);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    Some(Box::new(Config(OnI2c::read(section, "VL53L0X", &[(0x29, "")])?)))
}

const CHANNELS: &[Channel] = &[Channel { name: "distance", quantity: Quantity::Distance }];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.0.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut chip = Vl53l0x { chip: self.0.open(hardware)?, stop: 0 };
        let id = chip.chip.registers(MODEL_ID)?;
        if id != IDS {
            let found =
                format!("found id {id:02x?} and not {IDS:02x?}; a VL53L1X has no driver here, else check its wiring");
            return Err(DriverError::wrong_chip(chip.chip.name(), found));
        }
        chip.begin()?;
        chip.choose_diodes()?;
        chip.set_up()?;
        chip.calibrate()?;
        Ok(Box::new(chip))
    }
}

/// Registers by the names of the API, which it reaches in pages: `PAGE` 0 unless said otherwise.
const SYSRANGE_START: u8 = 0x00;
const SEQUENCE: u8 = 0x01;
const INTERRUPT_CONFIG: u8 = 0x0a;
const INTERRUPT_CLEAR: u8 = 0x0b;
const INTERRUPT_STATUS: u8 = 0x13;
const RANGE_STATUS: u8 = 0x14;
const SIGNAL_RATE_LIMIT: u8 = 0x44;
const MSRC_CONTROL: u8 = 0x60;
const FINAL_RANGE_TIMEOUT: u8 = 0x71;
const GPIO_ACTIVE_HIGH: u8 = 0x84;
const PAD_VOLTAGE: u8 = 0x89;
/// Without a name in the API: what a measurement must be stopped with.
const STOP: u8 = 0x91;
const REFERENCE_DIODES: u8 = 0xb0;
const MODEL_ID: u8 = 0xc0;
const IDS: [u8; 2] = [0xee, 0xaa];
/// The steps that make up a measurement. After power-on it is 0xff.
const ALL_STEPS: u8 = 0xff;
const USUAL_STEPS: u8 = 0xe8;
/// 0.25 million photons a second, in 128ths: less is noise.
const LEAST_SIGNAL: u16 = 32;
const READY: u8 = 0b111;

/// Around what is not for everyone.
const UNLOCK: [(u8, u8); 3] = [(0x80, 0x01), (0xff, 0x01), (0x00, 0x00)];
const LOCK: [(u8, u8); 3] = [(0x00, 0x01), (0xff, 0x00), (0x80, 0x00)];
/// Around reading the NVM, after UNLOCK.
const OPEN_NVM: [(u8, u8); 5] = [(0xff, 0x07), (0x81, 0x01), (0x80, 0x01), (0x94, 0x6b), (0x83, 0x00)];
/// Which of the diodes may be asked for, and how many.
const DIODES: [(u8, u8); 5] = [(0xff, 0x01), (0x4f, 0x00), (0x4e, 0x2c), (0xff, 0x00), (0xb6, 0xb4)];
/// "DefaultTuningSettings".
#[rustfmt::skip]
const TUNING: [(u8, u8); 80] = [
    (0xff, 0x01), (0x00, 0x00), (0xff, 0x00), (0x09, 0x00), (0x10, 0x00), (0x11, 0x00), (0x24, 0x01), (0x25, 0xff), (0x75, 0x00),
    (0xff, 0x01), (0x4e, 0x2c), (0x48, 0x00), (0x30, 0x20), (0xff, 0x00), (0x30, 0x09), (0x54, 0x00), (0x31, 0x04), (0x32, 0x03),
    (0x40, 0x83), (0x46, 0x25), (0x60, 0x00), (0x27, 0x00), (0x50, 0x06), (0x51, 0x00), (0x52, 0x96), (0x56, 0x08), (0x57, 0x30),
    (0x61, 0x00), (0x62, 0x00), (0x64, 0x00), (0x65, 0x00), (0x66, 0xa0), (0xff, 0x01), (0x22, 0x32), (0x47, 0x14), (0x49, 0xff),
    (0x4a, 0x00), (0xff, 0x00), (0x7a, 0x0a), (0x7b, 0x00), (0x78, 0x21), (0xff, 0x01), (0x23, 0x34), (0x42, 0x00), (0x44, 0xff),
    (0x45, 0x26), (0x46, 0x05), (0x40, 0x40), (0x0e, 0x06), (0x20, 0x1a), (0x43, 0x40), (0xff, 0x00), (0x34, 0x03), (0x35, 0x44),
    (0xff, 0x01), (0x31, 0x04), (0x4b, 0x09), (0x4c, 0x05), (0x4d, 0x04), (0xff, 0x00), (0x44, 0x00), (0x45, 0x20), (0x47, 0x08),
    (0x48, 0x28), (0x67, 0x00), (0x70, 0x04), (0x71, 0x01), (0x72, 0xfe), (0x76, 0x00), (0x77, 0x00), (0xff, 0x01), (0x0d, 0x01),
    (0xff, 0x00), (0x80, 0x01), (0x01, 0xf8), (0xff, 0x01), (0x8e, 0x01), (0x00, 0x01), (0xff, 0x00), (0x80, 0x00),
];

/// So long a measurement takes.
const BUDGET_US: u32 = 66_000;
const MEASURING: Duration = Duration::from_millis(66);
const LITTLE: Duration = Duration::from_millis(2);

struct Vl53l0x {
    chip: I2cDevice,
    /// What this chip's measurements are stopped with.
    stop: u8,
}

impl Driver for Vl53l0x {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        if self.chip.register(SEQUENCE)? != USUAL_STEPS {
            let what = "it has lost its settings, and so its power for a moment; it is set up again soon";
            return Err(DriverError::no_value(self.chip.name(), what));
        }
        // What a read that failed has left behind must not be taken for this one's.
        self.chip.set(INTERRUPT_CLEAR, 1)?;
        self.sets(&UNLOCK)?;
        self.chip.set(STOP, self.stop)?;
        self.sets(&LOCK)?;
        self.chip.set(SYSRANGE_START, 1)?;
        self.chip.wait(MEASURING);
        self.wait_for(INTERRUPT_STATUS, READY, "it does not finish its measurement")?;
        let result = self.chip.registers(RANGE_STATUS)?;
        self.chip.set(INTERRUPT_CLEAR, 1)?;
        let millimetres = millimetres(result).map_err(|what| DriverError::no_value(self.chip.name(), what))?;
        Ok(vec![millimetres])
    }
}

impl Vl53l0x {
    /// DataInit.
    fn begin(&mut self) -> Result<(), DriverError> {
        // Boards pull the bus up to 2.8 V or more, and not to the 1.8 V that it expects.
        self.change(PAD_VOLTAGE, |pads| pads | 1)?;
        self.chip.set(0x88, 0)?;
        self.sets(&UNLOCK)?;
        self.stop = self.chip.register(STOP)?;
        self.sets(&LOCK)?;
        self.change(MSRC_CONTROL, |control| control | 0x12)?;
        self.chip.set_word(SIGNAL_RATE_LIMIT, LEAST_SIGNAL)?;
        Ok(self.chip.set(SEQUENCE, ALL_STEPS)?)
    }

    /// Which of its diodes are the reference was measured when it was made, and stands in its NVM.
    fn choose_diodes(&mut self) -> Result<(), DriverError> {
        self.sets(&UNLOCK)?;
        self.chip.set(0xff, 0x06)?;
        self.change(0x83, |nvm| nvm | 0x04)?;
        self.sets(&OPEN_NVM)?;
        self.wait_for(0x83, 0xff, "it does not tell its reference diodes")?;
        self.chip.set(0x83, 1)?;
        let diodes = self.chip.register(0x92)?;
        self.sets(&[(0x81, 0x00), (0xff, 0x06)])?;
        self.change(0x83, |nvm| nvm & !0x04)?;
        self.chip.set(0xff, 1)?;
        self.sets(&LOCK)?;
        let map = self.chip.registers(REFERENCE_DIODES)?;
        self.sets(&DIODES)?;
        let [a, b, c, d, e, f] = enabled(map, diodes & 0x7f, diodes & 0x80 != 0);
        Ok(self.chip.write(&[REFERENCE_DIODES, a, b, c, d, e, f])?)
    }

    /// StaticInit.
    fn set_up(&mut self) -> Result<(), HardwareError> {
        self.sets(&TUNING)?;
        // The interrupt says that there is a new measurement, as the status does.
        self.chip.set(INTERRUPT_CONFIG, 0x04)?;
        self.change(GPIO_ACTIVE_HIGH, |gpio| gpio & !0x10)?;
        self.chip.set(INTERRUPT_CLEAR, 1)?;
        self.chip.set(SEQUENCE, USUAL_STEPS)?;
        self.chip.set_word(FINAL_RANGE_TIMEOUT, final_range_timeout(BUDGET_US))
    }

    /// PerformRefCalibration: of its voltage, then of its phase.
    fn calibrate(&mut self) -> Result<(), DriverError> {
        for (step, start) in [(0x01, 0x41), (0x02, 0x01)] {
            self.chip.set(SEQUENCE, step)?;
            self.chip.set(SYSRANGE_START, start)?;
            self.wait_for(INTERRUPT_STATUS, READY, "it does not finish its calibration")?;
            self.chip.set(INTERRUPT_CLEAR, 1)?;
            self.chip.set(SYSRANGE_START, 0)?;
        }
        Ok(self.chip.set(SEQUENCE, USUAL_STEPS)?)
    }

    fn sets(&mut self, registers: &[(u8, u8)]) -> Result<(), HardwareError> {
        registers.iter().try_for_each(|(register, value)| self.chip.set(*register, *value))
    }

    fn change(&mut self, register: u8, change: impl FnOnce(u8) -> u8) -> Result<(), HardwareError> {
        let value = self.chip.register(register)?;
        self.chip.set(register, change(value))
    }

    /// Waits until any of these bits is set, for 50 ms at most.
    fn wait_for(&mut self, register: u8, bits: u8, otherwise: &str) -> Result<(), DriverError> {
        for _ in 0..25 {
            if self.chip.register(register)? & bits != 0 {
                return Ok(());
            }
            self.chip.wait(LITTLE);
        }
        Err(DriverError::no_value(self.chip.name(), otherwise))
    }
}

/// The first `count` of the good diodes, the others off. Those behind an aperture begin at 12.
fn enabled(map: [u8; 6], count: u8, aperture: bool) -> [u8; 6] {
    let mut chosen = [0; 6];
    let good = (if aperture { 12 } else { 0 }..48).filter(|diode| map[diode / 8] >> (diode % 8) & 1 == 1);
    for diode in good.take(count.into()) {
        chosen[diode / 8] |= 1 << (diode % 8);
    }
    chosen
}

/// What is left for the last step of a measurement of so many microseconds: in its periods, together with those of the step before it, as
/// the register has it. The other steps take what TUNING gives them.
const fn final_range_timeout(budget: u32) -> u16 {
    /// Periods of the early steps (register 0x46) and of the pre-range (0x51).
    const EARLY: u32 = 0x25 + 1;
    const PRE_RANGE: u32 = 0x96 + 1;
    // Pulses of 14 clocks before the last step and of 10 in it (registers 0x50 and 0x70).
    let (period, last_period) = (period_ns(14), period_ns(10));
    let early = (EARLY * period + period / 2) / 1000;
    let pre_range = (PRE_RANGE * period + period / 2) / 1000;
    // Beginning and end, the early step twice, and what each takes besides.
    let used = 1320 + 960 + 2 * (early + 690) + pre_range + 660 + 550;
    let rest = budget.saturating_sub(used);
    encoded((rest * 1000 + last_period / 2) / last_period + PRE_RANGE)
}

/// Nanoseconds of a macro period, with laser pulses of so many clocks.
const fn period_ns(clocks: u32) -> u32 {
    (2304 * clocks * 1655 + 500) / 1000
}

/// As mantissa · 2^exponent + 1, the exponent in the high byte.
const fn encoded(periods: u32) -> u16 {
    let (mut mantissa, mut exponent) = (periods - 1, 0);
    while mantissa > 0xff {
        mantissa >>= 1;
        exponent += 1;
    }
    exponent << 8 | mantissa as u16
}

/// The distance in a result: status, rates of signal and surroundings, and millimetres.
fn millimetres(result: [u8; 12]) -> Result<f64, String> {
    let [status, _, _, _, _, _, s1, s0, _, _, d1, d0] = result;
    let (signal, distance) = (u16::from_be_bytes([s1, s0]), u16::from_be_bytes([d1, d0]));
    const NOTHING: &str = "it sees nothing within its range; check what it points at, and that its window is clean";
    match status >> 3 & 0xf {
        11 if signal >= LEAST_SIGNAL && (1..2200).contains(&distance) => Ok(distance.into()),
        4 | 5 | 6 | 9 | 11 => Err(NOTHING.to_owned()),
        1..=3 => Err("its laser does not work; switch its power off and on, or replace it".to_owned()),
        7 => Err("what it sees is too noisy; is the sun in its way?".to_owned()),
        8 | 10 | 12 => Err("what it sees is too near".to_owned()),
        other => Err(format!("it has no reliable distance (status {other}); check what it points at")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    fn set(register: u8, value: u8) -> Step {
        i2c(0x29, &[register, value], &[])
    }

    fn get(register: u8, bytes: &[u8]) -> Step {
        i2c(0x29, &[register], bytes)
    }

    fn sets(registers: &[(u8, u8)]) -> Vec<Step> {
        registers.iter().map(|(register, value)| set(*register, *value)).collect()
    }

    /// As the API does it with a chip whose reference are six good diodes behind an aperture.
    fn opening() -> Vec<Step> {
        let mut steps = vec![get(0xc0, &[0xee, 0xaa]), get(0x89, &[0x00]), set(0x89, 0x01), set(0x88, 0x00)];
        steps.extend(sets(&[(0x80, 0x01), (0xff, 0x01), (0x00, 0x00)]));
        steps.push(get(0x91, &[0x3c]));
        steps.extend(sets(&[(0x00, 0x01), (0xff, 0x00), (0x80, 0x00)]));
        steps.extend([get(0x60, &[0x00]), set(0x60, 0x12), i2c(0x29, &[0x44, 0x00, 0x20], &[]), set(0x01, 0xff)]);

        steps.extend(sets(&[(0x80, 0x01), (0xff, 0x01), (0x00, 0x00), (0xff, 0x06)]));
        steps.extend([get(0x83, &[0x00]), set(0x83, 0x04)]);
        steps.extend(sets(&[(0xff, 0x07), (0x81, 0x01), (0x80, 0x01), (0x94, 0x6b), (0x83, 0x00)]));
        steps.extend([get(0x83, &[0x00]), get(0x83, &[0x10]), set(0x83, 0x01), get(0x92, &[0x86])]);
        steps.extend([set(0x81, 0x00), set(0xff, 0x06), get(0x83, &[0x14]), set(0x83, 0x10), set(0xff, 0x01)]);
        steps.extend(sets(&[(0x00, 0x01), (0xff, 0x00), (0x80, 0x00)]));
        steps.push(get(0xb0, &[0xff, 0xff, 0x0e, 0xff, 0xff, 0xff]));
        steps.extend(sets(&[(0xff, 0x01), (0x4f, 0x00), (0x4e, 0x2c), (0xff, 0x00), (0xb6, 0xb4)]));
        steps.push(i2c(0x29, &[0xb0, 0x00, 0xf0, 0x06, 0x00, 0x00, 0x00], &[]));

        steps.extend(sets(&TUNING));
        steps.extend([set(0x0a, 0x04), get(0x84, &[0x11]), set(0x84, 0x01), set(0x0b, 0x01), set(0x01, 0xe8)]);
        steps.push(i2c(0x29, &[0x71, 0x03, 0xb3], &[]));
        for (step, start) in [(0x01, 0x41), (0x02, 0x01)] {
            steps.extend([set(0x01, step), set(0x00, start), get(0x13, &[0x00]), get(0x13, &[0x04])]);
            steps.extend([set(0x0b, 0x01), set(0x00, 0x00)]);
        }
        steps.push(set(0x01, 0xe8));
        steps
    }

    fn read(result: [u8; 12]) -> Result<Vec<f64>, DriverError> {
        let board = Recorded::new(opening());
        board.then([get(0x01, &[0xe8]), set(0x0b, 0x01)]);
        board.then(sets(&[(0x80, 0x01), (0xff, 0x01), (0x00, 0x00), (0x91, 0x3c)]));
        board.then(sets(&[(0x00, 0x01), (0xff, 0x00), (0x80, 0x00), (0x00, 0x01)]));
        board.then([get(0x13, &[0x00]), get(0x13, &[0x44]), get(0x14, &result), set(0x0b, 0x01)]);
        read_once(&ENTRY, "", &board)
    }

    /// A result with this status of the range, signal in 128ths and distance.
    fn result(status: u8, signal: u16, distance: u16) -> [u8; 12] {
        let ([s1, s0], [d1, d0]) = (signal.to_be_bytes(), distance.to_be_bytes());
        [status << 3 | 1, 0, 0x2a, 0, 0, 0, s1, s0, 0, 9, d1, d0]
    }

    #[test]
    fn it_writes_what_sts_program_writes_and_gives_the_distance() {
        assert_near(&read(result(11, 1280, 423)).unwrap(), &[423.0], 0.0);
    }

    #[test]
    fn the_tuning_is_sts() {
        // Nothing else would notice a digit that is wrong: the sum over registers and values as they were compared with ST's.
        let bytes: Vec<u8> = TUNING.iter().flat_map(|(register, value)| [*register, *value]).collect();
        assert_eq!(::crc::Crc::<u16>::new(&::crc::CRC_16_MODBUS).checksum(&bytes), 0xec17);
    }

    #[test]
    fn a_longer_measurement_gives_its_last_step_more() {
        // With what TUNING has for the last step, 0x01fe, a measurement takes 30.7 ms.
        assert_eq!(final_range_timeout(30_717), 0x01fe);
        assert_eq!(final_range_timeout(BUDGET_US), 0x03b3);
        assert_eq!((encoded(1), encoded(256), encoded(257)), (0x0000, 0x00ff, 0x0180));
    }

    #[test]
    fn what_is_no_distance_is_told_apart() {
        for (result, expected) in [
            (result(11, 31, 423), "sees nothing within its range"),
            (result(11, 1280, 8190), "sees nothing"),
            (result(4, 0, 8190), "sees nothing"),
            (result(2, 0, 0), "laser does not work"),
            (result(7, 1280, 423), "too noisy"),
            (result(12, 1280, 0), "too near"),
            (result(0, 0, 0), "status 0"),
            ([0xff; 12], "status 15"),
        ] {
            let error = read(result).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn absence_other_chips_a_loss_of_power_and_endless_waiting_are_errors() {
        let fails = |steps: Vec<Step>| match opened(&ENTRY, "", &Recorded::new(steps)) {
            Ok(mut driver) => driver.read().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(fails(vec![nack(0x29, &[0xc0])]).starts_with("no answer from address 0x29"));
        assert!(fails(vec![get(0xc0, &[0x00, 0x00])]).contains("found id [00, 00] and not [ee, aa]"));
        let mut lost = opening();
        lost.push(get(0x01, &[0xff]));
        assert!(fails(lost).contains("lost its settings"));
        let mut endless = opening();
        let calibrating = endless.iter().position(|step| *step == get(0x13, &[0x04])).unwrap();
        endless.truncate(calibrating);
        endless.extend(vec![get(0x13, &[0x00]); 25]);
        assert!(fails(endless).contains("does not finish its calibration"));
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        assert!(mistakes(&ENTRY, "address = 0x30")[0].hint.contains("it is at 0x29"));
    }
}
