//! Where an SPSC handle stands, and how far it can go from there without another question: pointers instead of masked
//! positions, and one comparison a record. A record moves one pointer and nothing else.
//!
//! # Safety
//!
//! With the invariants of `region.rs`:
//!
//! R8. `at` and `end` of a `Stretch` point into one area, `end` is not before `at`, both are multiples of 8, and the eight
//!     bytes from `end` on are inside.
//! R9. What `Geometry::size_of` says of `len` is a multiple of 8, at least 8 more than `len`, does not wrap, and is at most
//!     `BEYOND`, unless that is 0.
//! R10. A `Taken` was taken of a stretch, or of an area with the same bounds: from `at` on there are eight bytes, and `len`
//!     more, rounded up to 8, inside an area; `at` is a multiple of 8.
//! R17. `at` and `end` of a `Behind` are those of a `Stretch`, unless its `end` is 0.
//! R13. `BEYOND` more than the address of any byte of an area, and the one behind it, is an address still.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::hint::prefetch_write;
use super::{Area, Span};
use crate::position::Position;
use crate::record::{BEYOND, Geometry};
use crate::sync::{Ordering, Word};

/// A place in an area, and the end of what records may take from there on. Kept privately by a handle that knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch<'m> {
    pub(super) at: NonNull<u8>,
    /// Where the last header may be: the one behind the last record.
    pub(super) end: NonNull<u8>,
    /// What makes a position of an address, as far as the stretch goes.
    pub(super) bias: u64,
    pub(super) memory: PhantomData<&'m [Word]>,
}

/// A record's bytes, taken of a stretch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken<'m> {
    pub(super) at: NonNull<u8>,
    /// Payload bytes.
    pub(super) len: usize,
    pub(super) memory: PhantomData<&'m [Word]>,
}

/// What is left of a stretch behind a record that was taken of a copy of it: kept until the record is committed, if it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behind<'m> {
    at: NonNull<u8>,
    /// The end that the stretch had; 0 where nothing is known.
    end: usize,
    memory: PhantomData<&'m [Word]>,
}

// SAFETY: as for `Region`.
unsafe impl Send for Behind<'_> {}
// SAFETY: as for `Region`.
unsafe impl Sync for Behind<'_> {}

// SAFETY: as for `Region`.
unsafe impl Send for Stretch<'_> {}
// SAFETY: as for `Region`.
unsafe impl Sync for Stretch<'_> {}

impl<'m> Area<'m> {
    /// `bytes` from `position` on, or as many as there are before the last word of the area: the header behind a record
    /// belongs to the stretch too.
    pub(crate) fn stretch(&self, position: Position, bytes: u64) -> Stretch<'m> {
        let offset = self.offset(position) & !7;
        // R3: the masked offset is at most mask + 1 - 8, so nothing goes below zero.
        let most = self.mask.wrapping_sub(offset).wrapping_sub(7);
        let left = usize::try_from(bytes).unwrap_or(usize::MAX).min(most) & !7;
        // SAFETY: R3: in bounds.
        let at = unsafe { self.base.add(offset) };
        // SAFETY: R3 and the bound above: in bounds, and eight bytes are left. With the line above R8 holds.
        let end = unsafe { at.add(left) };
        Stretch { at, end, bias: position.get().wrapping_sub(at.addr().get() as u64), memory: PhantomData }
    }

    /// A record of `len` payload bytes at `position`, of which nothing else is known, and the stretch behind it, of which
    /// nothing is known either: it may be the area's first word. `None` where the record would cross the end of the area.
    pub(crate) fn record(&self, position: Position, len: usize, size: u64) -> Option<(Taken<'m>, Stretch<'m>)> {
        let offset = self.offset(position) & !7;
        // R3: the masked offset is at most mask + 1 - 8. What is left behind the header is a multiple of 8: R10.
        if len > self.mask.wrapping_sub(offset).wrapping_sub(7) {
            return None;
        }
        // SAFETY: R3: in bounds.
        let at = unsafe { self.base.add(offset) };
        Some((Taken { at, len, memory: PhantomData }, self.stretch(position.plus(size), 0)))
    }
}

impl<'m> Stretch<'m> {
    /// The word at its start.
    #[inline(always)]
    fn word(&self) -> &'m Word {
        // SAFETY: R8: eight bytes in bounds, aligned; R2.
        unsafe { self.at.cast::<Word>().as_ref() }
    }

    /// The position of its start.
    #[inline(always)]
    pub(crate) fn position(&self) -> Position {
        Position::new(self.bias.wrapping_add(self.at.addr().get() as u64))
    }

    /// The position of a record taken of it.
    #[inline(always)]
    pub(crate) fn position_of(&self, taken: &Taken<'_>) -> Position {
        Position::new(self.bias.wrapping_add(taken.at.addr().get() as u64))
    }

    /// The header at its start, as of a record without a payload.
    #[inline(always)]
    pub(crate) fn here(&self) -> Taken<'m> {
        Taken { at: self.at, len: 0, memory: PhantomData } // R10: by R8
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

    /// As much of it as has at most `bytes`.
    pub(crate) fn cut(&self, bytes: u64) -> Self {
        let left = self.bytes().min(usize::try_from(bytes).unwrap_or(usize::MAX) & !7);
        // SAFETY: R8: not behind the end that it had, and a multiple of 8.
        Self { end: unsafe { self.at.add(left) }, ..*self }
    }

    /// Bytes before the last header.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> usize {
        self.end.addr().get().wrapping_sub(self.at.addr().get())
    }

    /// Asks to own each line that begins behind its start, as far as it goes. A hint.
    pub(crate) fn ask(&self) {
        let to_line = (self.at.addr().get() | 63).wrapping_add(1).wrapping_sub(self.at.addr().get());
        let mut by = to_line;
        while by <= self.bytes() {
            // SAFETY: R8: not behind the end.
            prefetch_write(unsafe { self.at.add(by) });
            by = by.wrapping_add(64);
        }
    }

    /// What it is now, for a copy that is to be left as it was.
    #[inline(always)]
    pub(crate) fn behind(&self) -> Behind<'m> {
        Behind { at: self.at, end: self.end.addr().get(), memory: PhantomData } // R17
    }

    /// Goes on behind what was taken of a copy; false, and nothing done, where that is not known.
    #[inline(always)]
    pub(crate) fn pass(&mut self, behind: &Behind<'m>) -> bool {
        // An end is inside its area, so this says that it is the same area. No end is at 0.
        let known = self.end.addr().get() == behind.end;
        if known {
            self.at = behind.at; // R8: by R17
        }
        known
    }

    /// Takes a record of `len` payload bytes; `None`, and nothing taken, where it is not known to fit, whatever `len`.
    #[inline(always)]
    pub(crate) fn take(&mut self, len: usize, geometry: &Geometry) -> Option<Taken<'m>> {
        let (at, size) = (self.at, geometry.size_of(len)?);
        let next = at.as_ptr().wrapping_byte_add(size);
        // The next place is needed in any case, so to compare it costs less than a difference. It does not wrap (R9, R13)
        // where addresses are long enough.
        let fits = match BEYOND {
            0 => size <= self.end.addr().get().wrapping_sub(at.addr().get()),
            _ => next.addr() <= self.end.addr().get(),
        };
        if !fits {
            return None;
        }
        // SAFETY: R8, and `size` is not more than what is left: in bounds, so not null.
        self.at = unsafe { NonNull::new_unchecked(next) };
        // R8: `size` is a multiple of 8 (R9). R10: by R9 it is at least 8 and `len` rounded up to 8.
        Some(Taken { at, len, memory: PhantomData })
    }
}

impl Behind<'_> {
    /// Nothing is known.
    pub(crate) const UNKNOWN: Self = Self { at: NonNull::dangling(), end: 0, memory: PhantomData };

    /// Whether anything is.
    #[inline(always)]
    pub(crate) const fn is_known(&self) -> bool {
        self.end != 0
    }
}

impl<'m> Taken<'m> {
    /// Its payload.
    #[inline(always)]
    pub(crate) fn span(&self) -> Span<'m> {
        // SAFETY: R10: the header is inside, so at most one past the end.
        let base = unsafe { self.at.add(8) };
        // R5: R10, and both are multiples of 8.
        Span { base, len: self.len, memory: PhantomData }
    }

    /// Stores its header.
    #[inline(always)]
    pub(crate) fn store_header(&self, word: u64, ordering: Ordering) {
        // SAFETY: R10: eight bytes in bounds, aligned; R2.
        unsafe { self.at.cast::<Word>().as_ref() }.store(word, ordering);
    }
}

#[cfg(test)]
mod tests;
