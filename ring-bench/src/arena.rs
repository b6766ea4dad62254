//! Memory that parent and children share: one anonymous mapping, made before the fork and handed out piecewise.
//!
//! It holds the mailboxes, the probe's lines and the limits' buffers. Pieces are never given back, the mapping is
//! never unmapped, so a piece may be `'static`. Only atomics are handed out: both processes may touch them at once.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. The mapping is private to this function until it returns, zeroed, page-aligned and never unmapped.
//! 2. `next .. end` lies inside the mapping and has been handed to nobody.
//! 3. [`Shared`] is implemented only for types made of atomics, for which zeroed bytes are a valid value.
//! 4. `base` is a mapping of `len` words of its own, made in `map` and unmapped in `drop`.

use crate::mailbox::Mailbox;
use core::num::NonZeroUsize;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use ring_core::Region;
use std::fs::File;

/// A type that may live in shared memory.
///
/// # Safety
///
/// Consists of atomics only (or arrays of such), needs no destructor, and is valid when zeroed.
pub(crate) unsafe trait Shared: Sync + 'static {}

// SAFETY: an atomic.
unsafe impl Shared for AtomicU32 {}
// SAFETY: an atomic.
unsafe impl Shared for AtomicU64 {}
// SAFETY: atomics and nothing else.
unsafe impl Shared for Line {}
// SAFETY: atomics and structs of atomics.
unsafe impl Shared for Mailbox {}

/// Two adjacent cache lines, so that the neighbour prefetcher of one record never touches another.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Line(pub(crate) [AtomicU64; 16]);

/// The words of a file, mapped shared; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Words {
    base: NonNull<AtomicU64>,
    len: usize,
}

impl Words {
    /// The first `bytes` of `file`, which has as many.
    pub(crate) fn map(file: &File, bytes: usize) -> Result<Self, String> {
        let length = NonZeroUsize::new(bytes & !7).ok_or("a mapping of no words")?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: no address is asked for, so no existing mapping is replaced.
        let base = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, file, 0) };
        let base = base.map_err(|why| format!("mmap: {why}"))?.cast();
        Ok(Self { base, len: length.get() / 8 })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn all(&self) -> &[AtomicU64] {
        // SAFETY: invariant 4: as many words are mapped, page-aligned, as long as `self` lives.
        unsafe { core::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }

    /// Writes word `i`.
    pub(crate) fn set(&self, i: usize, word: u64) {
        self.all()[i].store(word, Ordering::Release);
    }

    /// Reads word `i`.
    pub(crate) fn get(&self, i: usize) -> u64 {
        self.all()[i].load(Ordering::Acquire)
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: invariant 4; nobody borrows it any more. A mapping of ours can always be unmapped.
        let _ = unsafe { munmap(self.base.cast(), self.len * 8) };
    }
}

/// Operations of a slice that can be timed one by one.
const SAMPLES: usize = 1 << 13;

/// A growing claim on the mapping.
#[derive(Debug)]
pub struct Arena {
    next: usize,
    end: usize,
    base: *mut u8,
    samples: Option<&'static [AtomicU64]>,
}

impl Arena {
    /// Maps `bytes` of zeroed shared memory.
    pub(crate) fn new(bytes: usize) -> Result<Self, String> {
        let length = NonZeroUsize::new(bytes).ok_or("an arena of no bytes")?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: no address is asked for, so no existing mapping is replaced.
        let mapping =
            unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE) }
                .map_err(|e| format!("cannot map {bytes} bytes of shared memory: {e}"))?;
        Ok(Self { next: 0, end: bytes, base: mapping.as_ptr().cast(), samples: None })
    }

    /// The next `count` elements of type `T`, zeroed, on lines of their own.
    pub(crate) fn slice<T: Shared>(&mut self, count: usize) -> Result<&'static [T], String> {
        let start = self.next.next_multiple_of(align_of::<T>().max(128));
        let stop = size_of::<T>().checked_mul(count).and_then(|size| start.checked_add(size));
        let stop = stop.filter(|stop| *stop <= self.end).ok_or("the shared arena is too small")?;
        self.next = stop;
        // SAFETY: invariant 2: `start <= stop <= end`, inside the mapping.
        let first = unsafe { self.base.add(start) };
        // SAFETY: invariants 1, 2 and 3; `start` is a multiple of the alignment and the mapping is page-aligned.
        Ok(unsafe { core::slice::from_raw_parts(first.cast::<T>(), count) })
    }

    /// `bytes` for a ring of ours.
    pub(crate) fn region(&mut self, bytes: u64) -> Result<Region<'static>, String> {
        let start = self.next.next_multiple_of(128);
        let stop = usize::try_from(bytes).ok().and_then(|size| start.checked_add(size));
        let stop = stop.filter(|stop| *stop <= self.end).ok_or("the shared arena is too small")?;
        self.next = stop;
        // SAFETY: invariant 2: `start <= stop <= end`, inside the mapping.
        let first = unsafe { self.base.add(start) };
        let first = NonNull::new(first).ok_or("an arena at address 0")?;
        // SAFETY: invariants 1 and 2: mapped for good, and nobody else has it.
        unsafe { Region::from_raw_parts(first, stop - start) }.map_err(|why| why.to_string())
    }

    /// `bytes`, zeroed and page-aligned if they are the first, of plain words: who takes them says who may touch which.
    pub(crate) fn words(&mut self, bytes: usize) -> Result<*mut u64, String> {
        self.slice::<AtomicU64>(bytes / 8).map(|words| words.as_ptr().cast_mut().cast())
    }

    /// Where a party that times single operations leaves them for the driver, until the next slice; one for all.
    pub(crate) fn samples(&mut self) -> Result<&'static [AtomicU64], String> {
        if let Some(samples) = self.samples {
            return Ok(samples);
        }
        let samples = self.slice(SAMPLES)?;
        self.samples = Some(samples);
        Ok(samples)
    }

    /// One element of type `T`, zeroed, on lines of its own.
    pub(crate) fn one<T: Shared>(&mut self) -> Result<&'static T, String> {
        Ok(&self.slice::<T>(1)?[0])
    }
}
