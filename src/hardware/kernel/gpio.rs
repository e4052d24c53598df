//! GPIO lines through the kernel's character device (`/dev/gpiochipN`).
//!
//! What becomes of an output when its request is closed is the driver's matter. A kernel of kernel.org makes it an input, so that
//! whatever holds it then decides: on most relay boards a resistor, which is off. Raspberry Pi's own kernels let it stay as it is,
//! unless `dtparam=strict_gpiod` is in config.txt (parameter `persist_gpio_outputs` of pinctrl-bcm2835 and pinctrl-rp1). So [`Gpio`] keeps
//! the request of every output for the life of the process: a restart of an output's actor moves nothing.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use gpiocdev::Request;
use gpiocdev::line::{Bias, Value};
use gpiocdev::request::Builder;

use super::{Trouble, chip, part_error};
use crate::hardware::advice::{Board, Part};
use crate::hardware::{Active, DigitalInput, DigitalOutput, HardwareError, InputSettings, Pull};
use crate::panics::locked;

/// Who holds a line, as `gpioinfo` shows it.
const CONSUMER: &str = "homeostat";

/// The lines of one chip.
#[derive(Debug)]
pub(in crate::hardware) struct Gpio {
    board: Board,
    chip: Option<PathBuf>,
    /// The outputs that were requested, by pin. Whoever drives one has a share of it.
    outputs: Mutex<HashMap<u8, Arc<Request>>>,
}

impl Gpio {
    /// Touches nothing yet. `chip` is what the configuration says.
    pub(in crate::hardware) fn new(board: Board, chip: Option<PathBuf>) -> Self {
        Self { board, chip, outputs: Mutex::default() }
    }

    /// A pin as an output. The kernel's drivers set the level before the direction.
    pub(in crate::hardware) fn output(
        &self,
        pin: u8,
        active: Active,
        initial: bool,
    ) -> Result<Box<dyn DigitalOutput>, HardwareError> {
        let mut outputs = locked(&self.outputs);
        let request = match outputs.get(&pin) {
            Some(kept) => self.unused(pin, kept)?.clone(),
            None => {
                let level = Value::from(active.electrical(initial));
                let request = Arc::new(self.request(pin, self.builder(pin).as_output(level))?);
                outputs.insert(pin, request.clone());
                request
            }
        };
        drop(outputs);
        let mut line = Output { board: self.board, pin, active, request };
        match line.set(initial) {
            Ok(()) => Ok(Box::new(line)),
            Err(error) => {
                // A chip that was unplugged comes back as another one.
                drop(line);
                locked(&self.outputs).remove(&pin);
                Err(error)
            }
        }
    }

    /// A pin as an input that nobody waits for.
    pub(in crate::hardware) fn input(
        &self,
        pin: u8,
        settings: InputSettings,
    ) -> Result<Box<dyn DigitalInput>, HardwareError> {
        let request = self.request_input(pin, settings, |_| ())?;
        Ok(Box::new(Input { board: self.board, pin, request }))
    }

    fn request_input(
        &self,
        pin: u8,
        settings: InputSettings,
        more: impl FnOnce(&mut Builder),
    ) -> Result<Request, HardwareError> {
        let mut outputs = locked(&self.outputs);
        if let Some(kept) = outputs.get(&pin) {
            self.unused(pin, kept)?;
            outputs.remove(&pin);
        }
        drop(outputs);
        let InputSettings { active, pull, debounce } = settings;
        let mut builder = self.builder(pin);
        builder.as_input().with_bias(match pull {
            Pull::None => Bias::Disabled,
            Pull::Up => Bias::PullUp,
            Pull::Down => Bias::PullDown,
        });
        if active == Active::Low {
            builder.as_active_low();
        }
        if !debounce.is_zero() {
            builder.with_debounce_period(debounce);
        }
        more(&mut builder);
        self.request(pin, &mut builder)
    }

    fn builder(&self, pin: u8) -> Builder {
        let mut builder = Request::builder();
        builder.on_chip(chip::find(self.chip.as_deref())).with_consumer(CONSUMER).with_line(pin.into());
        builder
    }

    fn request(&self, pin: u8, builder: &mut Builder) -> Result<Request, HardwareError> {
        builder.request().map_err(|error| part_error(self.board, Part::Pin(pin), "opening", trouble(error)))
    }

    /// A kept output that nobody drives any more.
    fn unused<'r>(&self, pin: u8, kept: &'r Arc<Request>) -> Result<&'r Arc<Request>, HardwareError> {
        if Arc::strong_count(kept) == 1 {
            return Ok(kept);
        }
        let words = "it is in use already; each pin can serve one device".to_owned();
        Err(part_error(self.board, Part::Pin(pin), "opening", Err(words)))
    }
}

struct Output {
    board: Board,
    pin: u8,
    active: Active,
    request: Arc<Request>,
}

impl DigitalOutput for Output {
    fn set(&mut self, on: bool) -> Result<(), HardwareError> {
        let set = self.request.set_lone_value(self.active.electrical(on).into());
        set.map_err(|error| part_error(self.board, Part::Pin(self.pin), "setting", trouble(error)))
    }

    fn read_back(&mut self) -> Result<Option<bool>, HardwareError> {
        let high = self.request.lone_value();
        let high = high.map_err(|error| part_error(self.board, Part::Pin(self.pin), "reading", trouble(error)))?;
        Ok(Some(self.active.electrical(high.into())))
    }
}

struct Input {
    board: Board,
    pin: u8,
    request: Request,
}

impl DigitalInput for Input {
    fn get(&mut self) -> Result<bool, HardwareError> {
        let active = self.request.lone_value();
        active.map(bool::from).map_err(|error| part_error(self.board, Part::Pin(self.pin), "reading", trouble(error)))
    }
}

/// Finds the kernel's number in an error of the library.
pub(super) fn trouble(error: gpiocdev::Error) -> Trouble {
    use gpiocdev::Error::{GpioChip, Os, Uapi};
    match error {
        Os(errno) | Uapi(_, gpiocdev_uapi::Error::Os(errno)) => Ok(io::Error::from_raw_os_error(errno.0)),
        GpioChip(path, _) => Err(format!(
            "{} is no GPIO chip; give `gpiochip` of [node] the path of one, `gpiodetect` lists them",
            path.display()
        )),
        other => Err(other.to_string()),
    }
}
