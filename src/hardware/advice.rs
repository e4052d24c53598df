//! What an error of the kernel means for a piece of hardware, and what to do about it. Pure: every case is in a test's table.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::HardwareError;

/// What was being used when it went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// A GPIO line, by its Broadcom number.
    Pin(u8),
    /// A whole I²C bus, while it was opened.
    I2cBus(u8),
    /// One device on an I²C bus.
    I2cDevice {
        /// `/dev/i2c-N`
        bus: u8,
        /// Seven bits.
        address: u8,
    },
    /// A hardware PWM channel.
    Pwm(u8),
    /// A device on the 1-Wire bus.
    OneWire(&'a str),
    /// A device on an SPI bus, or the bus itself while it was opened.
    Spi {
        /// `/dev/spidevBUS.…`
        bus: u8,
        /// `/dev/spidev….SELECT`
        select: u8,
    },
    /// A serial port.
    Uart(&'a str),
    /// A file of the kernel's, or any other.
    File(&'a Path),
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pin(pin) => write!(f, "GPIO pin {pin}"),
            Self::I2cBus(bus) => write!(f, "/dev/i2c-{bus}"),
            Self::I2cDevice { bus, address } => write!(f, "address {address:#04x} on I²C bus {bus}"),
            Self::Pwm(channel) => write!(f, "PWM channel {channel}"),
            Self::OneWire(id) => write!(f, "1-Wire device {id}"),
            Self::Spi { bus, select } => write!(f, "/dev/spidev{bus}.{select}"),
            Self::Uart(port) => f.write_str(port),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

// From asm-generic/errno.h; `io::ErrorKind` has no stable names for them.
const ENXIO: i32 = 6;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const EREMOTEIO: i32 = 121;

/// Puts the kernel's error into words. `tried` is what we were doing, as in "reading" or "setting the frequency".
pub(super) fn explain(part: Part<'_>, tried: &str, error: &io::Error) -> HardwareError {
    match (part, error.kind(), error.raw_os_error()) {
        (_, ErrorKind::PermissionDenied, _) => {
            HardwareError::Permission { what: part.to_string(), hint: permission(part).into() }
        }
        (Part::Pwm(_), ErrorKind::ReadOnlyFilesystem, _) => HardwareError::Permission {
            what: part.to_string(),
            hint: "/sys is read-only here; the service needs ReadWritePaths=/sys/devices/platform".into(),
        },
        // The BCM controller reports a missing acknowledgement as EREMOTEIO, the bit-banging driver as ENXIO.
        (Part::I2cDevice { .. }, _, Some(EREMOTEIO | ENXIO)) => HardwareError::NoAcknowledge { what: part.to_string() },
        (_, ErrorKind::NotFound, _) | (_, _, Some(ENXIO | ENODEV)) => missing(part),
        (_, kind, code) => {
            let why = match (part, kind, code) {
                (Part::I2cDevice { .. }, ErrorKind::TimedOut, _) => {
                    ": a device holds the bus, or its pull-up resistors are missing"
                }
                (Part::I2cDevice { .. }, ErrorKind::ResourceBusy, _) => {
                    ": a kernel driver has taken this address; remove its dtoverlay from /boot/firmware/config.txt"
                }
                (Part::I2cDevice { .. }, ErrorKind::WouldBlock, _) => ": another master has the bus",
                (Part::Pwm(_), ErrorKind::ResourceBusy, _) => {
                    ": a kernel driver uses it; analog audio does, until dtparam=audio=off is in /boot/firmware/config.txt"
                }
                (Part::Pwm(_), _, Some(EINVAL)) => ": the chip cannot do this frequency",
                _ => "",
            };
            HardwareError::Io { what: format!("{tried} {part}"), reason: format!("{error}{why}") }
        }
    }
}

/// The part is not there.
pub(super) fn missing(part: Part<'_>) -> HardwareError {
    let overlay = match part {
        Part::Pin(_) => {
            "its device file is /dev/gpiomem or /dev/gpiochip0; update the kernel and raspberrypi-sys-mods".into()
        }
        Part::I2cBus(1) | Part::I2cDevice { bus: 1, .. } => enable("dtparam=i2c_arm=on"),
        Part::I2cBus(0) | Part::I2cDevice { bus: 0, .. } => enable("dtparam=i2c_vc=on"),
        Part::I2cBus(bus) | Part::I2cDevice { bus, .. } => enable(&format!("dtoverlay=i2c{bus}")),
        Part::Pwm(_) => enable("dtoverlay=pwm-2chan"),
        Part::OneWire(_) => enable("dtoverlay=w1-gpio"),
        Part::Spi { bus: 0, .. } => enable("dtparam=spi=on"),
        Part::Spi { bus, .. } => enable(&format!("dtoverlay=spi{bus}-2cs")),
        Part::Uart(_) => format!(
            "{}, and free it from the login console with `sudo raspi-config` (Interface Options, Serial Port); an adapter on \
             USB is /dev/ttyUSB0 or /dev/ttyACM0",
            enable("enable_uart=1")
        ),
        Part::File(_) => "check the path; what the kernel shows appears when its driver is loaded".into(),
    };
    // Raspberry Pi OS loads i2c-dev by itself as soon as the bus is on, plain Debian does not.
    let module = if matches!(part, Part::I2cBus(_)) { ", or load its module with `sudo modprobe i2c-dev`" } else { "" };
    HardwareError::NotFound { what: part.to_string(), hint: format!("{overlay}{module}") }
}

/// A 1-Wire device is not there although its bus is; `present` are those that are.
pub(super) fn not_among(id: &str, present: &[String]) -> HardwareError {
    let hint = if present.is_empty() {
        "the bus is there, but nothing is on it: check the wiring and the 4.7 kΩ pull-up resistor".into()
    } else {
        format!("the bus has {}", present.join(", "))
    };
    HardwareError::NotFound { what: Part::OneWire(id).to_string(), hint }
}

fn enable(line: &str) -> String {
    format!("enable it with {line} in /boot/firmware/config.txt and reboot")
}

fn permission(part: Part<'_>) -> &'static str {
    match part {
        Part::Pin(_) => "add the user to group gpio (sudo usermod -aG gpio homeostat)",
        Part::I2cBus(_) | Part::I2cDevice { .. } => "add the user to group i2c (sudo usermod -aG i2c homeostat)",
        Part::Pwm(_) => {
            "add the user to group gpio (sudo usermod -aG gpio homeostat) and install deploy/systemd/60-homeostat.rules"
        }
        Part::OneWire(_) => {
            "its files under /sys/bus/w1/devices should be readable by all; run as root to see whether it is that"
        }
        Part::Spi { .. } => "add the user to group spi (sudo usermod -aG spi homeostat)",
        Part::Uart(_) => "add the user to group dialout (sudo usermod -aG dialout homeostat)",
        Part::File(_) => "the user homeostat must be able to read it; the unit hides /home, and most of /etc and /proc",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_to_do() {
        const EACCES: i32 = 13;
        const ENOENT: i32 = 2;
        const EBUSY: i32 = 16;
        const EROFS: i32 = 30;
        const ETIMEDOUT: i32 = 110;
        let chip = Part::I2cDevice { bus: 1, address: 0x76 };
        let cases = [
            (
                Part::I2cBus(1),
                EACCES,
                "permission denied on /dev/i2c-1: add the user to group i2c (sudo usermod -aG i2c homeostat)",
            ),
            (
                Part::I2cBus(1),
                ENOENT,
                "/dev/i2c-1 not found: enable it with dtparam=i2c_arm=on in /boot/firmware/config.txt and reboot, or load its \
                 module with `sudo modprobe i2c-dev`",
            ),
            (
                Part::I2cBus(3),
                ENOENT,
                "/dev/i2c-3 not found: enable it with dtoverlay=i2c3 in /boot/firmware/config.txt and reboot, or load its \
                 module with `sudo modprobe i2c-dev`",
            ),
            (chip, EREMOTEIO, "no answer from address 0x76 on I²C bus 1: check its wiring, its power and its address"),
            (chip, ENXIO, "no answer from address 0x76 on I²C bus 1: check its wiring, its power and its address"),
            (
                chip,
                ETIMEDOUT,
                "reading address 0x76 on I²C bus 1: Connection timed out (os error 110): a device holds the bus, or its \
                 pull-up resistors are missing",
            ),
            (
                chip,
                EBUSY,
                "reading address 0x76 on I²C bus 1: Device or resource busy (os error 16): a kernel driver has taken this \
                 address; remove its dtoverlay from /boot/firmware/config.txt",
            ),
            (chip, 5, "reading address 0x76 on I²C bus 1: Input/output error (os error 5)"),
            (
                Part::Pin(17),
                EACCES,
                "permission denied on GPIO pin 17: add the user to group gpio (sudo usermod -aG gpio homeostat)",
            ),
            (
                Part::Pwm(0),
                ENOENT,
                "PWM channel 0 not found: enable it with dtoverlay=pwm-2chan in /boot/firmware/config.txt and reboot",
            ),
            (
                Part::Pwm(0),
                ENODEV,
                "PWM channel 0 not found: enable it with dtoverlay=pwm-2chan in /boot/firmware/config.txt and reboot",
            ),
            (
                Part::Pwm(1),
                EROFS,
                "permission denied on PWM channel 1: /sys is read-only here; the service needs \
                 ReadWritePaths=/sys/devices/platform",
            ),
            (
                Part::Pwm(1),
                EINVAL,
                "reading PWM channel 1: Invalid argument (os error 22): the chip cannot do this frequency",
            ),
            (
                Part::OneWire("28-0316a2795cff"),
                ENOENT,
                "1-Wire device 28-0316a2795cff not found: enable it with dtoverlay=w1-gpio in /boot/firmware/config.txt and \
                 reboot",
            ),
        ];
        for (part, errno, text) in cases {
            let error = explain(part, "reading", &io::Error::from_raw_os_error(errno));
            assert_eq!(error.to_string(), text, "{part:?}, errno {errno}");
        }
    }
}
