//! A claimed message in the consumer's hands.

use core::mem::ManuallyDrop;

use super::consumer::{Consumer, Opened, Received};
use crate::position::Position;

/// One message, lent in place.
#[derive(Debug)]
#[must_use = "a record that is not released comes again"]
pub struct Record<'a, 'm> {
    pub(super) consumer: &'a mut Consumer<'m>,
    pub(super) opened: Opened<'m>,
}

impl Record<'_, '_> {
    /// Payload bytes.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.opened.slot.room()
    }

    /// Whether the payload has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.opened.slot.room() == 0
    }

    /// Length, tag, delivery id and history.
    #[inline(always)]
    #[must_use]
    pub fn received(&self) -> Received {
        self.opened.received(self.consumer.ring.attempts)
    }

    /// The sender's tag.
    #[inline(always)]
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.opened.tag
    }

    /// The delivery id.
    #[inline(always)]
    #[must_use]
    pub fn position(&self) -> Position {
        self.opened.place.position()
    }

    /// See [`Received::redelivered`].
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.opened.attempt > 0
    }

    /// Copies as many bytes as fit into `buf`; returns how many. Sound whatever a peer does meanwhile.
    #[inline]
    pub fn copy_to(&self, buf: &mut [u8]) -> usize {
        self.opened.slot.payload().copy_out(buf)
    }

    /// The payload in place.
    ///
    /// # Safety
    /// Until the slice is gone no process may write these bytes: every process that has the region mapped writable
    /// follows the protocol.
    #[must_use]
    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    #[inline(always)]
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the message is claimed by us and not released; the caller answers for the other processes.
        unsafe { self.opened.slot.payload().as_slice() }
    }

    /// Gives the slot back.
    #[inline(always)]
    pub fn release(self) {
        let mut record = ManuallyDrop::new(self); // nothing is left to be put back
        let Opened { slot, place, .. } = record.opened;
        record.consumer.release_lent(slot, place);
    }

    /// Gives the message back to the ring: it comes again, flagged, to whoever asks next. That counts as a delivery.
    pub fn keep(self) {}

    /// What the death of its reader would do: the message comes again, flagged, or in a ring that delivers at most once
    /// it is dropped. For a reader that fails while it works on it.
    pub fn abandon(self) {
        self.consumer.abandon_held();
    }
}

impl Drop for Record<'_, '_> {
    fn drop(&mut self) {
        #[cfg(loom)]
        if crate::model::crashing() {
            return;
        }
        self.consumer.put_back_held();
    }
}
