//! A record's payload, and how it is copied in and out.
//!
//! # Safety
//!
//! With the invariants of `region.rs`, R2 and R5 above all: whoever makes a `Span` in `region/` answers for R5.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ptr::NonNull;

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

    /// Copies `bytes` (as many as fit) in from byte 0, through relaxed word stores; the rest of the last word is
    /// zeroed. Sound whatever a peer does meanwhile.
    #[inline(always)]
    pub(crate) fn copy_in(&self, bytes: &[u8]) {
        let len = bytes.len().min(self.len);
        let mut words = bytes.get(..len).unwrap_or_default().chunks_exact(8);
        for (i, chunk) in words.by_ref().enumerate() {
            self.word(i.wrapping_mul(8)).store(load_partial(chunk), ord!(D1, Relaxed));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            self.word(len.wrapping_sub(1)).store(load_partial(rest), ord!(D2, Relaxed));
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

    /// Copies as many bytes as fit into `buf` from byte 0, through relaxed word loads; returns how many.
    #[inline(always)]
    pub(crate) fn copy_out(&self, buf: &mut [u8]) -> usize {
        let len = buf.len().min(self.len);
        let mut at = self.copy_pairs_out(buf.get_mut(..len).unwrap_or_default());
        let mut words = buf.get_mut(at..len).unwrap_or_default().chunks_exact_mut(8);
        for chunk in words.by_ref() {
            chunk.copy_from_slice(&self.word(at).load(ord!(D3, Relaxed)).to_le_bytes());
            at = at.wrapping_add(8);
        }
        let rest = words.into_remainder();
        if !rest.is_empty() {
            let last = self.word(len.wrapping_sub(1)).load(ord!(D4, Relaxed)).to_le_bytes();
            for (to, from) in rest.iter_mut().zip(last) {
                *to = from;
            }
        }
        len
    }

    /// Copies as many pairs of words as fit into `buf`, which is not longer than the span; returns how many bytes.
    ///
    /// A caller that looks at what it received by 16-byte loads would wait for the copy's 8-byte stores to reach the
    /// cache, behind a head store that may miss; so the copy stores 16 bytes at a time. On x86-64 each aligned half of
    /// such a load is one access, as of a relaxed atomic word, which is all that is claimed of it.
    #[cfg(all(target_arch = "x86_64", not(miri), not(ring_word_copy)))]
    #[inline(always)]
    fn copy_pairs_out(&self, buf: &mut [u8]) -> usize {
        let mut at = 0;
        for chunk in buf.chunks_exact_mut(16) {
            // SAFETY: R5: `buf` is not longer than the span, so all of the chunk's counterpart is inside.
            let from = unsafe { self.base.add(at) };
            // SAFETY: 16 readable bytes by R5, 16 writable bytes by the chunk's length; no flags, no stack.
            unsafe {
                core::arch::asm!(
                    "movups {pair}, [{from}]",
                    "movups [{to}], {pair}",
                    pair = out(xmm_reg) _,
                    from = in(reg) from.as_ptr(),
                    to = in(reg) chunk.as_mut_ptr(),
                    options(nostack, preserves_flags)
                );
            }
            at = at.wrapping_add(16);
        }
        at
    }

    /// No pairs where the machine's rules for them are not known, or where a sanitizer has to see each access.
    #[cfg(not(all(target_arch = "x86_64", not(miri), not(ring_word_copy))))]
    #[inline(always)]
    fn copy_pairs_out(&self, _buf: &mut [u8]) -> usize {
        0
    }

    /// Copies `bytes` in at byte `at`, merging with what the words at both ends hold; as many as fit.
    pub(crate) fn copy_in_at(&self, at: usize, bytes: &[u8]) {
        let Some(room) = self.len.checked_sub(at) else { return };
        let bytes = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        // Bytes up to the next word, whole words, and what is left.
        let (head, bytes) = bytes.split_at(bytes.len().min(at.wrapping_neg() % 8));
        let (mut to, mut words) = (at.wrapping_add(head.len()), bytes.chunks_exact(8));
        self.merge(at, head);
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
