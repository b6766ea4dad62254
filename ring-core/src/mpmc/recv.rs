//! Receiving one message, copied or in place: the quick part, where the head is guessed right, and the way around it.
//!
//! A handle that knows where the head stood after its own last claim looks at that slot without looking at the head: the
//! compare-and-swap finds out. The quick part of each operation returns by itself and becomes part of its caller; all else is
//! one call away. Figures: decision 0019.

use super::consumer::{Consumer, Found, Opened, Received};
use super::ends::Ends;
use super::error::ReadError;
use super::pop::{load_word, swap_head};
use super::record::Record;
use super::word::{Intent, MAX_POSITION, Place, meta_len, meta_tag};
use crate::position::Position;
use crate::region::{Passed, Slot};
use crate::sync::{Word, ord};

impl<'m> Consumer<'m> {
    /// Copies the next message out and releases it.
    ///
    /// # Errors
    /// [`ReadError`]; on `BufferTooSmall` this handle keeps the message for its next call.
    #[inline(always)]
    pub fn try_recv_into(&mut self, buf: &mut [u8]) -> Result<Received, ReadError> {
        match self.recv_guessed(buf) {
            Some(received) => Ok(received),
            None => self.recv_slowly(buf),
        }
    }

    /// The quick part of [`Consumer::try_recv_into`], small enough to become part of any caller. `None` means nothing
    /// but that `try_recv_into` must be called for an answer.
    #[inline(always)]
    pub fn recv_guessed(&mut self, buf: &mut [u8]) -> Option<Received> {
        let (ends, place) = (self.ring.ends(), self.place);
        let committed = place.committed(); // computed once, whichever way is taken
        let slot = match self.claim_guessed(ends, place, committed, buf.len()) {
            Some(slot) => slot,
            None => self.claim_guessed_alone(place, committed, buf.len())?,
        };
        let meta = slot.load_meta(ord!(MC10, Relaxed));
        // A buffer as long as the message: no loops, and no questions left. The slot has the room that it was taken for.
        let Some(span) = slot.span(buf.len() as u64).filter(|_| meta_len(meta) == buf.len() as u64) else {
            self.keep_pending(Found { position: place.position(), attempt: 0, count: 1 });
            return None;
        };
        span.copy_out(buf);
        self.free_slot(committed, slot);
        self.released(ends, place);
        Some(Received::first(buf.len(), meta_tag(meta), place.position()))
    }

    /// The same where the guess was of no use, or not yet.
    #[cold]
    #[inline(never)]
    fn recv_slowly(&mut self, buf: &mut [u8]) -> Result<Received, ReadError> {
        if self.becomes_ready() {
            if let Some(received) = self.recv_guessed(buf) {
                return Ok(received);
            }
        }
        self.walk.forget();
        let found = self.find()?;
        let received = self.recv_claimed(found, buf)?;
        self.goes_on_behind(found);
        Ok(received)
    }

    /// Copies the claimed message out and releases it.
    #[inline(never)]
    fn recv_claimed(&mut self, found: Found, buf: &mut [u8]) -> Result<Received, ReadError> {
        let opened = self.open(found)?;
        if opened.span.len() > buf.len() {
            self.keep_pending(found);
            return Err(ReadError::BufferTooSmall { needed: opened.span.len() });
        }
        opened.span.copy_out(buf);
        self.release(found.position);
        Ok(opened.received(self.ring.attempts))
    }

    /// Lends the next message in place. [`Record::release`] gives its slot back. A record that is dropped or kept
    /// goes back to the ring, and comes again, flagged, to whoever asks next (this crate cannot tell an unwinding
    /// drop from another).
    ///
    /// # Errors
    /// [`ReadError`].
    #[inline(always)]
    pub fn try_read(&mut self) -> Result<Record<'_, 'm>, ReadError> {
        let opened = match self.open_guessed() {
            Some(opened) => opened,
            None => self.open_slowly()?,
        };
        Ok(Record { consumer: self, opened })
    }

    /// The quick part of [`Consumer::try_read`], as [`recv_guessed`](Self::recv_guessed) is that of `try_recv_into`.
    #[inline(always)]
    pub fn read_guessed(&mut self) -> Option<Record<'_, 'm>> {
        let opened = self.open_guessed()?;
        Some(Record { consumer: self, opened })
    }

    /// Claims and holds the message of the guess.
    #[inline(always)]
    fn open_guessed(&mut self) -> Option<Opened<'m>> {
        let (ends, place, own, mut raced) = (self.ring.ends(), self.place, self.intent, false);
        let taken = self.walk.take_any(|slot| claims(slot, place.committed(), own, ends, place, &mut raced));
        let slot = self.guess_next(place, taken, raced)?;
        let meta = slot.load_meta(ord!(MC10, Relaxed));
        // The slot has the room that the longest message may take.
        let Some(span) = slot.span(meta_len(meta)) else {
            self.keep_pending(Found { position: place.position(), attempt: 0, count: 1 });
            return None;
        };
        self.held = place.intent();
        self.walk.rest();
        Some(Opened { slot, span, place, tag: meta_tag(meta), attempt: 0 })
    }

    /// The same where the guess was of no use, or not yet.
    #[cold]
    #[inline(never)]
    fn open_slowly(&mut self) -> Result<Opened<'m>, ReadError> {
        if self.becomes_ready() {
            if let Some(opened) = self.open_guessed() {
                return Ok(opened);
            }
        }
        self.walk.forget();
        let found = self.find()?;
        let opened = self.open(found)?;
        if !self.single {
            self.goes_on_behind(found);
        }
        self.hold(Intent::new(found.position, found.count));
        Ok(opened)
    }

    /// Lends a claimed message in place.
    pub(super) fn lend(&mut self, found: Found) -> Result<Record<'_, 'm>, ReadError> {
        let opened = self.open(found)?;
        self.hold(Intent::new(found.position, found.count));
        Ok(Record { consumer: self, opened })
    }

    /// Gives a slot that was lent back to the producers.
    #[inline(always)]
    pub(super) fn release_lent(&mut self, slot: Slot<'m>, place: Place) {
        let ends = self.ring.ends();
        self.free_slot(place.committed(), slot);
        self.held = Intent::NONE;
        self.walk.go_on();
        self.released(ends, place);
    }

    /// Claims the message of the guess, at `place`, if it may have `len` bytes. `None`: there is no guess, or it was of no
    /// use.
    #[inline(always)]
    fn claim_guessed(&mut self, ends: Ends<'m>, place: Place, committed: u64, len: usize) -> Option<Slot<'m>> {
        let (own, mut raced) = (self.intent, false);
        let taken = self.walk.take(len, |slot| claims(slot, committed, own, ends, place, &mut raced));
        self.guess_next(place, taken, raced)
    }

    /// The same for the only consumer: there is nobody to race with.
    #[inline(always)]
    fn claim_guessed_alone(&mut self, place: Place, committed: u64, len: usize) -> Option<Slot<'m>> {
        let taken = self.walk.take_alone(len, |slot| load_word(slot) == committed);
        self.guess_next(place, taken, false)
    }

    /// The slot that was taken at `place`, if it was, with a guess where the next one is; none if a race was lost.
    #[inline(always)]
    fn guess_next(&mut self, place: Place, taken: Option<Passed<'m>>, raced: bool) -> Option<Slot<'m>> {
        let Some(taken) = taken else {
            if raced {
                self.lost();
            }
            return None;
        };
        self.place = place.next();
        // The last position is that of the last slot.
        if taken.last && self.place.is_beyond_the_last() {
            self.walk.forget();
        }
        if !self.single {
            self.note_claim(place.intent());
        }
        Some(taken.slot)
    }

    /// Remembers that a claim has been announced whose race was lost.
    #[cold]
    fn lost(&mut self) {
        self.walk.forget();
        self.announced = true;
    }

    /// Guesses that the next message is that after `found`, which is ours. A message of before comes from behind the head.
    fn goes_on_behind(&mut self, found: Found) {
        let p = found.position.plus(1);
        self.place = Place::of(p);
        if found.attempt == 0 && p.get() < MAX_POSITION {
            self.walk.begin_at(p);
        }
    }

    /// Whether the slot of the guess, which waits for its message, gets it while we look: while it is free, it is the head.
    fn becomes_ready(&mut self) -> bool {
        let free = self.place.free();
        let waits = self.walk.slot().is_some_and(|slot| slot.word().load(ord!(MC16, Relaxed)) == free);
        waits && self.changes(self.place.position())
    }

    /// What follows the release of the message of `place`.
    #[inline(always)]
    fn released(&mut self, ends: Ends<'m>, place: Place) {
        let wanted = ends.senders_seem_to_wait(self.ring.wake());
        // In a stream one comparison says that nothing is left to do.
        if wanted | (self.pace.rest() != 0) {
            if wanted | self.pace.leaves_more() {
                self.end_of_recv(place.position(), wanted);
            } else {
                self.pace.done();
            }
        }
    }

    /// The same of an only consumer, of one that fences, or with somebody to wake.
    #[inline(never)]
    fn end_of_recv(&mut self, p: Position, wanted: bool) {
        self.settled(p.plus(1));
        if wanted || !self.ring.wake().is_light() {
            self.ring.wake_senders(1);
        }
    }
}

/// Whether the message of `place`, whose word is then `committed`, is in `slot` and becomes ours; says if a race for it was lost.
#[inline(always)]
fn claims(slot: Slot<'_>, committed: u64, own: &Word, ends: Ends<'_>, place: Place, raced: &mut bool) -> bool {
    load_word(slot) == committed && {
        *raced = swap_head(own, ends, place.intent(), place.position(), 1).is_err();
        !*raced
    }
}
