//! A shell inside of the machine, which calls the test over the emulated network.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::until::until;

pub struct Guest {
    stream: TcpStream,
    said: Arc<Mutex<Vec<u8>>>,
    /// How much of what it said was looked at.
    read: usize,
    asked: u32,
}

impl Guest {
    /// Waits until the machine is up: guest/init calls then.
    pub fn answer(listener: &TcpListener, lives: impl Fn()) -> Self {
        listener.set_nonblocking(true).unwrap();
        let mut stream = None;
        until("the emulated Pi calls", || {
            lives();
            stream = listener.accept().ok();
            stream.is_some()
        });
        let (stream, _) = stream.unwrap();
        stream.set_nonblocking(false).unwrap();
        let said: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut reader, heard) = (stream.try_clone().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                heard.lock().unwrap().extend(&buffer[..length]);
            }
        });
        Self { stream, said, read: 0, asked: 0 }
    }

    /// Runs a command that must succeed, and gives what it said on both streams.
    pub fn run(&mut self, command: &str) -> String {
        let (status, said) = self.tries(command);
        assert_eq!(status, 0, "{command}: {said}");
        said
    }

    /// Runs a command to its end: its exit code, and what it said on both streams.
    pub fn tries(&mut self, command: &str) -> (i32, String) {
        self.asked += 1;
        let end = format!("=={}==", self.asked);
        write!(self.stream, "{{ {command}\n}} </dev/null 2>&1; echo \"{end}$?\"\n").unwrap();
        let said = self.hears_until(&end);
        let status = self.hears_until("\n");
        (status.trim().parse().unwrap(), said)
    }

    pub fn write(&mut self, file: &str, content: &str) {
        assert!(!content.contains("\nEND"), "{content}");
        self.run(&format!("cat >{file} <<'END'\n{content}\nEND"));
    }

    /// Looks until it is so.
    pub fn until(&mut self, condition: &str) {
        until(condition, || self.tries(condition).0 == 0);
    }

    /// Everything up to this, which is not given.
    fn hears_until(&mut self, end: &str) -> String {
        let mut heard = String::new();
        until(&format!("the emulated Pi says {end:?}"), || {
            let said = self.said.lock().unwrap();
            let rest = &said[self.read..];
            let Some(at) = rest.windows(end.len()).position(|window| window == end.as_bytes()) else { return false };
            heard = String::from_utf8_lossy(&rest[..at]).into_owned();
            self.read += at + end.len();
            true
        });
        heard
    }
}
