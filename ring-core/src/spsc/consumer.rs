//! The consumer's half: read, release. It polls the header at its own head and nothing else: `find.rs`.

use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::offset_of;

use super::bell;
use super::end::Rest;
use super::error::ReadError;
use super::find::{Found, NotHere, ask, header};
use super::pace::Slip;
use super::read_batch::ReadBatch;
use super::received::Received;
use super::record::Record;
use super::release::Releases;
use super::ring::Ring;
use crate::layout::SpscControl;
use crate::park::{Sleeper, Wake};
use crate::position::Position;
use crate::record::{Geometry, PACKED, stated_len};
use crate::region::{Area, Control, Stretch};
use crate::seat::{Role, Seat, Verdict};
use crate::sync::ord;

/// The reading handle of an SPSC ring. `Send`, not `Sync`; there is one per seat, and `&mut self` keeps it single.
#[derive(Debug)]
pub struct Consumer<'m> {
    pub(super) area: Area<'m>,
    pub(super) geometry: Geometry,
    /// The head, where the next header is polled, and how far from there on a record is not too long, and not one that a
    /// dead predecessor has seen: the quick part's one question. Nothing is left where that is not known.
    pub(super) stretch: Stretch<'m>,
    /// The head as last stored for the producer.
    pub(super) published: Position,
    /// Records before this position may have been seen by a dead predecessor.
    pub(super) redelivered_before: Position,
    /// The `seen` mark as this handle has stored it. It never goes back: a batch that was kept has been seen, whatever
    /// is read singly afterwards.
    pub(super) seen: Position,
    pub(super) control: Control<'m>,
    pub(super) wake: &'static Wake,
    /// Unpublished bytes that are tolerated before the head is stored.
    pub(super) release_every: u32,
    pub(super) lease: u32,
    pub(super) releases: Releases,
    /// Lease of the producer session whose end has been reported.
    pub(super) told: u32,
    /// Whether that was at the present head: a mark that comes to stand there has been reported.
    pub(super) told_here: bool,
    /// Where the ring was last found empty; at first at the head, as far as is known.
    pub(super) dry: Position,
    pub(super) slip: Slip,
    pub(super) rest: Rest,
    /// The lower half of the producer's seat word when it was last asked after: its lease, and whether it has closed.
    pub(super) producer_was: u32,
    pub(super) not_sync: PhantomData<Cell<()>>,
}

impl<'m> Consumer<'m> {
    /// A consumer that goes on at `head`.
    pub(super) fn new(ring: &Ring<'m>, lease: u64, head: Position, seen: Position, told: u32) -> Self {
        Self {
            area: ring.area,
            geometry: ring.geometry,
            stretch: ring.area.stretch(head, 0),
            published: head,
            redelivered_before: seen,
            seen: seen.max(head),
            control: ring.control,
            wake: ring.wake,
            release_every: u32::try_from(ring.release_every).unwrap_or(u32::MAX),
            releases: Releases::of(ring.release_every, ring.wake, &ring.geometry),
            lease: u32::try_from(lease).unwrap_or(0),
            told,
            told_here: told != 0,
            dry: head,
            slip: Slip::new(),
            rest: Rest::default(),
            producer_was: 0,
            not_sync: PhantomData,
        }
    }

    /// Copies the next record out and releases it.
    ///
    /// # Errors
    /// [`ReadError`]; on `BufferTooSmall` the record stays.
    #[inline(always)]
    pub fn try_recv_into(&mut self, buf: &mut [u8]) -> Result<Received, ReadError> {
        match self.recv_here::<true>(buf) {
            Ok(received) => Ok(received),
            Err(word) => self.recv_rest::<true>(word, buf),
        }
    }

    /// [`try_recv_into`](Self::try_recv_into) that looks for no sleeper: for producers that poll. One that sleeps all the
    /// same is woken by the next release that is told, or by its slice.
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    pub fn try_recv_into_untold(&mut self, buf: &mut [u8]) -> Result<Received, ReadError> {
        match self.recv_here::<false>(buf) {
            Ok(received) => Ok(received),
            Err(word) => self.recv_rest::<false>(word, buf),
        }
    }

    /// [`try_recv_into`](Self::try_recv_into) that, when empty, also looks whether the producer's session is over:
    /// `verdict` is asked about its lease.
    ///
    /// # Errors
    /// As `try_recv_into`; `Ended` once for each session.
    #[inline(always)]
    pub fn try_recv_into_asking(
        &mut self,
        buf: &mut [u8],
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> Result<Received, ReadError> {
        match self.try_recv_into_here(buf) {
            Ok(received) => Ok(received),
            Err(what) => self.recv_not_here(what, buf, verdict),
        }
    }

    /// The quick part of [`try_recv_into_asking`](Self::try_recv_into_asking), for a caller that has something of its own
    /// to do about everything else: the record at the head, if it is one of the many.
    ///
    /// # Errors
    /// What [`recv_not_here`](Self::recv_not_here) sees to.
    #[inline(always)]
    pub fn try_recv_into_here(&mut self, buf: &mut [u8]) -> Result<Received, NotHere> {
        match self.recv_here::<true>(buf) {
            Ok(received) => Ok(received),
            Err(0) if self.may_rest() => Err(NotHere::Nothing),
            Err(word) => Err(NotHere::Header(word)),
        }
    }

    /// The other part, of what the quick one has just said.
    ///
    /// # Errors
    /// As [`try_recv_into_asking`](Self::try_recv_into_asking).
    #[inline(always)]
    pub fn recv_not_here(
        &mut self,
        what: NotHere,
        buf: &mut [u8],
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> Result<Received, ReadError> {
        match what {
            NotHere::Nothing => Err(ReadError::Empty),
            NotHere::Header(word) => self.recv_rest_asking(word, buf, verdict),
        }
    }

    /// The record at the head, if it is one of the many and just fills the buffer. Otherwise the header, for the rest to
    /// see to.
    #[inline(always)]
    fn recv_here<const TELLS: bool>(&mut self, buf: &mut [u8]) -> Result<Received, u64> {
        let word = header(&self.stretch);
        if stated_len(word) as usize != buf.len() {
            return Err(word);
        }
        if self.releases == Releases::Plain {
            let Some((position, head)) = self.copy_here(&PACKED, buf) else { return Err(word) };
            self.publish_head::<TELLS>(head);
            return Ok(Received::here(word, position, buf));
        }
        self.recv_taken::<TELLS>(word, buf).ok_or(word)
    }

    /// The record that `word` commits at the head, if it is one of the many. `buf` has its length.
    #[inline(always)]
    fn recv_taken<const TELLS: bool>(&mut self, word: u64, buf: &mut [u8]) -> Option<Received> {
        let (position, head) = self.copy_here(&{ self.geometry }, buf)?;
        self.received::<TELLS>(head);
        Some(Received::here(word, position, buf))
    }

    /// Copies the record at the head out, if it is one of the many, which has the length of `buf`: where it began, and what the head
    /// is now.
    #[inline(always)]
    fn copy_here(&mut self, geometry: &Geometry, buf: &mut [u8]) -> Option<(Position, Position)> {
        let position = self.head();
        let taken = self.stretch.take(buf.len(), geometry)?;
        let rest = self.stretch; // a copy, as in `Producer::publish_here`
        ask(&self.area, position, rest.position(), self.dry);
        self.slip.found(position);
        taken.span().copy_out(buf);
        Some((position, rest.position()))
    }

    #[inline(never)]
    fn recv_rest<const TELLS: bool>(&mut self, word: u64, buf: &mut [u8]) -> Result<Received, ReadError> {
        if let Some(shorter) = buf.get_mut(..stated_len(word) as usize) {
            if let Some(received) = self.recv_taken::<TELLS>(word, shorter) {
                return Ok(received);
            }
        }
        let found = self.find_rest(self.stretch, word, None)?;
        let (len, Found { record: position, told, .. }) = (found.span().len(), found);
        if len > buf.len() {
            return Err(ReadError::BufferTooSmall { needed: len });
        }
        found.span().copy_out(buf);
        self.stretch = found.rest;
        if !self.go_on(found.within()) {
            self.mark_seen(found.end());
        }
        if TELLS {
            self.tell();
        }
        Ok(Received::new(len, told.tag(), position, told.redelivered()))
    }

    #[inline(never)]
    fn recv_rest_asking(
        &mut self,
        word: u64,
        buf: &mut [u8],
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> Result<Received, ReadError> {
        match self.recv_rest::<true>(word, buf) {
            Err(ReadError::Empty) => Err(self.why_empty(verdict)),
            other => other,
        }
    }

    /// The head has passed a record that was copied out. It is released before it is handed out, so `seen` matters only
    /// while the head is held back.
    #[inline(always)]
    fn received<const TELLS: bool>(&mut self, head: Position) {
        if !self.release::<TELLS>(head) {
            self.mark_seen(head);
        }
    }

    /// Lends the next record in place. [`Record::release`] gives its space back; a record that is dropped is kept
    /// and comes again with the next call (this crate cannot tell an unwinding drop from another).
    ///
    /// # Errors
    /// [`ReadError`].
    #[inline]
    pub fn try_read(&mut self) -> Result<Record<'_, 'm>, ReadError> {
        let found = self.find(self.stretch, None)?;
        self.mark_seen(found.end());
        Ok(self.lend(found))
    }

    /// [`try_read`](Self::try_read) that asks as [`try_recv_into_asking`](Self::try_recv_into_asking) does.
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    pub fn try_read_asking(&mut self, verdict: impl FnOnce(u64) -> Verdict) -> Result<Record<'_, 'm>, ReadError> {
        self.try_read_likely(None, verdict)
    }

    /// [`try_read_asking`](Self::try_read_asking) that is quickest about a record of `len` payload bytes, where a number is
    /// given. It lends others as well.
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    pub fn try_read_likely(
        &mut self,
        len: Option<usize>,
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> Result<Record<'_, 'm>, ReadError> {
        let found = match self.look(self.stretch, len) {
            (_, Some(found)) => found,
            (0, None) if self.may_rest() => return Err(ReadError::Empty),
            (word, None) => match self.find_rest_asking(word, verdict) {
                (Some(found), _) => found,
                (None, why) => return Err(why),
            },
        };
        Ok(self.lend(found))
    }

    /// Hands out in place. In a train, whose header `rest` is, what is handed out was marked when it was found.
    #[inline(always)]
    fn lend(&mut self, found: Found<'m>) -> Record<'_, 'm> {
        self.mark_seen(found.rest.position());
        Record { consumer: self, found }
    }

    /// Lends up to `max` records, released together.
    ///
    /// # Errors
    /// [`ReadError`] when there is not even one.
    #[inline(always)]
    pub fn try_read_batch(&mut self, max: usize) -> Result<ReadBatch<'_, 'm>, ReadError> {
        let ride = match self.ride_here(max) {
            Some(ride) => ride,
            None => self.ride_on(self.stretch, None, max)?,
        };
        Ok(ReadBatch::new(self, ride, max))
    }

    /// [`try_read_batch`](Self::try_read_batch) that asks as
    /// [`try_recv_into_asking`](Self::try_recv_into_asking) does.
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    pub fn try_read_batch_asking(
        &mut self,
        max: usize,
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> Result<ReadBatch<'_, 'm>, ReadError> {
        let ride = match self.ride_here(max) {
            Some(ride) => ride,
            None => match self.ride_on(self.stretch, None, max) {
                Err(ReadError::Empty) => return Err(self.why_empty(verdict)),
                other => other?,
            },
        };
        Ok(ReadBatch::new(self, ride, max))
    }

    /// Stores that records before `end` may have been seen. Release, partner of R3: an onlooker that sees the mark also
    /// sees a head that it fits.
    #[inline(always)]
    pub(super) fn mark_seen(&mut self, end: Position) {
        if self.seen.precedes(end) {
            self.seen = end;
            self.control.word::<{ offset_of!(SpscControl, head.seen) }>().store(end.get(), ord!(C5, Release));
        }
    }

    /// [`mark_seen`](Self::mark_seen) for a batch, which says so of all that it may take of a train: some records ahead of `end` (a
    /// thirty-second of the capacity, 4 KiB at most), so that the line is not stored to for each record while the producer polls the head beside it. After
    /// a death these come flagged without having been seen, which a flag may.
    #[inline(always)]
    pub(super) fn mark_seen_ahead(&mut self, end: Position) {
        if self.seen.precedes(end) {
            let ahead = (self.geometry.capacity() / 32).min(4096) & !self.geometry.align().wrapping_sub(1);
            let (seen, limit) = (end.plus(ahead), self.published.plus(self.geometry.capacity()));
            self.mark_seen(if limit.precedes(seen) { limit } else { seen });
        }
    }

    /// Where this handle sleeps until something is committed.
    #[must_use]
    pub fn sleeper(&self) -> Option<Sleeper<'m>> {
        let index = bell::index(Role::Consumer);
        Some(Sleeper::new(bell::of_data(&self.control), bell::event(&self.control, index)?, index))
    }

    /// Whether a record can be read now, asking as [`try_recv_into_asking`](Self::try_recv_into_asking) does. A
    /// promise: only this handle takes records.
    ///
    /// # Errors
    /// As there.
    pub fn ready_asking(&mut self, verdict: impl FnOnce(u64) -> Verdict) -> Result<(), ReadError> {
        self.find_asking(verdict).map(drop)
    }

    /// Closes in order, everything released told to the producer. Call it last; a second call does nothing.
    pub fn close(&mut self) {
        self.flush();
        if let Some(seat) = Seat::of(&self.control.region(), Role::Consumer) {
            seat.close(u64::from(self.lease));
            self.tell();
        }
    }

    /// The lease this handle sits under.
    #[must_use]
    pub fn lease(&self) -> u64 {
        u64::from(self.lease)
    }

    /// Capacity of the data area in bytes; all but 8 of them hold records.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.geometry.capacity()
    }

    /// Longest payload of one record, in bytes.
    #[must_use]
    pub fn max_len(&self) -> usize {
        usize::try_from(self.geometry.max_len()).unwrap_or(usize::MAX)
    }

    /// The position where the next header is polled.
    #[inline(always)]
    #[must_use]
    pub fn head(&self) -> Position {
        self.stretch.position()
    }

    /// Bytes committed and not yet released: a guess for the consumer (a lower bound while the producer lives; the
    /// stored tail may lag behind).
    #[must_use]
    pub fn len_guess(&self) -> u64 {
        let tail = self.area.word_before::<{ offset_of!(SpscControl, tail) }>().load(ord!(C8, Relaxed));
        let (head, tail) = (self.head(), Position::new(tail));
        if head.precedes(tail) { tail.since(head).min(self.geometry.capacity()) } else { 0 }
    }
}
