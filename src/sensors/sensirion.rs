//! What Sensirion's chips on I²C have in common: commands, and words of two bytes that each bring a check sum.

use std::time::Duration;

use super::{DriverError, crc};
use crate::hardware::I2cDevice;

/// Reads `N` words, every one of them checked.
pub fn words<const N: usize>(chip: &mut I2cDevice) -> Result<[u16; N], DriverError> {
    let mut bytes = vec![0; 3 * N];
    chip.read(&mut bytes)?;
    let mut words = [0; N];
    for (number, (word, part)) in words.iter_mut().zip(bytes.chunks_exact(3)).enumerate() {
        let (&[high, low, sum], expected) = (&[part[0], part[1], part[2]], crc::sensirion(&part[..2]));
        if sum != expected {
            return Err(DriverError::corrupt(
                chip.name(),
                format!("the check sum of word {number} is {sum:#04x} instead of {expected:#04x}; shorten the cable"),
            ));
        }
        *word = u16::from_be_bytes([high, low]);
    }
    Ok(words)
}

/// °C of the SHT series: -45 to 130 over the whole word.
pub fn celsius(word: u16) -> f64 {
    175.0f64.mul_add(f64::from(word) / 65535.0, -45.0)
}

/// % of the SHT3x, the SHTC3 and the SCD4x: 0 to 100 over the whole word.
pub fn percent(word: u16) -> f64 {
    100.0 * f64::from(word) / 65535.0
}

/// Sends a command and, after `pause`, reads its answer.
pub fn ask<const N: usize>(chip: &mut I2cDevice, command: u16, pause: Duration) -> Result<[u16; N], DriverError> {
    tell(chip, &command.to_be_bytes(), pause)?;
    words(chip)
}

/// Sends a command that has no answer, and gives the chip the time for it.
pub fn tell(chip: &mut I2cDevice, bytes: &[u8], pause: Duration) -> Result<(), DriverError> {
    chip.write(bytes)?;
    chip.wait(pause);
    Ok(())
}

/// The ppm of carbon dioxide that a calibration's only step names: `420`, those of fresh air.
pub fn reference(device: &str, step: &[&str]) -> Result<u16, DriverError> {
    let ppm = match step {
        [ppm] => ppm.parse().ok().filter(|ppm| (400..=2000).contains(ppm)),
        _ => None,
    };
    ppm.ok_or_else(|| {
        let what = "its calibration wants the ppm of the air around it, 400 to 2000; fresh air outdoors has about 420";
        DriverError::no_value(device, what)
    })
}

/// A command with any number of words behind it.
pub fn message(command: u16, words: &[u16]) -> Vec<u8> {
    let with_sum = |word: &u16| {
        let [high, low] = word.to_be_bytes();
        [high, low, crc::sensirion(&[high, low])]
    };
    command.to_be_bytes().into_iter().chain(words.iter().flat_map(with_sum)).collect()
}
