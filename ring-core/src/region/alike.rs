//! Many records of one length in a row: what is asked of all of them is asked once.
//!
//! # Safety
//!
//! With the invariants of `region.rs` and `stretch.rs`:
//!
//! R15. Where the `rest` of an `Alike` does not begin behind `last`, there are `size` bytes to the end of that.
//!     `size` is a multiple of 8, and not less than `len` rounded up to that.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ptr;

use super::{Stretch, Taken};
use crate::record::Geometry;

/// Places in a stretch where records of just `len` payload bytes may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alike<'m> {
    rest: Stretch<'m>,
    /// Behind here none begins. A pointer, since one kept beside it as a number would be moved twice.
    last: *const u8,
    /// Payload bytes of one.
    len: usize,
    /// Bytes from one to the next.
    size: usize,
}

impl<'m> Stretch<'m> {
    /// Places of records of `len` payload bytes: `most` at most, and none beyond so many `bytes`.
    #[inline(always)]
    pub(crate) fn alike(&self, len: usize, most: usize, bytes: u64, geometry: &Geometry) -> Alike<'m> {
        match geometry.size_of(len) {
            Some(size) => self.places(len, size, most, bytes), // R9
            None => self.none_alike(),
        }
    }

    #[inline(always)]
    fn places(&self, len: usize, size: usize, most: usize, bytes: u64) -> Alike<'m> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(most.saturating_mul(size)).min(self.bytes());
        // R15. No place is at 0.
        let last =
            bytes.checked_sub(size).map_or(ptr::null(), |last| self.at.as_ptr().wrapping_byte_add(last).cast_const());
        Alike { rest: *self, last, len, size }
    }

    /// No such place.
    #[inline(always)]
    pub(crate) fn none_alike(&self) -> Alike<'m> {
        // R15, whatever the size: no place is at 0.
        Alike { rest: *self, last: ptr::null(), len: 0, size: 0 }
    }
}

impl<'m> Alike<'m> {
    /// The next place, unless there is none.
    #[inline(always)]
    pub(crate) fn next(&self) -> Option<Stretch<'m>> {
        if self.rest.at.as_ptr().cast_const() > self.last { None } else { Some(self.rest) }
    }

    /// Takes the next place.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Option<Taken<'m>> {
        let at = self.next()?.at;
        // SAFETY: R15, R8: in bounds.
        self.rest.at = unsafe { at.add(self.size) };
        // R8: `size` is a multiple of 8. R10: by R15 it is at least `len` rounded up to 8, and by R8 eight bytes more are inside.
        Some(Taken { at, len: self.len, memory: PhantomData })
    }

    /// What is behind the places that were taken.
    #[inline(always)]
    pub(crate) fn rest(&self) -> Stretch<'m> {
        self.rest
    }
}

#[cfg(test)]
mod tests;
