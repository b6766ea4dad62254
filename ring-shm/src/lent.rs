//! What is lent, of both rings and of any number: given back when it is dropped, unless the thread is panicking. One drop for
//! all guards, and one way to take what is lent out of it.
//!
//! # Safety
//!
//! 1. What a `Lent` holds is taken out once, in `drop` or in `into_core`, which prevents that drop, and not used after.
#![allow(unsafe_code)]

use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use std::thread;

use ring_core::{mpmc, spsc};

/// A guard of ring-core, which cannot tell an unwinding drop from another.
pub(crate) trait Guard {
    /// What a drop does.
    fn give_back(self);

    /// What a drop does while the thread is panicking.
    fn leave(self);
}

macro_rules! guards {
    ($($guard:ty: $leave:ident),+) => {
        $(impl Guard for $guard {
            #[inline(always)]
            fn give_back(self) {
                let _ = self.release();
            }

            #[inline(always)]
            fn leave(self) {
                self.$leave();
            }
        })+
    };
}

guards! {
    spsc::Record<'_, 'static>: keep,
    spsc::ReadBatch<'_, 'static>: keep,
    mpmc::Record<'_, 'static>: abandon,
    mpmc::ReadBatch<'_, 'static>: abandon
}

/// A guard that knows about unwinding.
#[derive(Debug)]
pub(crate) struct Lent<G: Guard>(ManuallyDrop<G>);

impl<G: Guard> Lent<G> {
    #[inline(always)]
    pub(crate) fn new(core: G) -> Self {
        Self(ManuallyDrop::new(core))
    }

    /// The guard, for its owner to say what becomes of it.
    #[inline(always)]
    pub(crate) fn into_core(self) -> G {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: 1.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl<G: Guard> Deref for Lent<G> {
    type Target = G;

    #[inline(always)]
    fn deref(&self) -> &G {
        &self.0
    }
}

impl<G: Guard> DerefMut for Lent<G> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut G {
        &mut self.0
    }
}

impl<G: Guard> Drop for Lent<G> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: 1.
        let core = unsafe { ManuallyDrop::take(&mut self.0) };
        if thread::panicking() { core.leave() } else { core.give_back() }
    }
}
