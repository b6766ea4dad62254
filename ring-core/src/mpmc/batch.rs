//! Many messages by one compare-and-swap: slots claimed together and published one after the other, messages claimed
//! together and released one after the other. A death in the middle leaves a prefix done, and the rest to repair.

use super::consumer::{Consumer, Found, Received};
use super::error::{ClaimError, ReadError};
use super::producer::Producer;
use super::word::{Intent, MAX_ATTEMPT, SlotState, State, committed, meta};
use crate::error::{Corrupt, Field};
use crate::position::Position;
use crate::region::Span;
use crate::sync::ord;

/// Slots claimed together, for messages of up to a fixed length. [`ClaimBatch::push`] fills them in order,
/// [`ClaimBatch::commit`] publishes what was pushed and moves on the rest, marked void.
#[derive(Debug)]
#[must_use = "a batch that is dropped is aborted; call commit() to publish it"]
pub struct ClaimBatch<'a, 'm> {
    producer: &'a mut Producer<'m>,
    first: Position,
    count: u64,
    max_len: usize,
    pushed: u64,
}

impl<'a, 'm> ClaimBatch<'a, 'm> {
    pub(super) fn new(producer: &'a mut Producer<'m>, first: Position, count: u64, max_len: usize) -> Self {
        Self { producer, first, count, max_len, pushed: 0 }
    }

    /// How many more messages can be pushed.
    #[must_use]
    pub fn remaining(&self) -> usize {
        usize::try_from(self.count.saturating_sub(self.pushed)).unwrap_or(usize::MAX)
    }

    /// How many have been pushed.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.pushed).unwrap_or(usize::MAX)
    }

    /// Whether nothing has been pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pushed == 0
    }

    /// Adds a copy of `payload` to the batch. The position is its delivery id, should the batch be committed.
    ///
    /// # Errors
    /// [`ClaimError::Full`] when all claimed slots are used, [`ClaimError::TooLong`] beyond the claimed length.
    #[inline]
    pub fn push(&mut self, tag: u32, payload: &[u8]) -> Result<Position, ClaimError> {
        let (p, span) = self.place(tag, payload.len())?;
        span.copy_in(payload);
        Ok(p)
    }

    /// Adds a message of `len` bytes that `write` fills in place.
    ///
    /// # Errors
    /// As [`ClaimBatch::push`].
    ///
    /// # Safety
    /// During `write` no process may access the slice's bytes: every process that has the region mapped writable
    /// follows the protocol.
    #[inline]
    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    pub unsafe fn push_with(
        &mut self,
        tag: u32,
        len: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Position, ClaimError> {
        let (p, mut span) = self.place(tag, len)?;
        // SAFETY: the span is part of this claim and used once; the caller answers for the other processes.
        write(unsafe { span.as_mut_slice() });
        Ok(p)
    }

    /// Takes the next slot for a message of `len` bytes.
    #[inline(always)]
    fn place(&mut self, tag: u32, len: usize) -> Result<(Position, Span<'m>), ClaimError> {
        if len > self.max_len {
            return Err(ClaimError::TooLong { len, max: self.max_len });
        }
        let p = self.first.plus(self.pushed);
        let slot = self.producer.ring.slots.at(p);
        let (Some(span), true) = (slot.span(len as u64), self.pushed < self.count) else {
            return Err(ClaimError::Full);
        };
        slot.store_meta(meta(len as u64, tag), ord!(MB1, Relaxed));
        self.pushed = self.pushed.wrapping_add(1);
        Ok((p, span))
    }

    /// Publishes all pushed messages, the first one first; returns how many.
    #[inline]
    pub fn commit(self) -> usize {
        for p in Intent::new(self.first, self.pushed).positions() {
            self.producer.publish(committed(p, 0), self.producer.ring.slots.at(p));
        }
        self.producer.abandon(self.first.plus(self.pushed), self.count.saturating_sub(self.pushed));
        self.producer.settled(self.first.plus(self.pushed));
        self.producer.ring.tell_receivers(self.pushed);
        self.len()
    }

    /// Moves all slots on, marked void.
    pub fn abort(self) {}
}

impl Drop for ClaimBatch<'_, '_> {
    fn drop(&mut self) {
        #[cfg(loom)]
        if crate::model::crashing() {
            return;
        }
        self.producer.void_open();
    }
}

/// Messages claimed together, lent in place one after the other. Those handed out are released together by
/// [`ReadBatch::release`]; the others, and all of a batch that is dropped, go back to the ring and come again, flagged.
#[derive(Debug)]
#[must_use = "a batch that is not released comes again"]
pub struct ReadBatch<'a, 'm> {
    consumer: &'a mut Consumer<'m>,
    first: Position,
    /// The position after the last one handed out or found void.
    next: Position,
    end: Position,
    read: usize,
}

impl<'a, 'm> ReadBatch<'a, 'm> {
    pub(super) fn new(consumer: &'a mut Consumer<'m>, first: Position, count: u64) -> Self {
        Self { consumer, first, next: first, end: first.plus(count), read: 0 }
    }

    /// The next message, or `None` when all have been handed out.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] alone; messages handed out before are good, the impossible one is skipped.
    #[inline]
    pub fn next_record(&mut self) -> Result<Option<BatchRecord<'_, 'm>>, ReadError> {
        while self.next != self.end {
            let p = self.next;
            self.next = p.plus(1);
            if let Some(attempt) = self.consumer.held_attempt(p)? {
                let opened = self.consumer.open_held(Found { position: p, attempt, count: 1 })?;
                self.read = self.read.saturating_add(1);
                let received = opened.received(self.consumer.ring.attempts);
                return Ok(Some(BatchRecord {
                    batch: core::marker::PhantomData,
                    span: opened.slot.payload(),
                    received,
                }));
            }
        }
        Ok(None)
    }

    /// How many messages have been handed out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read
    }

    /// Whether none has been handed out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read == 0
    }

    /// Gives back the slots of all messages handed out; returns how many.
    #[inline]
    pub fn release(self) -> usize {
        self.consumer.release_all(self.first, self.next, self.end);
        self.read
    }

    /// Gives all messages back to the ring. For those handed out that counts as a delivery.
    pub fn keep(self) {}

    /// What the death of their reader would do with all of them; see [`Record::abandon`](super::Record::abandon).
    pub fn abandon(self) {
        self.consumer.abandon_held();
    }
}

impl Drop for ReadBatch<'_, '_> {
    fn drop(&mut self) {
        #[cfg(loom)]
        if crate::model::crashing() {
            return;
        }
        self.consumer.put_back_held();
    }
}

impl<'m> Consumer<'m> {
    /// The attempt of the message at `p`, which this handle holds; `None` for a gap that it released on claiming.
    #[inline(always)]
    fn held_attempt(&self, p: Position) -> Result<Option<u64>, Corrupt> {
        // Relaxed: loaded before, with Acquire, and nobody else changes a slot of ours.
        let word = self.ring.slots.at(p).word().load(ord!(MB2, Relaxed));
        let slot = SlotState::decode(word, p, self.ring.slots.count())?;
        match slot.at(p) {
            Some(State::Committed(attempt)) => Ok(Some(attempt & MAX_ATTEMPT)),
            None if p.precedes(slot.position) => Ok(None),
            _ => Err(Corrupt::new(Field::Slot, word, p.get())),
        }
    }

    /// Releases what was handed out of a batch, from `first` up to `next`; the rest, up to `end`, goes back.
    #[inline]
    pub(super) fn release_all(&mut self, first: Position, next: Position, end: Position) {
        for p in Intent::new(first, next.since(first)).positions() {
            if let Ok(Some(_)) = self.held_attempt(p) {
                self.free(p);
            }
        }
        self.ring.tell_senders(next.since(first));
        if next == end || self.single {
            self.settled(next);
        } else {
            self.put_back_all(next, end.since(next));
        }
    }
}

/// A message of a [`ReadBatch`].
#[derive(Debug)]
pub struct BatchRecord<'b, 'm> {
    batch: core::marker::PhantomData<&'b ()>,
    span: Span<'m>,
    received: Received,
}

impl BatchRecord<'_, '_> {
    /// Payload bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.span.len()
    }

    /// Whether the payload has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.span.len() == 0
    }

    /// Length, tag, delivery id and history.
    #[must_use]
    pub fn received(&self) -> Received {
        self.received
    }

    /// The sender's tag.
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.received.tag
    }

    /// The delivery id.
    #[must_use]
    pub fn position(&self) -> Position {
        self.received.position
    }

    /// See [`Received::redelivered`].
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.received.redelivered
    }

    /// Copies as many bytes as fit into `buf`; returns how many.
    #[inline]
    pub fn copy_to(&self, buf: &mut [u8]) -> usize {
        self.span.copy_out(buf)
    }

    /// The payload in place.
    ///
    /// # Safety
    /// See [`Record::as_slice`](super::Record::as_slice).
    #[must_use]
    #[inline]
    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the message is claimed by us and its batch not released; the caller answers for the other processes.
        unsafe { self.span.as_slice() }
    }
}
