//! What TI's current monitors on I²C have in common: where they live, what they give, and how a loss of power is noticed.

use super::{Channel, DriverError};
use crate::hardware::I2cDevice;
use crate::model::Quantity;

/// By what A1 and A0 are connected to; what is not named is at ground.
#[rustfmt::skip]
pub const ADDRESSES: [(u8, &str); 16] = [
    (0x40, "A1 and A0 to ground"), (0x41, "A0 to 3.3 V"), (0x42, "A0 to SDA"), (0x43, "A0 to SCL"),
    (0x44, "A1 to 3.3 V"), (0x45, "both to 3.3 V"), (0x46, "A1 to 3.3 V, A0 to SDA"), (0x47, "A1 to 3.3 V, A0 to SCL"),
    (0x48, "A1 to SDA"), (0x49, "A1 to SDA, A0 to 3.3 V"), (0x4a, "both to SDA"), (0x4b, "A1 to SDA, A0 to SCL"),
    (0x4c, "A1 to SCL"), (0x4d, "A1 to SCL, A0 to 3.3 V"), (0x4e, "A1 to SCL, A0 to SDA"), (0x4f, "both to SCL"),
];

/// In the order of the values.
pub const CHANNELS: &[Channel] = &[
    Channel { name: "voltage", quantity: Quantity::Voltage },
    Channel { name: "current", quantity: Quantity::Current },
    Channel { name: "power", quantity: Quantity::Power },
];

/// The register of the setting.
pub const SETTING: u8 = 0x00;

/// A chip that lost its power since the setting was written has another.
pub fn unchanged(chip: &mut I2cDevice, written: u16) -> Result<(), DriverError> {
    let found = chip.word(SETTING)?;
    if found == written {
        return Ok(());
    }
    let what =
        format!("its setting reads {found:#06x} after {written:#06x} was written; it lost its power for a moment");
    Err(DriverError::no_value(chip.name(), what))
}
