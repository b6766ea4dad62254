//! A claim of many records, which become visible by one store.

use super::error::ClaimError;
use super::producer::Producer;
use crate::position::Position;
use crate::record::{Geometry, HEADER, padding_word, record_word};
use crate::region::{Span, Stretch, Taken};
use crate::sync::ord;

/// Space for several records of up to a fixed length each. [`ClaimBatch::push`] lays them out one after the other;
/// [`ClaimBatch::commit`] shows all of them at once, to a reader and to a successor after a death.
#[derive(Debug)]
#[must_use = "a batch that is dropped is aborted; call commit() to publish it"]
pub struct ClaimBatch<'a, 'm> {
    producer: &'a mut Producer<'m>,
    /// Where the next record (or the padding before it) goes, and how far from there on is known to be free.
    at: Stretch<'m>,
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
        if max > 0 && min <= max && all_fit(producer, max, size) {
            return Ok(max);
        }
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
    pub(super) fn new(producer: &'a mut Producer<'m>, room: usize, len: usize) -> Self {
        let size = producer.geometry.record_size(len as u64);
        if size.saturating_mul(room as u64) > producer.stretch.bytes() as u64 {
            producer.stretch = producer.ready(producer.free_at(producer.tail()), size, room);
        }
        let at = producer.stretch;
        Self { producer, at, first: 0, max_len: len, left: room, pushed: 0 }
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
        let (mut payloads, before) = (payloads.into_iter(), self.pushed);
        while self.left > 0 {
            // The first one's header is withheld, so it goes by itself.
            let alone = if self.pushed == 0 { payloads.next() } else { self.push_run(tag, &mut payloads) };
            let Some(payload) = alone else { break };
            self.push(tag, payload.as_ref())?;
        }
        Ok(self.pushed.wrapping_sub(before))
    }

    /// After the first one: payloads that are known to fit, whatever their lengths. Returns one that is too long, or of which
    /// that is not known; it has to be pushed by itself.
    #[inline(always)]
    fn push_run<P: AsRef<[u8]>>(&mut self, tag: u32, payloads: &mut impl Iterator<Item = P>) -> Option<P> {
        let mut run = self.at.run(self.max_len, self.left, &self.producer.geometry);
        let before = run.left();
        let mut other = None;
        loop {
            if run.left() == 0 {
                // The batch may go on beyond what is known to be free.
                if self.left > before {
                    other = payloads.next();
                }
                break;
            }
            let Some(payload) = payloads.next() else { break };
            let bytes = payload.as_ref();
            let Some(taken) = run.take(bytes.len()) else {
                other = Some(payload);
                break;
            };
            taken.store_header(record_word(bytes.len() as u64, tag), ord!(B1, Relaxed));
            taken.span().copy_in(bytes);
        }
        let pushed = before.wrapping_sub(run.left());
        self.pushed = self.pushed.wrapping_add(pushed);
        (self.at, self.left) = (run.rest(), self.left.wrapping_sub(pushed));
        other
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
        let record = self.at.position();
        let taken = if self.pushed == 0 {
            self.first = record_word(len as u64, tag); // it will publish them all
            self.at.take(len, &self.producer.geometry)
        } else {
            lay(&mut self.at, tag, len, &self.producer.geometry)
        };
        let Some(taken) = taken else { return self.place_slowly(tag, len) };
        self.placed();
        Ok((record, taken.span()))
    }

    /// A record that ends the area, or comes after padding.
    #[cold]
    #[inline(never)]
    fn place_slowly(&mut self, tag: u32, len: usize) -> Result<(Position, Span<'m>), ClaimError> {
        let size = self.producer.geometry.record_size(len as u64);
        let at = self.at.position();
        let to_end = self.producer.geometry.room_to_end(at);
        let record = if size > to_end { at.plus(to_end) } else { at };
        let span = self.producer.area.span(record.plus(HEADER), len as u64);
        let Some(span) = span else { return Err(ClaimError::Full) };
        if record != at {
            self.header(at, padding_word(to_end));
        }
        self.header(record, record_word(len as u64, tag));
        self.at = self.producer.ready(self.producer.free_at(record.plus(size)), size, self.left);
        self.placed();
        Ok((record, span))
    }

    /// Stores a header that nobody can reach yet, or withholds it if it is the one that will publish them all.
    fn header(&mut self, at: Position, word: u64) {
        if at == self.producer.tail() {
            self.first = word;
        } else {
            self.producer.area.store_header(at, word, ord!(B4, Relaxed));
        }
    }

    #[inline(always)]
    fn placed(&mut self) {
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
            self.at.store_header(0, ord!(B2, Relaxed));
            self.producer.stretch.store_header(self.first, ord!(B3, Release));
            self.producer.stretch = self.at;
            self.producer.tail_moved(self.at.position());
            self.producer.tell();
        }
        self.pushed
    }

    /// Gives the space back unseen.
    pub fn abort(self) {}
}

/// Lays out a record that is not the first of its batch, if it is known to fit: nobody can reach its header yet.
#[inline(always)]
fn lay<'m>(at: &mut Stretch<'m>, tag: u32, len: usize, geometry: &Geometry) -> Option<Taken<'m>> {
    let taken = at.take(len, geometry)?;
    taken.store_header(record_word(len as u64, tag), ord!(B1, Relaxed));
    Some(taken)
}

/// What is between the tail and the remembered head, the header behind all records left out.
fn free(producer: &Producer<'_>) -> u64 {
    producer.window.saturating_sub(producer.tail().since(producer.cached_head)).saturating_sub(HEADER)
}

/// Whether `count` records of `size` bytes are known to fit without a division. Beyond half of the capacity it is asked whether they
/// would in any place.
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
