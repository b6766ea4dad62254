//! What operations lend: claims, records, batches. Thin: ring-core's guards with a drop that knows about unwinding and
//! about forks, and with slices where the peers are trusted.
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
use std::thread;

use ring_core::Position;
use ring_core::mpmc as core_mpmc;
use ring_core::mpmc::Received;

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

    /// Shortens the message to at most `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.core.truncate(len);
    }

    /// Sends the message. What was never written is sent as zeroes.
    #[inline]
    pub fn commit(self) -> Position {
        self.core.commit()
    }

    /// Gives the slot up; nothing was sent. The same as dropping the claim.
    pub fn abort(self) {}
}

impl Deref for Claim<'_, Trusted> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: 1.
        unsafe { self.core.as_slice() }
    }
}

impl DerefMut for Claim<'_, Trusted> {
    /// The payload. Counts as writing all of it: what is left untouched is sent with whatever the ring's memory held.
    #[inline]
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

/// One message, lent in place. Dropping it releases its slot, except while the thread is panicking: then it goes back
/// to the ring, for another delivery, unless the ring delivers at most once.
///
/// From a trusting handle it also derefs to the payload's bytes.
///
/// ```
/// # let name = format!("doc-mpmc-record-{}", std::process::id());
/// use ring_shm::mpmc::{Consumer, Options, Producer};
/// let mut tx = Producer::create(&name, &Options::new())?;
/// let (mut rx, mut other) = (Consumer::open(&name)?, Consumer::open(&name)?);
/// let sent = tx.try_send(7, b"once, or flagged")?;
///
/// let record = rx.try_read()?;
/// assert_eq!((record.position(), record.redelivered(), record.attempt()), (sent, false, 0));
/// record.keep();
///
/// let record = other.try_read()?;
/// let mut buf = [0; 48];
/// let len = record.copy_to(&mut buf);
/// assert_eq!((&buf[..len], record.redelivered(), record.attempt()), (&b"once, or flagged"[..], true, 1));
/// record.release();
/// # ring_shm::unlink(&name, true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a record that is dropped is released"]
pub struct Record<'a, T: Trust> {
    /// `None` once it has been released or kept.
    core: Option<core_mpmc::Record<'a, 'static>>,
    received: Received,
    trust: PhantomData<T>,
}

impl<'a, T: Trust> Record<'a, T> {
    #[inline(always)]
    pub(super) fn new(core: core_mpmc::Record<'a, 'static>) -> Self {
        Self { received: core.received(), core: Some(core), trust: PhantomData }
    }

    /// Payload bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // from a trusting handle `is_empty` is the slice's
    pub fn len(&self) -> usize {
        self.received.len
    }

    /// The sender's tag.
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.received.tag
    }

    /// The delivery id: unique for the life of the ring, the same that the sender was told.
    #[must_use]
    pub fn position(&self) -> Position {
        self.received.position
    }

    /// Whether a consumer that did not release this message may have seen it. May be true wrongly, never false
    /// wrongly.
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.received.redelivered
    }

    /// Deliveries before this one.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.received.attempt
    }

    /// Whether the message has had all the deliveries that the ring allows: put it aside, do not work on it.
    #[must_use]
    pub fn dead_letter(&self) -> bool {
        self.received.dead_letter
    }

    /// Copies as many bytes as fit into `buf`; returns how many. Sound whatever a peer does.
    #[inline]
    pub fn copy_to(&self, buf: &mut [u8]) -> usize {
        self.core.as_ref().map_or(0, |record| record.copy_to(buf))
    }

    /// Gives the slot back to the producers.
    #[inline]
    pub fn release(self) {}

    /// Gives the message back to the ring: it comes again, flagged, to whoever asks next. That counts as a delivery.
    pub fn keep(mut self) {
        if let Some(record) = self.core.take() {
            record.keep();
        }
    }
}

impl Deref for Record<'_, Trusted> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: 1; `core` is there until the record is consumed.
        self.core.as_ref().map_or(&[], |record| unsafe { record.as_slice() })
    }
}

impl<T: Trust> Drop for Record<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(record) = self.core.take() {
            if thread::panicking() { record.abandon() } else { record.release() }
        }
    }
}

impl<T: Trust> fmt::Debug for Record<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("received", &self.received).finish_non_exhaustive()
    }
}

/// Messages lent in place and released together: at the end, or when the batch is dropped, unless the thread is
/// panicking. Those that were claimed and not handed out go back to the ring and come again, flagged. While the thread
/// is panicking all of them do, unless the ring delivers at most once.
#[derive(Debug)]
#[must_use = "a batch that is dropped is released"]
pub struct ReadBatch<'a, T: Trust> {
    core: Option<core_mpmc::ReadBatch<'a, 'static>>,
    trust: PhantomData<T>,
}

impl<'a, T: Trust> ReadBatch<'a, T> {
    #[inline(always)]
    pub(super) fn new(core: core_mpmc::ReadBatch<'a, 'static>) -> Self {
        Self { core: Some(core), trust: PhantomData }
    }

    /// The next message; `None` when all have been handed out. A message that a hostile peer has made impossible is
    /// left out.
    #[inline]
    pub fn next_record(&mut self) -> Option<BatchRecord<'_, T>> {
        let core = self.core.as_mut()?.next_record().ok()??;
        Some(BatchRecord { core, trust: PhantomData })
    }

    /// How many messages were handed out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.as_ref().map_or(0, core_mpmc::ReadBatch::len)
    }

    /// Whether none was handed out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives back the slots of all messages handed out; returns how many.
    #[inline]
    pub fn release(mut self) -> usize {
        self.core.take().map_or(0, core_mpmc::ReadBatch::release)
    }

    /// Gives all messages back to the ring, for another delivery.
    pub fn keep(mut self) {
        if let Some(batch) = self.core.take() {
            batch.keep();
        }
    }
}

impl<T: Trust> Drop for ReadBatch<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(batch) = self.core.take() {
            if thread::panicking() {
                batch.abandon();
            } else {
                batch.release();
            }
        }
    }
}

/// A message of a [`ReadBatch`]. From a trusting handle it derefs to the payload's bytes.
#[derive(Debug)]
pub struct BatchRecord<'b, T: Trust> {
    core: core_mpmc::BatchRecord<'b, 'static>,
    trust: PhantomData<T>,
}

impl<T: Trust> BatchRecord<'_, T> {
    /// Payload bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // from a trusting handle `is_empty` is the slice's
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// The sender's tag.
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.core.tag()
    }

    /// The delivery id.
    #[must_use]
    pub fn position(&self) -> Position {
        self.core.position()
    }

    /// See [`Record::redelivered`].
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.core.redelivered()
    }

    /// See [`Record::attempt`].
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.core.received().attempt
    }

    /// See [`Record::dead_letter`].
    #[must_use]
    pub fn dead_letter(&self) -> bool {
        self.core.received().dead_letter
    }

    /// Copies as many bytes as fit into `buf`; returns how many.
    #[inline]
    pub fn copy_to(&self, buf: &mut [u8]) -> usize {
        self.core.copy_to(buf)
    }
}

impl Deref for BatchRecord<'_, Trusted> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: 1.
        unsafe { self.core.as_slice() }
    }
}
