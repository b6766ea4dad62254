//! The records of a train: payloads one behind the other, of which only the first has a header before it.
//!
//! # Safety
//!
//! With the invariants of `region.rs` and `stretch.rs`:
//!
//! R18. From `at` of a `Members` on there are eight bytes, and `left` times `len` rounded up to 8 more, inside an area; `at` is a
//!     multiple of 8.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::hint::prefetch_read;
use super::{Area, Stretch, Taken};
use crate::position::Position;
use crate::sync::Word;

/// Places of records of a train that follow each other. Each is taken as if the word before its payload were its header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Members<'m> {
    at: NonNull<u8>,
    /// Payload bytes of one.
    len: usize,
    /// How many there are.
    left: usize,
    /// What makes a position of an address.
    bias: u64,
    memory: PhantomData<&'m [Word]>,
}

/// Bytes from one payload to the next: for what has a place, so not close to the end of all numbers.
#[inline(always)]
const fn step_of(len: usize) -> usize {
    len.wrapping_add(7) & !7
}

impl<'m> Area<'m> {
    /// Places of `count` records of `len` payload bytes from `record` on; `None` where they would cross the end of the area.
    #[inline(always)]
    pub(crate) fn members(&self, record: Position, len: usize, count: usize) -> Option<Members<'m>> {
        let offset = self.offset(record) & !7;
        // R3: the masked offset is at most mask + 1 - 8.
        let room = self.mask.wrapping_sub(offset).wrapping_sub(7);
        if len.checked_next_multiple_of(8)?.checked_mul(count)? > room {
            return None;
        }
        // SAFETY: R3: in bounds. R18: as just seen.
        let at = unsafe { self.base.add(offset) };
        Some(Members { at, len, left: count, bias: bias(record, at), memory: PhantomData })
    }
}

impl<'m> Stretch<'m> {
    /// No places, before what it begins with.
    #[inline(always)]
    pub(crate) fn no_members(&self) -> Members<'m> {
        Members { at: self.at, len: 0, left: 0, bias: self.bias, memory: PhantomData } // R18: by R8
    }

    /// Places behind `count` records like `first`, a train so far, if that is where this begins: `most` at most, and within so many
    /// `bytes`.
    #[inline(always)]
    pub(crate) fn joining(&self, first: &Taken<'m>, count: usize, most: usize, bytes: u64) -> Option<Members<'m>> {
        let step = step_of(first.len); // R10: it has a place
        let at = first.at.as_ptr().wrapping_byte_add(step.wrapping_mul(count));
        if step == 0 || at < first.at.as_ptr() || at.wrapping_byte_add(8) != self.at.as_ptr() {
            return None;
        }
        // SAFETY: R10: this is not before `first`, and R8: eight bytes before a stretch, so inside: two areas do not adjoin, a control
        // block is before each.
        let at = unsafe { self.at.sub(8) };
        let room = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.bytes());
        let left = if step.checked_mul(most).is_some_and(|all| all <= room) { most } else { fitting(room, step) };
        // R18: eight bytes up to the stretch, and of that no more than R8 says.
        Some(Members { at, len: first.len, left, bias: self.bias, memory: PhantomData })
    }

    /// What is behind those that were taken of places that joined what was before this.
    #[inline(always)]
    pub(crate) fn behind_joined(&self, joined: &Members<'m>) -> Self {
        let by = joined.at.addr().get().wrapping_add(8).wrapping_sub(self.at.addr().get());
        if by > self.bytes() {
            return *self;
        }
        // SAFETY: R8: not behind the end; a multiple of 8, as all places are.
        Self { at: unsafe { self.at.add(by) }, ..*self }
    }
}

impl<'m> Taken<'m> {
    /// The place that it has at `record`, to be taken once more.
    #[inline(always)]
    pub(crate) fn alone(&self, record: Position) -> Members<'m> {
        Members { at: self.at, len: self.len, left: 1, bias: bias(record, self.at), memory: PhantomData } // R18: by R10
    }
}

impl<'m> Members<'m> {
    /// Payload bytes of each.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many places there are.
    #[inline(always)]
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Where the next one begins, or would.
    #[inline(always)]
    pub(crate) fn position(&self) -> Position {
        Position::new(self.bias.wrapping_add(self.at.addr().get() as u64))
    }

    /// Behind the last one.
    #[inline(always)]
    pub(crate) fn end(&self) -> Position {
        self.position().plus(step_of(self.len).wrapping_mul(self.left) as u64)
    }

    /// Takes the next place.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Option<Taken<'m>> {
        self.take_of(self.len)
    }

    /// The same, and `None` also where another length is asked for: one that is a constant stays one, and so does the step.
    #[inline(always)]
    pub(crate) fn take_of(&mut self, len: usize) -> Option<Taken<'m>> {
        if len != self.len {
            return None;
        }
        let (at, left) = (self.at, self.left.checked_sub(1)?);
        // SAFETY: R18: in bounds, and what is left is one less.
        self.at = unsafe { at.add(step_of(len)) };
        self.left = left;
        Some(Taken { at, len, memory: PhantomData }) // R10: by R18
    }

    /// Takes all places but the last `left`; returns how many.
    #[inline(always)]
    pub(crate) fn take_all_but(&mut self, left: usize) -> usize {
        let count = self.left.saturating_sub(left);
        // SAFETY: R18: in bounds, and what is left is so much less.
        self.at = unsafe { self.at.add(step_of(self.len).wrapping_mul(count)) };
        self.left = self.left.wrapping_sub(count);
        count
    }

    /// Asks for the lines behind the first one, of so many `bytes` at most, ahead of loads. A hint.
    #[inline(always)]
    pub(crate) fn ask(&self, bytes: usize) {
        let most = step_of(self.len).wrapping_mul(self.left).min(bytes);
        let mut by = 64;
        while by < most {
            // SAFETY: R18: in bounds.
            prefetch_read(unsafe { self.at.add(by) });
            by = by.wrapping_add(64);
        }
    }
}

#[inline(always)]
fn bias(position: Position, at: NonNull<u8>) -> u64 {
    position.get().wrapping_sub(at.addr().get() as u64)
}

/// A division, for once a train.
#[cold]
#[inline(never)]
fn fitting(room: usize, step: usize) -> usize {
    room.checked_div(step).unwrap_or(0)
}

#[cfg(test)]
mod tests;
