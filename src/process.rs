//! Runs a program of somebody else's, once: no longer than a deadline, with no more output than a bound, and nothing of it left behind.
//!
//! It gets a process group of its own, which is killed when the program has ended or its time is over: what it leaves in the
//! background ends with it. It begins in `/`. One that leaves its group on purpose (`setsid`, a daemon) is its own master.
//!
//! Blocks, and so runs in a lane only.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::clock::Clock;

/// What a program finds of the daemon's own environment. The rest may hold passwords, and is not meant for others.
const ENVIRONMENT: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// So much of its complaints is kept, the last of them.
const COMPLAINTS: usize = 4096;

/// A killed program is gone within this, unless the kernel holds it.
const DYING: Duration = Duration::from_millis(100);

/// So many pieces fit in a pipe, twice over.
const FULL_PIPE: usize = 32;

/// Why a program did not do what it was run for. The messages name the program only: its arguments may be nobody's business.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProcessError {
    /// There is no such program, or it may not be run.
    #[error("`{program}` cannot be run: {reason}; check its path, and that the user of homeostat may run it")]
    NotRun {
        /// The first word of its command line.
        program: String,
        /// The system's own words.
        reason: String,
    },
    /// It was killed.
    #[error("`{program}` did not end within {} ms and was killed", deadline.as_millis())]
    TooSlow {
        /// The first word of its command line.
        program: String,
        /// Its time.
        deadline: Duration,
    },
    /// It was killed.
    #[error("`{program}` wrote more than {most} bytes and was killed")]
    TooMuch {
        /// The first word of its command line.
        program: String,
        /// It may have written so much.
        most: usize,
    },
    /// It ended by itself, and says that it failed.
    #[error("`{program}` failed ({status}){}", if said.is_empty() { String::new() } else { format!(": {said}") })]
    Failed {
        /// The first word of its command line.
        program: String,
        /// `exit status: 1`
        status: String,
        /// The last line of its complaints; may be empty.
        said: String,
    },
}

/// Runs a program, given with its arguments, and waits for its end. Gives what it wrote to its standard output.
///
/// # Errors
/// It could not be run, took longer than `deadline`, wrote more than `most` bytes, or ended with anything but 0.
pub fn run(argv: &[String], deadline: Duration, most: usize) -> Result<Vec<u8>, ProcessError> {
    let program = argv.first().cloned().unwrap_or_default();
    let not_run = |error: io::Error| ProcessError::NotRun { program: program.clone(), reason: error.to_string() };
    let mut running = Running::begin(argv).map_err(not_run)?;
    match running.listen(deadline, most).map_err(not_run)? {
        Listened::Ended => {}
        Listened::TooSlow => return Err(ProcessError::TooSlow { program, deadline }),
        Listened::TooMuch => return Err(ProcessError::TooMuch { program, most }),
    }
    let status = running.end().map_err(not_run)?;
    if status.success() {
        return Ok(std::mem::take(&mut running.written));
    }
    let said = last_line(&running.complaints);
    Err(ProcessError::Failed { program, status: status.to_string(), said })
}

/// Why nobody listens to a program any more.
enum Listened {
    Ended,
    TooSlow,
    TooMuch,
}

/// A program that was begun. Dropped, it and its group are killed.
struct Running {
    child: Option<Child>,
    group: Pid,
    /// Readable when the program has ended; until it is waited for, its number and so its group's cannot be another's.
    ended: OwnedFd,
    output: Option<ChildStdout>,
    errors: Option<ChildStderr>,
    written: Vec<u8>,
    complaints: Vec<u8>,
}

impl Running {
    fn begin(argv: &[String]) -> io::Result<Self> {
        let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let kept = ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(kept)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let group = Pid::from_child(&child);
        match pidfd_open(group, PidfdFlags::empty()) {
            Ok(ended) => {
                let (output, errors) = (child.stdout.take(), child.stderr.take());
                let (written, complaints) = (Vec::new(), Vec::new());
                Ok(Self { child: Some(child), group, ended, output, errors, written, complaints })
            }
            Err(error) => {
                let _ = kill_process_group(group, Signal::KILL);
                reap(child);
                Err(error.into())
            }
        }
    }

    /// Takes what it writes until it has ended, or until enough is enough.
    fn listen(&mut self, deadline: Duration, most: usize) -> io::Result<Listened> {
        let clock = Clock::system();
        let begun = clock.now();
        loop {
            let left = deadline.saturating_sub(clock.now().since(begun));
            if !self.stirs(left)? || left.is_zero() {
                return Ok(Listened::TooSlow);
            }
            let ended = any(&mut [PollFd::new(&self.ended, PollFlags::IN)], Duration::ZERO)?;
            if ended {
                let _ = kill_process_group(self.group, Signal::KILL);
                // All that is in the pipes by now, and no more: who has left the group may write on.
                for _ in 0..FULL_PIPE {
                    if !self.take()? {
                        break;
                    }
                }
            } else {
                self.take()?;
            }
            if self.written.len() > most {
                return Ok(Listened::TooMuch);
            }
            if ended {
                return Ok(Listened::Ended);
            }
        }
    }

    /// Waits until it has ended or written something, for so long. Gives whether it has.
    fn stirs(&self, longest: Duration) -> io::Result<bool> {
        let mut looks = vec![PollFd::new(&self.ended, PollFlags::IN)];
        looks.extend(self.output.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        looks.extend(self.errors.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        any(&mut looks, longest)
    }

    /// Takes of what it has written so far. Gives whether there was anything.
    fn take(&mut self) -> io::Result<bool> {
        let written = take(&mut self.output, &mut self.written)?;
        let complained = take(&mut self.errors, &mut self.complaints)?;
        let old = self.complaints.len().saturating_sub(COMPLAINTS);
        self.complaints.drain(..old);
        Ok(written || complained)
    }

    /// What became of one that has ended.
    fn end(&mut self) -> io::Result<ExitStatus> {
        match self.child.take() {
            Some(mut child) => child.wait(),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        let _ = kill_process_group(self.group, Signal::KILL);
        let mut look = [PollFd::new(&self.ended, PollFlags::IN)];
        let _ = any(&mut look, DYING);
        reap(child);
    }
}

/// Waits for one that was killed, so that the kernel forgets it. One that hangs in the kernel is waited for by a thread of its own.
fn reap(mut child: Child) {
    if matches!(child.try_wait(), Ok(None)) {
        // Without a thread it stays in the kernel's table until we end.
        let _ = std::thread::Builder::new().name("reaper".into()).spawn(move || child.wait());
    }
}

/// Whether anything is to be heard on any of them, within so long.
fn any(looks: &mut [PollFd<'_>], longest: Duration) -> io::Result<bool> {
    let longest = Timespec::try_from(longest).map_err(io::Error::other)?;
    let count = rustix::io::retry_on_intr(|| poll(looks, Some(&longest)))?;
    Ok(count > 0)
}

/// Takes a piece of what is in a pipe, and gives whether there was any. A pipe at its end goes.
fn take<P: AsFd>(pipe: &mut Option<P>, into: &mut Vec<u8>) -> io::Result<bool> {
    let Some(open) = pipe else { return Ok(false) };
    if !any(&mut [PollFd::new(open, PollFlags::IN)], Duration::ZERO)? {
        return Ok(false);
    }
    let mut chunk = [0; 4096];
    let count = rustix::io::retry_on_intr(|| rustix::io::read(&*open, &mut chunk))?;
    into.extend_from_slice(&chunk[..count]);
    if count == 0 {
        *pipe = None;
    }
    Ok(count > 0)
}

fn last_line(text: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(text);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(20);

    fn sh(script: &str, deadline: Duration, most: usize) -> Result<String, String> {
        let argv = ["sh", "-c", script].map(str::to_owned);
        let written = run(&argv, deadline, most).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(written).unwrap())
    }

    #[test]
    fn what_it_writes_is_given_and_how_it_fails_is_told() {
        let cases = [
            ("echo 21.5", Ok("21.5\n")),
            ("cat", Ok("")),
            ("exec >&- 2>&-", Ok("")),
            ("head -c 1000 /dev/zero | tr '\\0' x >&2; echo done", Ok("done\n")),
            ("echo one >&2; echo \"no plug $((1 + 1))\" >&2; exit 3", Err("`sh` failed (exit status: 3): no plug 2")),
            ("kill -9 $$", Err("`sh` failed (signal: 9 (SIGKILL))")),
            ("echo 123456789012345678901", Err("`sh` wrote more than 20 bytes and was killed")),
        ];
        for (script, expected) in cases {
            let found = sh(script, LONG, 20);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{script}");
        }
        let missing = run(&["/nowhere/prog".into(), "secret".into()], LONG, 0).unwrap_err().to_string();
        assert!(missing.starts_with("`/nowhere/prog` cannot be run: No such file"), "{missing}");
        assert!(run(&[], LONG, 0).is_err());
    }

    #[test]
    fn one_that_floods_or_sleeps_is_killed_in_time() {
        let began = Clock::system();
        let slow = sh("sleep 30", SOON, 20).unwrap_err();
        assert_eq!(slow, "`sh` did not end within 300 ms and was killed");
        for script in ["yes", "yes >&2", "while :; do :; done"] {
            sh(script, SOON, 20).unwrap_err();
        }
        assert!(began.now().since_start() < Duration::from_secs(10), "{:?}", began.now());
    }

    #[test]
    fn nothing_of_it_is_left_behind_whether_it_ends_or_not() {
        let directory = tempfile::tempdir().unwrap();
        for end in ["exit 0", "sleep 30"] {
            let file = directory.path().join("pid");
            let _ = sh(&format!("sleep 30 & echo $! > {}; {end}", file.display()), SOON, 20);
            let pid = std::fs::read_to_string(&file).unwrap();
            let stat = std::path::Path::new("/proc").join(pid.trim()).join("stat");
            // It is dead, though nobody may have asked after it yet.
            let dead = || std::fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z "));
            let gone = (0..200).any(|_| {
                std::thread::park_timeout(Duration::from_millis(10));
                dead()
            });
            assert!(gone, "after {end}");
        }
    }

    #[test]
    fn it_finds_nothing_of_what_the_daemon_knows() {
        // Tests run with these; no program of a user's needs them.
        let found = sh("env", LONG, 100_000).unwrap();
        assert!(found.contains("PATH=") && !found.contains("CARGO"), "{found}");
    }
}
