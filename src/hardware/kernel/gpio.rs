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
use std::time::Duration;

use embedded_hal::delay::DelayNs as _;

use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, Value};
use gpiocdev::request::Builder;

use super::edges::{Count, Edges, Event, Watch, drain, time_pulse};
use super::{Trouble, chip, part_error};
use crate::hardware::advice::{Board, Part};
use crate::hardware::{
    Active, DigitalInput, DigitalOutput, Echo, Edge, HardwareError, InputSettings, Pull, PulseCounter, Wake,
};
use crate::panics::locked;

/// Who holds a line, as `gpioinfo` shows it.
const CONSUMER: &str = "homeostat";

/// So many edges the kernel keeps for us. Ranger and wake need a few, and a count needs the last one only.
const KEPT_EDGES: u32 = 16;

/// How long a ranger's trigger is on, at least.
const TRIGGER_US: u32 = 10;

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

    /// A pin as an input. `wake` is called whenever its level has changed, by a thread of the input's own.
    pub(in crate::hardware) fn input(
        &self,
        pin: u8,
        settings: InputSettings,
        wake: Option<Wake>,
    ) -> Result<Box<dyn DigitalInput>, HardwareError> {
        let edges = wake.as_ref().map(|_| EdgeDetection::BothEdges);
        let request = Arc::new(self.request_input(pin, settings, edges)?);
        let watch = wake.map(|wake| self.watch(pin, &request, move |_| wake())).transpose()?;
        Ok(Box::new(Input { board: self.board, pin, watch, request }))
    }

    /// A pin whose edges are counted.
    pub(in crate::hardware) fn counter(
        &self,
        pin: u8,
        settings: InputSettings,
        edge: Edge,
    ) -> Result<Box<dyn PulseCounter>, HardwareError> {
        let edges = match edge {
            Edge::Rising => EdgeDetection::RisingEdge,
            Edge::Falling => EdgeDetection::FallingEdge,
            Edge::Both => EdgeDetection::BothEdges,
        };
        let request = Arc::new(self.request_input(pin, settings, Some(edges))?);
        let count: Arc<Mutex<Count>> = Arc::default();
        let ours = count.clone();
        let watch = self.watch(pin, &request, move |event| locked(&ours).see(event))?;
        Ok(Box::new(Counter { board: self.board, pin, watch, count }))
    }

    /// Two pins of an ultrasonic ranger.
    pub(in crate::hardware) fn echo(&self, trigger: u8, echo: u8) -> Result<Box<dyn Echo>, HardwareError> {
        let edges = Some(EdgeDetection::BothEdges);
        let answer = Edges::new(Arc::new(self.request_input(echo, InputSettings::default(), edges)?));
        let trigger = (trigger, self.output(trigger, Active::High, false)?);
        Ok(Box::new(Ranger { board: self.board, trigger: trigger.1, pin: echo, answer }))
    }

    fn watch(
        &self,
        pin: u8,
        request: &Arc<Request>,
        each: impl FnMut(Event) + Send + 'static,
    ) -> Result<Watch, HardwareError> {
        let watch = Watch::start(&format!("gpio {pin}"), Edges::new(request.clone()), each);
        watch.map_err(|error| part_error(self.board, Part::Pin(pin), "waiting for", Ok(error)))
    }

    fn request_input(
        &self,
        pin: u8,
        settings: InputSettings,
        edges: Option<EdgeDetection>,
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
        if edges.is_some() {
            builder.with_edge_detection(edges).with_kernel_event_buffer_size(KEPT_EDGES);
        }
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
    /// Before the request: what it is dropped for is that the line is free.
    watch: Option<Watch>,
    request: Arc<Request>,
}

impl DigitalInput for Input {
    fn get(&mut self) -> Result<bool, HardwareError> {
        if let Some(trouble) = self.watch.as_ref().and_then(Watch::trouble) {
            return Err(part_error(self.board, Part::Pin(self.pin), "waiting for", trouble));
        }
        let active = self.request.lone_value();
        active.map(bool::from).map_err(|error| part_error(self.board, Part::Pin(self.pin), "reading", trouble(error)))
    }
}

struct Counter {
    board: Board,
    pin: u8,
    watch: Watch,
    count: Arc<Mutex<Count>>,
}

impl PulseCounter for Counter {
    fn count(&mut self) -> Result<u64, HardwareError> {
        match self.watch.trouble() {
            Some(trouble) => Err(part_error(self.board, Part::Pin(self.pin), "counting the pulses of", trouble)),
            None => Ok(locked(&self.count).total()),
        }
    }
}

struct Ranger {
    board: Board,
    trigger: Box<dyn DigitalOutput>,
    pin: u8,
    answer: Edges,
}

impl Echo for Ranger {
    fn measure(&mut self, timeout: Duration) -> Result<Option<Duration>, HardwareError> {
        let (board, part) = (self.board, Part::Pin(self.pin));
        let fail = |trouble| part_error(board, part, "timing", trouble);
        drain(&mut self.answer).map_err(fail)?;
        self.trigger.set(true)?;
        super::delay().delay_us(TRIGGER_US);
        self.trigger.set(false)?;
        time_pulse(&mut self.answer, timeout).map_err(fail)
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
