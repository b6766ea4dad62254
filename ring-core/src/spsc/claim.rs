//! Reserved space in the producer's hands.

use super::producer::Producer;
use crate::draft::Draft;
use crate::position::Position;
use crate::region::Behind;

/// Space reserved for one record. Committed by [`Claim::commit`]; dropped or aborted it leaves no trace.
#[derive(Debug)]
#[must_use = "a claim that is dropped is aborted; call commit() to publish it"]
pub struct Claim<'a, 'm> {
    pub(super) producer: &'a mut Producer<'m>,
    pub(super) draft: Draft<'m>,
    pub(super) record: Position,
    pub(super) tag: u32,
    /// What is known to be good behind the record, as long as it is at the tail and has the length of `draft`.
    pub(super) behind: Behind<'m>,
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

    /// The delivery id the record will have.
    #[inline(always)]
    #[must_use]
    pub fn position(&self) -> Position {
        self.record
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

    /// Shortens the record to at most `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.draft.truncate(len);
        if self.behind.is_known() {
            self.behind = self.producer.behind(self.draft.len());
        }
    }

    /// The payload in place, for whoever wants to build it there. What was never written holds old bytes of this
    /// ring; [`Claim::commit`] does not clear it after this call.
    ///
    /// # Safety
    /// Until the slice is gone no process may access these bytes: every process that has the region mapped
    /// writable follows the protocol.
    #[inline(always)]
    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the span was reserved for this claim; the caller answers for the other processes.
        unsafe { self.draft.as_mut_slice() }
    }

    /// The payload as written so far.
    ///
    /// # Safety
    /// See [`Claim::as_mut_slice`].
    #[must_use]
    #[inline(always)]
    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the span was reserved for this claim; the caller answers for the other processes.
        unsafe { self.draft.as_slice() }
    }

    /// Publishes the record: one Release store. Bytes that were not written are published as zeroes.
    #[inline(always)]
    pub fn commit(self) -> Position {
        self.draft.fill_rest();
        let (at, len) = (self.producer.stretch.here(), self.draft.len());
        if self.producer.stretch.pass(&self.behind) {
            let rest = self.producer.stretch;
            self.producer.publish_here::<true>(&at, &rest, len as u64, self.tag);
        } else {
            self.producer.publish_slowly::<true>(self.record, len, self.tag);
        }
        self.record
    }

    /// Gives the space back unseen.
    pub fn abort(self) {}
}
