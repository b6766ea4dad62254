//! The producer's handle: announce, claim, commit or abort; sending one message stands in `send.rs`. Between announcing and
//! settling, the intent says whose the claimed slots are; a death anywhere leaves nothing that others cannot attribute.

use core::cell::Cell;
use core::marker::PhantomData;

use super::batch::ClaimBatch;
use super::error::{Blocked, ClaimError};
use super::guess::Guess;
use super::membership;
use super::pace::Pace;
use super::participant::Entry;
use super::repair::Repair;
use super::ring::Ring;
use super::word::{Intent, MAX_BATCH, Tail, free, void};
use crate::error::Corrupt;
use crate::park::Sleeper;
use crate::position::Position;
use crate::region::Slot;
use crate::seat::{Role, SeatFacts, Verdict};
use crate::sync::{Word, ord};

/// A writing handle of an MPMC ring. `Send`, not `Sync`. [`Producer::leave`] gives its entry back; without that the
/// entry stays taken until its lease is proven dead.
#[derive(Debug)]
pub struct Producer<'m> {
    pub(super) ring: Ring<'m>,
    pub(super) intent: &'m Word,
    /// Single producer: where the next message goes.
    pub(super) next: Position,
    /// What a claim or batch guard holds, or the next one will; settled by the guard, or by the next operation if the
    /// guard was forgotten.
    pub(super) open: Intent,
    pub(super) guess: Guess<'m>,
    /// Whether the intent names a claim whose race was lost.
    pub(super) announced: bool,
    /// Whether `open` has been reserved for the next guard.
    pub(super) reserved: bool,
    pub(super) single: bool,
    /// Whether this handle was refused since it last claimed: a wake that was meant for it may concern others.
    pub(super) refused: bool,
    pub(super) pace: Pace,
    lease: u64,
    entry: Entry<'m>,
    not_sync: PhantomData<Cell<()>>,
}

impl<'m> Producer<'m> {
    /// A producer in `entry`; `next` matters to the only one.
    pub(super) fn new(ring: &Ring<'m>, entry: Entry<'m>, lease: u64, next: Position) -> Self {
        Self {
            ring: *ring,
            intent: entry.intent(Role::Producer),
            next,
            open: Intent::NONE,
            guess: Guess::new(ring, Role::Producer),
            announced: false,
            reserved: false,
            single: ring.single(Role::Producer),
            refused: false,
            pace: Pace::new(ring.single(Role::Producer) || !ring.wake().is_light()),
            lease,
            entry,
            not_sync: PhantomData,
        }
    }

    /// Claims up to `max` slots by one compare-and-swap, as many as are free now and at least one, for messages of
    /// up to `len` bytes.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn try_claim_batch(&mut self, max: usize, len: usize) -> Result<ClaimBatch<'_, 'm>, ClaimError> {
        self.claim_batch(1, max, len)
    }

    /// Like [`Producer::try_claim_batch`], for exactly `count` slots or none.
    ///
    /// # Errors
    /// [`ClaimError`]; `TooLong` also when the ring, or one claim, never has so many.
    pub fn try_claim_batch_exact(&mut self, count: usize, len: usize) -> Result<ClaimBatch<'_, 'm>, ClaimError> {
        self.claim_batch(count, count, len)
    }

    /// Claims up to `max` slots for the next claim or batch of this handle, which then cannot fail for lack of one.
    /// For loops that wait: a guard cannot be returned out of a loop that goes on borrowing its handle.
    ///
    /// What the next operation does not need it voids.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn reserve(&mut self, max: usize) -> Result<(), ClaimError> {
        let most = self.ring.slots.count().min(MAX_BATCH);
        let (first, count) = self.claim(1, (max as u64).clamp(1, most))?;
        self.hold(first, count);
        self.reserved = true;
        Ok(())
    }

    /// Remembers what a guard or a reservation holds.
    #[inline(always)]
    fn hold(&mut self, first: Position, count: u64) {
        self.open = Intent::new(first, count);
        self.guess.walk.forget();
    }

    fn claim_batch(&mut self, min: usize, max: usize, len: usize) -> Result<ClaimBatch<'_, 'm>, ClaimError> {
        self.check_len(len)?;
        let most = self.ring.slots.count().min(MAX_BATCH);
        if min as u64 > most {
            return Err(ClaimError::TooLong { len: min, max: usize::try_from(most).unwrap_or(usize::MAX) });
        }
        let (first, count) = self.claim(min.max(1) as u64, (max as u64).clamp(1, most))?;
        self.hold(first, count);
        Ok(ClaimBatch::new(self, first, count, len))
    }

    /// What follows the publication of the message of `p`.
    #[inline(always)]
    pub(super) fn committed(&mut self, p: Position) {
        self.settled(p.plus(1));
        self.ring.tell_receivers(1);
    }

    /// Stores that the message in `slot` is complete: the `committed` word of its position.
    #[inline(always)]
    pub(super) fn publish(&self, committed: u64, slot: Slot<'m>) {
        // Release, partner of MC2: payload, length and tag come before.
        slot.word().store(committed, ord!(MP5, Release));
    }

    /// Everything claimed is settled, up to but without `end`.
    #[inline(always)]
    pub(super) fn settled(&mut self, end: Position) {
        self.open = Intent::NONE;
        self.pace.done();
        if self.single {
            self.next = end;
            // Relaxed: it is read by successors, whom the proof of our death orders, and for statistics.
            self.ring.tail().store(Tail::open(end).0, ord!(MS4, Relaxed));
        }
    }

    /// Moves on the claimed positions from `first` on that were not published, marked void. What the only producer
    /// has claimed nobody knows of: it is simply claimed again.
    pub(super) fn abandon(&mut self, first: Position, count: u64) {
        if !self.single {
            for p in Intent::new(first, count).positions() {
                // Release, partner of MC2: whatever was written comes before.
                self.ring.slots.at(p).word().store(void(p), ord!(MP6, Release));
            }
            if count > 0 {
                self.ring.tell_receivers(count);
            }
        }
        self.open = Intent::NONE;
        self.reserved = false;
    }

    /// Voids what a forgotten guard has left; hands out what was reserved, if it is enough, and voids the rest.
    #[cold]
    pub(super) fn settle_open(&mut self, min: u64, max: u64) -> Option<(Position, u64)> {
        let (first, count) = (self.open.first(), self.open.count());
        if !self.reserved || count < min {
            self.void_open();
            return None;
        }
        let taken = count.min(max);
        self.abandon(first.plus(taken), count.wrapping_sub(taken));
        Some((first, taken))
    }

    /// Voids what a guard or a reservation has left.
    #[cold]
    pub(super) fn void_open(&mut self) {
        let open = self.open;
        self.abandon(open.first(), open.count());
    }

    #[inline(always)]
    pub(super) fn check_len(&self, len: usize) -> Result<(), ClaimError> {
        if len as u64 > self.ring.slot_size { Err(self.too_long(len)) } else { Ok(()) }
    }

    #[cold]
    pub(super) fn too_long(&self, len: usize) -> ClaimError {
        ClaimError::TooLong { len, max: self.ring.max_len() }
    }

    /// Whether the next claim would probably succeed: one or two relaxed loads, for loops that wait. Only a claim
    /// tells for sure, and why not.
    #[inline]
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let p = if self.single { self.next } else { Tail(self.ring.tail().load(ord!(MP15, Relaxed))).position() };
        self.ring.slots.at(p).word().load(ord!(MP16, Relaxed)) == free(p)
    }

    /// Gives back what [`reserve`](Self::reserve) has claimed.
    pub fn unreserve(&mut self) {
        if self.reserved {
            self.void_open();
        }
    }

    /// For who withdraws from a sleep, finds its bit taken and does not look: wakes another one for what it may have been
    /// woken for.
    #[cold]
    pub fn pass_wake(&self) {
        if self.is_ready() {
            self.ring.tell_senders(1);
        }
    }

    /// Settles what an operation said it was blocked by, if its owner is proven dead. See [`Ring::repair`].
    ///
    /// # Errors
    /// [`Corrupt`] for impossible words.
    pub fn repair(&mut self, blocked: Blocked, verdict: impl FnMut(u64) -> Verdict) -> Result<Repair, Corrupt> {
        self.ring.repair(blocked, self.lease, verdict)
    }

    /// Where this handle sleeps until slots are released.
    #[must_use]
    pub fn sleeper(&self) -> Option<Sleeper<'m>> {
        self.ring.sleeper(&self.entry, Role::Producer)
    }

    /// Ends the ring: from now on nothing can be claimed. Claims made before stay valid.
    pub fn close(&mut self) {
        if self.single {
            self.ring.closing.store(1, ord!(MX1, Relaxed));
            self.acknowledge_close();
        } else {
            self.ring.close_tail();
        }
    }

    /// Gives the entry back, voiding whatever a forgotten guard has left.
    pub fn leave(mut self) {
        if self.open != Intent::NONE {
            self.void_open();
        }
        if self.single {
            self.acknowledge_close();
        }
        membership::leave(&self.entry, self.lease);
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
