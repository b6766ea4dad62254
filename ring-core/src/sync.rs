//! The only door to atomics, fences and cells: `core`'s in normal builds, loom's under `cfg(loom)`.
//!
//! Every atomic access of the crate states its ordering through [`ord!`], which carries the id of its row in
//! `docs/protocol.md`. In normal builds the macro *is* the literal ordering. Under loom it asks two questions
//! first: is this row planted (then the access gets the weaker ordering, and a model has to fail), and is the
//! running thread to die before this access (then it unwinds, and the survivors have to cope).
//!
//! Below are two that stay within a process and that no ring rests on: they are `core`'s under loom too, since they must be
//! constructible in a `static`, and have no rows.
#![allow(clippy::disallowed_types)]

mod epoch;
mod ranges;

#[cfg(loom)]
use crate::model::ModelU64 as AtomicU64;
#[cfg(not(loom))]
use core::sync::atomic::AtomicU64;
pub(crate) use core::sync::atomic::Ordering;

pub use epoch::Epoch;
pub use ranges::Ranges;

/// One word of shared memory. The only atomic that crosses a process border.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Word(AtomicU64);

impl Word {
    #[cfg(not(loom))]
    pub(crate) const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    #[cfg(loom)]
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// A word of a model's region, zero.
    #[cfg(loom)]
    pub(crate) fn kept() -> Self {
        Self(AtomicU64::kept())
    }

    /// Threads of a model are about to start.
    #[cfg(loom)]
    pub(crate) fn share(&self) {
        self.0.share();
    }

    #[inline(always)]
    pub(crate) fn load(&self, ordering: Ordering) -> u64 {
        self.0.load(ordering)
    }

    #[inline(always)]
    pub(crate) fn store(&self, value: u64, ordering: Ordering) {
        self.0.store(value, ordering);
    }

    #[inline(always)]
    pub(crate) fn compare_exchange(&self, old: u64, new: u64, ok: Ordering, failed: Ordering) -> Result<u64, u64> {
        self.0.compare_exchange(old, new, ok, failed)
    }

    #[inline(always)]
    pub(crate) fn fetch_add(&self, value: u64, ordering: Ordering) -> u64 {
        self.0.fetch_add(value, ordering)
    }

    #[inline(always)]
    pub(crate) fn fetch_sub(&self, value: u64, ordering: Ordering) -> u64 {
        self.0.fetch_sub(value, ordering)
    }

    #[inline(always)]
    pub(crate) fn fetch_or(&self, value: u64, ordering: Ordering) -> u64 {
        self.0.fetch_or(value, ordering)
    }

    #[inline(always)]
    pub(crate) fn fetch_and(&self, value: u64, ordering: Ordering) -> u64 {
        self.0.fetch_and(value, ordering)
    }

    #[inline(always)]
    pub(crate) fn swap(&self, value: u64, ordering: Ordering) -> u64 {
        self.0.swap(value, ordering)
    }
}

/// Lets `times` pause instructions pass. A model has no time to lose.
#[inline]
pub(crate) fn pause(times: u8) {
    #[cfg(not(loom))]
    for _ in 0..times {
        core::hint::spin_loop();
    }
    #[cfg(loom)]
    let _ = times;
}

/// Keeps the compiler from moving accesses across. A model has no compiler to keep.
#[allow(clippy::disallowed_methods)]
#[inline(always)]
pub(crate) fn compiler_fence() {
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// What `fence!` expands to in normal builds.
#[cfg(not(loom))]
#[allow(clippy::disallowed_methods)]
#[inline(always)]
pub(crate) fn fence_now(ordering: Ordering) {
    core::sync::atomic::fence(ordering);
}

/// `ord!(ID, Ordering)`: the ordering of the protocol row `ID`.
#[cfg(not(loom))]
macro_rules! ord {
    ($id:ident, $ordering:ident) => {
        $crate::sync::Ordering::$ordering
    };
}

/// `ord!(ID, Ordering)`: the ordering of the protocol row `ID`, weakened when planted; a crash point.
#[cfg(loom)]
macro_rules! ord {
    ($id:ident, $ordering:ident) => {
        $crate::model::access(stringify!($id), $crate::sync::Ordering::$ordering)
    };
}

/// `fence!(ID, Ordering)`: the standalone fence of the protocol row `ID`.
#[cfg(not(loom))]
macro_rules! fence {
    ($id:ident, $ordering:ident) => {
        $crate::sync::fence_now($crate::sync::Ordering::$ordering)
    };
}

/// `fence!(ID, Ordering)`: the standalone fence of the protocol row `ID`, left out when planted; a crash point.
#[cfg(loom)]
macro_rules! fence {
    ($id:ident, $ordering:ident) => {
        $crate::model::fence(stringify!($id), $crate::sync::Ordering::$ordering)
    };
}

pub(crate) use {fence, ord};
