//! Runs a program to a certain end: in a process group of its own, all of which is killed when the program has ended or its time is over.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::config::written;

/// So much of what it writes is read.
const MOST: u64 = 64 * 1024;

/// So much of its reason is told.
const REASON: usize = 200;

/// Its output ends with it, unless somebody else holds it.
pub const END: Duration = Duration::from_secs(1);

/// So many threads may wait for output; one waits for ever where what a program left behind goes on holding it.
const READERS: usize = 64;

/// So many wait now, over all programs.
static READING: AtomicUsize = AtomicUsize::new(0);

/// A program that runs.
pub struct Running {
    child: Child,
    group: Pid,
    ended: Receiver<()>,
    output: Receiver<Vec<u8>>,
    reason: Receiver<Vec<u8>>,
}

impl Running {
    /// Starts it. Nothing is written to it.
    pub fn start(command: &mut Command) -> Result<Self, String> {
        if READING.load(Ordering::Relaxed) >= READERS {
            return Err("too many programs that ended have left something behind that holds their output".to_owned());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let fail = |error| format!("it cannot be run: {error}; check its path and who may run it");
        let mut child = command.spawn().map_err(fail)?;
        let group = Pid::from_child(&child);
        let (output, reason) = (read(child.stdout.take()), read(child.stderr.take()));
        let (tell, ended) = sync_channel(1);
        // It waits without asking for its end: until somebody does, its id, which is that of the group, is nobody else's.
        let wait = move || {
            let _ = waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            let _ = tell.send(());
        };
        let mut running = Self { child, group, ended, output, reason };
        match thread::Builder::new().name("command".into()).spawn(wait) {
            Ok(_) => Ok(running),
            Err(error) => {
                running.end().map_err(|error| error.to_string())?;
                Err(format!("there is no thread to wait for it: {error}"))
            }
        }
    }

    /// What it has written until it ended well.
    ///
    /// # Errors
    /// It did not end in time, did not end well, or wrote too much; as a sentence.
    pub fn finish(mut self, deadline: Duration) -> Result<String, String> {
        let in_time = self.ended.recv_timeout(deadline).is_ok();
        let status = self.end().map_err(|error| format!("nothing is known of its end: {error}"))?;
        let held = |_| "something that it started still holds its output; let it end, or give it another".to_owned();
        let output = self.output.recv_timeout(END).map_err(held)?;
        if output.len() as u64 > MOST {
            return Err("it writes more than 64 KiB".to_owned());
        }
        if !in_time {
            let deadline = written(deadline);
            return Err(format!("it did not end within {deadline}, and was killed; a longer `deadline` may help"));
        }
        if !status.success() {
            let reason = self.reason.recv_timeout(END).unwrap_or_default();
            let reason = String::from_utf8_lossy(&reason);
            let line: String = reason.trim().lines().next().unwrap_or_default().chars().take(REASON).collect();
            let line = if line.is_empty() { ", and wrote no reason".to_owned() } else { format!(": {line}") };
            return Err(format!("it ended with {status}{line}"));
        }
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// Kills what is left of the group, and takes note of the end.
    fn end(&mut self) -> std::io::Result<ExitStatus> {
        // There is none if it has ended and left nothing behind.
        let _ = kill_process_group(self.group, Signal::KILL);
        self.child.wait()
    }
}

/// Reads what comes, on a thread of its own, up to where it is too much; who writes on is told by a broken pipe.
fn read(from: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (tell, text) = sync_channel(1);
    let read = move || {
        READING.fetch_add(1, Ordering::Relaxed);
        let mut bytes = Vec::new();
        // What came before an error is what came.
        let _ = from.map(|from| from.take(MOST + 1).read_to_end(&mut bytes));
        READING.fetch_sub(1, Ordering::Relaxed);
        let _ = tell.send(bytes);
    };
    // Without the thread nothing is ever told, and that is an error too.
    let _ = thread::Builder::new().name("command".into()).spawn(read);
    text
}
