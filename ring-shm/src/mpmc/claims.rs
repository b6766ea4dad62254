//! What sending operations lend: claims, and batches of them. Thin: ring-core's guards, with slices where the peers are
//! trusted.
//!
//! # Safety
//!
//! 1. `Trusted` guards come only from handles that `trust_peers` or a heap ring made: every process that can write to
//!    the memory follows the protocol, which leaves a claim's bytes to its claimer and a record's bytes unwritten
//!    until it is released.
#![allow(unsafe_code)]

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use ring_core::Position;
use ring_core::mpmc as core_mpmc;

use super::error::TrySendError;
use crate::trust::{Trust, Trusted};

/// A slot for one message. Write, then [`commit`](Claim::commit); a claim that is dropped was never sent.
///
/// From a trusting handle it also derefs to the payload's bytes.
///
/// ```
/// let ring = ring_shm::mpmc::heap(4, 48)?;
/// let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
/// let mut claim = tx.try_claim(16)?;
/// claim.set_tag(7);
/// claim.write(b"copied in, ");
/// claim.write(b"and cut");
/// claim.truncate(13);
/// claim.commit();
/// assert_eq!(&*rx.try_read()?, b"copied in, an");
///
/// let mut claim = tx.try_claim(3)?; // a heap ring's handles trust their peers
/// claim.copy_from_slice(b"abc");
/// let position = claim.commit();
///
/// tx.try_claim(3)?.abort(); // consumers skip it
/// assert_eq!(rx.try_read()?.position(), position);
/// assert!(rx.try_read().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a claim that is dropped is aborted; call commit() to send it"]
pub struct Claim<'a, T: Trust> {
    core: core_mpmc::Claim<'a, 'static>,
    trust: PhantomData<T>,
}

impl<'a, T: Trust> Claim<'a, T> {
    #[inline(always)]
    pub(super) fn new(core: core_mpmc::Claim<'a, 'static>) -> Self {
        Self { core, trust: PhantomData }
    }

    /// Payload bytes that commit will send.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // from a trusting handle `is_empty` is the slice's
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// The message's delivery id, should it be committed.
    #[must_use]
    pub fn position(&self) -> Position {
        self.core.position()
    }

    /// Sets the tag, 0 at first.
    pub fn set_tag(&mut self, tag: u32) {
        self.core.set_tag(tag);
    }

    /// Appends a copy of `bytes` to what has been written; returns how many fitted.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        self.core.write(bytes)
    }

    /// Writes `bytes` in the place of whatever was written.
    #[inline(always)]
    pub(crate) fn set(&mut self, bytes: &[u8]) {
        self.core.rewind();
        self.core.write(bytes);
    }

    /// Shortens the message to at most `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.core.truncate(len);
    }

    /// Sends the message. What was never written is sent as zeroes.
    #[inline(always)]
    pub fn commit(self) -> Position {
        self.core.commit()
    }

    /// Gives the slot up; nothing was sent. The same as dropping the claim.
    pub fn abort(self) {}
}

impl Deref for Claim<'_, Trusted> {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        // SAFETY: 1.
        unsafe { self.core.as_slice() }
    }
}

impl DerefMut for Claim<'_, Trusted> {
    /// The payload. Counts as writing all of it: what is left untouched is sent with whatever the ring's memory held.
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: 1.
        unsafe { self.core.as_mut_slice() }
    }
}

impl<T: Trust> fmt::Debug for Claim<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("position", &self.position()).field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Slots for several messages, claimed at once. Committing sends what was pushed, and consumers skip the rest.
///
/// ```
/// let ring = ring_shm::mpmc::heap(8, 48)?;
/// let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
/// let mut batch = tx.try_claim_batch(4, 8)?;
/// while batch.remaining() > 1 {
///     batch.push(7, b"copied")?;
/// }
/// batch.push_with(8, 2, |bytes| bytes.copy_from_slice(b"in"))?; // of a trusting handle
/// assert_eq!(batch.commit(), 4);
///
/// let mut batch = rx.try_read_batch(100)?;
/// let mut tags = Vec::new();
/// while let Some(record) = batch.next_record() {
///     tags.push(record.tag());
/// }
/// assert_eq!((tags, batch.release()), (vec![7, 7, 7, 8], 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a batch that is dropped is aborted; call commit() to send it"]
pub struct ClaimBatch<'a, T: Trust> {
    core: core_mpmc::ClaimBatch<'a, 'static>,
    trust: PhantomData<T>,
}

impl<'a, T: Trust> ClaimBatch<'a, T> {
    #[inline(always)]
    pub(super) fn new(core: core_mpmc::ClaimBatch<'a, 'static>) -> Self {
        Self { core, trust: PhantomData }
    }

    /// How many more messages can be pushed.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.core.remaining()
    }

    /// How many have been pushed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// Whether nothing has been pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.core.is_empty()
    }

    /// Adds a copy of `payload`. The position is its delivery id, should the batch be committed.
    ///
    /// # Errors
    /// `Full` when all claimed slots are used, `TooLong` beyond the claimed length.
    #[inline]
    pub fn push(&mut self, tag: u32, payload: &[u8]) -> Result<Position, TrySendError> {
        self.core.push(tag, payload).map_err(|error| TrySendError::new(error, None))
    }

    /// Sends all pushed messages, the first one first; returns how many. Slots that were not used are skipped.
    #[inline]
    pub fn commit(self) -> usize {
        self.core.commit()
    }

    /// Gives the slots up; nothing was sent. The same as dropping the batch.
    pub fn abort(self) {}
}

impl ClaimBatch<'_, Trusted> {
    /// Adds a message of `len` bytes that `write` fills in place; the bytes hold old data at first.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    #[inline]
    pub fn push_with(&mut self, tag: u32, len: usize, write: impl FnOnce(&mut [u8])) -> Result<Position, TrySendError> {
        // SAFETY: 1.
        unsafe { self.core.push_with(tag, len, write) }.map_err(|error| TrySendError::new(error, None))
    }
}
