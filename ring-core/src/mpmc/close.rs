//! The end of a ring. With many producers it is a bit of the tail. An only producer stores its tail without looking,
//! so others can but ask it to close; if it has left or died, whoever finds that out takes its entry for a moment, as
//! a successor would, and closes the tail in its place.

use super::membership;
use super::repair::Repair;
use super::ring::Ring;
use super::word::Tail;
use crate::error::Corrupt;
use crate::position::Position;
use crate::seat::{Role, Verdict};
use crate::sync::ord;

impl Ring<'_> {
    /// Ends the ring: from now on nothing can be claimed, and consumers that have drained it are told. Claims made
    /// before stay valid. `lease` is the caller's own.
    ///
    /// Returns [`Repair::Closed`], or in a single-producer ring [`Repair::Owned`] while the producer lives and has
    /// not noticed; it will with its next operation.
    ///
    /// # Errors
    /// [`Corrupt`] for impossible words.
    pub fn close(&self, lease: u64, mut verdict: impl FnMut(u64) -> Verdict) -> Result<Repair, Corrupt> {
        if !self.single(Role::Producer) {
            self.close_tail();
            return Ok(Repair::Closed);
        }
        self.closing.store(1, ord!(MX2, Relaxed));
        // An only producer that sleeps notices it now.
        self.tell_all();
        Ok(match self.settle_close(lease, &mut verdict)? {
            Ok(_) => Repair::Closed,
            Err(owned) => owned,
        })
    }

    /// Sets the bit of the tail. Relaxed: it carries nothing, and as a read-modify-write it passes on what the
    /// claimers before it have released.
    pub(super) fn close_tail(&self) {
        self.tail().fetch_or(Tail::CLOSED, ord!(MX4, Relaxed));
        self.tell_all();
    }

    /// Single-producer rings: closes the tail after a request, unless a producer is there to do it. The
    /// closed tail, or who is in the way.
    pub(super) fn settle_close(
        &self,
        lease: u64,
        verdict: &mut dyn FnMut(u64) -> Verdict,
    ) -> Result<Result<Position, Repair>, Corrupt> {
        let Some(seat) = self.table.entry(0) else { return Ok(Err(Repair::Contended)) };
        if lease == 0 {
            return Ok(Err(Repair::Contended)); // nobody could tell whether we die with the entry in hand
        }
        for _ in 0..4 {
            // Acquire, partner of MS3 and MX6: all messages come before the end.
            let tail = Tail(self.tail().load(ord!(MX3, Acquire))).checked()?;
            if tail.is_closed() {
                return Ok(Ok(tail.position()));
            }
            let Some(owner) = membership::vacancy(&seat, verdict)? else { continue };
            let owner = match owner {
                Ok(owner) => owner,
                Err(owned) => return Ok(Err(owned)),
            };
            if !membership::take(&seat, owner, lease) {
                continue;
            }
            let end = self.end_of_messages();
            if let Ok(end) = end {
                self.tail().store(Tail::open(end).0 | Tail::CLOSED, ord!(MX6, Release));
                self.tell_all();
            }
            membership::leave(&seat, lease);
            return end.map(Ok);
        }
        Ok(Err(Repair::Contended))
    }
}
