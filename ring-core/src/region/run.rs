//! Many records in a row: what is asked of all of them is asked once.
//!
//! # Safety
//!
//! With the invariants of `region.rs` and `stretch.rs`:
//!
//! R14. From the start of the `rest` of a `Run` there are `left` times as many bytes as its `geometry` says of `len` to the end of
//!     that. Of anything shorter a geometry says no more.
//! R15. Where the `rest` of an `Alike` does not begin behind `last`, an address, there are `size` bytes to the end of that.
//!     `size` is what a geometry says of `len`.
#![allow(unsafe_code)]

use core::marker::PhantomData;

use super::{Stretch, Taken};
use crate::record::Geometry;

/// Records of up to `len` payload bytes that are known to fit into a stretch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'m> {
    rest: Stretch<'m>,
    /// Records.
    left: usize,
    /// Payload bytes of one, at most.
    len: usize,
    geometry: Geometry,
}

/// Places in a stretch where records of just `len` payload bytes may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alike<'m> {
    rest: Stretch<'m>,
    /// The address behind which none begins.
    last: usize,
    /// Payload bytes of one.
    len: usize,
    /// Bytes of one.
    size: usize,
}

impl<'m> Stretch<'m> {
    /// Records of up to `len` payload bytes, `most` at most, and as many as are known to fit.
    #[inline(always)]
    pub(crate) fn run(&self, len: usize, most: usize, geometry: &Geometry) -> Run<'m> {
        let size = geometry.size_of(len).unwrap_or(usize::MAX);
        // The division is seldom needed. It rounds down, so R14 holds.
        let left = match most.checked_mul(size) {
            Some(all) if all <= self.bytes() => most,
            _ => self.bytes().checked_div(size).unwrap_or(0),
        };
        Run { rest: *self, left, len, geometry: *geometry }
    }

    /// Places of records of `len` payload bytes: `most` at most, and none beyond so many `bytes`.
    #[inline(always)]
    pub(crate) fn alike(&self, len: usize, most: usize, bytes: u64, geometry: &Geometry) -> Alike<'m> {
        let Some(size) = geometry.size_of(len) else { return self.none_alike() };
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(most.saturating_mul(size)).min(self.bytes());
        // R15. No place is at 0.
        let last = bytes.checked_sub(size).map_or(0, |last| self.at.addr().get().wrapping_add(last));
        Alike { rest: *self, last, len, size }
    }

    /// No such place.
    #[inline(always)]
    pub(crate) fn none_alike(&self) -> Alike<'m> {
        // R15, whatever the size: no place is at 0.
        Alike { rest: *self, last: 0, len: 0, size: 0 }
    }
}

impl<'m> Run<'m> {
    /// How many more records there are.
    #[inline(always)]
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// What is behind the records that were taken.
    #[inline(always)]
    pub(crate) fn rest(&self) -> Stretch<'m> {
        self.rest
    }

    /// Takes a record of `len` payload bytes; `None`, and nothing taken, when that is too long, or none is left.
    #[inline(always)]
    pub(crate) fn take(&mut self, len: usize) -> Option<Taken<'m>> {
        if len > self.len || self.left == 0 {
            return None;
        }
        let (at, size) = (self.rest.at, self.geometry.size_of(len)?);
        self.left = self.left.wrapping_sub(1);
        // SAFETY: R14, R8: in bounds.
        self.rest.at = unsafe { at.add(size) };
        // R8: `size` is a multiple of 8 (R9). R10: by R9 it is at least 8 and `len` rounded up to 8.
        Some(Taken { at, len, memory: PhantomData })
    }
}

impl<'m> Alike<'m> {
    /// The next place, unless there is none.
    #[inline(always)]
    pub(crate) fn next(&self) -> Option<Stretch<'m>> {
        if self.rest.at.addr().get() > self.last { None } else { Some(self.rest) }
    }

    /// Takes the next place.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Option<Taken<'m>> {
        let at = self.next()?.at;
        // SAFETY: R15, R8: in bounds.
        self.rest.at = unsafe { at.add(self.size) };
        // R8: `size` is a multiple of 8 (R9). R10: by R9 it is at least 8 and `len` rounded up to 8.
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
