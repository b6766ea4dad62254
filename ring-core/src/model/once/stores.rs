//! Which store a load has read.
//!
//! A loom atomic tells a value, and two stores may have the same. So where graphs are kept, it holds the number of a store,
//! and the values stand beside it. A swap stores the next number and works out the value when it has the old one. A
//! compare-and-swap has to guess the number that it will find, and if it finds another number of the value that it looks for, it
//! swaps that one in the same step; it has only looked before, and a look that orders nothing.

use std::cell::{Cell, RefCell};
use std::vec::Vec;

use loom::sync::atomic::AtomicU64;

use super::graph::{Access, Kind};
use super::{Mode, access, after, mode, with};
use crate::sync::Ordering;

/// The stores to a word, whose loom atomic holds their numbers.
#[derive(Debug)]
pub(in super::super) struct Stores {
    word: usize,
    /// Value and identity.
    made: RefCell<Vec<(u64, u64)>>,
    newest: Cell<u64>,
    once: bool,
}

impl Stores {
    /// Those of a word that begins with number zero, of this value; `None` where graphs are not kept.
    pub(in super::super) fn new(value: u64) -> Option<Self> {
        let mode = mode();
        (mode != Mode::Off).then(|| Self {
            word: with(|graph| graph.word()),
            made: RefCell::new(std::vec![(value, 0)]),
            newest: Cell::new(0),
            once: mode == Mode::Once,
        })
    }

    /// Whether loom need not be told who has loaded the word: it is told more.
    pub(in super::super) fn are_explored_once(&self) -> bool {
        self.once
    }

    fn of(&self, number: u64) -> (u64, u64) {
        self.made.borrow()[number as usize]
    }

    /// The number of the store of `value` that the running thread is about to make.
    fn next(&self, value: u64) -> u64 {
        let identity = with(|graph| graph.next_store());
        let mut made = self.made.borrow_mut();
        made.push((value, identity));
        made.len() as u64 - 1
    }

    fn note(&self, kind: Kind, ordering: Ordering, read: Option<u64>, stored: Option<u64>) {
        after(&Access { word: self.word, kind, ordering, read, stored });
    }

    pub(in super::super) fn load(&self, atomic: &AtomicU64, ordering: Ordering) -> u64 {
        let (value, identity) = self.of(access(self.word, || atomic.load(ordering)));
        self.note(Kind::Load, ordering, Some(identity), None);
        value
    }

    pub(in super::super) fn store(&self, atomic: &AtomicU64, value: u64, ordering: Ordering) {
        let number = self.next(value);
        access(self.word, || atomic.store(number, ordering));
        self.newest.set(number);
        self.note(Kind::Store, ordering, None, Some(value));
    }

    pub(in super::super) fn compare_exchange(
        &self,
        atomic: &AtomicU64,
        old: u64,
        new: u64,
        ok: Ordering,
        failed: Ordering,
    ) -> Result<u64, u64> {
        let number = self.next(new);
        let newest = self.newest.get();
        let guess = if self.of(newest).0 == old { newest } else { u64::MAX };
        let mut result = access(self.word, || atomic.compare_exchange(guess, number, ok, failed));
        if let Err(found) = result
            && self.of(found).0 == old
        {
            assert_eq!(failed, Ordering::Relaxed, "a look that orders something");
            loom::stop_exploring();
            result = atomic.compare_exchange(found, number, ok, failed);
            loom::explore();
            assert_eq!(result, Ok(found), "stores race with swaps here: which one was found?");
        }
        let (value, identity) = self.of(result.unwrap_or_else(|found| found));
        if result.is_ok() {
            self.newest.set(number);
            self.note(Kind::Swap, ok, Some(identity), Some(new));
            Ok(value)
        } else {
            self.note(Kind::Refused, failed, Some(identity), None);
            Err(value)
        }
    }

    pub(in super::super) fn change(&self, atomic: &AtomicU64, ordering: Ordering, f: impl FnOnce(u64) -> u64) -> u64 {
        let number = self.next(0);
        let (value, identity) = self.of(access(self.word, || atomic.swap(number, ordering)));
        let new = f(value);
        self.made.borrow_mut()[number as usize].0 = new;
        self.newest.set(number);
        self.note(Kind::Swap, ordering, Some(identity), Some(new));
        value
    }
}
