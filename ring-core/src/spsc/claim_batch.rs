//! A claim of many records, which become visible by one store.

use super::error::ClaimError;
use super::laid::{Laid, Rest};
use super::producer::Producer;
use crate::position::Position;
use crate::record::{HEADER, step_of};
use crate::region::Span;
use crate::sync::ord;

/// For how many batches like the first one lines are made ready.
const BATCHES: usize = 4;

/// Space for several records of up to a fixed length each. [`ClaimBatch::push`] lays them out one after the other;
/// [`ClaimBatch::commit`] shows all of them at once, to a reader and to a successor after a death.
///
/// Records of one length and one tag that follow each other make a train, with one header before them all: a batch of equal small
/// records takes little more than their bytes.
#[derive(Debug)]
#[must_use = "a batch that is dropped is aborted; call commit() to publish it"]
pub struct ClaimBatch<'a, 'm> {
    producer: &'a mut Producer<'m>,
    laid: Laid<'m>,
    max_len: usize,
}

impl<'a, 'm> ClaimBatch<'a, 'm> {
    /// How many records of up to `len` bytes there is room for: at least `min`, at most `max`.
    #[inline(always)]
    pub(super) fn room(producer: &mut Producer<'_>, min: usize, max: usize, len: usize) -> Result<usize, ClaimError> {
        let size = producer.check_len(len)?;
        if max > 0 && min <= max && all_fit(producer, max, size) {
            return Ok(max);
        }
        Self::room_slowly(producer, min, max, len, size)
    }

    #[cold]
    #[inline(never)]
    fn room_slowly(
        producer: &mut Producer<'_>,
        min: usize,
        max: usize,
        len: usize,
        size: u64,
    ) -> Result<usize, ClaimError> {
        // Records, the padding at the wrap (shorter than one of them), and the next header, in an empty ring.
        let largest = count(producer.geometry.capacity(), size).saturating_sub(1);
        if min > largest {
            return Err(ClaimError::TooLong { len: min.saturating_mul(len), max: largest.saturating_mul(len) });
        }
        let mut left = fitting(producer, size);
        // A second look only after the first one made room for a session mark and moved the tail.
        for _ in 0..2 {
            let marked = producer.window == 0;
            if left >= max {
                break;
            }
            match producer.refill(producer.tail().plus(size)) {
                Ok(()) => left = fitting(producer, size),
                Err(ClaimError::Full) => break,
                Err(e) => return Err(e),
            }
            if !marked {
                break;
            }
        }
        if left == 0 || left < min || max == 0 {
            // There may be room for one record, and not for these: wait for more before the next look.
            producer.patience.refused();
            return Err(ClaimError::Full);
        }
        Ok(left.min(max))
    }

    /// A batch of `room` records, which [`ClaimBatch::room`] has found.
    #[inline(always)]
    pub(super) fn new(producer: &'a mut Producer<'m>, room: usize, len: usize) -> Self {
        let size = producer.geometry.record_size(len as u64);
        // What it takes if all of them have that length.
        let each = if u64::from(producer.train) > size { step_of(len as u64).max(1) } else { size };
        if each.saturating_mul(room as u64).saturating_add(size) > producer.stretch.bytes() as u64 {
            producer.make_ready(each, room.saturating_mul(BATCHES));
        }
        let laid = Laid::new(producer.stretch, room);
        Self { producer, laid, max_len: len }
    }

    /// How many more records can be pushed.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.laid.left
    }

    /// How many have been pushed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.laid.pushed
    }

    /// Whether nothing has been pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.laid.pushed == 0
    }

    /// Adds a copy of `payload` to the batch. The position is its delivery id, should the batch be committed.
    ///
    /// # Errors
    /// [`ClaimError::Full`] when all claimed records are used, [`ClaimError::TooLong`] beyond the claimed length.
    #[inline(always)]
    pub fn push(&mut self, tag: u32, payload: &[u8]) -> Result<Position, ClaimError> {
        self.check(payload.len())?;
        if let Some((record, span)) = self.laid.place(self.producer, tag, payload.len()) {
            span.copy_in(payload); // of a length that is a constant to most callers
            return Ok(record);
        }
        let (record, span) = self.place_slowly(tag, payload.len())?;
        copy_apart(span, payload);
        Ok(record)
    }

    /// Adds a copy of each of `payloads`, until they or the claimed records run out; returns how many. None is drawn that is
    /// not added. Quicker than as many calls of [`ClaimBatch::push`]: what goes on between two records stays in registers.
    ///
    /// # Errors
    /// [`ClaimError::TooLong`] for a payload beyond the claimed length; those before it have been added.
    #[inline(always)]
    pub fn push_each<P: AsRef<[u8]>>(
        &mut self,
        tag: u32,
        payloads: impl IntoIterator<Item = P>,
    ) -> Result<usize, ClaimError> {
        let (mut payloads, before) = (payloads.into_iter(), self.laid.pushed);
        if self.laid.left == 0 {
            return Ok(0);
        }
        let Some(first) = payloads.next() else { return Ok(0) };
        self.push(tag, first.as_ref())?;
        match self.laid.push_alike(self.producer.train, &mut payloads) {
            Rest::Other(other) => self.push_others(tag, Some(other), payloads)?,
            Rest::Unknown if self.laid.left > 0 => self.push_others(tag, None, payloads)?,
            Rest::Unknown | Rest::Nothing => {}
        }
        Ok(self.laid.pushed.wrapping_sub(before))
    }

    /// `other`, and what comes behind it: apart, with copies of all that the quick way works on.
    #[inline(always)]
    fn push_others<P: AsRef<[u8]>>(
        &mut self,
        tag: u32,
        other: Option<P>,
        payloads: impl Iterator<Item = P>,
    ) -> Result<(), ClaimError> {
        let batch = ClaimBatch { producer: &mut *self.producer, laid: self.laid, max_len: self.max_len };
        let (laid, result) = batch.others_pushed(tag, other, payloads);
        self.laid = laid;
        result
    }

    #[inline(never)]
    fn others_pushed<P: AsRef<[u8]>>(
        mut self,
        tag: u32,
        mut other: Option<P>,
        mut payloads: impl Iterator<Item = P>,
    ) -> (Laid<'m>, Result<(), ClaimError>) {
        while self.laid.left > 0 {
            let Some(payload) = other.take().or_else(|| payloads.next()) else { break };
            if let Err(error) = self.push(tag, payload.as_ref()) {
                return (self.laid, Err(error));
            }
            match self.laid.push_alike(self.producer.train, &mut payloads) {
                Rest::Other(payload) => other = Some(payload),
                Rest::Unknown => {}
                Rest::Nothing => break,
            }
        }
        (self.laid, Ok(()))
    }

    /// Adds a record of `len` bytes that `write` fills in place.
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
        self.check(len)?;
        let (record, mut span) = match self.laid.place(self.producer, tag, len) {
            Some(placed) => placed,
            None => self.place_slowly(tag, len)?,
        };
        // SAFETY: the span is part of this claim and used once; the caller answers for the other processes.
        write(unsafe { span.as_mut_slice() });
        Ok(record)
    }

    /// Whether a record of `len` bytes may be pushed.
    #[inline(always)]
    fn check(&self, len: usize) -> Result<(), ClaimError> {
        let refused = len > self.max_len || self.laid.left == 0;
        if refused { Err(refusal(self.max_len, len)) } else { Ok(()) }
    }

    #[inline(always)]
    fn place_slowly(&mut self, tag: u32, len: usize) -> Result<(Position, Span<'m>), ClaimError> {
        let (laid, record, span) = self.laid.placed_slowly(self.producer, tag, len)?;
        self.laid = laid;
        Ok((record, span))
    }

    /// Publishes all pushed records by one Release store; returns how many. None pushed: nothing happens.
    #[inline(always)]
    pub fn commit(self) -> usize {
        let Self { producer, laid, .. } = self;
        if laid.pushed > 0 {
            let first = laid.train_written(producer.tail());
            laid.at.store_header(0, ord!(B2, Relaxed));
            producer.stretch.store_header(first, ord!(B3, Release));
            producer.stretch = laid.at;
            producer.tail_moved(laid.at.position());
            producer.tell();
        }
        laid.pushed
    }

    /// Gives the space back unseen.
    pub fn abort(self) {}
}

/// A copy of no length that is known: not a part of loops, which it would fill.
#[inline(never)]
fn copy_apart(span: Span<'_>, payload: &[u8]) {
    span.copy_in(payload);
}

#[cold]
#[inline(never)]
fn refusal(max_len: usize, len: usize) -> ClaimError {
    if len > max_len { ClaimError::TooLong { len, max: max_len } } else { ClaimError::Full }
}

/// What is between the tail and the remembered head, the header behind all records left out.
#[inline(always)]
fn free(producer: &Producer<'_>) -> u64 {
    producer.window.saturating_sub(producer.tail().since(producer.cached_head)).saturating_sub(HEADER)
}

/// Whether `count` records of `size` bytes are known to fit without a division. Beyond half of the capacity it is asked whether they
/// would in any place.
#[inline(always)]
fn all_fit(producer: &Producer<'_>, count: usize, size: u64) -> bool {
    let most = (producer.geometry.capacity() / 2).min(producer.geometry.room_to_end(producer.tail()));
    size.saturating_mul(count as u64) <= most.min(free(producer))
}

/// How many records of `size` bytes fit between the tail and the remembered head, the wrap considered.
fn fitting(producer: &Producer<'_>, size: u64) -> usize {
    let free = free(producer);
    let to_end = producer.geometry.room_to_end(producer.tail());
    match free.checked_sub(to_end) {
        None => count(free, size),
        Some(after_wrap) => count(to_end, size).saturating_add(count(after_wrap, size)),
    }
}

/// How many pieces of `size` (never 0) there are in `bytes`.
fn count(bytes: u64, size: u64) -> usize {
    bytes.checked_div(size).and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX)
}
