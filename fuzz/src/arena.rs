//! Memory for a ring between two pages that nobody may touch. The ring ends where the guard page begins, up to its
//! alignment; what is left over on either side holds canaries.
//!
//! # Safety
//!
//! 1. `base` is the start of `len` mapped bytes that are never unmapped, with a page without access on either side.
//! 2. Words of it are reached only through atomics, here and in `ring-core`; one thread does both.
#![allow(unsafe_code)]

use std::num::NonZero;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect};
use ring_core::Region;

use crate::input::Input;

const PAGE: usize = 4096;
const CANARY: u64 = 0xCA4A_71E5_0DD5_EA15;

/// The most pages of a ring.
const PAGES: usize = 8;

/// Guarded memory with a ring in it.
#[derive(Debug)]
pub struct Arena {
    base: NonNull<u8>,
    len: usize,
    /// Where the ring begins and ends.
    ring: (usize, usize),
}

/// The arenas of this process, by their number of pages; never unmapped.
#[derive(Debug, Default)]
pub struct Arenas([Option<Arena>; PAGES]);

impl Arenas {
    /// Zeroed memory for a ring of `len` bytes, at most eight pages.
    pub fn take(&mut self, len: usize) -> &Arena {
        let pages = len.div_ceil(PAGE).clamp(1, PAGES);
        let arena = self.0[pages - 1].get_or_insert_with(|| Arena::map(pages));
        let start = (arena.len - len) & !127;
        arena.ring = (start, start + len);
        for i in 0..arena.len / 8 {
            let inside = i * 8 + 8 > start && i * 8 < start + len;
            arena.raw(i).store(if inside { 0 } else { CANARY }, Relaxed);
        }
        arena
    }
}

impl Arena {
    fn map(pages: usize) -> Self {
        let all = NonZero::new((pages + 2) * PAGE).expect("not zero");
        // SAFETY: a fresh private mapping harms nobody.
        let at = unsafe { mmap_anonymous(None, all, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) }.expect("memory");
        // SAFETY: one page into a mapping of more.
        let base = unsafe { at.byte_add(PAGE) };
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the pages between the first and the last one are ours alone.
        unsafe { mprotect(base, pages * PAGE, access) }.expect("memory");
        Self { base: base.cast(), len: pages * PAGE, ring: (0, 0) }
    }

    fn raw(&self, i: usize) -> &AtomicU64 {
        assert!(i < self.len / 8);
        // SAFETY: 1; the index was checked.
        let at = unsafe { self.base.cast::<AtomicU64>().add(i) };
        // SAFETY: 1 and 2; pages are aligned.
        unsafe { at.as_ref() }
    }

    /// The first `len` bytes of the ring's memory, for the ring.
    pub fn region(&self, len: usize) -> Region<'static> {
        assert!(len <= self.ring.1 - self.ring.0);
        // SAFETY: 1; the ring's start was chosen inside.
        let at = unsafe { self.base.add(self.ring.0) };
        // SAFETY: 1 and 2.
        unsafe { Region::from_raw_parts(at, len) }.expect("aligned to 128")
    }

    /// Whole words of the ring's memory.
    pub fn words(&self) -> usize {
        (self.ring.1 - self.ring.0) / 8
    }

    /// Word `i` of the ring's memory, counted round.
    pub fn word(&self, i: usize) -> &AtomicU64 {
        self.raw(self.ring.0 / 8 + i % self.words().max(1))
    }

    /// The peer: changes one word, mostly one of `hot`.
    pub fn scribble(&self, input: &mut Input<'_>, hot: &[usize]) {
        let pick = |input: &mut Input<'_>| match input.byte() {
            255 => input.short(),
            254 => hot[input.short() % hot.len()],
            i => hot[usize::from(i) % hot.len()],
        };
        let at = pick(input);
        let other = self.word(pick(input)).load(Relaxed);
        let word = self.word(at);
        word.store(input.change(word.load(Relaxed), other), Relaxed);
    }

    /// Makes the checksum of the identity line right, as a forger would.
    pub fn forge(&self) {
        let bytes = (0..15).flat_map(|i| self.word(i).load(Relaxed).to_le_bytes());
        let sum = bytes
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        self.word(15).store(sum, Relaxed);
    }

    /// Reads byte `at` of the ring's memory, unchecked: for planted bugs.
    pub fn believe(&self, at: usize) -> u8 {
        let address = self.base.as_ptr().wrapping_add(self.ring.0).wrapping_add(at);
        // SAFETY: none: this is the planted bug, which the guard page has to catch.
        unsafe { address.read_volatile() }
    }

    /// Whether nobody wrote outside of the ring.
    pub fn check(&self) {
        let (start, end) = (self.ring.0 / 8, self.ring.1.div_ceil(8));
        for i in (0..start).chain(end..self.len / 8) {
            assert_eq!(
                self.raw(i).load(Relaxed),
                CANARY,
                "byte {} relative to the ring was written",
                i as isize * 8 - self.ring.0 as isize
            );
        }
    }
}
