//! The consumer's handle: announce, claim, read, release. Receiving one message stands in `recv.rs`, what to do when there
//! is nothing at the head in `empty.rs`, messages that lost their reader in `redelivery.rs`.

use core::cell::Cell;
use core::marker::PhantomData;

use super::batch::ReadBatch;
use super::error::{Blocked, ReadError};
use super::guess::Guess;
use super::membership;
use super::pace::Pace;
use super::participant::Entry;
use super::pop::is_message;
use super::repair::Repair;
use super::ring::Ring;
use super::word::{
    Intent, Lap, MAX_ATTEMPT, MAX_BATCH, Place, SlotState, State, committed, meta_len, meta_tag, orphaned, void,
};
use crate::error::{Corrupt, Field};
use crate::park::Sleeper;
use crate::position::Position;
use crate::region::Slot;
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
    pub(super) guess: Guess<'m>,
    lap: Lap,
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

/// A message that has been claimed, its length checked. Without padding: it is handed on by value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened<'m> {
    /// With room for the payload and no more.
    pub(super) slot: Slot<'m>,
    pub(super) place: Place,
    pub(super) tag: u32,
    /// Deliveries before this one.
    pub(super) attempt: u32,
}

impl Opened<'_> {
    /// What came with it, in a ring that allows so many `attempts`.
    #[inline(always)]
    pub(super) fn received(&self, attempts: u64) -> Received {
        Received {
            len: self.slot.room(),
            tag: self.tag,
            position: self.place.position(),
            redelivered: self.attempt > 0,
            attempt: self.attempt,
            dead_letter: attempts != 0 && u64::from(self.attempt) >= attempts,
        }
    }
}

/// What came with a message.
// In this order its gaps have the sizes of numbers. A gap of another size is copied through memory by today's compilers, for
// each message, where it shares its place with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Received {
    /// Payload bytes.
    pub len: usize,
    /// The delivery id.
    pub position: Position,
    /// Whether a consumer that did not release it may have seen this message. May be true wrongly, never false
    /// wrongly.
    pub redelivered: bool,
    /// Whether it has had all the deliveries the ring allows: for the path the user chose, not for ordinary work.
    pub dead_letter: bool,
    /// The sender's tag.
    pub tag: u32,
    /// Deliveries before this one.
    pub attempt: u32,
}

impl Received {
    /// What comes with a message that was not delivered before.
    #[inline(always)]
    pub(super) const fn first(len: usize, tag: u32, position: Position) -> Self {
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
            guess: Guess::new(ring, Role::Consumer),
            lap: Lap::of(ring.slots.count()),
            held: Intent::NONE,
            pending: None,
            announced: false,
            single: ring.single(Role::Consumer),
            refused: false,
            pace: Pace::new(ring.single(Role::Consumer) || !ring.wake().is_light()),
            lease,
            entry,
            not_sync: PhantomData,
        }
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
        self.guess.walk.forget();
        self.hold(Intent::new(found.position, found.count));
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

    pub(super) fn keep_pending(&mut self, found: Found) {
        self.pending = Some(found);
        self.guess.walk.forget();
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

    /// Remembers, and as the only consumer tells successors, what is handed out. The others have announced it. The guess
    /// rests.
    #[inline(always)]
    pub(super) fn hold(&mut self, held: Intent) {
        self.held = held;
        self.guess.walk.rest();
        if self.single {
            // Relaxed: only a successor reads it, after the proof of our death.
            self.intent.store(held.0, ord!(MS5, Relaxed));
        }
    }

    /// Reads length and tag of a claimed message. An impossible length costs the message.
    #[inline(always)]
    pub(super) fn open(&mut self, found: Found) -> Result<Opened<'m>, ReadError> {
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
        let slot = if meta_len(meta) <= self.ring.slot_size { slot.with(meta_len(meta)) } else { None };
        let slot = slot.ok_or(Corrupt::new(Field::SlotLen, meta, found.position.get()))?;
        #[expect(clippy::cast_possible_truncation, reason = "five bits")]
        let attempt = found.attempt as u32;
        Ok(Opened { slot, place: Place::of(found.position), tag: meta_tag(meta), attempt })
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
        self.free_slot(committed(p, 0), self.ring.slots.at(p));
    }

    /// The same where `committed` is the word of the message of that position, be it in the slot or not.
    #[inline(always)]
    pub(super) fn free_slot(&self, committed: u64, slot: Slot<'m>) {
        // Release, partner of MP2: our reads come before the next writer's stores.
        slot.word().store(self.lap.free_after(committed), ord!(MC6, Release));
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
        self.ring.head().store(end.get(), ord!(MS8, Relaxed));
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
        let p = if self.single { self.next } else { Position::new(self.ring.head().load(ord!(MC14, Relaxed))) };
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
