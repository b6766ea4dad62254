//! The producer's half: claim, commit, abort. The handle keeps everything private that it decides on; where the next
//! record goes: `room.rs`; what makes it seen: `publish.rs`.

use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::offset_of;

use super::bell;
use super::claim::Claim;
use super::claim_batch::ClaimBatch;
use super::error::ClaimError;
use super::pace::Patience;
use super::ring::Ring;
use super::room::Room;
use crate::draft::Draft;
use crate::error::Corrupt;
use crate::layout::SpscControl;
use crate::park::{Sleeper, Wake};
use crate::position::Position;
use crate::record::{Geometry, PACKED};
use crate::region::{Area, Control, Stretch};
use crate::seat::{Role, Seat, SessionEnd, Verdict};
use crate::sync::ord;

pub(super) const HEAD: usize = offset_of!(SpscControl, head);

/// A train gives no space back before all of it is read, so it is not long: in bytes, and in shares of a ring.
const LONGEST_TRAIN: u16 = 8192;
const TRAIN_SHARE: u64 = if cfg!(loom) { 2 } else { 8 };

fn longest_train(capacity: u64) -> u16 {
    u16::try_from(capacity / TRAIN_SHARE).map_or(LONGEST_TRAIN, |share| share.min(LONGEST_TRAIN))
}

/// The writing handle of an SPSC ring. `Send`, not `Sync`; there is one per seat, and `&mut self` keeps it single.
#[derive(Debug)]
pub struct Producer<'m> {
    pub(super) area: Area<'m>,
    pub(super) geometry: Geometry,
    /// The tail, where the next record goes, and how far from there on a record is free, with the header after it, and not
    /// too long: the quick part's one question. Nothing is left where that is not known, and in a process that has to
    /// fence before it looks for sleepers: its records go the long way.
    pub(super) stretch: Stretch<'m>,
    /// The head as last loaded: everything before it may be overwritten.
    pub(super) cached_head: Position,
    /// The capacity; or 0 while the mark of the former session waits for space, which sends every claim to
    /// [`Producer::refill`].
    pub(super) window: u64,
    pub(super) control: Control<'m>,
    pub(super) wake: &'static Wake,
    pub(super) lease: u32,
    /// Lease of the consumer whose end has been reported, or was over before this handle sat down.
    pub(super) told: u32,
    /// Seat word of the session before this one, while its mark is not written yet.
    pub(super) pending_mark: u32,
    pub(super) patience: Patience,
    /// The longest train, in bytes: 0 where there are none.
    pub(super) train: u16,
    pub(super) not_sync: PhantomData<Cell<()>>,
}

impl<'m> Producer<'m> {
    /// A producer that goes on at `tail`.
    pub(super) fn new(ring: &Ring<'m>, lease: u64, head: Position, tail: Position, before: u32, told: u32) -> Self {
        let mut producer = Self {
            area: ring.area,
            geometry: ring.geometry,
            stretch: ring.area.stretch(tail, 0),
            cached_head: head,
            window: ring.geometry.capacity(),
            control: ring.control,
            wake: ring.wake,
            lease: u32::try_from(lease).unwrap_or(0),
            told,
            pending_mark: before,
            patience: Patience::new(),
            train: if ring.trains { longest_train(ring.geometry.capacity()) } else { 0 },
            not_sync: PhantomData,
        };
        producer.put_mark();
        producer
    }

    /// Reserves space for a record of up to `len` payload bytes. Dropping the claim abandons it without a trace.
    ///
    /// # Errors
    /// [`ClaimError::Full`], [`ClaimError::TooLong`], [`ClaimError::Corrupt`].
    #[inline]
    pub fn try_claim(&mut self, len: usize) -> Result<Claim<'_, 'm>, ClaimError> {
        let room = self.reserve(len)?;
        Ok(self.lend(room))
    }

    #[inline(always)]
    fn lend(&mut self, room: Room<'m>) -> Claim<'_, 'm> {
        Claim { producer: self, draft: Draft::new(room.span), record: room.record, tag: 0, behind: room.behind }
    }

    /// Sends a copy of `payload`, all or nothing. On success the record is committed.
    ///
    /// # Errors
    /// As [`Producer::try_claim`].
    #[inline(always)]
    pub fn try_send(&mut self, tag: u32, payload: &[u8]) -> Result<Position, ClaimError> {
        match self.send_here(tag, payload) {
            Some(position) => Ok(position),
            None => self.send_slowly::<true>(tag, payload),
        }
    }

    /// [`try_send`](Self::try_send) that looks for no sleeper: for peers that poll. One that sleeps all the same is woken
    /// for the next record that is sent otherwise, or by its slice.
    ///
    /// # Errors
    /// As [`Producer::try_claim`].
    #[inline(always)]
    pub fn try_send_untold(&mut self, tag: u32, payload: &[u8]) -> Result<Position, ClaimError> {
        match self.send_quickly::<false>(tag, payload) {
            Some(position) => Ok(position),
            None => self.send_slowly::<false>(tag, payload),
        }
    }

    /// The quick part of [`try_send`](Self::try_send), for a caller that has something of its own to do about everything else:
    /// `None`, and nothing done, where the record is not one of the many. That is no refusal, not even a guess: `try_send` must be
    /// called for an answer. A position is a promise, as there: the record is committed (Release), and sleepers are told.
    ///
    /// ```
    /// # use ring_core::{Line, Region, Verdict, spsc};
    /// # static MEMORY: [Line; 64] = [const { Line::new() }; 64];
    /// # let ring = spsc::Ring::format(Region::new(&MEMORY), &spsc::Format::new(1024))?;
    /// # let mut tx = ring.sit_producer(ring.next_lease().unwrap(), |_| Verdict::Alive)?;
    /// assert!(tx.send_here(7, b"hello").is_some());
    /// assert!(tx.send_here(8, &[0; 1000]).is_none()); // which might have many reasons
    /// assert!(matches!(tx.try_send(8, &[0; 1000]), Err(spsc::ClaimError::TooLong { max: 504, .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn send_here(&mut self, tag: u32, payload: &[u8]) -> Option<Position> {
        self.send_quickly::<true>(tag, payload)
    }

    /// The quick part becomes part of its caller; the other one is the same at length.
    #[inline(always)]
    fn send_quickly<const TELLS: bool>(&mut self, tag: u32, payload: &[u8]) -> Option<Position> {
        let geometry = self.geometry;
        if geometry.is_packed() {
            return self.send_sized::<TELLS>(&PACKED, tag, payload);
        }
        self.send_sized::<TELLS>(&geometry, tag, payload)
    }

    #[inline(always)]
    fn send_sized<const TELLS: bool>(&mut self, geometry: &Geometry, tag: u32, payload: &[u8]) -> Option<Position> {
        let record = self.tail();
        let Some(taken) = self.stretch.take(payload.len(), geometry) else {
            return if self.send_ahead::<TELLS>(tag, payload) { Some(record) } else { None };
        };
        let rest = self.stretch;
        taken.span().copy_in(payload);
        self.publish_here::<TELLS>(&taken, &rest, payload.len() as u64, tag);
        Some(record)
    }

    /// The first record behind what was ready; false, and nothing done, where it does not fit.
    #[cold]
    #[inline(never)]
    fn send_ahead<const TELLS: bool>(&mut self, tag: u32, payload: &[u8]) -> bool {
        let Some(taken) = self.take_ahead(payload.len()) else { return false };
        taken.span().copy_in(payload);
        self.publish_here::<TELLS>(&taken, &{ self.stretch }, payload.len() as u64, tag);
        true
    }

    #[cold]
    #[inline(never)]
    fn send_slowly<const TELLS: bool>(&mut self, tag: u32, payload: &[u8]) -> Result<Position, ClaimError> {
        let Room { record, span, .. } = self.reserve_slowly(payload.len())?;
        span.copy_in(payload);
        self.publish_slowly::<TELLS>(record, payload.len(), tag);
        Ok(record)
    }

    /// Claims space for up to `max` records of up to `len` bytes each, as many as fit now and at least one, which
    /// become visible together.
    ///
    /// # Errors
    /// As [`Producer::try_claim`].
    pub fn try_claim_batch(&mut self, max: usize, len: usize) -> Result<ClaimBatch<'_, 'm>, ClaimError> {
        ClaimBatch::room(self, 1, max, len).map(|room| ClaimBatch::new(self, room, len))
    }

    /// Like [`Producer::try_claim_batch`], for exactly `count` records or none.
    ///
    /// # Errors
    /// As [`Producer::try_claim`]; `TooLong` also when so many records would not even fit into an empty ring.
    pub fn try_claim_batch_exact(&mut self, count: usize, len: usize) -> Result<ClaimBatch<'_, 'm>, ClaimError> {
        ClaimBatch::room(self, count, count, len).map(|room| ClaimBatch::new(self, room, len))
    }

    /// [`try_claim`](Self::try_claim) that, when full, also looks whether the consumer has left: `verdict` is asked
    /// about its lease.
    ///
    /// # Errors
    /// As `try_claim`, and [`ClaimError::Ended`] once for each consumer that closed or died.
    #[inline]
    pub fn try_claim_asking(
        &mut self,
        len: usize,
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> Result<Claim<'_, 'm>, ClaimError> {
        match self.reserve(len) {
            Ok(room) => Ok(self.lend(room)),
            Err(error) => Err(self.why(error, verdict)),
        }
    }

    /// [`try_send`](Self::try_send) that asks as [`try_claim_asking`](Self::try_claim_asking) does.
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    pub fn try_send_asking(
        &mut self,
        tag: u32,
        payload: &[u8],
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> Result<Position, ClaimError> {
        match self.try_send(tag, payload) {
            Ok(position) => Ok(position),
            Err(error) => Err(self.why(error, verdict)),
        }
    }

    /// A batch of at least `min` and at most `max` records that asks as
    /// [`try_claim_asking`](Self::try_claim_asking) does.
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    pub fn try_claim_batch_asking(
        &mut self,
        min: usize,
        max: usize,
        len: usize,
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> Result<ClaimBatch<'_, 'm>, ClaimError> {
        match ClaimBatch::room(self, min, max, len) {
            Ok(room) => Ok(ClaimBatch::new(self, room, len)),
            Err(error) => Err(self.why(error, verdict)),
        }
    }

    /// Where this handle sleeps until space is released.
    #[must_use]
    pub fn sleeper(&self) -> Option<Sleeper<'m>> {
        let index = bell::index(Role::Producer);
        Some(Sleeper::new(bell::of_space(&self.control), bell::event(&self.control, index)?, index))
    }

    /// Whether a claim of `len` bytes would succeed now, asking as [`try_claim_asking`](Self::try_claim_asking) does. A
    /// promise: only this handle takes space.
    ///
    /// # Errors
    /// As there.
    pub fn ready_asking(&mut self, len: usize, verdict: impl FnOnce(u64) -> Verdict) -> Result<(), ClaimError> {
        match self.reserve(len) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.why(error, verdict)),
        }
    }

    /// The same for a batch of at least `min` and at most `max` records.
    ///
    /// # Errors
    /// As there.
    pub fn ready_batch_asking(
        &mut self,
        min: usize,
        max: usize,
        len: usize,
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> Result<(), ClaimError> {
        match ClaimBatch::room(self, min, max, len) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.why(error, verdict)),
        }
    }

    /// Whether the consumer that was or came to be seated has left, reported once per consumer.
    ///
    /// # Errors
    /// [`Corrupt`] for an impossible seat word.
    pub fn consumer_end(&mut self, verdict: impl FnOnce(u64) -> Verdict) -> Result<Option<SessionEnd>, Corrupt> {
        let Some(seat) = Seat::of(&self.control.region(), Role::Consumer) else { return Ok(None) };
        let Some(end) = seat.end(u64::from(self.told), verdict)? else { return Ok(None) };
        self.told = u32::try_from(end.lease).unwrap_or(0);
        Ok(Some(end.end))
    }

    /// Closes in order: the consumer gets everything committed, then the end of the session. Call it last; a
    /// second call does nothing.
    pub fn close(&mut self) {
        if let Some(seat) = Seat::of(&self.control.region(), Role::Producer) {
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

    /// The position of the next record, unless padding comes before it.
    #[inline(always)]
    #[must_use]
    pub fn tail(&self) -> Position {
        self.stretch.position()
    }

    /// Bytes committed and not yet released: a guess for the producer (an upper bound, the consumer may go on).
    #[must_use]
    pub fn len_guess(&self) -> u64 {
        let head = Position::new(self.area.word_before::<HEAD>().load(ord!(S8, Relaxed)));
        self.tail().since(head).min(self.geometry.capacity())
    }
}
