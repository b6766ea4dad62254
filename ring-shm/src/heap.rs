//! Ring memory on this process's heap, with leases that live in a table: the in-process twin of a segment, for users'
//! tests and for threads.
//!
//! # Safety
//!
//! H1. `lines` is a leaked `Box<[Line]>`, freed only when the last `Arc<Heap>` goes; every handle holds one.
#![allow(unsafe_code)]

use std::collections::HashSet;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring_core::{Line, Region, Verdict};

/// The memory of one heap ring and the leases that are alive in it.
#[derive(Debug)]
pub(crate) struct Heap {
    lines: NonNull<[Line]>,
    alive: Mutex<HashSet<u64>>,
}

// SAFETY: H1; the lines are reached through `Region` alone, which is `Sync`.
unsafe impl Send for Heap {}
// SAFETY: as above.
unsafe impl Sync for Heap {}

impl Heap {
    /// At least `bytes` zeroed bytes.
    pub(crate) fn new(bytes: u64) -> Option<Arc<Self>> {
        let count = usize::try_from(bytes.div_ceil(128)).ok()?;
        let mut lines: Vec<Line> = Vec::new();
        lines.try_reserve_exact(count).ok()?;
        lines.resize_with(count, Line::new);
        let lines = NonNull::from(Box::leak(lines.into_boxed_slice()));
        Some(Arc::new(Self { lines, alive: Mutex::default() }))
    }

    /// The region. `'static` stands for "as long as the handle that also holds the `Arc`".
    pub(crate) fn region(&self) -> Region<'static> {
        // SAFETY: H1.
        Region::new(unsafe { self.lines.as_ref() })
    }

    #[cfg(not(ring_sanitized))]
    fn alive(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same for a sanitizer, which does not see what the standard library does once it has to wait: so nobody waits there.
    #[cfg(ring_sanitized)]
    fn alive(&self) -> MutexGuard<'_, HashSet<u64>> {
        use std::sync::TryLockError;
        loop {
            match self.alive.try_lock() {
                Ok(alive) => return alive,
                Err(TryLockError::Poisoned(poisoned)) => return PoisonError::into_inner(poisoned),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
    }

    /// Alive as long as the handle that took `lease` has not been dropped.
    pub(crate) fn verdict(&self, lease: u64) -> Verdict {
        if self.alive().contains(&lease) { Verdict::Alive } else { Verdict::Dead }
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: H1: leaked from a box, and nobody is left.
        drop(unsafe { Box::from_raw(self.lines.as_ptr()) });
    }
}

/// A lease in a heap ring; its drop is the death of the handle.
#[derive(Debug)]
pub(crate) struct HeapLease {
    pub(crate) heap: Arc<Heap>,
    pub(crate) number: u64,
}

impl HeapLease {
    /// Takes lease `number`.
    pub(crate) fn take(heap: Arc<Heap>, number: u64) -> Self {
        heap.alive().insert(number);
        Self { heap, number }
    }
}

impl Drop for HeapLease {
    fn drop(&mut self) {
        self.heap.alive().remove(&self.number);
    }
}
