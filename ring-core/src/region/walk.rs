//! The slot that an MPMC handle takes next, if it knows which: a pointer that goes round the slots, and one comparison
//! that says both whether it is known and whether a payload fits. Nothing in the protocol depends on it: a walk that rests
//! sends the message the long way.
//!
//! # Safety
//!
//! With R6 and R7 of `slots.rs`:
//!
//! R11. `at`, `turn` and `last` of a `Walk` are bases of slots of its `slots`. `last` is that of the last one, `turn` that of
//!     the one `ahead` bytes before it. So there is a slot behind each before `turn`, and one `ahead` bytes behind that.
//! R12. `limit`, `alone`, `kept` and `limits` are 0 or at most one more than the room.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::hint::prefetch_write;
use super::slots::AHEAD;
use super::{Slot, Slots};
use crate::position::Position;
use crate::sync::compiler_fence;

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
    /// Bytes from the next slot to that which is asked for ahead.
    ahead: usize,
    /// The last slot from which these do not lead beyond the end: from here on a step has to look where the end is.
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

    /// Takes nothing until it [goes on](Self::go_on). Not for one that is alone and knows a slot.
    #[inline(always)]
    pub(crate) fn rest(&mut self) {
        debug_assert!(self.alone == 0);
        self.kept = self.limit;
        self.limit = 0;
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

    /// What is to be asked for ahead of the next slot; near the end of the slots, that one.
    #[inline(always)]
    pub(crate) fn ahead(&self) -> Ahead {
        if self.at > self.turn {
            return Ahead(self.at);
        }
        // SAFETY: R11.
        Ahead(unsafe { self.at.add(self.ahead) })
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
        let (ahead, last) = if slot.base < self.turn {
            // SAFETY: R11.
            self.at = unsafe { slot.base.add(self.slots.stride) };
            // SAFETY: R11.
            (Ahead(unsafe { self.at.add(self.ahead) }), false)
        } else {
            self.turn()
        };
        Some(Passed { slot, ahead, last })
    }

    /// The step from `turn` or a slot behind it: what is to be asked for ahead, and whether it was the last slot.
    #[cold]
    fn turn(&mut self) -> (Ahead, bool) {
        compiler_fence(); // or the step keeps what it compared, for this
        let last = self.at == self.last;
        self.at = if last {
            self.slots.base
        } else {
            // SAFETY: R6: there is a slot behind all but the last.
            unsafe { self.at.add(self.slots.stride) }
        };
        let ahead = if self.at <= self.turn {
            // SAFETY: R11: at most up to the last slot.
            unsafe { self.at.add(self.ahead) }
        } else {
            // Behind `turn` by one slot it is the first.
            let behind = self.at.addr().get().wrapping_sub(self.turn.addr().get());
            // SAFETY: R11: `at` is at least one slot behind `turn`, and no more slots than there are.
            unsafe { self.slots.base.add(behind.wrapping_sub(self.slots.stride)) }
        };
        (Ahead(ahead), last)
    }
}

/// What a walk has passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed<'m> {
    pub(crate) slot: Slot<'m>,
    /// What is to be asked for, a little further on.
    pub(crate) ahead: Ahead,
    /// Whether it was the last of all.
    pub(crate) last: bool,
}

/// A line that will be written to soon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead(pub(super) NonNull<u8>);

// SAFETY: as for `Region`; and nothing is read or written through it.
unsafe impl Send for Ahead {}
// SAFETY: as above.
unsafe impl Sync for Ahead {}

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
                let passed = walk.take(48, |slot| slot.base == slots.at(p).base).expect("the slot of that position");
                assert_eq!(passed.last, p.plus(1).get() % count == 0);
                assert_eq!(passed.ahead.0, slots.ahead(p.plus(1)).0, "behind {p:?} of {count}");
                let beyond = walk.at > walk.turn;
                assert_eq!(walk.ahead().0, if beyond { walk.at } else { passed.ahead.0 }, "at {p:?} of {count}");
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
