//! A record's payload, and how it is copied in and out.
//!
//! # Safety
//!
//! With the invariants of `region.rs`, R2 and R5 above all: whoever makes a `Span` in `region/` answers for R5.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::copy;
use crate::sync::{Word, ord};

/// A record's payload: bytes inside the area that the protocol has granted to one side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'m> {
    pub(super) base: NonNull<u8>,
    pub(super) len: usize,
    pub(super) memory: PhantomData<&'m [Word]>,
}

// SAFETY: as for `Region`.
unsafe impl Send for Span<'_> {}
// SAFETY: as for `Region`.
unsafe impl Sync for Span<'_> {}

impl<'m> Span<'m> {
    /// Bytes.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The same start, at most `len` bytes.
    #[inline(always)]
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// The word that holds byte `at`, which is below `len`.
    #[inline(always)]
    fn word(&self, at: usize) -> &'m Word {
        debug_assert!(at < self.len);
        // SAFETY: R5 and `at < len`, which every caller in this file ensures.
        let at = unsafe { self.base.add(at & !7) }.cast::<Word>();
        // SAFETY: R5: in bounds and aligned; R2.
        unsafe { at.as_ref() }
    }

    /// Copies `bytes` (as many as fit) in from byte 0, by whole lines and relaxed word stores; the rest of the last word
    /// is zeroed. Sound whatever a peer does meanwhile.
    ///
    /// No pairs of words besides the lines, and no single line: what a caller has just written field by field is known to the
    /// compiler word by word, and goes on so without a way through memory. There a wider load would wait until its stores have
    /// reached the cache, behind stores to the ring that miss: decision 0030.
    #[inline(always)]
    pub(crate) fn copy_in(&self, bytes: &[u8]) {
        let bytes = bytes.get(..bytes.len().min(self.len)).unwrap_or_default();
        let wide = if bytes.len() > 64 { bytes.len() } else { 0 };
        // SAFETY: R16: `bytes` is not longer than the span.
        let mut at = unsafe { copy::lines_in(bytes.as_ptr(), self.base.as_ptr(), wide) };
        let mut words = bytes.get(at..).unwrap_or_default().chunks_exact(8);
        for chunk in words.by_ref() {
            self.word(at).store(load_partial(chunk), ord!(D1, Relaxed));
            at = at.wrapping_add(8);
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            self.word(at).store(load_partial(rest), ord!(D2, Relaxed));
        }
    }

    /// [`copy_out`](Self::copy_out) into a buffer that is exactly as long, so that where the compiler knows its size it knows
    /// the copy's; false, and nothing copied, into another one.
    #[inline(always)]
    pub(crate) fn fill(&self, buf: &mut [u8]) -> bool {
        if buf.len() != self.len {
            return false;
        }
        Self { len: buf.len(), ..*self }.copy_out(buf);
        true
    }

    /// Copies as many bytes as fit into `buf` from byte 0, by whole lines, pairs and relaxed word loads; returns how many.
    #[inline(always)]
    pub(crate) fn copy_out(&self, buf: &mut [u8]) -> usize {
        let len = buf.len().min(self.len);
        let buf = buf.get_mut(..len).unwrap_or_default();
        // SAFETY: R16: `buf` is not longer than the span.
        let mut at = unsafe { copy::out(self.base.as_ptr(), buf.as_mut_ptr(), len) };
        let mut words = buf.get_mut(at..).unwrap_or_default().chunks_exact_mut(8);
        for chunk in words.by_ref() {
            chunk.copy_from_slice(&self.word(at).load(ord!(D3, Relaxed)).to_le_bytes());
            at = at.wrapping_add(8);
        }
        let rest = words.into_remainder();
        if !rest.is_empty() {
            let last = self.word(at).load(ord!(D4, Relaxed)).to_le_bytes();
            for (to, from) in rest.iter_mut().zip(last) {
                *to = from;
            }
        }
        len
    }

    /// Copies `bytes` in at byte `at`, merging with what the words at both ends hold; as many as fit.
    pub(crate) fn copy_in_at(&self, at: usize, bytes: &[u8]) {
        let Some(room) = self.len.checked_sub(at) else { return };
        let bytes = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        // Bytes up to the next word, whole lines and words, and what is left.
        let (head, bytes) = bytes.split_at(bytes.len().min(at.wrapping_neg() % 8));
        self.merge(at, head);
        let mut to = at.wrapping_add(head.len());
        // SAFETY: R16: `bytes` is not longer than what the span has from `to` on.
        let lines = unsafe { copy::lines_in(bytes.as_ptr(), self.base.as_ptr().wrapping_add(to), bytes.len()) };
        to = to.wrapping_add(lines);
        let mut words = bytes.get(lines..).unwrap_or_default().chunks_exact(8);
        for chunk in words.by_ref() {
            self.word(to).store(load_partial(chunk), ord!(D7, Relaxed));
            to = to.wrapping_add(8);
        }
        self.merge(to, words.remainder());
    }

    /// Writes fewer than eight `bytes` into the one word that holds byte `at`. The span belongs to one writer, so
    /// load and store need not be one operation.
    fn merge(&self, at: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let word = self.word(at);
        let mut value = word.load(ord!(D5, Relaxed)).to_le_bytes();
        for (to, from) in value.iter_mut().skip(at % 8).zip(bytes) {
            *to = *from;
        }
        word.store(u64::from_le_bytes(value), ord!(D6, Relaxed));
    }

    /// The bytes as a slice.
    ///
    /// # Safety
    /// Until the slice is gone no process may write them: the span is granted to this handle, and every writer of
    /// the region follows the protocol.
    #[inline(always)]
    pub(crate) unsafe fn as_slice(&self) -> &'m [u8] {
        // SAFETY: R5 for the range; the caller answers for R2.
        unsafe { core::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }

    /// The bytes as a mutable slice.
    ///
    /// # Safety
    /// As for [`Span::as_slice`], and no other slice of these bytes may exist.
    #[inline(always)]
    pub(crate) unsafe fn as_mut_slice(&mut self) -> &'m mut [u8] {
        // SAFETY: R5 for the range; the caller answers for R2.
        unsafe { core::slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }
}

/// At most eight bytes as a little-endian word, zero-extended.
#[inline(always)]
fn load_partial(bytes: &[u8]) -> u64 {
    let mut word = [0u8; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests;
