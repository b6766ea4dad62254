//! A payload in the making: the span of a claim, and how much of it has been written. Both rings' claims are one, with their
//! own way to publish it.

use crate::region::Span;

/// The bytes that a claim will publish.
#[derive(Debug)]
pub(crate) struct Draft<'m> {
    span: Span<'m>,
    written: usize,
}

impl<'m> Draft<'m> {
    #[inline(always)]
    pub(crate) fn new(span: Span<'m>) -> Self {
        Self { span, written: 0 }
    }

    /// Bytes that will be published.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.span.len()
    }

    /// Appends `bytes` to what has been written; returns how many fitted.
    #[inline(always)]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.span.len().saturating_sub(self.written));
        if self.written == 0 {
            self.span.copy_in(bytes);
        } else {
            self.span.copy_in_at(self.written, bytes);
        }
        self.written = self.written.saturating_add(n);
        n
    }

    /// Begins anew: the next write goes to the start.
    #[inline(always)]
    pub(crate) fn rewind(&mut self) {
        self.written = 0;
    }

    /// Shortens it to at most `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.span.truncate(len);
        self.written = self.written.min(len);
    }

    /// Zeroes what was not written, so that no old message's bytes are sent again.
    #[inline(always)]
    pub(crate) fn fill_rest(&self) {
        if self.written < self.span.len() {
            clear(self.span, self.written);
        }
    }

    /// The bytes in place. All of them count as written from now on.
    ///
    /// # Safety
    /// The span belongs to the caller's claim, and until the slice is gone no process accesses these bytes.
    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    #[inline(always)]
    pub(crate) unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        self.written = self.span.len();
        // SAFETY: the caller's promise; `&mut self` makes the slice the only one.
        unsafe { self.span.as_mut_slice() }
    }

    /// The bytes as written so far.
    ///
    /// # Safety
    /// As for [`Draft::as_mut_slice`].
    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    #[inline(always)]
    pub(crate) unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the caller's promise; `&self` bars writing through it.
        unsafe { self.span.as_slice() }
    }
}

/// Zeroes what `span` has from `at` on. By value: a claim need not be in memory for it.
#[cold]
#[inline(never)]
fn clear(span: Span<'_>, mut at: usize) {
    while at < span.len() {
        span.copy_in_at(at, &[0; 64]);
        at = at.saturating_add(64);
    }
}
