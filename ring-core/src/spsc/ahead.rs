//! Lines ahead of a producer: the other side has read them, and they have to come back before anything can be stored there.
//!
//! Stores become visible in their order, so a line that is not here holds up all that is stored after it, and a header, which
//! goes back to where its record began, waits for whatever its record went on to. A producer that goes from record to record so
//! waits for one line after the other. So a stream asks to own the lines that it comes to, some before it needs them, and stores
//! there afterwards find them here. Unlike stores, questions hold up nothing. Figures: decisions 0033 and 0038.
//!
//! In a conversation, where each record is awaited, nothing is asked for: a question would overtake the record that was just stored,
//! and stores to lines ahead are no better (decision 0040).

use super::producer::Producer;
use crate::position::Position;
use crate::region::{Stretch, Taken};

/// So many bytes are made ready at a time, for so many records like the one at hand, at least and at most: few, and the way through
/// here comes too often; many, and a consumer at the heels takes lines before they are used.
const LEAST: u64 = 1024;
const MOST: u64 = 2048;
const RECORDS: usize = 8;
/// The same for batches, which are done with them sooner.
const MOST_OF_BATCHES: u64 = 8192;
/// How much is asked for behind that: a line takes longer to come than a few records.
const BEHIND: u64 = 1024;
/// Nothing is asked for before larger records: such a one goes on over many lines by itself.
const LONGEST: u64 = 576;
/// How much is asked for behind a longer record, and behind one that has as much as that itself.
const ASKED: u64 = 256;
const ASKED_BEHIND_LONG: u64 = 2048;

impl<'m> Producer<'m> {
    /// A record of `len` payload bytes behind the stretch, where so much is known to be free.
    pub(super) fn take_ahead(&mut self, len: usize) -> Option<Taken<'m>> {
        let size = self.geometry.size_of(len)?;
        let free = self.free_at(self.tail());
        if free.bytes() < size {
            return None;
        }
        let mut ready = self.ready(free, size as u64);
        let taken = ready.take(len, &self.geometry)?;
        self.stretch = ready;
        Some(taken)
    }

    /// Room at the tail for `count` records of a batch, of `each` bytes.
    #[cold]
    #[inline(never)]
    pub(super) fn make_ready(&mut self, each: u64, count: usize) {
        self.stretch = self.ready_for(self.free_at(self.tail()), each, count);
    }

    /// As much of `free`, where `count` records of a batch are to come, of `size` bytes, as has been made ready for them.
    pub(super) fn ready_for(&self, free: Stretch<'m>, size: u64, count: usize) -> Stretch<'m> {
        self.asked_for(free, size, size.saturating_mul(count as u64).clamp(LEAST, MOST_OF_BATCHES), 0)
    }

    /// The same for single records like one of `size` bytes.
    pub(super) fn ready(&self, free: Stretch<'m>, size: u64) -> Stretch<'m> {
        self.asked_for(free, size, size.saturating_mul(RECORDS as u64).clamp(LEAST, MOST), BEHIND)
    }

    #[inline(always)]
    fn asked_for(&self, free: Stretch<'m>, size: u64, bytes: u64, behind: u64) -> Stretch<'m> {
        if size > LONGEST || self.patience.converses() {
            return free;
        }
        free.cut(bytes.wrapping_add(behind)).ask();
        free.cut(bytes)
    }

    /// Asks for the lines behind a long record of a stream, which ends at `tail`.
    #[inline(always)]
    pub(super) fn ask_behind(&self, record: Position, tail: Position) {
        match tail.since(record) {
            ..=LONGEST => {}
            ASKED_BEHIND_LONG.. => self.ask_for(tail, ASKED_BEHIND_LONG),
            _ => self.ask_for(tail, ASKED),
        }
    }

    /// Apart: callers have no use for a loop that few of their records come to.
    #[inline(never)]
    fn ask_for(&self, tail: Position, bytes: u64) {
        if !self.patience.converses() {
            self.area.stretch(tail, bytes).ask();
        }
    }
}
