//! What the harness relies on: loom's blind spot, and the words that make up for it.
#![cfg(loom)]

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as O};

use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use ring_core::model::WatchedU64;

/// What the two kinds of words have in common.
trait Word: 'static {
    fn zero() -> Self;
    fn look(&self) -> u64;
    fn set(&self, value: u64);
}

macro_rules! word {
    ($type:ty) => {
        impl Word for $type {
            fn zero() -> Self {
                Self::new(0)
            }

            fn look(&self) -> u64 {
                self.load(Relaxed)
            }

            fn set(&self, value: u64) {
                self.store(value, Relaxed);
            }
        }
    };
}

word!(AtomicU64);
word!(WatchedU64);

/// Whether loom finds that the first thread may load the word before and after the second one, which itself loads it
/// first, stores to it.
fn finds_both_orders<W: Word>() -> bool {
    let seen = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
    let inner = Arc::clone(&seen);
    loom::model(move || {
        ring_core::model::begin();
        let word = Rc::new(W::zero());
        let (a, b, seen) = (Rc::clone(&word), Rc::clone(&word), Arc::clone(&inner));
        let load = loom::thread::spawn(move || seen[a.look() as usize].store(true, O::Relaxed));
        let store = loom::thread::spawn(move || {
            b.look();
            b.set(1);
        });
        load.join().unwrap();
        store.join().unwrap();
    });
    seen[0].load(O::Relaxed) && seen[1].load(O::Relaxed)
}

/// Should this fail one day, a newer loom has mended it, and `WatchedU64` can go.
#[test]
fn loom_forgets_loads() {
    assert!(!finds_both_orders::<AtomicU64>(), "mended");
}

#[test]
fn watched_words_remember_them() {
    assert!(finds_both_orders::<WatchedU64>());
}
