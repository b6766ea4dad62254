//! Who has loaded a word: what loom 0.7 forgets.
//!
//! To find the orders of two racing accesses, loom remembers one last access of each atomic. A load therefore hides an
//! earlier load of the same word by another thread: when whoever loaded last stores to the word, loom compares this store
//! with its own load alone, and never tries it before the earlier one. Every claim here loads a word and then swaps it,
//! so that blind spot lies exactly where the protocol works.
//!
//! So each word has a marker for each thread that loads it, and stores look at the markers. A marker is a loom `Arc`:
//! its clone and its count are the two operations that loom takes for dependent on each other, although neither
//! synchronizes anything. (A relaxed atomic would, behind a fence.)
//!
//! A marker is no place of its own at which loom tries another thread: it is touched right after its access, and loom is
//! told to explore nothing there, so that it goes back to the access itself. Of each race there is one pair of orders to
//! try and not four, most of which would differ in nothing.

use std::cell::{OnceCell, RefCell};
use std::vec::Vec;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread::ThreadId;

use super::once::{self, Stores};
use crate::sync::Ordering;

std::thread_local! {
    // As for what is planted: one OS thread runs all threads of a model.
    static THREADS: RefCell<Vec<ThreadId>> = const { RefCell::new(Vec::new()) };
}

/// A new execution begins, in its main thread: to be called before the first word is made.
pub fn begin() {
    once::begin();
    THREADS.with_borrow_mut(|threads| {
        threads.clear();
        threads.push(loom::thread::current().id());
    });
}

/// The number of the running thread; `None` for the main one, which runs before and after all others.
fn running() -> Option<usize> {
    let me = loom::thread::current().id();
    let number = THREADS.with_borrow_mut(|threads| {
        threads.iter().position(|id| *id == me).unwrap_or_else(|| {
            threads.push(me);
            threads.len() - 1
        })
    });
    (number > 0).then_some(number)
}

/// Touches a marker in one step with the access before it: loom tries no other thread in between.
fn with_its_access<R>(touch: impl FnOnce() -> R) -> R {
    loom::stop_exploring();
    let result = touch();
    loom::explore();
    result
}

/// A loom atomic that remembers who has loaded it.
#[derive(Debug)]
pub struct WatchedU64 {
    word: AtomicU64,
    /// One for each thread but the main one, made with its first load.
    markers: [OnceCell<Arc<()>>; loom::MAX_THREADS],
    /// Never dropped before the execution ends: that would synchronize.
    clones: RefCell<Vec<Arc<()>>>,
    /// What its values stand for, where the graphs of executions are kept.
    stores: Option<Stores>,
}

impl WatchedU64 {
    /// A word of this value.
    #[must_use]
    pub fn new(value: u64) -> Self {
        let stores = Stores::new(value);
        let word = AtomicU64::new(if stores.is_some() { 0 } else { value });
        Self { word, markers: Default::default(), clones: RefCell::default(), stores }
    }

    /// The running thread, if its accesses have to be marked.
    fn marks(&self) -> Option<usize> {
        if self.stores.as_ref().is_some_and(Stores::are_explored_once) { None } else { running() }
    }

    /// The running thread has just loaded the word.
    fn loaded(&self, value: u64) -> u64 {
        if let Some(me) = self.marks() {
            let marker = self.markers[me].get_or_init(|| Arc::new(()));
            let clone = with_its_access(|| Arc::clone(marker));
            self.clones.borrow_mut().push(clone);
        }
        value
    }

    /// The running thread has just stored to the word, or swapped it.
    fn stored<R>(&self, result: R) -> R {
        if let Some(me) = self.marks() {
            let others = self.markers.iter().enumerate().filter(|(thread, _)| *thread != me);
            for marker in others.filter_map(|(_, marker)| marker.get()) {
                with_its_access(|| Arc::strong_count(marker));
            }
        }
        result
    }

    fn look(&self, ordering: Ordering) -> u64 {
        match &self.stores {
            Some(stores) => stores.load(&self.word, ordering),
            None => self.word.load(ordering),
        }
    }

    /// One of the newest values, for who runs alone: several, where stores raced and no ordering says which was the last.
    pub(super) fn newest(&self) -> u64 {
        self.look(Ordering::Relaxed)
    }

    /// As [`AtomicU64::load`].
    pub fn load(&self, ordering: Ordering) -> u64 {
        self.loaded(self.look(ordering))
    }

    /// As [`AtomicU64::store`].
    pub fn store(&self, value: u64, ordering: Ordering) {
        match &self.stores {
            Some(stores) => stores.store(&self.word, value, ordering),
            None => self.word.store(value, ordering),
        }
        self.stored(());
    }

    /// As [`AtomicU64::compare_exchange`].
    ///
    /// # Errors
    /// The value that is there instead.
    pub fn compare_exchange(&self, old: u64, new: u64, ok: Ordering, failed: Ordering) -> Result<u64, u64> {
        self.stored(match &self.stores {
            Some(stores) => stores.compare_exchange(&self.word, old, new, ok, failed),
            None => self.word.compare_exchange(old, new, ok, failed),
        })
    }

    fn change(&self, ordering: Ordering, direct: impl FnOnce(&AtomicU64) -> u64, f: impl FnOnce(u64) -> u64) -> u64 {
        self.stored(match &self.stores {
            Some(stores) => stores.change(&self.word, ordering, f),
            None => direct(&self.word),
        })
    }

    /// As [`AtomicU64::fetch_add`].
    pub fn fetch_add(&self, value: u64, ordering: Ordering) -> u64 {
        self.change(ordering, |word| word.fetch_add(value, ordering), |old| old.wrapping_add(value))
    }

    /// As [`AtomicU64::fetch_sub`].
    pub fn fetch_sub(&self, value: u64, ordering: Ordering) -> u64 {
        self.change(ordering, |word| word.fetch_sub(value, ordering), |old| old.wrapping_sub(value))
    }

    /// As [`AtomicU64::fetch_and`].
    pub fn fetch_and(&self, value: u64, ordering: Ordering) -> u64 {
        self.change(ordering, |word| word.fetch_and(value, ordering), |old| old & value)
    }

    /// As [`AtomicU64::fetch_or`].
    pub fn fetch_or(&self, value: u64, ordering: Ordering) -> u64 {
        self.change(ordering, |word| word.fetch_or(value, ordering), |old| old | value)
    }

    /// As [`AtomicU64::swap`].
    pub fn swap(&self, value: u64, ordering: Ordering) -> u64 {
        self.change(ordering, |word| word.swap(value, ordering), |_| value)
    }
}
