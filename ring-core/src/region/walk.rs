//! The slot that an MPMC handle takes next, if it knows which: a pointer that goes round the slots, and one comparison
//! that says both whether it is known and whether a payload fits. Nothing in the protocol depends on it: a walk that rests
//! sends the message the long way.
//!
//! # Safety
//!
//! With R6 and R7 of `slots.rs`:
//!
//! R11. `at`, `turn` and `last` of a `Walk` are bases of slots of its `slots`. `last` is that of the last one, `turn` that of
//!     the one `ahead` bytes before it.
//! R12. `limit`, `alone`, `kept` and `limits` are 0 or at most one more than the room.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::slots::AHEAD;
use super::{Slot, Slots, prefetch_write};
use crate::position::Position;

/// A way along the slots, kept privately by a handle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'m> {
    at: NonNull<u8>,
    /// More than the longest payload that may be taken: 0 where the walk rests, and nothing may.
    limit: usize,
    /// The same for who takes slots alone.
    alone: usize,
    /// The limit it had before its last rest.
    kept: usize,
    /// What `limit` and `alone` are at the beginning of a walk.
    limits: (usize, usize),
    slots: Slots<'m>,
    last: NonNull<u8>,
    /// Bytes to the slot that is asked for ahead.
    ahead: usize,
    /// The last slot from which these do not lead beyond the end.
    turn: NonNull<u8>,
}

// SAFETY: as for `Region`.
unsafe impl Send for Walk<'_> {}
// SAFETY: as for `Region`.
unsafe impl Sync for Walk<'_> {}

impl<'m> Slots<'m> {
    /// A walk that takes payloads of up to `most` bytes, or as many as a slot has room for, once it is told where to begin.
    /// One that is `alone` is never raced for a slot.
    pub(crate) fn walk(&self, most: u64, alone: bool) -> Walk<'m> {
        let at = |index| self.at(Position::new(index)).base;
        // AHEAD slots on, as far as that is from the first one, round and round. The same before the last one.
        let on = AHEAD & self.mask;
        let limit = usize::try_from(most).unwrap_or(usize::MAX).min(self.room).wrapping_add(1);
        Walk {
            at: self.base,
            limit: 0,
            alone: 0,
            kept: 0,
            limits: if alone { (0, limit) } else { (limit, 0) },
            slots: *self,
            last: at(self.mask),
            ahead: at(on).addr().get().wrapping_sub(self.base.addr().get()),
            turn: at(self.mask.wrapping_sub(on)),
        }
    }
}

impl<'m> Walk<'m> {
    /// The slot of `position` is the next one.
    #[inline(always)]
    pub(crate) fn begin_at(&mut self, position: Position) {
        self.at = self.slots.at(position).base;
        (self.limit, self.alone) = self.limits;
    }

    /// Knows no slot from now on.
    #[inline(always)]
    pub(crate) fn forget(&mut self) {
        (self.limit, self.alone) = (0, 0);
    }

    /// Takes nothing until it [goes on](Self::go_on). Not for one that is alone: it forgets.
    #[inline(always)]
    pub(crate) fn rest(&mut self) {
        self.kept = self.limit;
        self.forget();
    }

    /// As before the last rest.
    #[inline(always)]
    pub(crate) fn go_on(&mut self) {
        self.limit = self.kept;
    }

    /// The slot, whose first `len` bytes of payload there [are](Slot::span), if `claims` says that it is ours; then the walk
    /// goes to the next one. `None` also where no slot is known, or none for so many bytes.
    #[inline(always)]
    pub(crate) fn take(&mut self, len: usize, claims: impl FnOnce(Slot<'m>) -> bool) -> Option<Passed<'m>> {
        // R12: for `pass`.
        if len < self.limit { self.pass(len, claims) } else { None }
    }

    /// The same for who takes slots alone: `None` also where others may.
    #[inline(always)]
    pub(crate) fn take_alone(&mut self, len: usize, claims: impl FnOnce(Slot<'m>) -> bool) -> Option<Passed<'m>> {
        // R12: for `pass`.
        if len < self.alone { self.pass(len, claims) } else { None }
    }

    /// The slot, if any is known.
    pub(crate) fn slot(&self) -> Option<Slot<'m>> {
        // R7 by R11.
        (self.limit | self.alone != 0).then_some(Slot { base: self.at, room: 0, memory: PhantomData })
    }

    /// The same for who does not know yet how much is in it: the slot has the walk's limit for its room.
    #[inline(always)]
    pub(crate) fn take_any(&mut self, claims: impl FnOnce(Slot<'m>) -> bool) -> Option<Passed<'m>> {
        // R12: for `pass`.
        if self.limit != 0 { self.pass(self.limit.wrapping_sub(1), claims) } else { None }
    }

    /// Takes the slot, whose room is at least `room`.
    #[inline(always)]
    fn pass(&mut self, room: usize, claims: impl FnOnce(Slot<'m>) -> bool) -> Option<Passed<'m>> {
        // R7 by R11.
        let slot = Slot { base: self.at, room, memory: PhantomData };
        if !claims(slot) {
            return None;
        }
        let last = slot.base == self.last;
        self.at = if last {
            self.first()
        } else {
            // SAFETY: R11, R6: there is a slot behind all but the last.
            unsafe { slot.base.add(self.slots.stride) }
        };
        Some(Passed { slot, last })
    }

    #[cold]
    fn first(&self) -> NonNull<u8> {
        self.slots.base
    }

    /// What is to be asked for, a little further on.
    #[inline(always)]
    pub(crate) fn ahead(&self) -> Ahead {
        if self.at > self.turn {
            return self.ahead_anew();
        }
        // SAFETY: R11: at most up to the last slot.
        Ahead(unsafe { self.at.add(self.ahead) })
    }

    /// The same beyond the last slot: behind `turn` by one slot it is the first.
    #[cold]
    fn ahead_anew(&self) -> Ahead {
        let behind = self.at.addr().get().wrapping_sub(self.turn.addr().get());
        // SAFETY: R11: `at` is at least one slot behind `turn`, and no more slots than there are.
        Ahead(unsafe { self.slots.base.add(behind.wrapping_sub(self.slots.stride)) })
    }
}

/// What a walk has passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed<'m> {
    pub(crate) slot: Slot<'m>,
    /// Whether it was the last of all.
    pub(crate) last: bool,
}

/// A line that will be written to soon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead(NonNull<u8>);

impl Ahead {
    /// Asks for ownership of it. A hint without effect on meaning.
    #[inline(always)]
    pub(crate) fn prefetch_write(self) {
        prefetch_write(self.0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use crate::region::{Line, Region};

    /// The walk finds by adding what `Slots` finds by multiplying.
    #[test]
    fn a_walk_goes_round_the_slots() {
        let lines = [const { Line::new() }; 33];
        for count in [1, 2, 4, 8, 16, 32, 64] {
            let slots = Region::new(&lines).slots(128, count, 64).unwrap();
            let mut walk = slots.walk(48, false);
            walk.begin_at(Position::new(3));
            for p in (3..3 + 3 * count).map(Position::new) {
                assert_eq!(walk.ahead().0, slots.at(p.plus(AHEAD)).base, "{p:?} of {count}");
                let passed = walk.take(48, |slot| slot.base == slots.at(p).base).expect("the slot of that position");
                assert_eq!(passed.last, p.plus(1).get() % count == 0);
            }
        }
    }

    #[test]
    fn a_walk_takes_what_has_room() {
        let lines = [const { Line::new() }; 2];
        let slots = Region::new(&lines).slots(128, 2, 64).unwrap();
        for (most, room) in [(40, 40), (48, 48), (49, 48), (u64::MAX, 48)] {
            let mut walk = slots.walk(most, false);
            assert!(walk.take(0, |_| true).is_none() && walk.take_any(|_| true).is_none(), "before it has begun");
            walk.begin_at(Position::new(0));
            assert!(walk.take(room + 1, |_| true).is_none() && walk.take_alone(0, |_| true).is_none());
            assert!(walk.take(room, |_| true).unwrap().slot.span(room as u64).is_some());
            let any = walk.take_any(|_| true).unwrap().slot;
            assert!(any.span(room as u64).is_some() && any.span(room as u64 + 1).is_none());
            walk.rest();
            assert!(walk.take(0, |_| true).is_none() && walk.slot().is_none());
            walk.go_on();
            assert!(walk.slot().is_some_and(|slot| slot.base == slots.at(Position::new(0)).base));
        }
    }
}
