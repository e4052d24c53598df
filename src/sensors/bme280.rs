//! BME280: temperature, humidity and air pressure on I²C.
//!
//! It measures once for each read (forced mode) and sleeps between, which keeps it cool. Each read sets all it needs
//! again, so that a chip that lost power for a moment works on.
//!
//! Source: BST-BME280-DS001 revision 1.23; chapter and table numbers are of that. The compensation stands in `compensation.rs`.
//! Own code, since the `bme280` crate neither tells a skipped measurement from a value nor a
//! BMP280 from a BME280, clamps what is out of range to something plausible, and does not wait for the chip's status.

use std::time::Duration;

use embedded_hal::i2c::Operation;

use super::bosch::{self, SKIPPED};
use super::{Channel, Driver, DriverError, Entry, SensorConfig};
use crate::config::Section;
use crate::hardware::simulated::{Chip, I2cChip, Probe};
use crate::hardware::{Hardware, HardwareError, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

mod compensation;

use compensation::{Calibration, Raw};

const ABOUT: &str = "\
- Range: -40 to 85 °C (±1 °C; it warms itself a little), 0 to 100 % (±3 %), 300 to 1100 hPa (±1 hPa).
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
  Address 0x76 with SDO to ground, 0x77 with SDO to 3.3 V; `i2cdetect -y 1` shows it.
- Trouble: many boards sold as BME280 carry a BMP280, which has no humidity. The driver says so; `bmp280` is for it.
";

pub(super) const ENTRY: Entry = Entry {
    name: "bme280",
    summary: "temperature, humidity and air pressure, I²C",
    about: ABOUT,
    example: r#"
[sensors.air]
driver = "bme280"
bus = 1
address = 0x76
every = "5s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config(OnI2c);

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let addresses = [(0x76, "SDO to ground"), (0x77, "SDO to 3.3 V")];
    Some(Box::new(Config(OnI2c::read(section, "BME280", &addresses)?)))
}

const CHANNELS: &[Channel] = &[
    Channel { name: "temperature", quantity: Quantity::Temperature },
    Channel { name: "humidity", quantity: Quantity::Humidity },
    Channel { name: "pressure", quantity: Quantity::Pressure },
];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        CHANNELS
    }

    fn wiring(&self) -> Wiring {
        self.0.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut chip = self.0.open(hardware)?;
        bosch::check_id(&mut chip, "BME280", &[bosch::BME280])?;
        chip.set(register::RESET, SOFT_RESET)?;
        bosch::wait_until_clear(&mut chip, STARTING, UPDATING, "it does not come back from its reset")?;
        chip.set(register::CONFIG, 0)?;
        let (one, two) = (chip.registers(register::CALIBRATION_1)?, chip.registers(register::CALIBRATION_2)?);
        let calibration = Calibration::parse(&one, &two);
        if !calibration.trimming.is_plausible() {
            let what = "its calibration is empty; check the wiring, or the chip is broken";
            return Err(DriverError::corrupt(chip.name(), what));
        }
        Ok(Box::new(Bme280 { chip, calibration }))
    }

    fn chip(&self) -> Option<Chip> {
        Some(Chip::I2c { bus: self.0.bus, address: self.0.address, model: Box::new(Model::new(bosch::BME280, SAMPLE)) })
    }
}

/// Table 18.
mod register {
    pub const CALIBRATION_1: u8 = 0x88;
    pub const RESET: u8 = 0xe0;
    pub const CALIBRATION_2: u8 = 0xe1;
    pub const CTRL_HUM: u8 = 0xf2;
    pub const STATUS: u8 = 0xf3;
    pub const CTRL_MEAS: u8 = 0xf4;
    pub const CONFIG: u8 = 0xf5;
    pub const DATA: u8 = 0xf7;
}

const SOFT_RESET: u8 = 0xb6;
/// It converts.
const MEASURING: (u8, u8) = (register::STATUS, 0x08);
/// It copies its calibration after a reset.
const UPDATING: (u8, u8) = (register::STATUS, 0x01);
/// Each quantity once, without the filter, as for "weather monitoring" (3.5.1).
const HUMIDITY_ONCE: u8 = 0b001;
const FORCED_ONCE: u8 = 0b001 << 5 | 0b001 << 2 | 0b01;
/// At most (table 1).
const STARTING: Duration = Duration::from_millis(2);
/// The longest that such a measurement takes, by the formula of 9.1: 1.25 + 2.3 + 2.3 + 0.575 + 2.3 + 0.575 ms.
const CONVERTING: Duration = Duration::from_millis(10);
/// What the humidity holds when it was not measured (3.4.1 to 3.4.3, and after a reset).
const SKIPPED_HUMIDITY: u16 = 0x8000;

struct Bme280 {
    chip: I2cDevice,
    calibration: Calibration,
}

impl Driver for Bme280 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        let raw = self.measure()?;
        let Some(values) = self.calibration.compensate(raw) else {
            return Err(DriverError::corrupt(self.chip.name(), "a value is outside what the chip can measure"));
        };
        Ok(vec![values.celsius, values.percent, values.pascal / 100.0])
    }
}

impl Bme280 {
    fn measure(&mut self) -> Result<Raw, DriverError> {
        // CTRL_HUM counts only once CTRL_MEAS was written (5.4.3).
        self.chip.set(register::CTRL_HUM, HUMIDITY_ONCE)?;
        self.chip.set(register::CTRL_MEAS, FORCED_ONCE)?;
        bosch::wait_until_clear(&mut self.chip, CONVERTING, MEASURING, "it does not finish its measurement")?;
        let raw = Raw::parse(self.chip.registers(register::DATA)?);
        let skipped = [raw.temperature == SKIPPED, raw.pressure == SKIPPED, raw.humidity == SKIPPED_HUMIDITY];
        // One of these codes may also be a value: 0x8000 lies in the midst of what is usual for the humidity.
        if skipped.contains(&true) && (skipped == [true; 3] || !self.was_told_to_measure()?) {
            let what = "it has not measured; it may have lost its power for a moment";
            return Err(DriverError::no_value(self.chip.name(), what));
        }
        Ok(raw)
    }

    /// A chip that has lost its power since has lost its settings too.
    fn was_told_to_measure(&mut self) -> Result<bool, DriverError> {
        let (humidity, others) = (self.chip.register(register::CTRL_HUM)?, self.chip.register(register::CTRL_MEAS)?);
        // The last two bits are the mode, which goes back to sleep.
        Ok(humidity & 0b111 == HUMIDITY_ONCE && others >> 2 == FORCED_ONCE >> 2)
    }
}

/// The trimming of the simulated chip, as in its registers: temperature and pressure are the datasheet's example.
const SAMPLE: ([u8; 26], [u8; 7]) = (
    [
        0x70, 0x6b, 0x43, 0x67, 0x18, 0xfc, 0x7d, 0x8e, 0x43, 0xd6, 0xd0, 0x0b, 0x27, 0x0b, 0x8c, 0x00, 0xf9, 0xff,
        0x8c, 0x3c, 0xf8, 0xc6, 0x70, 0x17, 0x00, 0x4b,
    ],
    [0x6c, 0x01, 0x00, 0x13, 0x2b, 0x03, 0x1e],
);

/// The chip in the simulated world.
struct Model {
    registers: [u8; 256],
    pointer: u8,
    /// CTRL_HUM as it counts.
    humidity: u8,
    calibration: Calibration,
}

impl Model {
    fn new(id: u8, (one, two): ([u8; 26], [u8; 7])) -> Self {
        let mut registers = [0; 256];
        registers[usize::from(bosch::ID)] = id;
        registers[usize::from(register::CALIBRATION_1)..][..26].copy_from_slice(&one);
        registers[usize::from(register::CALIBRATION_2)..][..7].copy_from_slice(&two);
        let mut model = Self { registers, pointer: 0, humidity: 0, calibration: Calibration::parse(&one, &two) };
        model.reset();
        model
    }

    fn reset(&mut self) {
        for register in [register::CTRL_HUM, register::CTRL_MEAS, register::CONFIG] {
            self.registers[usize::from(register)] = 0;
        }
        self.humidity = 0;
        self.store(SKIPPED, SKIPPED, SKIPPED_HUMIDITY);
    }

    fn write(&mut self, register: u8, value: u8, probe: &mut dyn Probe) {
        match register {
            register::RESET if value == SOFT_RESET => self.reset(),
            register::CTRL_HUM | register::CONFIG => self.registers[usize::from(register)] = value,
            register::CTRL_MEAS => {
                self.humidity = self.registers[usize::from(register::CTRL_HUM)] & 0b111;
                self.registers[usize::from(register)] = value & !0b11;
                if value & 0b11 != 0 {
                    self.measure(value, probe);
                }
            }
            _ => {}
        }
    }

    /// The raw values for which the compensation gives what is felt, found by halving.
    fn measure(&mut self, ctrl_meas: u8, probe: &mut dyn Probe) {
        let cal = self.calibration;
        let [celsius, percent, hectopascal] =
            CHANNELS.iter().map(|channel| probe.feel(channel.quantity)).collect::<Vec<_>>()[..]
        else {
            return;
        };
        let temperature = lowest(0xfffff, |raw| bosch::celsius(cal.trimming.fine(raw)) >= celsius);
        let fine = cal.trimming.fine(temperature);
        let pressure = lowest(0xfffff, |raw| cal.trimming.pascal(raw, fine) <= hectopascal * 100.0);
        let humidity = lowest(0xffff, |raw| cal.percent(raw as u16, fine) >= percent) as u16;
        let on = |sampling: u8| sampling != 0;
        self.store(
            if on(ctrl_meas >> 2 & 0b111) { pressure } else { SKIPPED },
            if on(ctrl_meas >> 5) { temperature } else { SKIPPED },
            if on(self.humidity) { humidity } else { SKIPPED_HUMIDITY },
        );
    }

    fn store(&mut self, pressure: u32, temperature: u32, humidity: u16) {
        let [_, p0, p1, p2] = (pressure << 4).to_be_bytes();
        let [_, t0, t1, t2] = (temperature << 4).to_be_bytes();
        let [h0, h1] = humidity.to_be_bytes();
        self.registers[usize::from(register::DATA)..][..8].copy_from_slice(&[p0, p1, p2, t0, t1, t2, h0, h1]);
    }
}

/// The lowest number up to `end` that fits, where all above it fit too; `end` if none does.
fn lowest(end: u32, fits: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = low.midpoint(high);
        if fits(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

impl I2cChip for Model {
    fn transaction(&mut self, operations: &mut [Operation<'_>], probe: &mut dyn Probe) -> Result<(), HardwareError> {
        for operation in operations {
            match operation {
                // Pairs of a register and a value; a register alone is where a read begins (6.2.1).
                Operation::Write(bytes) => {
                    for pair in bytes.chunks(2) {
                        match *pair {
                            [register, value] => self.write(register, value, probe),
                            [register] => self.pointer = register,
                            _ => {}
                        }
                    }
                }
                Operation::Read(buffer) => {
                    for byte in buffer.iter_mut() {
                        *byte = self.registers[usize::from(self.pointer)];
                        self.pointer = self.pointer.wrapping_add(1);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing;
    use super::*;

    /// The BMP280 datasheet's worked example (3.12), whose formulas and registers are the same.
    const EXAMPLE: Raw = Raw { temperature: 519_888, pressure: 415_148, humidity: 0x7000 };

    fn sample() -> Calibration {
        Calibration::parse(&SAMPLE.0, &SAMPLE.1)
    }

    /// A chip that converts for ever, never, or to what it is told.
    struct Told {
        model: Model,
        status: u8,
        data: Option<Raw>,
        /// Before its data are read.
        loses_power: bool,
    }

    impl I2cChip for Told {
        fn transaction(
            &mut self,
            operations: &mut [Operation<'_>],
            probe: &mut dyn Probe,
        ) -> Result<(), HardwareError> {
            if let Some(raw) = self.data {
                let reading = matches!(operations, [Operation::Write([register::DATA]), ..]);
                if reading && self.loses_power {
                    self.model.reset();
                }
                if reading {
                    self.model.store(raw.pressure, raw.temperature, raw.humidity);
                }
            }
            self.model.registers[usize::from(register::STATUS)] = self.status;
            self.model.transaction(operations, probe)
        }
    }

    /// Opens the driver on a chip and reads once.
    fn read_from(model: impl I2cChip + 'static) -> Result<Vec<f64>, DriverError> {
        let hardware = testing::world();
        hardware.plug(Chip::I2c { bus: 1, address: 0x76, model: Box::new(model) }, "air");
        at(0x76).open(&hardware)?.read()
    }

    fn at(address: u8) -> Config {
        Config(OnI2c { chip: "BME280", bus: 1, address })
    }

    fn told(data: Raw) -> Told {
        Told { model: Model::new(bosch::BME280, SAMPLE), status: 0, data: Some(data), loses_power: false }
    }

    #[test]
    fn the_trimming_is_the_datasheets() {
        let cal = sample();
        let trimming = cal.trimming;
        assert_eq!((trimming.t1, trimming.t2, trimming.t3), (27504.0, 26435.0, -1000.0));
        assert_eq!(trimming.p1, 36477.0);
        assert_eq!(trimming.p, [-10685.0, 3024.0, 2855.0, 140.0, -7.0, 15500.0, -14600.0, 6000.0]);
        assert_eq!((cal.h1, cal.h2, cal.h3, cal.h4, cal.h5, cal.h6), (75.0, 364.0, 0.0, 315.0, 50.0, 30.0));
    }

    #[test]
    fn the_datasheets_example_comes_through_the_driver() {
        let values = read_from(told(EXAMPLE)).unwrap();
        assert!((values[0] - 25.08).abs() < 0.005, "{values:?}");
        assert!((values[2] - 1006.5327).abs() < 0.0005, "{values:?}");
    }

    /// Bosch's integer form of the humidity (4.2.3), another way to the same number.
    fn integer_percent(cal: &Calibration, raw: u16, fine: i32) -> f64 {
        let [h1, h2, h3, h4, h5, h6] = [cal.h1, cal.h2, cal.h3, cal.h4, cal.h5, cal.h6].map(|h| h as i32);
        let v = fine - 76800;
        let left = ((i32::from(raw) << 14) - (h4 << 20) - h5 * v + 16384) >> 15;
        let right = ((((((v * h6) >> 10) * (((v * h3) >> 11) + 32768)) >> 10) + 2_097_152) * h2 + 8192) >> 14;
        let x = left * right;
        let x = x - (((((x >> 15) * (x >> 15)) >> 7) * h1) >> 4);
        f64::from(x.clamp(0, 419_430_400) >> 12) / 1024.0
    }

    proptest! {
        #[test]
        fn humidity_agrees_with_the_integer_form(raw in 20_000..45_000u16, celsius in 0.0..50.0f64) {
            let fine = celsius * 5120.0;
            let (float, integer) = (sample().percent(raw, fine), integer_percent(&sample(), raw, fine as i32));
            prop_assert!((float - integer).abs() < 0.05, "{} {}", float, integer);
        }

        #[test]
        fn the_simulated_chip_reads_what_it_feels(
            celsius in -39.0..84.0f64,
            percent in 1.0..99.0f64,
            hectopascal in 301.0..1099.0f64,
        ) {
            let values = testing::in_room(&ENTRY, "", celsius, percent, hectopascal).unwrap();
            prop_assert!((values[0] - celsius).abs() < 0.02, "{:?}", values);
            prop_assert!((values[1] - percent).abs() < 0.1, "{:?}", values);
            prop_assert!((values[2] - hectopascal).abs() < 0.1, "{:?}", values);
        }

        #[test]
        fn no_bytes_make_it_panic_or_lie(bytes in prop::collection::vec(any::<u8>(), 41)) {
            let (one, two) = (bytes[..26].try_into().unwrap(), bytes[26..33].try_into().unwrap());
            let raw = Raw::parse(bytes[33..].try_into().unwrap());
            if let Some(values) = Calibration::parse(&one, &two).compensate(raw) {
                prop_assert!((-40.0..=85.0).contains(&values.celsius));
            }
        }
    }

    #[test]
    fn a_skipped_measurement_is_no_value() {
        let none = Raw { temperature: SKIPPED, pressure: SKIPPED, humidity: SKIPPED_HUMIDITY };
        assert!(matches!(read_from(told(none)), Err(DriverError::NoValue { .. })));
        for raw in [
            Raw { temperature: SKIPPED, ..EXAMPLE },
            Raw { pressure: SKIPPED, ..EXAMPLE },
            Raw { humidity: SKIPPED_HUMIDITY, ..EXAMPLE },
        ] {
            let after_a_loss = read_from(Told { loses_power: true, ..told(raw) });
            assert!(matches!(after_a_loss, Err(DriverError::NoValue { .. })), "{raw:?}");
            // A chip that was told to measure all may well have measured just that.
            assert_eq!(read_from(told(raw)).unwrap().len(), 3, "{raw:?}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_is_an_error() {
        let hot = Raw { temperature: 0xfffff, ..EXAMPLE };
        assert!(matches!(read_from(told(hot)), Err(DriverError::Corrupt { .. })));
    }

    #[test]
    fn a_chip_that_never_finishes_is_waited_for_only_so_long() {
        let busy =
            Told { model: Model::new(bosch::BME280, SAMPLE), status: MEASURING.1, data: None, loses_power: false };
        let error = read_from(busy).unwrap_err().to_string();
        assert!(error.contains("does not finish"), "{error}");
    }

    #[test]
    fn another_chip_is_called_by_its_name() {
        for (id, expected) in [(0x58, "BMP280"), (0x61, "BME680"), (0x00, "wiring"), (0x42, "i2cdetect")] {
            let error = read_from(Model::new(id, SAMPLE)).unwrap_err();
            assert!(matches!(&error, DriverError::WrongChip { .. }), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn an_empty_calibration_is_refused() {
        let error = read_from(Model::new(bosch::BME280, ([0; 26], [0; 7]))).unwrap_err();
        assert!(matches!(error, DriverError::Corrupt { .. }), "{error}");
    }

    #[test]
    fn nobody_at_the_address_is_said_plainly() {
        let error = at(0x77).open(&testing::world()).err().unwrap();
        assert!(error.to_string().starts_with("no answer from address 0x77 on I²C bus 1"), "{error}");
    }

    #[test]
    fn only_its_two_addresses_are_taken() {
        assert_eq!(testing::mistakes(&ENTRY, "address = 0x77"), []);
        let found = testing::mistakes(&ENTRY, "address = 0x48");
        assert!(found.len() == 1 && found[0].hint.contains("0x77"), "{found:?}");
    }
}
