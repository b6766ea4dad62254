//! What the harness relies on: loom's blind spot, and the words that make up for it; and that what it spares loom makes no
//! difference.
#![cfg(loom)]
#![allow(clippy::disallowed_methods, reason = "threads of no ring")]

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering as O};
use std::sync::{Arc, Mutex};

use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use loom_tests::{Bound, Cut, Explore, Form, SAMPLE, Search, all, attempt, graphs, search, unexcused};
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
    search(Search::Plain);
    // Within a bound and without, with deaths and sleepers.
    let names = ["spsc/two_consumers_die", "spsc/full", "mpmc/entry_recovered", "spsc/commit_wakes", "mpmc/full"];
    for name in names {
        let model = all().into_iter().find(|model| model.name() == name).unwrap();
        let [spared, shown] = [false, true].map(|shown| {
            show_all(shown);
            let count = attempt(model, Form::Gate).unwrap();
            (count.executions, count.points)
        });
        assert_eq!(spared, shown, "{name}");
    }
}

#[test]
fn a_sample_is_as_long_as_it_says() {
    let model = all().into_iter().find(|model| model.name() == "mpmc/full_one_slot").unwrap();
    // In two orders.
    assert_eq!(attempt(model, Form::Sampled).unwrap().executions, 2 * SAMPLE as u64);
}

fn find(name: &str) -> &'static dyn Explore {
    all().into_iter().find(|model| model.name() == name).unwrap()
}

/// Neither less, which would be unsound, nor more, which would be no graphs of loom's; without a bound, and where a state that is
/// met again with preemptions left has to be explored again: 16 of the graphs of `mpmc/abort` are found so. The last two have
/// three threads.
#[test]
fn each_state_once_leads_to_the_same_graphs() {
    let [one, two] = [1, 2].map(|n| Some(Bound::preemptions(n)));
    for (name, bounds) in [
        ("spsc/positions_in_motion", &[two, None][..]),
        ("spsc/in_place", &[two, None]),
        ("mpmc/empty", &[two, None]),
        ("mpmc/keep_and_redeliver", &[two, None]),
        ("mpmc/abort", &[one]),
    ] {
        for &bound in bounds {
            let [plain, once] = [Search::Plain, Search::Once].map(|how| graphs(find(name), how, bound).unwrap());
            assert!(plain.len() > 5, "{name}: {}", plain.len());
            let (missing, more) = (plain.difference(&once).count(), once.difference(&plain).count());
            assert_eq!((missing, more), (0, 0), "{name}, {bound:?}: missing, more than {} graphs", plain.len());
        }
    }
}

/// Where threads yield or fence, loom by itself tries fewer numbers of looks in vain, and fewer orders of the fences.
#[test]
fn waits_and_fences_add_graphs_and_take_none() {
    for name in ["spsc/empty_and_zero_length", "spsc/new_consumer_after_death", "mpmc/close_wakes_a_sender"] {
        let [plain, once] = [Search::Plain, Search::Once].map(|how| graphs(find(name), how, None).unwrap());
        assert_eq!(plain.difference(&once).count(), 0, "{name}: of {} graphs missing", plain.len());
        assert!(once.len() > plain.len(), "{name}: {} graphs", once.len());
    }
}

/// What the campaign leaves out is said: of its first exploration, and of a deeper one.
#[test]
fn a_model_that_is_cut_says_so() {
    search(Search::Plain);
    let model = find("mpmc/full");
    let whole = attempt(model, Form::Gate).unwrap();
    assert_eq!((whole.cut, whole.threads), (Cut::Nowhere, 2), "{whole}");
    let within = attempt(model, Form::Long { most: 10 }).unwrap();
    assert_eq!((within.cut, within.points), (Cut::Within, whole.points), "{within}");
    assert!(within.executions <= 20 * whole.points && within.to_string().ends_with(", cut"), "{within:?}");
    let beyond = attempt(find("mpmc/entry_recovered"), Form::Long { most: 12_000 }).unwrap();
    assert_eq!((beyond.cut, beyond.threads, beyond.bound), (Cut::Beyond, 3, Bound::preemptions(3)), "{beyond}");
    assert!(beyond.executions <= 24_000, "{beyond:?}");
}

/// Two threads to the end, three with three preemptions; where the gate does less, the list says why.
#[test]
fn models_that_fall_short_say_why() {
    let (one, three) = (Bound::preemptions(1), Bound::preemptions(3));
    assert!(unexcused(2, three, None) && unexcused(3, one, None) && unexcused(3, one, Some(" ")));
    assert!(!unexcused(2, three, Some("size")) && !unexcused(3, three, None) && !unexcused(4, one, None));
    assert!(unexcused(2, Bound::ALL, Some("size")) && unexcused(3, three, Some("size")), "a reason for nothing");
    let (mut of, mut wrong, mut larger) = ([0; 5], vec![], 0);
    for model in all() {
        let threads = attempt(model, Form::Long { most: 1 }).unwrap().threads;
        let (gate, short) = (model.gate(), model.short());
        if model.larger() {
            // Smaller ones ask it, so it needs no excuse; nor may it be one of those that are asked for.
            larger += 1;
            assert!(short.is_none() && threads == 3 && gate != Bound::ALL, "{}", model.name());
        } else if unexcused(threads, gate, short) {
            wrong.push(format!("{}: {threads} threads, {gate}, {short:?}", model.name()));
        }
        of[threads] += 1;
    }
    assert_eq!(larger, 6);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(of[1..].iter().all(|models| *models > 0), "threads are counted: {of:?}");
}

/// Where the stack of the running thread begins, and the permissions of what lies right below.
fn stack() -> (usize, String) {
    let here = 0_u8;
    let here = std::ptr::from_ref(std::hint::black_box(&here)).addr();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let ranges = maps.lines().map(|line| {
        let (range, rest) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let number = |text| usize::from_str_radix(text, 16).unwrap();
        (number(from), number(to), rest[..4].to_owned())
    });
    let ranges: Vec<_> = ranges.collect();
    let mine = ranges.iter().find(|(from, to, _)| (*from..*to).contains(&here)).unwrap();
    let below = ranges.iter().find(|(_, to, _)| *to == mine.0);
    (mine.0, below.map_or_else(|| "nothing".to_owned(), |(_, _, permissions)| permissions.clone()))
}

/// Of whatever execution, the stacks are those of the first, and still have their guard pages: also after a model that
/// failed, whose threads never ended.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn stacks_are_kept_with_their_guards() {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    for fails in [false, true, false] {
        let (seen, executions) = (seen.clone(), Arc::new(AtomicUsize::new(0)));
        let count = executions.clone();
        let explored = std::panic::catch_unwind(move || {
            loom::model(move || {
                count.fetch_add(1, Relaxed);
                let word = Rc::new(AtomicU64::new(0));
                let (other, seen) = (word.clone(), seen.clone());
                let thread = loom::thread::spawn(move || {
                    seen.lock().unwrap().insert(stack());
                    other.store(1, Relaxed);
                    other.store(2, Relaxed);
                });
                assert!(word.load(Relaxed) == 0 || !fails);
                thread.join().unwrap();
            });
        });
        assert_eq!(explored.is_err(), fails);
        assert!(executions.load(Relaxed) > 1);
    }
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|(_, below)| below == "---p"), "{seen:?}");
    // Those of the execution that failed may be gone for good.
    assert!(seen.len() <= 3, "{seen:?}");
}
