//! The floor of our wire format: the least that one producer and one consumer have to do so that an SPSC ring's bytes, and what
//! a death leaves, are those of ours. A header before each payload, a zero behind it, and the header last (rows S2, S3, C1, C4
//! of `docs/protocol.md`); the head is published with each record. A batch is a train: `format/train.rs`.
//!
//! Kept is also what makes a stream of it quick, as ours does it: the next lines are asked for before they are used, and a reader that
//! has emptied a stream pauses before it looks again (decisions 0030 and 0038).
//!
//! Everything else is left out: forks, sleepers, sessions, leases, redelivery, a tail for successors, headers that are not
//! believed, several lengths, padding. What ours takes beyond this is ours; what this takes beyond rtrb is the format's: a word
//! more for each message. Never a transport: who opens the ring twice, or lies, gets nonsense.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. From `base` on there are `lap` bytes of words, aligned and for good, and nothing but atomics touches them. A `lap` is a whole
//!    number of records, two at least.
//! 2. `at` is where a record begins in them, `end` where one begins or the lap ends, and not before `at`. A record that begins
//!    before `end` has another one behind it in the same lap. `free` is as `end` is, and not before it.

use crate::arena::{Arena, Line};
use crate::candidate::{Build, Setup};
use crate::ours::maker;
use crate::seam::{Rx, Tx};
use crate::stream::{Drain, Source};
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// Where a side stands, of records of `W` words and a header.
#[derive(Debug)]
struct Side<const W: usize> {
    base: *const AtomicU64,
    at: *const AtomicU64,
    /// Up to here records need no second look: not at the head, nor for the end of the lap.
    end: *const AtomicU64,
    /// What makes a position of an address.
    bias: u64,
    lap: u64,
    head: &'static AtomicU64,
}

// SAFETY: invariant 1: atomics that are there for good.
unsafe impl<const W: usize> Send for Side<W> {}

/// The writing side.
#[derive(Debug)]
pub struct Writer<const W: usize> {
    side: Side<W>,
    /// Up to here records are known to be free; the side's `end` is how many of them are ready.
    free: *const AtomicU64,
}

// SAFETY: as for `Side`.
unsafe impl<const W: usize> Send for Writer<W> {}

/// The reading side.
#[derive(Debug)]
pub struct Reader<const W: usize> {
    side: Side<W>,
    /// Where it was last empty, and how long the next pause is.
    dry: u64,
    pauses: u32,
}

/// Bytes that are made ready at a time: for so many records, at least and at most; and so many behind. The numbers of `spsc/ahead.rs`, of
/// the two limits there that for batches.
const READY: (u64, u64, u64) = (8, 1024, 8192);
const BEHIND: usize = 1024;
/// Pauses after a stream, at least and at most.
const PAUSES: (u32, u32) = (2, 64);

/// A ring over `words`, as many of them as make whole records.
fn pair<const W: usize>(words: &'static [AtomicU64], head: &'static AtomicU64) -> (Writer<W>, Reader<W>) {
    let (base, records) = (words.as_ptr(), words.len() / (W + 1));
    assert!(records >= 2, "a ring has room for two records");
    let lap = (records as u64) * Side::<W>::SIZE;
    // Invariants 1 and 2: as many words are there, and the first record begins with the first of them.
    let side = || Side { base, at: base, end: base, bias: (base.addr() as u64).wrapping_neg(), lap, head };
    (Writer { side: side(), free: base }, Reader { side: side(), dry: 0, pauses: 0 })
}

/// A ring of `bytes` in this process, which it keeps.
#[must_use]
pub fn leaked<const W: usize>(bytes: usize) -> (Writer<W>, Reader<W>) {
    let head = Box::leak(Box::new(AtomicU64::new(0)));
    pair(Vec::leak((0..bytes / 8).map(|_| AtomicU64::new(0)).collect()), head)
}

impl<const W: usize> Side<W> {
    /// Bytes of a record.
    const SIZE: u64 = 8 * (W as u64 + 1);
    /// The header of a record of this length, tag 0.
    const HEADER: u64 = 8 * W as u64 + 1;

    fn position(&self) -> u64 {
        self.bias.wrapping_add(self.at.addr() as u64)
    }

    /// Records from `at` on that have another one behind them in this lap.
    fn before_last(&self) -> u64 {
        self.lap / Self::SIZE - 1 - (self.at.addr() - self.base.addr()) as u64 / Self::SIZE
    }

    /// The next lap.
    fn turn(&mut self) {
        (self.at, self.end, self.bias) = (self.base, self.base, self.bias.wrapping_add(self.lap));
    }
}

/// Word `i` from `at` on.
///
/// # Safety
/// It is one of the ring's.
#[inline(always)]
unsafe fn word(at: *const AtomicU64, i: usize) -> &'static AtomicU64 {
    let word = at.wrapping_add(i);
    // SAFETY: the caller's word, and invariant 1.
    unsafe { &*word }
}

/// The payload of the record at `at`.
///
/// # Safety
/// As [`word`].
#[inline(always)]
unsafe fn load<const W: usize>(at: *const AtomicU64) -> [u64; W] {
    // SAFETY: the caller's word.
    core::array::from_fn(|i| unsafe { word(at, 1 + i) }.load(Relaxed))
}

/// Stores the payload of the record at `at`.
///
/// # Safety
/// As [`word`].
#[inline(always)]
unsafe fn store<const W: usize>(at: *const AtomicU64, message: &[u64; W]) {
    for (i, value) in message.iter().enumerate() {
        // SAFETY: the caller's word.
        unsafe { word(at, 1 + i) }.store(*value, Relaxed);
    }
}

impl<const W: usize> Writer<W> {
    /// Sends one message; false when there is no room now.
    #[inline(always)]
    pub fn send(&mut self, message: &[u64; W]) -> bool {
        // SAFETY: it is called with the place of a record.
        self.put(Side::<W>::HEADER, |at| unsafe { store(at, message) })
    }

    /// Commits by `header` what `write` writes behind the word that it is given, `W` words at most; false when there is no room now.
    #[inline(always)]
    fn put(&mut self, header: u64, write: impl Fn(*const AtomicU64)) -> bool {
        let at = self.side.at;
        if at >= self.side.end {
            return self.put_slowly(header, write);
        }
        // Invariant 2: the next record begins in this lap.
        let next = at.wrapping_add(W + 1);
        self.side.at = next;
        // SAFETY: invariants 1 and 2.
        unsafe { word(next, 0) }.store(0, Relaxed);
        write(at);
        // SAFETY: as above.
        unsafe { word(at, 0) }.store(header, Release);
        true
    }

    #[cold]
    #[inline(never)]
    fn put_slowly(&mut self, header: u64, write: impl Fn(*const AtomicU64)) -> bool {
        if self.side.at >= self.free && !self.refill() {
            return false;
        }
        if self.side.at < self.free {
            self.ready();
            return self.put(header, write);
        }
        let at = self.side.at;
        // SAFETY: invariants 1 and 2: the last record of a lap, behind which the first one is.
        unsafe { word(self.side.base, 0) }.store(0, Relaxed);
        write(at);
        // SAFETY: as above.
        unsafe { word(at, 0) }.store(header, Release);
        self.side.turn();
        self.free = self.side.base;
        true
    }

    /// Looks how far the reader has come; whether there is room for a record.
    fn refill(&mut self) -> bool {
        let used = self.side.position().wrapping_sub(self.side.head.load(Acquire));
        // The header behind the last record must be free too.
        let free = self.side.lap.saturating_sub(used).saturating_sub(8) / Side::<W>::SIZE;
        // Invariant 2.
        self.free = self.side.at.wrapping_add(free.min(self.side.before_last()) as usize * (W + 1));
        self.side.end = self.side.at;
        free > 0
    }

    /// Has the lines come to which a few records will be written.
    fn ready(&mut self) {
        let (few, least, most) = READY;
        let records = (few * Side::<W>::SIZE).clamp(least, most) / Side::<W>::SIZE;
        let bytes = records.max(1) as usize * Side::<W>::SIZE as usize;
        let (at, free) = (self.side.at, self.free.addr() - self.side.at.addr());
        for by in (64..=(bytes + BEHIND).min(free)).step_by(64) {
            own(at.wrapping_byte_add(by));
        }
        self.side.end = at.wrapping_byte_add(bytes.min(free));
    }
}

/// Asks to own the line of `at`. Neither faults nor changes memory.
#[inline(always)]
pub(crate) fn own(at: *const AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: no memory, whatever the address.
    unsafe {
        core::arch::asm!("prefetchw [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

impl<const W: usize> Reader<W> {
    /// Receives one message; `None` when there is none now.
    #[inline(always)]
    pub fn recv(&mut self) -> Option<[u64; W]> {
        let Some(message) = self.next() else {
            self.runs_dry();
            return None;
        };
        self.release();
        Some(message)
    }

    /// Nothing is there: after a stream, and once, the line is left alone for a while.
    #[cold]
    #[inline(never)]
    fn runs_dry(&mut self) {
        let at = self.side.position();
        if at != self.dry {
            let alone = at - self.dry <= Side::<W>::SIZE;
            self.pauses = if alone { self.pauses / 2 } else { (2 * self.pauses).clamp(PAUSES.0, PAUSES.1) };
            (0..self.pauses).for_each(|_| spin_loop());
            self.dry = at;
        }
    }

    /// The message that is there, not yet released.
    #[inline(always)]
    fn next(&mut self) -> Option<[u64; W]> {
        if self.header() != Side::<W>::HEADER {
            return None;
        }
        // SAFETY: invariants 1 and 2.
        let message = unsafe { load(self.side.at) };
        self.pass();
        Some(message)
    }

    /// What commits the next record, or 0.
    #[inline(always)]
    fn header(&self) -> u64 {
        // SAFETY: invariants 1 and 2.
        unsafe { word(self.side.at, 0) }.load(Acquire)
    }

    /// Past the record that is there.
    #[inline(always)]
    fn pass(&mut self) {
        let at = self.side.at;
        if at >= self.side.end {
            self.pass_slowly();
        } else {
            self.side.at = at.wrapping_add(W + 1);
        }
    }

    /// Past a record that is perhaps the last of its lap.
    #[cold]
    #[inline(never)]
    fn pass_slowly(&mut self) {
        let left = self.side.before_last();
        if left == 0 {
            return self.side.turn();
        }
        // Invariant 2: to the last record of the lap.
        self.side.end = self.side.at.wrapping_add(left as usize * (W + 1));
        self.side.at = self.side.at.wrapping_add(W + 1);
    }

    #[inline(always)]
    fn release(&self) {
        self.side.head.store(self.side.position(), Release);
    }
}

impl<const W: usize> Tx<W> for Writer<W> {
    #[inline(always)]
    fn try_send(&mut self, message: &[u64; W]) -> bool {
        self.send(message)
    }
}

impl<const W: usize> Rx<W> for Reader<W> {
    #[inline(always)]
    fn try_recv(&mut self, message: &mut [u64; W]) -> bool {
        self.recv().map(|words| *message = words).is_some()
    }
}

/// A ring of `bytes` that two processes have in common.
fn shared<const W: usize>(arena: &mut Arena, bytes: usize) -> Result<(Writer<W>, Reader<W>), String> {
    let head = arena.one::<Line>()?;
    Ok(pair(arena.slice(bytes / 8)?, &head.0[0]))
}

/// One way, one operation a message, over a ring of `bytes`.
pub(crate) fn one_way<const W: usize>(bytes: usize) -> Build {
    Box::new(move |arena| {
        let (tx, rx) = shared::<W>(arena, bytes)?;
        let parties = vec![maker(move || Ok(Source::new(tx))), maker(move || Ok(Drain::new(rx)))];
        Ok(Setup { parties, published: None })
    })
}

mod train;

pub(crate) use train::batch;
pub use train::{TrainReader, TrainWriter, leaked as leaked_trains};

#[cfg(test)]
mod tests;
