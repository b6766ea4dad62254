//! How interleavings are searched: each state's future once, or as loom does by itself.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use ring_core::model::once::{self, Mode};

use crate::{Bound, Explore, Failure, Form, attempt};

/// How models are explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// What can follow from a state is explored once: see [`ring_core::model::once`].
    Once,
    /// By loom alone, which reverses each race that it meets.
    Plain,
}

std::thread_local! {
    static SEARCH: Cell<Search> = const { Cell::new(Search::Once) };
    static WITHIN: Cell<Option<Bound>> = const { Cell::new(None) };
    static GRAPHS: RefCell<Option<BTreeSet<u128>>> = const { RefCell::new(None) };
}

/// Models explored by this OS thread are searched so from now on; at first [`Search::Once`].
pub fn search(how: Search) {
    SEARCH.set(how);
}

/// How it does.
#[must_use]
pub fn searched() -> Search {
    SEARCH.get()
}

/// The complete graphs of a model's executions within `bound`, or else that of the gate, by their hashes: what was to be seen
/// in it, whatever the search.
///
/// # Errors
/// The model fails.
pub fn graphs(model: &'static dyn Explore, how: Search, bound: Option<Bound>) -> Result<BTreeSet<u128>, Failure> {
    let before = SEARCH.replace(how);
    GRAPHS.set(Some(BTreeSet::new()));
    WITHIN.set(bound);
    let result = attempt(model, Form::Gate);
    WITHIN.set(None);
    SEARCH.set(before);
    let graphs = GRAPHS.take().unwrap_or_default();
    result.map(|_| graphs)
}

/// What the gate grants models in the meantime, where it is not what they say.
pub(crate) fn within() -> Option<Bound> {
    WITHIN.get()
}

/// Runs passes of one exploration until one is told of no word that it did not know to be shared, or asks for no more.
pub(crate) fn explore(how: Search, bounded: bool, mut pass: impl FnMut() -> bool) {
    /// Nothing of an exploration stays, whether it ends or fails.
    struct Off;

    impl Drop for Off {
        fn drop(&mut self) {
            once::explore(Mode::Off, false);
        }
    }

    let collects = GRAPHS.with_borrow(Option::is_some);
    let mode = match how {
        Search::Once => Mode::Once,
        Search::Plain if collects => Mode::Collected,
        Search::Plain => Mode::Off,
    };
    let _off = Off;
    loop {
        once::explore(mode, bounded);
        let goes_on = pass();
        if !once::must_begin_again() || !goes_on {
            break;
        }
    }
    GRAPHS.with_borrow_mut(|all| {
        if let Some(all) = all {
            all.extend(once::graphs());
        }
    });
}
