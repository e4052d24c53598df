//! The simulated board as a whole: what its lines do, what goes wrong on purpose, and what is written down.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use embedded_hal::i2c::I2c as _;

use super::*;
use crate::hardware::lane::Gate;
use crate::model::Timestamp;

/// A chip that gives a temperature in thousandths of a degree.
struct Thermometer;

impl I2cChip for Thermometer {
    fn transaction(&mut self, operations: &mut [Operation<'_>], probe: &mut dyn Probe) -> Result<(), HardwareError> {
        for operation in operations {
            if let Operation::Read(buffer) = operation {
                buffer.copy_from_slice(&((probe.feel(Quantity::Temperature) * 1000.0) as i32).to_be_bytes());
            }
        }
        Ok(())
    }
}

impl OneWireChip for Thermometer {
    fn read(&mut self, _: &str, probe: &mut dyn Probe) -> Result<String, HardwareError> {
        Ok(probe.feel(Quantity::Temperature).to_string())
    }
}

const HOUSE: &str = r#"
    [plants.house]
    kind = "room"
    initial = 8
    outdoor = 8
    heat_capacity = 60000
    heat_loss = 50
    heater = { output = "heater", power = 1000 }
    fan = { output = "fan", exchange = 50 }
    [probes]
    air = { plant = "house", noise = 0.1 }
"#;

/// A house with a thermometer on each bus, a heater on pin 17 and a fan on channel 0.
fn house(seed: u64) -> Simulated {
    let (config, found) = config::tests::read(&format!("seed = {seed}\n{HOUSE}"));
    assert_eq!(found, []);
    let world = Simulated::new(config.unwrap(), Clock::simulated(Timestamp::from_millis(0)));
    world.plug(Chip::I2c { bus: 1, address: 0x10, model: Box::new(Thermometer) }, "air");
    world.plug(Chip::OneWire { id: "28-1".to_owned(), model: Box::new(Thermometer) }, "tank");
    world.wire(&OutputId::new("heater").unwrap(), Actuator::Pin(17));
    world.wire(&OutputId::new("fan").unwrap(), Actuator::Pwm(0));
    world
}

const AIR: Claim = Claim::I2c { bus: 1, address: 0x10 };

fn millidegrees(bus: &mut I2c) -> Result<i32, HardwareError> {
    let mut bytes = [0; 4];
    bus.read(0x10, &mut bytes)?;
    Ok(i32::from_be_bytes(bytes))
}

fn panics(deed: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(deed)).is_err()
}

#[tokio::test(start_paused = true)]
async fn a_heated_room_goes_to_where_its_loss_takes_all_the_heat() {
    let world = house(1);
    let mut heater = world.output(17, Active::Low, false).unwrap();
    tokio::time::advance(Duration::from_secs(1000)).await;
    assert_eq!(world.truth("house", Quantity::Temperature), 8.0);

    heater.set(true).unwrap();
    tokio::time::advance(Duration::from_secs(1200)).await;
    let expected = 8.0 + 20.0 * (1.0 - (-1.0f64).exp());
    assert!((world.truth("house", Quantity::Temperature) - expected).abs() < 1e-9);

    world.pwm(0, 1000.0, Level::ON).unwrap();
    tokio::time::advance(Duration::from_secs(36_000)).await;
    assert!((world.truth("house", Quantity::Temperature) - 18.0).abs() < 1e-6, "half the rise at twice the loss");
    assert!(world.truth("house", Quantity::Moisture).is_nan());
    assert!(world.truth("garden", Quantity::Temperature).is_nan());
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_readings() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let world = house(seed);
        let mut bus = world.i2c(1).unwrap();
        let mut heater = world.output(17, Active::High, false).unwrap();
        let mut run = Vec::new();
        for second in 0..600 {
            heater.set(second % 20 < 9).unwrap();
            tokio::time::advance(Duration::from_millis(730)).await;
            run.push(millidegrees(&mut bus).unwrap());
        }
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test(start_paused = true)]
async fn a_pins_changes_are_kept_with_their_times() {
    let world = house(1);
    assert_eq!(world.pin(17), None);
    let mut heater = world.output(17, Active::Low, false).unwrap();
    for on in [false, true, true] {
        tokio::time::advance(Duration::from_secs(1)).await;
        heater.set(on).unwrap();
    }
    let at = |seconds| Monotonic::new(Duration::from_secs(seconds));
    assert_eq!(world.pin_changes(17), [(at(0), false), (at(2), true)]);
}

#[test]
fn a_device_in_error_answers_again_when_it_is_healed() {
    let world = house(1);
    let mut bus = world.i2c(1).unwrap();
    let mut heater = world.output(17, Active::High, false).unwrap();
    let mut tank = world.one_wire("28-1").unwrap();
    let tank_claim = Claim::OneWire("28-1".to_owned());
    for target in [&AIR, &tank_claim, &Claim::Pin(17), &Claim::Pwm(0)] {
        world.inject(target, Fault::Error);
    }
    assert!(matches!(millidegrees(&mut bus), Err(HardwareError::NoAcknowledge { .. })));
    assert!(matches!(tank.read("w1_slave"), Err(HardwareError::NotFound { .. })));
    assert!(matches!(heater.set(true), Err(HardwareError::Io { .. })));
    assert!(world.one_wire("28-1").is_err() && world.pwm(0, 1.0, Level::OFF).is_err());
    assert_eq!(world.pin(17), Some(false));
    for target in [&AIR, &tank_claim, &Claim::Pin(17)] {
        world.heal(target);
    }
    assert!(millidegrees(&mut bus).is_ok() && tank.read("w1_slave").is_ok() && heater.set(true).is_ok());
}

#[test]
fn drivers_panic_where_the_fault_says_and_nowhere_else() {
    let world = house(1);
    let mut open = world.i2c(1).unwrap();
    millidegrees(&mut open).unwrap();

    world.inject(&AIR, Fault::PanicOnOpen);
    assert!(millidegrees(&mut open).is_ok());
    assert!(panics(|| drop(millidegrees(&mut world.i2c(1).unwrap()))));

    world.inject(&AIR, Fault::PanicOnUse);
    assert!(panics(|| drop(millidegrees(&mut open))));

    let input = Claim::I2cInput { bus: 1, address: 0x10, chip: "ADS1115", input: 3 };
    world.inject(&input, Fault::PanicOnDrop);
    assert!(millidegrees(&mut open).is_ok());
    assert!(panics(|| drop(open)));

    for fault in [Fault::PanicOnOpen, Fault::PanicOnUse, Fault::PanicOnDrop] {
        world.inject(&Claim::Pin(17), fault);
        assert!(panics(|| world.output(17, Active::High, false).unwrap().set(true).unwrap()));
    }
    world.heal(&input);
    assert!(millidegrees(&mut world.i2c(1).unwrap()).is_ok(), "a panic leaves the world usable");
}

#[test]
fn a_device_hangs_alone_until_its_gate_opens() {
    let world = house(1);
    let gate = Gate::new();
    world.inject(&AIR, Fault::Hang(gate.clone()));
    let hung = thread::spawn({
        let world = world.clone();
        move || millidegrees(&mut world.i2c(1).unwrap())
    });
    assert!(world.one_wire("28-1").unwrap().read("w1_slave").is_ok());
    assert!(!hung.is_finished());
    gate.release();
    assert!(hung.join().unwrap().is_ok());
}

#[test]
fn garbage_is_bytes_and_not_an_error() {
    let world = house(1);
    let mut heater = world.output(17, Active::High, true).unwrap();
    for target in [AIR, Claim::OneWire("28-1".to_owned()), Claim::Pin(17)] {
        world.inject(&target, Fault::Garbage);
    }
    let mut bus = world.i2c(1).unwrap();
    assert_ne!(millidegrees(&mut bus), millidegrees(&mut bus));
    assert!(world.one_wire("28-1").unwrap().read("w1_slave").unwrap().parse::<f64>().is_err());
    assert_eq!(heater.read_back(), Ok(Some(false)));
}

#[test]
fn an_input_reads_its_resistor_or_what_drives_it() {
    let world = house(1);
    let get = |pin, active, pull| {
        let settings = InputSettings { active, pull, ..InputSettings::default() };
        world.input(pin, settings, None).unwrap().get()
    };
    assert_eq!(get(5, Active::High, Pull::Up), Ok(true));
    assert_eq!(get(5, Active::Low, Pull::Up), Ok(false));
    assert_eq!(get(6, Active::High, Pull::Down), Ok(false));
}
