//! Joining, leaving, and releasing the entries of the dead. An entry changes hands by compare-and-swap on its lease;
//! leases are never reused, so nobody is ever taken for somebody else.

use super::consumer::Consumer;
use super::error::{Blocked, JoinError};
use super::participant::{Entry, checked_lease};
use super::producer::Producer;
use super::repair::Repair;
use super::ring::Ring;
use super::word::{Intent, SlotState, Tail, free};
use crate::error::{Corrupt, Field};
use crate::seat::{MAX_LEASE, Role, Verdict};
use crate::sync::{fence, ord};

/// What became of an entry whose owner may be dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// Nobody had it.
    Vacant,
    /// It is free (or the joiner's) now; everything its owner had left is settled.
    Released {
        /// The dead owner's lease.
        lease: u64,
    },
    /// Its owner is alive, or cannot be shown to be dead.
    Owned {
        /// `Alive` or `Unknown`.
        verdict: Verdict,
        /// Its lease.
        lease: u64,
    },
    /// Its owner is dead, but has left something that cannot be settled yet: somebody else alive is in the middle of
    /// the same position.
    Unsettled {
        /// The dead owner's lease.
        lease: u64,
        /// The position in question.
        blocked: Blocked,
        /// Who is in the middle of it.
        by: Repair,
    },
    /// Others were at it at the same time.
    Contended,
}

/// The owner of an entry that may be taken (0: nobody), or who is in the way; `None` when it changed meanwhile.
pub(super) fn vacancy(
    entry: &Entry<'_>,
    verdict: &mut dyn FnMut(u64) -> Verdict,
) -> Result<Option<Result<u64, Repair>>, Corrupt> {
    // Relaxed: taking the entry, or the fence, orders what the one before has stored.
    let lease = checked_lease(entry.lease.load(ord!(MJ2, Relaxed)), entry.index)?;
    if lease == 0 {
        return Ok(Some(Ok(0)));
    }
    match verdict(lease) {
        Verdict::Dead => fence!(MJ3, Acquire),
        verdict => return Ok(Some(Err(Repair::Owned { verdict, lease, index: entry.index }))),
    }
    Ok((entry.lease.load(ord!(MJ4, Relaxed)) == lease).then_some(Ok(lease)))
}

/// Moves an entry from `owner` (0: nobody) to `lease` (0: nobody).
///
/// Acquire, partner of MJ5: the stores of who left come before ours. Release, partner of MR14: who finds the new owner
/// finds the old one's claims settled.
pub(super) fn take(entry: &Entry<'_>, owner: u64, lease: u64) -> bool {
    entry.lease.compare_exchange(owner, lease, ord!(MJ1, AcqRel), ord!(MJ6, Relaxed)).is_ok()
}

/// Gives an entry back. Release, partner of MJ1 and MR14: everything we did comes before.
pub(super) fn leave(entry: &Entry<'_>, lease: u64) {
    // It fails only where an operator declared us dead and a successor sits here already.
    let _ = entry.lease.compare_exchange(lease, 0, ord!(MJ5, Release), ord!(MJ7, Relaxed));
}

impl<'m> Ring<'m> {
    /// Joins as a producer under `lease`, which the caller holds for as long as the handle lives and which came from
    /// [`Ring::next_lease`]. `verdict` is asked about the owners of entries when none is free.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn join_producer(
        &self,
        lease: u64,
        mut verdict: impl FnMut(u64) -> Verdict,
    ) -> Result<Producer<'m>, JoinError> {
        let entry = self.join(Role::Producer, lease, &mut verdict)?;
        if !self.single(Role::Producer) {
            if Tail(self.tail().load(ord!(MJ8, Relaxed))).is_closed() {
                leave(&entry, lease);
                return Err(JoinError::Closed);
            }
            return Ok(Producer::new(self, entry, lease, Default::default()));
        }
        // The seat first, then the tail, as for every successor.
        match self.succeed_producer() {
            Ok(Some(next)) => Ok(Producer::new(self, entry, lease, next)),
            Ok(None) => {
                leave(&entry, lease);
                Err(JoinError::Closed)
            }
            Err(c) => {
                leave(&entry, lease);
                Err(c.into())
            }
        }
    }

    /// Joins as a consumer. See [`Ring::join_producer`].
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn join_consumer(
        &self,
        lease: u64,
        mut verdict: impl FnMut(u64) -> Verdict,
    ) -> Result<Consumer<'m>, JoinError> {
        let entry = self.join(Role::Consumer, lease, &mut verdict)?;
        if !self.single(Role::Consumer) {
            return Ok(Consumer::new(self, entry, lease, Default::default()));
        }
        match self.succeed_consumer(&entry) {
            Ok(next) => Ok(Consumer::new(self, entry, lease, next)),
            Err(c) => {
                leave(&entry, lease);
                Err(c.into())
            }
        }
    }

    /// Takes an entry: a free one, or else one of the dead.
    fn join(&self, role: Role, lease: u64, verdict: &mut dyn FnMut(u64) -> Verdict) -> Result<Entry<'m>, JoinError> {
        if lease == 0 || lease > MAX_LEASE {
            return Err(Corrupt::new(Field::Lease, lease, 0).into());
        }
        let entries = || self.table.places(self.limits.window(role), role);
        let vacant = entries().find(|entry| entry.lease.load(ord!(MJ9, Relaxed)) == 0 && take(entry, 0, lease));
        if let Some(entry) = vacant {
            return Ok(self.enter(entry, role));
        }
        let (mut alive, mut unknown, mut unsettled) = (0usize, 0usize, 0usize);
        for entry in entries() {
            match self.recover_for(&entry, lease, verdict)? {
                Recovery::Vacant => {
                    if take(&entry, 0, lease) {
                        return Ok(self.enter(entry, role));
                    }
                }
                Recovery::Released { .. } => return Ok(self.enter(entry, role)),
                Recovery::Owned { verdict: Verdict::Unknown, .. } => unknown = unknown.wrapping_add(1),
                Recovery::Unsettled { .. } => unsettled = unsettled.wrapping_add(1),
                Recovery::Owned { .. } | Recovery::Contended => alive = alive.wrapping_add(1),
            }
        }
        Err(JoinError::TableFull { alive, unknown, unsettled })
    }

    /// Makes an entry just taken our own.
    fn enter(&self, entry: Entry<'m>, role: Role) -> Entry<'m> {
        // An intent of the dead may name a position that somebody else claims later; now that the entry lives, that
        // would pass for ours. Release, as MP3: a repairer that still holds the entry for the one before's must not
        // see this without how his claims were settled. The only consumer's intent is for its successor to read.
        if !self.single(Role::Producer) {
            entry.intent(Role::Producer).store(Intent::NONE.0, ord!(MJ10, Release));
        }
        if !self.single(Role::Consumer) {
            entry.intent(Role::Consumer).store(Intent::NONE.0, ord!(MJ11, Release));
        }
        // The fence and the swap have put the last owner's bits before us; ours are not set yet.
        self.forget_waiting(&entry);
        self.set_barrier(&entry);
        entry.set_role(role);
        entry
    }

    /// Releases the entry `index` if its owner is proven dead, settling what it had left.
    ///
    /// # Errors
    /// [`Corrupt`] for impossible words.
    pub fn recover(&self, index: u32, mut verdict: impl FnMut(u64) -> Verdict) -> Result<Recovery, Corrupt> {
        match self.table.entry(u64::from(index)) {
            Some(entry) => self.recover_for(&entry, 0, &mut verdict),
            None => Ok(Recovery::Vacant),
        }
    }

    /// Moves a dead owner's entry to `lease` (0: nobody). Idempotent up to the last step, and needs no lock; intents
    /// are left as they are, since nobody but their owner ever writes them.
    fn recover_for(
        &self,
        entry: &Entry<'_>,
        lease: u64,
        verdict: &mut dyn FnMut(u64) -> Verdict,
    ) -> Result<Recovery, Corrupt> {
        let dead = match vacancy(entry, verdict)? {
            None => return Ok(Recovery::Contended),
            Some(Ok(0)) => return Ok(Recovery::Vacant),
            Some(Ok(dead)) => dead,
            Some(Err(Repair::Owned { verdict, lease, .. })) => return Ok(Recovery::Owned { verdict, lease }),
            Some(Err(_)) => return Ok(Recovery::Contended),
        };
        // Loaded after the verdict, whose fence brings all that the dead have stored. If the entry has changed hands
        // since, the swap at the end fails.
        for role in [Role::Producer, Role::Consumer] {
            if self.single(role) {
                continue; // a successor settles it
            }
            let intent = Intent(entry.intent(role).load(ord!(MJ12, Relaxed)));
            for p in intent.positions() {
                let blocked = match role {
                    Role::Producer => Blocked::Write(p),
                    Role::Consumer => Blocked::Read(p),
                };
                if self.is_settled(blocked)? {
                    continue;
                }
                let by = self.repair(blocked, lease, &mut *verdict)?;
                if !self.is_settled(blocked)? {
                    return Ok(Recovery::Unsettled { lease: dead, blocked, by });
                }
            }
        }
        Ok(if take(entry, dead, lease) { Recovery::Released { lease: dead } } else { Recovery::Contended })
    }

    /// Whether nobody's claim of this position can be open: it was never claimed, or its slot has moved on.
    fn is_settled(&self, blocked: Blocked) -> Result<bool, Corrupt> {
        Ok(match blocked {
            Blocked::Write(p) => {
                let tail = Tail(self.tail().load(ord!(MJ13, Relaxed))).checked()?;
                // Relaxed, all of these: the fence after the verdict brings what the dead one did about it, and what
                // others did about it is a settled word whichever way it is seen.
                tail.position().get() <= p.get() || self.slots.at(p).word().load(ord!(MJ14, Relaxed)) != free(p)
            }
            Blocked::Read(p) => {
                let head = self.head().load(ord!(MJ15, Relaxed));
                let word = self.slots.at(p).word().load(ord!(MJ16, Relaxed));
                head <= p.get() || !SlotState::decode(word, p, self.slots.count())?.is_readable(p)
            }
            Blocked::Close => true,
        })
    }
}
