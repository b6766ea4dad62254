//! Where a handle guesses that it claims next: behind its last claim. The slot of that as a pointer, and all words of the
//! claim, kept in step here. Only a guess: the compare-and-swap decides. That of the only one of a role is right.

use super::ring::Ring;
use super::word::{MAX_POSITION, NEXT, Place};
use crate::position::Position;
use crate::region::{Passed, Slot, Walk};
use crate::seat::Role;

/// A slot and its place. Beyond the last position there is none. The order counts: were both words neighbours, a compiler
/// would move them on by vectors.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Guess<'m> {
    /// The word of the slot when it can be claimed.
    word: u64,
    /// The slot. The walk rests while there is no guess: after a refusal, and while the next operation has anything else to
    /// look after.
    pub(super) walk: Walk<'m>,
    place: Place,
    role: Role,
}

impl<'m> Guess<'m> {
    /// None yet, for a handle of `role`.
    pub(super) fn new(ring: &Ring<'m>, role: Role) -> Self {
        let mut guess = Self { word: 0, walk: ring.walk(role), place: Place::of(Position::new(0)), role };
        guess.stand_at(Position::new(0));
        guess
    }

    /// Guesses `p`.
    pub(super) fn begin_at(&mut self, p: Position) {
        self.stand_at(p);
        if p.get() < MAX_POSITION {
            self.walk.begin_at(p);
        }
    }

    fn stand_at(&mut self, p: Position) {
        self.place = Place::of(p);
        self.word = match self.role {
            Role::Producer => self.place.free(),
            Role::Consumer => self.place.committed(),
        };
    }

    /// The place that is guessed; of no meaning while the walk rests.
    #[inline(always)]
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// [`Walk::take`]; the next guess is behind what was taken. `claims` gets the word that the slot has when it can be claimed,
    /// too; by reference, so that it is loaded where it is compared.
    #[inline(always)]
    pub(super) fn take(&mut self, len: usize, claims: impl FnOnce(Slot<'m>, &u64) -> bool) -> Option<Passed<'m>> {
        let passed = self.walk.take(len, |slot| claims(slot, &self.word))?;
        Some(self.goes_on_behind(passed))
    }

    /// The same of [`Walk::take_alone`].
    #[inline(always)]
    pub(super) fn take_alone(&mut self, len: usize, claims: impl FnOnce(Slot<'m>, &u64) -> bool) -> Option<Passed<'m>> {
        let passed = self.walk.take_alone(len, |slot| claims(slot, &self.word))?;
        Some(self.goes_on_behind(passed))
    }

    /// The same of [`Walk::take_any`].
    #[inline(always)]
    pub(super) fn take_any(&mut self, claims: impl FnOnce(Slot<'m>, &u64) -> bool) -> Option<Passed<'m>> {
        let passed = self.walk.take_any(|slot| claims(slot, &self.word))?;
        Some(self.goes_on_behind(passed))
    }

    #[inline(always)]
    fn goes_on_behind(&mut self, passed: Passed<'m>) -> Passed<'m> {
        self.place = self.place.next();
        // The last position is that of the last slot.
        if passed.last && self.place.is_beyond_the_last() {
            self.walk.forget();
        }
        self.word = self.word.wrapping_add(NEXT);
        passed
    }
}
