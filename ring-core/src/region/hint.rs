//! Hints: lines that are asked for before they are used. Nothing depends on them but speed; they neither fault nor change memory.
//!
//! # Safety
//!
//! By invariant R3 of `region.rs`.
#![allow(unsafe_code)]

use core::ptr::NonNull;

use super::Area;
use crate::position::Position;

/// How many lines of a stream are asked for at a time.
const AHEAD: usize = 4;

/// Lines of one record, or slot, that are asked for: 4 KiB. Figures: decision 0041.
pub(super) const OWNED: usize = 64;

impl Area<'_> {
    /// Asks for the first line that begins after `from`, and further ones up to `to`, four at most, ahead of the loads that
    /// will want them.
    #[inline(always)]
    pub(crate) fn prefetch_read(&self, from: Position, to: Position) {
        self.each_line::<AHEAD>(from.plus(64), to, prefetch_read);
    }

    /// Asks for the one line of `position`, ahead of loads.
    #[inline(always)]
    pub(crate) fn prefetch_read_at(&self, position: Position) {
        self.each_line::<1>(position, position, prefetch_read);
    }

    /// Asks to own each line of the record at `from`, behind which `to` is, and the one of `to`; of a long record the first.
    ///
    /// By masked positions, not by a handle's pointers, which are there sooner: a poller's processor guesses that the record is
    /// there, and on a wrong guess would take lines from a producer that is writing them.
    #[inline(always)]
    pub(crate) fn prefetch_write(&self, from: Position, to: Position) {
        self.each_line::<OWNED>(from, to, prefetch_write);
    }

    /// The line of `from`, and further ones up to that of `to`, `MOST` at most.
    #[inline(always)]
    fn each_line<const MOST: usize>(&self, from: Position, to: Position, mut ask: impl FnMut(NonNull<u8>)) {
        let mut line = Position::new(from.get() & !63);
        for _ in 0..MOST {
            // SAFETY: R3: the masked offset is inside.
            ask(unsafe { self.base.add(self.offset(line)) });
            line = line.plus(64);
            if to.precedes(line) {
                break;
            }
        }
    }
}

/// Asks for the line of `at`. Neither faults nor changes memory, and is a no-op where unknown.
#[inline(always)]
pub(super) fn prefetch_read(at: NonNull<u8>) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: as above, whatever the address.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(at.as_ptr().cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}

/// Asks for ownership of the line of `at`. Neither faults nor changes memory, and is a no-op where unknown.
#[inline(always)]
pub(super) fn prefetch_write(at: NonNull<u8>) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: as above, whatever the address. `prefetchw` has no intrinsic without a target feature.
    unsafe {
        core::arch::asm!("prefetchw [{}]", in(reg) at.as_ptr(), options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}

#[cfg(test)]
mod tests;
