//! The header of the machine, through QEMU's test protocol: the levels of its pins, and every edge in its order.
//!
//! This sees what a relay on the pin would see, whatever runs inside.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use crate::until::DEADLINE;

/// BCM2837, GPLEV0: a bit for each of GPIO 0 to 31.
const LEVELS: u32 = 0x3f20_0034;
/// GPFSEL0 and those that follow: three bits a pin, ten pins a register. 0 is an input, 1 an output.
const FUNCTIONS: u32 = 0x3f20_0000;

/// One pin's change; `high` is electrical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edge {
    pin: u8,
    high: bool,
}

pub struct Pins {
    stream: UnixStream,
    answers: Receiver<String>,
    edges: Arc<Mutex<Vec<Edge>>>,
}

impl Pins {
    pub fn new(stream: UnixStream) -> Self {
        let (sender, answers) = channel();
        let edges: Arc<Mutex<Vec<Edge>>> = Arc::default();
        let (reader, seen) = (BufReader::new(stream.try_clone().unwrap()), Arc::clone(&edges));
        // It ends with QEMU, or with the test: the other end closes then.
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                match edge(&line) {
                    Some(edge) => seen.lock().unwrap().push(edge),
                    None if sender.send(line).is_err() => return,
                    None => {}
                }
            }
        });
        let mut pins = Self { stream, answers, edges };
        pins.ask("irq_intercept_out /machine/soc/peripherals/gpio");
        pins
    }

    /// The electrical level of a pin at this moment.
    pub fn is_high(&mut self, pin: u8) -> bool {
        self.register(LEVELS) >> pin & 1 == 1
    }

    /// Whether it is an output at this moment.
    pub fn is_driven(&mut self, pin: u8) -> bool {
        let (register, place) = (u32::from(pin / 10), 3 * (pin % 10));
        self.register(FUNCTIONS + 4 * register) >> place & 0b111 == 0b001
    }

    /// For a person.
    pub fn shown(&mut self, pin: u8) -> String {
        let function = if self.is_driven(pin) { "an output" } else { "no output" };
        format!("{function} and {}", if self.is_high(pin) { "high" } else { "low" })
    }

    /// The levels that a pin changed to, from the first time on that it went high as an output: what was before, and the level with
    /// which it becomes an output, QEMU does not tell.
    pub fn edges(&self, pin: u8) -> Vec<bool> {
        self.edges.lock().unwrap().iter().filter(|edge| edge.pin == pin).map(|edge| edge.high).collect()
    }

    fn register(&mut self, address: u32) -> u64 {
        let answer = self.ask(&format!("readl {address:#x}"));
        let digits = answer.strip_prefix("0x").unwrap_or_else(|| panic!("not a number: {answer}"));
        u64::from_str_radix(digits, 16).unwrap()
    }

    fn ask(&mut self, question: &str) -> String {
        writeln!(self.stream, "{question}").unwrap();
        let answer = self.answers.recv_timeout(DEADLINE).expect("QEMU does not answer");
        let good = answer.strip_prefix("OK").unwrap_or_else(|| panic!("{question}: {answer}"));
        good.trim().to_owned()
    }
}

/// `IRQ raise 17`
fn edge(line: &str) -> Option<Edge> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["IRQ", direction, pin] = words[..] else { return None };
    Some(Edge { pin: pin.parse().unwrap(), high: direction == "raise" })
}
