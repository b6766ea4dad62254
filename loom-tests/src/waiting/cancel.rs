//! Models of a wait that is ended from outside.

use std::rc::Rc;

use loom::cell::UnsafeCell;
use loom::thread;
use ring_core::Interrupt;
use ring_core::spsc::Consumer;

use super::{Way, kernel, wait_by};
use crate::spsc::world::{got, msg, send};
use crate::spsc::{Body, Spsc, World, model};
use crate::{Bound, Model};

/// The models of this file.
pub static MODELS: &[Model<Spsc>] = &[
    model("cancel", Bound::ALL, Body::Plain(cancel)).waking(false),
    model("cancel_and_commit", Bound::preemptions(2), Body::Plain(cancel_and_commit)).waking(false),
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

fn poll(w: &World, rx: &mut Consumer<'static>, interrupt: &Interrupt<'static>) -> Option<crate::spsc::world::Event> {
    wait_by(Way::Sound, rx, Some(interrupt), |rx| w.poll(rx))
}

/// Whatever the waiter is at, it notices.
fn cancel(w: &World) {
    let mut rx = w.consumer();
    let interrupt = interrupt(&rx);
    let (canceller, world) = (Rc::clone(&interrupt), w.clone());
    w.both(move || request(&canceller), move || assert_eq!(poll(&world, &mut rx, &interrupt), None));
}

/// A message comes at the same time: it is got now or later.
fn cancel_and_commit(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let interrupt = interrupt(&rx);
    let (canceller, world) = (Rc::clone(&interrupt), w.clone());
    w.three(
        move || request(&canceller),
        move || {
            send(&mut tx, msg(1, 8));
        },
        move || {
            // Got, and one that comes too late ends the next wait; or ended, and got in the next wait.
            let first = poll(&world, &mut rx, &interrupt);
            let second = poll(&world, &mut rx, &interrupt);
            let message = Some(got(msg(1, 8)));
            assert!((first == message) != (second == message), "{first:?}, {second:?}");
        },
    );
}

/// The handle goes, and the memory of the event with it.
fn cancel_and_leave(w: &World) {
    let rx = w.consumer();
    let interrupt = interrupt(&rx);
    let mapping = Rc::new(UnsafeCell::new(()));
    let (canceller, mapped) = (Rc::clone(&interrupt), Rc::clone(&mapping));
    w.both(
        move || {
            canceller.request(|event| {
                mapped.with(|_| ());
                kernel::wake(event);
            });
        },
        move || {
            interrupt.leave(thread::yield_now);
            mapping.with_mut(|_| ());
        },
    );
}
