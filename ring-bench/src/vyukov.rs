//! A plain bounded MPMC queue after Dmitry Vyukov, as a rival: one sequence word a slot, one counter a side.
//!
//! Written to be the textbook and no more; no recovery, no waiting, no drop of what is left in it (values are `Copy`).
//! A thread that dies between its two steps stops the queue: that is the weakness our MPMC ring does not have.
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. A slot whose sequence equals position `p` belongs to the one thread that moved `enqueue` from `p` to `p + 1`,
//!    until that thread stores `p + 1`.
//! 2. A slot whose sequence equals `p + 1` holds a value and belongs to the one thread that moved `dequeue` from `p`
//!    to `p + 1`, until that thread stores `p + slots`.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use crossbeam_utils::CachePadded;

struct Slot<T> {
    sequence: AtomicU64,
    value: UnsafeCell<T>,
}

/// The queue; shared by reference between any number of threads.
pub(crate) struct Vyukov<T> {
    slots: Box<[Slot<T>]>,
    enqueue: CachePadded<AtomicU64>,
    dequeue: CachePadded<AtomicU64>,
}

// SAFETY: invariants 1 and 2: a value is touched by one thread at a time, and moves between threads as `Send` allows.
unsafe impl<T: Send> Sync for Vyukov<T> {}

impl<T: Copy + Default> Vyukov<T> {
    /// A queue of `slots` slots, a power of two.
    pub(crate) fn new(slots: usize) -> Self {
        assert!(slots.is_power_of_two(), "a Vyukov queue needs a power of two of slots");
        let slot = |i| Slot { sequence: AtomicU64::new(i as u64), value: UnsafeCell::new(T::default()) };
        Self {
            slots: (0..slots).map(slot).collect(),
            enqueue: CachePadded::new(AtomicU64::new(0)),
            dequeue: CachePadded::new(AtomicU64::new(0)),
        }
    }

    #[inline(always)]
    fn slot(&self, position: u64) -> &Slot<T> {
        &self.slots[position as usize & (self.slots.len() - 1)]
    }

    /// Appends; false when full.
    #[inline(always)]
    pub(crate) fn try_push(&self, value: T) -> bool {
        let mut position = self.enqueue.load(Relaxed);
        loop {
            let slot = self.slot(position);
            let sequence = slot.sequence.load(Acquire);
            if sequence == position {
                match self.enqueue.compare_exchange_weak(position, position + 1, Relaxed, Relaxed) {
                    Ok(_) => {
                        // SAFETY: invariant 1.
                        unsafe { slot.value.get().write(value) };
                        slot.sequence.store(position + 1, Release);
                        return true;
                    }
                    Err(now) => position = now,
                }
            } else if sequence < position {
                return false;
            } else {
                position = self.enqueue.load(Relaxed);
            }
        }
    }

    /// Takes the oldest; `None` when empty.
    #[inline(always)]
    pub(crate) fn try_pop(&self) -> Option<T> {
        let mut position = self.dequeue.load(Relaxed);
        loop {
            let slot = self.slot(position);
            let sequence = slot.sequence.load(Acquire);
            if sequence == position + 1 {
                match self.dequeue.compare_exchange_weak(position, position + 1, Relaxed, Relaxed) {
                    Ok(_) => {
                        // SAFETY: invariant 2.
                        let value = unsafe { slot.value.get().read() };
                        slot.sequence.store(position + self.slots.len() as u64, Release);
                        return Some(value);
                    }
                    Err(now) => position = now,
                }
            } else if sequence <= position {
                return None;
            } else {
                position = self.dequeue.load(Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_and_empty_and_wrap() {
        let queue = Vyukov::new(4);
        for lap in 0..10u64 {
            assert_eq!(queue.try_pop(), None);
            for i in 0..4 {
                assert!(queue.try_push(lap * 4 + i));
            }
            assert!(!queue.try_push(99));
            for i in 0..4 {
                assert_eq!(queue.try_pop(), Some(lap * 4 + i));
            }
        }
    }

    #[test]
    fn many_threads_lose_nothing() {
        const PER_THREAD: u64 = if cfg!(miri) { 50 } else { 50_000 };
        let queue = Vyukov::new(64);
        let sum = std::thread::scope(|scope| {
            let receivers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let (mut got, mut sum) = (0, 0u64);
                        while got < PER_THREAD {
                            match queue.try_pop() {
                                Some(value) => (got, sum) = (got + 1, sum + value),
                                None => std::thread::yield_now(),
                            }
                        }
                        sum
                    })
                })
                .collect();
            for _ in 0..2 {
                scope.spawn(|| {
                    for value in 1..=PER_THREAD {
                        while !queue.try_push(value) {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            receivers.into_iter().map(|r| r.join().unwrap_or(0)).sum::<u64>()
        });
        assert_eq!(sum, PER_THREAD * (PER_THREAD + 1));
    }
}
