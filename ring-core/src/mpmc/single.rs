//! What the successor of an only producer or an only consumer finds out before its first operation. Both sides work
//! without a read-modify-write, and without an announcement that a stranger could settle: what a dead one has left is
//! there to be found in the slots.

use super::participant::Entry;
use super::ring::Ring;
use super::word::{Intent, MAX_ATTEMPT, MAX_POSITION, SlotState, State, Tail, committed, void};
use crate::error::{Corrupt, Field};
use crate::position::Position;
use crate::seat::Role;
use crate::sync::ord;

impl Ring<'_> {
    /// Where the only producer goes on; `None` if the ring has been closed, which is settled on the way.
    pub(super) fn succeed_producer(&self) -> Result<Option<Position>, Corrupt> {
        let end = self.end_of_messages()?;
        let was = Tail(self.tail().load(ord!(MS10, Relaxed)));
        let closed = was.is_closed() || self.closing.load(ord!(MS11, Relaxed)) != 0;
        let tail = if closed { Tail::open(end).0 | Tail::CLOSED } else { Tail::open(end).0 };
        self.tail().store(tail, ord!(MS12, Release));
        if closed {
            self.tell_all();
        }
        Ok((!closed).then_some(end))
    }

    /// Walks from the stored tail over what was committed after it was stored, one batch at most.
    pub(super) fn end_of_messages(&self) -> Result<Position, Corrupt> {
        let stored = Tail(self.tail().load(ord!(MS13, Relaxed))).checked()?.position();
        let slots = self.slots.count();
        for p in (0..slots).map(|i| stored.plus(i)) {
            // Relaxed: the entry's swap, or the fence after the verdict, has put the dead one's stores before us.
            let word = self.slots.at(p).word().load(ord!(MS14, Relaxed));
            let slot = SlotState::decode(word, p, slots)?;
            if slot.position.precedes(p) || slot.at(p) == Some(State::Free) {
                return Ok(p);
            }
            within_a_lap(word, p, &slot, slots)?;
        }
        Ok(stored.plus(slots))
    }

    /// Where the only consumer goes on. What its predecessor had in hand is flagged, or dropped at most once.
    pub(super) fn succeed_consumer(&self, entry: &Entry<'_>) -> Result<Position, Corrupt> {
        let slots = self.slots.count();
        let stored = Position::new(self.head().load(ord!(MS15, Relaxed)));
        if stored.get() > MAX_POSITION {
            return Err(Corrupt::new(Field::Head, stored.get(), 0));
        }
        let mut head = stored;
        while head.since(stored) < slots {
            let word = self.slots.at(head).word().load(ord!(MS16, Relaxed));
            let slot = SlotState::decode(word, head, slots)?;
            if !head.precedes(slot.position) {
                break;
            }
            within_a_lap(word, head, &slot, slots)?;
            head = head.plus(1);
        }
        self.head().store(head.get(), ord!(MS17, Relaxed));
        // Before the intent is withdrawn: a successor that dies here leaves it to the next, who flags once more.
        let intent = entry.intent(Role::Consumer);
        for p in Intent(intent.load(ord!(MS18, Relaxed))).positions() {
            if !p.precedes(head) {
                self.flag(p)?;
            }
        }
        intent.store(Intent::NONE.0, ord!(MS19, Relaxed));
        Ok(head)
    }

    /// Counts a delivery of the message at `p`.
    fn flag(&self, p: Position) -> Result<(), Corrupt> {
        let slot = self.slots.at(p);
        let word = slot.word().load(ord!(MS20, Relaxed));
        let Some(State::Committed(attempt)) = SlotState::decode(word, p, self.slots.count())?.at(p) else {
            return Ok(());
        };
        let dropped = self.attempts == 0 || attempt == MAX_ATTEMPT;
        let new = if dropped { void(p) } else { committed(p, attempt.wrapping_add(1)) };
        // Relaxed: only we, or our successors, read it. A read-modify-write all the same: it passes on what the
        // producer has released with the message.
        let _ = slot.word().compare_exchange(word, new, ord!(MS21, Relaxed), ord!(MS22, Relaxed));
        Ok(())
    }
}

/// Head and tail of an only one lag behind by what it has settled and not yet stored, a lap at most: so a slot of `p`
/// cannot be further than that.
fn within_a_lap(word: u64, p: Position, slot: &SlotState, slots: u64) -> Result<(), Corrupt> {
    if slot.position.since(p) > slots { Err(Corrupt::new(Field::Slot, word, p.get())) } else { Ok(()) }
}
