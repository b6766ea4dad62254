//! What models start, join, park and lock: loom's own, and noted in the graph.

use std::cell::{Cell, RefCell};

use loom::sync::Mutex;
use loom::thread::{JoinHandle, Thread};

use super::graph::{Access, Kind, Next, SHARED};
use super::{Mode, after, decide, mode, with};
use crate::sync::Ordering;

/// Dropped when its thread ends, which is when others may run without a preemption.
struct Ends(usize);

impl Drop for Ends {
    fn drop(&mut self) {
        with(|graph| graph.ended(self.0));
    }
}

loom::thread_local! {
    static ENDS: RefCell<Option<Ends>> = RefCell::new(None);
}

/// Starts the thread of this number, from one, as `loom::thread::spawn` does. To be called by the main thread, once for each
/// number, and in whatever order.
#[allow(clippy::disallowed_methods)] // the callers' duty
pub fn spawn<T: 'static>(number: usize, f: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    if mode() == Mode::Off {
        return loom::thread::spawn(f);
    }
    loom::thread::spawn(move || {
        let me = loom::thread::current().id();
        with(|graph| graph.starts(me, number));
        ENDS.with(|ends| ends.replace(Some(Ends(number))));
        let result = f();
        decide(Next::Access, false);
        result
    })
}

/// The main thread waits for one of them, as loom's handle does.
///
/// # Errors
/// As there.
pub fn join<T>(thread: JoinHandle<T>) -> std::thread::Result<T> {
    let result = thread.join();
    if mode() != Mode::Off {
        with(|graph| graph.runs());
    }
    result
}

/// As loom's.
pub fn park() {
    if mode() != Mode::Off {
        decide(Next::Waits, false);
    }
    loom::thread::park();
}

/// As `Thread::unpark` of loom.
pub fn unpark(thread: &Thread) {
    if mode() != Mode::Off {
        with(|graph| graph.unparks(thread.id()));
    }
    thread.unpark();
}

/// As loom's: the running thread waits for what others do, and will do the same again if it reads the same again.
pub fn yield_now() {
    if mode() != Mode::Off {
        with(|graph| graph.yields());
        decide(Next::Waits, true);
    }
    loom::thread::yield_now();
}

/// A lock of loom's.
#[derive(Debug)]
pub struct Lock<T> {
    inner: Mutex<T>,
    /// Its number among the words, if it is noted.
    word: Option<usize>,
    held: Cell<bool>,
}

impl<T> Lock<T> {
    /// A lock around `value`.
    #[must_use]
    pub fn new(value: T) -> Self {
        let word = (mode() != Mode::Off).then(|| with(|graph| graph.word()) | SHARED);
        Self { inner: Mutex::new(value), word, held: Cell::new(false) }
    }

    /// Runs `f` under the lock.
    ///
    /// # Panics
    /// If another one has panicked under it.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let word = self.word;
        if word.is_some() {
            decide(if self.held.get() { Next::Waits } else { Next::Access }, false);
        }
        let mut guard = self.inner.lock().expect("no panic under this lock");
        self.held.set(true);
        if let Some(word) = word {
            after(&Access { word, kind: Kind::Lock, ordering: Ordering::AcqRel, read: None, stored: Some(0) });
        }
        let result = f(&mut guard);
        self.held.set(false);
        result
    }
}
