//! BME680 and BME688: temperature, humidity, air pressure, and the resistance of a hot plate that falls with gases in the air.
//!
//! The plate is heated longer than a read may take. So each read takes the resistance that was measured since the last one, measures
//! the air anew, which the plate has then not warmed for a while, and heats for the next read. It sets all it needs each time, so
//! that a chip that lost power for a moment works on.
//!
//! Source: BST-BME680-DS001 revision 1.9, chapters 3 and 5; the BME688 by BST-BME688-DS000 revision 1.3. Own code, since the
//! `bme680` crate panics on a mode that it does not know, waits for sleep without an end, and takes a BME688 for a BME680.

use std::time::Duration;

use super::{Channel, Driver, DriverError, Entry, SensorConfig, bosch};
use crate::config::Section;
use crate::hardware::{Hardware, HardwareError, I2cDevice};
use crate::model::Quantity;
use crate::wiring::{OnI2c, Wiring};

mod compensation;

use compensation::Calibration;

const ABOUT: &str = "\
- Range: -40 to 85 °C (±1 °C), 0 to 100 % (±3 %), 300 to 1100 hPa (±1 hPa); Ω without a scale: less is more gas.
- Wiring: 3.3 V, ground, SDA to GPIO 2, SCL to GPIO 3; `dtparam=i2c_arm=on` in `/boot/firmware/config.txt`.
- Address: 0x76 with SDO to ground, 0x77 with SDO to 3.3 V, as most boards have it; `i2cdetect -y 1` shows it.
- Gas: the plate is 320 °C hot for 0.15 s of each `every`, and warms the chip by a degree at 3 s; `gas = false` leaves it cold. A new
  one takes two days until its resistance is steady, and half an hour after each start. There is no index of air quality here.
- Trouble: silicone and its vapours spoil the plate for good.
";

pub(super) const ENTRY: Entry = Entry {
    name: "bme680",
    summary: "temperature, humidity, air pressure and gas, I²C: BME680, BME688",
    about: ABOUT,
    example: r#"
[sensors.air]
driver = "bme680"
bus = 1
address = 0x77
every = "10s"
"#,
    read,
};

#[derive(Debug, Clone)]
struct Config {
    place: OnI2c,
    gas: bool,
}

fn read(section: &Section<'_>) -> Option<Box<dyn SensorConfig>> {
    let place = OnI2c::read(section, "BME680", &[(0x77, "SDO to 3.3 V"), (0x76, "SDO to ground")]);
    let gas = if section.has("gas") { section.optional("gas") } else { Some(true) };
    Some(Box::new(Config { place: place?, gas: gas? }))
}

const CHANNELS: &[Channel] = &[
    Channel { name: "temperature", quantity: Quantity::Temperature },
    Channel { name: "humidity", quantity: Quantity::Humidity },
    Channel { name: "pressure", quantity: Quantity::Pressure },
    Channel { name: "resistance", quantity: Quantity::Resistance },
];

impl SensorConfig for Config {
    fn channels(&self) -> &[Channel] {
        if self.gas { CHANNELS } else { &CHANNELS[..3] }
    }

    fn wiring(&self) -> Wiring {
        self.place.wiring()
    }

    fn open(&self, hardware: &dyn Hardware) -> Result<Box<dyn Driver>, DriverError> {
        let mut chip = self.place.open(hardware)?;
        bosch::check_id(&mut chip, "BME680", &[bosch::BME680])?;
        chip.set(register::RESET, SOFT_RESET)?;
        chip.wait(STARTING);
        let variant = match chip.register(register::VARIANT)? {
            0 => &BME680,
            1 => &BME688,
            other => {
                let found = format!("its variant is {other:#04x}, and only 0 (BME680) and 1 (BME688) are known");
                return Err(DriverError::wrong_chip(chip.name(), found));
            }
        };
        let calibration = Calibration::parse(
            &chip.registers(register::CALIBRATION_1)?,
            &chip.registers(register::CALIBRATION_2)?,
            &chip.registers(register::CALIBRATION_3)?,
        );
        if !calibration.trimming.is_plausible() {
            let what = "its calibration is empty; check the wiring, or the chip is broken";
            return Err(DriverError::corrupt(chip.name(), what));
        }
        let mut driver = Bme680 { chip, calibration, variant, gas: self.gas };
        if self.gas {
            let [celsius, ..] = driver.air()?;
            driver.heat(celsius)?;
            driver.chip.wait(HEATING);
        }
        Ok(Box::new(driver))
    }
}

/// The memory map (5.2).
mod register {
    pub const CALIBRATION_3: u8 = 0x00;
    /// Status, raw numbers and gas, in one piece.
    pub const FIELD: u8 = 0x1d;
    pub const RES_HEAT_0: u8 = 0x5a;
    pub const GAS_WAIT_0: u8 = 0x64;
    pub const CTRL_GAS_0: u8 = 0x70;
    pub const CTRL_GAS_1: u8 = 0x71;
    pub const CTRL_HUM: u8 = 0x72;
    pub const CTRL_MEAS: u8 = 0x74;
    pub const CALIBRATION_1: u8 = 0x8a;
    pub const RESET: u8 = 0xe0;
    pub const CALIBRATION_2: u8 = 0xe1;
    pub const VARIANT: u8 = 0xf0;
}

const SOFT_RESET: u8 = 0xb6;
/// Each quantity once. The filter is off after the reset.
const HUMIDITY_ONCE: u8 = 0b001;
const FORCED_ONCE: u8 = 0b001 << 5 | 0b001 << 2 | 0b01;
/// In the status: there is a new measurement.
const NEW: u8 = 0x80;
/// In the status: it measures the gas, or anything.
const MEASURING: u8 = 0x60;
/// In the low byte of the gas: it was measured, and the plate was as hot as it should be.
const VALID_AND_HOT: u8 = 0x30;
/// The plate's °C, and how long it is heated: 37 times 4 ms (5.3.3).
const TARGET: f64 = 320.0;
const FOR_148_MS: u8 = 0b01 << 6 | 37;
/// Table 1 has 2 ms; Bosch's own driver waits for 10.
const STARTING: Duration = Duration::from_millis(10);
/// Three conversions, the switching between them, and waking up.
const CONVERTING: Duration = Duration::from_millis(11);
/// The same, the heating, and the gas.
const HEATING: Duration = Duration::from_millis(180);
const A_LITTLE_MORE: Duration = Duration::from_millis(2);

/// In what a BME688 differs.
struct Variant {
    /// In `CTRL_GAS_1`: measure the gas too.
    run_gas: u8,
    /// Where the gas is in the field.
    gas: usize,
    ohm: fn(&Calibration, u16, u8) -> f64,
}

const BME680: Variant = Variant { run_gas: 0x10, gas: 13, ohm: Calibration::ohm };
const BME688: Variant =
    Variant { run_gas: 0x20, gas: 15, ohm: |_, raw, range| compensation::ohm_of_bme688(raw, range) };

struct Bme680 {
    chip: I2cDevice,
    calibration: Calibration,
    variant: &'static Variant,
    gas: bool,
}

impl Driver for Bme680 {
    fn read(&mut self) -> Result<Vec<f64>, DriverError> {
        if !self.gas {
            return Ok(self.air()?.to_vec());
        }
        let ohm = self.ohm()?;
        let [celsius, percent, hectopascal] = self.air()?;
        // Even where there was no value: there may be one next time.
        self.heat(celsius)?;
        let Some(ohm) = ohm else {
            let what =
                "its plate did not become hot, or it lost its power for a moment; `gas = false` does without the plate";
            return Err(DriverError::no_value(self.chip.name(), what));
        };
        Ok(vec![celsius, percent, hectopascal, ohm])
    }
}

impl Bme680 {
    /// Measures °C, % and hPa.
    fn air(&mut self) -> Result<[f64; 3], DriverError> {
        self.start(0)?;
        self.chip.wait(CONVERTING);
        let Some(field) = self.field("it does not finish its measurement; switch its power off and on")? else {
            let what = "it has not measured; it may have lost its power for a moment";
            return Err(DriverError::no_value(self.chip.name(), what));
        };
        let [_, _, p0, p1, p2, t0, t1, t2, h0, h1, ..] = field;
        let (temperature, pressure) = (bosch::twenty([t0, t1, t2]), bosch::twenty([p0, p1, p2]));
        let (celsius, pascal) = self.calibration.trimming.celsius_and_pascal(temperature, pressure);
        if !bosch::is_measurable(celsius, pascal) {
            let what = format!("{celsius:.1} °C or {pascal:.0} Pa is outside what it can measure; check its wiring");
            return Err(DriverError::corrupt(self.chip.name(), what));
        }
        Ok([celsius, self.calibration.percent(u16::from_be_bytes([h0, h1]), celsius), pascal / 100.0])
    }

    /// Begins to heat the plate and to measure its resistance, in air of this temperature.
    fn heat(&mut self, celsius: f64) -> Result<(), HardwareError> {
        self.chip.set(register::CTRL_GAS_0, 0)?;
        self.chip.set(register::RES_HEAT_0, self.calibration.heater(TARGET, celsius))?;
        self.chip.set(register::GAS_WAIT_0, FOR_148_MS)?;
        self.start(self.variant.run_gas)
    }

    /// The Ω that were measured since; `None` if there was no measurement, or a cold plate.
    fn ohm(&mut self) -> Result<Option<f64>, DriverError> {
        let Some(field) = self.field("its plate is still heated; read it every second at most")? else {
            return Ok(None);
        };
        let (high, low) = (field[self.variant.gas], field[self.variant.gas + 1]);
        let raw = u16::from(high) << 2 | u16::from(low >> 6);
        let hot = low & VALID_AND_HOT == VALID_AND_HOT;
        Ok(hot.then(|| (self.variant.ohm)(&self.calibration, raw, low & 0x0f)))
    }

    fn start(&mut self, run_gas: u8) -> Result<(), HardwareError> {
        self.chip.set(register::CTRL_HUM, HUMIDITY_ONCE)?;
        self.chip.set(register::CTRL_GAS_1, run_gas)?;
        self.chip.set(register::CTRL_MEAS, FORCED_ONCE)
    }

    /// What was measured, waiting a little where it is not ready; `None` if nothing was.
    fn field(&mut self, otherwise: &str) -> Result<Option<[u8; 17]>, DriverError> {
        for _ in 0..10 {
            let field: [u8; 17] = self.chip.registers(register::FIELD)?;
            if field[0] & MEASURING == 0 {
                return Ok((field[0] & NEW != 0).then_some(field));
            }
            self.chip.wait(A_LITTLE_MORE);
        }
        Err(DriverError::no_value(self.chip.name(), otherwise))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, mistakes, opened, read_once};
    use super::*;
    use crate::hardware::recorded::{Recorded, Step, i2c, nack};

    /// The trimming of a real chip, of which Bosch's integer form gives 26.69 °C, 42.402 %, 987.12 hPa and 12.94686 MΩ of what follows.
    pub(super) const EXAMPLE: ([u8; 23], [u8; 14], [u8; 5]) = (
        [
            0x65, 0x67, 0x03, 0x00, 0x41, 0x8f, 0xed, 0xd6, 0x58, 0x00, 0x8e, 0x1c, 0x7f, 0xff, 0x2e, 0x1e, 0x00, 0x00,
            0x97, 0xf3, 0xb5, 0xf6, 0x1e,
        ],
        [0x40, 0x54, 0x2a, 0x00, 0x2d, 0x14, 0x78, 0x9c, 0xb9, 0x65, 0x4e, 0x9f, 0xe2, 0x12],
        [0x30, 0x00, 0x10, 0x00, 0x00],
    );

    /// Status, raw numbers, and the low byte of the gas where a BME680 and a BME688 have it.
    fn field(status: u8, gas: (u8, u8)) -> [u8; 17] {
        let mut field = [0; 17];
        field[..10].copy_from_slice(&[status, 0, 0x56, 0x4c, 0xd0, 0x7a, 0x5f, 0x80, 0x4a, 0x4b]);
        (field[14], field[16]) = gas;
        field
    }

    fn set(register: u8, value: u8) -> Step {
        i2c(0x77, &[register, value], &[])
    }

    fn found(variant: u8) -> [Step; 6] {
        [
            i2c(0x77, &[0xd0], &[0x61]),
            set(0xe0, 0xb6),
            i2c(0x77, &[0xf0], &[variant]),
            i2c(0x77, &[0x8a], &EXAMPLE.0),
            i2c(0x77, &[0xe1], &EXAMPLE.1),
            i2c(0x77, &[0x00], &EXAMPLE.2),
        ]
    }

    fn air() -> [Step; 4] {
        [set(0x72, 0x01), set(0x71, 0x00), set(0x74, 0x25), i2c(0x77, &[0x1d], &field(0x80, (0, 0)))]
    }

    fn heating(run_gas: u8) -> [Step; 6] {
        [set(0x70, 0x00), set(0x5a, 106), set(0x64, 0x65), set(0x72, 0x01), set(0x71, run_gas), set(0x74, 0x25)]
    }

    /// A chip that was found and heats, and has this when it is asked.
    fn heated(variant: u8, run_gas: u8, fields: &[[u8; 17]]) -> Recorded {
        let board = Recorded::new(found(variant));
        board.then(air());
        board.then(heating(run_gas));
        board.then(fields.iter().map(|field| i2c(0x77, &[0x1d], field)));
        board
    }

    #[test]
    fn both_chips_give_what_the_integer_form_has() {
        for (variant, run_gas, gas, ohm) in
            [(0, 0x10, (0x30, 0x00), 12_946_860.0), (1, 0x20, (0x00, 0x30), 102_400_000.0)]
        {
            let board = heated(variant, run_gas, &[field(0xe0, (0, 0)), field(0x80, gas)]);
            board.then(air());
            board.then(heating(run_gas));
            let values = read_once(&ENTRY, "", &board).unwrap();
            assert_near(&values[..3], &[26.69, 42.402, 987.12], 0.05);
            assert_near(&values[3..], &[ohm], 10.0);
            assert!(board.waited() >= STARTING + 2 * CONVERTING + HEATING);
        }
    }

    #[test]
    fn without_gas_the_plate_stays_cold() {
        let board = Recorded::new(found(0));
        board.then(air());
        assert_near(&read_once(&ENTRY, "gas = false", &board).unwrap(), &[26.69, 42.402, 987.12], 0.05);
    }

    #[test]
    fn a_cold_plate_or_a_loss_of_power_is_an_error_and_the_next_read_is_well() {
        for bad in [field(0x80, (0x20, 0)), field(0x80, (0x10, 0)), field(0x00, (0x30, 0))] {
            let board = heated(0, 0x10, &[bad]);
            for _ in 0..2 {
                board.then(air());
                board.then(heating(0x10));
                board.then([i2c(0x77, &[0x1d], &field(0x80, (0x30, 0)))]);
            }
            let mut driver = opened(&ENTRY, "", &board).unwrap();
            let error = driver.read().unwrap_err().to_string();
            assert!(error.contains("its plate did not become hot, or it lost its power"), "{error}");
            assert_eq!(driver.read().unwrap().len(), 4);
        }
    }

    #[test]
    fn what_never_ends_or_cannot_be_is_no_value() {
        let board = heated(0, 0x10, &[field(0x60, (0, 0)); 10]);
        let error = read_once(&ENTRY, "", &board).unwrap_err().to_string();
        assert!(error.contains("read it every second at most"), "{error}");

        let mut ones = [0xff; 17];
        ones[0] = NEW;
        for (last, expected) in [(field(0, (0, 0)), "it has not measured"), (ones, "is outside")] {
            let board = Recorded::new(found(0));
            board.then(air().into_iter().take(3));
            board.then([i2c(0x77, &[0x1d], &last)]);
            let error = read_once(&ENTRY, "gas = false", &board).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn another_chip_and_absence_are_errors() {
        let error = opened(&ENTRY, "", &Recorded::new([i2c(0x77, &[0xd0], &[0x60])])).err().unwrap().to_string();
        assert!(error.contains("which is a BME280; use driver = \"bme280\""), "{error}");

        let error = opened(&ENTRY, "", &Recorded::new(found(7).into_iter().take(3))).err().unwrap().to_string();
        assert!(error.contains("its variant is 0x07"), "{error}");

        let error = opened(&ENTRY, "", &Recorded::new([nack(0x77, &[0xd0])])).err().unwrap().to_string();
        assert_eq!(error, "no answer from address 0x77 on I²C bus 1: check its wiring, its power and its address");
    }

    #[test]
    fn mistakes_are_told_with_what_would_do() {
        assert!(mistakes(&ENTRY, "address = 0x75")[0].hint.contains("0x76 (SDO to ground)"));
        assert!(mistakes(&ENTRY, "gas = 3")[0].message.contains("`gas`"));
    }
}
