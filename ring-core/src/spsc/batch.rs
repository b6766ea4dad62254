//! Many records at a time: a claim whose records become visible by one store, and a read whose records are released
//! by one.

use super::consumer::Consumer;
use super::error::{ClaimError, ReadError};
use super::find::Found;
use super::producer::Producer;
use crate::position::Position;
use crate::record::{HEADER, padding_word, record_word};
use crate::region::{Span, Stretch, Taken};
use crate::sync::ord;

/// Space for several records of up to a fixed length each. [`ClaimBatch::push`] lays them out one after the other;
/// [`ClaimBatch::commit`] shows all of them at once, to a reader and to a successor after a death.
#[derive(Debug)]
#[must_use = "a batch that is dropped is aborted; call commit() to publish it"]
pub struct ClaimBatch<'a, 'm> {
    producer: &'a mut Producer<'m>,
    /// Where the next record (or the padding before it) goes, and what of it is known to be free.
    at: Position,
    stretch: Stretch<'m>,
    /// The header word at the tail, withheld until commit.
    first: u64,
    max_len: usize,
    left: usize,
    pushed: usize,
}

impl<'a, 'm> ClaimBatch<'a, 'm> {
    /// How many records of up to `len` bytes there is room for: at least `min`, at most `max`.
    pub(super) fn room(producer: &mut Producer<'_>, min: usize, max: usize, len: usize) -> Result<usize, ClaimError> {
        let size = producer.check_len(len)?;
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
            match producer.refill(producer.tail.plus(size)) {
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
    pub(super) fn new(producer: &'a mut Producer<'m>, room: usize, len: usize) -> Self {
        let (at, stretch) = (producer.tail, producer.free_at(producer.tail));
        Self { producer, at, stretch, first: 0, max_len: len, left: room, pushed: 0 }
    }

    /// How many more records can be pushed.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.left
    }

    /// How many have been pushed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pushed
    }

    /// Whether nothing has been pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pushed == 0
    }

    /// Adds a copy of `payload` to the batch. The position is its delivery id, should the batch be committed.
    ///
    /// # Errors
    /// [`ClaimError::Full`] when all claimed records are used, [`ClaimError::TooLong`] beyond the claimed length.
    #[inline(always)]
    pub fn push(&mut self, tag: u32, payload: &[u8]) -> Result<Position, ClaimError> {
        let (record, span) = self.place(tag, payload.len())?;
        span.copy_in(payload);
        Ok(record)
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
        let (record, mut span) = self.place(tag, len)?;
        // SAFETY: the span is part of this claim and used once; the caller answers for the other processes.
        write(unsafe { span.as_mut_slice() });
        Ok(record)
    }

    /// Lays out one record: its header, its span.
    #[inline(always)]
    fn place(&mut self, tag: u32, len: usize) -> Result<(Position, Span<'m>), ClaimError> {
        if len > self.max_len || self.left == 0 {
            return Err(self.refusal(len));
        }
        let Some(Taken { span, size, rest }) = self.stretch.take(len, &self.producer.geometry) else {
            return self.place_slowly(tag, len);
        };
        let (record, word) = (self.at, record_word(len as u64, tag));
        if self.pushed == 0 {
            self.first = word; // it will publish them all
        } else {
            self.stretch.store_header(word, ord!(B1, Relaxed)); // nobody can reach it yet
        }
        self.stretch = rest;
        self.placed(record.plus(size));
        Ok((record, span))
    }

    /// A record that ends the area, or comes after padding.
    #[cold]
    #[inline(never)]
    fn place_slowly(&mut self, tag: u32, len: usize) -> Result<(Position, Span<'m>), ClaimError> {
        let size = self.producer.geometry.record_size(len as u64);
        let to_end = self.producer.geometry.room_to_end(self.at);
        let record = if size > to_end { self.at.plus(to_end) } else { self.at };
        let span = self.producer.area.span(record.plus(HEADER), len as u64);
        let Some(span) = span else { return Err(ClaimError::Full) };
        if record != self.at {
            self.header(self.at, padding_word(to_end));
        }
        self.header(record, record_word(len as u64, tag));
        let end = record.plus(size);
        self.stretch = self.producer.free_at(end);
        self.placed(end);
        Ok((record, span))
    }

    /// Stores a header that nobody can reach yet, or withholds it if it is the one that will publish them all.
    fn header(&mut self, at: Position, word: u64) {
        if at == self.producer.tail {
            self.first = word;
        } else {
            self.producer.area.store_header(at, word, ord!(B4, Relaxed));
        }
    }

    #[inline(always)]
    fn placed(&mut self, end: Position) {
        self.at = end;
        self.left = self.left.wrapping_sub(1);
        self.pushed = self.pushed.wrapping_add(1);
    }

    #[cold]
    #[inline(never)]
    fn refusal(&self, len: usize) -> ClaimError {
        if len > self.max_len { ClaimError::TooLong { len, max: self.max_len } } else { ClaimError::Full }
    }

    /// Publishes all pushed records by one Release store; returns how many. None pushed: nothing happens.
    #[inline]
    pub fn commit(self) -> usize {
        if self.pushed > 0 {
            self.producer.area.store_header(self.at, 0, ord!(B2, Relaxed));
            self.producer.area.store_header(self.producer.tail, self.first, ord!(B3, Release));
            self.producer.moved_far(self.at);
            self.producer.tell();
        }
        self.pushed
    }

    /// Gives the space back unseen.
    pub fn abort(self) {}
}

/// How many records of `size` bytes fit between the tail and the remembered head, the wrap considered.
fn fitting(producer: &Producer<'_>, size: u64) -> usize {
    let free = producer.window.saturating_sub(producer.tail.since(producer.cached_head)).saturating_sub(HEADER);
    let to_end = producer.geometry.room_to_end(producer.tail);
    match free.checked_sub(to_end) {
        None => count(free, size),
        Some(after_wrap) => count(to_end, size).saturating_add(count(after_wrap, size)),
    }
}

/// How many pieces of `size` (never 0) there are in `bytes`.
fn count(bytes: u64, size: u64) -> usize {
    bytes.checked_div(size).and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX)
}

/// Records lent in place, released together by [`ReadBatch::release`]. Dropped, all of them come again.
#[derive(Debug)]
#[must_use = "a batch that is not released comes again"]
pub struct ReadBatch<'a, 'm> {
    consumer: &'a mut Consumer<'m>,
    /// What was found when the batch was made, and is handed out first.
    first: Found<'m>,
    /// The position after the last record handed out, and what is there.
    end: Position,
    rest: Stretch<'m>,
    max: usize,
    read: usize,
}

impl<'a, 'm> ReadBatch<'a, 'm> {
    /// A batch of up to `max` records from `first` on.
    pub(super) fn new(consumer: &'a mut Consumer<'m>, first: Found<'m>, max: usize) -> Self {
        Self { consumer, first, end: first.record, rest: first.rest, max, read: 0 }
    }

    /// The next record, or `None` when `max` have been handed out, the ring is empty or the session ends here.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] alone; records handed out before are good.
    #[inline(always)]
    pub fn next_record(&mut self) -> Result<Option<BatchRecord<'_, 'm>>, ReadError> {
        if self.read == self.max {
            return Ok(None);
        }
        let found = if self.read == 0 {
            self.first
        } else {
            match self.consumer.find(self.end, self.rest) {
                Ok(found) => found,
                Err(ReadError::Corrupt(c)) => return Err(c.into()),
                Err(_) => return Ok(None),
            }
        };
        self.consumer.mark_seen_ahead(found.end);
        (self.end, self.rest) = (found.end, found.rest);
        self.read = self.read.wrapping_add(1);
        let redelivered = self.consumer.is_redelivered(found.record);
        Ok(Some(BatchRecord { batch: core::marker::PhantomData, found, redelivered }))
    }

    /// How many records have been handed out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read
    }

    /// Whether none has been handed out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read == 0
    }

    /// Gives back the space of all records handed out; returns how many.
    #[inline]
    pub fn release(self) -> usize {
        if self.read > 0 {
            self.consumer.release::<true>(self.end, self.rest);
        }
        self.read
    }

    /// Leaves all of them in the ring.
    pub fn keep(self) {}
}

/// A record of a [`ReadBatch`].
#[derive(Debug)]
pub struct BatchRecord<'b, 'm> {
    batch: core::marker::PhantomData<&'b ()>,
    found: Found<'m>,
    redelivered: bool,
}

impl BatchRecord<'_, '_> {
    /// Payload bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.span.len()
    }

    /// Whether the payload has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.span.len() == 0
    }

    /// The sender's tag.
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.found.tag
    }

    /// The delivery id.
    #[must_use]
    pub fn position(&self) -> Position {
        self.found.record
    }

    /// See [`Record::redelivered`](super::Record::redelivered).
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// Copies as many bytes as fit into `buf`; returns how many.
    #[inline]
    pub fn copy_to(&self, buf: &mut [u8]) -> usize {
        if self.found.span.fill(buf) { buf.len() } else { self.found.span.copy_out(buf) }
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
        // SAFETY: the record is committed and its batch not released; the caller answers for the other processes.
        unsafe { self.found.span.as_slice() }
    }
}
