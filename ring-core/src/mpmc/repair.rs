//! Settling what the dead have left: a slot claimed and not committed, a message claimed and not released. Done by
//! whoever is blocked by it, or by a tool; without a lock; one idempotent compare-and-swap each, so that two may do it
//! at once and the repairer may die as well.
//!
//! Why a claim is always attributable is argued in `docs/protocol-mpmc.md`. In short: who finds a position claimed
//! (Acquire on the tail, the head or the slot word) finds its claimer's intent or a later one of the same entry, and
//! a later one brings the settled slot with it, on which the compare-and-swap fails. So if no living entry names the
//! position, either its claimer is dead or the swap does nothing.

use super::error::Blocked;
use super::participant::{Entry, checked_lease};
use super::ring::Ring;
use super::word::{Intent, MAX_ATTEMPT, SlotState, State, Tail, free, orphaned, void};
use crate::error::{Corrupt, Field};
use crate::position::Position;
use crate::seat::{Role, Verdict};
use crate::sync::{fence, ord};

/// What a repair has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repair {
    /// Nothing to do (any more): the position has been settled by its owner or by somebody else. Go on.
    Moved,
    /// A dead producer's claim is a gap now, which consumers skip. Wake the consumers.
    Skipped(Position),
    /// A dead consumer's message waits for a new reader. Wake a consumer.
    Orphaned(Position),
    /// A dead consumer's gap has been given back to the producers. Wake a producer.
    Released(Position),
    /// A dead consumer's message was dropped: the ring delivers at most once, or the message has had all the
    /// deliveries that can be counted. Wake a producer.
    Dropped(Position),
    /// A pending close was settled. Wake everybody.
    Closed,
    /// Somebody alive is in the middle, or cannot be shown to be dead. Wait, or end it.
    Owned {
        /// Whose verdict it was: `Alive` or `Unknown`.
        verdict: Verdict,
        /// Its lease.
        lease: u64,
        /// Its place in the participant table.
        index: u32,
    },
    /// The table changed under our eyes too often; try again.
    Contended,
}

/// What the table says about a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    /// Everybody who names it is dead, and somebody does.
    Abandoned,
    /// Nobody names it.
    Unclaimed,
    /// As [`Repair::Owned`].
    Owned(Verdict, u64, u32),
    Contended,
}

impl Ring<'_> {
    /// Settles what an operation said it was blocked by, if all who could own it are proven dead.
    ///
    /// `verdict` is asked about leases and has to be right: `Dead` means that no store can follow. It costs a system
    /// call, so callers wait before they ask, and ask again only now and then. `lease` is the caller's own; only a
    /// pending close needs it.
    ///
    /// # Errors
    /// [`Corrupt`] for impossible words.
    pub fn repair(
        &self,
        blocked: Blocked,
        lease: u64,
        mut verdict: impl FnMut(u64) -> Verdict,
    ) -> Result<Repair, Corrupt> {
        match blocked {
            Blocked::Write(p) => self.repair_write(p, verdict),
            Blocked::Read(p) => self.repair_read(p, verdict),
            Blocked::Close => Ok(match self.settle_close(lease, &mut verdict)? {
                Ok(_) => Repair::Closed,
                Err(owned) => owned,
            }),
        }
    }

    /// Settles the claim of a dead producer on `p`.
    ///
    /// # Errors
    /// [`Corrupt`] for impossible words.
    pub fn repair_write(&self, p: Position, mut verdict: impl FnMut(u64) -> Verdict) -> Result<Repair, Corrupt> {
        if self.single(Role::Producer) {
            return Ok(Repair::Moved); // its claims block nobody
        }
        // Acquire, partner of MP4. Before the scan: an intent found later is the claimer's, or a later one of his.
        let tail = Tail(self.tail().load(ord!(MR1, Acquire))).checked()?;
        let slot = self.slots.at(p);
        // Relaxed: the swap below, a read-modify-write, passes on what the last reader has released.
        if !p.precedes(tail.position()) || slot.word().load(ord!(MR2, Relaxed)) != free(p) {
            return Ok(Repair::Moved);
        }
        Ok(match self.scan(p, Role::Producer, &mut verdict)? {
            Scan::Abandoned => {
                self.slots.note_decision(true, p, 0);
                // Release, partner of MC2: the dead claimer's stores to the payload come before the next writer's.
                match slot.word().compare_exchange(free(p), void(p), ord!(MR3, Release), ord!(MR5, Relaxed)) {
                    Ok(_) => {
                        self.tell_receivers(u64::MAX);
                        Repair::Skipped(p)
                    }
                    Err(_) => Repair::Moved,
                }
            }
            Scan::Unclaimed if slot.word().load(ord!(MR16, Relaxed)) == free(p) => return Err(unowned(free(p), p)),
            other => other.into(),
        })
    }

    /// Settles the claim of a dead consumer on `p`.
    ///
    /// # Errors
    /// [`Corrupt`] for impossible words.
    pub fn repair_read(&self, p: Position, mut verdict: impl FnMut(u64) -> Verdict) -> Result<Repair, Corrupt> {
        if self.single(Role::Consumer) {
            return Ok(Repair::Moved); // a successor finds what it held at the head
        }
        // Acquire, partner of MC4.
        if self.head().load(ord!(MR7, Acquire)) <= p.get() {
            return Ok(Repair::Moved);
        }
        let slot = self.slots.at(p);
        // Acquire, partner of MD4: an adopter's intent stands before its claim.
        let word = slot.word().load(ord!(MR8, Acquire));
        let attempt = match SlotState::decode(word, p, self.slots.count())?.at(p) {
            Some(State::Committed(attempt)) => attempt,
            Some(State::Void) => 0,
            Some(State::Orphaned(_)) => {
                // Relaxed: should the hint be taken before the mark is seen, whoever is still blocked asks again.
                self.orphans.fetch_or(1, ord!(MR9, Relaxed));
                return Ok(Repair::Orphaned(p));
            }
            Some(State::Free) | None => return Ok(Repair::Moved),
        };
        match self.scan(p, Role::Consumer, &mut verdict)? {
            Scan::Abandoned => {}
            // At the last attempt a word can come twice: put back, and in other hands.
            Scan::Unclaimed if attempt < MAX_ATTEMPT && slot.word().load(ord!(MR17, Relaxed)) == word => {
                return Err(unowned(word, p));
            }
            other => return Ok(other.into()),
        }
        self.slots.note_decision(false, p, attempt);
        Ok(self.settle_read(p, word, attempt))
    }

    /// Takes `p`, whose slot said `word`, out of dead hands.
    fn settle_read(&self, p: Position, word: u64, attempt: u64) -> Repair {
        let next_lap = free(p.plus(self.slots.count()));
        let (new, repair) = if word == void(p) {
            (next_lap, Repair::Released(p))
        } else if self.attempts == 0 || attempt == MAX_ATTEMPT {
            (next_lap, Repair::Dropped(p))
        } else {
            (orphaned(p, attempt.wrapping_add(1)), Repair::Orphaned(p))
        };
        let orphan = matches!(repair, Repair::Orphaned(_));
        if orphan {
            // Once before and once after: our death in between must not leave an orphan without the hint, and a
            // consumer that takes the hint too early must get it again.
            self.orphans.fetch_or(1, ord!(MR10, Relaxed));
        }
        // Release, partner of MD3 and MP2: the dead reader's reads come before the next writer's stores.
        if self.slots.at(p).word().compare_exchange(word, new, ord!(MR11, Release), ord!(MR6, Relaxed)).is_err() {
            return Repair::Moved;
        }
        if orphan {
            self.orphans.fetch_or(1, ord!(MR12, Release));
            self.tell_receivers(1);
        } else {
            self.tell_senders(1);
        }
        repair
    }

    /// Asks for the verdict on everybody who names `p`, until somebody is not dead.
    fn scan(&self, p: Position, role: Role, verdict: &mut dyn FnMut(u64) -> Verdict) -> Result<Scan, Corrupt> {
        let mut found = Scan::Unclaimed;
        for entry in self.table.entries() {
            match self.scan_entry(&entry, p, role, verdict)? {
                Scan::Unclaimed => {}
                Scan::Abandoned => found = Scan::Abandoned,
                other => return Ok(other),
            }
        }
        // One fence for all: partner of the kernel for the dead; of MP3, MP7, MC3, MC7, MD6, MJ10, MJ11 for intents
        // that no longer name `p`; of MJ1 and MJ5 for entries that changed hands. Whichever of them made us think
        // that nobody alive claims `p`, how its claimer has settled it now comes before our swap.
        fence!(MR14, Acquire);
        Ok(found)
    }

    /// The same for one entry. The verdict counts only if the entry still has the same owner after it; a new one
    /// means that the old one's claims have been settled.
    fn scan_entry(
        &self,
        entry: &Entry<'_>,
        p: Position,
        role: Role,
        verdict: &mut dyn FnMut(u64) -> Verdict,
    ) -> Result<Scan, Corrupt> {
        for _ in 0..4 {
            // Relaxed, like all loads of the scan: the fence at its end orders them.
            let lease = checked_lease(entry.lease.load(ord!(MR13, Relaxed)), entry.index)?;
            if lease == 0 {
                return Ok(Scan::Unclaimed);
            }
            if !Intent(entry.intent(role).load(ord!(MR4, Relaxed))).covers(p) {
                return Ok(Scan::Unclaimed);
            }
            match verdict(lease) {
                Verdict::Dead => {}
                other => return Ok(Scan::Owned(other, lease, entry.index)),
            }
            if entry.lease.load(ord!(MR15, Relaxed)) == lease {
                return Ok(Scan::Abandoned);
            }
        }
        Ok(Scan::Contended)
    }

    /// Who seems to be in the way: a guess without a verdict, for people. The first living one is the likeliest.
    pub fn holders(&self, blocked: Blocked) -> impl Iterator<Item = super::Participant> {
        let names = move |entry: &super::Participant| match blocked {
            Blocked::Write(p) => entry.write_intent.covers(p),
            Blocked::Read(p) => entry.read_intent.covers(p),
            Blocked::Close => entry.index == 0,
        };
        self.table.entries().map(|entry| entry.look()).filter(move |entry| entry.lease != 0 && names(entry))
    }
}

/// A claim that nobody in the table names, and that still stands after the scan has found that out: no claimer leaves
/// that behind (the argument is the one for the swap), so somebody wrote what he must not. Without this, those who wait
/// for the claim would wait for ever.
#[cold]
fn unowned(word: u64, p: Position) -> Corrupt {
    Corrupt::new(Field::Slot, word, p.get())
}

impl From<Scan> for Repair {
    fn from(scan: Scan) -> Self {
        match scan {
            Scan::Owned(verdict, lease, index) => Self::Owned { verdict, lease, index },
            Scan::Contended => Self::Contended,
            Scan::Abandoned | Scan::Unclaimed => Self::Moved,
        }
    }
}
