//! Models of an awaiting task: a waiter thread sleeps in its place, and hands the wake-up on. The hand-over is that of
//! `ring-shm/src/hub.rs` and `awaited.rs`; runtimes are a thread that parks.

use std::rc::Rc;

use loom::thread::{self, Thread};
use ring_core::model::once::{Lock, park, unpark, yield_now};
use ring_core::spsc::Consumer;
use ring_core::{Doorbell, Event, Sleeper};

use super::{Sleeps as _, kernel, wait};
use crate::mpmc::{self, Mpmc};
use crate::spsc::world::{got, msg, send};
use crate::spsc::{Body, Spsc, World, model};
use crate::{Bound, LARGE, Model};

/// The models of this file.
pub static MODELS: &[Model<Spsc>] = &[
    model("await_message", Bound::preemptions(3), Body::Plain(|w| messages(w, Way::Sound, 1))).waking(false),
    model("await_messages", Bound::preemptions(2), Body::Plain(|w| messages(w, Way::Sound, 2)))
        .waking(false)
        .short(LARGE),
];

/// Those of a task that gives up, while somebody else waits for the same.
pub static DROPPED: &[Model<Mpmc>] =
    &[mpmc::model("dropped_when_woken", 3, Bound::preemptions(1), mpmc::Body::Plain(|w| dropped(w, GivesUp::Soundly)))
        .waking(false)];

/// Those of them that must fail.
pub static BROKEN_DROPPED: &[Model<Mpmc>] = &[
    mpmc::model(
        "drop_forgets",
        3,
        Bound::preemptions(1),
        mpmc::Body::Plain(|w| dropped(w, GivesUp::WithoutWithdrawing)),
    )
    .waking(false),
    mpmc::model(
        "drop_keeps_it",
        3,
        Bound::preemptions(1),
        mpmc::Body::Plain(|w| dropped(w, GivesUp::WithoutPassingOn)),
    )
    .waking(false),
];

/// Those that must fail.
pub static BROKEN: &[Model<Spsc>] = &[
    model("late_ticket", Bound::preemptions(2), Body::Plain(|w| messages(w, Way::TicketAfterLook, 1))).waking(false),
    model("unrung", Bound::preemptions(2), Body::Plain(|w| messages(w, Way::Unrung, 1))).waking(false),
    model("woken_early", Bound::preemptions(2), Body::Plain(|w| messages(w, Way::WokenBeforeTaken, 2))).waking(false),
    model("bell_after_list", Bound::preemptions(2), Body::Plain(|w| messages(w, Way::BellAfterList, 1))).waking(false),
];

/// How the hand-over is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As `ring-shm` does.
    Sound,
    /// The waiter is given a ticket of after the last look.
    TicketAfterLook,
    /// The waiter is not told that there is somebody new.
    Unrung,
    /// The waiter wakes the task before it has given its place free: the task believes that it is still watched for.
    WokenBeforeTaken,
    /// The waiter draws its own ticket when it has made its list.
    BellAfterList,
}

/// What the waiter and the task share.
struct Hub {
    bell: Doorbell,
    event: Event<'static>,
    state: Lock<State>,
    way: Way,
}

#[derive(Default)]
struct State {
    ticket: u32,
    /// Whom to wake, if anybody waits; a task that is not polled again needs no thread.
    waker: Option<Option<Thread>>,
    /// What the waiter compares the event with.
    listed: Option<u32>,
    /// Whether the waiter will make a list before it sleeps.
    lists: bool,
    /// Whether somebody has been here.
    used: bool,
    quits: bool,
}

impl Hub {
    fn new(event: Event<'static>, way: Way) -> Rc<Self> {
        let state = State { lists: true, ..State::default() };
        Rc::new(Self { bell: Doorbell::new(), event, state: Lock::new(state), way })
    }

    fn locked<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        self.state.with(f)
    }

    fn ring(&self) {
        self.bell.ring(|event| {
            kernel::wake(event);
        });
    }

    /// The thread of the waiter.
    fn run(&self) {
        loop {
            let mut woken = None;
            let listed = self.locked(|state| {
                if state.quits {
                    return None;
                }
                let mut bell = self.bell.sleeper().announce();
                if state.waker.is_some() && self.event.has_moved(state.ticket) {
                    if self.way == Way::WokenBeforeTaken {
                        woken = state.waker.clone();
                    } else {
                        woken = state.waker.take();
                    }
                }
                state.listed = match (&state.waker, state.used) {
                    (Some(_), _) => Some(state.ticket),
                    (None, true) => Some(self.event.ticket_guess()),
                    (None, false) => None,
                };
                state.lists = false;
                if self.way == Way::BellAfterList {
                    bell = 0;
                }
                Some((bell, state.listed))
            });
            let Some((mut bell, listed)) = listed else { return };
            if let Some(Some(thread)) = woken {
                unpark(&thread);
                if self.way == Way::WokenBeforeTaken {
                    yield_now();
                    self.locked(|state| state.waker = None);
                }
            }
            if self.way == Way::BellAfterList {
                bell = self.bell.sleeper().announce();
            }
            let mut targets = vec![(self.bell.sleeper().event(), bell)];
            targets.extend(listed.map(|ticket| (self.event, ticket)));
            kernel::sleep_any(&targets);
        }
    }

    /// As `Watch::arm`.
    fn arm(&self, ticket: u32) {
        self.locked(|state| {
            state.ticket = ticket;
            state.waker = Some(Some(thread::current()));
            state.used = true;
            if !state.lists && state.listed != Some(ticket) && self.way != Way::Unrung {
                state.lists = true;
                self.ring();
            }
        });
    }

    fn disarm(&self) {
        self.locked(|state| state.waker = None);
    }

    fn quit(&self) {
        self.locked(|state| state.quits = true);
        self.ring();
    }

    /// A task that polls until there is something, as `Awaited::poll` does.
    fn until<T>(&self, rx: &mut Consumer<'static>, mut look: impl FnMut(&mut Consumer<'static>) -> Option<T>) -> T {
        let mut announced: Option<(Sleeper<'static>, u32)> = None;
        loop {
            if let Some(found) = look(rx) {
                if let Some((sleeper, _)) = announced {
                    self.disarm();
                    sleeper.withdraw();
                }
                return found;
            }
            match announced {
                Some(_) if self.way == Way::TicketAfterLook => {
                    self.arm(self.event.ticket_guess());
                    park();
                }
                Some((sleeper, ticket)) if sleeper.stands(ticket) => {
                    self.arm(ticket);
                    park();
                }
                _ => {
                    if let Some((sleeper, _)) = announced {
                        sleeper.withdraw();
                    }
                    let sleeper = rx.place();
                    let ticket = sleeper.announce();
                    sleeper.fence();
                    announced = Some((sleeper, ticket));
                }
            }
        }
    }
}

/// A task awaits `count` messages, one after the other.
fn messages(w: &World, way: Way, count: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    // Dropped here, and not by a thread that fails: a word that is dropped counts its readers.
    let hub = Hub::new(rx.place().event(), way);
    let (waiter, task, world) = (Rc::clone(&hub), Rc::clone(&hub), w.clone());
    w.three(
        move || {
            (1..=count).for_each(|n| {
                send(&mut tx, msg(n, 8));
            })
        },
        move || waiter.run(),
        move || {
            for n in 1..=count {
                assert_eq!(task.until(&mut rx, |rx| world.poll(rx)), got(msg(n, 8)));
            }
            task.quit();
        },
    );
}

/// What a future does when it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GivesUp {
    Soundly,
    WithoutWithdrawing,
    WithoutPassingOn,
}

/// A task has been polled, and is dropped while a message comes; a thread sleeps, or is about to, that would take it.
fn dropped(w: &mpmc::World, gives_up: GivesUp) {
    // A publisher wakes whoever has the lower place in the table: that is who joined last.
    let (mut tx, mut second, first) = (w.producer(), w.consumer(), w.consumer());
    let sleeper = first.place();
    let hub = Hub::new(sleeper.event(), Way::Sound);
    let ticket = sleeper.announce();
    sleeper.fence();
    hub.locked(|state| (state.ticket, state.waker, state.used) = (ticket, Some(None), true));
    w.four(
        |w| w.send(&mut tx, 1).unwrap(),
        |_| hub.run(),
        |_| {
            hub.disarm();
            if gives_up != GivesUp::WithoutWithdrawing && sleeper.withdraw() && gives_up == GivesUp::Soundly {
                first.pass_wake();
            }
        },
        |w| {
            assert_eq!(wait(&mut second, |rx| w.recv(rx).ok()), 1);
            hub.quit();
        },
    );
    w.settle(&mut tx, &mut second);
}
