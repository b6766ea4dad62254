//! When to leave a cache line alone. Speed only: nothing here changes what an operation answers, it may wait for some
//! tens of nanoseconds, at most two microseconds or so, before it looks.
//!
//! Two sides that follow each other at the heels pass one line to and fro for every record. A consumer that has just
//! emptied a *stream*, or a producer that has just found the ring full, therefore lets the other one get ahead before
//! it looks again. A single record followed by nothing is a conversation, not a stream: there nobody pauses, since an
//! answer that came meanwhile would be seen late, a producer leaves the lines ahead alone, and a consumer takes over those
//! of the record that it has found.
//! Figures: decisions 0008, 0027, 0030, 0031, 0040 and 0041.

use crate::position::Position;
use crate::sync::pause;

/// The consumer's pauses when it has run dry. Nothing is counted: where the ring was last empty, and where the last record
/// began, say enough.
#[derive(Debug)]
pub(super) struct Slip {
    /// Where the record began that was found last.
    last: u8,
    /// Pauses when the ring is empty the next time.
    pauses: u8,
}

/// Pauses after a stream: some 50 ns at least.
const SHORTEST: u8 = 2;
/// Some 1.7 µs at most: figures in decision 0030.
const LONGEST: u8 = 64;
/// From so many bytes in a row on, the next lines are worth asking for ahead.
const STREAM: u64 = 512;

impl Slip {
    pub(super) const fn new() -> Self {
        Self { last: 0, pauses: 0 }
    }

    /// A record was there.
    #[inline(always)]
    pub(super) fn found(&mut self, record: Position) {
        self.last = mark(record);
    }

    /// More than one was there since the ring was empty at `dry`.
    #[inline(always)]
    pub(super) fn found_many(&mut self, dry: Position) {
        self.last = !mark(dry);
    }

    /// Nothing is there, for the first time since that was so at `dry`: the line is left alone for a while. After everything
    /// is done that others may be waiting for.
    pub(super) fn ran_dry(&mut self, dry: Position) {
        let alone = self.last == mark(dry);
        self.pauses = if alone { self.pauses / 2 } else { self.pauses.saturating_mul(2).clamp(SHORTEST, LONGEST) };
        pause(self.pauses);
    }
}

/// Whether a record at `position` is one of many, the ring having been empty at `dry`.
#[inline(always)]
pub(super) fn streams(position: Position, dry: Position) -> bool {
    position.since(dry) >= STREAM
}

/// What is left of a position to know it by again: one of 256 others looks the same, and costs a few pauses.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the lower bits are what is wanted")]
fn mark(position: Position) -> u8 {
    (position.get() >> 3) as u8
}

/// The producer's pauses while the ring is full, and whether it is in a conversation.
#[derive(Debug)]
pub(super) struct Patience {
    pauses: u8,
    refused: bool,
    converses: bool,
}

/// Pauses at the first refusal, and at most.
const FIRST: u8 = 4;
const MOST: u8 = 64;

impl Patience {
    pub(super) const fn new() -> Self {
        Self { pauses: 0, refused: false, converses: false }
    }

    /// Before the head is loaded.
    #[inline]
    pub(super) fn before_look(&self) {
        if self.refused {
            pause(self.pauses);
        }
    }

    /// The head has been loaded; `caught_up` says that everything had been taken by then. In a stream the last record was sent
    /// some nanoseconds ago, and its release cannot be here yet.
    #[inline]
    pub(super) fn looked(&mut self, caught_up: bool) {
        self.converses = caught_up;
    }

    /// Whether each record is awaited before the next one, as far as the last look at the head could tell.
    #[inline(always)]
    pub(super) fn converses(&self) -> bool {
        self.converses
    }

    /// There was no room.
    #[inline]
    pub(super) fn refused(&mut self) {
        self.pauses = self.pauses.saturating_mul(2).clamp(FIRST, MOST);
        self.refused = true;
    }

    /// There was.
    #[inline]
    pub(super) fn granted(&mut self) {
        self.refused = false;
    }
}

#[cfg(test)]
mod tests;
