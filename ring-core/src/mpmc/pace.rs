//! When to leave a slot alone. Speed only: nothing here changes what an operation answers, it may wait for a few
//! microseconds before it says that there is nothing, or no room.
//!
//! Looking at a slot that is not ready costs the one who is about to make it ready a cache line; asking the other
//! side's position what that means costs more. In a *stream* two sides at each other's heels pass every line to and
//! fro, so whoever catches up lets the other one get ahead first. In a conversation (one message, then nothing) that
//! would only be late. Figures: decision 0010.

use crate::sync::{compiler_fence, pause};

/// Successes in a row from which on they are a stream.
const STREAM: u64 = 8;

/// Above all counts of successes.
const MORE: u64 = 1 << 8;

/// Pauses before the only look after a stream has run dry: twice as many after a look that found the slot ready, half
/// as many after one in vain. Where both sides take turns on one CPU it is always in vain.
const SHORTEST: u8 = 1;
const LONGEST: u8 = 120;

/// The most pauses after a lost race: a hundred messages of the winner or more.
const FURTHEST: u8 = 64;

/// How often, a pause apart, a slot that is not ready is looked at in a conversation. Models have nothing to gain from
/// it.
const LOOKS: u32 = if cfg!(loom) { 0 } else { 32 };

/// One handle's memory of how it went.
#[derive(Debug)]
pub(super) struct Pace {
    /// How many more make a stream: [`STREAM`] after an operation has found its slot not ready, 0 in a stream. And [`MORE`] for
    /// a handle whose operations always leave something to be done.
    rest: u64,
    pauses: u8,
    /// Pauses after the next lost race.
    aside: u8,
}

impl Pace {
    /// Of a handle whose operations end when the slot is settled, or always leave `more` to be done.
    pub(super) const fn new(more: bool) -> Self {
        Self { rest: if more { STREAM | MORE } else { STREAM }, pauses: LONGEST, aside: SHORTEST }
    }

    /// After an operation behind which somebody is `wanted` or not: whether nothing is left to do, since it was one of a
    /// stream. If not, it has to be counted, and there may be more.
    #[inline(always)]
    pub(super) fn in_stream(&self, wanted: bool) -> bool {
        !wanted & (self.rest == 0)
    }

    /// The same, counting it: whether more than that is left. In a stream one comparison says that nothing is; elsewhere all is
    /// asked again, so that nothing is kept from the first time.
    #[inline(always)]
    pub(super) fn has_more(&mut self, wanted: impl Fn() -> bool) -> bool {
        if self.in_stream(wanted()) {
            return false;
        }
        compiler_fence();
        if self.rest >= MORE || wanted() {
            return true;
        }
        self.done();
        false
    }

    /// An operation has been done.
    #[inline(always)]
    pub(super) fn done(&mut self) {
        if !self.streams() {
            self.rest = self.rest.wrapping_sub(1);
        }
    }

    /// Whether operations follow each other without waiting: then the slots ahead are worth asking for.
    #[inline(always)]
    pub(super) fn streams(&self) -> bool {
        self.rest & !MORE == 0
    }

    /// After a lost race: leaves the position alone for a while, so that the winner gets on and the line is not passed to
    /// and fro for each message; twice as long where the position moves `now` meanwhile, half as long where it does not.
    pub(super) fn stands_aside(&mut self, now: impl Fn() -> u64) -> u64 {
        if cfg!(loom) {
            return now(); // a model has no time to pass
        }
        let before = now();
        pause(self.aside);
        let after = now();
        self.aside =
            if after == before { (self.aside / 2).max(SHORTEST) } else { self.aside.saturating_mul(2).min(FURTHEST) };
        after
    }

    /// Waits a little; whether the slot that was not ready has become `ready`. Not at all for whoever was just told that
    /// there is nothing and tries again: he may be about to give his CPU to the one who could make it ready.
    #[inline]
    pub(super) fn waits(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        if self.rest & !MORE == STREAM {
            return false;
        }
        let in_stream = self.streams();
        self.rest = self.rest & MORE | STREAM;
        if !in_stream {
            return (0..LOOKS).any(|_| {
                pause(1);
                ready()
            });
        }
        pause(self.pauses);
        let ready = ready();
        self.pauses = if ready { self.pauses.saturating_mul(2).min(LONGEST) } else { (self.pauses / 2).max(SHORTEST) };
        ready
    }
}
