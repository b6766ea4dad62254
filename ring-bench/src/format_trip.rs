//! The floor of a round trip in our format: a header of eight bytes before the payload, stored last and by Release, zero where
//! the next header will be, and nothing else. No position, no look at what is free, no sleepers, no end of a session, one length.
//!
//! The reader asks to own a record's lines before it copies them, as ours does (decision 0041).
//!
//! Not a ring: it holds because a conversation never has more than one message under way.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. `base` is `WORDS` words of shared memory that are never given back and that only the two halves of a way touch. `at`
//!    leaves a record of `1 + W` words, and the word behind it, inside.
//! 2. Payload words belong to the sender until its Release of the header before them, and to the receiver from its Acquire of
//!    that until it answers. Headers are touched by atomic accesses only.

use crate::arena::Arena;
use crate::candidate::{Build, Maker, Setup};
use crate::duplex::{Ping, Pong};
use crate::format::own;
use crate::registry::ROUND_TRIP_BYTES;
use crate::seam::{Rx, Tx};
use core::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// Words of each way: as many bytes as the rings have that it stands beside.
const WORDS: usize = ROUND_TRIP_BYTES / 8;

/// One side of one way.
#[derive(Debug)]
struct Half<const W: usize> {
    base: *mut u64,
    /// Where the next header is, in words.
    at: usize,
}

#[allow(clippy::non_send_fields_in_send_ty)]
// SAFETY: 1 and 2: each side has a place of its own, and they take turns at the words.
unsafe impl<const W: usize> Send for Half<W> {}

impl<const W: usize> Half<W> {
    /// What commits a record of this length.
    const HEADER: u64 = 8 * W as u64 + 1;

    /// The header at word `at`, which is inside.
    #[inline(always)]
    fn header(&self, at: usize) -> &AtomicU64 {
        // SAFETY: 1.
        let word = unsafe { self.base.add(at) };
        // SAFETY: 1 and 2.
        unsafe { AtomicU64::from_ptr(word) }
    }

    /// The payload of the record here.
    #[inline(always)]
    fn payload(&self) -> *mut [u64; W] {
        // SAFETY: 1.
        unsafe { self.base.add(self.at + 1) }.cast()
    }

    /// Where the record after this one begins: behind it, or at the start where no further one would fit.
    #[inline(always)]
    fn next(&self) -> usize {
        let next = self.at + 1 + W;
        if next + 1 + W < WORDS { next } else { 0 }
    }
}

impl<const W: usize> Tx<W> for Half<W> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        let next = self.next();
        // SAFETY: 1 and 2.
        unsafe { self.payload().write(*message) };
        self.header(next).store(0, Relaxed);
        self.header(self.at).store(Self::HEADER, Release);
        self.at = next;
        true
    }
}

impl<const W: usize> Rx<W> for Half<W> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        if self.header(self.at).load(Acquire) != Self::HEADER {
            return false;
        }
        // Each line by its number, as ours does: sooner is worse.
        for line in self.at / 8..=(self.at + 1 + W) / 8 {
            own(self.base.wrapping_add(8 * line).cast());
        }
        // SAFETY: 1 and 2.
        *message = unsafe { self.payload().read() };
        self.at = self.next();
        true
    }
}

/// Round trip of messages of `W` words, each way as long as a ring of a round trip.
pub(crate) fn round_trip<const W: usize>() -> Build {
    fn way<const W: usize>(arena: &mut Arena) -> Result<(Half<W>, Half<W>), String> {
        let base = arena.words(ROUND_TRIP_BYTES)?;
        Ok((Half { base, at: 0 }, Half { base, at: 0 }))
    }
    Box::new(|arena| {
        let ((out_tx, out_rx), (back_tx, back_rx)) = (way::<W>(arena)?, way::<W>(arena)?);
        let ping = Ping::<W, _, _>::new(out_tx, back_rx);
        let pong = Pong::<W, _, _>::new(back_tx, out_rx);
        let parties: Vec<Maker> = vec![Box::new(move || Ok(Box::new(ping))), Box::new(move || Ok(Box::new(pong)))];
        Ok(Setup { parties, published: None })
    })
}
