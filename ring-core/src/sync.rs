//! The only door to atomics, fences and cells: `core`'s in normal builds, loom's under `cfg(loom)`.
//!
//! Every atomic access of the crate states its ordering through [`ord!`], which carries the id of its row in
//! `docs/protocol.md`. In normal builds the macro *is* the literal ordering. Under loom it asks two questions
//! first: is this row planted (then the access gets the weaker ordering, and a model has to fail), and is the
//! running thread to die before this access (then it unwinds, and the survivors have to cope).
#![allow(clippy::disallowed_types)]

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::AtomicU64;
pub(crate) use core::sync::atomic::Ordering;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::AtomicU64;

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
        core::sync::atomic::fence($crate::sync::Ordering::$ordering)
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
