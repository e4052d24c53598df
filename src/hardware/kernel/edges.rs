//! Edges of GPIO lines, as the kernel saw them: a thread that waits for them, and what is made of them.
//!
//! The kernel numbers the edges of each line and keeps the newest when nobody fetches them in time, so a count is exact however late
//! the thread is. Only what comes faster than the chip's interrupt is served is never seen.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::EdgeKind;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::Trouble;
use crate::panics::locked;

/// So many edges are fetched at a time.
const BATCH: usize = 16;

/// One change of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    /// To active.
    pub rising: bool,
    /// On the kernel's monotonic clock.
    pub at: Duration,
    /// The how-manieth of its line, from 1 on; it wraps.
    pub number: u32,
}

/// Where edges come from.
pub(super) trait Source: AsFd + Send + 'static {
    /// Fetches edges, at least one: only once the descriptor is ready, or it blocks.
    fn fetch(&mut self, each: &mut dyn FnMut(Event)) -> Result<(), Trouble>;
}

/// The edges of a line that was requested with edge detection.
pub(super) struct Edges {
    request: Arc<Request>,
    buffer: Vec<u64>,
}

impl Edges {
    pub(super) fn new(request: Arc<Request>) -> Self {
        let buffer = vec![0; BATCH * request.edge_event_u64_size()];
        Self { request, buffer }
    }
}

impl AsFd for Edges {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.request.as_fd()
    }
}

impl Source for Edges {
    // gpiocdev's `read_edge_event` fetches several and gives the first one only.
    fn fetch(&mut self, each: &mut dyn FnMut(Event)) -> Result<(), Trouble> {
        let fetched = self.request.read_edge_events_into_slice(&mut self.buffer).map_err(super::gpio::trouble)?;
        let buffer = self.buffer.get(..fetched).unwrap_or_default();
        for raw in buffer.chunks_exact(self.request.edge_event_u64_size()) {
            let edge = self.request.edge_event_from_slice(raw).map_err(super::gpio::trouble)?;
            let at = Duration::from_nanos(edge.timestamp_ns);
            each(Event { rising: edge.kind == EdgeKind::Rising, at, number: edge.line_seqno });
        }
        Ok(())
    }
}

/// Whether one of the two descriptors can be read, within `timeout`.
fn ready(one: BorrowedFd<'_>, other: Option<BorrowedFd<'_>>, timeout: Option<Duration>) -> io::Result<(bool, bool)> {
    let timeout = timeout.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
    let mut both =
        [PollFd::from_borrowed_fd(one, PollFlags::IN), PollFd::from_borrowed_fd(other.unwrap_or(one), PollFlags::IN)];
    loop {
        match poll(&mut both, timeout.as_ref()) {
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // A chip that is gone is ready too: to fetch its edges tells of it.
    let [one, two] = both.map(|it| !it.revents().is_empty());
    Ok((one, two && other.is_some()))
}

/// A thread that is told of every edge. It ends, at once, when this is dropped.
pub(super) struct Watch {
    stop: OwnedFd,
    failed: Arc<Mutex<Option<Trouble>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watch {
    /// `each` is called for every edge, and must not block.
    pub(super) fn start(
        name: &str,
        mut source: impl Source,
        mut each: impl FnMut(Event) + Send + 'static,
    ) -> io::Result<Self> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
        let failed = Arc::default();
        let (heard, why) = (stop.try_clone()?, Arc::clone(&failed));
        let work = move || {
            if let Err(trouble) = follow(&mut source, &heard, &mut each) {
                *locked(&why) = Some(trouble);
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { stop, failed, thread: Some(thread) })
    }

    /// Why it has ended, if it has.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let over = self.thread.as_ref().is_none_or(thread::JoinHandle::is_finished);
        over.then(|| match &*locked(&self.failed) {
            Some(Ok(error)) => {
                Ok(error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error))
            }
            Some(Err(words)) => Err(words.clone()),
            None => Err("the thread that waits for its edges has ended; open it anew".to_owned()),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let told = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let (Ok(_), Some(thread)) = (told, self.thread.take()) {
            // Its line is free only when it is gone. A panic of its own was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn follow(source: &mut impl Source, stop: &OwnedFd, each: &mut dyn FnMut(Event)) -> Result<(), Trouble> {
    loop {
        let (edges, stopped) = ready(source.as_fd(), Some(stop.as_fd()), None).map_err(Ok)?;
        if stopped {
            return Ok(());
        }
        if edges {
            source.fetch(each)?;
        }
    }
}

/// Counts by the kernel's numbers, so that edges which it had to drop count too.
#[derive(Debug, Default)]
pub(super) struct Count {
    last: u32,
    total: u64,
}

impl Count {
    pub(super) fn see(&mut self, event: Event) {
        self.total += u64::from(event.number.wrapping_sub(self.last));
        self.last = event.number;
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

/// Takes the time of one pulse.
#[derive(Debug, Default)]
struct Pulse {
    begun: Option<(Duration, u32)>,
}

impl Pulse {
    /// How long it was, once it is over. One whose beginning or end the kernel had to drop is none.
    fn see(&mut self, event: Event) -> Option<Duration> {
        if event.rising {
            self.begun = Some((event.at, event.number));
            return None;
        }
        let (at, number) = self.begun.take()?;
        if event.number.wrapping_sub(number) == 1 { event.at.checked_sub(at) } else { None }
    }
}

/// Waits for a pulse that begins within `timeout` and is no longer than that. Noise can make it wait a few times as long, not for ever.
pub(super) fn time_pulse(source: &mut impl Source, timeout: Duration) -> Result<Option<Duration>, Trouble> {
    let (mut pulse, mut length) = (Pulse::default(), None);
    for _ in 0..4 {
        if !ready(source.as_fd(), None, Some(timeout)).map_err(Ok)?.0 {
            break;
        }
        source.fetch(&mut |event| length = length.or(pulse.see(event)))?;
        if length.is_some() {
            break;
        }
    }
    Ok(length.filter(|length| *length <= timeout))
}

/// Throws away what came before.
pub(super) fn drain(source: &mut impl Source) -> Result<(), Trouble> {
    // Bounded: noise must not keep us here.
    for _ in 0..BATCH {
        if !ready(source.as_fd(), None, Some(Duration::ZERO)).map_err(Ok)?.0 {
            break;
        }
        source.fetch(&mut |_| ())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::{PipeReader, PipeWriter, Read as _, Write as _, pipe};
    use std::sync::mpsc::{RecvTimeoutError, channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(5);
    const SHORT: Duration = Duration::from_millis(20);

    /// Batches of edges, each fetched at once; each byte in the pipe stands for one. After the last the chip is gone.
    struct Script(PipeReader, VecDeque<Vec<Event>>);

    fn script<const N: usize>(batches: [&[(bool, u64, u32)]; N]) -> (PipeWriter, Script) {
        let (reader, writer) = pipe().unwrap();
        let event = |&(rising, micros, number)| Event { rising, at: Duration::from_micros(micros), number };
        let batches = batches.iter().map(|batch| batch.iter().map(event).collect());
        (writer, Script(reader, batches.collect()))
    }

    impl AsFd for Script {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl Source for Script {
        fn fetch(&mut self, each: &mut dyn FnMut(Event)) -> Result<(), Trouble> {
            self.0.read_exact(&mut [0]).map_err(Ok)?;
            const ENODEV: i32 = 19;
            let batch = self.1.pop_front().ok_or_else(|| Ok(io::Error::from_raw_os_error(ENODEV)))?;
            batch.into_iter().for_each(each);
            Ok(())
        }
    }

    #[test]
    fn a_count_holds_also_what_the_kernel_had_to_drop() {
        let mut count = Count::default();
        for (number, total) in [(1, 1), (2, 2), (50, 50), (u32::MAX, u64::from(u32::MAX)), (3, (1 << 32) + 3)] {
            count.see(Event { rising: true, at: Duration::ZERO, number });
            assert_eq!(count.total(), total, "after edge {number}");
        }
    }

    #[test]
    fn every_edge_is_told_at_once_and_a_drop_ends_the_thread_while_it_waits() {
        let (mut writer, source) = script([&[(true, 1, 1)], &[(false, 2, 2), (true, 3, 3)]]);
        let (told, heard) = channel();
        let watch = Watch::start("test", source, move |event| {
            let _ = told.send(event.number);
        })
        .unwrap();
        assert_eq!(heard.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout), "nothing has happened");
        writer.write_all(b"..").unwrap();
        assert_eq!((1..=3).map(|_| heard.recv_timeout(LONG).unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(watch.trouble().is_none());
        drop(watch);
        // The thread had the other end, and is gone.
        assert_eq!(heard.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn whoever_waits_for_a_chip_that_is_gone_hears_of_it() {
        let (mut writer, source) = script([]);
        let watch = Watch::start("test", source, |_| ()).unwrap();
        writer.write_all(b".").unwrap();
        let trouble = (0..10_000_000).find_map(|_| watch.trouble()).unwrap();
        assert_eq!(trouble.unwrap().to_string(), "No such device (os error 19)");
    }

    #[test]
    fn an_echo_is_as_long_as_between_its_two_edges() {
        type Batch<'a> = &'a [(bool, u64, u32)];
        let cases: [(&str, &[Batch<'_>], Option<u64>); 8] = [
            ("both at once", &[&[(true, 100, 1), (false, 1_550, 2)]], Some(1_450)),
            ("one after the other", &[&[(true, 100, 1)], &[(false, 1_550, 2)]], Some(1_450)),
            ("the end of an earlier one first", &[&[(false, 50, 1)], &[(true, 100, 2), (false, 200, 3)]], Some(100)),
            (
                "the second of two is not asked for",
                &[&[(true, 1, 1), (false, 2, 2), (true, 3, 3), (false, 9, 4)]],
                Some(1),
            ),
            ("an end that is another pulse's", &[&[(true, 100, 1), (false, 900, 4)]], None),
            ("no end", &[&[(true, 100, 1)]], None),
            ("nothing", &[], None),
            ("longer than one waits", &[&[(true, 0, 1), (false, 30_000, 2)]], None),
        ];
        for (name, batches, expected) in cases {
            let (mut writer, mut source) = script([]);
            source.1 = batches.iter().flat_map(|batch| script([*batch]).1.1).collect();
            writer.write_all(&vec![0; batches.len()]).unwrap();
            let length = time_pulse(&mut source, SHORT).unwrap();
            assert_eq!(length, expected.map(Duration::from_micros), "{name}");
        }
    }

    #[test]
    fn what_came_before_a_measurement_is_thrown_away_and_noise_does_not_hold_it_up() {
        let (mut writer, mut source) = script([&[(true, 1, 1)], &[(false, 2, 2)]]);
        writer.write_all(b"..").unwrap();
        drain(&mut source).unwrap();
        assert!(source.1.is_empty());

        source.1 = (0..1_000).map(|_| Vec::new()).collect();
        writer.write_all(&[0; 1_000]).unwrap();
        drain(&mut source).unwrap();
        assert_eq!(time_pulse(&mut source, SHORT).unwrap(), None);
        assert!(source.1.len() > 900);
    }
}
