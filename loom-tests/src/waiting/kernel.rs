//! The kernel's futexes: who sleeps on which event, under a lock.

use std::cell::RefCell;
use std::rc::Rc;

use loom::sync::{Mutex, MutexGuard};
use loom::thread::{self, Thread};
use ring_core::Event;

/// Who sleeps, and on the events of which keys.
type Queue = Mutex<Vec<(Vec<usize>, Thread)>>;

std::thread_local! {
    // One OS thread runs all threads of a model, and a wake is a plain function.
    static QUEUE: RefCell<Rc<Queue>> = panic!("the kernel of this execution has not been booted");
}

/// The kernel of a new execution.
pub fn boot() {
    QUEUE.set(Rc::new(Mutex::new(Vec::new())));
}

/// Runs `f` under the lock.
fn locked<R>(f: impl FnOnce(&mut Vec<(Vec<usize>, Thread)>) -> R) -> R {
    let queue = QUEUE.with_borrow(Rc::clone);
    let mut guard: MutexGuard<'_, _> = queue.lock().expect("no panic under this lock");
    f(&mut guard)
}

/// `FUTEX_WAIT`: sleeps while the event is `ticket`.
pub fn sleep(event: Event<'_>, ticket: u32) {
    sleep_any(&[(event, ticket)]);
}

/// `futex_waitv`: sleeps while each of the events is its ticket.
pub fn sleep_any(targets: &[(Event<'_>, u32)]) {
    let sleeps = locked(|queue| {
        let sleeps = targets.iter().all(|(event, ticket)| event.value() == *ticket);
        if sleeps {
            queue.push((targets.iter().map(|(event, _)| event.key()).collect(), thread::current()));
        }
        sleeps
    });
    if sleeps {
        thread::park();
    }
}

/// `FUTEX_WAKE`, of one, which has to do: the real call wakes all who sleep there. Whether anybody did.
pub fn wake(event: Event<'_>) -> bool {
    locked(|queue| {
        let place = queue.iter().position(|(keys, _)| keys.contains(&event.key()));
        if let Some(place) = place {
            queue.remove(place).1.unpark();
        }
        place.is_some()
    })
}

/// The same, which says that somebody did in any case.
pub fn wake_and_believe(event: Event<'_>) -> bool {
    wake(event);
    true
}
