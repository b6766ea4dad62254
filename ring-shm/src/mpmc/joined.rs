//! A core handle with what keeps its memory alive, and the one way in which its operations are run: the check that
//! the handle is usable here, the operation, and after a refusal that a death may have caused, the cure and one more
//! try. Leaves the ring when dropped.
//!
//! # Safety
//!
//! 1. `core` is taken out once, in `drop`, and not used after.
//! 2. `run` and `run_guessing` make a second `&mut` from a pointer only when the operation that got the first one has
//!    returned an error, or nothing. Errors are `'static`, so nothing refers to its referent any more. (A borrow checker
//!    that follows values rather than branches would accept the same without a pointer.)
#![allow(unsafe_code)]

use core::mem::ManuallyDrop;
use std::path::PathBuf;
use std::thread;

use ring_core::mpmc::{self as core_mpmc, ClaimError, ReadError, Ring, SeatFacts};
use ring_core::{Corrupt, Sleeper};

use super::Stats;
use super::cure::{Cure, Settled, Trouble};
use super::error::{Holder, TryRecvError, TrySendError};
use super::setup::{self, Place};
use crate::error::MapError;
use crate::fork;
use crate::life::{Life, Refusal, UNUSABLE};
use crate::wait::Waiter;

/// One of ring-core's handles.
pub(super) trait Core {
    /// What its operations say.
    type Refusal: Copy + 'static;
    /// What the handle around it says.
    type Error: From<Refusal>;

    fn trouble(refusal: Self::Refusal) -> Trouble;
    fn error(refusal: Self::Refusal, by: Option<Holder>) -> Self::Error;
    fn corrupt(corrupt: Corrupt) -> Self::Refusal;
    fn index(&self) -> u32;
    fn sign(&self, facts: SeatFacts);
    fn sleeper(&self) -> Option<Sleeper<'static>>;
    fn leave(self);
}

impl Core for core_mpmc::Producer<'static> {
    type Refusal = ClaimError;
    type Error = TrySendError;

    fn trouble(refusal: ClaimError) -> Trouble {
        match refusal {
            ClaimError::Busy(Some(blocked)) => Trouble::Blocked(blocked),
            ClaimError::Corrupt(corrupt) => Trouble::Corrupt(corrupt),
            _ => Trouble::None,
        }
    }

    fn error(refusal: ClaimError, by: Option<Holder>) -> TrySendError {
        TrySendError::new(refusal, by)
    }

    fn corrupt(corrupt: Corrupt) -> ClaimError {
        corrupt.into()
    }

    fn index(&self) -> u32 {
        self.index()
    }

    fn sign(&self, facts: SeatFacts) {
        self.set_facts(facts);
    }

    fn sleeper(&self) -> Option<Sleeper<'static>> {
        self.sleeper()
    }

    fn leave(self) {
        self.leave();
    }
}

impl Core for core_mpmc::Consumer<'static> {
    type Refusal = ReadError;
    type Error = TryRecvError;

    fn trouble(refusal: ReadError) -> Trouble {
        match refusal {
            ReadError::Empty => Trouble::Idle,
            ReadError::Busy(Some(blocked)) => Trouble::Blocked(blocked),
            ReadError::Corrupt(corrupt) => Trouble::Corrupt(corrupt),
            _ => Trouble::None,
        }
    }

    fn error(refusal: ReadError, by: Option<Holder>) -> TryRecvError {
        TryRecvError::new(refusal, by)
    }

    fn corrupt(corrupt: Corrupt) -> ReadError {
        corrupt.into()
    }

    fn index(&self) -> u32 {
        self.index()
    }

    fn sign(&self, facts: SeatFacts) {
        self.set_facts(facts);
    }

    fn sleeper(&self) -> Option<Sleeper<'static>> {
        self.sleeper()
    }

    fn leave(self) {
        self.leave();
    }
}

/// A core handle at its place.
#[derive(Debug)]
pub(super) struct Joined<C: Core> {
    core: ManuallyDrop<C>,
    /// The process image this handle works in, or [`UNUSABLE`].
    born: u64,
    cold: Box<Cold>,
}

/// Dropped last: it holds the memory.
#[derive(Debug)]
struct Cold {
    cure: Cure,
    place: Place,
}

impl<C: Core> Joined<C> {
    pub(super) fn new(core: C, place: Place) -> Self {
        core.sign(setup::own_facts());
        let cure = Cure::new(place.ring.capacity());
        Self { core: ManuallyDrop::new(core), born: fork::epoch(), cold: Box::new(Cold { cure, place }) }
    }

    /// The core handle, where it may be used.
    #[inline(always)]
    pub(super) fn usable(&mut self) -> Option<&mut C> {
        if self.is_usable() { Some(&mut *self.core) } else { None }
    }

    /// What `guess` gives where the handle is usable; if that is nothing, [runs](Self::run) `op`, out of line. `made` is
    /// what becomes of either answer.
    #[inline(always)]
    pub(super) fn run_guessing<'a, R: 'a, M>(
        &'a mut self,
        guess: impl FnOnce(&'a mut C) -> Option<R>,
        op: impl FnMut(&'a mut C) -> Result<R, C::Refusal>,
        made: impl Fn(R) -> M,
    ) -> Result<M, C::Error> {
        let this: *mut Self = self;
        // SAFETY: 2, the first one.
        if let Some(done) = unsafe { &mut *this }.usable().and_then(guess) {
            return Ok(made(done));
        }
        // SAFETY: 2; the one before has returned nothing.
        match unsafe { &mut *this }.run_slowly(op) {
            // Taken apart, so that the quick way has nothing to do with where the other one leaves its answer.
            Ok(done) => Ok(made(done)),
            Err(error) => Err(error),
        }
    }

    #[cold]
    #[inline(never)]
    fn run_slowly<'a, R: 'a>(&'a mut self, op: impl FnMut(&'a mut C) -> Result<R, C::Refusal>) -> Result<R, C::Error> {
        self.run(op)
    }

    /// Runs `op`; once more if it was refused because of something that could be settled.
    #[inline(always)]
    pub(super) fn run<'a, R: 'a>(
        &'a mut self,
        mut op: impl FnMut(&'a mut C) -> Result<R, C::Refusal>,
    ) -> Result<R, C::Error> {
        if !self.is_usable() {
            return Err(self.cold.place.life.refusal().into());
        }
        let core: *mut C = &mut *self.core;
        let mut treated = false;
        // One place for the operation, so that it becomes part of the caller; it is run twice at most.
        let refusal = loop {
            // SAFETY: 2; the one before, if any, has returned an error.
            let refusal = match op(unsafe { &mut *core }) {
                Ok(done) => return Ok(done),
                Err(refusal) => refusal,
            };
            if treated {
                break refusal;
            }
            match self.cold.cure.treat(&mut self.cold.place, C::trouble(refusal)) {
                Ok(false) => break refusal,
                Ok(true) => treated = true,
                Err(corrupt) => break C::corrupt(corrupt),
            }
        };
        Err(refused::<C>(refusal, &mut self.born, &mut self.cold))
    }

    /// Its place for what waiting needs.
    pub(super) fn waiter(&mut self) -> &mut Option<Box<Waiter>> {
        &mut self.cold.place.waiter
    }

    /// Where it sleeps.
    pub(super) fn sleeper(&self) -> Option<Sleeper<'static>> {
        self.core.sleeper()
    }

    /// It polls seldom, so every look counts.
    pub(super) fn slept(&mut self) {
        self.cold.cure.slept();
    }

    pub(super) fn chime_path(&self) -> Option<PathBuf> {
        self.cold.place.life.chime_path()
    }

    #[inline(always)]
    pub(super) fn is_usable(&self) -> bool {
        self.born == fork::epoch()
    }

    /// What holds its memory.
    pub(super) fn life(&self) -> &Life {
        &self.cold.place.life
    }

    /// The ring, whose words may be touched only where the handle is usable.
    pub(super) fn ring(&self) -> &Ring<'static> {
        &self.cold.place.ring
    }

    /// Messages in the ring: a guess; 0 where the handle is not usable.
    pub(super) fn len_guess(&self) -> u64 {
        if self.is_usable() { self.ring().len_guess() } else { 0 }
    }

    /// Waits until the ring survives the machine's end.
    pub(super) fn sync(&self) -> Result<(), MapError> {
        self.cold.place.life.sync()
    }

    /// Whether the ring was closed, or told to close.
    pub(super) fn is_closed(&self) -> bool {
        self.is_usable() && self.ring().stat().is_ok_and(|stat| stat.closed || stat.closing)
    }

    pub(super) fn stats(&self) -> Stats {
        let Cold { cure, place } = &*self.cold;
        let settled: Settled = cure.settled;
        Stats { len_guess: self.len_guess(), lease: place.lease, index: self.core.index(), settled }
    }

    /// Ends the ring for everybody.
    pub(super) fn close(&mut self) -> Result<(), C::Error> {
        if !self.is_usable() {
            return Err(self.cold.place.life.refusal().into());
        }
        let place = &mut self.cold.place;
        let (ring, lease) = (place.ring, place.lease);
        match ring.close(lease, |lease| place.verdict(lease)) {
            Ok(_) => Ok(()), // an only producer that is in the way has been told
            Err(corrupt) => Err(refused::<C>(C::corrupt(corrupt), &mut self.born, &mut self.cold)),
        }
    }
}

/// What a refusal of the core means here. `Corrupt` is the end of the handle: its fast check fails from now on.
#[cold]
fn refused<C: Core>(refusal: C::Refusal, born: &mut u64, cold: &mut Cold) -> C::Error {
    let refusal = cold.place.life.cut().map_or(refusal, C::corrupt); // whatever the zeros in its place say
    let trouble = C::trouble(refusal);
    if let Trouble::Corrupt(corrupt) = trouble {
        cold.place.life.poison(corrupt);
        *born = UNUSABLE;
    }
    C::error(refusal, cold.cure.holder(trouble))
}

impl<C: Core> Drop for Joined<C> {
    fn drop(&mut self) {
        if self.is_usable() && !thread::panicking() {
            // SAFETY: 1.
            unsafe { ManuallyDrop::take(&mut self.core) }.leave();
        }
    }
}
