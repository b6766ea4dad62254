//! The producer's half: announce, claim, commit or abort. Between announcing and settling, the intent says whose the
//! claimed slots are; a death anywhere leaves nothing that others cannot attribute.

use core::cell::Cell;
use core::marker::PhantomData;

use super::batch::ClaimBatch;
use super::error::{Blocked, ClaimError};
use super::membership;
use super::pace::Pace;
use super::participant::Entry;
use super::repair::Repair;
use super::ring::Ring;
use super::word::{Intent, MAX_BATCH, MAX_POSITION, SlotState, State, Tail, committed, free, meta, void};
use crate::error::{Corrupt, Field};
use crate::park::Sleeper;
use crate::position::Position;
use crate::region::{Slot, Span};
use crate::seat::{Role, SeatFacts, Verdict};
use crate::sync::{Word, ord};

/// How often an operation starts over when others were quicker, before it says `Busy`.
pub(super) const RETRIES: u32 = 64;

/// How many slots past a claim the lines are asked for that the next claims will write to.
pub(super) const AHEAD: u64 = 8;

/// A writing handle of an MPMC ring. `Send`, not `Sync`. [`Producer::leave`] gives its entry back; without that the
/// entry stays taken until its lease is proven dead.
#[derive(Debug)]
pub struct Producer<'m> {
    pub(super) ring: Ring<'m>,
    intent: &'m Word,
    /// Single producer: where the next message goes.
    next: Position,
    /// What a claim or batch guard holds, or the next one will; settled by the guard, or by the next operation if the
    /// guard was forgotten.
    open: Intent,
    /// Whether `open` has been reserved for the next guard.
    reserved: bool,
    single: bool,
    /// Whether this handle was refused since it last claimed: a wake that was meant for it may concern others.
    refused: bool,
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
            reserved: false,
            single: ring.single(Role::Producer),
            refused: false,
            pace: Pace::new(),
            lease,
            entry,
            not_sync: PhantomData,
        }
    }

    /// Sends a copy of `payload`, all or nothing. On success the message is committed.
    ///
    /// # Errors
    /// [`ClaimError`].
    #[inline(always)]
    pub fn try_send(&mut self, tag: u32, payload: &[u8]) -> Result<Position, ClaimError> {
        self.check_len(payload.len())?;
        let slots = self.ring.slots;
        let (p, _) = self.claim(1, 1)?;
        let slot = slots.at(p);
        // There is a span: the length has been checked.
        if let Some(span) = slot.span(payload.len() as u64) {
            span.copy_in(payload);
        }
        self.commit(p, slot, payload.len(), tag);
        Ok(p)
    }

    /// Claims a slot for a message of up to `len` bytes. A claim that is dropped moves its slot on, marked void.
    ///
    /// # Errors
    /// [`ClaimError`].
    #[inline]
    pub fn try_claim(&mut self, len: usize) -> Result<Claim<'_, 'm>, ClaimError> {
        self.check_len(len)?;
        let (p, _) = self.claim(1, 1)?;
        self.open = Intent::new(p, 1);
        let slot = self.ring.slots.at(p);
        match slot.span(len as u64) {
            Some(span) => Ok(Claim { producer: self, slot, span, position: p, written: 0, tag: 0 }),
            None => Err(self.too_long(len)), // cannot be: checked
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
        self.open = Intent::new(first, count);
        self.reserved = true;
        Ok(())
    }

    fn claim_batch(&mut self, min: usize, max: usize, len: usize) -> Result<ClaimBatch<'_, 'm>, ClaimError> {
        self.check_len(len)?;
        let most = self.ring.slots.count().min(MAX_BATCH);
        if min as u64 > most {
            return Err(ClaimError::TooLong { len: min, max: usize::try_from(most).unwrap_or(usize::MAX) });
        }
        let (first, count) = self.claim(min.max(1) as u64, (max as u64).clamp(1, most))?;
        self.open = Intent::new(first, count);
        Ok(ClaimBatch::new(self, first, count, len))
    }

    /// Claims at least `min` and at most `max` positions. The first try stands apart from those that follow a lost race
    /// or a slot that is not free: most claims need no other, and it stays small enough to be part of the caller.
    #[inline(always)]
    fn claim(&mut self, min: u64, max: u64) -> Result<(Position, u64), ClaimError> {
        if self.open != Intent::NONE || self.single {
            return self.claim_unshared(min, max);
        }
        let seen = Tail(self.ring.tail.load(ord!(MP1, Relaxed)));
        let count = self.free_run(seen.position(), seen.room(max));
        if count < min {
            return self.claim_from(seen, false, min, max);
        }
        match self.announce_and_claim(seen, count) {
            Ok(first) => Ok((first, count)),
            Err(now) => self.claim_from(now, true, min, max),
        }
    }

    /// What needs no race: a reservation, and all claims of the only producer.
    #[inline]
    fn claim_unshared(&mut self, min: u64, max: u64) -> Result<(Position, u64), ClaimError> {
        if self.open != Intent::NONE {
            if let Some(reserved) = self.settle_open(min, max) {
                return Ok(reserved);
            }
        }
        if self.single { self.claim_single(min, max) } else { self.claim(min, max) }
    }

    /// Goes on claiming from the tail `seen`; `announced` if a race has been lost already.
    #[cold]
    #[inline(never)]
    fn claim_from(
        &mut self,
        mut seen: Tail,
        mut announced: bool,
        min: u64,
        max: u64,
    ) -> Result<(Position, u64), ClaimError> {
        for _ in 0..RETRIES {
            let (first, room) = (seen.position(), seen.room(max));
            let count = self.free_run(first, room);
            if count < min {
                // Only an occupied slot is worth another look: a closed tail has no room, whatever its slots say.
                if count < room && self.changes(first.plus(count)) {
                    continue;
                }
                match self.refused(seen, count) {
                    Ok(now) => seen = now,
                    Err(refusal) => return self.give_up(announced, refusal),
                }
                continue;
            }
            match self.announce_and_claim(seen, count) {
                Ok(first) => return Ok((first, count)),
                Err(now) => seen = now,
            }
            announced = true;
        }
        self.give_up(announced, ClaimError::Busy(None))
    }

    /// Announces and tries to claim `count` positions from `seen` on, whose slots are free; the tail as it is if others
    /// were quicker.
    #[inline(always)]
    fn announce_and_claim(&mut self, seen: Tail, count: u64) -> Result<Position, Tail> {
        let first = seen.position();
        // Release, partner of MR14: whoever sees this intent instead of an earlier one sees how the earlier one
        // was settled (MP5, MP6). Before the claim, so that the claim never stands without its owner's name.
        self.intent.store(Intent::new(first, count).0, ord!(MP3, Release));
        // Release, partner of MR1: whoever finds the position claimed finds the claimer's intent.
        let moved = self.ring.tail.compare_exchange(seen.0, seen.plus(count).0, ord!(MP4, Release), ord!(MP9, Relaxed));
        moved.map_err(Tail)?;
        for p in Intent::new(first, count).positions() {
            self.ring.slots.note_claim(true, p, 0);
        }
        if self.refused {
            self.pass_on();
        }
        self.ring.slots.prefetch_write(first.plus(count).plus(AHEAD));
        Ok(first)
    }

    /// How many slots from `first` on are free, up to `max`.
    #[inline(always)]
    fn free_run(&self, first: Position, max: u64) -> u64 {
        let mut count = 0;
        while count < max {
            let p = first.plus(count);
            // Acquire, partner of MC6: the last reader is through with the slot before we write.
            if self.ring.slots.at(p).word().load(ord!(MP2, Acquire)) != free(p) {
                break;
            }
            count = count.wrapping_add(1);
        }
        count
    }

    /// Whether the slot of `p` becomes free while we look.
    #[inline]
    fn changes(&mut self, p: Position) -> bool {
        let word = self.ring.slots.at(p).word();
        self.pace.waits(|| word.load(ord!(MP17, Relaxed)) == free(p))
    }

    /// Takes back what a lost race announced: a live intent keeps others from settling the position of a dead winner.
    #[cold]
    fn give_up<T>(&mut self, announced: bool, refusal: ClaimError) -> Result<T, ClaimError> {
        self.refused = true;
        if announced {
            // Release, as MP3: this store, too, may be all that a repairer sees of us.
            self.intent.store(Intent::NONE.0, ord!(MP7, Release));
        }
        Err(refusal)
    }

    /// After a claim that was refused at first: slots become free in any order, so the one that woke us may not be the
    /// one we got, and nobody else may know of it. Wakes one more if the next slot is free as well.
    #[cold]
    fn pass_on(&mut self) {
        self.refused = false;
        if self.is_ready() {
            self.ring.tell_senders(1);
        }
    }

    /// Finds out why the slot `free` positions past `seen` is not free: the tail to go on with, or a refusal.
    #[cold]
    fn refused(&self, seen: Tail, free: u64) -> Result<Tail, ClaimError> {
        if seen.is_closed() {
            return Err(ClaimError::Closed);
        }
        if seen.room(free.wrapping_add(1)) <= free {
            seen.checked()?;
            return Err(ClaimError::Exhausted);
        }
        // Acquire, partner of MP4: who claimed up to here saw each slot free for its lap, so older words are no
        // longer possible.
        let tail = Tail(self.ring.tail.load(ord!(MP10, Acquire)));
        if tail != seen {
            return Ok(tail);
        }
        let p = seen.position().plus(free);
        let slot = self.occupied(p)?;
        if slot.position.since(p) == 0 && slot.state == State::Free {
            return Ok(tail);
        }
        // Ahead of us without the tail having moved is impossible; it has been loaded before the slot.
        let now = Tail(self.ring.tail.load(ord!(MP11, Relaxed)));
        if now == seen { Err(Corrupt::new(Field::Slot, slot.position.get(), p.get()).into()) } else { Ok(now) }
    }

    /// What the slot of `p` says, unless it is the word of a lap ago: then the refusal that this means.
    #[cold]
    fn occupied(&self, p: Position) -> Result<SlotState, ClaimError> {
        let slots = self.ring.slots.count();
        // Acquire, partner of MC4: what was claimed for reading had been committed.
        let head = self.ring.head.load(ord!(MP12, Acquire));
        let word = self.ring.slots.at(p).word().load(ord!(MP13, Acquire));
        let slot = SlotState::decode(word, p, slots)?;
        if slot.position.plus(slots) != p {
            // Behind by more than a lap is impossible, on our lap or ahead is the caller's business.
            let behind = slot.position.precedes(p);
            return if behind { Err(Corrupt::new(Field::Slot, word, p.get()).into()) } else { Ok(slot) };
        }
        let old = slot.position;
        Err(match slot.state {
            State::Orphaned(_) => {
                // Relaxed: should the hint be taken before the mark is seen, we set it again with our next try.
                self.ring.orphans.fetch_or(1, ord!(MP14, Relaxed));
                ClaimError::Busy(Some(Blocked::Read(old)))
            }
            _ if head <= old.get() || self.ring.single(Role::Consumer) => ClaimError::Full,
            State::Committed(_) | State::Void => ClaimError::Busy(Some(Blocked::Read(old))),
            State::Free => Corrupt::new(Field::Slot, word, p.get()).into(),
        })
    }

    /// The only producer's claim: private until it is committed.
    #[inline(always)]
    fn claim_single(&mut self, min: u64, max: u64) -> Result<(Position, u64), ClaimError> {
        let first = self.next;
        // Relaxed: a request to close carries nothing but itself.
        if self.ring.closing.load(ord!(MS1, Relaxed)) != 0 || first.get() > MAX_POSITION.wrapping_sub(max) {
            self.may_go_on(min)?;
        }
        let count = self.free_run(first, max.min(MAX_POSITION.wrapping_sub(first.get())));
        if count >= min { Ok((first, count)) } else { Err(self.refused_single(first.plus(count))) }
    }

    /// Acknowledges a request to close, and looks after the last positions.
    #[cold]
    fn may_go_on(&mut self, min: u64) -> Result<(), ClaimError> {
        if self.acknowledge_close() {
            return Err(ClaimError::Closed);
        }
        if self.next.get() > MAX_POSITION.wrapping_sub(min) { Err(ClaimError::Exhausted) } else { Ok(()) }
    }

    /// Closes the tail if that was asked for. Release, partner of MX3: all our messages come before the end.
    fn acknowledge_close(&mut self) -> bool {
        let closing = self.ring.closing.load(ord!(MS2, Relaxed)) != 0;
        if closing {
            self.ring.tail.store(Tail::open(self.next).0 | Tail::CLOSED, ord!(MS3, Release));
            self.ring.tell_all();
        }
        closing
    }

    #[cold]
    fn refused_single(&self, p: Position) -> ClaimError {
        match self.occupied(p) {
            Err(refusal) => refusal,
            // Freed just now.
            Ok(slot) if slot.at(p) == Some(State::Free) => ClaimError::Busy(None),
            Ok(slot) => Corrupt::new(Field::Slot, slot.position.get(), p.get()).into(),
        }
    }

    /// Publishes the message of the claimed position `p` by one Release store.
    #[inline(always)]
    fn commit(&mut self, p: Position, slot: Slot<'m>, len: usize, tag: u32) {
        slot.store_meta(meta(len as u64, tag), ord!(MP8, Relaxed));
        self.publish(p, slot);
        self.settled(p.plus(1));
        self.ring.tell_receivers(1);
    }

    /// Stores that the message of `p` is complete.
    #[inline(always)]
    pub(super) fn publish(&self, p: Position, slot: Slot<'m>) {
        // Release, partner of MC2: payload, length and tag come before.
        slot.word().store(committed(p, 0), ord!(MP5, Release));
    }

    /// Everything claimed is settled, up to but without `end`.
    #[inline(always)]
    pub(super) fn settled(&mut self, end: Position) {
        self.open = Intent::NONE;
        self.pace.done();
        if self.single {
            self.next = end;
            // Relaxed: it is read by successors, whom the proof of our death orders, and for statistics.
            self.ring.tail.store(Tail::open(end).0, ord!(MS4, Relaxed));
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
    fn settle_open(&mut self, min: u64, max: u64) -> Option<(Position, u64)> {
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
    fn check_len(&self, len: usize) -> Result<(), ClaimError> {
        if len as u64 > self.ring.slot_size { Err(self.too_long(len)) } else { Ok(()) }
    }

    #[cold]
    fn too_long(&self, len: usize) -> ClaimError {
        ClaimError::TooLong { len, max: self.ring.max_len() }
    }

    /// Whether the next claim would probably succeed: one or two relaxed loads, for loops that wait. Only a claim
    /// tells for sure, and why not.
    #[inline]
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let p = if self.single { self.next } else { Tail(self.ring.tail.load(ord!(MP15, Relaxed))).position() };
        self.ring.slots.at(p).word().load(ord!(MP16, Relaxed)) == free(p)
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

/// A slot claimed for one message. Committed by [`Claim::commit`]; dropped or aborted it moves on, marked void.
#[derive(Debug)]
#[must_use = "a claim that is dropped is aborted; call commit() to publish it"]
pub struct Claim<'a, 'm> {
    producer: &'a mut Producer<'m>,
    slot: Slot<'m>,
    span: Span<'m>,
    position: Position,
    written: usize,
    tag: u32,
}

impl Claim<'_, '_> {
    /// Payload bytes that `commit` will publish.
    #[must_use]
    pub fn len(&self) -> usize {
        self.span.len()
    }

    /// Whether the payload has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.span.len() == 0
    }

    /// The delivery id the message will have.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Sets the user's tag, 0 at first.
    pub fn set_tag(&mut self, tag: u32) {
        self.tag = tag;
    }

    /// Appends `bytes` to what has been written; returns how many fitted.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.span.len().saturating_sub(self.written));
        if self.written == 0 {
            self.span.copy_in(bytes);
        } else {
            self.span.copy_in_at(self.written, bytes);
        }
        self.written = self.written.saturating_add(n);
        n
    }

    /// Begins anew: the next write goes to the start.
    #[inline(always)]
    pub fn rewind(&mut self) {
        self.written = 0;
    }

    /// Shortens the message to at most `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.span.truncate(len);
        self.written = self.written.min(len);
    }

    /// The payload in place, for whoever wants to build it there. What was never written holds old bytes of this
    /// ring; [`Claim::commit`] does not clear it after this call.
    ///
    /// # Safety
    /// Until the slice is gone no process may access these bytes: every process that has the region mapped
    /// writable follows the protocol.
    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        self.written = self.span.len();
        // SAFETY: the slot was claimed for this guard, `&mut self` makes the slice the only one; the caller answers
        // for the other processes.
        unsafe { self.span.as_mut_slice() }
    }

    /// The payload as written so far.
    ///
    /// # Safety
    /// See [`Claim::as_mut_slice`].
    #[must_use]
    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the slot was claimed for this guard, `&self` bars writing through it; the caller answers for the
        // other processes.
        unsafe { self.span.as_slice() }
    }

    /// Publishes the message: one Release store. Bytes that were not written are published as zeroes.
    #[inline]
    pub fn commit(self) -> Position {
        let mut at = self.written;
        while at < self.span.len() {
            self.span.copy_in_at(at, &[0; 64]);
            at = at.saturating_add(64);
        }
        self.producer.commit(self.position, self.slot, self.span.len(), self.tag);
        self.position
    }

    /// Moves the slot on, marked void.
    pub fn abort(self) {}
}

impl Drop for Claim<'_, '_> {
    fn drop(&mut self) {
        #[cfg(loom)]
        if crate::model::crashing() {
            return;
        }
        if self.producer.open != Intent::NONE {
            self.producer.abandon(self.position, 1);
        }
    }
}
