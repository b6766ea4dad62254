//! What operations lend: claims, records, batches. Thin: ring-core's guards with a drop that knows about unwinding and
//! with slices where the peers are trusted.
//!
//! # Safety
//!
//! 1. `Trusted` guards come only from handles that `trust_peers` or a heap ring made: every process that can write to
//!    the memory follows the protocol, which leaves a claim's bytes to its claimer and a record's bytes unwritten
//!    until it is released.
#![allow(unsafe_code)]

use core::convert::Infallible;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{ControlFlow, Deref, DerefMut};

use ring_core::Position;
use ring_core::spsc as core_spsc;

use super::error::TrySendError;
use crate::lent::Lent;
use crate::trust::{Trust, Trusted};

/// Space for one record. Write, then [`commit`](Claim::commit); a claim that is dropped was never sent.
///
/// From a trusting handle it also derefs to the payload's bytes.
#[must_use = "a claim that is dropped is aborted; call commit() to send it"]
pub struct Claim<'a, T: Trust> {
    core: core_spsc::Claim<'a, 'static>,
    trust: PhantomData<T>,
}

impl<'a, T: Trust> Claim<'a, T> {
    #[inline(always)]
    pub(super) fn new(core: core_spsc::Claim<'a, 'static>) -> Self {
        Self { core, trust: PhantomData }
    }

    /// Payload bytes that commit will send.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // from a trusting handle `is_empty` is the slice's
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// The record's delivery id, should it be committed.
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

    /// Shortens the record to at most `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.core.truncate(len);
    }

    /// Sends the record. What was never written is sent as zeroes.
    #[inline(always)]
    pub fn commit(self) -> Position {
        self.core.commit()
    }

    /// Gives the space back; nothing was sent. The same as dropping the claim.
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

/// Space for several records that are sent together, or not at all.
///
/// Records of one length and one tag that follow each other have one header for them all, so many small ones take little more than
/// their bytes. Their receiver gets them one by one or in batches, as ever; the space of up to 8 KiB of them, and an eighth of the
/// ring at most, comes back when the last one is released.
#[derive(Debug)]
#[must_use = "a batch that is dropped is aborted; call commit() to send it"]
pub struct ClaimBatch<'a, T: Trust> {
    core: core_spsc::ClaimBatch<'a, 'static>,
    trust: PhantomData<T>,
}

impl<'a, T: Trust> ClaimBatch<'a, T> {
    #[inline(always)]
    pub(super) fn new(core: core_spsc::ClaimBatch<'a, 'static>) -> Self {
        Self { core, trust: PhantomData }
    }

    /// How many more records can be pushed.
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
    /// `Full` when all claimed records are used, `TooLong` beyond the claimed length.
    #[inline(always)]
    pub fn push(&mut self, tag: u32, payload: &[u8]) -> Result<Position, TrySendError> {
        Ok(self.core.push(tag, payload)?)
    }

    /// Adds a copy of each of `payloads`, until they or the claimed records run out; returns how many. None is drawn that is
    /// not added. Quicker than as many calls of [`push`](Self::push).
    ///
    /// ```
    /// let (mut tx, mut rx) = ring_shm::spsc::heap(1 << 12)?;
    /// let mut words = (1..=5u64).map(u64::to_le_bytes);
    /// let mut batch = tx.try_claim_batch(4, 8)?;
    /// assert_eq!(batch.push_each(0, &mut words)?, 4);
    /// batch.commit();
    /// assert_eq!(words.next(), Some(5u64.to_le_bytes()));
    ///
    /// let (mut batch, mut sum, mut buf) = (rx.try_read_batch(10)?, 0, [0; 8]);
    /// batch.for_each(|record| {
    ///     record.copy_to(&mut buf);
    ///     sum += u64::from_le_bytes(buf);
    /// });
    /// assert_eq!((sum, batch.release()), (10, 4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `TooLong` for a payload beyond the claimed length; those before it have been added.
    #[inline(always)]
    pub fn push_each<P: AsRef<[u8]>>(
        &mut self,
        tag: u32,
        payloads: impl IntoIterator<Item = P>,
    ) -> Result<usize, TrySendError> {
        Ok(self.core.push_each(tag, payloads)?)
    }

    /// Sends all pushed records at once; returns how many.
    #[inline(always)]
    pub fn commit(self) -> usize {
        self.core.commit()
    }

    /// Gives the space back; nothing was sent. The same as dropping the batch.
    pub fn abort(self) {}
}

impl ClaimBatch<'_, Trusted> {
    /// Adds a record of `len` bytes that `write` fills in place; the bytes hold old data at first.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    #[inline]
    pub fn push_with(&mut self, tag: u32, len: usize, write: impl FnOnce(&mut [u8])) -> Result<Position, TrySendError> {
        // SAFETY: 1.
        Ok(unsafe { self.core.push_with(tag, len, write) }?)
    }
}

/// One record, lent in place. Dropping it releases its space, except while the thread is panicking: then it is kept
/// for whoever reads next.
///
/// From a trusting handle it also derefs to the payload's bytes.
#[must_use = "a record that is dropped is released"]
pub struct Record<'a, T: Trust> {
    core: Lent<core_spsc::Record<'a, 'static>>,
    trust: PhantomData<T>,
}

impl<'a, T: Trust> Record<'a, T> {
    #[inline(always)]
    pub(super) fn new(core: core_spsc::Record<'a, 'static>) -> Self {
        Self { core: Lent::new(core), trust: PhantomData }
    }

    /// Payload bytes.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // from a trusting handle `is_empty` is the slice's
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// The sender's tag.
    #[inline]
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.core.tag()
    }

    /// The delivery id: unique for the life of the ring, the same that the sender was told.
    #[inline]
    #[must_use]
    pub fn position(&self) -> Position {
        self.core.position()
    }

    /// Whether a consumer that died may have seen this record already. May be true wrongly, never false wrongly.
    #[inline]
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.core.redelivered()
    }

    /// Copies as many bytes as fit into `buf`; returns how many. Sound whatever a peer does.
    #[inline]
    pub fn copy_to(&self, buf: &mut [u8]) -> usize {
        self.core.copy_to(buf)
    }

    /// Gives the space back to the producer, also while the thread is panicking.
    #[inline(always)]
    pub fn release(self) {
        self.core.into_core().release();
    }

    /// Leaves the record in the ring: the next call finds it again.
    pub fn keep(self) {
        self.core.into_core().keep();
    }
}

impl Deref for Record<'_, Trusted> {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        // SAFETY: 1.
        unsafe { self.core.as_slice() }
    }
}

impl<T: Trust> fmt::Debug for Record<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("position", &self.position())
            .field("len", &self.len())
            .field("tag", &self.tag())
            .field("redelivered", &self.redelivered())
            .finish_non_exhaustive()
    }
}

/// Records lent in place and released together: at the end, or when the batch is dropped, unless the thread is
/// panicking.
#[derive(Debug)]
#[must_use = "a batch that is dropped is released"]
pub struct ReadBatch<'a, T: Trust> {
    core: Lent<core_spsc::ReadBatch<'a, 'static>>,
    trust: PhantomData<T>,
}

impl<'a, T: Trust> ReadBatch<'a, T> {
    #[inline(always)]
    pub(super) fn new(core: core_spsc::ReadBatch<'a, 'static>) -> Self {
        Self { core: Lent::new(core), trust: PhantomData }
    }

    /// The next record; `None` when `max` were handed out, nothing more is committed, the session ends here, or a
    /// peer broke the protocol (which the handle's next call reports).
    #[inline(always)]
    pub fn next_record(&mut self) -> Option<BatchRecord<'_, T>> {
        let record = self.core.next_record().ok()??;
        Some(BatchRecord { core: record, trust: PhantomData })
    }

    /// Hands the next records to `each`, as [`next_record`](Self::next_record) would one after the other. Quicker than as many
    /// calls of that.
    #[inline(always)]
    pub fn for_each(&mut self, mut each: impl FnMut(BatchRecord<'_, T>)) {
        let _: Result<(), Infallible> = self.try_for_each(|record| {
            each(record);
            Ok(())
        });
    }

    /// [`for_each`](Self::for_each) that ends with the first error of `each`; the record of that error has been handed out.
    ///
    /// # Errors
    /// Those of `each`.
    #[inline(always)]
    pub fn try_for_each<E>(&mut self, mut each: impl FnMut(BatchRecord<'_, T>) -> Result<(), E>) -> Result<(), E> {
        let flow = self.core.try_for_each(|core| match each(BatchRecord { core, trust: PhantomData }) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        });
        match flow {
            Ok(ControlFlow::Break(error)) => Err(error),
            // A peer that broke the protocol is reported by the handle's next call.
            Ok(ControlFlow::Continue(())) | Err(_) => Ok(()),
        }
    }

    /// How many records were handed out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// Whether none was handed out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives back the space of all records handed out; returns how many.
    #[inline(always)]
    pub fn release(self) -> usize {
        self.core.into_core().release()
    }

    /// Leaves all of them in the ring: the next call finds them again.
    pub fn keep(self) {
        self.core.into_core().keep();
    }
}

/// A record of a [`ReadBatch`]. From a trusting handle it derefs to the payload's bytes.
#[derive(Debug)]
pub struct BatchRecord<'b, T: Trust> {
    core: core_spsc::BatchRecord<'b, 'static>,
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

    /// Copies as many bytes as fit into `buf`; returns how many.
    #[inline]
    pub fn copy_to(&self, buf: &mut [u8]) -> usize {
        self.core.copy_to(buf)
    }

    /// Copies the payload into a buffer that is just as long; false, and nothing copied, into another one. The quickest way to many
    /// values of one size. Sound whatever a peer does, as [`copy_to`](Self::copy_to) is.
    ///
    /// ```
    /// let (mut tx, mut rx) = ring_shm::spsc::heap(1 << 12)?;
    /// let mut batch = tx.try_claim_batch(9, 8)?;
    /// batch.push_each(0, (1..=9u64).map(u64::to_le_bytes))?;
    /// batch.commit();
    ///
    /// let (mut batch, mut sum, mut value) = (rx.try_read_batch(9)?, 0, [0; 8]);
    /// batch.for_each(|record| sum += if record.copy_exact(&mut value) { u64::from_le_bytes(value) } else { 0 });
    /// assert_eq!(sum, 45);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn copy_exact(&self, buf: &mut [u8]) -> bool {
        self.core.copy_exact(buf)
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
