//! The check sums that chips send along.

use crc::{CRC_8_MAXIM_DOW, CRC_8_NRSC_5, CRC_8_SMBUS, Crc};

/// Sensirion's, and the AHT20's: polynomial 0x31, begun with 0xff. That of `be ef` is 0x92.
pub fn sensirion(bytes: &[u8]) -> u8 {
    const CRC: Crc<u8> = Crc::<u8>::new(&CRC_8_NRSC_5);
    CRC.checksum(bytes)
}

/// SMBus's packet error code, over address bytes and all: polynomial 0x07.
pub fn smbus(bytes: &[u8]) -> u8 {
    const CRC: Crc<u8> = Crc::<u8>::new(&CRC_8_SMBUS);
    CRC.checksum(bytes)
}

/// Maxim's, on 1-Wire.
pub fn maxim(bytes: &[u8]) -> u8 {
    const CRC: Crc<u8> = Crc::<u8>::new(&CRC_8_MAXIM_DOW);
    CRC.checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_the_datasheets() {
        assert_eq!(sensirion(&[0xbe, 0xef]), 0x92, "SHT3x datasheet, table 20");
        assert_eq!(smbus(&[0xb4, 0x07, 0xb5, 0xd2, 0x3a]), 0x30, "MLX90614 datasheet, figure 10");
        assert_eq!(maxim(&[0x6e, 0x01, 0x4b, 0x46, 0x7f, 0xff, 0x02, 0x10]), 0x71, "as w1_slave shows it");
    }
}
