//! How a consumer gets its positions: steps 1 to 5 and 8 of "Pop" in `docs/protocol-mpmc.md`. The quick part stands in
//! `consumer.rs`; what nothing at the head means, in `empty.rs`.

use super::consumer::{Consumer, Found};
use super::empty::Next;
use super::ends::Ends;
use super::error::ReadError;
use super::push::RETRIES;
use super::word::{Intent, MAX_ATTEMPT, committed, void};
use crate::position::Position;
use crate::region::Slot;
use crate::sync::{Word, ord};

impl<'m> Consumer<'m> {
    /// Claims up to `max` messages (of which some may turn out to be void) that follow each other, at least one. The
    /// first try stands apart, as for producers.
    #[inline(always)]
    pub(super) fn claim(&mut self, max: u64) -> Result<Found, ReadError> {
        if self.single {
            return self.claim_single(max);
        }
        if self.announced {
            return self.claim_from(max);
        }
        let head = Position::new(self.ring.head().load(ord!(MC1, Relaxed)));
        let (count, gaps) = self.readable_run(head, max);
        if count == 0 || gaps || self.announce_and_claim(head, count).is_err() {
            return self.claim_from(max);
        }
        Ok(Found { position: head, attempt: 0, count })
    }

    /// Goes on claiming after a first try has failed.
    #[cold]
    #[inline(never)]
    fn claim_from(&mut self, max: u64) -> Result<Found, ReadError> {
        let (mut retries, mut gaps_left) = (RETRIES, self.ring.slots.count());
        let mut head = self.head();
        while retries > 0 {
            let (count, gaps) = self.readable_run(head, max);
            if count == 0 {
                retries = retries.wrapping_sub(1);
                if self.changes(head) {
                    continue;
                }
                match self.nothing(head) {
                    Ok(Next::Head(now)) => head = now,
                    Ok(Next::Adopted(found)) => {
                        self.announced = false;
                        return Ok(found);
                    }
                    Err(refusal) => return self.give_up(refusal),
                }
                continue;
            }
            if self.announce_and_claim(head, count).is_err() {
                head = self.head();
                retries = retries.wrapping_sub(1);
                continue;
            }
            if !gaps || self.release_gaps(head, count) < count {
                return Ok(Found { position: head, attempt: 0, count });
            }
            head = head.plus(count);
            // Beyond a lap of them, producers void as quickly as we skip.
            match gaps_left.checked_sub(count) {
                Some(left) => gaps_left = left,
                None => retries = retries.wrapping_sub(1),
            }
        }
        self.give_up(ReadError::Busy(None))
    }

    /// The head; after a lost race only once whoever won it has had time to get on.
    fn head(&mut self) -> Position {
        let (head, announced) = (self.ring.head(), self.announced);
        let now = || head.load(ord!(MC1, Relaxed));
        Position::new(if announced { self.pace.stands_aside(now) } else { now() })
    }

    /// Announces and tries to claim `count` positions from `head` on, all of them readable. Fails if others were quicker.
    #[inline(always)]
    fn announce_and_claim(&mut self, head: Position, count: u64) -> Result<(), ()> {
        let intent = Intent::new(head, count);
        let moved = swap_head(self.intent, self.ring.ends(), intent, head, count);
        self.announced = moved.is_err();
        if moved.is_ok() {
            self.note_claim(intent);
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
            self.ring.slots.note_claim(false, p, 0);
        }
    }

    /// How many slots from `head` on are committed or void, up to `max`; and whether any is void.
    #[inline(always)]
    fn readable_run(&self, head: Position, max: u64) -> (u64, bool) {
        let (mut count, mut gaps) = (0, false);
        while count < max {
            let p = head.plus(count);
            let word = load_word(self.ring.slots.at(p));
            if word != committed(p, 0) {
                if word != void(p) {
                    break;
                }
                gaps = true;
            }
            count = count.wrapping_add(1);
        }
        (count, gaps)
    }

    /// Whether the slot of `head` becomes readable while we look.
    #[inline]
    pub(super) fn changes(&mut self, head: Position) -> bool {
        let word = self.ring.slots.at(head).word();
        self.pace.waits(|| word.load(ord!(MC16, Relaxed)) == committed(head, 0))
    }

    /// Takes back what a lost race announced: a live intent keeps others from settling the position of a dead winner.
    #[cold]
    pub(super) fn give_up<T>(&mut self, refusal: ReadError) -> Result<T, ReadError> {
        self.refused = true;
        self.guess.walk.forget();
        if self.announced {
            self.announced = false;
            self.clear_intent();
        }
        Err(refusal)
    }

    /// After a claim that was refused at first: messages are committed in any order, so the one that woke us may not be
    /// the one we got, and nobody else may know of it. Wakes one more if the next message is ready as well, or one may
    /// wait that has lost its reader: we took another one instead.
    #[cold]
    fn pass_on(&mut self) {
        self.refused = false;
        // Relaxed: who raised the hint after this woke somebody after that.
        if self.is_ready() || self.ring.orphans.load(ord!(ME6, Relaxed)) != 0 {
            self.ring.tell_receivers(1);
        }
    }

    /// Release, as MC3: this store, too, may be all that a repairer sees of us.
    pub(super) fn clear_intent(&self) {
        self.intent.store(Intent::NONE.0, ord!(MC7, Release));
    }

    /// Releases the void slots of a claim at once; returns how many there were.
    #[cold]
    fn release_gaps(&self, first: Position, count: u64) -> u64 {
        let mut gaps: u64 = 0;
        for p in Intent::new(first, count).positions() {
            // Relaxed: it has been loaded before, and nobody else changes a slot of ours.
            if self.ring.slots.at(p).word().load(ord!(MC8, Relaxed)) == void(p) {
                self.free(p);
                gaps = gaps.saturating_add(1);
            }
        }
        self.ring.tell_senders(gaps);
        gaps
    }

    /// The only consumer's claim: nothing shared changes but for gaps.
    fn claim_single(&mut self, max: u64) -> Result<Found, ReadError> {
        for _ in 0..=self.ring.slots.count().saturating_add(u64::from(RETRIES)) {
            let first = self.next;
            let word = self.load_message(first);
            if is_message(word, first) {
                let mut count: u64 = 1;
                while count < max && is_message(self.load_message(first.plus(count)), first.plus(count)) {
                    count = count.wrapping_add(1);
                }
                return Ok(Found { position: first, attempt: word >> 3 & MAX_ATTEMPT, count });
            }
            if word == void(first) {
                self.free(first);
                self.moved(first.plus(1));
                self.ring.tell_senders(1);
                continue;
            }
            self.nothing(first)?;
        }
        Err(ReadError::Busy(None))
    }

    #[inline(always)]
    fn load_message(&self, p: Position) -> u64 {
        // Acquire, as MC2.
        self.ring.slots.at(p).word().load(ord!(MS6, Acquire))
    }
}

/// Announces in `own` and tries to claim what `intent` names: the `count` positions from `head` on.
#[inline(always)]
pub(super) fn swap_head(own: &Word, ends: Ends<'_>, intent: Intent, head: Position, count: u64) -> Result<(), ()> {
    // Release, partner of MR14, as for producers (MP3).
    own.store(intent.0, ord!(MC3, Release));
    // Release, partner of MR7: whoever finds the position claimed finds the claimer's intent.
    let (now, then) = (head.get(), head.plus(count).get());
    match ends.head().compare_exchange(now, then, ord!(MC4, Release), ord!(MC5, Relaxed)) {
        Ok(_) => Ok(()),
        Err(_) => Err(()),
    }
}

/// The word of a slot that a consumer is about to claim.
#[inline(always)]
pub(super) fn load_word(slot: Slot<'_>) -> u64 {
    // Acquire, partner of MP5 and MP6: the payload, and what an aborted claim has written, come before.
    slot.word().load(ord!(MC2, Acquire))
}

/// Whether `word` is that of the message of `p`, whatever the attempt.
#[inline(always)]
pub(super) fn is_message(word: u64, p: Position) -> bool {
    word & !(MAX_ATTEMPT << 3) == committed(p, 0)
}
