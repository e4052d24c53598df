//! What an error of the kernel means for a piece of hardware, and what to do about it. Pure: every case is in a test's table.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::HardwareError;

/// Where an overlay is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Board {
    /// In /boot/firmware/config.txt.
    RaspberryPi,
    /// Each in its own way.
    Other,
}

impl Board {
    /// By what the device tree calls the machine: `compatible`, which is empty where there is none.
    pub(super) fn of(compatible: &str) -> Self {
        let is_pi = compatible.split('\0').any(|name| name.starts_with("raspberrypi,"));
        if is_pi { Self::RaspberryPi } else { Self::Other }
    }
}

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
const ENOTTY: i32 = 25;
const EMSGSIZE: i32 = 90;
const EOPNOTSUPP: i32 = 95;
const EREMOTEIO: i32 = 121;

/// Puts the kernel's error into words. `tried` is what we were doing, as in "reading" or "setting the frequency".
pub(super) fn explain(board: Board, part: Part<'_>, tried: &str, error: &io::Error) -> HardwareError {
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
        (Part::Pin(_), _, Some(ENXIO | EOPNOTSUPP)) => says(part, tried, error, without_interrupt()),
        (_, ErrorKind::NotFound, _) | (_, _, Some(ENXIO | ENODEV)) => missing(board, part),
        (_, kind, code) => says(part, tried, error, &why(board, part, kind, code)),
    }
}

fn says(part: Part<'_>, tried: &str, error: &io::Error, why: &str) -> HardwareError {
    let (colon, what) = (if why.is_empty() { "" } else { ": " }, format!("{tried} {part}"));
    HardwareError::Io { what, reason: format!("{error}{colon}{why}") }
}

fn without_interrupt() -> &'static str {
    "its chip gives no interrupts or has no such resistor; leave out `debounce` and `pull`, or use another pin"
}

fn why(board: Board, part: Part<'_>, kind: ErrorKind, code: Option<i32>) -> String {
    let text = match (part, kind, code) {
        (Part::I2cDevice { .. }, ErrorKind::TimedOut, _) => {
            "a device holds the bus, or its pull-up resistors are missing"
        }
        (Part::I2cDevice { .. }, ErrorKind::ResourceBusy, _) => {
            return format!("a kernel driver has taken this address; {}", board.remove("its dtoverlay"));
        }
        (Part::I2cDevice { .. }, ErrorKind::WouldBlock, _) => "another master has the bus",
        (Part::Pin(_), ErrorKind::ResourceBusy, _) => {
            "another program or a kernel driver has it; `gpioinfo` shows which one"
        }
        (Part::Pin(_), _, Some(EINVAL)) => {
            "the chip has no such line, or cannot do this with it; `gpioinfo` lists them"
        }
        (Part::Pwm(_), ErrorKind::ResourceBusy, _) if board == Board::RaspberryPi => {
            "a kernel driver uses it; analog audio does, until dtparam=audio=off is in /boot/firmware/config.txt"
        }
        (Part::Pwm(_), ErrorKind::ResourceBusy, _) => "a kernel driver uses it, such as a fan's or a backlight's",
        (Part::Pwm(_), _, Some(EINVAL)) => "the chip cannot do this frequency",
        (Part::Spi { .. }, _, Some(EMSGSIZE)) => {
            "longer than the kernel's buffer; put spidev.bufsiz=65536 on the kernel's command line"
        }
        (Part::Spi { .. }, _, Some(EINVAL)) => "the controller cannot do this clock or mode",
        (Part::Uart(_), _, Some(ENOTTY)) => "it is no serial port",
        (Part::Uart(_), ErrorKind::ResourceBusy, _) => {
            "another program has it; `sudo fuser -v` with its name shows which one"
        }
        (Part::Uart(_), _, Some(EINVAL)) => "the port cannot do this speed",
        _ => "",
    };
    text.to_owned()
}

/// The part is not there.
pub(super) fn missing(board: Board, part: Part<'_>) -> HardwareError {
    let overlay = match part {
        Part::Pin(_) if board == Board::RaspberryPi => {
            "its device file is /dev/gpiomem or /dev/gpiochip0; update the kernel and raspberrypi-sys-mods".into()
        }
        Part::Pin(_) => {
            "its device file is /dev/gpiochip0, or what `gpiochip` of [node] says; `gpiodetect` lists them".into()
        }
        Part::I2cBus(1) | Part::I2cDevice { bus: 1, .. } => board.enable("dtparam=i2c_arm=on"),
        Part::I2cBus(0) | Part::I2cDevice { bus: 0, .. } => board.enable("dtparam=i2c_vc=on"),
        Part::I2cBus(bus) | Part::I2cDevice { bus, .. } => board.enable(&format!("dtoverlay=i2c{bus}")),
        Part::Pwm(_) => board.enable("dtoverlay=pwm-2chan"),
        Part::OneWire(_) => board.enable("dtoverlay=w1-gpio"),
        Part::Spi { bus: 0, .. } => board.enable("dtparam=spi=on"),
        Part::Spi { bus, .. } => board.enable(&format!("dtoverlay=spi{bus}-2cs")),
        Part::Uart(_) if board == Board::RaspberryPi => format!(
            "{}, and free it from the login console with `sudo raspi-config` (Interface Options, Serial Port); an adapter on \
             USB is /dev/ttyUSB0 or /dev/ttyACM0",
            board.enable("enable_uart=1")
        ),
        Part::Uart(_) => format!("{}; an adapter on USB is /dev/ttyUSB0 or /dev/ttyACM0", board.enable("")),
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

impl Board {
    /// `line` is that of a Raspberry Pi.
    fn enable(self, line: &str) -> String {
        match self {
            Self::RaspberryPi => format!("enable it with {line} in /boot/firmware/config.txt and reboot"),
            Self::Other => "enable it with a dtoverlay or in the device tree of your board, and reboot".to_owned(),
        }
    }

    fn remove(self, what: &str) -> String {
        match self {
            Self::RaspberryPi => format!("remove {what} from /boot/firmware/config.txt"),
            Self::Other => format!("remove {what}, or its node in the device tree of your board"),
        }
    }
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
        const EMSGSIZE: i32 = 90;
        const ENOTTY: i32 = 25;
        let (spi, port) = (Part::Spi { bus: 0, select: 1 }, Part::Uart("/dev/serial0"));
        let more = [
            (
                Part::Pin(4),
                EBUSY,
                "reading GPIO pin 4: Device or resource busy (os error 16): another program or a kernel driver has it; \
                 `gpioinfo` shows which one",
            ),
            (
                Part::Pin(4),
                ENXIO,
                "reading GPIO pin 4: No such device or address (os error 6): its chip gives no interrupts or has no such \
                 resistor; leave out `debounce` and `pull`, or use another pin",
            ),
            (
                spi,
                EACCES,
                "permission denied on /dev/spidev0.1: add the user to group spi (sudo usermod -aG spi homeostat)",
            ),
            (
                spi,
                ENOENT,
                "/dev/spidev0.1 not found: enable it with dtparam=spi=on in /boot/firmware/config.txt and reboot",
            ),
            (
                spi,
                EMSGSIZE,
                "reading /dev/spidev0.1: Message too long (os error 90): longer than the kernel's buffer; put \
                 spidev.bufsiz=65536 on the kernel's command line",
            ),
            (
                port,
                EACCES,
                "permission denied on /dev/serial0: add the user to group dialout (sudo usermod -aG dialout homeostat)",
            ),
            (
                port,
                ENOENT,
                "/dev/serial0 not found: enable it with enable_uart=1 in /boot/firmware/config.txt and reboot, and free it \
                 from the login console with `sudo raspi-config` (Interface Options, Serial Port); an adapter on USB is \
                 /dev/ttyUSB0 or /dev/ttyACM0",
            ),
            (port, ENOTTY, "reading /dev/serial0: Inappropriate ioctl for device (os error 25): it is no serial port"),
            (port, EINVAL, "reading /dev/serial0: Invalid argument (os error 22): the port cannot do this speed"),
        ];
        for (part, errno, text) in cases.into_iter().chain(more) {
            let error = explain(Board::RaspberryPi, part, "reading", &io::Error::from_raw_os_error(errno));
            assert_eq!(error.to_string(), text, "{part:?}, errno {errno}");
        }
    }

    #[test]
    fn nobody_without_a_raspberry_pi_is_sent_to_its_config_txt() {
        let parts = [
            Part::Pin(17),
            Part::I2cBus(1),
            Part::I2cDevice { bus: 1, address: 0x76 },
            Part::Pwm(0),
            Part::OneWire("28-1"),
            Part::Spi { bus: 0, select: 0 },
            Part::Uart("/dev/ttyS1"),
        ];
        for (part, errno) in parts.into_iter().flat_map(|part| (1..=133).map(move |errno| (part, errno))) {
            let text = explain(Board::Other, part, "opening", &io::Error::from_raw_os_error(errno)).to_string();
            let pi = ["config.txt", "dtparam", "raspi", "enable_uart"].iter().any(|word| text.contains(word));
            assert!(!pi, "{part:?}, errno {errno}: {text}");
        }
        assert_eq!(
            missing(Board::Other, Part::I2cBus(1)).to_string(),
            "/dev/i2c-1 not found: enable it with a dtoverlay or in the device tree of your board, and reboot, or load its \
             module with `sudo modprobe i2c-dev`"
        );
    }

    #[test]
    fn a_raspberry_pi_is_known_by_its_device_tree() {
        for (compatible, expected) in [
            ("raspberrypi,3-model-b\0brcm,bcm2837\0", Board::RaspberryPi),
            ("raspberrypi,5-model-b\0brcm,bcm2712\0", Board::RaspberryPi),
            ("radxa,rock-5b\0rockchip,rk3588\0", Board::Other),
            ("", Board::Other),
        ] {
            assert_eq!(Board::of(compatible), expected, "{compatible:?}");
        }
    }
}
