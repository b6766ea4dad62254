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

use std::cell::{Cell, OnceCell, RefCell};
use std::vec::Vec;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread::ThreadId;

use crate::sync::Ordering;

std::thread_local! {
    // As for what is planted: one OS thread runs all threads of a model.
    static WATCHING: Cell<bool> = const { Cell::new(true) };
    static THREADS: RefCell<Vec<ThreadId>> = const { RefCell::new(Vec::new()) };
}

/// Whether the words of models run by this OS thread remember their readers from now on. They do at first; it costs two
/// to twenty times the executions.
pub fn watch(on: bool) {
    WATCHING.set(on);
}

/// A new execution begins, in its main thread: to be called before the first word is made.
pub fn begin() {
    THREADS.with_borrow_mut(|threads| {
        threads.clear();
        threads.push(loom::thread::current().id());
    });
}

/// The number of the running thread; `None` for the main one, which runs before and after all others, and where nothing
/// is watched.
fn running() -> Option<usize> {
    if !WATCHING.get() {
        return None;
    }
    let me = loom::thread::current().id();
    let number = THREADS.with_borrow_mut(|threads| {
        threads.iter().position(|id| *id == me).unwrap_or_else(|| {
            threads.push(me);
            threads.len() - 1
        })
    });
    (number > 0).then_some(number)
}

/// A loom atomic that remembers who has loaded it.
#[derive(Debug)]
pub struct WatchedU64 {
    word: AtomicU64,
    /// One for each thread but the main one, made with its first load.
    markers: [OnceCell<Arc<()>>; loom::MAX_THREADS],
    /// Never dropped before the execution ends: that would synchronize.
    clones: RefCell<Vec<Arc<()>>>,
}

impl WatchedU64 {
    /// A word of this value.
    #[must_use]
    pub fn new(value: u64) -> Self {
        Self { word: AtomicU64::new(value), markers: Default::default(), clones: RefCell::default() }
    }

    /// The running thread is about to load the word.
    fn loading(&self) -> &AtomicU64 {
        if let Some(me) = running() {
            // Other threads run inside of `clone`: nothing is borrowed here.
            let clone = Arc::clone(self.markers[me].get_or_init(|| Arc::new(())));
            self.clones.borrow_mut().push(clone);
        }
        &self.word
    }

    /// The running thread is about to store to the word, or to swap it.
    fn storing(&self) -> &AtomicU64 {
        if let Some(me) = running() {
            let others = self.markers.iter().enumerate().filter(|(thread, _)| *thread != me);
            for marker in others.filter_map(|(_, marker)| marker.get()) {
                Arc::strong_count(marker);
            }
        }
        &self.word
    }

    /// One of the newest values, for who runs alone: several, where stores raced and no ordering says which was the last.
    pub(super) fn newest(&self) -> u64 {
        self.word.load(Ordering::Relaxed)
    }

    /// As [`AtomicU64::load`].
    pub fn load(&self, ordering: Ordering) -> u64 {
        self.loading().load(ordering)
    }

    /// As [`AtomicU64::store`].
    pub fn store(&self, value: u64, ordering: Ordering) {
        self.storing().store(value, ordering);
    }

    /// As [`AtomicU64::compare_exchange`].
    ///
    /// # Errors
    /// The value that is there instead.
    pub fn compare_exchange(&self, old: u64, new: u64, ok: Ordering, failed: Ordering) -> Result<u64, u64> {
        self.storing().compare_exchange(old, new, ok, failed)
    }

    /// As [`AtomicU64::fetch_add`].
    pub fn fetch_add(&self, value: u64, ordering: Ordering) -> u64 {
        self.storing().fetch_add(value, ordering)
    }

    /// As [`AtomicU64::fetch_sub`].
    pub fn fetch_sub(&self, value: u64, ordering: Ordering) -> u64 {
        self.storing().fetch_sub(value, ordering)
    }

    /// As [`AtomicU64::fetch_and`].
    pub fn fetch_and(&self, value: u64, ordering: Ordering) -> u64 {
        self.storing().fetch_and(value, ordering)
    }

    /// As [`AtomicU64::fetch_or`].
    pub fn fetch_or(&self, value: u64, ordering: Ordering) -> u64 {
        self.storing().fetch_or(value, ordering)
    }

    /// As [`AtomicU64::swap`].
    pub fn swap(&self, value: u64, ordering: Ordering) -> u64 {
        self.storing().swap(value, ordering)
    }
}
