//! What can follow from a state is explored once.
//!
//! Loom reverses each race that it meets, and most of what it finds so differs from what it has found before in nothing
//! that anybody has read. Threads are deterministic but for what their loads return. So what can follow is settled by the
//! *graph* of an execution so far: what each thread has done, which stores its loads have read, in which order each word
//! was stored to, and in which order the `SeqCst` fences and the locks came ([`graph`]). Two executions with equal graphs
//! have the same futures, and the second one needs no other than the first one had.
//!
//! Loom has two means for that. Where an access may meet another thread's, a marker that all such accesses touch makes them
//! dependent in its eyes, so that it tries every thread at every such place. And where a graph has been met before, it is
//! told to explore nothing further ([`loom::skip_branch`]): the execution runs to its end, alone of its kind.
//!
//! What makes this sound:
//!
//! 1. The graph is looked up where loom is about to choose a thread, when every thread stands before its next access, sleeps
//!    or has ended. Nothing is looked up that this execution only repeats from the one before, up to where they part, and
//!    nothing is noted in the part of an execution that is skipped.
//! 2. Loom goes depth first: a state met in another execution has been left for good, with all that follows, or that
//!    execution has itself been skipped further on, where its state had.
//! 3. Within a bound on preemptions a state is known if it was met with as few used up by the same running thread, or with
//!    fewer by any: it is one preemption to switch.
//! 4. Which store a load has read is known exactly: loom's atomics hold the number of a store, and the values are kept
//!    beside them ([`stores`]). Equal values of different stores are different reads.
//! 5. A word that only one thread touches while threads run, or that none stores to, is no place for others to be tried.
//!    Which words these are is found out: where one turns out to be shared, the pass is ended and the next one knows.
//! 6. `SeqCst` fences are places for others to be tried, as accesses are. Other fences concern their own thread.
//! 7. A thread that yields in a loop, and reads the same stores as in the round before and does nothing else, is where it
//!    was: a model that counts such rounds must not rest on the number.
//! 8. What models keep outside of loom's sight follows from the graph, or nobody asks for its order.
//!
//! `loom-tests/tests/harness.rs` holds the complete graphs that are found so against those of loom's own exploration.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use loom::sync::Mutex;

use crate::sync::Ordering;

mod graph;
mod stores;
mod threads;

use graph::{Access, Graph, Next};
pub(super) use stores::Stores;
pub use threads::{Lock, join, park, spawn, unpark, yield_now};

/// How an exploration uses the graphs of its executions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// There are none.
    Off,
    /// They are collected, and loom explores as it does by itself.
    Collected,
    /// Each one's future is explored once.
    Once,
}

std::thread_local! {
    // As for what is planted: one OS thread runs all threads of a model.
    static GRAPH: RefCell<Graph> = RefCell::new(Graph::default());
}

/// Never while loom may run another thread.
fn with<R>(f: impl FnOnce(&mut Graph) -> R) -> R {
    GRAPH.with_borrow_mut(f)
}

/// An exploration begins, in models run by this OS thread: within a `bounded` number of preemptions or without. What is
/// known of its words is kept; the bodies of a model may follow each other so.
pub fn explore(mode: Mode, bounded: bool) {
    with(|graph| graph.explore(mode, bounded));
}

/// A model with other words begins.
pub fn forget() {
    with(|graph| *graph = Graph::default());
}

/// Whether the exploration was given up since a word turned out to be shared: it has to be begun again.
#[must_use]
pub fn must_begin_again() -> bool {
    with(|graph| graph.mode() == Mode::Once && graph.has_learned())
}

/// The complete graphs of the exploration, by their hashes, which start anew.
#[must_use]
pub fn graphs() -> HashSet<u128> {
    with(Graph::take_complete)
}

fn mode() -> Mode {
    with(|graph| graph.mode())
}

/// An execution begins, in its main thread, before the first word is made.
pub(super) fn begin() {
    if mode() == Mode::Off {
        return;
    }
    let me = loom::thread::current().id();
    // Held by nobody in particular until the execution has ended: to try it synchronizes with nothing.
    let marker = Rc::new(Mutex::new(()));
    std::mem::forget(marker.lock());
    with(|graph| graph.begin(me, marker));
}

/// It has come to its end.
pub(super) fn complete() {
    with(Graph::complete);
}

/// The running thread stands before `next`: loom may choose another one, and is told not to where it needs not.
fn decide(next: Next, yields: bool) {
    if with(|graph| graph.decide(next, yields)) {
        loom::skip_branch();
    }
}

/// Makes what the running thread has just done dependent on what others do, in one step with it.
fn touch(marker: Option<Rc<Mutex<()>>>) {
    if let Some(marker) = marker {
        loom::stop_exploring();
        assert!(marker.try_lock().is_err(), "nobody gives the marker free");
        loom::explore();
    }
}

/// Runs loom's access to the word of this number.
fn access<R>(word: usize, f: impl FnOnce() -> R) -> R {
    if with(|graph| graph.is_place_for_others(word)) {
        decide(Next::Access, false);
        return f();
    }
    loom::stop_exploring();
    let result = f();
    loom::explore();
    result
}

/// Notes an access.
fn after(access: &Access) {
    touch(with(|graph| graph.access(access)));
}

/// A fence of loom's, at which others are tried if it is `SeqCst`.
pub(super) fn fence(ordering: Ordering) {
    if mode() != Mode::Off && ordering == Ordering::SeqCst {
        if let Some(marker) = with(|graph| graph.marker()) {
            decide(Next::Access, false);
            assert!(marker.try_lock().is_err(), "nobody gives the marker free");
        }
    }
    loom::sync::atomic::fence(ordering);
    if mode() != Mode::Off {
        with(|graph| graph.fence(ordering));
    }
}
