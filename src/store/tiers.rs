//! The ways in and out of the store: from the bus to what waits and to the fresh tier, and back to whoever reads.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::entry::Numbered;
use super::handle::{Slot, UNKNOWN};
use super::read::After;
use super::writer::Cursor;
use super::{Store, StoreError, Stored, read};
use crate::bus::Tap;
use crate::message::Alarm;
use crate::model::ChannelId;
use crate::panics::locked;

/// How often the history's cursor is written to the disk, if there is a fresh tier where it also stands.
const CURSOR: Duration = Duration::from_secs(60);

impl Store {
    /// Moves what waits in the tap to what waits for the disk. Never blocks.
    pub fn collect(&self, tap: &Tap) {
        let mut events = Vec::new();
        tap.drain(&mut events);
        let lost = self.pending().take(events.into_iter());
        self.shared.lost.fetch_add(lost, Ordering::Relaxed);
        self.shared.unheard.store(tap.dropped(), Ordering::Relaxed);
    }

    /// Whether what waits is also written to memory that outlives the process.
    pub fn has_fresh_tier(&self) -> bool {
        self.shared.has_fresh
    }

    /// Writes what waits, and is not there yet, to the fresh tier. Blocks.
    pub(super) fn journal(&self) {
        let mut tier = self.fresh_tier();
        let Some(fresh) = tier.as_mut().filter(|fresh| fresh.may_try(self.now())) else { return };
        if !fresh.works() {
            self.pending().safe_to(0);
        }
        let (from, entries) = self.pending().unsafe_yet();
        let written = fresh.write(from, &entries, self.cursor(), self.now());
        self.pending().guard(written.is_ok());
        if written.is_ok() {
            self.pending().safe_to(from + entries.len() as u64);
            // What memory had to let go while the disk fails goes here too.
            fresh.forget(self.pending().begins());
        }
        self.health().fresh(written.err());
    }

    /// Up to which number everything has been acknowledged by the history's reader. It survives restarts; after a power cut it may
    /// be that of a minute before.
    pub fn cursor(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Acquire)
    }

    /// The history's reader has everything up to `seq`. Never blocks; it is kept with what is written next.
    pub fn acknowledged(&self, seq: u64) {
        self.shared.acknowledged.fetch_max(seq, Ordering::AcqRel);
    }

    pub(super) fn has_news_of_the_cursor(&self) -> bool {
        !self.shared.has_fresh && locked(&self.shared.keeper).cursor_written < self.cursor()
    }

    /// What to write of the history's cursor. It moves when it is time: that is a page of its own each time, and where there is a
    /// fresh tier it stands there too. The first time it is written as it is: without one, there was no reader.
    pub(super) fn cursor_to_write(&self, slot: &Slot) -> Cursor {
        let now = self.now();
        let (last, since) = slot.cursor;
        let is_time = !self.shared.has_fresh || since.is_none_or(|since| now.since(since) >= CURSOR);
        let cursor = self.cursor();
        let mut keeper = locked(&self.shared.keeper);
        keeper.cursor_written = cursor;
        let is_news = match last {
            Cursor::Moves(written) => cursor > written,
            Cursor::Stays | Cursor::Goes => cursor > 0 || keeper.for_history == Some(true),
        };
        match keeper.for_history {
            Some(false) if last != Cursor::Goes => Cursor::Goes,
            None | Some(true) if is_time && is_news => Cursor::Moves(cursor),
            _ => Cursor::Stays,
        }
    }

    /// Readings with a number above `seq`, oldest first, at most `most`; from the disk and from what waits for it. Whoever is not
    /// far behind is served from memory. Blocks.
    ///
    /// # Errors
    /// The disk is needed and cannot be read.
    pub fn after(&self, seq: u64, most: usize) -> Result<Vec<Numbered>, StoreError> {
        // In this order: what is written between the two is in both.
        let mut waiting = self.pending().after(seq, most);
        let on_disk = self.shared.on_disk.load(Ordering::Acquire);
        if on_disk != UNKNOWN && seq >= on_disk {
            return Ok(waiting);
        }
        let mut above = seq;
        loop {
            let After { mut found, last, is_full } = self.read(|file| read::after(file, above, most))?;
            above = last.unwrap_or(above);
            if !is_full {
                waiting.retain(|reading| reading.seq > above);
                found.extend(waiting);
                found.truncate(most);
                return Ok(found);
            }
            // Of nothing but what somebody else has put there, the next ones are looked at.
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }

    /// How many readings are on disk. Blocks.
    pub fn count(&self) -> Result<u64, StoreError> {
        self.read(read::count)
    }

    /// All readings of a channel that are on disk, in the order of their numbers. Blocks.
    pub fn readings(&self, channel: &ChannelId) -> Result<Vec<Stored>, StoreError> {
        self.read(|file| read::readings(file, channel))
    }

    /// The newest `most` changes of alarms that are on disk, oldest first. Blocks.
    pub fn alarms(&self, most: u32) -> Result<Vec<Alarm>, StoreError> {
        self.read(|file| read::alarms(file, most))
    }

    /// A file that cannot be read because it is damaged is put aside at the next flush.
    fn read<T>(&self, question: impl FnOnce(&Path) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let generation = self.generation();
        let answer = question(self.file());
        // A file that was begun just now may not have its tables yet.
        let is_known = self.shared.on_disk.load(Ordering::Acquire) != UNKNOWN;
        if is_known && answer.as_ref().is_err_and(StoreError::is_damage) {
            self.suspect(generation);
        }
        answer
    }
}
