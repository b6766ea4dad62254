//! Memory for a ring between two pages that nobody may touch. The ring ends where the guard page begins, up to its
//! alignment; what is left over on either side holds canaries.
//!
//! # Safety
//!
//! 1. `base` is the start of `len` mapped bytes that are never unmapped, with a page without access on either side.
//! 2. Words of it are reached only through atomics, here and in `ring-core`; one thread does both.
//! 3. Slices of it exist only between inputs, or within one call, when no ring operation is under way.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::fmt::Debug;
use std::num::NonZero;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect};
use ring_core::{Kind, Region};

use crate::input::Input;

const PAGE: usize = 4096;
pub(crate) const CANARY: u8 = 0xCA;

/// Guarded memory with a ring in it.
#[derive(Debug)]
pub struct Arena {
    base: NonNull<u8>,
    len: usize,
    /// Where the ring begins and ends.
    ring: (usize, usize),
    /// The memory as it was when the ring was fresh.
    fresh: Vec<u8>,
}

/// The arenas of this process, one for each shape of ring; never unmapped.
#[derive(Debug, Default)]
pub struct Arenas(HashMap<(Kind, u8), Arena>);

impl Arenas {
    /// A fresh ring of `kind` and a shape of that kind. `format` formats one in the memory that it is lent, once.
    pub fn take<E: Debug>(
        &mut self,
        kind: Kind,
        shape: u8,
        format: impl FnOnce(&mut dyn FnMut(u64) -> Region<'static>) -> Result<(), E>,
    ) -> &Arena {
        // Formatting writes a thousand words; copying them back is much quicker.
        let arena = self.0.entry((kind, shape)).or_insert_with(|| {
            let mut arena = None;
            let mut lend = |len| arena.insert(Arena::map(len as usize)).region(len as usize);
            format(&mut lend).expect("a good format");
            let mut arena: Arena = arena.expect("it was lent");
            arena.fresh = arena.bytes().to_vec();
            arena
        });
        arena.restore();
        arena
    }
}

impl Arena {
    /// Memory for a ring of `len` bytes.
    fn map(len: usize) -> Self {
        let mapped = len.next_multiple_of(PAGE);
        let base = reserve(mapped);
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the pages between the first and the last one are ours alone.
        unsafe { mprotect(base.cast(), mapped, access) }.expect("memory");
        let start = (mapped - len) & !127;
        let mut arena = Self { base, len: mapped, ring: (start, start + len), fresh: Vec::new() };
        let bytes = arena.bytes_mut();
        bytes[..start].fill(CANARY);
        bytes[start + len..].fill(CANARY);
        arena
    }

    /// Makes the ring fresh again.
    fn restore(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        self.bytes_mut().copy_from_slice(&fresh);
        self.fresh = fresh;
    }

    /// All of the memory, between inputs.
    fn bytes(&self) -> &[u8] {
        // SAFETY: 1; 3.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }

    /// As above.
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: 1; 3.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
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
        assert!(len <= self.len());
        // SAFETY: 1; the ring's start was chosen inside.
        let at = unsafe { self.base.add(self.ring.0) };
        // SAFETY: 1 and 2.
        unsafe { Region::from_raw_parts(at, len) }.expect("aligned to 128")
    }

    /// Bytes of the ring's memory.
    pub fn len(&self) -> usize {
        self.ring.1 - self.ring.0
    }

    /// Word `i` of the ring's memory, counted round.
    pub fn word(&self, i: usize) -> &AtomicU64 {
        self.raw(self.ring.0 / 8 + i % (self.len() / 8))
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
        let sum = checksum((0..15).map(|i| self.word(i).load(Relaxed)));
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
        let bytes = self.bytes();
        for outside in [&bytes[..self.ring.0], &bytes[self.ring.1..]] {
            let good = outside.iter().fold(true, |good, byte| good & (*byte == CANARY));
            assert!(good, "bytes outside of the ring were written");
        }
    }
}

/// Addresses for `len` bytes of whole pages, with one on either side; nobody may touch any of it yet.
pub(crate) fn reserve(len: usize) -> NonNull<u8> {
    let all = NonZero::new(len + 2 * PAGE).expect("not zero");
    // SAFETY: a fresh private mapping harms nobody.
    let at = unsafe { mmap_anonymous(None, all, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) }.expect("addresses");
    // SAFETY: one page into a mapping of more.
    unsafe { at.byte_add(PAGE) }.cast()
}

/// The checksum of the words of an identity line before it.
pub fn checksum(words: impl Iterator<Item = u64>) -> u64 {
    let bytes = words.flat_map(u64::to_le_bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
