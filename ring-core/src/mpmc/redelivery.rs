//! Messages that have lost their reader: found by whoever finds the ring empty, claimed by a compare-and-swap on
//! their slot, delivered again with a flag. One at a time, by a consumer that holds nothing else.

use super::consumer::{Consumer, Found};
use super::error::ReadError;
use super::record::Record;
use super::repair::Repair;
use super::word::{Intent, MAX_POSITION, SlotState, State, Tail, committed, orphaned};
use crate::error::{Corrupt, Field};
use crate::position::Position;
use crate::seat::Verdict;
use crate::sync::ord;

impl<'m> Consumer<'m> {
    /// Looks at every slot before the head for a message without a reader, after the hint said that there is one.
    pub(super) fn adopt_hinted(&mut self) -> Result<Option<Found>, Corrupt> {
        // Acquire, partner of MC13 and MR12: whoever set the hint had marked the slot. It is set by
        // read-modify-writes alone: a plain store would hide what earlier ones have released. Taken before looking, so
        // that a mark set while we look raises it again.
        self.ring.orphans.swap(0, ord!(MD1, Acquire));
        // Loaded after that: an older head would leave out the very message the hint was for, and the hint is down.
        let head = Position::new(self.ring.head().load(ord!(MD8, Relaxed)));
        self.adopt_first(head, None)
    }

    /// Claims the first message without a reader before `head`. With a `repair`, messages in the hands of readers
    /// are first given to it.
    fn adopt_first(
        &mut self,
        head: Position,
        mut repair: Option<&mut dyn FnMut(Position) -> Result<Repair, Corrupt>>,
    ) -> Result<Option<Found>, Corrupt> {
        let slots = self.ring.slots.count();
        let tail = Tail(self.ring.tail().load(ord!(MD2, Relaxed))).checked()?.position();
        // A stale tail only makes us look at slots that have moved on.
        let first = tail.max(head).get().saturating_sub(slots);
        for p in (first..head.get()).map(Position::new) {
            if let Some(attempt) = self.orphan_at(p, &mut repair)? {
                if let Some(found) = self.adopt(p, attempt) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The attempt of the message at `p` if it has no reader, perhaps since its reader's death has been found out.
    fn orphan_at(
        &self,
        p: Position,
        repair: &mut Option<&mut dyn FnMut(Position) -> Result<Repair, Corrupt>>,
    ) -> Result<Option<u64>, Corrupt> {
        for _ in 0..2 {
            // Acquire, partner of MC12 and MR11: the payload, and the last reader's reads of it, come before.
            let word = self.ring.slots.at(p).word().load(ord!(MD3, Acquire));
            let slot = SlotState::decode(word, p, self.ring.slots.count())?;
            if let Some(State::Orphaned(attempt)) = slot.at(p) {
                return Ok(Some(attempt));
            }
            match repair {
                Some(repair) if slot.is_readable(p) => match repair(p)? {
                    Repair::Orphaned(_) => {}
                    _ => return Ok(None),
                },
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Claims the message without a reader at `p`, as its `attempt`-th delivery after the first.
    pub(super) fn adopt(&mut self, p: Position, attempt: u64) -> Option<Found> {
        // Release, as MC3.
        self.intent.store(Intent::new(p, 1).0, ord!(MD6, Release));
        let slot = self.ring.slots.at(p);
        // Release, partner of MR8: whoever finds the message in our hands finds our intent.
        let (old, new) = (orphaned(p, attempt), committed(p, attempt));
        if slot.word().compare_exchange(old, new, ord!(MD4, Release), ord!(MD7, Relaxed)).is_err() {
            self.clear_intent();
            return None;
        }
        self.ring.slots.note_claim(false, p, attempt);
        // There may be more. Relaxed: as a read-modify-write it passes on what those before it have released.
        self.ring.orphans.fetch_or(1, ord!(MD5, Relaxed));
        // Who was woken for another one may have found the hint down while we looked.
        self.ring.tell_receivers(1);
        Some(Found { position: p, attempt, count: 1 })
    }

    /// Looks for messages whose reader died, hint or no hint, and lends the first one found. For a consumer that has
    /// waited for a while and found nothing, since the hint may have died with whoever was to set it.
    ///
    /// `verdict` is asked about the owners of whatever is in hands other than ours; `report` hears what was settled.
    /// A message from this call is delivered, released and kept like any other.
    ///
    /// # Errors
    /// [`ReadError::Empty`] when there is none, [`ReadError::Corrupt`].
    pub fn redeliver(
        &mut self,
        mut verdict: impl FnMut(u64) -> Verdict,
        mut report: impl FnMut(Repair),
    ) -> Result<Record<'_, 'm>, ReadError> {
        if let Some(found) = self.take_pending() {
            return self.lend(found);
        }
        if self.single {
            return self.try_read(); // its messages never leave its hands
        }
        let (ring, head) = (self.ring, Position::new(self.ring.head().load(ord!(MD8, Relaxed))));
        if head.get() > MAX_POSITION {
            // Half of all numbers away from the tail it would pass for an earlier one, with as many slots to look at.
            return Err(Corrupt::new(Field::Head, head.get(), 0).into());
        }
        let mut repair = |p| {
            let repair = ring.repair_read(p, &mut verdict);
            if let Ok(settled) = repair {
                report(settled);
            }
            repair
        };
        let found = self.adopt_first(head, Some(&mut repair))?.ok_or(ReadError::Empty)?;
        self.lend(found)
    }
}
