//! Where log lines go on a terminal: through a bounded queue to a thread of their own, so that a terminal that is held up
//! (Ctrl-S, a pipe that nobody drains) loses lines and holds up no actor.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Far more lines than a person reads while a terminal is held up.
const QUEUE: usize = 1024;

/// How long the last lines may take at the end, once there was room in the queue to ask for them …
const FLUSH: Duration = Duration::from_millis(300);

/// … and how often, and how long each time, it is waited for that room.
const ROOM: (u32, Duration) = (30, Duration::from_millis(10));

enum Entry {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// Gives each event a buffer and queues it when the event is written.
#[derive(Clone)]
pub(super) struct LogWriter {
    queue: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

impl LogWriter {
    /// Begins the thread, which writes to `out`.
    pub fn begin(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, entries) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let losses = lost.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || write_all(&entries, &losses, out))?;
        Ok(Self { queue, lost })
    }

    /// Waits until what was logged is written, but not for ever: if it takes longer, the terminal is held up and the lines are lost
    /// with the process.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        let mut entry = Entry::Flush(done);
        for _ in 0..ROOM.0 {
            entry = match self.queue.try_send(entry) {
                Ok(()) => {
                    let _ = wait.recv_timeout(FLUSH);
                    return;
                }
                Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(entry)) => entry,
            };
            // Nobody can answer yet: this only lets time pass.
            let _ = wait.recv_timeout(ROOM.1);
        }
    }
}

fn write_all(entries: &Receiver<Entry>, lost: &AtomicU64, mut out: impl Write) {
    for entry in entries {
        // Whoever closed the other end has seen enough.
        let _ = match entry {
            Entry::Line(line) => out.write_all(&line),
            Entry::Flush(done) => {
                let flushed = out.flush();
                let _ = done.try_send(());
                flushed
            }
        };
        let gone = lost.swap(0, Ordering::Relaxed);
        if gone > 0 {
            let _ = writeln!(out, "({gone} lines of the log were lost while nobody took them)");
        }
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { writer: self.clone(), text: Vec::with_capacity(128) }
    }
}

/// One event, queued when it is dropped.
pub(super) struct Line {
    writer: LogWriter,
    text: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.writer.queue.try_send(Entry::Line(std::mem::take(&mut self.text))).is_err() {
            self.writer.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// A terminal that takes nothing until it is released.
    #[derive(Clone, Default)]
    struct Terminal(Arc<(Mutex<State>, Condvar)>);

    #[derive(Default)]
    struct State {
        released: bool,
        shown: Vec<u8>,
    }

    impl Write for Terminal {
        fn write(&mut self, part: &[u8]) -> io::Result<usize> {
            let (state, changed) = &*self.0;
            let mut state = changed.wait_while(state.lock().unwrap(), |state| !state.released).unwrap();
            state.shown.extend_from_slice(part);
            changed.notify_all();
            Ok(part.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Terminal {
        fn release(&self) {
            self.0.0.lock().unwrap().released = true;
            self.0.1.notify_all();
        }

        /// Waits until this is shown, and gives all that is. The bound is for a test that fails.
        fn shows(&self, part: &str) -> String {
            let (state, changed) = &*self.0;
            let text = |state: &State| String::from_utf8_lossy(&state.shown).into_owned();
            let long = Duration::from_secs(20);
            let waited = changed.wait_timeout_while(state.lock().unwrap(), long, |state| !text(state).contains(part));
            let (state, timeout) = waited.unwrap();
            assert!(!timeout.timed_out(), "{part:?} is not shown");
            text(&state)
        }
    }

    #[test]
    fn a_terminal_that_is_held_up_loses_lines_and_blocks_nobody() {
        let terminal = Terminal::default();
        let writer = LogWriter::begin(terminal.clone()).unwrap();
        for number in 0..QUEUE + 100 {
            writeln!(writer.make_writer(), "line {number}").unwrap();
        }
        terminal.release();
        // There is room in the queue once the loss is told.
        assert!(terminal.shows("lines of the log were lost").starts_with("line 0\n"));
        writeln!(writer.make_writer(), "end").unwrap();
        terminal.shows("\nend\n");
    }
}
