//! An event of a process's own: for a thread that sleeps on the events of many rings, and has to hear from its own
//! process as well.

use crate::park::{Bell, Event, Sleeper};
use crate::sync::{Word, ord};

/// An event that no ring has, and a request to stop waiting. Process-local; whoever shares it keeps it alive.
#[derive(Debug)]
pub struct Doorbell {
    sleepers: Word,
    event: Word,
    requested: Word,
}

impl Doorbell {
    /// One that nobody has rung.
    #[must_use]
    pub fn new() -> Self {
        let [sleepers, event, requested] = [(); 3].map(|()| Word::new(0));
        Self { sleepers, event, requested }
    }

    /// The place of the one who sleeps at it. It announces as it does at a ring; no barrier is needed, since
    /// [`ring`](Doorbell::ring) looks at no bit.
    #[must_use]
    pub fn sleeper(&self) -> Sleeper<'_> {
        Sleeper::new(Bell { sleepers: &self.sleepers, fences: None }, &self.event, 0)
    }

    /// Ends the sleep of whoever is there, or is about to sleep on a ticket drawn before. `wake` ends a sleep on the event.
    pub fn ring(&self, wake: impl FnOnce(Event<'_>)) {
        let event = Event::new(&self.event);
        event.disturb();
        wake(event);
    }

    /// [`ring`](Doorbell::ring) for who asks to stop waiting: now, or the next time one would have to. Safe in a signal
    /// handler if `wake` is.
    pub fn request(&self, wake: impl FnOnce(Event<'_>)) {
        // Relaxed, as an `Interrupt`'s: the event is moved on by a Release (W12), and a ticket drawn after that sees this.
        self.requested.store(1, ord!(I1, Relaxed));
        self.ring(wake);
    }

    /// Whether that was asked. To be called after a ticket was drawn and before the sleep.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(ord!(I6, Relaxed)) != 0
    }

    /// The request is done with. One that comes at the same time may go with it.
    pub fn take(&self) {
        self.requested.store(0, ord!(I7, Relaxed));
    }
}

impl Default for Doorbell {
    fn default() -> Self {
        Self::new()
    }
}
