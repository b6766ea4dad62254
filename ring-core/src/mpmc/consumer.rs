//! The consumer's handle: announce, claim, read, release. What to do when there is nothing at the head stands in
//! `empty.rs`, messages that lost their reader in `redelivery.rs`.

use core::cell::Cell;
use core::marker::PhantomData;

use super::batch::ReadBatch;
use super::error::{Blocked, ReadError};
use super::membership;
use super::pace::Pace;
use super::participant::Entry;
use super::pop::{is_message, load_word};
use super::record::Record;
use super::repair::Repair;
use super::ring::Ring;
use super::word::{
    Intent, MAX_ATTEMPT, MAX_BATCH, SlotState, State, committed, free, meta_len, meta_tag, orphaned, void,
};
use crate::error::{Corrupt, Field};
use crate::park::Sleeper;
use crate::position::Position;
use crate::region::{Slot, Span};
use crate::seat::{Role, SeatFacts, Verdict};
use crate::sync::{Word, ord};

/// A reading handle of an MPMC ring. `Send`, not `Sync`. [`Consumer::leave`] gives its entry back; without that the
/// entry stays taken until its lease is proven dead.
#[derive(Debug)]
pub struct Consumer<'m> {
    pub(super) ring: Ring<'m>,
    pub(super) intent: &'m Word,
    /// Single consumer: the head.
    pub(super) next: Position,
    /// The head as our last claim left it, or [`NO_GUESS`], as for producers.
    pub(super) guess: Position,
    /// The slot of the guess.
    pub(super) next_slot: Slot<'m>,
    /// What a record or batch guard holds; settled by the guard, or by the next operation if it was forgotten.
    pub(super) held: Intent,
    /// What was claimed for the next operation, or did not fit into the caller's buffer.
    pub(super) pending: Option<Found>,
    /// Whether the intent names a claim whose race was lost.
    pub(super) announced: bool,
    pub(super) single: bool,
    /// Whether this handle was refused since it last claimed: a wake that was meant for it may concern others.
    pub(super) refused: bool,
    pub(super) pace: Pace,
    pub(super) lease: u64,
    entry: Entry<'m>,
    not_sync: PhantomData<Cell<()>>,
}

/// A message that is claimed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) position: Position,
    /// Deliveries before this one.
    pub(super) attempt: u64,
    /// Positions claimed with it; of the others nothing is said.
    pub(super) count: u64,
}

/// A message that has been claimed, its length checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened<'m> {
    pub(super) span: Span<'m>,
    pub(super) received: Received,
}

/// No position of any ring.
pub(super) const NO_GUESS: Position = Position::new(u64::MAX);

/// What came with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Payload bytes.
    pub len: usize,
    /// The sender's tag.
    pub tag: u32,
    /// The delivery id.
    pub position: Position,
    /// Whether a consumer that did not release it may have seen this message. May be true wrongly, never false
    /// wrongly.
    pub redelivered: bool,
    /// Deliveries before this one.
    pub attempt: u32,
    /// Whether it has had all the deliveries the ring allows: for the path the user chose, not for ordinary work.
    pub dead_letter: bool,
}

impl Received {
    /// What comes with a message that was not delivered before.
    #[inline(always)]
    const fn first(len: usize, tag: u32, position: Position) -> Self {
        Self { len, tag, position, redelivered: false, attempt: 0, dead_letter: false }
    }
}

impl<'m> Consumer<'m> {
    /// A consumer in `entry`; `next` matters to the only one.
    pub(super) fn new(ring: &Ring<'m>, entry: Entry<'m>, lease: u64, next: Position) -> Self {
        Self {
            ring: *ring,
            intent: entry.intent(Role::Consumer),
            next,
            guess: NO_GUESS,
            next_slot: ring.slots.at(next),
            held: Intent::NONE,
            pending: None,
            announced: false,
            single: ring.single(Role::Consumer),
            refused: false,
            pace: Pace::new(),
            lease,
            entry,
            not_sync: PhantomData,
        }
    }

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
        let (p, slot) = (self.guess, self.next_slot);
        if p == NO_GUESS || load_word(slot) != committed(p, 0) {
            return None;
        }
        if !self.single && self.move_head(p, 1).is_err() {
            self.lost();
            return None;
        }
        self.guess = p.plus(1);
        self.ring.slots.advance(&mut self.next_slot, p.plus(1));
        let meta = slot.load_meta(ord!(MC10, Relaxed));
        // A buffer as long as the message: no loops, and no questions left.
        let span = slot.span(buf.len() as u64).filter(|span| meta_len(meta) == span.len() as u64);
        let Some(span) = span.filter(|_| meta_len(meta) <= self.ring.slot_size) else {
            self.keep_pending(Found { position: p, attempt: 0, count: 1 });
            return None;
        };
        span.copy_out(buf);
        self.free_slot(p, slot);
        self.settled(p.plus(1));
        self.ring.tell_senders(1);
        Some(Received::first(span.len(), meta_tag(meta), p))
    }

    /// The same where the guess was of no use, or not yet: while its slot is free, it is the head.
    #[cold]
    #[inline(never)]
    fn recv_slowly(&mut self, buf: &mut [u8]) -> Result<Received, ReadError> {
        let p = self.guess;
        if p != NO_GUESS && self.next_slot.word().load(ord!(MC16, Relaxed)) == free(p) && self.changes(p) {
            if let Some(received) = self.recv_guessed(buf) {
                return Ok(received);
            }
        }
        self.guess = NO_GUESS;
        let found = self.find()?;
        let received = self.recv_claimed(found, buf)?;
        // A message of before comes from behind the head.
        if received.attempt == 0 {
            self.goes_on_at(received.position.plus(1));
        }
        Ok(received)
    }

    /// Guesses that the next message is that of `p`, after ours.
    fn goes_on_at(&mut self, p: Position) {
        self.guess = p;
        self.next_slot = self.ring.slots.at(p);
    }

    /// Remembers that a claim has been announced whose race was lost.
    #[cold]
    fn lost(&mut self) {
        (self.guess, self.announced) = (NO_GUESS, true);
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
        Ok(opened.received)
    }

    /// Lends the next message in place. [`Record::release`] gives its slot back. A record that is dropped or kept
    /// goes back to the ring, and comes again, flagged, to whoever asks next (this crate cannot tell an unwinding
    /// drop from another).
    ///
    /// # Errors
    /// [`ReadError`].
    #[inline]
    pub fn try_read(&mut self) -> Result<Record<'_, 'm>, ReadError> {
        let found = self.find()?;
        self.lend(found)
    }

    /// Claims up to `max` messages by one compare-and-swap, as many as are committed now.
    ///
    /// # Errors
    /// [`ReadError`] when there is not even one.
    pub fn try_read_batch(&mut self, max: usize) -> Result<ReadBatch<'_, 'm>, ReadError> {
        let found = match self.take_pending() {
            Some(found) => found,
            None => self.claim_batch(max)?,
        };
        self.hold(found);
        Ok(ReadBatch::new(self, found.position, found.count))
    }

    /// Claims a message for the next read of this handle, or up to `max` for its next batch, which then cannot fail
    /// for lack of one. For loops that wait: a guard cannot be returned out of a loop that goes on borrowing its handle.
    ///
    /// More than one are for a batch alone: any other operation gives them back to the ring.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn fetch(&mut self, max: usize) -> Result<(), ReadError> {
        let found = match self.take_pending() {
            Some(found) => found,
            None => self.claim_batch(max)?,
        };
        self.keep_pending(found);
        Ok(())
    }

    fn keep_pending(&mut self, found: Found) {
        self.pending = Some(found);
        self.guess = NO_GUESS;
    }

    /// Claims as many messages as one claim can, up to `max`.
    fn claim_batch(&mut self, max: usize) -> Result<Found, ReadError> {
        self.claim((max as u64).clamp(1, self.ring.slots.count().min(MAX_BATCH)))
    }

    /// The next message, claimed.
    #[inline(always)]
    pub(super) fn find(&mut self) -> Result<Found, ReadError> {
        if self.held != Intent::NONE || self.pending.is_some() {
            if let Some(found) = self.take_pending() {
                if found.count == 1 {
                    return Ok(found);
                }
                self.put_back_all(found.position, found.count);
            }
        }
        self.claim(1)
    }

    /// Settles what a forgotten guard has left; the message that did not fit, if there is one.
    #[cold]
    pub(super) fn take_pending(&mut self) -> Option<Found> {
        self.abandon_held();
        self.pending.take()
    }

    /// Hands a claimed message to the caller in place.
    #[inline(always)]
    pub(super) fn lend(&mut self, found: Found) -> Result<Record<'_, 'm>, ReadError> {
        let opened = self.open(found)?;
        self.hold(found);
        Ok(Record { consumer: self, opened })
    }

    /// Remembers, and as the only consumer tells successors, what is handed out. The others have announced it.
    #[inline(always)]
    fn hold(&mut self, found: Found) {
        self.held = Intent::new(found.position, found.count);
        self.guess = NO_GUESS;
        if self.single {
            // Relaxed: only a successor reads it, after the proof of our death.
            self.intent.store(self.held.0, ord!(MS5, Relaxed));
        }
    }

    /// Reads length and tag of a claimed message. An impossible length costs the message.
    #[inline(always)]
    fn open(&mut self, found: Found) -> Result<Opened<'m>, ReadError> {
        let opened = self.open_held(found);
        if opened.is_err() {
            self.release(found.position);
        }
        Ok(opened?)
    }

    /// The same, leaving an impossible one claimed.
    #[inline(always)]
    pub(super) fn open_held(&self, found: Found) -> Result<Opened<'m>, Corrupt> {
        let slot = self.ring.slots.at(found.position);
        let meta = slot.load_meta(ord!(MC10, Relaxed));
        let span = if meta_len(meta) <= self.ring.slot_size { slot.span(meta_len(meta)) } else { None };
        let span = span.ok_or(Corrupt::new(Field::SlotLen, meta, found.position.get()))?;
        let received = Received {
            len: span.len(),
            tag: meta_tag(meta),
            position: found.position,
            redelivered: found.attempt > 0,
            #[expect(clippy::cast_possible_truncation, reason = "five bits")]
            attempt: found.attempt as u32,
            dead_letter: self.ring.attempts != 0 && found.attempt >= self.ring.attempts,
        };
        Ok(Opened { span, received })
    }

    /// Gives the slot of `p` back to the producers.
    #[inline(always)]
    pub(super) fn release(&mut self, p: Position) {
        self.free(p);
        self.settled(p.plus(1));
        self.ring.tell_senders(1);
    }

    /// Marks the slot of `p` free for the next lap.
    #[inline(always)]
    pub(super) fn free(&self, p: Position) {
        self.free_slot(p, self.ring.slots.at(p));
    }

    #[inline(always)]
    fn free_slot(&self, p: Position, slot: Slot<'m>) {
        // Release, partner of MP2: our reads come before the next writer's stores.
        slot.word().store(free(p.plus(self.ring.slots.count())), ord!(MC6, Release));
    }

    /// Everything claimed is settled; the only consumer's head goes to `end`.
    #[inline(always)]
    pub(super) fn settled(&mut self, end: Position) {
        self.held = Intent::NONE;
        self.pace.done();
        if self.single {
            self.moved(end);
        }
    }

    #[inline(always)]
    pub(super) fn moved(&mut self, end: Position) {
        self.next = end;
        // Relaxed: it is read by successors, whom the proof of our death orders, and for statistics.
        self.ring.head.store(end.get(), ord!(MS8, Relaxed));
    }

    /// Gives a message back to the ring, for whoever asks next.
    pub(super) fn put_back(&self, p: Position) {
        let slot = self.ring.slots.at(p);
        let state = SlotState::decode(slot.word().load(ord!(MC11, Relaxed)), p, self.ring.slots.count());
        let Ok(Some(State::Committed(attempt))) = state.map(|s| s.at(p)) else { return };
        let attempt = attempt.wrapping_add(1).min(MAX_ATTEMPT);
        if self.single {
            // Relaxed: we have it ourselves next, or a successor after the proof of our death.
            slot.word().store(committed(p, attempt), ord!(MS9, Relaxed));
            return;
        }
        // Release, partner of MD3: payload and our reads of it come before the adopter's.
        slot.word().store(orphaned(p, attempt), ord!(MC12, Release));
        self.ring.orphans.fetch_or(1, ord!(MC13, Release));
        self.ring.tell_receivers(1);
    }

    /// Puts back `count` claimed positions from `first` on, and withdraws the intent: a live one would keep others
    /// from settling them after their next reader's death.
    pub(super) fn put_back_all(&mut self, first: Position, count: u64) {
        for p in Intent::new(first, count).positions() {
            self.put_back(p);
        }
        if !self.single {
            self.clear_intent();
        }
        self.held = Intent::NONE;
    }

    /// Puts back what a guard holds.
    #[cold]
    pub(super) fn put_back_held(&mut self) {
        if self.held != Intent::NONE {
            self.put_back_all(self.held.first(), self.held.count());
        }
    }

    /// Does with what a guard holds, or held when it was forgotten, what the death of this handle would do: nobody
    /// knows what has come of it.
    #[cold]
    pub(super) fn abandon_held(&mut self) {
        if self.ring.attempts == 0 && self.held != Intent::NONE {
            let (first, count) = (self.held.first(), self.held.count());
            self.release_all(first, first.plus(count), first.plus(count));
        }
        self.put_back_held();
    }

    /// Whether the next read would probably succeed: one or two relaxed loads, for loops that wait. Only a read tells
    /// for sure, and why not; it must be tried now and then, or a dead writer is never noticed.
    #[inline]
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let p = if self.single { self.next } else { Position::new(self.ring.head.load(ord!(MC14, Relaxed))) };
        let word = self.ring.slots.at(p).word().load(ord!(MC15, Relaxed));
        is_message(word, p) || word == void(p)
    }

    /// Settles what an operation said it was blocked by, if its owner is proven dead. See [`Ring::repair`].
    ///
    /// # Errors
    /// [`Corrupt`] for impossible words.
    pub fn repair(&mut self, blocked: Blocked, verdict: impl FnMut(u64) -> Verdict) -> Result<Repair, Corrupt> {
        self.ring.repair(blocked, self.lease, verdict)
    }

    /// Gives the entry back; what this handle still holds goes back to the ring, but for what a forgotten guard has
    /// left in a ring that delivers at most once.
    pub fn leave(mut self) {
        if let Some(found) = self.take_pending() {
            self.put_back_all(found.position, found.count);
        }
        if self.single {
            self.clear_intent();
        }
        membership::leave(&self.entry, self.lease);
    }

    /// Where this handle sleeps until messages are committed.
    #[must_use]
    pub fn sleeper(&self) -> Option<Sleeper<'m>> {
        self.ring.sleeper(&self.entry, Role::Consumer)
    }

    /// For who withdraws from a sleep, finds its bit taken and does not look: wakes another one for what it may have been
    /// woken for.
    #[cold]
    pub fn pass_wake(&self) {
        // Relaxed, as in `pass_on`: withdrawing has acquired what the bit was taken for.
        if self.is_ready() || self.ring.orphans.load(ord!(ME6, Relaxed)) != 0 {
            self.ring.tell_receivers(1);
        }
        if self.sleeper().is_some_and(|sleeper| sleeper.waits_for_the_end()) {
            self.ring.tell_senders(1);
        }
    }

    /// Writes who holds this handle.
    pub fn set_facts(&self, facts: SeatFacts) {
        self.entry.set_facts(self.lease, facts);
    }

    /// The ring.
    #[must_use]
    pub fn ring(&self) -> &Ring<'m> {
        &self.ring
    }

    /// The lease this handle works under.
    #[must_use]
    pub fn lease(&self) -> u64 {
        self.lease
    }

    /// Its place in the participant table.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.entry.index
    }
}
