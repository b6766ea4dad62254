//! When to leave a slot alone. Speed only: nothing here changes what an operation answers, it may wait for a few
//! microseconds before it says that there is nothing, or no room.
//!
//! Looking at a slot that is not ready costs the one who is about to make it ready a cache line; asking the other
//! side's position what that means costs more. In a *stream* two sides at each other's heels pass every line to and
//! fro, so whoever catches up lets the other one get ahead first. In a conversation (one message, then nothing) that
//! would only be late. Figures: decision 0010.

use crate::sync::pause;

/// Successes in a row from which on they are a stream.
const STREAM: u8 = 8;

/// Pauses before the first look after a stream has run dry, at first and at most.
const SHORTEST: u8 = 4;
const LONGEST: u8 = 48;

/// How often a slot that is not ready is looked at, a pause apart, before anybody is asked. Half as often with each
/// time in vain, so that polling an idle ring costs little. Models have nothing to gain from it.
const LOOKS: u32 = if cfg!(loom) { 0 } else { 32 };

/// One handle's memory of how it went.
#[derive(Debug)]
pub(super) struct Pace {
    /// How many more make a stream: [`STREAM`] after an operation has found its slot not ready, 0 in a stream.
    to_stream: u8,
    looks: u32,
    pauses: u8,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self { to_stream: STREAM, looks: LOOKS, pauses: SHORTEST }
    }

    /// An operation has been done.
    #[inline(always)]
    pub(super) fn done(&mut self) {
        if !self.streams() {
            self.to_stream = self.to_stream.wrapping_sub(1);
        }
    }

    /// Whether operations follow each other without waiting: then the slots ahead are worth asking for.
    #[inline(always)]
    pub(super) fn streams(&self) -> bool {
        self.to_stream == 0
    }

    /// Waits a little; whether the slot that was not ready has become `ready`.
    #[inline]
    pub(super) fn waits(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        if self.to_stream < STREAM {
            self.looks = LOOKS;
            if self.streams() {
                self.pauses = self.pauses.saturating_mul(2).min(LONGEST);
                pause(self.pauses);
            } else {
                self.pauses = SHORTEST;
            }
            self.to_stream = STREAM;
            if ready() {
                return true;
            }
        }
        let ready = (0..self.looks).any(|_| {
            pause(1);
            ready()
        });
        self.looks /= 2;
        ready
    }
}
