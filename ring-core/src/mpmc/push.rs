//! How a producer gets its positions: steps 1 to 4 and 8 of "Push" in `docs/protocol-mpmc.md`. The quick part stands in
//! `producer.rs`.

use super::ends::Ends;
use super::error::{Blocked, ClaimError};
use super::producer::Producer;
use super::word::{Intent, MAX_POSITION, SlotState, State, Tail, free};
use crate::error::{Corrupt, Field};
use crate::position::Position;
use crate::region::Slot;
use crate::seat::Role;
use crate::sync::{Word, ord};

/// How often an operation starts over when others were quicker, before it says `Busy`.
pub(super) const RETRIES: u32 = 64;

impl<'m> Producer<'m> {
    /// Claims at least `min` and at most `max` positions. The first try stands apart from those that follow a lost race
    /// or a slot that is not free: most claims need no other, and it stays small enough to be part of the caller.
    #[inline(always)]
    pub(super) fn claim(&mut self, min: u64, max: u64) -> Result<(Position, u64), ClaimError> {
        if self.open != Intent::NONE || self.single {
            return self.claim_unshared(min, max);
        }
        if self.announced {
            return self.claim_from(min, max);
        }
        let seen = Tail(self.ring.tail().load(ord!(MP1, Relaxed)));
        let count = self.free_run(seen.position(), seen.room(max));
        if count < min || self.announce_and_claim(seen, count).is_err() {
            return self.claim_from(min, max);
        }
        Ok((seen.position(), count))
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

    /// Goes on claiming after a first try has failed.
    #[cold]
    #[inline(never)]
    fn claim_from(&mut self, min: u64, max: u64) -> Result<(Position, u64), ClaimError> {
        let mut seen = self.tail();
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
                    Err(refusal) => return self.give_up(refusal),
                }
                continue;
            }
            match self.announce_and_claim(seen, count) {
                Ok(()) => return Ok((first, count)),
                Err(()) => seen = self.tail(),
            }
        }
        self.give_up(ClaimError::Busy(None))
    }

    /// The tail; after a lost race only once whoever won it has had time to get on.
    fn tail(&mut self) -> Tail {
        let (tail, announced) = (self.ring.tail(), self.announced);
        let now = || tail.load(ord!(MP1, Relaxed));
        Tail(if announced { self.pace.stands_aside(now) } else { now() })
    }

    /// Announces and tries to claim `count` positions from `seen` on, whose slots are free. Fails if others were quicker.
    #[inline(always)]
    fn announce_and_claim(&mut self, seen: Tail, count: u64) -> Result<(), ()> {
        let intent = Intent::new(seen.position(), count);
        let moved = swap_tail(self.intent, self.ring.ends(), intent, seen, count);
        self.announced = moved.is_err();
        if moved.is_ok() {
            self.note_claim(intent);
            if self.pace.streams() {
                self.ring.slots.ahead(seen.position().plus(count)).prefetch_write();
            }
            if self.refused {
                self.pass_on();
            }
        }
        moved
    }

    /// For models: what `intent` names has been claimed.
    #[inline(always)]
    pub(super) fn note_claim(&self, intent: Intent) {
        for p in intent.positions() {
            self.ring.slots.note_claim(true, p, 0);
        }
    }

    /// How many slots from `first` on are free, up to `max`.
    #[inline(always)]
    fn free_run(&self, first: Position, max: u64) -> u64 {
        let mut count = 0;
        while count < max {
            let p = first.plus(count);
            if load_word(self.ring.slots.at(p)) != free(p) {
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
    fn give_up<T>(&mut self, refusal: ClaimError) -> Result<T, ClaimError> {
        self.refused = true;
        self.guess.walk.forget();
        if self.announced {
            self.announced = false;
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
        let tail = Tail(self.ring.tail().load(ord!(MP10, Acquire)));
        if tail != seen {
            return Ok(tail);
        }
        let p = seen.position().plus(free);
        let slot = self.occupied(p)?;
        if slot.position.since(p) == 0 && slot.state == State::Free {
            return Ok(tail);
        }
        // Ahead of us without the tail having moved is impossible; it has been loaded before the slot.
        let now = Tail(self.ring.tail().load(ord!(MP11, Relaxed)));
        if now == seen { Err(Corrupt::new(Field::Slot, slot.position.get(), p.get()).into()) } else { Ok(now) }
    }

    /// What the slot of `p` says, unless it is the word of a lap ago: then the refusal that this means.
    #[cold]
    fn occupied(&self, p: Position) -> Result<SlotState, ClaimError> {
        let slots = self.ring.slots.count();
        // Acquire, partner of MC4: what was claimed for reading had been committed.
        let head = self.ring.head().load(ord!(MP12, Acquire));
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
    pub(super) fn acknowledge_close(&mut self) -> bool {
        let closing = self.ring.closing.load(ord!(MS2, Relaxed)) != 0;
        if closing {
            self.ring.tail().store(Tail::open(self.next).0 | Tail::CLOSED, ord!(MS3, Release));
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
}

/// Announces in `own` and tries to claim what `intent` names: the `count` positions from `seen` on.
#[inline(always)]
pub(super) fn swap_tail(own: &Word, ends: Ends<'_>, intent: Intent, seen: Tail, count: u64) -> Result<(), ()> {
    // Release, partner of MR14: whoever sees this intent instead of an earlier one sees how the earlier one
    // was settled (MP5, MP6). Before the claim, so that the claim never stands without its owner's name.
    own.store(intent.0, ord!(MP3, Release));
    // Release, partner of MR1: whoever finds the position claimed finds the claimer's intent.
    let (now, then) = (seen.0, seen.plus(count).0);
    match ends.tail().compare_exchange(now, then, ord!(MP4, Release), ord!(MP9, Relaxed)) {
        Ok(_) => Ok(()),
        Err(_) => Err(()),
    }
}

/// The word of a slot that a producer is about to claim.
#[inline(always)]
pub(super) fn load_word(slot: Slot<'_>) -> u64 {
    // Acquire, partner of MC6: the last reader is through with the slot before we write.
    slot.word().load(ord!(MP2, Acquire))
}
