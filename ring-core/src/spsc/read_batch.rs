//! A read of many records, whose space is given back by one store.

use core::marker::PhantomData;
use core::ops::ControlFlow;

use super::consumer::Consumer;
use super::error::ReadError;
use super::find::{Told, next_alike, peek};
use super::ride::Ride;
use crate::position::Position;
use crate::record::states_len;
use crate::region::{Span, Taken};

/// Records lent in place, released together by [`ReadBatch::release`]. Dropped, all of them come again.
#[derive(Debug)]
#[must_use = "a batch that is not released comes again"]
pub struct ReadBatch<'a, 'm> {
    consumer: &'a mut Consumer<'m>,
    /// What has been found and comes next. All of it in one place, from which what takes time gets copies: as long as nobody else has
    /// its address, compilers keep it in registers.
    ride: Ride<'m>,
    /// Records handed out.
    read: usize,
    max: usize,
}

impl<'a, 'm> ReadBatch<'a, 'm> {
    /// A batch of up to `max` records from those on that have been found, of which there are no more.
    #[inline(always)]
    pub(super) fn new(consumer: &'a mut Consumer<'m>, ride: Ride<'m>, max: usize) -> Self {
        let ride = if max == 0 { Ride::none(consumer.stretch) } else { ride };
        Self { consumer, ride, read: 0, max }
    }

    /// The next record, or `None` when `max` have been handed out, the ring is empty or the session ends here.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] alone; records handed out before are good.
    #[inline(always)]
    pub fn next_record(&mut self) -> Result<Option<BatchRecord<'_, 'm>>, ReadError> {
        if self.read >= self.max {
            return Ok(None);
        }
        if self.ride.places.left() == 0 {
            match next_ride(self.consumer, &self.ride, self.max.wrapping_sub(self.read))? {
                Some(ride) => self.ride = ride,
                None => return Ok(None),
            }
        }
        self.read = self.read.wrapping_add(1);
        Ok(self.ride.next().map(BatchRecord::new))
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
        let (mut ride, mut read, max) = (self.ride, self.read, self.max);
        loop {
            // By a copy, of which nothing but a count is asked behind the loop: so it keeps no more than it needs itself.
            let mut on = ride;
            while let Some(record) = on.next() {
                if let ControlFlow::Break(why) = each(BatchRecord::new(record)) {
                    self.read = read.wrapping_add(ride.places.take_all_but(on.places.left()));
                    self.ride = ride;
                    return Ok(ControlFlow::Break(why));
                }
            }
            read = read.wrapping_add(ride.places.take_all_but(0));
            if read < max {
                // Records that lie within their stretch, so of no train, and are marked as seen already. Where two have the same length
                // more of them may have it.
                let (area, geometry) = (self.consumer.area, self.consumer.geometry);
                let (seen, dry) = (self.consumer.seen, self.consumer.dry);
                let (mut at, mut places) = (ride.rest, ride.rest.none_alike());
                let mut states_their_len = states_len(ride.places.len());
                while read < max {
                    let found = match next_alike(&mut places, states_their_len) {
                        Some(found) => found,
                        None => {
                            let (_, Some(found)) = peek(&area, &geometry, at, None, dry) else { break };
                            let end = found.rest.position();
                            if seen.precedes(end) {
                                break;
                            }
                            let len = found.span().len();
                            let before = core::mem::replace(&mut states_their_len, states_len(len));
                            places = if states_their_len == before {
                                let most = max.wrapping_sub(read).wrapping_sub(1);
                                found.rest.alike(len, most, seen.since(end), &geometry)
                            } else {
                                found.rest.none_alike()
                            };
                            found
                        }
                    };
                    (at, read) = (found.rest, read.wrapping_add(1));
                    if let ControlFlow::Break(why) = each(BatchRecord::new((found.taken, found.record, found.told))) {
                        (self.ride, self.read) = (Ride::none(at), read);
                        return Ok(ControlFlow::Break(why));
                    }
                }
                if at.position() != ride.rest.position() {
                    ride = Ride::none(at);
                }
            }
            (self.ride, self.read) = (ride, read);
            if read > 1 {
                self.consumer.slip.found_many(self.consumer.dry);
            }
            if read >= max {
                return Ok(ControlFlow::Continue(()));
            }
            match next_ride(self.consumer, &{ ride }, max.wrapping_sub(read))? {
                Some(next) => ride = next,
                None => return Ok(ControlFlow::Continue(())),
            }
        }
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
    #[inline(always)]
    pub fn release(self) -> usize {
        if self.read > 0 {
            let (rest, within) = self.ride.left(&self.consumer.area);
            self.consumer.released_batch(rest, within);
        }
        self.read
    }

    /// Leaves all of them in the ring.
    pub fn keep(self) {}
}

/// What comes behind `ride`, of which nothing is left; `None` where nothing does.
#[inline(always)]
fn next_ride<'m>(consumer: &mut Consumer<'m>, ride: &Ride<'m>, most: usize) -> Result<Option<Ride<'m>>, ReadError> {
    match consumer.ride_on(ride.rest, Some(ride.places.position()), most) {
        Ok(ride) => Ok(Some(ride)),
        Err(ReadError::Corrupt(corrupt)) => Err(corrupt.into()),
        Err(_) => Ok(None),
    }
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
    fn new((taken, position, told): (Taken<'m>, Position, Told)) -> Self {
        Self { batch: PhantomData, taken, position, told }
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
