//! Models of a wait that is ended from outside.

use std::rc::Rc;

use loom::cell::UnsafeCell;
use ring_core::Interrupt;
use ring_core::model::once::yield_now;
use ring_core::spsc::Consumer;

use super::{Way, kernel, wait_by};
use crate::spsc::world::{Event, got, msg, send};
use crate::spsc::{Body, Spsc, World, model};
use crate::{Bound, LARGE, Model};

/// The models of this file.
pub static MODELS: &[Model<Spsc>] = &[
    model("cancel", Bound::ALL, Body::Plain(cancel)).waking(false),
    model("cancel_behind_kernels_barrier", Bound::ALL, Body::Plain(cancel_behind_kernels_barrier)).waking(false),
    model("cancel_and_commit", Bound::preemptions(2), Body::Plain(cancel_and_commit)).waking(false).short(LARGE),
    model("cancel_and_leave", Bound::ALL, Body::Plain(cancel_and_leave)).waking(false),
];

pub(super) fn interrupt(sleeper: &impl super::Sleeps) -> Rc<Interrupt<'static>> {
    Rc::new(Interrupt::new(sleeper.place().event()))
}

pub(super) fn request(interrupt: &Interrupt<'static>) {
    interrupt.request(|event| {
        kernel::wake(event);
    });
}

fn poll(way: Way, w: &World, rx: &mut Consumer<'static>, interrupt: &Interrupt<'static>) -> Option<Event> {
    wait_by(way, rx, Some(interrupt), |rx| w.poll(rx))
}

/// Whatever the waiter is at, it notices.
fn cancel_by(w: &World, way: Way) {
    let mut rx = w.consumer();
    // Dropped here, and not by a thread that fails: a word that is dropped counts its readers.
    let interrupt = interrupt(&rx);
    let (canceller, waiter, world) = (Rc::clone(&interrupt), Rc::clone(&interrupt), w.clone());
    w.both(move || request(&canceller), move || assert_eq!(poll(way, &world, &mut rx, &waiter), None));
}

fn cancel(w: &World) {
    cancel_by(w, Way::Sound);
}

/// No fence of the sleeper's mends a ticket that counts the request and does not show it.
fn cancel_behind_kernels_barrier(w: &World) {
    cancel_by(w, Way::KernelsBarrier);
}

/// A message comes at the same time: it is got now or later.
fn cancel_and_commit(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let interrupt = interrupt(&rx);
    let (canceller, waiter, world) = (Rc::clone(&interrupt), Rc::clone(&interrupt), w.clone());
    w.three(
        move || request(&canceller),
        move || {
            send(&mut tx, msg(1, 8));
        },
        move || {
            // Got, and the next wait is cancelled; or cancelled, and got in the next wait.
            let both = [(); 2].map(|()| poll(Way::Sound, &world, &mut rx, &waiter));
            let message = Some(got(msg(1, 8)));
            assert!(both == [message, None] || both == [None, message], "{both:?}");
        },
    );
}

/// The handle goes, and the memory of the event with it.
fn cancel_and_leave(w: &World) {
    let rx = w.consumer();
    let interrupt = interrupt(&rx);
    let mapping = Rc::new(UnsafeCell::new(()));
    let (canceller, leaver, mapped) = (Rc::clone(&interrupt), Rc::clone(&interrupt), Rc::clone(&mapping));
    w.both(
        move || {
            canceller.request(|event| {
                mapped.with(|_| ());
                kernel::wake(event);
            });
        },
        move || {
            leaver.leave(yield_now);
            mapping.with_mut(|_| ());
        },
    );
}
