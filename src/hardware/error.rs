//! What goes wrong between us and the hardware, in words that say what to do.

use embedded_hal::i2c::{self, NoAcknowledgeSource};
use embedded_hal::spi;

/// What went wrong between us and the hardware. Every message says what to do next, where anything can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HardwareError {
    /// The board that the configuration names is not the one we run on.
    #[error("no {board} found: {reason}; set hardware = \"simulated\" to try homeostat here")]
    NoBoard {
        /// The board: `Raspberry Pi`.
        board: &'static str,
        /// How we know.
        reason: String,
    },
    /// The board, bus or device is not there at all.
    #[error("{what} not found: {hint}")]
    NotFound {
        /// The bus or device.
        what: String,
        /// What to check.
        hint: String,
    },
    /// It is there but may not be used.
    #[error("permission denied on {what}: {hint}")]
    Permission {
        /// The bus or device.
        what: String,
        /// Which group or overlay is missing.
        hint: String,
    },
    /// Nobody answered at an address.
    #[error("no answer from {what}: check its wiring, its power and its address")]
    NoAcknowledge {
        /// Bus and address.
        what: String,
    },
    /// Anything else the kernel or the chip reported.
    #[error("{what}: {reason}")]
    Io {
        /// The bus or device and what was tried.
        what: String,
        /// The system's own words.
        reason: String,
    },
    /// What leads to it is about to be there, and soon enough that nobody is to be told.
    #[error("{what}: {reason}")]
    NotYet {
        /// What was to be driven.
        what: String,
        /// What is not there yet.
        reason: String,
    },
    /// This board cannot do that.
    #[error("{what} is not possible with hardware = \"{hardware}\": {hint}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// The board.
        hardware: &'static str,
        /// What to use instead.
        hint: String,
    },
}

impl i2c::Error for HardwareError {
    fn kind(&self) -> i2c::ErrorKind {
        match self {
            Self::NoAcknowledge { .. } => i2c::ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            _ => i2c::ErrorKind::Other,
        }
    }
}

impl spi::Error for HardwareError {
    fn kind(&self) -> spi::ErrorKind {
        spi::ErrorKind::Other
    }
}
