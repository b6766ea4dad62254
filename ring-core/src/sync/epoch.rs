//! A process-local counter that tells a handle whether it still lives in the process that made it.
//!
//! It lives here because no other crate names atomics; `ring-shm` bumps it in its `pthread_atfork` child handler.
#![allow(clippy::disallowed_types)]

use core::sync::atomic::{AtomicU64, Ordering};

/// Counts the forks this process image has been through as the child.
///
/// A handle remembers [`Epoch::get`] at its creation and compares: a difference means that the handle was
/// inherited over `fork` and must not touch its mapping.
///
/// ```
/// static FORKS: ring_core::Epoch = ring_core::Epoch::new();
/// let born = FORKS.get();
/// FORKS.bump(); // what the atfork handler does in the child
/// assert_ne!(FORKS.get(), born);
/// ```
#[derive(Debug, Default)]
pub struct Epoch(AtomicU64);

impl Epoch {
    /// An epoch that stands at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The current count. One relaxed load: `fork` itself orders the child after its parent's stores, and the
    /// child begins with a single thread.
    #[inline(always)]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one fork. Async-signal-safe.
    pub fn bump(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
