//! What tests can break: a device that errs, hangs, talks nonsense or makes its driver panic.

use std::collections::HashMap;

use crate::hardware::HardwareError;
use crate::hardware::lane::{self, Gate};
use crate::model::Claim;

/// What is wrong with a device until it is healed.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It answers with an error, opened or not, as if it were unplugged.
    Error,
    /// Whoever opens or uses it hangs until the gate is released.
    Hang(Gate),
    /// Its driver panics when it uses the device.
    PanicOnUse,
    /// Its driver panics when it opens the device; one that is open works on.
    PanicOnOpen,
    /// Its driver panics when it is dropped.
    PanicOnDrop,
    /// It answers, with nonsense: random bytes on a bus, the opposite of its level on a pin.
    Garbage,
}

/// What somebody does to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Opens it. On I²C, where only buses are opened, the first transaction of a handle with an address.
    Open,
    Use,
}

/// A fault is of a whole device: the inputs of a converter share it.
pub(super) fn device(claim: &Claim) -> Claim {
    match *claim {
        Claim::I2cInput { bus, address, .. } => Claim::I2c { bus, address },
        Claim::SpiInput { bus, select, .. } => Claim::Spi { bus, select },
        ref claim => claim.clone(),
    }
}

/// All faults, by device.
pub(super) type Faults = HashMap<Claim, Fault>;

impl Fault {
    /// Does to the caller what the fault does, and says whether what is read is to be garbled. No lock may be held.
    #[expect(clippy::panic, reason = "that is the fault")]
    pub(super) fn strike(self, deed: Deed, target: &Claim) -> Result<bool, HardwareError> {
        match (self, deed) {
            (Self::Error, _) => Err(broken(target)),
            (Self::Hang(gate), _) => {
                lane::hang(&gate);
                Ok(false)
            }
            (Self::PanicOnUse, Deed::Use) => panic!("injected: the driver of {target} panics in use"),
            (Self::PanicOnOpen, Deed::Open) => panic!("injected: the driver of {target} panics in open"),
            (Self::Garbage, _) => Ok(true),
            (Self::PanicOnUse | Self::PanicOnOpen | Self::PanicOnDrop, _) => Ok(false),
        }
    }

    /// Panics where the fault wants that. A second panic would end the process, so never during a first one.
    #[expect(clippy::panic, reason = "that is the fault")]
    pub(super) fn strike_drop(&self, target: &Claim) {
        if matches!(self, Self::PanicOnDrop) && !std::thread::panicking() {
            panic!("injected: the driver of {target} panics in drop");
        }
    }
}

fn broken(target: &Claim) -> HardwareError {
    match target {
        Claim::I2c { .. } | Claim::I2cInput { .. } => HardwareError::NoAcknowledge { what: target.to_string() },
        Claim::OneWire(_) => super::no_such_device(target),
        Claim::Pin(_)
        | Claim::Pwm(_)
        | Claim::Spi { .. }
        | Claim::SpiInput { .. }
        | Claim::Serial(_)
        | Claim::Topic(_) => HardwareError::Io { what: target.to_string(), reason: "injected fault".to_owned() },
    }
}
