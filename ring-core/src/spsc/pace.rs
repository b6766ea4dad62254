//! When to leave a cache line alone. Speed only: nothing here changes what an operation answers, it may wait for some
//! tens of nanoseconds, at most about a microsecond, before it looks.
//!
//! Two sides that follow each other at the heels pass one line to and fro for every record. A consumer that has just
//! emptied a *stream*, or a producer that has just found the ring full, therefore lets the other one get ahead before
//! it looks again. A single record followed by nothing is a conversation, not a stream: there the pause is shorter
//! than an answer could take to come back. Figures: decision 0008.

use crate::sync::pause;

/// The consumer's pauses after it has run dry.
#[derive(Debug)]
pub(super) struct Slip {
    /// Records found since the ring was last empty, or [`STREAM`] and one; or [`DRY`].
    burst: u8,
    /// Pauses before the next look after an empty one.
    pauses: u8,
}

/// Pauses in a conversation: some 50 ns.
const SHORTEST: u8 = 2;
/// Pauses in a stream: some 400 ns.
const LONGEST: u8 = 16;
/// From so many records in a row on, the next lines are worth asking for ahead.
const STREAM: u8 = 8;
/// Instead of a burst: the last look found the ring empty after others had found records.
const DRY: u8 = u8::MAX;

impl Slip {
    pub(super) const fn new() -> Self {
        Self { burst: 0, pauses: SHORTEST }
    }

    /// Before the header is loaded.
    #[inline(always)]
    pub(super) fn before_look(&mut self) {
        if self.burst == DRY {
            self.burst = 0;
            pause(self.pauses);
        }
    }

    /// A record was there; whether it is one of many.
    #[inline(always)]
    pub(super) fn found(&mut self) -> bool {
        if self.burst > STREAM {
            return true;
        }
        self.burst = self.burst.wrapping_add(1);
        false
    }

    /// Whether a record that is found now is one of many.
    #[inline(always)]
    pub(super) fn streams(&self) -> bool {
        self.burst > STREAM && self.burst != DRY
    }

    /// Whether no record was found since the ring was last empty. Of one that has looked since.
    #[inline(always)]
    pub(super) fn is_dry(&self) -> bool {
        self.burst == 0
    }

    /// Nothing was there; whether records had been found since that was last so.
    #[inline(always)]
    pub(super) fn ran_dry(&mut self) -> bool {
        if self.burst == 0 {
            return false;
        }
        let pauses = if self.burst > 1 { self.pauses.saturating_mul(2) } else { self.pauses / 2 };
        self.pauses = pauses.clamp(SHORTEST, LONGEST);
        self.burst = DRY;
        true
    }
}

/// The producer's pauses while the ring is full.
#[derive(Debug)]
pub(super) struct Patience {
    pauses: u8,
    refused: bool,
}

/// Pauses at the first refusal, and at most.
const FIRST: u8 = 4;
const MOST: u8 = 64;

impl Patience {
    pub(super) const fn new() -> Self {
        Self { pauses: 0, refused: false }
    }

    /// Before the head is loaded.
    #[inline]
    pub(super) fn before_look(&self) {
        if self.refused {
            pause(self.pauses);
        }
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
