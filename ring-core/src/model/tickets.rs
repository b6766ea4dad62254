//! When a ticket was drawn, which loom cannot show by itself.
//!
//! A sleeper draws its ticket by a load and then sets its bit by a read-modify-write. Processors may do the second one
//! first; loom never does. So each ticket has a tracked cell: its sleeper writes the cell when it draws, a waker reads it
//! when it has taken the bit and is about to move the event on, and where the protocol did not order the two loom
//! reports a race.
//!
//! Which ticket a taken bit belongs to, loom's order of read-modify-writes says: the one announced last on that event.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use loom::cell::UnsafeCell;

use crate::sync::Word;

std::thread_local! {
    // As for what is planted: one OS thread runs all threads of a model.
    static ANNOUNCED: RefCell<BTreeMap<usize, Ticket>> = const { RefCell::new(BTreeMap::new()) };
}

/// A new execution begins.
pub(super) fn begin() {
    ANNOUNCED.take();
}

/// The cell of a ticket.
#[derive(Clone)]
pub(crate) struct Ticket(Rc<UnsafeCell<()>>);

impl Ticket {
    /// The running thread has loaded the event.
    pub(crate) fn draw() -> Self {
        let cell = UnsafeCell::new(());
        cell.with_mut(|_| ());
        Self(Rc::new(cell))
    }

    /// It has set its bit, by its last access.
    pub(crate) fn announce(self, event: &Word) {
        ANNOUNCED.with_borrow_mut(|tickets| tickets.insert(key(event), self));
    }
}

/// The running thread has taken the bit, by its last access: whatever ticket was drawn for it is out of date from now on.
pub(crate) fn ticket_is_void(event: &Word) {
    if let Some(Ticket(cell)) = ANNOUNCED.with_borrow(|tickets| tickets.get(&key(event)).cloned()) {
        cell.with(|_| ());
    }
}

fn key(event: &Word) -> usize {
    std::ptr::from_ref(event).addr()
}
