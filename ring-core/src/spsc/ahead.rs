//! Lines ahead of a stream: the other side has read them, and they have to come back before anything can be stored there.
//!
//! Stores become visible in their order, so a line that is not here holds up all that is stored after it, and a header, which
//! goes back to where its record began, waits for whatever its record went on to. A producer that goes from record to record so
//! waits for one line after the other. One store to each of the next lines has them come side by side, and what is stored
//! there afterwards finds them here. Figures: decision 0033.
//!
//! In a conversation, where each record is awaited, that wait must not come before one. It comes after: until there is an answer
//! the producer has nothing to do.

use super::producer::Producer;
use crate::position::Position;
use crate::region::{Stretch, Taken};
use crate::sync::ord;

/// So many bytes are touched at a time, at least and at most, for so many records like the one at hand: few, and the wait for them
/// comes too often; many, and a consumer at the heels takes them before they are used.
const LEAST: u64 = if cfg!(loom) { 24 } else { 640 };
const MOST: u64 = if cfg!(loom) { 24 } else { 2048 };
const RECORDS: usize = 8;
/// No larger records are touched for: such a one goes on over many lines by itself.
const LONGEST: u64 = 576;
/// Nor are larger rings: no cache has kept their lines since the last lap.
pub(super) const LARGEST: u64 = 16 << 20;
/// Bytes that are touched after each record of a conversation.
const MEANWHILE: u64 = if cfg!(loom) { 24 } else { 512 };
/// How much is asked for behind a longer record.
const ASKED: u64 = 256;

impl<'m> Producer<'m> {
    /// A record of `len` payload bytes behind the stretch, where so much is known to be free.
    pub(super) fn take_ahead(&mut self, len: usize) -> Option<Taken<'m>> {
        let size = self.geometry.size_of(len)?;
        let free = self.free_at(self.tail());
        if free.bytes() < size {
            return None;
        }
        let mut ready = self.ready(free, size as u64, 1);
        let taken = ready.take(len, &self.geometry)?;
        self.stretch = ready;
        Some(taken)
    }

    /// Room at the tail for `count` records of `each` bytes.
    #[cold]
    #[inline(never)]
    pub(super) fn make_ready(&mut self, each: u64, count: usize) {
        self.stretch = self.ready(self.free_at(self.tail()), each, count);
    }

    /// As much of `free`, where `count` records of `size` bytes are to come, as has been made ready for them.
    pub(super) fn ready(&self, free: Stretch<'m>, size: u64, count: usize) -> Stretch<'m> {
        if size > LONGEST || self.patience.converses() {
            return free;
        }
        let ready = free.cut(size.saturating_mul(count.max(RECORDS) as u64).clamp(LEAST, MOST));
        if self.touches {
            ready.touch(ord!(S9, Relaxed));
        } else {
            ready.ask();
        }
        ready
    }

    /// After a record of a conversation, in which nothing may stand in the way of a message, there is time: what the next one needs is
    /// made ready, once this one is seen.
    #[cold]
    #[inline(never)]
    pub(super) fn meanwhile<const TELLS: bool>(&self) {
        self.tell_here::<TELLS>();
        if self.touches {
            self.stretch.cut(MEANWHILE).touch(ord!(S9, Relaxed));
        }
    }

    /// Asks for the lines behind a long record, which ends at `tail`.
    #[inline(always)]
    pub(super) fn ask_behind(&self, record: Position, tail: Position) {
        if tail.since(record) > LONGEST {
            self.area.prefetch_write(tail, tail.plus(ASKED));
        }
    }
}
