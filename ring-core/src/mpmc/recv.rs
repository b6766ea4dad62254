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
use super::word::{Intent, Place, meta_len, meta_tag};
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

    /// The quick part of [`Consumer::try_recv_into`], small enough to become part of any caller. What it returns means what it
    /// means there. `None` is no refusal, not even a guess: `try_recv_into` must be called for an answer. A message that is
    /// not exactly as long as `buf` may have been claimed; then that call, or the next of this handle, gets it. As there, it may
    /// wait a microsecond or two for a message that is due.
    #[inline(always)]
    pub fn recv_guessed(&mut self, buf: &mut [u8]) -> Option<Received> {
        // Who has waited for a message takes it the quick way too: it is late already. Twice at most: nobody waits again before
        // something has come.
        loop {
            if let Some(received) = self.recv_here(buf) {
                return Some(received);
            }
            if !self.becomes_ready() {
                return None;
            }
        }
    }

    /// Receives the message of the guess, if it is there.
    #[inline(always)]
    fn recv_here(&mut self, buf: &mut [u8]) -> Option<Received> {
        let (ends, place) = (self.ring.ends(), self.guess.place());
        let (Passed { slot, ahead, .. }, committed) = match self.take_guessed(ends, place, buf.len()) {
            Some(taken) => taken,
            None => self.take_guessed_alone(buf.len())?,
        };
        // To own them: in a stream the line of a slot ahead, which is to be given back as well (decision 0036); else this one's (0041).
        match self.pace.streams() {
            true => ahead.prefetch_write(),
            false => slot.prefetch_write(),
        }
        let meta = slot.load_meta(ord!(MC10, Relaxed));
        // A buffer as long as the message: no loops, and no questions left. The slot has the room that it was taken for.
        let Some(span) = slot.span(buf.len() as u64).filter(|_| meta_len(meta) == buf.len() as u64) else {
            self.does_not_fit(place);
            return None;
        };
        span.copy_out(buf);
        self.free_slot(committed, slot);
        self.given_back(ends, place);
        Some(Received::first(buf.len(), meta_tag(meta), place.position()))
    }

    /// The same where the guess was of no use, or not yet.
    #[cold]
    #[inline(never)]
    fn recv_slowly(&mut self, buf: &mut [u8]) -> Result<Received, ReadError> {
        self.guess.walk.forget();
        let found = self.find()?;
        let received = self.recv_claimed(found, buf)?;
        self.goes_on_behind(found);
        Ok(received)
    }

    /// Copies the claimed message out and releases it.
    #[inline(never)]
    fn recv_claimed(&mut self, found: Found, buf: &mut [u8]) -> Result<Received, ReadError> {
        let opened = self.open(found)?;
        if opened.slot.room() > buf.len() {
            self.keep_pending(found);
            return Err(ReadError::BufferTooSmall { needed: opened.slot.room() });
        }
        opened.slot.payload().copy_out(buf);
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

    /// The quick part of [`Consumer::try_read`], small enough to become part of any caller. A record means what it means
    /// there: all that was written before the commit is seen (Acquire), and it was not delivered before. `None` is no
    /// refusal, not even a guess: `try_read` must be called for an answer. The only consumer of a ring made for one never
    /// gets another. As there, it may wait a microsecond or two for a message that is due.
    ///
    /// ```
    /// # use ring_core::{Line, Region, Verdict, mpmc};
    /// # static MEMORY: [Line; 128] = [const { Line::new() }; 128];
    /// # let ring = mpmc::Ring::format(Region::new(&MEMORY), &mpmc::Format::new(16, 48).participants(8))?;
    /// # let mut tx = ring.join_producer(ring.next_lease()?, |_| Verdict::Alive)?;
    /// # let mut rx = ring.join_consumer(ring.next_lease()?, |_| Verdict::Alive)?;
    /// tx.try_send(7, b"hello")?;
    /// tx.try_send(8, b"again")?;
    /// assert!(rx.read_guessed().is_none()); // it has not claimed before: where is the head?
    /// rx.try_read()?.release();
    ///
    /// let record = rx.read_guessed().expect("nobody else receives, and it is committed");
    /// assert_eq!((record.tag(), record.len()), (8, 5));
    /// record.release();
    /// assert!(rx.read_guessed().is_none()); // `try_read` says `Empty`
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn read_guessed(&mut self) -> Option<Record<'_, 'm>> {
        let opened = self.open_guessed()?;
        Some(Record { consumer: self, opened })
    }

    /// Claims and holds the message of the guess, be it after a wait.
    #[inline(always)]
    fn open_guessed(&mut self) -> Option<Opened<'m>> {
        // As in `recv_guessed`.
        loop {
            if let Some(opened) = self.open_here() {
                return Some(opened);
            }
            if !self.becomes_ready() {
                return None;
            }
        }
    }

    /// Claims and holds the message of the guess, if it is there.
    #[inline(always)]
    fn open_here(&mut self) -> Option<Opened<'m>> {
        let (ends, place, own, mut raced) = (self.ring.ends(), self.guess.place(), self.intent, false);
        let taken = self.guess.take_any(|slot, word| load_word(slot) == *word && claims(own, ends, place, &mut raced));
        let Passed { slot, .. } = self.claimed(place, taken, raced)?;
        let meta = slot.load_meta(ord!(MC10, Relaxed));
        // The slot has the room that the longest message may take.
        let Some(slot) = slot.with(meta_len(meta)) else {
            self.keep_pending(Found { position: place.position(), attempt: 0, count: 1 });
            return None;
        };
        self.held = place.intent();
        self.guess.walk.rest();
        Some(Opened { slot, place, tag: meta_tag(meta), attempt: 0 })
    }

    /// The same where the guess was of no use, or not yet.
    #[cold]
    #[inline(never)]
    fn open_slowly(&mut self) -> Result<Opened<'m>, ReadError> {
        self.guess.walk.forget();
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
        self.guess.walk.go_on();
        if self.pace.streams() {
            self.guess.walk.ahead().prefetch_write();
        }
        self.given_back(ends, place);
    }

    /// Claims the message of the guess, at `place`, if it may have `len` bytes: its slot, and the word of it, which was the
    /// committed one. `None`: there is no guess, or it was of no use.
    #[inline(always)]
    fn take_guessed(&mut self, ends: Ends<'m>, place: Place, len: usize) -> Option<(Passed<'m>, u64)> {
        let (own, mut raced, mut found) = (self.intent, false, 0);
        let taken = self.guess.take(len, |slot, committed| {
            found = load_word(slot);
            found == *committed && claims(own, ends, place, &mut raced)
        });
        Some((self.claimed(place, taken, raced)?, found))
    }

    /// The same for the only consumer: there is nobody to race with.
    #[inline(always)]
    fn take_guessed_alone(&mut self, len: usize) -> Option<(Passed<'m>, u64)> {
        let mut found = 0;
        let taken = self.guess.take_alone(len, |slot, committed| {
            found = load_word(slot);
            found == *committed
        })?;
        Some((taken, found))
    }

    /// What was claimed at `place` has another length than the buffer.
    #[cold]
    #[inline(never)]
    fn does_not_fit(&mut self, place: Place) {
        self.keep_pending(Found { position: place.position(), attempt: 0, count: 1 });
    }

    /// What was taken at `place`, if it was. If not, a race for it may have been lost.
    #[inline(always)]
    fn claimed(&mut self, place: Place, taken: Option<Passed<'m>>, raced: bool) -> Option<Passed<'m>> {
        if taken.is_some() {
            self.note_claim(place.intent());
        } else if raced {
            self.lost();
        }
        taken
    }

    /// Remembers that a claim has been announced whose race was lost.
    #[cold]
    fn lost(&mut self) {
        self.guess.walk.forget();
        self.announced = true;
    }

    /// Guesses that the next message is that after `found`, which is ours. A message of before comes from behind the head.
    fn goes_on_behind(&mut self, found: Found) {
        if found.attempt == 0 {
            self.guess.begin_at(found.position.plus(1));
        }
    }

    /// Whether the slot of the guess, which waits for its message, gets it while we look: while it is free, it is the head.
    #[cold]
    #[inline(never)]
    fn becomes_ready(&mut self) -> bool {
        let free = self.guess.place().free();
        let waits = self.guess.walk.slot().is_some_and(|slot| slot.word().load(ord!(MC16, Relaxed)) == free);
        waits && self.changes(self.guess.place().position())
    }

    /// What follows the release of the message of `place`.
    #[inline(always)]
    fn given_back(&mut self, ends: Ends<'m>, place: Place) {
        if self.pace.has_more(|| ends.senders_seem_to_wait(self.ring.wake())) {
            self.end_of_recv(place.position());
        }
    }

    /// The same of an only consumer, of one that fences, or with somebody to wake.
    #[inline(never)]
    fn end_of_recv(&mut self, p: Position) {
        self.settled(p.plus(1));
        self.ring.tell_senders(1);
    }
}

/// Whether the message of `place`, which is in its slot, becomes ours; says if a race for it was lost.
#[inline(always)]
fn claims(own: &Word, ends: Ends<'_>, place: Place, raced: &mut bool) -> bool {
    *raced = swap_head(own, ends, place.intent(), place.position(), 1).is_err();
    !*raced
}
