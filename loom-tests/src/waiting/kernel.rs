//! The kernel's futexes: who sleeps on which event, under a lock.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use loom::thread::{self, Thread};
use ring_core::Event;
use ring_core::model::once::{Lock, park, unpark};

/// A thread that sleeps.
struct Asleep {
    /// On the events of which keys.
    keys: Vec<usize>,
    thread: Thread,
    /// Whether its slice has ended, rather than somebody ended the sleep. Set under the lock.
    expired: Rc<Cell<bool>>,
}

#[derive(Default)]
struct State {
    asleep: Vec<Asleep>,
    /// Slices that end at once: on the event of which key.
    ends: Vec<usize>,
    /// Who listens to the chime.
    listens: Option<Thread>,
}

type Queue = Lock<State>;

std::thread_local! {
    // One OS thread runs all threads of a model, and a wake is a plain function.
    static QUEUE: RefCell<Rc<Queue>> = panic!("the kernel of this execution has not been booted");
}

/// The kernel of a new execution.
pub fn boot() {
    QUEUE.set(Rc::new(Lock::new(State::default())));
}

/// Runs `f` under the lock.
fn locked<R>(f: impl FnOnce(&mut State) -> R) -> R {
    let queue = QUEUE.with_borrow(Rc::clone);
    queue.with(f)
}

/// `FUTEX_WAIT`: sleeps while the event is `ticket`. Whether its time was over before anybody ended it.
pub fn sleep(event: Event<'_>, ticket: u32) -> bool {
    sleep_any(&[(event, ticket)])
}

/// `futex_waitv`: sleeps while each of the events is its ticket.
pub fn sleep_any(targets: &[(Event<'_>, u32)]) -> bool {
    let expired = Rc::new(Cell::new(false));
    let sleeps = locked(|state| {
        if !targets.iter().all(|(event, ticket)| event.value() == *ticket) {
            return false;
        }
        let keys: Vec<_> = targets.iter().map(|(event, _)| event.key()).collect();
        if let Some(place) = state.ends.iter().position(|key| keys.contains(key)) {
            state.ends.remove(place);
            expired.set(true);
            return false;
        }
        state.asleep.push(Asleep { keys, thread: thread::current(), expired: Rc::clone(&expired) });
        true
    });
    if sleeps {
        park();
    }
    expired.get()
}

/// Ends the sleep of whoever sleeps on the event, whom it takes from the list.
fn end(state: &mut State, event: Event<'_>) -> Option<Asleep> {
    let place = state.asleep.iter().position(|asleep| asleep.keys.contains(&event.key()))?;
    let asleep = state.asleep.remove(place);
    unpark(&asleep.thread);
    Some(asleep)
}

/// `FUTEX_WAKE`, of one, which has to do: the real call wakes all who sleep there. Whether anybody did.
pub fn wake(event: Event<'_>) -> bool {
    locked(|state| end(state, event).is_some())
}

/// The same, which says that somebody did in any case.
pub fn wake_and_believe(event: Event<'_>) -> bool {
    wake(event);
    true
}

/// The slice of whoever sleeps on the event is over, or else that of whoever does so next.
pub fn expire(event: Event<'_>) {
    locked(|state| match end(state, event) {
        Some(asleep) => asleep.expired.set(true),
        None => state.ends.push(event.key()),
    });
}

/// The chime: wakes who listens. Whoever wished for it lives.
pub fn chime(_ring: i32, _lease: u64) -> bool {
    locked(|state| {
        if let Some(thread) = state.listens.take() {
            unpark(&thread);
        }
    });
    true
}

/// Sleeps until the chime rings, unless the event, if one is asked for, is no longer the ticket.
pub fn listen(target: Option<(Event<'_>, u32)>) {
    let sleeps = locked(|state| {
        let sleeps = target.is_none_or(|(event, ticket)| event.value() == ticket);
        state.listens = sleeps.then(thread::current);
        sleeps
    });
    if sleeps {
        park();
    }
}
