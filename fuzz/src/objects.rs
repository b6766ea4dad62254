//! The three objects of a strict ring, in one file of memory that is mapped three times: for the producer and for the
//! consumer, in their order and with their rights, each between two pages that nobody may touch; and once, wholly
//! writable, for the fuzzer.
//!
//! # Safety
//!
//! 1. Each of the three is a mapping of `len` bytes of the same file that is never unmapped, with a page without access on
//!    either side; of the first two the pages of the other side are read-only.
//! 2. Words of them are reached only through atomics, here and in `ring-core`; one thread does all of it.
//! 3. Slices of the third exist only between inputs, when no ring operation is under way.
//! 4. A piece is mapped over a reservation of this file's own.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::fs::File;
use std::num::NonZero;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use ring_core::STRICT_PAGE;
use ring_core::spsc::{Format, Ring, strict};

use crate::arena::{CANARY, checksum, reserve};

const PAGE: usize = STRICT_PAGE as usize;
const READ: ProtFlags = ProtFlags::PROT_READ;
const WRITE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

/// The objects of a ring.
#[derive(Debug)]
pub struct Objects {
    len: usize,
    producer: NonNull<u8>,
    consumer: NonNull<u8>,
    all: NonNull<u8>,
    /// The bytes that are the ring's; those behind it are nobody's.
    used: usize,
    ring: Ring<'static>,
    /// As they were when the ring was fresh.
    fresh: Vec<u8>,
}

/// The objects of this process, for each shape of ring; never unmapped.
#[derive(Debug, Default)]
pub struct Shapes(HashMap<u8, Objects>);

impl Shapes {
    /// A fresh ring of that shape, handed over to nobody yet.
    pub fn take(&mut self, shape: u8, format: &Format) -> &Objects {
        let objects = self.0.entry(shape).or_insert_with(|| Objects::new(format));
        let fresh = core::mem::take(&mut objects.fresh);
        objects.bytes_mut().copy_from_slice(&fresh);
        objects.fresh = fresh;
        objects
    }
}

impl Objects {
    fn new(format: &Format) -> Self {
        let used = strict::footprint(format) as usize;
        let len = used.next_multiple_of(PAGE);
        let file = File::from(memfd_create("strict", MFdFlags::MFD_CLOEXEC).expect("a memfd"));
        file.set_len(len as u64).expect("memory");
        // Own, common, the other's, the rest; in the file it is the producer's, common, the consumer's, the rest.
        let rest = len - 3 * PAGE;
        let view = |pieces: [(usize, usize, ProtFlags); 4]| {
            let base = reserve(len);
            let mut at = 0;
            for (from, len, rights) in pieces {
                put(base, at, &file, from, len, rights);
                at += len;
            }
            base
        };
        let producer = view([(0, PAGE, WRITE), (PAGE, PAGE, WRITE), (2 * PAGE, PAGE, READ), (3 * PAGE, rest, WRITE)]);
        let consumer = view([(2 * PAGE, PAGE, WRITE), (PAGE, PAGE, WRITE), (0, PAGE, READ), (3 * PAGE, rest, READ)]);
        let all = view([(0, PAGE, WRITE), (PAGE, PAGE, WRITE), (2 * PAGE, PAGE, WRITE), (3 * PAGE, rest, WRITE)]);
        // SAFETY: 1 and 2.
        let parts = unsafe { strict::ProducerParts::from_raw_parts(producer, used) }.expect("a page's alignment");
        let ring = Ring::format_strict(parts, format).expect("a good format");
        let mut objects = Self { len, producer, consumer, all, used, ring, fresh: Vec::new() };
        objects.bytes_mut()[used..].fill(CANARY);
        objects.fresh = objects.bytes_mut().to_vec();
        objects
    }

    /// Words of all of them.
    pub fn words(&self) -> usize {
        self.used / 8
    }

    /// The ring as its producer has it.
    pub fn ring(&self) -> Ring<'static> {
        self.ring
    }

    /// The objects as the producer has them.
    pub fn producer(&self) -> strict::ProducerParts<'static> {
        // SAFETY: 1 and 2.
        unsafe { strict::ProducerParts::from_raw_parts(self.producer, self.used) }.expect("a page's alignment")
    }

    /// The objects as the consumer has them.
    pub fn consumer(&self) -> strict::ConsumerParts<'static> {
        // SAFETY: 1 and 2.
        unsafe { strict::ConsumerParts::from_raw_parts(self.consumer, self.used) }.expect("a page's alignment")
    }

    fn atomic(&self, i: usize) -> &AtomicU64 {
        assert!(i < self.words());
        // SAFETY: 1; the index was checked.
        let at = unsafe { self.all.cast::<AtomicU64>().add(i) };
        // SAFETY: 1 and 2; pages are aligned.
        unsafe { at.as_ref() }
    }

    /// Word `i` of all objects.
    pub fn word(&self, i: usize) -> u64 {
        self.atomic(i).load(Relaxed)
    }

    /// Changes it, as its owner could.
    pub fn set(&self, i: usize, value: u64) {
        self.atomic(i).store(value, Relaxed);
    }

    /// Makes the checksum of the identity line that begins with word `at` right.
    pub fn forge(&self, at: usize) {
        let sum = checksum((at..at + 15).map(|i| self.word(i)));
        self.set(at + 15, sum);
    }

    /// Fills bytes of the producer's view, unchecked: for planted bugs.
    pub fn fill_unclamped(&self, at: usize, len: usize) {
        for i in at..at.saturating_add(len) {
            // SAFETY: none: this is the planted bug, which the guard page has to catch.
            unsafe { self.producer.as_ptr().wrapping_add(i).write_volatile(0xa5) };
        }
    }

    /// Whether nobody wrote behind the ring.
    pub fn check(&self) {
        // SAFETY: 1; 3.
        let bytes = unsafe { std::slice::from_raw_parts(self.all.as_ptr(), self.len) };
        assert!(bytes[self.used..].iter().all(|byte| *byte == CANARY), "bytes behind the ring were written");
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: 1; 3.
        unsafe { std::slice::from_raw_parts_mut(self.all.as_ptr(), self.len) }
    }
}

/// Maps a piece of the file into what was reserved.
fn put(base: NonNull<u8>, at: usize, file: impl AsFd, from: usize, len: usize, rights: ProtFlags) {
    let address = NonZero::new(base.as_ptr() as usize + at);
    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
    let len = NonZero::new(len).expect("not zero");
    // SAFETY: 4.
    unsafe { mmap(address, len, rights, flags, file, from as i64) }.expect("memory");
}
