//! Whole payloads: a hand-written ring of payload slots that are filled and read in place, and ours by claims.
//!
//! `raw-payload-N` is the limit: slots of exactly N bytes, a tail and a head on lines of their own, each side remembers
//! where it last saw the other; no headers, no lengths, no wrap rules, nothing that survives a crash. Ours has payloads on lines,
//! and the same bytes of capacity, so of the largest payload one fewer fits, since each record has a header; `-packed` is ours
//! with payloads wherever they fall. `headed-payload-N` is the limit with a line before each payload: as many as ours.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. The slots are memory that is mapped for good, shared by two parties that follow this protocol: slot `n % slots`
//!    belongs to the producer from when `head` says that position `n - slots` was read until `tail` says `n + 1`, and to
//!    the consumer from then until `head` says `n + 1`.
//! 2. A slot lies inside the memory and is 8-byte aligned: slots, and what is before a payload, are whole multiples of 8 bytes of
//!    a region that is.
//! 3. The peer of our trusted handles is this program, which writes only into its own claims.

use crate::arena::{Arena, Line};
use crate::candidate::{Build, Maker, Setup};
use crate::ours::{failed, fresh_name, maker, options, unlink};
use crate::payload::{PayloadDrain, PayloadRx, PayloadSource, PayloadTx};
use core::sync::atomic::{Ordering::Acquire, Ordering::Release};
use ring_shm::Trusted;
use ring_shm::spsc::{Consumer, Producer};
use zerocopy::{FromBytes, IntoBytes};

/// Capacity of a ring for whole payloads.
pub const BYTES: usize = 4 << 20;

#[derive(Clone, Copy)]
struct Slots {
    first: *mut u64,
    words: usize,
    /// Words from a slot to the next one.
    step: usize,
    count: u64,
    tail: &'static Line,
    head: &'static Line,
}

// SAFETY: 1: the protocol says who may touch which slot.
unsafe impl Send for Slots {}

impl Slots {
    fn at(&self, position: u64) -> *mut u64 {
        let slot = (position % self.count) as usize;
        // SAFETY: 2.
        unsafe { self.first.add(slot * self.step) }
    }
}

struct RawTx {
    slots: Slots,
    position: u64,
    head: u64,
}

struct RawRx {
    slots: Slots,
    position: u64,
    tail: u64,
}

impl PayloadTx for RawTx {
    #[inline(always)]
    fn try_fill(&mut self, fill: impl FnOnce(&mut [u64])) -> bool {
        if self.position - self.head == self.slots.count {
            self.head = self.slots.head.0[0].load(Acquire);
            if self.position - self.head == self.slots.count {
                return false;
            }
        }
        // SAFETY: 1 and 2.
        fill(unsafe { core::slice::from_raw_parts_mut(self.slots.at(self.position), self.slots.words) });
        self.position += 1;
        self.slots.tail.0[0].store(self.position, Release);
        true
    }
}

impl PayloadRx for RawRx {
    #[inline(always)]
    fn try_show(&mut self, each: impl FnOnce(&[u64])) -> bool {
        if self.position == self.tail {
            self.tail = self.slots.tail.0[0].load(Acquire);
            if self.position == self.tail {
                return false;
            }
        }
        // SAFETY: 1 and 2.
        each(unsafe { core::slice::from_raw_parts(self.slots.at(self.position), self.slots.words) });
        self.position += 1;
        self.slots.head.0[0].store(self.position, Release);
        true
    }
}

/// The limit: slots of `bytes`, a multiple of 128, with `header` bytes before each, a multiple of 8.
pub(crate) fn raw(bytes: usize, header: usize) -> Build {
    Box::new(move |arena: &mut Arena| {
        debug_assert!(bytes % 128 == 0 && header % 8 == 0);
        // Memory of its own: too much for an arena that is there in every run.
        // SAFETY: 2: not longer than a slot.
        let first = unsafe { Arena::new(BYTES)?.words(BYTES)?.add(header / 8) };
        let (tail, head) = (arena.one::<Line>()?, arena.one::<Line>()?);
        let whole = bytes + header;
        let slots = Slots { first, words: bytes / 8, step: whole / 8, count: (BYTES / whole) as u64, tail, head };
        let source = maker(move || Ok(PayloadSource::new(RawTx { slots, position: 0, head: 0 }, bytes)));
        let drain = maker(move || Ok(PayloadDrain::new(RawRx { slots, position: 0, tail: 0 }, bytes)));
        Ok(Setup { parties: vec![source, drain], published: None })
    })
}

struct Claims(Producer<Trusted>, usize);
struct Records(Consumer<Trusted>);

impl PayloadTx for Claims {
    #[inline(always)]
    fn try_fill(&mut self, fill: impl FnOnce(&mut [u64])) -> bool {
        let Ok(mut claim) = self.0.try_claim(self.1) else { return false };
        // A payload begins on a multiple of 8, so the cast only fails if that is no longer so, and then for good.
        let Ok(words) = <[u64]>::mut_from_bytes(&mut claim) else { return false };
        fill(words);
        claim.commit();
        true
    }
}

impl PayloadRx for Records {
    #[inline(always)]
    fn try_show(&mut self, each: impl FnOnce(&[u64])) -> bool {
        let Ok(record) = self.0.try_read() else { return false };
        let Ok(words) = <[u64]>::ref_from_bytes(&record) else { return false };
        each(words);
        record.release();
        true
    }
}

/// The handles that copy: the payload is made in memory of one's own and then written, and copied before it is read.
struct CopyTx(Producer, Vec<u64>);
struct CopyRx(Consumer, Vec<u64>);

impl PayloadTx for CopyTx {
    #[inline(always)]
    fn try_fill(&mut self, fill: impl FnOnce(&mut [u64])) -> bool {
        let Ok(mut claim) = self.0.try_claim(8 * self.1.len()) else { return false };
        fill(&mut self.1);
        let whole = claim.write(self.1.as_bytes()) == 8 * self.1.len();
        claim.commit();
        whole
    }
}

impl PayloadRx for CopyRx {
    #[inline(always)]
    fn try_show(&mut self, each: impl FnOnce(&[u64])) -> bool {
        if !self.0.try_recv_into(self.1.as_mut_bytes()).is_ok_and(|received| received.len == 8 * self.1.len()) {
            return false;
        }
        each(&self.1);
        true
    }
}

fn one_ring(make: impl Fn(String) -> [Maker; 2] + 'static) -> Build {
    Box::new(move |_| {
        let name = fresh_name();
        let published = unlink(vec![name.clone()]);
        Ok(Setup { parties: make(name).into(), published })
    })
}

/// Ours in place: claims and records of trusted handles, payloads on `lines` or not.
pub(crate) fn ours(bytes: usize, lines: bool) -> Build {
    one_ring(move |name| {
        let create = name.clone();
        let source = maker(move || {
            let options = options(BYTES).line_aligned(lines);
            let tx = Producer::create(&create, &options).map_err(failed)?;
            // SAFETY: 3.
            Ok(PayloadSource::new(Claims(unsafe { tx.trust_peers() }, bytes), bytes))
        });
        let drain = maker(move || {
            let rx = Consumer::open(&name).map_err(failed)?;
            // SAFETY: 3.
            Ok(PayloadDrain::new(Records(unsafe { rx.trust_peers() }), bytes))
        });
        [source, drain]
    })
}

/// Ours by the handles that trust nobody.
pub(crate) fn ours_copied(bytes: usize) -> Build {
    one_ring(move |name| {
        let create = name.clone();
        let source = maker(move || {
            let tx = Producer::create(&create, &options(BYTES)).map_err(failed)?;
            Ok(PayloadSource::new(CopyTx(tx, vec![0; bytes / 8]), bytes))
        });
        let drain = maker(move || {
            let rx = Consumer::open(&name).map_err(failed)?;
            Ok(PayloadDrain::new(CopyRx(rx, vec![0; bytes / 8]), bytes))
        });
        [source, drain]
    })
}
