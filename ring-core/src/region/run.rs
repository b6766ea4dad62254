//! Many records in a row: what is asked of all of them is asked once.
//!
//! # Safety
//!
//! With the invariants of `region.rs` and `stretch.rs`:
//!
//! R14. From the start of the `rest` of a `Run` there are `left` times as many bytes as its `geometry` says of `len`, and `ahead`
//!     more, to the end of that. Of anything shorter a geometry says no more.
//! R15. Where the `rest` of an `Alike` does not begin behind `last`, an address, there are `size` bytes to the end of that.
//!     `size` is what a geometry says of `len`.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::{Stretch, Taken, prefetch_write};
use crate::record::Geometry;

/// How far ahead lines are asked for that will be written to: the other side's cache has them, and needs a while to give them
/// up. Figures: decision 0025.
const WRITE_AHEAD: usize = 1024;

/// Records of up to `len` payload bytes that are known to fit into a stretch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'m> {
    rest: Stretch<'m>,
    /// Records.
    left: usize,
    /// Payload bytes of one, at most.
    len: usize,
    ahead: usize,
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
    /// Records of up to `len` payload bytes, `most` at most: as many as are known to fit, or so many of them that what is asked
    /// for ahead is inside as well. Then the others make a run of their own, for which nothing is left to ask.
    #[inline(always)]
    pub(crate) fn run(&self, len: usize, most: usize, geometry: &Geometry) -> Run<'m> {
        let (room, size) = (self.room(), geometry.size_of(len).unwrap_or(usize::MAX));
        let all = most.checked_mul(size);
        let bytes = all.unwrap_or(usize::MAX).min(room);
        let (bytes, ahead) = match room.wrapping_sub(bytes) {
            behind if behind >= WRITE_AHEAD => (bytes, WRITE_AHEAD),
            _ if bytes > WRITE_AHEAD => (room.wrapping_sub(WRITE_AHEAD), WRITE_AHEAD),
            _ => (bytes, 0),
        };
        // The division is seldom needed. It rounds down, so R14 holds.
        let left = if all == Some(bytes) { most } else { bytes.checked_div(size).unwrap_or(0) };
        Run { rest: *self, left, len, ahead, geometry: *geometry }
    }

    /// Places of records of `len` payload bytes: `most` at most, and none beyond so many `bytes`.
    #[inline(always)]
    pub(crate) fn alike(&self, len: usize, most: usize, bytes: u64, geometry: &Geometry) -> Alike<'m> {
        let Some(size) = geometry.size_of(len) else { return self.none_alike() };
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(most.saturating_mul(size)).min(self.room());
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

    /// Bytes to its end.
    #[inline(always)]
    fn room(&self) -> usize {
        // R8: not below zero.
        self.end.addr().get().wrapping_sub(self.at.addr().get())
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
        // SAFETY: R14: `at`, `size` and `ahead` together are not behind the end.
        unsafe { ask_for(at, size, self.ahead) };
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

/// Asks to own the lines that a record of `size` bytes at `at` takes, four at most, `ahead` bytes further on.
///
/// # Safety
/// From `at` on there are `size` bytes and `ahead` more before the end of a stretch.
#[inline(always)]
unsafe fn ask_for(at: NonNull<u8>, size: usize, ahead: usize) {
    // SAFETY: the caller's word.
    let line = |by: usize| prefetch_write(unsafe { at.add(ahead.wrapping_add(by)) });
    line(0);
    if size > 64 {
        line(64);
        if size > 128 {
            line(128);
            if size > 192 {
                line(192);
            }
        }
    }
}

#[cfg(test)]
mod tests;
