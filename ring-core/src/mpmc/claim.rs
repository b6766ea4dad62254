//! A claimed slot in the producer's hands.

use core::mem::ManuallyDrop;

use super::producer::Producer;
use super::word::{Intent, Place};
use crate::draft::Draft;
use crate::position::Position;
use crate::region::{Ahead, Slot};

/// A slot claimed for one message. Committed by [`Claim::commit`]; dropped or aborted it moves on, marked void.
#[derive(Debug)]
#[must_use = "a claim that is dropped is aborted; call commit() to publish it"]
pub struct Claim<'a, 'm> {
    pub(super) producer: &'a mut Producer<'m>,
    pub(super) slot: Slot<'m>,
    pub(super) draft: Draft<'m>,
    pub(super) place: Place,
    pub(super) ahead: Ahead,
    pub(super) tag: u32,
}

impl Claim<'_, '_> {
    /// Payload bytes that `commit` will publish.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.draft.len()
    }

    /// Whether the payload has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.draft.len() == 0
    }

    /// The delivery id the message will have.
    #[must_use]
    pub fn position(&self) -> Position {
        self.place.position()
    }

    /// Sets the user's tag, 0 at first.
    pub fn set_tag(&mut self, tag: u32) {
        self.tag = tag;
    }

    /// Appends `bytes` to what has been written; returns how many fitted.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        self.draft.write(bytes)
    }

    /// Begins anew: the next write goes to the start.
    #[inline(always)]
    pub fn rewind(&mut self) {
        self.draft.rewind();
    }

    /// Shortens the message to at most `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.draft.truncate(len);
    }

    /// The payload in place, for whoever wants to build it there. What was never written holds old bytes of this
    /// ring; [`Claim::commit`] does not clear it after this call.
    ///
    /// # Safety
    /// Until the slice is gone no process may access these bytes: every process that has the region mapped
    /// writable follows the protocol.
    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    #[inline(always)]
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the slot was claimed for this guard; the caller answers for the other processes.
        unsafe { self.draft.as_mut_slice() }
    }

    /// The payload as written so far.
    ///
    /// # Safety
    /// See [`Claim::as_mut_slice`].
    #[must_use]
    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    #[inline(always)]
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the slot was claimed for this guard; the caller answers for the other processes.
        unsafe { self.draft.as_slice() }
    }

    /// Publishes the message: one Release store. Bytes that were not written are published as zeroes.
    #[inline(always)]
    pub fn commit(self) -> Position {
        let mut claim = ManuallyDrop::new(self); // nothing is left to be aborted
        claim.draft.fill_rest();
        let (place, slot, ahead, len, tag) = (claim.place, claim.slot, claim.ahead, claim.draft.len(), claim.tag);
        claim.producer.commit(place, slot, ahead, len, tag);
        place.position()
    }

    /// Moves the slot on, marked void.
    pub fn abort(self) {}
}

impl Drop for Claim<'_, '_> {
    fn drop(&mut self) {
        #[cfg(loom)]
        if crate::model::crashing() {
            return;
        }
        if self.producer.open != Intent::NONE {
            self.producer.abandon(self.place.position(), 1);
        }
    }
}
