//! Sending one message, copied or in place: the quick part, where the tail is guessed right, and the way around it. As
//! `recv.rs`, for the other side.

use super::claim::Claim;
use super::ends::Ends;
use super::error::ClaimError;
use super::producer::Producer;
use super::push::{load_word, swap_tail};
use super::word::{Intent, Place, committed, committed_from, meta};
use crate::draft::Draft;
use crate::position::Position;
use crate::region::{Ahead, Passed, Slot, Span};
use crate::sync::ord;

impl<'m> Producer<'m> {
    /// Sends a copy of `payload`, all or nothing. On success the message is committed.
    ///
    /// # Errors
    /// [`ClaimError`].
    #[inline(always)]
    pub fn try_send(&mut self, tag: u32, payload: &[u8]) -> Result<Position, ClaimError> {
        match self.send_guessed(tag, payload) {
            Some(position) => Ok(position),
            None => self.send_slowly(tag, payload),
        }
    }

    /// The quick part of [`Producer::try_send`], small enough to become part of any caller. A position means what it means
    /// there. `None` is no refusal, not even a guess: nothing was sent, and `try_send` must be called for an answer.
    #[inline(always)]
    pub fn send_guessed(&mut self, tag: u32, payload: &[u8]) -> Option<Position> {
        let (ends, place) = (self.ring.ends(), self.guess.place());
        let (Passed { slot, ahead, .. }, free) = match self.take_guessed(ends, place, payload.len()) {
            Some(taken) => taken,
            None => self.take_guessed_alone(payload.len())?,
        };
        // There is a span: the slot was taken for the length.
        if let Some(span) = slot.span(payload.len() as u64) {
            span.copy_in(payload);
        }
        slot.store_meta(meta(payload.len() as u64, tag), ord!(MP8, Relaxed));
        self.publish(committed_from(free), slot);
        self.published(ends, place, ahead);
        Some(place.position())
    }

    /// Claims the slot of the guess, at `place`, for `len` bytes: the slot, and its word, which was the free one. `None`: there
    /// is no guess, or it was of no use.
    #[inline(always)]
    fn take_guessed(&mut self, ends: Ends<'m>, place: Place, len: usize) -> Option<(Passed<'m>, u64)> {
        let (own, mut raced, mut found) = (self.intent, false, 0);
        let taken = self.guess.take(len, |slot, free| {
            found = load_word(slot);
            found == *free && {
                raced = swap_tail(own, ends, place.intent(), place.tail(), 1).is_err();
                !raced
            }
        });
        if taken.is_some() {
            self.note_claim(place.intent());
        } else if raced {
            self.lost();
        }
        Some((taken?, found))
    }

    /// The same for the only producer: there is nobody to race with.
    #[inline(always)]
    fn take_guessed_alone(&mut self, len: usize) -> Option<(Passed<'m>, u64)> {
        let (closing, mut found) = (self.ring.closing, 0);
        let taken = self.guess.take_alone(len, |slot, free| {
            found = load_word(slot);
            // MS1 as in `claim_single`.
            found == *free && closing.load(ord!(MS1, Relaxed)) == 0
        })?;
        Some((taken, found))
    }

    /// What follows the publication of the message of `place`, which was claimed where the guess was.
    #[inline(always)]
    fn published(&mut self, ends: Ends<'m>, place: Place, ahead: Ahead) {
        if self.pace.in_stream(ends.receivers_seem_to_wait(self.ring.wake())) {
            ahead.prefetch_write();
        } else {
            self.end_of_send(place.position(), ahead);
        }
    }

    /// The same of who is not in a stream yet, of an only producer, of one that fences, or with somebody to wake. A call: the
    /// message is on its way already.
    #[cold]
    #[inline(never)]
    fn end_of_send(&mut self, p: Position, ahead: Ahead) {
        self.settled(p.plus(1));
        if self.pace.streams() {
            ahead.prefetch_write();
        }
        self.ring.tell_receivers(1);
    }

    /// The same without a guess.
    #[cold]
    #[inline(never)]
    fn send_slowly(&mut self, tag: u32, payload: &[u8]) -> Result<Position, ClaimError> {
        self.check_len(payload.len())?;
        self.guess.walk.forget();
        let (p, _) = self.claim(1, 1)?;
        self.fill(p, self.ring.slots.at(p), tag, payload);
        self.committed(p);
        self.guess.begin_at(p.plus(1));
        Ok(p)
    }

    /// Remembers that a claim has been announced whose race was lost.
    #[cold]
    fn lost(&mut self) {
        self.guess.walk.forget();
        self.announced = true;
    }

    /// Writes a message into the claimed slot of `p`, and publishes it.
    #[inline(always)]
    fn fill(&self, p: Position, slot: Slot<'m>, tag: u32, payload: &[u8]) {
        // There is a span: the length has been checked.
        if let Some(span) = slot.span(payload.len() as u64) {
            span.copy_in(payload);
        }
        slot.store_meta(meta(payload.len() as u64, tag), ord!(MP8, Relaxed));
        self.publish(committed(p, 0), slot);
    }

    /// Claims a slot for a message of up to `len` bytes. A claim that is dropped moves its slot on, marked void.
    ///
    /// # Errors
    /// [`ClaimError`].
    #[inline(always)]
    pub fn try_claim(&mut self, len: usize) -> Result<Claim<'_, 'm>, ClaimError> {
        let (place, slot, ahead) = match self.claim_one_guessed(len) {
            Some(claimed) => claimed,
            None => self.claim_one(len)?,
        };
        // There is a span: the length has been checked.
        let Some(span) = slot.span(len as u64) else { return Err(self.too_long(len)) };
        Ok(self.lend(place, slot, span, ahead))
    }

    /// The quick part of [`Producer::try_claim`], for `len` bytes, small enough to become part of any caller. A claim means
    /// what it means there, and is published as one of there: by the Release store of its commit. `None` is no refusal, not
    /// even a guess: nothing is claimed, and `try_claim` must be called for an answer. The only producer of a ring made for
    /// one never gets another.
    ///
    /// ```
    /// # use ring_core::{Line, Region, Verdict, mpmc};
    /// # static MEMORY: [Line; 128] = [const { Line::new() }; 128];
    /// # let ring = mpmc::Ring::format(Region::new(&MEMORY), &mpmc::Format::new(16, 48).participants(8))?;
    /// # let mut tx = ring.join_producer(ring.next_lease()?, |_| Verdict::Alive)?;
    /// assert!(tx.claim_guessed(5).is_none()); // it has not claimed before: where is the tail?
    /// tx.try_claim(5)?.commit();
    ///
    /// let mut claim = tx.claim_guessed(5).expect("nobody else sends, and there is room");
    /// claim.write(b"hello");
    /// assert_eq!(claim.commit().get(), 1);
    /// assert!(tx.claim_guessed(49).is_none()); // `try_claim` says `TooLong`
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn claim_guessed(&mut self, len: usize) -> Option<Claim<'_, 'm>> {
        let (place, slot, ahead) = self.claim_one_guessed(len)?;
        let span = slot.span(len as u64)?;
        Some(self.lend(place, slot, span, ahead))
    }

    #[inline(always)]
    fn claim_one_guessed(&mut self, len: usize) -> Option<(Place, Slot<'m>, Ahead)> {
        let place = self.guess.place();
        let (passed, _) = self.take_guessed(self.ring.ends(), place, len)?;
        Some((place, passed.slot, passed.ahead))
    }

    /// The same without a guess.
    #[cold]
    #[inline(never)]
    fn claim_one(&mut self, len: usize) -> Result<(Place, Slot<'m>, Ahead), ClaimError> {
        self.check_len(len)?;
        self.guess.walk.forget();
        let (p, _) = self.claim(1, 1)?;
        if !self.single {
            self.guess.begin_at(p.plus(1));
        }
        Ok((Place::of(p), self.ring.slots.at(p), self.ring.slots.ahead(p)))
    }

    /// Hands out a claimed slot.
    #[inline(always)]
    fn lend(&mut self, place: Place, slot: Slot<'m>, span: Span<'m>, ahead: Ahead) -> Claim<'_, 'm> {
        self.open = place.intent();
        self.guess.walk.rest();
        Claim { producer: self, slot, draft: Draft::new(span), place, ahead, tag: 0 }
    }

    /// Publishes the message of a guard by one Release store.
    #[inline(always)]
    pub(super) fn commit(&mut self, place: Place, slot: Slot<'m>, ahead: Ahead, len: usize, tag: u32) {
        let ends = self.ring.ends();
        slot.store_meta(meta(len as u64, tag), ord!(MP8, Relaxed));
        self.publish(place.committed(), slot);
        self.open = Intent::NONE;
        self.guess.walk.go_on();
        self.published(ends, place, ahead);
    }
}
