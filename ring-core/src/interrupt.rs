//! Ending a wait from outside: from another thread of the same process, or from a signal handler.
//!
//! The memory in which the waiter sleeps goes when its handle goes, and whoever may interrupt it can outlive the handle.
//! So interrupters sign in before they touch the event, and the handle signs them out before it lets go.

use crate::park::Event;
use crate::sync::{Word, ord};

/// A request to stop waiting, shared by a handle and those who may interrupt it. Process-local.
#[derive(Debug)]
pub struct Interrupt<'m> {
    requested: Word,
    /// Interrupters at the event * 2 + whether the handle has gone.
    visitors: Word,
    event: Event<'m>,
}

/// The bit of `visitors` that says that the handle has gone.
const GONE: u64 = 1;

impl<'m> Interrupt<'m> {
    /// For a handle that sleeps on `event`.
    #[must_use]
    pub fn new(event: Event<'m>) -> Self {
        Self { requested: Word::new(0), visitors: Word::new(0), event }
    }

    /// Asks the handle to stop waiting: now, or the next time it would have to. `wake` ends a sleep on the event. Safe
    /// in a signal handler if `wake` is; after the handle has gone it does nothing.
    pub fn request(&self, wake: impl FnOnce(Event<'m>)) {
        // Relaxed: the event is moved on by a Release (W12), and a ticket drawn after that sees this.
        self.requested.store(1, ord!(I1, Relaxed));
        // Relaxed: as a read-modify-write it cannot miss a departure that came first.
        if self.visitors.fetch_add(2, ord!(I2, Relaxed)) & GONE == 0 {
            self.event.disturb();
            wake(self.event);
        }
        // Release, partner of I5: we have left the event when we are counted out.
        self.visitors.fetch_sub(2, ord!(I3, Release));
    }

    /// Whether that was asked. To be called after a ticket was drawn and before the sleep.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(ord!(I6, Relaxed)) != 0
    }

    /// The handle has stopped waiting: the request is done with. One that comes at the same time may go with it.
    pub fn take(&self) {
        self.requested.store(0, ord!(I7, Relaxed));
    }

    /// The handle goes: returns when nobody is at the event any more, and nobody will be. Calls `pause` while it waits.
    pub fn leave(&self, pause: impl Fn()) {
        self.visitors.fetch_or(GONE, ord!(I4, Relaxed));
        // Acquire, partner of I3: what interrupters did to the event comes before our letting go of it.
        while self.visitors.load(ord!(I5, Acquire)) != GONE {
            pause();
        }
    }
}
