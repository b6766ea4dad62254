//! A read of many records, whose space is given back by one store.

use core::marker::PhantomData;
use core::ops::ControlFlow;

use super::consumer::Consumer;
use super::error::ReadError;
use super::find::{Found, Ride, Told, next_alike, peek};
use crate::position::Position;
use crate::record::states_len;
use crate::region::{Span, Stretch, Taken};

/// Records lent in place, released together by [`ReadBatch::release`]. Dropped, all of them come again.
#[derive(Debug)]
#[must_use = "a batch that is not released comes again"]
pub struct ReadBatch<'a, 'm> {
    consumer: &'a mut Consumer<'m>,
    /// What was found when the batch was made, and is handed out first.
    first: Found<'m>,
    at: Reached<'m>,
    max: usize,
}

/// How far a batch has been read.
#[derive(Debug, Clone, Copy)]
struct Reached<'m> {
    /// What is behind the last record handed out; or the train that it belongs to, if more of that are to come.
    rest: Stretch<'m>,
    /// The next record of that train: where it is inside, as always.
    within: Position,
    /// Records handed out.
    read: usize,
}

impl<'m> Reached<'m> {
    #[inline(always)]
    fn pass(&mut self, rest: Stretch<'m>) {
        (self.rest, self.read) = (rest, self.read.wrapping_add(1));
    }

    /// The records of a train are left, at its end or before.
    #[inline(always)]
    fn leave(&mut self, ride: &Ride<'m>) {
        match ride.behind {
            Some(behind) if ride.places.next().is_none() => self.rest = behind,
            _ => (self.rest, self.within) = (ride.train, ride.places.rest().position()),
        }
    }
}

impl<'a, 'm> ReadBatch<'a, 'm> {
    /// A batch of up to `max` records from `first` on.
    pub(super) fn new(consumer: &'a mut Consumer<'m>, first: Found<'m>, max: usize) -> Self {
        let at = Reached { rest: first.rest, within: first.record, read: 0 };
        Self { consumer, first, at, max }
    }

    /// The next record, or `None` when `max` have been handed out, the ring is empty or the session ends here.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] alone; records handed out before are good.
    #[inline(always)]
    pub fn next_record(&mut self) -> Result<Option<BatchRecord<'_, 'm>>, ReadError> {
        Ok(self.next_found()?.map(|found| BatchRecord::new(&found)))
    }

    #[inline(always)]
    fn next_found(&mut self) -> Result<Option<Found<'m>>, ReadError> {
        if self.at.read == self.max {
            return Ok(None);
        }
        let found = if self.at.read == 0 {
            self.first
        } else {
            match self.consumer.find(self.at.rest, Some(self.at.within)) {
                Ok(found) => found,
                Err(ReadError::Corrupt(c)) => return Err(c.into()),
                Err(_) => return Ok(None),
            }
        };
        self.consumer.mark_seen_ahead(found.end());
        self.at.pass(found.rest);
        self.at.within = found.end();
        Ok(Some(found))
    }

    /// Hands the next records to `each`, until it breaks off or there is none as [`next_record`](Self::next_record) says it.
    /// Quicker than as many calls of that: what goes on between two records stays in registers. Should `each` unwind, it is
    /// not certain which of the last records count as handed out: keep the batch.
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    pub fn try_for_each<B>(
        &mut self,
        mut each: impl FnMut(BatchRecord<'_, 'm>) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, ReadError> {
        let (area, geometry, max) = (self.consumer.area, self.consumer.geometry, self.max);
        let (mut at, mut places) = (self.at, self.at.rest.none_alike());
        let (mut seen, mut dry) = (self.consumer.seen, self.consumer.dry);
        let mut states_their_len = states_len(self.first.span().len());
        // In each loop one place that calls `each`; and in this one nothing is got ready for many records that are not there.
        loop {
            let found = match next_alike(&mut places, states_their_len) {
                Some(found) => found,
                None => {
                    if at.read >= max {
                        self.at = at;
                        self.note_many();
                        return Ok(ControlFlow::Continue(()));
                    }
                    let most = max.saturating_sub(at.read);
                    let is_first = at.read == 0;
                    let quick = if is_first { Some(self.first) } else { peek(&area, &geometry, at.rest, None, dry).1 };
                    let found = match quick {
                        // Within its stretch, so of no train, and marked as seen already.
                        Some(found) if !is_first && !seen.precedes(found.rest.position()) => found,
                        quick => {
                            self.at = at;
                            let marked = quick.filter(|first| is_first && !seen.precedes(first.end()));
                            let found = if marked.is_some() { marked } else { self.next_at_length()? };
                            let Some(found) = found else { return Ok(ControlFlow::Continue(())) };
                            if let Some(mut ride) = self.consumer.ride(&found, most) {
                                while let Some(found) = ride.next() {
                                    at.read = at.read.wrapping_add(1);
                                    if let ControlFlow::Break(why) = each(BatchRecord::new(&found)) {
                                        at.leave(&ride);
                                        self.at = at;
                                        return Ok(ControlFlow::Break(why));
                                    }
                                }
                                at.leave(&ride);
                                (seen, dry) = (self.consumer.seen, self.consumer.dry);
                                continue;
                            }
                            (seen, dry, at.within) = (self.consumer.seen, self.consumer.dry, found.end());
                            found
                        }
                    };
                    // Where two have the same length more of them may have it.
                    let before = core::mem::replace(&mut states_their_len, states_len(found.span().len()));
                    places = if states_their_len == before {
                        let end = found.rest.position();
                        let marked = if end.precedes(seen) { seen.since(end) } else { 0 };
                        found.rest.alike(found.span().len(), most.saturating_sub(1), marked, &geometry)
                    } else {
                        found.rest.none_alike()
                    };
                    found
                }
            };
            at.pass(found.rest);
            if let ControlFlow::Break(why) = each(BatchRecord::new(&found)) {
                self.at = at;
                return Ok(ControlFlow::Break(why));
            }
        }
    }

    #[inline(never)]
    fn next_at_length(&mut self) -> Result<Option<Found<'m>>, ReadError> {
        self.note_many();
        self.next_found()
    }

    #[inline(always)]
    fn note_many(&mut self) {
        if self.at.read > 1 {
            self.consumer.slip.found_many(self.consumer.dry);
        }
    }

    /// How many records have been handed out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.at.read
    }

    /// Whether none has been handed out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at.read == 0
    }

    /// Gives back the space of all records handed out; returns how many.
    #[inline]
    pub fn release(self) -> usize {
        if self.at.read > 0 {
            let Reached { rest, within, .. } = self.at;
            let within = if rest.position().precedes(within) { Some(within) } else { None };
            self.consumer.released_batch(rest, within);
        }
        self.at.read
    }

    /// Leaves all of them in the ring.
    pub fn keep(self) {}
}

/// A record of a [`ReadBatch`].
#[derive(Debug)]
pub struct BatchRecord<'b, 'm> {
    batch: PhantomData<&'b ()>,
    taken: Taken<'m>,
    position: Position,
    told: Told,
}

impl<'m> BatchRecord<'_, 'm> {
    #[inline(always)]
    fn new(found: &Found<'m>) -> Self {
        Self { batch: PhantomData, taken: found.taken, position: found.record, told: found.told }
    }

    /// Payload bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken.span().len()
    }

    /// Whether the payload has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.span().len() == 0
    }

    /// The sender's tag.
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.told.tag()
    }

    /// The delivery id.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// See [`Record::redelivered`](super::Record::redelivered).
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.told.redelivered()
    }

    /// Copies as many bytes as fit into `buf`; returns how many.
    #[inline(always)]
    pub fn copy_to(&self, buf: &mut [u8]) -> usize {
        let span = self.taken.span();
        if span.fill(buf) { buf.len() } else { copy_some(span, buf) }
    }

    /// Copies the payload into a buffer that is just as long; false, and nothing copied, into another one. The quickest way to many
    /// values of one size: where that is a constant, none of them goes through memory.
    #[inline(always)]
    #[must_use]
    pub fn copy_exact(&self, buf: &mut [u8]) -> bool {
        self.taken.span().fill(buf)
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
        unsafe { self.taken.span().as_slice() }
    }
}

/// A copy of no length that is known: not a part of loops, which it would fill.
#[inline(never)]
fn copy_some(span: Span<'_>, buf: &mut [u8]) -> usize {
    span.copy_out(buf)
}
