//! Where an SPSC handle stands, and how far it can go from there without another question: pointers instead of masked
//! positions, and one comparison a record.
//!
//! # Safety
//!
//! With the invariants of `region.rs`:
//!
//! R8. The `at` of a `Stretch` is a multiple of 8, `left` is one too, and `left + 8` bytes from `at` lie inside an area.
//! R9. A `Geometry`'s alignment is 8 or 64: `Geometry::new` alone makes one.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::{Area, Span};
use crate::position::Position;
use crate::record::{Geometry, HEADER};
use crate::sync::{Ordering, Word};

/// A place in an area with `left` bytes that records may take from there on. Kept privately by a handle that knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch<'m> {
    at: NonNull<u8>,
    left: usize,
    memory: PhantomData<&'m [Word]>,
}

// SAFETY: as for `Region`.
unsafe impl Send for Stretch<'_> {}
// SAFETY: as for `Region`.
unsafe impl Sync for Stretch<'_> {}

/// What a record takes of a stretch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken<'m> {
    /// Its payload.
    pub(crate) span: Span<'m>,
    /// All of its bytes.
    pub(crate) size: u64,
    /// What is left behind it.
    pub(crate) rest: Stretch<'m>,
}

impl<'m> Area<'m> {
    /// `bytes` from `position` on, or as many as there are before the last word of the area: the header behind a record
    /// belongs to the stretch too.
    pub(crate) fn stretch(&self, position: Position, bytes: u64) -> Stretch<'m> {
        let offset = self.offset(position) & !7;
        // R3: the masked offset is at most mask + 1 - 8, so nothing goes below zero.
        let most = self.mask.wrapping_sub(offset).wrapping_sub(7);
        let left = usize::try_from(bytes).unwrap_or(usize::MAX).min(most) & !7;
        // SAFETY: R3: in bounds. R8 holds by the two lines above.
        Stretch { at: unsafe { self.base.add(offset) }, left, memory: PhantomData }
    }
}

impl<'m> Stretch<'m> {
    /// The word at its start.
    #[inline(always)]
    fn word(&self) -> &'m Word {
        // SAFETY: R8: eight bytes in bounds, aligned; R2.
        unsafe { self.at.cast::<Word>().as_ref() }
    }

    /// Loads the header at its start.
    #[inline(always)]
    pub(crate) fn load_header(&self, ordering: Ordering) -> u64 {
        self.word().load(ordering)
    }

    /// Stores the header at its start.
    #[inline(always)]
    pub(crate) fn store_header(&self, word: u64, ordering: Ordering) {
        self.word().store(word, ordering);
    }

    /// A record of `len` payload bytes at its start; `None` where it is not known to fit, whatever `len`.
    #[inline(always)]
    pub(crate) fn take(&self, len: usize, geometry: &Geometry) -> Option<Taken<'m>> {
        #[expect(clippy::cast_possible_truncation, reason = "8 or 64")]
        let (header, round) = (HEADER as usize, geometry.align().wrapping_sub(1) as usize);
        let size = len.checked_add(header.wrapping_add(round))? & !round;
        let left = self.left.checked_sub(size)?;
        // SAFETY: R8: in bounds, the header.
        let payload = unsafe { self.at.add(header) };
        // SAFETY: R8, and `size <= self.left`.
        let behind = unsafe { self.at.add(size) };
        // R5: by R9 `size` is at least 8 and `len` rounded up to 8. R8: `size` is a multiple of 8 (R9), and where it ends
        // `left + 8` bytes are left of `self.left + 8`.
        let span = Span { base: payload, len, memory: PhantomData };
        Some(Taken { span, size: size as u64, rest: Self { at: behind, left, memory: PhantomData } })
    }
}
