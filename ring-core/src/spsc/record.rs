//! A committed record in the consumer's hands.

use super::consumer::Consumer;
use super::find::Found;
use crate::position::Position;

/// One record, lent in place.
#[derive(Debug)]
#[must_use = "a record that is not released comes again"]
pub struct Record<'a, 'm> {
    pub(super) consumer: &'a mut Consumer<'m>,
    pub(super) found: Found<'m>,
}

impl Record<'_, '_> {
    /// Payload bytes.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.span().len()
    }

    /// Whether the payload has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.span().len() == 0
    }

    /// The sender's tag.
    #[inline(always)]
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.found.told.tag()
    }

    /// The delivery id.
    #[inline(always)]
    #[must_use]
    pub fn position(&self) -> Position {
        self.found.record
    }

    /// Whether a consumer that died may have seen this record already. May be true wrongly, never false wrongly.
    #[inline(always)]
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.found.told.redelivered()
    }

    /// Copies as many bytes as fit into `buf`; returns how many. Sound whatever the producer does meanwhile.
    pub fn copy_to(&self, buf: &mut [u8]) -> usize {
        self.found.span().copy_out(buf)
    }

    /// The payload in place.
    ///
    /// # Safety
    /// Until the slice is gone no process may write these bytes: every process that has the region mapped writable
    /// follows the protocol.
    #[must_use]
    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the record is committed and not released; the caller answers for the other processes.
        unsafe { self.found.span().as_slice() }
    }

    /// Gives the space back.
    #[inline(always)]
    pub fn release(self) {
        self.consumer.stretch = self.found.rest;
        self.consumer.released(self.found.record, self.found.rest.position());
    }

    /// Leaves the record in the ring; the next call returns it again.
    pub fn keep(self) {}
}
