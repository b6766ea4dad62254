//! What the harness relies on: loom's blind spot, and the words that make up for it; and that what it spares loom makes no
//! difference.
#![cfg(loom)]

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as O};

use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use loom_tests::{Form, SAMPLE, all, attempt};
use ring_core::model::{WatchedU64, show_all};

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

/// Were a word not shared in time, a value stale, or a preemption counted otherwise, the number would be another.
#[test]
fn what_the_main_thread_does_alone_adds_no_executions() {
    // Within a bound and without, with deaths and sleepers, and with words that remember their readers.
    let within = ["spsc/two_consumers_die", "mpmc/keep_and_redeliver", "mpmc/dropped_when_woken", "mpmc/full"];
    let watched = ["spsc/padding", "spsc/full"];
    for (form, names) in [(Form::Gate, &within[..]), (Form::Watched, &watched[..])] {
        for name in names {
            let model = all().into_iter().find(|model| model.name() == *name).unwrap();
            let [spared, shown] = [false, true].map(|shown| {
                show_all(shown);
                let count = attempt(model, form).unwrap();
                (count.executions, count.points)
            });
            assert_eq!(spared, shown, "{name}");
        }
    }
}

#[test]
fn a_sample_is_as_long_as_it_says() {
    let model = all().into_iter().find(|model| model.name() == "mpmc/one_to_one").unwrap();
    // In two orders.
    assert_eq!(attempt(model, Form::Sampled).unwrap().executions, 2 * SAMPLE as u64);
}
