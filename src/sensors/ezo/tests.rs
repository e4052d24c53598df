//! The datasheets' examples of commands and answers, and what else may come.

use super::super::testing::{assert_near, mistakes, opened, read_once};
use super::*;
use crate::hardware::recorded::{Recorded, Step, i2c, nack};

/// A command, without anything behind it.
fn says(address: u8, command: &str) -> Step {
    i2c(address, command.as_bytes(), &[])
}

/// An answer: its code, its text and zeros up to where it is read.
fn answers(address: u8, code: u8, text: &str) -> Step {
    let mut bytes = [&[code], text.as_bytes()].concat();
    bytes.resize(LONGEST, 0);
    i2c(address, &[], &bytes)
}

fn ph(code: u8, text: &str) -> Step {
    answers(0x63, code, text)
}

/// An EZO-pH that was asked who it is, and told that nobody knows the temperature.
fn acidity() -> Recorded {
    Recorded::new([says(0x63, "i"), ph(1, "?i,pH,1.98"), says(0x63, "T,25"), ph(1, "")])
}

/// An EZO-EC that was asked who it is, and tells all.
fn conductivity() -> Recorded {
    let board = Recorded::new([says(0x64, "i"), answers(0x64, 1, "?i,EC,2.10")]);
    board.then([says(0x64, "O,?"), answers(0x64, 1, "?,O,EC,TDS,S"), says(0x64, "T,25"), answers(0x64, 1, "")]);
    board
}

fn seconds(now: u64) -> Monotonic {
    Monotonic::new(Duration::from_secs(now))
}

#[test]
fn a_read_fetches_what_the_read_before_it_began() {
    let board = acidity();
    let mut sensor = opened(&PH, "", &board).unwrap();
    board.then([says(0x63, "R"), ph(1, "9.560"), says(0x63, "R")]);
    sensor.at(seconds(10));
    assert_near(&sensor.read().unwrap(), &[9.56], 0.0);
    let waited = board.waited();
    assert_eq!(waited, 2 * COMMAND + MEASURING);

    board.then([ph(1, "9.58"), says(0x63, "R")]);
    sensor.at(seconds(40));
    assert_near(&sensor.read().unwrap(), &[9.58], 0.0);
    assert_eq!(board.waited(), waited, "the bus was not held");

    // What was begun an hour ago is not now.
    board.then([says(0x63, "R"), ph(1, "7.00"), says(0x63, "R")]);
    sensor.at(seconds(3640));
    assert_near(&sensor.read().unwrap(), &[7.0], 0.0);
    board.done();
}

#[test]
fn the_temperature_goes_along() {
    let keys = "compensation = { temperature = \"water.temperature\" }";
    let board = Recorded::new([says(0x63, "i"), ph(1, "?i,pH,1.98")]);
    let mut sensor = opened(&PH, keys, &board).unwrap();
    sensor.hear(&[None]);
    let error = sensor.read().unwrap_err().to_string();
    assert!(error.ends_with("water.temperature, by which it is compensated, has no value"), "{error}");
    board.then([says(0x63, "RT,19.50"), ph(1, "8.91"), says(0x63, "RT,19.50")]);
    sensor.hear(&[Some(19.5)]);
    assert_near(&sensor.read().unwrap(), &[8.91], 0.0);
    // Without one the value is given that was begun with one, and then none.
    board.then([ph(1, "8.92")]);
    sensor.hear(&[None]);
    assert_near(&sensor.read().unwrap(), &[8.92], 0.0);
    sensor.hear(&[None]);
    assert!(sensor.read().is_err());
    board.done();
}

#[test]
fn a_circuit_tells_all_its_channels_whatever_was_switched_on() {
    // As it comes from the factory, from firmware 2.10 on.
    let board =
        Recorded::new([says(0x64, "i"), answers(0x64, 1, "?i,EC,2.10"), says(0x64, "O,?"), answers(0x64, 1, "?,O,EC")]);
    board.then([says(0x64, "O,TDS,1"), answers(0x64, 1, ""), says(0x64, "O,S,1"), answers(0x64, 1, "")]);
    board.then([says(0x64, "T,25"), answers(0x64, 1, "")]);
    board.then([says(0x64, "R"), answers(0x64, 1, "1413,763,0.70"), says(0x64, "R")]);
    assert_near(&read_once(&EC, "", &board).unwrap(), &[1413.0, 763.0, 0.7], 0.0);
    // Everything: the specific gravity is passed over.
    let board = Recorded::new([
        says(0x64, "i"),
        answers(0x64, 1, "?i,EC,2.10"),
        says(0x64, "O,?"),
        answers(0x64, 1, "?O,EC,TDS,S,SG"),
    ]);
    board.then([says(0x64, "T,25"), answers(0x64, 1, "")]);
    board.then([says(0x64, "R"), answers(0x64, 1, "53000,28600,35.00,1.025"), says(0x64, "R")]);
    assert_near(&read_once(&EC, "", &board).unwrap(), &[53_000.0, 28_600.0, 35.0], 0.0);
    // Asked for as % and mg, told as mg and %.
    let board = Recorded::new([
        says(0x61, "i"),
        answers(0x61, 1, "?I,DO,1.98"),
        says(0x61, "O,?"),
        answers(0x61, 1, "?,O,%,mg"),
    ]);
    board.then([says(0x61, "T,20"), answers(0x61, 1, "")]);
    board.then([says(0x61, "R"), answers(0x61, 1, "7.82,96.3"), says(0x61, "R")]);
    assert_near(&read_once(&DO, "", &board).unwrap(), &[7.82, 96.3], 0.0);
}

#[test]
fn the_others_tell_one_number() {
    let board = Recorded::new([says(0x62, "i"), answers(0x62, 1, "?i,OR,1.0")]);
    board.then([says(0x62, "R"), answers(0x62, 1, "-209.6"), says(0x62, "R")]);
    assert_near(&read_once(&ORP, "", &board).unwrap(), &[-209.6], 0.0);
    for (scale, chosen) in [("?S,c", &[][..]), ("?S,f", &[says(0x66, "S,c"), answers(0x66, 1, "")])] {
        let board = Recorded::new([says(0x66, "i"), answers(0x66, 1, "?i,RTD,2.01")]);
        board.then([says(0x66, "S,?"), answers(0x66, 1, scale)]);
        board.then(chosen.to_vec());
        board.then([says(0x66, "R"), answers(0x66, 1, "25.104"), says(0x66, "R")]);
        assert_near(&read_once(&RTD, "", &board).unwrap(), &[25.104], 0.0);
        board.done();
    }
}

#[test]
fn a_circuit_is_told_of_the_salt_unless_it_knows() {
    for (answer, told) in [
        (&b"?S,35,ppt"[..], false),
        (b"?,S,35.0,ppt", false),
        (b"?S,35,\xb5S", true),
        (b"?S,50000,\xc2\xb5S", true),
        (b"?S,0.0,ppt", true),
    ] {
        let board = Recorded::new([says(0x61, "i"), answers(0x61, 1, "?i,DO,1.98")]);
        board.then([says(0x61, "O,?"), answers(0x61, 1, "?,O,%,mg"), says(0x61, "S,?")]);
        let mut bytes = [&[1], answer].concat();
        bytes.resize(LONGEST, 0);
        board.then([i2c(0x61, &[], &bytes)]);
        if told {
            board.then([says(0x61, "S,35.0,ppt"), answers(0x61, 1, "")]);
        }
        board.then([says(0x61, "T,20"), answers(0x61, 1, "")]);
        opened(&DO, "salinity = 35", &board).unwrap();
        board.done();
    }
}

#[test]
fn a_probe_that_is_not_there_has_no_conductivity() {
    for (answer, possible) in [("0.00,0,0.00", false), ("0.06,0,0.00", false), ("0.07,0,0.00", true)] {
        let board = conductivity();
        board.then([says(0x64, "R"), answers(0x64, 1, answer), says(0x64, "R")]);
        let read = read_once(&EC, "", &board);
        assert_eq!(read.is_ok(), possible, "{answer}: {read:?}");
        let expected = "its probe is dry or not connected, or the water is purer than it can measure";
        assert!(read.map_or_else(|error| error.to_string().ends_with(expected), |_| true), "{answer}");
    }
}

#[test]
fn every_other_answer_is_an_error() {
    for (answer, expected) in [
        (vec![ph(255, "")], "its power was off"),
        (vec![ph(2, "")], "does not know the command"),
        (vec![ph(0, "")], "no answer with the code 0x00"),
        (vec![i2c(0x63, &[], &[0xff; LONGEST])], "nobody is there"),
        (vec![ph(1, "7.0\u{7}")], "is no text"),
        (vec![ph(1, "")], "`` is not the 1 numbers"),
        (vec![ph(1, "7.00,3")], "is not the 1 numbers"),
        (vec![ph(1, "nan")], "is not the 1 numbers"),
        (vec![ph(1, "-1023.000")], "check that its probe is connected"),
        (vec![ph(1, "0.000")], "it says 0, which cannot be; check that its probe is connected"),
        (vec![ph(1, "14.000")], "it says 14, which cannot be; check that its probe is connected"),
        ((0..AGAIN.1).map(|_| ph(254, "")).collect(), "does not finish"),
        (vec![nack(0x63, &[])], "no answer from address 0x63 on I²C bus 1"),
    ] {
        let board = acidity();
        board.then([says(0x63, "R")]);
        board.then(answer);
        let error = read_once(&PH, "", &board).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        board.done();
    }
}

#[test]
fn one_that_is_not_ready_is_asked_again_and_one_that_failed_begins_anew() {
    let board = acidity();
    let mut sensor = opened(&PH, "", &board).unwrap();
    board.then([says(0x63, "R"), ph(254, ""), ph(254, ""), ph(1, "7.10"), says(0x63, "R"), ph(255, "")]);
    assert_near(&sensor.read().unwrap(), &[7.1], 0.0);
    assert!(sensor.read().is_err());
    board.then([says(0x63, "R"), ph(1, "7.20"), says(0x63, "R")]);
    assert_near(&sensor.read().unwrap(), &[7.2], 0.0);
    board.done();
}

#[test]
fn another_circuit_at_the_address_is_named() {
    let board = Recorded::new([says(0x63, "i"), ph(1, "?i,EC,2.10")]);
    let error = opened(&PH, "", &board).err().unwrap().to_string();
    assert!(
        error.starts_with("EZO-pH at 0x63 on I²C bus 1 is not there: what answers calls itself `?i,EC,2.10`"),
        "{error}"
    );
}

#[test]
fn a_calibration_goes_step_by_step_and_tells_its_state() {
    let board = acidity();
    let mut sensor = opened(&PH, "", &board).unwrap();
    board.then([says(0x63, "R"), ph(1, "7.13"), says(0x63, "R")]);
    sensor.read().unwrap();
    // What was begun is waited for, so that it is not taken for the calibration's answer.
    board.then([ph(254, ""), ph(1, "7.12")]);
    board.then([says(0x63, "Cal,mid,7.00"), ph(1, ""), says(0x63, "Cal,?"), ph(1, "?Cal,1")]);
    assert_eq!(sensor.calibrate(&["mid", "7.00"]).unwrap(), "it is calibrated at one point");
    // The answer of the calibration is not taken for a measurement.
    board.then([says(0x63, "R"), ph(1, "7.00"), says(0x63, "R")]);
    assert_near(&sensor.read().unwrap(), &[7.0], 0.0);
    board.then([ph(1, "7.01"), says(0x63, "Cal,clear"), ph(1, "7.02")]);
    let error = sensor.calibrate(&["clear"]).unwrap_err().to_string();
    assert!(error.contains("sent damaged data: it answers `7.02` to `Cal,clear`"), "{error}");
    board.then([says(0x63, "Cal,clear"), ph(1, ""), says(0x63, "Cal,?"), ph(1, "?Cal,0")]);
    assert_eq!(sensor.calibrate(&["clear"]).unwrap(), "it is not calibrated");
    for step in [&["mid"][..], &["mid", "seven"], &["mid", "7", "8"], &["clear", "1"], &["factory"]] {
        let error = sensor.calibrate(step).unwrap_err().to_string();
        assert!(error.ends_with("there are `mid VALUE`, `low VALUE`, `high VALUE`, `clear`"), "{error}");
    }
    board.done();
}

#[test]
fn mistakes_are_told_with_what_would_do() {
    for (entry, keys, expected) in [
        (&PH, "address = 0x78", "it is at 0x63"),
        (&EC, "address = 0", "it is at 0x64"),
        (&ORP, "bus = \"1\"", "write 1"),
        (&DO, "compensation = { temperature = \"water\" }", "\"air.temperature\""),
        (&DO, "salinity = 50000", "at most 42"),
        (&DO, "salinity = \"sea\"", "write"),
    ] {
        let found = mistakes(entry, keys);
        assert!(found.len() == 1 && found[0].hint.contains(expected), "{keys}: {found:?}");
    }
}
