//! A ring's words and tracked cells, which loom sees while threads run and not while the main thread is alone.
//!
//! Most accesses of an execution are made by the main thread: it makes the ring and seats everybody, and at the end it
//! drains the ring and holds the outcome against what was told. Nobody runs beside it then, so no race can be found; but
//! each access would cost a step of loom. So a word is a plain integer while the main thread is alone. It becomes a loom
//! atomic, made with the value that it has by then, when threads start. When they are joined, the first look at it is a load
//! of loom's, since stores that raced leave several values, each of which may be the last one; what was found stays. The
//! executions explored are the same; `loom-tests/tests/harness.rs` compares.

use std::cell::{Cell, OnceCell};

use loom::cell::UnsafeCell;

use super::readers::WatchedU64;
use crate::sync::Ordering;

std::thread_local! {
    // As for what is planted: one OS thread runs all threads of a model.
    static ALONE: Cell<bool> = const { Cell::new(false) };
    static SHOWN: Cell<bool> = const { Cell::new(false) };
}

/// Whether loom sees what the main thread does alone, too, in models run by this OS thread from now on. It does not at
/// first; it costs time and finds nothing more.
pub fn show_all(on: bool) {
    SHOWN.set(on);
}

/// Whether the main thread is the only one, and its accesses need no loom.
pub(super) fn alone() -> bool {
    ALONE.get()
}

/// The main thread is the only one from now on, or is not; whether its accesses are loom's.
pub(super) fn set_alone(alone: bool) -> bool {
    ALONE.set(alone && !SHOWN.get());
    !ALONE.get()
}

/// A word.
#[derive(Debug)]
pub(crate) struct ModelU64 {
    /// Its value, where the main thread is alone and has touched it since it is.
    plain: Cell<Option<u64>>,
    /// The same word as loom sees it, from the first start of threads on.
    shared: OnceCell<WatchedU64>,
    /// Whether it belongs to a [`Model`](super::Model), which shares it when threads start. Others are shared at once.
    kept: bool,
}

impl ModelU64 {
    /// A word outside of any region: loom always sees it.
    pub(crate) fn new(value: u64) -> Self {
        Self { plain: Cell::new(None), shared: OnceCell::from(WatchedU64::new(value)), kept: false }
    }

    /// A word of a region, zero.
    pub(crate) fn kept() -> Self {
        Self { plain: Cell::new(Some(0)), shared: OnceCell::new(), kept: true }
    }

    /// Threads are about to start.
    pub(crate) fn share(&self) {
        if let Some(value) = self.plain.take() {
            match self.shared.get() {
                Some(word) => word.store(value, Ordering::Relaxed),
                None => _ = self.shared.set(WatchedU64::new(value)),
            }
        }
    }

    fn shared(&self) -> &WatchedU64 {
        self.shared.get().expect("threads run, so the words are shared")
    }

    /// Its value, where it is a plain integer. The first look after threads decides for those that follow.
    fn private(&self) -> Option<u64> {
        if !self.kept || !alone() {
            return None;
        }
        let value = self.plain.get().unwrap_or_else(|| self.shared().newest());
        self.plain.set(Some(value));
        Some(value)
    }

    fn change(&self, shared: impl FnOnce(&WatchedU64) -> u64, value: impl FnOnce(u64) -> u64) -> u64 {
        match self.private() {
            Some(old) => {
                self.plain.set(Some(value(old)));
                old
            }
            None => shared(self.shared()),
        }
    }

    pub(crate) fn load(&self, ordering: Ordering) -> u64 {
        self.private().unwrap_or_else(|| self.shared().load(ordering))
    }

    pub(crate) fn store(&self, value: u64, ordering: Ordering) {
        if self.kept && alone() {
            self.plain.set(Some(value));
        } else {
            self.shared().store(value, ordering);
        }
    }

    pub(crate) fn compare_exchange(&self, old: u64, new: u64, ok: Ordering, failed: Ordering) -> Result<u64, u64> {
        match self.private() {
            Some(value) => {
                if value != old {
                    return Err(value);
                }
                self.plain.set(Some(new));
                Ok(old)
            }
            None => self.shared().compare_exchange(old, new, ok, failed),
        }
    }

    pub(crate) fn fetch_add(&self, value: u64, ordering: Ordering) -> u64 {
        self.change(|word| word.fetch_add(value, ordering), |old| old.wrapping_add(value))
    }

    pub(crate) fn fetch_sub(&self, value: u64, ordering: Ordering) -> u64 {
        self.change(|word| word.fetch_sub(value, ordering), |old| old.wrapping_sub(value))
    }

    pub(crate) fn fetch_and(&self, value: u64, ordering: Ordering) -> u64 {
        self.change(|word| word.fetch_and(value, ordering), |old| old & value)
    }

    pub(crate) fn fetch_or(&self, value: u64, ordering: Ordering) -> u64 {
        self.change(|word| word.fetch_or(value, ordering), |old| old | value)
    }

    pub(crate) fn swap(&self, value: u64, ordering: Ordering) -> u64 {
        self.change(|word| word.swap(value, ordering), |_| value)
    }
}

/// A tracked cell of a region: two accesses to it that nothing orders fail the model. What the main thread does alone is
/// ordered.
#[derive(Debug, Default)]
pub(super) struct Tracked(OnceCell<UnsafeCell<()>>);

impl Tracked {
    /// Threads are about to start.
    pub(super) fn share(&self) {
        self.0.get_or_init(|| UnsafeCell::new(()));
    }

    fn cell(&self) -> Option<&UnsafeCell<()>> {
        // Not that of nobody: accesses that loom does not see would be no failure.
        (!alone()).then(|| self.0.get().expect("threads run, so the cells are shared"))
    }

    pub(super) fn read(&self) {
        if let Some(cell) = self.cell() {
            cell.with(|_| ());
        }
    }

    pub(super) fn write(&self) {
        if let Some(cell) = self.cell() {
            cell.with_mut(|_| ());
        }
    }
}
