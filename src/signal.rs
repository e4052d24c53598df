//! The only owner of signals. SIGTERM and SIGINT ask for an orderly stop, SIGHUP for a reload.
//!
//! A second SIGTERM or SIGINT ends the process at once with status 128 + its number, for when the orderly stop itself hangs. Outputs
//! then keep the levels they have until the unit's `ExecStopPost=` (`homeostat safe`) or, without systemd, the next start brings
//! them to their safe levels.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals as Stream};
use signal_hook::low_level;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::model::Monotonic;

/// One request may arrive twice: `timeout` signals its child and then its whole process group, which the child is in. What comes
/// so soon after the first is taken for its echo and not for impatience.
const ECHO: Duration = Duration::from_millis(250);

/// What the outside asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Stop in good order.
    Stop,
    /// Read the configuration again.
    Reload,
}

/// The process's signals, from [`Signals::watch`] until it is dropped. After that the first SIGTERM or SIGINT ends the process.
pub struct Signals {
    asked: Arc<Asked>,
    handle: Handle,
}

/// Several requests of one kind that nobody has taken yet are one, so nothing can fill up.
#[derive(Default)]
struct Asked {
    stop: Notify,
    reload: Notify,
}

impl Signals {
    /// Takes the signals over, on a thread of their own: they are heard while everything else hangs.
    pub fn watch() -> io::Result<Self> {
        let mut stream = Stream::new([SIGTERM, SIGINT, SIGHUP])?;
        let (asked, handle) = (Arc::new(Asked::default()), stream.handle());
        let listener = asked.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || listen(&mut stream, &listener))?;
        Ok(Self { asked, handle })
    }

    /// Waits for the request to stop only; one to reload stays for [`next`](Self::next). Cancelling it loses nothing.
    pub async fn stop(&self) {
        self.asked.stop.notified().await;
    }

    /// Waits for the next one. Cancelling it loses nothing.
    pub async fn next(&self) -> Signal {
        tokio::select! {
            biased;
            () = self.asked.stop.notified() => Signal::Stop,
            () = self.asked.reload.notified() => Signal::Reload,
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
        // signal-hook keeps its handlers when it is closed, and then nothing but SIGKILL would end a process that hangs here.
        for signal in [SIGTERM, SIGINT] {
            let always = Arc::new(true.into());
            // It only fails for signals that cannot be handled, and these are.
            let _ = signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, always);
        }
    }
}

/// What a signal leads to.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    Ask(Signal),
    Exit(i32),
    Nothing,
}

fn listen(stream: &mut Stream, asked: &Asked) {
    let clock = Clock::system();
    let mut first_stop = None;
    for signal in stream.forever() {
        match decide(signal, &mut first_stop, clock.now()) {
            Action::Ask(Signal::Stop) => asked.stop.notify_one(),
            Action::Ask(Signal::Reload) => asked.reload.notify_one(),
            // `_exit`: destructors and exit handlers could wait for whatever hangs.
            Action::Exit(status) => low_level::exit(status),
            Action::Nothing => {}
        }
    }
}

fn decide(signal: i32, first_stop: &mut Option<Monotonic>, now: Monotonic) -> Action {
    match (signal, *first_stop) {
        (SIGHUP, _) => Action::Ask(Signal::Reload),
        (_, None) => {
            *first_stop = Some(now);
            Action::Ask(Signal::Stop)
        }
        (_, Some(first)) if now.since(first) < ECHO => Action::Nothing,
        (_, Some(_)) => Action::Exit(128 + signal),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_second_request_to_stop_exits_unless_it_is_an_echo_of_the_first() {
        let cases: [&[(i32, u64, Action)]; 3] = [
            &[
                (SIGHUP, 0, Action::Ask(Signal::Reload)),
                (SIGTERM, 1_000, Action::Ask(Signal::Stop)),
                (SIGHUP, 2_000, Action::Ask(Signal::Reload)),
                (SIGTERM, 3_000, Action::Exit(143)),
            ],
            &[
                (SIGINT, 1_000, Action::Ask(Signal::Stop)),
                (SIGINT, 1_000, Action::Nothing),
                (SIGTERM, 1_249, Action::Nothing),
                (SIGINT, 1_250, Action::Exit(130)),
            ],
            &[(SIGINT, 0, Action::Ask(Signal::Stop)), (SIGTERM, 60_000, Action::Exit(143))],
        ];
        for case in cases {
            let mut first_stop = None;
            for (signal, millis, action) in case {
                let now = Monotonic::new(Duration::from_millis(*millis));
                assert_eq!(decide(*signal, &mut first_stop, now), *action, "signal {signal} at {millis} ms");
            }
        }
    }

    /// Signals belong to the whole process, so this runs in one of its own.
    #[test]
    fn signals_of_the_process_are_forwarded_and_none_is_ignored_after_the_end() {
        const CHILD: &str = "HOMEOSTAT_TEST_SIGNALS";
        if std::env::var_os(CHILD).is_none() {
            let child = Command::new(std::env::current_exe().unwrap())
                .args([
                    "signal::tests::signals_of_the_process_are_forwarded_and_none_is_ignored_after_the_end",
                    "--exact",
                ])
                .env(CHILD, "1")
                .output()
                .unwrap();
            assert_eq!((child.status.code(), child.status.signal()), (Some(143), None), "{child:?}");
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let signals = Signals::watch().unwrap();
        for (signal, expected) in [(SIGHUP, Signal::Reload), (SIGTERM, Signal::Stop)] {
            low_level::raise(signal).unwrap();
            assert_eq!(runtime.block_on(signals.next()), expected);
        }
        drop(signals);
        low_level::raise(SIGTERM).unwrap();
        unreachable!("the process has ended");
    }
}
