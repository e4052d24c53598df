//! The network between daemon and broker: it can be slow, silent, one-sided or cut, and remembers what the broker has taken.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::broker::free_port;
use super::process::live_for;
use super::wire::Wire;

/// How often each thread looks whether the weather has changed.
const LOOK: Duration = Duration::from_millis(5);

/// How bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Open,
    /// So many bytes in five milliseconds.
    Slow(usize),
    /// They wait.
    Shut,
}

#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Whether anybody listens.
    pub listens: bool,
    /// From the daemon to the broker.
    pub up: Flow,
    /// And back.
    pub down: Flow,
}

pub const FAIR: Weather = Weather { listens: true, up: Flow::Open, down: Flow::Open };

pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    port: u16,
    broker: u16,
    weather: Mutex<Weather>,
    ends: AtomicBool,
    lines: Mutex<Vec<TcpStream>>,
    /// Pages of the history, in the order in which the broker has acknowledged them.
    taken: Mutex<Vec<Vec<u8>>>,
}

impl Proxy {
    pub fn before(broker: u16) -> Self {
        let port = free_port();
        let shared = Arc::new(Shared {
            port,
            broker,
            weather: Mutex::new(FAIR),
            ends: AtomicBool::new(false),
            lines: Mutex::default(),
            taken: Mutex::default(),
        });
        let listening = shared.clone();
        Self { port, shared, listener: Some(std::thread::spawn(move || listening.listen())) }
    }

    pub fn set(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap() = weather;
    }

    /// Breaks every connection.
    pub fn cut(&self) {
        for line in self.shared.lines.lock().unwrap().drain(..) {
            let _ = line.shutdown(Shutdown::Both);
        }
    }

    pub fn taken(&self) -> Vec<Vec<u8>> {
        self.shared.taken.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        self.cut();
        let _ = self.listener.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    fn ends(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    fn listen(self: Arc<Self>) {
        let mut open = None;
        while !self.ends() {
            if !self.weather().listens {
                open = None;
            } else if open.is_none() {
                open = TcpListener::bind(("127.0.0.1", self.port)).ok();
            }
            let accepted = open.as_ref().and_then(|listener: &TcpListener| {
                listener.set_nonblocking(true).unwrap();
                listener.accept().ok()
            });
            match accepted {
                Some((daemon, _)) => {
                    daemon.set_nonblocking(false).unwrap();
                    self.clone().join(daemon);
                }
                None => live_for(LOOK),
            }
        }
    }

    /// Leads a connection through to the broker; if nobody is there, it is closed.
    fn join(self: Arc<Self>, daemon: TcpStream) {
        let Ok(broker) = TcpStream::connect(("127.0.0.1", self.broker)) else { return };
        let wire = Arc::new(Mutex::new(Wire::default()));
        for line in [&daemon, &broker] {
            line.set_nodelay(true).unwrap();
            line.set_read_timeout(Some(LOOK)).unwrap();
            // Who reads nothing holds up who writes.
            line.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        }
        self.lines.lock().unwrap().extend([daemon.try_clone().unwrap(), broker.try_clone().unwrap()]);
        let (up, down) = (self.clone(), self);
        let (from, to, packets) = (daemon.try_clone().unwrap(), broker.try_clone().unwrap(), wire.clone());
        std::thread::spawn(move || {
            up.carry(from, to, |weather| weather.up, |bytes| packets.lock().unwrap().said(bytes));
        });
        std::thread::spawn(move || {
            let taken = down.clone();
            let note = |bytes: &[u8]| {
                let pages = wire.lock().unwrap().answered(bytes);
                taken.taken.lock().unwrap().extend(pages);
            };
            down.carry(broker, daemon, |weather| weather.down, note);
        });
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, flow: fn(Weather) -> Flow, mut note: impl FnMut(&[u8])) {
        let mut buffer = vec![0; 64 * 1024];
        while !self.ends() {
            let most = match flow(self.weather()) {
                Flow::Open => buffer.len(),
                Flow::Slow(bytes) => {
                    live_for(LOOK);
                    bytes
                }
                Flow::Shut => {
                    live_for(LOOK);
                    continue;
                }
            };
            match from.read(&mut buffer[..most]) {
                Ok(0) => break,
                Ok(length) => {
                    note(&buffer[..length]);
                    if to.write_all(&buffer[..length]).is_err() {
                        break;
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => break,
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
